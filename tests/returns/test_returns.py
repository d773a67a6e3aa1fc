"""Targets against arrays worked out by hand, and against slow loops, on numpy and torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.returns import gae, lambda_returns, n_step_returns, next_values, row_discounts, vtrace


def f32(*values):
    return np.array(values, np.float32)


# Two pieces. First: three rows, terminated. Second: two rows, truncated; its final observation is worth 10.
OFFSETS = np.array([0, 3, 5], np.int64)
REWARDS = f32(1, 2, 3, 4, 5)
VALUES = f32(0.5, 1.5, 2.5, 3.5, 4.5)
BOOTSTRAP = f32(np.nan, 10.0)  # after a termination anything may stand there
TERMINATEDS = np.array([False, False, True, False, False])
HALF = np.full(5, 0.5, np.float32)


def test_one_step_advantages_by_hand():
    found = gae(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0.0)
    # R + ½ V(next) − V: nothing after the termination, ½ · 10 after the truncation
    expected = f32(1 + 0.75 - 0.5, 2 + 1.25 - 1.5, 3 - 2.5, 4 + 2.25 - 3.5, 5 + 5 - 4.5)
    np.testing.assert_allclose(found.advantages, expected)
    np.testing.assert_allclose(found.returns, expected + VALUES)


def test_monte_carlo_returns_by_hand():
    # λ = 1: V inside a piece cancels; only the truncated piece bootstraps
    found = lambda_returns(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 1.0)
    np.testing.assert_allclose(found, f32(1 + 0.5 * (2 + 0.5 * 3), 2 + 0.5 * 3, 3, 4 + 0.5 * (5 + 0.5 * 10), 5 + 0.5 * 10))


def test_gae_by_hand():
    found = gae(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0.8).advantages
    carry = 0.8 * 0.5
    expected = f32(1.25 + carry * (1.75 + carry * 0.5), 1.75 + carry * 0.5, 0.5, 2.75 + carry * 5.5, 5.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_ended_and_cut_off_are_told_apart():
    """The same rows, ended by termination and by truncation, differ by exactly γ V(final) at the end."""
    offsets = np.array([0, 2], np.int64)
    args = (f32(1, 1), f32(0, 0), f32(8), f32(0.9, 0.9))
    ended = lambda_returns(*args, np.array([False, True]), offsets, 1.0)
    cut = lambda_returns(*args, np.array([False, False]), offsets, 1.0)
    np.testing.assert_allclose(cut - ended, f32(0.9 * 0.9 * 8, 0.9 * 8), rtol=1e-6)


def test_ticks_discount_values_and_lambda_counts_decisions():
    """Rows of 3, 0 and 2 ticks: γᵏ on values, λ once a row."""
    gamma, lambda_ = 0.9, 0.5
    discounts = row_discounts(gamma, f32(0, 0, 0), np.array([3, 0, 2], np.int32))
    np.testing.assert_allclose(discounts, f32(0.9**3, 1.0, 0.9**2), rtol=1e-6)
    rewards, values = f32(1, 2, 3), f32(1, 1, 1)
    found = gae(rewards, values, f32(4), discounts, np.zeros(3, bool), np.array([0, 3], np.int64), lambda_).advantages
    last = 3 + 0.81 * 4 - 1
    middle = 2 + 1 * 1 - 1 + lambda_ * 1 * last
    first = 1 + 0.729 * 1 - 1 + lambda_ * 0.729 * middle
    np.testing.assert_allclose(found, f32(first, middle, last), rtol=1e-6)


def test_discounts_per_decision_are_gamma_whatever_the_ticks():
    np.testing.assert_array_equal(row_discounts(0.7, f32(1, 2)), f32(0.7, 0.7))


def test_a_truncation_without_observation_hands_on_its_own_value():
    valid = np.array([True, False])
    found = gae(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 1.0, valid)
    assert found.advantages[4] == 0.0
    assert found.returns[4] == VALUES[4]
    np.testing.assert_allclose(found.returns[3], 4 + 0.5 * 4.5)  # bootstraps from the last row's own value
    whole = gae(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 1.0)
    np.testing.assert_array_equal(found.advantages[:3], whole.advantages[:3])


def test_a_termination_needs_no_observation():
    """``bootstrap_valid`` false on a terminated piece changes nothing."""
    whole = gae(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0.9)
    found = gae(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0.9, np.array([False, True]))
    np.testing.assert_array_equal(found.advantages, whole.advantages)


def test_n_step_by_hand():
    found = n_step_returns(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 2)
    expected = f32(1 + 0.5 * 2 + 0.25 * 2.5, 2 + 0.5 * 3, 3, 4 + 0.5 * 5 + 0.25 * 10, 5 + 0.5 * 10)
    np.testing.assert_allclose(found, expected)


def test_next_values_inside_and_after_pieces():
    np.testing.assert_array_equal(next_values(VALUES, f32(7, 10), OFFSETS), f32(1.5, 2.5, 7, 4.5, 10))


def test_vtrace_by_hand():
    """One piece of two rows; ratios 2 (cut to 1) and 0.5."""
    offsets, ratios = np.array([0, 2], np.int64), f32(2.0, 0.5)
    found = vtrace(f32(1, 2), f32(3, 4), f32(6), f32(0.5, 0.5), np.zeros(2, bool), offsets, ratios)
    second = 4 + 0.5 * (2 + 0.5 * 6 - 4)
    first = 3 + 1.0 * (1 + 0.5 * 4 - 3) + 0.5 * 1.0 * (second - 4)
    np.testing.assert_allclose(found.values, f32(first, second))
    np.testing.assert_allclose(found.advantages, f32(1 + 0.5 * second - 3, 0.5 * (2 + 0.5 * 6 - 4)))


def test_vtrace_on_policy_is_the_lambda_return():
    """With ratios of 1 V-trace is the λ-return (Espeholt et al. 2018, remark 1)."""
    found = vtrace(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, np.ones(5, np.float32), lambda_=0.9)
    np.testing.assert_allclose(found.values, lambda_returns(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0.9), rtol=1e-6)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="bootstrap_values has shape"):
        gae(REWARDS, VALUES, f32(1, 2, 3), HALF, TERMINATEDS, OFFSETS, 0.9)
    with pytest.raises(ValueError, match="values has shape"):
        gae(REWARDS, VALUES[:4], BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0.9)
    with pytest.raises(ValueError, match="at least 1"):
        n_step_returns(REWARDS, VALUES, BOOTSTRAP, HALF, TERMINATEDS, OFFSETS, 0)


def test_no_rows_give_no_targets():
    none = np.zeros(0, np.float32)
    found = gae(none, none, none, none, np.zeros(0, bool), np.zeros(1, np.int64), 0.9)
    assert found.advantages.shape == found.returns.shape == (0,)


# ------------------------------------------------------------------ against slow loops


class Rows:
    """Random rows in float64; ends of every kind."""

    def __init__(self, seed: int, lengths: list[int]) -> None:
        rng = np.random.default_rng(seed)
        self.offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        count, pieces = int(self.offsets[-1]), len(lengths)
        self.rewards, self.values = rng.normal(size=count), rng.normal(size=count)
        self.discounts = 0.9 ** rng.integers(0, 4, count)
        self.ratios = np.exp(rng.normal(size=count))
        self.terminateds = np.zeros(count, bool)
        self.terminateds[self.offsets[1:] - 1] = rng.random(pieces) < 0.4
        self.valid = rng.random(pieces) < 0.7
        self.bootstrap = np.where(self.valid & ~self.terminateds[self.offsets[1:] - 1], rng.normal(size=pieces), np.nan)

    @property
    def args(self):
        return self.rewards, self.values, self.bootstrap, self.discounts, self.terminateds, self.offsets

    def successor(self, t: int):
        """(what follows row t: "row", "end", "unknown" or "bootstrap", and its value)."""
        piece = int(np.searchsorted(self.offsets, t, side="right")) - 1
        if t + 1 < self.offsets[piece + 1]:
            return "row", self.values[t + 1]
        if self.terminateds[t]:
            return "end", 0.0
        return ("bootstrap", self.bootstrap[piece]) if self.valid[piece] else ("unknown", 0.0)


def slow_lambda_returns(rows: Rows, lambda_: float) -> np.ndarray:
    returns = np.zeros(len(rows.rewards))
    for start, stop in pairwise(rows.offsets):
        for t in reversed(range(start, stop)):
            kind, value = rows.successor(t)
            if kind == "unknown":
                returns[t] = rows.values[t]
            elif kind == "row":
                returns[t] = rows.rewards[t] + rows.discounts[t] * ((1 - lambda_) * value + lambda_ * returns[t + 1])
            else:
                returns[t] = rows.rewards[t] + (rows.discounts[t] * value if kind == "bootstrap" else 0.0)
    return returns


def slow_n_step(rows: Rows, n: int) -> np.ndarray:
    returns = np.zeros(len(rows.rewards))
    for t in range(len(returns)):
        weight, at = 1.0, t
        for step in range(n):
            kind, value = rows.successor(at)
            if kind == "unknown":
                returns[t] += weight * rows.values[at]
                break
            returns[t] += weight * rows.rewards[at]
            weight *= rows.discounts[at]
            if kind != "row":
                returns[t] += weight * value
                break
            at += 1
            if step == n - 1:
                returns[t] += weight * rows.values[at]
    return returns


def slow_vtrace(rows: Rows, lambda_: float, rho_clip: float, c_clip: float):
    targets, advantages = np.zeros(len(rows.rewards)), np.zeros(len(rows.rewards))
    for start, stop in pairwise(rows.offsets):
        for t in reversed(range(start, stop)):
            kind, value = rows.successor(t)
            rho, c = min(rho_clip, rows.ratios[t]), lambda_ * min(c_clip, rows.ratios[t])
            if kind == "unknown":
                targets[t] = rows.values[t]
                continue
            gamma = 0.0 if kind == "end" else rows.discounts[t]
            targets[t] = rows.values[t] + rho * (rows.rewards[t] + gamma * value - rows.values[t])
            after = value
            if kind == "row":
                after = targets[t + 1]
                targets[t] += gamma * c * (targets[t + 1] - rows.values[t + 1])
            advantages[t] = rho * (rows.rewards[t] + gamma * after - rows.values[t])
    return targets, advantages


pieces = st.lists(st.integers(1, 17), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), pieces, st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_lambda_returns_equal_the_recursion(seed, lengths, lambda_):
    rows = Rows(seed, lengths)
    np.testing.assert_allclose(lambda_returns(*rows.args, lambda_, rows.valid), slow_lambda_returns(rows, lambda_), rtol=1e-10, atol=1e-10)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), pieces, st.integers(1, 20))
def test_n_step_equals_its_definition(seed, lengths, n):
    rows = Rows(seed, lengths)
    np.testing.assert_allclose(n_step_returns(*rows.args, n, rows.valid), slow_n_step(rows, n), rtol=1e-10, atol=1e-10)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), pieces, st.sampled_from([0.3, 1.0]), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.5, 1.0]))
def test_vtrace_equals_the_recursion(seed, lengths, lambda_, rho_clip, c_clip):
    rows = Rows(seed, lengths)
    found = vtrace(*rows.args, rows.ratios, lambda_, rho_clip, c_clip, rows.valid)
    values, advantages = slow_vtrace(rows, lambda_, rho_clip, c_clip)
    np.testing.assert_allclose(found.values, values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.advantages, advantages, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", [gae, lambda_returns, n_step_returns, vtrace])
def test_torch_gives_what_numpy_gives_and_nothing_given_is_changed(function):
    rows = Rows(3, [4, 1, 9, 16])
    extra = {"gae": (0.9,), "lambda_returns": (0.9,), "n_step_returns": (3,), "vtrace": (rows.ratios,)}[function.__name__]
    given_arrays = [array for array in (*rows.args, *extra) if isinstance(array, np.ndarray)]
    before = [array.copy() for array in given_arrays]
    on_numpy = function(*rows.args, *extra, bootstrap_valid=rows.valid)
    tensors = [torch.from_numpy(array) if array is not rows.offsets else array for array in rows.args]
    more = [torch.from_numpy(one) if isinstance(one, np.ndarray) else one for one in extra]
    on_torch = function(*tensors, *more, bootstrap_valid=torch.from_numpy(rows.valid))
    pairs = zip(on_numpy, on_torch) if isinstance(on_numpy, tuple) else [(on_numpy, on_torch)]
    for left, right in pairs:
        assert isinstance(right, torch.Tensor)
        np.testing.assert_allclose(left, right.numpy(), rtol=1e-12, atol=1e-12)
    for array, copy in zip(given_arrays, before):
        np.testing.assert_array_equal(array, copy)


def test_pieces_do_not_touch_each_other():
    """Targets of a piece are the same alone and among others."""
    rows = Rows(5, [3, 7, 2, 12])
    together = gae(*rows.args, 0.9, rows.valid).advantages
    for piece, (start, stop) in enumerate(pairwise(rows.offsets)):
        one = slice(start, stop)
        alone = gae(
            rows.rewards[one],
            rows.values[one],
            rows.bootstrap[piece : piece + 1],
            rows.discounts[one],
            rows.terminateds[one],
            np.array([0, stop - start], np.int64),
            0.9,
            rows.valid[piece : piece + 1],
        ).advantages
        np.testing.assert_allclose(together[one], alone, rtol=1e-12, atol=1e-12)
