"""What users may hang into a run: protocols, called only where they are defined.

A callbacks object may have any of these methods and need have none; nothing is inherited. The sampler calls
``on_episode_start/step/end`` and ``on_rows`` in the worker, the trainer calls ``on_train_result``.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from marl.errors import did_you_mean


class EpisodeView(Protocol):
    """What routers, matches and callbacks see of an episode that is going on.

    ``agents`` are those seen so far, ``policies`` the ids present in the worker, ``match_state`` the value last given to
    ``trainer.set_match_state``, ``user`` a dict of the user's own, ``rng`` the episode's own generator.
    """

    @property
    def episode_id(self) -> int: ...
    @property
    def rng(self) -> np.random.Generator: ...
    @property
    def agents(self) -> Sequence[Hashable]: ...
    @property
    def policies(self) -> Iterable[str]: ...
    @property
    def match(self) -> Any: ...
    @property
    def match_state(self) -> Any: ...
    @property
    def user(self) -> dict[str, Any]: ...
    @property
    def env_index(self) -> int: ...
    @property
    def worker_index(self) -> int: ...
    @property
    def seed(self) -> int | None: ...


@runtime_checkable
class OnEpisodeStart(Protocol):
    def on_episode_start(self, episode: EpisodeView) -> None:
        """An episode begins: its match is drawn, nobody has acted."""
        ...


@runtime_checkable
class OnEpisodeStep(Protocol):
    def on_episode_step(self, episode: EpisodeView) -> None:
        """One call of ``env.step`` was taken in. Slows sampling: define it only if you need it."""
        ...


@runtime_checkable
class OnEpisodeEnd(Protocol):
    def on_episode_end(self, episode: EpisodeView, record: Any) -> None:
        """An episode ended; ``record`` is its :class:`~marl.batch.EpisodeRecord`."""
        ...


@runtime_checkable
class OnRows(Protocol):
    def on_rows(self, batch: Any) -> Any:
        """A fragment is complete: a :class:`~marl.batch.MultiAgentBatch`. What is returned, if anything, takes its place."""
        ...


@runtime_checkable
class OnTrainResult(Protocol):
    def on_train_result(self, trainer: Any, result: dict[str, Any]) -> None:
        """An iteration is complete; ``result`` has ``metrics`` and ``episodes`` and may be added to."""
        ...


HOOKS: tuple[str, ...] = ("on_episode_start", "on_episode_step", "on_episode_end", "on_rows", "on_train_result")


ARGUMENTS: dict[str, tuple[str, ...]] = {
    "on_episode_start": ("episode",),
    "on_episode_step": ("episode",),
    "on_episode_end": ("episode", "record"),
    "on_rows": ("batch",),
    "on_train_result": ("trainer", "result"),
}


def faults_of_callbacks(one: Any) -> list[tuple[str, str]]:
    """``(what is wrong, how to mend it)`` of callbacks, an object or its class: methods that would never be called, or not like this."""
    methods = [name for name in dir(one) if name.startswith("on_") and callable(getattr(one, name, None))]
    faults = [
        (f"{name} is no hook and would never be called.{did_you_mean(name, HOOKS)}", f"hooks: {', '.join(HOOKS)}")
        for name in methods
        if name not in HOOKS
    ]
    for name in [name for name in methods if name in HOOKS]:
        given = ARGUMENTS[name]
        bound = not isinstance(inspect.getattr_static(one, name), (staticmethod, classmethod))
        unbound = isinstance(one, type) and bound  # a class: self is still among the parameters
        try:
            inspect.signature(getattr(one, name)).bind(*given, *(("self",) if unbound else ()))
        except TypeError:
            faults.append((f"{name} cannot be called with {', '.join(given)}", f"def {name}(self, {', '.join(given)})"))
        except ValueError:  # written in C: not to be asked
            continue
    return faults


def hooked(callbacks: Sequence[Any], name: str) -> list[Any]:
    """The bound methods ``name`` of those callbacks that define it."""
    return [getattr(one, name) for one in callbacks if callable(getattr(one, name, None))]
