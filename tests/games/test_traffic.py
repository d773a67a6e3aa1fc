"""Traffic: lives that begin and end, pay out of turn, masks, crashes, red lights, the horizon."""

from __future__ import annotations

import numpy as np
import pytest

from marl.errors import ConfigError, EnvError, MaskError
from marl_envs.traffic import Car, Traffic


def random_episode(env, seed):
    """Yields (due, actions, answer) of every call, with random legal actions."""
    rng = np.random.default_rng(seed)
    due, _ = env.reset(seed=seed)
    while True:
        actions = {}
        for agent, seen in due.items():
            legal = np.flatnonzero(seen["action_mask"]) if isinstance(seen, dict) else [0, 1]
            actions[agent] = int(rng.choice(legal))
        answer = env.step(actions)
        yield due, actions, answer
        observations, _, terminateds, truncateds, _ = answer
        if truncateds["__all__"]:
            return
        due = {agent: seen for agent, seen in observations.items() if not (terminateds[agent] or truncateds[agent])}


def with_cars(env, **cars):
    """A reset game in which only these cars drive: name=(road, place)."""
    env.reset(seed=0)
    env._cars, env._taken, env._arrivals = {}, {}, 0.0
    for name, (road, place) in cars.items():
        env._cars[name] = Car(road, place)
        env._taken[env._roads[road].cells[place]] = name
    return env


def lights(env, *phases):
    return {f"traffic_light_{place}": phase for place, phase in enumerate(phases)}


def test_lives_of_random_episodes():
    """Ids come back with new lives, every end has a last observation, nobody is paid who is not there."""
    env = Traffic(max_cars=3, arrivals=0.4, horizon=60, patience=12)
    lives, causes, idle_paid, several = 0, set(), 0, 0
    for seed in range(20):
        living, begun = set(env.possible_agents[3:]), dict.fromkeys(env.possible_agents, 0)
        for due, _, (observations, rewards, terminateds, truncateds, infos) in random_episode(env, seed):
            living |= set(due)
            assert set(rewards) == living
            idle_paid += sum(1 for agent, reward in rewards.items() if agent not in due and reward != 0)
            ended = {agent for agent in observations if terminateds[agent] or truncateds[agent]}
            assert not any(terminateds[agent] and truncateds[agent] for agent in observations)
            for agent in ended:
                causes.add((infos.get(agent, {}).get("end_cause"), terminateds[agent], agent.startswith("car")))
            new = {agent for agent in observations if agent not in living}
            for agent in new:
                begun[agent] += 1
            living = (living | new) - ended
            lives += len(new)
        assert living == set()
        several += sum(1 for count in begun.values() if count > 1)
    assert lives > 100
    assert several > 10
    assert idle_paid > 100
    assert {("goal", True, True), ("clock", False, True), (None, True, True), (None, False, False)} <= causes


def test_an_exit_pays_and_terminates():
    env = with_cars(Traffic(num_lights=1, block=2), car_1=(0, 4))
    observations, rewards, terminateds, truncateds, infos = env.step({"car_1": 1, **lights(env, 0)})
    assert rewards["car_1"] == 1.0
    assert terminateds["car_1"]
    assert not truncateds["car_1"]
    assert infos == {"car_1": {"end_cause": "goal"}}
    assert observations["car_1"]["observation"][1] == 1.0
    assert not env._cars


def test_two_cars_that_enter_a_crossing_crash():
    env = with_cars(Traffic(num_lights=1, block=2), car_0=(0, 1), car_1=(1, 1))
    observations, rewards, terminateds, _, _ = env.step({"car_0": 1, "car_1": 1, **lights(env, 0)})
    assert terminateds["car_0"]
    assert terminateds["car_1"]
    assert rewards["car_0"] == pytest.approx(-1.1)
    assert rewards["car_1"] == pytest.approx(-1.6)  # and it ran a red light
    assert rewards["traffic_light_0"] == -1.0
    assert {"car_0", "car_1"} <= set(observations)
    assert not env._taken


def test_a_light_is_paid_while_it_is_not_due():
    env = with_cars(Traffic(num_lights=1, block=2, light_period=4), car_0=(0, 1), car_1=(1, 1))
    observations, _, _, _, _ = env.step({"car_0": 1, "car_1": 0, **lights(env, 0)})
    assert "traffic_light_0" not in observations
    observations, rewards, _, _, _ = env.step({"car_0": 1, "car_1": 0})
    assert rewards["traffic_light_0"] == pytest.approx(-0.1)
    env.step({"car_0": 1, "car_1": 0})
    observations, _, terminateds, _, _ = env.step({"car_0": 1, "car_1": 0})
    assert "traffic_light_0" in observations
    assert not terminateds["traffic_light_0"]


def test_a_call_may_find_nobody_due():
    env = with_cars(Traffic(num_lights=1, light_period=3))
    observations, _, _, _, _ = env.step(lights(env, 1))
    assert observations == {}
    assert env.step({})[0] == {}
    assert set(env.step({})[0]) == {"traffic_light_0"}


def test_a_car_in_the_way_masks_driving():
    env = with_cars(Traffic(num_lights=1, block=2), car_0=(0, 0), car_1=(0, 1))
    observations, _, _, _, _ = env.step({"car_0": 0, "car_1": 0, **lights(env, 0)})
    assert observations["car_0"]["action_mask"].tolist() == [1, 0]
    assert observations["car_1"]["action_mask"].tolist() == [1, 1]
    with pytest.raises(MaskError, match="'car_0' drove into a taken cell"):
        env.step({"car_0": 1, "car_1": 0})


def test_lights_switch_after_the_cars_that_saw_them():
    env = with_cars(Traffic(num_lights=1, block=2), car_0=(0, 1))
    _, rewards, _, _, _ = env.step({"car_0": 1, **lights(env, 1)})  # turned red for the main road in this very tick
    assert rewards["car_0"] == pytest.approx(-0.1)
    assert rewards["traffic_light_0"] == pytest.approx(0.2)


def test_patience_tows_with_a_usable_last_observation():
    env = with_cars(Traffic(num_lights=1, block=2, patience=2), car_0=(0, 0))
    env.step({"car_0": 0, **lights(env, 0)})
    observations, _, terminateds, truncateds, infos = env.step({"car_0": 0})
    assert truncateds["car_0"]
    assert not terminateds["car_0"]
    assert not truncateds["__all__"]
    assert infos == {"car_0": {"end_cause": "clock"}}
    assert observations["car_0"]["action_mask"].tolist() == [1, 1]
    assert not env._taken


def test_the_horizon_truncates_everybody_due_or_not():
    env = with_cars(Traffic(num_lights=2, block=2, horizon=2, light_period=50), car_0=(0, 0))
    env.step({"car_0": 0, **lights(env, 0, 0)})
    observations, _, _, truncateds, _ = env.step({"car_0": 0})
    assert set(observations) == {"car_0", "traffic_light_0", "traffic_light_1"}
    assert truncateds == {"car_0": True, "traffic_light_0": True, "traffic_light_1": True, "__all__": True}


def test_errors_name_agents_and_keys():
    env = with_cars(Traffic(num_lights=1), car_0=(0, 0))
    with pytest.raises(EnvError, match="no action for 'traffic_light_0'"):
        env.step({"car_0": 0})
    with pytest.raises(ConfigError) as caught:
        Traffic(block=0, arrivals=1.5, horizon=0)
    assert {problem.key for problem in caught.value.problems} == {"block", "arrivals", "horizon"}
