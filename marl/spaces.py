"""Spaces at the sampler's edge: where the mask is, how observations become rows, how rows become actions.

:class:`ObservationCodec` and :class:`ActionCodec` are the whole of a policy's preprocessing. The same objects
serve the sampler, evaluation and ``Player``, and :func:`space_to_json` saves what they are made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import Space
from numpy.typing import NDArray

from marl.errors import ConfigError, EnvError, MarlError, MaskError, Problem

MASK_KEY = "action_mask"
OBSERVATION_KEYS = ("observation", "observations")
_FLOAT32 = np.dtype(np.float32)


# ------------------------------------------------------------------ what an environment says of its agents


def agent_spaces(env: Any, agent: Any) -> tuple[Space[Any], Space[Any]]:
    """``(observation_space, action_space)`` of one agent, from the dicts or the methods of ``env``.

    Raises:
        EnvError: the environment states no space for this agent.
    """
    return _space_of(env, agent, "observation"), _space_of(env, agent, "action")


def _space_of(env: Any, agent: Any, kind: str) -> Space[Any]:
    table = getattr(env, f"{kind}_spaces", None)
    if table is not None:
        try:
            return table[agent]  # type: ignore[no-any-return]
        except KeyError:
            pass
    ask = getattr(env, f"{kind}_space", None)
    if callable(ask):
        try:
            return ask(agent)  # type: ignore[no-any-return]
        except KeyError:
            pass
    raise EnvError(
        f"{type(env).__name__} states no {kind} space for agent {agent!r}; expected an entry in {kind}_spaces, "
        f"or a method {kind}_space(agent) that knows it."
    )


def has_mask(space: Space[Any]) -> bool:
    """Whether observations of ``space`` carry their own action mask: ``{"observation" | "observations", "action_mask"}``."""
    return isinstance(space, spaces.Dict) and MASK_KEY in space.spaces and any(key in space.spaces for key in OBSERVATION_KEYS)


def without_mask(space: Space[Any]) -> Space[Any]:
    """The observation space with the mask stripped: the inner space, or the Dict without the mask key."""
    if not has_mask(space):
        return space
    assert isinstance(space, spaces.Dict)
    rest = {key: inner for key, inner in space.spaces.items() if key != MASK_KEY}
    if len(rest) == 1:
        return next(iter(rest.values()))
    return spaces.Dict(rest)


def split_mask(observation: Any) -> tuple[Any, Any]:
    """``(observation, mask)`` of an observation from a space for which :func:`has_mask` holds."""
    mask = observation[MASK_KEY]
    if len(observation) == 2:
        for key in OBSERVATION_KEYS:
            if key in observation:
                return observation[key], mask
    return {key: value for key, value in observation.items() if key != MASK_KEY}, mask


# ------------------------------------------------------------------ observations


@dataclass(frozen=True)
class _Leaf:
    path: tuple[Any, ...]
    space: Space[Any]

    @property
    def name(self) -> str:
        return "/".join(str(part) for part in self.path)


def _leaves(space: Space[Any], path: tuple[Any, ...] = ()) -> list[_Leaf]:
    if isinstance(space, spaces.Dict):
        return [leaf for key, inner in space.spaces.items() for leaf in _leaves(inner, (*path, key))]
    if isinstance(space, spaces.Tuple):
        return [leaf for index, inner in enumerate(space.spaces) for leaf in _leaves(inner, (*path, index))]
    return [_Leaf(path, space)]


def _pick(value: Any, path: tuple[Any, ...]) -> Any:
    for depth, key in enumerate(path):
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            where = "/".join(map(str, path[:depth])) or "the top"
            there = f"keys {sorted(map(str, value))}" if isinstance(value, dict) else f"{value!r}"
            raise EnvError(f"there is no {key!r} at {where}, where its space has one; found {there}.") from None
    return value


def _leaf_layout(leaf: _Leaf, *, alone: bool) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of one leaf as a row. ``alone``: a leaf of its own keeps shape and integer dtype."""
    space = leaf.space
    if isinstance(space, spaces.Box):
        kept = space.dtype if space.dtype is not None and np.dtype(space.dtype).kind in "iub" and alone else _FLOAT32
        return tuple(space.shape), np.dtype(kept)
    if isinstance(space, spaces.Discrete):
        return (int(space.n),), _FLOAT32
    if isinstance(space, spaces.MultiDiscrete):
        return (int(np.sum(space.nvec)),), _FLOAT32
    if isinstance(space, spaces.MultiBinary):
        return tuple(np.atleast_1d(space.shape).tolist()), np.dtype(np.int8) if alone else _FLOAT32
    raise ConfigError(
        [
            Problem(
                "observation_space",
                f"{type(space).__name__} at {leaf.name or 'the top'!r} has no fixed size",
                "flatten or pad it in a wrapper",
            )
        ]
    )


def _write_leaf(leaf: _Leaf, values: list[Any], out: NDArray[Any]) -> None:
    """Write n values of one leaf into ``out`` [n, *shape]."""
    space = leaf.space
    if isinstance(space, spaces.Discrete):
        index = _whole_numbers(leaf, values, ()) - int(space.start)
        _check_range(index, int(space.n), leaf, values)
        out[...] = 0
        out[np.arange(len(values)), index] = 1
    elif isinstance(space, spaces.MultiDiscrete):
        sizes = np.asarray(space.nvec).reshape(-1)
        numbers = _whole_numbers(leaf, values, space.shape).reshape(len(values), -1)
        index = numbers - np.asarray(space.start).reshape(-1)
        _check_range(index, sizes, leaf, values)
        out[...] = 0
        offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        out[np.arange(len(values))[:, None], index + offsets] = 1
    else:
        _stack_into(values, out, leaf.name)


def _whole_numbers(leaf: _Leaf, values: list[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """``values`` as one integer array ``[n, *shape]``."""
    try:
        together = np.asarray(values)
    except ValueError:  # ragged
        together = np.zeros(0)
    if together.shape == (len(values), *shape) and together.dtype.kind in "iub":
        return together.astype(np.int64, copy=False)
    numbers = [np.asarray(value) for value in values]
    for value, number in zip(values, numbers, strict=True):
        if number.shape != shape or number.dtype.kind not in "iub":
            where = f" at {leaf.name!r}" if leaf.name else ""
            raise EnvError(f"an observation{where} is {value!r}; expected whole numbers of shape {shape} for {leaf.space}.")
    return np.array(numbers, np.int64).reshape(len(values), *shape)


def _check_range(index: NDArray[np.int64], sizes: Any, leaf: _Leaf, values: list[Any]) -> None:
    wrong = ((index < 0) | (index >= sizes)).reshape(len(values), -1).any(axis=1)
    if wrong.any():
        where = f" at {leaf.name!r}" if leaf.name else ""
        raise EnvError(f"an observation{where} is {values[int(wrong.argmax())]!r}, which is outside {leaf.space}.")


def _stack_into(values: list[Any], out: NDArray[Any], name: str) -> None:
    """Write n values into ``out`` [n, *shape]; lists and numbers are converted."""
    shape = out.shape[1:]
    try:
        if not shape:
            out[...] = values
            return
        if set(map(len, values)) == {shape[0]}:  # with this, concatenate finds every other wrong shape
            np.concatenate(values, out=out.reshape(-1, *shape[1:]), casting="same_kind")
            return
    except (TypeError, ValueError):
        pass
    for value in values:
        seen = np.shape(value)
        if seen != shape:
            raise EnvError(f"an observation{f' at {name!r}' if name else ''} has shape {seen}, expected {shape} as its space says.")
    whole = np.asarray(values)
    if whole.dtype.kind in "iub" and out.dtype.kind in "iub" and (whole.astype(out.dtype) == whole).all():
        out[...] = whole  # integers of another type, every one of them in range
        return
    raise EnvError(f"observations{f' at {name!r}' if name else ''} of type {_types(values)} cannot be stored as {out.dtype}.")


def _types(values: list[Any]) -> str:
    return ", ".join(sorted({str(getattr(value, "dtype", type(value).__name__)) for value in values}))


class ObservationCodec:
    """Writes observations of one space into rows.

    A space without structure keeps its shape; images stay ``uint8``; ``float64`` is stored as ``float32``.
    Discrete kinds are one-hot. Dict and Tuple spaces are flattened to one ``float32`` vector, leaf after leaf in
    the space's order (as ``gymnasium.spaces.utils.flatten`` does), or, with ``structured=True``, kept as one array per leaf.

    Attributes:
        columns: name → (shape, dtype) of the columns written: ``{"obs": …}``, or ``{"obs/<path>": …}`` if structured.
        shape, dtype: of the only column (unstructured).
    """

    def __init__(self, space: Space[Any], *, structured: bool = False) -> None:
        self.space = space
        self.masked = has_mask(space)
        self.inner = without_mask(space)
        keys = [key for key in space.spaces if key != MASK_KEY] if self.masked and isinstance(space, spaces.Dict) else []
        self._mask_beside = keys[0] if len(keys) == 1 else None
        leaves = _leaves(self.inner)
        self.structured = structured and (len(leaves) > 1 or bool(leaves[0].path))
        self.shape: tuple[int, ...]
        self.dtype: np.dtype[Any]
        self._leaves = leaves
        self._single = len(leaves) == 1 and not leaves[0].path
        self.columns: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
        if self.structured:
            self.columns = {f"obs/{leaf.name}": _leaf_layout(leaf, alone=True) for leaf in leaves}
            if len(self.columns) < len(leaves):
                raise ConfigError([Problem("observation_space", f"two parts of {self.inner} have one name", "use keys without '/'")])
            self.shape, self.dtype = (), _FLOAT32
            return
        if self._single:
            self.shape, self.dtype = _leaf_layout(leaves[0], alone=True)
        else:
            self._widths = [int(np.prod(_leaf_layout(leaf, alone=False)[0])) for leaf in leaves]
            self.shape, self.dtype = (sum(self._widths),), _FLOAT32
        self.columns = {"obs": (self.shape, self.dtype)}
        self.plain_box = self._single and isinstance(leaves[0].space, spaces.Box) and len(self.shape) >= 1

    plain_box = False

    def split(self, observations: list[Any]) -> tuple[list[Any], list[Any]]:
        """``(observations, masks)`` of n observations that carry their masks (:attr:`masked`)."""
        if self._mask_beside is not None:
            key = self._mask_beside
            return [one[key] for one in observations], [one[MASK_KEY] for one in observations]
        pairs = [split_mask(one) for one in observations]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def encode(self, observations: list[Any], out: NDArray[Any]) -> None:
        """Write n observations (mask stripped) into ``out`` [n, *shape].

        Raises:
            EnvError: one has another shape than its space says, or a discrete value out of range.
        """
        if self._single:
            _write_leaf(self._leaves[0], observations, out)
            return
        start = 0
        for leaf, width in zip(self._leaves, self._widths, strict=True):
            shape, _ = _leaf_layout(leaf, alone=False)
            block = np.empty((len(observations), *shape), np.float32)
            _write_leaf(leaf, [_pick(one, leaf.path) for one in observations], block)
            out[:, start : start + width] = block.reshape(len(observations), width)
            start += width

    def encode_columns(self, observations: list[Any], outs: dict[str, NDArray[Any]]) -> None:
        """Write n observations into every column of :attr:`columns`, each ``outs[name]`` [n, *shape]."""
        if not self.structured:
            self.encode(observations, outs["obs"])
            return
        for leaf in self._leaves:
            _write_leaf(leaf, [_pick(one, leaf.path) for one in observations], outs[f"obs/{leaf.name}"])

    def encode_one(self, observation: Any) -> Any:
        """One observation (mask stripped) as a batch of one: an array ``[1, *shape]``, or a dict of them if structured."""
        outs = {name: np.empty((1, *shape), dtype) for name, (shape, dtype) in self.columns.items()}
        self.encode_columns([observation], outs)
        return outs if self.structured else outs["obs"]


# ------------------------------------------------------------------ actions


@dataclass(frozen=True)
class ActionPart:
    """One elementary part of an action: a choice of ``n`` (``n > 0``), or ``size`` real numbers within bounds (``n == 0``).

    ``column`` is where it starts in a stored row; ``mask`` where its choices start in the flat mask.
    """

    path: tuple[Any, ...]
    column: int
    size: int
    n: int = 0
    mask: int = 0
    start: int = 0
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None


class ActionCodec:
    """Turns stored actions into the environment's, and back.

    A stored action is what a policy's distribution produced: an ``int64`` scalar for Discrete (counted from 0), ``int64 [k]``
    for MultiDiscrete and MultiBinary, ``float32 [d]`` for Box, and one ``float32`` vector of all parts for Dict and Tuple
    (``int64`` if every part is a choice).

    Args:
        space: any of Discrete, MultiDiscrete, MultiBinary, Box, Dict, Tuple, nested at will.
        box: ``"clip"`` (clip to the bounds) or ``"rescale"`` (from [-1, 1] to the bounds) when an action is played.
    """

    def __init__(self, space: Space[Any], *, box: str = "clip") -> None:
        if box not in ("clip", "rescale"):
            raise ConfigError([Problem("box_actions", f"{box!r} is not a way to play a Box action", "'clip' or 'rescale'")])
        self.space = space
        self.box = box
        self.parts: list[ActionPart] = []
        column = mask = 0
        for leaf in _leaves(space):
            for part in _action_parts(leaf, column, mask):
                self.parts.append(part)
                column, mask = column + part.size, mask + part.n
        self.mask_size = mask
        self.discrete = isinstance(space, spaces.Discrete)
        all_choices = all(part.n for part in self.parts)
        self.continuous = all(not part.n for part in self.parts)
        self.shape: tuple[int, ...] = () if self.discrete else (column,)
        self.dtype: np.dtype[Any] = np.dtype(np.int64) if all_choices else _FLOAT32
        self._start = self.parts[0].start if self.discrete else 0
        if box == "rescale":
            for part in self.parts:
                if part.low is not None and not (np.isfinite(part.low).all() and np.isfinite(part.high).all()):  # type: ignore[arg-type]
                    raise ConfigError(
                        [Problem("box_actions", f"cannot rescale to the unbounded {space}", "use 'clip', or a bounded space")]
                    )

    # -- to the environment

    def to_env(self, actions: NDArray[Any]) -> list[Any]:
        """n stored actions [n, *shape] as the environment's own actions (a list of n)."""
        if self.discrete:
            return (actions + self._start if self._start else actions).tolist()  # type: ignore[no-any-return]
        space = self.space
        if isinstance(space, spaces.Box):
            played = self._play_box(self.parts[0], actions).reshape(-1, *space.shape)
            return list(played) if space.shape else [np.asarray(one) for one in played]
        if isinstance(space, spaces.MultiDiscrete):
            played = (actions.reshape(-1, *space.shape) + space.start).astype(space.dtype, copy=False)
            return list(played)
        if isinstance(space, spaces.MultiBinary):
            return list(actions.reshape(-1, *np.atleast_1d(space.shape)).astype(np.int8))
        columns = {leaf.path: self._leaf_column(leaf, actions) for leaf in _leaves(space)}
        return [_assemble(space, (), columns, row) for row in range(len(actions))]

    def to_env_arrays(self, actions: NDArray[Any]) -> Any:
        """n stored actions [n, *shape] as one array ``[n, ...]`` in the environment's form; nested where the space is."""
        space = self.space
        if self.discrete:
            return actions + self._start if self._start else actions
        if isinstance(space, (spaces.Dict, spaces.Tuple)):
            columns: dict[tuple[Any, ...], Any] = {leaf.path: np.stack(self._leaf_column(leaf, actions)) for leaf in _leaves(space)}
            return _assemble_arrays(space, (), columns)
        return np.stack(self.to_env(actions))

    def _leaf_column(self, leaf: _Leaf, actions: NDArray[Any]) -> list[Any]:
        parts = [part for part in self.parts if part.path == leaf.path]
        block = actions[:, parts[0].column : parts[-1].column + parts[-1].size]
        inner = ActionCodec(leaf.space, box=self.box)
        return inner.to_env(block[:, 0].astype(np.int64) if inner.discrete else block.astype(inner.dtype))

    def _play_box(self, part: ActionPart, actions: NDArray[Any]) -> NDArray[Any]:
        assert part.low is not None
        assert part.high is not None
        whole = np.dtype(self.space.dtype).kind in "iu"
        low, high = (bound.astype(np.float64) if whole else bound for bound in (part.low, part.high))
        if self.box == "clip":
            played = np.clip(actions, low, high)
        else:
            share = np.clip(actions, -1.0, 1.0)
            played = np.clip(0.5 * ((1.0 - share) * low + (1.0 + share) * high), low, high)  # -1 and 1 are the bounds to the bit
        if not whole:
            return np.asarray(played, self.space.dtype)
        with np.errstate(invalid="ignore"):  # the largest integers have no float of their own: they are put in by hand
            rounded = np.rint(played).astype(self.space.dtype)
        whole_numbers: NDArray[Any] = np.where(played >= high, part.high, np.where(played <= low, part.low, rounded))
        return whole_numbers

    # -- from the environment (scripted players, recorded data)

    def from_env(self, action: Any) -> NDArray[Any]:
        """One environment action as a stored row (array of :attr:`shape`).

        Raises:
            EnvError: the action does not belong to the space.
        """
        row = np.zeros(self.shape or (1,), self.dtype)
        try:
            _check_nesting(self.space, action)
            for leaf in _leaves(self.space):
                parts = [part for part in self.parts if part.path == leaf.path]
                value = np.asarray(_pick(action, leaf.path)).reshape(-1)
                size = sum(part.size for part in parts)
                if value.shape != (size,):
                    raise ValueError(f"{value.size} numbers, expected {size}")
                if parts[0].n:
                    value = value - np.asarray([part.start for part in parts])
                    if any(v != int(v) or not 0 <= v < p.n for v, p in zip(value.tolist(), parts, strict=True)):
                        raise ValueError("out of range")
                elif self.box == "rescale":
                    low, high = np.asarray(parts[0].low, np.float64), np.asarray(parts[0].high, np.float64)
                    span = np.where(high > low, high - low, 1.0)
                    value = np.where(high > low, 2.0 * (value - low) / span - 1.0, 0.0)
                row[parts[0].column : parts[-1].column + parts[-1].size] = value
        except (MarlError, TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
            raise EnvError(f"action {action!r} is not in {self.space} ({error}).") from error
        return row.reshape(self.shape)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two environment actions are played alike (a Box is clipped first)."""
        rows = [self.from_env(self.to_env(self.from_env(action)[None])[0]) for action in (one, other)]
        return bool(np.array_equal(rows[0], rows[1]))

    # -- masks

    def flat_mask(self, mask: Any) -> NDArray[np.bool_]:
        """A mask in any accepted form as one boolean array [mask_size].

        Accepted: an array of the flat size, or nested tuples/lists/dicts of arrays as the space is nested
        (None, or nothing for a Box, allows all).

        Raises:
            MaskError: the sizes do not fit.
        """
        if isinstance(mask, np.ndarray) and mask.dtype != object:
            flat = mask.reshape(-1)
        else:
            pieces = list(_mask_pieces(self.space, mask))
            flat = np.concatenate(pieces) if pieces else np.ones(0, bool)
        if flat.shape[0] != self.mask_size:
            raise MaskError(f"an action mask has {flat.shape[0]} entries, expected {self.mask_size} for {self.space}.")
        return np.asarray(flat, dtype=np.bool_)

    def blocked(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows of ``masks`` [n, mask_size] leave some choice without any allowed action: bool [n]."""
        if self.discrete:
            return np.asarray(~masks.any(axis=1))
        none_left = np.zeros(len(masks), bool)
        for part in self.parts:
            if part.n:
                none_left |= ~masks[:, part.mask : part.mask + part.n].any(axis=1)
        return none_left

    def blocked_part(self, mask: NDArray[np.bool_]) -> int | None:
        """The index of the first part whose choices are all masked in ``mask`` [mask_size], or None."""
        for index, part in enumerate(self.parts):
            if part.n and not mask[part.mask : part.mask + part.n].any():
                return index
        return None

    def allowed(self, actions: NDArray[Any], masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of n stored actions [n, *shape] their masks [n, mask_size] allow: bool [n]."""
        rows = np.arange(len(actions))
        if self.discrete:
            good: NDArray[np.bool_] = masks[rows, actions]
            return good
        table = actions.reshape(len(actions), -1)
        good = np.ones(len(actions), bool)
        for part in self.parts:
            if part.n:
                good &= masks[rows, part.mask + table[:, part.column].astype(np.int64)]
        return good

    def sample(self, count: int, rng: np.random.Generator, masks: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """``count`` uniformly random legal stored actions [count, *shape].

        Box parts are uniform within their bounds; where one is infinite, within a step of 1 from the other, and in [-1, 1] where both are.
        """
        table = np.empty((count, max(1, sum(part.size for part in self.parts))), self.dtype)
        for part in self.parts:
            if part.n:
                if masks is None:
                    table[:, part.column] = rng.integers(part.n, size=count)
                else:
                    allowed = masks[:, part.mask : part.mask + part.n]
                    rank = (rng.random(count) * allowed.sum(axis=1)).astype(np.int64)
                    table[:, part.column] = (np.cumsum(allowed, axis=1) > rank[:, None]).argmax(axis=1)
            elif part.size:
                table[:, part.column : part.column + part.size] = self._sample_box(part, count, rng)
        return table.reshape(count, *self.shape)

    def _sample_box(self, part: ActionPart, count: int, rng: np.random.Generator) -> NDArray[Any]:
        if self.box == "rescale":
            return rng.uniform(-1.0, 1.0, (count, part.size))
        assert part.low is not None
        assert part.high is not None
        if part.low.dtype.kind in "iu" and part.low.dtype != np.uint64:
            return rng.integers(part.low, part.high, size=(count, part.size), endpoint=True)
        low, high = part.low.astype(np.float64), part.high.astype(np.float64)
        below, above = np.isfinite(low), np.isfinite(high)
        start = np.where(below, low, np.where(above, high - 1.0, -1.0))
        stop = np.where(above, high, np.where(below, low + 1.0, 1.0))
        return rng.uniform(start, stop, (count, part.size))


def _action_parts(leaf: _Leaf, column: int, mask: int) -> list[ActionPart]:
    space = leaf.space
    if isinstance(space, spaces.Discrete):
        return [ActionPart(leaf.path, column, 1, int(space.n), mask, int(space.start))]
    if isinstance(space, spaces.MultiDiscrete):
        parts = []
        starts = np.asarray(space.start).reshape(-1).tolist()
        for index, n in enumerate(np.asarray(space.nvec).reshape(-1).tolist()):
            parts.append(ActionPart(leaf.path, column + index, 1, int(n), mask, int(starts[index])))
            mask += int(n)
        return parts
    if isinstance(space, spaces.MultiBinary):
        return [ActionPart(leaf.path, column + index, 1, 2, mask + 2 * index) for index in range(int(np.prod(space.shape)))]
    if isinstance(space, spaces.Box):
        return [ActionPart(leaf.path, column, int(np.prod(space.shape)), 0, mask, 0, space.low.reshape(-1), space.high.reshape(-1))]
    raise ConfigError(
        [Problem("action_space", f"{type(space).__name__} cannot be played", "Discrete, MultiDiscrete, MultiBinary, Box, Dict or Tuple")]
    )


def _assemble(space: Space[Any], path: tuple[Any, ...], columns: dict[tuple[Any, ...], list[Any]], row: int) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _assemble(inner, (*path, key), columns, row) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_assemble(inner, (*path, index), columns, row) for index, inner in enumerate(space.spaces))
    return columns[path][row]


def _assemble_arrays(space: Space[Any], path: tuple[Any, ...], columns: dict[tuple[Any, ...], Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _assemble_arrays(inner, (*path, key), columns) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_assemble_arrays(inner, (*path, index), columns) for index, inner in enumerate(space.spaces))
    return columns[path]


def _check_nesting(space: Space[Any], action: Any) -> None:
    """A Dict or Tuple action has all parts of its space and no others."""
    if isinstance(space, spaces.Dict):
        if not isinstance(action, Mapping) or set(action) != set(space.spaces):
            raise ValueError(f"expected a dict with the keys {list(space.spaces)}")
        for key, inner in space.spaces.items():
            _check_nesting(inner, action[key])
    elif isinstance(space, spaces.Tuple):
        if not isinstance(action, (tuple, list, np.ndarray)) or len(action) != len(space.spaces):
            raise ValueError(f"expected a tuple of {len(space.spaces)}")
        for inner, part in zip(space.spaces, action, strict=True):
            _check_nesting(inner, part)


def _mask_pieces(space: Space[Any], mask: Any) -> list[NDArray[Any]]:
    if isinstance(space, spaces.Box):
        return []
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        keys = list(space.spaces) if isinstance(space, spaces.Dict) else list(range(len(space.spaces)))
        inner = list(space.spaces.values()) if isinstance(space, spaces.Dict) else list(space.spaces)
        if mask is not None:
            there = (
                set(mask) if isinstance(mask, Mapping) else set(range(len(mask))) if isinstance(mask, (tuple, list, np.ndarray)) else mask
            )
            if there != set(keys):
                found = sorted(map(str, there)) if isinstance(there, set) else repr(mask)
                raise MaskError(f"an action mask has the parts {found}, expected {keys} for {space}.")
        return [piece for key, one in zip(keys, inner, strict=True) for piece in _mask_pieces(one, None if mask is None else mask[key])]
    sizes = (
        [int(space.n)]
        if isinstance(space, spaces.Discrete)
        else np.asarray(space.nvec).reshape(-1).tolist()
        if isinstance(space, spaces.MultiDiscrete)
        else [2] * int(np.prod(space.shape or ()))
    )
    if mask is None:
        return [np.ones(sum(sizes), bool)]
    if isinstance(space, spaces.Discrete) or (isinstance(mask, np.ndarray) and mask.dtype != object):
        pieces, sizes = [np.asarray(mask).reshape(-1)], [sum(sizes)]
    else:
        pieces = [np.asarray(one).reshape(-1) for one in (mask.reshape(-1) if isinstance(mask, np.ndarray) else mask)]
    found_sizes = [len(piece) for piece in pieces]
    if found_sizes != sizes:
        raise MaskError(f"an action mask has {found_sizes} entries, expected {sizes} for {space}.")
    return pieces


# ------------------------------------------------------------------ saving


def space_to_json(space: Space[Any]) -> dict[str, Any]:
    """A space as JSON; :func:`space_from_json` makes an equal one."""
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(np.dtype(space.dtype)),
            "low": _bound_to_json(space.low),
            "high": _bound_to_json(space.high),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist(), "dtype": str(np.dtype(space.dtype))}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": int(space.n) if isinstance(space.n, (int, np.integer)) else list(map(int, space.n))}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": [[key, space_to_json(inner)] for key, inner in space.spaces.items()]}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "spaces": [space_to_json(inner) for inner in space.spaces]}
    raise ConfigError(
        [Problem("space", f"{type(space).__name__} cannot be saved", "use Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple")]
    )


def _bound_to_json(bound: NDArray[Any]) -> Any:
    flat = bound.reshape(-1)
    return flat[0].item() if flat.size and (flat == flat[0]).all() else flat.tolist()


def space_from_json(data: dict[str, Any]) -> Space[Any]:
    """The space that :func:`space_to_json` described."""
    kind = data["type"]
    if kind == "Box":
        shape, dtype = tuple(data["shape"]), np.dtype(data["dtype"])
        bounds = [
            np.broadcast_to(np.asarray(data[key], dtype), shape or ())
            if np.ndim(data[key]) == 0
            else np.asarray(data[key], dtype).reshape(shape)
            for key in ("low", "high")
        ]
        return spaces.Box(bounds[0].copy(), bounds[1].copy(), shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(data["n"], start=data["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.asarray(data["nvec"]), dtype=np.dtype(data["dtype"]).type, start=np.asarray(data["start"]))
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["n"])
    if kind == "Dict":
        return spaces.Dict([(key, space_from_json(inner)) for key, inner in data["spaces"]])
    return spaces.Tuple([space_from_json(inner) for inner in data["spaces"]])
