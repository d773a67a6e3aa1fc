"""Multi-agent CartPole: n poles, one an agent; each falls by itself, the episode ends with the last.

Source: A. G. Barto, R. S. Sutton and C. W. Anderson, "Neuronlike adaptive elements that can solve difficult
learning control problems", 1983; dynamics and limits those of Gymnasium's ``CartPole-v1``, in float64, step
by step to the last bit.

An agent sees ``float32 [4]``: cart position, cart velocity, pole angle, pole velocity. Action 0 pushes left,
1 right. Every step pays 1, the last one included. A pole that tilts beyond 12 degrees or a cart beyond 2.4
terminates its agent; ``max_steps`` truncates all that still stand, each with its last observation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn, VectorStep
from marl.errors import ConfigError, EnvError, Problem

from .drawing import BLACK, BROWN, GREY, canvas, line, rectangle, side_by_side

GRAVITY = 9.8
MASS_POLE = 0.1
TOTAL_MASS = 0.1 + 1.0
HALF_LENGTH = 0.5
POLE_MASS_LENGTH = MASS_POLE * HALF_LENGTH
FORCE = 10.0
SECONDS = 0.02
MAX_ANGLE = 12 * 2 * math.pi / 360
MAX_POSITION = 2.4
START = 0.05  # each of the four numbers is drawn from [-START, START]


def observation_space() -> spaces.Box:
    """``float32 [4]``; the bounds of Gymnasium's ``CartPole-v1``."""
    high = np.array([MAX_POSITION * 2, np.inf, MAX_ANGLE * 2, np.inf], np.float32)
    return spaces.Box(-high, high, dtype=np.float32)


def global_state_space(num_agents: int) -> spaces.Box:
    """``float32 [5 n]``: every agent's four numbers, then who stands (1) and who is done (0)."""
    high = np.concatenate([np.tile(observation_space().high, num_agents), np.ones(num_agents, np.float32)])
    low = np.concatenate([np.tile(observation_space().low, num_agents), np.zeros(num_agents, np.float32)])
    return spaces.Box(low, high, dtype=np.float32)


class CartPole(BaseMultiAgentEnv):
    """The dict form. Agents are ``agent_0`` …; with one agent an episode equals Gymnasium's of the same seed.

    Args:
        num_agents: poles.
        max_steps: the time limit; None: none.
    """

    def __init__(self, num_agents: int = 4, max_steps: int | None = 500) -> None:
        _check(num_agents, max_steps)
        self.possible_agents = [f"agent_{place}" for place in range(num_agents)]
        self.observation_spaces = dict.fromkeys(self.possible_agents, observation_space())
        self.action_spaces = dict.fromkeys(self.possible_agents, spaces.Discrete(2))
        self.global_state_space = global_state_space(num_agents)
        self.metadata = {"name": "cartpole-v1", "render_fps": 50}
        self.render_mode = "rgb_array"
        self._max_steps = math.inf if max_steps is None else max_steps
        self._rng = np.random.default_rng()
        self._poles: dict[str, tuple[float, float, float, float]] = {}
        self._standing: list[str] = []
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode; without a seed the generator of the last episode goes on."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        start = self._rng.uniform(-START, START, (len(self.possible_agents), 4))
        self._poles = {agent: (x, v, angle, spin) for agent, (x, v, angle, spin) in zip(self.possible_agents, start.tolist(), strict=True)}
        self._standing = list(self.possible_agents)
        self._steps = 0
        return dict(zip(self.possible_agents, start.astype(np.float32), strict=True)), {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        self._steps += 1
        poles = self._poles
        acted = self._standing
        numbers: list[float] = []
        fallen: list[str] = []
        for agent in acted:
            x, v, angle, spin = poles[agent]
            cos, sin = math.cos(angle), math.sin(angle)
            temp = (_push(agent, actions) + POLE_MASS_LENGTH * (spin * spin) * sin) / TOTAL_MASS
            angular = (GRAVITY * sin - cos * temp) / (HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * (cos * cos) / TOTAL_MASS))
            linear = temp - POLE_MASS_LENGTH * angular * cos / TOTAL_MASS
            x += SECONDS * v
            v += SECONDS * linear
            angle += SECONDS * spin
            spin += SECONDS * angular
            poles[agent] = pole = (x, v, angle, spin)
            numbers += pole
            if not (-MAX_POSITION <= x <= MAX_POSITION and -MAX_ANGLE <= angle <= MAX_ANGLE):
                fallen.append(agent)

        # One conversion for all is cheaper than an array an agent; the block is new at each step.
        observations = dict(zip(acted, np.array(numbers, np.float32).reshape(-1, 4), strict=True))
        rewards = dict.fromkeys(acted, 1.0)
        terminateds = dict.fromkeys(acted, False)
        truncateds = dict.fromkeys(acted, False)
        for agent in fallen:
            terminateds[agent] = True
        if fallen:
            self._standing = [agent for agent in acted if not terminateds[agent]]
        cut_off = self._steps >= self._max_steps and bool(self._standing)
        if cut_off:
            truncateds.update(dict.fromkeys(self._standing, True))
            self._standing = []
        terminateds["__all__"] = not self._standing and not cut_off
        truncateds["__all__"] = cut_off
        return observations, rewards, terminateds, truncateds, {}

    def global_state(self) -> NDArray[np.float32]:
        """``float32 [5 n]``, see :func:`global_state_space`; an agent that is done shows its last numbers."""
        numbers = [number for pole in self._poles.values() for number in pole]
        return np.array(numbers + [float(agent in self._standing) for agent in self.possible_agents], np.float32)

    def render(self) -> NDArray[np.uint8]:
        """Every agent's cart in a grid, those that are done greyed: ``uint8 [H, W, 3]``."""
        frames = [_draw(self._poles.get(agent, (0.0, 0.0, 0.0, 0.0)), agent in self._standing) for agent in self.possible_agents]
        return side_by_side(frames, math.ceil(math.sqrt(len(frames))))


class VectorCartPole:
    """The array-native form (:class:`marl.env.VectorMultiAgentEnv`): E copies of n poles, equal to :class:`CartPole` bit by bit.

    Args:
        num_envs: copies.
        num_agents, max_steps: as in :class:`CartPole`.
        with_global_state: also write ``global_state`` [E, 5 n].
    """

    can_hold = True

    def __init__(self, num_envs: int = 32, num_agents: int = 4, max_steps: int | None = 500, with_global_state: bool = False) -> None:
        _check(num_agents, max_steps)
        self.num_envs = num_envs
        self.slots = tuple(f"agent_{place}" for place in range(num_agents))
        self.single_observation_spaces = dict.fromkeys(self.slots, observation_space())
        self.single_action_spaces = dict.fromkeys(self.slots, spaces.Discrete(2))
        self.global_state_space = global_state_space(num_agents)
        self.metadata = {"name": "cartpole-v1"}
        self._max_steps = math.inf if max_steps is None else max_steps
        self._with_global_state = with_global_state
        self._poles = np.zeros((4, num_envs, num_agents))  # position, velocity, angle, spin
        self._standing = np.zeros((num_envs, num_agents), bool)
        self._steps = np.zeros(num_envs, np.int64)
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        """Begin an episode in every copy, or in those of ``mask`` [E]; copy e with ``seed[e]``."""
        begun = np.ones(self.num_envs, bool) if mask is None else mask
        self._begin(begun, seed)
        nothing = np.zeros(self._standing.shape, bool)
        return VectorStep(
            obs=self._observe(),
            rewards=np.zeros(self._standing.shape),
            terminateds=nothing,
            truncateds=nothing,
            acting=self._standing.copy(),
            new_life=np.repeat(begun[:, None], len(self.slots), axis=1),
            episode_ended=np.zeros(self.num_envs, bool),
            global_state=self._global_state(),
        )

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        *,
        active: NDArray[np.bool_] | None = None,
        next_seeds: NDArray[np.int64],
        next_options: Any = None,
    ) -> VectorStep:
        """Advance by one step. ``actions`` is ``int [E, n]``; entries of agents that are done are not read."""
        active = np.ones(self.num_envs, bool) if active is None else active
        acted = self._standing & active[:, None]
        actions = np.where(acted, actions, 0)
        if not ((actions == 0) | (actions == 1)).all():
            raise EnvError("cartpole-v1: an action is neither 0 (left) nor 1 (right).")
        self._steps += active
        moved = _moved(self._poles, np.where(actions == 1, FORCE, -FORCE))
        np.copyto(self._poles, moved, where=acted)
        x, _, angle, _ = self._poles
        terminateds = acted & ~((np.abs(x) <= MAX_POSITION) & (np.abs(angle) <= MAX_ANGLE))
        truncateds = acted & ~terminateds & (self._steps >= self._max_steps)[:, None]
        final_mask = terminateds | truncateds
        self._standing &= ~final_mask
        ended = active & ~self._standing.any(axis=1)
        final_obs, final_global_state = self._observe(), self._global_state()
        obs, global_state = final_obs, final_global_state
        if ended.any():
            self._begin(ended, next_seeds)
            obs, global_state = self._observe(), self._global_state()
        return VectorStep(
            obs=obs,
            rewards=acted.astype(np.float64),
            terminateds=terminateds,
            truncateds=truncateds,
            acting=self._standing.copy(),
            new_life=np.repeat(ended[:, None], len(self.slots), axis=1),
            episode_ended=ended,
            final_obs=final_obs,
            final_mask=final_mask,
            elapsed_ticks=active.astype(np.int64),
            global_state=global_state,
            final_global_state=final_global_state,
        )

    def get_state(self) -> dict[str, Any]:
        """All copies' open episodes. Their generators are not in it: every episode is begun with a seed."""
        return {"poles": self._poles.copy(), "standing": self._standing.copy(), "steps": self._steps.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`get_state` was called."""
        self._poles[:], self._standing[:], self._steps[:] = state["poles"], state["standing"], state["steps"]

    def close(self) -> None:
        """Nothing is held."""

    def _begin(self, begun: NDArray[np.bool_], seeds: NDArray[np.int64] | None) -> None:
        for copy in np.flatnonzero(begun).tolist():
            if seeds is not None:
                self._rngs[copy] = np.random.default_rng(int(seeds[copy]))
            self._poles[:, copy] = self._rngs[copy].uniform(-START, START, (len(self.slots), 4)).T
        self._standing[begun] = True
        self._steps[begun] = 0

    def _observe(self) -> NDArray[np.float32]:
        return np.moveaxis(self._poles, 0, -1).astype(np.float32, order="C")  # [E, n, 4]

    def _global_state(self) -> NDArray[np.float32] | None:
        if not self._with_global_state:
            return None
        numbers = np.moveaxis(self._poles, 0, -1).reshape(self.num_envs, -1)
        return np.concatenate([numbers, self._standing], axis=1).astype(np.float32)


def _moved(poles: NDArray[np.float64], force: NDArray[np.float64]) -> NDArray[np.float64]:
    """One Euler step of ``poles`` [4, ...]; the same operations in the same order as in ``CartPole.step``."""
    x, v, angle, spin = poles
    cos, sin = np.cos(angle), np.sin(angle)
    temp = (force + POLE_MASS_LENGTH * (spin * spin) * sin) / TOTAL_MASS
    angular = (GRAVITY * sin - cos * temp) / (HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * (cos * cos) / TOTAL_MASS))
    linear = temp - POLE_MASS_LENGTH * angular * cos / TOTAL_MASS
    return np.stack([x + SECONDS * v, v + SECONDS * linear, angle + SECONDS * spin, spin + SECONDS * angular])


def _push(agent: str, actions: AgentDict) -> float:
    try:
        action = actions[agent]
    except KeyError:
        raise EnvError(f"cartpole-v1: no action for {agent!r}, whose pole still stands; it must act at every step.") from None
    if action == 1:
        return FORCE
    if action == 0:
        return -FORCE
    raise EnvError(f"cartpole-v1: {agent!r} played {action!r}; legal are 0 (left) and 1 (right).")


def _check(num_agents: int, max_steps: int | None) -> None:
    limits = {"num_agents": num_agents, "max_steps": 1 if max_steps is None else max_steps}
    problems = [Problem(key, f"is {value}", "must be at least 1") for key, value in limits.items() if value < 1]
    if problems:
        raise ConfigError(problems)


def _draw(pole: tuple[float, float, float, float], standing: bool) -> NDArray[np.uint8]:
    height, width = 120, 180
    frame = canvas(height, width)
    ground = height * 0.75
    line(frame, ground, 0, ground, width, 1, BLACK)
    centre = width / 2 + pole[0] / MAX_POSITION * (width / 2 - 15)
    rectangle(frame, ground - 7, centre - 14, ground + 7, centre + 14, BLACK if standing else GREY)
    tip_y, tip_x = ground - 7 - 55 * math.cos(pole[2]), centre + 55 * math.sin(pole[2])
    line(frame, ground - 7, centre, tip_y, tip_x, 6, BROWN if standing else GREY)
    return frame
