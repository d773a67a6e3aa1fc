"""A small array-native game that keeps the contract: copies of different length, a slot that leaves early, masks, reused arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from marl.env import END_CAUSES, VectorStep


class VectorGame:
    """Three copies, slots ``a`` and ``b``; an episode takes 4 + copy steps; ``b`` terminates at its second and is back at its third."""

    can_hold = True

    def __init__(self) -> None:
        self.num_envs: Any = 3
        self.slots = ("a", "b")
        self.single_observation_spaces: Any = dict.fromkeys(self.slots, spaces.Box(-1, 1, (2,), np.float32))
        self.single_action_spaces: Any = dict.fromkeys(self.slots, spaces.Discrete(3))
        self.rngs = [np.random.default_rng(0) for _ in range(3)]
        self.age = np.zeros(3, int)
        self.calls = 0
        pair = (3, 2)
        self.said = VectorStep(
            obs=np.zeros((*pair, 2), np.float32),
            rewards=np.zeros(pair, np.float32),
            terminateds=np.zeros(pair, bool),
            truncateds=np.zeros(pair, bool),
            acting=np.zeros(pair, bool),
            new_life=np.zeros(pair, bool),
            episode_ended=np.zeros(3, bool),
            action_masks=np.ones((*pair, 3), bool),
            final_obs=np.zeros((*pair, 2), np.float32),
            final_mask=np.zeros(pair, bool),
            elapsed_ticks=np.zeros(3, int),
            end_cause=np.zeros(pair, int),
            global_state=np.zeros((3, 1)),
        )

    def reset(self, *, seed: Any = None, mask: Any = None) -> Any:
        self.calls = 0
        self._wipe(np.ones(3, bool))
        for e in range(3):
            if mask is None or mask[e]:
                self._begin(e, None if seed is None else int(seed[e]))
        return self.tamper(0, self.said)

    def _begin(self, e: int, seed: int | None) -> None:
        self.rngs[e], self.age[e] = np.random.default_rng(seed), 0
        self.said.acting[e] = self.said.new_life[e] = True
        self.said.obs[e] = self.rngs[e].uniform(-1, 1, (2, 2))
        self.said.action_masks[e] = True

    def _wipe(self, active: Any) -> None:
        for name in ("rewards", "terminateds", "truncateds", "new_life", "episode_ended", "final_mask", "elapsed_ticks", "end_cause"):
            getattr(self.said, name)[:] = 0
        self.said.acting[active] = False
        self.said.obs[active] = 9.0  # garbage where nobody acts

    def step(self, actions: Any, *, active: Any = None, next_seeds: Any, next_options: Any = None) -> Any:
        self.calls += 1
        active = np.ones(3, bool) if active is None else active
        alive = self.said.acting.copy()
        assert actions.shape == (3, 2)
        assert all(self.said.action_masks[e, a, actions[e, a]] for e, a in np.argwhere(alive & active[:, None]))
        self._wipe(active)
        said = self.said
        said.elapsed_ticks[active] = 1
        for e in np.flatnonzero(active).tolist():
            self.age[e] += 1
            seen = self.rngs[e].uniform(-1, 1, (2, 2)).astype(np.float32)
            said.rewards[e] = actions[e] * alive[e]
            said.acting[e] = [True, self.age[e] != 2]
            said.new_life[e, 1] = self.age[e] == 3
            said.terminateds[e, 1] = self.age[e] == 2
            said.obs[e][said.acting[e]] = seen[said.acting[e]]
            said.action_masks[e] = [True, self.age[e] % 2, True]
            if self.age[e] == 4 + e:
                said.truncateds[e] = said.final_mask[e] = said.episode_ended[e] = True
                said.final_obs[e] = seen
                said.end_cause[e] = END_CAUSES.index("clock")
                self.next_episode(e, int(next_seeds[e]))
        return self.tamper(self.calls, said)

    def next_episode(self, e: int, seed: int) -> None:
        self._begin(e, seed)

    def tamper(self, t: int, said: VectorStep) -> Any:
        """Nothing is wrong here."""
        return said
