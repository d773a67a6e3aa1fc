"""The public names are exactly these. A name added or removed is a decision, and is made here too."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import marl

PUBLIC = [
    "Algorithm",
    "BaseMultiAgentEnv",
    "Capabilities",
    "CheckpointError",
    "ConfigError",
    "ConstantPolicy",
    "Counters",
    "Discount",
    "EnvContext",
    "EnvError",
    "EpisodeRecord",
    "Gradients",
    "LearnResult",
    "MarlError",
    "MaskError",
    "Match",
    "MultiAgentBatch",
    "MultiAgentEnv",
    "OnPolicy",
    "Player",
    "PluginConfig",
    "PluginError",
    "Policy",
    "PolicyError",
    "PolicySpec",
    "Population",
    "RandomPolicy",
    "Replay",
    "RunConfig",
    "RunError",
    "SampleBatch",
    "Sampler",
    "StackedPolicy",
    "Trainer",
    "VectorMultiAgentEnv",
    "VectorStep",
    "__version__",
    "check_env",
    "load_config",
    "load_env",
    "load_policy",
    "make_env",
    "register_env",
    "train",
    "ungroup",
    "with_agent_groups",
]


def test_the_public_names_are_exactly_these() -> None:
    assert list(marl.__all__) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    thing = getattr(marl, name)
    assert inspect.getdoc(thing), f"marl.{name} has no docstring"


TAKES_RUN_KEYS = {"RunConfig", "Trainer", "load_config", "train"}
"""Their keywords are the keys of a run, which the schema names, documents and checks; everyone else spells its parameters out."""


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__" and name not in TAKES_RUN_KEYS])
def test_no_bag_of_keywords_in_public_signatures(name: str) -> None:
    for call in _public_calls(getattr(marl, name)):
        kinds = {one.kind for one in inspect.signature(call).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{call.__qualname__} takes keywords that it does not name"


def _public_calls(thing: Any) -> Iterator[Any]:
    """The function itself, or a class's public methods and ``__init__``, as far as they are written in marl."""
    members = {"": thing} if inspect.isfunction(thing) else vars(thing)
    for name, member in members.items():
        call = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(call) and call.__module__.startswith("marl") and (not name.startswith("_") or name == "__init__"):
            yield call


def test_a_type_checker_sees_the_same_names() -> None:
    """The names load lazily, so the block for type checkers is a second list: the two must agree."""
    tree = ast.parse(Path(marl.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {(node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {(home, name) for home, names in marl._HOMES.items() for name in names}
