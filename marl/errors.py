"""Every error that marl raises on purpose.

    MarlError
    ├── ConfigError            a run's configuration is wrong (all problems at once)
    ├── EnvError               an environment broke its contract or raised
    │   └── MaskError          an action mask is unusable, or a masked action was played
    ├── PolicyError            a policy or player returned something unusable
    ├── PluginError            an entry point is missing, doubled or does not load
    ├── CheckpointError        a checkpoint is missing, damaged, newer, or needs trust
    └── RunError               a run could not go on (disk, interrupt, restore)

Each message says what was wrong, where, what was expected and what to do. Inner code raises the
short reason; :func:`located` lets the outer call add where it happened.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class MarlError(Exception):
    """Base of all deliberate errors."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a configuration: the key it stands at, what is wrong, how to mend it."""

    key: str
    wrong: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.wrong}" + (f" → {self.mend}" if self.mend else "")


class ConfigError(MarlError):
    """A configuration is wrong. ``problems`` holds every fault found, not only the first."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = (Problem("config", problems),) if isinstance(problems, str) else tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count} configuration error{'s' if count != 1 else ''}:\n{lines}")


class EnvError(MarlError):
    """An environment broke the contract of ``MultiAgentEnv`` or raised.

    ``capsule``: the episode up to that call as data, where a sampler raised it; ``marl replay`` runs it again.
    """

    capsule: dict[str, Any] | None = None


class MaskError(EnvError):
    """An action mask is unusable (all zero for a due agent, wrong size), or a masked action was chosen."""


class PolicyError(MarlError):
    """A policy or player returned something that cannot be played."""


class PluginError(MarlError):
    """A plugin, adapter or environment name cannot be found, is doubled, or does not load."""


class CheckpointError(MarlError):
    """A checkpoint is missing, damaged, of a newer format, or needs an import that is not trusted."""


class RunError(MarlError):
    """A run cannot go on."""


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """``" Did you mean 'x'?"`` for the nearest of ``known``, or a list of all of them if nothing is near."""
    names = sorted(str(one) for one in known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(names)}." if names else ""
