"""AgentId: who am I, appended to the observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from marl.errors import ConfigError, Problem
from marl.wrappers.base import refuse
from marl.wrappers.observing import ObservationWrapper, check_agents, needs_box


class AgentId(ObservationWrapper):
    """Appends a one-hot of the agent's place in ``possible_agents``, so that one shared policy can play different parts.

    ``[d]`` becomes ``[d + n]``. Observations that are not vectors are flattened first (by gymnasium's own
    rules); images are refused, since flattening would take them from a convolution.

    Args:
        env: the inner environment.
        agents: ids or patterns of the agents that are numbered and get their number; None: all of ``possible_agents``.
    """

    def __init__(self, env: Any, agents: Sequence[str] | None = None) -> None:
        refuse(self.check_options(agents))
        self._inner: dict[Any, Space[Any]] = {}
        self._one_hots: dict[Any, NDArray[Any]] = {}
        super().__init__(env, agents)

    @staticmethod
    def check_options(agents: Sequence[str] | None = None) -> list[Problem]:
        """Every problem of the options."""
        return check_agents(agents)

    def map_space(self, agent: Any, space: Space[Any]) -> Space[Any]:
        if isinstance(space, spaces.Box) and len(space.shape) > 1 and space.dtype == np.uint8:
            wrong = f"{agent!r} observes images {space.shape}, which a number cannot be appended to"
            raise ConfigError([Problem("agent_id", wrong, "name the agents without images with agents: [...]")])
        box = needs_box("agent_id", agent, spaces.flatten_space(space), "something that can be flattened to a Box")
        self._inner[agent] = space
        self._one_hots[agent] = number = self._one_hot(agent, box.dtype)
        low = np.concatenate([box.low, np.zeros_like(number)])
        high = np.concatenate([box.high, np.ones_like(number)])
        return spaces.Box(low, high, dtype=box.dtype.type)

    def map_observation(self, agent: Any, observation: Any, *, final: bool) -> NDArray[Any]:
        flat = observation if np.ndim(observation) == 1 else spaces.flatten(self._inner[agent], observation)
        return np.concatenate([np.asarray(flat), self._one_hots[agent]])

    def _one_hot(self, agent: Any, dtype: Any) -> NDArray[Any]:
        numbered = [one for one in self.env.possible_agents if self._applies(one)]
        if agent not in numbered:
            wrong = f"{agent!r} is not in possible_agents {numbered}, so it has no number"
            raise ConfigError([Problem("agent_id", wrong, "let the environment name every agent in possible_agents")])
        return np.asarray(np.arange(len(numbered)) == numbered.index(agent), dtype)
