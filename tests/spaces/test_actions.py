"""Stored actions become the environment's own and come back; masks in every form; random actions are legal and cover all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.errors import ConfigError, EnvError, MaskError
from marl.spaces import ActionCodec, space_from_json, space_to_json

from .some_spaces import action_spaces, choices, chosen, close, drawn, mask_forms, observation_spaces, same, some_mask

seeds = st.integers(0, 10**6)
quick = settings(max_examples=200, deadline=None)


def contains(space: Any, action: Any) -> bool:
    """As gymnasium says, whose Box takes arrays only."""
    if isinstance(space, spaces.Dict):
        return set(action) == set(space.spaces) and all(contains(inner, action[key]) for key, inner in space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return isinstance(action, tuple) and len(action) == len(space.spaces) and all(map(contains, space.spaces, action))
    if isinstance(space, spaces.Box):
        assert isinstance(action, np.ndarray)
        assert action.dtype == space.dtype
    return bool(space.contains(action))


# ------------------------------------------------------------------ there and back


@quick
@given(space=action_spaces(), seed=seeds, count=st.integers(1, 4))
def test_an_action_comes_back_as_it_was(space: Any, seed: int, count: int) -> None:
    codec = ActionCodec(space)
    actions = drawn(space, seed, count)
    rows = np.stack([codec.from_env(action) for action in actions])
    assert rows.shape == (count, *codec.shape)
    assert rows.dtype == codec.dtype
    back = codec.to_env(rows)
    assert len(back) == count
    for action, again in zip(actions, back, strict=True):
        assert contains(space, again)
        assert close(action, again)
        assert chosen(space, action) == chosen(space, again)
        assert codec.same(action, again)
    arrays = codec.to_env_arrays(rows)
    for place, again in enumerate(back):
        assert same(at(arrays, place), again)


def at(arrays: Any, place: int) -> Any:
    if isinstance(arrays, dict):
        return {key: at(inner, place) for key, inner in arrays.items()}
    if isinstance(arrays, tuple):
        return tuple(at(inner, place) for inner in arrays)
    return arrays[place]


@quick
@given(space=action_spaces(), seed=seeds)
def test_rows_come_back_as_they_were(space: Any, seed: int) -> None:
    """What is stored is what is played, wherever it is within bounds."""
    codec = ActionCodec(space)
    rows = codec.sample(4, np.random.default_rng(seed))
    again = np.stack([codec.from_env(action) for action in codec.to_env(rows)])
    np.testing.assert_allclose(again, rows, rtol=1e-6, atol=1e-6)


@quick
@given(space=action_spaces(), seed=seeds)
def test_choices_are_stored_from_zero(space: Any, seed: int) -> None:
    codec = ActionCodec(space)
    (action,) = drawn(space, seed, 1)
    row = np.atleast_1d(codec.from_env(action))
    assert [int(row[part.column]) for part in codec.parts if part.n] == chosen(space, action)
    assert [part.n for part in codec.parts if part.n] == choices(space)
    assert codec.mask_size == sum(choices(space))
    assert codec.dtype == (np.int64 if all(part.n for part in codec.parts) else np.float32)
    assert codec.continuous == (not choices(space))


@pytest.mark.parametrize(
    ("space", "row", "action"),
    [
        (spaces.Discrete(3), 2, 2),
        (spaces.Discrete(3, start=5), 2, 7),
        (spaces.MultiDiscrete([2, 3], start=[1, -1]), [1, 2], [2, 1]),
        (spaces.MultiBinary((2, 2)), [1, 0, 0, 1], [[1, 0], [0, 1]]),
        (spaces.Box(-1, 1, (2, 1)), [0.5, 7], [[0.5], [1]]),
        (spaces.Box(0, 10, (1,), np.int64), [6.5], [6]),
        (spaces.Box(0, 10, (1,), np.int64), [6.51], [7]),
    ],
)
def test_what_is_stored_and_what_is_played(space: Any, row: Any, action: Any) -> None:
    codec = ActionCodec(space)
    (played,) = codec.to_env(np.array([row], codec.dtype))
    assert contains(space, played)
    assert np.asarray(played).tolist() == action


def test_a_plain_choice_is_a_plain_number() -> None:
    assert [type(action) for action in ActionCodec(spaces.Discrete(3, start=1)).to_env(np.array([0, 2]))] == [int, int]


# ------------------------------------------------------------------ boxes


@quick
@given(
    low=st.floats(-100, 100, width=32),
    span=st.floats(0, 200, width=32),
    dtype=st.sampled_from([np.float32, np.float64]),
    rows=st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=5),
)
def test_rescaling_runs_from_bound_to_bound(low: float, span: float, dtype: Any, rows: list[float]) -> None:
    space = spaces.Box(low, low + span, (2,), dtype)
    codec = ActionCodec(space, box="rescale")
    table = np.repeat(np.array(rows, np.float32)[:, None], 2, axis=1)
    for row, action in zip(rows, codec.to_env(table), strict=True):
        assert contains(space, action)
        inside = min(max(row, -1.0), 1.0)
        np.testing.assert_allclose(action, space.low + (inside + 1) / 2 * (space.high - space.low), rtol=1e-5, atol=1e-4)
        if space.high[0] > space.low[0]:
            np.testing.assert_allclose(codec.from_env(action), [inside] * 2, atol=1e-3 if span > 0.1 else 3)
    ends = codec.to_env(np.array([[-1, -1], [1, 1]], np.float32))
    np.testing.assert_array_equal(ends, [space.low, space.high])
    assert np.isfinite(codec.from_env(space.low)).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("box", ["clip", "rescale"])
def test_whole_numbers_up_to_the_largest(dtype: Any, box: str) -> None:
    info = np.iinfo(dtype)
    space = spaces.Box(info.min, info.max, (1,), dtype)
    codec = ActionCodec(space, box=box)
    edge = np.float32(1.0) if box == "rescale" else np.float32(np.inf)
    for row, right in ((edge, info.max), (-edge, info.min)):
        (played,) = codec.to_env(np.array([[row]], np.float32))
        assert contains(space, played)
        assert int(played[0]) == right
    for action in codec.to_env(codec.sample(50, np.random.default_rng(1))):
        assert contains(space, action)


@quick
@given(space=action_spaces(), seed=seeds)
def test_wild_numbers_are_clipped(space: Any, seed: int) -> None:
    """Whatever a distribution draws for a Box, the environment gets a legal action."""
    codec = ActionCodec(space)
    rng = np.random.default_rng(seed)
    rows = codec.sample(5, rng).reshape(5, -1)
    for part in codec.parts:
        if not part.n:
            wild = rng.normal(0, 100, (5, part.size)).astype(np.float32)
            rows[:, part.column : part.column + part.size] = wild
    assert all(contains(space, action) for action in codec.to_env(rows.reshape(5, *codec.shape)))


def test_rescaling_needs_bounds() -> None:
    for space in (spaces.Box(0, np.inf, (2,)), spaces.Tuple([spaces.Discrete(2), spaces.Box(-np.inf, np.inf, (1,))])):
        with pytest.raises(ConfigError, match="cannot rescale to the unbounded"):
            ActionCodec(space, box="rescale")
        ActionCodec(space, box="clip")
    with pytest.raises(ConfigError, match="'squash' is not a way to play a Box"):
        ActionCodec(spaces.Discrete(2), box="squash")


# ------------------------------------------------------------------ masks


@quick
@given(space=action_spaces(), seed=seeds)
def test_a_mask_in_any_form_is_the_same_mask(space: Any, seed: int) -> None:
    codec = ActionCodec(space)
    masks = some_mask(space, np.random.default_rng(seed))
    flat = [bit for mask in masks for bit in mask]
    for form in mask_forms(space, masks):
        found = codec.flat_mask(form)
        assert found.dtype == bool
        assert found.shape == (codec.mask_size,)
        assert found.tolist() == flat, form


@quick
@given(space=action_spaces(), seed=seeds)
def test_random_actions_are_legal_under_any_mask(space: Any, seed: int) -> None:
    codec = ActionCodec(space)
    rng = np.random.default_rng(seed)
    drawn_masks = [some_mask(space, rng) for _ in range(6)]
    masks = np.array([[bit for mask in one for bit in mask] for one in drawn_masks], bool).reshape(6, -1)
    rows = codec.sample(6, rng, masks)
    assert rows.shape == (6, *codec.shape)
    assert rows.dtype == codec.dtype
    assert not codec.blocked(masks).any()
    assert codec.allowed(rows, masks).all()
    for action, one in zip(codec.to_env(rows), drawn_masks, strict=True):
        assert contains(space, action)
        assert all(mask[choice] for mask, choice in zip(one, chosen(space, action), strict=True))
    free = codec.sample(6, rng)
    assert all(contains(space, action) for action in codec.to_env(free))


@quick
@given(space=action_spaces(with_boxes=False), seed=seeds)
def test_what_is_allowed_and_what_is_blocked(space: Any, seed: int) -> None:
    """Against a loop over every choice."""
    codec = ActionCodec(space)
    rng = np.random.default_rng(seed)
    masks = rng.random((8, codec.mask_size)) < 0.6
    rows = codec.sample(8, rng)
    sizes = choices(space)
    starts = np.cumsum([0, *sizes]).tolist()
    for place, action in enumerate(codec.to_env(rows)):
        parts = [masks[place, start : start + size] for start, size in zip(starts, sizes, strict=False)]
        right = all(part[choice] for part, choice in zip(parts, chosen(space, action), strict=True))
        empty = [index for index, part in enumerate(parts) if not part.any()]
        assert codec.allowed(rows[place : place + 1], masks[place : place + 1])[0] == right
        assert codec.blocked(masks[place : place + 1])[0] == bool(empty)
        assert codec.blocked_part(masks[place]) == (empty[0] if empty else None)


def test_random_actions_cover_everything_evenly() -> None:
    space = spaces.Dict(
        {
            "a": spaces.Discrete(4, start=3),
            "b": spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)]),
            "c": spaces.Box(np.array([0, -2], np.float32), np.array([1, 2], np.float32)),
            "d": spaces.Box(-1, 2, (1,), np.int32),
        }
    )
    codec = ActionCodec(space)
    count = 6000
    rows = codec.sample(count, np.random.default_rng(0))
    for part in codec.parts:
        values = rows[:, part.column : part.column + part.size]
        if part.n:
            shares = np.bincount(values[:, 0].astype(int), minlength=part.n) / count
            assert np.abs(shares - 1 / part.n).max() < 0.03
        elif part.size == 1:
            assert sorted(set(values[:, 0].tolist())) == [-1, 0, 1, 2]
            assert min(np.bincount(values[:, 0].astype(int) + 1) / count) > 0.2
        else:
            assert part.low is not None
            assert part.high is not None
            for place in range(part.size):
                share = (values[:, place] - part.low[place]) / (part.high[place] - part.low[place])
                assert np.abs(np.histogram(share, 4, (0, 1))[0] / count - 0.25).max() < 0.03
    mask = np.ones((count, codec.mask_size), bool)
    mask[:, [0, 2]] = False
    masked = codec.sample(count, np.random.default_rng(0), mask)
    assert np.abs(np.bincount(masked[:, 0].astype(int), minlength=4) / count - [0, 0.5, 0, 0.5]).max() < 0.03


@pytest.mark.parametrize(
    ("low", "high", "least", "most"), [(-np.inf, np.inf, -1, 1), (5, np.inf, 5, 6), (-np.inf, -3, -4, -3), (-np.inf, 0, -1, 0)]
)
def test_random_actions_without_bounds_are_near_what_bounds_there_are(low: float, high: float, least: float, most: float) -> None:
    rows = ActionCodec(spaces.Box(low, high, (1,))).sample(500, np.random.default_rng(0))
    assert least <= rows.min() < least + 0.05
    assert most - 0.05 < rows.max() <= most


# ------------------------------------------------------------------ what does not belong to its space


PAIR = spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))])
NAMED = spaces.Dict({"go": spaces.Discrete(3, start=1), "how": PAIR})


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (spaces.Discrete(3), 3),
        (spaces.Discrete(3), -1),
        (spaces.Discrete(3, start=1), 0),
        (spaces.Discrete(3), 0.5),
        (spaces.Discrete(3), [0, 1]),
        (spaces.Discrete(3), None),
        (spaces.Discrete(3), "left"),
        (spaces.Discrete(3), float("nan")),
        (spaces.MultiDiscrete([2, 2]), [1, 2]),
        (spaces.MultiDiscrete([2, 2]), [1]),
        (spaces.MultiDiscrete([2, 2]), 1),
        (spaces.MultiBinary(2), [0, 2]),
        (spaces.MultiBinary(2), [0]),
        (spaces.Box(-1, 1, (2,)), [0.5]),
        (spaces.Box(-1, 1, (2,)), 0.5),
        (spaces.Box(-1, 1, (2,)), [0.1, 0.2, 0.3]),
        (spaces.Box(-1, 1, (2,)), ["a", "b"]),
        (PAIR, (1,)),
        (PAIR, (1, [0, 0], 2)),
        (PAIR, (2, [0, 0])),
        (PAIR, 1),
        (NAMED, {"go": 1}),
        (NAMED, {"go": 1, "how": (1, [0, 0]), "why": 2}),
        (NAMED, {"go": 0, "how": (1, [0, 0])}),
        (NAMED, (1, (1, [0, 0]))),
    ],
)
def test_an_action_that_is_none_is_an_error_that_shows_it(space: Any, action: Any) -> None:
    with pytest.raises(EnvError) as caught:
        ActionCodec(space).from_env(action)
    assert repr(action) in str(caught.value)
    assert str(space) in str(caught.value)


@pytest.mark.parametrize(
    ("space", "mask", "words"),
    [
        (spaces.Discrete(3), [1, 1], r"\[2\] entries, expected \[3\]"),
        (spaces.Discrete(3), np.ones(4), "4 entries, expected 3"),
        (spaces.Discrete(3), 1, r"\[1\] entries, expected \[3\]"),
        (spaces.MultiDiscrete([2, 3]), np.ones(6), "6 entries, expected 5"),
        (spaces.MultiDiscrete([2, 3]), [[1, 1, 1], [1, 1]], r"\[3, 2\] entries, expected \[2, 3\]"),
        (spaces.MultiDiscrete([2, 3]), [[1, 1]], r"\[2\] entries, expected \[2, 3\]"),
        (spaces.MultiBinary(2), [[1, 1], [1]], r"\[2, 1\] entries, expected \[2, 2\]"),
        (spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]), (np.ones(3), np.ones(2)), r"\[3\] entries, expected \[2\]"),
        (spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)]), (np.ones(2),), "has the parts"),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": np.ones(2)}, r"has the parts \['b'\], expected \['a'\]"),
        (spaces.Dict({"a": spaces.Discrete(2)}), [1, 1], "has the parts"),
        (spaces.Box(0, 1, (2,)), np.ones(2), "2 entries, expected 0"),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error_that_says_how(space: Any, mask: Any, words: str) -> None:
    with pytest.raises(MaskError, match=words):
        ActionCodec(space).flat_mask(mask)


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Tuple([spaces.Sequence(spaces.Discrete(2))])])
def test_actions_without_a_size_are_refused(space: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be played"):
        ActionCodec(space)


def test_no_mask_at_all_allows_everything() -> None:
    assert ActionCodec(NAMED).flat_mask(None).tolist() == [True] * 5
    assert ActionCodec(NAMED).flat_mask({"go": [0, 1, 0], "how": None}).tolist() == [False, True, False, True, True]
    assert ActionCodec(PAIR).flat_mask((np.array([0, 1]), np.zeros(0))).tolist() == [False, True]


# ------------------------------------------------------------------ saving


@quick
@given(space=st.one_of(action_spaces(), observation_spaces()))
def test_a_space_comes_back_from_json(space: Any) -> None:
    import json

    data = space_to_json(space)
    again = space_from_json(json.loads(json.dumps(data)))
    assert again == space
    assert space_to_json(again) == data


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(np.array([0, -np.inf]), np.array([np.inf, 2.5]), dtype=np.float64),
        spaces.Box(0, 255, (84, 84, 3), np.uint8),
        spaces.Box(-1, 1, (), np.float32),
        spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (2,), np.int64),
        spaces.Box(0, 1, (0,), np.int8),
        spaces.MultiDiscrete([[2, 3], [4, 5]], dtype=np.int32),
        spaces.Dict([("b", spaces.Discrete(2)), ("a", spaces.Discrete(3))]),
    ],
)
def test_corners_come_back_from_json(space: Any) -> None:
    import json

    again = space_from_json(json.loads(json.dumps(space_to_json(space))))
    assert again == space
    assert str(again) == str(space)
    if isinstance(space, spaces.Dict):
        assert list(again.spaces) == list(space.spaces)


def test_what_cannot_be_saved_is_named() -> None:
    with pytest.raises(ConfigError, match="Text cannot be saved"):
        space_to_json(spaces.Tuple([spaces.Text(2)]))
