"""The same worlds in array form: a ``VectorMultiAgentEnv`` that plays :class:`~.histories.World` in E copies at once.

Each copy is a :class:`~.histories.ScriptedEnv`, so it complains about a wrong action just as alone. What a slot says by
arrays is what the contract makes of the dicts: ``__all__`` is written out for every slot that lives, an absent reward is 0.
All arrays are reused by the next step, as the contract allows: whoever keeps one without copying keeps garbage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import END_CAUSES, VectorStep

from .histories import NUM_ACTIONS, ScriptedEnv, World, bare, is_odd
from .oracle import mask_in


def in_array_form(world: World) -> World:
    """The world without what arrays cannot say: rewards of 0 that were paid, parents, other forms of observations."""
    episodes = tuple(
        tuple(replace(call, pays=tuple((agent, pay) for agent, pay in call.pays if pay), parent=()) for call in calls)
        for calls in world.episodes
    )
    return replace(world, episodes=episodes, form="", masks="infos" if world.masks else "", tagged=False, reuses_dicts=False)


class ScriptedVectorEnv:
    """E copies of a world, stepped by one call. Copies that end reset themselves; inactive copies stand still.

    Slots of one width of observation are a space group; with two of them, observations, masks and actions are tuples of arrays.
    """

    def __init__(self, world: World, num_envs: int) -> None:
        self.world, self.num_envs = world, num_envs
        self.slots = tuple(dict.fromkeys((*world.possible, *_named(world))))
        self.copies = [ScriptedEnv(world, copy) for copy in range(num_envs)]
        self.single_observation_spaces = {slot: self.copies[0].observation_space(slot) for slot in self.slots}
        self.single_action_spaces = dict.fromkeys(self.slots, spaces.Discrete(NUM_ACTIONS))
        self._alive: list[set[str]] = [set() for _ in self.copies]
        wide = [world.wide_odd and is_odd(slot) for slot in self.slots]
        self._group = [int(one != wide[0]) for one in wide]  # the first slot's group comes first
        self._place = [self._group[:slot].count(self._group[slot]) for slot in range(len(self.slots))]
        widths = [7 if wide[self._group.index(group)] else 5 for group in range(1 + max(self._group))]
        counts = [self._group.count(group) for group in range(len(widths))]
        shape = (num_envs, len(self.slots))
        self._obs = [np.zeros((num_envs, count, width), np.float32) for count, width in zip(counts, widths, strict=True)]
        self._final_obs = [array.copy() for array in self._obs]
        self._masks = [np.zeros((num_envs, count, NUM_ACTIONS), np.bool_) for count in counts]
        one = len(widths) == 1
        self._arrays = VectorStep(
            obs=self._obs[0] if one else tuple(self._obs),
            rewards=np.zeros(shape, np.float32),
            terminateds=np.zeros(shape, np.bool_),
            truncateds=np.zeros(shape, np.bool_),
            acting=np.zeros(shape, np.bool_),
            new_life=np.zeros(shape, np.bool_),
            episode_ended=np.zeros(num_envs, np.bool_),
            action_masks=None if not world.masks else self._masks[0] if one else tuple(self._masks),
            final_obs=self._final_obs[0] if one else tuple(self._final_obs),
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
        due = self._arrays.acting.copy()
        chosen = [np.array(one) for one in (actions if isinstance(actions, tuple) else (actions,))]
        self._wipe(keep=None if active is None else ~active)
        for e, copy in enumerate(self.copies):
            if active is None or active[e]:
                given = {slot: int(chosen[self._group[a]][e, self._place[a]]) for a, slot in enumerate(self.slots) if due[e, a]}
                self._step(e, copy, given, int(next_seeds[e]))
            else:
                self._arrays.elapsed_ticks[e] = 0  # type: ignore[index]
        return self._arrays

    def _wipe(self, keep: NDArray[np.bool_] | None = None) -> None:
        """Make garbage of what the last call returned, but for what still holds of copies that stand still."""
        held = np.zeros(self.num_envs, np.bool_) if keep is None else keep
        arrays = self._arrays
        for array in (*self._obs, *self._final_obs):
            array[~held] = -999
        for array in (arrays.rewards, arrays.terminateds, arrays.truncateds, arrays.new_life, arrays.final_mask, arrays.end_cause):
            array[:] = 0
        arrays.episode_ended[:] = False
        arrays.acting[~held] = False
        for mask in self._masks:
            mask[~held] = False

    def _begin(self, e: int, seed: int | None) -> None:
        observations, infos = self.copies[e].reset(seed=seed)
        self._alive[e] = set()
        self._arrays.acting[e] = False
        for agent, obs in observations.items():
            self._sees(e, agent, obs, infos.get(agent, {}))

    def _sees(self, e: int, agent: str, obs: Any, info: dict[str, Any]) -> None:
        a = self.slots.index(agent)
        arrays = self._arrays
        self._obs[self._group[a]][e, self._place[a]] = bare(obs)
        arrays.acting[e, a] = True
        arrays.new_life[e, a] = agent not in self._alive[e]
        self._alive[e].add(agent)
        mask = mask_in(obs, info)
        if mask is not None:
            self._masks[self._group[a]][e, self._place[a]] = mask

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
                self._final_obs[self._group[a]][e, self._place[a]] = bare(final)
                arrays.final_mask[e, a] = True  # type: ignore[index]
            arrays.end_cause[e, a] = END_CAUSES.index(  # type: ignore[index]
                info.get("end_cause", "env_terminated" if terminated else "env_truncated")
            )
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
