"""The programs in docs/checkpoints.md and docs/cli.md run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import marl
from marl.checkpoint import list_checkpoints, load_state
from marl.report.loggers import make_loggers


def programs(name: str, root: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (root / "docs" / name).read_text(), re.DOTALL)


def test_checkpoints(request, tmp_path, monkeypatch):
    using, own_state = programs("checkpoints.md", request.config.rootpath)
    monkeypatch.chdir(tmp_path)
    trainer = marl.Trainer(
        env="marl_envs/tic_tac_toe-v1",
        policies={"main": {"algorithm": "ppo", "model": {"hidden": [8]}}},
        rollout_fragment_env_steps=8,
        run_dir="runs",
        name="my-run",
    )
    trainer.train()
    names = {"marl": marl, "trainer": trainer}
    exec(using, names)
    assert [one.name for one in list_checkpoints("runs/my-run/checkpoints")] == ["iteration_000001"]
    assert names["trainer"].iteration == 1
    assert names["action"] in range(9)

    exec(own_state, {"weights": np.arange(3.0)})
    assert load_state("my_checkpoint")["learner"]["step"] == 3


def test_a_logger(request, tmp_path):
    (program,) = programs("cli.md", request.config.rootpath)
    names: dict = {}
    exec(program, names)
    (logger,) = make_loggers([names["MyLogger"]], tmp_path)
    logger.log({"num_env_steps_sampled_total": 3, "episode_return_mean": 0.5})
    logger.close()
    assert (tmp_path / "returns.txt").read_text() == "3 0.5\n"
