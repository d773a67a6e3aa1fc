"""Algorithms for tests of configurations: they have keys, and learn nothing."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from marl.algorithm import Algorithm, Data, Gradients, OnPolicy, PluginConfig, Replay


class Nothing(Algorithm):
    """Keys of every kind."""

    class Config(PluginConfig):
        lr: float = Field(1e-3, gt=0)
        train_batch_rows: int | None = None
        complete_episodes: bool = False
        epochs: int = 4
        clip: float = 0.2

    class PolicyConfig(PluginConfig):
        class Model(PluginConfig):
            hidden: list[int] = [64, 64]

        model: Model = Model()
        exploration: str = "none"
        module: Any = None

    @classmethod
    def data(cls, config: Any) -> Data:
        return OnPolicy(config.train_batch_rows, config.complete_episodes)

    def __init__(self, specs: Any, config: Any, *, seed: int, device: str) -> None:
        raise NotImplementedError("a configuration makes no learner")

    def compute_gradients(self, minibatch: Any, phase: str) -> Gradients:
        raise NotImplementedError


class FromStore(Nothing):
    """Wants a replay store."""

    @classmethod
    def data(cls, config: Any) -> Data:
        return Replay(capacity=100, batch_rows=10, updates_per_row=1.0)


def pick(agent_id: Any) -> str:
    """A mapping function with an importable name."""
    return "a"


class Hook:
    """A callback with an importable name."""
