"""Policies that come and go, handles on them, evaluation, and answering by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import marl
from marl.errors import ConfigError
from marl.router import Match

from .algorithms import Counting, Other
from .games import Duel

TWO = {"a": {"algorithm": Counting}, "b": {"algorithm": Other}}


def newest(episode: Any) -> Match:
    """Seat 2 goes to the policy that the match state names."""
    return Match({"red": "a", "blue": (episode.match_state or {}).get("rival", "b")}, learn=["red"])


def trainer(**keys: Any) -> marl.Trainer:
    given: dict[str, Any] = {"env": Duel, "policies": TWO, "match_fn": newest, "envs_per_worker": 2, "rollout_fragment_env_steps": 10}
    return marl.Trainer({**given, **keys})


# ------------------------------------------------------------------ added and removed


def test_a_snapshot_keeps_the_weights_that_it_was_taken_with() -> None:
    made = trainer()
    made.train()
    then = made.get_policy("a").get_weights()["weight"]
    name = made.add_policy("a_1", copy_of="a")
    assert name == made.get_policy("a").weights_hash
    made.set_match_state({"rival": "a_1"})
    for _ in range(3):
        result = made.train()
    assert (made.get_policy("a").weight != then).all()
    np.testing.assert_array_equal(made.get_policy("a_1").weight, then)
    np.testing.assert_array_equal(made.state.workers[0].policies["a_1"].weight, then)  # type: ignore[union-attr]
    assert "a_1" not in made.state.learners
    assert {episode["seats"]["blue"] for episode in result["episodes"]} == {("a_1", 1, name)}
    assert "policies/a/vs/a_1/red/win_rate" in result["metrics"]


def test_a_copy_may_learn_on_its_own() -> None:
    made = trainer(match_fn=None, mapping={"*": "a"})
    made.train()
    made.add_policy("twin", copy_of="a", train=True)
    assert made.state.learners["twin"].algorithm is not made.state.learners["a"].algorithm
    assert made.state.learners["twin"].algorithm.resets == ["twin"]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(made.get_policy("twin").weight, made.get_policy("a").weight)


def test_a_new_algorithm_joins_and_learns() -> None:
    made = trainer(match_fn=lambda episode: Match({"red": "a", "blue": "c" if "c" in episode.policies else "b"}))
    made.train()
    assert made.add_policy("c", algorithm=Other, train=True, keys={"step": 5.0}) is not None
    for _ in range(2):
        metrics = made.train()["metrics"]
    assert made.state.learners["c"].algorithm.config.step == 5.0  # type: ignore[attr-defined]
    assert metrics["learners/c/num_rows"] == 20
    assert made.get_policy("c").version == 2


def test_a_player_joins() -> None:
    made = trainer()
    assert made.add_policy("coin", player="random") is None
    made.set_match_state({"rival": "coin"})
    made.train()
    assert "policies/coin/return_mean" in made.train()["metrics"]
    with pytest.raises(ConfigError, match="is a player and has no weights"):
        made.get_policy("coin")


def test_spaces_come_from_a_policy_where_agents_differ() -> None:
    made = trainer(env_config={"second_actions": 4}, match_fn=None, mapping={"red": "a", "blue": {"b": 1}})
    with pytest.raises(ConfigError, match="its agents' spaces cannot be known yet"):
        made.add_policy("c", player="random")
    made.add_policy("c", player="random", like="b")
    assert made.plan.specs["c"].action_space.n == 4  # type: ignore[attr-defined]


def test_a_removed_policy_is_gone_after_its_last_open_episode() -> None:
    made = trainer(rollout_fragment_env_steps=7)
    made.add_policy("coin", player="random")
    made.set_match_state({"rival": "coin"})
    made.train()
    made.train()
    made.set_match_state({"rival": "b"})
    made.remove_policy("coin")
    assert "coin" not in made.config.policies
    result = made.train()
    assert {episode["seats"]["blue"][0] for episode in result["episodes"]} == {"coin", "b"}, "open episodes are played to their end"
    assert {episode["seats"]["blue"][0] for episode in made.train()["episodes"]} == {"b"}
    made.set_match_state({"rival": "coin"})
    with pytest.raises(ConfigError, match="'coin', which does not exist \\(or was removed\\)"):
        made.train()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda made: made.add_policy("a", copy_of="b"), "policies.a: is there already"),
        (lambda made: made.add_policy("c"), "add_policy: nothing is given"),
        (lambda made: made.add_policy("c", copy_of="a", player="random"), "add_policy: copy_of and player is given"),
        (lambda made: made.add_policy("c", copy_of="z"), "there is no policy 'z'"),
        (lambda made: made.add_policy("c", algorithm="pppo"), "no algorithm is called 'pppo'"),
        (lambda made: made.add_policy("c", algorithm=Counting, keys={"stepp": 1}), "Did you mean 'step'"),
        (lambda made: made.remove_policy("z"), "there is no policy 'z'"),
        (lambda made: made.get_policy("z"), "policy 'z' does not exist"),
    ],
)
def test_what_cannot_be_added_or_removed(call: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        call(trainer())


def test_a_policy_that_the_mapping_names_cannot_be_removed() -> None:
    made = trainer(match_fn=None, mapping={"red": "a", "blue": "b"})
    with pytest.raises(ConfigError, match=r"mapping.blue still names 'b'"):
        made.remove_policy("b")


# ------------------------------------------------------------------ handles


def test_weights_set_by_hand_reach_learner_and_workers() -> None:
    made = trainer(workers=2)
    made.get_policy("a").set_weights({"weight": np.ones(3)}, reset_optimizer=True)
    np.testing.assert_array_equal(made.state.learners["a"].algorithm.policies["a"].weight, np.ones(3))  # type: ignore[attr-defined]
    assert made.state.learners["a"].algorithm.resets == ["a"]  # type: ignore[attr-defined]
    for worker in made.state.workers:
        np.testing.assert_array_equal(worker.policies["a"].weight, np.ones(3))  # type: ignore[union-attr]


def test_a_handle_has_the_policys_own_methods() -> None:
    handle = trainer().get_policy("a")
    assert handle.action.sample(2, np.random.default_rng(0)).shape == (2,)
    with pytest.raises(AttributeError):
        handle.q_valuez


def test_foreach_worker_and_env() -> None:
    made = trainer(envs_per_worker=3)
    assert made.foreach_worker(lambda worker: worker.worker_index) == [0]
    assert made.foreach_env(lambda env: env.length) == [[5, 5, 5]]
    assert len(made.foreach_worker(lambda worker: sorted(worker.policies))[0]) == 2


# ------------------------------------------------------------------ evaluation

BOTH_SEATS = [{"seats": {"red": "a", "blue": "coin"}, "tag": 1}, {"seats": {"red": "coin", "blue": "a"}, "tag": 2}]


def judged(**keys: Any) -> marl.Trainer:
    policies = {"a": {"algorithm": Counting}, "coin": {"player": "random"}}
    return trainer(**{"policies": policies, "match_fn": None, "mapping": {"*": "a"}, **keys})


def test_evaluation_plays_its_own_matches_in_turn_and_greedily() -> None:
    made = judged(evaluation={"interval": 2, "episodes": 7, "matches": BOTH_SEATS})
    assert not any(name.startswith("evaluation/") for name in made.train()["metrics"])
    metrics = made.train()["metrics"]
    assert metrics["evaluation/num_episodes"] == 7
    assert metrics["evaluation/policies/a/vs/coin/red/count"] == 4
    assert metrics["evaluation/policies/a/vs/coin/blue/count"] == 3
    assert metrics["evaluation/policies/a/vs/coin/red/return_mean"] < 0, "greedy is action 0 here, which earns least"
    assert metrics["time_s/evaluate"] > 0
    found = made.evaluate()
    assert [episode["tag"] for episode in found["episodes"]].count(1) == 4


def test_evaluation_by_env_steps_and_with_other_settings() -> None:
    made = judged(evaluation={"num_env_steps": 40})
    found = made.evaluate()
    assert sum(episode["num_env_steps"] for episode in found["episodes"]) == 40
    again = made.evaluate(episodes=3, explore=True, mapping={"red": "coin", "blue": "a"})
    assert {episode["seats"]["red"][0] for episode in again["episodes"]} == {"coin"}
    assert len(again["episodes"]) == 3
    with pytest.raises(ConfigError, match=r"evaluation.mapping.red: there is no policy 'z'"):
        made.evaluate(mapping={"red": "z"})


def test_evaluation_repeats_with_a_seed_and_differs_without() -> None:
    fixed = judged(evaluation={"episodes": 20, "seed": 5, "matches": BOTH_SEATS})
    assert fixed.evaluate()["episodes"] == fixed.evaluate()["episodes"]
    free = judged(evaluation={"episodes": 20, "matches": BOTH_SEATS})
    first = [episode["returns"] for episode in free.evaluate()["episodes"]]
    free.train()
    assert first != [episode["returns"] for episode in free.evaluate()["episodes"]]


def test_evaluation_does_not_touch_training() -> None:
    plain, evaluated = judged(), judged(evaluation={"interval": 1, "episodes": 5})
    for _ in range(3):
        one, other = plain.train(), evaluated.train()
        assert one["episodes"] == other["episodes"]
    np.testing.assert_array_equal(plain.get_policy("a").weight, evaluated.get_policy("a").weight)


# ------------------------------------------------------------------ by hand


def test_compute_actions_follows_the_runs_seats() -> None:
    made = judged(mapping={"red": "a", "blue": "coin"})
    observations, _ = Duel().reset()
    actions = [made.compute_actions(observations) for _ in range(30)]
    assert {one["red"] for one in actions} == {0}, "greedy"
    assert {one["blue"] for one in actions} == {0, 1, 2}, "a random player stays random"
    explored = [made.compute_actions(observations, explore=True)["red"] for _ in range(30)]
    assert set(explored) == {0, 1, 2}
    swapped = [made.compute_actions(observations, policy_ids={"red": "coin", "blue": "a"}) for _ in range(30)]
    assert {one["blue"] for one in swapped} == {0}
    with pytest.raises(ConfigError, match="there is no policy 'z'"):
        made.compute_actions(observations, policy_ids={"red": "z"})


def test_compute_actions_obeys_masks() -> None:
    made = judged(mapping={"red": "a", "blue": "coin"})
    observations, _ = Duel().reset()
    mask = np.array([0, 0, 1], np.int8)
    actions = [made.compute_actions(observations, infos={"blue": {"action_mask": mask}})["blue"] for _ in range(20)]
    assert set(actions) == {2}


def test_scripted_players_keep_a_life_until_the_next_episode() -> None:
    class Counter:
        def __init__(self) -> None:
            self.calls = 0

        def act(self, obs: Any) -> int:
            self.calls += 1
            return min(self.calls - 1, 2)

    policies = {"a": {"algorithm": Counting}, "bot": {"player": Counter}}
    made = trainer(policies=policies, match_fn=None, mapping={"red": "a", "blue": "bot"})
    observations, _ = Duel().reset()
    assert [made.compute_actions(observations)["blue"] for _ in range(3)] == [0, 1, 2]
    assert made.compute_actions(observations, new_episode=True)["blue"] == 0
