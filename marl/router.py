"""Which policy plays which agent, and whether that seat learns.

Four ways to say it, which exclude each other: a *mapping* as data (``{"player_*": "main"}``, or a weighted draw per
episode, ``{"player_2": {"rival": 0.5, "coin": 0.5}}``), a function ``policy_mapping_fn(agent_id, episode, worker)``,
*matches* as data, and a function ``match_fn(episode) -> Match``. A mapping is asked once for every agent, when it first
appears in an episode; a match is drawn once, when the episode begins, for all seats together.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypeVar

import numpy as np

from marl.errors import ConfigError, Problem, RunError, did_you_mean
from marl.hooks import EpisodeView

Target: TypeAlias = str | Mapping[str, float]
Mapping_: TypeAlias = Mapping[Any, Target]
T = TypeVar("T")

REMEMBERED_AGENTS = 65_536
"""Pattern look-ups kept per router; an open set of agents may be larger, then the memory starts anew."""


@dataclass(frozen=True)
class Match:
    """Who plays one episode.

    Attributes:
        seats: agent id or pattern (``player_*``; exact before pattern) → policy id.
        learn: seats (or agents) whose rows may reach a learner; None: all whose policy is trained.
        weights: policy id → hash that its weights must have.
        seed: of the reset, instead of the run's own.
        options: given to ``env.reset``.
        tag: JSON; comes back with the episode's result.
    """

    seats: Mapping[Any, str]
    learn: Sequence[Any] | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    options: Mapping[str, Any] | None = None
    tag: Any = None


@dataclass(frozen=True)
class WeightedMatch:
    """A match as data: drawn with ``weight``, or played in turn under evaluation."""

    match: Match
    weight: float = 1.0


class Router:
    """Answers for one worker: who plays whom.

    Args:
        policies: the ids that may be named; :attr:`policies` may be changed while the run goes on.
        mapping, policy_mapping_fn, matches, match_fn: at most one; none: the only policy plays every agent.
        in_turn: play ``matches`` one after another instead of drawing them (evaluation).

    Attributes:
        static: the mapping can never differ between episodes, so an answer may be kept per agent id.
        worker: given to ``policy_mapping_fn`` as ``worker``.
        hashes: policy → hash of the weights that it plays with; ``Match.weights`` are held against it.

    Raises:
        ConfigError: several of the four are given, or none and there are several policies.
    """

    def __init__(
        self,
        policies: Iterable[str],
        *,
        mapping: Mapping_ | None = None,
        policy_mapping_fn: Callable[..., str] | None = None,
        matches: Sequence[WeightedMatch] | None = None,
        match_fn: Callable[..., Match] | None = None,
        in_turn: bool = False,
    ) -> None:
        self.policies: dict[str, None] = dict.fromkeys(policies)
        given = [
            name
            for name, value in (
                ("mapping", mapping),
                ("policy_mapping_fn", policy_mapping_fn),
                ("matches", matches),
                ("match_fn", match_fn),
            )
            if value is not None
        ]
        if len(given) > 1:
            raise ConfigError([Problem(" + ".join(given), "each says alone who plays whom", "keep one of them")])
        if not given:
            if len(self.policies) != 1:
                raise ConfigError(
                    [Problem("mapping", f"{len(self.policies)} policies and no mapping", "say who plays whom: mapping: {AGENT: POLICY}")]
                )
            mapping = {"*": next(iter(self.policies))}
        self.mapping = mapping
        self.matches = list(matches) if matches is not None else None
        self.policy_mapping_fn = policy_mapping_fn
        self.match_fn = match_fn
        self.in_turn = in_turn
        self.worker: Any = None
        self.hashes: dict[str, str] = {}
        self.static = mapping is not None and all(isinstance(target, str) for target in mapping.values())
        self._ask = _named_call(policy_mapping_fn, ("agent_id", "episode", "worker")) if policy_mapping_fn is not None else None
        self._ask_match = _named_call(match_fn, ("episode", "worker")) if match_fn is not None else None
        self._draws = {key: _Draw(target) for key, target in (mapping or {}).items() if not isinstance(target, str)}
        self._match_draw = _Draw({str(i): one.weight for i, one in enumerate(self.matches)}) if self.matches else None
        self._turn = 0
        self._keys: dict[Hashable, Any] = {}

    # ------------------------------------------------------------------ what the sampler asks

    def begin(self, episode: EpisodeView) -> Match | None:
        """The match of an episode that begins, or None where agents are mapped one by one."""
        match = self._next_match(episode)
        for policy_id, wanted in match.weights.items() if match is not None else ():
            if self.hashes.get(policy_id) != wanted:
                raise RunError(
                    f"a match pins policy {policy_id!r} to the weights {wanted}, but it plays with {self.hashes.get(policy_id)}; "
                    "expected a snapshot whose hash is known: trainer.add_policy(copy_of=…) returns it."
                )
        return match

    def _next_match(self, episode: EpisodeView) -> Match | None:
        if self._ask_match is not None:
            match = self._ask_match(episode, self.worker)
            if not isinstance(match, Match):
                raise ConfigError([Problem("match_fn", f"returned {match!r}", "return marl.Match(seats={AGENT: POLICY}, …)")])
            return match
        if self.matches is None:
            return None
        if self.in_turn:
            self._turn += 1
            return self.matches[(self._turn - 1) % len(self.matches)].match
        assert self._match_draw is not None
        return self.matches[self._match_draw.index(episode.rng)].match

    def policy_for(self, agent_id: Hashable, episode: EpisodeView) -> str:
        """The policy that plays ``agent_id`` for the rest of this episode.

        Raises:
            ConfigError: no pattern or seat names the agent, or the policy does not exist (or was removed).
        """
        match = episode.match
        if match is not None:
            seat = _key_of(agent_id, match.seats)
            if seat is _NOBODY:
                raise _nobody("match.seats", agent_id, match.seats)
            return self._known(match.seats[seat], f"match.seats.{seat}", agent_id)
        if self._ask is not None:
            return self._known(self._ask(agent_id, episode, self.worker), "policy_mapping_fn", agent_id)
        assert self.mapping is not None, "matches without a match: begin() was not called for this episode"
        key = self._keys.get(agent_id, _NOBODY)
        if key is _NOBODY:
            key = _key_of(agent_id, self.mapping)
            if key is _NOBODY:
                raise _nobody("mapping", agent_id, self.mapping)
            if len(self._keys) >= REMEMBERED_AGENTS:
                self._keys.clear()
            self._keys[agent_id] = key
        target = self.mapping[key]
        policy_id = target if isinstance(target, str) else self._draws[key].name(episode.rng)
        return self._known(policy_id, f"mapping.{key}", agent_id)

    def absent(self, agents: Iterable[Hashable], episode: EpisodeView) -> dict[Any, str]:
        """agent → the policy that would have played it, of agents that never had to act; those that nothing names are left out."""
        found = {}
        for agent in agents:
            with suppress(ConfigError):
                found[agent] = self.policy_for(agent, episode)
        return found

    def learns(self, agent_id: Hashable, episode: EpisodeView) -> bool:
        """Whether rows of this agent's seat may reach a learner."""
        match = episode.match
        if match is None or match.learn is None:
            return True
        return _key_of(agent_id, dict.fromkeys(match.learn)) is not _NOBODY or _key_of(agent_id, match.seats) in match.learn

    # ------------------------------------------------------------------ what builders ask

    def named_policies(self) -> dict[str, set[str]]:
        """Policy ids that the data names → the config keys that name them (functions name none that can be known)."""
        named: dict[str, set[str]] = {}
        for key, target in (self.mapping or {}).items():
            for policy_id in [target] if isinstance(target, str) else target:
                named.setdefault(policy_id, set()).add(f"mapping.{key}")
        for index, one in enumerate(self.matches or ()):
            for seat, policy_id in one.match.seats.items():
                named.setdefault(policy_id, set()).add(f"matches[{index}].seats.{seat}")
        return named

    def possible_policies(self, agent_id: Hashable) -> tuple[str, ...] | None:
        """The policies that may play ``agent_id``, empty if nothing names it; None where only a function knows."""
        if self.mapping is not None:
            key = _key_of(agent_id, self.mapping)
            if key is _NOBODY:
                return ()
            target = self.mapping[key]
            return (target,) if isinstance(target, str) else tuple(target)
        if self.matches is not None:
            found: dict[str, None] = {}
            for one in self.matches:
                seat = _key_of(agent_id, one.match.seats)
                if seat is _NOBODY:
                    return ()
                found[one.match.seats[seat]] = None
            return tuple(found)
        return None

    def agents_of(self, policy_id: str, agents: Iterable[Any]) -> tuple[Any, ...] | None:
        """Those of ``agents`` that ``policy_id`` may play; None where only a function knows."""
        if self.mapping is None and self.matches is None:
            return None
        return tuple(agent for agent in agents if policy_id in (self.possible_policies(agent) or ()))

    def state_dict(self) -> dict[str, Any]:
        return {"turn": self._turn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._turn = int(state["turn"])

    def _known(self, policy_id: Any, where: str, agent_id: Hashable) -> str:
        if policy_id in self.policies:
            return policy_id  # type: ignore[no-any-return]
        hint = did_you_mean(policy_id, self.policies)
        wrong = f"agent {agent_id!r} is mapped to policy {policy_id!r}, which does not exist (or was removed).{hint}"
        raise ConfigError([Problem(where, wrong, "name one of the run's policies, or add it with trainer.add_policy")])


# ------------------------------------------------------------------ patterns and draws

_NOBODY: Any = object()


def key_of(agent_id: Hashable, table: Mapping[Any, Any]) -> Any | None:
    """The key of ``table`` that names ``agent_id`` (exact, then as a string, then the first pattern), or None."""
    key = _key_of(agent_id, table)
    return None if key is _NOBODY else key


def _key_of(agent_id: Hashable, table: Mapping[Any, Any]) -> Any:
    if agent_id in table:
        return agent_id
    name = str(agent_id)
    if name in table:
        return name
    return next((key for key in table if isinstance(key, str) and fnmatchcase(name, key)), _NOBODY)


def _nobody(where: str, agent_id: Hashable, table: Mapping[Any, Any]) -> ConfigError:
    wrong = f"no entry names agent {agent_id!r}.{did_you_mean(agent_id, table)}"
    return ConfigError([Problem(where, wrong, f'add "{agent_id}": POLICY, or "*": POLICY for all others')])


class _Draw:
    """One of several names, by weight."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._names = list(weights)
        self._edges: list[float] = (np.cumsum(list(weights.values())) / sum(weights.values())).tolist()

    def index(self, rng: np.random.Generator) -> int:
        at = rng.random()
        return next((i for i, edge in enumerate(self._edges) if at < edge), len(self._edges) - 1)

    def name(self, rng: np.random.Generator) -> str:
        return self._names[self.index(rng)]


# ------------------------------------------------------------------ calling users' functions


def _named_call(function: Callable[..., T], offered: tuple[str, ...]) -> Callable[..., T]:
    """``function`` as one that takes all of ``offered`` by position and gets those that it names.

    A required parameter of another name takes the next of ``offered`` that no parameter names; ``**kwargs`` get the rest.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C: give it the first
        return lambda *values: function(values[0])
    named = {p.name for p in parameters}
    free = [index for index, name in enumerate(offered) if name not in named]
    by_position: list[int] = []
    by_name: dict[str, int] = {}
    rest = False
    positional = True
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            rest = True
        elif p.kind is p.VAR_POSITIONAL:
            by_position += free
            free, positional = [], False
        elif p.name in offered:
            index = offered.index(p.name)
            if positional and p.kind is not p.KEYWORD_ONLY:
                by_position.append(index)
            else:
                by_name[p.name] = index
        elif p.default is p.empty and free and p.kind is not p.KEYWORD_ONLY:
            by_position.append(free.pop(0))
        elif p.kind is not p.KEYWORD_ONLY:
            positional = False  # a parameter with a default is left alone; what follows it goes by name
    if rest:
        by_name.update({offered[index]: index for index in free})
    if not by_name:
        if by_position == list(range(len(offered))):
            return function
        if by_position == [0]:
            return lambda *values: function(values[0])
    return lambda *values: function(*[values[i] for i in by_position], **{name: values[i] for name, i in by_name.items()})


# ------------------------------------------------------------------ matches and mappings as data


def parse_match(data: Mapping[str, Any], key: str) -> tuple[WeightedMatch | None, list[Problem]]:
    """A match from a run file: ``{seats: {…}, learn: […], weight: 1, …}``, and what is wrong with it."""
    known = ("seats", "learn", "weights", "seed", "options", "tag", "weight")
    problems = [
        Problem(f"{key}.{name}", f"unknown key.{did_you_mean(name, known)}", f"one of {', '.join(known)}")
        for name in data
        if name not in known
    ]
    seats = data.get("seats")
    if not isinstance(seats, Mapping) or not seats or not all(isinstance(policy, str) for policy in seats.values()):
        problems.append(Problem(f"{key}.seats", f"found {seats!r}", "expected {AGENT or pattern: POLICY}"))
        return None, problems
    learn = data.get("learn")
    if learn is not None:
        if isinstance(learn, str) or not isinstance(learn, Sequence):
            problems.append(Problem(f"{key}.learn", f"found {learn!r}", "expected a list of seats"))
            learn = None
        else:
            problems += [
                Problem(f"{key}.learn", f"{seat!r} is not a seat of this match.{did_you_mean(seat, seats)}", "name its seats")
                for seat in learn
                if seat not in seats and _key_of(seat, seats) is _NOBODY
            ]
    weight = data.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
        problems.append(Problem(f"{key}.weight", f"found {weight!r}", "expected a number ≥ 0"))
        weight = 1.0
    try:
        json.dumps(data.get("tag"))
    except (TypeError, ValueError):
        problems.append(Problem(f"{key}.tag", f"{data.get('tag')!r} is not JSON", "numbers, strings, lists and dicts only"))
    if problems:
        return None, problems
    match = Match(
        seats=dict(seats),
        learn=None if learn is None else tuple(learn),
        weights=dict(data.get("weights") or {}),
        seed=data.get("seed"),
        options=data.get("options"),
        tag=data.get("tag"),
    )
    return WeightedMatch(match, float(weight)), []


def check_mapping(mapping: Any, policies: Iterable[str], key: str = "mapping") -> list[Problem]:
    """Everything wrong with a mapping as data."""
    if not isinstance(mapping, Mapping) or not mapping:
        return [Problem(key, f"found {mapping!r}", 'expected {AGENT or pattern: POLICY}, e.g. {"*": main}')]
    policies = list(policies)
    problems = []
    for agent, target in mapping.items():
        where = f"{key}.{agent}"
        if isinstance(target, Mapping):
            weights = list(target.values())
            fine = [not isinstance(w, bool) and isinstance(w, (int, float)) and 0 <= w < float("inf") for w in weights]
            if not weights or not all(fine) or sum(weights) <= 0:
                problems.append(Problem(where, f"found the draw {dict(target)!r}", "expected {POLICY: weight ≥ 0}, one of them above 0"))
        elif not isinstance(target, str):
            problems.append(Problem(where, f"found {target!r}", "expected a policy id, or {POLICY: weight}"))
            continue
        for policy_id in [target] if isinstance(target, str) else target:
            if policy_id not in policies:
                problems.append(
                    Problem(where, f"there is no policy {policy_id!r}.{did_you_mean(policy_id, policies)}", "name one of policies")
                )
    return problems
