"""Names of functions and classes in a run's ``wrappers``: ``"module:name"``."""

from __future__ import annotations

import importlib
from typing import Any

from marl.errors import ConfigError, Problem, did_you_mean


def imported(name: str) -> Any:
    """What ``"module:name"`` stands for.

    Raises:
        ConfigError: the name has another form, or names nothing.
    """
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise ConfigError([Problem(name, "is no name of the form module:name", "for example my_package.views:merge")])
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise  # the module is there; something that it imports is not, and its own traceback says so
        wrong = f"there is no module {error.name!r}"
        raise ConfigError([Problem(name, wrong, "install the package that holds it, or start from its folder")]) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ConfigError([Problem(name, f"{module_name} has no {path!r}.{did_you_mean(part, dir(found))}")])
        found = getattr(found, part)
    return found


def importable(key: str, name: Any) -> list[Problem]:
    """A problem unless ``name`` is a ``"module:name"`` that can be imported."""
    if not isinstance(name, str):
        return [Problem(key, f"is {name!r}", "must be a function, or its name module:name")]
    try:
        imported(name)
    except ConfigError as error:
        return [Problem(key, f"{problem.key!r}: {problem.wrong}", problem.mend) for problem in error.problems]
    return []
