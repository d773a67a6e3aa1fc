"""Multi-agent Pendulum: n pendulums, one an agent, all cut off together by the time limit.

Dynamics and costs are those of Gymnasium's ``Pendulum-v1``, step by step to the last bit for float32 actions.

An agent sees ``float32 [3]``: cosine and sine of its angle (0: upright), and its speed. The action
``float32 [1]`` in [-2, 2] is a torque, clipped there. A step costs angle² + 0.1 speed² + 0.001 torque².
Nobody terminates; ``max_steps`` truncates everybody, each with its last observation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import ConfigError, EnvError, Problem

from .drawing import BLACK, RED, canvas, disc, line, side_by_side

MAX_SPEED = 8.0
MAX_TORQUE = 2.0
SECONDS = 0.05
GRAVITY = 10.0
TURN = 2 * math.pi
TORQUE_COST = np.float32(0.001)
TORQUE_GAIN = np.float32(3.0)
START = (math.pi, 1.0)  # angle and speed are drawn from [-START, START]


class Pendulum(BaseMultiAgentEnv):
    """Agents are ``agent_0`` …; with one agent an episode equals Gymnasium's of the same seed.

    Args:
        num_agents: pendulums.
        max_steps: the time limit; None: none, and the episode never ends.
    """

    def __init__(self, num_agents: int = 4, max_steps: int | None = 200) -> None:
        limits = {"num_agents": num_agents, "max_steps": 1 if max_steps is None else max_steps}
        problems = [Problem(key, f"is {value}", "must be at least 1") for key, value in limits.items() if value < 1]
        if problems:
            raise ConfigError(problems)
        high = np.array([1.0, 1.0, MAX_SPEED], np.float32)
        self.possible_agents = [f"agent_{place}" for place in range(num_agents)]
        self.observation_spaces = dict.fromkeys(self.possible_agents, spaces.Box(-high, high, dtype=np.float32))
        self.action_spaces = dict.fromkeys(self.possible_agents, spaces.Box(-MAX_TORQUE, MAX_TORQUE, (1,), np.float32))
        self.metadata = {"name": "pendulum-v1", "render_fps": 30}
        self.render_mode = "rgb_array"
        self._max_steps = math.inf if max_steps is None else max_steps
        self._rng = np.random.default_rng()
        self._pendulums: dict[str, tuple[float, float]] = {}
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode; without a seed the generator of the last episode goes on."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        high = np.array(START)
        start = self._rng.uniform(-high, high, (len(self.possible_agents), 2)).tolist()
        self._pendulums = {agent: (angle, speed) for agent, (angle, speed) in zip(self.possible_agents, start, strict=True)}
        self._steps = 0
        return self._observe(), {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        self._steps += 1
        rewards = {}
        for agent, (angle, speed) in self._pendulums.items():
            torque = _torque(agent, actions)
            tilt = (angle + math.pi) % TURN - math.pi
            # Gymnasium keeps the torque's terms in float32 and takes powers with pow(): so do we, to be equal to the bit.
            rewards[agent] = -(tilt**2 + 0.1 * speed**2 + float(TORQUE_COST * torque**2))
            speed = speed + (3 * GRAVITY / 2 * math.sin(angle) + float(TORQUE_GAIN * torque)) * SECONDS
            speed = min(max(speed, -MAX_SPEED), MAX_SPEED)
            self._pendulums[agent] = (angle + speed * SECONDS, speed)
        over = self._steps >= self._max_steps
        terminateds = {**dict.fromkeys(self.possible_agents, False), "__all__": False}
        truncateds = {**dict.fromkeys(self.possible_agents, over), "__all__": over}
        return self._observe(), rewards, terminateds, truncateds, {}

    def render(self) -> NDArray[np.uint8]:
        """Every agent's pendulum in a grid: ``uint8 [H, W, 3]``."""
        frames = [_draw(self._pendulums.get(agent, (math.pi, 0.0))[0]) for agent in self.possible_agents]
        return side_by_side(frames, math.ceil(math.sqrt(len(frames))))

    def _observe(self) -> AgentDict:
        numbers = [number for angle, speed in self._pendulums.values() for number in (math.cos(angle), math.sin(angle), speed)]
        return dict(zip(self.possible_agents, np.array(numbers, np.float32).reshape(-1, 3), strict=True))


def _torque(agent: str, actions: AgentDict) -> np.float32:
    if agent not in actions:
        raise EnvError(f"pendulum-v1: no action for {agent!r}; every agent acts at every step.")
    given = np.asarray(actions[agent], np.float32)
    if given.shape != (1,) or not math.isfinite(given[0]):
        raise EnvError(f"pendulum-v1: {agent!r} played {actions[agent]!r}; expected one finite number, shape (1,).")
    return np.float32(min(max(given[0], -MAX_TORQUE), MAX_TORQUE))


def _draw(angle: float) -> NDArray[np.uint8]:
    size = 120
    frame = canvas(size, size)
    centre = size / 2
    line(frame, centre, centre, centre - 45 * math.cos(angle), centre + 45 * math.sin(angle), 10, RED)
    disc(frame, centre, centre, 3, BLACK)
    return frame
