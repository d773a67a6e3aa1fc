"""One episode of one environment copy, as the sampler, the router and callbacks see it."""

from __future__ import annotations

from typing import Any

import numpy as np

from marl.batch import EpisodeRecord
from marl.seeding import generator, generator_state, set_generator_state


def make_eps_id(worker_index: int, env_index: int, count: int) -> int:
    """An id that is unique in a run: 15 bits of worker, 16 of copy, 32 of that copy's episode count."""
    return (worker_index << 48) | (env_index << 32) | count


class Episode:
    """What is known of an episode while it runs.

    Attributes:
        episode_id: unique in the run. ``env_index`` and ``worker_index`` say where it runs.
        seed: what the environment was reset with.
        agents: ids seen so far, in order of appearance.
        policies: ids of the policies present on this worker.
        match: the episode's match, or None. ``match_state``: as last broadcast.
        user: a dict for callbacks.
    """

    __slots__ = (
        "_rng",
        "absent",
        "env_index",
        "episode_id",
        "life_counts",
        "match",
        "match_state",
        "num_agent_steps",
        "num_truncated_without_observation",
        "policies",
        "returns",
        "seats",
        "seed",
        "uncredited",
        "uncredited_counts",
        "user",
        "worker_index",
    )

    def __init__(self, episode_id: int, seed: int, env_index: int, worker_index: int, policies: tuple[str, ...], match_state: Any) -> None:
        self.episode_id = episode_id
        self.seed = seed
        self.env_index = env_index
        self.worker_index = worker_index
        self.policies = policies
        self.match: Any = None
        self.match_state = match_state
        self.user: dict[Any, Any] = {}
        self.seats: dict[Any, tuple[str, int]] = {}
        self.returns: dict[Any, float] = {}
        self.uncredited: dict[Any, float] = {}
        self.uncredited_counts: dict[Any, int] = {}
        self.life_counts: dict[Any, int] = {}
        self.absent: dict[Any, str] = {}
        self.num_agent_steps = 0
        self.num_truncated_without_observation = 0
        self._rng: np.random.Generator | None = None

    @property
    def agents(self) -> list[Any]:
        return list(self.seats)

    @property
    def rng(self) -> np.random.Generator:
        """A generator of this episode's own, from its seed."""
        if self._rng is None:
            self._rng = generator(self.seed, "episode-rng")
        return self._rng

    def rng_state(self) -> dict[str, Any] | None:
        """The generator's state, or None if nobody asked for it yet."""
        return None if self._rng is None else generator_state(self._rng)

    def set_rng_state(self, state: dict[str, Any] | None) -> None:
        """Put back what :meth:`rng_state` gave."""
        self._rng = None
        if state is not None:
            set_generator_state(self.rng, state)

    def uncredit(self, agent: Any, reward: float) -> None:
        """Note a reward that belongs to no row."""
        self.uncredited[agent] = self.uncredited.get(agent, 0.0) + reward
        self.uncredited_counts[agent] = self.uncredited_counts.get(agent, 0) + 1

    def record(self, num_env_steps: int, end: str) -> EpisodeRecord:
        """The finished episode."""
        returns = dict.fromkeys(self.seats, 0.0)
        returns.update(self.returns)
        for agent, reward in self.uncredited.items():
            returns[agent] = returns.get(agent, 0.0) + reward
        match = self.match
        return EpisodeRecord(
            eps_id=self.episode_id,
            env_index=self.env_index,
            worker_index=self.worker_index,
            seed=self.seed,
            seats=self.seats,
            returns=returns,
            uncredited_reward=self.uncredited,
            num_uncredited_rewards=self.uncredited_counts,
            num_env_steps=num_env_steps,
            num_agent_steps=self.num_agent_steps,
            end=end,
            tag=None if match is None else match.tag,
            learn=None if match is None or match.learn is None else tuple(match.learn),
            num_truncated_without_observation=self.num_truncated_without_observation,
            absent=self.absent,
        )
