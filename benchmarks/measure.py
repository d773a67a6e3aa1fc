"""How everything here is timed: CPU seconds of this process, contenders in turn, medians.

Absolute rates drift with the machine and its other users; ratios of rates taken in turn in one process
hold. So the bare environment and marl take turns (bare, ours, bare, ours, …), and a fraction is the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CHECKOUT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Work:
    """What one timed call did."""

    env_steps: int
    agent_steps: int


@dataclass(frozen=True)
class Contender:
    """One side of a comparison. ``run`` does a fixed amount of work, best about half a second or more."""

    name: str
    run: Callable[[], Work]


@dataclass
class Rates:
    """Steps per CPU second of each round."""

    env: list[float] = field(default_factory=list)
    agent: list[float] = field(default_factory=list)

    @property
    def env_steps_per_s(self) -> float:
        return statistics.median(self.env)

    @property
    def agent_steps_per_s(self) -> float:
        return statistics.median(self.agent)


@dataclass(frozen=True)
class Options:
    """What the command line chose."""

    rounds: int = 15
    quick: bool = False
    seed: int = 1


def take_turns(contenders: Sequence[Contender], *, rounds: int, warm_ups: int = 1) -> dict[str, Rates]:
    """Run all contenders once a round, in turn; the first ``warm_ups`` rounds are not counted."""
    rates = {one.name: Rates() for one in contenders}
    for round_index in range(warm_ups + rounds):
        for one in contenders:
            start = time.process_time()
            work = one.run()
            cpu_s = time.process_time() - start
            if round_index >= warm_ups:
                rates[one.name].env.append(work.env_steps / cpu_s)
                rates[one.name].agent.append(work.agent_steps / cpu_s)
    return rates


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, what it was held against, what was to be reached."""

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None
    details: dict[str, Any] = field(default_factory=dict)


def fraction_row(name: str, ours: Rates, bare: Rates, *, goal: float, agents: bool = False) -> Row:
    """``ours`` as a fraction of ``bare``; ``agents`` chooses agent steps over env steps."""
    mine, base = (ours.agent, bare.agent) if agents else (ours.env, bare.env)
    each = [a / b for a, b in zip(mine, base)]
    value = statistics.median(each)
    details = {
        "env_steps_per_s": round(ours.env_steps_per_s),
        "agent_steps_per_s": round(ours.agent_steps_per_s),
        "bare_env_steps_per_s": round(bare.env_steps_per_s),
        "bare_agent_steps_per_s": round(bare.agent_steps_per_s),
        "lowest_round": round(min(each), 3),
        "highest_round": round(max(each), 3),
        "rounds": len(each),
    }
    return Row(name, round(value, 3), "of bare", f"≥ {goal:g}", value >= goal, details)


def peak_memory_mib() -> float:
    """The most memory that this process ever held (Linux counts it in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if platform.system() == "Linux" else 1024**2)


def pin(core: int = 0) -> None:
    """Keep this process on one core (Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("--pin needs Linux (os.sched_setaffinity); leave it out here")
    os.sched_setaffinity(0, {core})


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_at_end": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def commit() -> str:
    """The commit measured, with a + if the tree has changes."""
    git = ["git", "-C", str(CHECKOUT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    tracked = subprocess.run(
        [*git, "status", "--porcelain", "-uno", "--", "marl", "envs", "plugins"], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+" if tracked.stdout.strip() else "")


def write(workload: str, rows: Sequence[Row], *, command: str, quick: bool = False) -> None:
    """Print the rows and put them into ``benchmarks/results``; a quick run is printed only."""
    for row in rows:
        mark = "" if row.met is None else (" met" if row.met else " NOT MET")
        print(f"{row.name:<52} {row.value:>12,.3f} {row.unit:<14} {row.goal}{mark}")
        print(
            "    "
            + ", ".join(f"{key} {value:,}" if isinstance(value, int | float) else f"{key} {value}" for key, value in row.details.items())
        )
    if quick:
        return
    RESULTS.mkdir(exist_ok=True)
    record = {
        "workload": workload,
        "command": command,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "rows": [asdict(row) for row in rows],
    }
    (RESULTS / f"{workload}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
