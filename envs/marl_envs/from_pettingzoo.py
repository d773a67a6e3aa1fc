"""PettingZoo environments as ours, by name or as they are.

``pettingzoo/classic/connect_four_v3`` and ``mpe2/simple_spread_v3`` name modules of the libraries; so does
``pettingzoo/NAMESPACE/NAME`` what a third party put into PettingZoo's own registry. ``env_config`` goes to the
game, but for two keys of the adapter:

``api``      ``parallel`` (all agents act at once; the default where the game offers it) or ``aec`` (in turns)
``illegal``  ``error`` (the default) or ``forfeit``: who plays a masked action loses and the game ends, in turn games
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marl.env import EnvContext
from marl.errors import ConfigError, PluginError, Problem, did_you_mean
from marl.registry import Adapter, missing_library

OPTIONS = {"api": ("aec", "parallel"), "illegal": ("error", "forfeit")}
FAMILIES = ("atari", "butterfly", "classic", "sisl")
_VERSIONED = re.compile(r"\w+_v\d+$")
_UNKNOWN_KEYWORD = re.compile(r"unexpected keyword argument '(\w+)'")


def _adapt(env: Any, context: EnvContext) -> Any:
    api, illegal = _options(context)
    if not isinstance(env, str):
        return _adapt_instance(env, api, illegal)
    settings = {key: value for key, value in context.items() if key not in OPTIONS}
    source = _game_module(env)
    offered = "parallel" if getattr(source, "parallel_env", None) is not None else "aec"
    if api == "parallel" and offered == "aec":
        wrong = f"{env} is played in turns and offers no parallel form"
        raise ConfigError([Problem("env_config.api", wrong, "leave it out, or set it to aec")])
    chosen = api or offered
    with _quiet():
        try:
            made = (source.parallel_env if chosen == "parallel" else source.env)(**settings)
        except TypeError as error:
            unknown = _UNKNOWN_KEYWORD.search(str(error))
            if unknown is None or unknown[1] not in settings:
                raise
            takes = _parameters(source)
            wrong = f"{env} has no such parameter.{did_you_mean(unknown[1], takes)}"
            raise ConfigError([Problem(f"env_config.{unknown[1]}", wrong)]) from None
    return _adapt_instance(made, chosen, illegal)


def _parameters(source: Any) -> list[str]:
    """What a game's creator takes; ``env()`` hands everything on to ``raw_env``."""
    try:
        parameters = inspect.signature(source.raw_env).parameters.values()
    except (AttributeError, TypeError, ValueError):
        return []
    return [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]


def _adapt_instance(env: Any, api: str | None, illegal: str) -> Any:
    """``env``, an AECEnv or a ParallelEnv, through the adapter of the wished form."""
    from pettingzoo.utils import conversions

    from marl_envs.pettingzoo_rounds import RoundGame
    from marl_envs.pettingzoo_turns import TurnGame

    if isinstance(env, conversions.turn_based_aec_to_parallel_wrapper):
        env = env.aec_env  # turns in a parallel dress: all agents are observed though one acts
    parallel = _is_a(env, "ParallelEnv")
    if (api or ("parallel" if parallel else "aec")) == "aec":
        return TurnGame(conversions.parallel_to_aec(env) if parallel else env, illegal)
    if illegal == "forfeit":
        wrong = "forfeiting is a rule of games played in turns, and this one is played in parallel"
        raise ConfigError([Problem("env_config.illegal", wrong, "leave it out, or set api: aec")])
    if not parallel:
        if not env.metadata.get("is_parallelizable", False):
            raise ConfigError([Problem("env_config.api", f"{env} is played in turns and offers no parallel form", "leave it out")])
        return RoundGame(env, cycle=True)
    if type(env) is conversions.aec_to_parallel_wrapper:
        return RoundGame(env.aec_env, cycle=True)
    return RoundGame(env, cycle=False)


def _options(context: EnvContext) -> tuple[str | None, str]:
    problems = [
        Problem(f"env_config.{key}", f"expected one of {', '.join(allowed)}, found {context[key]!r}", "")
        for key, allowed in OPTIONS.items()
        if key in context and context[key] not in allowed
    ]
    if problems:
        raise ConfigError(problems)
    return context.get("api"), context.get("illegal", "error")


def _matches(env: Any) -> bool:
    return _is_a(env, "AECEnv") or _is_a(env, "ParallelEnv")


def _is_a(env: Any, name: str) -> bool:
    """By the names of its base classes, so that nothing of PettingZoo is imported to ask."""
    return any(base.__name__ == name and base.__module__ == "pettingzoo.utils.env" for base in type(env).__mro__)


# ------------------------------------------------------------------ names


def _game_module(name: str) -> Any:
    """The module (or PettingZoo registry entry) with ``env`` and perhaps ``parallel_env`` that ``name`` stands for."""
    library, _, path = name.partition("/")
    path = re.sub(r"-v(\d+)$", r"_v\1", path)  # Gymnasium's spelling, which PettingZoo's registry takes too
    try:
        with _quiet():
            importlib.import_module(library)
    except ImportError as error:
        raise missing_library(name, library, "marl-framework[pettingzoo]", error) from error
    module_name = ".".join([library, *path.split("/")])
    try:
        with _quiet():
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            family = path.partition("/")[0] if "/" in path else ""
            install = f"pettingzoo[{family}]" if family in FAMILIES else library
            raise missing_library(name, error.name or "a library", install, error) from error
    registered = _RegistryGame.find(path) if library == "pettingzoo" else None
    if registered is None:
        raise PluginError(f"{library} has no environment {path!r}.{did_you_mean(name, _names(library))}")
    return registered


class _RegistryGame:
    """A game of PettingZoo's own registry in the shape of a game module."""

    def __init__(self, aec: Any, parallel: Any) -> None:
        self.env = aec.make if aec is not None else None
        self.parallel_env = parallel.make if parallel is not None else None

    @classmethod
    def find(cls, path: str) -> _RegistryGame | None:
        import pettingzoo

        env_id = re.sub(r"_v(\d+)$", r"-v\1", path)
        aec, parallel = pettingzoo.aec_registry.get(env_id), pettingzoo.parallel_registry.get(env_id)
        return None if aec is None and parallel is None else cls(aec, parallel)


def _names(library: str) -> list[str]:
    """The library's game modules, found by their files; the library itself is not imported."""
    spec = importlib.util.find_spec(library)
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec is not None else []
    files = [file.relative_to(root).with_suffix("") for root in roots for file in [*root.glob("*.py"), *root.glob("*/*.py")]]
    return sorted(f"{library}/{file.as_posix()}" for file in files if _VERSIONED.match(file.name))


def _pettingzoo_names() -> Iterable[str]:
    return _names("pettingzoo")


def _mpe2_names() -> Iterable[str]:
    return _names("mpe2")


def _nothing(env: Any) -> bool:
    return False  # instances of mpe2 are PettingZoo's, whose adapter matches them


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that PettingZoo gives whenever a game's module is imported by its name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


PETTINGZOO = Adapter("pettingzoo", _matches, _adapt, tuple(OPTIONS), _pettingzoo_names)
MPE2 = Adapter("mpe2", _nothing, _adapt, tuple(OPTIONS), _mpe2_names)
