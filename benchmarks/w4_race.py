"""W4, the race: CPU seconds of PPO on CartPole-v1 until the last 20 training episodes reach a mean of 450.

Each seed is a process of its own, with one torch thread. The clock of every contender starts when its library is imported and
its trainer is about to be made, and counts this process's CPU seconds alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from benchmarks.measure import CHECKOUT, Options, Row

BAR, WINDOW, MOST_ENV_STEPS = 450.0, 20, 200_000

CONFIG: dict[str, Any] = {
    "env": "gymnasium/CartPole-v1",
    "envs_per_worker": 16,
    "rollout_fragment_env_steps": 32,
    "policies": {
        "default": {
            "algorithm": "ppo",
            "model": {"hidden": [64, 64], "activation": "tanh"},
            "lr": [[0, 3e-3], [100_000, 0.0]],
            "discount": {"gamma": 0.98},
            "gae_lambda": 0.8,
            "clip": [[0, 0.2], [100_000, 0.0]],
            "entropy_coeff": 0.0,
            "epochs": 10,
            "minibatch_rows": 256,
        }
    },
}
"""The zoo's settings for Stable-Baselines3, but half the epochs at three times the step from twice the environments."""


def race(seed: int) -> dict[str, float]:
    """One seed in this process: CPU seconds and env steps to the bar (infinite if never reached)."""
    import torch

    import marl

    torch.set_num_threads(1)
    start = time.process_time()
    trainer = marl.Trainer(**CONFIG, seed=seed)
    returns: deque[float] = deque(maxlen=WINDOW)
    steps = 0
    while steps < MOST_ENV_STEPS:
        result = trainer.train()
        steps = result["metrics"]["num_env_steps_sampled_total"]
        returns.extend(sum(episode["returns"].values()) for episode in result["episodes"])
        if len(returns) == WINDOW and statistics.fmean(returns) >= BAR:
            return {"cpu_s": time.process_time() - start, "env_steps": steps}
    return {"cpu_s": float("inf"), "env_steps": steps}


def each_seed(seeds: Iterable[int], *, python: str = sys.executable, module: str = "benchmarks.w4_race") -> list[dict[str, float]]:
    """The race in fresh processes, one after another; ``module SEED`` prints one line of JSON."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}
    results = []
    for seed in seeds:
        done = subprocess.run([python, "-m", module, str(seed)], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{module} {seed} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        results.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return results


def rows(options: Options) -> list[Row]:
    seeds = range(options.seed, options.seed + (2 if options.quick else 5))
    results = each_seed(seeds)
    seconds = [one["cpu_s"] for one in results]
    details = {
        "seconds_each_seed": " ".join(f"{one:.2f}" for one in seconds),
        "env_steps_each_seed": " ".join(f"{one['env_steps']:.0f}" for one in results),
    }
    return [Row("W4 CartPole-v1: PPO to a mean of 450", round(statistics.median(seconds), 2), "CPU s", details=details)]


if __name__ == "__main__":
    print(json.dumps(race(int(sys.argv[1]))))
