"""Running means and variances: of observations (a policy's filter) and of value targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class RunningStats:
    """Mean and variance of everything seen, by merging batches (Chan, Golub and LeVeque 1979); before any data 0 and 1.

    Attributes:
        mean, variance: float64 ``[*shape]``; ``count``: float64 ``[]``, the rows seen.
        clip: normalised values are cut to ±``clip``.
    """

    def __init__(self, shape: tuple[int, ...], *, clip: float = 10.0) -> None:
        self.mean = np.zeros(shape)
        self.variance = np.ones(shape)
        self.count = np.zeros(())
        self.clip = clip
        self._read()

    def update(self, rows: NDArray[Any]) -> None:
        """Take in ``rows`` [N, *shape]."""
        if not len(rows):
            return
        rows = rows.astype(np.float64, copy=False)
        mean, variance, count = rows.mean(axis=0), rows.var(axis=0), float(len(rows))
        total = float(self.count) + count
        gap = mean - self.mean
        squares = self.variance * self.count + variance * count + gap**2 * (float(self.count) * count / total)
        self.mean = self.mean + gap * (count / total)
        self.variance = squares / total
        self.count = np.asarray(total)
        self._read()

    def _read(self) -> None:
        self.offset = self.mean.astype(np.float32)
        self.scale = np.sqrt(self.variance + 1e-8).astype(np.float32)

    def normalize(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """``rows`` [..., *shape] with mean 0 and variance 1, cut to ±clip, as a new array."""
        out = np.subtract(rows, self.offset, dtype=np.float32)
        out /= self.scale
        return np.clip(out, -self.clip, self.clip, out=out)

    def denormalize(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse of :meth:`normalize` (without its cut)."""
        return rows * self.scale + self.offset

    def get(self) -> dict[str, NDArray[Any]]:
        return {"mean": self.mean.copy(), "variance": self.variance.copy(), "count": self.count.copy()}

    def set(self, values: dict[str, Any]) -> None:
        for name in ("mean", "variance", "count"):
            setattr(self, name, np.array(values[name], np.float64))
        self._read()
