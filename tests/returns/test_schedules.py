"""Schedules: the three forms, their values, what is refused, and that a config gives back what it was given."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from marl.algorithm import PluginConfig
from marl.policy import Counters
from marl.schedules import Schedule, constant


class Keys(PluginConfig):
    lr: Schedule = constant(3e-4)


def test_a_constant_is_constant():
    assert constant(0.5).at(Counters()) == constant(0.5).at(Counters(10**9, 10**9)) == 0.5


@pytest.mark.parametrize(
    ("step", "value"), [(0, 1.0), (50, 1.0), (100, 1.0), (150, 0.75), (200, 0.5), (300, 0.25), (400, 0.0), (10**9, 0.0)]
)
def test_linear_between_points_and_constant_beyond(step, value):
    schedule = Schedule(points=((100, 1.0), (200, 0.5), (400, 0.0)))
    assert schedule.at(Counters(num_env_steps=step)) == pytest.approx(value)


def test_what_is_counted():
    counters = Counters(num_env_steps=10, num_agent_steps=40)
    points = [[0, 0.0], [100, 1.0]]
    assert Keys(lr=points).lr.at(counters) == pytest.approx(0.1)
    assert Keys(lr={"points": points, "over": "agent_steps"}).lr.at(counters) == pytest.approx(0.4)


@pytest.mark.parametrize("given", [3e-4, 1, [[0.0, 3e-4], [1e6, 0.0]], {"points": [[0.0, 1.0], [5.0, 0.0]], "over": "agent_steps"}])
def test_a_config_gives_back_what_it_was_given(given):
    assert Keys(lr=given).model_dump(mode="json")["lr"] == given
    assert Keys(**Keys(lr=given).model_dump()) == Keys(lr=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("fast", "expected a number"),
        (True, "expected a number"),
        ([], "at least one"),
        ([[5, 1.0], [5, 0.0]], "must rise"),
        ([[0, 1.0, 2.0]], "points"),
        ({"points": [[0, 1.0]], "over": "episodes"}, "env_steps"),
    ],
)
def test_what_is_not_a_schedule_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Keys(lr=given)
