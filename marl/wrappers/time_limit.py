"""TimeLimit: cut an episode off after a number of ticks."""

from __future__ import annotations

from typing import Any

from marl.env import AgentDict, ResetReturn, StepReturn
from marl.errors import Problem
from marl.wrappers.base import Wrapper, refuse, whole
from marl.wrappers.observing import FINAL


class TimeLimit(Wrapper):
    """Truncates everybody alive once ``max_ticks`` ticks of the game have passed; calls of zero ticks do not count.

    The observations of that step are the final ones of the agents that they name. An agent that is alive but
    not due at that step has none: its last row's losses are masked, and it is counted. A life that would begin in that
    very step does not begin.

    Args:
        env: the inner environment.
        max_ticks: the limit, at least 1.
    """

    def __init__(self, env: Any, max_ticks: int) -> None:
        refuse(self.check_options(max_ticks))
        super().__init__(env)
        self._max_ticks = max_ticks
        self._ticks = 0
        self._living: set[Any] = set()

    @staticmethod
    def check_options(max_ticks: int) -> list[Problem]:
        """Every problem of the options."""
        return whole("max_ticks", max_ticks, 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        self._ticks = 0
        self._living = set(observations)
        return observations, infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        self._ticks += getattr(self.env, "elapsed_ticks", 1)
        ended = {agent for flags in (terminateds, truncateds) for agent, flag in flags.items() if flag}
        reborn = {agent for agent in ended if agent in observations and FINAL in infos.get(agent, ())}
        if self._ticks >= self._max_ticks and "__all__" not in ended:
            newborn = reborn | (observations.keys() - self._living - ended)
            observations = {agent: seen for agent, seen in observations.items() if agent not in newborn}
            truncateds = {**truncateds, **dict.fromkeys(self._living - ended, True), "__all__": True}
        self._living = (self._living | observations.keys()) - (ended - reborn)
        return observations, rewards, terminateds, truncateds, infos

    def own_state(self) -> dict[str, Any]:
        return {"ticks": self._ticks, "living": sorted(self._living, key=repr)}

    def set_own_state(self, state: dict[str, Any]) -> None:
        self._ticks, self._living = state["ticks"], set(state["living"])
