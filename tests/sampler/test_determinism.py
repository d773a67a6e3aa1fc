"""The same seed samples the same rows to the bit; nobody's generators are touched; workers and copies have streams of their own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import marl
from marl.env import BaseMultiAgentEnv
from marl.errors import EnvError
from marl.local import make_plan, make_worker
from marl.seeding import EpisodeSeeds

from .resuming import compare
from .test_resume_games import GAMES, RANDOM, Diary

PPO: dict[str, Any] = {"default": {"algorithm": "ppo", "model": {"hidden": [8]}}}
LEARNED: dict[str, dict[str, Any]] = {
    **GAMES,
    "ppo": {"env": "marl_envs/cartpole-v1", "policies": PPO, "envs_per_worker": 3},
    "ppo in turns": {"env": "pettingzoo/classic/tictactoe_v3", "policies": PPO, "envs_per_worker": 2},
    "two of ppo": {
        "env": "marl_envs/cartpole-v1",
        "policies": {"a": PPO["default"], "b": PPO["default"]},
        "mapping": {"agent_0": "a", "*": {"a": 0.5, "b": 0.5}},
        "envs_per_worker": 2,
    },
}


def generators() -> list[Any]:
    """The states of the process's global generators."""
    name, keys, *rest = np.random.get_state()
    return [random.getstate(), name, keys.tolist(), rest, torch.get_rng_state().tolist()]


def sampled(keys: dict[str, Any], seed: int) -> list[Any]:
    sampler = marl.Sampler(**keys, seed=seed)
    made = [sampler.sample(num_env_steps=6), sampler.sample(num_env_steps=9, explore=False), sampler.sample(num_episodes=2)]
    sampler.close()
    return made


@pytest.mark.parametrize("name", LEARNED)
def test_the_same_seed_samples_the_same_to_the_bit(name: str) -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = generators()
    first = sampled(LEARNED[name], 11)
    assert generators() == before  # sampling, environments and policies took nothing from them
    random.seed(2)
    np.random.seed(2)
    torch.manual_seed(2)
    again = sampled(LEARNED[name], 11)
    differences = [found for left, right in zip(first, again, strict=True) for found in compare(left, right, "")]
    assert differences == []
    if name not in ("array-native steps",):  # a game without chance, and too short to tell policies apart
        other = sampled(LEARNED[name], 12)
        assert any(compare(left, right, "") for left, right in zip(first, other, strict=True))


class Chancy(BaseMultiAgentEnv):
    """A game that draws from every global generator, as games should not."""

    possible_agents = ["a", "b"]
    observation_spaces = dict.fromkeys("ab", spaces.Box(-9, 9, (3,), np.float32))
    action_spaces = dict.fromkeys("ab", spaces.Discrete(2))

    def _see(self) -> Any:
        return {agent: np.array([random.random(), np.random.normal(), float(torch.rand(()))], np.float32) for agent in "ab"}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return self._see(), {}

    def step(self, actions: Any, /) -> Any:
        self.t += 1
        if self.t == 50:
            raise RuntimeError("enough")
        return self._see(), {"a": random.random()}, {}, {"__all__": self.t == 4 and random.random() < 0.5}, {}


def test_games_that_draw_from_global_generators_get_streams_of_their_own() -> None:
    keys: dict[str, Any] = {"env": Chancy, "policies": RANDOM, "envs_per_worker": 2}
    random.seed(5)
    before = generators()
    first = marl.Sampler(**keys, seed=1).sample(num_env_steps=20)
    assert generators() == before
    random.random()
    assert compare(first, marl.Sampler(**keys, seed=1).sample(num_env_steps=20), "") == []
    assert compare(first, marl.Sampler(**keys, seed=2).sample(num_env_steps=20), "") != []


def test_generators_are_given_back_after_an_error_too() -> None:
    class Breaks(Chancy):
        def step(self, actions: Any, /) -> Any:
            super().step(actions)
            raise RuntimeError("broken")

    before = generators()
    with pytest.raises(EnvError, match="broken"):
        marl.Sampler(Breaks, policies=RANDOM).sample(num_env_steps=5)
    assert generators() == before


def test_foreach_env_uses_the_workers_streams() -> None:
    sampler = marl.Sampler(Chancy, policies=RANDOM, seed=3)
    sampler.sample(num_env_steps=1)
    before = generators()
    drawn = sampler.foreach_env(lambda env: (random.random(), float(np.random.random()), float(torch.rand(()))))
    assert generators() == before
    other = marl.Sampler(Chancy, policies=RANDOM, seed=3)
    other.sample(num_env_steps=1)
    assert other.foreach_env(lambda env: (random.random(), float(np.random.random()), float(torch.rand(())))) == drawn


@pytest.mark.parametrize("name", ["turns", "parallel", "array-native", "bots with a memory", "ppo"])
def test_workers_have_streams_of_their_own(name: str) -> None:
    """Episodes, seeds, actions and the global streams of worker 1 and 2 differ; each is the same whenever it is made."""
    keys = {key: value for key, value in LEARNED[name].items() if key != "infos"}

    def worker(index: int) -> Any:
        plan = make_plan(marl.load_config(**keys, seed=9))
        made = make_worker(plan, index)
        if plan.probe is not None and hasattr(plan.probe, "close"):
            plan.probe.close()
        return made

    one, again, two = (worker(index).sample(num_episodes=6) for index in (1, 1, 2))
    assert compare(one, again, "") == []
    seeds = [{record.seed for record in episodes} for _, episodes in (one, two)]
    assert not seeds[0] & seeds[1]
    ids = [{record.eps_id for record in episodes} for _, episodes in (one, two)]
    assert not ids[0] & ids[1]
    assert {record.worker_index for record in one[1]} == {1}
    assert {record.worker_index for record in two[1]} == {2}
    rows = [next(iter(batch.policies.values()))["actions"] for batch, _ in (one, two)]
    assert rows[0].shape != rows[1].shape or not np.array_equal(rows[0], rows[1])


def test_copies_have_seeds_of_their_own() -> None:
    _, episodes = marl.Sampler(**GAMES["turns"] | {"envs_per_worker": 8}, seed=1).sample(num_episodes=64)
    assert len({record.seed for record in episodes}) == 64
    for record in episodes:
        assert record.seed == EpisodeSeeds(1, 0, record.env_index)[record.eps_id & 0xFFFFFFFF]


def test_what_a_copy_plays_does_not_depend_on_the_others() -> None:
    """With players that draw nothing in common, to the bit: 1 copy, and the same copy among 5."""

    def of_copy(batch: Any, copy: int) -> dict[str, Any]:
        rows = batch.policies["bot"]
        mine = (rows["eps_id"] >> 32) == copy
        order = np.lexsort((rows["decision"][mine], rows["agent_index"][mine], rows["eps_id"][mine]))
        agents = np.array(rows.agents)[rows["agent_index"]]
        return {**{name: rows[name][mine][order] for name in rows if name != "agent_index"}, "agent": agents[mine][order]}

    keys: dict[str, Any] = {"env": "pettingzoo/classic/tictactoe_v3", "policies": {"bot": {"player": Diary}}, "seed": 2}
    alone, among = (marl.Sampler(**keys, envs_per_worker=copies).sample(num_env_steps=40)[0] for copies in (1, 5))
    left, right = of_copy(alone, 0), of_copy(among, 0)
    order = [np.lexsort((one["t"], one["eps_id"])) for one in (left, right)]
    for name in left:
        np.testing.assert_array_equal(left[name][order[0]], right[name][order[1]], err_msg=name)
