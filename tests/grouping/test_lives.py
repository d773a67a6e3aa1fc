"""Rules 1, 3 and 4, case by case."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.oracle import Episode

from marl.grouping.blanks import blank
from marl.lives import CallMeaning, Lives

from .random_game import AGENTS, RandomGame


def follow(possible: str, first: str, **said: Any) -> CallMeaning:
    lives = Lives(possible)
    lives.begin(dict.fromkeys(first, 0))
    return lives.follow(said.get("obs", {}), said.get("term", {}), said.get("trunc", {}), said.get("infos", {}), said.get("agents"))


def test_an_agent_is_due_if_it_is_observed_and_not_done() -> None:
    meaning = follow("ab", "ab", obs={"a": 1, "b": 2}, term={"b": True})
    assert meaning == CallMeaning(due=("a",), began=(), ended={"b": True}, finals={"b": 2}, over=False)


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ({"term": {"a": True, "__all__": True}, "trunc": {"b": True}}, {"a": True, "b": False}),
        ({"term": {"a": True}, "trunc": {"__all__": True}}, {"a": True, "b": False}),
        ({"term": {"__all__": True}, "trunc": {"__all__": True}}, {"a": True, "b": True}),
        ({"term": {"a": True, "b": False}, "trunc": {"a": True, "b": True}}, {"a": True, "b": False}),
        ({"agents": []}, {"a": False, "b": False}),
    ],
)
def test_own_flags_beat_all_and_terminated_beats_truncated(said: Any, ended: dict[str, bool]) -> None:
    meaning = follow("ab", "ab", **said)
    assert meaning.ended == ended
    assert meaning.over


def test_an_episode_without_all_ends_when_every_possible_agent_was_seen_and_is_done() -> None:
    assert follow("a", "a", term={"a": True}).over
    assert not follow("ab", "a", term={"a": True}).over
    assert not follow("ab", "a", term={"a": True, "b": True}).over  # b was never observed
    assert follow("ab", "a", obs={"b": 1}, term={"a": True, "b": True}).over
    assert not follow("ab", "a", obs={"b": 1}, term={"a": True}).over
    assert not follow("", "a", term={"a": True}).over  # an open set of agents says so with __all__
    assert follow("a", "ax", term={"a": True}).ended == {"a": True, "x": False}


def test_a_final_observation_beside_an_observation_begins_a_new_life() -> None:
    meaning = follow("a", "a", obs={"a": 2}, trunc={"a": True}, infos={"a": {"final_observation": 1}})
    assert meaning == CallMeaning(due=("a",), began=("a",), ended={"a": False}, finals={"a": 1}, over=False)


def test_a_final_observation_in_the_info_alone_is_taken() -> None:
    assert follow("ab", "ab", trunc={"a": True}, infos={"a": {"final_observation": 1}}).finals == {"a": 1}


def test_a_flag_repeated_for_a_done_agent_says_nothing_new() -> None:
    lives = Lives("ab")
    lives.begin({"a": 0, "b": 0})
    lives.follow({"b": 0}, {"a": True}, {}, {})
    meaning = lives.follow({"a": 0, "b": 0}, {"a": True}, {}, {})
    assert (meaning.due, meaning.ended) == (("b",), {})
    assert lives.follow({"a": 0}, {}, {}, {}).began == ("a",)


@settings(max_examples=300, deadline=None)
@given(script=st.integers(0, 10**6), lasting=st.floats(0.5, 1.0))
def test_lives_are_those_of_the_oracle(script: int, lasting: float) -> None:
    """The ledger's oracle, written apart from this, sees the same agents due, alive and ended, and the same end of the episode."""

    def bare(table: Any) -> Any:
        return {agent: {key: 0 for key in info if key == "final_observation"} for agent, info in table.items()}

    game, oracle, lives = RandomGame(script, lasting=lasting), Episode(AGENTS, lambda agent: 1.0), Lives(AGENTS)
    observations, infos = game.reset(seed=1)
    oracle.begin(dict.fromkeys(observations, 0), bare(infos))
    meaning = lives.begin(observations)
    while not meaning.over:
        before = set(oracle.alive)
        assert set(meaning.due) == set(oracle.due)
        assert set(lives.alive) == before
        oracle.answer(dict.fromkeys(meaning.due, 0))
        actions = {agent: blank(game.action_spaces[agent]) for agent in meaning.due}
        observations, rewards, terminateds, truncateds, infos = game.step(actions)
        oracle.hear(dict.fromkeys(observations, 0), rewards, terminateds, truncateds, bare(infos), 1, None)
        meaning = lives.follow(observations, terminateds, truncateds, infos)
        assert meaning.over == oracle.over
        rows = [row for row in oracle.rows if row.closed_at == oracle.num_calls and (row.terminated or row.truncated)]
        lived = {agent: terminated for agent, terminated in meaning.ended.items() if agent in before}
        assert lived == {row.agent: row.terminated for row in rows}
        assert before.intersection(meaning.finals) == {row.agent for row in rows if row.successor is not None}
