"""``marl list``"""

from __future__ import annotations

import enum
from typing import Annotated, Any

import typer

from marl.cli.options import console


class Kind(enum.StrEnum):
    """What there is to list."""

    envs = "envs"
    algorithms = "algorithms"
    players = "players"
    wrappers = "wrappers"


def list_known(
    kind: Annotated[Kind | None, typer.Argument(metavar="[envs|algorithms|players|wrappers]", help="What to list; default: all.")] = None,
    like: Annotated[str, typer.Option("--like", metavar="TEXT", help="Only names that contain this.")] = "",
) -> None:
    """List what a run file can name here: environments, algorithms and what they can do, players, wrappers.

    [bold]Examples[/bold]

    marl list

    marl list envs --like classic

    marl list algorithms
    """
    out = console()
    for one, show in ((Kind.envs, _envs), (Kind.algorithms, _algorithms), (Kind.players, _players), (Kind.wrappers, _wrappers)):
        if kind in (None, one):
            out.print(f"[bold]{one.value}[/bold]")
            show(out, like)
            out.print()


def _envs(out: Any, like: str) -> None:
    from rich.columns import Columns

    from marl.registry import known_envs

    names = [name for name in known_envs() if like in name]
    if not out.is_terminal:
        for name in names:
            out.print(name)
    else:
        out.print(Columns(names, padding=(0, 2)))
    out.print("and module.path:Class, or whatever register_env named", style="dim")


def _algorithms(out: Any, like: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from marl.config import find_algorithm, known_algorithms
    from marl.errors import PluginError

    table = Table(box=None, header_style="dim")
    for heading in ("algorithm", "actions", "groups", "global state", "recurrent", "stale data", "asks for"):
        table.add_column(heading)
    for name in [one for one in known_algorithms() if like in one]:
        try:
            can = find_algorithm(name).capabilities
        except PluginError as error:
            table.add_row(name, escape(str(error)))
            continue
        asks = [word for word, wanted in (("simultaneous moves", can.simultaneous), ("a fixed assignment", can.fixed_assignment)) if wanted]
        yes = {True: "yes", False: "no"}
        actions = ", ".join(sorted(can.actions))
        table.add_row(name, actions, can.groups, can.global_state, yes[can.recurrent], yes[can.stale_data], ", ".join(asks) or "nothing")
    out.print(table)


def _players(out: Any, like: str) -> None:
    players = {
        "random": "uniform over the legal actions",
        "constant": "always one action (action: …)",
        "module:name": "a bot of your own: a class or factory with act(obs), or a function f(obs, info, rng)",
        "CHECKPOINT:POLICY": "a policy of another run",
    }
    _pairs(out, {name: what for name, what in players.items() if like in name})


def _wrappers(out: Any, like: str) -> None:
    from marl.wrappers import WRAPPERS

    _pairs(out, {name: (maker.__doc__ or "").strip().partition("\n")[0] for name, maker in WRAPPERS.items() if like in name})


def _pairs(out: Any, rows: dict[str, str]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for name, what in rows.items():
        table.add_row(name, escape(what.replace("``", "")))
    out.print(table)
