"""Multi-agent CartPole against Gymnasium's, step by step, and who ends when."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from marl.errors import ConfigError, EnvError
from marl_envs.cartpole import CartPole, global_state_space


def push(observation, rng, skilled):
    return int(observation[2] + 0.5 * observation[3] + 0.1 * observation[1] > 0) if skilled else int(rng.integers(2))


@pytest.mark.parametrize("seed", range(40))
def test_one_agent_equals_gymnasium_to_the_bit(seed):
    theirs, ours = gymnasium.make("CartPole-v1"), CartPole(num_agents=1)
    rng = np.random.default_rng(seed)
    expected, _ = theirs.reset(seed=seed)
    observations, _ = ours.reset(seed=seed)
    for step in range(1, 501):
        assert (observations["agent_0"] == expected).all(), step
        action = push(expected, rng, skilled=seed % 2)
        expected, reward, terminated, truncated, _ = theirs.step(action)
        observations, rewards, terminateds, truncateds, _ = ours.step({"agent_0": action})
        assert rewards == {"agent_0": reward}
        assert ours._poles["agent_0"] == tuple(theirs.unwrapped.state.tolist())
        assert terminateds["agent_0"] == terminated
        assert truncateds["agent_0"] == (truncated and not terminated)
        assert (terminateds["__all__"] or truncateds["__all__"]) == (terminated or truncated)
        if terminated or truncated:
            assert (observations["agent_0"] == expected).all()
            return
    raise AssertionError("the episode did not end")


def test_agents_end_one_by_one_and_the_episode_with_the_last():
    env = CartPole(num_agents=4)
    observations, _ = env.reset(seed=2)
    rng = np.random.default_rng(0)
    due, ended = set(observations), []
    while due:
        observations, rewards, terminateds, truncateds, _ = env.step({agent: int(rng.integers(2)) for agent in due})
        assert set(observations) == set(rewards) == due
        falls = {agent for agent in due if terminateds[agent]}
        for agent in falls:  # the last observation shows the fall
            assert abs(observations[agent][0]) > 2.4 or abs(observations[agent][2]) > 12 * 2 * np.pi / 360
        ended += sorted(falls)
        due -= falls
        assert terminateds["__all__"] == (not due)
        assert not any(truncateds.values())
    assert sorted(ended) == env.possible_agents


def test_agents_do_not_touch_each_other():
    """Agent i of four is the lone CartPole that starts where it starts."""
    env = CartPole(num_agents=4)
    env.reset(seed=9)
    lone = {agent: gymnasium.make("CartPole-v1") for agent in env.possible_agents}
    for agent, game in lone.items():
        game.reset(seed=0)
        game.unwrapped.state = np.array(env._poles[agent])
    rng = np.random.default_rng(1)
    due = set(env.possible_agents)
    while due:
        actions = {agent: int(rng.integers(2)) for agent in sorted(due)}
        observations, _, terminateds, _, _ = env.step(actions)
        for agent, action in actions.items():
            expected, _, terminated, _, _ = lone[agent].step(action)
            assert (observations[agent] == expected).all()
            assert terminateds[agent] == terminated
        due -= {agent for agent in actions if terminateds[agent]}


def test_the_time_limit_truncates_whoever_stands_with_a_last_observation():
    env = CartPole(num_agents=3, max_steps=12)
    observations, _ = env.reset(seed=0)
    for step in range(1, 13):
        # agent_0 is pushed one way until it falls; the others are balanced.
        actions = {agent: 1 if agent == "agent_0" else push(seen, None, True) for agent, seen in observations.items()}
        observations, _, terminateds, truncateds, _ = env.step(actions)
        ended = {agent for agent in observations if terminateds[agent]}
        if step < 12:
            assert not truncateds["__all__"]
            observations = {agent: seen for agent, seen in observations.items() if agent not in ended}
    assert truncateds == {"agent_1": True, "agent_2": True, "__all__": True}
    assert terminateds == {"agent_1": False, "agent_2": False, "__all__": False}
    assert set(observations) == {"agent_1", "agent_2"}


def test_without_a_seed_the_stream_goes_on():
    env, same = CartPole(), CartPole()
    env.reset(seed=4), same.reset(seed=4)
    first, second = env.reset()[0], env.reset()[0]
    assert (first["agent_0"] == same.reset()[0]["agent_0"]).all()
    assert (first["agent_0"] != second["agent_0"]).any()


def test_global_state_is_all_poles_and_who_stands():
    env = CartPole(num_agents=2)
    observations, _ = env.reset(seed=0)
    assert env.global_state().tolist() == [*observations["agent_0"].tolist(), *observations["agent_1"].tolist(), 1, 1]
    assert global_state_space(2).shape == (10,)
    while "agent_0" in observations:
        actions = {agent: 1 if agent == "agent_0" else push(seen, None, True) for agent, seen in observations.items()}
        observations, _, terminateds, _, _ = env.step(actions)
        observations = {agent: seen for agent, seen in observations.items() if not terminateds[agent]}
    assert env.global_state()[-2:].tolist() == [0, 1]


def test_errors_name_the_agent_or_the_key():
    env = CartPole(num_agents=2)
    env.reset(seed=0)
    with pytest.raises(EnvError, match="no action for 'agent_1'"):
        env.step({"agent_0": 1})
    with pytest.raises(EnvError, match="'agent_0' played 2"):
        env.step({"agent_0": 2, "agent_1": 0})
    with pytest.raises(ConfigError) as caught:
        CartPole(num_agents=0, max_steps=0)
    assert [problem.key for problem in caught.value.problems] == ["num_agents", "max_steps"]
