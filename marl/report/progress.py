"""What one iteration says to people: how far, how fast, how well. Text and numbers only; the displays arrange them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Result: TypeAlias = tuple[str, str, str, float, float, int]
"""Policy, opponents, seat, win rate, draw rate, games."""

STEPS = "num_env_steps_sampled_total"
_STOP_METRICS = {
    "num_env_steps": STEPS,
    "num_agent_steps": "num_agent_steps_sampled_total",
    "iterations": "iteration",
    "time_s": "time_s/total",
}
_SHOWN_RESULTS = 4
_UNITS = {"num_env_steps": "env steps", "num_agent_steps": "agent steps", "iterations": "iterations", "time_s": "s"}


@dataclass(frozen=True)
class Progress:
    """One iteration, in a few numbers.

    Attributes:
        fraction: how much of the nearest counting stop condition is done, 0 to 1; None: there is none.
        of: that condition, e.g. ``"300,000 env steps"``.
        seconds_left: at the present rate; None where nothing can be said.
        evaluated: mean return in this iteration's evaluation; None: it had none.
        returns: ``(name, mean return)`` of every policy, several only.
        results: of this iteration's evaluation: ``(policy, opponents, seat, win rate, draw rate, games)``.
        shares: phase → share of the iteration's wall time.
    """

    iteration: int
    num_env_steps: int
    rate: float | None
    fraction: float | None
    of: str
    seconds_left: float | None
    return_mean: float | None
    return_count: int
    evaluated: float | None
    returns: tuple[tuple[str, float], ...]
    results: tuple[Result, ...]
    shares: tuple[tuple[str, float], ...]


def progress_of(metrics: Mapping[str, Any], stop: Mapping[str, float], learned: Sequence[str] = ()) -> Progress:
    """Read a :class:`Progress` from metrics with the fixed names; ``learned``: the policies whose results are told."""
    fraction, of, left = None, "", None
    done = stop_values(stop, metrics)
    if done:
        key = max(done, key=lambda one: done[one])
        fraction, of = min(1.0, done[key]), f"{stop[key]:,.0f} {_UNITS[key]}"
        left = _seconds_left(key, stop[key], metrics, float(metrics.get("time_s/total", 0.0)))
    policies = [(name.split("/")[1], float(value)) for name, value in metrics.items() if _is_policy_return(name)]
    total = float(metrics.get("time_s/iteration", 0.0))
    phases = [(name.removeprefix("time_s/"), float(value)) for name, value in metrics.items() if name.startswith("time_s/")]
    shares = [(name, value / total) for name, value in phases if total > 0 and name not in ("total", "iteration")]
    return Progress(
        iteration=int(metrics.get("iteration", 0)),
        num_env_steps=int(metrics.get(STEPS, 0)),
        rate=metrics.get("num_env_steps_per_s"),
        fraction=fraction,
        of=of,
        seconds_left=left,
        return_mean=metrics.get("episode_return_mean"),
        return_count=int(metrics.get("episode_return_count", 0)),
        evaluated=metrics.get("evaluation/episode_return_mean"),
        returns=tuple(policies) if len(policies) > 1 else (),
        results=tuple(results_told(metrics, "evaluation/", learned)),
        shares=tuple(shares),
    )


def stop_values(stop: Mapping[str, float], metrics: Mapping[str, Any]) -> dict[str, float]:
    """How much of each counting stop condition is done: 1 and more: it holds."""
    return {key: float(metrics.get(metric, 0.0)) / stop[key] for key, metric in _STOP_METRICS.items() if stop.get(key)}


def _seconds_left(key: str, threshold: float, metrics: Mapping[str, Any], elapsed: float) -> float | None:
    if key == "time_s":
        return max(0.0, threshold - elapsed)
    done = float(metrics.get(_STOP_METRICS[key], 0.0))
    rate = float(metrics.get("num_env_steps_per_s") or 0.0)
    if key == "num_env_steps" and rate > 0:
        return max(0.0, threshold - done) / rate
    return max(0.0, threshold - done) * elapsed / done if done and elapsed else None


def _is_policy_return(name: str) -> bool:
    return name.startswith("policies/") and name.endswith("/return_mean") and name.count("/") == 2


def results_of(metrics: Mapping[str, Any], prefix: str = "") -> list[Result]:
    """``(policy, opponents, seat, win rate, draw rate, games)`` of every ``policies/<id>/vs/<opponents>/<seat>/…`` under ``prefix``."""
    found = []
    for name, value in metrics.items():
        if name.startswith(f"{prefix}policies/") and name.endswith("/win_rate"):
            stem = name.removesuffix("/win_rate")
            parts = stem.removeprefix(f"{prefix}policies/").split("/")
            if len(parts) >= 4 and parts[1] == "vs":
                draws, games = metrics.get(f"{stem}/draw_rate", 0.0), metrics.get(f"{stem}/count", 0)
                found.append((parts[0], parts[2], "/".join(parts[3:]), float(value), float(draws), int(games)))
    return sorted(found)


def telling(results: Iterable[Result], learned: Sequence[str]) -> list[Result]:
    """The results that tell something: of learned policies, against others (against themselves only if there is nothing else)."""
    mine = [one for one in results if not learned or one[0] in learned]
    return [one for one in mine if one[1] != one[0]] or mine


def results_told(metrics: Mapping[str, Any], prefix: str, learned: Sequence[str]) -> list[Result]:
    """What to tell of who beat whom.

    A policy that sits in all seats of a game whose sum of returns changes from episode to episode is a team: nobody beats anybody.
    """
    results = telling(results_of(metrics, prefix), learned)
    shared_out = metrics.get(f"{prefix}episode_return_min") == metrics.get(f"{prefix}episode_return_max")
    return results if shared_out or any(opponents != policy for policy, opponents, *_ in results) else []


def duration(seconds: float) -> str:
    """``45 s``, ``12:34``, ``3:02:10``."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, last = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{last:02}" if hours else f"{minutes}:{last:02}"


def short(value: float | None) -> str:
    """A return in few characters."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def line(progress: Progress) -> str:
    """One iteration as one line of plain text."""
    parts = [f"iteration {progress.iteration}"]
    steps = f"{progress.num_env_steps:,} env steps"
    parts.append(steps if progress.fraction is None else f"{steps} ({progress.fraction:.0%} of {progress.of})")
    episodes = f" ({progress.return_count} episodes)" if progress.return_count < 100 else ""
    parts.append(f"return {short(progress.return_mean)}{episodes}")
    if progress.evaluated is not None:
        parts.append(f"evaluation {short(progress.evaluated)}")
    if progress.returns:
        parts.append(", ".join(f"{name} {short(value)}" for name, value in progress.returns))
    wins = progress.results[:_SHOWN_RESULTS]
    if wins:
        parts.append("wins " + ", ".join(f"{policy} as {seat} against {other} {rate:.0%}" for policy, other, seat, rate, _, _ in wins))
    if progress.rate:
        parts.append(f"{progress.rate:,.0f} env steps/s")
    if progress.seconds_left is not None and (progress.fraction or 0) < 1:
        parts.append(f"{duration(progress.seconds_left)} left")
    return " | ".join(parts)
