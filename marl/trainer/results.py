"""An iteration as people see it: flat metrics with fixed names, and its episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marl.batch import EpisodeRecord
from marl.loops import Run

PHASES = ("env", "inference", "framework")


def episode_results(records: Sequence[EpisodeRecord], hashes: Mapping[str, Mapping[int, str]]) -> list[dict[str, Any]]:
    """Every finished episode: id, tag, seats → (policy, version, hash of its weights), returns, length and end."""
    nothing: Mapping[int, str] = {}
    return [
        {
            "eps_id": record.eps_id,
            "tag": record.tag,
            "seats": {
                agent: (policy_id, version, hashes.get(policy_id, nothing).get(version))
                for agent, (policy_id, version) in record.seats.items()
            },
            "returns": record.returns,
            "num_env_steps": record.num_env_steps,
            "end": record.end,
        }
        for record in records
    ]


def learner_metrics(run: Run) -> dict[str, float]:
    """``learners/<id>/…`` of every learner."""
    return {
        f"learners/{name}/{metric}": value for name, learner in run.learners.items() for metric, value in learner.take_metrics().items()
    }


class PhaseTimes:
    """Wall time per phase since the last call, summed over workers."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen = self._now()

    def _now(self) -> dict[str, float]:
        found = {phase: sum(worker.timers[phase] for worker in self._run.workers) for phase in PHASES}
        return {**found, **self._run.timers}

    def take(self) -> dict[str, float]:
        """``time_s/<phase>`` since the last call."""
        before, self._seen = self._seen, self._now()
        return {f"time_s/{phase}": value - before[phase] for phase, value in self._seen.items()}
