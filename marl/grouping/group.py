"""One group: its members' places, and the rules of its life (no environment in sight)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from marl.errors import ConfigError, MarlError, Problem, did_you_mean
from marl.grouping.blanks import blank, mask_like, mask_space, nest_mask
from marl.lives import ALL, CallMeaning
from marl.spaces import MASK_KEY, OBSERVATION_KEYS, ActionCodec, agent_spaces, has_mask, split_mask, without_mask

MISSING = object()


@dataclass(frozen=True)
class Slot:
    """One member's place in its group: its spaces, and what stands there while it is not due."""

    agent: Any
    raw_space: Space[Any]  # observation with its mask, as the environment states it
    action_space: Space[Any]
    codec: ActionCodec

    @cached_property
    def masked(self) -> bool:
        return has_mask(self.raw_space)

    @cached_property
    def space(self) -> Space[Any]:
        return without_mask(self.raw_space)

    def blank_mask(self) -> NDArray[np.bool_]:
        """Action 0 alone: bool [mask_size]."""
        mask = np.zeros(self.codec.mask_size, bool)
        mask[[part.mask for part in self.codec.parts if part.n]] = True
        return mask

    def split(self, observation: Any, info: Any) -> tuple[Any, NDArray[np.bool_]]:
        """A member's observation, and its flat mask from the observation, its info, or all True."""
        mask: Any = None
        if self.masked and isinstance(observation, Mapping) and MASK_KEY in observation:
            observation, mask = split_mask(observation)
        elif info and MASK_KEY in info:
            mask = info[MASK_KEY]
        if mask is None:
            return observation, np.ones(self.codec.mask_size, bool)
        try:
            return observation, self.codec.flat_mask(mask)
        except MarlError as error:
            raise type(error)(f"group member {self.agent!r}: {error}") from error

    def join(self, observation: Any, mask: Any) -> Any:
        """The member's own form of an observation and the mask in the group's form: the inverse of :meth:`split`."""
        if not self.masked:
            return observation
        assert isinstance(self.raw_space, spaces.Dict)
        flat = self.codec.flat_mask(mask)
        mask = mask_like(self.raw_space.spaces[MASK_KEY], flat)
        if len(self.raw_space.spaces) > 2:
            return {**observation, MASK_KEY: mask}
        key = next(key for key in OBSERVATION_KEYS if key in self.raw_space.spaces)
        return {key: observation, MASK_KEY: mask}


@dataclass
class Group:
    """A group, and the state of its life in the running episode."""

    name: Any
    slots: tuple[Slot, ...]
    with_masks: bool
    is_open: bool = False
    any_truncated: bool = False
    cut_off: dict[int, Any] = field(default_factory=dict)  # slot → its final (observation, mask), or MISSING

    def __post_init__(self) -> None:
        self.members = tuple(slot.agent for slot in self.slots)

    def reset(self) -> None:
        self.is_open, self.any_truncated, self.cut_off = False, False, {}

    def observation(self, shown: Mapping[int, Shown]) -> Any:
        """The group's observation with ``shown`` (by slot) in place and blanks elsewhere."""
        observations, masks = [], []
        for index, slot in enumerate(self.slots):
            observation, mask = shown[index] if index in shown else (blank(slot.space), slot.blank_mask())
            observations.append(observation)
            masks.append(nest_mask(slot.action_space, mask))
        return {"observations": tuple(observations), MASK_KEY: tuple(masks)} if self.with_masks else tuple(observations)

    def observation_space(self) -> Space[Any]:
        inner = spaces.Tuple([slot.space for slot in self.slots])
        if not self.with_masks:
            return inner
        return spaces.Dict({"observations": inner, MASK_KEY: spaces.Tuple([mask_space(slot.action_space) for slot in self.slots])})

    def take_ends(self, call: BaseCall) -> GroupEnd | None:
        """Note the members that ended in this call, and say whether the group ends with them."""
        meaning, finals = call.meaning, {}
        ended = [index for index, member in enumerate(self.members) if member in meaning.ended]
        for index in ended:
            slot, final = self.slots[index], MISSING
            if slot.agent in meaning.finals:
                info = None if slot.agent in meaning.due else call.infos.get(slot.agent)  # the mask of a new life is not the old one's
                observation, mask = slot.split(meaning.finals[slot.agent], info)
                final = finals[index] = (observation, mask if mask.any() else np.ones_like(mask))
            if not meaning.ended[slot.agent]:
                self.any_truncated = True
                self.cut_off[index] = final
        all_done = all(member in call.done_before or member in meaning.ended for member in self.members)
        if not ((ended and all_done) or (meaning.over and self.is_open)):
            return None

        futures = np.array([index in self.cut_off for index in range(len(self.slots))], bool)
        shown = {**finals, **self.cut_off}
        complete = bool(shown) and MISSING not in shown.values()
        if any(member in meaning.began for member in self.members) and not complete:
            if self.any_truncated:
                return None  # the contract has no words for a cut without final observation and a new life in one call
            complete = True  # nothing is bootstrapped from the end of a terminated group: blanks will do
        end = GroupEnd(not self.any_truncated, self.observation(shown) if complete else MISSING, futures)
        self.reset()
        return end


Shown = tuple[Any, NDArray[np.bool_]]  # a member's observation, and its flat mask


@dataclass(frozen=True)
class GroupEnd:
    """A group's life has ended: how, its final observation (or ``MISSING``), and bool [N] of the members that were cut off."""

    terminated: bool
    final: Any
    futures: NDArray[np.bool_]


@dataclass(frozen=True)
class BaseCall:
    """What the environment under the groups returned, and what it meant. ``done_before``: agents done before this call."""

    observations: dict[Any, Any]
    rewards: dict[Any, Any]
    infos: dict[Any, Any]
    meaning: CallMeaning
    done_before: frozenset[Any]
    alive: frozenset[Any]


# ------------------------------------------------------------------ construction


def make_groups(
    env: Any, groups: Mapping[Any, Sequence[Any]], obs_space: Space[Any] | None, act_space: Space[Any] | None
) -> dict[Any, Group]:
    """Every group, or every problem that the configuration has."""
    problems: list[Problem] = []
    known = set(env.possible_agents)
    owner: dict[Any, Any] = {}
    made: dict[Any, Group] = {}
    if not groups:
        problems.append(Problem("groups", "there are none", "name at least one, e.g. {'team': ['a', 'b']}"))
    for name, members in groups.items():
        key = f"groups.{name}"
        if name in known or name == ALL:
            problems.append(
                Problem(key, f"{name!r} is {'reserved' if name == ALL else 'already an agent'}", "choose another name for the group")
            )
        if isinstance(members, str) or not isinstance(members, Sequence):
            problems.append(Problem(key, f"its members are {members!r}", "give a list of agent ids"))
            continue
        if not members:
            problems.append(Problem(key, "has no members", "name at least one, or leave the group out"))
            continue
        slots: list[Slot] = []
        for member in members:
            if member in owner:
                again = "named twice" if owner[member] == name else f"also in group {owner[member]!r}"
                problems.append(Problem(key, f"agent {member!r} is {again}", "an agent is in one group, once"))
                continue
            owner[member] = name
            if member not in known:
                problems.append(Problem(key, f"unknown agent {member!r}.{did_you_mean(member, known)}", "name ids of possible_agents"))
                continue
            try:
                slots.append(_make_slot(env, member))
            except MarlError as error:
                problems.append(Problem(key, f"agent {member!r}: {error}", "a member needs spaces of fixed size"))
        if len(slots) == len(members):
            made[name] = Group(name, tuple(slots), any(slot.codec.mask_size for slot in slots))
        for title, space in (("obs_space", obs_space), ("act_space", act_space)):
            if space is not None and (not isinstance(space, spaces.Tuple) or len(space.spaces) != len(members)):
                problems.append(
                    Problem(title, f"{space} does not fit group {name!r}", f"a Tuple space with {len(members)} parts, one a member")
                )
    problems.extend(_discount_problems(env, groups))
    if problems:
        raise ConfigError(problems)
    return made


def _make_slot(env: Any, agent: Any) -> Slot:
    raw, action_space = agent_spaces(env, agent)
    slot = Slot(agent, raw, action_space, ActionCodec(action_space))
    blank(slot.space)  # a space without a blank is a problem now, not when the member first falls silent
    return slot


def _discount_problems(env: Any, groups: Mapping[Any, Sequence[Any]]) -> list[Problem]:
    stated: Mapping[Any, Any] = getattr(env, "discounts", None) or {}
    problems = []
    for name, members in groups.items():
        found = {member: tuple(stated[member]) for member in members if member in stated}
        if len(set(found.values())) > 1:
            problems.append(Problem(f"groups.{name}", f"its members state different discounts: {found}", "group agents of one discount"))
    return problems


def stated_space(group: Group, obs_space: Space[Any] | None) -> Space[Any]:
    space = group.observation_space()
    if obs_space is None:
        return space
    return spaces.Dict({"observations": obs_space, MASK_KEY: space[MASK_KEY]}) if isinstance(space, spaces.Dict) else obs_space
