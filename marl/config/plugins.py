"""Algorithms by name: the entry-point group ``marl.algorithms``, a ``module:Class`` of the user's own, or the class itself."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from marl.algorithm import Algorithm
from marl.errors import PluginError, did_you_mean

ALGORITHM_GROUP = "marl.algorithms"


def find_algorithm(algorithm: Any) -> type[Algorithm]:
    """The class that ``algorithm`` names.

    Raises:
        PluginError: nothing is called so, it does not import, or it is no Algorithm.
    """
    if not isinstance(algorithm, str):
        return _checked(algorithm, repr(algorithm))
    point = _entry_points().get(algorithm)
    if point is not None:
        try:
            return _checked(point.load(), f"entry point {algorithm!r} ({point.value})")
        except (ImportError, AttributeError) as error:
            raise PluginError(f"algorithm {algorithm!r} ({point.value}) does not load: {error}.") from error
    if ":" in algorithm:
        return _checked(import_reference(algorithm), algorithm)
    raise PluginError(f"no algorithm is called {algorithm!r}.{did_you_mean(algorithm, known_algorithms())} Your own: module:Class.")


def known_algorithms() -> list[str]:
    """The installed algorithms' names, sorted."""
    return sorted(_entry_points())


def import_reference(reference: str) -> Any:
    """The object that ``module:qualname`` names.

    Raises:
        PluginError: the module or the name is not there.
    """
    module_name, _, path = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise  # the module is there; something that it imports is not, and its own traceback says so
        raise PluginError(
            f"{reference!r}: there is no module {error.name!r}; the run file's own folder and installed packages are searched."
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise PluginError(f"{reference!r}: {module_name} has no {path!r}.{did_you_mean(part, vars(found))}")
        found = getattr(found, part)
    return found


def _checked(found: Any, title: str) -> type[Algorithm]:
    if isinstance(found, type) and issubclass(found, Algorithm):
        return found
    raise PluginError(f"{title} is no algorithm; expected a subclass of marl.Algorithm, found {found!r}.")


@cache
def _entry_points() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ALGORITHM_GROUP):
        first = found.setdefault(point.name, point)
        if first.value != point.value:
            raise PluginError(f"algorithm {point.name!r} is given twice: {first.value} and {point.value}; uninstall one.")
    return found
