"""Forwarding: exactly what the inner environment has, and states of whole stacks."""

from __future__ import annotations

import numpy as np
import pytest

from marl.env import FORWARDED, BaseMultiAgentEnv, MultiAgentEnv
from marl.grouping import with_agent_groups
from marl.wrappers import FrameStack, RewardNormalize, RewardScale, TimeLimit, Wrapper, state_is_whole, unwrapped
from marl_envs.two_step import TwoStep

from .scripted import Scripted, x

TWO_CALLS = [{"obs": {"a": x(1)}}, {"obs": {"a": x(2)}}, {"obs": {"a": x(3)}}]


class Bare:
    possible_agents = ["a"]

    def reset(self, *, seed=None, options=None):
        return {}, {}

    def step(self, actions):
        return {}, {}, {}, {}, {}


@pytest.mark.parametrize("name", [*FORWARDED, "observation_spaces", "observation_space", "get_state", "set_state"])
def test_what_the_inner_lacks_the_wrapper_lacks(name):
    assert not hasattr(Wrapper(Bare()), name)


@pytest.mark.parametrize("name", FORWARDED)
def test_what_the_inner_has_comes_through_as_it_is_now(name):
    env = Bare()
    wrapped = Wrapper(Wrapper(env))
    for value in (1, 2):
        setattr(env, name, value)
        assert getattr(wrapped, name) == value


def test_a_wrapper_is_an_environment():
    env = Wrapper(TwoStep())
    assert isinstance(env, MultiAgentEnv)
    assert isinstance(env, BaseMultiAgentEnv)
    assert env.observation_spaces is env.env.observation_spaces
    assert env.unwrapped is unwrapped(env) is env.env
    assert env.global_state().shape == (3,)


def test_reset_gets_seed_and_options_and_close_goes_through():
    env = Scripted(TWO_CALLS)
    wrapped = TimeLimit(RewardScale(Wrapper(env), 2.0), 5)
    wrapped.reset(seed=3, options={"hard": True})
    wrapped.close()
    assert env.seeds == [(3, {"hard": True})]
    assert env.closed
    Wrapper(Bare()).close()  # nothing to close is no error


def test_unknown_members_are_refused_with_the_way_to_them():
    with pytest.raises(AttributeError, match=r"RewardScale has no 'difficulty'.*env\.unwrapped\.difficulty"):
        RewardScale(Wrapper(Bare()), 1.0).difficulty


def test_zero_tick_calls_come_through():
    env = FrameStack(TimeLimit(Scripted([{"obs": {"a": x(1)}, "decision": True}, {"obs": {"a": x(2)}, "ticks": 0}]), 1))
    env.reset()
    assert env.next_call_is_decision
    _, _, _, truncateds, _ = env.step({"a": 0})
    assert env.elapsed_ticks == 0
    assert not env.next_call_is_decision
    assert not truncateds["__all__"]


def test_state_of_a_stack_over_a_game_with_state():
    def made():
        return FrameStack(TimeLimit(RewardNormalize(Scripted(TWO_CALLS * 2, with_state=True)), 4), n=2)

    env = made()
    env.reset()
    env.step({"a": 0})
    assert state_is_whole(env)
    saved = env.get_state()
    expected = [env.step({"a": 0}) for _ in range(3)]
    again = made()
    again.reset()
    again.set_state(saved)
    for (seen, _, _, truncateds, _), answer in zip(expected, [again.step({"a": 0}) for _ in range(3)], strict=True):
        assert np.array_equal(seen["a"], answer[0]["a"])
        assert truncateds == answer[3]
    assert truncateds["__all__"]  # the fourth tick, two of them before the state was taken


def test_groups_are_looked_through():
    def grouped(with_state):
        return with_agent_groups(RewardNormalize(Scripted(TWO_CALLS, with_state=with_state)), {"team": ["a", "b"]})

    assert hasattr(grouped(False), "get_state")
    assert not state_is_whole(grouped(False))
    assert state_is_whole(grouped(True))


def test_memory_beyond_an_episode_is_there_without_a_games_state():
    env = TimeLimit(RewardNormalize(Scripted(TWO_CALLS)), 4)
    assert hasattr(env, "get_state")
    assert not state_is_whole(env)
    assert not hasattr(TimeLimit(Scripted(TWO_CALLS), 4), "get_state")
