"""``marl replay CAPSULE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marl.cli.failing import EXIT_FAILED
from marl.cli.options import RunFile, Trust, trusted


def replay(
    capsule: Annotated[Path, typer.Argument(metavar="CAPSULE", help="The crash capsule that the error message names.")],
    trust: Trust = None,
    run_file: RunFile = None,
) -> None:
    """Make a crash happen again: the same environment, seed and actions, up to the call that failed.

    Exit code 1: it failed again, as recorded; 0: it did not.

    [bold]Examples[/bold]

    marl replay runs/my_game-20250101-120000/crashes/crash_000001 --trust my_game

    marl replay runs/my_game-20250101-120000/crashes/crash_000001 --run-file run.yaml
    """
    from marl.report.capsules import replay_capsule

    outcome = replay_capsule(capsule, trust=trusted(trust, run_file))
    typer.echo(outcome.text)
    if outcome.failed_again:
        raise typer.Exit(EXIT_FAILED)
