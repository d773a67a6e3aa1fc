"""How a run ended: how good it is, where it lies, what can be done with it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marl.report.progress import Progress, Result, duration, progress_of, results_told, short, stop_values


def results_lines(results: Sequence[Result]) -> list[str]:
    """Who beat whom, as aligned text."""
    if not results:
        return []
    rows = [("policy", "against", "as", "wins", "draws", "losses", "games")]
    for policy, opponents, seat, wins, draws, games in results:
        rows.append((policy, opponents, seat, f"{wins:.1%}", f"{draws:.1%}", f"{max(0.0, 1 - wins - draws):.1%}", f"{games:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(_cell(text, width, column) for column, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def _cell(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column < 3 else text.rjust(width)


def summary(
    metrics: Mapping[str, Any],
    *,
    checkpoint: Path | None,
    run: Path | None,
    learned: Sequence[str] = (),
    seats: Sequence[Any] = (),
    playable: bool = False,
    explore: bool | None = None,
    stop: Mapping[str, float] | None = None,
    curve: Path | None = None,
    drawable: bool = False,
    command: str = "marl",
) -> str:
    """The last words of a run.

    Args:
        metrics: of the last iteration, with ``evaluation/…`` where it was evaluated.
        checkpoint, run: where they lie; None: nowhere.
        learned: the policies that learn.
        seats: who can be played.
        playable: whether a person can play against it (moves that can be counted, two seats or more).
        explore: whether the evaluation explores.
        curve: the picture of the learning curve, if there is one.
        drawable: whether the game draws itself, so that an episode can be recorded.
        command: how ``marl`` is called from here (:func:`marl_command`).
    """
    progress = progress_of(metrics, stop or {})
    lines = [_first_line(progress, metrics)]
    against = results_told(metrics, "evaluation/", learned)
    how = "" if explore is None else " (exploring)" if explore else " (greedy)"
    if against:
        lines += ["", f"in evaluation{how}:", *(f"  {line}" for line in results_lines(against))]
    elif "evaluation/episode_return_mean" in metrics:
        count = int(metrics.get("evaluation/episode_return_count", 0))
        lines += ["", f"in evaluation{how}: return {short(metrics['evaluation/episode_return_mean'])} over {count} episodes"]
    lines.append("")
    if checkpoint is not None:
        lines.append(f"checkpoint   {shown_path(checkpoint)}")
    if curve is not None:
        lines.append(f"curve        {shown_path(curve)}")
    if run is not None:
        where = shlex.quote(shown_path(run))
        if playable and len(seats) > 1:
            policy = f" --opponent {shlex.quote(learned[0])}" if len(learned) > 1 else ""
            lines.append(f"play it      {command} play {where} --as {shlex.quote(str(seats[0]))}{policy}")
        lines.append(f"evaluate it  {command} evaluate {where}")
        if drawable:
            lines.append(f"record it    {command} evaluate {where} --record episode.gif")
        lines.append(f"go on        {command} train --resume {where} --set stop.{_further(stop or {}, metrics)}")
    return "\n".join(lines).rstrip()


def _first_line(progress: Progress, metrics: Mapping[str, Any]) -> str:
    spent = f" in {duration(float(metrics['time_s/total']))}" if "time_s/total" in metrics else ""
    lines = f"{progress.iteration:,} iterations, {progress.num_env_steps:,} env steps{spent}"
    if progress.return_mean is not None:
        lines += f"; return {short(progress.return_mean)} over the last {progress.return_count} episodes"
    return lines


def _further(stop: Mapping[str, float], metrics: Mapping[str, Any]) -> str:
    """The stop condition that ended the run, twice as far."""
    done = stop_values(stop, metrics)
    reached = [key for key, share in done.items() if share >= 1] or list(done)
    if reached:
        return f"{reached[0]}={2 * stop[reached[0]]:.0f}"
    return f"num_env_steps={2 * max(1, progress_of(metrics, stop).num_env_steps)}"


def judgement_lines(metrics: Mapping[str, Any], learned: Sequence[str] = ()) -> list[str]:
    """An evaluation alone, as text; results are those of the ``learned`` policies."""
    count = int(metrics.get("episode_return_count", 0))
    lines = [f"{count:,} episodes of {short(metrics.get('episode_len_mean'))} env steps on average"]
    low, high = short(metrics.get("episode_return_min")), short(metrics.get("episode_return_max"))
    lines.append(f"return {short(metrics.get('episode_return_mean'))} (from {low} to {high}), summed over agents")
    for kind in ("policies", "agents"):
        names = [name for name in metrics if name.startswith(f"{kind}/") and name.endswith("/return_mean") and name.count("/") == 2]
        lines += [f"  {kind[:-1] if kind == 'agents' else 'policy'} {name.split('/')[1]}: {short(metrics[name])}" for name in names]
    return lines + results_lines(results_told(metrics, "", learned))


def marl_command() -> str:
    """How ``marl`` is called from this shell: by its name where the shell finds this very program, else by its path."""
    ours = Path(sys.executable).with_name("marl")
    found = shutil.which("marl")
    if not ours.exists() or (found is not None and Path(found).resolve() == ours.resolve()):
        return "marl"
    return shlex.quote(shown_path(ours))


def shown_path(path: Path) -> str:
    """``path`` as it is shortest to type from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
