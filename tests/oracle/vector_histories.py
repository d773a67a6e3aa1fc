"""The same worlds in array form: a ``VectorMultiAgentEnv`` that plays :class:`~.histories.World` in E copies at once.

Each copy is a :class:`~.histories.ScriptedEnv`, so it complains about a wrong action just as alone. What a slot says by
arrays is what the contract makes of the dicts: ``__all__`` is written out for every slot that lives, an absent reward is 0.
All arrays are reused by the next step, as the contract allows: whoever keeps one without copying keeps garbage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import END_CAUSES, VectorStep

from .histories import NUM_ACTIONS, ScriptedEnv, World, bare
from .oracle import mask_in


class ScriptedVectorEnv:
    """E copies of a world, stepped by one call. Copies that end reset themselves; inactive copies stand still."""

    def __init__(self, world: World, num_envs: int) -> None:
        self.world, self.num_envs = world, num_envs
        self.slots = tuple(dict.fromkeys((*world.possible, *_named(world))))
        self.single_observation_spaces = dict.fromkeys(self.slots, spaces.Box(-1e6, 1e6, (5,), np.float32))
        self.single_action_spaces = dict.fromkeys(self.slots, spaces.Discrete(NUM_ACTIONS))
        self.copies = [ScriptedEnv(world, copy) for copy in range(num_envs)]
        self._alive: list[set[str]] = [set() for _ in self.copies]
        self._due = np.zeros((num_envs, len(self.slots)), np.bool_)
        shape = (num_envs, len(self.slots))
        self._arrays = VectorStep(
            obs=np.zeros((*shape, 5), np.float32),
            rewards=np.zeros(shape, np.float32),
            terminateds=np.zeros(shape, np.bool_),
            truncateds=np.zeros(shape, np.bool_),
            acting=self._due,
            new_life=np.zeros(shape, np.bool_),
            episode_ended=np.zeros(num_envs, np.bool_),
            action_masks=np.zeros((*shape, NUM_ACTIONS), np.bool_) if world.masks else None,
            final_obs=np.zeros((*shape, 5), np.float32),
            final_mask=np.zeros(shape, np.bool_),
            elapsed_ticks=np.ones(num_envs, np.int64),
            end_cause=np.zeros(shape, np.int64),
        )

    def close(self) -> None:
        pass

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        self._wipe()
        for e in range(self.num_envs):
            if mask is None or mask[e]:
                self._begin(e, None if seed is None else int(seed[e]))
        return self._arrays

    def step(
        self,
        actions: Any,
        *,
        active: NDArray[np.bool_] | None = None,
        next_seeds: NDArray[np.int64],
        next_options: Any = None,
    ) -> VectorStep:
        due = self._due.copy()
        chosen = np.array(actions)
        self._wipe(keep=None if active is None else ~active)
        for e, copy in enumerate(self.copies):
            if active is None or active[e]:
                self._step(e, copy, {agent: int(chosen[e, a]) for a, agent in enumerate(self.slots) if due[e, a]}, int(next_seeds[e]))
            else:
                self._arrays.elapsed_ticks[e] = 0  # type: ignore[index]
        return self._arrays

    def _wipe(self, keep: NDArray[np.bool_] | None = None) -> None:
        """Make garbage of what the last call returned, but for what still holds of copies that stand still."""
        held = np.zeros(self.num_envs, np.bool_) if keep is None else keep
        arrays = self._arrays
        for array in (arrays.obs, arrays.final_obs):
            array[~held] = -999
        for array in (arrays.rewards, arrays.terminateds, arrays.truncateds, arrays.new_life, arrays.final_mask, arrays.end_cause):
            array[:] = 0
        arrays.episode_ended[:] = False
        arrays.acting[~held] = False
        if arrays.action_masks is not None:
            arrays.action_masks[~held] = False

    def _begin(self, e: int, seed: int | None) -> None:
        observations, infos = self.copies[e].reset(seed=seed)
        self._alive[e] = set()
        self._arrays.acting[e] = False
        for agent, obs in observations.items():
            self._sees(e, agent, obs, infos.get(agent, {}))

    def _sees(self, e: int, agent: str, obs: Any, info: dict[str, Any]) -> None:
        a = self.slots.index(agent)
        arrays = self._arrays
        arrays.obs[e, a] = bare(obs)
        arrays.acting[e, a] = True
        arrays.new_life[e, a] = agent not in self._alive[e]
        self._alive[e].add(agent)
        if arrays.action_masks is not None:
            arrays.action_masks[e, a] = mask_in(obs, info)

    def _step(self, e: int, copy: ScriptedEnv, actions: dict[str, int], next_seed: int) -> None:
        observations, rewards, terminateds, truncateds, infos = copy.step(actions)
        arrays = self._arrays
        for agent, reward in rewards.items():
            arrays.rewards[e, self.slots.index(agent)] = reward
        everyone = terminateds.get("__all__", False) or truncateds.get("__all__", False)
        flagged = {agent for agent in self.slots if terminateds.get(agent) or truncateds.get(agent)}
        for agent in [agent for agent in self.slots if agent in self._alive[e] and (everyone or agent in flagged)]:
            a = self.slots.index(agent)
            terminated = terminateds.get(agent, False) if agent in flagged else terminateds.get("__all__", False)
            arrays.terminateds[e, a], arrays.truncateds[e, a] = terminated, not terminated
            info = infos.get(agent, {})
            final = info.get("final_observation", observations.get(agent))
            if final is not None:
                arrays.final_obs[e, a] = bare(final)
                arrays.final_mask[e, a] = True
            arrays.end_cause[e, a] = END_CAUSES.index(info.get("end_cause", "env_terminated" if terminated else "env_truncated"))
            self._alive[e].discard(agent)
        arrays.elapsed_ticks[e] = getattr(copy, "elapsed_ticks", 1)  # type: ignore[index]
        if copy.calls[-1] == len(copy.world.episode(copy.copy, len(copy.calls) - 1)) - 1:
            arrays.episode_ended[e] = True
            self._begin(e, next_seed)
            return
        for agent in copy.due:
            self._sees(e, agent, observations[agent], infos.get(agent, {}))


def _named(world: World) -> list[str]:
    return [
        agent for calls in world.episodes for call in calls for agent in (*call.sees, *call.final_in_obs, *(who for who, _ in call.pays))
    ]
