"""What a group is, on small games whose every value is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from marl.env import BaseMultiAgentEnv
from marl.errors import ConfigError, PolicyError
from marl.grouping import ungroup, with_agent_groups

BOX = spaces.Box(-10, 10, (1,), np.float32)


class Scripted(BaseMultiAgentEnv):
    """Says what ``script`` says, call after call: (observations, rewards, terminateds, truncateds, infos)."""

    def __init__(self, agents: str, script: list[Any], *, action_space: spaces.Space[Any] | None = None) -> None:
        self.possible_agents = list(agents)
        self.observation_spaces = dict.fromkeys(agents, BOX)
        self.action_spaces = {agent: action_space or spaces.Discrete(2) for agent in agents}
        self.script, self.received = script, []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.left = iter(self.script)
        observations, *_, infos = _full(next(self.left))
        return observations, infos

    def step(self, actions: Any, /) -> Any:
        self.received.append(actions)
        return _full(next(self.left))


def _full(said: tuple[Any, ...]) -> Any:
    said = (*said, *({} for _ in range(5 - len(said))))
    return ({agent: _obs(value) for agent, value in said[0].items()}, *said[1:])


def _obs(value: float) -> Any:
    return np.full(1, value, np.float32)


def shown(observation: Any) -> list[float]:
    return [float(part[0]) for part in observation["observations"]]


def test_spaces_are_tuples_over_the_members_and_others_stay() -> None:
    env = Scripted("abcx", [({"a": 1},)]).with_agent_groups({"team": ["a", "b", "c"]})
    assert env.possible_agents == ["team", "x"]
    assert env.observation_spaces["x"] == BOX
    assert env.observation_spaces["team"]["observations"] == spaces.Tuple([BOX] * 3)
    assert env.action_spaces["team"] == spaces.Tuple([spaces.Discrete(2)] * 3)
    assert env.action_space("team") == env.action_spaces["team"]


def test_box_actions_need_no_mask_and_the_observation_is_the_plain_tuple() -> None:
    env = with_agent_groups(Scripted("ab", [({"a": 1},)], action_space=BOX), {"team": ["a", "b"]})
    assert env.observation_spaces["team"] == spaces.Tuple([BOX, BOX])
    observations, _ = env.reset()
    assert [float(part[0]) for part in observations["team"]] == [1.0, 0.0]


def test_spaces_of_ones_own_are_stated() -> None:
    wide = spaces.Tuple([spaces.Box(-99, 99, (1,), np.float32)] * 2)
    act = spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)])
    env = with_agent_groups(Scripted("ab", [({"a": 1},)]), {"team": ["a", "b"]}, wide, act)
    assert env.observation_spaces["team"]["observations"] == wide
    assert env.action_spaces["team"] is act


def test_members_leave_one_by_one() -> None:
    script = [
        ({"a": 1, "b": 2},),
        ({"a": 3}, {"a": 1.0, "b": 2.0}, {"b": True}),
        ({"a": 4}, {"a": 1.0}),
        ({"a": 5}, {"a": -1.0}, {"a": True}),
    ]
    env = with_agent_groups(Scripted("ab", script), {"team": ["a", "b"]})
    observations, infos = env.reset()
    assert shown(observations["team"]) == [1, 2]
    assert infos["team"]["member_due"].tolist() == [True, True]

    observations, rewards, terminateds, truncateds, infos = env.step({"team": (1, 0)})
    assert env.env.received[-1] == {"a": 1, "b": 0}
    assert shown(observations["team"]) == [3, 0]
    assert [mask.tolist() for mask in observations["team"]["action_mask"]] == [[True, True], [True, False]]
    assert rewards == {"team": 3.0}
    assert infos["team"]["individual_rewards"] == [1.0, 2.0]
    assert (terminateds, truncateds) == ({}, {})
    assert infos["team"]["member_alive"].tolist() == [True, False]
    assert infos["team"]["member_terminateds"].tolist() == [False, True]

    _, rewards, *_, infos = env.step({"team": (1, 0)})
    assert env.env.received[-1] == {"a": 1}  # the dead member's action goes nowhere
    assert rewards == {"team": 1.0}

    observations, rewards, terminateds, truncateds, infos = env.step({"team": (0, 0)})
    assert terminateds == {"team": True}
    assert truncateds == {}
    assert shown(observations["team"]) == [5, 0]
    assert infos["team"]["final_member_alive"].tolist() == [False, False]
    assert infos["team"]["member_alive"].tolist() == [False, False]


def test_one_truncated_member_makes_the_group_truncated_and_its_final_observation_is_kept() -> None:
    script = [
        ({"a": 1, "b": 2},),
        ({"a": 3, "b": 7}, {}, {}, {"b": True}),
        ({"a": 5}, {}, {"a": True}),
    ]
    env = with_agent_groups(Scripted("ab", script), {"team": ["a", "b"]})
    env.reset()
    observations, _, terminateds, truncateds, infos = env.step({"team": (0, 0)})
    assert (terminateds, truncateds) == ({}, {})
    assert shown(observations["team"]) == [3, 0]
    assert infos["team"]["member_truncateds"].tolist() == [False, True]
    observations, _, terminateds, truncateds, infos = env.step({"team": (0, 0)})
    assert (terminateds, truncateds) == ({}, {"team": True})
    assert shown(observations["team"]) == [5, 7]
    assert infos["team"]["final_member_alive"].tolist() == [False, True]


def test_a_truncation_without_final_observation_gives_the_group_none() -> None:
    script = [({"a": 1, "b": 2},), ({"a": 3}, {}, {}, {"__all__": True})]
    env = with_agent_groups(Scripted("ab", script), {"team": ["a", "b"]})
    env.reset()
    observations, _, _, truncateds, _ = env.step({"team": (0, 0)})
    assert truncateds == {"team": True, "__all__": True}
    assert observations == {}


def test_the_clock_gives_every_living_member_its_final_observation() -> None:
    script = [({"a": 1, "b": 2},), ({"a": 3, "b": 4}, {}, {}, {"__all__": True})]
    env = with_agent_groups(Scripted("ab", script), {"team": ["a", "b"]})
    env.reset()
    observations, _, terminateds, _, infos = env.step({"team": (0, 0)})
    assert terminateds == {}
    assert shown(observations["team"]) == [3, 4]
    assert infos["team"]["final_member_alive"].tolist() == [True, True]


def test_a_group_is_due_when_any_member_is_and_paid_when_it_is_not() -> None:
    script = [({"x": 0},), ({"b": 2}, {"a": 1.5}), ({"x": 1}, {"b": 1.0})]
    env = with_agent_groups(Scripted("abx", script), {"team": ["a", "b"]})
    observations, infos = env.reset()
    assert set(observations) == {"x"}
    assert "team" not in infos
    observations, rewards, *_, infos = env.step({"x": 1})
    assert shown(observations["team"]) == [0, 2]
    assert rewards == {"team": 1.5}
    assert infos["team"]["member_paid"].tolist() == [True, False]
    observations, rewards, *_, infos = env.step({"team": (1, 1)})
    assert env.env.received[-1] == {"b": 1}
    assert set(observations) == {"x"}
    assert rewards == {"team": 1.0}
    assert infos["team"]["member_alive"].tolist() == [False, True]


def test_a_late_member_keeps_the_group_alive_and_a_last_one_that_starts_again_starts_the_group_again() -> None:
    script = [
        ({"a": 1},),
        ({}, {}, {"a": True}),  # b has not been seen: the group goes on
        ({"b": 2},),
        ({"b": 9}, {}, {}, {"b": True}, {"b": {"final_observation": _obs(5), "end_cause": "clock"}}),
    ]
    env = with_agent_groups(Scripted("ab", script), {"team": ["a", "b"]})
    env.reset()
    assert env.step({"team": (0, 0)})[2] == {}
    env.step({})
    observations, _, terminateds, truncateds, infos = env.step({"team": (0, 1)})
    assert (terminateds, truncateds) == ({}, {"team": True})
    assert shown(observations["team"]) == [0, 9]
    info = infos["team"]
    assert shown(info["final_observation"]) == [0, 5]
    assert info["final_member_alive"].tolist() == [False, True]
    assert info["member_alive"].tolist() == [False, True]
    assert info["end_cause"] == "clock"


def test_parents_are_translated_and_come_back() -> None:
    script = [({"a": 1, "x": 0}, {}, {}, {}, {"x": {"parent": "a"}, "a": {"parent": "x"}})]
    env = with_agent_groups(Scripted("abx", script), {"team": ["a", "b"]})
    infos = env.reset()[1]
    assert infos["x"]["parent"] == "team"
    assert infos["team"]["parent"] == "x"
    assert ungroup(env).reset()[1] == {"x": {"parent": "a"}, "a": {"parent": "x"}}


def test_what_the_environment_offers_is_forwarded_and_nothing_else() -> None:
    base: Any = Scripted("abx", [({"a": 1, "x": 0},)])
    env = with_agent_groups(base, {"team": ["a", "b"]})
    assert not hasattr(env, "elapsed_ticks")
    assert not hasattr(env, "agents")
    assert not hasattr(env, "get_state")
    base.elapsed_ticks, base.next_call_is_decision, base.agents, base.max_idle_ticks = 0, True, ["b", "x"], 7
    base.global_state = lambda: 42
    base.discounts = {"a": (0.9, "tick"), "b": (0.9, "tick"), "x": (1.0, "decision")}
    base.secret = 1
    assert (env.elapsed_ticks, env.next_call_is_decision, env.max_idle_ticks, env.global_state()) == (0, True, 7, 42)
    assert env.agents == ["team", "x"]
    assert env.discounts == {"team": (0.9, "tick"), "x": (1.0, "decision")}
    assert ungroup(env).agents == ["b", "x"]
    assert not hasattr(env, "secret")


def test_groups_of_groups() -> None:
    script = [({"a": 1, "b": 2, "c": 3},), ({"a": 4, "c": 6}, {"a": 1.0, "c": 2.0}, {"b": True})]
    env = with_agent_groups(Scripted("abc", script), {"pair": ["a", "b"]}).with_agent_groups({"team": ["pair", "c"]})
    env.reset()
    observations, rewards, *_ = env.step({"team": ((1, 0), 1)})
    assert rewards == {"team": 3.0}
    assert env.observation_spaces["team"].contains(observations["team"])
    masks = observations["team"]["action_mask"]
    assert [part.tolist() for part in masks[0]] == [[True, True], [True, False]]
    assert masks[1].tolist() == [True, True]


def test_every_mistake_in_the_groups_is_reported_at_once() -> None:
    base: Any = Scripted("abcx", [])
    base.discounts = {"a": (0.9, "tick"), "b": (0.5, "tick")}
    groups: Any = {"x": ["a"], "two": ["a", "c"], "none": [], "__all__": ["b"], "typo": ["d"], "text": "ab", "mixed": ["a", "b"]}
    with pytest.raises(ConfigError) as caught:
        with_agent_groups(base, groups, obs_space=BOX)
    text = str(caught.value)
    for part in (
        "groups.x: 'x' is already an agent",
        "groups.two: agent 'a' is also in group 'x'",
        "groups.none: has no members",
        "groups.__all__: '__all__' is reserved",
        "groups.typo: unknown agent 'd'",
        "groups.text: its members are 'ab'",
        "groups.mixed: its members state different discounts",
        "obs_space",
    ):
        assert part in text
    with pytest.raises(ConfigError, match="there are none"):
        with_agent_groups(base, {})


def test_an_action_of_the_wrong_length_is_named() -> None:
    env = with_agent_groups(Scripted("ab", [({"a": 1, "b": 2},), ({},)]), {"team": ["a", "b"]})
    env.reset()
    with pytest.raises(PolicyError, match=r"group 'team'.*tuple of 2 actions"):
        env.step({"team": (1,)})
    with pytest.raises(PolicyError, match="group 'team'"):
        env.step({"team": 1})


def test_only_a_grouped_environment_can_be_ungrouped() -> None:
    with pytest.raises(ConfigError, match="not a grouped environment"):
        ungroup(Scripted("ab", []))  # type: ignore[arg-type]
