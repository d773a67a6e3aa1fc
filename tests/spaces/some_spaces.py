"""Spaces drawn at random, nested at will, and what may be in them: drawn by gymnasium itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space, spaces
from hypothesis import strategies as st

KEYS = st.text("abcxyz", min_size=1, max_size=3)
SHAPES = st.sampled_from([(), (1,), (2,), (3,), (2, 2), (2, 1, 3)])


@st.composite
def boxes(draw: Any, *, actions: bool) -> spaces.Box:
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int32, np.int64] if actions else [np.float32, np.float64, np.uint8, np.int32]))
    shape = draw(SHAPES)
    if np.dtype(dtype).kind in "iu":
        low = draw(st.integers(0, 5)) if dtype == np.uint8 else draw(st.integers(-5, 5))
        return spaces.Box(low, low + draw(st.integers(0, 4)), shape, dtype)
    low = draw(st.sampled_from([-2.0, 0.0, 0.1, -np.inf]))
    high = draw(st.sampled_from([0.3, 1.0, 7.5, np.inf]))
    return spaces.Box(low, high, shape, dtype)


@st.composite
def discretes(draw: Any) -> spaces.Discrete:
    return spaces.Discrete(draw(st.integers(1, 5)), start=draw(st.sampled_from([0, 0, 1, -3, 40])))


@st.composite
def multi_discretes(draw: Any) -> spaces.MultiDiscrete:
    shape = draw(st.sampled_from([(1,), (2,), (3,), (2, 2)]))
    count = int(np.prod(shape))
    sizes = np.array(draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))).reshape(shape)
    starts = np.array(draw(st.lists(st.integers(-2, 3), min_size=count, max_size=count))).reshape(shape)
    return spaces.MultiDiscrete(sizes, start=starts)


def multi_binaries() -> Any:
    return st.sampled_from([1, 3, (2,), (2, 2)]).map(spaces.MultiBinary)


def nested(inner: Any) -> Any:
    tuples = st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple)
    dicts = st.dictionaries(KEYS, inner, min_size=1, max_size=3).map(spaces.Dict)
    return st.one_of(tuples, dicts)


def observation_spaces() -> Any:
    """Whatever an agent may see."""
    return st.recursive(st.one_of(boxes(actions=False), discretes(), multi_discretes(), multi_binaries()), nested, max_leaves=5)


def action_spaces(*, with_boxes: bool = True) -> Any:
    """Whatever an agent may do."""
    leaves = [discretes(), multi_discretes(), multi_binaries(), *([boxes(actions=True)] if with_boxes else [])]
    return st.recursive(st.one_of(*leaves), nested, max_leaves=5)


def drawn(space: Space[Any], seed: int, count: int) -> list[Any]:
    """``count`` values of ``space``, drawn by gymnasium."""
    space.seed(seed)
    return [space.sample() for _ in range(count)]


def same(left: Any, right: Any) -> bool:
    """Equal values in the same nesting."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, tuple):
        return isinstance(right, tuple) and len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(np.array_equal(np.asarray(left), np.asarray(right)))


def close(left: Any, right: Any) -> bool:
    """The same, but for what ``float32`` cannot hold."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(close(left[key], right[key]) for key in left)
    if isinstance(left, tuple):
        return isinstance(right, tuple) and len(left) == len(right) and all(close(a, b) for a, b in zip(left, right, strict=True))
    return bool(np.allclose(np.asarray(left, np.float64), np.asarray(right, np.float64), rtol=1e-6, atol=1e-6))


def choices(space: Any) -> list[int]:
    """The sizes of all choices in an action, from left to right."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(n) for n in space.nvec.reshape(-1)]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        return [n for inner in (space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces) for n in choices(inner)]
    return []


def chosen(space: Any, action: Any) -> list[int]:
    """What an environment action chose, from left to right, each counted from 0."""
    if isinstance(space, spaces.Dict):
        return [one for key, inner in space.spaces.items() for one in chosen(inner, action[key])]
    if isinstance(space, spaces.Tuple):
        return [one for inner, part in zip(space.spaces, action, strict=True) for one in chosen(inner, part)]
    if isinstance(space, spaces.Box):
        return []
    return [int(one) for one in (np.asarray(action) - getattr(space, "start", 0)).reshape(-1)]


def some_mask(space: Any, rng: np.random.Generator) -> list[list[bool]]:
    """For every choice, which of its entries are allowed: at least one."""
    masks = []
    for n in choices(space):
        mask = rng.random(n) < 0.5
        mask[rng.integers(n)] = True
        masks.append([bool(bit) for bit in mask])
    return masks


def mask_forms(space: Any, masks: list[list[bool]]) -> list[Any]:
    """One mask in every form that is accepted: flat, and nested as the space is (in arrays, lists, and tuples)."""
    flat = np.array([bit for mask in masks for bit in mask], np.int8)
    parts = iter(masks)
    nested_mask = _nest(space, parts)
    forms: list[Any] = [flat.astype(bool), flat, flat.astype(np.float64)]
    if isinstance(space, (spaces.Dict, spaces.Tuple, spaces.Discrete)) or not choices(space):
        forms.append(nested_mask)
        return forms
    return [*forms, nested_mask, tuple(nested_mask), [np.array(one, np.int8) for one in nested_mask]]


def _nest(space: Any, parts: Any) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _nest(inner, parts) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nest(inner, parts) for inner in space.spaces)
    if isinstance(space, spaces.Box):
        return None
    if isinstance(space, spaces.Discrete):
        return np.array(next(parts), np.int8)
    return [next(parts) for _ in choices(space)]
