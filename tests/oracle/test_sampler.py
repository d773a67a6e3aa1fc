"""The sampler and its ledger against the oracle: any history, any number of copies, any fragment length.

``MARL_HISTORIES=20000`` plays more histories than the default, and other ones.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .histories import Call, World, world_from_bytes
from .judge import (
    Case,
    Evidence,
    arrays_case_from_bytes,
    case_from_bytes,
    disagreements,
    equal_rows,
    make_sampler,
    sampled,
    shipped,
    show,
    take,
)

NUM_HISTORIES = int(os.environ.get("MARL_HISTORIES", "2000"))
cases = st.builds(case_from_bytes, st.binary(min_size=480, max_size=480))


@settings(
    max_examples=NUM_HISTORIES,
    derandomize="MARL_HISTORIES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=cases)
def test_rows_agree_with_the_oracle(case: Case) -> None:
    problems = disagreements(case, sampled(case))
    assert not problems, show(case, problems)


@settings(
    max_examples=max(1, NUM_HISTORIES // 4),
    derandomize="MARL_HISTORIES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=st.builds(arrays_case_from_bytes, st.binary(min_size=480, max_size=480)))
def test_rows_of_array_native_environments_agree_with_the_oracle(case: Case) -> None:
    problems = disagreements(case, sampled(case))
    assert not problems, show(case, problems)


def some_worlds(count: int, seed: int, **fixed: Any) -> list[World]:
    """Generated worlds whose named fields are as ``fixed``."""
    rng = random.Random(seed)
    worlds = (world_from_bytes(rng.randbytes(480)) for _ in itertools.count())
    return list(itertools.islice((world for world in worlds if all(getattr(world, name) == value for name, value in fixed.items())), count))


@pytest.mark.parametrize("copies", [1, 3])
def test_concatenated_fragments_of_any_length_give_the_same_rows(copies: int) -> None:
    """§4.4: 60 ticks in one fragment, and cut into fragments of 1, 2, … 20, give the same rows and episodes."""
    for world in some_worlds(4, seed=copies, has_ticks=False):
        whole = Case(world, copies, (60,))
        problems: list[str] = []
        evidence = sampled(whole)
        rows = shipped(whole, evidence, problems)
        assert not problems
        assert rows
        for length in range(1, 21):
            count, rest = divmod(60, length)
            cut = Case(world, copies, (length,) * count + ((rest,) if rest else ()))
            cut_evidence = sampled(cut)
            differences = equal_rows(rows, shipped(cut, cut_evidence, problems))
            assert not problems + differences, show(cut, problems + differences)
            finished = [_essence(record) for fragment in cut_evidence.fragments for record in fragment.episodes]
            assert sorted(finished, key=repr) == sorted(map(_essence, evidence.fragments[0].episodes), key=repr)


def _essence(record: Any) -> tuple[Any, ...]:
    return (record.env_index, record.eps_id, record.seed, record.num_env_steps, record.num_agent_steps, sorted(record.returns.items()))


def test_sampling_whole_episodes_agrees_with_the_oracle() -> None:
    """``num_episodes`` counts finished episodes over all copies; what it leaves open comes with the next call."""
    rng = random.Random(3)
    for number in range(150):
        case = Case(world_from_bytes(rng.randbytes(480)), 1 + number % 4, ())
        evidence = Evidence()
        sampler = make_sampler(case, evidence.envs)
        for wanted in (1 + number % 7, 2):
            batch, episodes = sampler.sample(num_episodes=wanted)
            assert len(episodes) == wanted
            take(evidence, batch, episodes)
        problems = disagreements(case, evidence)
        assert not problems, show(case, problems)


def test_same_seed_same_batches_to_the_bit() -> None:
    for world in some_worlds(20, seed=11):
        case = Case(world, 2, (7, 5))
        for left, right in zip(sampled(case).fragments, sampled(case).fragments, strict=True):
            assert left.batch.policies.keys() == right.batch.policies.keys()
            for policy, batch in left.batch.policies.items():
                other = right.batch.policies[policy]
                assert batch.columns.keys() == other.columns.keys()
                for name in batch.columns:
                    np.testing.assert_array_equal(batch[name], other[name], err_msg=name)
                for name in batch.pieces:
                    np.testing.assert_array_equal(batch.pieces[name], other.pieces[name], err_msg=name)
                np.testing.assert_array_equal(batch.offsets, other.offsets)
            assert [_essence(record) for record in left.episodes] == [_essence(record) for record in right.episodes]


def timetable() -> World:
    """HIERARCHY §2 with the names that a generated world uses: a0 top, a1 mid_0, a2 mid_1, a3 and x: the low levels in turn."""

    def tick(top: str, mid: str, low: str, **more: Any) -> Call:
        return Call(pays=((top, 1.0), (mid, 1.0), (low, 1.0)), **more)

    calls = (
        Call(sees=("a0",)),
        Call(sees=("a1",), elapsed=0),
        Call(sees=("a3",), elapsed=0, parent=(("a3", "a1"),)),
        tick("a0", "a1", "a3", sees=("a3",)),
        tick("a0", "a1", "a3", sees=("a3",)),
        tick("a0", "a1", "a3", sees=("a1",), truncated=("a3",), final_in_obs=("a3",), cause=(("a3", "clock"),)),
        Call(sees=("a3",), elapsed=0, parent=(("a3", "a1"),)),
        tick("a0", "a1", "a3", sees=("a3",)),
        tick("a0", "a1", "a3", sees=("a0",), truncated=("a3", "a1"), final_in_obs=("a3", "a1"), cause=(("a3", "clock"), ("a1", "clock"))),
        Call(sees=("a2",), elapsed=0),
        Call(sees=("x",), elapsed=0, parent=(("x", "a2"),)),
        tick("a0", "a2", "x", sees=("x",)),
        tick("a0", "a2", "x", sees=("x",)),
        tick("a0", "a2", "x", sees=("x",)),
        tick("a0", "a2", "x", sees=("a2",), terminated=("x",), final_in_obs=("x",), cause=(("x", "goal"),)),
        Call(sees=("x",), elapsed=0, parent=(("x", "a2"),)),
        tick("a0", "a2", "x", terminated=("__all__",), final_in_obs=("a0", "a2", "x")),
    )
    return World(("a0", "a1", "a2", "a3", "x"), (calls,), has_ticks=True)


@pytest.mark.parametrize("copies", [1, 32])
def test_three_level_timetable(copies: int) -> None:
    """The table of HIERARCHY §2 to the last number, for fragments of 1 to 20 ticks."""
    for length in range(1, 21) if copies == 1 else (1, 3, 10, 20):
        case = Case(timetable(), copies, (length,) * -(-20 // length))
        evidence = sampled(case)
        problems = disagreements(case, evidence)
        assert not problems, show(case, problems)
        rows = shipped(case, evidence, problems)
        for copy in range(copies):
            top = [rows[copy, 0, "a0", 0, decision] for decision in (0, 1)]
            mid = [rows[copy, 0, agent, 0, decision] for agent in ("a1", "a2") for decision in (0, 1)]
            assert [row.env_steps for row in top] == [5, 5]
            assert [row.env_steps for row in mid] == [3, 2, 4, 1]
            assert [row.rewards for row in top + mid] == [5, 5, 3, 2, 4, 1]
            np.testing.assert_allclose([row.rewards_discounted for row in top], [4.0951, 4.0951], rtol=1e-5)
            np.testing.assert_allclose([row.rewards_discounted for row in mid[2:]], [3.439, 1.0], rtol=1e-5)  # a2 plays main, gamma 0.9
            np.testing.assert_allclose([row.rewards_discounted for row in mid[:2]], [1.75, 1.5], rtol=1e-5)  # a1 plays rival, gamma 0.5
            assert [rows[copy, 0, "a3", 0, decision].parent for decision in range(3)] == [("a1", 0, 0)] * 3
