"""Reward wrappers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marl.errors import ConfigError
from marl.wrappers import RewardClip, RewardNormalize, RewardScale

from .scripted import Scripted, x

SCRIPT = [
    {"obs": {"a": x(0)}},
    {"rewards": {"a": 2.0, "b": -3.0}},
    {"rewards": {"b": 0.5}, "ticks": 0},
    {"rewards": {"a": 4.0}, "truncateds": {"a": True}, "ticks": 2},
    {"rewards": {"a": 1.0, "b": 1.0}},
]


def paid(env):
    env.reset()
    return [env.step({})[1] for _ in SCRIPT[1:]]


def test_scale():
    assert paid(RewardScale(Scripted(SCRIPT), 0.5)) == [{"a": 1.0, "b": -1.5}, {"b": 0.25}, {"a": 2.0}, {"a": 0.5, "b": 0.5}]


def test_clip():
    assert paid(RewardClip(Scripted(SCRIPT))) == [{"a": 1.0, "b": -1.0}, {"b": 0.5}, {"a": 1.0}, {"a": 1.0, "b": 1.0}]
    assert paid(RewardClip(Scripted(SCRIPT), low=-2, high=3))[0] == {"a": 2.0, "b": -2}


def spread(*returns):
    """The deviation of these returns and of the one value of 0 with variance 1 that it begins with."""
    mean = sum(returns) / (len(returns) + 1)
    return math.sqrt((1 + mean**2 + sum((value - mean) ** 2 for value in returns)) / (len(returns) + 1))


def test_normalise_by_hand():
    """Returns decay by 0.5 a tick; a zero-tick call does not decay; a's return is gone with its life."""
    first, second, third, fourth = paid(RewardNormalize(Scripted(SCRIPT), gamma=0.5, clip=None))
    returns = [2.0, -3.0]
    assert first["a"] == pytest.approx(2.0 / spread(*returns))
    assert first["b"] == pytest.approx(-3.0 / spread(*returns))
    returns += [-3.0 + 0.5]
    assert second["b"] == pytest.approx(0.5 / spread(*returns))
    returns += [2.0 * 0.25 + 4.0]
    assert third["a"] == pytest.approx(4.0 / spread(*returns))
    returns += [1.0, -2.5 * 0.25 * 0.5 + 1.0]
    assert fourth["a"] == pytest.approx(1.0 / spread(*returns))


def test_normalise_per_agent():
    env = RewardNormalize(Scripted([{}, {"rewards": {"a": 1.0, "b": 100.0}}] + [{"rewards": {"a": 1.0, "b": 100.0}}] * 50), per_agent=True)
    env.reset()
    for _ in range(50):
        rewards = env.step({})[1]
    assert rewards["a"] == pytest.approx(rewards["b"], rel=0.1)


def test_normalised_returns_are_of_order_one():
    rng = np.random.default_rng(0)
    script = [{}] + [{"rewards": {"a": float(reward)}} for reward in rng.normal(0, 1000, 5000)]
    env = RewardNormalize(Scripted(script), gamma=0.9)
    env.reset()
    rewards = [env.step({})[1]["a"] for _ in range(5000)]
    assert np.std(rewards[1000:]) == pytest.approx(math.sqrt(1 - 0.9**2), rel=0.1)  # the return's deviation is 1


def test_clip_bounds_the_first_rewards():
    env = RewardNormalize(Scripted([{}, {"rewards": {"a": 1e9}}]), clip=3.0)
    env.reset()
    assert abs(env.step({})[1]["a"]) <= 3.0


def test_memory_lasts_beyond_the_episode_and_can_be_carried_over():
    env, other = (RewardNormalize(Scripted(SCRIPT), gamma=0.5) for _ in range(2))
    paid(env)
    other.set_state(env.get_state())
    assert paid(other) == paid(env)
    assert paid(RewardNormalize(Scripted(SCRIPT), gamma=0.5)) != paid(env)


def test_without_update_the_estimate_stands():
    env = RewardNormalize(Scripted(SCRIPT), update=False)
    assert paid(env)[0] == {"a": 2.0, "b": -3.0}


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (lambda env: RewardScale(env, "2"), ["factor"]),
        (lambda env: RewardClip(env, 1, -1), ["low"]),
        (lambda env: RewardNormalize(env, gamma=1.5, clip=-1, per_agent="no"), ["gamma", "per_agent", "clip"]),
    ],
)
def test_wrong_options(make, keys):
    with pytest.raises(ConfigError) as caught:
        make(Scripted([{}]))
    assert [problem.key for problem in caught.value.problems] == keys
