"""What an environment is: the ``MultiAgentEnv`` protocol, its array-native form, and the context of creation.

``reset`` and ``step`` speak in dicts keyed by agent id. An agent is *due* (must act at the next ``step``)
exactly if its id is in the observations just returned and it is not done. Rewards may name any agent at
any step; agents may appear, leave and come back.

Optional members, read where they exist and forwarded by every wrapper and adapter
(:data:`FORWARDED`):

``agents``                 live agents; empty after a step ends the episode (PettingZoo parallel)
``elapsed_ticks``          ticks that the last ``step`` took (absent: 1; a call that only collects a decision: 0)
``next_call_is_decision``  the next ``step`` will take no tick (absent: false)
``global_state()``         what a centralized learner may see; ``state()`` is taken where only that exists
``global_state_space``     its space
``discounts``              ``{agent: (gamma, "tick" | "decision")}`` stated by the environment
``get_state()/set_state()`` JSON and arrays; replaces the replaying of an open episode at restore
``render()``               an RGB frame, ``uint8 [H, W, 3]``
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

AgentID: TypeAlias = Hashable
AgentDict: TypeAlias = dict[Any, Any]
ResetReturn: TypeAlias = tuple[AgentDict, AgentDict]
StepReturn: TypeAlias = tuple[AgentDict, AgentDict, AgentDict, AgentDict, AgentDict]

FORWARDED = (
    "agents",
    "elapsed_ticks",
    "next_call_is_decision",
    "global_state",
    "state",
    "global_state_space",
    "state_space",
    "discounts",
    "render",
    "render_mode",
    "metadata",
    "max_idle_ticks",
)

END_CAUSES = ("none", "env_terminated", "env_truncated", "goal", "clock", "parent", "abnormal")
"""Why a life ended; a row's ``end_cause`` is an index into this tuple (0, "none": the row ends no life)."""


@runtime_checkable
class MultiAgentEnv(Protocol):
    """Whatever has these members is a multi-agent environment.

    ``observation_spaces`` and ``action_spaces`` may be missing where ``observation_space(agent)`` and
    ``action_space(agent)`` exist (PettingZoo's style); :func:`marl.spaces.agent_spaces` reads either.
    """

    possible_agents: Any

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode: ``(observations, infos)`` of the agents that are due first."""
        ...

    def step(self, actions: AgentDict, /) -> StepReturn:
        """Advance: ``(observations, rewards, terminateds, truncateds, infos)``, each keyed by agent id.

        ``actions`` holds exactly the due agents. ``terminateds["__all__"]`` or ``truncateds["__all__"]``
        ends the episode for everyone.
        """
        ...


class BaseMultiAgentEnv:
    """A convenient base for environments of one's own: spaces as dicts, no-op ``close``, grouping as a method.

    Set ``possible_agents``, ``observation_spaces`` and ``action_spaces`` in ``__init__``.
    """

    possible_agents: list[Any]
    observation_spaces: dict[Any, Space[Any]]
    action_spaces: dict[Any, Space[Any]]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        raise NotImplementedError

    def step(self, actions: AgentDict, /) -> StepReturn:
        raise NotImplementedError

    def close(self) -> None:
        """Free what the environment holds."""

    def with_agent_groups(
        self,
        groups: Mapping[str, list[Any]],
        obs_space: Space[Any] | None = None,
        act_space: Space[Any] | None = None,
    ) -> Any:
        """This environment with each group acting as one agent (see :func:`marl.with_agent_groups`)."""
        from marl.grouping import with_agent_groups  # grouping stands on a higher floor; only this method reaches up

        return with_agent_groups(self, groups, obs_space, act_space)


class EnvContext(dict[str, Any]):
    """The ``env_config`` of a run, as a dict, with the place of the copy that is being made.

    ``worker_index`` is 0 in this process and 1..n elsewhere; ``vector_index`` counts the copies of a worker.
    """

    def __init__(
        self, config: Mapping[str, Any] | None = None, *, worker_index: int = 0, vector_index: int = 0, num_workers: int = 0
    ) -> None:
        super().__init__(config or {})
        self.worker_index = worker_index
        self.vector_index = vector_index
        self.num_workers = num_workers


@dataclass
class VectorStep:
    """What E copies with A agent slots return at once. Arrays may be reused by the next step: the caller copies.

    ``obs`` is an array ``[E, A, ...]``, or a tuple of arrays ``[E, A_g, ...]``, one per space group. It
    is already the first observation of the next episode where ``episode_ended``.
    """

    obs: Any
    rewards: NDArray[np.floating[Any]]  # [E, A]
    terminateds: NDArray[np.bool_]  # [E, A]
    truncateds: NDArray[np.bool_]  # [E, A]
    acting: NDArray[np.bool_]  # [E, A] due at the next step
    new_life: NDArray[np.bool_]  # [E, A] this observation begins a life
    episode_ended: NDArray[np.bool_]  # [E]
    action_masks: Any = None  # [E, A, n] or one per space group
    final_obs: Any = None  # [E, A, ...] true last observations, read where final_mask
    final_mask: NDArray[np.bool_] | None = None  # [E, A]
    elapsed_ticks: NDArray[np.integer[Any]] | None = None  # [E]; None: 1 each
    global_state: Any = None  # [E, ...]
    final_global_state: Any = None
    end_cause: NDArray[np.integer[Any]] | None = None  # [E, A], indices into END_CAUSES
    critic_obs: Any = None
    final_critic_obs: Any = None
    infos: dict[str, NDArray[Any]] = field(default_factory=dict)  # scalar keys, [E, A]


@runtime_checkable
class VectorMultiAgentEnv(Protocol):
    """An array-native environment: E copies of a game with A agent slots, stepped by one call."""

    num_envs: int
    slots: tuple[Any, ...]
    single_observation_spaces: dict[Any, Space[Any]]
    single_action_spaces: dict[Any, Space[Any]]

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        """Begin an episode in every copy (or in those of ``mask`` [E]), copy e with ``seed[e]``."""
        ...

    def step(
        self,
        actions: Any,
        *,
        active: NDArray[np.bool_] | None = None,
        next_seeds: NDArray[np.int64],
        next_options: Any = None,
    ) -> VectorStep:
        """Advance by one tick. A copy that ends resets itself with ``next_seeds[e]``; inactive copies stand still."""
        ...
