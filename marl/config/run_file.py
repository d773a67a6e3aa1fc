"""Run files: YAML 1.2 in and out (``on`` is a word, ``3e-4`` a number, ``300_000`` a whole number), and overrides of their keys."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from marl.errors import ConfigError, Problem, did_you_mean

UNSAVED = "<unsaved: "


def read_run_file(path: str | Path) -> dict[str, Any]:
    """The data of a run file.

    Raises:
        ConfigError: there is no such file, or it is not YAML; the message has the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = did_you_mean(path.name, [one.name for one in path.parent.glob("*.y*ml")]) if path.parent.is_dir() else ""
        raise ConfigError([Problem(str(path), f"there is no such run file.{near}", "check the path")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read ({error})")]) from error
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError([Problem(str(path), f"holds {type(data).__name__}, expected keys and values", "e.g. env: gymnasium/CartPole-v1")])
    return data


def parse_yaml(text: str, title: str) -> Any:
    """The value of a YAML text; ``title`` stands in errors."""
    from ruamel.yaml import YAML  # loaded on use: most programs give a dict
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{title}, line {mark.line + 1}, column {mark.column + 1}" if mark is not None else title
        raise ConfigError([Problem(where, f"is not YAML: {error.problem or error.context}")]) from None
    except YAMLError as error:
        raise ConfigError([Problem(title, f"is not YAML: {error}")]) from None


def write_yaml(data: Mapping[str, Any]) -> str:
    """``data`` (dicts, lists, scalars) as YAML that :func:`parse_yaml` reads back equal."""
    from ruamel.yaml import YAML

    out = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(dict(data), out)
    return out.getvalue()


def apply_overrides(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """``data`` with every ``a.b.c=value`` set, as ``--set`` gives them; values are read as YAML.

    A number counts into a list (``wrappers.0.frame_stack.n=4``); missing dicts on the way are made.

    Raises:
        ConfigError: with every override that cannot be set.
    """
    result: dict[str, Any] = _copy(data)
    problems = []
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path.strip():
            problems.append(Problem(f"--set {override}", "expected KEY=VALUE", "e.g. --set policies.main.lr=1e-3"))
            continue
        try:
            _set(result, path.strip().split("."), parse_yaml(text, f"--set {override}") if text else None)
        except ConfigError as error:
            problems += error.problems
        except (IndexError, TypeError, ValueError) as error:
            problems.append(Problem(f"--set {override}", f"cannot be set ({error})", "check the path against the run file"))
    if problems:
        raise ConfigError(problems)
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, (list, tuple)) else value


def _set(holder: Any, path: list[str], value: Any) -> None:
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(holder, list):
            index = int(part)
            if last:
                holder[index] = value
                return
            if isinstance(holder[index], str):
                holder[index] = {holder[index]: {}}
            holder = holder[index]
            continue
        if not isinstance(holder, dict):
            raise TypeError(f"{'.'.join(path[:depth])} is {holder!r}, not a section")
        key: Any = int(part) if part not in holder and part.lstrip("-").isdigit() and int(part) in holder else part
        if last:
            holder[key] = value
            return
        if holder.get(key) is None:
            holder[key] = {}
        holder = holder[key]


# ------------------------------------------------------------------ what cannot stand in a file


def reference_to(thing: Any) -> str:
    """``module:qualname`` where that imports ``thing`` again, ``<unsaved: file:line>`` otherwise (``__main__`` included)."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if isinstance(module, str) and isinstance(name, str) and module != "__main__":
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is thing:
            return f"{module}:{name}"
    shown = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    try:
        file = inspect.getsourcefile(shown) or "?"
        line = inspect.getsourcelines(shown)[1]
        return f"{UNSAVED}{file}:{line}>"
    except (OSError, TypeError):
        return f"{UNSAVED}{type(thing).__name__}>"


def is_unsaved(value: Any) -> bool:
    """Whether ``value`` is the mark of something that had no importable name when it was saved."""
    return isinstance(value, str) and value.startswith(UNSAVED)
