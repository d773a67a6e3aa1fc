"""The plumbing that observation wrappers share: masks stay, final observations are mapped too, lives are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from marl.env import AgentDict, ResetReturn, StepReturn
from marl.errors import ConfigError, Problem
from marl.spaces import OBSERVATION_KEYS, agent_spaces, has_mask
from marl.wrappers.base import Wrapper

FINAL = "final_observation"


class ObservationWrapper(Wrapper):
    """Maps each agent's observations one by one. A subclass writes ``map_space`` and ``map_observation``, and, if it
    remembers something within a life, ``end_life`` and ``end_all_lives``.

    In an observation with its mask, ``{"observation" | "observations": x, "action_mask": m}``, only x is mapped.

    Args:
        env: the inner environment.
        agents: ids or patterns (``"car_*"``) of the agents whose observations are mapped; None: all.
    """

    def __init__(self, env: Any, agents: Sequence[str] | None = None) -> None:
        super().__init__(env)
        self._patterns = None if agents is None else tuple(agents)
        self._known: dict[Any, tuple[Space[Any], str | None]] = {}
        for agent in env.possible_agents:
            self.observation_space(agent)  # what cannot be mapped is refused now, not in the middle of an episode

    def map_space(self, agent: Any, space: Space[Any]) -> Space[Any]:
        """The space of the mapped observations of ``agent``, from the inner one (its mask stripped)."""
        raise NotImplementedError

    def map_observation(self, agent: Any, observation: Any, *, final: bool) -> Any:
        """``observation`` (without its mask) mapped. A final one ends the agent's life and is not to be remembered."""
        raise NotImplementedError

    def end_life(self, agent: Any) -> None:
        """Forget what was remembered of the life of ``agent`` that has just ended, if anything was."""

    def end_all_lives(self) -> None:
        """Forget every life: a new episode begins."""

    # ------------------------------------------------------------------ the protocol

    @property
    def observation_spaces(self) -> dict[Any, Space[Any]]:  # type: ignore[override]  # made from the inner ones
        """``{agent: mapped space}`` of ``possible_agents``."""
        return {agent: self.observation_space(agent) for agent in self.env.possible_agents}

    def observation_space(self, agent: Any) -> Space[Any]:
        """The mapped observation space of ``agent``, its mask included."""
        return self._look_up(agent)[0]

    def action_space(self, agent: Any) -> Space[Any]:
        """The inner action space of ``agent``."""
        return agent_spaces(self.env, agent)[1]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        self.end_all_lives()
        return {agent: self._map(agent, seen, final=False) for agent, seen in observations.items()}, infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        over = bool(terminateds.get("__all__") or truncateds.get("__all__"))
        infos = self._with_mapped_finals(infos)
        mapped: AgentDict = {}
        for agent, seen in observations.items():
            done = over or terminateds.get(agent, False) or truncateds.get(agent, False)
            if done and not over and FINAL in infos.get(agent, ()):
                self.end_life(agent)  # what is seen here begins the next life; the old one's last stands in the infos
                mapped[agent] = self._map(agent, seen, final=False)
            else:
                mapped[agent] = self._map(agent, seen, final=bool(done))
                if done:
                    self.end_life(agent)
        for flags in (terminateds, truncateds):
            for agent, flag in flags.items():
                if flag and agent not in observations and agent != "__all__":
                    self.end_life(agent)
        return mapped, rewards, terminateds, truncateds, infos

    # ------------------------------------------------------------------ masks and finals

    def _with_mapped_finals(self, infos: AgentDict) -> AgentDict:
        given = [agent for agent, info in infos.items() if info and info.get(FINAL) is not None]
        if not given:
            return infos
        return {**infos, **{agent: {**infos[agent], FINAL: self._map(agent, infos[agent][FINAL], final=True)} for agent in given}}

    def _map(self, agent: Any, observation: Any, *, final: bool) -> Any:
        _, key = self._look_up(agent)
        if not self._applies(agent):
            return observation
        if key is None:
            return self.map_observation(agent, observation, final=final)
        return {**observation, key: self.map_observation(agent, observation[key], final=final)}

    def _look_up(self, agent: Any) -> tuple[Space[Any], str | None]:
        known = self._known.get(agent)
        if known is None:
            inner = agent_spaces(self.env, agent)[0]
            known = self._known[agent] = self._mapped_space(agent, inner)
        return known

    def _mapped_space(self, agent: Any, inner: Space[Any]) -> tuple[Space[Any], str | None]:
        if not self._applies(agent):
            return inner, None
        key = payload_key(inner)
        if key is None:
            return self.map_space(agent, inner), None
        assert isinstance(inner, spaces.Dict)
        return spaces.Dict({**inner.spaces, key: self.map_space(agent, inner.spaces[key])}), key

    def _applies(self, agent: Any) -> bool:
        return self._patterns is None or any(fnmatchcase(str(agent), pattern) for pattern in self._patterns)


def payload_key(space: Space[Any]) -> str | None:
    """The key under which the observation stands beside its mask, or None where there is no mask."""
    if not has_mask(space):
        return None
    assert isinstance(space, spaces.Dict)
    return next(key for key in OBSERVATION_KEYS if key in space.spaces)


def needs_box(wrapper: str, agent: Any, space: Space[Any], what: str = "a Box") -> spaces.Box:
    """``space`` if it is a Box with at least one axis, else a ConfigError that says whose it is and what to do."""
    if isinstance(space, spaces.Box) and space.shape:
        return space
    mend = "name the agents that have one with agents: [...], or put an observation_function before it that makes one"
    raise ConfigError([Problem(wrapper, f"needs {what} to work on, but {agent!r} observes {space}", mend)])


def kept(observation: Any) -> Any:
    """A copy that the environment cannot change by writing into its arrays again."""
    if isinstance(observation, np.ndarray):
        return observation.copy()
    if isinstance(observation, dict):
        return {key: kept(part) for key, part in observation.items()}
    if isinstance(observation, (tuple, list)):
        return type(observation)([kept(part) for part in observation])
    return observation


def check_agents(agents: Any) -> list[Problem]:
    """A problem unless ``agents`` is None or a list of ids or patterns."""
    if agents is None or (isinstance(agents, (list, tuple)) and all(isinstance(one, str) for one in agents)):
        return []
    return [Problem("agents", f"is {agents!r}", "must be a list of agent ids or patterns, for example ['car_*']")]
