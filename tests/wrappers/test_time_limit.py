"""TimeLimit: ticks, not calls; final observations; nothing that the game did is overruled."""

from __future__ import annotations

import pytest

from marl.errors import ConfigError
from marl.wrappers import TimeLimit
from marl_envs.cartpole import CartPole
from marl_envs.tic_tac_toe import TicTacToe

from .scripted import Scripted, plain, x


def steps(env, count):
    env.reset()
    return [env.step({}) for _ in range(count)]


def test_cuts_off_after_max_ticks_with_the_observations_of_that_step():
    env = TimeLimit(Scripted([{"obs": {"a": x(k), "b": x(-k)}} for k in range(9)]), max_ticks=3)
    for _ in range(2):  # and again in the next episode
        answers = steps(env, 3)
        assert [answer[3]["__all__"] for answer in answers] == [False, False, True]
        observations, _, terminateds, truncateds, _ = answers[-1]
        assert plain(observations) == {"a": [3], "b": [-3]}
        assert truncateds == {"a": True, "b": True, "__all__": True}
        assert not any(terminateds.values())


def test_only_ticks_count():
    script = [{"obs": {"a": x(0)}}, *({"obs": {"a": x(k)}, "ticks": ticks} for k, ticks in enumerate((0, 1, 0, 2, 1), 1))]
    answers = steps(TimeLimit(Scripted(script), max_ticks=3), 4)
    assert [answer[3]["__all__"] for answer in answers] == [False, False, False, True]


def test_an_agent_that_ends_by_itself_at_the_limit_keeps_its_own_flag():
    script = [{"obs": {"a": x(0), "b": x(0)}}, {"obs": {"a": x(1), "b": x(1)}, "terminateds": {"a": True}}]
    _, _, terminateds, truncateds, _ = steps(TimeLimit(Scripted(script), 1), 1)[0]
    assert terminateds == {"a": True, "__all__": False}
    assert truncateds == {"b": True, "__all__": True}


@pytest.mark.parametrize("kind", ["terminateds", "truncateds"])
def test_an_episode_that_the_game_ended_is_left_alone(kind):
    script = [{"obs": {"a": x(0)}}, {"obs": {"a": x(1)}, kind: {"__all__": True}}]
    answer = steps(TimeLimit(Scripted(script), 1), 1)[0]
    assert answer[2]["__all__"] == (kind == "terminateds")
    assert answer[3]["__all__"] == (kind == "truncateds")


def test_a_life_that_would_begin_at_the_limit_does_not():
    reborn = {"obs": {"a": x(7), "b": x(1)}, "terminateds": {"a": True}, "infos": {"a": {"final_observation": x(5)}}}
    observations, _, terminateds, truncateds, infos = steps(TimeLimit(Scripted([{"obs": {"a": x(0), "b": x(0)}}, reborn]), 1), 1)[0]
    assert plain(observations) == {"b": [1]}
    assert terminateds["a"]
    assert "a" not in truncateds
    assert plain(infos) == {"a": {"final_observation": [5]}}


def test_an_agent_that_would_come_or_come_back_at_the_limit_does_not():
    gone = {"obs": {"a": x(1), "b": x(1)}, "terminateds": {"a": True}}
    back = {"obs": {"a": x(2), "b": x(2), "c": x(2)}}
    answers = steps(TimeLimit(Scripted([{"obs": {"a": x(0), "b": x(0)}}, gone, back], agents=("a", "b", "c")), 2), 2)
    observations, _, _, truncateds, _ = answers[-1]
    assert plain(observations) == {"b": [2]}
    assert truncateds == {"b": True, "__all__": True}


def test_who_is_alive_but_not_due_is_truncated_by_name():
    answers = steps(TimeLimit(Scripted([{"obs": {"a": x(0), "b": x(0)}}, {"obs": {"b": x(1)}}]), 1), 1)
    assert plain(answers[0][0]) == {"b": [1]}
    assert answers[0][3] == {"a": True, "b": True, "__all__": True}


def test_around_games():
    env = TimeLimit(CartPole(num_agents=2), max_ticks=5)
    env.reset(seed=0)
    ends = [env.step({"agent_0": k % 2, "agent_1": k % 2})[3] for k in range(5)]
    assert [flags["__all__"] for flags in ends] == [False] * 4 + [True]
    env = TimeLimit(TicTacToe(), max_ticks=2)
    env.reset()
    env.step({"player_1": 0})
    observations, _, _, truncateds, _ = env.step({"player_2": 1})
    assert set(observations) == {"player_1"}  # player_2 is alive, but not due: it has no final observation
    assert truncateds["__all__"]
    assert observations["player_1"]["action_mask"].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, None])
def test_the_limit_is_a_positive_integer(limit):
    with pytest.raises(ConfigError, match="max_ticks"):
        TimeLimit(Scripted([{}]), limit)
