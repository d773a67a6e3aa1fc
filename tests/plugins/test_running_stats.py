"""Running statistics against numpy's, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest

from marl_plugins.running_stats import RunningStats


@pytest.mark.parametrize("cuts", [[], [1], [3, 40, 41]])
def test_batches_add_up(cuts):
    rows = np.random.default_rng(0).normal(3, 2, (100, 4))
    stats = RunningStats((4,))
    for part in np.split(rows, cuts):
        stats.update(part)
    np.testing.assert_allclose(stats.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(stats.variance, rows.var(0), rtol=1e-12)
    assert stats.count == 100


def test_before_any_data_nothing_is_changed():
    rows = np.array([[0.5, -3.0]], np.float32)
    stats = RunningStats((2,))
    stats.update(np.zeros((0, 2)))
    np.testing.assert_array_equal(stats.normalize(rows), rows)
    np.testing.assert_array_equal(stats.denormalize(rows), rows)


def test_far_values_are_cut_and_bytes_are_numbers():
    stats = RunningStats((1,))
    stats.update(np.array([[0], [2]], np.uint8))
    np.testing.assert_allclose(stats.normalize(np.array([[2], [255], [0]], np.uint8)), [[1], [10], [-1]])


def test_denormalize_is_the_inverse_and_state_goes_round():
    stats = RunningStats((), clip=float("inf"))
    stats.update(np.array([1.0, 4.0, 9.0]))
    values = np.array([-5.0, 0.0, 100.0], np.float32)
    np.testing.assert_allclose(stats.denormalize(stats.normalize(values)), values, rtol=1e-6)
    other = RunningStats((), clip=float("inf"))
    other.set(stats.get())
    np.testing.assert_array_equal(other.normalize(values), stats.normalize(values))
