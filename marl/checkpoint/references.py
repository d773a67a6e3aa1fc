"""Functions and classes in a checkpoint: saved by name, found again only where that is trusted.

What can be imported is saved as ``module:qualname``; anything else (a lambda, a closure, whatever lives in
``__main__``) as ``<unsaved: file:line>``, and must be given again at restore. Resolving a name imports code, so a checkpoint may
by itself reach only marl's own packages and what an installed entry point names; every other package must be in ``trust``, and is
listed before it is imported.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from marl.config import import_reference, is_unsaved
from marl.errors import CheckpointError

log = logging.getLogger("marl.checkpoint")

GROUPS = ("marl.algorithms", "marl.envs", "marl.adapters")
OWN_PACKAGES = ("marl", "marl_envs", "marl_plugins")
FREE_MODULES = ("torch.nn", "torch.optim")
"""Modules whose classes a configuration may name (``optimizer: torch.optim:SGD``) without trust."""
_trusted: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())
NO_REFERENCES = ("init_from", "name", "run_dir", "tag", "env_config")
"""Keys of a configuration whose values are never imported, whatever they look like."""
_listed: set[tuple[str, str]] = set()
"""What was listed already: a checkpoint that is read twice before anything of it is imported says so once."""
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_reference(value: Any) -> bool:
    """Whether ``value`` has the form ``module.path:Name``."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def references_in(config: Any, path: str = "", *, skip: Sequence[str] = NO_REFERENCES) -> list[tuple[str, str]]:
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


@contextmanager
def trusting(packages: Iterable[str]) -> Iterator[None]:
    """Trust ``packages`` while the block runs, in whatever checkpoint is read in it (``player: CHECKPOINT:POLICY`` of a run, too)."""
    token = _trusted.set((*_trusted.get(), *packages))
    try:
        yield
    finally:
        _trusted.reset(token)


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
        again = ", ".join(dict.fromkeys(_given_again(key.partition(".")[0]) for key, _ in unsaved))
        raise CheckpointError(
            f"{where} was saved with what cannot be imported (a lambda, a closure, an object, or defined in the script itself):\n{lines}\n"
            f"Give it again, marl.Trainer.restore(path, {again}), or let the next run name a class or function of a module."
        )
    outside = [(key, name) for key, name in found if not _free(name)]
    refused = [(key, name) for key, name in outside if not _covered(name, trust)]
    if refused:
        lines = "\n".join(f"  {key}: {name}" for key, name in refused)
        packages = sorted({_package(name.partition(":")[0]) for _, name in refused})
        raise CheckpointError(
            f"{where} names code that is no installed entry point; nothing was imported:\n{lines}\n"
            f"If you trust it, pass trust={packages!r} (on the command line: {' '.join(f'--trust {one}' for one in packages)})."
        )
    outside = [(key, name) for key, name in outside if name.partition(":")[0] not in sys.modules and (where, name) not in _listed]
    if outside:
        _listed.update((where, name) for _, name in outside)
        log.warning("%s: importing %s", where, ", ".join(f"{name} ({key})" for key, name in outside))


def _given_again(key: str) -> str:
    """How ``Trainer.restore`` takes a key of a run."""
    return f"{key}=…" if key in ("env", "policy_mapping_fn", "match_fn", "policies_to_train") else f"overrides={{{key!r}: …}}"


def resolver(trust: Sequence[str], *, where: str) -> Callable[[str], Any]:
    """``name → object`` that checks each name against ``trust`` before it imports."""

    def resolve(name: str) -> Any:
        if is_unsaved(name) or not (_free(name) or _covered(name, trust)):
            check_trust([("state", name)], trust, where=where)
        return import_trusted(name)

    return resolve


def import_trusted(name: str) -> Any:
    """The object called ``module:qualname``, whose name :func:`check_trust` has let through.

    Raises:
        PluginError: there is no such module, or nothing of that name in it.
        CheckpointError: the name goes through one of marl's packages to somebody else's code.
    """
    found = import_reference(name)
    module = name.partition(":")[0]
    if _package(module) in OWN_PACKAGES and _package(str(getattr(found, "__module__", ""))) not in OWN_PACKAGES:
        raise CheckpointError(f"{name} is not {module}'s own; a checkpoint may not reach other code through it.")
    return found


def _free(name: str) -> bool:
    """Whether ``name`` may be imported without trust. A dotted name could reach through one of our modules into another, so it may not."""
    module, _, path = name.partition(":")
    ours = _package(module) in OWN_PACKAGES or module in FREE_MODULES
    return (ours and "." not in path) or name in _entry_point_values()


def _package(module: str) -> str:
    return module.partition(".")[0]


def _covered(name: str, trust: Sequence[str]) -> bool:
    module = name.partition(":")[0]
    trust = (*trust, *_trusted.get())
    return any(module == one or module.startswith(f"{one}.") for one in trust)


@cache
def _entry_point_values() -> frozenset[str]:
    return frozenset(point.value for group in GROUPS for point in entry_points(group=group))
