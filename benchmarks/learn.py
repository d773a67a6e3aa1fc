"""``python -m benchmarks.learn ROW``: does it learn? One row of ``docs/learning.md``, seed by seed, resumable.

Each seed trains from scratch for a budget of env steps (at most ``at_most_s`` CPU seconds), is scored greedily at each mark,
and is written to ``docs/results/<row>.json`` as soon as it is done; a row that was interrupted goes on with the seeds that are missing. The
medians over seeds are held against the bars. ``ROW`` may be ``list``, ``report`` (writes ``docs/learning.md``) or ``all``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy or torch read it

from benchmarks.learning_rows import ROWS, LearningRow
from benchmarks.measure import CHECKOUT, commit, machine

RESULTS = CHECKOUT / "docs" / "results"
MOST_CURVE_POINTS = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", choices=[*ROWS, "all", "list", "report"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--again", action="store_true", help="throw away what is there and begin anew")
    given = parser.parse_args()
    if given.row == "list":
        for row in ROWS.values():
            print(f"{row.name:<18} {row.about}")
    elif given.row == "report":
        write_report()
    else:
        for name in ROWS if given.row == "all" else [given.row]:
            run_row(ROWS[name], given.seeds, again=given.again)


def run_row(row: LearningRow, seeds: list[int], *, again: bool) -> None:
    """Train the seeds that are missing, one after another, and say whether the medians reach the bars."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{row.name}.json"
    record = _begin(row) if again or not path.exists() else json.loads(path.read_text())
    if record["config"] != json.loads(json.dumps(row.config)):
        print(f"{path.name}: the configuration has changed since; beginning anew")
        record = _begin(row)
    if not record["random"]:
        record["random"] = row.control()
    for seed in seeds:
        if str(seed) in record["seeds"]:
            print(f"{row.name}, seed {seed}: done before")
            continue
        record["seeds"][str(seed)] = run_seed(row, seed)
        record["seeds"] = dict(sorted(record["seeds"].items(), key=lambda item: int(item[0])))
        path.write_text(_compact(record))
    for bar, values in medians(row, record).items():
        print(f"{row.name}: {bar}: median {values['median']:g} of {len(record['seeds'])} seeds, {'met' if values['met'] else 'NOT MET'}")


def _compact(record: dict[str, Any]) -> str:
    """Indented JSON with every list of numbers on one line."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    for _ in range(2):  # points first, then lists of points
        text = re.sub(r"\[\s+([^{}\"]*?)\s+\]", lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)
    return text + "\n"


def _begin(row: LearningRow) -> dict[str, Any]:
    return {"row": row.name, "about": row.about, "config": row.config, "bars": [str(bar) for bar in row.bars], "random": {}, "seeds": {}}


def run_seed(row: LearningRow, seed: int) -> dict[str, Any]:
    """One seed: its scores by mark, its curve, its cost."""
    import torch

    import marl

    torch.set_num_threads(1)
    scores: dict[str, dict[str, float]] = {}
    curve: list[tuple[int, float]] = []
    marks = list(row.marks)
    trained_s = 0.0
    start, scoring_s = time.process_time(), 0.0
    with tempfile.TemporaryDirectory(prefix=f"marl-learn-{row.name}-") as folder:
        trainer = marl.Trainer(**row.config, seed=seed)
        steps = 0
        while marks:
            metrics = trainer.train()["metrics"]
            steps = metrics["num_env_steps_sampled_total"]
            if "episode_return_mean" in metrics:
                curve.append((steps, round(float(metrics["episode_return_mean"]), 3)))
            trained_s = time.process_time() - start - scoring_s
            late = trained_s > row.at_most_s
            # "Within" is meant: the score is taken before the iteration that would go beyond the mark.
            if steps + metrics["num_env_steps_sampled"] > marks[0] or late:
                began = time.process_time()
                checkpoint = trainer.save(Path(folder) / f"at_{marks[0]}")
                scores[str(marks[0])] = {name: round(value, 4) for name, value in row.score(str(checkpoint)).items()}
                scoring_s += time.process_time() - began
                print(f"{row.name}, seed {seed}, {steps:,} env steps, {trained_s:.0f} s: {scores[str(marks[0])]}", flush=True)
                marks = [] if late else marks[1:]
        trainer.close()
    return {
        "scores": scores,
        "num_env_steps": steps,
        "cpu_s": round(trained_s, 1),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "curve": curve[:: max(1, len(curve) // MOST_CURVE_POINTS)],
    }


def medians(row: LearningRow, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Bar → median over seeds and whether it is met; a seed that ran out of time before a mark counts with its last score."""
    table = {}
    for bar in row.bars:
        values = []
        for seed in record["seeds"].values():
            scores = seed["scores"].get(str(bar.mark)) or list(seed["scores"].values())[-1]
            values.append(scores[bar.score])
        middle = statistics.median(values) if values else float("nan")
        table[str(bar)] = {"median": middle, "met": bool(values) and bar.met(middle), "values": values}
    return table


def write_report() -> None:
    """``docs/learning.md`` from ``docs/results/*.json``."""
    lines = [
        "# Learning",
        "",
        "Written by `python -m benchmarks.learn report` from `docs/results/*.json`. Medians over seeds; scores are greedy, of fresh",
        "episodes; a random player is the control. `make learn ROW=name` trains a row again, seed by seed (`ARGS=--again`: anew).",
        "It is one process with one thread: its CPU seconds are the wall time of an idle machine, and limits in minutes are held to them.",
        "",
        "| row | bar | median | seeds | random | met | CPU s a seed | command |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in ROWS.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            bars = "; ".join(str(bar) for bar in row.bars)
            lines.append(f"| {row.about} | {bars} | not measured | | | | | `make learn ROW={name}` |")
            continue
        record = json.loads(path.read_text())
        cpu_s = statistics.median(seed["cpu_s"] for seed in record["seeds"].values())
        for bar in row.bars:
            found = medians(row, record)[str(bar)]
            each = ", ".join(f"{value:g}" for value in found["values"])
            control = record["random"].get(bar.score)
            lines.append(
                f"| {row.about} | {bar} | {found['median']:g} | {each} | {'' if control is None else f'{control:g}'} | "
                f"{'yes' if found['met'] else '**no**'} | {cpu_s:.0f} | `make learn ROW={name}` |"
            )
    doc = CHECKOUT / "docs" / "learning.md"
    doc.write_text("\n".join(lines) + "\n")
    print(f"wrote {doc}")


if __name__ == "__main__":
    main()
