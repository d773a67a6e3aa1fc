"""One run, however it is said; every problem at once; back to data and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from marl.config import RunConfig, RunKeys, config_to_data, load_config, write_yaml
from marl.config.run_file import parse_yaml
from marl.errors import ConfigError
from marl.policy import Discount
from marl.router import Match

from .algorithms import FromStore, Hook, Nothing, pick

RPS = "marl_envs/rock_paper_scissors-v1"
A = {"algorithm": Nothing}


class Misspelt:
    def on_episode_strat(self, episode: Any) -> None:
        raise AssertionError("never called")

    def on_episode_end(self, episode: Any) -> None:
        raise AssertionError("called with one argument more")


class Fine:
    @staticmethod
    def on_rows(batch: Any) -> None:
        """Takes what it is given."""

    @classmethod
    def on_train_result(cls, trainer: Any, result: Any) -> None:
        """Takes what it is given."""

    def on_episode_start(self, *anything: Any) -> None:
        """Takes what it is given."""


def problems_of(data: Any = None, /, **keys: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(data, **{"env": RPS, "policies": {"a": A}, **keys})
    return [str(problem) for problem in caught.value.problems]


# ------------------------------------------------------------------ three ways to say it


RUN_FILE = """
env: marl_envs/rock_paper_scissors-v1
policies:
  a: {algorithm: "tests_algorithms:Nothing", lr: 3e-4, model: {hidden: [32]}, discount: {gamma: 0.9, per: tick}}
  b: {player: random}
mapping: {player_1: a, player_2: {a: 0.5, b: 0.5}}
workers: 0
envs_per_worker: 32
seed: 7
stop: {num_env_steps: 300_000, episode_return_mean: 1e2}
evaluation: {interval: 10, episodes: 200, explore: false, mapping: {player_1: a, player_2: b}}
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "tests_algorithms.py").write_text((Path(__file__).parent / "algorithms.py").read_text())
    path = tmp_path / "run.yaml"
    path.write_text(RUN_FILE)
    return path


def test_a_run_file_a_dict_and_keywords_are_one_config(run_file: Path) -> None:
    from_file = load_config(run_file)
    from_dict = load_config(parse_yaml(RUN_FILE, "test"))
    from_keywords = load_config(**parse_yaml(RUN_FILE, "test"))
    assert from_file == from_dict == from_keywords
    assert from_file.stop == {"num_env_steps": 300_000, "episode_return_mean": 100.0}
    assert from_file.policies["a"].discount == Discount(0.9, "tick")
    assert from_file.learners["a"].config.lr == 3e-4  # type: ignore[attr-defined]
    assert from_file.policies["a"].config.model.hidden == [32]  # type: ignore[union-attr]
    assert from_file.policies["b"].player == "random"
    assert from_file.evaluation.episodes == 200


def test_keywords_replace_those_of_a_file(run_file: Path) -> None:
    assert load_config(run_file, seed=8).seed == 8
    assert load_config(load_config(run_file), seed=9).seed == 9
    assert load_config(run_file).seed == 7


def test_yaml_is_of_version_1_2() -> None:
    text = "a: on\nb: 3e-4\nc: 300_000\nd: no\ne: 1e6\nf: 010\ng: 12:30"
    assert parse_yaml(text, "t") == {"a": "on", "b": 3e-4, "c": 300_000, "d": "no", "e": 1e6, "f": 10, "g": "12:30"}


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    config = load_config(env=RPS, policies={"a": A}, sample_env_steps_per_iteration=1e4)  # type: ignore[typeddict-item]
    assert config.sample_env_steps_per_iteration == 10_000
    assert isinstance(config.sample_env_steps_per_iteration, int)
    assert problems_of(envs_per_worker=2.5)
    assert problems_of(envs_per_worker=True)


def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("env: x\nseed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match=r"line 3.*duplicate key"):
        load_config(broken)
    broken.write_text("env: [x\nseed: 1\n")
    with pytest.raises(ConfigError, match=r"broken.yaml, line 2"):
        load_config(broken)
    broken.write_text("just words\n")
    with pytest.raises(ConfigError, match="expected keys and values"):
        load_config(broken)
    with pytest.raises(ConfigError, match=r"no such run file.*Did you mean 'broken.yaml'"):
        load_config(tmp_path / "brokn.yaml")


def test_one_policy_called_default_plays_everyone() -> None:
    config = load_config(env=RPS)
    assert list(config.policies) == ["default"]
    assert config.learners["default"].reference == "ppo"


def test_the_keys_of_the_signature_are_those_of_the_config() -> None:
    assert set(RunKeys.__annotations__) == set(RunConfig.model_fields)


def test_every_key_is_described() -> None:
    assert not [name for name, field in RunConfig.model_fields.items() if not field.description]


# ------------------------------------------------------------------ all problems at once


def test_every_problem_is_in_one_error() -> None:
    found = problems_of(
        policies={"a": {**A, "lrr": 1e-3, "gamma": 0.9}, "b": {"algorithm": "pp"}, "c": {"player": "randm"}},
        mapping={"player_1": "a", "player_2": "z"},
        num_workers=3,
        envs_per_workers=2,
        evaluation={"intervall": 3},
        stop={"episode_reward_mean": 3},
        wrappers=["frame_stak"],
    )
    for expected in (
        "policies.a.lrr: Nothing has no such key. Did you mean 'lr'?",
        "policies.a.gamma: Nothing has no such key → write discount: {gamma: …}",
        "policies.b.algorithm: no algorithm is called 'pp'.",
        "policies.c.player: no player is called 'randm'. Did you mean 'random'?",
        "mapping.player_2: there is no policy 'z'.",
        "num_workers: is called otherwise here → workers",
        "envs_per_workers: unknown key. Did you mean 'envs_per_worker'?",
        "evaluation.intervall: unknown key. Did you mean 'interval'?",
        "stop.episode_reward_mean: is called otherwise here → write episode_return_mean",
        "wrappers[0]",
    ):
        assert any(problem.startswith(expected) for problem in found), (expected, found)


@pytest.mark.parametrize(
    ("key", "value", "use"),
    [
        ("rollout_fragment_length", 200, "rollout_fragment_env_steps"),
        ("train_batch_size", 4000, "train_batch_rows"),
        ("num_env_runners", 2, "workers"),
        ("num_envs_per_env_runner", 2, "envs_per_worker"),
        ("gamma", 0.9, "discount: {gamma"),
        ("lr", 0.1, "under a policy"),
        ("evaluation_interval", 5, "evaluation: {interval"),
        ("multi_agent", {}, "policies, mapping"),
        ("total_timesteps", 10, "stop: {num_env_steps"),
    ],
)
def test_other_frameworks_names_are_answered_with_ours(key: str, value: Any, use: str) -> None:
    (problem,) = problems_of(**{key: value})
    assert problem.startswith(f"{key}: is called otherwise here")
    assert use in problem


def test_other_frameworks_names_under_a_policy() -> None:
    (problem,) = problems_of(policies={"a": {**A, "num_sgd_iter": 3}})
    assert problem == "policies.a.num_sgd_iter: Nothing has no such key → write epochs"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"policies": {"a": A, "b": A}}, "mapping: there are 2 policies and nothing says who plays whom"),
        ({"mapping": {"*": "a"}, "policy_mapping_fn": pick}, "mapping and policy_mapping_fn: each says alone"),
        ({"evaluation": {"mapping": {"*": "a"}, "matches": [{"seats": {"*": "a"}}]}}, "evaluation.mapping and evaluation.matches"),
        ({"evaluation": {"episodes": 3, "num_env_steps": 3}}, "evaluation: both episodes and num_env_steps"),
        ({"evaluation": {"mapping": {"*": "z"}}}, "evaluation.mapping.*: there is no policy 'z'"),
        ({"matches": [{"seats": {"*": "z"}}]}, "matches[0].seats.*: there is no policy 'z'"),
        ({"matches": [{"seats": {"*": "a"}, "weight": 0}]}, "matches: every weight is 0"),
        ({"policies": {}}, "policies: found {}"),
        ({"policies": {"a": "ppo"}}, "policies.a: found 'ppo' → write {algorithm: ppo} or {player: ppo}"),
        ({"policies": {"a": {"lr": 1}}}, "policies.a: it has neither algorithm, learner nor player"),
        ({"policies": {"a": {**A, "player": "random"}}}, "policies.a: both algorithm and player are given"),
        ({"policies": {"a/b": A}}, "policies.a/b: 'a/b' cannot be a policy's id"),
        ({"policies": {"a": {**A, "lr": -1}}}, "policies.a.lr: Input should be greater than 0, found -1"),
        ({"policies": {"a": {**A, "model": {"hiden": [3]}}}}, "policies.a.model.hiden: unknown key. Did you mean 'hidden'?"),
        ({"policies": {"a": {**A, "discount": 0.9}}}, "policies.a.discount: found 0.9 → write discount: {gamma: 0.9}"),
        ({"policies": {"a": {**A, "discount": {"gamma": 1.5}}}}, "policies.a.discount.gamma: found 1.5"),
        ({"policies": {"a": {**A, "discount": {"gama": 0.5}}}}, "policies.a.discount.gama: unknown key. Did you mean 'gamma'?"),
        ({"policies": {"a": {**A, "discount": {"per": "step"}}}}, "policies.a.discount.per: found 'step'"),
        ({"policies": {"a": {**A, "init_from": "x"}}}, "policies.a.init_from: found 'x' → expected CHECKPOINT:POLICY"),
        (
            {"policies": {"a": {"player": "constant", "acton": 1}}},
            "policies.a.acton: player constant has no such key. Did you mean 'action'?",
        ),
        ({"policies": {"a": {"player": "no_such_module:bot"}}}, "policies.a.player: 'no_such_module:bot'"),
        ({"policies": {"a": {"learner": "shared"}}}, "policies.a.learner: there is no learner 'shared'"),
        ({"policies": {"a": {"algorithm": FromStore}}}, "policies.a.algorithm: FromStore learns from Replay data"),
        ({"learners": {"x": A}}, "learners.x: no policy joins it"),
        (
            {"learners": {"x": {**A, "exploration": "y"}}, "policies": {"a": {"learner": "x"}}},
            "learners.x.exploration: Nothing has no such learner",
        ),
        ({"learners": {"x": A}, "policies": {"a": {"learner": "x", "lr": 1}}}, "policies.a.lr: is the learner's key"),
        ({"learners": {"a": A}, "policies": {"a": A}}, "policies.a: a learner of its own would be called 'a'"),
        ({"policies_to_train": ["z"]}, "policies_to_train: there is no policy 'z'"),
        ({"policies_to_train": "a"}, "policies_to_train: found 'a'"),
        ({"env_step_timeout_s": 3}, "env_step_timeout_s: a step can be cut only where"),
        ({"runner": "ray"}, "runner: workers on Ray are not part of this version"),
        ({"loop": "asynchronous"}, "loop: found 'asynchronous'"),
        ({"stop": {"episode_retrun_mean": 1}}, "stop.episode_retrun_mean: no metric has this name. Did you mean 'episode_return_mean'?"),
        ({"stop": {"num_env_steps": 0}}, "stop.num_env_steps: found 0"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0, found -1"),
        ({"device": "gpu"}, "device: String should match"),
        ({"checkpoint": {"every": 3}}, "checkpoint.every: unknown key"),
        ({"loggers": ["cvs"]}, "loggers[0]: nothing is called 'cvs'. Did you mean 'csv'?"),
        ({"callbacks": ["no_such_module:x"]}, "callbacks[0]: 'no_such_module:x'"),
        (
            {"callbacks": [Misspelt]},
            "callbacks[0]: on_episode_strat is no hook and would never be called. Did you mean 'on_episode_start'?",
        ),
        ({"callbacks": [Misspelt()]}, "callbacks[0]: on_episode_end cannot be called with episode, record"),
        ({"matches": [{"seats": {"*": "a"}, "wieght": 2}]}, "matches[0].wieght: unknown key. Did you mean 'weight'? → one of seats, learn"),
        ({"evaluation": {"evaluation_interval": 3}}, "evaluation.evaluation_interval: is called otherwise here → interval"),
        ({"vf_loss_coeff": 1.0}, "vf_loss_coeff: is called otherwise here → value_coeff under a policy"),
        ({"name": ".."}, "name: String should match pattern"),
        ({"env": None}, "env: no environment is named"),
        ({"env": "marl_envs/rock_paper_scisors-v1"}, "env: no environment is called 'marl_envs/rock_paper_scisors-v1'. Did you mean"),
        ({"env": "no_such_module:Env"}, "env: environment 'no_such_module:Env': there is no module"),
        ({"wrappers": "frame_stack"}, "wrappers: found 'frame_stack'"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(keys: dict[str, Any], expected: str) -> None:
    found = problems_of(**keys)
    assert any(problem.startswith(expected) for problem in found), found


def test_hooks_of_any_kind_are_callbacks() -> None:
    one = Fine()
    assert load_config(env=RPS, policies={"a": A}, callbacks=[Fine, one]).callbacks == (Fine, one)


def test_one_environment_object_serves_one_copy() -> None:
    class Env:
        possible_agents = ("x",)

        def reset(self) -> None: ...

        def step(self, actions: Any) -> None: ...

    assert load_config(env=Env(), policies={"a": A}).envs_per_worker == 1
    (problem,) = problems_of(env=Env(), envs_per_worker=2)
    assert "one environment object cannot be 2 copies" in problem


# ------------------------------------------------------------------ learners of several policies


def test_a_named_learner_has_several_policies() -> None:
    config = load_config(
        env=RPS,
        learners={"both": {**A, "lr": 0.5}},
        policies={"a": {"learner": "both", "exploration": "x"}, "b": {"learner": "both"}},
        mapping={"player_1": "a", "player_2": "b"},
    )
    assert config.learners["both"].policies == ("a", "b")
    assert config.learners["both"].config.lr == 0.5  # type: ignore[attr-defined]
    assert config.policies["a"].config.exploration == "x"  # type: ignore[union-attr]


# ------------------------------------------------------------------ to data and back


def test_a_config_is_written_and_read_back_equal(run_file: Path) -> None:
    config = load_config(run_file)
    text = write_yaml(config_to_data(config))
    again = load_config(parse_yaml(text, "config.yaml"))
    assert again == config
    assert write_yaml(config_to_data(again)) == text


def test_everything_that_a_config_can_hold_comes_back() -> None:
    space = spaces.Dict({"observation": spaces.Box(0, 1, (3,), np.float32), "action_mask": spaces.MultiBinary(3)})
    config = load_config(
        env=RPS,
        env_config={"num_rounds": 3},
        wrappers=["reward_clip", {"time_limit": {"max_ticks": 5}}],
        learners={"both": {"algorithm": "config.algorithms:Nothing", "lr": 0.5}},
        policies={
            "a": {"learner": "both", "observation_space": space, "action_space": spaces.Discrete(3)},
            "b": {"learner": "both", "train": False, "discount": {"gamma": 0.0}},
            "c": {"player": "constant", "action": 1},
        },
        matches=[{"seats": {"player_1": "a", "player_2": "c"}, "learn": ["player_1"], "weight": 2, "tag": {"k": [1]}, "options": {"o": 1}}],
        evaluation={"interval": 1, "matches": [Match({"*": "a"}, seed=3)]},
        policies_to_train=["a"],
        infos=["won"],
        callbacks=["config.algorithms:Hook"],
        loggers=["csv"],
        stop={"policies/a/return_mean": 0.5, "evaluation/policies/a/vs/c/player_1/win_rate": 0.9},
        checkpoint={"every_env_steps": 1e3},
    )
    assert config.callbacks == (Hook,)
    for references in (True, False):
        data = config_to_data(config, references=references)
        assert load_config(data) == config, data
    plain = parse_yaml(write_yaml(config_to_data(config)), "config.yaml")
    assert plain["callbacks"] == ["config.algorithms:Hook"]
    assert load_config(plain) == config


def test_what_has_no_importable_name_is_marked_and_asked_for_again() -> None:
    config = load_config(env=RPS, policies={"a": A, "b": A}, policy_mapping_fn=lambda agent: "a")
    data = config_to_data(config)
    assert data["policies"]["a"]["algorithm"] == "config.algorithms:Nothing"
    assert data["policy_mapping_fn"].startswith("<unsaved: ")
    assert "test_config.py:" in data["policy_mapping_fn"]
    with pytest.raises(ConfigError, match=r"policy_mapping_fn: <unsaved.*pass it again: policy_mapping_fn=…"):
        load_config(data)
    assert load_config(data, policy_mapping_fn=pick).policy_mapping_fn is pick
