"""Grouping loses nothing: group, then ungroup, and the game is the one it was; and what a group shows is what its members were told."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.grouping import GroupedEnv, ungroup, with_agent_groups
from marl.grouping.blanks import blank
from marl.lives import Lives
from marl.spaces import ActionCodec, agent_spaces, has_mask, split_mask, without_mask

from .random_game import AGENTS, RandomGame

GROUPINGS = [
    {"team": ["a", "b", "c"]},
    {"team": ["c", "a"], "pair": ["e", "d"]},
    {"all": ["d", "e", "a", "b", "c"]},
    {"one": ["a"], "other": ["b"]},
]


def same(left: Any, right: Any) -> bool:
    """Equal values, dtypes and structure, to the last bit."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (tuple, list)):
        return type(left) is type(right) and len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and np.array_equal(left, right)
    return bool(left == right)


def legal(env: Any, agent: Any, observation: Any, info: Any, rng: np.random.Generator) -> Any:
    space, action_space = agent_spaces(env, agent)
    codec = ActionCodec(action_space)
    mask = split_mask(observation)[1] if has_mask(space) else (info or {}).get("action_mask")
    masks = None if mask is None else codec.flat_mask(mask)[None]
    return codec.to_env(codec.sample(1, rng, masks))[0]


class Walk:
    """One episode of ``env`` with random legal actions: per call the outputs and their meaning."""

    def __init__(self, env: Any, seed: int, num_calls: int = 14) -> None:
        self.env, self.lives, self.rng = env, Lives(env.possible_agents), np.random.default_rng(seed)
        observations, infos = env.reset(seed=seed)
        self.calls: list[Any] = [(observations, {}, infos)]
        self.meanings = [self.lives.begin(observations)]
        self.ticks: list[Any] = []
        while not self.meanings[-1].over and len(self.calls) <= num_calls:
            due = sorted(self.meanings[-1].due, key=str)
            actions = {agent: legal(env, agent, observations[agent], infos.get(agent), self.rng) for agent in due}
            observations, rewards, terminateds, truncateds, infos = env.step(actions)
            self.calls.append((observations, rewards, infos))
            self.meanings.append(self.lives.follow(observations, terminateds, truncateds, infos, getattr(env, "agents", None)))
            self.ticks.append((env.elapsed_ticks, env.next_call_is_decision))


@settings(max_examples=300, deadline=None)
@given(script=st.integers(0, 10**6), grouping=st.sampled_from(GROUPINGS), with_agents=st.booleans(), lasting=st.floats(0.5, 1.0))
def test_group_then_ungroup_is_the_identity(script: int, grouping: dict[str, list[str]], with_agents: bool, lasting: float) -> None:
    bare = RandomGame(script, with_agents=with_agents, lasting=lasting)
    under = RandomGame(script, with_agents=with_agents, lasting=lasting)
    one, two = Walk(bare, 3), Walk(ungroup(with_agent_groups(under, grouping)), 3)
    assert bare.received == under.received
    assert one.ticks == two.ticks
    assert len(one.calls) == len(two.calls)
    for left, right in zip(one.calls, two.calls, strict=True):
        assert same(left, right)
    for mine, theirs in zip(one.meanings, two.meanings, strict=True):
        assert set(mine.due) == set(theirs.due)
        assert set(mine.began) == set(theirs.began)
        assert (mine.ended, mine.over) == (theirs.ended, theirs.over)
        assert same(mine.finals, theirs.finals)


class Recorder:
    """The game under a group, with a record of what it said."""

    def __init__(self, env: Any) -> None:
        self.env, self.calls = env, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self, **keys: Any) -> Any:
        observations, infos = self.env.reset(**keys)
        self.calls.append((observations, {}, {}, {}, infos))
        return observations, infos

    def step(self, actions: Any, /) -> Any:
        self.calls.append(self.env.step(actions))
        return self.calls[-1]


@settings(max_examples=300, deadline=None)
@given(script=st.integers(0, 10**6), grouping=st.sampled_from(GROUPINGS), lasting=st.floats(0.5, 1.0))
def test_a_group_shows_what_its_members_were_told(script: int, grouping: dict[str, list[str]], lasting: float) -> None:
    base = Recorder(RandomGame(script, lasting=lasting))
    env = with_agent_groups(base, grouping)
    walk = Walk(env, 5)
    lives, members_of = Lives(AGENTS), env.groups
    opened = dict.fromkeys(members_of, False)
    truncated: dict[str, bool] = dict.fromkeys(members_of, False)
    for number, ((observations, rewards, infos), meaning, said) in enumerate(zip(walk.calls, walk.meanings, base.calls, strict=True)):
        before = set(lives.done)
        member_meaning = lives.begin(said[0]) if number == 0 else lives.follow(*said[:1], said[2], said[3], said[4])
        assert meaning.over == member_meaning.over
        for agent in set(AGENTS) - {member for members in members_of.values() for member in members}:
            assert (agent in observations) == (agent in said[0])
            assert rewards.get(agent) == said[1].get(agent)
        for name, members in members_of.items():
            due = [member in member_meaning.due for member in members]
            assert (name in meaning.due) == any(due)
            assert (name in rewards) == any(member in said[1] for member in members)
            ended = [member_meaning.ended.get(member) for member in members]
            truncated[name] |= False in ended
            over = all(member in before or member in member_meaning.ended for member in members) and any(end is not None for end in ended)
            over |= member_meaning.over and opened[name]
            if over and any(member in member_meaning.began for member in members):
                over = not truncated[name] or "final_observation" in infos[name]
            assert (name in meaning.ended) == over
            assert not (over and any(due)) or "final_observation" in infos[name]
            if over:
                assert meaning.ended[name] is not truncated[name]
                truncated[name] = False
            opened[name] = any(due) or (opened[name] and not over)
            info = infos.get(name)
            if info is None:
                continue
            np.testing.assert_array_equal(info["member_due"], due)
            np.testing.assert_array_equal(info["member_alive"], [member in lives.alive for member in members])
            np.testing.assert_array_equal(info["member_terminateds"], [end is True for end in ended])
            np.testing.assert_array_equal(info["member_truncateds"], [end is False for end in ended])
            np.testing.assert_array_equal(info["member_rewards"], [said[1].get(member, 0.0) for member in members])
            assert info["individual_rewards"] == info["member_rewards"].tolist()
            assert rewards.get(name, 0.0) == sum(info["individual_rewards"])
            if any(due):
                check_shown(env, name, observations[name], said, due)
            for observation in (observations.get(name), info.get("final_observation")):
                if observation is not None:
                    assert env.observation_spaces[name].contains(observation)


def check_shown(env: GroupedEnv, name: str, shown: Any, said: Any, due: list[bool]) -> None:
    parts, masks = (shown["observations"], shown["action_mask"]) if isinstance(shown, dict) else (shown, [np.zeros(0, bool)] * len(shown))
    for index, member in enumerate(env.groups[name]):
        space, action_space = agent_spaces(env.env, member)
        codec = ActionCodec(action_space)
        mask = codec.flat_mask(masks[index])
        if due[index]:
            raw = said[0][member]
            inner, expected = split_mask(raw) if has_mask(space) else (raw, said[4].get(member, {}).get("action_mask"))
            expected = np.ones(codec.mask_size, bool) if expected is None else codec.flat_mask(expected)
        else:
            inner = blank(without_mask(space))
            expected = np.zeros(codec.mask_size, bool)
            expected[[part.mask for part in codec.parts if part.n]] = True
        assert same(parts[index], inner)
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("script", range(20))
def test_an_open_episode_is_restored_with_its_groups(script: int) -> None:
    """get_state and set_state of a grouped environment carry the lives of groups as well."""

    class Stateful(RandomGame):
        def get_state(self) -> Any:
            return copy.deepcopy({key: self.__dict__[key] for key in ("rng", "call", "sum", "alive", "seen")})

        def set_state(self, state: Any) -> None:
            self.__dict__.update(copy.deepcopy(state))

    def play(env: Any, observations: Any, infos: Any, due: tuple[Any, ...], calls: int, rng: np.random.Generator, lives: Lives) -> Any:
        trace = []
        for _ in range(calls):
            actions = {agent: legal(env, agent, observations[agent], infos.get(agent), rng) for agent in sorted(due)}
            outputs = env.step(actions)
            observations, infos = outputs[0], outputs[4]
            trace.append(outputs)
            meaning = lives.follow(outputs[0], outputs[2], outputs[3], outputs[4])
            due = meaning.due
            if meaning.over:
                break
        return trace, observations, infos, due

    env = with_agent_groups(Stateful(script, lasting=0.8), GROUPINGS[1])
    observations, infos = env.reset(seed=1)
    lives = Lives(env.possible_agents)
    due = lives.begin(observations).due
    _, observations, infos, due = play(env, observations, infos, due, 4, np.random.default_rng(0), lives)
    state = env.get_state()
    kept = copy.deepcopy(lives)
    first = play(env, observations, infos, due, 10, np.random.default_rng(1), lives)[0]
    fresh = with_agent_groups(Stateful(script, lasting=0.8), GROUPINGS[1])
    fresh.reset(seed=99)
    fresh.set_state(state)
    second = play(fresh, observations, infos, due, 10, np.random.default_rng(1), kept)[0]
    assert same(first, second)
