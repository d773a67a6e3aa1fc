"""Every ``marl`` command that the docs' reference pages and ``--help`` show is run as it stands, on small runs of those names."""

from __future__ import annotations

import ast
import io
import os
import re
import sys
from pathlib import Path

import pytest

import marl
from marl.config.run_file import parse_yaml
from tests.docs.pages import ROOT, blocks, commands, forget_modules, run_command

GUIDES = {"concepts.md", "your-own-game.md", "self-play.md", "migrating-from-rllib.md"}
"""Pages that are run from top to bottom already."""

RUN = """
env: {env}
policies:
  main: {{algorithm: ppo, model: {{hidden: [8]}}}}
  coin: {{player: random}}
mapping: {{"player_*": main}}
envs_per_worker: 4
rollout_fragment_env_steps: 16
evaluation:
  episodes: 4
  matches: [{{seats: {{player_1: main, player_2: coin}}}}]
stop: {{iterations: 3}}
"""
MY_GAME = """
from marl_envs.tic_tac_toe import TicTacToe


class MyGame(TicTacToe):
    def __init__(self, size=3):
        super().__init__()


class Crashing(MyGame):
    def step(self, actions):
        if self._marks.sum() == 3:
            raise RuntimeError("the fourth move")
        return super().step(actions)
"""


def shown() -> list[str]:
    """The commands, each once."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page.name not in GUIDES:
            found += [line for block in blocks(page) for line, _ in commands(block)]
    for file in sorted((ROOT / "marl" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                found += re.findall(r"^(?:marl|printf .*\| *marl) .*$", text, re.MULTILINE)
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """A folder with the run files, games, runs and capsules that the commands name."""
    path = tmp_path_factory.mktemp("commands")
    before, modules = os.getcwd(), set(sys.modules)
    os.chdir(path)
    (path / "examples").mkdir()
    tictactoe = RUN.format(env="pettingzoo/classic/tictactoe_v3")
    (path / "examples" / "tictactoe_selfplay.yaml").write_text(tictactoe)
    (path / "run.yaml").write_text(RUN.format(env="marl_envs/tic_tac_toe-v1"))
    (path / "my_game.py").write_text(MY_GAME)
    (path / "crash.yaml").write_text(RUN.format(env="my_game:Crashing") + "name: my_game-20250101-120000\n")
    trained = marl.Trainer(parse_yaml(tictactoe, "docs"), name="tictactoe_v3-20250101-120000")
    trained.train()
    trained.save()
    policies = {"default": {"algorithm": "ppo", "model": {"hidden": [8]}}}
    pole = marl.Trainer(env="gymnasium/CartPole-v1", env_config={"max_episode_steps": 20}, policies=policies, evaluation={"episodes": 2})
    pole.save("runs/CartPole-v1-20250101-120000/checkpoints/iteration_000040")
    run_command("marl train crash.yaml", 1)
    yield path
    os.chdir(before)
    forget_modules(modules, path)


@pytest.mark.parametrize("command", shown())
def test_a_command_runs(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    again = command.startswith("marl replay")  # its exit code 1: it crashed again, which is what was asked for
    printed = run_command(command, 1 if again else 0)
    assert not again or "the fourth move" in printed


def test_commands_are_found() -> None:
    found = " ".join(shown())
    assert {f"marl {name}" for name in ("train", "evaluate", "play", "check", "ledger", "list", "replay")} <= set(
        re.findall(r"marl \w+", found)
    )
