"""All commands in one application."""

from __future__ import annotations

from typing import Annotated

import typer

from marl.cli.check import check
from marl.cli.evaluate import evaluate
from marl.cli.ledger import ledger
from marl.cli.listing import list_known
from marl.cli.play import play
from marl.cli.replay import replay
from marl.cli.train import train

app = typer.Typer(
    help="Multi-agent reinforcement learning: train, evaluate, play, and look into games.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a user's own traceback is shown as Python shows it
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("play")(play)
app.command("check")(check)
app.command("ledger")(ledger)
app.command("list")(list_known)
app.command("replay")(replay)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"marl-framework {version('marl-framework')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
) -> None:
    """Multi-agent reinforcement learning: train, evaluate, play, and look into games.

    Every command has examples: marl COMMAND --help.
    """
