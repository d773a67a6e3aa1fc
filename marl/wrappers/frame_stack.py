"""FrameStack: the last n observations of a life, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from marl.errors import Problem
from marl.wrappers.base import refuse, whole
from marl.wrappers.observing import ObservationWrapper, check_agents, needs_box


class FrameStack(ObservationWrapper):
    """Stacks n frames along the last axis, oldest first: ``[d]`` becomes ``[n d]``, an image ``[H, W, C]`` becomes ``[H, W, n C]``.

    Frames are those that the agent itself saw in this life; the first one fills the stack.

    Args:
        env: the inner environment.
        n: frames, at least 1.
        agents: ids or patterns; None: all.
    """

    def __init__(self, env: Any, n: int = 4, agents: Sequence[str] | None = None) -> None:
        refuse(self.check_options(n, agents))
        self._n = n
        self._frames: dict[Any, list[NDArray[Any]]] = {}
        super().__init__(env, agents)

    @staticmethod
    def check_options(n: int = 4, agents: Sequence[str] | None = None) -> list[Problem]:
        """Every problem of the options."""
        return whole("n", n, 1) + check_agents(agents)

    def map_space(self, agent: Any, space: Space[Any]) -> Space[Any]:
        box = needs_box("frame_stack", agent, space)
        low, high = (np.concatenate([bound] * self._n, axis=-1) for bound in (box.low, box.high))
        return spaces.Box(low, high, dtype=box.dtype.type)

    def map_observation(self, agent: Any, observation: Any, *, final: bool) -> NDArray[Any]:
        newest = np.array(observation)  # a copy: it will be looked at again when the environment has moved on
        frames = self._frames.get(agent)
        frames = [newest] * self._n if frames is None else [*frames[1:], newest]
        if not final:
            self._frames[agent] = frames
        return np.concatenate(frames, axis=-1)

    def end_life(self, agent: Any) -> None:
        self._frames.pop(agent, None)

    def end_all_lives(self) -> None:
        self._frames.clear()

    def own_state(self) -> dict[str, Any]:
        return {"agents": list(self._frames), "frames": [np.stack(frames) for frames in self._frames.values()]}

    def set_own_state(self, state: dict[str, Any]) -> None:
        self._frames = {agent: list(np.asarray(frames)) for agent, frames in zip(state["agents"], state["frames"], strict=True)}
