"""The learner's side: what improves one or more policies. A plugin subclasses :class:`Algorithm`.

Only ``Config``, :meth:`Algorithm.data`, ``__init__`` and :meth:`Algorithm.compute_gradients` must be written; everything else has a
default that suffices for a plain on-policy or replay algorithm. Found through the entry-point group ``marl.algorithms``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from marl.batch import MultiAgentBatch, SampleBatch
from marl.policy import Counters, Policy, PolicySpec

Minibatch: TypeAlias = Any  # whatever a plugin's minibatches() yields to its compute_gradients()


class PluginConfig(BaseModel):
    """Base of every ``Config`` and ``PolicyConfig``: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Capabilities:
    """What an algorithm can do, as data; a mismatch is refused before anything starts.

    Attributes:
        actions: kinds it can play, of ``"discrete"``, ``"multi_discrete"``, ``"box"``, ``"composite"``.
        groups: ``"no"``, ``"yes"`` (may play a group as one agent) or ``"required"``.
        simultaneous: needs all living agents due together.
        fixed_assignment: needs every agent mapped to the same policy in every episode.
        global_state: ``"no"``, ``"optional"`` or ``"required"``.
        recurrent: can train recurrent policies.
        stale_data: tolerates rows from older weights.
    """

    actions: frozenset[str] = frozenset({"discrete"})
    groups: str = "no"
    simultaneous: bool = False
    fixed_assignment: bool = False
    global_state: str = "no"
    recurrent: bool = False
    stale_data: bool = False


@dataclass(frozen=True)
class OnPolicy:
    """Learn from fresh rows: all of an iteration (``train_batch_rows`` None) or as soon as that many are there.

    ``max_version_lag``: rows from weights older than this many versions keep their place in targets but have no loss.
    """

    train_batch_rows: int | None = None
    complete_episodes: bool = False
    max_version_lag: int = 1


@dataclass(frozen=True)
class Replay:
    """Learn from stored rows. The loop owns the store; ``updates_per_row × new rows`` updates after each fragment."""

    capacity: int
    batch_rows: int
    updates_per_row: float
    learning_starts: int = 0
    n_step: int = 1
    sequence: int = 0
    prioritized: bool = False
    child_rows: bool = False
    complete_episodes: bool = False


@dataclass(frozen=True)
class Population:
    """Learn from whole-episode returns of perturbed weights: tickets (policy, seed, sign) → returns."""

    pairs: int
    sigma: float


Data: TypeAlias = OnPolicy | Replay | Population


@dataclass
class Gradients:
    """What :meth:`Algorithm.compute_gradients` found.

    Attributes:
        grads: arrays or tensors, in the order the algorithm applies them; None: nothing to apply (the phase is skipped).
        metrics: scalars (floats or one-element tensors; averaged over the learning step).
        priorities: new priority by ``replay_index``, for prioritized replay.
    """

    grads: Any
    metrics: Mapping[str, Any] = field(default_factory=dict)
    priorities: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None


@dataclass
class LearnResult:
    """Metrics of one learning step (means over its minibatches), rows used, updates made."""

    metrics: dict[str, float]
    num_rows: int
    num_updates: int


class Algorithm(ABC):
    """Improves the policies of ``specs``.

    Attributes:
        Config: the learner's keys (``lr``, ``train_batch_rows``, …), a :class:`PluginConfig`.
        PolicyConfig: one policy's keys (``model``, ``exploration``, …).
        policies: the learner's own policies, updated in place; the loop broadcasts their weights.
        phases: every minibatch runs all, in order.
        version: number of learning steps made, the weights' version.
    """

    Config: ClassVar[type[PluginConfig]]
    PolicyConfig: ClassVar[type[PluginConfig]] = PluginConfig
    capabilities: ClassVar[Capabilities] = Capabilities()
    phases: tuple[str, ...] = ("all",)
    policies: dict[str, Policy]
    specs: dict[str, PolicySpec]
    version: int = 0
    counters: Counters = Counters()
    rng: np.random.Generator

    @classmethod
    def needs(cls, config: Any) -> frozenset[str]:
        """Optional columns that the sampler must write (``global_state``, ``joint_obs``, …)."""
        return frozenset()

    @classmethod
    @abstractmethod
    def data(cls, config: Any) -> Data:
        """How this learner wants its rows."""

    @classmethod
    def make_policy(cls, spec: PolicySpec, *, seed: int, device: str = "cpu") -> Policy:
        """A worker's copy of one policy (weights are set by broadcast). Default: from a learner of that policy alone."""
        return cls({spec.policy_id: spec}, cls.Config(), seed=seed, device=device).policies[spec.policy_id]

    @abstractmethod
    def __init__(self, specs: dict[str, PolicySpec], config: Any, *, seed: int, device: str) -> None: ...

    def set_policy_weights(self, policy_id: str, weights: Mapping[str, NDArray[Any]], *, reset_optimizer: bool = False) -> None:
        """Replace one policy's weights."""
        policy = self.policies[policy_id]
        policy.set_weights(weights, version=policy.version)

    def set_counters(self, counters: Counters) -> None:
        """How far the run is; schedules of the learner read it. Called by the loop before :meth:`learn`."""
        self.counters = counters

    def prepare(self, batch: MultiAgentBatch) -> MultiAgentBatch:
        """Targets and advantages, once per train batch. Default: identity."""
        return batch

    def relabel(self, batch: MultiAgentBatch, children: Mapping[str, SampleBatch], rng: np.random.Generator) -> MultiAgentBatch:
        """Replay only: rewrite rows with their lower rows at hand. Default: identity."""
        return batch

    def minibatches(self, batch: MultiAgentBatch, rng: np.random.Generator, *, count: int | None = None) -> Iterable[Minibatch]:
        """What :meth:`compute_gradients` is fed with. ``count``: the loop gives every rank the same number. Default: the batch, once."""
        yield batch

    @abstractmethod
    def compute_gradients(self, minibatch: Minibatch, phase: str) -> Gradients:
        """The gradients of one phase on one minibatch."""

    def apply_gradients(self, gradients: Gradients, phase: str) -> None:
        """Step the optimizer; target networks are updated here."""
        raise NotImplementedError(f"{type(self).__name__} must write apply_gradients")

    def stop_early(self, metrics: Mapping[str, Any]) -> bool:
        """Whether to leave the rest of this batch's minibatches, from the minibatch's metrics."""
        return False

    def learn(self, batch: MultiAgentBatch) -> LearnResult:
        """One learning step: prepare, then every minibatch and phase in order."""
        prepared = self.prepare(batch)
        sums: dict[str, list[Any]] = {}
        updates = 0
        for minibatch in self.minibatches(prepared, self.rng):
            stop = False
            for phase in self.phases:
                gradients = self.compute_gradients(minibatch, phase)
                for name, value in gradients.metrics.items():
                    sums.setdefault(name, []).append(value)
                if self.stop_early(gradients.metrics):
                    stop = True
                    break
                if gradients.grads is not None:
                    self.apply_gradients(gradients, phase)
                    updates += 1
            if stop:
                break
        self.version += 1
        for policy in self.policies.values():
            policy.version = self.version
        metrics = {name: float(np.mean([float(value) for value in values])) for name, values in sums.items()}
        return LearnResult(metrics, prepared.num_rows, updates)

    @classmethod
    def stack(cls, algorithms: list[Algorithm]) -> Algorithm | None:
        """One learner for several of equal shape, or None where they cannot be stacked."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs: nested dict, str keys; leaves array, tensor, int, float, str, bool, None, or lists of these."""
        raise NotImplementedError(f"{type(self).__name__} must write state_dict")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave."""
        raise NotImplementedError(f"{type(self).__name__} must write load_state_dict")


def loss_mask(batch: SampleBatch, version: int, max_version_lag: int) -> NDArray[np.bool_]:
    """Rows whose losses count ``[N]``: not from weights too old, and not before a truncation without an observation."""
    keep: NDArray[np.bool_] = version - batch["weights_version"] <= max_version_lag
    invalid = batch.last_rows[~batch.pieces["bootstrap_valid"]]
    if invalid.size:
        keep = keep.copy()
        keep[invalid] = False
    return keep
