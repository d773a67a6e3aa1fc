"""``marl ledger ENV``"""

from __future__ import annotations

from typing import Annotated

import typer

from marl.cli.failing import EXIT_FAILED
from marl.cli.options import EnvConfig, Seed, console, environment


def ledger(
    env: Annotated[str, typer.Argument(metavar="ENV", help="A name (marl list envs), module.path:Class, or a run file.")],
    episodes: Annotated[int, typer.Option("--episodes", help="How many episodes to print.", min=1)] = 1,
    seed: Seed = 0,
    env_config: EnvConfig = None,
) -> None:
    """Print episodes of random play as ledgers: who saw, who acted, who was paid for which act.

    Below each stand the sums: an agent's rows and what belongs to no row must be all that the environment paid it.

    [bold]Examples[/bold]

    marl ledger pettingzoo/classic/tictactoe_v3

    marl ledger marl_envs/traffic-v1 --seed 3 --episodes 2

    marl ledger my_game:MyGame --env-config size=5
    """
    from marl.report.episode_ledger import episode_ledgers, ledger_table, totals_table

    out = console()
    ledgers = episode_ledgers(environment(env, env_config), num_episodes=episodes, seed=seed)
    for one in ledgers:
        out.print(ledger_table(one))
        out.print(totals_table(one))
        out.print(f"{one.num_env_steps} env steps, ended: {one.end}\n")
    if not all(total.balanced for one in ledgers for total in one.totals):
        raise typer.Exit(EXIT_FAILED)
