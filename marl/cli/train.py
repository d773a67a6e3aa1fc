"""``marl train FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marl.cli.options import Trust


def train(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A run file (YAML). May be left out with --resume.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one key of the run (a.b=value, read as YAML). Repeatable.")
    ] = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="RUN", help="Go on with a run's directory, or a checkpoint.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Where the run's directory goes; default: runs.")] = None,
    record: Annotated[bool, typer.Option("--record", help="At the end, write an episode as a GIF into the run's directory.")] = False,
    trust: Trust = None,
) -> None:
    """Train what a run file describes, to its stop condition.

    The run gets a directory of its own: config.yaml, progress.csv, TensorBoard events, checkpoints. Ctrl-C lets the iteration end, saves a
    checkpoint and says how to go on; a second one stops at once.

    [bold]Examples[/bold]

    marl train examples/tictactoe_selfplay.yaml

    marl train run.yaml --set policies.main.lr=1e-3 --set stop.num_env_steps=50_000

    marl train --resume runs/tictactoe_v3-20250101-120000 --set stop.num_env_steps=600_000
    """
    from marl.cli.training import train_run

    code = train_run(file, list(overrides or ()), resume=resume, run_dir=run_dir, record=record, trust=list(trust or ()))
    if code:
        raise typer.Exit(code)
