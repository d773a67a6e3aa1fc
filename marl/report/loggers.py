"""Where metrics go: a small plug point, and the two loggers that every run has.

A logger is anything with ``log(metrics)`` and ``close()``. In a run file, ``loggers: [csv, tensorboard, my_package:MyLogger]``; a class or
function is called with the run's directory and makes one.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from marl.errors import ConfigError, Problem
from marl.report.event_file import EventFile

STEP = "num_env_steps_sampled_total"
FIRST_COLUMNS = ("iteration", STEP, "num_agent_steps_sampled_total", "episode_return_mean", "episode_len_mean", "time_s/total")


@runtime_checkable
class Logger(Protocol):
    """What takes the metrics of every iteration."""

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Take one iteration's metrics: flat names (docs/metrics.md) to numbers."""
        ...

    def close(self) -> None:
        """The run is over, or was interrupted."""
        ...


class CsvLogger:
    """``progress.csv``: one row an iteration. Metrics that appear later become new columns; earlier rows are empty there.

    Args:
        directory: the run's.
        after_iteration: a resumed run goes on behind this iteration; rows of later ones, which a crash made unreal, are dropped.
    """

    def __init__(self, directory: str | Path, *, after_iteration: int = 0) -> None:
        self.path = Path(directory) / "progress.csv"
        self._columns: list[str] = []
        self._rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                self._columns = list(reader.fieldnames or [])
                self._rows = [row for row in reader if _iteration(row) <= after_iteration]
            self._rewrite()
        self._file = self.path.open("a", newline="", encoding="utf-8")

    def log(self, metrics: Mapping[str, Any]) -> None:
        numbers = scalars(metrics)
        fresh = [name for name in (*FIRST_COLUMNS, *sorted(numbers)) if name in numbers and name not in self._columns]
        row = {name: repr(value) for name, value in numbers.items()}
        if fresh:
            self._file.close()
            self._columns += list(dict.fromkeys(fresh))
            self._rows = [*self._read(), row]
            self._rewrite()
            self._file = self.path.open("a", newline="", encoding="utf-8")
            return
        csv.DictWriter(self._file, self._columns, restval="", lineterminator="\n").writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _read(self) -> list[dict[str, str]]:
        if self._rows or not self.path.exists():
            rows, self._rows = self._rows, []
            return rows
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _rewrite(self) -> None:
        """The whole file anew, beside and renamed, so that a crash leaves the old one."""
        partial = self.path.with_name(self.path.name + ".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)
        self._rows = []
        os.replace(partial, self.path)


def _iteration(row: Mapping[str, str]) -> float:
    try:
        return float(row["iteration"])
    except (KeyError, TypeError, ValueError):  # a last line cut short by a crash
        return float("inf")


class TensorBoardLogger:
    """Event files in the run's directory, against env steps; the file is made with the first metrics."""

    def __init__(self, directory: str | Path, *, from_step: int = 0) -> None:
        self._directory, self._from_step = Path(directory), from_step
        self._events: EventFile | None = None

    def log(self, metrics: Mapping[str, Any]) -> None:
        if self._events is None:
            self._events = EventFile(self._directory, from_step=self._from_step + 1 if self._from_step else 0)
        self._events.add(int(metrics.get(STEP, 0)), scalars(metrics))

    def close(self) -> None:
        if self._events is not None:
            self._events.close()


def scalars(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of ``metrics``; nested sections become names with slashes, all else is left out."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= scalars(value, f"{prefix}{name}/")
        elif isinstance(value, (bool, int, float)) or (hasattr(value, "item") and getattr(value, "size", 1) == 1):
            number = value if isinstance(value, (bool, int, float)) else value.item()
            if isinstance(number, (bool, int, float)):
                found[f"{prefix}{name}"] = int(number) if isinstance(number, bool) else number
    return found


def make_loggers(names: Sequence[Any], directory: str | Path, *, after_iteration: int = 0, from_step: int = 0) -> list[Logger]:
    """The loggers that a run names: ``csv``, ``tensorboard``, or a class, function or object of the user's own.

    Args:
        after_iteration, from_step: where a resumed run goes on; 0 for a new one.

    Raises:
        ConfigError: something that was named is no logger; all of them at once.
    """
    made: list[Logger] = []
    problems = []
    for index, name in enumerate(names):
        if name == "csv":
            made.append(CsvLogger(directory, after_iteration=after_iteration))
        elif name == "tensorboard":
            made.append(TensorBoardLogger(directory, from_step=from_step))
        else:
            logger = name if isinstance(name, Logger) and not isinstance(name, type) else name(Path(directory)) if callable(name) else name
            if isinstance(logger, Logger):
                made.append(logger)
            else:
                problems.append(
                    Problem(f"loggers[{index}]", f"{name!r} is no logger", "csv, tensorboard, or what has log(metrics) and close()")
                )
    if problems:
        raise ConfigError(problems)
    return made
