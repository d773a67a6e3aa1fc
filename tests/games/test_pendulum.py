"""Multi-agent Pendulum against Gymnasium's, step by step."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from marl.errors import EnvError
from marl_envs.pendulum import Pendulum


@pytest.mark.parametrize("seed", range(20))
def test_one_agent_equals_gymnasium_to_the_bit(seed):
    theirs, ours = gymnasium.make("Pendulum-v1"), Pendulum(num_agents=1)
    rng = np.random.default_rng(seed)
    expected, _ = theirs.reset(seed=seed)
    observations, _ = ours.reset(seed=seed)
    for step in range(1, 201):
        assert (observations["agent_0"] == expected).all(), step
        torque = rng.uniform(-2.5, 2.5, 1).astype(np.float32)  # beyond the bounds too: both clip
        expected, reward, _, truncated, _ = theirs.step(torque)
        observations, rewards, terminateds, truncateds, _ = ours.step({"agent_0": torque})
        assert rewards["agent_0"] == reward
        assert ours._pendulums["agent_0"] == tuple(theirs.unwrapped.state.tolist())
        assert truncateds == {"agent_0": truncated, "__all__": truncated}
        assert not any(terminateds.values())
    assert truncated
    assert (observations["agent_0"] == expected).all()


def test_several_agents_are_several_pendulums():
    env = Pendulum(num_agents=3)
    env.reset(seed=1)
    lone = {agent: gymnasium.make("Pendulum-v1") for agent in env.possible_agents}
    for agent, game in lone.items():
        game.reset(seed=0)
        game.unwrapped.state = np.array(env._pendulums[agent])
    rng = np.random.default_rng(2)
    for _ in range(50):
        actions = {agent: rng.uniform(-2, 2, 1).astype(np.float32) for agent in env.possible_agents}
        observations, rewards, _, _, _ = env.step(actions)
        for agent, action in actions.items():
            expected, reward, _, _, _ = lone[agent].step(action)
            assert (observations[agent] == expected).all()
            assert rewards[agent] == reward


def test_without_a_limit_it_never_ends():
    env = Pendulum(num_agents=1, max_steps=None)
    env.reset(seed=0)
    assert not any(any(env.step({"agent_0": [0.0]})[3].values()) for _ in range(1000))


@pytest.mark.parametrize("action", [[np.nan], [0.0, 1.0], 0.5])
def test_an_unusable_torque_names_the_agent(action):
    env = Pendulum(num_agents=1)
    env.reset(seed=0)
    with pytest.raises(EnvError, match="'agent_0' played"):
        env.step({"agent_0": action})
