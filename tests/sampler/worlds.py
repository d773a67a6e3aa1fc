"""The oracle's worlds for restoring: an episode is found by its seed, in any object; and one may be saved in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle.histories import ScriptedEnv, World
from oracle.vector_histories import ScriptedVectorEnv

from marl.env import VectorStep
from marl.seeding import EpisodeSeeds

RUN_SEED = 7  # the judge's samplers have it
NUM_EPISODES = 256


class SeededEnv(ScriptedEnv):
    """Plays the k-th episode of its copy whenever it is reset with that episode's seed."""

    def __init__(self, world: World, copy: int = 0) -> None:
        super().__init__(world, copy)
        seeds = EpisodeSeeds(RUN_SEED, 0, copy)
        self._numbers = {seeds[number]: number for number in range(NUM_EPISODES)}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        assert seed is not None
        self._go_to(self._numbers[seed])
        return super().reset(seed=seed, options=options)

    def _go_to(self, number: int) -> None:
        """Forget what was played, as if ``number`` whole episodes had been."""
        self.calls = [len(self.world.episode(self.copy, one)) - 1 for one in range(number)]
        self.paid, self.ticks, self.seeds = [{} for _ in self.calls], [[] for _ in self.calls], [None] * number
        self._script = self.world.episode(self.copy, number - 1) if number else ()


class SavingEnv(SeededEnv):
    """The same with ``get_state`` and ``set_state``; it refuses to be replayed."""

    def get_state(self) -> dict[str, Any]:
        there = [name for name in ("elapsed_ticks", "next_call_is_decision", "agents") if hasattr(self, name)]
        return {
            "number": len(self.calls) - 1,
            "call": self.calls[-1] if self.calls else 0,
            "due": [[agent, action] for agent, action in self.due.items()],
            "seen": {name: getattr(self, name) for name in there},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        if state["number"] < 0:
            return
        self._go_to(state["number"] + 1)
        self.calls[-1] = state["call"]
        self._script = self.world.episode(self.copy, state["number"])
        self.due = {agent: int(action) for agent, action in state["due"]}
        for name, value in state["seen"].items():
            setattr(self, name, value)


class SeededVectorEnv(ScriptedVectorEnv):
    """Array-native; cannot be saved."""

    def __init__(self, world: World, num_envs: int) -> None:
        super().__init__(world, num_envs)
        self.copies = [SavingEnv(world, copy) for copy in range(num_envs)]

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        if seed is not None and not seed.any():  # a look at the arrays' forms
            seed = np.array([EpisodeSeeds(RUN_SEED, 0, copy)[0] for copy in range(self.num_envs)], np.int64)
        return super().reset(seed=seed, mask=mask)


class SavingVectorEnv(SeededVectorEnv):
    """Array-native, with ``get_state`` and ``set_state``."""

    def get_state(self) -> dict[str, Any]:
        return {
            "copies": [copy.get_state() for copy in self.copies],
            "alive": [sorted(alive) for alive in self._alive],
            "acting": self._arrays.acting.copy(),
            "obs": [one.copy() for one in self._obs],
            "masks": [one.copy() for one in self._masks],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        for copy, saved in zip(self.copies, state["copies"], strict=True):
            copy.set_state(saved)  # type: ignore[attr-defined]
        self._alive = [set(alive) for alive in state["alive"]]
        self._arrays.acting[:] = state["acting"]
        for mine, saved in zip((*self._obs, *self._masks), (*state["obs"], *state["masks"]), strict=True):
            mine[:] = saved
