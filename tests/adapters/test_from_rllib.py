"""Environments written for RLlib run as they are; the base class here stands in for RLlib's, in a module called like it."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from marl.env import EnvContext
from marl.errors import EnvError, PluginError
from marl.registry import make_env
from marl.spaces import agent_spaces
from marl_envs.from_rllib import RLlibEnv

BOX, DISCRETE = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3)


class MultiAgentEnv(gymnasium.Env[Any, Any]):
    """RLlib's base class, as far as environments see it: class attributes, ``_agent_ids``, a seeding reset, two getters."""

    observation_spaces: Any = None
    action_spaces: Any = None
    agents: list[Any] = []
    possible_agents: list[Any] = []
    observation_space: Any = None
    action_space: Any = None

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(self, "_agent_ids"):
            self._agent_ids: set[Any] = set()
        if not self.agents:
            self.agents = list(self._agent_ids)
        if not self.possible_agents:
            self.possible_agents = self.agents.copy()

    def get_observation_space(self, agent_id: Any) -> Any:
        return self.observation_spaces[agent_id] if self.observation_spaces is not None else self.observation_space

    def get_action_space(self, agent_id: Any) -> Any:
        return self.action_spaces[agent_id] if self.action_spaces is not None else self.action_space


MultiAgentEnv.__module__ = "ray.rllib.env.multi_agent_env"


class Steps(MultiAgentEnv):
    """Two agents act together for three steps; ``right`` ends a step before ``left``."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.config = config
        self.length = (config or {}).get("length", 3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._t = 0
        self._start = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return {"left": self._start, "right": self._start}, {}

    def step(self, action_dict: Any) -> Any:
        self._t += 1
        seen = dict.fromkeys(action_dict, self._start * 0 + self._t / 9)
        over, right = self._t >= self.length, self._t >= self.length - 1
        return (
            seen,
            {agent: float(action) for agent, action in action_dict.items()},
            {**({"right": right} if "right" in action_dict else {}), "__all__": over},
            {"__all__": False},
            {},
        )


class NewStyle(Steps):
    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.agents = self.possible_agents = ["left", "right"]
        self.observation_spaces = {"left": BOX, "right": BOX}
        self.action_spaces = {"left": DISCRETE, "right": spaces.Discrete(2)}
        super().__init__(config)


class OldStyleDict(Steps):
    """Agents in ``_agent_ids``, spaces in Dicts by agent."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self._agent_ids = {"right", "left"}
        self.observation_space = spaces.Dict({"left": BOX, "right": BOX})
        self.action_space = spaces.Dict({"left": DISCRETE, "right": spaces.Discrete(2)})
        super().__init__(config)


class OldStyleShared(Steps):
    """One space for everybody."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config)
        self._agent_ids = {"left", "right"}
        self.observation_space, self.action_space = BOX, DISCRETE


class OnlyGetters(Steps):
    """Spaces in the getters alone, agents in ``agents`` alone, which is stale."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config)
        self.agents = ["left", "right"]

    def get_observation_space(self, agent_id: Any) -> Any:
        return BOX

    def get_action_space(self, agent_id: Any) -> Any:
        return {"left": DISCRETE, "right": spaces.Discrete(2)}[agent_id]


class NoAgents(OldStyleDict):
    """Agents known from the Dict spaces alone."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config)
        self._agent_ids, self.agents, self.possible_agents = set(), [], []


STYLES = [NewStyle, OldStyleDict, OldStyleShared, OnlyGetters, NoAgents]


@pytest.mark.parametrize("style", STYLES)
def test_agents_and_spaces_of_every_style(style: type) -> None:
    env = make_env(style)
    assert isinstance(env, RLlibEnv)
    assert env.possible_agents == ["left", "right"]
    assert agent_spaces(env, "left") == (BOX, DISCRETE)
    shared = style is OldStyleShared
    assert agent_spaces(env, "right") == (BOX, DISCRETE if shared else spaces.Discrete(2))
    assert not hasattr(env, "agents"), "RLlib's list may be stale; its end is __all__"


@pytest.mark.parametrize("style", STYLES)
def test_an_episode_is_the_environments_own(style: type) -> None:
    ours, theirs = make_env(style, {"length": 4}), style({"length": 4})
    for seed in (1, 2):
        observations, infos = ours.reset(seed=seed)
        expected, own_infos = theirs.reset(seed=seed)
        assert _same(observations, expected)
        assert infos == own_infos
        due = ["left", "right"]
        for _ in range(4):
            actions = dict.fromkeys(due, 1)
            observations, *rest = ours.step(actions)
            expected, *own = theirs.step(actions)
            assert _same(observations, expected)
            assert rest == own
            due = [agent for agent in due if not rest[1].get(agent)]
        assert rest[1]["__all__"]
        assert due == ["left"]


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[agent], other[agent]) for agent in one)


def test_the_creator_gets_an_env_context() -> None:
    env = make_env(NewStyle, {"length": 2}, context=EnvContext(worker_index=1, vector_index=2))
    assert isinstance(env.env.config, EnvContext)
    assert (env.env.config["length"], env.env.config.vector_index) == (2, 2)


def test_it_is_not_taken_for_a_single_agent_gymnasium_environment() -> None:
    """RLlib's class is a gymnasium.Env as well, and an old one may know no agents at all."""
    assert isinstance(make_env(NoAgents()), RLlibEnv)


def test_matching_needs_no_ray() -> None:
    before = set(sys.modules)
    make_env(NewStyle())
    assert not any(name.partition(".")[0] == "ray" for name in set(sys.modules) - before)
    assert "ray" not in sys.modules


def test_a_class_of_the_same_name_from_elsewhere_is_not_rllibs() -> None:
    stranger = type("MultiAgentEnv", (), {"reset": None, "step": None})
    assert stranger.__module__ != MultiAgentEnv.__module__
    with pytest.raises(EnvError, match="no possible_agents"):
        make_env(stranger)


def test_missing_spaces_and_names_are_said() -> None:
    class Bare(Steps):
        def __init__(self) -> None:
            super().__init__()
            self.possible_agents = ["left"]

    with pytest.raises(EnvError, match=r"Bare states no observation space for agent 'left'.*get_observation_space"):
        make_env(Bare)
    with pytest.raises(PluginError, match=r"RLlib's environments have no names of their own; give module.path:EnvClass"):
        make_env("rllib/multi_cartpole")


def test_optional_members_are_forwarded() -> None:
    class Timed(NewStyle):
        elapsed_ticks = 0
        next_call_is_decision = True

    env = make_env(Timed)
    assert env.elapsed_ticks == 0
    assert env.next_call_is_decision
    assert not hasattr(make_env(NewStyle), "elapsed_ticks")
