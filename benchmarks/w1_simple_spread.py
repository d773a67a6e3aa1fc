"""W1: ``mpe2/simple_spread_v3``, three agents, one shared policy, 32 environments; sampling, and with PPO.

Bare is the environment behind PettingZoo's standard parallel wrapper, as a user of it would step it.
"""

from __future__ import annotations

from typing import Any

from benchmarks import ours
from benchmarks.bare import parallel_loop
from benchmarks.measure import Contender, Options, Row, fraction_row, take_turns

GAME = {"N": 3, "max_cycles": 25, "local_ratio": 0.5, "continuous_actions": False}
NUM_ENV_STEPS = 3200

SAMPLER: dict[str, Any] = {
    "env": "mpe2/simple_spread_v3",
    "env_config": GAME,
    "policies": {"shared": ours.PPO},
    "mapping": {"*": "shared"},
    "envs_per_worker": 32,
}


def trainer_config(seed: int) -> dict[str, Any]:
    return {**SAMPLER, "seed": seed, "rollout_fragment_env_steps": NUM_ENV_STEPS // 32}


def rows(options: Options) -> list[Row]:
    from mpe2 import simple_spread_v3

    rates = take_turns(
        [
            Contender("bare", parallel_loop(simple_spread_v3.parallel_env(**GAME), num_env_steps=NUM_ENV_STEPS, seed=options.seed)),
            Contender("sampling", ours.sampling({**SAMPLER, "seed": options.seed}, num_env_steps=NUM_ENV_STEPS)),
            Contender("training", ours.training(trainer_config(options.seed), iterations=1)),
        ],
        rounds=options.rounds,
    )
    return [
        fraction_row("W1 simple_spread: sampling", rates["sampling"], rates["bare"], goal=1.35),
        fraction_row("W1 simple_spread: sampling and PPO", rates["training"], rates["bare"], goal=1.2),
    ]
