"""Policies that answer whole batches and check what they are given: observation, mask, recurrent state and seat must belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.policy import ActResult, ColumnSpec, Policy, PolicySpec, RecurrentState, StackedPolicy
from marl.spaces import ActionCodec, ObservationCodec

from .histories import NAMES, NUM_ACTIONS, is_odd, mask_of

ODD = np.array([is_odd(name) for name in NAMES])


def echo(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the column ``values`` must hold for observations ``[n, 5]``: a number that names them."""
    named: NDArray[np.float32] = numbers @ np.array([1, 100, 3, 1000, 0], np.float32)
    return named


def _answers(obs: Any, action_mask: Any, odd: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    numbers = np.asarray(obs, np.float32).reshape(len(obs), -1)[:, :5]
    assert not numbers[:, 4].any(), "asked to act on a final observation"
    np.testing.assert_array_equal(ODD[numbers[:, 2].astype(int)], odd, "an observation of the other policy's agent")
    if action_mask is not None:
        np.testing.assert_array_equal(action_mask, [mask_of(row) for row in numbers])
    return numbers, (numbers[:, :4] @ np.array([1, 2, 3, 1])).astype(np.int64) % NUM_ACTIONS


class Echo(Policy):
    """Gives every observation its one right action and its name as ``values``; draws nothing."""

    columns: Mapping[str, ColumnSpec] = {"values": ((), np.dtype(np.float32))}

    def __init__(self, spec: PolicySpec) -> None:
        self.observation = ObservationCodec(spec.observation_space)
        self.action = ActionCodec(spec.action_space)
        self.odd = spec.policy_id == "rival"

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
        numbers, actions = _answers(obs, action_mask, np.full(len(obs), self.odd))
        return actions, self._remember(numbers, recurrent_state), {"values": echo(numbers)}

    def _remember(self, numbers: NDArray[np.float32], recurrent_state: RecurrentState) -> RecurrentState:
        return {}

    @classmethod
    def stack(cls, policies: list[Policy]) -> StackedPolicy | None:
        return EchoStack(policies)


class EchoStack(StackedPolicy):
    """The same for several policies by one call."""

    def __init__(self, policies: list[Policy]) -> None:
        self.odd = np.array([policy.odd for policy in policies])  # type: ignore[attr-defined]

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
        numbers, actions = _answers(obs, action_mask, self.odd[policy_index])
        return actions, {}, {"values": echo(numbers)}

    def refresh(self) -> None:
        pass


class Remembering(Echo):
    """An :class:`Echo` with a recurrent state: how many observations this life answered, and whose they were."""

    recurrent: Mapping[str, ColumnSpec] = {"count": ((), np.dtype(np.int64)), "whose": ((3,), np.dtype(np.float32))}

    def _remember(self, numbers: NDArray[np.float32], recurrent_state: RecurrentState) -> RecurrentState:
        count, whose = recurrent_state["count"], recurrent_state["whose"]
        expected = np.where((count > 0)[:, None], numbers[:, :3], 0)
        np.testing.assert_array_equal(whose, expected, "a recurrent state of another life")
        return {"count": count + 1, "whose": numbers[:, :3].copy()}

    @classmethod
    def stack(cls, policies: list[Policy]) -> StackedPolicy | None:
        return None
