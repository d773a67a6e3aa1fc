"""The learning curve of a run as a picture."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from marl.report.loggers import STEP
from marl.report.progress import Result, results_of, telling

Line = tuple[str, str, list[float]]  # label, matplotlib's line style, values
MOST_RESULTS = 4


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


def panels_of(columns: Mapping[str, list[float]], learned: Sequence[str] = ()) -> list[tuple[str, list[Line]]]:
    """``(title, lines)`` of the panels worth a picture.

    Returns; and how the ``learned`` policies' games of evaluation ended, wins and losses apart (a draw is neither). Where games are judged
    and returns never change (they sum to zero in every game of two), the returns tell nothing and are left out.
    """
    results = _results(columns, learned)
    returns = _returns(columns)
    values = {value for _, _, line in returns for value in line if not math.isnan(value)}
    panels = [("return", returns), ("games in evaluation", results)]
    if results and len(values) <= 1:
        panels = panels[1:]
    elif all(policy == opponents for policy, opponents, *_ in _told(columns, learned)):
        panels = panels[:1]  # a team: nobody wins against anybody
    return [(title, lines) for title, lines in panels if lines]


def _returns(columns: Mapping[str, list[float]]) -> list[Line]:
    policies = [name for name in columns if name.startswith("policies/") and name.endswith("/return_mean") and name.count("/") == 2]
    named = {"episode_return_mean": "training", "evaluation/episode_return_mean": "evaluation"}
    named |= {name: name.split("/")[1] for name in policies} if len(policies) > 1 else {}
    return [(label, "-", columns[name]) for name, label in named.items() if name in columns]


def _results(columns: Mapping[str, list[float]], learned: Sequence[str]) -> list[Line]:
    lines: list[Line] = []
    for policy, opponents, seat, *_ in _told(columns, learned)[:MOST_RESULTS]:
        stem = f"evaluation/policies/{policy}/vs/{opponents}/{seat}"
        won = columns[f"{stem}/win_rate"]
        drawn = columns.get(f"{stem}/draw_rate", [0.0] * len(won))
        label = f"{policy} as {seat} against {opponents}"
        lines += [(f"{label} wins", "-", won), (f"{label} loses", ":", [1 - win - draw for win, draw in zip(won, drawn)])]
    return lines


def _told(columns: Mapping[str, list[float]], learned: Sequence[str]) -> list[Result]:
    return telling(results_of(dict.fromkeys(columns, 0.0), "evaluation/"), learned)


def write_curve(progress: str | Path, target: str | Path, learned: Sequence[str] = ()) -> Path | None:
    """Draw the learning curve of ``progress.csv`` into ``target`` (PNG); None where matplotlib is missing or there is nothing to draw.

    Args:
        learned: the policies whose results are told; empty: all.
    """
    if find_spec("matplotlib") is None or not Path(progress).exists():
        return None
    columns = read_progress(progress)
    panels = panels_of(columns, learned)
    if not panels or STEP not in columns:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # loaded on use; pyplot and its global state are not needed
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.8, 3.2 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, lines) in enumerate(panels):
        _draw(figure.add_subplot(len(panels), 1, place + 1), title, columns[STEP], lines)
    figure.savefig(target, dpi=110)
    return Path(target)


def _draw(axes: Any, title: str, steps: Sequence[float], lines: Sequence[Line]) -> None:
    from matplotlib.ticker import EngFormatter, PercentFormatter

    shares = title != "return"
    for place, (label, style, values) in enumerate(lines):
        points = [(step, value) for step, value in zip(steps, values) if not math.isnan(value)]
        if points:
            # A seat's wins and losses share a colour.
            colour = f"C{place // 2 if shares else place}"
            axes.plot(*zip(*points), style, color=colour, marker="." if len(points) < 3 else "", label=label)
    axes.set_xlim(left=0)
    axes.set_xlabel("env steps")
    axes.set_ylabel(title)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if shares:
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)
