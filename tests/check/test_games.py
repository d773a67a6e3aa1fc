"""Games that are known to be right pass: our own, PettingZoo's and Gymnasium's through their adapters, and groups of them."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest

from marl.check import check_env
from marl.grouping import ungroup, with_agent_groups
from marl.registry import make_env

from .game import Game

OWN = sorted(point.name for point in entry_points(group="marl.envs") if point.name.startswith("marl_envs/"))
ADAPTED = [
    "pettingzoo/classic/tictactoe_v3",
    "pettingzoo/classic/connect_four_v3",
    "pettingzoo/classic/leduc_holdem_v4",
    "pettingzoo/classic/rps_v2",
    "mpe2/simple_spread_v3",
    "mpe2/simple_speaker_listener_v4",
    "gymnasium/CartPole-v1",
    "gymnasium/Pendulum-v1",
]


@pytest.mark.parametrize("name", [*OWN, *ADAPTED])
def test_it_passes(name: str) -> None:
    config = {"num_envs": 4} if "/vector_" in name else {}
    env: Any = make_env(name, config)
    report = check_env(env, num_episodes=2, max_env_steps=60)
    assert report.ok, report


def test_own_games_were_found() -> None:
    assert len(OWN) >= 10


@pytest.mark.parametrize("groups", [{"team": ["a", "b"]}, {"team": ["m", "a", "b"]}, {"one": ["b"], "two": ["m", "a"]}])
def test_a_grouped_game_passes_and_so_does_what_is_ungrouped_again(groups: dict[str, list[str]]) -> None:
    for env in (with_agent_groups(Game(), groups), ungroup(with_agent_groups(Game(), groups))):
        report = check_env(env)
        assert report.ok, report


def test_groups_of_cars_that_come_and_go_pass() -> None:
    env = make_env("marl_envs/traffic-v1", {})
    ids = list(env.possible_agents)
    report = check_env(with_agent_groups(env, {"some": ids[:3], "others": ids[4:6]}), num_episodes=2, max_env_steps=100)
    assert report.ok, report


def test_a_fault_under_groups_is_named_as_the_groups() -> None:
    class Bad(Game):
        def tamper(self, t: int, observations: Any, *rest: Any) -> None:
            if t == 5:
                observations["b"][0] = 7.0

    report = check_env(with_agent_groups(Bad(), {"team": ["a", "b"]}))
    assert [(one.rule, one.agent, one.step) for one in report.violations] == [("observation-bounds", "team", 5)]
    assert "at '1'" in report.violations[0].seen
