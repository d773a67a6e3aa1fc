"""RLlib, new API stack, in one process: ``python -m benchmarks.peers.rllib W1 SECONDS``.

Sampling is its ``MultiAgentEnvRunner`` alone; learning is the whole ``Algorithm``, with runner and learner local. Rates count the CPU
seconds of this process, not those of Ray's own daemons. Fragments are of 3,200 env steps where episodes are short: its runner converts all
finished episodes anew at every step, so that longer fragments would slow it down.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from ray.tune.registry import register_env

from benchmarks.measure import Work
from benchmarks.peers.timed import timed

torch.set_num_threads(1)
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
logging.getLogger("ray").setLevel(logging.ERROR)

NETWORK = DefaultModelConfig(fcnet_hiddens=[64, 64], fcnet_activation="tanh", vf_share_layers=False)


def config_of(
    env: str, *, copies: int, env_steps: int, policies: Mapping[str, Any], mapping: Callable[..., str], modules: Any = None
) -> PPOConfig:
    if modules is None:
        modules = MultiRLModuleSpec(rl_module_specs={name: RLModuleSpec(model_config=NETWORK) for name in policies})
    config = (
        PPOConfig()
        .environment(env)
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=copies,
            rollout_fragment_length=env_steps // copies,
            batch_mode="truncate_episodes",
        )
        .learners(num_learners=0)
        .training(
            lr=7e-4,
            gamma=0.95,
            lambda_=0.95,
            clip_param=0.2,
            entropy_coeff=0.01,
            num_epochs=4,
            minibatch_size=2400,
            train_batch_size_per_learner=env_steps,
        )
        .rl_module(
            rl_module_spec=modules or MultiRLModuleSpec(rl_module_specs={name: RLModuleSpec(model_config=NETWORK) for name in policies})
        )
        .debugging(seed=1, log_level="ERROR")
    )
    return config.multi_agent(policies=set(policies), policy_mapping_fn=mapping) if policies else config


def measure(workload: str, row: str, config: PPOConfig, *, env_steps: int, seconds: float, learn: bool, single: bool = False) -> None:
    runner = (SingleAgentEnvRunner if single else MultiAgentEnvRunner)(config=config)

    def sample() -> Work:
        episodes = runner.sample(num_timesteps=env_steps, random_actions=False)
        return Work(sum(one.env_steps() for one in episodes), sum(one.agent_steps() for one in episodes))

    timed("rllib", workload, f"{row}: sampling", sample, seconds=seconds)
    runner.stop()
    if not learn:
        return
    algorithm = config.build_algo()
    before = {"env": 0, "agent": 0}

    def train() -> Work:
        runners = algorithm.train()["env_runners"]
        env = int(runners["num_env_steps_sampled_lifetime"])
        agent = int(sum(runners["num_agent_steps_sampled_lifetime"].values())) if "num_agent_steps_sampled_lifetime" in runners else env
        work = Work(env - before["env"], agent - before["agent"])
        before.update(env=env, agent=agent)
        return work

    timed("rllib", workload, f"{row}: sampling and PPO", train, seconds=seconds)
    algorithm.stop()
    ray.shutdown()


def shared(agent: Any, episode: Any, **_: Any) -> str:
    return "shared"


def own(agent: Any, episode: Any, **_: Any) -> str:
    return f"policy_{agent}"


def w1(seconds: float) -> None:
    from mpe2 import simple_spread_v3

    from benchmarks.w1_simple_spread import GAME

    register_env("w1", lambda _: ParallelPettingZooEnv(simple_spread_v3.parallel_env(**GAME)))
    config = config_of("w1", copies=32, env_steps=3200, policies={"shared": None}, mapping=shared)
    measure("W1", "32 environments", config, env_steps=3200, seconds=seconds, learn=True)


class TicTacToe(MultiAgentEnv):
    """``tictactoe_v3`` under RLlib's base class, with the observation keys that its masking module reads."""

    def __init__(self, _: Any = None) -> None:
        super().__init__()
        from pettingzoo.classic import tictactoe_v3

        self.game = tictactoe_v3.raw_env()  # without the checking wrappers, which would halve the rate
        self.game.reset(seed=1)
        self.agents = self.possible_agents = list(self.game.possible_agents)
        board = gymnasium.spaces.Box(0.0, 1.0, (18,), np.float32)
        space = gymnasium.spaces.Dict({"action_mask": gymnasium.spaces.Box(0.0, 1.0, (9,), np.float32), "observations": board})
        self.observation_spaces = dict.fromkeys(self.agents, space)
        self.action_spaces = dict.fromkeys(self.agents, gymnasium.spaces.Discrete(9))

    def observe(self, agent: str) -> dict[str, Any]:
        seen = self.game.observe(agent)
        return {"action_mask": seen["action_mask"].astype(np.float32), "observations": seen["observation"].reshape(-1).astype(np.float32)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self.game.reset(seed=seed)
        agent = self.game.agent_selection
        return {agent: self.observe(agent)}, {}

    def step(self, actions: Mapping[str, Any]) -> tuple[Any, ...]:
        self.game.step(int(actions[self.game.agent_selection]))
        over = any(self.game.terminations.values())
        due = self.possible_agents if over else [self.game.agent_selection]
        return {agent: self.observe(agent) for agent in due}, dict(self.game.rewards), {"__all__": over}, {"__all__": False}, {}


def w2(seconds: float) -> None:
    from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule

    register_env("w2", lambda _: TicTacToe())
    masked = RLModuleSpec(
        module_class=ActionMaskingTorchRLModule, model_config={"head_fcnet_hiddens": [64, 64], "head_fcnet_activation": "tanh"}
    )
    modules = MultiRLModuleSpec(rl_module_specs={"shared": masked})
    config = config_of("w2", copies=32, env_steps=3200, policies={"shared": None}, mapping=shared, modules=modules)
    measure("W2", "32 environments", config, env_steps=3200, seconds=seconds, learn=True)


def w3(seconds: float) -> None:
    register_env("w3", lambda _: MultiAgentCartPole({"num_agents": 4}))
    policies = {f"policy_{index}": None for index in range(4)}
    config = config_of("w3", copies=32, env_steps=3200, policies=policies, mapping=own)
    measure("W3", "32 environments", config, env_steps=3200, seconds=seconds, learn=True)


def w4(seconds: float) -> None:
    for name in ("CartPole-v1", "Pendulum-v1"):
        modules = RLModuleSpec(model_config=NETWORK)
        config = config_of(name, copies=64, env_steps=3200, policies={}, mapping=shared, modules=modules)
        measure("W4", name, config, env_steps=3200, seconds=seconds, learn=False, single=True)


def w5(seconds: float) -> None:
    from benchmarks.w5_many_agents import COPIES
    from marl_envs.toy import Toy

    class ToyInRLlib(Toy, MultiAgentEnv):
        def __init__(self, agents: int) -> None:
            MultiAgentEnv.__init__(self)
            Toy.__init__(self, num_agents=agents)
            self.agents = self.possible_agents

        num_agents = property(lambda self: len(self.agents))

    for agents, copies in COPIES.items():
        register_env(f"w5_{agents}", lambda _, agents=agents: ToyInRLlib(agents))
        env_steps = max(copies, 12_800 // agents)
        config = config_of(f"w5_{agents}", copies=copies, env_steps=env_steps, policies={"shared": None}, mapping=shared)
        measure("W5", f"{agents} agents", config, env_steps=env_steps, seconds=seconds, learn=False)


if __name__ == "__main__":
    {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W5": w5}[sys.argv[1]](float(sys.argv[2]))
