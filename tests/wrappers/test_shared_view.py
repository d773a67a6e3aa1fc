"""ObservationFunction: who is in the world that the function sees, and when."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from marl.errors import ConfigError, EnvError
from marl.wrappers import ObservationFunction
from marl_envs.tic_tac_toe import TicTacToe
from marl_envs.traffic import Traffic

from .scripted import Scripted, plain, x


class Watched:
    """Answers for everybody with the sum of the world, and notes the worlds."""

    def __init__(self):
        self.worlds = []

    def __call__(self, world):
        self.worlds.append({agent: seen.tolist() for agent, seen in world.items()})
        return {agent: np.sum(list(world.values()), axis=0, dtype=np.float32) for agent in world}


def test_all_living_agents_with_what_they_saw_last():
    view = Watched()
    script = [{"obs": {"a": x(1), "b": x(10)}}, {"obs": {"a": x(2)}}, {"obs": {"b": x(20)}}, {}, {"obs": {"a": x(3), "b": x(30)}}]
    env = ObservationFunction(Scripted(script), view)
    assert plain(env.reset()[0]) == {"a": [11], "b": [11]}
    assert plain(env.step({})[0]) == {"a": [12]}  # b is alive, not due: it shows 10
    assert plain(env.step({})[0]) == {"b": [22]}
    assert env.step({})[0] == {}
    assert plain(env.step({})[0]) == {"a": [33], "b": [33]}
    assert view.worlds == [{"a": [1], "b": [10]}, {"a": [2], "b": [10]}, {"a": [2], "b": [20]}, {"a": [3], "b": [30]}]


def test_an_ended_agent_sees_its_last_world_and_leaves_it_for_the_others():
    view = Watched()
    script = [{"obs": {"a": x(1), "b": x(10)}}, {"obs": {"a": x(2), "b": x(20)}, "terminateds": {"a": True}}, {"obs": {"b": x(30)}}]
    env = ObservationFunction(Scripted(script), view)
    env.reset()
    assert plain(env.step({})[0]) == {"a": [22], "b": [20]}
    assert plain(env.step({})[0]) == {"b": [30]}
    assert view.worlds[1:] == [{"a": [2], "b": [20]}, {"b": [20]}, {"b": [30]}]


def test_the_end_of_the_episode_is_one_world():
    view = Watched()
    script = [{"obs": {"a": x(1), "b": x(10)}}, {"obs": {"a": x(2), "b": x(20)}, "truncateds": {"__all__": True}}]
    env = ObservationFunction(Scripted(script), view)
    env.reset()
    assert plain(env.step({})[0]) == {"a": [22], "b": [22]}
    assert view.worlds[1:] == [{"a": [2], "b": [20]}]
    env.reset()
    assert view.worlds[2:] == [{"a": [1], "b": [10]}]  # nothing of the last episode


def test_end_and_rebirth_in_one_call():
    reborn = {"obs": {"a": x(7), "b": x(20)}, "truncateds": {"a": True}, "infos": {"a": {"final_observation": x(2)}}}
    env = ObservationFunction(Scripted([{"obs": {"a": x(1), "b": x(10)}}, reborn]), Watched())
    env.reset()
    observations, _, _, _, infos = env.step({})
    assert plain(observations) == {"a": [27], "b": [27]}  # the new life and the others
    assert plain(infos) == {"a": {"final_observation": [22]}}  # the old life and the others


def test_a_final_observation_in_the_infos_alone():
    end = {"obs": {"b": x(20)}, "truncateds": {"a": True}, "infos": {"a": {"final_observation": x(2)}}}
    env = ObservationFunction(Scripted([{"obs": {"a": x(1), "b": x(10)}}, end]), Watched())
    env.reset()
    observations, _, _, _, infos = env.step({})
    assert plain(observations) == {"b": [20]}
    assert plain(infos["a"]) == {"final_observation": [22]}


def test_masks_are_neither_seen_nor_lost():
    def swapped(world):
        assert all(seen.shape == (3, 3, 2) for seen in world.values())
        return {agent: seen[:, :, ::-1] for agent, seen in world.items()}

    env = ObservationFunction(TicTacToe(), swapped)
    env.reset()
    observations, _, _, _, _ = env.step({"player_1": 4})
    seen = observations["player_2"]
    assert seen["observation"][1, 1].tolist() == [1, 0]
    assert seen["action_mask"].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1]
    assert env.observation_space("player_1") == TicTacToe().observation_spaces["player_1"]


def counts(world):
    return {agent: x(len(world)) for agent in world}


COUNT_SPACE = spaces.Box(0.0, 20.0, (1,), np.float32)


COUNT_SPACES = dict.fromkeys(Traffic().possible_agents, COUNT_SPACE)


@pytest.mark.parametrize("given", [COUNT_SPACE, lambda agent, inner: COUNT_SPACE, COUNT_SPACES, f"{__name__}:COUNT_SPACE"])
def test_new_spaces_keep_the_mask(given):
    env = ObservationFunction(Traffic(horizon=30), f"{__name__}:counts", given)
    assert env.observation_space("traffic_light_0") == COUNT_SPACE
    assert env.observation_spaces["car_0"]["observation"] == COUNT_SPACE
    assert env.observation_spaces["car_0"]["action_mask"].shape == (2,)
    observations, _ = env.reset(seed=0)
    ended = {"__all__": False}
    while not ended["__all__"]:
        actions = {agent: 0 for agent in observations if not ended.get(agent)}
        observations, _, terminateds, truncateds, _ = env.step(actions)
        for agent, seen in observations.items():
            assert env.observation_space(agent).contains(seen)
        ended = {agent: terminateds[agent] or truncateds[agent] for agent in terminateds}


def test_a_function_that_forgets_somebody_is_named():
    env = ObservationFunction(Scripted([{"obs": {"a": x(1), "b": x(2)}}]), lambda world: {"a": x(0)})
    with pytest.raises(EnvError, match=r"lambda.*no observation for \['b'\]"):
        env.reset()


@pytest.mark.parametrize(
    ("function", "space", "words"),
    [
        ("nowhere", None, "is no name of the form module:name"),
        ("no_such_module:f", None, "there is no module 'no_such_module'"),
        ("marl.wrappers:FrameStak", None, "Did you mean 'FrameStack'"),
        (3, None, "must be a function"),
        (counts, 3, "must be a space"),
    ],
)
def test_wrong_options(function, space, words):
    with pytest.raises(ConfigError, match=words):
        ObservationFunction(Scripted([{}]), function, space)
