"""The other commands: what they print, and how they exit."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import pytest

from marl import Trainer
from marl.checkpoint import find_checkpoint, load_policy
from marl.cli.app import app
from marl.local import load_env

BROKEN = """
import numpy as np
from gymnasium import spaces

class Broken:
    possible_agents = ["a", "b"]
    observation_spaces = {"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Box(-1, 1, (2,), np.float32)}
    action_spaces = {"a": spaces.Discrete(2), "b": spaces.Discrete(2)}

    def __init__(self, size=3):
        self.size = size

    def reset(self, *, seed=None, options=None):
        self.calls = 0
        self.rng = np.random.default_rng(seed)
        return {agent: np.zeros(2, np.float32) for agent in self.possible_agents}, {}

    def step(self, actions):
        self.calls += 1
        if self.calls == self.size:
            raise ZeroDivisionError("the game divides by zero here")
        rewards = {"a": 1.0, "b": float("nan") if self.calls == 2 else 0.0}
        obs = {agent: self.rng.uniform(-1, 1, 2).astype(np.float32) for agent in self.possible_agents}
        return obs, rewards, {"__all__": False}, {"__all__": False}, {}
"""


@pytest.fixture
def broken_game(tmp_path):
    (tmp_path / "broken_game.py").write_text(BROKEN)
    yield
    sys.modules.pop("broken_game", None)


# ------------------------------------------------------------------ check


def test_check_finds_nothing_in_a_good_game(marl):
    code, out, err = marl("check", "marl_envs/tic_tac_toe-v1", "--episodes", 2, "--seed", 4)
    assert (code, err) == (0, "")
    assert "No violations." in out
    assert out.splitlines()[0].startswith("marl_envs.tic_tac_toe:")  # how it is made


def test_check_prints_every_violation_and_fails(marl, broken_game):
    code, out, _ = marl("check", "broken_game:Broken", "--env-config", "size=9")
    assert code == 1
    assert "called with the items of env_config as keywords" in out
    assert "nan" in out
    assert "ZeroDivisionError: the game divides by zero here" in out


def test_check_takes_a_run_file(marl, tmp_path, broken_game):
    (tmp_path / "run.yaml").write_text("env: broken_game:Broken\nenv_config: {size: 1_000}\nwrappers: [{time_limit: {max_ticks: 1}}]\n")
    code, out, err = marl("check", "run.yaml", "--max-steps", 5)
    assert (code, err) == (0, ""), out


# ------------------------------------------------------------------ ledger


def test_ledger_prints_who_was_paid_for_which_act(marl):
    code, out, err = marl("ledger", "pettingzoo/classic/tictactoe_v3", "--seed", 7)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    paid = [line.split() for line in lines if line.rstrip().endswith(" terminated") and "player_" in line]
    assert len(paid) == 2
    moves = [line for line in lines if re.match(r"\s*\d+\s+\d+\s+player_", line)]
    last = len(moves)
    by_agent = {words[words.index(next(w for w in words if w.startswith("player_")))]: " ".join(words) for words in paid}
    mover = re.search(r"player_\d", moves[-1]).group()
    other = "player_2" if mover == "player_1" else "player_1"
    assert f"call {last}" in by_agent[mover]
    assert f"call {last - 1}" in by_agent[other]  # the loser is paid for its last act, though it does not act then
    totals = [line for line in lines if line.rstrip().endswith("=")]
    assert len(totals) == 2
    assert f"{last} env steps, ended: terminated" in out


def test_ledger_balances_in_a_game_where_agents_come_and_go(marl):
    code, out, _ = marl("ledger", "marl_envs/traffic-v1", "--episodes", 2)
    assert code == 0
    assert out.count("episode ") == 2
    assert "≠" not in out
    light = next(line for line in out.splitlines() if "traffic_light" in line and re.search(r"-?\d.*call \d+ *$", line))
    assert light  # paid while it was not due, for an earlier act


# ------------------------------------------------------------------ list


def test_list_shows_all_there_is(marl):
    code, out, err = marl("list")
    assert (code, err) == (0, "")
    for name in ("marl_envs/tic_tac_toe-v1", "pettingzoo/classic/connect_four_v3", "mpe2/simple_spread_v3", "gymnasium/CartPole-v1"):
        assert name in out.split()
    for name in ("random", "constant", "CHECKPOINT:POLICY", "frame_stack", "time_limit"):
        assert re.search(rf"^ ?{name} ", out, re.MULTILINE), name
    ppo = next(line for line in out.splitlines() if line.split()[:1] == ["ppo"])
    assert "box" in ppo
    assert "discrete" in ppo


def test_list_one_kind_by_a_part_of_the_name(marl):
    _, out, _ = marl("list", "envs", "--like", "classic/tic")
    assert out.split()[:2] == ["envs", "pettingzoo/classic/tictactoe_v3"]
    assert "ppo" not in out


# ------------------------------------------------------------------ evaluate


def test_evaluate_is_the_runs_own_evaluation_and_always_the_same(marl, trained):
    code, first, err = marl("evaluate", trained, "--json", "--episodes", 20)
    assert (code, err) == (0, "")
    metrics = json.loads(first)
    assert metrics["policies/main/vs/coin/player_1/count"] == 10
    assert metrics["policies/main/vs/coin/player_2/count"] == 10
    assert metrics["episode_return_count"] == 20
    assert marl("evaluate", trained, "--json", "--episodes", 20)[1] == first
    assert marl("evaluate", trained, "--json", "--episodes", 20, "--seed", 5)[1] != first


def test_evaluate_every_seat_against_a_player(marl, trained):
    code, out, _ = marl("evaluate", trained, "--against", "random", "--episodes", 8, "--explore")
    assert code == 0
    table = [line.split() for line in out.splitlines() if line.startswith("main ")]
    assert [words[:3] for words in table] == [["main", "random", "player_1"], ["main", "random", "player_2"]]
    assert [words[-1] for words in table] == ["4", "4"]
    code, _, err = marl("evaluate", trained, "--against", "nobody")
    assert code == 2
    assert "--against: nobody is called 'nobody'" in err


def test_against_random_where_seats_have_spaces_of_their_own(marl, tmp_path):
    trainer = Trainer(
        env="mpe2/simple_speaker_listener_v4",
        policies={"speaker": {"algorithm": "ppo"}, "listener": {"algorithm": "ppo"}, "coin": {"player": "random"}},
        mapping={"speaker_0": "speaker", "listener_0": {"listener": 1, "coin": 1}},
    )
    trainer.save(tmp_path / "saved")
    code, out, err = marl("evaluate", "saved", "--against", "random", "--episodes", 4)
    assert code == 0, err
    table = sorted(line.split()[:3] for line in out.splitlines() if line.endswith(" 2"))
    assert table == [["listener", "random", "listener_0"], ["speaker", "random_2", "speaker_0"]]


def test_evaluation_gives_a_match_function_the_state_that_it_had(marl, tmp_path):
    (tmp_path / "stateful_matches.py").write_text(
        "import marl\n\n\ndef drawn(episode):\n"
        '    return marl.Match(seats={"player_1": "main", "player_2": episode.match_state["rival"]})\n'
    )
    sys.path.insert(0, str(tmp_path))
    import stateful_matches

    trainer = Trainer(
        env="marl_envs/tic_tac_toe-v1",
        policies={"main": {"algorithm": "ppo"}, "coin": {"player": "random"}},
        match_fn=stateful_matches.drawn,
    )
    trainer.set_match_state({"rival": "coin"})
    trainer.save(tmp_path / "saved")
    code, out, err = marl("evaluate", "saved", "--episodes", 3, "--trust", "stateful_matches", "--record", "episode.gif")
    assert code == 0, err
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("main ")] == [["main", "coin", "player_1"]]


def test_recording(marl, trained, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is in the extra 'report'")
    code, out, _ = marl("evaluate", trained, "--episodes", 1, "--record", "one/episode.gif")
    assert code == 0
    assert out.rstrip().endswith("wrote one/episode.gif")
    with image.open(tmp_path / "one" / "episode.gif") as picture:
        assert 6 <= picture.n_frames <= 10


def test_recording_needs_a_game_that_draws(marl, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "env: marl_envs/two_step-v1\npolicies: {main: {algorithm: ppo, model: {hidden: [8]}}}\n"
        "rollout_fragment_env_steps: 8\nstop: {iterations: 1}\nloggers: []\n"
    )
    code, out, err = marl("train", "run.yaml", "--record")
    assert code == 1
    assert "checkpoint   runs/" in out  # the run itself is whole
    assert "recording: render() of" in err
    assert not list(tmp_path.rglob("*.gif"))


def test_train_records_an_episode(marl, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is in the extra 'report'")
    (tmp_path / "run.yaml").write_text(
        "env: pettingzoo/classic/tictactoe_v3\npolicies: {main: {algorithm: ppo, model: {hidden: [8]}}}\n"
        'mapping: {"*": main}\nrollout_fragment_env_steps: 20\nstop: {iterations: 1}\nloggers: []\n'
    )
    code, out, err = marl("train", "run.yaml", "--record")
    assert (code, err) == (0, "")
    (gif,) = (tmp_path / "runs").glob("*/episode.gif")
    assert f"episode      runs/{gif.parent.name}/episode.gif" in out
    with image.open(gif) as picture:
        assert 6 <= picture.n_frames <= 10  # five to nine moves, and the empty board
        assert min(picture.size) > 50


# ------------------------------------------------------------------ play


def test_play_is_a_game_against_the_policy(marl, trained):
    """A person who always types the first legal move, against the greedy policy, played beside it by hand."""
    player = load_policy(find_checkpoint(trained), "main")
    env = load_env(trained)
    from marl.seeding import EpisodeSeeds

    observations, infos = env.reset(seed=EpisodeSeeds(0, 0, 0)[0])
    typed, expected, returns = [], [], {"player_1": 0.0, "player_2": 0.0}
    while True:
        (agent,) = observations
        if agent == "player_2":
            move = int(observations[agent]["action_mask"].argmax())
            typed.append(str(move))
        else:
            move = player.act(observations[agent], info=infos.get(agent))
            expected.append(f"player_1 plays {move}")
        observations, rewards, terminateds, _, infos = env.step({agent: move})
        returns = {name: returns[name] + rewards.get(name, 0.0) for name in returns}
        if terminateds["__all__"]:
            break
    result = {1.0: "you win", 0.0: "a draw", -1.0: "you lose"}[returns["player_2"]]

    code, out, err = marl("play", trained, "--as", "player_2", stdin="\n".join(typed) + "\n")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if " plays " in line] == expected
    assert f"{result}: player_1 {returns['player_1']:+g}, player_2 {returns['player_2']:+g}" in out


def test_play_asks_again_until_the_move_is_legal(marl, trained):
    code, out, _ = marl("play", trained, "--opponent", "random", stdin="?\nfour\n99\n4\n4\nq\n")
    assert code == 0
    assert "player_2 is random" in out
    assert "legal: 0 1 2 3 4 5 6 7 8" in out
    assert "expected a number, found 'four'" in out
    assert "99 is not legal here" in out
    assert "4 is not legal here" in out
    assert out.rstrip().endswith("left the game")


def test_play_ends_with_its_input_and_counts_games(marl, trained):
    code, out, _ = marl("play", trained, stdin="4\n")
    assert code == 0
    assert out.rstrip().endswith("left the game")
    moves = "\n".join(str(move) for _ in range(9) for move in range(9)) + "\n"
    code, out, _ = marl("play", trained, "--games", 3, "--opponent", "random", "--seed", 2, stdin=moves * 3)
    assert code == 0
    won, drew, lost = map(int, re.search(r"3 games: you won (\d), drew (\d), lost (\d)", out).groups())
    assert won + drew + lost == 3
    assert out.count("you win:") == won
    assert out.count("you lose:") == lost


def test_play_draws_a_board_that_can_be_played_by_its_numbers(marl, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "env: pettingzoo/classic/connect_four_v3\npolicies: {main: {algorithm: ppo, model: {hidden: [8]}}}\n"
        'mapping: {"*": main}\nrollout_fragment_env_steps: 8\nstop: {iterations: 1}\nloggers: []\n'
    )
    assert marl("train", "run.yaml")[0] == 0
    (run,) = (tmp_path / "runs").iterdir()
    code, out, _ = marl("play", run, "--opponent", "random", stdin="3\nq\n")
    assert code == 0
    empty, after = out.split("your move, player_0> ")[:2]
    assert empty.splitlines()[-1] == " 0 1 2 3 4 5 6"
    board = after.splitlines()
    assert board[0] == "3"
    rows = [line.split() for line in board[3:9]]
    assert rows[5][3] == "X"
    assert sum(row.count("O") for row in rows) == 1
    assert sum(row.count("X") for row in rows) == 1


def test_play_refuses_what_cannot_be_played(marl, trained, tmp_path):
    code, _, err = marl("play", trained, "--as", "player_3")
    assert code == 2
    assert "there is no seat 'player_3'. Did you mean" in err
    code, _, err = marl("play", trained, "--opponent", "mian")
    assert code == 1
    assert "has no policy 'mian'. Did you mean 'main'?" in err
    (tmp_path / "run.yaml").write_text(
        "env: marl_envs/pendulum-v1\npolicies: {main: {algorithm: ppo, model: {hidden: [8]}}}\n"
        "rollout_fragment_env_steps: 8\nstop: {iterations: 1}\nloggers: []\n"
    )
    code, out, _ = marl("train", "run.yaml")
    assert code == 0
    assert "marl play" not in out
    (run,) = (tmp_path / "runs").iterdir()
    code, _, err = marl("play", run)
    assert code == 1
    assert "only games whose moves can be counted are played by hand" in err


# ------------------------------------------------------------------ crashes


def test_a_crash_leaves_a_capsule_that_crashes_again(marl, tmp_path, broken_game):
    game = tmp_path / "broken_game.py"
    game.write_text(BROKEN.replace('float("nan") if self.calls == 2 else ', ""))
    (tmp_path / "run.yaml").write_text(
        "env: broken_game:Broken\nenv_config: {size: 30}\npolicies: {main: {algorithm: ppo, model: {hidden: [8]}}}\n"
        "rollout_fragment_env_steps: 8\ncheckpoint: {every_env_steps: 8}\nstop: {num_env_steps: 1000}\n"
    )
    code, _, err = marl("train", "run.yaml")
    assert code == 1
    assert err.index("ZeroDivisionError: the game divides by zero here") < err.index("The environment raised the error above in")
    assert err.count("Traceback") == 1
    (run,) = (tmp_path / "runs").iterdir()
    capsule = f"runs/{run.name}/crashes/crash_000001"
    assert f"to see it again: marl replay {capsule}" in err
    assert f"go on with: marl train --resume runs/{run.name}" in err

    sys.modules.pop("broken_game", None)
    sys.path[:] = [one for one in sys.path if one != str(tmp_path)]
    code, _, err = marl("replay", capsule)
    assert code == 1
    assert "env: broken_game:Broken" in err  # not trusted: nothing was imported
    assert "--trust broken_game" in err
    assert "broken_game" not in sys.modules

    code, out, _ = marl("replay", capsule, "--run-file", "run.yaml")
    assert code == 1
    assert "failed again at call 30" in out
    assert "ZeroDivisionError: the game divides by zero here" in out

    game.write_text(game.read_text().replace("raise ZeroDivisionError", "pass  #"))
    sys.modules.pop("broken_game", None)
    code, out, _ = marl("replay", capsule, "--run-file", "run.yaml")
    assert code == 0
    assert "played 30 calls without an error" in out
    code, _, err = marl("replay", find_checkpoint(run), "--run-file", "run.yaml")
    assert code == 1
    assert "is a checkpoint, not a crash capsule" in err


# ------------------------------------------------------------------ the command line itself


def commands():
    import typer.main

    group = typer.main.get_command(app)
    return dict(group.commands)


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_has_examples(name, marl):
    code, out, _ = marl(name, "--help")
    assert code == 0
    assert "Examples" in out
    assert f"marl {name} " in out


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_documented(name, request):
    text = (request.config.rootpath / "docs" / "cli.md").read_text()
    sections = dict(re.findall(r"^## `marl (\w+)[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert name in sections
    documented = set(re.findall(r"`(--[a-z-]+)", sections[name])) | set(re.findall(r"`--[a-z-]+/(--[a-z-]+)", sections[name]))
    command = commands()[name]
    options = {one for param in command.params for one in (*param.opts, *param.secondary_opts) if one.startswith("--")} - {"--help"}
    assert documented == options


def test_no_command_and_an_unknown_one(marl):
    code, out, err = marl()
    assert "Usage" in out + err
    code, _, err = marl("trian")
    assert code == 2
    assert "train" in err
    code, out, _ = marl("--version")
    assert code == 0
    assert re.fullmatch(r"marl-framework \d+\.\d+\.\d+\S*\n", out)


def test_the_front_door_opens_fast():
    heavy = ["torch", "ray", "matplotlib", "tensorboard", "tensorboardX", "PIL", "IPython", "numpy", "gymnasium", "pettingzoo"]
    code = f"import sys, marl.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_training_does_not_load_what_it_does_not_use(tmp_path):
    (tmp_path / "run.yaml").write_text("env: marl_envs/tic_tac_toe-v1\nstop: {iterations: 1}\nrollout_fragment_env_steps: 8\n")
    code = (
        "import sys\nfrom marl.cli.training import started\nfrom marl.report.loggers import make_loggers\nfrom pathlib import Path\n"
        "trainer = started(Path('run.yaml'), [], None)\nmake_loggers(trainer.config.loggers, trainer.directory)\ntrainer.train()\n"
        "print([name for name in ('ray', 'matplotlib', 'tensorboard', 'tensorboardX', 'PIL', 'pettingzoo') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"
    (run,) = (tmp_path / "runs").iterdir()
    with (run / "progress.csv").open() as file:
        assert list(csv.reader(file)) == []


def test_an_error_of_the_users_own_code_is_shown_without_our_frames(marl, tmp_path):
    (tmp_path / "raising_matches.py").write_text("def drawn(episode):\n    raise ZeroDivisionError('in my own function')\n")
    (tmp_path / "run.yaml").write_text("env: marl_envs/tic_tac_toe-v1\nmatch_fn: raising_matches:drawn\nstop: {iterations: 1}\n")
    code, _, err = marl("train", "run.yaml")
    assert code == 1
    assert "raising_matches.py" in err
    assert "ZeroDivisionError: in my own function" in err
    assert "typer" not in err


def test_an_interrupt_before_anything_has_begun_is_said(marl, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("marl.check.check_env", interrupted)
    code, _, err = marl("check", "marl_envs/tic_tac_toe-v1")
    assert (code, err) == (130, "interrupted\n")
