"""``import marl`` stays light: what is optional or heavy is loaded when it is asked for.

No time is asserted, since a busy machine would fail the test; the modules that cost the time are named instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "ray", "networkx", "pettingzoo", "mpe2", "matplotlib", "imageio", "PIL", "pandas", "scipy", "tensorboardX", "pygame")


def loaded_after(code: str, folder: Path) -> set[str]:
    """Top-level modules that a fresh process outside the checkout holds after ``code``."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_marl_is_light(tmp_path: Path) -> None:
    loaded = loaded_after("import marl", tmp_path)
    assert "marl" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_a_name_that_marl_does_not_have_is_an_attribute_error() -> None:
    import marl

    with pytest.raises(AttributeError, match="no_such_name"):
        marl.no_such_name


@pytest.mark.parametrize("package", ["marl_envs", "marl_plugins"])
def test_the_folders_of_games_and_algorithms_import_nothing_heavy_by_themselves(package: str, tmp_path: Path) -> None:
    loaded = loaded_after(f"import {package}", tmp_path)
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_a_scripted_run_needs_no_torch_and_no_ray(tmp_path: Path) -> None:
    code = """
import marl
sampler = marl.Sampler(env="marl_envs/rock_paper_scissors-v1", policies={"coin": {"player": "random"}}, mapping={"*": "coin"}, seed=1)
batch, _ = sampler.sample(num_env_steps=10)
assert batch.num_env_steps == 10, batch.num_env_steps
"""
    loaded = loaded_after(code, tmp_path)
    assert loaded.isdisjoint({"torch", "ray", "pettingzoo", "matplotlib"}), loaded & {"torch", "ray", "pettingzoo", "matplotlib"}
