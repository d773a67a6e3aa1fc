"""``docs/wrappers.md`` and ``docs/games.md``: their programs run, and they name every wrapper, option, game and setting."""

from __future__ import annotations

import inspect
import re
import warnings
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from marl.wrappers import WRAPPERS

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{name}-{place}")
    for name in ("games", "wrappers")
    for place, block in enumerate(re.findall(r"```python\n(.*?)```", (DOCS / f"{name}.md").read_text(), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_program_of_the_docs_runs(block):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(block, "docs", "exec"), {"__name__": "docs"})


def default(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_option_of_a_wrapper_is_named_with_its_default(name):
    (row,) = re.findall(rf"^\| \[`{name}`\].*$", (DOCS / "wrappers.md").read_text(), re.MULTILINE)
    for option in list(inspect.signature(WRAPPERS[name]).parameters.values())[1:]:
        if option.default is option.empty or option.default is None or option.name == "prefix":
            assert f"`{option.name}`" in row
        else:
            assert f"`{option.name}` ({default(option.default)})" in row


GAMES = {point.name: point for point in entry_points(group="marl.envs") if point.name.startswith("marl_envs/")}


@pytest.mark.parametrize("name", [name for name in GAMES if "/vector_" not in name])
def test_every_setting_of_a_game_is_named_with_its_default(name):
    text = (DOCS / "games.md").read_text()
    (line,) = re.findall(rf"^`{re.escape(name)}`.*$", text, re.MULTILINE)
    for setting in inspect.signature(GAMES[name].load()).parameters.values():
        assert re.search(rf"`{setting.name}` \({re.escape(default(setting.default))}[,)]", line), setting
    for vector in (other for other in GAMES if other == name.replace("/", "/vector_")):
        assert vector.removeprefix("marl_envs/") in text
