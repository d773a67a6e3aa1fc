"""The numbers that a run says, and that it says none by another name."""

from __future__ import annotations

from typing import Any

import pytest

import marl
from marl.batch import EpisodeRecord
from marl.metrics import MAX_AGENTS, EpisodeMetrics, is_metric

from .algorithms import Counting, Other
from .games import Duel


def record(returns: dict[Any, float], seats: dict[Any, str], length: int = 10, **more: Any) -> EpisodeRecord:
    return EpisodeRecord(
        eps_id=0,
        env_index=0,
        worker_index=0,
        seed=0,
        seats={agent: (policy_id, 0) for agent, policy_id in seats.items()},
        returns=returns,
        uncredited_reward=more.pop("uncredited_reward", {}),
        num_uncredited_rewards=more.pop("num_uncredited_rewards", {}),
        num_env_steps=length,
        num_agent_steps=2 * length,
        end="terminated",
        **more,
    )


def test_means_are_over_the_last_hundred_episodes_whenever_they_ended() -> None:
    metrics = EpisodeMetrics()
    metrics.add([record({"x": float(number)}, {"x": "p"}, length=number) for number in range(150)])
    found = metrics.take()
    assert found["episode_return_mean"] == sum(range(50, 150)) / 100
    assert (found["episode_return_min"], found["episode_return_max"]) == (50, 149)
    assert found["episode_return_count"] == 100
    assert found["episode_len_mean"] == found["episode_return_mean"]
    assert (found["num_episodes"], found["num_episodes_total"]) == (150, 150)
    metrics.add([record({"x": 1000.0}, {"x": "p"})])
    found = metrics.take()
    assert found["episode_return_mean"] == (sum(range(51, 150)) + 1000) / 100
    assert (found["num_episodes"], found["num_episodes_total"]) == (1, 151)
    assert metrics.take()["num_episodes"] == 0


def test_a_seat_that_never_had_to_act_counts_as_the_policy_that_would_have_played_it() -> None:
    metrics = EpisodeMetrics()
    metrics.add([record({"p1": -1.0, "p2": 1.0}, {"p1": "coin"}, absent={"p2": "main"})])  # p1 folded at once
    metrics.add([record({"p1": 2.0, "p2": -2.0}, {"p1": "coin", "p2": "main"})])
    found = metrics.take()
    assert (found["policies/main/vs/coin/p2/win_rate"], found["policies/main/vs/coin/p2/count"]) == (0.5, 2)
    assert (found["policies/main/return_mean"], found["policies/coin/return_mean"]) == (-0.5, 0.5)


def test_every_game_of_leduc_is_somebodys() -> None:
    sampler = marl.Sampler(
        env="pettingzoo/classic/leduc_holdem_v4",
        policies={"one": {"player": "random"}, "other": {"player": "random"}},
        mapping={"player_0": {"one": 0.5, "other": 0.5}, "player_1": {"one": 0.5, "other": 0.5}},
        envs_per_worker=4,
        seed=3,
    )
    _, episodes = sampler.sample(num_episodes=60)
    folded = [one for one in episodes if len(one.seats) == 1]
    assert folded  # the first to act folded: the other one wins without having acted
    assert all({*one.seats, *one.absent} == {"player_0", "player_1"} for one in episodes)
    assert {one.absent[agent] for one in folded for agent in one.absent} == {"one", "other"}


def test_nothing_is_said_before_the_first_episode() -> None:
    found = EpisodeMetrics().take()
    assert found["episode_return_count"] == 0
    assert "episode_return_mean" not in found


def test_returns_of_policies_agents_and_pairings() -> None:
    metrics = EpisodeMetrics()
    results = [(1.0, -1.0), (1.0, -1.0), (0.0, 0.0), (-1.0, 1.0)]
    metrics.add([record({"p1": one, "p2": other}, {"p1": "main", "p2": "coin"}) for one, other in results])
    metrics.add([record({"p1": 5.0, "p2": 3.0}, {"p1": "main", "p2": "main"})])
    found = metrics.take()
    assert found["policies/main/return_mean"] == (0.25 * 4 + 5 + 3) / 6
    assert found["policies/main/return_count"] == 6
    assert found["policies/coin/return_mean"] == -0.25
    assert found["agents/p1/return_mean"] == (1 + 5) / 5
    versus = "policies/main/vs/coin/p1"
    assert (found[f"{versus}/win_rate"], found[f"{versus}/draw_rate"], found[f"{versus}/count"]) == (0.5, 0.25, 4)
    assert found["policies/coin/vs/main/p2/win_rate"] == 0.25
    assert found["policies/main/vs/main/p1/win_rate"] == 1.0
    assert found["policies/main/vs/main/p2/return_mean"] == 3.0


def test_opponents_are_named_once_and_sorted() -> None:
    metrics = EpisodeMetrics()
    metrics.add([record({"a": 3.0, "b": 1.0, "c": 3.0, "d": 0.0}, {"a": "z", "b": "y", "c": "x", "d": "y"})])
    found = metrics.take()
    assert found["policies/z/vs/x+y/a/draw_rate"] == 1.0
    assert found["policies/y/vs/x+y+z/b/win_rate"] == 0.0


def test_crowds_have_no_pairings_and_only_so_many_names() -> None:
    metrics = EpisodeMetrics()
    crowd = {f"car_{number}": 1.0 for number in range(200)}
    metrics.add([record(crowd, dict.fromkeys(crowd, "cars"))])
    found = metrics.take()
    assert not any("/vs/" in name for name in found)
    assert sum(name.startswith("agents/") for name in found) == 2 * MAX_AGENTS
    assert found["policies/cars/return_count"] == 100


def test_what_belongs_to_no_row_is_counted() -> None:
    metrics = EpisodeMetrics()
    metrics.add(
        [
            record(
                {"x": 4.0},
                {"x": "p"},
                uncredited_reward={"x": 1.5, "y": 0.5},
                num_uncredited_rewards={"x": 2, "y": 1},
                num_truncated_without_observation=3,
            )
        ]
    )
    found = metrics.take()
    assert (found["uncredited_reward"], found["num_uncredited_rewards"], found["num_truncated_without_observation"]) == (2.0, 3, 3)


def test_the_state_goes_there_and_back() -> None:
    metrics = EpisodeMetrics()
    metrics.add([record({"p1": float(number), "p2": 0.0}, {"p1": "a", "p2": "b"}) for number in range(120)])
    metrics.take()
    again = EpisodeMetrics()
    again.load_state_dict(metrics.state_dict())
    for one in (metrics, again):
        one.add([record({"p1": 7.0, "p2": 8.0}, {"p1": "a", "p2": "b"})])
    assert metrics.take() == again.take()


def test_a_removed_policy_is_forgotten() -> None:
    metrics = EpisodeMetrics()
    metrics.add([record({"p1": 1.0, "p2": 0.0}, {"p1": "a", "p2": "b"})])
    assert any("b" in name.split("/") for name in metrics.take(["a", "b"]))
    assert not any("b" in name.split("/") for name in metrics.take(["a"]))


RUNS: dict[str, dict[str, Any]] = {
    "two algorithms": {
        "env": Duel,
        "policies": {"a": {"algorithm": Counting}, "b": {"algorithm": Other}},
        "mapping": {"red": "a", "blue": "b"},
        "evaluation": {"interval": 2, "episodes": 3},
    },
    "ppo, agents that come and go": {
        "env": "marl_envs/traffic-v1",
        "policies": {"cars": {"algorithm": "ppo"}, "lights": {"player": "random"}},
        "mapping": {"car_*": "cars", "*": "lights"},
        "workers": 2,
    },
}


@pytest.mark.parametrize("name", list(RUNS))
def test_every_metric_has_a_documented_name(name: str) -> None:
    trainer = marl.Trainer(RUNS[name], rollout_fragment_env_steps=20)
    for _ in range(4):
        metrics = trainer.train()["metrics"]
        assert [name for name in metrics if not is_metric(name)] == []
        assert all(isinstance(value, (int, float)) for value in metrics.values())
        phases = sum(metrics[f"time_s/{phase}"] for phase in ("env", "inference", "framework", "learn", "broadcast", "evaluate"))
        assert phases <= metrics["time_s/iteration"] + 1e-3
    assert trainer.metrics["time_s/total"] >= trainer.metrics["time_s/iteration"] > 0


def test_names_that_are_no_metrics() -> None:
    for name in ("episode_reward_mean", "policies/a", "learners/x", "evaluation/", "time_s/foo", "policies/a/vs/b/win_rate"):
        assert not is_metric(name), name


# ------------------------------------------------------------------ hooks


class Everything:
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_episode_start(self, episode: Any) -> None:
        episode.user["steps"] = 0
        self.calls.append(("start", episode.episode_id))

    def on_episode_step(self, episode: Any) -> None:
        episode.user["steps"] += 1

    def on_episode_end(self, episode: Any, record: EpisodeRecord) -> None:
        self.calls.append(("end", episode.episode_id, episode.user["steps"], record.num_env_steps))

    def on_rows(self, batch: marl.MultiAgentBatch) -> None:
        self.calls.append(("rows", batch.num_rows))

    def on_train_result(self, trainer: marl.Trainer, result: dict[str, Any]) -> None:
        result["metrics"]["mine"] = trainer.iteration


def test_every_hook_is_called() -> None:
    hook = Everything()
    trainer = marl.Trainer(RUNS["two algorithms"], callbacks=[hook], rollout_fragment_env_steps=10, evaluation={})
    result = trainer.train()
    first = result["episodes"][0]["eps_id"]
    assert ("start", first) in hook.calls
    assert ("end", first, 5, 5) in hook.calls
    assert ("rows", 20) in hook.calls
    assert result["metrics"]["mine"] == 1


def test_rows_may_be_replaced() -> None:
    class Only:
        def on_rows(self, batch: marl.MultiAgentBatch) -> marl.MultiAgentBatch:
            return batch.select(["b"])

    trainer = marl.Trainer(RUNS["two algorithms"], callbacks=[Only], rollout_fragment_env_steps=10)
    metrics = trainer.train()["metrics"]
    assert (metrics["learners/a/num_rows"], metrics["learners/b/num_rows"]) == (0, 10)
