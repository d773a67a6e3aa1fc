"""What every peer script shares: run a step until its budget of CPU seconds is spent, print a line of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from benchmarks.measure import Work, peak_memory_mib


def timed(peer: str, workload: str, row: str, step: Callable[[], Work], *, seconds: float) -> None:
    """One uncounted call to warm up, then calls of ``step`` for ``seconds`` of CPU time."""
    step()
    env_steps = agent_steps = 0
    start = time.process_time()
    while (spent := time.process_time() - start) < seconds:
        work = step()
        env_steps += work.env_steps
        agent_steps += work.agent_steps
    line = {
        "peer": peer,
        "workload": workload,
        "row": row,
        "env_steps_per_s": round(env_steps / spent, 1),
        "agent_steps_per_s": round(agent_steps / spent, 1),
        "cpu_s": round(spent, 2),
        "peak_memory_mib": round(peak_memory_mib()),
    }
    print(json.dumps(line), flush=True)
