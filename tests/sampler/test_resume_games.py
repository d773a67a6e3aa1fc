"""A restored worker goes on to the bit in real games, with wrappers, groups, players with a memory, matches and recurrent policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from grouping.random_game import RandomGame

import marl
from marl.episode import Episode
from marl.grouping import with_agent_groups
from marl.players import RandomPolicy
from marl.policy import ActResult, ColumnSpec, PolicySpec, RecurrentState
from marl.surroundings import OPTIONAL_COLUMNS

from .crowd import Crowd, kinds_of, worker_for
from .resuming import compare, differences, differences_after_restoring, lengths_of, settled, through_disk

RANDOM = {"default": {"player": "random"}}


class Diary:
    """A bot that remembers all it saw, and draws: its answer is legal and depends on both."""

    def __init__(self) -> None:
        self.sum = 0.0

    def act(self, obs: Any, info: Any, rng: np.random.Generator) -> int:
        seen = obs["observation"] if isinstance(obs, dict) else obs
        self.sum += float(np.sum(np.asarray(seen, np.float64) * np.arange(1, np.size(seen) + 1).reshape(np.shape(seen)))) + rng.random()
        legal = np.flatnonzero(info["action_mask"]) if "action_mask" in info else np.arange(2)
        return int(legal[int(abs(self.sum) * 7) % len(legal)])


def whim(obs: Any, info: Any, rng: np.random.Generator) -> int:
    """A bot without memory that draws."""
    legal = np.flatnonzero(info["action_mask"]) if "action_mask" in info else np.arange(2)
    return int(rng.choice(legal))


class Drifting(RandomPolicy):
    """A recurrent policy: the state of a life drifts with what it sees, and shows in ``values``."""

    columns: Mapping[str, ColumnSpec] = {"values": ((), np.dtype(np.float32))}
    recurrent: Mapping[str, ColumnSpec] = {"drift": ((2,), np.dtype(np.float32))}

    def act_batch(self, obs: Any, *, recurrent_state: RecurrentState, rng: np.random.Generator, **given: Any) -> ActResult:
        actions, _, _ = super().act_batch(obs, recurrent_state={}, rng=rng, **given)
        seen = np.asarray(obs, np.float32).reshape(len(obs), -1).sum(axis=1)
        drift = 0.5 * recurrent_state["drift"] + np.stack([seen, rng.random(len(obs))], axis=1).astype(np.float32)
        return actions, {"drift": drift}, {"values": drift.sum(axis=1)}


def turns(episode: Any) -> marl.Match:
    """A match that depends on the episode's generator, its number, and the state of matches."""
    seats = ["main", "rival"]
    if episode.rng.random() < 0.5:
        seats.reverse()
    state = episode.match_state or 0
    return marl.Match(
        {"player_1": seats[0], "player_2": seats[1]},
        learn=["player_1"] if episode.rng.random() < 0.5 else None,
        seed=int(episode.rng.integers(1000)) + state,
        tag={"number": episode.episode_id & 0xFF, "state": state},
    )


GAMES: dict[str, dict[str, Any]] = {
    "turns": {"env": "pettingzoo/classic/tictactoe_v3", "policies": RANDOM, "envs_per_worker": 3},
    "parallel": {"env": "mpe2/simple_spread_v3", "policies": RANDOM, "envs_per_worker": 2},
    "wrapped": {
        "env": "mpe2/simple_spread_v3",
        "policies": RANDOM,
        "wrappers": [{"frame_stack": {"n": 3}}, "reward_normalize", "agent_id", {"time_limit": {"max_ticks": 11}}],
        "envs_per_worker": 2,
    },
    "one agent": {"env": "gymnasium/CartPole-v1", "policies": RANDOM, "wrappers": ["reward_normalize"], "envs_per_worker": 2},
    "continuous": {"env": "gymnasium/Pendulum-v1", "policies": RANDOM, "envs_per_worker": 2},
    "open set of agents": {
        "env": "marl_envs/traffic-v1",
        "policies": {"car": {"player": "random"}, "light": {"player": "random"}},
        "mapping": {"car_*": "car", "*": "light"},
        "envs_per_worker": 2,
    },
    "lives": {
        "env": "marl_envs/toy-v1",
        "env_config": {"num_agents": 5, "lives_ended": 0.1, "silent": 0.2, "absent_steps": 2},
        "policies": RANDOM,
    },
    "bots with a memory": {
        "env": "pettingzoo/classic/tictactoe_v3",
        "policies": {"bot": {"player": Diary}, "whim": {"player": whim}},
        "mapping": {"player_1": {"bot": 0.5, "whim": 0.5}, "player_2": "bot"},
        "envs_per_worker": 3,
    },
    "matches": {
        "env": "pettingzoo/classic/tictactoe_v3",
        "policies": {"main": {"player": "random"}, "rival": {"player": Drifting}},
        "match_fn": turns,
        "envs_per_worker": 3,
    },
    "recurrent": {
        "env": "marl_envs/cartpole-v1",
        "policies": {"default": {"player": Drifting}},
        "envs_per_worker": 3,
        "needs": {"default": ["global_state", "joint_obs", "joint_actions", "joint_alive"]},
        "infos": ["speed"],
    },
    "groups": {
        "env": "marl_envs/cartpole-v1",
        "groups": {"left": ["agent_0", "agent_1"], "right": ["agent_2", "agent_3"]},
        "policies": RANDOM,
        "envs_per_worker": 2,
        "needs": {"default": ["member_rewards", "joint_obs", "joint_due"]},
    },
    "groups of wrapped agents": {
        "env": "mpe2/simple_spread_v3",
        "wrappers": ["reward_normalize"],
        "groups": {"two": ["agent_0", "agent_1"]},
        "policies": {"team": {"player": "random"}, "one": {"player": Drifting}},
        "mapping": {"two": "team", "agent_2": "one"},
    },
    "array-native": {
        "env": "marl_envs/vector_cartpole-v1",
        "env_config": {"num_envs": 3, "num_agents": 2},
        "policies": {"default": {"player": Drifting}},
    },
    "array-native, with states": {
        "env": "marl_envs/vector_cartpole-v1",
        "env_config": {"num_envs": 3, "with_global_state": True, "max_steps": 9},
        "policies": RANDOM,
        "needs": {"default": ["global_state"]},
    },
    "array-native rounds": {
        "env": "marl_envs/vector_rock_paper_scissors-v1",
        "env_config": {"num_envs": 2, "rounds": 7},
        "policies": RANDOM,
    },
    "array-native steps": {"env": "marl_envs/vector_two_step-v1", "env_config": {"num_envs": 3}, "policies": RANDOM},
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_game_goes_on_to_the_bit(name: str, seed: int) -> None:
    lengths = (7, 4, 1, 9, 6, 13)
    for before in (1, 2, 4) if seed == 1 else (3,):
        found = differences_after_restoring(lambda: marl.Sampler(**GAMES[name], seed=seed).worker, lengths_of(lengths), before, 6 - before)
        assert found == ([], []), before


def test_whole_episodes_go_on_to_the_bit() -> None:
    """Between fragments of whole episodes some copies rest, some are in the middle of one."""

    def sample(worker: Any, number: int) -> Any:
        return worker.sample(num_episodes=2) if number % 2 else worker.sample(num_env_steps=5, complete_episodes=number % 4 == 0)

    for before in range(5):
        made = differences_after_restoring(lambda: marl.Sampler(**GAMES["turns"], seed=3).worker, sample, before, 4)
        assert made == ([], []), before


def test_the_state_of_matches_and_greedy_play_go_on() -> None:
    def sample(worker: Any, number: int) -> Any:
        if number % 2 == 0:
            worker.match_state = 100 * number
        return worker.sample(num_env_steps=5, explore=number % 3 > 0)

    assert differences_after_restoring(lambda: marl.Sampler(**GAMES["matches"], seed=3).worker, sample, 3, 4) == ([], [])


@pytest.mark.parametrize("grouping", [None, {"team": ["a", "b", "c"]}, {"team": ["c", "a"], "pair": ["e", "d"]}])
def test_everything_about_others_goes_on(grouping: Any) -> None:
    """Random games with every optional column."""
    wanted = frozenset(name for name in OPTIONAL_COLUMNS if not name.startswith("member"))

    def make(script: int) -> Any:
        games: list[Any] = [RandomGame(script + place, lasting=0.9, num_calls=20) for place in range(2)]
        grouped = games if grouping is None else [with_agent_groups(game, grouping) for game in games]
        crowds = [Crowd(game, place, by_seed=True) for place, game in enumerate(grouped)]
        needy = None if grouping is None else tuple({kinds_of(crowds[0])[name] for name in grouping})
        return worker_for(crowds, wanted if grouping is None else frozenset(OPTIONAL_COLUMNS), info_keys=("speed", "luck"), needy=needy)

    for script in range(12):
        found = differences_after_restoring(lambda script=script: make(script), lengths_of((3, 4, 2, 7)), 1 + script % 3, 1)
        assert found == ([], []), script


# ------------------------------------------------------------------ policies that come and go


def test_policies_that_came_and_went_go_on_to_the_bit() -> None:
    """One was added, one removed that still plays its open episodes; both are in the fresh worker before it is restored."""

    def make() -> Any:
        keys = {**GAMES["turns"], "policies": {"old": {"player": Drifting}, "main": {"player": "random"}}}
        worker = marl.Sampler(**keys, policy_mapping_fn=newest_against_main, seed=4).worker
        return worker

    def later(worker: Any) -> None:
        spec = PolicySpec("new", worker.policies["main"].observation.space, worker.policies["main"].action.space)
        worker.router.policies["new"] = None
        worker.add_policy("new", Drifting(spec))

    whole = make()
    whole.sample(num_env_steps=4)
    later(whole)
    whole.remove_policy("old")
    assert "old" not in whole.policies
    whole.sample(num_env_steps=1)
    assert "old" in whole.table.by_id  # it plays its open episodes to their end
    fresh = make()
    later(fresh)
    assert fresh.load_state_dict(through_disk(whole.state_dict())) == []
    assert "old" not in fresh.policies
    found = []
    for number in range(4):
        found += compare(whole.sample(num_env_steps=5), fresh.sample(num_env_steps=5), f"fragment {number}")
    assert found == []
    assert "old" not in fresh.table.by_id
    assert differences(settled(whole.state_dict()), settled(fresh.state_dict())) == []


def newest_against_main(agent_id: Any, episode: Episode) -> str:
    return "main" if agent_id == "player_2" else "new" if "new" in episode.policies else "old"


def test_a_policy_that_is_gone_takes_its_episodes_with_it() -> None:
    keys = {**GAMES["turns"], "policies": {"old": {"player": "random"}, "main": {"player": "random"}}}
    whole = marl.Sampler(**keys, mapping={"player_1": "old", "player_2": "main"}).worker
    whole.sample(num_env_steps=7)
    fresh = marl.Sampler(**GAMES["turns"] | {"policies": {"main": {"player": "random"}}}).worker
    lost = fresh.load_state_dict(whole.state_dict())
    assert len(lost) == 3
    assert all("policy 'old' is no longer there" in one for one in lost)
    batch, episodes = fresh.sample(num_env_steps=30)
    assert batch.num_env_steps == 90
    assert {record.seats["player_1"][0] for record in episodes} == {"main"}
