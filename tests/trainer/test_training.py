"""What reaches which learner, when it learns, and what workers play with afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import marl
from marl.errors import ConfigError
from marl.router import Match

from .algorithms import AsksForGlobalState, BoxOnly, Counting, FixedSeats, Joint, NeedsGlobalState, Other
from .games import Duel, Stated, WithGlobalState

TWO = {"a": {"algorithm": Counting}, "b": {"algorithm": Other}}
SEATS = {"red": "a", "blue": "b"}


def trainer(**keys: Any) -> marl.Trainer:
    given: dict[str, Any] = {
        "env": Duel,
        "policies": TWO,
        "mapping": SEATS,
        "envs_per_worker": 2,
        "rollout_fragment_env_steps": 10,
        "seed": 3,
    }
    given.update(keys)
    return marl.Trainer(given)


def learned(made: marl.Trainer, name: str) -> list[Any]:
    return made.state.learners[name].algorithm.learned  # type: ignore[attr-defined,no-any-return]


def test_an_iteration_is_one_fragment_and_every_learner_learns_from_its_own_rows() -> None:
    made = trainer()
    result = made.train()
    (mine,), (theirs,) = learned(made, "a"), learned(made, "b")
    assert list(mine.policies) == ["a"]
    assert list(theirs.policies) == ["b"]
    assert mine.policies["a"].num_rows == theirs.policies["b"].num_rows == 20
    metrics = result["metrics"]
    assert metrics["num_env_steps_sampled_total"] == 20
    assert metrics["num_agent_steps_sampled_total"] == 40
    assert metrics["num_episodes_total"] == len(result["episodes"]) == 4
    assert metrics["learners/a/num_rows"] == 20
    assert metrics["learners/a/rows"] == 20
    assert metrics["learners/b/weights_version"] == 1


def test_two_algorithms_in_one_game() -> None:
    made = trainer()
    assert type(made.state.learners["a"].algorithm) is Counting
    assert type(made.state.learners["b"].algorithm) is Other


def test_an_iteration_gathers_until_enough_was_sampled() -> None:
    made = trainer(sample_env_steps_per_iteration=50)
    made.train()
    (batch,) = learned(made, "a")
    assert batch.policies["a"].num_rows == 60, "three fragments of 20 are the first that reach 50"
    assert batch.num_env_steps == 60


def test_train_batch_rows_is_learned_from_as_soon_as_it_is_there_surplus_too() -> None:
    made = trainer(policies={"a": {"algorithm": Counting, "train_batch_rows": 30}, "b": {"algorithm": Other}})
    made.train()
    assert learned(made, "a") == [], "20 rows wait"
    assert made.state.learners["a"].num_waiting_rows == 20
    result = made.train()
    assert [batch.num_rows for batch in learned(made, "a")] == [40]
    assert len(learned(made, "b")) == 2
    assert made.state.learners["a"].num_waiting_rows == 0
    assert result["metrics"]["learners/a/num_rows_total"] == 40


def test_rows_that_waited_keep_the_version_that_they_were_played_with() -> None:
    made = trainer(policies={"a": {"algorithm": Counting, "train_batch_rows": 50}, "b": {"algorithm": Other}})
    for _ in range(6):
        made.train()
    versions = [set(batch.policies["a"]["weights_version"].tolist()) for batch in learned(made, "a")]
    assert versions == [{0}, {1}]
    assert [set(batch.policies["b"]["weights_version"].tolist()) for batch in learned(made, "b")] == [{n} for n in range(6)]


def test_workers_play_with_the_new_weights_and_counters() -> None:
    made = trainer(workers=2)
    before = made.get_policy("a").weight.copy()
    made.train()
    now = made.get_policy("a").weight
    assert (now != before).all()
    for worker in made.state.workers:
        policy: Any = worker.policies["a"]
        np.testing.assert_array_equal(policy.weight, now)
        assert policy.version == 1
        assert (policy.counters.num_env_steps, policy.counters.num_agent_steps) == (40, 80)


def test_workers_have_rows_of_their_own() -> None:
    made = trainer(workers=2)
    result = made.train()
    assert result["metrics"]["num_env_steps_sampled_total"] == 40
    assert [worker.worker_index for worker in made.state.workers] == [1, 2]
    (batch,) = learned(made, "a")
    assert batch.policies["a"].num_rows == 40
    episodes = [episode["eps_id"] for episode in result["episodes"]]
    assert len(episodes) == len(set(episodes)) == 8


def test_complete_episodes_is_asked_for_by_a_learner() -> None:
    made = trainer(policies={"a": {"algorithm": Counting, "complete_episodes": True}, "b": {"algorithm": Other}}, env_config={"length": 7})
    made.train()
    (batch,) = learned(made, "a")
    assert batch.policies["a"].num_rows == 28, "each copy goes on to 14, the first end after 10"
    assert batch.policies["a"]["terminateds"][batch.policies["a"].last_rows].all()


def test_a_learner_without_rows_is_a_normal_case() -> None:
    made = trainer(mapping={"*": "a"})
    metrics = made.train()["metrics"]
    assert learned(made, "b") == []
    assert metrics["learners/b/num_rows"] == 0
    assert metrics["learners/b/weights_version"] == 0
    assert metrics["learners/a/num_rows"] == 40


def test_policies_to_train_as_a_list() -> None:
    made = trainer(policies_to_train=["a"])
    made.train()
    assert list(made.state.learners) == ["a"]
    assert made.get_policy("b").version == 0
    before = made.get_policy("b").weight.copy()
    made.train()
    np.testing.assert_array_equal(made.get_policy("b").weight, before)
    np.testing.assert_array_equal(made.state.workers[0].policies["b"].weight, before)  # type: ignore[union-attr]


def test_policies_to_train_as_a_function() -> None:
    asked = []

    def may(policy_id: str, batch: marl.MultiAgentBatch) -> bool:
        asked.append((policy_id, batch.num_env_steps))
        return policy_id == "b"

    made = trainer(policies_to_train=may)
    made.train()
    assert learned(made, "a") == []
    assert len(learned(made, "b")) == 1
    assert ("a", 20) in asked


def test_one_learner_of_two_policies() -> None:
    made = trainer(
        learners={"both": {"algorithm": Counting, "step": 2.0}},
        policies={"a": {"learner": "both", "flavour": "x"}, "b": {"learner": "both"}},
    )
    made.train()
    (batch,) = learned(made, "both")
    assert set(batch.policies) == {"a", "b"}
    assert made.state.learners["both"].algorithm.specs["a"].config.flavour == "x"


def test_rows_of_seats_that_do_not_learn_reach_nobody() -> None:
    made = trainer(
        policies={"a": {"algorithm": Counting}, "coin": {"player": "random"}},
        mapping=None,
        matches=[
            {"seats": {"red": "a", "blue": "a"}, "learn": ["red"], "tag": "self"},
            {"seats": {"red": "coin", "blue": "a"}, "tag": "coin", "weight": 2},
        ],
    )
    for _ in range(10):
        result = made.train()
    for episode in result["episodes"]:
        assert episode["tag"] in ("self", "coin")
    tags = {}
    for worker_batch in learned(made, "a"):
        rows = worker_batch.policies["a"]
        for eps_id, agent in zip(rows["eps_id"].tolist(), rows["agent_index"].tolist(), strict=True):
            tags.setdefault(eps_id, set()).add(rows.agents[agent])
    assert {"red"} in tags.values()
    assert {"blue"} in tags.values()
    assert all(len(agents) == 1 for agents in tags.values()), "no episode has two seats that learn"


def test_match_function_reads_the_match_state_and_gives_options() -> None:
    def match(episode: Any) -> Match:
        rival = (episode.match_state or {}).get("rival", "b")
        return Match({"red": "a", "blue": rival}, options={"round": episode.match_state}, tag=rival)

    made = trainer(mapping=None, match_fn=match)
    assert {episode["tag"] for episode in made.train()["episodes"]} == {"b"}
    made.set_match_state({"rival": "a"})
    made.train()
    assert {episode["tag"] for episode in made.train()["episodes"]} == {"a"}
    assert all(one == {"round": {"rival": "a"}} for one in made.foreach_env(lambda env: env.options)[0])
    with pytest.raises(ConfigError, match="match_state: is not JSON"):
        made.set_match_state(object())


def test_every_policy_has_its_own_discount() -> None:
    policies = {
        "a": {"algorithm": Counting, "discount": {"gamma": 0.0}},
        "b": {"algorithm": Other, "discount": {"gamma": 0.9, "per": "tick"}},
    }
    made = trainer(policies=policies)
    made.train()
    assert made.state.learners["a"].algorithm.specs["a"].discount == marl.Discount(0.0)
    assert made.state.learners["b"].algorithm.specs["b"].discount == marl.Discount(0.9, "tick")
    assert "rewards_discounted" in learned(made, "b")[0].policies["b"]
    assert "rewards_discounted" not in learned(made, "a")[0].policies["a"]


def test_two_gammas_in_one_run_give_two_targets() -> None:
    seen: list[marl.MultiAgentBatch] = []

    class Keep:
        def on_rows(self, batch: marl.MultiAgentBatch) -> None:
            seen.append(batch)

    ppo = {"algorithm": "ppo", "gae_lambda": 1.0, "model": {"hidden": [8]}}
    policies = {"a": {**ppo, "discount": {"gamma": 0.99}}, "b": {**ppo, "discount": {"gamma": 0.0}}}
    trainer(policies=policies, callbacks=[Keep], rollout_fragment_env_steps=5, envs_per_worker=1).train()
    (batch,) = seen
    far, near = batch.policies["a"], batch.policies["b"]
    np.testing.assert_allclose(near["value_targets"], near["rewards"], atol=1e-5)
    expected = [sum(0.99**later * reward for later, reward in enumerate(far["rewards"][row:])) for row in range(5)]
    np.testing.assert_allclose(far["value_targets"], expected, atol=1e-4)


def test_a_learner_that_needs_others_is_told_where_they_stand() -> None:
    made = trainer(policies={"a": {"algorithm": Joint}, "b": {"algorithm": Other}}, mapping={"red": "a", "blue": {"a": 1, "b": 1}})
    made.train()
    (batch, *_) = learned(made, "a")
    joint = made.state.learners["a"].algorithm.specs["a"].joint
    assert joint.policies == {"red": "a", "blue": None}
    rows = batch.policies["a"]
    red = rows["agent_index"] == rows.agents.index("red")
    np.testing.assert_array_equal(rows["joint_obs"][red][:, joint.slots["red"].obs], rows["obs"][red])
    np.testing.assert_array_equal(rows["joint_actions"][red][:, joint.slots["red"].actions][:, 0], rows["actions"][red])
    assert "joint_obs" not in learned(made, "b")[0].policies["b"]


def test_an_environments_own_discounts_are_taken() -> None:
    made = trainer(env=Stated)
    assert made.plan.specs["a"].discount == marl.Discount(0.5, "tick")
    assert made.plan.specs["b"].discount == marl.Discount(0.25, "tick")
    with pytest.raises(ConfigError, match=r"policies.a.discount: .* against the environment's own"):
        trainer(env=Stated, policies={**TWO, "a": {"algorithm": Counting, "discount": {"gamma": 0.9}}})
    with pytest.raises(ConfigError, match="its agents have different discounts"):
        trainer(env=Stated, policies={"a": {"algorithm": Counting}}, mapping=None)


def test_results_name_the_weights_that_played() -> None:
    made = trainer()
    first = made.get_policy("a").weights_hash
    (episode, *_) = made.train()["episodes"]
    assert episode["seats"]["red"] == ("a", 0, first)
    assert episode["returns"]["red"] == -episode["returns"]["blue"]
    assert episode["num_env_steps"] == 5
    assert episode["end"] == "terminated"
    assert made.get_policy("a").weights_hash != first


def test_the_same_seed_gives_the_same_run() -> None:
    def run(seed: int) -> Any:
        made = trainer(seed=seed, workers=2)
        results = [made.train() for _ in range(3)]
        kept = [{key: value for key, value in result["metrics"].items() if not _is_timing(key)} for result in results]
        return kept, [result["episodes"] for result in results], made.get_policy("a").weight.tolist()

    assert run(1) == run(1)
    assert run(1) != run(2)


def _is_timing(name: str) -> bool:
    return name.startswith("time_s/") or name.endswith("_per_s")


# ------------------------------------------------------------------ what does not fit is said before the first step


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"mapping": {"red": "a"}}, "mapping: no entry names agent 'blue'"),
        ({"mapping": None, "matches": [{"seats": {"red": "a"}}]}, "matches: no entry names agent 'blue'"),
        ({"evaluation": {"mapping": {"red": "a"}}}, "evaluation.mapping: no entry names agent 'blue'"),
        ({"mapping": None, "policy_mapping_fn": lambda agent: "z"}, "agent 'red' is mapped to policy 'z'"),
        ({"env_config": {"second_actions": 4}, "mapping": {"*": "a"}}, "policies.a: agent 'blue' has the action space Discrete(4)"),
        ({"policies": {"a": {"algorithm": BoxOnly}, "b": {"algorithm": Other}}}, "policies.a.algorithm: cannot play discrete actions"),
        ({"policies": {"a": {"algorithm": NeedsGlobalState}, "b": {"algorithm": Other}}}, "policies.a.algorithm: needs a global state"),
        (
            {"policies": {"a": {"algorithm": FixedSeats}, "b": {"algorithm": Other}}, "mapping": {"*": {"a": 1, "b": 1}}},
            "policies.a.algorithm: needs every agent mapped to the same policy",
        ),
        (
            {"mapping": None, "policy_mapping_fn": lambda agent: "a", "env_config": {"second_actions": 4}},
            "policies.a: agent 'blue' has the action space Discrete(4)",
        ),
        (
            {"policies": {"a": {"algorithm": AsksForGlobalState}, "b": {"algorithm": Other}}},
            "policies.a: its algorithm asks for the column",
        ),
        ({"groups": {"team": ["red", "blue"]}, "mapping": {"*": "a"}}, "policies.a.algorithm: cannot play composite actions"),
    ],
)
def test_what_does_not_fit_the_game(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        trainer(**keys)
    assert any(expected in str(problem) for problem in caught.value.problems), caught.value


def test_every_misfit_is_in_one_error() -> None:
    with pytest.raises(ConfigError) as caught:
        trainer(policies={"a": {"algorithm": BoxOnly}, "b": {"algorithm": NeedsGlobalState}}, mapping={"red": "a"})
    assert len(caught.value.problems) == 3


def test_what_fits_is_let_through() -> None:
    trainer(env=WithGlobalState, policies={"a": {"algorithm": NeedsGlobalState}, "b": {"algorithm": FixedSeats}}).train()


def test_a_function_of_agents_with_different_spaces_is_asked_which_policy_has_which() -> None:
    made = trainer(mapping=None, policy_mapping_fn=lambda agent_id: {"red": "a", "blue": "b"}[agent_id], env_config={"second_actions": 4})
    assert made.plan.specs["a"].action_space.n == 3  # type: ignore[attr-defined]
    assert made.plan.specs["b"].action_space.n == 4  # type: ignore[attr-defined]


def test_the_probe_environment_becomes_the_first_copy() -> None:
    made_here: list[int] = []

    def create(context: marl.EnvContext) -> Duel:
        made_here.append(context.vector_index)
        return Duel()

    made = trainer(env=create, envs_per_worker=3)
    assert made_here == [0]
    made.train()
    assert made_here == [0, 1, 2]


def test_a_broken_configuration_makes_no_environment() -> None:
    def create(context: marl.EnvContext) -> Duel:
        raise AssertionError("an environment was made")

    with pytest.raises(ConfigError):
        trainer(env=create, mapping={"red": "z"})
