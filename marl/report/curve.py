"""The learning curve of a run as a picture."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from marl.report.loggers import STEP


def read_progress(path: str | Path) -> dict[str, list[float]]:
    """The columns of a ``progress.csv``; empty cells are NaN."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def curve_names(columns: Sequence[str]) -> list[tuple[str, list[str]]]:
    """``(title, columns)`` of the panels worth a picture: returns, and win rates in evaluation where there are some."""
    returns = [name for name in columns if name == "episode_return_mean"]
    policies = [name for name in columns if name.startswith("policies/") and name.endswith("/return_mean") and name.count("/") == 2]
    wins = [name for name in columns if name.startswith("evaluation/policies/") and name.endswith("/win_rate")]
    evaluated = [name for name in columns if name == "evaluation/episode_return_mean"]
    panels = [("return", [*returns, *evaluated, *(policies if len(policies) > 1 else [])]), ("win rate in evaluation", wins)]
    return [(title, names) for title, names in panels if names]


def write_curve(progress: str | Path, target: str | Path) -> Path | None:
    """Draw the learning curve of ``progress.csv`` into ``target`` (PNG); None where matplotlib is missing or there is nothing to draw."""
    if find_spec("matplotlib") is None or not Path(progress).exists():
        return None
    columns = read_progress(progress)
    panels = curve_names(list(columns))
    if not panels or STEP not in columns:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # loaded on use; pyplot and its global state are not needed
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.2 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, names) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        for name in names:
            points = [(step, value) for step, value in zip(columns[STEP], columns[name]) if not math.isnan(value)]
            if points:
                steps, values = zip(*points)
                axes.plot(steps, values, marker="." if len(points) < 3 else "", label=name.removeprefix("evaluation/"))
        axes.set_ylabel(title)
        axes.set_xlabel("env steps")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    figure.savefig(target, dpi=110)
    return Path(target)
