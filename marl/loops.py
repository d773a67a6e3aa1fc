"""How a run goes on: the synchronous loop, and what it moves between workers and learners.

An iteration is one fragment after another until enough was sampled. After each fragment every learner gets its rows;
it learns as soon as it has ``train_batch_rows``, or at the end of the iteration from all that it has, and its weights go to the workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.algorithm import Algorithm, OnPolicy
from marl.batch import EpisodeRecord, MultiAgentBatch, SampleBatch
from marl.policy import Counters
from marl.seeding import generator_state, set_generator_state
from marl.worker import Worker

KEPT_HASHES = 1000
"""Versions of a policy whose hash is remembered for the results of long episodes."""


def synchronous(run: Run) -> list[EpisodeRecord]:
    """One iteration; the episodes that ended in it."""
    finished: list[EpisodeRecord] = []
    goal = run.num_env_steps + (run.env_steps_per_iteration or 1)
    while run.num_env_steps < goal:
        batch, episodes = sample_fragment(run)
        finished += episodes
        for learner in run.learners.values():
            learner.take(batch, run.may_train)
            if learner.has_train_batch:
                learn(run, learner)
    for learner in run.learners.values():
        if learner.learns_at_iteration_end and learner.num_waiting_rows:
            learn(run, learner)
    return finished


def sample_fragment(run: Run) -> tuple[MultiAgentBatch, list[EpisodeRecord]]:
    """One fragment of every worker, in their order."""
    complete = any(learner.data.complete_episodes for learner in run.learners.values())
    batches, finished = [], []
    for worker in run.workers:
        batch, episodes = worker.sample(num_env_steps=run.fragment_env_steps, complete_episodes=complete)
        batches.append(batch)
        finished += episodes
    whole = MultiAgentBatch.concat(batches)
    for hook in run.on_rows:
        changed = hook(whole)
        whole = whole if changed is None else changed
    run.num_env_steps += whole.num_env_steps
    run.num_agent_steps += whole.num_agent_steps
    return whole, finished


def learn(run: Run, learner: Learner) -> None:
    """Let one learner learn from all that it has, and hand its weights to the workers."""
    started = perf_counter()
    learner.learn(run.counters)
    learned = perf_counter()
    for policy_id in learner.algorithm.policies:
        broadcast(run, policy_id, learner.algorithm)
    for worker in run.workers:
        worker.refresh_stacks()
    run.timers["learn"] += learned - started
    run.timers["broadcast"] += perf_counter() - learned


def broadcast(run: Run, policy_id: str, algorithm: Algorithm) -> None:
    """Give every worker the weights that a learner's policy has now. ``refresh_stacks`` is the caller's, once after the last."""
    policy = algorithm.policies[policy_id]
    weights = policy.get_weights()
    run.note_hash(policy_id, policy.version, weights)
    for worker in run.workers:
        worker.set_weights(policy_id, weights, version=policy.version, counters=run.counters)


@dataclass
class Run:
    """What a loop works on.

    Attributes:
        may_train: ``(policy_id, batch) → bool``: whether a policy's rows of this fragment reach its learner.
        hashes: policy → version → hash of those weights.
    """

    workers: list[Worker]
    learners: dict[str, Learner]
    fragment_env_steps: int
    env_steps_per_iteration: int | None
    may_train: Callable[[str, MultiAgentBatch], bool]
    on_rows: Sequence[Callable[[MultiAgentBatch], MultiAgentBatch | None]] = ()
    num_env_steps: int = 0
    num_agent_steps: int = 0
    timers: dict[str, float] = field(default_factory=lambda: {"learn": 0.0, "broadcast": 0.0})
    hashes: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def counters(self) -> Counters:
        return Counters(self.num_env_steps, self.num_agent_steps)

    def note_hash(self, policy_id: str, version: int, weights: Mapping[str, NDArray[Any]]) -> str:
        """Remember the hash of a policy's weights at ``version``, and tell the routers, which check pinned matches against it."""
        found = weights_hash(weights)
        known = self.hashes.setdefault(policy_id, {})
        known[version] = found
        if len(known) > KEPT_HASHES:
            del known[next(iter(known))]
        for worker in self.workers:
            worker.router.hashes[policy_id] = found
        return found


class Learner:
    """An algorithm and the rows that wait for it.

    Args:
        trains: its policies whose rows it may learn from.
    """

    def __init__(self, name: str, algorithm: Algorithm, data: OnPolicy, trains: frozenset[str]) -> None:
        self.name = name
        self.algorithm = algorithm
        self.data = data
        self.trains = trains
        self.num_rows_total = 0
        self.num_updates_total = 0
        self._waiting: list[MultiAgentBatch] = []
        self._metrics: dict[str, list[float]] = {}
        self._num_rows = self._num_updates = 0

    def take(self, batch: MultiAgentBatch, may_train: Callable[[str, MultiAgentBatch], bool]) -> None:
        """Keep this learner's rows of a fragment; none is a normal case."""
        mine = [policy_id for policy_id in batch.policies if policy_id in self.trains and may_train(policy_id, batch)]
        chosen = batch.select(mine)
        if chosen.num_rows:
            self._waiting.append(chosen)

    @property
    def num_waiting_rows(self) -> int:
        return sum(batch.num_rows for batch in self._waiting)

    @property
    def learns_at_iteration_end(self) -> bool:
        return self.data.train_batch_rows is None

    @property
    def has_train_batch(self) -> bool:
        """Whether the rows that it asked for are there; then it learns from all of them, surplus too."""
        return self.data.train_batch_rows is not None and self.num_waiting_rows >= self.data.train_batch_rows

    def learn(self, counters: Counters) -> None:
        """One learning step from every row that waits."""
        batch = MultiAgentBatch.concat(self._waiting)
        self._waiting = []
        self.algorithm.set_counters(counters)
        result = self.algorithm.learn(batch)
        self._num_rows += result.num_rows
        self._num_updates += result.num_updates
        for name, value in result.metrics.items():
            self._metrics.setdefault(name, []).append(float(value))

    def take_metrics(self) -> dict[str, float]:
        """What was learned since the last call; ``{}`` of the algorithm's own metrics if nothing was."""
        self.num_rows_total += self._num_rows
        self.num_updates_total += self._num_updates
        found: dict[str, float] = {name: float(np.mean(values)) for name, values in self._metrics.items()}
        found.update(
            num_rows=self._num_rows,
            num_rows_total=self.num_rows_total,
            num_updates=self._num_updates,
            num_updates_total=self.num_updates_total,
            weights_version=self.algorithm.version,
        )
        self._metrics, self._num_rows, self._num_updates = {}, 0, 0
        return found

    def state_dict(self) -> dict[str, Any]:
        """The algorithm's state, its generator, and the rows that wait (call between iterations)."""
        return {
            "algorithm": self.algorithm.state_dict(),
            "version": self.algorithm.version,
            "rng": generator_state(self.algorithm.rng) if hasattr(self.algorithm, "rng") else None,
            "policy_versions": {policy_id: policy.version for policy_id, policy in self.algorithm.policies.items()},
            "counters": [self.algorithm.counters.num_env_steps, self.algorithm.counters.num_agent_steps],
            "waiting": [batch_state(batch) for batch in self._waiting],
            "num_rows_total": self.num_rows_total,
            "num_updates_total": self.num_updates_total,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave."""
        self.algorithm.load_state_dict(state["algorithm"])
        self.algorithm.version = int(state["version"])
        if state["rng"] is not None:
            set_generator_state(self.algorithm.rng, state["rng"])
        for policy_id, version in state["policy_versions"].items():
            self.algorithm.policies[policy_id].version = int(version)
        self.algorithm.set_counters(Counters(*state["counters"]))
        self._waiting = [batch_from_state(batch) for batch in state["waiting"]]
        self.num_rows_total = int(state["num_rows_total"])
        self.num_updates_total = int(state["num_updates_total"])


def weights_hash(weights: Mapping[str, NDArray[Any]]) -> str:
    """16 hex digits that name exactly these weights: names, shapes, dtypes and bits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return digest.hexdigest()[:16]


# ------------------------------------------------------------------ batches as plain state


def batch_state(batch: MultiAgentBatch) -> dict[str, Any]:
    """A batch as nested dicts and lists of arrays and scalars."""
    return {
        "policies": [
            [policy_id, {"columns": dict(one.columns), "offsets": one.offsets, "pieces": dict(one.pieces), "agents": list(one.agents)}]
            for policy_id, one in batch.policies.items()
        ],
        "num_env_steps": batch.num_env_steps,
        "num_agent_steps": batch.num_agent_steps,
        "episodes": [
            [eps_id, [[agent, policy_id, version] for agent, (policy_id, version) in seats.items()]]
            for eps_id, seats in batch.episodes.items()
        ],
    }


def batch_from_state(state: Mapping[str, Any]) -> MultiAgentBatch:
    """The batch that :func:`batch_state` described."""
    return MultiAgentBatch(
        {
            policy_id: SampleBatch(one["columns"], np.asarray(one["offsets"], np.int64), one["pieces"], tuple(one["agents"]))
            for policy_id, one in state["policies"]
        },
        int(state["num_env_steps"]),
        int(state["num_agent_steps"]),
        {int(eps_id): {agent: (policy_id, int(version)) for agent, policy_id, version in seats} for eps_id, seats in state["episodes"]},
    )
