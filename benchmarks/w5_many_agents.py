"""W5: a game that costs next to nothing, with 2 to 1,000 agents: what the data path itself costs.

Observations are 8 float32 (rows of an array made once), actions Discrete(4), everyone acts, episodes take 100 steps; one shared policy,
sampling only, log-probabilities and values included. The irregular variants hold the house to its word in games where agents fall
silent, rewards come in another order, lives end and come back, or four policies play.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import ours
from benchmarks.bare import parallel_loop
from benchmarks.measure import Contender, Options, Rates, Row, fraction_row, take_turns

COPIES = {2: 64, 10: 32, 100: 8, 1000: 2}
GOALS = {2: 0.32, 10: 0.21, 100: 0.17, 1000: 0.19}
IRREGULAR_GOAL = 0.5
AGENT_STEPS = {2: 64_000, 10: 128_000, 100: 160_000, 1000: 200_000}

VARIANTS: dict[str, dict[str, Any]] = {
    "10 % silent, rewards in another order": {"silent": 0.1, "shuffle_rewards": True},
    "1 % of lives ending a step and coming back": {"lives_ended": 0.01},
}


def sampler_keys(agents: int, seed: int, *, game: Mapping[str, Any] | None = None, policies: int = 1) -> dict[str, Any]:
    names = [f"policy_{index}" for index in range(policies)]
    # Agent 7 of 10 plays policy_3 of four: the last digit deals agents out evenly enough.
    mapping: Any = {"*": names[0]} if policies == 1 else {f"*{digit}": names[digit % policies] for digit in range(10)}
    return {
        "env": "marl_envs/toy-v1",
        "env_config": {"num_agents": agents, **(game or {})},
        "policies": dict.fromkeys(names, ours.PPO),
        "mapping": mapping,
        "envs_per_worker": COPIES[agents],
        "seed": seed,
    }


def rows(options: Options) -> list[Row]:
    from marl_envs.toy import Toy

    table = []
    for agents, goal in GOALS.items():
        steps = AGENT_STEPS[agents] // agents

        def mine(keys: dict[str, Any], steps: int = steps) -> Any:
            return ours.sampling(keys, num_env_steps=steps)

        contenders = [
            Contender("bare", parallel_loop(Toy(num_agents=agents), num_env_steps=steps, seed=options.seed)),
            Contender("plain", mine(sampler_keys(agents, options.seed))),
        ]
        for name, game in VARIANTS.items():
            contenders.append(Contender(name, mine(sampler_keys(agents, options.seed, game=game))))
        contenders.append(Contender("four policies", mine(sampler_keys(agents, options.seed, policies=4))))
        rates = take_turns(contenders, rounds=options.rounds)
        table.append(fraction_row(f"W5 {agents:,} agents: sampling", rates["plain"], rates["bare"], goal=goal, agents=True))
        table += [_against_plain(f"W5 {agents:,} agents: {one.name}", rates[one.name], rates["plain"]) for one in contenders[2:]]
    return table


def _against_plain(name: str, variant: Rates, plain: Rates) -> Row:
    row = fraction_row(name, variant, plain, goal=IRREGULAR_GOAL, agents=True)
    details = {key.replace("bare", "plain"): value for key, value in row.details.items() if "env_steps" not in key}
    return Row(row.name, row.value, "of plain", row.goal, row.met, details)
