"""Options that several commands share, with one meaning everywhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="A package that the checkpoint may import, besides installed plugins. Repeatable."),
]
RunFile = Annotated[
    Path | None,
    typer.Option("--run-file", metavar="FILE", help="The checkpoint's run file: the modules in its folder are found and trusted."),
]
EnvConfig = Annotated[
    list[str] | None,
    typer.Option("--env-config", metavar="KEY=VALUE", help="A setting of the environment, read as YAML. Repeatable."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the environment and of random choices.", min=0)]


def trusted(trust: Sequence[str] | None, run_file: Path | None) -> list[str]:
    """The packages to trust: those named, and the modules in the folder of the run file on the command line."""
    found = list(trust or ())
    if found and "" not in sys.path:
        sys.path.append("")  # a trusted module of the current folder is found, behind everything installed
    if run_file is not None:
        folder = run_file.resolve().parent
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        found += [one.stem for one in folder.glob("*.py")]
        found += [one.parent.name for one in folder.glob("*/__init__.py")]
    return found


def environment(name: str, env_config: Sequence[str] | None) -> Any:
    """The environment that ``name`` (as run files name it), or a run file, describes: made, wrapped and grouped."""
    from marl.config import apply_overrides, load_config, read_run_file
    from marl.config.build_env import build_env

    overrides = [f"env_config.{one}" for one in env_config or ()]
    if name.endswith((".yaml", ".yml")):
        trusted(None, Path(name))  # its folder goes first on the import path
        config = load_config(apply_overrides(read_run_file(name), overrides))
        return build_env(config.env, config.env_config, config.wrappers, config.groups)
    settings = apply_overrides({"env_config": {}}, overrides)["env_config"]
    if "." not in sys.path and "" not in sys.path:
        sys.path.insert(0, "")  # `marl check my_game:MyGame` from the folder of my_game.py
    return build_env(name, settings)


def console(*, stderr: bool = False) -> Any:
    """A rich console; tables are not squeezed where the output is no terminal."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=160)
