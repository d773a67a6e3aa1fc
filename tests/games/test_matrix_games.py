"""Climbing, penalty and rock-paper-scissors: payoffs as in the paper, rounds, what is seen, errors."""

from __future__ import annotations

import numpy as np
import pytest

from marl.errors import ConfigError, EnvError
from marl_envs.matrix_games import MatrixGame, climbing, penalty, rock_paper_scissors


def table_of(env):
    first, second = env.possible_agents
    table = np.zeros((2, 3, 3))
    for row in range(3):
        for column in range(3):
            env.reset(seed=0)
            _, rewards, terminateds, _, _ = env.step({first: row, second: column})
            assert terminateds == {first: True, second: True, "__all__": True}
            table[:, row, column] = rewards[first], rewards[second]
    return table


def test_climbing_pays_both_the_same():
    expected = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
    assert (table_of(climbing()) == expected).all()


@pytest.mark.parametrize("k", [0.0, -30.0, -100.0])
def test_penalty_pays_k_for_a_mismatch_of_the_optima(k):
    assert (table_of(penalty(k=k)) == [[10, 0, k], [0, 2, 0], [k, 0, 10]]).all()


def test_rock_paper_scissors_is_zero_sum_and_cyclic():
    first, second = table_of(rock_paper_scissors(rounds=1))
    assert (first + second == 0).all()
    assert (first == first.T * -1).all()
    assert [first[1, 0], first[2, 1], first[0, 2]] == [1, 1, 1]  # paper beats rock, scissors paper, rock scissors


def test_players_see_their_own_last_action_first_and_the_share_of_rounds():
    env = rock_paper_scissors(rounds=4)
    observations, _ = env.reset()
    assert all((seen == 0).all() for seen in observations.values())
    observations, _, terminateds, _, _ = env.step({"player_0": 2, "player_1": 0})
    assert observations["player_0"].tolist() == [0, 0, 1, 1, 0, 0, 0.25]
    assert observations["player_1"].tolist() == [1, 0, 0, 0, 0, 1, 0.25]
    assert not terminateds["__all__"]
    assert env.global_state().tolist() == observations["player_0"].tolist()


def test_the_last_round_terminates():
    env = climbing(rounds=3)
    env.reset()
    ends = [env.step({"agent_0": 0, "agent_1": 0})[2]["__all__"] for _ in range(3)]
    assert ends == [False, False, True]


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: climbing(rounds=0), "rounds"),
        (lambda: penalty(k=3), "k"),
        (lambda: MatrixGame([[1, 2], [3, 4]], ("a", "b")), "payoffs"),
    ],
)
def test_wrong_settings_are_named(make, key):
    with pytest.raises(ConfigError) as caught:
        make()
    assert [problem.key for problem in caught.value.problems] == [key]


def test_illegal_and_missing_actions_name_the_player():
    env = climbing()
    env.reset()
    with pytest.raises(EnvError, match="'agent_1' played 3"):
        env.step({"agent_0": 0, "agent_1": 3})
    with pytest.raises(EnvError, match="no action for 'agent_0'"):
        env.step({"agent_1": 0})
