"""All copies of an array-native environment, stepped with random legal actions, and everything in it that breaks the contract."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.check.report import Report
from marl.check.returned import Stop
from marl.check.slots import SlotSpaces, digest, leaves_by_space, slot_groups, stack
from marl.check.values import kind_of, misfits
from marl.env import END_CAUSES, VectorStep
from marl.errors import MarlError
from marl.spaces import ActionCodec

_BY_SLOT = {"rewards": "f", "terminateds": "b", "truncateds": "b", "acting": "b", "new_life": "b", "final_mask": "b", "end_cause": "iu"}
_BY_COPY = {"episode_ended": "b", "elapsed_ticks": "iu"}
_OPTIONAL = ("final_mask", "end_cause", "elapsed_ticks")
_HOLD_EVERY = 3  # every third step some copies stand still


@dataclass
class CopyReset:
    """A copy that reset itself: at which step, from which seed, and what it showed."""

    step: int
    copy: int
    seed: int
    shown: list[bytes]


class Run:
    """All copies, stepped from one seed. ``others``: copies other than 0 get other seeds and actions than in run 0."""

    def __init__(self, env: Any, report: Report, seed: int, *, others: int = 0) -> None:
        self.env, self.report = env, report
        self.num_envs, self.slots = int(env.num_envs), tuple(env.slots)
        self.seed, self.others = seed, others
        self.rng = np.random.default_rng([seed, others])
        groups = slot_groups(env)
        self.observed = SlotSpaces(env.single_observation_spaces, self.slots, groups)
        self.acted = SlotSpaces(env.single_action_spaces, self.slots, groups)
        self.codecs = [ActionCodec(space) for space in self.acted.spaces]
        self.alive = np.zeros((self.num_envs, len(self.slots)), bool)
        self.step = 0
        self.stopped = False
        self.actions: list[list[list[Any]]] = []  # [step][E][A]
        self.said: list[list[list[bytes]]] = []  # [step][E][A] digests
        self.resets: list[CopyReset] = []

    def add(
        self, rule: str, seen: str, *, e: int | None = None, a: int | None = None, expected: str | None = None, part: Any = None
    ) -> None:
        where = f"copy {e}: " if e is not None else ""
        agent = None if a is None else self.slots[a]
        self.report.add(rule, where + seen, agent=agent, step=self.step, expected=expected, part=part)

    def seeds(self, step: int) -> NDArray[np.int64]:
        """Seeds [E] of the episodes that begin at ``step``; copy 0's are those of every run."""
        own = np.arange(self.num_envs, dtype=np.int64) + (step * self.num_envs + self.seed * 7919)
        own[1:] += self.others * 1_000_003
        return own

    def walk(self, num_steps: int, recorded: list[list[list[Any]]] | None = None) -> None:
        """Step ``num_steps`` times, with ``recorded`` actions (of copy 0 alone where the others play otherwise) or random ones."""
        try:
            self._walk(num_steps, recorded)
        except Stop:
            self.stopped = True

    def _walk(self, num_steps: int, recorded: list[list[list[Any]]] | None) -> None:
        said = self.call(partial(self.env.reset, seed=self.seeds(0)))
        self._look(said, None, None)
        can_hold = getattr(self.env, "can_hold", True)
        for _ in range(num_steps):
            before, self.step = said, self.step + 1
            actions = self._choose(before)
            if recorded is not None:
                kept = recorded[self.step - 1]
                actions = [kept[e] if e == 0 or not self.others else actions[e] for e in range(self.num_envs)]
            self.actions.append(actions)
            active = None
            if can_hold and self.step % _HOLD_EVERY == 0:
                active = (np.arange(self.num_envs) + self.step // _HOLD_EVERY) % 2 == 0
            given, seeds = self._batch(actions), self.seeds(self.step)
            said = self.call(partial(self.env.step, given, active=active, next_seeds=seeds))
            self._look(said, before, active)

    def call(self, call: Callable[[], Any]) -> VectorStep:
        """What the environment returns, copied, since its arrays may be reused.

        Raises:
            Stop: it raised, or returned something else.
        """
        try:
            returned = call()
        except Exception as error:  # whatever the environment raises is what we came to find
            self.report.add_traceback(error)
            self.add("environment-raised", f"{'step' if self.step else 'reset'} raised {type(error).__name__}: {error}"[:300])
            raise Stop("raised") from error
        if not isinstance(returned, VectorStep):
            self.add("vector-return", kind_of(returned))
            raise Stop("unusable")
        self._look_at_form(returned)
        return VectorStep(**{field.name: copy.deepcopy(getattr(returned, field.name)) for field in fields(VectorStep)})

    def _look_at_form(self, said: VectorStep) -> None:
        """Shapes and dtypes. Raises Stop where a shape is wrong: nothing can be read then."""
        copies, slots = (self.num_envs,), (self.num_envs, len(self.slots))
        wrong = False
        for names, shape in ((_BY_SLOT, slots), (_BY_COPY, copies)):
            for name, kinds in names.items():
                value = getattr(said, name)
                if value is None and name in _OPTIONAL:
                    continue
                array = np.asarray(value)
                if array.shape != shape:
                    self.add("vector-shape", f"{name} {array.shape}", expected=f"{shape}", part=name)
                    wrong = True
                elif array.dtype.kind not in kinds:
                    self.add("vector-dtype", f"{name} is {array.dtype}", part=name)
        for name, value in (("obs", said.obs), ("final_obs", said.final_obs)):
            if value is not None or name == "obs":
                wrong |= self._look_at_observations_form(name, value)
        for name, lead in (("global_state", copies), ("final_global_state", copies), ("critic_obs", slots), ("final_critic_obs", slots)):
            value = getattr(said, name)
            if value is not None and np.shape(value)[: len(lead)] != lead:
                self.add("vector-shape", f"{name} {np.shape(value)}", expected=f"{lead} first", part=name)
        for key, value in said.infos.items():
            if np.shape(value) != slots:
                self.add("vector-shape", f"infos[{key!r}] {np.shape(value)}", expected=f"{slots}", part=f"infos/{key}")
        if wrong:
            raise Stop("unusable")

    def _look_at_observations_form(self, name: str, value: Any) -> bool:
        if len(self.observed.spaces) > 1 and (not isinstance(value, tuple) or len(value) != len(self.observed.spaces)):
            expected = f"a tuple of {len(self.observed.spaces)} arrays, one per space"
            self.add("vector-shape", f"{name} is {kind_of(value)}", expected=expected, part=name)
            return True
        wrong = False
        for number, space in enumerate(self.observed.spaces):
            lead = (self.num_envs, len(self.observed.members[number]))
            for path, leaf, array in leaves_by_space(space, self.observed.part(value, number), name):
                expected_shape = (*lead, *(leaf.shape or ()))
                if np.shape(array) != expected_shape:
                    self.add("vector-shape", f"{path} {np.shape(array)}", expected=f"{expected_shape}", part=path)
                    wrong = True
        return wrong

    def shown(self, said: VectorStep, e: int) -> list[bytes]:
        """Digests of what the slots of copy ``e`` see, empty where a slot does not act."""
        return [digest(self.observed.of_slot(said.obs, e, a)) if said.acting[e, a] else b"" for a in range(len(self.slots))]

    # -- what the arrays say

    def _look(self, said: VectorStep, before: VectorStep | None, active: NDArray[np.bool_] | None) -> None:
        for e in range(self.num_envs):
            if before is not None and active is not None and not active[e]:
                self._look_at_still(said, before, e)
                continue
            if before is not None:
                self._look_at_ends(said, e)
            self._look_at_lives(said, e)
        self._look_at_numbers(said)
        rows = [[self._digest(said, e, a) for a in range(len(self.slots))] for e in range(self.num_envs)]
        self.said.append(rows)
        if before is not None:
            for e in np.flatnonzero(said.episode_ended).tolist():
                self.resets.append(CopyReset(self.step, e, int(self.seeds(self.step)[e]), self.shown(said, e)))

    def _look_at_ends(self, said: VectorStep, e: int) -> None:
        for a in range(len(self.slots)):
            terminated, truncated = bool(said.terminateds[e, a]), bool(said.truncateds[e, a])
            final = said.final_mask is not None and said.final_obs is not None and bool(said.final_mask[e, a])
            if terminated and truncated:
                self.add("both-flags", "both flags are set", e=e, a=a)
            if (terminated or truncated) and not self.alive[e, a]:
                self.add("vector-ends", "an end of a slot that does not live", e=e, a=a)
            if truncated and not terminated and self.alive[e, a] and not final:
                self.add("vector-final-observation", "truncated, and final_mask is not set", e=e, a=a)
            if said.episode_ended[e] and self.alive[e, a] and not (terminated or truncated):
                self.add("vector-episode-end", "the episode ended, and the slot has no flag", e=e, a=a)
            if final:
                self._look_at_observation(said.final_obs, e, a, "final_obs")
            self.alive[e, a] &= not (terminated or truncated or bool(said.episode_ended[e]))

    def _look_at_lives(self, said: VectorStep, e: int) -> None:
        for a in range(len(self.slots)):
            acting, new = bool(said.acting[e, a]), bool(said.new_life[e, a])
            if self.step == 0:
                self.alive[e, a] = False
            if acting and not self.alive[e, a] and not new:
                self.add("vector-new-life", "acting, not alive before, and new_life is not set", e=e, a=a, part="missing")
            elif new and (self.alive[e, a] or not acting):
                self.add("vector-new-life", f"new_life is set for a slot that {'lives' if self.alive[e, a] else 'does not act'}", e=e, a=a)
            if acting:
                self.alive[e, a] = True
                self._look_at_observation(said.obs, e, a, "")
                self._mask(said, e, a, report=True)

    def _look_at_still(self, said: VectorStep, before: VectorStep, e: int) -> None:
        moved = [name for name in ("rewards", "terminateds", "truncateds", "new_life", "final_mask") if _any(getattr(said, name), e)]
        moved += [name for name in ("episode_ended", "elapsed_ticks") if _any(getattr(said, name), e)]
        if not np.array_equal(said.acting[e], before.acting[e]):
            moved.append("acting")
        elif any(
            digest(self.observed.of_slot(said.obs, e, a)) != digest(self.observed.of_slot(before.obs, e, a))
            for a in np.flatnonzero(said.acting[e]).tolist()
        ):
            moved.append("obs")
        for name in moved:
            self.add("vector-still", f"{name} of an inactive copy", e=e, part=name)

    def _look_at_numbers(self, said: VectorStep) -> None:
        rewards = np.asarray(said.rewards, np.float64)
        for e, a in np.argwhere(~np.isfinite(rewards)).tolist():
            self.add("reward-not-finite", str(rewards[e, a]), e=e, a=a)
        if said.elapsed_ticks is not None and (np.asarray(said.elapsed_ticks) < 0).any():
            self.add("elapsed-ticks", f"elapsed_ticks {np.asarray(said.elapsed_ticks).min()}")
        if said.end_cause is not None:
            causes = np.asarray(said.end_cause)
            for e, a in np.argwhere((causes < 0) | (causes >= len(END_CAUSES))).tolist():
                self.add("info-end-cause", f"end_cause {causes[e, a]}", e=e, a=a, expected=f"an index below {len(END_CAUSES)}")

    def _look_at_observation(self, value: Any, e: int, a: int, name: str) -> None:
        space = self.observed.spaces[self.observed.place[a][0]]
        for misfit in misfits(space, self.observed.of_slot(value, e, a), name):
            self.add(f"observation-{misfit.kind}", misfit.seen, e=e, a=a, expected=misfit.expected, part=misfit.path)

    # -- actions

    def _mask(self, said: VectorStep, e: int, a: int, *, report: bool = False) -> NDArray[np.bool_] | None:
        """The usable mask of a slot, or None."""
        if said.action_masks is None:
            return None
        number, index = self.acted.place[a]
        codec, masks = self.codecs[number], self.acted.part(said.action_masks, number)
        if masks is None:
            return None
        try:
            mask = codec.flat_mask(np.asarray(masks)[e, index])
        except (MarlError, IndexError, TypeError) as error:
            if report:
                self.add("mask-size", str(error), e=e, a=a, expected=f"{codec.mask_size} entries")
            return None
        if codec.blocked_part(mask) is None:
            return mask
        if report:
            self.add("mask-all-zero", "no legal action", e=e, a=a)
        return None

    def _choose(self, said: VectorStep) -> list[list[Any]]:
        rows = []
        for e in range(self.num_envs):
            row = []
            for a in range(len(self.slots)):
                codec = self.codecs[self.acted.place[a][0]]
                mask = self._mask(said, e, a) if said.acting[e, a] else None
                row.append(codec.to_env(codec.sample(1, self.rng, None if mask is None else mask[None]))[0])
            rows.append(row)
        return rows

    def _batch(self, actions: list[list[Any]]) -> Any:
        parts = [
            stack(space, [[row[a] for a in members] for row in actions])
            for space, members in zip(self.acted.spaces, self.acted.members, strict=True)
        ]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _digest(self, said: VectorStep, e: int, a: int) -> bytes:
        shown = digest(self.observed.of_slot(said.obs, e, a)) if said.acting[e, a] else b""
        numbers = (said.rewards[e, a], said.terminateds[e, a], said.truncateds[e, a], said.acting[e, a], said.episode_ended[e])
        number, index = self.acted.place[a]
        masks = None if said.action_masks is None else self.acted.part(said.action_masks, number)
        if masks is not None and said.acting[e, a] and np.ndim(masks) > 1:
            shown += digest(np.asarray(masks)[e, index])
        return shown + digest(np.array(numbers, np.float64))


def _any(value: Any, e: int) -> bool:
    return value is not None and bool(np.any(np.asarray(value)[e]))
