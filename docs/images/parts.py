"""Draws ``parts.png``, the picture of the parts in the README: ``.venv/bin/python docs/images/parts.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

INK, PAPER = "#1f2933", "#ffffff"
GAME, CORE, PLUGIN = "#fde9c9", "#d9e8f6", "#dcefdc"

Place = tuple[float, float, float, float]  # left, bottom, width, height
Point = tuple[float, float]


def box(axes: Any, place: Place, title: str, text: str, colour: str, *, text_below_title: float | None = None) -> None:
    """A named part. Its text is centred below the title, or ``text_below_title`` under it."""
    left, bottom, width, height = place
    axes.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.12", fc=colour, ec=INK, lw=1.1))
    title_y = bottom + height - 0.26
    text_y = bottom + (height - 0.42) / 2 if text_below_title is None else title_y - text_below_title
    write(axes, (left + width / 2, title_y), title, fontsize=11, weight="bold")
    write(axes, (left + width / 2, text_y), text, fontsize=8, linespacing=1.45)


def write(axes: Any, place: Point, text: str, **style: Any) -> None:
    axes.text(*place, text, ha="center", va="center", color=INK, **{"fontsize": 7.5, **style})


def arrow(axes: Any, start: Point, end: Point) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=13, lw=1.3, color=INK))


def draw(target: Path) -> None:
    width, height = 11.6, 3.4
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")

    box(axes, (0.15, 1.2, 1.55, 1.3), "environment", "PettingZoo\nGymnasium\nRLlib, your own", GAME)
    box(axes, (2.15, 1.2, 1.55, 1.3), "adapter", "who is due,\nwho was paid,\nwhose life ended", GAME)
    box(axes, (4.2, 0.55, 3.1, 2.68), "sampler", "many copies of the environment at once", CORE, text_below_title=0.27)
    box(axes, (4.35, 1.65, 1.35, 0.9), "router", "agent → policy,\nonce an episode", PAPER)
    box(axes, (5.82, 1.65, 1.35, 0.9), "policies", "one forward\npass each", PAPER)
    box(axes, (4.35, 0.68, 2.82, 0.84), "ledger", "each reward to the decision that earned it", PAPER)
    box(axes, (7.9, 1.2, 1.35, 1.3), "batch", "rows of each\npolicy, in order,\nlives intact", CORE)
    box(axes, (9.85, 1.2, 1.6, 1.3), "algorithm", "PPO, or a plugin\nof your own,\none per policy", PLUGIN)

    for left, right in (1.7, 2.15), (3.7, 4.2):
        arrow(axes, (left, 2.0), (right, 2.0))
        arrow(axes, (right, 1.7), (left, 1.7))
    write(axes, (2.92, 2.68), "observations, rewards, ends →")
    write(axes, (2.92, 1.02), "← actions")
    arrow(axes, (7.3, 1.85), (7.9, 1.85))
    arrow(axes, (9.25, 1.85), (9.85, 1.85))
    axes.plot([10.65, 10.65, 5.75], [1.2, 0.22, 0.22], color=INK, lw=1.3, solid_joinstyle="round")
    arrow(axes, (5.75, 0.2), (5.75, 0.57))
    write(axes, (8.2, 0.34), "new weights")
    figure.savefig(target, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    draw(Path(__file__).with_name("parts.png"))
