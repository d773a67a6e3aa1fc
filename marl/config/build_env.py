"""The run's environment: made, adapted, wrapped and grouped, as its config says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gymnasium import Space

from marl.env import EnvContext
from marl.errors import EnvError
from marl.grouping import with_agent_groups
from marl.registry import make_env
from marl.spaces import agent_spaces


def build_env(
    env: Any,
    env_config: Mapping[str, Any] | None = None,
    wrappers: Sequence[Any] = (),
    groups: Mapping[str, Sequence[Any]] | None = None,
    *,
    worker_index: int = 0,
    vector_index: int = 0,
    num_workers: int = 0,
) -> Any:
    """One copy of a run's environment: ``make_env``, then the wrappers, innermost first, then the groups."""
    context = EnvContext(env_config, worker_index=worker_index, vector_index=vector_index, num_workers=num_workers)
    made = make_env(env, context=context)
    if wrappers:
        made = _wrapped(made, wrappers)
    return with_agent_groups(made, groups) if groups else made


def _wrapped(env: Any, wrappers: Sequence[Any]) -> Any:
    from marl.wrappers import apply_wrappers  # loaded where a run has wrappers

    pairs = [next(iter(spec.items())) if isinstance(spec, Mapping) else (spec, None) for spec in wrappers]
    if not any(callable(wrapper) for wrapper, _ in pairs):
        return apply_wrappers(env, wrappers)
    for wrapper, options in pairs:
        env = wrapper(env, **(options or {})) if callable(wrapper) else apply_wrappers(env, [{wrapper: options}])
    return env


@dataclass(frozen=True)
class AgentsOfEnv:
    """What an environment says of its agents before it is stepped.

    Attributes:
        agents: ``possible_agents`` (or the slots of an array-native environment).
        spaces: agent → (observation space, action space), for those that can be asked now.
    """

    agents: tuple[Any, ...]
    spaces: Mapping[Any, tuple[Space[Any], Space[Any]]]

    def of(self, env: Any, agent: Any) -> tuple[Space[Any], Space[Any]] | None:
        """The spaces of ``agent``, known or asked for; None if the environment states none."""
        return self.spaces.get(agent) or _ask(env, agent)


def agents_of_env(env: Any) -> AgentsOfEnv:
    """The agents of ``env`` and their spaces, in either form of the contract."""
    if hasattr(env, "single_observation_spaces"):
        slots = tuple(env.slots)
        return AgentsOfEnv(slots, {slot: (env.single_observation_spaces[slot], env.single_action_spaces[slot]) for slot in slots})
    agents = tuple(env.possible_agents or ())
    if not agents:  # an open set: those with a space are known all the same
        agents = tuple(getattr(env, "observation_spaces", None) or ())
    asked = {agent: _ask(env, agent) for agent in agents}
    return AgentsOfEnv(agents, {agent: spaces for agent, spaces in asked.items() if spaces is not None})


def _ask(env: Any, agent: Any) -> tuple[Space[Any], Space[Any]] | None:
    try:
        return agent_spaces(env, agent)
    except EnvError:
        return None
