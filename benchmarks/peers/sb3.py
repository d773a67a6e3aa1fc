"""Stable-Baselines3, with SuperSuit where there is more than one agent: ``python -m benchmarks.peers.sb3 W1 SECONDS``."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import supersuit
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.measure import Work
from benchmarks.peers.timed import timed
from benchmarks.w1_simple_spread import GAME

torch.set_num_threads(1)
torch.manual_seed(1)


def model_of(env: Any, *, steps_each: int) -> PPO:
    """SB3's ``MlpPolicy`` is two layers of 64, tanh, for policy and value each: the workloads' own network."""
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=steps_each,
        batch_size=2400,
        n_epochs=4,
        learning_rate=7e-4,
        gamma=0.95,
        gae_lambda=0.95,
        clip_range=0.2,
        ent_coef=0.01,
        seed=None,  # SuperSuit's vector environment cannot be seeded
        device="cpu",
    )
    return model


def measure(workload: str, row: str, env: Any, *, agents: int, steps_each: int, seconds: float, learn: bool) -> None:
    model = model_of(env, steps_each=steps_each)
    _, callback = model._setup_learn(total_timesteps=10**9)
    agent_steps = env.num_envs * steps_each
    work = Work(agent_steps // agents, agent_steps)

    def sample() -> Work:
        model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=steps_each)
        return work

    def train() -> Work:
        sample()
        model.train()
        return work

    timed("sb3", workload, f"{row}: sampling", sample, seconds=seconds)
    if learn:
        timed("sb3", workload, f"{row}: sampling and PPO", train, seconds=seconds)


def vectorized(game: Any, copies: int) -> Any:
    env = supersuit.pettingzoo_env_to_vec_env_v1(game)
    return supersuit.concat_vec_envs_v1(env, copies, num_cpus=0, base_class="stable_baselines3")


def w1(seconds: float) -> None:
    from mpe2 import simple_spread_v3

    for copies in (32, 128):
        env = vectorized(simple_spread_v3.parallel_env(**GAME), copies)
        measure("W1", f"{copies} environments", env, agents=3, steps_each=3200 // copies, seconds=seconds, learn=True)


def w4(seconds: float) -> None:
    for name in ("CartPole-v1", "Pendulum-v1"):
        env = DummyVecEnv([lambda name=name: gymnasium.make(name)] * 64)
        measure("W4", name, env, agents=1, steps_each=100, seconds=seconds, learn=False)


def w5(seconds: float) -> None:
    from benchmarks.peers.toy_in_pettingzoo import ToyInPettingZoo
    from benchmarks.w5_many_agents import AGENT_STEPS, COPIES

    for agents, copies in COPIES.items():
        env = vectorized(ToyInPettingZoo(agents), copies)
        steps_each = max(1, AGENT_STEPS[agents] // (agents * copies))
        measure("W5", f"{agents} agents", env, agents=agents, steps_each=steps_each, seconds=seconds, learn=False)


if __name__ == "__main__":
    {"W1": w1, "W4": w4, "W5": w5}[sys.argv[1]](float(sys.argv[2]))
