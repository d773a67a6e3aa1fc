"""The whole process: time from its start to the first finished iteration of ``marl train``, and its peak memory while training W1."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import CHECKOUT, Options, Row, peak_memory_mib

START_UP_GOAL_S, MEMORY_GOAL_MIB = 4.0, 450.0
ITERATIONS_FOR_MEMORY = 12


def start_up_s() -> tuple[float, float]:
    """Seconds from the start of ``marl train`` on W1 to the first row of ``progress.csv``: wall time, and CPU time (NaN off Linux)."""
    from benchmarks.w1_simple_spread import trainer_config

    with tempfile.TemporaryDirectory(prefix="marl-start-up-") as name:
        folder = Path(name)
        file = folder / "w1.yaml"
        # JSON is YAML.
        file.write_text(json.dumps(trainer_config(1) | {"stop": {"num_env_steps": 3200}}))
        marl = Path(sys.executable).with_name("marl")
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(marl), "train", str(file)],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            while process.poll() is None:
                if any(len(found.read_text().splitlines()) > 1 for found in folder.rglob("progress.csv")):
                    return time.perf_counter() - start, _cpu_s(process.pid)
                time.sleep(0.005)
            raise SystemExit(f"marl train ended before its progress.csv was seen:\n{process.stdout.read() if process.stdout else ''}")
        finally:
            process.communicate(timeout=120)


def _cpu_s(pid: int) -> float:
    """CPU seconds that a running process has spent (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, fields 14 and 15 of proc(5)


def memory_mib() -> float:
    """Peak memory of a fresh process that trains W1."""
    code = "from benchmarks.process import train_w1_and_weigh; train_w1_and_weigh()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"training W1 ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return float(done.stdout.strip().splitlines()[-1])


def train_w1_and_weigh() -> None:
    """Runs in the fresh process: trains, then prints the peak in MiB."""
    import torch

    import marl
    from benchmarks.w1_simple_spread import trainer_config

    torch.set_num_threads(1)
    trainer = marl.Trainer(**trainer_config(1))
    for _ in range(ITERATIONS_FOR_MEMORY):
        trainer.train()
    print(peak_memory_mib())


def rows(options: Options) -> list[Row]:
    starts = [start_up_s() for _ in range(2 if options.quick else 5)]
    start, memory = statistics.median(wall for wall, _ in starts), memory_mib()
    each = {
        "seconds_each_start": " ".join(f"{wall:.2f}" for wall, _ in starts),
        "cpu_seconds_each_start": " ".join(f"{cpu:.2f}" for _, cpu in starts),
    }
    iterations = {"iterations": ITERATIONS_FOR_MEMORY}
    return [
        Row("marl train: start to first iteration (W1)", round(start, 2), "s", f"≤ {START_UP_GOAL_S:g}", start <= START_UP_GOAL_S, each),
        Row("W1 training: peak memory", round(memory), "MiB", f"≤ {MEMORY_GOAL_MIB:g}", memory <= MEMORY_GOAL_MIB, iterations),
    ]
