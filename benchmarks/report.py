"""``python -m benchmarks report`` writes ``docs/benchmarks.md`` from ``benchmarks/results/*.json``."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.measure import CHECKOUT, RESULTS

DOC = CHECKOUT / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

Written by `python -m benchmarks report` from `benchmarks/results/*.json`; each row names the command that measures it again. A row that
misses its goal says so.

* Rates are steps per **CPU second** of the process, with one torch thread. Absolute figures drift between machines (±15 %), so the
  figures that count are ratios of rates taken **in turn in one process**: bare, ours, bare, ours, …; the median of the rounds' ratios.
* **Bare** is the environment stepped with random legal actions that were drawn beforehand: behind PettingZoo's standard wrappers
  (W1: `parallel_env()`, W2: `env()`) or as `gymnasium.make` gives it (W4).
* **Sampling** is `marl.Sampler.sample`: actions, log-probabilities and values of a policy with two layers of 64 (tanh) and a value
  net of the same size, the full reward ledger, batches ready to learn from. **Sampling and PPO** is `marl.Trainer.train`: 4 epochs,
  minibatches of 2,400 rows.
* More than the environment's own speed (a fraction above 1) is possible where the adapter drives a game without PettingZoo's checking
  wrappers and does their checks itself.
* **Peers** run the same workloads in virtual environments of their own (`make bench-peers`): RLlib 2.60.0 on its new API stack,
  Stable-Baselines3 2.9.2 with SuperSuit 3.11.0. They are measured between two measurements of ours, one process after another on the
  same machine. PufferLib 3.0.0 is left out: its build fails unless patched.

| workload | what |
| --- | --- |
| W1 | `mpe2/simple_spread_v3`, 3 agents, one shared policy, 32 environments |
| W2 | `pettingzoo/classic/tictactoe_v3`, self-play, one shared policy, 32 environments |
| W3 | four CartPoles, one an agent, four policies, 32 environments |
| W4 | CartPole-v1 and Pendulum-v1, 64 environments, sampling; CPU seconds of PPO on CartPole-v1 until 20 training episodes average 450 |
| W5 | a toy game of n agents that costs next to nothing: what the data path itself costs; and irregular variants of it |
"""

ORDER = ["W1", "W2", "W3", "W4", "W4race", "W5", "process", "peers_W1", "peers_W2", "peers_W3", "peers_W4", "peers_W4race", "peers_W5"]


def write_report() -> None:
    records = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    if not records:
        raise SystemExit("no results yet: run `make bench` first")
    order = [name for name in ORDER if name in records] + sorted(set(records) - set(ORDER))
    own = [records[name] for name in order if not name.startswith("peers_")]
    peers = [records[name] for name in order if name.startswith("peers_")]
    parts = [INTRODUCTION, _where(records.values())]
    parts += ["## Against the bare environment, and of the whole process\n", _table(own)]
    if peers:
        parts += ["## Against other frameworks\n", _table(peers)]
    parts += ["## The figures behind the ratios\n", _details([*own, *peers])]
    DOC.parent.mkdir(exist_ok=True)
    DOC.write_text("\n".join(parts).rstrip() + "\n")
    print(f"wrote {DOC}")


def _where(records: Any) -> str:
    kinds = sorted({f"{one['machine']['cpu']}, {one['machine']['cores']} cores, Python {one['machine']['python']}" for one in records})
    dates = sorted({one["date"] for one in records})
    commits = sorted({one["commit"] for one in records})
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured {days} at {', '.join(commits)} on: {'; '.join(kinds)}.\n"


def _table(records: list[dict[str, Any]]) -> str:
    lines = ["| row | goal | measured | met | command |", "| --- | --- | --- | --- | --- |"]
    for record in records:
        for row in record["rows"]:
            met = {True: "yes", False: "**no**", None: ""}[row["met"]]
            lines.append(f"| {row['name']} | {row['goal']} | {row['value']:,g} {row['unit']} | {met} | `{record['command']}` |")
    return "\n".join(lines) + "\n"


def _details(records: list[dict[str, Any]]) -> str:
    lines = ["| row | figures |", "| --- | --- |"]
    for record in records:
        for row in record["rows"]:
            figures = ", ".join(f"{key.replace('_', ' ')} {_number(value)}" for key, value in row["details"].items())
            lines.append(f"| {row['name']} | {figures} |")
    return "\n".join(lines) + "\n"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
