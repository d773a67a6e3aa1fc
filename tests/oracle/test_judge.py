"""The judge itself: a batch in which one thing was spoiled must not pass."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from marl.batch import SampleBatch

from .histories import world_from_bytes
from .judge import Case, Evidence, disagreements, sampled


def column(name: str, change: Callable[[Any], Any]) -> Callable[[SampleBatch], SampleBatch]:
    def spoil(batch: SampleBatch) -> SampleBatch:
        batch.columns[name] = batch.columns[name].copy()
        batch.columns[name][-1] = change(batch.columns[name][-1])
        return batch

    return spoil


def piece(name: str, change: Callable[[Any], Any]) -> Callable[[SampleBatch], SampleBatch]:
    def spoil(batch: SampleBatch) -> SampleBatch:
        batch.pieces[name] = batch.pieces[name].copy()
        batch.pieces[name][batch.pieces["bootstrap_valid"].argmax()] = change(batch.pieces[name][batch.pieces["bootstrap_valid"].argmax()])
        return batch

    return spoil


def without_last_piece(batch: SampleBatch) -> SampleBatch:
    return batch.select_pieces(np.arange(batch.num_pieces) < batch.num_pieces - 1)


def twice(batch: SampleBatch) -> SampleBatch:
    return SampleBatch.concat([batch, batch])


SPOILERS: dict[str, Callable[[SampleBatch], SampleBatch]] = {
    "a row lost": without_last_piece,
    "rows doubled": twice,
    "reward": column("rewards", lambda value: value + 1),
    "discounted reward": column("rewards_discounted", lambda value: value + 0.01),
    "observation": column("obs", lambda value: value + np.array([0, 0, 0, 1, 0], np.float32).reshape(value.shape).astype(value.dtype)),
    "action": column("actions", lambda value: (value + 1) % 5),
    "terminated": column("terminateds", lambda value: not value),
    "truncated": column("truncateds", lambda value: not value),
    "ticks of a row": column("env_steps", lambda value: value + 1),
    "time": column("t", lambda value: value + 1),
    "life": column("life", lambda value: value + 1),
    "decision": column("decision", lambda value: value + 1),
    "cause": column("end_cause", lambda value: (value + 1) % 7),
    "version": column("weights_version", lambda value: value + 1),
    "bootstrap": piece("bootstrap_obs", lambda value: value + 1),
    "bootstrap_valid": piece("bootstrap_valid", lambda value: not value),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_a_spoiled_batch_is_found_out(name: str) -> None:
    rng = random.Random(2)
    tried = 0
    while tried < 5:
        case = Case(world_from_bytes(rng.randbytes(480)), 2, (6, 6))
        evidence: Evidence = sampled(case)
        policies = evidence.fragments[-1].batch.policies
        if not len(policies.get("main", ())):
            continue
        tried += 1
        assert not disagreements(case, evidence)
        policies["main"] = SPOILERS[name](copy.copy(policies["main"]))
        assert disagreements(case, evidence), f"{name} went unnoticed"
