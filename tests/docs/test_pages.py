"""The README and the guides: whatever they show to run, runs, and prints what they say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, forget_modules, run_page, told

GUIDES = ["concepts", "your-own-game", "self-play", "migrating-from-rllib", "environments", "algorithms/ppo"]
PAGES = ["README.md", *(f"docs/{name}.md" for name in GUIDES)]


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
    names = run_page(ROOT / page, folder)
    if page == "README.md":  # its program learned something, on the harder seat too (random: 0.59 and 0.29)
        final = names["trainer"].evaluate(mapping={"player_1": "main", "player_2": "coin"}, episodes=200)["metrics"]
        assert final["policies/main/vs/coin/player_1/win_rate"] > 0.75
        assert names["found"]["policies/main/vs/coin/player_2/win_rate"] > 0.5


def test_what_a_page_tells_is_held_against_what_was_printed() -> None:
    told("a … c\nd", "x\na b c\ny\nd\n", "here")
    for text in ("a", "d\na b c", "a … c\na … c"):
        with pytest.raises(AssertionError, match="which was not printed"):
            told(text, "x\na b c\ny\nd\n", "here")
