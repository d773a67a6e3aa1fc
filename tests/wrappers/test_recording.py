"""RecordEpisode: which frames are drawn, where they go, and what is said when it cannot be done."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from marl.errors import ConfigError, EnvError, RunError
from marl.wrappers import RecordEpisode, Wrapper
from marl_envs.tic_tac_toe import TicTacToe

from .scripted import Scripted, x

SCRIPT = [{"obs": {"a": x(0)}}, {}, {"ticks": 0}, {}, {"truncateds": {"__all__": True}}]


def play(env, episodes=1):
    for _ in range(episodes):
        env.reset()
        for _ in SCRIPT[1:]:
            env.step({})


def test_a_gif_has_a_frame_for_the_reset_and_each_tick(tmp_path):
    play(RecordEpisode(Scripted(SCRIPT), str(tmp_path / "films")))
    (path,) = (tmp_path / "films").iterdir()
    assert path.name == "episode_000000.gif"
    with Image.open(path) as film:
        assert film.n_frames == 4  # not the call of zero ticks
        assert film.info["duration"] == 250  # the game's own 4 frames a second
        assert film.info["loop"] == 0
        film.seek(3)
        last = np.asarray(film.convert("RGB"))
    assert last.shape == (8, 8, 3)
    assert last[0, 4].tolist() == [255, 40, 0]
    assert last[0, 5].tolist() == [0, 0, 0]


def test_png_frames_every_second_episode_with_a_prefix(tmp_path):
    play(RecordEpisode(Scripted(SCRIPT), str(tmp_path), every=2, format="png", prefix="w0"), episodes=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w0_000000", "w0_000002"]
    frames = sorted((tmp_path / "w0_000002").iterdir())
    assert [path.name for path in frames] == [f"{place:06d}.png" for place in range(4)]
    assert np.asarray(Image.open(frames[1]))[0, 1].tolist() == [255, 10, 0]


def test_an_episode_left_open_is_written_at_reset_and_close(tmp_path):
    env = RecordEpisode(Scripted(SCRIPT), str(tmp_path))
    env.reset()
    env.step({})
    env.reset()
    assert [path.name for path in tmp_path.iterdir()] == ["episode_000000.gif"]
    env.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert env.env.closed


def test_numbers_go_on_after_a_restore(tmp_path):
    env, again = (RecordEpisode(Scripted(SCRIPT), str(tmp_path)) for _ in range(2))
    play(env, 2)
    again.set_state(env.get_state())
    play(again)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"episode_00000{place}.gif" for place in range(3)]


def test_a_real_game_through_another_wrapper(tmp_path):
    env = RecordEpisode(Wrapper(TicTacToe()), str(tmp_path), fps=2)
    env.reset()
    for turn, cell in enumerate((0, 3, 1, 4, 2)):
        env.step({f"player_{turn % 2 + 1}": cell})
    with Image.open(tmp_path / "episode_000000.gif") as film:
        assert film.size == (192, 192)
        assert film.n_frames == 6


class NoPicture(Scripted):
    def render(self):
        return None


def test_a_game_that_cannot_draw_is_named_with_the_way_out(tmp_path):
    with pytest.raises(EnvError, match=r"render.*gave None.*render_mode: rgb_array"):
        RecordEpisode(NoPicture(SCRIPT), str(tmp_path)).reset()


def test_an_unwritable_folder_is_an_error_that_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        play(RecordEpisode(Scripted(SCRIPT), str(tmp_path / "file" / "films")))
    with pytest.raises(RunError, match="cannot be written"):
        play(RecordEpisode(Scripted(SCRIPT), str(tmp_path / "file" / "films"), format="png"))


def test_without_pillow_the_command_to_install_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(RunError, match="pip install"):
        play(RecordEpisode(Scripted(SCRIPT), str(tmp_path)))


def test_wrong_options():
    with pytest.raises(ConfigError) as caught:
        RecordEpisode(Scripted(SCRIPT), "", every=0, format="mp4", fps=0, prefix="a/b")
    assert {problem.key for problem in caught.value.problems} == {"folder", "every", "format", "fps", "prefix"}
