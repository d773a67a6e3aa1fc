"""``python -m benchmarks peers [W1 …]``: ours and the peers one after another on the same machine, and the ratios.

Each contender runs in a process of its own (RLlib and Stable-Baselines3 in their own virtual environments) with one torch thread; rates are
per CPU second of that process. Ours is measured before and after the peers, and the mean of both is held against them: a machine
that slows down meanwhile does so for everyone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import w4_race
from benchmarks.measure import CHECKOUT, Options, Row, write

PYTHONS = {name: CHECKOUT / f".venv-peers-{name}" / "bin" / "python" for name in ("rllib", "sb3")}
NAMES = {"rllib": "RLlib", "sb3": "Stable-Baselines3"}
RACE_GOAL = 0.65


@dataclass(frozen=True)
class Pair:
    """One of our rows against one of a peer's, by env steps or agent steps, and the ratio to reach (None: none was set)."""

    ours: str
    peer: str
    row: str
    by: str = "env_steps_per_s"
    goal: float | None = None
    note: str = ""


def _pairs() -> dict[str, list[Pair]]:
    rows_of_both = ("sampling", "sampling and PPO")
    many = {2: "2", 10: "10", 100: "100", 1000: "1000"}
    w1 = [
        Pair(f"W1 simple_spread: {row}", "sb3", f"{copies} environments: {row}", note=f" with {copies} environments")
        for copies in (32, 128)
        for row in rows_of_both
    ]
    return {
        "W1": w1 + [Pair(f"W1 simple_spread: {row}", "rllib", f"32 environments: {row}") for row in rows_of_both],
        "W2": [Pair(f"W2 tic-tac-toe: {row}", "rllib", f"32 environments: {row}") for row in rows_of_both],
        "W3": [
            Pair("W3 four CartPoles: sampling", "rllib", "32 environments: sampling", "agent_steps_per_s", 10),
            Pair("W3 four CartPoles: sampling and PPO", "rllib", "32 environments: sampling and PPO", "agent_steps_per_s"),
        ],
        "W4": [
            Pair(f"W4 {name}: sampling", peer, f"{name}: sampling", goal=1)
            for peer in ("sb3", "rllib")
            for name in ("CartPole-v1", "Pendulum-v1")
        ],
        "W5": [
            Pair(f"W5 {agents:,} agents: sampling", peer, f"{text} agents: sampling", "agent_steps_per_s", goal)
            for peer, goal in (("sb3", 3), ("rllib", 25))
            for agents, text in many.items()
        ],
    }


def compare(names: Sequence[str], options: Options) -> None:
    """Measure, print and write every workload asked for; all that have peers by default."""
    missing = [str(python) for python in PYTHONS.values() if not python.exists()]
    if missing:
        raise SystemExit(f"missing {', '.join(missing)}: run `make bench-peers`, which makes them")
    pairs = _pairs()
    for name in names or [*pairs, "W4race"]:
        command = f"make bench-peers ARGS={name}"
        if name == "W4race":
            write("peers_W4race", [_race(options)], command=command, quick=options.quick)
        elif name in pairs:
            write(f"peers_{name}", _ratios(name, pairs[name], options), command=command, quick=options.quick)
        else:
            print(f"{name} has no peer")


def _ratios(workload: str, pairs: Iterable[Pair], options: Options) -> list[Row]:
    pairs = list(pairs)
    before = _ours(workload, options)
    theirs = {
        (line["peer"], line["row"]): line for peer in sorted({one.peer for one in pairs}) for line in _theirs(peer, workload, options)
    }
    after = _ours(workload, options)
    rows = []
    for pair in pairs:
        peer = theirs[pair.peer, pair.row]
        mine = statistics.fmean(found[pair.ours]["details"][pair.by] for found in (before, after))
        ratio = mine / peer[pair.by]
        details = {
            f"our_{pair.by}": round(mine),
            f"their_{pair.by}": round(peer[pair.by]),
            "their_peak_memory_mib": peer["peak_memory_mib"],
            "their_row": pair.row,
        }
        goal = "" if pair.goal is None else f"≥ {pair.goal:g}"
        met = None if pair.goal is None else ratio >= pair.goal
        rows.append(Row(f"{pair.ours}, against {NAMES[pair.peer]}{pair.note}", round(ratio, 2), "times", goal, met, details))
    return rows


def _ours(workload: str, options: Options) -> dict[str, Any]:
    """Our rows by name, measured now in a fresh process."""
    code = (
        "import importlib, json, sys, torch; torch.set_num_threads(1); from dataclasses import asdict;"
        "from benchmarks.__main__ import WORKLOADS; from benchmarks.measure import Options;"
        "rows = importlib.import_module(WORKLOADS[sys.argv[1]]).rows(Options(rounds=int(sys.argv[2])));"
        "print(json.dumps([asdict(row) for row in rows]))"
    )
    rounds = "2" if options.quick else "4"
    return {row["name"]: row for row in json.loads(_output(Path(sys.executable), "-c", code, workload, rounds)[-1])}


def _theirs(peer: str, workload: str, options: Options) -> list[dict[str, Any]]:
    """A peer's lines of JSON."""
    seconds = "1" if options.quick else "12"
    lines = _output(PYTHONS[peer], "-W", "ignore", "-m", f"benchmarks.peers.{peer}", workload, seconds)
    return [json.loads(line) for line in lines if line.startswith("{")]


def _output(python: Path, *arguments: str) -> list[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "envs")])}
    done = subprocess.run([str(python), *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()


def _race(options: Options) -> Row:
    """Seed by seed in turn, ours and theirs; medians of CPU seconds."""
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for seed in range(options.seed, options.seed + (2 if options.quick else 5)):
        ours += w4_race.each_seed([seed])
        theirs += w4_race.each_seed([seed], python=str(PYTHONS["sb3"]), module="benchmarks.peers.sb3_race")
    mine, peer = (statistics.median(one["cpu_s"] for one in results) for results in (ours, theirs))
    details: dict[str, Any] = {"our_cpu_s": round(mine, 2), "their_cpu_s": round(peer, 2)}
    for name, results in (("our", ours), ("their", theirs)):
        details[f"{name}_seconds_each_seed"] = " ".join(f"{one['cpu_s']:.2f}" for one in results)
        details[f"{name}_env_steps_each_seed"] = " ".join(f"{one['env_steps']:.0f}" for one in results)
    ratio = mine / peer
    name = "W4 CartPole-v1: PPO to a mean of 450, against Stable-Baselines3"
    return Row(name, round(ratio, 2), "of its time", f"≤ {RACE_GOAL:g}", ratio <= RACE_GOAL, details)
