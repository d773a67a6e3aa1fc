"""How many threads compute: one for acting, a configured number for learning.

Acting is many small matrix products, in which threads only wait for each other: 64 rows by a layer of 128×128 take 25 µs in one thread,
and a millisecond in OpenBLAS's own two on a machine that has something else to do. Changing the number back and forth is as bad, for the
pools are torn down each time: a learning step of 16 updates took 1.0 s so, and 0.1 s with the number left alone. So both are set and stay.
"""

from __future__ import annotations

import os
from functools import cache

import torch

_USERS_OWN = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS")


@cache
def use_one_blas_thread() -> None:
    """Let numpy's OpenBLAS compute with one thread from now on, in this process, unless the user's environment says a number."""
    if any(name in os.environ for name in _USERS_OWN):
        return
    from threadpoolctl import ThreadpoolController  # a few milliseconds; only who acts with numpy needs it

    for library in ThreadpoolController().lib_controllers:
        if library.internal_api == "openblas":
            library.set_num_threads(1)


def use_torch_threads(count: int) -> None:
    """Let torch compute with ``count`` threads from now on, in this process."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
