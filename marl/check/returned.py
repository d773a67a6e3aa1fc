"""What ``reset`` and ``step`` returned, made into five dicts if that can be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marl.check.look import Look
from marl.check.values import kind_of

_TABLES = ("observations", "rewards", "terminateds", "truncateds", "infos")


class Stop(Exception):
    """The walk cannot go on; why stands in the report, and in short in the message."""


@dataclass
class Said:
    """One call's five dicts, as they were given (``flags`` as they count: without what is no truth value)."""

    observations: dict[Any, Any]
    rewards: dict[Any, Any] = field(default_factory=dict)
    terminateds: dict[Any, Any] = field(default_factory=dict)
    truncateds: dict[Any, Any] = field(default_factory=dict)
    infos: dict[Any, Any] = field(default_factory=dict)

    def flagged(self, agent: Any) -> bool:
        """Whether the agent's own end is said."""
        return truth(self.terminateds.get(agent)) or truth(self.truncateds.get(agent))

    def info(self, agent: Any) -> Mapping[Any, Any]:
        info = self.infos.get(agent)
        return info if isinstance(info, Mapping) else {}


def reset_said(returned: Any, look: Look) -> Said:
    """What ``reset`` returned; anything but ``(observations, infos)`` is reported.

    Raises:
        Stop: there are no observations in it.
    """
    if isinstance(returned, Mapping):
        look.add("reset-return", "one value, as in old Gym", mend="return (observations, infos); infos may be {}")
        return Said(dict(returned))
    if not isinstance(returned, tuple) or len(returned) != 2:
        look.add("reset-return", kind_of(returned))
        raise Stop("reset returned nothing usable")
    observations, infos = returned
    if not isinstance(observations, Mapping):
        mend = "return a dict keyed by agent id; a game of one agent is wrapped by marl.make_env"
        look.add("reset-return", f"observations are {kind_of(observations)}", mend=mend)
        raise Stop("reset returned nothing usable")
    if not isinstance(infos, Mapping):
        look.add("reset-return", f"infos are {kind_of(infos)}")
    return Said(dict(observations), infos=dict(infos) if isinstance(infos, Mapping) else {})


def step_said(returned: Any, look: Look) -> Said:
    """What ``step`` returned; anything but five dicts is reported, and what is usable of it is used.

    Raises:
        Stop: there are no observations in it.
    """
    if isinstance(returned, tuple) and len(returned) == 4 and isinstance(returned[0], Mapping):
        mend = "replace dones by two dicts: terminateds (the game ended for the agent) and truncateds (it was cut off)"
        look.add("step-return", "four values, as in old Gym", mend=mend)
        returned = (*returned[:3], {}, returned[3])
    if not isinstance(returned, tuple) or len(returned) != 5:
        look.add("step-return", kind_of(returned))
        raise Stop("step returned nothing usable")
    for name, table in zip(_TABLES, returned, strict=True):
        if not isinstance(table, Mapping):
            look.add("step-return", f"{name} are {kind_of(table)}", part=name)
    if not isinstance(returned[0], Mapping):
        raise Stop("step returned nothing usable")
    return Said(*(dict(table) if isinstance(table, Mapping) else {} for table in returned))


def truth(flag: Any) -> bool:
    """A flag as it counts: what has no single truth value is False (and is reported where flags are looked at)."""
    try:
        return bool(flag)
    except (TypeError, ValueError):
        return False


def is_flag(flag: Any) -> bool:
    return isinstance(flag, (bool, np.bool_))
