"""Who plays whom: every way of saying it, and what is said when it cannot be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from marl.errors import ConfigError, RunError
from marl.router import Match, Router, WeightedMatch, check_mapping, parse_match


class FakeEpisode:
    """What the sampler's episodes offer."""

    def __init__(self, number: int = 0, match: Match | None = None) -> None:
        self.episode_id = number
        self.rng = np.random.default_rng(number)
        self.agents: list[Any] = []
        self.policies = ("main", "rival", "coin")
        self.match: Any = match
        self.match_state: Any = None
        self.user: dict[str, Any] = {}
        self.env_index = self.worker_index = 0
        self.seed: int | None = number


POLICIES = ("main", "rival", "coin")


def test_one_policy_needs_no_mapping() -> None:
    router = Router(["default"])
    assert router.policy_for("whoever", FakeEpisode()) == "default"
    assert router.static


def test_several_policies_need_one() -> None:
    with pytest.raises(ConfigError, match="2 policies and no mapping"):
        Router(["a", "b"])


def test_exact_names_come_before_patterns_and_patterns_in_order() -> None:
    router = Router(POLICIES, mapping={"player_*": "main", "player_2": "rival", "*": "coin"})
    asked = {agent: router.policy_for(agent, FakeEpisode()) for agent in ("player_1", "player_2", "player_10", "referee", 7)}
    assert asked == {"player_1": "main", "player_2": "rival", "player_10": "main", "referee": "coin", 7: "coin"}
    assert router.static


def test_ids_that_are_no_strings_are_found_by_their_text() -> None:
    router = Router(POLICIES, mapping={0: "main", "1": "rival", "(2, *": "coin"})
    assert [router.policy_for(agent, FakeEpisode()) for agent in (0, 1, (2, 3))] == ["main", "rival", "coin"]


def test_a_draw_follows_its_weights_and_the_episode_alone() -> None:
    router = Router(POLICIES, mapping={"player_1": "main", "player_2": {"rival": 3, "coin": 1, "main": 0}})
    assert not router.static
    drawn = Counter(router.policy_for("player_2", FakeEpisode(number)) for number in range(2000))
    assert set(drawn) == {"rival", "coin"}
    assert 0.71 < drawn["rival"] / 2000 < 0.79
    again = Counter(Router(POLICIES, mapping=router.mapping).policy_for("player_2", FakeEpisode(number)) for number in range(2000))
    assert again == drawn


@pytest.mark.parametrize(
    "function",
    [
        lambda agent_id, episode, worker: "rival" if (agent_id, episode.episode_id, worker) == ("a", 5, "w") else "main",
        lambda agent_id, episode, worker, **kwargs: "rival" if (agent_id, worker, kwargs) == ("a", "w", {}) else "main",
        lambda agent_id, episode, **kwargs: "rival" if (agent_id, kwargs) == ("a", {"worker": "w"}) else "main",
        lambda aid, ep: "rival" if (aid, ep.episode_id) == ("a", 5) else "main",
        lambda agent: "rival" if agent == "a" else "main",
        lambda episode: "rival" if episode.episode_id == 5 else "main",
        lambda worker, agent_id: "rival" if (agent_id, worker) == ("a", "w") else "main",
        lambda aid, pool=("rival",), *, episode: pool[0] if (aid, episode.episode_id) == ("a", 5) else "main",
        lambda *everything: "rival" if (everything[0], everything[1].episode_id, everything[2]) == ("a", 5, "w") else "main",
        lambda: "rival",
    ],
)
def test_a_function_gets_the_arguments_that_it_names(function: Any) -> None:
    router = Router(POLICIES, policy_mapping_fn=function)
    router.worker = "w"
    assert router.policy_for("a", FakeEpisode(5)) == "rival"
    assert not router.static


def test_the_four_ways_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"mapping \+ match_fn"):
        Router(POLICIES, mapping={"*": "main"}, match_fn=lambda episode: Match({"*": "main"}))


def test_an_agent_that_nothing_names() -> None:
    with pytest.raises(ConfigError, match=r"no entry names agent 'player_2'.*Did you mean 'player_1'"):
        Router(POLICIES, mapping={"player_1": "main"}).policy_for("player_2", FakeEpisode())


def test_a_policy_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"'a' is mapped to policy 'rvial'.*Did you mean 'rival'"):
        Router(POLICIES, policy_mapping_fn=lambda agent_id: "rvial").policy_for("a", FakeEpisode())


def test_a_removed_policy_gets_no_new_seat() -> None:
    router = Router(POLICIES, mapping={"*": "rival"})
    assert router.policy_for("a", FakeEpisode()) == "rival"
    del router.policies["rival"]
    with pytest.raises(ConfigError, match="or was removed"):
        router.policy_for("a", FakeEpisode())


# ------------------------------------------------------------------ matches


def test_a_match_seats_everyone_together() -> None:
    seats = [WeightedMatch(Match({"p1": "main", "p2": "rival"}, learn=("p1",))), WeightedMatch(Match({"p1": "coin", "p2": "main"}))]
    router = Router(POLICIES, matches=seats)
    for number in range(50):
        episode = FakeEpisode(number)
        episode.match = router.begin(episode)
        pair = (router.policy_for("p1", episode), router.policy_for("p2", episode))
        assert pair in (("main", "rival"), ("coin", "main"))
        if pair == ("main", "rival"):
            assert [router.learns(agent, episode) for agent in ("p1", "p2")] == [True, False]
        else:
            assert [router.learns(agent, episode) for agent in ("p1", "p2")] == [True, True]


def test_matches_are_drawn_by_weight_in_training_and_in_turn_under_evaluation() -> None:
    matches = [WeightedMatch(Match({"*": "main"}, tag=0), 1.0), WeightedMatch(Match({"*": "main"}, tag=1), 4.0)]
    drawn = Counter(Router(POLICIES, matches=matches).begin(FakeEpisode(number)).tag for number in range(1000))  # type: ignore[union-attr]
    assert 0.75 < drawn[1] / 1000 < 0.85
    in_turn = Router(POLICIES, matches=matches, in_turn=True)
    assert [in_turn.begin(FakeEpisode()).tag for _ in range(5)] == [0, 1, 0, 1, 0]  # type: ignore[union-attr]


def test_learning_seats_may_be_patterns_or_agents() -> None:
    router = Router(POLICIES, match_fn=lambda episode: Match({"red_*": "main", "*": "rival"}, learn=["red_*"]))
    episode = FakeEpisode()
    episode.match = router.begin(episode)
    assert [router.learns(agent, episode) for agent in ("red_1", "blue_1")] == [True, False]
    episode.match = Match({"red_*": "main", "*": "rival"}, learn=["blue_1"])
    assert [router.learns(agent, episode) for agent in ("red_1", "blue_1", "blue_2")] == [False, True, False]


def test_a_match_function_reads_the_episode() -> None:
    def against(episode: Any) -> Match:
        return Match({"p1": "main", "p2": episode.match_state["rival"]}, tag={"round": episode.episode_id})

    router = Router(POLICIES, match_fn=against)
    episode = FakeEpisode(3)
    episode.match_state = {"rival": "coin"}
    episode.match = router.begin(episode)
    assert router.policy_for("p2", episode) == "coin"
    assert episode.match.tag == {"round": 3}


def test_a_match_function_must_return_a_match() -> None:
    with pytest.raises(ConfigError, match=r"match_fn: returned \{'p1': 'main'\}"):
        Router(POLICIES, match_fn=lambda episode: {"p1": "main"}).begin(FakeEpisode())  # type: ignore[arg-type,return-value]


def test_a_pinned_hash_must_be_the_one_that_plays() -> None:
    router = Router(POLICIES, match_fn=lambda episode: Match({"*": "main"}, weights={"main": "abc"}))
    with pytest.raises(RunError, match="pins policy 'main' to the weights abc, but it plays with None"):
        router.begin(FakeEpisode())
    router.hashes["main"] = "abc"
    assert router.begin(FakeEpisode()) is not None


def test_the_turn_is_saved() -> None:
    matches = [WeightedMatch(Match({"*": "main"}, tag=tag)) for tag in range(3)]
    router = Router(POLICIES, matches=matches, in_turn=True)
    router.begin(FakeEpisode())
    again = Router(POLICIES, matches=matches, in_turn=True)
    again.load_state_dict(router.state_dict())
    assert again.begin(FakeEpisode()).tag == 1  # type: ignore[union-attr]


# ------------------------------------------------------------------ what can be known before the first step


def test_possible_policies() -> None:
    router = Router(POLICIES, mapping={"p1": "main", "p2": {"rival": 1, "coin": 1}})
    assert router.possible_policies("p2") == ("rival", "coin")
    assert router.possible_policies("p3") == ()
    assert router.agents_of("rival", ["p1", "p2"]) == ("p2",)
    assert Router(POLICIES, policy_mapping_fn=lambda agent: "main").possible_policies("p1") is None
    both = [WeightedMatch(Match({"p1": "main", "p2": "coin"})), WeightedMatch(Match({"p1": "rival", "p2": "main"}))]
    assert Router(POLICIES, matches=both).possible_policies("p1") == ("main", "rival")
    assert Router(POLICIES, matches=both).named_policies()["coin"] == {"matches[0].seats.p2"}


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"a": "mian"}, "there is no policy 'mian'"),
        ({"a": {"main": -1}}, "found the draw"),
        ({"a": {"main": 0}}, "found the draw"),
        ({"a": {}}, "found the draw"),
        ({"a": 3}, "found 3"),
        ({}, "found {}"),
        (["main"], "found ['main']"),
    ],
)
def test_a_wrong_mapping_is_named(mapping: Any, expected: str) -> None:
    problems = check_mapping(mapping, POLICIES)
    assert any(expected in str(problem) for problem in problems), problems


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"seat": {"a": "main"}}, "Did you mean 'seats'"),
        ({"seats": {"a": ["main"]}}, "expected {AGENT or pattern: POLICY}"),
        ({"seats": {"a": "main"}, "learn": ["b"]}, "'b' is not a seat"),
        ({"seats": {"a": "main"}, "learn": "a"}, "expected a list of seats"),
        ({"seats": {"a": "main"}, "weight": -1}, "expected a number ≥ 0"),
        ({"seats": {"a": "main"}, "tag": object()}, "is not JSON"),
    ],
)
def test_a_wrong_match_is_named(data: Any, expected: str) -> None:
    match, problems = parse_match(data, "matches[0]")
    assert match is None
    assert any(expected in str(problem) for problem in problems), problems
