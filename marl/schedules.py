"""Numbers that change with the run: constants and piecewise linear schedules.

In a run file: ``lr: 3e-4``, ``lr: [[0, 3e-4], [1e6, 0]]`` (over env steps), or
``lr: {points: [[0, 3e-4], [1e6, 0]], over: agent_steps}``.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_serializer, model_validator

from marl.policy import Counters


class Schedule(BaseModel):
    """A number as a function of how far the run is; a field of this type takes any of the three forms above.

    Attributes:
        points: ``(step, value)`` with rising steps; linear between them, constant before the first and after the last.
        over: what is counted, the run's ``env_steps`` or ``agent_steps``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[tuple[float, float], ...]
    over: Literal["env_steps", "agent_steps"] = "env_steps"

    def at(self, counters: Counters) -> float:
        """The value when the run is as far as ``counters`` say."""
        step = float(counters.num_env_steps if self.over == "env_steps" else counters.num_agent_steps)
        after = bisect_right([point[0] for point in self.points], step)
        if after == 0:
            return self.points[0][1]
        if after == len(self.points):
            return self.points[-1][1]
        (left, low), (right, high) = self.points[after - 1], self.points[after]
        return low + (high - low) * (step - left) / (right - left)

    @property
    def values(self) -> tuple[float, ...]:
        """The values at its points: all others lie between them, so a range is checked on these."""
        return tuple(value for _, value in self.points)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            return {"points": ((0.0, float(given)),)}
        if isinstance(given, (list, tuple)):
            return {"points": given}
        if not isinstance(given, (dict, Schedule)):
            forms = "a number, [[step, value], …] or {points: …, over: env_steps | agent_steps}"
            raise ValueError(f"{given!r} is not a schedule; expected {forms}")
        return given

    @field_validator("points")
    @classmethod
    def _rising(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not points:
            raise ValueError("a schedule needs at least one [step, value]")
        steps = [step for step, _ in points]
        if any(right <= left for left, right in pairwise(steps)):
            raise ValueError(f"steps must rise from point to point, found {steps}")
        return points

    @model_serializer
    def _as_given(self) -> Any:
        if len(self.points) == 1:
            return self.points[0][1]
        points = [list(point) for point in self.points]
        return points if self.over == "env_steps" else {"points": points, "over": self.over}


def constant(value: float) -> Schedule:
    """The schedule that is always ``value``."""
    return Schedule(points=((0.0, value),))
