"""Saves a worker to disk, restores a fresh one, and holds everything after it against the one that was never interrupted."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from marl.checkpoint import load_state, save_state


def through_disk(state: dict[str, Any]) -> dict[str, Any]:
    """``state`` as it comes back from a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = save_state(Path(folder) / "saved", {"worker": state})
        loaded: dict[str, Any] = load_state(path)["worker"]
    return loaded


def differences(left: Any, right: Any, where: str = "") -> list[str]:
    """Where two trees of arrays, numbers and batches are not the same to the bit."""
    if dataclasses.is_dataclass(left) and not isinstance(left, type):
        left, right = vars(left), vars(right)
    if isinstance(left, np.ndarray):
        same = isinstance(right, np.ndarray) and (left.dtype, left.shape) == (right.dtype, right.shape)
        same = same and left.tobytes() == right.tobytes()
        return [] if same else [f"{where}: {left!r} | {right!r}"]
    if isinstance(left, dict):
        if not isinstance(right, dict) or set(left) != set(right):
            return [f"{where}: keys {sorted(map(str, left))} | {sorted(map(str, right))}"]
        return [one for key in left for one in differences(left[key], right[key], f"{where}/{key}")]
    if isinstance(left, (list, tuple)):
        if not isinstance(right, (list, tuple)) or len(left) != len(right):
            return [f"{where}: {left!r} | {right!r}"]
        pairs = enumerate(zip(left, right, strict=True))
        return [one for index, (a, b) in pairs for one in differences(a, b, f"{where}/{index}")]
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return []
    return [] if left == right else [f"{where}: {left!r} | {right!r}"]


def of_batch(batch: Any) -> dict[str, Any]:
    """A multi-agent batch as a plain tree."""
    return {
        "num_env_steps": batch.num_env_steps,
        "num_agent_steps": batch.num_agent_steps,
        "episodes": batch.episodes,
        "policies": {
            policy_id: {"columns": rows.columns, "pieces": rows.pieces, "offsets": rows.offsets, "agents": rows.agents}
            for policy_id, rows in batch.policies.items()
        },
    }


Sample = Callable[[Any, int], Any]  # (worker, number of the fragment) -> what its sample() returns


def differences_after_restoring(make: Callable[[], Any], sample: Sample, before: int, after: int) -> tuple[list[str], list[str]]:
    """Sample ``before`` fragments, save, restore a fresh worker, and go on with both for ``after`` fragments.

    Returns:
        ``(lost, differences)``: what the restored worker said it lost, and where it went another way.
    """
    whole, fresh = make(), make()
    for number in range(before):
        sample(whole, number)
    lost = fresh.load_state_dict(through_disk(whole.state_dict()))
    found: list[str] = []
    for number in range(before, before + after):
        found += compare(sample(whole, number), sample(fresh, number), f"fragment {number}")
    if not lost and not found:
        found += differences(settled(whole.state_dict()), settled(fresh.state_dict()), "state afterwards")
    return lost, found


def settled(state: dict[str, Any]) -> dict[str, Any]:
    """A worker's state without what is not written yet: the answers of rows that wait for one, the columns of lives that are free."""
    for store in state.get("ledger", {}).get("stores", ()):
        for name, column in store["columns"].items():
            if name in ("actions", "joint_actions", "values"):
                column[~store["acted"]] = 0
        store["version"][~store["acted"]] = 0
    lives = state.get("ledger", {}).get("lives")
    if lives is not None:
        free = lives["free"]
        for name, column in lives.items():
            if isinstance(column, np.ndarray) and name != "free":
                column[free] = 0
        for leaves in state["recurrent"]:
            for leaf in leaves.values():
                leaf[free[free < len(leaf)]] = 0
    return state


def compare(left: Any, right: Any, where: str) -> list[str]:
    """Two results of ``sample``."""
    return differences(of_batch(left[0]), of_batch(right[0]), where) + differences(left[1], right[1], f"{where}, episodes")


def lengths_of(lengths: Sequence[int]) -> Sample:
    """Fragments of these lengths."""
    return lambda worker, number: worker.sample(num_env_steps=lengths[number])
