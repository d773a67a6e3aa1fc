"""The yardsticks are tested too: what the bare loops count, how fractions are taken, and how lines of play are enumerated."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.bare import parallel_loop, single_loop, turns_loop
from benchmarks.learning_rows import ROWS, best_value, lost_lines, put, winner
from benchmarks.measure import Contender, Rates, Work, fraction_row, take_turns


def test_the_bare_loop_counts_each_living_agent() -> None:
    from marl_envs.cartpole import CartPole

    class Counted(CartPole):
        acted = 0

        def step(self, actions: Any) -> Any:
            Counted.acted += len(actions)
            return super().step(actions)

    work = parallel_loop(Counted(num_agents=3), num_env_steps=500, seed=1, lives=True)()
    assert work.env_steps == 500
    # Three poles fall at different steps, so that fewer than three act at some of them.
    assert work.agent_steps == Counted.acted < 1500


def test_the_bare_loop_of_turns_leaves_dead_steps_out() -> None:
    pettingzoo = pytest.importorskip("pettingzoo.classic.tictactoe_v3", reason="the pettingzoo extra is not installed")
    env = pettingzoo.env()
    moves: list[int] = []
    step = env.step

    def counted(action: Any) -> None:
        if action is not None:
            moves.append(action)
        step(action)

    env.step = counted
    work = turns_loop(env, num_turns=100, seed=1)()
    assert work.env_steps == work.agent_steps == len(moves)
    assert 100 <= work.env_steps < 109  # whole games


def test_the_bare_loop_of_one_agent() -> None:
    import gymnasium

    assert single_loop(gymnasium.make("CartPole-v1"), num_env_steps=300, seed=1)() == Work(300, 300)


def test_contenders_take_turns_and_warm_ups_do_not_count() -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        def run() -> Work:
            order.append(name)
            sum(range(20_000))  # some CPU time, so that a rate exists
            return Work(10, 30)

        return Contender(name, run)

    rates = take_turns([contender("bare"), contender("ours")], rounds=3)
    assert order == ["bare", "ours"] * 4
    assert len(rates["ours"].env) == 3
    assert rates["ours"].agent_steps_per_s == pytest.approx(3 * rates["ours"].env_steps_per_s)


def test_a_fraction_is_the_median_of_the_rounds_ratios() -> None:
    # A slow round slows both sides: 20 / 10 and 2 / 1 are the same ratio.
    ours, bare = Rates(env=[20.0, 2.0, 90.0, 10.0, 2.0], agent=[1.0] * 5), Rates(env=[10.0, 1.0, 10.0, 10.0, 1.0], agent=[4.0] * 5)
    row = fraction_row("row", ours, bare, goal=2.0)
    assert (row.value, row.met, row.details["lowest_round"], row.details["highest_round"]) == (2.0, True, 1.0, 9.0)
    assert fraction_row("row", ours, bare, goal=0.5, agents=True).met is False


def test_tic_tac_toe_is_a_draw_under_perfect_play() -> None:
    assert best_value((0,) * 9, 1, {}) == 0
    assert winner((1, 1, 1, 0, -1, -1, 0, 0, 0)) == 1
    assert winner((-1, 1, 1, 1, -1, 0, 1, 0, -1)) == -1


def test_a_perfect_first_player_loses_no_line_and_a_naive_one_does() -> None:
    memory: dict[Any, int] = {}

    def perfect(moves: list[int]) -> int:
        board = (0,) * 9
        for index, move in enumerate(moves):
            board = put(board, move, 1 if index % 2 == 0 else -1)
        return max((place for place in range(9) if not board[place]), key=lambda place: best_value(put(board, place, 1), -1, memory))

    def naive(moves: list[int]) -> int:
        return next(place for place in range(9) if place not in moves)

    lines, lost = lost_lines(perfect, only_optimal=False)
    assert lines > 50
    assert lost == 0
    lines_of_optimal, lost = lost_lines(perfect, only_optimal=True)
    assert 0 < lines_of_optimal < lines
    assert lost == 0
    assert lost_lines(naive, only_optimal=False)[1] > 0


def test_every_learning_row_is_held_against_a_control_and_a_bar() -> None:
    for row in ROWS.values():
        assert row.bars, row.name
        assert list(row.marks) == sorted(set(row.marks))
        assert row.at_most_s <= 1200
