"""The corridor: alone, in company, cut off."""

from __future__ import annotations

import pytest

from marl.errors import EnvError
from marl_envs.corridor import Corridor


def test_alone_straight_to_the_exit():
    env = Corridor(length=3)
    observations, _ = env.reset(seed=0)
    assert observations == {"agent_0": [0.0]}
    answers = [env.step({"agent_0": action}) for action in (0, 1, 1, 1)]  # left at cell 0 stays there
    assert [answer[0]["agent_0"].tolist() for answer in answers] == [[0], [1], [2], [3]]
    assert [answer[1]["agent_0"] for answer in answers] == [-0.1, -0.1, -0.1, 1.0]
    assert [answer[2]["__all__"] for answer in answers] == [False, False, False, True]
    assert answers[-1][4] == {"agent_0": {"end_cause": "goal"}}
    assert not any(answer[3]["__all__"] for answer in answers)


def test_walkers_leave_one_by_one():
    env = Corridor(length=2, num_agents=2)
    env.reset()
    env.step({"agent_0": 1, "agent_1": 0})
    observations, _, terminateds, _, _ = env.step({"agent_0": 1, "agent_1": 1})
    assert terminateds == {"agent_0": True, "agent_1": False, "__all__": False}
    assert set(observations) == {"agent_0", "agent_1"}
    observations, rewards, terminateds, _, _ = env.step({"agent_1": 1})
    assert set(observations) == set(rewards) == {"agent_1"}
    assert terminateds == {"agent_1": True, "__all__": True}


def test_the_limit_truncates_only_who_still_walks():
    env = Corridor(length=2, num_agents=2, max_steps=2)
    env.reset()
    env.step({"agent_0": 1, "agent_1": 1})
    observations, _, terminateds, truncateds, _ = env.step({"agent_0": 1, "agent_1": 0})
    assert terminateds == {"agent_0": True, "agent_1": False, "__all__": False}
    assert truncateds == {"agent_0": False, "agent_1": True, "__all__": True}
    assert observations["agent_1"].tolist() == [0.0]


def test_illegal_action():
    env = Corridor()
    env.reset()
    with pytest.raises(EnvError, match="'agent_0' played 2"):
        env.step({"agent_0": 2})
