"""Environments written for RLlib's ``MultiAgentEnv``, unmodified; Ray itself is not imported.

``reset`` and ``step`` speak our contract already. What differs from version to version is where agents and
spaces stand: ``possible_agents`` and ``observation_spaces``; or only ``_agent_ids`` and one
``observation_space``, which is each agent's, or a Dict with an entry per agent; or ``get_observation_space``.
"""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

from marl.env import AgentDict, BaseMultiAgentEnv, EnvContext, ResetReturn, StepReturn
from marl.errors import EnvError, PluginError
from marl.registry import Adapter
from marl_envs.forwarding import EVERYTHING, forward

BASE = "MultiAgentEnv"


class RLlibEnv(BaseMultiAgentEnv):
    """An RLlib environment as ours. ``agents`` is not passed on: RLlib's end is ``__all__``, and the attribute often stale."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.possible_agents = _agents(env)
        self.observation_spaces = {agent: self.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: self.action_space(agent) for agent in self.possible_agents}
        self.metadata = getattr(env, "metadata", {})
        self.render_mode = getattr(env, "render_mode", None)
        forward(self, "env", EVERYTHING)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        forward(self, "env", EVERYTHING)  # members that came with the first reset
        return observations, infos or {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        return self.env.step(actions)  # type: ignore[no-any-return]

    def observation_space(self, agent: Any) -> spaces.Space[Any]:
        return _space(self.env, agent, "observation")

    def action_space(self, agent: Any) -> spaces.Space[Any]:
        return _space(self.env, agent, "action")

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    def __repr__(self) -> str:
        return f"RLlibEnv({self.env})"


def _agents(env: Any) -> list[Any]:
    """All agents that may appear, from the first place that names any.

    RLlib's base class lists the set ``_agent_ids`` in whatever order it has in this process; those are sorted,
    so that runs and their resumption agree.
    """
    unordered = set(getattr(env, "_agent_ids", None) or ())
    for name in ("possible_agents", "agents", "_agent_ids"):
        found = getattr(env, name, None)
        if found:
            return sorted(found, key=str) if set(found) == unordered else list(found)
    for table in (getattr(env, "observation_spaces", None), getattr(env, "observation_space", None)):
        if isinstance(table, (dict, spaces.Dict)):
            return list(table)
    return []


def _space(env: Any, agent: Any, kind: str) -> spaces.Space[Any]:
    table = getattr(env, f"{kind}_spaces", None)
    if table is not None and agent in table:
        return table[agent]  # type: ignore[no-any-return]
    one = getattr(env, f"{kind}_space", None)
    if isinstance(one, spaces.Dict) and agent in one.spaces:
        return one[agent]
    if isinstance(one, spaces.Space):
        return one
    ask = getattr(env, f"get_{kind}_space", None)
    space = ask(agent) if ask is not None else None
    if space is None:
        raise EnvError(
            f"{type(env).__name__} states no {kind} space for agent {agent!r}; expected an entry in {kind}_spaces, a {kind}_space, "
            f"or get_{kind}_space(agent)."
        )
    return space  # type: ignore[no-any-return]


def _matches(env: Any) -> bool:
    return any(base.__name__ == BASE and base.__module__.startswith("ray.rllib.") for base in type(env).__mro__)


def _adapt(env: Any, context: EnvContext) -> RLlibEnv:
    if isinstance(env, str):
        raise PluginError(f"{env!r}: RLlib's environments have no names of their own; give module.path:EnvClass, or register_env.")
    return RLlibEnv(env)


ADAPTER = Adapter("rllib", _matches, _adapt)
