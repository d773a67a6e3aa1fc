"""Values against spaces: not whether, but in what way they do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray


class Misfit(NamedTuple):
    """One way in which a value is not of its space. ``kind``: structure, shape, dtype, bounds or not-finite."""

    kind: str
    path: str
    seen: str
    expected: str


def misfits(space: Space[Any], value: Any, path: str = "") -> Iterator[Misfit]:
    """Everything that is wrong with ``value``, part by part.

    Python numbers and lists pass where an array of their kind would; a value that is infinite is never right, whatever the bounds.
    """
    if isinstance(space, spaces.Dict):
        yield from _dict_misfits(space, value, path)
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            yield Misfit("structure", path, f"{_at(path)}{kind_of(value)}", f"a tuple of {len(space.spaces)}")
            return
        for index, (inner, part) in enumerate(zip(space.spaces, value, strict=True)):
            yield from misfits(inner, part, _join(path, index))
    elif isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        yield from _array_misfits(space, value, path)
    elif not space.contains(value):
        yield Misfit("structure", path, f"{_at(path)}{_short(value)}", str(space))


def _dict_misfits(space: spaces.Dict, value: Any, path: str) -> Iterator[Misfit]:
    if not isinstance(value, Mapping):
        yield Misfit("structure", path, f"{_at(path)}{kind_of(value)}", f"a dict with {sorted(space.spaces)}")
        return
    if set(value) != set(space.spaces):
        yield Misfit("structure", path, f"{_at(path)}a dict with {sorted(map(str, value))}", f"a dict with {sorted(space.spaces)}")
    for key, inner in space.spaces.items():
        if key in value:
            yield from misfits(inner, value[key], _join(path, key))


def _array_misfits(space: Any, value: Any, path: str) -> Iterator[Misfit]:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        yield Misfit("structure", path, f"{_at(path)}{kind_of(value)}", str(space))
        return
    dtype = np.dtype(space.dtype)
    typed = isinstance(value, (np.ndarray, np.generic))
    if (typed and not np.can_cast(array.dtype, dtype)) or (not typed and array.dtype.kind == "f" and dtype.kind in "biu"):
        if not (isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)) and array.dtype.kind in "iu"):  # any integer type is an index
            yield Misfit("dtype", path, f"{_at(path)}{array.dtype}", str(dtype))
    shape = tuple(space.shape or ())
    if array.shape != shape:
        yield Misfit("shape", path, f"{_at(path)}shape {array.shape}", f"shape {shape}")
        return
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        wrong = ~np.isfinite(array)
        yield Misfit("not-finite", path, f"{_at(path)}{array[wrong].flat[0]}{_index(wrong)}", "finite numbers")
    low, high = _bounds(space)
    with np.errstate(invalid="ignore"):  # NaN is named above
        outside = (array < low) | (array > high)
    if array.dtype.kind == "f":
        outside &= np.isfinite(array)
    if outside.any():
        place = np.unravel_index(int(np.argmax(outside)), outside.shape)
        limits = f"{np.broadcast_to(low, outside.shape)[place]} to {np.broadcast_to(high, outside.shape)[place]}"
        yield Misfit("bounds", path, f"{_at(path)}{array[place]}{_index(outside)}", limits)


def _bounds(space: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.Discrete):
        return np.asarray(space.start), np.asarray(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(space.start), np.asarray(space.start + space.nvec - 1)
    return np.asarray(0), np.asarray(1)


def _index(wrong: NDArray[np.bool_]) -> str:
    if wrong.ndim == 0:
        return ""
    place = [int(index) for index in np.unravel_index(int(np.argmax(wrong)), wrong.shape)]
    return f" at index {place[0] if len(place) == 1 else tuple(place)}"


def signature(value: Any) -> Any:
    """Shapes and structure of a value, to be compared."""
    if isinstance(value, Mapping):
        return {key: signature(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)) and not all(isinstance(one, (int, float)) for one in value):
        return [signature(inner) for inner in value]
    return np.shape(value)


def leaves(value: Any) -> Iterator[NDArray[Any]]:
    """The arrays of a nested value."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from leaves(inner)


def _join(path: str, key: Any) -> str:
    return f"{path}/{key}" if path else str(key)


def _at(path: str) -> str:
    return f"at {path!r}: " if path else ""


def kind_of(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, (tuple, list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 40 and "\n" not in text else f"a {type(value).__name__}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
