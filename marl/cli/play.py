"""``marl play CHECKPOINT``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marl.cli.options import RunFile, Seed, Trust, trusted


def play(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint, or a run's directory (its last one).")],
    seat: Annotated[str | None, typer.Option("--as", metavar="SEAT", help="The agent that you play; default: the first.")] = None,
    opponent: Annotated[
        str | None,
        typer.Option(
            "--opponent",
            metavar="POLICY",
            help="Who plays the other seats: a policy of the checkpoint (default: the learned one), or random.",
        ),
    ] = None,
    games: Annotated[int, typer.Option("--games", help="How many games.", min=1)] = 1,
    explore: Annotated[bool, typer.Option("--explore", help="The opponent draws its moves instead of taking the best.")] = False,
    seed: Seed = 0,
    trust: Trust = None,
    run_file: RunFile = None,
) -> None:
    """Play against a trained policy in the terminal, in games whose actions can be counted.

    Type the number of a move; [bold]?[/bold] lists the legal ones, [bold]q[/bold] leaves.

    [bold]Examples[/bold]

    marl play runs/tictactoe_v3-20250101-120000

    marl play runs/tictactoe_v3-20250101-120000 --as player_2 --games 3

    printf '4\\n0\\n' | marl play runs/tictactoe_v3-20250101-120000 --opponent random
    """
    from marl.cli.table_game import play_games

    play_games(checkpoint, seat=seat, opponent=opponent, games=games, explore=explore, seed=seed, trust=trusted(trust, run_file))
