"""What other frameworks get wrong in the data path, each shown right here. Every test names who errs, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import marl
from marl.batch import SampleBatch
from marl.errors import MarlError

Returned = tuple[dict[str, float], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]


class Told:
    """An environment that says what it was told to: per call (observations, rewards, terminateds, truncateds, infos).

    An observation is one number. After its last line an episode must be over: a further step is an error.
    """

    def __init__(self, possible: tuple[str, ...], lines: list[Returned], agents: list[list[str]] | None = None) -> None:
        self.possible_agents = list(possible)
        self.observation_spaces = dict.fromkeys(possible, spaces.Box(-1000, 1000, (1,), np.float32))
        self.action_spaces = dict.fromkeys(possible, spaces.Discrete(3))
        self.lines, self.live = lines, agents
        self.num_resets = 0
        self.acted: list[list[str]] = []
        self.line = 0
        if agents is not None:
            self.agents: list[str] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.num_resets += 1
        self.line = 0
        return self._tell()[0], {}

    def step(self, actions: dict[str, Any], /) -> tuple[dict[str, Any], ...]:
        self.acted.append(sorted(actions))
        self.line += 1
        return self._tell()

    def _tell(self) -> tuple[dict[str, Any], ...]:
        observations, *rest = self.lines[self.line]
        if self.live is not None:
            self.agents = self.live[self.line]
        return {agent: np.array([number], np.float32) for agent, number in observations.items()}, *rest

    def close(self) -> None:
        pass


def first(observations: dict[str, float]) -> Returned:
    return observations, {}, {}, {}, {}


def zero(obs: Any, info: Any, rng: Any) -> int:
    return 0


def play(env: Any, ticks: int, **more: Any) -> tuple[SampleBatch, list[Any]]:
    """The rows and finished episodes of one copy, sampled for a number of ticks; one scripted policy plays all agents."""
    sampler = marl.Sampler(env=lambda: env, policies={"main": {"player": zero, **more}}, mapping={"*": "main"}, envs_per_worker=1, seed=3)
    batch, episodes = sampler.sample(num_env_steps=ticks)
    return batch.policies["main"], episodes


def rows_of(batch: SampleBatch, agent: str) -> np.ndarray:
    return np.flatnonzero(np.array([batch.agents[index] for index in batch["agent_index"]]) == agent)


def piece_of(batch: SampleBatch, row: int) -> int:
    return int(np.searchsorted(batch.offsets, row, side="right")) - 1


# --- RLlib ------------------------------------------------------------------------------------------------------------


def test_an_agents_own_truncation_is_no_termination() -> None:
    """RLlib records it as a termination, so that nothing is bootstrapped."""
    env = Told(
        ("a", "b"),
        [
            first({"a": 1, "b": 2}),
            ({"a": 3, "b": 4}, {"a": 1.0, "b": 1.0}, {"a": False, "b": False}, {"a": True, "b": True}, {}),
        ],
    )
    batch, _ = play(env, 1)
    assert batch["truncateds"].tolist() == [True, True]
    assert batch["terminateds"].tolist() == [False, False]
    assert sorted(batch.pieces["bootstrap_obs"][:, 0].tolist()) == [3, 4]
    assert batch.pieces["bootstrap_valid"].all()


def test_a_pettingzoo_parallel_environments_truncation_is_bootstrapped() -> None:
    """RLlib loses it (every parallel environment sets the agents' own flags), and SuperSuit hides it from Stable-Baselines3."""
    pettingzoo = pytest.importorskip("pettingzoo")

    class Countdown(pettingzoo.ParallelEnv):  # type: ignore[misc,name-defined]
        metadata = {"name": "countdown_v0"}
        possible_agents = ["a", "b"]

        def observation_space(self, agent: str) -> spaces.Space[Any]:
            return spaces.Box(-1000, 1000, (1,), np.float32)

        def action_space(self, agent: str) -> spaces.Space[Any]:
            return spaces.Discrete(3)

        def _observations(self) -> dict[str, Any]:
            return {agent: np.array([10 * self.time + index], np.float32) for index, agent in enumerate(self.agents)}

        def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
            self.agents, self.time = ["a", "b"], 0
            return self._observations(), {"a": {}, "b": {}}

        def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            self.time += 1
            over = self.time == 3
            returned = (
                self._observations(),
                dict.fromkeys(self.agents, 1.0),
                dict.fromkeys(self.agents, False),
                dict.fromkeys(self.agents, over),
                {agent: {} for agent in self.agents},
            )
            if over:
                self.agents = []
            return returned

    batch, episodes = play(Countdown(), 6)
    assert len(episodes) == 2
    ends = np.flatnonzero(batch["truncateds"])
    assert len(ends) == 4
    assert not batch["terminateds"].any()
    bootstraps = [batch.pieces["bootstrap_obs"][piece_of(batch, row), 0] for row in ends]
    assert sorted(bootstraps) == [30, 30, 31, 31]  # the true final observations, not those after the reset (0 and 1)
    assert batch.pieces["bootstrap_valid"].all()


def test_rewards_before_or_with_a_first_observation_are_counted() -> None:
    """RLlib drops them."""
    env = Told(
        ("a", "late"),
        [
            first({"a": 0}),
            ({"a": 1}, {"a": 1.0, "late": 5.0}, {}, {}, {}),
            ({"a": 2, "late": 2}, {"a": 1.0, "late": 7.0}, {}, {}, {}),
            ({"a": 3, "late": 3}, {"a": 1.0, "late": 2.0}, {"__all__": True}, {}, {}),
        ],
    )
    batch, (episode,) = play(env, 3)
    assert episode.returns == {"a": 3.0, "late": 14.0}
    assert episode.uncredited_reward["late"] == 12.0
    assert episode.num_uncredited_rewards["late"] == 2
    assert batch["rewards"][rows_of(batch, "late")].tolist() == [2.0]


def test_an_episode_waits_for_agents_that_are_still_to_come() -> None:
    """RLlib ends it when all agents seen so far are done, and does not reset the environment."""
    env = Told(
        ("early", "late"),
        [
            first({"early": 0}),
            ({}, {"early": 1.0}, {"early": True}, {}, {}),
            ({}, {}, {}, {}, {}),
            ({"late": 3}, {}, {}, {}, {}),
            ({}, {"late": 2.0}, {"late": True}, {}, {}),
        ],
    )
    batch, episodes = play(env, 8)
    assert [episode.num_env_steps for episode in episodes] == [4, 4]
    assert [episode.returns for episode in episodes] == [{"early": 1.0, "late": 2.0}] * 2
    assert env.acted == [["early"], [], [], ["late"]] * 2
    assert len(rows_of(batch, "late")) == 2
    assert env.num_resets in (2, 3)  # the third episode may have been begun already


def test_an_agent_may_die_and_return() -> None:
    """RLlib raises."""
    env = Told(
        ("a", "b"),
        [
            first({"a": 0, "b": 0}),
            ({"a": 1, "b": 1}, {"b": -1.0}, {"b": True}, {}, {}),
            ({"a": 2}, {}, {}, {}, {}),
            ({"a": 3, "b": 3}, {}, {}, {}, {}),
            ({"a": 4, "b": 4}, {"b": 5.0}, {"__all__": True}, {}, {}),
        ],
    )
    batch, (episode,) = play(env, 4)
    rows = rows_of(batch, "b")
    assert batch["life"][rows].tolist() == [0, 1]
    assert batch["decision"][rows].tolist() == [0, 0]
    assert batch["terminateds"][rows].tolist() == [True, True]
    assert batch["rewards"][rows].tolist() == [-1.0, 5.0]
    assert episode.returns["b"] == 4.0


def test_there_are_no_phantom_rows() -> None:
    """RLlib pads to bootstrap, and normalises advantages over the padding: here a batch holds decisions and nothing else."""
    env = Told(
        ("a", "b"),
        [
            first({"a": 0, "b": 0}),
            ({"a": 1}, {"a": 1.0}, {}, {}, {}),
            ({"b": 2}, {"b": 1.0}, {}, {}, {}),
            ({"a": 3, "b": 3}, {"a": 1.0}, {}, {"a": True}, {}),
            ({"b": 4}, {"b": 1.0}, {}, {"b": True}, {}),
        ],
    )
    batch, episodes = play(env, 12)
    assert len(episodes) == 3
    assert len(batch) == sum(len(names) for names in env.acted)
    rows = [(batch.agents[index], int(time), obs) for index, time, obs in zip(batch["agent_index"], batch["t"], batch["obs"][:, 0])]
    assert sorted(rows) == sorted([("a", 0, 0), ("a", 1, 1), ("b", 0, 0), ("b", 2, 2), ("b", 3, 3)] * 3)


def test_advantages_are_normalised_over_rows_that_were_decided() -> None:
    """RLlib's phantom rows shift the mean; here mean 0 and deviation 1 are over decisions with a loss, in lives of any length."""
    ppo = pytest.importorskip("marl_plugins.ppo").PPO
    env = Told(
        ("a", "b"),
        [
            first({"a": 0, "b": 0}),
            ({"a": 1, "b": 1}, {"a": 3.0, "b": -1.0}, {"b": True}, {}, {}),
            ({"a": 2}, {"a": 5.0}, {}, {}, {}),
            ({"a": 3}, {"a": -4.0}, {}, {}, {}),
            ({}, {"a": 7.0}, {}, {"a": True}, {}),
        ],
    )
    sampler = marl.Sampler(env=lambda: env, policies={"main": {"algorithm": "ppo"}}, mapping={"*": "main"}, envs_per_worker=1, seed=3)
    batch, _ = sampler.sample(num_env_steps=8)
    assert batch.num_rows == 10
    specs = {"main": sampler.plan.specs["main"]}
    rows = ppo(specs, ppo.Config(), seed=0, device="cpu").prepare(batch).policies["main"]
    kept = rows["loss_mask"]
    assert len(rows) == 10
    assert kept.tolist() == [not (truncated and agent == "a") for truncated, agent in zip(rows["truncateds"], _agents(rows))]
    normalised = rows["advantages"][kept].astype(np.float64)
    assert abs(normalised.mean()) < 1e-5
    assert abs(normalised.std() - 1) < 1e-2
    plain = ppo(specs, ppo.Config(normalize_advantages=False), seed=0, device="cpu").prepare(batch).policies["main"]["advantages"][kept]
    np.testing.assert_allclose(normalised, (plain - plain.mean()) / plain.std(), rtol=1e-3, atol=1e-4)


def _agents(batch: SampleBatch) -> list[Any]:
    return [batch.agents[index] for index in batch["agent_index"]]


def test_returns_are_averaged_over_the_last_hundred_episodes() -> None:
    """RLlib averages only over those that ended in the last iteration, so that the mean of a slow game jumps or is missing."""
    from marl.metrics import EpisodeMetrics

    lines = [first({"a": 0}), ({}, {"a": 1.0}, {"a": True}, {}, {})]
    env = Told(("a",), lines)
    sampler = marl.Sampler(env=lambda: env, policies={"main": {"player": zero}}, mapping={"*": "main"}, envs_per_worker=1, seed=3)
    metrics = EpisodeMetrics()
    expected: list[float] = []
    for reward in (*(float(number) for number in range(7)), 50.0):
        lines[1][1]["a"] = reward
        _, episodes = sampler.sample(num_env_steps=20)
        assert len(episodes) == 20
        metrics.add(episodes)
        expected += [reward] * 20
        found = metrics.take()
        assert found["num_episodes"] == 20
        assert found["episode_return_count"] == min(100, len(expected))
        assert found["episode_return_mean"] == pytest.approx(np.mean(expected[-100:]))
    assert metrics.take()["episode_return_mean"] == pytest.approx(np.mean(expected[-100:]))  # no episode ended since


# --- PufferLib ----------------------------------------------------------------------------------------------------------


def test_rewards_are_not_clamped() -> None:
    """PufferLib clamps them to [-1, 1] in silence."""
    env = Told(("a",), [first({"a": 0}), ({"a": 1}, {"a": 1000.0}, {}, {}, {}), ({"a": 2}, {"a": -7.5}, {"__all__": True}, {}, {})])
    batch, (episode,) = play(env, 2)
    assert batch["rewards"].tolist() == [1000.0, -7.5]
    assert episode.returns == {"a": 992.5}


def test_truncation_by_all_is_kept_and_bootstrapped() -> None:
    """PufferLib ignores truncation."""
    env = Told(("a",), [first({"a": 0}), ({"a": 7}, {"a": 1.0}, {"__all__": False}, {"__all__": True}, {})])
    batch, _ = play(env, 2)
    assert batch["truncateds"].tolist() == [True, True]
    assert not batch["terminateds"].any()
    assert batch.pieces["bootstrap_obs"][:, 0].tolist() == [7, 7]


def test_a_reset_costs_no_step() -> None:
    """PufferLib spends a step of every episode on the reset: 30 ticks of a game of 3 are 10 whole episodes, 30 decisions."""
    lines = [first({"a": 0}), *[({"a": time}, {"a": 1.0}, {}, {}, {}) for time in (1, 2)], ({"a": 3}, {"a": 1.0}, {"a": True}, {}, {})]
    env = Told(("a",), lines)
    batch, episodes = play(env, 30)
    assert len(episodes) == 10
    assert len(batch) == 30
    assert batch["t"].tolist() == [0, 1, 2] * 10
    assert batch["terminateds"].tolist() == [False, False, True] * 10


# --- Tianshou, JaxMARL ------------------------------------------------------------------------------------------------------


def test_a_row_is_bootstrapped_from_its_own_agents_observation() -> None:
    """Tianshou's n_step decides in silence whose observation follows in a game of turns."""
    env = Told(
        ("x", "o"),
        [
            first({"x": 10}),
            ({"o": 21}, {}, {}, {}, {}),
            ({"x": 12}, {}, {}, {}, {}),
            ({"o": 23}, {}, {}, {}, {}),
            ({"x": 14}, {}, {}, {}, {}),
            ({"x": 15, "o": 25}, {"x": 1.0, "o": -1.0}, {"__all__": True}, {}, {}),
        ],
    )
    # After three ticks x's second row and o's first are still open (x waits; o has just been shown 23, which closes its first).
    batch, _ = play(env, 3)
    assert batch["obs"][rows_of(batch, "x"), 0].tolist() == [10]
    assert batch["obs"][rows_of(batch, "o"), 0].tolist() == [21]
    followers = {batch.agents[batch["agent_index"][row]]: batch.pieces["bootstrap_obs"][piece_of(batch, row), 0] for row in (0, 1)}
    assert followers == {"x": 12, "o": 23}


def test_an_episode_of_25_steps_has_25_steps() -> None:
    """JaxMARL's have 26."""
    pytest.importorskip("mpe2")
    sampler = marl.Sampler(
        env="mpe2/simple_spread_v3",
        env_config={"max_cycles": 25},
        policies={"main": {"player": "random"}},
        mapping={"*": "main"},
        envs_per_worker=2,
        seed=1,
    )
    batch, episodes = sampler.sample(num_env_steps=50)
    assert [episode.num_env_steps for episode in episodes] == [25] * 4
    rows = batch.policies["main"]
    assert len(rows) == 2 * 50 * 3
    assert int(rows["t"].max()) == 24
    assert rows["truncateds"].sum() == 4 * 3


# --- BenchMARL -----------------------------------------------------------------------------------------------------------


def test_a_missing_global_state_is_an_error() -> None:
    """BenchMARL's QMIX mixes observations where the state is missing."""
    env = Told(("a",), [first({"a": 0}), ({"a": 1}, {"a": 1.0}, {"a": True}, {}, {})])
    with pytest.raises(MarlError, match=r"global_state"):
        marl.Sampler(
            env=lambda: env, policies={"main": {"player": zero}}, mapping={"*": "main"}, seed=3, needs={"main": ["global_state"]}
        ).sample(num_env_steps=1)


def test_a_global_state_that_is_there_is_the_environments_own() -> None:
    """And where it exists, rows hold it, taken when their observation was given; at a truncation the final one."""

    class Stateful(Told):
        global_state_space = spaces.Box(-1000, 1000, (2,), np.float32)

        def global_state(self) -> np.ndarray:
            return np.array([self.line, len(self.acted)], np.float32)

    env = Stateful(("a",), [first({"a": 0}), ({"a": 1}, {}, {}, {}, {}), ({"a": 2}, {}, {}, {"a": True}, {})])
    sampler = marl.Sampler(
        env=lambda: env, policies={"main": {"player": zero}}, mapping={"*": "main"}, seed=3, needs={"main": ["global_state"]}
    )
    batch, _ = sampler.sample(num_env_steps=5)
    rows = batch.policies["main"]
    assert rows["global_state"].tolist() == [[0, 0], [1, 1], [0, 2], [1, 3], [0, 4]]
    assert rows.pieces["bootstrap_global_state"].tolist() == [[2, 2], [2, 4], [1, 5]]
