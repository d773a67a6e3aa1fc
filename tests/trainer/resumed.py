"""Goes on with a run in a fresh process: ``python resumed.py CHECKPOINT ITERATIONS OUT`` writes what came out as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import marl
from marl.loops import weights_hash


def outcome(trainer: marl.Trainer, iterations: int) -> dict[str, Any]:
    """Metrics and episodes of the next iterations, and the hash of every weight after them; no wall time."""
    results = [trainer.train() for _ in range(iterations)]
    return {
        "metrics": [
            {name: value for name, value in result["metrics"].items() if not name.startswith("time_s/") and not name.endswith("_per_s")}
            for result in results
        ],
        "episodes": [
            [{**one, "seats": {str(agent): list(seat) for agent, seat in one["seats"].items()}} for one in r["episodes"]] for r in results
        ],
        "weights": {policy_id: weights_hash(policy.get_weights()) for policy_id, policy in trainer.roster.with_weights().items()},
        "in_workers": [
            weights_hash(policy.get_weights())
            for worker in trainer.state.workers
            for policy in worker.policies.values()
            if hasattr(policy, "get_weights")
        ],
        "lost": trainer.lost_at_restore,
    }


if __name__ == "__main__":
    checkpoint, iterations, out = sys.argv[1:]
    restored = marl.Trainer.restore(checkpoint, trust=["trainer"])
    Path(out).write_text(json.dumps(outcome(restored, int(iterations))))
