"""``check_env`` finds nothing wrong with our games, bare or inside every wrapper and inside stacks of them."""

from __future__ import annotations

import pytest

from marl.check import check_env
from marl.wrappers import apply_wrappers
from marl_envs.cartpole import CartPole
from marl_envs.corridor import Corridor
from marl_envs.matrix_games import climbing, penalty, rock_paper_scissors
from marl_envs.pendulum import Pendulum
from marl_envs.tic_tac_toe import TicTacToe
from marl_envs.toy import Toy
from marl_envs.traffic import Traffic
from marl_envs.two_step import TwoStep


def halved(world):
    """Everybody's own observation, half as large."""
    return {agent: seen / 2 for agent, seen in world.items()}


GAMES = {
    "climbing": climbing,
    "penalty": penalty,
    "rock_paper_scissors": rock_paper_scissors,
    "two_step": TwoStep,
    "tic_tac_toe": TicTacToe,
    "cartpole": CartPole,
    "pendulum": Pendulum,
    "corridor": lambda: Corridor(num_agents=3, max_steps=40),
    "traffic": lambda: Traffic(patience=10, arrivals=0.5),
    "toy": Toy,
    "toy_silent": lambda: Toy(silent=0.3, shuffle_rewards=True),
    "toy_mortal": lambda: Toy(lives_ended=0.1, absent_steps=2),
    "toy_reborn": lambda: Toy(lives_ended=0.1, absent_steps=0),
}

STACKS = {
    "time_limit": [{"time_limit": {"max_ticks": 6}}],
    "frame_stack": [{"frame_stack": {"n": 3}}],
    "agent_id": ["agent_id"],
    "observation_function": [{"observation_function": {"function": f"{__name__}:halved"}}],
    "reward": [{"reward_scale": {"factor": 0.1}}, "reward_clip"],
    "all": [
        {"time_limit": {"max_ticks": 6}},
        {"observation_function": {"function": f"{__name__}:halved"}},
        {"frame_stack": {"n": 2}},
        "agent_id",
        "reward_clip",
    ],
}


def violations(env):
    return list(check_env(env, num_episodes=2, max_env_steps=200).violations)


@pytest.mark.parametrize("game", GAMES)
def test_a_game_keeps_the_contract(game):
    assert violations(GAMES[game]()) == []


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("game", ["tic_tac_toe", "cartpole", "traffic", "toy_silent", "toy_mortal", "toy_reborn", "two_step"])
def test_a_wrapped_game_keeps_it_too(game, stack):
    specs = STACKS[stack]
    if game == "tic_tac_toe":  # its observations are integers: halves would not lie in their space
        specs = [spec for spec in specs if "observation_function" not in spec]
    rules = {one.rule for one in violations(apply_wrappers(GAMES[game](), specs))}
    # An agent that is alive but not due when the limit strikes has no last observation; check_env rightly says so.
    strikes_the_waiting = game in ("tic_tac_toe", "traffic", "toy_silent") and any("time_limit" in spec for spec in specs)
    assert rules == ({"no-final-observation"} if strikes_the_waiting else set())
