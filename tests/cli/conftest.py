from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from marl.cli import main

TIC_TAC_TOE = """
env: marl_envs/tic_tac_toe-v1
policies:
  main: {algorithm: ppo, model: {hidden: [16]}}
  coin: {player: random}
mapping: {"player_*": main}
envs_per_worker: 4
rollout_fragment_env_steps: 16
seed: 7
evaluation:
  interval: 2
  episodes: 10
  matches:
    - seats: {player_1: main, player_2: coin}
    - seats: {player_1: coin, player_2: main}
stop: {iterations: 3}
"""


@pytest.fixture
def marl(capfd, monkeypatch):
    """Run one command in this process: ``marl(...) -> (exit code, stdout, stderr)``."""
    path = list(sys.path)

    def run(*argv: object, stdin: str = "") -> tuple[int, str, str]:
        import io

        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()
        code = 0
        try:
            main([str(one) for one in argv])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    yield run
    sys.path[:] = path


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # what runs say is then `marl …`


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The directory of a small run, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "run.yaml").write_text(TIC_TAC_TOE)
    before = os.getcwd()
    os.chdir(folder)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["train", "run.yaml"])
        assert ended.value.code == 0
    finally:
        os.chdir(before)
    (run,) = (folder / "runs").iterdir()
    return run
