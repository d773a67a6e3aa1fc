"""From a name, a class, a callable or an instance to an environment that speaks our contract.

``make_env`` finds the creator, calls it by the rule below, and hands what it returned to the one adapter that
matches. The core imports no adapter: adapters and named environments are found through the entry-point groups
``marl.adapters`` and ``marl.envs``.

**The rule of creation.** A creator whose first parameter is required, or is called ``config``, ``env_config`` or
``context``, gets one positional :class:`~marl.env.EnvContext`. Every other creator, class or named environment
gets the items of ``env_config`` as keywords.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from marl.env import EnvContext, MultiAgentEnv, VectorMultiAgentEnv
from marl.errors import ConfigError, EnvError, MarlError, PluginError, Problem

ENV_GROUP = "marl.envs"
ADAPTER_GROUP = "marl.adapters"
CONTEXT_NAMES = ("config", "env_config", "context")

Creator = Callable[..., Any]
Rule = Literal["context", "keywords"]

_registered: dict[str, Creator] = {}


@dataclass(frozen=True)
class Adapter:
    """How the environments of one library become ours. What an entry point of ``marl.adapters`` names.

    ``prefix``    the first part of the names it understands (``pettingzoo/classic/chess_v6``); its entry point has this name
    ``matches``   whether an object, made already, is one of that library's environments; imports nothing heavy
    ``adapt``     ``(object or full name, context) -> environment``
    ``options``   keys of ``env_config`` that are for the adapter, not for the environment's creator
    ``names``     the full names it can make, for lists and "did you mean"; imports nothing heavy
    """

    prefix: str
    matches: Callable[[Any], bool]
    adapt: Callable[[Any, EnvContext], Any]
    options: tuple[str, ...] = ()
    names: Callable[[], Iterable[str]] = tuple


def make_env(env: Any, config: Mapping[str, Any] | None = None, *, context: EnvContext | None = None) -> Any:
    """Make ``env``, a name, class, callable or instance, and adapt it to our contract.

    Names are those given to :func:`register_env`, those of the entry-point group ``marl.envs``
    (``marl_envs/two_step-v1``), ``module.path:EnvClass``, and an adapter's prefix with its library's own name
    (``pettingzoo/classic/connect_four_v3``, ``mpe2/simple_spread_v3``, ``gymnasium/CartPole-v1``).

    Args:
        config: the run's ``env_config``; its items go to the creator by the rule of creation.
        context: the place of this copy (worker, copy); its own items come before those of ``config``.

    Returns:
        A ``MultiAgentEnv``, or a ``VectorMultiAgentEnv`` as it is.

    Raises:
        PluginError: the name is not known, a library is missing, or two adapters match.
        ConfigError: ``config`` has a key that the creator does not take.
        EnvError: what was made is no environment.
    """
    made_for = _context(config, context)
    if isinstance(env, str):
        creator = _named_creator(env)
        if creator is None:
            return _speaks_contract(_prefix_adapter(env).adapt(env, made_for), env)
        return _create(creator, made_for, env)
    if is_creator(env):
        return _create(env, made_for, _title(env))
    return _adapted(env, made_for, _title(env))


def register_env(name: str, creator: Creator, *, replace: bool = False) -> None:
    """Let ``make_env`` and run files know ``creator`` as ``name``.

    Registering the same function or class again (a notebook cell run twice) replaces it; another one under a
    taken name needs ``replace=True``.
    """
    if not isinstance(name, str) or not name or ":" in name:
        raise PluginError(f"register_env: {name!r} cannot be a name; expected a non-empty str without ':' (as in module:attribute).")
    if not callable(creator):
        raise PluginError(f"register_env({name!r}, …): expected a class or a function that makes the environment, found {creator!r}.")
    taken = _registered.get(name)
    if taken is not None and not replace and _origin(taken) != _origin(creator):
        raise PluginError(
            f"register_env: {name!r} is already {_title(taken)}; give {_title(creator)} another name, or pass replace=True to put it there."
        )
    _registered[name] = creator


def known_envs() -> list[str]:
    """Every name that ``make_env`` understands here and now, sorted (``module:attribute`` names aside)."""
    named = {*_registered, *_entry_points(ENV_GROUP)}
    for adapter in _adapters():
        named.update(adapter.names())
    return sorted(named)


# ------------------------------------------------------------------ the rule of creation


def is_creator(env: Any) -> bool:
    """Whether ``env`` is to be called to get an environment, rather than being one."""
    if isinstance(env, type):
        return True
    return callable(env) and not (hasattr(env, "reset") and hasattr(env, "step"))


def creation_rule(creator: Creator) -> Rule:
    """``"context"`` if ``creator`` gets one positional EnvContext, ``"keywords"`` if it gets the items of env_config."""
    first = next(iter(_parameters(creator)), None)
    if first is None or first.kind in (first.VAR_POSITIONAL, first.VAR_KEYWORD, first.KEYWORD_ONLY):
        return "keywords"
    return "context" if first.default is first.empty or first.name in CONTEXT_NAMES else "keywords"


def describe_creation(env: Any) -> str:
    """One sentence: how ``make_env`` makes ``env``, and why (``marl check`` prints it)."""
    creator = _named_creator(env) if isinstance(env, str) else env
    if creator is None:
        return f"{env}: made by the adapter {_prefix_adapter(env).prefix!r}; the items of env_config are its keywords."
    if not is_creator(creator):
        return f"{_title(creator)}: an instance, taken as it is; env_config may hold only an adapter's own keys."
    first = next(iter(_parameters(creator)), None)
    if creation_rule(creator) == "context" and first is not None:
        why = f"is called {first.name!r}" if first.name in CONTEXT_NAMES else f"{first.name!r} is required"
        return f"{_title(creator)}: called with one positional EnvContext, because its first parameter {why}."
    return f"{_title(creator)}: called with the items of env_config as keywords."


def _parameters(creator: Creator) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(creator).parameters.values())
    except (TypeError, ValueError):  # written in C, without a signature: nothing is known, so keywords are tried
        return [inspect.Parameter("unknown", inspect.Parameter.VAR_KEYWORD)]


def _create(creator: Creator, context: EnvContext, title: str) -> Any:
    """Call ``creator`` by its rule and adapt what it returned."""
    if not is_creator(creator):
        return _adapted(creator, context, title)
    if creation_rule(creator) == "context":
        made = creator(_context(None, context))  # a copy: the creator may pop what it uses
        return _adapted(made, context, title, check_unused=False)
    parameters = _parameters(creator)
    takes = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    kept = {key for adapter in _adapters() for key in adapter.options} - takes
    keywords = {key: value for key, value in context.items() if key not in kept}
    if not takes_any and not keywords.keys() <= takes:
        raise ConfigError([_unknown_key(key, takes, title) for key in keywords if key not in takes])
    rest = EnvContext({key: value for key, value in context.items() if key in kept}, **_place(context))
    return _adapted(creator(**keywords), rest, title)


def _unknown_key(key: str, takes: Iterable[str], title: str) -> Problem:
    names = sorted(takes)
    near = difflib.get_close_matches(key, names, n=1)
    mend = f"did you mean {near[0]!r}?" if near else f"it takes: {', '.join(names)}" if names else "it takes none: leave the key out"
    return Problem(f"env_config.{key}", f"{title} has no such parameter", mend)


def _context(config: Mapping[str, Any] | None, context: EnvContext | None) -> EnvContext:
    """A context of its own for one environment: creators may change it."""
    given: Any = config
    if given is not None and not isinstance(given, Mapping):
        mend = "give a dict of the environment's own settings"
        raise ConfigError([Problem("env_config", f"expected a mapping, found {type(given).__name__}", mend)])
    if context is None:
        context = config if isinstance(config, EnvContext) else EnvContext()
    return EnvContext({**context, **(config or {})}, **_place(context))


def _place(context: EnvContext) -> dict[str, int]:
    return {"worker_index": context.worker_index, "vector_index": context.vector_index, "num_workers": context.num_workers}


# ------------------------------------------------------------------ names


def _named_creator(name: str) -> Creator | None:
    """What ``name`` stands for, or None where an adapter is to make it."""
    if name in _registered:
        return _registered[name]
    point = _entry_points(ENV_GROUP).get(name)
    if point is not None:
        return _loaded(point)  # type: ignore[no-any-return]
    if ":" in name and "/" not in name.partition(":")[0]:
        return _imported(name)
    _prefix_adapter(name)  # raises where nothing understands the name
    return None


def _prefix_adapter(name: str) -> Adapter:
    prefix, slash, _ = name.partition("/")
    point = _entry_points(ADAPTER_GROUP).get(prefix) if slash else None
    if point is None:
        raise PluginError(f"no environment is called {name!r}.{_nearest(name)}")
    return _adapter(point)


def _nearest(name: str) -> str:
    names = known_envs()
    near = difflib.get_close_matches(name, names, n=1) or [one for one in names if one.rpartition("/")[2] == name.rpartition("/")[2]]
    if not near:  # the prefix left out, or a slip in it
        tails = {one.rpartition("/")[2]: one for one in names}
        near = [tails[tail] for tail in difflib.get_close_matches(name.rpartition("/")[2], list(tails), n=1)]
    if near:
        return f" Did you mean {near[0]!r}?"
    prefixes = ", ".join(f"{prefix}/…" for prefix in sorted(_entry_points(ADAPTER_GROUP)))
    own = ", ".join(sorted({*_registered, *_entry_points(ENV_GROUP)})) or "none"
    return f" Names known here: {own}; with an adapter: {prefixes or 'none'}; or module.path:EnvClass, or register_env(name, creator)."


def _imported(name: str) -> Creator:
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise  # the module is there; something that it imports is not, and its own traceback says so
        raise PluginError(
            f"environment {name!r}: there is no module {error.name!r}; install the package that holds it, or start from its folder."
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " Give module.path:EnvClass."
            raise PluginError(f"environment {name!r}: {module_name} has no {path!r}.{hint}")
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


# ------------------------------------------------------------------ adapters


def _adapted(made: Any, context: EnvContext, title: str, *, check_unused: bool = True) -> Any:
    """``made`` through the one adapter that matches it, or as it is where it speaks the contract."""
    matching = [adapter for adapter in _adapters() if adapter.matches(made)]
    if len(matching) > 1:
        raise PluginError(
            f"{title}: the adapters {' and '.join(repr(one.prefix) for one in matching)} both match {type(made).__name__}; "
            "uninstall one of them, or wrap the environment yourself and pass the result."
        )
    options = matching[0].options if matching else ()
    unused = [key for key in context if key not in options] if check_unused else []
    if unused:
        wrong = f"{title} is made already, so nothing takes this key"
        raise ConfigError([Problem(f"env_config.{key}", wrong, "leave it out") for key in unused])
    if matching:
        made = matching[0].adapt(made, EnvContext({key: context[key] for key in options if key in context}, **_place(context)))
    return _speaks_contract(made, title)


def _speaks_contract(made: Any, title: str) -> Any:
    if isinstance(made, (MultiAgentEnv, VectorMultiAgentEnv)):
        return made
    missing = [name for name in ("reset", "step", "possible_agents") if not hasattr(made, name)]
    raise EnvError(
        f"{title}: {type(made).__name__} is no environment: it has no {', '.join(missing)}. Expected a MultiAgentEnv (reset, step and "
        "possible_agents), a VectorMultiAgentEnv, or an environment of PettingZoo, Gymnasium or RLlib."
    )


def _adapters() -> list[Adapter]:
    return [_adapter(point) for point in _entry_points(ADAPTER_GROUP).values()]


def _adapter(point: EntryPoint) -> Adapter:
    adapter = _loaded(point)
    if not isinstance(adapter, Adapter) or adapter.prefix != point.name:
        found = f"one with prefix {adapter.prefix!r}" if isinstance(adapter, Adapter) else repr(adapter)
        raise PluginError(
            f"entry point {point.name!r} of {ADAPTER_GROUP}: expected a marl.registry.Adapter with prefix {point.name!r}, found {found}."
        )
    return adapter


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        first = found.setdefault(point.name, point)
        if first.value != point.value:
            raise PluginError(f"entry point {point.name!r} of {group} is given twice: {first.value} and {point.value}; uninstall one.")
    return found


@cache
def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"entry point {point.name!r} of {point.group} ({point.value}) does not load: {error}") from error


def missing_library(name: str, library: str, install: str, error: Exception) -> MarlError:
    """The error to raise where ``name`` needs a library that is not installed, with the command that installs it."""
    return PluginError(f"environment {name!r} needs {library}, which does not import here ({error}); install it: pip install '{install}'")


def _title(env: Any) -> str:
    if isinstance(env, type) or (callable(env) and hasattr(env, "__qualname__")):
        return f"{env.__module__}:{env.__qualname__}"
    return type(env).__qualname__


def _origin(creator: Creator) -> tuple[str, str]:
    return str(getattr(creator, "__module__", "")), str(getattr(creator, "__qualname__", id(creator)))
