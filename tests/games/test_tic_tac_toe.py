"""Tic-tac-toe: turns, masks, who is paid when, and the count of all games."""

from __future__ import annotations

import numpy as np
import pytest

from marl.errors import MaskError
from marl_envs.tic_tac_toe import TicTacToe


def play(env, *cells):
    observations, _ = env.reset(seed=0)
    answer = (observations, {}, {}, {}, {})
    for cell in cells:
        (player,) = answer[0]
        answer = env.step({player: cell})
    return answer


def test_the_loser_is_paid_on_the_winners_move():
    observations, rewards, terminateds, truncateds, _ = play(TicTacToe(), 0, 3, 1, 4, 2)
    assert rewards == {"player_1": 1.0, "player_2": -1.0}
    assert set(observations) == {"player_1", "player_2"}
    assert all(terminateds.values())
    assert not any(truncateds.values())
    assert all((seen["action_mask"] == 0).all() for seen in observations.values())


def test_a_full_board_is_a_draw():
    _, rewards, terminateds, _, _ = play(TicTacToe(), 0, 1, 2, 4, 3, 5, 7, 6, 8)
    assert rewards == {"player_1": 0.0, "player_2": 0.0}
    assert terminateds["__all__"]


def test_only_the_mover_sees_and_own_marks_come_first():
    observations, rewards, terminateds, _, _ = play(TicTacToe(), 4, 0)
    assert set(observations) == {"player_1"}
    planes = observations["player_1"]["observation"]
    assert np.argwhere(planes[:, :, 0]).tolist() == [[1, 1]]
    assert np.argwhere(planes[:, :, 1]).tolist() == [[0, 0]]
    assert observations["player_1"]["action_mask"].tolist() == [0, 1, 1, 1, 0, 1, 1, 1, 1]
    assert set(rewards.values()) == {0.0}
    assert not terminateds["__all__"]


def test_all_games():
    """The well-known counts: 255,168 games; 131,184 won by the first, 77,904 by the second, 46,080 drawn."""
    env = TicTacToe()
    env.reset()
    counts = {1.0: 0, -1.0: 0, 0.0: 0}

    def count(mover):
        for cell in range(9):
            if env._marks[:, cell].any():
                continue
            env._to_move = mover
            _, rewards, terminateds, _, _ = env.step({f"player_{mover + 1}": cell})
            if terminateds["__all__"]:
                counts[rewards["player_1"]] += 1
            else:
                count(1 - mover)
            env._marks[:, cell] = 0

    # By symmetry a third of the openings is enough: corner, edge, centre.
    for cell, symmetric in ((0, 4), (1, 4), (4, 1)):
        before = dict(counts)
        env.reset()
        env.step({"player_1": cell})
        count(1)
        for result in counts:
            counts[result] = before[result] + symmetric * (counts[result] - before[result])
    assert counts == {1.0: 131_184, -1.0: 77_904, 0.0: 46_080}


def test_a_taken_cell_and_the_wrong_player_are_refused():
    env = TicTacToe()
    play(env, 4)
    with pytest.raises(MaskError, match=r"'player_2' played cell 4; free cells are \[0, 1, 2, 3, 5"):
        env.step({"player_2": 4})
    with pytest.raises(MaskError, match="'player_2' is to move"):
        env.step({"player_1": 0})
