"""W2: ``pettingzoo/classic/tictactoe_v3``, turns and action masks, self-play of one shared policy, 32 environments.

Bare is ``tictactoe_v3.env()`` in PettingZoo's own loop of ``last`` and ``step``.
"""

from __future__ import annotations

from typing import Any

from benchmarks import ours
from benchmarks.bare import turns_loop
from benchmarks.measure import Contender, Options, Row, fraction_row, take_turns

NUM_TURNS = 9600

SAMPLER: dict[str, Any] = {
    "env": "pettingzoo/classic/tictactoe_v3",
    "policies": {"shared": ours.PPO},
    "mapping": {"*": "shared"},
    "envs_per_worker": 32,
}


def rows(options: Options) -> list[Row]:
    from pettingzoo.classic import tictactoe_v3

    config = {**SAMPLER, "seed": options.seed, "rollout_fragment_env_steps": NUM_TURNS // 32}
    rates = take_turns(
        [
            Contender("bare", turns_loop(tictactoe_v3.env(), num_turns=NUM_TURNS, seed=options.seed)),
            Contender("raw", turns_loop(tictactoe_v3.raw_env(), num_turns=NUM_TURNS, seed=options.seed)),
            Contender("sampling", ours.sampling({**SAMPLER, "seed": options.seed}, num_env_steps=NUM_TURNS)),
            Contender("training", ours.training(config, iterations=1)),
        ],
        rounds=options.rounds,
    )
    table = [
        fraction_row("W2 tic-tac-toe: sampling", rates["sampling"], rates["bare"], goal=2.0),
        fraction_row("W2 tic-tac-toe: sampling and PPO", rates["training"], rates["bare"], goal=1.35),
    ]
    for row in table:
        row.details["raw_env_turns_per_s"] = round(rates["raw"].env_steps_per_s)
    return table
