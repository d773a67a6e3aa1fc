"""The checkpoints of one run: named by their iteration, the last n kept."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from marl.checkpoint.files import PARTIAL, PREVIOUS, finish_replacing, whole_folders
from marl.checkpoint.manifest import NAME
from marl.errors import CheckpointError

PREFIX = "iteration_"


def checkpoint_name(iteration: int) -> str:
    """``iteration_000042``: names sort as the run went."""
    return f"{PREFIX}{iteration:06d}"


def list_checkpoints(directory: str | Path) -> list[Path]:
    """Whole checkpoints in ``directory``, oldest first."""
    parent = Path(directory)
    with suppress(OSError):  # a place that may only be read is listed as it is
        for previous in parent.glob(f"*{PREVIOUS}"):
            finish_replacing(previous.with_name(previous.name.removesuffix(PREVIOUS)))
    return whole_folders(parent)


def keep_last(directory: str | Path, count: int | None) -> list[Path]:
    """Remove all but the last ``count`` checkpoints (None: keep all) and what crashes left half written; returns what was removed.

    Only folders that this module named are touched: a checkpoint with a name of its own stays.
    """
    parent = Path(directory)
    removed = []
    whole = list_checkpoints(parent)
    for left in [one for one in parent.glob(f"{PREFIX}*") if one.name.endswith((PARTIAL, PREVIOUS))]:
        shutil.rmtree(left, ignore_errors=True)
    if count is not None:
        if count < 1:
            raise ValueError(f"keep_last: count is {count}, expected 1 or more")
        for old in [one for one in whole if one.name.startswith(PREFIX)][:-count]:
            shutil.rmtree(old, ignore_errors=True)
            removed.append(old)
    return removed


def find_checkpoint(path: str | Path) -> Path:
    """``path`` if it is a checkpoint, or the last one of the run (or folder of checkpoints) at ``path``.

    Raises:
        CheckpointError: there is none.
    """
    given = Path(path)
    finish_replacing(given.absolute())
    if (given / NAME).is_file():
        return given
    for parent in (given / "checkpoints", given):
        found = list_checkpoints(parent)
        if found:
            return found[-1]
    what = "does not exist" if not given.exists() else "is neither a checkpoint nor a run with one"
    raise CheckpointError(f"{given} {what}; expected a checkpoint (a folder with {NAME}), or a run's folder with checkpoints/ in it.")
