"""From a run's ``wrappers: [{frame_stack: {n: 4}}, reward_clip, {"my_package:Mine": {}}]`` to wrapped environments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from marl.errors import ConfigError, Problem, did_you_mean
from marl.wrappers.agent_id import AgentId
from marl.wrappers.frame_stack import FrameStack
from marl.wrappers.grey_image import GreyImage
from marl.wrappers.importing import imported
from marl.wrappers.paying import RewardClip, RewardNormalize, RewardScale
from marl.wrappers.recording import RecordEpisode
from marl.wrappers.shared_view import ObservationFunction
from marl.wrappers.time_limit import TimeLimit

Maker = Callable[..., Any]

WRAPPERS: dict[str, Maker] = {
    "time_limit": TimeLimit,
    "frame_stack": FrameStack,
    "observation_function": ObservationFunction,
    "agent_id": AgentId,
    "reward_scale": RewardScale,
    "reward_clip": RewardClip,
    "reward_normalize": RewardNormalize,
    "grey_image": GreyImage,
    "record_episode": RecordEpisode,
}
"""The names that a run's ``wrappers`` may use; any other is ``"module:Class"``."""


def apply_wrappers(env: Any, specs: Sequence[Any]) -> Any:
    """``env`` inside the wrappers of ``specs``, the first nearest to it.

    Args:
        env: a dict environment.
        specs: each a name, or ``{name: {option: value}}``; a name is one of :data:`WRAPPERS` or ``"module:Class"``
            (a class or function that takes the environment first).

    Raises:
        ConfigError: every unknown name, unknown or missing option and unusable value, all at once.
    """
    problems = check_wrappers(specs)
    if specs and hasattr(env, "slots") and hasattr(env, "num_envs"):
        wrong = f"stand around environments of dicts, but {type(env).__name__} is array-native"
        problems.append(Problem("wrappers", wrong, "take the dict form of the game, or change the arrays in the environment itself"))
    if problems:
        raise ConfigError(problems)
    for place, (name, options) in enumerate(_parsed(spec) for spec in specs):
        try:
            env = _maker(name)(env, **options)
        except ConfigError as error:  # what only shows against the environment: its spaces, its agents
            raise ConfigError([_placed(problem, place, name) for problem in error.problems]) from error
    return env


def check_wrappers(specs: Any) -> list[Problem]:
    """Every problem of a run's ``wrappers`` that can be seen without an environment."""
    if not isinstance(specs, (list, tuple)):
        return [Problem("wrappers", f"is {specs!r}", "must be a list, for example [{frame_stack: {n: 4}}, reward_clip]")]
    return [problem for place, spec in enumerate(specs) for problem in _check(place, spec)]


def wrapper_imports(specs: Sequence[Any]) -> list[str]:
    """Every ``module:name`` that :func:`apply_wrappers` would import, for whoever must ask first."""
    names = []
    for name, options in (_parsed(spec) for spec in specs):
        if name not in WRAPPERS:
            names.append(name)
        if name == "observation_function":
            names += [value for value in options.values() if isinstance(value, str)]
    return names


def _check(place: int, spec: Any) -> Iterator[Problem]:
    try:
        name, options = _parsed(spec)
    except ValueError as error:
        mend = "must be a name, or one name with its options: {frame_stack: {n: 4}}"
        yield Problem(f"wrappers[{place}]", str(error), mend)
        return
    try:
        maker = _maker(name)
    except ConfigError as error:
        for problem in error.problems:
            yield Problem(f"wrappers[{place}]", f"{problem.key!r}: {problem.wrong}", problem.mend)
        return
    found = list(_wrong_keys(maker, options))
    # Its own, not an inherited one: a subclass may have other options.
    if not found and "check_options" in vars(maker):
        found = maker.check_options(**options)  # type: ignore[attr-defined]  # seen in the line above
    for problem in found:
        yield _placed(problem, place, name)


def _placed(problem: Problem, place: int, name: str) -> Problem:
    where = f"wrappers[{place}].{name}"
    return Problem(where if problem.key in (name, "config") else f"{where}.{problem.key}", problem.wrong, problem.mend)


def _parsed(spec: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    if isinstance(spec, Mapping) and len(spec) == 1:
        ((name, options),) = spec.items()
        if isinstance(name, str) and (options is None or isinstance(options, Mapping)):
            return name, dict(options or {})
    raise ValueError(f"is {spec!r}")


def _maker(name: str) -> Maker:
    if name in WRAPPERS:
        return WRAPPERS[name]
    if ":" not in name:
        mend = f"or module:Class for a wrapper of your own.{did_you_mean(name, WRAPPERS)}"
        raise ConfigError([Problem(name, "is no wrapper", mend)])
    made: Maker = imported(name)
    return made


def _wrong_keys(maker: Maker, options: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        parameters = list(inspect.signature(maker).parameters.values())[1:]  # the first is the environment
    except (TypeError, ValueError):  # written in C, without a signature: nothing is known
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    named = {one.name: one for one in parameters if one.kind is not one.VAR_POSITIONAL}
    for key in options:
        if key not in named:
            takes = did_you_mean(key, named).strip() or "It takes no options."
            yield Problem(str(key), "is no option of this wrapper", takes)
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in options:
            yield Problem(name, "is missing", "this wrapper needs it")
