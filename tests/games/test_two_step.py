"""The two-step game of the QMIX paper: every line of play."""

from __future__ import annotations

import itertools

import pytest

from marl.errors import EnvError
from marl_envs.two_step import TwoStep

FIRST, TWO_A, TWO_B, OVER = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]


@pytest.mark.parametrize("opening", list(itertools.product((0, 1), repeat=2)))
@pytest.mark.parametrize("closing", list(itertools.product((0, 1), repeat=2)))
def test_every_line_of_play(opening, closing):
    env = TwoStep()
    observations, _ = env.reset(seed=5)
    assert [seen.tolist() for seen in observations.values()] == [FIRST, FIRST]
    observations, rewards, terminateds, _, _ = env.step(dict(zip(("agent_0", "agent_1"), opening, strict=True)))
    place = TWO_A if opening[0] == 0 else TWO_B  # the second agent's first action has no effect
    assert [seen.tolist() for seen in observations.values()] == [place, place]
    assert env.global_state().tolist() == place
    assert set(rewards.values()) == {0.0}
    assert not any(terminateds.values())
    observations, rewards, terminateds, truncateds, _ = env.step(dict(zip(("agent_0", "agent_1"), closing, strict=True)))
    expected = 7.0 if opening[0] == 0 else {(0, 0): 0.0, (0, 1): 1.0, (1, 0): 1.0, (1, 1): 8.0}[closing]
    assert rewards == {"agent_0": expected, "agent_1": expected}
    assert [seen.tolist() for seen in observations.values()] == [OVER, OVER]
    assert all(terminateds.values())
    assert not any(truncateds.values())


def test_observations_are_new_arrays():
    env = TwoStep()
    first, _ = env.reset()
    first["agent_0"][:] = 9
    second, _ = env.reset()
    assert second["agent_0"].tolist() == FIRST


def test_illegal_action_names_the_agent():
    env = TwoStep()
    env.reset()
    with pytest.raises(EnvError, match="'agent_1' played 2"):
        env.step({"agent_0": 0, "agent_1": 2})
