"""W4: CartPole-v1 and Pendulum-v1, 64 environments, sampling only. Bare is ``gymnasium.make``, as it comes."""

from __future__ import annotations

from typing import Any

import gymnasium

from benchmarks import ours
from benchmarks.bare import single_loop
from benchmarks.measure import Contender, Options, Row, fraction_row, take_turns

GOALS = {"CartPole-v1": 0.5, "Pendulum-v1": 0.6}
NUM_ENV_STEPS = 32_000


def sampler_keys(name: str, seed: int) -> dict[str, Any]:
    return {
        "env": f"gymnasium/{name}",
        "policies": {"default": ours.PPO},
        "mapping": {"*": "default"},
        "envs_per_worker": 64,
        "seed": seed,
    }


def rows(options: Options) -> list[Row]:
    table = []
    for name, goal in GOALS.items():
        rates = take_turns(
            [
                Contender("bare", single_loop(gymnasium.make(name), num_env_steps=NUM_ENV_STEPS, seed=options.seed)),
                Contender("sampling", ours.sampling(sampler_keys(name, options.seed), num_env_steps=NUM_ENV_STEPS)),
            ],
            rounds=options.rounds,
        )
        table.append(fraction_row(f"W4 {name}: sampling", rates["sampling"], rates["bare"], goal=goal))
    return table
