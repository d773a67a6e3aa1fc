"""Acting and learning compute with the number of threads that is configured, whatever the machine has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import marl, threadpoolctl, torch
policies = {"default": {"algorithm": "ppo", "num_threads": %d}}
marl.Trainer(env="gymnasium/CartPole-v1", policies=policies, rollout_fragment_env_steps=20).train()
numpys = [one for one in threadpoolctl.threadpool_info() if one["internal_api"] == "openblas" and "numpy" in one["filepath"]]
print(torch.get_num_threads(), *{one["num_threads"] for one in numpys})
"""


@pytest.mark.parametrize(
    ("told", "learning", "seen"),
    [({}, 1, "1 1"), ({}, 2, "2 1"), ({"OPENBLAS_NUM_THREADS": "2"}, 1, "1 2")],
    ids=["by default", "two while learning", "the user's own"],
)
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_threads(told: dict[str, str], learning: int, seen: str) -> None:
    silent = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", PROGRAM % learning], env=silent | told, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == seen
