"""Games for tests of the trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from marl.env import BaseMultiAgentEnv


class Duel(BaseMultiAgentEnv):
    """Both act at once for ``length`` steps; the reward is one's own action minus the other's."""

    def __init__(
        self, length: int = 5, actions: int = 3, second_actions: int | None = None, names: tuple[str, ...] = ("red", "blue")
    ) -> None:
        self.length = length
        self.possible_agents = list(names)
        box = spaces.Box(0.0, 100.0, (2,), np.float32)
        self.observation_spaces = dict.fromkeys(names, box)
        sizes = [actions, second_actions or actions]
        self.action_spaces = {name: spaces.Discrete(sizes[min(place, 1)]) for place, name in enumerate(names)}
        self.t = 0
        self.options: Any = None

    def _observations(self) -> dict[str, Any]:
        return {name: np.array([self.t, place], np.float32) for place, name in enumerate(self.possible_agents)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.options = 0, options
        self.start = 0 if seed is None else seed % 7
        return self._observations(), {}

    def step(self, actions: Any, /) -> Any:
        self.t += 1
        total = sum(actions.values())
        rewards = {name: float(2 * action - total) + self.start * 0.0 for name, action in actions.items()}
        over = self.t >= self.length
        flags = {**dict.fromkeys(self.possible_agents, over), "__all__": over}
        return self._observations(), rewards, flags, {"__all__": False}, {}


class Stated(Duel):
    """States its own discounts."""

    discounts = {"red": (0.5, "tick"), "blue": (0.25, "tick")}


class WithGlobalState(Duel):
    def global_state(self) -> Any:
        return np.array([self.t], np.float32)
