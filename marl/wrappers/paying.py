"""Wrappers of rewards: scale, clip, normalise. Observations, flags and infos pass through."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

from marl.env import AgentDict, ResetReturn, StepReturn
from marl.errors import Problem
from marl.wrappers.base import Wrapper, number, refuse, truth


class RewardScale(Wrapper):
    """Multiplies every reward by ``factor``."""

    def __init__(self, env: Any, factor: float) -> None:
        refuse(self.check_options(factor))
        super().__init__(env)
        self._factor = factor

    @staticmethod
    def check_options(factor: float) -> list[Problem]:
        """Every problem of the options."""
        return number("factor", factor)

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        return observations, {agent: reward * self._factor for agent, reward in rewards.items()}, terminateds, truncateds, infos


class RewardClip(Wrapper):
    """Clips every reward, as one call pays it, to [``low``, ``high``]."""

    def __init__(self, env: Any, low: float = -1.0, high: float = 1.0) -> None:
        refuse(self.check_options(low, high))
        super().__init__(env)
        self._low, self._high = low, high

    @staticmethod
    def check_options(low: float = -1.0, high: float = 1.0) -> list[Problem]:
        """Every problem of the options."""
        problems = number("low", low) + number("high", high)
        return problems or ([] if low < high else [Problem("low", f"is {low}, high is {high}", "low must be below high")])

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        clipped = {agent: min(max(reward, self._low), self._high) for agent, reward in rewards.items()}
        return observations, clipped, terminateds, truncateds, infos


class RewardNormalize(Wrapper):
    """Divides rewards by the running standard deviation of the discounted return, so that returns are of order one.

    A life's discounted return decays by ``gamma`` a tick and is measured whenever the life is paid. The estimate
    begins as if one return had been seen with variance 1, which keeps the first rewards tame; it is shared by all agents
    unless ``per_agent``. It lasts beyond episodes, so it is saved with a run (``get_state``), but every copy
    of the environment has its own: what returns mean differs a little between copies, and slowly.

    Args:
        env: the inner environment.
        gamma: discount per tick, in [0, 1].
        clip: normalised rewards are clipped to [-clip, clip]; None: not.
        per_agent: an estimate for each agent, for games where agents are paid on different scales.
        update: learn the estimate; false: use it as it is.
    """

    remembers = True

    def __init__(self, env: Any, gamma: float = 0.99, clip: float | None = 10.0, per_agent: bool = False, update: bool = True) -> None:
        refuse(self.check_options(gamma, clip, per_agent, update))
        super().__init__(env)
        self._gamma, self._clip, self._per_agent, self._update = gamma, clip, per_agent, update
        self._spread: dict[Hashable, Spread] = {}
        self._returns: dict[Any, float] = {}  # of open lives

    @staticmethod
    def check_options(gamma: float = 0.99, clip: float | None = 10.0, per_agent: bool = False, update: bool = True) -> list[Problem]:
        """Every problem of the options."""
        problems = number("gamma", gamma, 0.0, 1.0) + truth("per_agent", per_agent) + truth("update", update)
        if clip is not None:
            problems += number("clip", clip, 0.0)
        return problems

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        self._returns.clear()
        return self.env.reset(seed=seed, options=options)  # type: ignore[no-any-return]

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        decay = self._gamma ** getattr(self.env, "elapsed_ticks", 1)
        for agent in self._returns:
            self._returns[agent] *= decay
        for agent, reward in rewards.items():
            self._returns[agent] = self._returns.get(agent, 0.0) + float(reward)
            if self._update:
                self._spread_of(agent).add(self._returns[agent])
        normalised = {agent: self._normalised(agent, float(reward)) for agent, reward in rewards.items()}
        for flags in (terminateds, truncateds):
            for agent, flag in flags.items():
                if flag:
                    self._returns.pop(agent, None)
        return observations, normalised, terminateds, truncateds, infos

    def own_state(self) -> dict[str, Any]:
        return {
            "spread": [[who, spread.count, spread.mean, spread.squares] for who, spread in self._spread.items()],
            "returns": [[agent, value] for agent, value in self._returns.items()],
        }

    def set_own_state(self, state: dict[str, Any]) -> None:
        self._spread = {who: Spread(count, mean, squares) for who, count, mean, squares in state["spread"]}
        self._returns = dict(state["returns"])

    def _spread_of(self, agent: Any) -> Spread:
        return self._spread.setdefault(agent if self._per_agent else None, Spread())

    def _normalised(self, agent: Any, reward: float) -> float:
        value = reward / self._spread_of(agent).deviation()
        return value if self._clip is None else min(max(value, -self._clip), self._clip)


class Spread:
    """A running mean and variance (Welford). It begins as one value of 0 with variance 1."""

    __slots__ = ("count", "mean", "squares")

    def __init__(self, count: int = 1, mean: float = 0.0, squares: float = 1.0) -> None:
        self.count, self.mean, self.squares = count, mean, squares

    def add(self, value: float) -> None:
        """Take one more value in."""
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self.squares += before * (value - self.mean)

    def deviation(self) -> float:
        """The standard deviation, never below 1e-4."""
        return max(math.sqrt(self.squares / self.count), 1e-4)
