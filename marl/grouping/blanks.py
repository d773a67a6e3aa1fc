"""What stands in a group where a member does not: zeros for its observation, and masks in one form for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from marl.errors import ConfigError, Problem


def blank(space: Space[Any]) -> Any:
    """Zeros in the form of ``space``; where zero is out of bounds, the nearest value that is not.

    Raises:
        ConfigError: the space has no fixed size.
    """
    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high).astype(space.dtype, copy=False)
    if isinstance(space, spaces.Discrete):
        return np.int64(min(max(0, int(space.start)), int(space.start + space.n - 1)))
    if isinstance(space, spaces.MultiDiscrete):
        return np.clip(np.zeros(space.shape, space.dtype), space.start, space.start + space.nvec - 1).astype(space.dtype, copy=False)
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, space.dtype)
    if isinstance(space, spaces.Dict):
        return {key: blank(inner) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(blank(inner) for inner in space.spaces)
    raise ConfigError([Problem("observation_space", f"{type(space).__name__} has no blank value", "flatten or pad it in a wrapper")])


def mask_space(action_space: Space[Any]) -> Space[Any]:
    """The space of the mask that :func:`nest_mask` makes."""
    if isinstance(action_space, spaces.Dict):
        return spaces.Dict([(key, mask_space(inner)) for key, inner in action_space.spaces.items()])
    if isinstance(action_space, spaces.Tuple):
        return spaces.Tuple([mask_space(inner) for inner in action_space.spaces])
    size = _num_choices(action_space)
    return spaces.MultiBinary(size) if size else spaces.Box(0, 1, (0,), np.int8)


def nest_mask(action_space: Space[Any], flat: NDArray[np.bool_]) -> Any:
    """A flat mask as one array per elementary action space, nested as ``action_space`` is (a Box has an empty one)."""
    return _cut(action_space, flat, 0, _num_choices)[0]


def mask_like(space: Space[Any], flat: NDArray[np.bool_]) -> Any:
    """A flat mask in the form, shapes and dtypes of ``space``, the space that an environment states for its mask."""
    return _shaped(space, _cut(space, flat, 0, lambda leaf: int(np.prod(leaf.shape or ())))[0])


def _num_choices(space: Space[Any]) -> int:
    """Mask entries of an elementary action space."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(np.sum(space.nvec))
    return 2 * int(np.prod(space.shape)) if isinstance(space, spaces.MultiBinary) else 0


def _cut(space: Space[Any], flat: NDArray[np.bool_], start: int, size: Callable[[Space[Any]], int]) -> tuple[Any, int]:
    """``flat`` from ``start`` on, cut into pieces of ``size(leaf)`` and nested as ``space`` is; and where the last piece ends."""
    if isinstance(space, spaces.Dict):
        by_key = {}
        for key, inner in space.spaces.items():
            by_key[key], start = _cut(inner, flat, start, size)
        return by_key, start
    if isinstance(space, spaces.Tuple):
        parts = []
        for inner in space.spaces:
            part, start = _cut(inner, flat, start, size)
            parts.append(part)
        return tuple(parts), start
    stop = start + size(space)
    return flat[start:stop], stop


def _shaped(space: Space[Any], value: Any) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _shaped(inner, value[key]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_shaped(inner, part) for inner, part in zip(space.spaces, value, strict=True))
    return value.reshape(space.shape).astype(space.dtype)
