# ruff: noqa: NPY002 -- lending out numpy's global stream is what this module is for
"""The process's global random streams, lent to user code one worker at a time.

No policy touches a global generator, but environments and users' functions may. While a worker samples, ``random``,
``numpy.random`` and (if torch is loaded) torch's stream are the worker's own; afterwards the process has its own back.
"""

from __future__ import annotations

import random
import sys
from types import TracebackType
from typing import Any

import numpy as np

from marl.seeding import branch


class GlobalStreams:
    """``with streams: …`` runs with this worker's global streams."""

    def __init__(self, seed: int, worker_index: int) -> None:
        words = branch(seed, "global-streams", worker_index).generate_state(3)
        self._seed = int(words[2])
        self._python: Any = random.Random(int(words[0])).getstate()
        self._numpy: Any = np.random.RandomState(int(words[1])).get_state()
        self._torch: Any = None
        self._outer: tuple[Any, Any, Any] | None = None

    def __enter__(self) -> None:
        torch = sys.modules.get("torch")
        self._outer = (random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state())
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        if torch is not None:
            if self._torch is None:
                self._torch = torch.Generator().manual_seed(self._seed).get_state()
            torch.set_rng_state(torch.from_numpy(np.array(self._torch)) if isinstance(self._torch, np.ndarray) else self._torch)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._outer is not None
        torch = sys.modules.get("torch")
        self._python, self._numpy = random.getstate(), np.random.get_state()
        random.setstate(self._outer[0])
        np.random.set_state(self._outer[1])
        if torch is not None and self._outer[2] is not None:
            self._torch = torch.get_rng_state()
            torch.set_rng_state(self._outer[2])

    def state_dict(self) -> dict[str, Any]:
        version, words, gauss = self._python
        name, keys, position, has_gauss, cached = self._numpy
        return {
            "python": {"version": version, "words": np.array(words, np.int64), "gauss": gauss},
            "numpy": {"name": name, "keys": np.array(keys), "position": position, "has_gauss": has_gauss, "cached": cached},
            "torch": None if self._torch is None else np.from_dlpack(self._torch).copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        python, numpy = state["python"], state["numpy"]
        self._python = (int(python["version"]), tuple(int(word) for word in python["words"]), python["gauss"])
        self._numpy = (
            numpy["name"],
            np.asarray(numpy["keys"], np.uint32),
            int(numpy["position"]),
            int(numpy["has_gauss"]),
            numpy["cached"],
        )
        self._torch = state["torch"]  # an array until torch is loaded and the stream is entered
