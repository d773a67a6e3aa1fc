"""Gymnasium environments as ours: one agent, ``agent_0``; and many copies as the agents of one game.

``make_env("gymnasium/CartPole-v1", {"max_episode_steps": 200})`` is ``gymnasium.make`` without its checking
wrappers; time limits stay. The observation that comes with an end is that agent's final observation.
"""

from __future__ import annotations

import copy
import difflib
import importlib
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium
import numpy as np

from marl.env import AgentDict, BaseMultiAgentEnv, EnvContext, ResetReturn, StepReturn
from marl.errors import ConfigError, EnvError, PluginError, Problem
from marl.registry import Adapter, creation_rule
from marl_envs.forwarding import EVERYTHING, forward

AGENT = "agent_0"
PREFIX = "gymnasium"


class GymnasiumEnv(BaseMultiAgentEnv):
    """A Gymnasium environment whose one agent is ``agent_0``.

    ``env`` is the environment inside (its time limit included) and ``single_agent`` says that there is nobody
    else: a caller that knows both may step ``env`` itself.
    """

    single_agent = True
    agent = AGENT

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env
        self.possible_agents = [AGENT]
        self.observation_spaces = {AGENT: env.observation_space}
        self.action_spaces = {AGENT: env.action_space}
        self.metadata = env.metadata
        self.render_mode = env.render_mode
        self.unwrapped = env.unwrapped
        self._step = env.step
        forward(self, "unwrapped", EVERYTHING)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observation, info = self.env.reset(seed=seed, options=options)
        forward(self, "unwrapped", EVERYTHING)  # members that came with the first reset
        return {AGENT: observation}, {AGENT: info}

    def step(self, actions: AgentDict, /) -> StepReturn:
        observation, reward, terminated, truncated, info = self._step(actions[AGENT])
        return (
            {AGENT: observation},
            {AGENT: reward},
            {AGENT: terminated, "__all__": terminated},
            {AGENT: truncated, "__all__": truncated},
            {AGENT: info} if info else {},
        )

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    def __repr__(self) -> str:
        return f"GymnasiumEnv({self.env})"


class CopiesEnv(BaseMultiAgentEnv):
    """``num_agents`` copies of one Gymnasium environment, an agent each: ``agent_0``, ``agent_1``, ….

    Every copy has a seed of its own, derived from the episode's. A copy's end is its agent's; the episode
    ends with the last one.
    """

    def __init__(self, envs: list[gymnasium.Env[Any, Any]]) -> None:
        self.envs = {f"agent_{index}": env for index, env in enumerate(envs)}
        self.possible_agents = list(self.envs)
        self.observation_spaces = {agent: env.observation_space for agent, env in self.envs.items()}
        self.action_spaces = {agent: env.action_space for agent, env in self.envs.items()}
        self.metadata = envs[0].metadata
        self.render_mode = envs[0].render_mode
        self.agents: list[str] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        self.agents = list(self.envs)
        seeds: list[int] | list[None] = [None] * len(self.envs)
        if seed is not None:
            seeds = (np.random.SeedSequence(seed).generate_state(len(self.envs)) >> 1).tolist()
        observations, infos = {}, {}
        for one, (agent, env) in zip(seeds, self.envs.items(), strict=True):
            observations[agent], infos[agent] = env.reset(seed=one, options=options)
        return observations, infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = {}, {}, {}, {}, {}
        for agent in self.agents:
            if agent not in actions:
                raise EnvError(f"no action for {agent!r}, which is due; expected actions of {self.agents}.")
            observations[agent], rewards[agent], terminated, truncated, info = self.envs[agent].step(actions[agent])
            terminateds[agent], truncateds[agent] = terminated, truncated
            if info:
                infos[agent] = info
        self.agents = [agent for agent in self.agents if not (terminateds[agent] or truncateds[agent])]
        over = not self.agents
        terminateds["__all__"] = over and not all(truncateds.values())
        truncateds["__all__"] = over and all(truncateds.values())
        return observations, rewards, terminateds, truncateds, infos

    def render(self) -> Any:
        """The live copies' frames side by side, ``[H, W·n, 3]``; the last copies' frame once all have ended."""
        frames: list[Any] = [self.envs[agent].render() for agent in self.agents or self.possible_agents]
        return np.concatenate(frames, axis=1)

    def close(self) -> None:
        for env in self.envs.values():
            env.close()


def make_multi_agent(env: str | Callable[..., gymnasium.Env[Any, Any]]) -> Callable[[EnvContext], CopiesEnv]:
    """A creator of environments with ``num_agents`` copies of ``env`` (``env_config.num_agents``, default 1).

    Args:
        env: a Gymnasium id (``"CartPole-v1"``) or a creator; it gets the rest of ``env_config``, by the rule of
            creation in :mod:`marl.registry`.
    """
    title = env if isinstance(env, str) else getattr(env, "__qualname__", repr(env))

    def create(config: EnvContext) -> CopiesEnv:
        settings = dict(config)
        num_agents = settings.pop("num_agents", 1)
        if not isinstance(num_agents, int) or isinstance(num_agents, bool) or num_agents < 1:
            raise ConfigError([Problem("env_config.num_agents", f"expected an integer ≥ 1, found {num_agents!r}", "say how many copies")])
        return CopiesEnv([_make_one(settings, config) for _ in range(num_agents)])

    def _make_one(settings: dict[str, Any], context: EnvContext) -> gymnasium.Env[Any, Any]:
        if isinstance(env, str):
            return _gymnasium_make(env, settings)
        if creation_rule(env) == "keywords":
            return env(**settings)
        place = {"worker_index": context.worker_index, "vector_index": context.vector_index, "num_workers": context.num_workers}
        return env(EnvContext(settings, **place))

    create.__qualname__ = f"make_multi_agent({title})"
    return create


def _gymnasium_make(env_id: str, settings: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """``gymnasium.make`` without its checking wrappers, whose checks are ``check_env``'s; all other wrappers stay."""
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    spec = gymnasium.registry.get(name)
    if spec is None:
        return gymnasium.make(name, **settings)  # no version in the name, or an unknown name: Gymnasium's word
    spec = copy.deepcopy(spec)
    spec.order_enforce = False
    return gymnasium.make(spec, **{"disable_env_checker": True, **settings})


def _adapt(env: Any, context: EnvContext) -> GymnasiumEnv:
    if not isinstance(env, str):
        return GymnasiumEnv(env)
    env_id = env.removeprefix(f"{PREFIX}/")
    try:
        return GymnasiumEnv(_gymnasium_make(env_id, dict(context)))
    except gymnasium.error.DependencyNotInstalled as error:
        raise PluginError(f"environment {env!r} needs a library that is not installed: {error}") from error
    except gymnasium.error.Error as error:
        if env_id.rpartition(":")[2] in gymnasium.registry:
            raise
        near = difflib.get_close_matches(env, list(_names()), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " One that a module registers is gymnasium/module:Name-v0."
        raise PluginError(f"no Gymnasium environment is called {env_id!r} ({error}).{hint}") from error


def _matches(env: Any) -> bool:
    """Gymnasium's, unless it is of many agents (RLlib's MultiAgentEnv is a gymnasium.Env too)."""
    if not isinstance(env, gymnasium.Env) or hasattr(env, "possible_agents"):
        return False
    return not any(base.__name__ == "MultiAgentEnv" for base in type(env).__mro__)


def _names() -> Iterable[str]:
    return [f"{PREFIX}/{name}" for name in gymnasium.registry]


ADAPTER = Adapter(PREFIX, _matches, _adapt, names=_names)
