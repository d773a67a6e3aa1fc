"""Batches made by hand: rows that a policy itself answered, without environments or sampler."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from marl.batch import MultiAgentBatch, SampleBatch
from marl.policy import Discount, PolicySpec
from marl_plugins.ppo import PPO


def box(*shape: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape)


def spec(
    observation_space: Any, action_space: Any, *, policy_id: str = "p", gamma: float = 0.9, per: str = "decision", **keys: Any
) -> PolicySpec:
    return PolicySpec(policy_id, observation_space, action_space, PPO.PolicyConfig(**keys), Discount(gamma, per))


def learner(*specs: PolicySpec, seed: int = 3, **keys: Any) -> PPO:
    return PPO({one.policy_id: one for one in specs}, PPO.Config(**keys), seed=seed, device="cpu")


def act(policy: Any, obs: Any, rng: np.random.Generator, *, mask: Any = None, explore: bool = True):
    actions, _, columns = policy.act_batch(obs, recurrent_state={}, action_mask=mask, explore=explore, rng=rng, schedule_step=0)
    return actions, columns


def observations(policy: Any, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random columns as the policy's codec writes them."""
    columns = {}
    for name, (shape, dtype) in policy.observation.columns.items():
        values = rng.integers(0, 255, (count, *shape)) if dtype.kind in "iu" else rng.normal(size=(count, *shape))
        columns[name] = values.astype(dtype)
    return columns


def batch_of(
    policy: Any, rng: np.random.Generator, *, rows: int = 64, length: int = 8, version: int = 0, masked: bool = False
) -> SampleBatch:
    """``rows`` random rows in pieces of ``length``; every third piece terminated, every third truncated, the rest cut."""
    obs = observations(policy, rows, rng)
    mask = None
    if masked:
        mask = rng.random((rows, policy.action.mask_size)) < 0.6
        for part in policy.action.parts:
            if part.n:
                mask[:, part.mask + part.n - 1] = True
    given = obs if policy.observation.structured else obs["obs"]
    actions, columns = act(policy, given, rng, mask=mask)
    offsets = np.append(np.arange(0, rows, length), rows).astype(np.int64)
    last, pieces = offsets[1:] - 1, len(offsets) - 1
    terminateds, truncateds = np.zeros(rows, bool), np.zeros(rows, bool)
    terminateds[last[::3]] = True
    truncateds[last[1::3]] = True
    rewards = rng.normal(size=rows).astype(np.float32)
    table = {
        **obs,
        "actions": actions,
        "rewards": rewards,
        "rewards_discounted": rewards,
        "terminateds": terminateds,
        "truncateds": truncateds,
        "env_steps": np.ones(rows, np.int32),
        "weights_version": np.full(rows, version, np.int64),
        **columns,
    }
    if mask is not None:
        table["action_mask"] = mask
    after = {f"bootstrap_{name}": column for name, column in observations(policy, pieces, rng).items()}
    return SampleBatch(table, offsets, {**after, "bootstrap_valid": np.ones(pieces, bool)}, ("agent_0",))


def multi(batches: dict[str, SampleBatch]) -> MultiAgentBatch:
    count = sum(batch.num_rows for batch in batches.values())
    return MultiAgentBatch(batches, count, count)
