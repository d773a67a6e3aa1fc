"""Gymnasium environments as ours: one agent, and one agent a copy."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from marl.env import EnvContext
from marl.errors import ConfigError, EnvError, PluginError
from marl.registry import make_env
from marl_envs.from_gymnasium import CopiesEnv, GymnasiumEnv, make_multi_agent


class Counter(gymnasium.Env[Any, Any]):
    """Sees the number of steps; terminates after ``length`` of them, with that number as its last observation."""

    observation_space = spaces.Box(0, 99, (1,), np.float32)
    action_space = spaces.Discrete(2)
    elapsed_ticks = 3

    def __init__(self, length: int = 3) -> None:
        self.length = length
        self.seeds: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.steps = 0
        return np.zeros(1, np.float32), {"options": options}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.array([self.steps], np.float32), float(action), self.steps >= self.length, False, {"steps": self.steps}


def wrappers_of(env: Any) -> list[type]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        found.append(type(env))
        env = env.env
    return found


def test_steps_are_gymnasiums_own() -> None:
    ours, theirs = make_env("gymnasium/CartPole-v1"), gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(0)
    for episode in range(5):
        observations, infos = ours.reset(seed=episode)
        expected, info = theirs.reset(seed=episode)
        assert np.array_equal(observations["agent_0"], expected)
        assert infos == {"agent_0": info}
        terminated = truncated = False
        while not (terminated or truncated):
            action = int(rng.integers(2))
            observations, rewards, terminateds, truncateds, infos = ours.step({"agent_0": action})
            expected, reward, terminated, truncated, _ = theirs.step(action)
            assert list(observations) == ["agent_0"], "the last one is the final observation"
            assert np.array_equal(observations["agent_0"], expected)
            assert rewards == {"agent_0": reward}
            assert terminateds == {"agent_0": terminated, "__all__": terminated}
            assert truncateds == {"agent_0": truncated, "__all__": truncated}
            assert infos == {}


def test_a_time_limit_truncates_with_the_final_observation() -> None:
    env = make_env("gymnasium/Pendulum-v1", {"max_episode_steps": 4, "g": 5.0})
    assert env.env.unwrapped.g == 5.0
    env.reset(seed=0)
    for step in range(4):
        observations, _, terminateds, truncateds, _ = env.step({"agent_0": np.zeros(1, np.float32)})
        assert "agent_0" in observations
        assert terminateds == {"agent_0": False, "__all__": False}
        assert truncateds == {"agent_0": step == 3, "__all__": step == 3}


def test_checking_wrappers_are_left_out_and_the_others_stay() -> None:
    assert wrappers_of(make_env("gymnasium/CartPole-v1").env) == [TimeLimit]
    assert PassiveEnvChecker in wrappers_of(make_env("gymnasium/CartPole-v1", {"disable_env_checker": False}).env)
    assert gymnasium.spec("CartPole-v1").order_enforce, "Gymnasium's registry is left as it was"
    mine = gymnasium.make("CartPole-v1")
    assert OrderEnforcing in wrappers_of(make_env(mine).env), "an instance is its owner's and is left as it is"


def test_what_a_caller_needs_to_step_the_inner_environment_itself() -> None:
    env = make_env("gymnasium/CartPole-v1")
    assert isinstance(env, GymnasiumEnv)
    assert env.single_agent
    assert env.agent == "agent_0"
    assert isinstance(env.env, gymnasium.Env)
    assert env.observation_spaces == {"agent_0": env.env.observation_space}


def test_infos_and_optional_members_are_forwarded() -> None:
    env = make_env(Counter(2))
    _, infos = env.reset(seed=1, options={"x": 1})
    assert infos == {"agent_0": {"options": {"x": 1}}}
    assert env.step({"agent_0": 1})[4] == {"agent_0": {"steps": 1}}
    assert env.elapsed_ticks == 3
    assert not hasattr(make_env("gymnasium/CartPole-v1"), "elapsed_ticks")
    assert not hasattr(make_env("gymnasium/CartPole-v1"), "global_state")


def test_classes_callables_and_modules_names() -> None:
    assert make_env(Counter, {"length": 5}).env.length == 5
    assert make_env(lambda config: Counter(config["length"]), {"length": 5}).env.length == 5
    assert make_env(f"{__name__}:Counter", {"length": 5}).env.length == 5


def test_names_that_a_module_registers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_registering_module.py").write_text(
        f"import gymnasium\ngymnasium.register('Mine-v0', entry_point='{__name__}:Counter', max_episode_steps=2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make_env("gymnasium/my_registering_module:Mine-v0", {"length": 9})
    env.reset(seed=0)
    env.step({"agent_0": 0})
    assert env.step({"agent_0": 0})[3] == {"agent_0": True, "__all__": True}


def test_a_missing_dependency_is_named() -> None:
    with pytest.raises(PluginError, match=r"'gymnasium/Ant-v5' needs a library that is not installed.*pip install"):
        make_env("gymnasium/Ant-v5")


def test_copies_end_one_by_one_and_the_episode_with_the_last() -> None:
    lengths = iter((2, 4, 3))
    env = CopiesEnv([Counter(next(lengths)) for _ in range(3)])
    assert env.possible_agents == ["agent_0", "agent_1", "agent_2"]
    observations, _ = env.reset(seed=5)
    due = list(observations)
    story = []
    over = False
    while not over:
        observations, rewards, terminateds, _, _ = env.step(dict.fromkeys(due, 1))
        assert set(observations) == set(due) == set(rewards), "an end comes with its final observation"
        over = terminateds.pop("__all__")
        story.append([agent for agent in due if terminateds[agent]])
        due = [agent for agent in due if not terminateds[agent]]
        assert env.agents == due
    assert story == [[], ["agent_0"], ["agent_2"], ["agent_1"]]


def test_copies_all_cut_off_are_a_truncated_episode() -> None:
    env = make_env(make_multi_agent("CartPole-v1"), {"num_agents": 2, "max_episode_steps": 1})
    env.reset(seed=0)
    _, _, terminateds, truncateds, _ = env.step({"agent_0": 0, "agent_1": 1})
    assert terminateds == {"agent_0": False, "agent_1": False, "__all__": False}
    assert truncateds == {"agent_0": True, "agent_1": True, "__all__": True}


def test_copies_have_seeds_of_their_own_that_follow_from_the_episodes() -> None:
    def starts(seed: int) -> Any:
        env = make_env(make_multi_agent("CartPole-v1"), {"num_agents": 3})
        return [seen.tolist() for seen in env.reset(seed=seed)[0].values()]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert len({tuple(start) for start in starts(1)}) == 3
    env = CopiesEnv([Counter()])
    env.reset()
    assert env.envs["agent_0"].seeds == [None]


def test_make_multi_agent_takes_creators_by_the_rule_of_creation() -> None:
    assert [env.length for env in make_env(make_multi_agent(Counter), {"num_agents": 2, "length": 7}).envs.values()] == [7, 7]
    seen = []

    def creator(config: EnvContext) -> Counter:
        seen.append((config.pop("length"), config.worker_index))
        return Counter()

    make_env(make_multi_agent(creator), {"num_agents": 2, "length": 7}, context=EnvContext(worker_index=3))
    assert seen == [(7, 3), (7, 3)]
    assert make_env(make_multi_agent(Counter)).possible_agents == ["agent_0"]


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True])
def test_impossible_numbers_of_copies(number: Any) -> None:
    with pytest.raises(ConfigError, match=r"env_config.num_agents: expected an integer ≥ 1"):
        make_env(make_multi_agent("CartPole-v1"), {"num_agents": number})


def test_a_missing_action_of_a_copy_is_named() -> None:
    env = CopiesEnv([Counter(), Counter()])
    env.reset(seed=0)
    with pytest.raises(EnvError, match="no action for 'agent_1', which is due"):
        env.step({"agent_0": 0})


def test_copies_render_side_by_side() -> None:
    pytest.importorskip("pygame", reason="CartPole draws with it")
    env = make_env(make_multi_agent("CartPole-v1"), {"num_agents": 2, "render_mode": "rgb_array"})
    env.reset(seed=0)
    assert env.render().shape == (400, 1200, 3)
    env.close()
