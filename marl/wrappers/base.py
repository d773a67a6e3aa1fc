"""The base of all wrappers: it forwards what an environment may have, and nothing that the inner one lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marl.env import FORWARDED, AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import ConfigError, Problem

SPACES = ("observation_spaces", "action_spaces", "observation_space", "action_space")


class Wrapper(BaseMultiAgentEnv):
    """An environment around another one, ``env``. As it stands, it changes nothing.

    The members of :data:`marl.env.FORWARDED` and the spaces are there exactly where ``env`` has them. So are
    ``get_state`` and ``set_state``: the state of the whole stack, ``{"env": the inner one's or None, **own_state()}``.
    A wrapper that remembers anything **beyond an episode** sets ``remembers = True`` and so has them even around an
    environment without them; :func:`state_is_whole` tells the two cases apart.

    A wrapper's own options are checked by its static method ``check_options(…)``, which takes what the constructor takes
    after ``env`` and returns every problem, so that a run's configuration is checked before an environment exists.
    """

    remembers = False

    def __init__(self, env: Any) -> None:
        self.env = env

    @property
    def possible_agents(self) -> list[Any]:  # type: ignore[override]  # read through: an environment may change its list
        """The inner environment's ``possible_agents``."""
        return self.env.possible_agents  # type: ignore[no-any-return]

    @property
    def unwrapped(self) -> Any:
        """The environment under all wrappers."""
        return unwrapped(self)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        return self.env.reset(seed=seed, options=options)  # type: ignore[no-any-return]

    def step(self, actions: AgentDict, /) -> StepReturn:
        return self.env.step(actions)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the inner environment, where it can be closed."""
        close = getattr(self.env, "close", None)
        if close is not None:
            close()

    def own_state(self) -> dict[str, Any]:
        """What this wrapper itself remembers, as JSON and arrays."""
        return {}

    def set_own_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`own_state` gave."""

    def __getattr__(self, name: str) -> Any:
        if name in FORWARDED or name in SPACES:
            return getattr(self.env, name)
        if name in ("get_state", "set_state") and (self.remembers or hasattr(self.env, name)):
            return getattr(self, f"_{name}")
        hint = "" if name.startswith("_") else f" If the game has it: env.unwrapped.{name}."
        raise AttributeError(f"{type(self).__name__} has no {name!r}, and wrappers forward only what the protocol knows.{hint}")

    def _get_state(self) -> dict[str, Any]:
        inner = getattr(self.env, "get_state", None)
        return {"env": None if inner is None else inner(), **self.own_state()}

    def _set_state(self, state: dict[str, Any]) -> None:
        if state["env"] is not None:
            self.env.set_state(state["env"])
        self.set_own_state({key: value for key, value in state.items() if key != "env"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.env!r})"


def unwrapped(env: Any) -> Any:
    """The environment under all wrappers of this package."""
    while isinstance(env, Wrapper):
        env = env.env
    return env


def state_is_whole(env: Any) -> bool:
    """Whether ``env.get_state()`` holds the game too, so that it replaces the replaying of an open episode.

    Where only wrappers remember, ``get_state()`` exists but holds their memory alone: it is saved as it was at
    the episode's start, set before the replay, and the game is rebuilt by its actions. Groups and whatever else
    of the core stands around an environment are looked through like wrappers.
    """
    while isinstance(env, Wrapper) or (type(env).__module__.startswith("marl.") and "env" in vars(env)):
        env = env.env
    return hasattr(env, "get_state")


# ------------------------------------------------------------------ for the wrappers' own checks


def refuse(problems: Iterable[Problem]) -> None:
    """Raise :class:`marl.errors.ConfigError` with all of ``problems``, if there are any."""
    found = list(problems)
    if found:
        raise ConfigError(found)


def whole(key: str, value: Any, least: int) -> list[Problem]:
    """A problem unless ``value`` is an integer of at least ``least``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return []
    return [Problem(key, f"is {value!r}", f"must be an integer of at least {least}")]


def number(key: str, value: Any, low: float = float("-inf"), high: float = float("inf")) -> list[Problem]:
    """A problem unless ``value`` is a number in [low, high]."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
        return []
    limits = [f"of at least {low}" if low > float("-inf") else "", f"of at most {high}" if high < float("inf") else ""]
    words = " and ".join(limit for limit in limits if limit)
    return [Problem(key, f"is {value!r}", f"must be a number {words}".rstrip())]


def truth(key: str, value: Any) -> list[Problem]:
    """A problem unless ``value`` is true or false."""
    return [] if isinstance(value, bool) else [Problem(key, f"is {value!r}", "must be true or false")]
