"""What learners need of others, held against a plain account of the transcript: any game, any fragment lengths."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from grouping.random_game import RandomGame
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.grouping import with_agent_groups
from marl.surroundings import OPTIONAL_COLUMNS

from .account import Moment, Row, account
from .crowd import Crowd, kinds_of, worker_for

ALONE = frozenset(name for name in OPTIONAL_COLUMNS if not name.startswith("member"))
JOINT = ("joint_obs", "joint_action_mask", "joint_alive", "joint_due")

Key = tuple[int, int, Any, int, int]  # copy, episode, agent, life, decision


def shipped(fragments: list[Any]) -> dict[Key, tuple[str, dict[str, Any], dict[str, Any] | None, bool]]:
    """Row → its policy, its columns, what stands at its successor (None: not known from the batch) and whether that is valid."""
    found: dict[Key, Any] = {}
    for batch in fragments:
        for policy_id, rows in batch.policies.items():
            for piece, (start, stop) in enumerate(itertools.pairwise(rows.offsets.tolist())):
                after = {name.removeprefix("bootstrap_"): column[piece] for name, column in rows.pieces.items()}
                for place in range(start, stop):
                    eps_id = int(rows["eps_id"][place])
                    agent = rows.agents[int(rows["agent_index"][place])]
                    key = (eps_id >> 32 & 0xFFFF, eps_id & 0xFFFFFFFF, agent, int(rows["life"][place]), int(rows["decision"][place]))
                    columns = {name: rows[name][place] for name in rows}
                    last = place == stop - 1
                    following = after if last else {name: rows[name][place + 1] for name in rows}
                    assert key not in found
                    found[key] = (policy_id, columns, following, bool(after["valid"]) if last else True)
    return found


def check_moment(where: str, right: Moment, seen: dict[str, Any], wanted: frozenset[str]) -> None:
    values = {
        "global_state": right.state,
        "critic_obs": right.critic_obs,
        "joint_alive": [alive for alive, _, _, _ in right.slots],
        "joint_due": [due for _, due, _, _ in right.slots],
        "joint_obs": [number for _, _, obs, _ in right.slots for number in obs],
        "joint_action_mask": [bit for _, _, _, mask in right.slots for bit in mask],
        "member_alive": right.member_alive,
        "member_due": right.member_due,
    }
    for name, value in values.items():
        if name in wanted:
            np.testing.assert_array_equal(seen[name], value, err_msg=f"{where}: {name}")


def check(
    crowds: list[Crowd], fragments: list[Any], wanted: frozenset[str], groups: dict[Any, Any] | None = None, agents: Any = None
) -> int:
    """Hold all rows (of ``agents``) against the account; returns how many there are."""
    found = shipped(fragments)
    expected: dict[Key, Row] = {}
    for place, crowd in enumerate(crowds):
        for number, said in enumerate(crowd.episodes[crowd.num_looked_at :]):
            for row in account(said, crowd, groups):
                if row.closed and (agents is None or row.agent in agents):
                    expected[place, number, row.agent, row.life, row.decision] = row
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        _, columns, after, valid = found[key]
        assert columns["rewards"] == pytest.approx(row.rewards)
        assert (columns["terminateds"], columns["truncateds"]) == (row.terminated, row.truncated)
        check_moment(f"{key}", row.now, columns, wanted)
        if "joint_actions" in wanted:
            np.testing.assert_array_equal(columns["joint_actions"], np.array(row.joint_actions, np.float32), err_msg=f"{key}")
        if not row.terminated:
            assert valid == (row.after is not None)
            if row.after is not None:
                check_moment(f"{key}, at its successor", row.after, after, wanted)
        for name in ("speed", "luck"):
            np.testing.assert_array_equal(columns[f"infos/{name}"], row.infos.get(name, np.nan), err_msg=f"{key}: infos/{name}")
        if row.member_rewards is not None and "member_rewards" in wanted:
            for name in ("member_rewards", "member_terminateds", "member_truncateds"):
                np.testing.assert_array_equal(columns[name], getattr(row, name), err_msg=f"{key}: {name}")
            assert columns["rewards"] == pytest.approx(columns["member_rewards"].sum())
    return len(expected)


def crowds_of(script: int, count: int, groups: dict[Any, Any] | None = None, **keys: Any) -> list[Crowd]:
    games: list[Any] = [RandomGame(script + 7919 * place, **keys) for place in range(count)]
    return [Crowd(game if groups is None else with_agent_groups(game, groups), place) for place, game in enumerate(games)]


games = {"script": st.integers(0, 10**6), "with_agents": st.booleans(), "lasting": st.floats(0.5, 1.0)}
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(**games, copies=st.integers(1, 3), cuts=lengths)
def test_columns_about_others_agree_with_the_account(script: int, with_agents: bool, lasting: float, copies: int, cuts: list[int]) -> None:
    crowds = crowds_of(script, copies, with_agents=with_agents, lasting=lasting)
    worker = worker_for(crowds, ALONE, info_keys=("speed", "luck"))
    check(crowds, [worker.sample(num_env_steps=cut)[0] for cut in cuts], ALONE)


GROUPINGS = [{"team": ["a", "b", "c"]}, {"team": ["c", "a"], "pair": ["e", "d"]}, {"all": ["d", "e", "a", "b", "c"]}, {"one": ["b"]}]


@settings(max_examples=80, deadline=None)
@given(**games, copies=st.integers(1, 2), cuts=lengths, grouping=st.sampled_from(GROUPINGS))
def test_columns_about_members_agree_with_the_account(
    script: int, with_agents: bool, lasting: float, copies: int, cuts: list[int], grouping: dict[str, list[str]]
) -> None:
    """Groups ask for their members' columns, and everybody for all others; a row's reward is the sum of its members'."""
    crowds = crowds_of(script, copies, grouping, with_agents=with_agents, lasting=lasting)
    of_groups = frozenset(OPTIONAL_COLUMNS)
    policy_of = kinds_of(crowds[0])
    worker = worker_for(crowds, of_groups, info_keys=("speed", "luck"), needy=tuple({policy_of[name] for name in grouping}))
    fragments = [worker.sample(num_env_steps=cut)[0] for cut in cuts]
    for fragment in fragments:
        for policy_id, rows in fragment.policies.items():
            assert ("member_rewards" in rows) == (policy_id in {policy_of[name] for name in grouping})
    kept = [fragment.select([policy_of[name] for name in grouping]) for fragment in fragments]
    check(crowds, kept, of_groups, grouping, agents=grouping)
    for fragment in fragments:
        for policy_id in fragment.policies.keys() - {policy_of[name] for name in grouping}:
            assert not of_groups.intersection(fragment.policies[policy_id])
