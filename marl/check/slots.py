"""Arrays over copies and slots: where the value of one slot stands, and how values of many become one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces


def slot_groups(env: Any) -> list[list[int]]:
    """Slots whose observation and action spaces are equal stand in one array; groups in the order of their first slots."""
    kinds: list[tuple[Any, Any]] = []
    groups: list[list[int]] = []
    for index, slot in enumerate(env.slots):
        kind = (env.single_observation_spaces[slot], env.single_action_spaces[slot])
        if kind not in kinds:
            kinds.append(kind)
            groups.append([])
        groups[kinds.index(kind)].append(index)
    return groups


class SlotSpaces:
    """Where the values of slots stand: in one array, or in a tuple of arrays where there are several groups.

    Attributes:
        spaces: one for each group.
        members: the slots of each group.
        place: slot → (group, index in the group).
    """

    def __init__(self, table: Mapping[Any, Space[Any]], slots: Sequence[Any], groups: list[list[int]]) -> None:
        self.members = groups
        self.spaces = [table[slots[members[0]]] for members in groups]
        places = {slot: (number, index) for number, members in enumerate(groups) for index, slot in enumerate(members)}
        self.place = [places[slot] for slot in range(len(slots))]

    def part(self, value: Any, number: int) -> Any:
        return value[number] if len(self.spaces) > 1 else value

    def of_slot(self, value: Any, e: int, a: int) -> Any:
        """The value of slot ``a`` in copy ``e``."""
        number, index = self.place[a]
        return pick(self.part(value, number), e, index)


def pick(value: Any, e: int, a: int) -> Any:
    if isinstance(value, Mapping):
        return {key: pick(inner, e, a) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(pick(inner, e, a) for inner in value)
    return np.asarray(value)[e, a]


def stack(space: Space[Any], actions: Sequence[Sequence[Any]]) -> Any:
    """Actions ``[E][A]`` as one pytree of arrays ``[E, A, ...]``."""
    if isinstance(space, spaces.Dict):
        return {key: stack(inner, [[one[key] for one in row] for row in actions]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(stack(inner, [[one[index] for one in row] for row in actions]) for index, inner in enumerate(space.spaces))
    return np.array(actions, dtype=space.dtype)


def leaves_by_space(space: Space[Any], value: Any, path: str) -> list[tuple[str, Space[Any], Any]]:
    if isinstance(space, spaces.Dict):
        return [leaf for key, inner in space.spaces.items() for leaf in leaves_by_space(inner, _get(value, key), f"{path}/{key}")]
    if isinstance(space, spaces.Tuple):
        return [leaf for index, inner in enumerate(space.spaces) for leaf in leaves_by_space(inner, _get(value, index), f"{path}/{index}")]
    return [(path, space, value)]


def _get(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return None


def digest(value: Any) -> bytes:
    hasher = hashlib.blake2b(digest_size=12)
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Mapping):
            stack.extend(one.values())
        elif isinstance(one, tuple):
            stack.extend(one)
        else:
            hasher.update(np.ascontiguousarray(one).tobytes())
    return hasher.digest()
