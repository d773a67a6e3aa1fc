"""Every public name has its line, every link its target, every ``make`` target is there, and figures are those that were measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import marl
from tests.docs.pages import ROOT, blocks

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


def test_every_public_name_has_one_line() -> None:
    named = re.findall(r"^\| `(\w+)` \| \S.* \|$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(marl.__all__)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_its_target(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(prose):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}: there is no such heading"


def test_the_index_has_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(index.read_text())}
    assert {page for page in PAGES if page != index} <= listed


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        code = re.findall(r"`make ([a-z-]+)", text) + [
            name for block in blocks(page) for name in re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE)
        ]
        assert set(code) <= targets, f"{page.name} names {set(code) - targets}"


def test_the_readmes_figures_are_those_that_were_measured() -> None:
    """Within the 25 % by which machines and days differ; ``make bench`` and ``make bench-peers`` write them anew."""
    rows = re.findall(r"^\| (.+) \| ([\d.]+) (?:×|MiB) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    measured = {
        "simple_spread": ("W1", "W1 simple_spread: sampling"),
        "the same with PPO": ("W1", "W1 simple_spread: sampling and PPO"),
        "four CartPoles": ("peers_W3", "W3 four CartPoles: sampling, against RLlib"),
        "the four with PPO": ("peers_W3", "W3 four CartPoles: sampling and PPO, against RLlib"),
        "CartPole by PPO": ("peers_W4race", "W4 CartPole-v1: PPO to a mean of 450, against Stable-Baselines3"),
        "marl train": ("process", "W1 training: peak memory"),
    }
    assert len(rows) == len(measured)
    for about, figure in rows:
        file, name = next(place for start, place in measured.items() if about.lstrip("`").startswith(start))
        found = {row["name"]: row["value"] for row in json.loads((ROOT / "benchmarks" / "results" / f"{file}.json").read_text())["rows"]}
        assert found[name] == pytest.approx(float(figure), rel=0.25), f"the README says {figure} of {about!r}; measured: {found[name]}"


def test_what_the_readme_says_of_tic_tac_toe_was_measured() -> None:
    seeds = json.loads((ROOT / "docs" / "results" / "tictactoe.json").read_text())["seeds"]
    scores = [score for seed in seeds.values() for score in seed["scores"].values()]
    assert len(scores) >= 3
    assert all(score["losses_as_first"] == 0 and score["lines_lost_to_optimal_play"] == 0 for score in scores)
    assert all(0.01 < score["losses_as_second"] < 0.03 for score in scores)
