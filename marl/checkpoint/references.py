"""Functions and classes in a checkpoint: saved by name, found again only where that is trusted.

What can be imported is saved as ``module:qualname``; anything else (a lambda, a closure, whatever lives in
``__main__``) as ``<unsaved: file:line>``, and must be given again at restore. Resolving a name imports code, so a checkpoint may
by itself reach only marl's own packages and what an installed entry point names; every other package must be in ``trust``, and is
listed before it is imported.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from marl.errors import CheckpointError

log = logging.getLogger("marl.checkpoint")

GROUPS = ("marl.algorithms", "marl.envs", "marl.adapters")
OWN_PACKAGES = ("marl", "marl_envs", "marl_plugins")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_UNSAVED = "<unsaved: "


def callable_name(value: Any) -> str:
    """``module:qualname`` if importing that gives ``value`` again, else ``<unsaved: file:line>``."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if module and name and module != "__main__" and "<" not in name and _imported_already(module, name) is value:
        return f"{module}:{name}"
    return f"{_UNSAVED}{_where(value)}>"


def is_unsaved(value: Any) -> bool:
    """Whether ``value`` is the mark that :func:`callable_name` leaves for what cannot be imported."""
    return isinstance(value, str) and value.startswith(_UNSAVED)


def is_reference(value: Any) -> bool:
    """Whether ``value`` has the form ``module.path:Name``."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def references_in(config: Any, path: str = "", *, skip: Sequence[str] = ("init_from",)) -> list[tuple[str, str]]:
    """``(key, "module:name")`` of every string in a configuration that has the form of a reference; keys in ``skip`` are passed over."""
    if isinstance(config, Mapping):
        inner = [(str(key), one) for key, one in config.items() if key not in skip]
    elif isinstance(config, (list, tuple)):
        inner = [(str(index), one) for index, one in enumerate(config)]
    else:
        return [(path, config)] if is_reference(config) else []
    return [found for key, one in inner for found in references_in(one, f"{path}.{key}" if path else key, skip=skip)]


def unsaved_in(config: Any, path: str = "") -> list[tuple[str, str]]:
    """``(key, "<unsaved: …>")`` of everything in a configuration that could not be saved."""
    if isinstance(config, Mapping):
        inner: Iterable[tuple[Any, Any]] = config.items()
    elif isinstance(config, (list, tuple)):
        inner = enumerate(config)
    else:
        return [(path, config)] if is_unsaved(config) else []
    return [found for key, one in inner for found in unsaved_in(one, f"{path}.{key}" if path else str(key))]


def check_trust(names: Iterable[tuple[str, str]], trust: Sequence[str], *, where: str) -> None:
    """Refuse all names at once that must not, or cannot, be imported; list those that will be.

    Args:
        names: ``(key, name)`` as found in the checkpoint.
        trust: packages whose code may be imported (``"my_package"`` covers ``my_package.sub``).
        where: the checkpoint, for messages.

    Raises:
        CheckpointError: some names are outside ``trust``, or were never saved.
    """
    found = list(dict.fromkeys(names))
    unsaved = [(key, name) for key, name in found if is_unsaved(name)]
    if unsaved:
        lines = "\n".join(f"  {key}: {name}" for key, name in unsaved)
        raise CheckpointError(
            f"{where} was saved with functions that cannot be imported (a lambda, a closure, or defined in the script itself):\n{lines}\n"
            f"Give each of them again by its name ({', '.join(key for key, _ in unsaved)}), or move it to a module before the next run."
        )
    outside = [(key, name) for key, name in found if not _free(name)]
    refused = [(key, name) for key, name in outside if not _covered(name, trust)]
    if refused:
        lines = "\n".join(f"  {key}: {name}" for key, name in refused)
        packages = sorted({name.partition(":")[0].partition(".")[0] for _, name in refused})
        raise CheckpointError(
            f"{where} names code that is no installed entry point; nothing was imported:\n{lines}\n"
            f"If you trust it, pass trust={packages!r} (on the command line: {' '.join(f'--trust {one}' for one in packages)})."
        )
    if outside:
        log.warning("%s: importing %s", where, ", ".join(f"{name} ({key})" for key, name in outside))


def resolver(trust: Sequence[str], *, where: str) -> Callable[[str], Any]:
    """``name → object`` that checks each name against ``trust`` before it imports."""

    def resolve(name: str) -> Any:
        if is_unsaved(name) or not (_free(name) or _covered(name, trust)):
            check_trust([("state", name)], trust, where=where)
        return import_reference(name, where=where)

    return resolve


def import_reference(name: str, *, where: str) -> Any:
    """The object called ``module:qualname``.

    Raises:
        CheckpointError: there is no such module, or nothing of that name in it.
    """
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise  # the module is there and misses something of its own: its traceback says what
        raise CheckpointError(
            f"{where} needs {name}, but there is no module {error.name!r}; start from its folder, or install it."
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise CheckpointError(f"{where} needs {name}, but {module_name} has no {path!r} (any more).")
        found = getattr(found, part)
    own = module_name.partition(".")[0] in OWN_PACKAGES
    if own and str(getattr(found, "__module__", "")).partition(".")[0] not in OWN_PACKAGES:
        raise CheckpointError(
            f"{where} names {name}, which is not {module_name}'s own; a checkpoint may not reach other code through marl."
        )
    return found


def _free(name: str) -> bool:
    package = name.partition(":")[0].partition(".")[0]
    return package in OWN_PACKAGES or name in _entry_point_values()


def _covered(name: str, trust: Sequence[str]) -> bool:
    module = name.partition(":")[0]
    return any(module == one or module.startswith(f"{one}.") for one in trust)


@cache
def _entry_point_values() -> frozenset[str]:
    return frozenset(point.value for group in GROUPS for point in entry_points(group=group))


def _imported_already(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _where(value: Any) -> str:
    """``file:line`` of a function or class, or its type where it has no source."""
    target = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    try:
        return f"{inspect.getsourcefile(target) or '?'}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
