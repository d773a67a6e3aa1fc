"""What a check found: violations, each with its place and its remedy, in one table."""

from __future__ import annotations

import shutil
import textwrap
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marl.check.rules import RULES
from marl.errors import EnvError

_HEADER = ("rule", "agent", "episode.step", "seen", "expected", "how to mend")


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Attributes:
        agent: whose (None: of the environment as a whole).
        step: the call at which it was first seen, counted in its episode from 1; 0 is the reset, None is before any.
        seen, expected: in words.
        mend: what to do.
        rule: its name, a key of :data:`marl.check.rules.RULES`.
        episode: which of the episodes walked, from 0.
        count: how often the same rule was broken by the same agent at the same part of a value.
    """

    agent: Any
    step: int | None
    seen: str
    expected: str
    mend: str
    rule: str
    episode: int = 0
    count: int = 1


@dataclass
class Report:
    """Everything that a check found.

    Attributes:
        violations: in the order in which they were first seen.
        facts: what was walked, a line each (no judgement).
        tracebacks: of the environment's own exceptions.
    """

    violations: list[Violation] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    _places: dict[tuple[Any, ...], int] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    @property
    def rules(self) -> set[str]:
        """The names of the broken rules."""
        return {violation.rule for violation in self.violations}

    def add(
        self,
        rule: str,
        seen: str,
        *,
        agent: Any = None,
        step: int | None = None,
        episode: int = 0,
        expected: str | None = None,
        mend: str | None = None,
        part: Any = None,
    ) -> None:
        """Note a violation; one of the same rule, agent and ``part`` as before only raises that one's count."""
        place = (rule, agent, part)
        if place in self._places:
            index = self._places[place]
            self.violations[index] = replace(self.violations[index], count=self.violations[index].count + 1)
            return
        self._places[place] = len(self.violations)
        stated = RULES[rule]
        self.violations.append(Violation(agent, step, seen, expected or stated.expected, mend or stated.mend, rule, episode))

    def add_traceback(self, error: BaseException, skip: int = 1) -> None:
        """Keep the traceback of the environment's own exception, without the ``skip`` frames of the checker; the same one once."""
        theirs = error.__traceback__
        for _ in range(skip):
            theirs = theirs.tb_next if theirs and theirs.tb_next else theirs
        text = "".join(traceback.format_exception(type(error), error, theirs)).rstrip()
        if text not in self.tracebacks:
            self.tracebacks.append(text)

    def table(self, width: int | None = None) -> str:
        """The violations as a text table, ``width`` characters wide (default: the terminal's)."""
        if not self.violations:
            return "\n".join(["No violations.", *self.facts])
        rows = [_cells(violation) for violation in self.violations]
        lines = _table(rows, max(100, width or shutil.get_terminal_size((150, 24)).columns))
        count = len(rows)
        return "\n".join([f"{count} violation{'s' if count != 1 else ''}", *lines, *self.facts])

    def __str__(self) -> str:
        return "\n".join([*self.tracebacks, self.table()])

    def raise_if_violations(self) -> None:
        """Raise :class:`marl.errors.EnvError` with the whole table (the environment's own traceback first) unless :attr:`ok`."""
        if not self.ok:
            raise EnvError(f"the environment breaks its contract.\n{self}")


def _cells(violation: Violation) -> tuple[str, ...]:
    place = "-" if violation.step is None else f"{violation.episode}.{violation.step}"
    if violation.count > 1:
        place += f" (×{violation.count})"
    agent = "-" if violation.agent is None else str(violation.agent)
    return (violation.rule, agent, place, violation.seen, violation.expected, violation.mend)


def _table(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    narrow = [min(limit, max(len(row[index]) for row in (_HEADER, *rows))) for index, limit in enumerate((28, 16, 14))]
    rest = max(18, (width - sum(narrow) - 2 * (len(_HEADER) - 1)) // 3)
    widths = [*narrow, rest, rest, rest]
    lines = []
    for row in (_HEADER, tuple("-" * size for size in widths), *rows):
        wrapped = [textwrap.wrap(cell, size) or [""] for cell, size in zip(row, widths, strict=True)]
        for number in range(max(map(len, wrapped))):
            parts = [(cell[number] if number < len(cell) else "").ljust(size) for cell, size in zip(wrapped, widths, strict=True)]
            lines.append("  ".join(parts).rstrip())
    return lines
