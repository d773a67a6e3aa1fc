"""Joining batches of different workers: every index into a batch's table of agents must follow the joined table."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

import marl
from marl.batch import SampleBatch


class Family:
    """``names`` = (parent, child, …): the parent acts first and then falls silent; each of its children names it as its parent."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.possible_agents = list(names)
        self.observation_spaces = dict.fromkeys(names, spaces.Box(-1, 1, (1,), np.float32))
        self.action_spaces = dict.fromkeys(names, spaces.Discrete(2))
        self.calls = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.calls = 0
        return {self.possible_agents[0]: np.zeros(1, np.float32)}, {}

    def step(self, actions: dict[str, Any], /) -> tuple[dict[str, Any], ...]:
        self.calls += 1
        parent, *children = self.possible_agents
        over = self.calls == 2
        sees = {} if over else {child: np.ones(1, np.float32) for child in children}
        infos = {} if over else {child: {"parent": parent} for child in children}
        return sees, dict.fromkeys(self.possible_agents, 1.0), {"__all__": over}, {}, infos

    def close(self) -> None:
        pass


def batch_of(*names: str) -> SampleBatch:
    env = Family(names)
    sampler = marl.Sampler(env=lambda: env, policies={"main": {"player": lambda obs, info, rng: 0}}, mapping={"*": "main"}, seed=len(names))
    batch, _ = sampler.sample(num_env_steps=4)
    return batch.policies["main"]


def links(batch: SampleBatch) -> list[tuple[Any, Any]]:
    """(agent, its parent) of every row."""
    parents = [None if place < 0 else batch.agents[place] for place in batch["parent_decision"][:, 0]]
    return [(batch.agents[place], parent) for place, parent in zip(batch["agent_index"], parents)]


def test_parents_of_one_worker() -> None:
    assert set(links(batch_of("p", "q", "r"))) == {("p", None), ("q", "p"), ("r", "p")}


def test_tables_of_agents_are_joined() -> None:
    parts = [batch_of("p", "q", "r"), batch_of("s", "q"), batch_of("r", "p")]
    joined = SampleBatch.concat(parts)
    assert [agent for agent, _ in links(joined)] == [agent for part in parts for agent, _ in links(part)]


def test_parents_follow_the_joined_table() -> None:
    parts = [batch_of("p", "q", "r"), batch_of("s", "q"), batch_of("r", "p")]
    assert links(SampleBatch.concat(parts)) == [link for part in parts for link in links(part)]
