"""Algorithms for tests of the trainer: they can say exactly what reached them, and need no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.algorithm import Algorithm, Capabilities, Data, Gradients, LearnResult, OnPolicy, PluginConfig
from marl.batch import MultiAgentBatch
from marl.players import RandomPolicy
from marl.policy import Counters, Policy, PolicySpec
from marl.seeding import generator


class CountingPolicy(RandomPolicy):
    """Plays at random while exploring, always action 0 otherwise; its only weight counts learning steps."""

    def __init__(self, spec: PolicySpec, seed: int) -> None:
        super().__init__(spec)
        self.weight = generator(seed, "weight", spec.policy_id).random(3)

    def act_batch(self, obs: Any, *, explore: bool, **rest: Any) -> Any:  # type: ignore[override]
        actions, state, extra = super().act_batch(obs, explore=explore, **rest)
        return actions if explore else np.zeros_like(actions), state, extra

    def get_weights(self) -> dict[str, NDArray[Any]]:
        return {"weight": self.weight.copy()}

    def set_weights(self, weights: Mapping[str, NDArray[Any]], *, version: int, counters: Counters | None = None) -> None:
        self.weight = np.array(weights["weight"])
        super().set_weights(weights, version=version, counters=counters)


class Counting(Algorithm):
    """Adds the number of its rows to its weight; remembers every batch in ``learned``."""

    class Config(PluginConfig):
        step: float = 1.0
        train_batch_rows: int | None = None
        complete_episodes: bool = False

    class PolicyConfig(PluginConfig):
        flavour: str = "plain"

    capabilities = Capabilities(actions=frozenset({"discrete"}))

    @classmethod
    def data(cls, config: Any) -> Data:
        return OnPolicy(config.train_batch_rows, config.complete_episodes)

    @classmethod
    def make_policy(cls, spec: PolicySpec, *, seed: int, device: str = "cpu") -> Policy:
        return CountingPolicy(spec, seed)

    def __init__(self, specs: dict[str, PolicySpec], config: Any, *, seed: int, device: str) -> None:
        self.specs = specs
        self.config = config
        self.policies = {policy_id: CountingPolicy(spec, seed) for policy_id, spec in specs.items()}
        self.rng = generator(seed, "learner")
        self.learned: list[MultiAgentBatch] = []
        self.resets: list[str] = []

    def learn(self, batch: MultiAgentBatch) -> LearnResult:
        self.learned.append(batch)
        return super().learn(batch)

    def compute_gradients(self, minibatch: MultiAgentBatch, phase: str) -> Gradients:
        noise = float(self.rng.random())
        rows = {policy_id: rows.num_rows for policy_id, rows in minibatch.policies.items()}
        return Gradients(
            {one: self.config.step * count + noise for one, count in rows.items()}, {"noise": noise, "rows": sum(rows.values())}
        )

    def apply_gradients(self, gradients: Gradients, phase: str) -> None:
        for policy_id, amount in gradients.grads.items():
            self.policies[policy_id].weight += amount  # type: ignore[attr-defined]

    def set_policy_weights(self, policy_id: str, weights: Mapping[str, NDArray[Any]], *, reset_optimizer: bool = False) -> None:
        super().set_policy_weights(policy_id, weights, reset_optimizer=reset_optimizer)
        if reset_optimizer:
            self.resets.append(policy_id)

    def state_dict(self) -> dict[str, Any]:
        return {"weights": {policy_id: policy.get_weights() for policy_id, policy in self.policies.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for policy_id, weights in state["weights"].items():
            self.set_policy_weights(policy_id, weights)


class Other(Counting):
    """A second algorithm, in the same game."""


class NeedsGlobalState(Counting):
    capabilities = Capabilities(actions=frozenset({"discrete"}), global_state="required")


class BoxOnly(Counting):
    capabilities = Capabilities(actions=frozenset({"box"}))


class FixedSeats(Counting):
    capabilities = Capabilities(actions=frozenset({"discrete"}), fixed_assignment=True)


class Joint(Counting):
    """Asks for what others see and do."""

    @classmethod
    def needs(cls, config: Any) -> frozenset[str]:
        return frozenset({"joint_obs", "joint_actions"})


class AsksForGlobalState(Counting):
    @classmethod
    def needs(cls, config: Any) -> frozenset[str]:
        return frozenset({"global_state"})
