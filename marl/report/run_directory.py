"""A run's directory: ``runs/<name>/``, or without a name ``runs/<environment>-<time>/``; and what lies in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from marl.checkpoint import find_checkpoint
from marl.config import write_yaml
from marl.errors import RunError

CHECKPOINTS = "checkpoints"
CONFIG = "config.yaml"


def new_run_directory(
    parent: str | Path, name: str, config: Mapping[str, Any], *, timed: bool = True, now: Callable[[], datetime] = datetime.now
) -> Path:
    """Make a directory of its own for a new run and write its configuration.

    Args:
        timed: whether the time stands behind the name; a name that is taken gets a number in any case.

    Raises:
        RunError: the place is not writable.
    """
    stem = f"{file_name(name)}-{now():%Y%m%d-%H%M%S}" if timed else file_name(name)
    try:
        folder = Path(parent)
        folder.mkdir(parents=True, exist_ok=True)
        for count in range(1, 10_000):  # two runs of one name, or in one second
            path = folder / (stem if count == 1 else f"{stem}-{count}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            write_config(path, config)
            return path
    except OSError as error:
        raise RunError(
            f"cannot make the run's directory in {parent}: {error.strerror or error}. Make it writable, or choose another: --run-dir."
        ) from error
    raise RunError(f"{parent} holds 10,000 runs called {stem}; choose another --run-dir.")


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write ``config.yaml``, with which the run can be made again."""
    (path / CONFIG).write_text(write_yaml(config), encoding="utf-8")


def file_name(name: str) -> str:
    """A run's name as part of a path: ``pettingzoo/classic/tictactoe_v3`` → ``tictactoe_v3``."""
    last = name.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return re.sub(r"[^\w.-]+", "_", last).strip("._") or "run"


def run_of(checkpoint: str | Path) -> Path | None:
    """The directory of the run that wrote ``checkpoint``, or None if it lies elsewhere."""
    path = find_checkpoint(checkpoint).absolute()
    run = path.parent.parent
    return run if path.parent.name == CHECKPOINTS and (run / CONFIG).is_file() else None
