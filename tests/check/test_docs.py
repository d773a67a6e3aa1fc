"""The pages on checking and grouping: their code runs, and the check's names every rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from marl.check import RULES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["checking-an-environment.md", "grouping.md"])
def test_code_runs(page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_every_rule_is_documented() -> None:
    text = (DOCS / "checking-an-environment.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named: set[str] = set()
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        named.add(first)
        named.update(f"observation{other}" if other.startswith("-") else other for other in others)
    assert named == set(RULES)
