"""The README and the guides: whatever they show to run, runs, and prints what they say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, forget_modules, run_page

PAGES = ["README.md", "docs/concepts.md", "docs/your-own-game.md", "docs/self-play.md", "docs/migrating-from-rllib.md"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty folder to stand in; modules in it can be imported, and ``marl`` is found."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    yield tmp_path
    forget_modules(before, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page: str, folder: Path) -> None:
    run_page(ROOT / page, folder)
