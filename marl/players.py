"""Players that do not learn: random, constant, and whatever has ``act``.

A *batch* player is a :class:`~marl.policy.Policy`. A *scripted* player sees raw observations, one agent at a time: a class or
factory makes one player a life; a plain function ``f(obs, info, rng)`` has no memory.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.errors import ConfigError, PolicyError, Problem
from marl.policy import ActResult, Policy, PolicySpec, RecurrentState
from marl.spaces import MASK_KEY, ActionCodec, ObservationCodec, split_mask


class RandomPolicy(Policy):
    """Uniform over the legal actions."""

    def __init__(self, spec: PolicySpec) -> None:
        self.observation = ObservationCodec(spec.observation_space)
        self.action = ActionCodec(spec.action_space)

    def act_batch(
        self,
        obs: Any,
        *,
        recurrent_state: RecurrentState,
        action_mask: NDArray[np.bool_] | None,
        explore: bool,
        rng: np.random.Generator,
        schedule_step: int,
    ) -> ActResult:
        count = len(next(iter(obs.values()))) if isinstance(obs, dict) else len(obs)
        return self.action.sample(count, rng, action_mask), recurrent_state, {}


class ConstantPolicy(Policy):
    """Always the same action; where it is masked, the first legal choice of each part."""

    def __init__(self, spec: PolicySpec, action: Any = None) -> None:
        self.observation = ObservationCodec(spec.observation_space)
        self.action = ActionCodec(spec.action_space)
        if action is None:
            self._row = np.zeros(self.action.shape, self.action.dtype)
            for part in self.action.parts:
                if part.low is not None and part.high is not None:
                    self._row[part.column : part.column + part.size] = np.clip(0.0, part.low, part.high)
        else:
            self._row = self.action.from_env(action)

    def act_batch(
        self,
        obs: Any,
        *,
        recurrent_state: RecurrentState,
        action_mask: NDArray[np.bool_] | None,
        explore: bool,
        rng: np.random.Generator,
        schedule_step: int,
    ) -> ActResult:
        count = len(next(iter(obs.values()))) if isinstance(obs, dict) else len(obs)
        actions = np.repeat(self._row[None], count, axis=0)
        if action_mask is not None:
            table = actions.reshape(count, -1)
            for part in self.action.parts:
                if part.n:
                    allowed = action_mask[:, part.mask : part.mask + part.n]
                    blocked = ~allowed[np.arange(count), table[:, part.column].astype(np.int64)]
                    table[blocked, part.column] = allowed[blocked].argmax(axis=1)
        return actions, recurrent_state, {}


class ScriptedPlayer:
    """A user's bot as a seat: raw observations in, environment actions out, one call per decision.

    Args:
        source: a function ``f(obs, info, rng)`` (fewer parameters are fine), or a class or factory whose
            product has ``act(obs, …)`` and optionally ``reset()``; it is called once a life.
        name: for messages.

    Raises:
        ConfigError: an object with ``act`` and no factory, which cannot serve several lives at once.
    """

    def __init__(self, source: Any, spec: PolicySpec, name: str) -> None:
        self.observation = ObservationCodec(spec.observation_space)
        self.action = ActionCodec(spec.action_space)
        self.name = name
        self.version = 0
        self._factory: Callable[..., Any] | None = None
        self._function: Callable[..., Any] | None = None
        if inspect.isclass(source) or (callable(source) and not _takes_observation(source)):
            self._factory = source
        elif callable(source):
            self._function = _three_arguments(source)
        else:
            raise ConfigError(
                [
                    Problem(
                        f"policies.{spec.policy_id}.player",
                        f"{source!r} is one object with act() and would be shared by every life that is open at once",
                        "give its class, or a function that makes one",
                    )
                ]
            )

    @property
    def remembers(self) -> bool:
        """Whether a life has an object of its own, which may remember what it saw."""
        return self._factory is not None

    def begin_life(self) -> Callable[[Any, Any, np.random.Generator], Any]:
        """The function ``(obs, info, rng) → action`` that plays one life."""
        if self._function is not None:
            return self._function
        assert self._factory is not None
        player = self._factory()
        if not hasattr(player, "act"):
            raise PolicyError(f"player {self.name} made a {type(player).__name__} without act(obs); expected an object with act.")
        return _three_arguments(player.act)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _takes_observation(function: Callable[..., Any]) -> bool:
    return any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in _parameters(function))


def _three_arguments(function: Callable[..., Any]) -> Callable[[Any, Any, np.random.Generator], Any]:
    """``function`` called with those of ``obs, info, rng`` that it names (by name), or by position otherwise."""
    parameters = _parameters(function)
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    wanted = [name for name in ("info", "rng") if name in names]
    if wanted or len([p for p in parameters if p.default is p.empty]) <= 1:

        def call(obs: Any, info: Any, rng: np.random.Generator) -> Any:
            given = {"info": info, "rng": rng}
            return function(obs, **{name: given[name] for name in wanted})

        return call
    count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return lambda obs, info, rng: function(*(obs, info, rng)[:count])


class Player:
    """One seat for people: keeps the recurrent state, strips masks, speaks the environment's own actions.

    ``marl.load_policy(path)`` returns one. ``policy`` is the policy itself (``q_values``, ``action_distribution``, …).
    """

    def __init__(self, policy: Policy, *, seed: int = 0) -> None:
        self.policy = policy
        self._rng = np.random.default_rng(seed)
        self._state: RecurrentState = policy.initial_recurrent_state(1)

    def reset(self) -> None:
        """Begin a new life: the recurrent state starts fresh."""
        self._state = self.policy.initial_recurrent_state(1)

    def act(self, obs: Any, *, info: Any = None, explore: bool = False) -> Any:
        """The action for one observation, as the run's (wrapped) environment gives it, mask included."""
        policy = self.policy
        mask = info.get("action_mask") if isinstance(info, dict) else None
        seen = obs
        try:
            if policy.observation.masked:
                obs, mask = split_mask(obs)
            flat = None if mask is None else policy.action.flat_mask(mask)[None]
            encoded = policy.observation.encode_one(obs)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            masked = f", in a dict with its {MASK_KEY!r}" if policy.observation.masked else ""
            raise PolicyError(f"cannot act on {seen!r}; expected an observation of {policy.observation.inner}{masked}.") from error
        actions, self._state, _ = policy.act_batch(
            encoded,
            recurrent_state=self._state,
            action_mask=flat,
            explore=explore,
            rng=self._rng,
            schedule_step=policy.counters.num_env_steps,
        )
        return policy.action.to_env(actions)[0]
