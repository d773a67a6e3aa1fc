"""``--set a.b=c``."""

from __future__ import annotations

import pytest

from marl.config import apply_overrides
from marl.errors import ConfigError

DATA = {"env": "x", "policies": {"main": {"lr": 1e-3}}, "wrappers": [{"frame_stack": {"n": 4}}, "reward_clip"], 3: {"a": 1}}


def test_values_are_read_as_yaml() -> None:
    data = apply_overrides(
        DATA,
        ["policies.main.lr=3e-4", "seed=300_000", "stop.num_env_steps=10", "mode=on", "name=", "infos=[a, b]", "evaluation={interval: 2}"],
    )
    assert data["policies"] == {"main": {"lr": 3e-4}}
    assert (data["seed"], data["stop"], data["mode"], data["name"]) == (300_000, {"num_env_steps": 10}, "on", None)
    assert (data["infos"], data["evaluation"]) == (["a", "b"], {"interval": 2})


def test_numbers_count_into_lists_and_name_numeric_keys() -> None:
    data = apply_overrides(DATA, ["wrappers.0.frame_stack.n=8", "wrappers.1.reward_clip.low=-1", "3.a=2"])
    assert data["wrappers"] == [{"frame_stack": {"n": 8}}, {"reward_clip": {"low": -1}}]
    assert data[3] == {"a": 2}


def test_the_original_stays() -> None:
    apply_overrides(DATA, ["wrappers.0.frame_stack.n=8"])
    assert DATA["wrappers"][0] == {"frame_stack": {"n": 4}}  # type: ignore[index]


def test_every_override_that_cannot_be_set_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides(DATA, ["seed", "=3", "env.name=3", "wrappers.7.x=1", "seed=[1"])
    assert len(caught.value.problems) == 5
    assert "expected KEY=VALUE" in str(caught.value)
    assert "env is 'x', not a section" in str(caught.value)
