"""Each game's printed episode, line by line; and the list of games against the entry points."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from .golden_episodes import FOLDER, GAMES, printed_episode


@pytest.mark.parametrize("game", GAMES)
def test_episode_is_the_golden_one(game):
    assert printed_episode(GAMES[game](), seed=7).splitlines() == (FOLDER / f"{game}.txt").read_text().splitlines()


@pytest.mark.parametrize("game", GAMES)
def test_same_seed_same_episode_after_another(game):
    env = GAMES[game]()
    first = printed_episode(env, seed=3)
    printed_episode(env, seed=4)
    assert printed_episode(env, seed=3) == first


def test_every_registered_game_loads_and_has_a_golden_episode():
    registered = {point.name: point for point in entry_points(group="marl.envs") if point.name.startswith("marl_envs/")}
    dict_form = {name.removeprefix("marl_envs/").removesuffix("-v1") for name in registered if "/vector_" not in name}
    assert dict_form == set(GAMES)
    for name, point in registered.items():
        assert point.load()().metadata["name"] == name.removeprefix("marl_envs/").removeprefix("vector_")


@pytest.mark.parametrize("game", GAMES)
def test_what_is_seen_lies_in_the_spaces(game):
    env = GAMES[game]()
    seen = []
    reset, step = env.reset, env.step

    def watched_reset(**keys):
        answer = reset(**keys)
        seen.append(answer[0])
        return answer

    def watched_step(actions):
        answer = step(actions)
        seen.append(answer[0])
        return answer

    env.reset, env.step = watched_reset, watched_step
    for seed in range(5):
        printed_episode(env, seed)
    assert len(seen) > 5
    for observations in seen:
        for agent, observation in observations.items():
            assert env.observation_spaces[agent].contains(observation), (agent, observation)


@pytest.mark.parametrize("game", ["climbing", "two_step", "cartpole", "traffic"])
def test_global_state_lies_in_its_space(game):
    env = GAMES[game]()
    env.reset(seed=0)
    assert env.global_state_space.contains(env.global_state())
    printed_episode(env, seed=1)
    assert env.global_state_space.contains(env.global_state())


@pytest.mark.parametrize("game", ["tic_tac_toe", "cartpole", "pendulum", "corridor", "traffic"])
def test_render_draws_what_changes(game):
    env = GAMES[game]()
    env.reset(seed=1)
    before = env.render()
    printed_episode(env, seed=1)
    after = env.render()
    assert before.dtype == after.dtype == "uint8"
    assert before.ndim == 3
    assert before.shape == after.shape
    assert before.shape[2] == 3
    assert (before != after).any()
