"""Several policies in one game: every decision is a row of exactly one of them, and no pay is lost or doubled on the way."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from grouping.random_game import RandomGame
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import marl
from marl.batch import MultiAgentBatch
from marl.env import BaseMultiAgentEnv
from marl.players import RandomPolicy
from marl.policy import PolicySpec
from marl.router import Match, Router
from marl.sampler import RolloutWorker

KIND = {"a": "masked", "e": "masked", "b": "box", "c": "multi", "d": "mixed"}
POLICIES = {f"{kind}_{number}": kind for kind in ("masked", "box", "multi", "mixed") for number in range(3)}


def drawn_seats(agent_id: str, episode: Any) -> str:
    return f"{KIND[agent_id]}_{int(episode.rng.integers(3))}"


def drawn_match(episode: Any) -> Match:
    """Some seats of the episode learn, others do not."""
    learn = [agent for agent in KIND if episode.rng.random() < 0.6]
    return Match({agent: drawn_seats(agent, episode) for agent in KIND}, learn=learn, tag=sorted(learn))


def worker_of(script: int, copies: int, *, record: Any = None, **route: Any) -> RolloutWorker:
    game = RandomGame(script)
    agent_of = {kind: agent for agent, kind in KIND.items()}
    specs = {
        policy_id: PolicySpec(policy_id, game.observation_spaces[agent_of[kind]], game.action_spaces[agent_of[kind]])
        for policy_id, kind in POLICIES.items()
    }
    return RolloutWorker(
        make_env=lambda index: RandomGame(script + index, num_calls=10),
        envs_per_worker=copies,
        router=Router(specs, **route),
        policies={policy_id: RandomPolicy(spec) for policy_id, spec in specs.items()},
        discounts={},
        record=record,
        seed=script % 1000,
    )


Place = tuple[int, Any, int, int]  # eps_id, agent, life, decision


def places(batch: MultiAgentBatch) -> list[tuple[str, Place, float]]:
    """Every row: its policy, whose it is, and what it earned."""
    found = []
    for policy_id, rows in batch.policies.items():
        for at in range(len(rows)):
            agent = rows.agents[int(rows["agent_index"][at])]
            place = (int(rows["eps_id"][at]), agent, int(rows["life"][at]), int(rows["decision"][at]))
            found.append((policy_id, place, float(rows["rewards"][at])))
    return found


@settings(max_examples=60, deadline=None)
@given(
    script=st.integers(0, 10**6), copies=st.integers(1, 3), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5), by_match=st.booleans()
)
def test_every_decision_is_a_row_of_its_seats_policy(script: int, copies: int, cuts: list[int], by_match: bool) -> None:
    route: dict[str, Any] = {"match_fn": drawn_match} if by_match else {"policy_mapping_fn": drawn_seats}
    worker = worker_of(script, copies, **route)
    decisions = 0
    seen: set[Place] = set()
    earned: Counter[tuple[int, Any]] = Counter()
    seats: dict[int, dict[Any, Any]] = {}
    for cut in cuts:
        batch, episodes = worker.sample(num_env_steps=cut)
        rows = places(batch)
        assert batch.num_rows == len(rows) == sum(len(one) for one in batch.policies.values())
        decisions += batch.num_agent_steps
        answered = sum(int(store.acted[: store.used].sum()) for store in worker.ledger.stores)
        if not by_match:
            # What was decided up to now is what was shipped up to now and what is still open.
            assert decisions == len(seen) + len(rows) + answered
        for policy_id, place, reward in rows:
            assert place not in seen
            seen.add(place)
            earned[place[0], place[1]] += reward  # type: ignore[assignment]
            assert batch.episodes[place[0]][place[1]][0] == policy_id
        seats |= batch.episodes
        for record in episodes:
            assert seats[record.eps_id] == record.seats
            for agent, paid in record.returns.items():
                if record.learn is not None and agent not in record.learn:
                    assert (record.eps_id, agent) not in earned
                    continue
                assert earned[record.eps_id, agent] + record.uncredited_reward.get(agent, 0.0) == pytest.approx(paid)
    by_life: dict[tuple[int, Any, int], list[int]] = {}
    for eps_id, agent, life, decision in seen:
        by_life.setdefault((eps_id, agent, life), []).append(decision)
    assert all(sorted(found) == list(range(len(found))) for found in by_life.values())  # no row in the middle of a life is missing


def test_rows_of_policies_that_nobody_records_stay_away_and_change_nothing() -> None:
    for script in range(15):
        both = [worker_of(script, 2, policy_mapping_fn=drawn_seats, record=record) for record in (None, ["masked_0", "box_1", "mixed_2"])]
        for cut in (5, 7, 3):
            (all_rows, all_episodes), (some_rows, some_episodes) = (worker.sample(num_env_steps=cut) for worker in both)
            assert all_episodes == some_episodes
            assert all_rows.num_agent_steps == some_rows.num_agent_steps
            kept = [row for row in places(all_rows) if row[0] in ("masked_0", "box_1", "mixed_2")]
            assert sorted(map(repr, kept)) == sorted(map(repr, places(some_rows)))


def test_fragments_and_workers_join_to_one_batch_whenever_masks_came() -> None:
    """The first mask in infos gives a policy's rows a mask column; rows before it were free."""

    class Late(BaseMultiAgentEnv):
        possible_agents = ["a"]
        observation_spaces = {"a": spaces.Box(0, 9, (1,), np.float32)}
        action_spaces = {"a": spaces.Discrete(3)}

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            self.t = 0
            return {"a": np.zeros(1, np.float32)}, {}

        def step(self, actions: Any, /) -> Any:
            self.t += 1
            info = {"a": {"action_mask": [0, 1, 0]}} if self.t == 5 else {}
            return {"a": np.full(1, self.t, np.float32)}, {"a": 1.0}, {}, {"__all__": self.t == 9}, info

    sampler = marl.Sampler(Late, policies={"p": {"player": "random"}})
    parts = [sampler.sample(num_env_steps=3)[0] for _ in range(3)]
    assert ["action_mask" in part.policies["p"] for part in parts] == [False, True, True]
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        rows = MultiAgentBatch.concat([parts[place] for place in order]).policies["p"]
        masks = {int(t): mask.tolist() for t, mask in zip(rows["t"], rows["action_mask"], strict=True)}
        assert masks == {t: [False, True, False] if t == 5 else [True] * 3 for t in range(9)}
        assert rows.pieces["bootstrap_action_mask"].shape == (3, 3)
        assert rows["actions"][rows["t"] == 5].tolist() == [1]
