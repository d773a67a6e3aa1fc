"""The worker's side of learning: what chooses actions for a batch of agents at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from marl.batch import SampleBatch
from marl.spaces import ActionCodec, ObservationCodec

ColumnSpec = tuple[tuple[int, ...], np.dtype[Any]]
RecurrentState = dict[str, NDArray[Any]]
ActResult = tuple[NDArray[Any], RecurrentState, dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Discount:
    """A discount with its unit: per decision of the agent (the field's convention) or per tick of the game."""

    gamma: float = 0.99
    per: Literal["tick", "decision"] = "decision"


@dataclass(frozen=True)
class Counters:
    """How far the run is, as last broadcast: schedules read these, never local counts."""

    num_env_steps: int = 0
    num_agent_steps: int = 0


@dataclass(frozen=True)
class PolicySpec:
    """All that a policy and its learner know of the game.

    Attributes:
        observation_space, action_space: as the (wrapped, grouped) environment states them, masks included.
        config: the ``PolicyConfig`` of its algorithm.
        agents: ids or patterns that may map here; None if unknown.
        group: members and their spaces, where the policy plays a group.
        joint: agent → slice of ``joint_obs`` and ``joint_actions``, agent → policy or None, where ``needs()`` names them.
        shared: tensor name → policy that owns it.
    """

    policy_id: str
    observation_space: Space[Any]
    action_space: Space[Any]
    config: Any = None
    discount: Discount = Discount()
    agents: tuple[Any, ...] | None = None
    group: Mapping[Any, tuple[Space[Any], Space[Any]]] | None = None
    joint: Any = None
    global_state_space: Space[Any] | None = None
    shared: Mapping[str, str] = field(default_factory=dict)


class Policy(ABC):
    """Chooses actions for n agents by one forward pass.

    Attributes:
        observation, action: the codecs that make rows of observations and play actions; the same in sampler and ``Player``.
        columns: row columns that :meth:`act_batch` adds: name → (shape, dtype), e.g. ``{"action_logp": ((), float32)}``.
        recurrent: leaves of the recurrent state: name → (shape, dtype); a life starts with :meth:`initial_recurrent_state`.
        version: of the weights, set by :meth:`set_weights`.
    """

    observation: ObservationCodec
    action: ActionCodec
    columns: Mapping[str, ColumnSpec] = {}
    recurrent: Mapping[str, ColumnSpec] = {}
    version: int = 0
    counters: Counters = Counters()

    @abstractmethod
    def act_batch(
        self,
        obs: Any,
        *,
        recurrent_state: RecurrentState,
        action_mask: NDArray[np.bool_] | None,
        explore: bool,
        rng: np.random.Generator,
        schedule_step: int,
    ) -> ActResult:
        """Answer n observations.

        Args:
            obs: ``[n, *observation.shape]``, or a dict of leaves where the codec is structured. Read only, valid until return.
            recurrent_state: leaves ``[n, *shape]``; empty if the policy has none.
            action_mask: ``[n, action.mask_size]`` or None (all allowed). A masked action is never returned.
            explore: False: the policy's greedy choice.
            rng: the only source of randomness.
            schedule_step: env steps sampled by the run as last broadcast.

        Returns:
            ``(actions [n, *action.shape], next recurrent state, extra columns)`` where the extra columns are exactly :attr:`columns`.
        """

    def initial_recurrent_state(self, count: int) -> RecurrentState:
        """The state that ``count`` lives start with: zeros unless overridden."""
        return {name: np.zeros((count, *shape), dtype) for name, (shape, dtype) in self.recurrent.items()}

    def get_weights(self) -> dict[str, NDArray[Any]]:
        """Every array that acting depends on, observation filters included, as copies."""
        return {}

    def set_weights(self, weights: Mapping[str, NDArray[Any]], *, version: int, counters: Counters | None = None) -> None:
        """Take weights that :meth:`get_weights` gave, with their version and how far the run is."""
        self.version = version
        if counters is not None:
            self.counters = counters

    def postprocess(self, piece: SampleBatch, others: Mapping[Any, SampleBatch]) -> SampleBatch:
        """Optional user hook on the worker: change a piece before it ships. ``others``: agent → its rows of the same episode."""
        return piece

    @classmethod
    def stack(cls, policies: list[Policy]) -> StackedPolicy | None:
        """One pass for several policies of equal shape, or None where they cannot be stacked."""
        return None


class StackedPolicy(ABC):
    """Several policies of equal shape answered by one batched call."""

    @abstractmethod
    def act_batch(
        self,
        obs: Any,
        *,
        policy_index: NDArray[np.intp],
        action_mask: NDArray[np.bool_] | None,
        explore: bool,
        rngs: list[np.random.Generator],
        schedule_step: int,
    ) -> ActResult:
        """As :meth:`Policy.act_batch`, row i for policy ``policy_index[i]`` of the list that was stacked.

        Each policy's rows, in their order, draw from ``rngs[policy]`` exactly what they would draw alone.
        """

    @abstractmethod
    def refresh(self) -> None:
        """Read the policies' weights again after one of them was set."""
