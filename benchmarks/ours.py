"""marl as a contender: its public sampler, and its trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import marl
from benchmarks.measure import Work

MODEL = {"hidden": [64, 64], "activation": "tanh"}
"""Two layers of 64, tanh; the value net is a separate one of the same size."""

PPO: dict[str, Any] = {
    "algorithm": "ppo",
    "model": MODEL,
    "lr": 7e-4,
    "discount": {"gamma": 0.95},
    "gae_lambda": 0.95,
    "clip": 0.2,
    "entropy_coeff": 0.01,
    "epochs": 4,
    "minibatch_rows": 2400,
}
"""The PPO of all workloads but the race."""


def sampling(keys: Mapping[str, Any], *, num_env_steps: int) -> Callable[[], Work]:
    """One ``Sampler.sample`` a call, ``num_env_steps`` in all copies together; log-probabilities and values of the policies included."""
    sampler = marl.Sampler(**keys)
    each = max(1, num_env_steps // keys["envs_per_worker"])

    def run() -> Work:
        batch, _ = sampler.sample(num_env_steps=each)
        return Work(batch.num_env_steps, batch.num_agent_steps)

    return run


def training(config: Mapping[str, Any], *, iterations: int) -> Callable[[], Work]:
    """``iterations`` of ``Trainer.train`` a call: sampling, targets, learning, metrics."""
    trainer = marl.Trainer(**config)
    total = {"env": 0, "agent": 0}

    def run() -> Work:
        metrics: Mapping[str, Any] = {}
        for _ in range(iterations):
            metrics = trainer.train()["metrics"]
        env, agent = metrics["num_env_steps_sampled_total"], metrics["num_agent_steps_sampled_total"]
        work = Work(env - total["env"], agent - total["agent"])
        total["env"], total["agent"] = env, agent
        return work

    return run
