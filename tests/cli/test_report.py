"""What people see of a run: files, displays, last words."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import signal
import struct
import sys
import threading
import types
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from marl.errors import ConfigError, RunError
from marl.report.curve import panels_of, read_progress, write_curve
from marl.report.display import LineDisplay, LiveDisplay, NotebookDisplay, make_display
from marl.report.event_file import EventFile, _masked_crc
from marl.report.following import Following, listening
from marl.report.loggers import CsvLogger, TensorBoardLogger, make_loggers, scalars
from marl.report.progress import duration, line, progress_of, results_of, short
from marl.report.run_directory import file_name, new_run_directory, run_of
from marl.report.summary import marl_command, summary

METRICS = {
    "iteration": 4,
    "num_env_steps_sampled_total": 25_000,
    "num_env_steps_per_s": 1_000.0,
    "episode_return_mean": 12.345,
    "episode_return_count": 60,
    "policies/a/return_mean": 1.0,
    "policies/b/return_mean": -1500.0,
    "policies/a/vs/b/seat/1/return_mean": 9.0,
    "time_s/env": 1.0,
    "time_s/learn": 3.0,
    "time_s/iteration": 4.0,
    "time_s/total": 30.0,
}
EVALUATION = {
    "evaluation/episode_return_mean": 3.0,
    "evaluation/episode_return_count": 10,
    "evaluation/policies/a/vs/coin/first/win_rate": 0.75,
    "evaluation/policies/a/vs/coin/first/draw_rate": 0.125,
    "evaluation/policies/a/vs/coin/first/count": 400,
    "evaluation/policies/coin/vs/a/second/win_rate": 0.125,
    "evaluation/policies/a/vs/a/first/win_rate": 0.5,
}


# ------------------------------------------------------------------ files


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_columns_grow_and_earlier_rows_stay(tmp_path):
    log = CsvLogger(tmp_path)
    log.log({"iteration": 1, "loss": 0.1})
    log.log({"iteration": 2, "loss": 1e-17, "b": True})
    log.log({"iteration": 3, "evaluation/x": np.float32(0.5), "text": "no", "array": np.zeros(3)})
    log.log({"iteration": 4, "loss": math.nan})
    log.close()
    assert read_rows(tmp_path / "progress.csv") == [
        {"iteration": "1", "loss": "0.1", "b": "", "evaluation/x": ""},
        {"iteration": "2", "loss": "1e-17", "b": "1", "evaluation/x": ""},
        {"iteration": "3", "loss": "", "b": "", "evaluation/x": "0.5"},
        {"iteration": "4", "loss": "nan", "b": "", "evaluation/x": ""},
    ]
    assert [one.name for one in tmp_path.iterdir()] == ["progress.csv"]


def test_csv_is_whole_after_every_iteration(tmp_path):
    log = CsvLogger(tmp_path)
    for iteration in range(1, 4):
        log.log({"iteration": iteration, f"new_{iteration}": 0.0})
        assert [row["iteration"] for row in read_rows(tmp_path / "progress.csv")] == [str(one) for one in range(1, iteration + 1)]
    log.close()


def test_csv_of_a_resumed_run_goes_on_behind_its_checkpoint(tmp_path):
    log = CsvLogger(tmp_path)
    for iteration in range(1, 6):
        log.log({"iteration": iteration, "x": iteration * 1.0})
    log.close()
    with (tmp_path / "progress.csv").open("a") as file:
        file.write("6")
    log = CsvLogger(tmp_path, after_iteration=3)
    log.log({"iteration": 4, "x": -4.0, "y": 1.0})
    log.close()
    assert [(row["iteration"], row["x"], row["y"]) for row in read_rows(tmp_path / "progress.csv")] == [
        ("1", "1.0", ""),
        ("2", "2.0", ""),
        ("3", "3.0", ""),
        ("4", "-4.0", "1.0"),
    ]


def test_scalars_are_the_numbers_and_their_full_names():
    found = scalars({"a": 1, "b": {"c": np.float64(0.5), "d": [1]}, "e": None, "f": np.array(3), "g": True, "h": np.zeros(2)})
    assert found == {"a": 1, "b/c": 0.5, "f": 3, "g": 1}
    assert type(found["g"]) is int


def test_the_checksum_of_the_format():
    crc = 0xE3069283  # CRC-32C of "123456789", from its definition
    assert _masked_crc(b"123456789") == (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def test_event_files_are_framed_records(tmp_path):
    events = EventFile(tmp_path)
    events.add(3, {"x": 0.5, "ü": math.inf})
    events.close()
    data, records = events.path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == _masked_crc(data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == _masked_crc(body)
        records.append(body)
        data = data[16 + length :]
    assert records[0].endswith(b"brain.Event:2")
    assert records[1].endswith(b"\x0a\x09\x0a\x02\xc3\xbc\x15" + struct.pack("<f", math.inf))


def test_tensorboard_shows_a_resumed_run_once(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is a dev extra")
    log = TensorBoardLogger(tmp_path)
    for step in (10, 20, 30, 40):
        log.log({"num_env_steps_sampled_total": step, "x": step * 1.0})
    log.close()
    log = TensorBoardLogger(tmp_path, from_step=20)  # what came after the checkpoint was lost in a crash
    for step in (30, 40, 50):
        log.log({"num_env_steps_sampled_total": step, "x": -step * 1.0, "large": 2.0**40})
    log.close()
    events = event_accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("x")] == [(10, 10), (20, 20), (30, -30), (40, -40), (50, -50)]
    assert events.Scalars("large")[0].value == 2.0**40


def test_loggers_are_made_or_all_that_is_wrong_is_said(tmp_path):
    class Kept:
        def __init__(self, directory):
            self.directory = directory

        def log(self, metrics): ...

        def close(self): ...

    one = Kept("mine")
    made = make_loggers(["csv", "tensorboard", Kept, one, lambda directory: Kept(directory)], tmp_path)
    assert [type(logger) for logger in made] == [CsvLogger, TensorBoardLogger, Kept, Kept, Kept]
    assert made[2].directory == tmp_path
    assert made[3] is one
    for logger in made:
        logger.close()
    with pytest.raises(ConfigError) as caught:
        make_loggers([lambda directory: {}, "csv", 3], tmp_path)
    assert [problem.key for problem in caught.value.problems] == ["loggers[0]", "loggers[2]"]


def test_run_directories_have_names_of_their_own(tmp_path):
    now = lambda: datetime(2025, 1, 2, 3, 4, 5)  # noqa: E731
    first = new_run_directory(tmp_path / "runs", "pettingzoo/classic/tictactoe_v3", {"seed": 3, "lr": 3e-4}, now=now)
    second = new_run_directory(tmp_path / "runs", "pettingzoo/classic/tictactoe_v3", {}, now=now)
    assert (first.name, second.name) == ("tictactoe_v3-20250102-030405", "tictactoe_v3-20250102-030405-2")
    assert "seed: 3" in (first / "config.yaml").read_text()
    assert [new_run_directory(tmp_path / "runs", "mine", {}, timed=False).name for _ in range(2)] == ["mine", "mine-2"]
    assert file_name("my.module:Game") == "Game"
    assert file_name("a b/c d*") == "c_d"
    assert file_name("/") == "run"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the run's directory"):
        new_run_directory(tmp_path / "file", "x", {})


def test_the_run_of_a_checkpoint(tmp_path):
    from marl.checkpoint import save_state

    run = new_run_directory(tmp_path, "x", {})
    inside = save_state(run / "checkpoints" / "iteration_000001", {})
    elsewhere = save_state(tmp_path / "mine", {})
    assert run_of(inside) == run
    assert run_of(run) == run
    assert run_of(elsewhere) is None


# ------------------------------------------------------------------ in numbers and words


def test_progress_of_metrics():
    progress = progress_of(METRICS | EVALUATION, {"num_env_steps": 100_000, "time_s": 3000, "episode_return_mean": 50})
    assert progress.fraction == 0.25
    assert progress.of == "100,000 env steps"
    assert progress.seconds_left == 75
    assert progress.returns == (("a", 1.0), ("b", -1500.0))
    assert dict(progress.shares) == {"env": 0.25, "learn": 0.75}
    assert progress.evaluated == 3.0
    assert [one[:3] for one in progress.results] == [("a", "coin", "first"), ("coin", "a", "second")]
    assert progress_of(EVALUATION, {}, ["a"]).results == (("a", "coin", "first", 0.75, 0.125, 400),)
    assert progress_of(METRICS, {"time_s": 40}).seconds_left == 10
    assert progress_of(METRICS, {"iterations": 8}).seconds_left == 30  # four took 30 s
    assert progress_of({}, {}).fraction is None


def test_a_line_of_plain_text():
    assert line(progress_of(METRICS, {"num_env_steps": 100_000})) == (
        "iteration 4 | 25,000 env steps (25% of 100,000 env steps) | return 12.35 (60 episodes) | a 1.00, b -1,500 | "
        "1,000 env steps/s | 1:15 left"
    )
    assert "wins a as first against coin 75%" in line(progress_of(METRICS | EVALUATION, {}))
    assert line(progress_of({"iteration": 1}, {})) == "iteration 1 | 0 env steps | return – (0 episodes)"


def test_seats_may_have_slashes_in_their_names():
    assert results_of({"policies/p/vs/q/team/1/win_rate": 1.0}) == [("p", "q", "team/1", 1.0, 0.0, 0)]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00"), (754, "12:34"), (10930, "3:02:10"), (math.inf, "?")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (math.nan, "–"), (1.234, "1.23"), (-123.45, "-123.5"), (12345.6, "12,346")])
def test_short_numbers(value, text):
    assert short(value) == text


def test_a_team_has_no_winners():
    alone = {"evaluation/policies/a/vs/a/x/win_rate": 0.25, "evaluation/episode_return_mean": 4.0, "evaluation/episode_return_count": 9}
    team = METRICS | alone | {"evaluation/episode_return_min": 3.0, "evaluation/episode_return_max": 5.0}
    assert progress_of(team, {}).results == ()
    assert summary(team, checkpoint=None, run=None, explore=False).splitlines()[2:] == [
        "in evaluation (greedy): return 4.00 over 9 episodes"
    ]
    rivals = METRICS | alone | {"evaluation/episode_return_min": 0.0, "evaluation/episode_return_max": 0.0}
    assert [one[:3] for one in progress_of(rivals, {}).results] == [("a", "a", "x")]


def test_the_last_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = summary(
        METRICS | EVALUATION,
        checkpoint=tmp_path / "runs" / "my run" / "checkpoints" / "iteration_000004",
        run=tmp_path / "runs" / "my run",
        learned=["a", "b"],
        seats=["first", "second"],
        playable=True,
        explore=False,
        stop={"num_env_steps": 25_000},
        curve=tmp_path / "runs" / "my run" / "learning_curve.png",
        drawable=True,
        command=".venv/bin/marl",
    )
    assert words.splitlines() == [
        "4 iterations, 25,000 env steps in 30 s; return 12.35 over the last 60 episodes",
        "",
        "in evaluation (greedy):",
        "  policy  against  as      wins  draws  losses  games",
        "  a       coin     first  75.0%  12.5%   12.5%    400",
        "",
        "checkpoint   runs/my run/checkpoints/iteration_000004",
        "curve        runs/my run/learning_curve.png",
        "play it      .venv/bin/marl play 'runs/my run' --as first --opponent a",
        "evaluate it  .venv/bin/marl evaluate 'runs/my run'",
        "record it    .venv/bin/marl evaluate 'runs/my run' --record episode.gif",
        "go on        .venv/bin/marl train --resume 'runs/my run' --set stop.num_env_steps=50000",
    ]
    alone = summary(METRICS | {"evaluation/episode_return_mean": 3.0}, checkpoint=None, run=None)
    assert alone.splitlines()[2:] == ["in evaluation: return 3.00 over 0 episodes"]


def test_marl_is_called_by_its_path_where_the_shell_does_not_find_it(tmp_path, monkeypatch):
    ours = tmp_path / ".venv" / "bin" / "marl"
    ours.parent.mkdir(parents=True)
    ours.write_text("")
    ours.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(ours.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")
    assert marl_command() == ".venv/bin/marl"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert marl_command() == "marl"


def test_the_curve(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra 'report'")
    assert write_curve(tmp_path / "progress.csv", tmp_path / "a.png") is None
    log = CsvLogger(tmp_path)
    log.log({"num_env_steps_sampled_total": 1})
    assert write_curve(tmp_path / "progress.csv", tmp_path / "a.png") is None  # nothing to draw
    for step in range(2, 5):
        log.log({"num_env_steps_sampled_total": step, "episode_return_mean": step * 1.0, "evaluation/policies/a/vs/b/x/win_rate": 0.5})
    log.close()
    columns = read_progress(tmp_path / "progress.csv")
    assert columns["episode_return_mean"][1:] == [2.0, 3.0, 4.0]
    assert math.isnan(columns["episode_return_mean"][0])
    assert [title for title, _ in panels_of(columns)] == ["return", "games in evaluation"]
    assert write_curve(tmp_path / "progress.csv", tmp_path / "a.png") == tmp_path / "a.png"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in sys.modules or sys.modules.get("pytest_mpl")


def test_what_the_curve_shows():
    judged = {
        "evaluation/policies/a/vs/coin/x/win_rate": [0.5, 0.75],
        "evaluation/policies/a/vs/coin/x/draw_rate": [0.25, 0.125],
        "evaluation/policies/coin/vs/a/y/win_rate": [0.25, 0.125],
    }
    wins_and_losses = [("a as x against coin wins", "-", [0.5, 0.75]), ("a as x against coin loses", ":", [0.25, 0.125])]
    assert panels_of({"episode_return_mean": [0.0, 0.0], **judged}, ["a"]) == [("games in evaluation", wins_and_losses)]
    returns = {"episode_return_mean": [1.0, 2.0], "policies/a/return_mean": [0.5, 1.0], "policies/b/return_mean": [0.5, 1.0]}
    lines = [("training", "-", [1.0, 2.0]), ("a", "-", [0.5, 1.0]), ("b", "-", [0.5, 1.0])]
    assert panels_of(returns | judged, ["a"]) == [("return", lines), ("games in evaluation", wins_and_losses)]
    team = {"episode_return_mean": [1.0, 2.0], "evaluation/policies/a/vs/a/x/win_rate": [0.1, 0.2]}
    assert panels_of(team, ["a"]) == [("return", [("training", "-", [1.0, 2.0])])]
    assert panels_of({"episode_return_mean": [5.0], "policies/a/return_mean": [5.0]}) == [("return", [("training", "-", [5.0])])]


# ------------------------------------------------------------------ displays


def test_plain_lines_where_nobody_watches():
    out = io.StringIO()
    display = make_display({"iterations": 8}, "game", stream=out)
    assert isinstance(display, LineDisplay)
    display.update(METRICS)
    display.note("saved")
    display.close()
    first, second = out.getvalue().splitlines()
    assert first.startswith("iteration 4 | 25,000 env steps (50% of 8 iterations)")
    assert second == "saved"


def test_a_live_table_in_a_terminal():
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    display = LiveDisplay({"num_env_steps": 100_000}, "my run", console=console)
    display.update(METRICS | EVALUATION)
    display.update(METRICS | {"iteration": 5})
    display.note("saved somewhere [1]")
    display.close()
    last = out.getvalue().rpartition("my run")[2]
    assert "saved somewhere [1]" in out.getvalue()
    assert re.search(r"iteration +5 ", last)
    assert "25% of 100,000 env steps" in last
    assert "1:15 left" in last
    assert "env 25%, learn 75%" in last
    assert re.search("3.00.*at iteration 4", last)  # the newest evaluation stays in sight
    assert "75.0%" in last


def test_a_cell_in_a_notebook(monkeypatch):
    shown = []

    class Handle:
        def update(self, what):
            shown.append(what)

    ipython, display_module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    ipython.display = display_module
    display_module.Pretty = str
    display_module.display = lambda what, display_id=False: shown.append(what) or Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display_module)
    display = make_display({}, "game")
    assert isinstance(display, NotebookDisplay)
    display.update(METRICS)
    display.note("saved")
    display.close()
    assert shown[0] == "game: first iteration…"
    assert "12.35" in shown[1]
    assert "\x1b" not in shown[1]
    assert shown[2] == "saved"


# ------------------------------------------------------------------ stopping


def test_the_first_signal_is_a_wish_and_the_second_an_order():
    before = signal.getsignal(signal.SIGINT)
    said = []
    with listening(lambda: said.append("stopping")) as asked:
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert said == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nobody_asks():
    found = []

    def elsewhere():
        with listening(lambda: None) as asked:
            found.append(asked())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]


class FakeTrainer:
    """Ten env steps an iteration; ``at`` maps an iteration to what happens in it."""

    def __init__(self, directory, at=None, stop=5, every=None):
        self.at, self.stop, self.directory = at or {}, stop, directory
        self.iteration, self.saved, self.evaluated = 0, [], 0
        self.state = types.SimpleNamespace(num_env_steps=0)
        self.config = types.SimpleNamespace(
            checkpoint=types.SimpleNamespace(every_env_steps=every), evaluation=types.SimpleNamespace(interval=None), policies={}
        )

    def train(self):
        self.iteration += 1
        self.state.num_env_steps += 10
        self.at.get(self.iteration, lambda: None)()
        return {"metrics": {"iteration": self.iteration}, "episodes": []}

    def stop_reason(self):
        return "done" if self.iteration >= self.stop else None

    def evaluate(self):
        self.evaluated += 1
        return {"metrics": {"x": 1.0}, "episodes": []}

    def save(self):
        self.saved.append(self.iteration)
        return self.directory / f"{self.iteration}"


def follow(tmp_path, **keys):
    out = io.StringIO()
    trainer = FakeTrainer(tmp_path, **keys)
    return trainer, Following(trainer, tmp_path, LineDisplay({}, (), out), [CsvLogger(tmp_path)]), out


def test_a_run_ends_with_a_checkpoint_and_has_some_on_the_way(tmp_path):
    trainer, following, out = follow(tmp_path, stop=7, every=25)
    following.run()
    assert trainer.saved == [3, 5, 7]
    assert following.checkpoint == tmp_path / "7"
    assert not following.interrupted
    assert len(out.getvalue().splitlines()) == 7
    assert len(read_rows(tmp_path / "progress.csv")) == 7


def test_a_run_that_evaluates_ends_with_an_evaluation(tmp_path):
    trainer, following, _ = follow(tmp_path, stop=2)
    trainer.config.evaluation.interval = 10
    following.run()
    assert trainer.evaluated == 1
    assert [row["evaluation/x"] for row in read_rows(tmp_path / "progress.csv")] == ["", "1.0"]


def test_ctrl_c_in_an_iteration_lets_it_end_and_saves(tmp_path):
    trainer, following, out = follow(tmp_path, at={2: lambda: os.kill(os.getpid(), signal.SIGINT)})
    following.run()
    assert following.interrupted
    assert (trainer.iteration, trainer.saved) == (2, [2])
    assert "stopping: this iteration ends, then a checkpoint is written" in out.getvalue()
    assert [row["iteration"] for row in read_rows(tmp_path / "progress.csv")] == ["1", "2"]


def test_ctrl_c_while_metrics_are_logged_saves_too(tmp_path):
    trainer, following, _ = follow(tmp_path)

    class Interrupting:
        def log(self, metrics):
            if metrics["iteration"] == 3:
                os.kill(os.getpid(), signal.SIGINT)

        def close(self): ...

    following.loggers.append(Interrupting())
    following.run()
    assert following.interrupted
    assert trainer.saved == [3]


def test_ctrl_c_twice_stops_at_once_and_saves_nothing(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    trainer, following, _ = follow(tmp_path, at={3: twice}, every=10)
    with pytest.raises(KeyboardInterrupt):
        following.run()
    assert trainer.saved == [1, 2]
    assert len(read_rows(tmp_path / "progress.csv")) == 2


def test_an_error_closes_the_loggers(tmp_path):
    def fail():
        raise RunError("no")

    _, following, _ = follow(tmp_path, at={2: fail})
    with pytest.raises(RunError, match="no"):
        following.run()
    assert len(read_rows(tmp_path / "progress.csv")) == 1
    assert following.loggers[0]._file.closed
