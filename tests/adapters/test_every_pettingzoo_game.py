"""Every game that pettingzoo[classic,butterfly,sisl] and mpe2 install: what the adapter gives is what PettingZoo gives."""

from __future__ import annotations

import importlib
import random
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marl.registry import known_envs, make_env

pytest.importorskip("pettingzoo", reason="the games are an extra: pip install 'marl-framework[pettingzoo]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # PettingZoo's own: render without a mode, precision of Box bounds

SEEDS = (0, 1, 2)
MAX_ENV_STEPS = 4_000
FAMILIES = ("pettingzoo/classic/", "pettingzoo/butterfly/", "pettingzoo/sisl/", "mpe2/")
KAZ = "pettingzoo/butterfly/knights_archers_zombies_v11"
WALKERS = "pettingzoo/sisl/multiwalker_v9"
# Kept short where a game is slow or ends only by its limit; both sides of each comparison get the same settings.
SETTINGS: dict[str, dict[str, Any]] = {
    "pettingzoo/butterfly/cooperative_pong_v6": {"max_cycles": 40},
    KAZ: {"spawn_delay": 5},
    "pettingzoo/butterfly/pistonball_v6": {"max_cycles": 15},
    WALKERS: {"max_cycles": 60},
    "pettingzoo/sisl/pursuit_v5": {"max_cycles": 25},
    "pettingzoo/classic/go_v5": {"board_size": 5},
    "pettingzoo/classic/hanabi_v5": {"colors": 2, "ranks": 2, "hand_size": 2},  # small enough for random play to score
    "pettingzoo/classic/rps_v2": {"max_cycles": 15},
}
GAMES = [name for name in known_envs() if name.startswith(FAMILIES)]
VARIANTS = [
    *((name, SETTINGS.get(name, {})) for name in GAMES),
    (WALKERS, {"max_cycles": 120, "terminate_on_fall": False, "shared_reward": False}),  # walkers fall and leave one by one
    ("mpe2/simple_spread_v3", {"continuous_actions": True}),
    ("mpe2/simple_world_comm_v3", {"continuous_actions": True}),
    ("pettingzoo/classic/texas_holdem_v4", {"num_players": 6}),  # a player may win without having acted
    ("pettingzoo/classic/texas_holdem_no_limit_v6", {"num_players": 6}),
    ("pettingzoo/classic/hanabi_v5", {"players": 4}),
]
IDS = [name.split("/", 1)[1] + "".join(f",{key}={value}" for key, value in settings.items()) for name, settings in VARIANTS]


def pettingzoo_module(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name.replace("/", "."))


PLAYED = [
    (name, settings, api)
    for name, settings in VARIANTS
    for api in ("aec", "parallel")
    if api == "aec" or hasattr(pettingzoo_module(name), "parallel_env")
]
PLAYED_IDS = [f"{IDS[VARIANTS.index((name, settings))]}-{api}" for name, settings, api in PLAYED]
IN_ROUNDS = [one for one in PLAYED if one[2] == "parallel"]
ROUND_IDS = [label for label in PLAYED_IDS if label.endswith("-parallel")]


@dataclass
class Episode:
    """What an adapter's episode was: decisions in order, returns, the observations of each decision and of each end."""

    decisions: list[tuple[Any, Any]] = field(default_factory=list)
    observations: list[Any] = field(default_factory=list)
    returns: dict[Any, float] = field(default_factory=dict)
    finals: dict[Any, Any] = field(default_factory=dict)
    flags: dict[Any, tuple[bool, bool]] = field(default_factory=dict)


def legal_action(space: Any, observation: Any, info: dict[str, Any], rng: np.random.Generator) -> Any:
    mask = observation.get("action_mask") if isinstance(observation, dict) else None
    mask = info.get("action_mask") if mask is None else mask
    if mask is not None:
        return int(rng.choice(np.flatnonzero(mask)))
    if hasattr(space, "n"):
        return int(rng.integers(space.n))
    return rng.uniform(space.low, space.high).astype(space.dtype)


def play(name: str, settings: dict[str, Any], seed: int) -> Episode:
    """One random legal episode through the adapter, to its end."""
    env = make_env(name, settings)
    rng = np.random.default_rng(seed)
    episode = Episode()
    observations, infos = env.reset(seed=seed)
    due = list(observations)
    for _ in range(MAX_ENV_STEPS):
        actions = {agent: legal_action(env.action_space(agent), observations[agent], infos.get(agent, {}), rng) for agent in due}
        episode.decisions += actions.items()
        episode.observations += [observations[agent] for agent in due]
        observations, rewards, terminateds, truncateds, infos = env.step(actions)
        for agent, reward in rewards.items():
            episode.returns[agent] = episode.returns.get(agent, 0.0) + reward
        due = []
        for agent, seen in observations.items():
            flags = bool(terminateds.get(agent)), bool(truncateds.get(agent))
            if any(flags):
                assert agent not in episode.finals, f"{agent} ended twice"
                episode.finals[agent], episode.flags[agent] = seen, flags
            else:
                due.append(agent)
        if terminateds["__all__"] or truncateds["__all__"]:
            assert not due
            assert env.agents == []
            env.close()
            return episode
    raise AssertionError(f"{name} did not end in {MAX_ENV_STEPS} env steps")


def play_own_loop(name: str, settings: dict[str, Any], seed: int, decisions: list[tuple[Any, Any]]) -> tuple[dict[Any, float], list[Any]]:
    """PettingZoo's own loop over its standard ``env()`` with these decisions: the sum of ``last()`` rewards, live observations."""
    env = pettingzoo_module(name).env(**settings)
    env.reset(seed=seed)
    plan = iter(decisions)
    returns: dict[Any, float] = {}
    observations = []
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, _ = env.last()
        returns[agent] = returns.get(agent, 0.0) + reward
        action = None
        if not (terminated or truncated):
            planned, action = next(plan)
            assert planned == agent
            observations.append(observation)
        env.step(action)
    assert next(plan, None) is None, "PettingZoo's game ended before the adapter's"
    env.close()
    return returns, observations


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


def test_the_extra_installs_every_family() -> None:
    assert len(GAMES) == 26
    for family, count in zip(FAMILIES, (9, 3, 2, 12), strict=True):
        assert sum(name.startswith(family) for name in GAMES) == count


def test_the_docs_list_every_game() -> None:
    text = (Path(__file__).parents[2] / "docs" / "environments.md").read_text()
    assert [name for name in GAMES if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("name", GAMES)
def test_a_global_state_is_what_its_space_says(name: str) -> None:
    env = make_env(name, SETTINGS.get(name, {}))
    env.reset(seed=0)
    if hasattr(env, "global_state"):
        state, space = np.asarray(env.global_state()), env.global_state_space
        assert space is None or state.shape == space.shape
        assert np.isfinite(state.astype(float)).all()
    assert hasattr(env, "global_state") == (not name.startswith("pettingzoo/classic/"))
    env.close()


@pytest.mark.parametrize(("name", "settings", "api"), PLAYED, ids=PLAYED_IDS)
def test_returns_are_those_of_pettingzoos_own_loop(name: str, settings: dict[str, Any], api: str) -> None:
    assert api == "aec" or make_env(name, settings).api == "parallel", "where it is offered, the parallel form is the default"
    paid = False
    for seed in SEEDS:
        episode = play(name, {**settings, "api": api}, seed)
        expected, observations = play_own_loop(name, settings, seed, episode.decisions)
        assert episode.decisions
        for agent in expected.keys() | episode.returns.keys():
            assert episode.returns.get(agent, 0.0) == pytest.approx(expected.get(agent, 0.0), abs=1e-6), (seed, agent)
        assert episode.finals.keys() == expected.keys(), "every agent that PettingZoo's loop visits has an end, and a final observation"
        if api == "aec":
            for number, (seen, own) in enumerate(zip(episode.observations, observations, strict=True)):
                assert same(seen, own), (seed, number, episode.decisions[number][0])
        paid = paid or any(expected.values())
    # Chess on random moves is often drawn, and four random players never score in Hanabi.
    assert paid or name.endswith("chess_v6") or settings == {"players": 4}


@pytest.mark.parametrize(("name", "settings"), [one[:2] for one in IN_ROUNDS], ids=ROUND_IDS)
def test_parallel_steps_are_those_of_pettingzoos_parallel_env(name: str, settings: dict[str, Any]) -> None:
    """Observation by observation, with PettingZoo's wrappers on one side and none on the other."""
    ours, theirs = make_env(name, settings), pettingzoo_module(name).parallel_env(**settings)
    rng = np.random.default_rng(5)
    observations, _ = ours.reset(seed=5)
    expected, _ = theirs.reset(seed=5)
    assert same(observations, expected)
    while theirs.agents:
        assert ours.agents == theirs.agents
        actions = {agent: legal_action(theirs.action_space(agent), expected[agent], {}, rng) for agent in theirs.agents}
        observations, rewards, terminateds, truncateds, _ = ours.step(dict(actions))
        expected, own_rewards, terminations, truncations, _ = theirs.step(actions)
        assert same(observations, expected)
        assert dict(rewards) == pytest.approx(dict(own_rewards))
        over = not theirs.agents
        assert over == any([terminateds.pop("__all__"), truncateds.pop("__all__")])
        assert terminateds == terminations
        assert truncateds == truncations
    assert ours.agents == []
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=IDS)
def test_an_episode_is_a_function_of_its_seed_and_actions(name: str, settings: dict[str, Any]) -> None:
    first = play(name, settings, 11)
    random.seed(99)
    np.random.seed(99)  # a game that drew from the global stream would now differ
    second = play(name, settings, 11)
    assert first.decisions[-1][0] == second.decisions[-1][0]
    assert len(first.decisions) == len(second.decisions)
    assert all(same(one, other) for one, other in zip(first.observations, second.observations, strict=True))
    assert all(same(first.finals[agent], second.finals[agent]) for agent in first.finals)
    assert first.returns == second.returns
    assert first.flags == second.flags


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=IDS)
def test_no_observation_is_written_over_later(name: str, settings: dict[str, Any]) -> None:
    env = make_env(name, settings)
    rng = np.random.default_rng(0)
    given, kept = [], []
    for episode in range(3):
        observations, infos = env.reset(seed=episode)
        due = list(observations)
        for _ in range(40):
            given += observations.values()
            kept += [_deep(seen) for seen in observations.values()]
            actions = {agent: legal_action(env.action_space(agent), observations[agent], infos.get(agent, {}), rng) for agent in due}
            observations, _, terminateds, truncateds, infos = env.step(actions)
            due = [agent for agent in observations if not (terminateds.get(agent) or truncateds.get(agent))]
            if terminateds["__all__"] or truncateds["__all__"]:
                given += observations.values()
                kept += [_deep(seen) for seen in observations.values()]
                break
    assert all(same(one, other) for one, other in zip(given, kept, strict=True))
    env.close()


def _deep(observation: Any) -> Any:
    return {key: _deep(value) for key, value in observation.items()} if isinstance(observation, dict) else np.array(observation)
