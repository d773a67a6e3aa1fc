"""``marl check ENV``"""

from __future__ import annotations

from typing import Annotated

import typer

from marl.cli.failing import EXIT_FAILED
from marl.cli.options import EnvConfig, Seed, environment


def check(
    env: Annotated[str, typer.Argument(metavar="ENV", help="A name (marl list envs), module.path:Class, or a run file.")],
    episodes: Annotated[int, typer.Option("--episodes", help="How many episodes to walk.", min=1)] = 3,
    max_steps: Annotated[int, typer.Option("--max-steps", help="Cut an episode after so many calls of step.", min=1)] = 1000,
    seed: Seed = 0,
    env_config: EnvConfig = None,
) -> None:
    """Walk an environment through its contract and report every violation in one table.

    Exit code 0: none; 1: some.

    [bold]Examples[/bold]

    marl check pettingzoo/classic/connect_four_v3

    marl check my_game:MyGame --env-config size=5 --episodes 10

    marl check run.yaml
    """
    from marl.check import check_env
    from marl.registry import describe_creation

    made = environment(env, env_config)
    if not env.endswith((".yaml", ".yml")):
        typer.echo(describe_creation(env))
    report = check_env(made, seed=seed, num_episodes=episodes, max_env_steps=max_steps)
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(EXIT_FAILED)
