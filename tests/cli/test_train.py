"""``marl train``: from a run file to the last words, and on again."""

from __future__ import annotations

import csv
import errno
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from marl.checkpoint import files, list_checkpoints, load_state, read_manifest, verify
from marl.config import load_config
from tests.cli.conftest import TIC_TAC_TOE


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_everything_behind(marl, tmp_path):
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE)
    code, out, err = marl("train", "run.yaml", "--set", "policies.main.max_grad_norm=0.25", "--set", "seed=3", "--run-dir", "here")
    assert (code, err) == (0, "")
    (run,) = (tmp_path / "here").iterdir()
    assert run.name.startswith("tic_tac_toe-v1-")

    config = load_config(run / "config.yaml")
    assert config.seed == 3
    assert config.learners["main"].config.max_grad_norm == 0.25

    progress = rows(run)
    assert [row["iteration"] for row in progress] == ["1", "2", "3"]
    assert [row["num_env_steps_sampled_total"] for row in progress] == ["64", "128", "192"]
    assert float(progress[1]["evaluation/policies/main/vs/coin/player_1/count"]) == 5
    assert progress[0]["evaluation/episode_return_mean"] == ""

    (checkpoint,) = list_checkpoints(run / "checkpoints")
    assert checkpoint.name == "iteration_000003"
    verify(checkpoint)
    assert (run / "learning_curve.png").read_bytes().startswith(b"\x89PNG")

    lines = out.splitlines()
    assert lines[0].startswith("iteration 1 | 64 env steps (33% of 3 iterations) | return 0.00")
    assert "wins main as player_1 against coin" in lines[1]
    assert "as player_1" in out
    assert "as player_2" in out
    assert f"checkpoint   here/{run.name}/checkpoints/iteration_000003" in out
    assert f"play it      marl play here/{run.name} --as player_1" in out


def test_the_last_words_hold_win_rates_of_the_last_evaluation_and_commands_that_work(marl, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs" / "r")
    code, out, _ = marl("train", "--resume", "runs/r", "--set", "stop.iterations=4")
    assert code == 0
    table = [line.split() for line in out.splitlines() if line.startswith("  main")]
    last = rows(tmp_path / "runs" / "r")[-1]
    for words in table:
        seat = words[2]
        assert words[:3] == ["main", "coin", seat]
        assert words[3] == f"{float(last[f'evaluation/policies/main/vs/coin/{seat}/win_rate']):.1%}"
    assert [words[2] for words in table] == ["player_1", "player_2"]
    command = next(line for line in out.splitlines() if line.startswith("play it")).split()[3:]
    code, out, _ = marl(*command, stdin="q\n")
    assert code == 0
    assert "you are player_1; player_2 is main" in out
    assert "left the game" in out


def test_tensorboard_reads_what_was_written(trained):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is a dev extra")
    events = event_accumulator.EventAccumulator(str(trained))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"episode_len_mean", "learners/main/num_rows", "evaluation/policies/main/vs/coin/player_2/win_rate"} <= set(tags)
    assert [(one.step, one.value) for one in events.Scalars("iteration")] == [(64, 1.0), (128, 2.0), (192, 3.0)]
    with (trained / "progress.csv").open() as file:
        expected = [float(row["episode_len_mean"]) for row in csv.DictReader(file)]
    assert [one.value for one in events.Scalars("episode_len_mean")] == pytest.approx(expected)


def test_a_run_goes_on_where_it_was(marl, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "r")
    whole = rows(tmp_path / "r")
    with (tmp_path / "r" / "progress.csv").open("a") as file:
        file.write("4,what,a,crash,left")  # behind the checkpoint, and cut short
    code, out, err = marl("train", "--resume", "r", "--set", "stop.iterations=5")
    assert (code, err) == (0, "")
    assert out.startswith("goes on from r/checkpoints/iteration_000003: iteration 3, 192 env steps; bit-equal")
    progress = rows(tmp_path / "r")
    assert [row["iteration"] for row in progress] == ["1", "2", "3", "4", "5"]
    assert progress[:3] == whole
    assert [one.name for one in list_checkpoints(tmp_path / "r" / "checkpoints")] == ["iteration_000003", "iteration_000005"]
    assert load_config(tmp_path / "r" / "config.yaml").stop == {"iterations": 5}


def test_three_and_three_iterations_are_six(marl, tmp_path):
    """Stopped and resumed in another process, against never stopped: every weight, every metric but times."""
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE)
    assert marl("train", "run.yaml", "--run-dir", "whole", "--set", "stop.iterations=6")[0] == 0
    assert marl("train", "run.yaml", "--run-dir", "halves")[0] == 0
    (whole,), (halves,) = (tmp_path / "whole").iterdir(), (tmp_path / "halves").iterdir()
    command = [sys.executable, "-m", "marl.cli", "train", "--resume", str(halves), "--set", "stop.iterations=6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "bit-equal" in done.stdout

    def exact(run: Path) -> list[dict[str, str]]:
        return [{name: value for name, value in row.items() if "time_s/" not in name and "per_s" not in name} for row in rows(run)]

    # The third iteration was the last one of its run and was evaluated for that reason alone.
    first, second = exact(whole), exact(halves)
    del first[2], second[2]
    assert first == second
    learners = [load_state(run / "checkpoints" / "iteration_000006")["learners"] for run in (whole, halves)]
    flat = [(run / "checkpoints" / "iteration_000006" / "state" / "learners.safetensors").read_bytes() for run in (whole, halves)]
    assert flat[0] == flat[1]
    assert learners[0]["main"]["rng"] == learners[1]["main"]["rng"]


def test_an_older_checkpoint_goes_on_in_a_directory_of_its_own(marl, tmp_path):
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE)
    assert marl("train", "run.yaml", "--set", "checkpoint.every_env_steps=64")[0] == 0
    (run,) = (tmp_path / "runs").iterdir()
    before = {one: one.read_bytes() for one in run.rglob("*") if one.is_file()}
    older = run / "checkpoints" / "iteration_000002"
    code, out, _ = marl("train", "--resume", older)
    assert code == 0
    (branch,) = {*(tmp_path / "runs").iterdir()} - {run}
    assert out.startswith(f"goes on in runs/{branch.name} from runs/{run.name}/checkpoints/iteration_000002: iteration 2")
    assert {one: one.read_bytes() for one in run.rglob("*") if one.is_file()} == before
    assert [row["iteration"] for row in rows(branch)] == ["3"]
    (last,) = list_checkpoints(branch / "checkpoints")
    weights = "state/learners.safetensors"
    assert (last / weights).read_bytes() == (run / "checkpoints" / "iteration_000003" / weights).read_bytes()
    code, out, _ = marl("train", "--resume", run, "--set", "stop.iterations=4", "--run-dir", "other")
    assert code == 0
    assert len(list((tmp_path / "other").iterdir())) == 1
    assert {one: one.read_bytes() for one in run.rglob("*") if one.is_file()} == before


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, spec, num_outputs, width):
        super().__init__()
        self.body = nn.Linear(18, width)
        self.outputs, self.value = nn.Linear(width, num_outputs), nn.Linear(width, 1)

    def forward(self, obs):
        features = torch.tanh(self.body(obs.flatten(1).float()))
        return self.outputs(features), self.value(features).squeeze(-1)
"""


def test_a_network_of_ones_own_needs_trust_once_it_stands_in_a_checkpoint(marl, tmp_path):
    """It is imported by the plugin, which must not see its name before the name was let through."""
    (tmp_path / "my_net.py").write_text(MODEL)
    model = '{module: "my_net:Net", module_options: {width: 4}}'
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE.replace("{hidden: [16]}", model))
    for command in (["run.yaml"], ["run.yaml", "--resume", "RUN", "--set", "stop.iterations=4"]):
        code, _, err = marl("train", *(one.replace("RUN", str(next(iter((tmp_path / "runs").glob("*")), ""))) for one in command))
        assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()

    def forgotten() -> None:
        sys.modules.pop("my_net", None)
        sys.path[:] = [one for one in sys.path if one not in ("", str(tmp_path))]

    for command in (["evaluate", run], ["play", run], ["train", "--resume", run, "--set", "stop.iterations=5"]):
        forgotten()
        code, _, err = marl(*command, stdin="q\n")
        assert code == 1
        assert "my_net:Net" in err
        assert "--trust my_net" in err
        assert "my_net" not in sys.modules
        code, _, err = marl(*command, "--trust", "my_net", stdin="q\n")
        assert code == 0, err
        assert "my_net" in sys.modules
    forgotten()
    code, _, err = marl("evaluate", run, "--run-file", "run.yaml", "--against", "random", "--record", "episode.gif")
    assert code == 0, err
    forgotten()


def test_array_native_environments_train_and_are_judged(marl, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "env: marl_envs.cartpole:VectorCartPole\nenv_config: {num_envs: 4, num_agents: 2}\n"
        "policies: {main: {algorithm: ppo, model: {hidden: [8]}}}\nrollout_fragment_env_steps: 8\nstop: {iterations: 2}\n"
    )
    code, out, err = marl("train", "run.yaml")
    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    code, out, err = marl("evaluate", run, "--episodes", 6)
    assert code == 0, err
    assert out.startswith("6 episodes of ")


def test_resume_refuses_what_would_not_be_the_same_run(marl, trained):
    code, _, err = marl("train", "--resume", trained, "--set", "policies.main.lr=1", "--set", "stop.iterations=9")
    assert code == 2
    assert "--set policies: cannot change when a run goes on → only stop, checkpoint, evaluation, loggers change on --resume" in err
    code, _, err = marl("train", "--resume", trained)
    assert code == 1
    assert "has reached its stop condition already (iterations 3 ≥ 3)" in err
    code, _, err = marl("train", "--resume", "nowhere")
    assert code == 1
    assert "nowhere does not exist" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "neither a run file nor --resume RUN is given"),
        (("nofile.yaml",), "there is no such run file"),
        (("run.yaml", "--set", "policies.main.lrr=1"), "lrr"),
        (("run.yaml", "--set", "stop"), "expected KEY=VALUE"),
        (("run.yaml", "--set", "stop="), "nothing says when the run ends"),
        (("run.yaml", "--set", "env=marl_envs/tic_tac_to-v1"), "Did you mean 'marl_envs/tic_tac_toe-v1'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(marl, tmp_path, argv, said):
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE)
    code, out, err = marl("train", *argv)
    assert code in (1, 2)
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "runs").exists()


def test_a_run_directory_that_cannot_be_made(marl, tmp_path):
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE)
    (tmp_path / "file").write_text("")
    code, _, err = marl("train", "run.yaml", "--run-dir", "file")
    assert code == 1
    assert "cannot make the run's directory in file" in err
    assert "--run-dir" in err


def test_a_disk_that_fills_up_costs_no_checkpoint(marl, tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE)
    real, saved = files.open_file, []

    def filling(path):
        if "iteration_000002" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        saved.append(path)
        return real(path)

    monkeypatch.setattr(files, "open_file", filling)
    code, _, err = marl("train", "run.yaml", "--set", "checkpoint.every_env_steps=64")
    assert code == 1
    assert "iteration_000002: No space left on device" in err
    assert "the last checkpoint is whole: runs/" in err
    assert "go on with: marl train --resume runs/" in err
    (run,) = (tmp_path / "runs").iterdir()
    assert [one.name for one in (run / "checkpoints").iterdir()] == ["iteration_000001"]
    assert load_state(run / "checkpoints" / "iteration_000001")["progress"]["iteration"] == 1
    assert [row["iteration"] for row in rows(run)] == ["1", "2"]
    monkeypatch.setattr(files, "open_file", real)
    code, out, _ = marl("train", "--resume", run)
    assert code == 0
    assert "bit-equal" in out
    assert [row["iteration"] for row in rows(run)] == ["1", "2", "3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_says_how_to_go_on(number, marl, tmp_path):
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE.replace("iterations: 3", "iterations: 1_000_000"))
    command = [sys.executable, "-m", "marl.cli", "train", "run.yaml", "--set", "checkpoint.keep=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("iteration 5 "):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    (run,) = (tmp_path / "runs").iterdir()
    (checkpoint,) = list_checkpoints(run / "checkpoints")
    iteration = read_manifest(checkpoint).meta["iteration"]
    assert iteration >= 5
    assert str(checkpoint.relative_to(tmp_path)) in err
    assert f"marl train --resume {run.relative_to(tmp_path)}" in err
    assert "Traceback" not in err
    code, out, _ = marl("train", "--resume", run, "--set", f"stop.iterations={iteration + 1}")
    assert code == 0
    assert "bit-equal" in out
    assert [int(row["iteration"]) for row in rows(run)] == list(range(1, iteration + 2))


def test_a_user_logger_and_nothing_else(marl, tmp_path):
    (tmp_path / "my_logging.py").write_text(
        "class Lines:\n"
        "    def __init__(self, directory):\n"
        "        self.file = (directory / 'lines.txt').open('w')\n"
        "    def log(self, metrics):\n"
        "        self.file.write(f\"{metrics['iteration']}\\n\")\n"
        "    def close(self):\n"
        "        self.file.write('closed\\n')\n"
        "        self.file.close()\n"
    )
    (tmp_path / "run.yaml").write_text(TIC_TAC_TOE + 'loggers: ["my_logging:Lines"]\n')
    code, _, err = marl("train", "run.yaml")
    assert (code, err) == (0, "")
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "lines.txt").read_text() == "1\n2\n3\nclosed\n"
    assert not (run / "progress.csv").exists()
    assert not list(run.glob("events*"))
    sys.modules.pop("my_logging", None)


def test_returns_are_numbers_in_the_csv(trained):
    for row in rows(trained):
        assert math.isfinite(float(row["episode_return_mean"]))
