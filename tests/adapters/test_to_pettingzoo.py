"""Our environments as PettingZoo's: its own tests pass, and the way there and back changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from marl.env import BaseMultiAgentEnv
from marl.errors import EnvError
from marl.registry import make_env
from marl_envs.cartpole import CartPole
from marl_envs.corridor import Corridor
from marl_envs.tic_tac_toe import TicTacToe
from marl_envs.traffic import Traffic
from marl_envs.two_step import TwoStep

pytest.importorskip("pettingzoo", reason="the export is PettingZoo's: pip install 'marl-framework[pettingzoo]'")

from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test

from marl_envs.to_pettingzoo import to_aec_env, to_parallel_env

pytestmark = pytest.mark.filterwarnings("ignore")  # api_test warns of all-zero observations, agent names and the like
SIMULTANEOUS: list[Callable[[], Any]] = [TwoStep, lambda: Corridor(num_agents=3, max_steps=9), lambda: CartPole(num_agents=3)]
NAMES = ["two_step", "corridor", "cartpole"]


class Bank(BaseMultiAgentEnv):
    """``saver`` acts, is idle for two steps that pay it, and ends; ``late`` is paid before and after it is there."""

    def __init__(self) -> None:
        self.possible_agents = ["saver_0", "late_0"]
        self.agents: list[str] = []
        self.observation_spaces = dict.fromkeys(self.possible_agents, spaces.Box(0, 9, (1,), np.float32))
        self.action_spaces = dict.fromkeys(self.possible_agents, spaces.Discrete(2))
        self._t = 0

    def _obs(self) -> Any:
        return np.array([self._t], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._t, self.agents = 0, ["saver_0"]
        return {"saver_0": self._obs()}, {}

    def step(self, actions: Any, /) -> Any:
        self._t += 1
        none = {"__all__": False}
        if self._t < 3:
            assert bool(actions) == (self._t == 1)
            return {}, {"saver_0": self._t, "late_0": 5.0}, none, none, {}
        if self._t == 3:
            self.agents = ["saver_0", "late_0"]
            return {"saver_0": self._obs(), "late_0": self._obs()}, {"saver_0": 3}, none, none, {"late_0": {"hello": 1}}
        if self._t == 4:
            assert actions.keys() == {"saver_0", "late_0"}
            self.agents = ["late_0"]
            final = {"saver_0": {"final_observation": self._obs()}}
            return {"late_0": self._obs()}, {"saver_0": 4, "late_0": 1}, none, {"saver_0": True, "__all__": False}, final
        self.agents = []
        return {"late_0": self._obs()}, {"saver_0": 7, "late_0": 2}, {"__all__": True}, none, {}


@pytest.mark.parametrize("make", [TicTacToe, *SIMULTANEOUS], ids=["tic_tac_toe", *NAMES])
def test_aec_export_passes_pettingzoos_tests(make: Callable[[], Any]) -> None:
    api_test(to_aec_env(make()), num_cycles=200)
    seed_test(lambda: to_aec_env(make()), num_cycles=100)


@pytest.mark.parametrize("make", SIMULTANEOUS, ids=NAMES)
def test_parallel_export_passes_pettingzoos_tests(make: Callable[[], Any]) -> None:
    parallel_api_test(to_parallel_env(make()), num_cycles=200)
    parallel_seed_test(lambda: to_parallel_env(make()), num_cycles=100)


def test_a_pettingzoo_game_through_our_adapter_and_back_passes_too() -> None:
    api_test(to_aec_env(make_env("pettingzoo/classic/connect_four_v3")), num_cycles=200)
    seed_test(lambda: to_aec_env(make_env("pettingzoo/classic/leduc_holdem_v4")), num_cycles=50)
    parallel_api_test(to_parallel_env(make_env("mpe2/simple_spread_v3")), num_cycles=60)


@pytest.mark.parametrize(
    ("make", "export"),
    [(TicTacToe, to_aec_env), *((make, to_aec_env) for make in SIMULTANEOUS[:1]), *((make, to_parallel_env) for make in SIMULTANEOUS)],
    ids=["tic_tac_toe-aec", "two_step-aec", *(f"{name}-parallel" for name in NAMES)],
)
def test_there_and_back_is_the_same_game(make: Callable[[], Any], export: Callable[[Any], Any]) -> None:
    """Same seed, same actions: every observation, return and end, whether exported and adapted back or not."""
    assert _story(make()) == _story(make_env(export(make())))


def _story(env: Any) -> Any:
    rng = np.random.default_rng(4)
    decisions, returns, ends = [], dict.fromkeys(env.possible_agents, 0.0), {}
    for episode in range(3):
        pending: dict[Any, Any] = {}
        seen, _ = env.reset(seed=episode)
        over = False
        while not over:
            for agent in sorted(seen):
                observation = seen[agent]
                mask = observation.get("action_mask") if isinstance(observation, dict) else None
                allowed = np.arange(env.action_spaces[agent].n) if mask is None else np.flatnonzero(mask)
                pending[agent] = int(rng.choice(allowed))
                decisions.append((episode, agent, str(observation), pending[agent]))
            seen, rewards, terminateds, truncateds, _ = env.step({agent: pending.pop(agent) for agent in list(seen)})
            for agent, reward in rewards.items():
                returns[agent] += float(reward)
            over = terminateds["__all__"] or truncateds["__all__"]
            for agent in list(seen):
                flags = bool(terminateds.get(agent)), bool(truncateds.get(agent))
                if any(flags):
                    ends[episode, agent] = (flags, str(seen.pop(agent)))
                elif over:
                    ends[episode, agent] = ((bool(terminateds["__all__"]), bool(truncateds["__all__"])), str(seen.pop(agent)))
    # Agents that act together act one after another in AEC form: their decisions are the same, their order is sorted away.
    return sorted(decisions), returns, ends


def test_idle_steps_latecomers_and_final_observations_in_aec_form() -> None:
    env = to_aec_env(Bank())
    env.reset(seed=0)
    assert env.agents == ["saver_0"]
    env.step(1)  # acts at tick 0; ticks 1 and 2 pass without anybody due
    assert env.agents == ["saver_0", "late_0"]
    assert env.agent_selection == "saver_0"
    assert env.last()[1] == 1 + 2 + 3
    assert env.infos["late_0"] == {"hello": 1}
    env.step(0)
    assert env.agent_selection == "late_0"
    assert env.rewards == {"saver_0": 0, "late_0": 0}  # nothing is paid before the last of those who act together
    env.step(0)
    assert env.agent_selection == "saver_0"  # dead steps come first
    observation, reward, terminated, truncated, _ = env.last()
    assert (observation.tolist(), reward, terminated, truncated) == ([4.0], 4, False, True)
    env.step(None)
    assert env.agents == ["late_0"]
    assert env.last()[1] == 1
    env.step(1)
    assert env.last()[1:4] == (2, True, False)
    env.step(None)
    assert env.agents == []
    assert env.undelivered_rewards == {"late_0": 10.0, "saver_0": 7}


def test_the_list_of_the_living_may_be_stated_or_not() -> None:
    env = to_aec_env(TicTacToe())  # states no agents: all of possible_agents live, seen or not
    env.reset()
    assert env.agents == ["player_1", "player_2"]
    assert env.observation_space("player_2").contains(env.observe("player_2"))


def test_a_dead_agents_step_must_be_none() -> None:
    env = to_aec_env(Corridor(num_agents=1, max_steps=1))
    env.reset()
    env.step(0)
    with pytest.raises(EnvError, match=r"only step is step\(None\).*'agent_0' is done; found 1"):
        env.step(1)


def test_parallel_form_refuses_games_in_which_a_live_agent_is_not_due() -> None:
    env = to_parallel_env(Traffic())
    with pytest.raises(EnvError, match=r"live but not due.*to_aec_env"):  # noqa: PT012 - it may be at any of these calls
        env.reset(seed=0)
        for _ in range(20):
            env.step(dict.fromkeys(env.agents, 0))


def test_a_global_state_is_exported() -> None:
    env = to_parallel_env(CartPole(num_agents=2))
    env.reset(seed=0)
    assert env.state_space.contains(env.state())
    with pytest.raises(NotImplementedError, match="no global state"):
        to_aec_env(Bank()).state()
