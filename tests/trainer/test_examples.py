"""Every run file in ``examples/`` is valid and makes an iteration."""

from __future__ import annotations

from pathlib import Path

import pytest

import marl
from marl.config import apply_overrides, read_run_file

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_makes_an_iteration(path: Path) -> None:
    small = apply_overrides(
        read_run_file(path), ["envs_per_worker=2", "rollout_fragment_env_steps=20", "evaluation.episodes=4", "evaluation.interval=1"]
    )
    trainer = marl.Trainer(small)
    metrics = trainer.train()["metrics"]
    assert metrics["num_env_steps_sampled_total"] == 40
    assert metrics["evaluation/num_episodes"] == 4
    assert trainer.config.stop


def test_there_are_examples() -> None:
    assert "tictactoe_selfplay" in [path.stem for path in EXAMPLES]


def test_train_runs_to_the_end(tmp_path: Path) -> None:
    trainer = marl.train(
        env="marl_envs/rock_paper_scissors-v1",
        policies={"main": {"algorithm": "ppo", "model": {"hidden": [8]}}},
        stop={"num_env_steps": 40},
        rollout_fragment_env_steps=20,
        run_dir=tmp_path,
        name="done",
    )
    assert trainer.iteration == 2
    assert trainer.directory is not None
    assert (trainer.directory / "checkpoints" / "iteration_000002").is_dir()
