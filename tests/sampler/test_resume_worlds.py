"""A restored worker goes on to the bit: the oracle's histories, saved after any number of fragments, through the disk.

``MARL_HISTORIES=20000`` plays more histories than the default, and other ones.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle.judge import Case, arrays_case_from_bytes, case_from_bytes, give_weights, make_sampler

from .resuming import differences_after_restoring
from .worlds import SavingEnv, SavingVectorEnv, SeededEnv, SeededVectorEnv

NUM_HISTORIES = int(os.environ.get("MARL_HISTORIES", "2000")) // 25
everything = settings(
    max_examples=NUM_HISTORIES,
    deadline=None,
    derandomize="MARL_HISTORIES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # a failing history shrinks for minutes; the oracle's tests shrink theirs
)


def resumed(case: Case, before: int, **classes: Any) -> tuple[list[str], list[str]]:
    lengths = (*case.lengths, 3, 5)  # there is always something to come

    def sample(worker: Any, number: int) -> Any:
        give_weights(case, worker, number)
        return worker.sample(num_env_steps=lengths[number], complete_episodes=case.complete)

    def make() -> Any:
        sampler = make_sampler(case, [], **classes)
        return getattr(sampler, "worker", sampler)

    before = min(before, len(case.lengths))
    return differences_after_restoring(make, sample, before, len(lengths) - before)


saved_after = st.integers(0, 4)


@everything
@given(case=st.builds(case_from_bytes, st.binary(min_size=480, max_size=480)), before=saved_after)
def test_replayed_episodes_go_on_to_the_bit(case: Case, before: int) -> None:
    assert resumed(case, before, env_class=SeededEnv) == ([], []), (case, before)


@everything
@given(case=st.builds(case_from_bytes, st.binary(min_size=480, max_size=480)), before=saved_after)
def test_episodes_that_an_environment_saves_itself_go_on_to_the_bit(case: Case, before: int) -> None:
    assert resumed(case, before, env_class=SavingEnv) == ([], []), (case, before)


@everything
@given(case=st.builds(arrays_case_from_bytes, st.binary(min_size=480, max_size=480)), before=saved_after)
def test_array_native_episodes_that_the_environment_saves_go_on_to_the_bit(case: Case, before: int) -> None:
    assert resumed(case, before, vector_class=SavingVectorEnv) == ([], []), (case, before)


@settings(everything, max_examples=max(1, NUM_HISTORIES // 2))
@given(case=st.builds(arrays_case_from_bytes, st.binary(min_size=480, max_size=480)))
def test_array_native_episodes_that_nobody_can_save_are_lost_and_said_to_be(case: Case) -> None:
    lost, _ = resumed(case, 1, vector_class=SeededVectorEnv)
    assert len(lost) == case.copies
    assert all("no get_state()/set_state()" in one for one in lost)


@pytest.mark.parametrize("joint", [False, True])
def test_joint_columns_go_on(joint: bool) -> None:
    """Whatever else a history does, with the joint columns on: replayed, and saved by the environment."""
    rng = random.Random(4)
    count = 0
    while count < 20:
        case = case_from_bytes(rng.randbytes(480))
        if "'x'" in repr(case.world):
            continue
        count += 1
        for kind in (SeededEnv, SavingEnv):
            assert resumed(replace(case, joint=joint), count % 3, env_class=kind) == ([], []), case
