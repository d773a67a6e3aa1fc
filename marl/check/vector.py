"""``check_vector_env``: the basic contract of array-native environments, with random legal actions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from marl.check.report import Report
from marl.check.returned import Stop
from marl.check.vector_run import Run

_MEMBERS = ("num_envs", "slots", "single_observation_spaces", "single_action_spaces", "reset", "step")
_NUM_RESETS = 5  # automatic resets that are compared with a reset of one's own


def check_vector_env(env: Any, *, seed: int = 0, num_steps: int = 200) -> Report:
    """Step all copies of ``env`` with random legal actions, and report what breaks :class:`marl.env.VectorMultiAgentEnv`.

    Looked at: shapes, dtypes and values of every array; ends, new lives and final observations; copies that end begin again as their
    seed says; inactive copies stand still (unless ``can_hold`` is False); the same seeds and actions give the same; and copy 0 does not
    notice what the others do. ``step`` in the report counts calls of ``step``; ``seen`` names the copy.

    Returns:
        The report. Nothing is raised, whatever the environment does.
    """
    report = Report()
    missing = [member for member in _MEMBERS if not hasattr(env, member)]
    if missing or isinstance(env, type):
        report.add("vector-members", f"no {', '.join(missing)}" if missing else f"the class {env.__name__}")
        return report
    unstated = [
        (kind, slot) for kind in ("observation", "action") for slot in env.slots if slot not in getattr(env, f"single_{kind}_spaces")
    ]
    for kind, slot in unstated:
        report.add("missing-spaces", f"no {kind} space", agent=slot, part=kind)
    if unstated:
        return report
    first = Run(env, report, seed)
    first.walk(num_steps)
    if not first.stopped:
        again = Run(env, Report(), seed)
        again.walk(num_steps, recorded=first.actions)
        _compare(first, again, range(env.num_envs), report)
        equal_to_itself = report.rules.isdisjoint({"reset-not-seeded", "not-deterministic"})
        if env.num_envs > 1 and equal_to_itself:  # else nothing would follow from a difference
            alone = Run(env, Report(), seed, others=1)
            alone.walk(num_steps, recorded=first.actions)
            _compare(first, alone, range(1), report, rule="vector-copies")
        _check_resets(env, first, report)
    report.facts.append(f"{env.num_envs} copies of {len(env.slots)} slots")
    return report


def _compare(first: Run, other: Run, copies: range, report: Report, rule: str | None = None) -> None:
    """Report the first step at which a slot of one of ``copies`` says something else."""
    for step, (mine, theirs) in enumerate(zip(first.said, other.said, strict=False)):
        for e in copies:
            for a, slot in enumerate(first.slots):
                if mine[e][a] != theirs[e][a]:
                    name = rule or ("not-deterministic" if step else "reset-not-seeded")
                    seen = "changed when the others played otherwise" if rule else "something else when played again"
                    report.add(name, f"copy {e}: {seen}", agent=slot, step=step)
                    return
    if len(first.said) != len(other.said):
        report.add(rule or "not-deterministic", "the walk stopped when played again", step=len(other.said))


def _check_resets(env: Any, run: Run, report: Report) -> None:
    """Whether copies that reset themselves began as ``reset`` does from the same seed."""
    for reset in run.resets[:_NUM_RESETS]:
        run.step = reset.step
        try:
            said = run.call(partial(env.reset, seed=np.full(run.num_envs, reset.seed, np.int64)))
        except Stop:
            return
        shown = run.shown(said, reset.copy)
        for a, slot in enumerate(run.slots):
            if shown[a] != reset.shown[a]:
                seen = f"copy {reset.copy}: not what reset(seed={reset.seed}) shows"
                report.add("vector-reset", seen, agent=slot, step=reset.step)
