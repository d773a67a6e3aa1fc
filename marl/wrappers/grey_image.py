"""GreyImage: colour frames of any size to small grey ones, for a convolution (84×84, as in the Atari literature).

Source: V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 2015 (preprocessing).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from marl.errors import ConfigError, Problem
from marl.wrappers.base import refuse, whole
from marl.wrappers.observing import ObservationWrapper, check_agents

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class GreyImage(ObservationWrapper):
    """``uint8 [H, W, 3]``, ``[H, W, 1]`` or ``[H, W]`` to ``uint8 [size, size, 1]``.

    Grey is the luminance; each new pixel is the mean of the old ones under it, by area. It stays ``uint8``.

    Args:
        env: the inner environment.
        size: pixels a side.
        agents: ids or patterns; None: all.
    """

    def __init__(self, env: Any, size: int = 84, agents: Sequence[str] | None = None) -> None:
        refuse(self.check_options(size, agents))
        self._size = size
        self._weights: dict[int, NDArray[np.float32]] = {}
        super().__init__(env, agents)

    @staticmethod
    def check_options(size: int = 84, agents: Sequence[str] | None = None) -> list[Problem]:
        """Every problem of the options."""
        return whole("size", size, 1) + check_agents(agents)

    def map_space(self, agent: Any, space: Space[Any]) -> Space[Any]:
        fits = isinstance(space, spaces.Box) and space.dtype == np.uint8 and (len(space.shape) == 2 or space.shape[2:] in ((1,), (3,)))
        if not fits:
            wrong = f"needs images uint8 [H, W, 3], [H, W, 1] or [H, W], but {agent!r} observes {space}"
            raise ConfigError([Problem("grey_image", wrong, "name the agents that observe images with agents: [...]")])
        return spaces.Box(0, 255, (self._size, self._size, 1), np.uint8)

    def map_observation(self, agent: Any, observation: Any, *, final: bool) -> NDArray[np.uint8]:
        image = np.asarray(observation)
        if image.ndim == 3:
            image = image @ LUMINANCE if image.shape[2] == 3 else image[:, :, 0]
        rows, columns = (self._shrinking(length) for length in image.shape)
        small = rows @ image.astype(np.float32) @ columns.T  # [size, size]
        return np.asarray(np.clip(np.rint(small), 0, 255), np.uint8)[:, :, None]

    def _shrinking(self, length: int) -> NDArray[np.float32]:
        if length not in self._weights:
            self._weights[length] = area_weights(length, self._size)
        return self._weights[length]


def area_weights(old: int, new: int) -> NDArray[np.float32]:
    """``[new, old]``: the share of each old pixel in the mean that is each new pixel. Rows sum to 1."""
    edges = np.linspace(0, old, new + 1)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)  # [new, old]
    return np.asarray(np.maximum(overlap, 0) * (new / old), np.float32)
