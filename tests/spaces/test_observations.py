"""Observations become rows as gymnasium flattens them, or leaf by leaf; what does not belong to its space is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.errors import ConfigError, EnvError
from marl.spaces import ObservationCodec, agent_spaces, has_mask, split_mask, without_mask

from .some_spaces import drawn, observation_spaces, same

seeds = st.integers(0, 10**6)
quick = settings(max_examples=200, deadline=None)


def encoded(codec: ObservationCodec, values: list[Any]) -> np.ndarray[Any, Any]:
    out = np.full((len(values), *codec.shape), 77, codec.dtype)
    codec.encode(values, out)
    return out


@quick
@given(space=observation_spaces(), seed=seeds, count=st.integers(1, 4))
def test_rows_are_what_gymnasium_flattens(space: Any, seed: int, count: int) -> None:
    codec = ObservationCodec(space)
    values = drawn(space, seed, count)
    rows = encoded(codec, values)
    assert rows.shape == (count, *codec.shape)
    flat = np.stack([np.asarray(flatten(space, value), np.float64) for value in values])
    assert int(np.prod(codec.shape)) == flatdim(space)
    np.testing.assert_array_equal(rows.reshape(count, -1), flat.astype(np.float32) if rows.dtype.kind == "f" else flat)
    for place, value in enumerate(values):
        one = codec.encode_one(value)
        assert one.dtype == codec.dtype
        np.testing.assert_array_equal(one[0], rows[place])


@quick
@given(space=observation_spaces(), seed=seeds, count=st.integers(1, 4))
def test_structured_rows_keep_every_leaf(space: Any, seed: int, count: int) -> None:
    codec = ObservationCodec(space, structured=True)
    values = drawn(space, seed, count)
    if not codec.structured:
        assert not isinstance(space, (spaces.Dict, spaces.Tuple))
        assert list(codec.columns) == ["obs"]
        return
    outs = {name: np.zeros((count, *shape), dtype) for name, (shape, dtype) in codec.columns.items()}
    codec.encode_columns(values, outs)
    flat = np.stack([np.asarray(flatten(space, value), np.float64) for value in values])
    together = np.concatenate([out.reshape(count, -1).astype(np.float64) for out in outs.values()], axis=1)
    np.testing.assert_array_equal(together, np.where(flat == together, flat, flat.astype(np.float32)))
    for name, leaf in leaves_of(space).items():
        shape, dtype = codec.columns[f"obs/{name}"]
        if isinstance(leaf, spaces.Box):
            assert shape == leaf.shape
            assert dtype == (leaf.dtype if np.dtype(leaf.dtype).kind in "iu" else np.float32)
    ones = codec.encode_one(values[0])
    assert same(ones, {name: out[:1] for name, out in outs.items()})


def leaves_of(space: Any, path: str = "") -> dict[str, Any]:
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        items = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        return {name: leaf for key, inner in items for name, leaf in leaves_of(inner, f"{path}/{key}" if path else str(key)).items()}
    return {path: space}


@pytest.mark.parametrize("key", ["observation", "observations"])
@given(space=observation_spaces(), seed=seeds)
@quick
def test_masks_are_stripped_wherever_they_stand(key: str, space: Any, seed: int) -> None:
    masked = spaces.Dict({key: space, "action_mask": spaces.MultiBinary(3)})
    assert has_mask(masked)
    assert without_mask(masked) == space
    values = drawn(masked, seed, 3)
    codec = ObservationCodec(masked)
    assert codec.masked
    bare, masks = codec.split(values)
    assert all(same(one, value[key]) for one, value in zip(bare, values, strict=True))
    assert all(same(split_mask(value), (value[key], value["action_mask"])) for value in values)
    assert [list(mask) for mask in masks] == [list(value["action_mask"]) for value in values]
    plain = ObservationCodec(space)
    assert plain.columns == codec.columns
    np.testing.assert_array_equal(encoded(codec, bare), encoded(plain, bare))


def test_a_mask_beside_several_parts_leaves_a_dict() -> None:
    space = spaces.Dict({"observation": spaces.Discrete(3), "extra": spaces.Box(0, 1, (2,)), "action_mask": spaces.MultiBinary(2)})
    assert without_mask(space) == spaces.Dict({"observation": spaces.Discrete(3), "extra": spaces.Box(0, 1, (2,))})
    value = space.sample()
    bare, mask = split_mask(value)
    assert set(bare) == {"observation", "extra"}
    assert mask is value["action_mask"]
    codec = ObservationCodec(space)
    (again,), (mask_again,) = codec.split([value])
    assert same(again, bare)
    assert mask_again is mask
    assert codec.shape == (5,)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"action_mask": spaces.MultiBinary(2)}),
        spaces.Dict({"obs": spaces.Discrete(2), "action_mask": spaces.MultiBinary(2)}),
        spaces.Dict({"observation": spaces.Discrete(2)}),
        spaces.Discrete(2),
    ],
)
def test_other_dicts_carry_no_mask(space: Any) -> None:
    assert not has_mask(space)
    assert without_mask(space) is space
    assert not ObservationCodec(space).masked


def test_pictures_stay_uint8_and_numbers_become_float32() -> None:
    for dtype, kept in (
        (np.uint8, np.uint8),
        (np.int64, np.int64),
        (np.float64, np.float32),
        (np.float32, np.float32),
        (np.float16, np.float32),
    ):
        codec = ObservationCodec(spaces.Box(0, 9, (2, 2, 3), dtype))
        assert (codec.shape, codec.dtype) == ((2, 2, 3), np.dtype(kept))
        assert encoded(codec, [np.full((2, 2, 3), 7, dtype)]).dtype == kept


@pytest.mark.parametrize("value", [[0.5, 1.0], (0.5, 1.0), np.array([0.5, 1.0], np.float64), np.array([0.5, 1.0], np.float16)])
def test_numbers_in_any_form_are_taken(value: Any) -> None:
    np.testing.assert_array_equal(
        encoded(ObservationCodec(spaces.Box(0, 1, (2,))), [value, value]), np.full((2, 2), [0.5, 1.0], np.float32)
    )
    np.testing.assert_array_equal(encoded(ObservationCodec(spaces.Box(-1, 1, (2,))), [np.array([1, -1])]), [[1, -1]])


# ------------------------------------------------------------------ what does not belong to its space


NEST = spaces.Dict({"who": spaces.Discrete(3), "where": spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.Box(0, 1, (2,))])})
GOOD = {"who": 1, "where": (np.array([1, 2]), np.zeros(2, np.float32))}


@pytest.mark.parametrize(
    ("space", "value", "words"),
    [
        (spaces.Box(0, 1, (3,)), np.zeros(2, np.float32), r"has shape \(2,\), expected \(3,\)"),
        (spaces.Box(0, 1, (3,)), np.float32(1), r"has shape \(\), expected \(3,\)"),
        (spaces.Discrete(3), 3, r"is 3, which is outside Discrete\(3\)"),
        (spaces.Discrete(3, start=2), 1, r"is 1, which is outside Discrete\(3, start=2\)"),
        (spaces.Discrete(3), np.array([1]), r"is array\(\[1\]\); expected whole numbers of shape \(\)"),
        (spaces.Discrete(3), 1.5, "is 1.5; expected whole numbers"),
        (spaces.Discrete(3), None, "is None; expected whole numbers"),
        (spaces.MultiDiscrete([2, 3]), np.array([0, 3]), r"is array\(\[0, 3\]\), which is outside MultiDiscrete\(\[2 3\]\)"),
        (spaces.MultiDiscrete([2, 3]), np.array([1]), r"is array\(\[1\]\); expected whole numbers of shape \(2,\)"),
        (spaces.MultiDiscrete([2, 3]), np.array([0.5, 1.0]), "expected whole numbers"),
        (spaces.MultiBinary(3), np.zeros(2, np.int8), r"has shape \(2,\), expected \(3,\)"),
        (NEST, {**GOOD, "who": 5}, "at 'who' is 5, which is outside"),
        (NEST, {"who": 1}, r"there is no 'where' at the top, .*found keys \['who'\]"),
        (NEST, {**GOOD, "where": GOOD["where"][:1]}, "there is no 1 at where"),  # type: ignore[index]
        (NEST, {**GOOD, "where": (np.array([1, 2]), np.zeros(3, np.float32))}, r"at 'where/1' has shape \(3,\), expected \(2,\)"),
        (NEST, {**GOOD, "where": 3}, "there is no 0 at where, where its space has one; found 3"),
        (NEST, np.zeros(3), r"there is no 'where' at the top, where its space has one; found array"),
    ],
)
def test_the_value_that_does_not_fit_is_named(space: Any, value: Any, words: str) -> None:
    good = GOOD if space is NEST else space.sample()
    with pytest.raises(EnvError, match=words):
        encoded(ObservationCodec(space), [good, value, good])
    with pytest.raises(EnvError, match=words):
        ObservationCodec(space, structured=True).encode_one(value)


@pytest.mark.parametrize(
    "space", [spaces.Text(3), spaces.Sequence(spaces.Discrete(2)), spaces.Dict({"a": spaces.Graph(spaces.Discrete(2), None)})]
)
def test_spaces_without_a_size_are_refused(space: Any) -> None:
    with pytest.raises(ConfigError, match="has no fixed size"):
        ObservationCodec(space)


def test_two_leaves_of_one_name_are_refused_where_leaves_have_names() -> None:
    space = spaces.Dict({"a/b": spaces.Discrete(2), "a": spaces.Dict({"b": spaces.Discrete(3)})})
    assert ObservationCodec(space).shape == (5,)
    with pytest.raises(ConfigError, match="have one name"):
        ObservationCodec(space, structured=True)


# ------------------------------------------------------------------ where spaces are stated


def test_spaces_are_read_from_dicts_or_methods() -> None:
    box, two = spaces.Box(0, 1, (1,)), spaces.Discrete(2)

    class Dicts:
        observation_spaces, action_spaces = {"a": box}, {"a": two}

    class Methods:
        def observation_space(self, agent: str) -> Any:
            return {"a": box}[agent]

        def action_space(self, agent: str) -> Any:
            return {"a": two}[agent]

    class Both(Methods):
        observation_spaces, action_spaces = {"b": two}, {"b": box}

    for env in (Dicts(), Methods(), Both()):
        assert agent_spaces(env, "a") == (box, two)
    assert agent_spaces(Both(), "b") == (two, box)
    for env in (Dicts(), Methods()):
        with pytest.raises(EnvError, match=f"{type(env).__name__} states no observation space for agent 'x'"):
            agent_spaces(env, "x")
