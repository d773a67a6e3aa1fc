"""The corridor: walk right until the exit. One agent, or several that walk each in a corridor of its own.

Rules after the ``SimpleCorridor`` of RLlib's custom-environment example.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import ConfigError, EnvError, Problem

from .drawing import BLACK, BLUE, GREEN, GREY, canvas, disc, rectangle

CELL_PIXELS = 24


class Corridor(BaseMultiAgentEnv):
    """Each agent starts at cell 0 and sees its own cell, ``float32 [1]``. Action 0 goes left (not past 0), 1 right.

    A step pays -0.1; the step that reaches cell ``length`` pays 1 and terminates that agent with
    ``end_cause`` "goal". The episode ends with the last agent.

    Args:
        length: the exit's cell.
        num_agents: walkers ``agent_0`` … .
        max_steps: truncates whoever still walks, with its last observation; None: no limit.
    """

    def __init__(self, length: int = 5, num_agents: int = 1, max_steps: int | None = None) -> None:
        limits = {"length": length, "num_agents": num_agents, "max_steps": 1 if max_steps is None else max_steps}
        problems = [Problem(key, f"is {value}", "must be at least 1") for key, value in limits.items() if value < 1]
        if problems:
            raise ConfigError(problems)
        self._length = length
        self._max_steps = max_steps
        self.possible_agents = [f"agent_{place}" for place in range(num_agents)]
        self.observation_spaces = dict.fromkeys(self.possible_agents, spaces.Box(0.0, float(length), (1,), np.float32))
        self.action_spaces = dict.fromkeys(self.possible_agents, spaces.Discrete(2))
        self.metadata = {"name": "corridor-v1", "render_fps": 10}
        self.render_mode = "rgb_array"
        self._cells: dict[str, int] = {}
        self._walking: list[str] = []
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode. Nothing is drawn: the seed makes no difference."""
        self._cells = dict.fromkeys(self.possible_agents, 0)
        self._walking = list(self.possible_agents)
        self._steps = 0
        return {agent: self._seen_by(agent) for agent in self._walking}, {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        self._steps += 1
        late = self._max_steps is not None and self._steps >= self._max_steps
        walked = self._walking
        for agent in walked:
            if agent not in actions or int(actions[agent]) not in (0, 1):
                raise EnvError(f"corridor-v1: {agent!r} played {actions.get(agent)!r}; 0 goes left, 1 goes right.")
            move = 1 if int(actions[agent]) == 1 else -1
            self._cells[agent] = max(self._cells[agent] + move, 0)
        terminateds = {agent: self._cells[agent] >= self._length for agent in walked}
        truncateds = {agent: late and not terminateds[agent] for agent in walked}
        rewards = {agent: 1.0 if terminateds[agent] else -0.1 for agent in walked}
        infos = {agent: {"end_cause": "goal"} for agent in walked if terminateds[agent]}
        self._walking = [agent for agent in walked if not (terminateds[agent] or truncateds[agent])]
        over = not self._walking
        cut_off = any(truncateds.values())
        terminateds["__all__"] = over and not cut_off
        truncateds["__all__"] = over and cut_off
        return {agent: self._seen_by(agent) for agent in walked}, rewards, terminateds, truncateds, infos

    def render(self) -> NDArray[np.uint8]:
        """One row of cells an agent, the exit in green: ``uint8 [24 agents, 24 (length + 1), 3]``."""
        rows, columns = len(self.possible_agents), self._length + 1
        frame = canvas(rows * CELL_PIXELS, columns * CELL_PIXELS)
        rectangle(frame, 0, self._length * CELL_PIXELS, frame.shape[0], frame.shape[1], GREEN)
        frame[::CELL_PIXELS] = GREY
        frame[:, ::CELL_PIXELS] = GREY
        for row, agent in enumerate(self.possible_agents):
            colour = BLUE if agent in self._walking else BLACK
            cell = self._cells.get(agent, 0)
            disc(frame, (row + 0.5) * CELL_PIXELS, (cell + 0.5) * CELL_PIXELS, CELL_PIXELS * 0.35, colour)
        return frame

    def _seen_by(self, agent: str) -> NDArray[np.float32]:
        return np.array([self._cells[agent]], np.float32)
