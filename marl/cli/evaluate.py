"""``marl evaluate CHECKPOINT``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marl.cli.options import RunFile, Trust, trusted


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint, or a run's directory (its last one).")],
    episodes: Annotated[int | None, typer.Option("--episodes", help="How many episodes; default: as the run says, or 100.", min=1)] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="PLAYER", help="Play every seat against this one: random, a policy, or CHECKPOINT:POLICY."),
    ] = None,
    explore: Annotated[bool | None, typer.Option("--explore/--greedy", help="Draw actions, or take the best; default: the run's.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the episodes; default: the run's, always the same.", min=0)] = None,
    record: Annotated[Path | None, typer.Option("--record", metavar="FILE.gif", help="Write one episode as a GIF.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
    trust: Trust = None,
    run_file: RunFile = None,
) -> None:
    """Play whole episodes with a checkpoint's policies and say how they went.

    [bold]Examples[/bold]

    marl evaluate runs/tictactoe_v3-20250101-120000

    marl evaluate runs/tictactoe_v3-20250101-120000 --against random --episodes 1000

    marl evaluate runs/CartPole-v1-20250101-120000/checkpoints/iteration_000040 --record cartpole.gif
    """
    from marl.report.judging import judge

    packages = trusted(trust, run_file)
    judged = judge(checkpoint, episodes=episodes, explore=explore, seed=seed, against=against, trust=packages)
    if json:
        import json as writer

        typer.echo(writer.dumps(judged.metrics, indent=1))
    else:
        from marl.report.summary import judgement_lines

        typer.echo("\n".join(judgement_lines(judged.metrics, judged.learned)))
    if record is not None:
        from marl.report.recording import record_episode

        typer.echo(f"wrote {record_episode(checkpoint, record, seed=seed or 0, explore=bool(explore), trust=packages)}", err=json)
