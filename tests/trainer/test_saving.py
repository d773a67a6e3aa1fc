"""A run that was saved and restored goes on as if it had never stopped, to the bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import marl
from marl.errors import CheckpointError, ConfigError

from .algorithms import Counting, Other
from .games import Duel
from .resumed import outcome

TESTS = Path(__file__).parent.parent
PPO: dict[str, Any] = {"algorithm": "ppo", "model": {"hidden": [16]}, "epochs": 2}

RUNS: dict[str, dict[str, Any]] = {
    "pettingzoo": {
        "env": "pettingzoo/classic/tictactoe_v3",
        "policies": {"main": PPO, "old": {**PPO, "train": False}, "coin": {"player": "random"}},
        "matches": [
            {"seats": {"player_1": "main", "player_2": "main"}},
            {"seats": {"player_1": "main", "player_2": "coin"}, "weight": 0.5},
            {"seats": {"player_1": "old", "player_2": "main"}, "learn": ["player_2"], "tag": "old"},
        ],
        "evaluation": {"interval": 2, "episodes": 6},
        "rollout_fragment_env_steps": 21,
    },
    "gymnasium": {
        "env": "gymnasium/CartPole-v1",
        "policies": {"main": {**PPO, "train_batch_rows": 100, "observation_filter": "mean_std"}},
        "wrappers": [{"frame_stack": {"n": 2}}],
        "rollout_fragment_env_steps": 17,
    },
    "own": {
        "env": "marl_envs/traffic-v1",
        "policies": {"cars": PPO, "lights": {**PPO, "discount": {"gamma": 0.9, "per": "tick"}}},
        "mapping": {"car_*": "cars", "traffic_light_*": "lights"},
        "rollout_fragment_env_steps": 13,
        "workers": 2,
    },
}


@pytest.mark.parametrize("name", list(RUNS))
def test_resume_in_a_fresh_process_is_bit_equal(name: str, tmp_path: Path) -> None:
    trainer = marl.Trainer(RUNS[name], envs_per_worker=3, seed=11)
    for _ in range(3):
        trainer.train()
    assert any(not copy.needs_reset for worker in trainer.state.workers for copy in worker.copies), "episodes are open at the checkpoint"
    checkpoint = trainer.save(tmp_path / "saved")
    expected = json.loads(json.dumps(outcome(trainer, 3)))
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, str(TESTS / "trainer" / "resumed.py"), str(checkpoint), "3", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["lost"] == []
    assert found == expected


# ------------------------------------------------------------------ without torch, in this process

TWO = {"a": {"algorithm": Counting}, "b": {"algorithm": Other}}


def trainer(tmp_path: Path, **keys: Any) -> marl.Trainer:
    given: dict[str, Any] = {
        "env": Duel,
        "policies": TWO,
        "mapping": {"red": "a", "blue": {"a": 1, "b": 1}},
        "envs_per_worker": 2,
        "rollout_fragment_env_steps": 7,
        "run_dir": tmp_path,
        "name": "run",
    }
    return marl.Trainer({**given, **keys})


def go_on(made: marl.Trainer, path: Path, **keys: Any) -> None:
    """Both the trainer and what is restored from its checkpoint give the same from now on."""
    restored = marl.Trainer.restore(path, trust=["trainer"], **keys)
    assert outcome(restored, 3) == outcome(made, 3)


def test_rows_that_wait_for_a_train_batch_are_saved(tmp_path: Path) -> None:
    made = trainer(tmp_path, policies={"a": {"algorithm": Counting, "train_batch_rows": 40}, "b": {"algorithm": Other}})
    made.train()
    assert made.state.learners["a"].num_waiting_rows
    go_on(made, made.save())


def test_policies_that_were_added_are_saved(tmp_path: Path) -> None:
    made = trainer(tmp_path, mapping=None, match_fn="trainer.functions:newest")
    made.train()
    made.add_policy("a_1", copy_of="a")
    made.add_policy("a_2", copy_of="a", train=True)
    made.add_policy("coin", player="random")
    made.set_match_state({"rival": "a_1"})
    made.train()
    path = made.save()
    restored = marl.Trainer.restore(path, trust=["trainer"])
    assert restored.match_state == {"rival": "a_1"}
    assert restored.get_policy("a_1").weights_hash == made.get_policy("a_1").weights_hash
    assert set(restored.state.learners) == {"a", "b", "a_2"}
    go_on(made, path)


def test_what_has_no_name_must_be_given_again(tmp_path: Path) -> None:
    made = trainer(tmp_path, mapping=None, policy_mapping_fn=lambda agent: "a")
    made.train()
    path = made.save()
    with pytest.raises(CheckpointError, match="policy_mapping_fn"):
        marl.Trainer.restore(path, trust=["trainer"])
    go_on(made, path, policy_mapping_fn=lambda agent: "a")


def test_nothing_is_imported_without_trust(tmp_path: Path) -> None:
    path = trainer(tmp_path).save()
    with pytest.raises(CheckpointError, match=r"nothing was imported(.|\n)*trainer.games:Duel"):
        marl.Trainer.restore(path)


def test_environments_that_were_touched_lose_their_open_episodes(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train()
    made.foreach_env(lambda env: setattr(env, "length", 9))
    restored = marl.Trainer.restore(made.save(), trust=["trainer"])
    assert len(restored.lost_at_restore) == 2
    assert "foreach_env was used" in restored.lost_at_restore[0]
    assert restored.train()["metrics"]["num_episodes_lost_at_restore"] == 2


def test_a_run_keeps_its_newest_checkpoints_in_its_directory(tmp_path: Path) -> None:
    made = trainer(tmp_path, checkpoint={"every_env_steps": 14, "keep": 2}, stop={"iterations": 5})
    made.run()
    found = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert found == ["iteration_000004", "iteration_000005"]
    restored = marl.Trainer.restore(tmp_path / "run", trust=["trainer"])
    assert restored.iteration == 5
    assert restored.directory == tmp_path / "run"
    assert restored.stop_reason() is not None
    further = marl.Trainer.restore(tmp_path / "run", trust=["trainer"], overrides={"stop": {"iterations": 7}})
    assert further.run()["metrics"]["iteration"] == 7


def test_players_of_a_checkpoint(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.train()
    path = made.save()
    policies = {"a": {"algorithm": Counting, "init_from": f"{path}:b"}, "b": {"algorithm": Other}}
    started = trainer(tmp_path, policies=policies)
    np.testing.assert_array_equal(started.get_policy("a").weight, made.get_policy("b").weight)
    assert started.get_policy("a").version == 0
    with pytest.raises(ConfigError, match=r"policies.a.init_from: .* has the action_space Discrete\(3\)"):
        trainer(tmp_path, policies=policies, env_config={"actions": 4})


def test_run_needs_a_stop_condition(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing says when"):
        trainer(tmp_path).run()


@pytest.mark.parametrize(
    ("stop", "iterations"),
    [
        ({"num_env_steps": 30}, 3),
        ({"iterations": 2}, 2),
        ({"num_agent_steps": 29}, 2),
        ({"learners/a/weights_version": 4}, 4),
        ({"time_s": 1e-9}, 1),
    ],
)
def test_a_run_stops_where_its_condition_holds(stop: dict[str, float], iterations: int, tmp_path: Path) -> None:
    made = trainer(tmp_path, stop=stop)
    assert made.run()["metrics"]["iteration"] == iterations
    assert made.stop_reason() is not None


def test_a_run_that_evaluates_ends_with_an_evaluation(tmp_path: Path) -> None:
    made = trainer(tmp_path, stop={"iterations": 3}, evaluation={"interval": 2, "episodes": 4})
    assert made.run()["metrics"]["evaluation/num_episodes"] == 4


def test_ctrl_c_ends_the_iteration_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    made = trainer(tmp_path, stop={"iterations": 100})

    def interrupt(result: Any) -> None:
        if result["metrics"]["iteration"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"saved .*iteration_00000[23]; go on with: marl train --resume .*run"):
        made.run(interrupt)
    restored = marl.Trainer.restore(tmp_path / "run", trust=["trainer"])
    assert restored.iteration == made.iteration
    assert outcome(restored, 2) == outcome(made, 2)


def test_a_saved_run_gives_its_environment_and_its_policies(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    path = made.save()
    env = marl.load_env(path, trust=["trainer"])
    observations, _ = env.reset(seed=1)
    player = marl.load_policy(path, "a", trust=["trainer"])
    assert player.act(observations["red"]) == 0


@pytest.mark.parametrize(("given", "written"), [({}, "aec"), ({"api": "aec"}, "aec")])
def test_the_form_in_which_a_game_is_played_is_written_down(given: dict[str, Any], written: str, tmp_path: Path) -> None:
    trainer = marl.Trainer(env="pettingzoo/classic/tictactoe_v3", env_config=given, rollout_fragment_env_steps=8)
    assert trainer.config.env_config["api"] == written
    trainer.train()
    again = marl.Trainer.restore(trainer.save(tmp_path / "saved"))
    assert again.config.env_config["api"] == written
