"""W3: four CartPoles, one an agent; each ends by itself, the episode with the last. Four separate policies, 32 environments.

The goal is held against RLlib's agent steps/s, so it is judged in ``python -m benchmarks peers W3``; here it stands beside the bare game.
"""

from __future__ import annotations

from typing import Any

import marl
from benchmarks import ours
from benchmarks.bare import parallel_loop
from benchmarks.measure import Contender, Options, Row, fraction_row, take_turns

ENV = "marl_envs/cartpole-v1"
NUM_ENV_STEPS = 6400


def sampler_keys(seed: int) -> dict[str, Any]:
    return {
        "env": ENV,
        "env_config": {"num_agents": 4},
        "policies": {f"policy_{index}": ours.PPO for index in range(4)},
        "mapping": {f"*{index}": f"policy_{index}" for index in range(4)},
        "envs_per_worker": 32,
        "seed": seed,
    }


def rows(options: Options) -> list[Row]:
    bare = marl.make_env(ENV, {"num_agents": 4})
    config = {**sampler_keys(options.seed), "rollout_fragment_env_steps": NUM_ENV_STEPS // 32}
    rates = take_turns(
        [
            Contender("bare", parallel_loop(bare, lives=True, num_env_steps=NUM_ENV_STEPS, seed=options.seed)),
            Contender("sampling", ours.sampling(sampler_keys(options.seed), num_env_steps=NUM_ENV_STEPS)),
            Contender("training", ours.training(config, iterations=1)),
        ],
        rounds=options.rounds,
    )
    table = []
    for name, contender in (("sampling", "sampling"), ("sampling and PPO", "training")):
        row = fraction_row(f"W3 four CartPoles: {name}", rates[contender], rates["bare"], goal=0, agents=True)
        table.append(Row(row.name, row.value, row.unit, details=row.details))
    return table
