"""``marl.Sampler``: a run's keys without a trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import marl
from marl.errors import ConfigError

from .algorithms import Counting
from .games import Duel

COIN = {"coin": {"player": "random"}}


def test_everything_has_a_default_but_the_environment() -> None:
    batch, episodes = marl.Sampler(Duel, policies=COIN).sample(num_env_steps=12)
    assert batch.num_env_steps == 12
    assert batch.policies["coin"].num_rows == 24
    assert len(episodes) == 2


def test_rows_of_players_and_policies_are_kept() -> None:
    sampler = marl.Sampler(Duel, policies={**COIN, "a": {"algorithm": Counting}}, mapping={"red": "a", "blue": "coin"}, envs_per_worker=3)
    batch, _ = sampler.sample(num_env_steps=10)
    assert {policy_id: rows.num_rows for policy_id, rows in batch.policies.items()} == {"a": 30, "coin": 30}
    greedy, _ = sampler.sample(num_env_steps=10, explore=False)
    assert not greedy.policies["a"]["actions"].any()


def test_whole_episodes() -> None:
    _, episodes = marl.Sampler(Duel, policies=COIN, envs_per_worker=4).sample(num_episodes=7)
    assert [episode.num_env_steps for episode in episodes] == [5] * 7
    batch, episodes = marl.Sampler(Duel, policies=COIN, envs_per_worker=2).sample(num_env_steps=7, complete_episodes=True)
    assert batch.num_env_steps == 20


def test_one_of_steps_and_episodes() -> None:
    sampler = marl.Sampler(Duel, policies=COIN)
    for given in ({}, {"num_env_steps": 1, "num_episodes": 1}):
        with pytest.raises(ConfigError, match="either num_env_steps or num_episodes"):
            sampler.sample(**given)


def test_the_same_seed_samples_the_same_rows() -> None:
    def rows(seed: int) -> Any:
        batch, _ = marl.Sampler(Duel, policies=COIN, envs_per_worker=2, seed=seed).sample(num_env_steps=50)
        return batch.policies["coin"]["actions"].tolist()

    assert rows(1) == rows(1) != rows(2)


def test_an_environment_object_is_taken_as_it_is() -> None:
    env = Duel(length=3)
    sampler = marl.Sampler(env, policies=COIN)
    assert sampler.foreach_env(lambda one: one is env) == [True]
    with pytest.raises(ConfigError, match="one environment object cannot be 2 copies"):
        marl.Sampler(env, policies=COIN, envs_per_worker=2)


def test_extra_columns_may_be_asked_for() -> None:
    batch, _ = marl.Sampler(Duel, policies=COIN, needs={"coin": ["joint_actions"]}, envs_per_worker=2).sample(num_env_steps=5)
    assert batch.policies["coin"]["joint_actions"].shape == (20, 2)


def test_weights_may_be_set() -> None:
    sampler = marl.Sampler(Duel, policies={"a": {"algorithm": Counting}})
    sampler.set_weights("a", {"weight": np.zeros(3)}, version=4)
    batch, _ = sampler.sample(num_env_steps=5)
    assert set(batch.policies["a"]["weights_version"].tolist()) == {4}


def test_wrong_keys_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        marl.Sampler(Duel, policies={"coin": {"player": "rndom"}}, mapping={"red": "x"}, envs_per_worker=0)
    assert len(caught.value.problems) == 3


def test_hooks_see_rows() -> None:
    class Halve:
        def on_rows(self, batch: marl.MultiAgentBatch) -> marl.MultiAgentBatch:
            return batch.select([])

    batch, _ = marl.Sampler(Duel, policies=COIN, callbacks=[Halve]).sample(num_env_steps=5)
    assert batch.policies == {}
    assert batch.num_env_steps == 5


def test_array_native_environments_bring_their_own_copies() -> None:
    keys: dict[str, Any] = {"env": "marl_envs/vector_cartpole-v1", "env_config": {"num_envs": 4, "num_agents": 2}, "policies": COIN}
    sampler = marl.Sampler(**keys)
    batch, _ = sampler.sample(num_env_steps=10)
    assert batch.num_env_steps == 40
    assert sampler.timers["env"] > 0
    with pytest.raises(ConfigError, match="array-native and steps 4 copies by itself"):
        marl.Sampler(**keys, envs_per_worker=3)
