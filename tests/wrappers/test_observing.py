"""Observation wrappers: lives, final observations, masks, agents that come and go, patterns."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from marl.errors import ConfigError
from marl.wrappers import AgentId, FrameStack, GreyImage, ObservationWrapper
from marl.wrappers.grey_image import area_weights
from marl_envs.tic_tac_toe import TicTacToe
from marl_envs.traffic import Traffic

from .scripted import Scripted, plain, x


def seen(env, count, agent="a"):
    first, _ = env.reset()
    answers = [env.step({}) for _ in range(count)]
    return [plain(observations.get(agent)) for observations in (first, *(answer[0] for answer in answers))], answers


# ------------------------------------------------------------------ FrameStack


def test_frames_of_one_life_oldest_first():
    env = FrameStack(Scripted([{"obs": {"a": x(k, 10 + k)}} for k in range(4)], space=spaces.Box(0, 20, (2,), np.float32)), n=3)
    frames, _ = seen(env, 3)
    assert frames == [[0, 10, 0, 10, 0, 10], [0, 10, 0, 10, 1, 11], [0, 10, 1, 11, 2, 12], [1, 11, 2, 12, 3, 13]]
    assert env.observation_spaces["a"] == spaces.Box(0, 20, (6,), np.float32)
    assert env.reset()[0]["a"].tolist() == [0, 10] * 3  # nothing of the last episode


def test_an_agent_stacks_what_it_saw_itself():
    script = [{"obs": {"a": x(0)}}, {"obs": {"b": x(1)}}, {"obs": {"a": x(2), "b": x(3)}}]
    frames, answers = seen(FrameStack(Scripted(script), n=2), 2)
    assert frames == [[0, 0], None, [0, 2]]
    assert plain(answers[-1][0]["b"]) == [1, 3]


@pytest.mark.parametrize("ended", ["terminateds", "truncateds"])
def test_a_new_life_starts_fresh(ended):
    script = [{"obs": {"a": x(0)}}, {"obs": {"a": x(1)}, ended: {"a": True}}, {}, {"obs": {"a": x(5)}}, {"obs": {"a": x(6)}}]
    assert seen(FrameStack(Scripted(script), n=2), 4)[0] == [[0, 0], [0, 1], None, [5, 5], [5, 6]]


def test_a_life_that_ends_unseen_is_forgotten():
    script = [{"obs": {"a": x(0)}}, {"terminateds": {"a": True}}, {"obs": {"a": x(5)}}]
    assert seen(FrameStack(Scripted(script), n=2), 2)[0] == [[0, 0], None, [5, 5]]


def test_end_and_rebirth_in_one_call():
    reborn = {"obs": {"a": x(7)}, "terminateds": {"a": True}, "infos": {"a": {"final_observation": x(2), "score": 1}}}
    frames, answers = seen(FrameStack(Scripted([{"obs": {"a": x(0)}}, {"obs": {"a": x(1)}}, reborn, {"obs": {"a": x(8)}}]), n=2), 3)
    assert frames == [[0, 0], [0, 1], [7, 7], [7, 8]]
    assert plain(answers[1][4]) == {"a": {"final_observation": [1, 2], "score": 1}}
    assert plain(reborn["infos"]["a"]["final_observation"]) == [2]  # the environment's own info is untouched


@pytest.mark.parametrize("given", ["obs", "infos", "both"])
def test_the_final_observation_of_an_episode(given):
    end = {"truncateds": {"__all__": True}}
    if given != "infos":
        end["obs"] = {"a": x(2)}
    if given != "obs":
        end["infos"] = {"a": {"final_observation": x(2)}}
    _, answers = seen(FrameStack(Scripted([{"obs": {"a": x(0)}}, {"obs": {"a": x(1)}}, end]), n=3), 2)
    if given != "infos":
        assert plain(answers[-1][0]["a"]) == [0, 1, 2]
    if given != "obs":
        assert plain(answers[-1][4]["a"]["final_observation"]) == [0, 1, 2]


def test_frames_are_copies():
    class Reuses(Scripted):
        buffer = np.zeros(1, np.float32)

        def step(self, actions):
            answer = super().step(actions)
            self.buffer[:] = self.call
            return {"a": self.buffer}, *answer[1:]

    env = FrameStack(Reuses([{"obs": {"a": x(0)}}] + [{}] * 3), n=3)
    assert seen(env, 3)[0] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]


def test_masks_stay_and_only_the_observation_is_stacked():
    env = FrameStack(TicTacToe(), n=2)
    first, _ = env.reset()
    assert first["player_1"]["observation"].shape == (3, 3, 4)
    env.step({"player_1": 4})
    observations, _, _, _, _ = env.step({"player_2": 0})
    mine = observations["player_1"]
    assert mine["action_mask"].tolist() == [0, 1, 1, 1, 0, 1, 1, 1, 1]
    assert not mine["observation"][:, :, :2].any()  # the frame before: an empty board
    assert mine["observation"][1, 1].tolist() == [0, 0, 1, 0]
    assert env.observation_spaces["player_1"].contains(mine)
    assert env.action_spaces is env.env.action_spaces


def test_random_traffic_equals_a_stack_made_by_hand():
    def made():
        return Traffic(horizon=40, patience=8, arrivals=0.5)

    env, bare = FrameStack(made(), n=3, agents=["car_*"]), made()
    rng = np.random.default_rng(0)
    ends = 0
    for episode in range(5):
        ours, theirs = env.reset(seed=episode)[0], bare.reset(seed=episode)[0]
        lives, ended = {}, {"__all__": False}
        while True:
            assert list(ours) == list(theirs)
            for agent, now in theirs.items():
                assert env.observation_spaces[agent].contains(ours[agent])
                if agent.startswith("traffic_light"):  # not named by the patterns
                    assert ours[agent].tolist() == now.tolist()
                    continue
                frames = lives.setdefault(agent, [now["observation"]] * 2)
                frames.append(now["observation"])
                assert ours[agent]["observation"].tolist() == np.concatenate(frames[-3:]).tolist()
                assert ours[agent]["action_mask"].tolist() == now["action_mask"].tolist()
            lives = {agent: frames for agent, frames in lives.items() if not ended.get(agent)}
            if ended["__all__"]:
                break
            due = {agent: now for agent, now in theirs.items() if not ended.get(agent)}
            legal = {agent: np.flatnonzero(now["action_mask"]) if isinstance(now, dict) else [0, 1] for agent, now in due.items()}
            actions = {agent: int(rng.choice(choices)) for agent, choices in legal.items()}
            ours = env.step(actions)[0]
            theirs, _, terminateds, truncateds, _ = bare.step(actions)
            ended = {agent: terminateds.get(agent) or truncateds.get(agent) for agent in [*theirs, "__all__"]}
            ends += sum(ended.values())
    assert ends > 20


def test_frame_stack_needs_boxes():
    with pytest.raises(ConfigError, match=r"frame_stack.*'a' observes Discrete\(3\)"):
        FrameStack(Scripted([{}], space=spaces.Discrete(3)))
    with pytest.raises(ConfigError) as caught:
        FrameStack(Scripted([{}]), n=0, agents="car_*")
    assert [problem.key for problem in caught.value.problems] == ["n", "agents"]


# ------------------------------------------------------------------ AgentId


def test_agent_id_is_the_place_in_possible_agents():
    env = AgentId(Scripted([{"obs": {"a": x(7), "b": x(8)}}, {"obs": {"b": x(9)}, "truncateds": {"b": True}}]))
    first, _ = env.reset()
    assert plain(first) == {"a": [7, 1, 0], "b": [8, 0, 1]}
    assert first["a"].dtype == np.float32
    assert plain(env.step({})[0]) == {"b": [9, 0, 1]}
    assert env.observation_space("a") == spaces.Box(np.array([-100, 0, 0], np.float32), np.array([100, 1, 1], np.float32))


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (spaces.Discrete(3), 1, [0, 1, 0, 1, 0]),
        (spaces.Dict({"p": spaces.Discrete(2), "q": spaces.Box(0, 9, (1,), np.float32)}), {"p": 1, "q": x(4)}, [0, 1, 4, 1, 0]),
        (spaces.Box(0, 9, (2, 2), np.float32), np.arange(4, dtype=np.float32).reshape(2, 2), [0, 1, 2, 3, 1, 0]),
    ],
)
def test_agent_id_flattens_what_is_no_vector(space, value, expected):
    env = AgentId(Scripted([{"obs": {"a": value}}], space=space))
    observation = env.reset()[0]["a"]
    assert observation.tolist() == expected
    assert env.observation_spaces["a"].contains(observation)


def test_agent_id_keeps_masks_and_numbers_only_who_is_named():
    env = AgentId(Traffic(num_lights=2, max_cars=3), agents=["car_*"])
    assert env.observation_space("car_2")["observation"].shape == (6 + 3,)
    assert env.observation_space("traffic_light_0").shape == (6,)
    observations, _ = env.reset(seed=0)
    for agent, observation in observations.items():
        assert env.observation_space(agent).contains(observation)


def test_agent_id_refuses_images_and_strangers():
    with pytest.raises(ConfigError, match="images"):
        AgentId(Scripted([{}], space=spaces.Box(0, 255, (8, 8, 3), np.uint8)))
    inner = Scripted([{"obs": {"c": x(0)}}])
    inner.observation_spaces["c"] = inner.observation_spaces["a"]
    inner.action_spaces["c"] = inner.action_spaces["a"]
    with pytest.raises(ConfigError, match="'c' is not in possible_agents"):
        AgentId(inner).reset()


# ------------------------------------------------------------------ GreyImage


def test_area_weights_are_means():
    assert area_weights(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert np.allclose(area_weights(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    assert area_weights(2, 4).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert np.allclose(area_weights(210, 84).sum(axis=1), 1)


def test_grey_image_is_the_mean_luminance():
    image = np.zeros((168, 252, 3), np.uint8)
    image[:84] = (255, 0, 0)
    image[84:, :126] = (0, 255, 0)
    image[84:, 126:] = (10, 20, 30)
    env = GreyImage(Scripted([{"obs": {"a": image}}], space=spaces.Box(0, 255, image.shape, np.uint8)))
    small = env.reset()[0]["a"]
    assert small.dtype == np.uint8
    assert small.shape == env.observation_spaces["a"].shape == (84, 84, 1)
    assert set(small[:42].ravel().tolist()) == {round(0.299 * 255)}
    assert set(small[42:, :42].ravel().tolist()) == {round(0.587 * 255)}
    assert set(small[42:, 42:].ravel().tolist()) == {round(2.99 + 11.74 + 3.42)}


@pytest.mark.parametrize("shape", [(10, 12), (10, 12, 1)])
def test_grey_in_grey_out(shape):
    image = np.arange(120, dtype=np.uint8).reshape(shape)
    env = GreyImage(Scripted([{"obs": {"a": image}}], space=spaces.Box(0, 255, shape, np.uint8)), size=2)
    expected = image.reshape(2, 5, 2, 6).mean(axis=(1, 3))
    assert env.reset()[0]["a"][:, :, 0].tolist() == np.rint(expected).tolist()


def test_grey_then_stacked_is_what_a_convolution_takes():
    game = Scripted([{"obs": {"a": np.full((20, 20, 3), 9, np.uint8)}}], space=spaces.Box(0, 255, (20, 20, 3), np.uint8))
    env = FrameStack(GreyImage(game), n=4)
    observation = env.reset()[0]["a"]
    assert observation.shape == (84, 84, 4)
    assert observation.dtype == np.uint8
    assert env.observation_spaces["a"] == spaces.Box(0, 255, (84, 84, 4), np.uint8)


@pytest.mark.parametrize("space", [spaces.Box(0, 1, (8, 8, 3), np.float32), spaces.Box(0, 255, (8, 8, 4), np.uint8), spaces.Discrete(2)])
def test_grey_image_refuses_what_is_no_image(space):
    with pytest.raises(ConfigError, match=r"grey_image.*needs images uint8"):
        GreyImage(Scripted([{}], space=space))


# ------------------------------------------------------------------ one of the user's own


def test_a_wrapper_of_ones_own_is_two_methods():
    class Doubled(ObservationWrapper):
        def map_space(self, agent, space):
            return spaces.Box(2 * space.low, 2 * space.high, dtype=space.dtype)

        def map_observation(self, agent, observation, *, final):
            return 2 * observation

    env = Doubled(Scripted([{"obs": {"a": x(1)}}, {"infos": {"a": {"final_observation": x(2)}}, "truncateds": {"a": True}}]), agents=["a"])
    assert plain(env.reset()[0]) == {"a": [2]}
    assert plain(env.step({})[4]) == {"a": {"final_observation": [4]}}
    assert env.observation_spaces["a"].high.tolist() == [200]
    assert env.observation_spaces["b"].high.tolist() == [100]
