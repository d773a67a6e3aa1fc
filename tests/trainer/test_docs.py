"""``docs/training.md`` runs; ``docs/metrics.md`` and ``docs/configuration.md`` name everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marl.config import CheckpointConfig, EvaluationConfig, RunConfig, load_config
from marl.config.parse import HOUSE_KEYS
from marl.config.run_file import parse_yaml
from marl.hooks import HOOKS
from marl.metrics import NAMES

DOCS = Path(__file__).parents[2] / "docs"


def blocks(file: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / file).read_text(), re.DOTALL)


@pytest.mark.parametrize("file", ["training.md", "configuration.md"])
def test_the_programs_run(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = "\n".join(blocks(file, "python"))
    assert source
    exec(compile(source, file, "exec"), {"__name__": "docs"})


def test_the_run_file_is_valid() -> None:
    (text,) = blocks("configuration.md", "yaml")
    assert load_config(parse_yaml(text, "docs")).stop == {"num_env_steps": 300_000}


def test_every_metric_is_documented() -> None:
    documented = dict(re.findall(r"^\| `(.+?)` \| (.+?) \|$", (DOCS / "metrics.md").read_text(), re.MULTILINE))
    assert documented == {name: text.replace("|", "\\|") for name, text in NAMES.items()}


def test_every_key_is_documented() -> None:
    text = (DOCS / "configuration.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| .+? \| (.+?) \|$", text, re.MULTILINE)
    expected = [
        (name, field.description) for model in (RunConfig, EvaluationConfig, CheckpointConfig) for name, field in model.model_fields.items()
    ]
    assert rows == [(name, (about or "").replace("|", "\\|")) for name, about in expected]
    for name in (*HOUSE_KEYS, *HOOKS):
        assert f"`{name}" in text, name
