"""A PettingZoo environment without PettingZoo's checking wrappers, and what those wrappers checked.

PettingZoo's standard ``env()`` puts three or four wrappers around a game, and each looks at every call: more
than half of the time of a small game. Here they are taken off, their settings are kept, and the adapters check
the same things themselves, once per action.
"""

from __future__ import annotations

import operator
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo.utils import wrappers

from marl.errors import EnvError

CHECKING = (
    wrappers.OrderEnforcingWrapper,
    wrappers.AssertOutOfBoundsWrapper,
    wrappers.ClipOutOfBoundsWrapper,
    wrappers.TerminateIllegalWrapper,
    wrappers.CaptureStdoutWrapper,
)
ILLEGAL_REWARD = -1.0  # what every standard env() of PettingZoo's own games passes to TerminateIllegalWrapper
TRIALS = 16


@dataclass
class Bare:
    """A game and the settings of the wrappers that were around it."""

    game: Any
    clips: bool = False
    asserts: bool = False
    illegal_reward: float = ILLEGAL_REWARD
    renderer: Any = None


def bare(env: Any) -> Bare:
    """Take the checking wrappers off an AEC environment, from the outside in, up to the first of another kind."""
    found = Bare(env)
    while type(found.game) in CHECKING:
        wrapper = found.game
        if isinstance(wrapper, wrappers.ClipOutOfBoundsWrapper):
            found.clips = True
        elif isinstance(wrapper, wrappers.AssertOutOfBoundsWrapper):
            found.asserts = True
        elif isinstance(wrapper, wrappers.TerminateIllegalWrapper):
            found.illegal_reward = float(wrapper._illegal_value)
        elif isinstance(wrapper, wrappers.CaptureStdoutWrapper):
            found.renderer = wrapper  # it turns what the game prints into a string
        found.game = wrapper.env
    found.renderer = found.renderer or found.game
    return found


def num_discrete(space: spaces.Space[Any]) -> int:
    """``n`` of a Discrete space that starts at 0, else -1 (no action is in ``range(-1)``)."""
    return int(space.n) if isinstance(space, spaces.Discrete) and space.start == 0 else -1


def checked_action(agent: Any, action: Any, space: spaces.Space[Any], stripped: Bare) -> Any:
    """``action`` as the taken-off wrappers would have passed it on: asserted, or clipped to its Box.

    Raises:
        EnvError: the action is outside its space, has another shape, or is not a number.
    """
    if isinstance(space, spaces.Discrete):
        try:
            inside = 0 <= operator.index(action) - int(space.start) < space.n
        except TypeError:
            inside = False
        if inside:
            return action
    elif stripped.clips and isinstance(space, spaces.Box):
        if np.shape(action) == space.shape and not np.isnan(action).any():
            return np.minimum(np.maximum(action, space.low), space.high)
    elif not stripped.asserts or space.contains(action):
        return action
    raise EnvError(f"{agent!r} played {action!r}, which is not in its action space {space}; the game was not told.")


def global_state_of(game: Any) -> Any:
    """The game's own ``state`` method where it has one, else None (PettingZoo's base class only raises)."""
    inner = getattr(game, "unwrapped", game)
    state = getattr(type(inner), "state", None)
    return game.state if callable(state) and not state.__module__.startswith("pettingzoo.utils") else None


class FreshObservations:
    """Copies observations until the game has shown that it makes each one anew; for good if it does not.

    Some games hand out the same array at each step and write the next observation into it. The first
    observations are held against those before them, two rounds back: if no two share memory, copying stops (``done``).
    """

    def __init__(self, num_agents: int) -> None:
        self._trials_left = TRIALS + 4 * num_agents
        self._held: deque[list[Any]] = deque(maxlen=2 * max(num_agents, 1))
        self._reuses = False
        self.done = False

    def __call__(self, observation: Any) -> Any:
        if not self._reuses:
            parts: list[Any] = []
            _collect(observation, parts)
            self._reuses = any(_shared(part, other) for held in self._held for part, other in zip(parts, held, strict=False))
            self._held.append(parts)
            self._trials_left -= 1
            self.done = self._trials_left <= 0 and not self._reuses
        return copied(observation)


def copied(observation: Any) -> Any:
    """``observation`` with every dict, tuple, list and array of its own."""
    if isinstance(observation, np.ndarray):
        return observation.copy()
    if isinstance(observation, dict):
        return {key: copied(value) for key, value in observation.items()}
    if isinstance(observation, (tuple, list)):
        return type(observation)([copied(value) for value in observation])
    return observation


def _collect(observation: Any, parts: list[Any]) -> None:
    if isinstance(observation, np.ndarray):
        parts.append(observation)
    elif isinstance(observation, dict):
        parts.append(observation)
        for value in observation.values():
            _collect(value, parts)
    elif isinstance(observation, (tuple, list)):
        for value in observation:
            _collect(value, parts)


def _shared(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.may_share_memory(one, other)
    return one is other
