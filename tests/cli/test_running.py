"""A run from Python: ``train(...)`` shows and leaves what the command line does."""

from __future__ import annotations

import os
import signal

import pytest

from marl.checkpoint import find_checkpoint, read_manifest
from marl.errors import ConfigError
from marl.report.running import train

GAME = {
    "env": "marl_envs/tic_tac_toe-v1",
    "policies": {"main": {"algorithm": "ppo", "model": {"hidden": [8]}}},
    "rollout_fragment_env_steps": 8,
}


def test_train_from_python(tmp_path, capsys):
    trainer = train(GAME, stop={"iterations": 2}, name="mine", run_dir=tmp_path / "here")
    (run,) = (tmp_path / "here").iterdir()
    assert run.name == "mine"
    assert trainer.directory == run
    assert trainer.iteration == 2
    assert sorted(one.name for one in run.iterdir() if not one.name.startswith("events")) == [
        "checkpoints",
        "config.yaml",
        "learning_curve.png",
        "progress.csv",
    ]
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("iteration 1 | 8 env steps")
    assert out[1].startswith("iteration 2 | 16 env steps (100% of 2 iterations)")
    assert out[-1].startswith("go on        marl train --resume here/mine ")
    trainer.close()


def test_a_run_without_an_end_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="nothing says when the run ends"):
        train(GAME)
    assert not (tmp_path / "runs").exists()


class Interrupting:
    """A user's callback in which Ctrl-C comes."""

    def on_train_result(self, trainer, result):
        if trainer.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_from_python_saves_and_says_where(tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"saved runs/tic_tac_toe-v1-.*/iteration_000002; go on with: marl train --resume runs/"):
        train(GAME, stop={"iterations": 100}, callbacks=[Interrupting()], loggers=())
    (run,) = (tmp_path / "runs").iterdir()
    assert read_manifest(find_checkpoint(run)).meta["iteration"] == 2
