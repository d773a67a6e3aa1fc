"""One tree of seeds: run → worker → environment copy → episode. Nothing here touches a global generator.

A branch is named by integers, so any node can be made again from the run's seed and its name alone: a
resumed run continues the same streams.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

EPISODE_CHUNK = 256


def branch(seed: int, *path: int | str) -> np.random.SeedSequence:
    """The node of the run's tree that ``path`` names; strings are hashed to integers."""
    key = tuple(zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in path)
    return np.random.SeedSequence(entropy=seed, spawn_key=key)


def generator(seed: int, *path: int | str) -> np.random.Generator:
    """A generator of its own for the node that ``path`` names."""
    return np.random.Generator(np.random.PCG64(branch(seed, *path)))


class EpisodeSeeds:
    """The seeds of one environment copy's episodes: ``seeds[k]`` is a function of (run, worker, copy, k) alone.

    Seeds are in [0, 2**31), which every environment library accepts.
    """

    def __init__(self, run_seed: int, worker: int, copy: int) -> None:
        self._path = (run_seed, worker, copy)
        self._chunk = -1
        self._seeds: list[int] = []

    def __getitem__(self, episode: int) -> int:
        chunk, place = divmod(episode, EPISODE_CHUNK)
        if chunk != self._chunk:
            run_seed, worker, copy = self._path
            words = branch(run_seed, "episode", worker, copy, chunk).generate_state(EPISODE_CHUNK)
            self._seeds = (words >> 1).tolist()
            self._chunk = chunk
        return self._seeds[place]


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """A generator's state as JSON (integers of any size)."""
    return dict(rng.bit_generator.state)


def set_generator_state(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Put back a state that :func:`generator_state` gave."""
    rng.bit_generator.state = state
