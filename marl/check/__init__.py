"""``check_env``: walk an environment through its whole contract and report every violation at once.

    report = check_env(env)
    print(report)                     # a table: rule, agent, step, seen, expected, how to mend
    report.raise_if_violations()      # or: assert_env(env)

Nothing here warns: a violation is a violation, and :data:`RULES` names all that can be found. What cannot be seen from outside
(a mask that forbids a legal action, a reward that is wrong) is not found.
"""

from __future__ import annotations

import inspect
import random
from typing import Any

import numpy as np

from marl.check.agents import Agents
from marl.check.report import Report, Violation
from marl.check.rules import RULES, Rule
from marl.check.values import kind_of
from marl.check.vector import check_vector_env
from marl.check.walk import Episode
from marl.lives import ALL

__all__ = ["RULES", "Report", "Rule", "Violation", "assert_env", "check_env", "check_vector_env"]


def check_env(env: Any, *, seed: int = 0, num_episodes: int = 3, max_env_steps: int = 1000) -> Report:
    """Walk ``env`` through its contract with random legal actions.

    Every episode begins with ``reset(seed=seed + episode)``. The first one is then played again with the same seed and actions, while
    other programs seem to draw from the global generators of ``random`` and numpy: an environment that depends on them, or on what
    earlier episodes left behind, says something else then. (An environment that seeds the global generators in reset does not help
    itself: its copies take turns.) The global generators are left as they were.

    Args:
        env: an instance. It is used up: close it, or reset it. An array-native one goes to :func:`check_vector_env`.
        num_episodes: how many to walk.
        max_env_steps: calls of ``step`` after which an episode is cut (a game without end is no violation).

    Returns:
        The report. Nothing is raised, whatever the environment does.
    """
    if hasattr(env, "single_observation_spaces") and hasattr(env, "slots"):
        return check_vector_env(env, seed=seed, num_steps=max_env_steps)
    report = Report()
    if isinstance(env, type) or not (callable(getattr(env, "reset", None)) and callable(getattr(env, "step", None))):
        report.add("not-an-environment", f"the class {env.__name__}" if isinstance(env, type) else kind_of(env))
        return report
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002  (kept for the caller, not drawn from)
    try:
        _walk(env, report, seed, num_episodes, max_env_steps, kept)
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
    return report


def assert_env(env: Any, *, seed: int = 0, num_episodes: int = 3, max_env_steps: int = 1000) -> None:
    """:func:`check_env`, and :class:`marl.errors.EnvError` with the whole table if anything was found."""
    check_env(env, seed=seed, num_episodes=num_episodes, max_env_steps=max_env_steps).raise_if_violations()


def _walk(env: Any, report: Report, seed: int, num_episodes: int, max_env_steps: int, generators: tuple[Any, Any]) -> None:
    agents = Agents(env, report)
    first: Episode | None = None
    for number in range(num_episodes):
        episode = Episode(env, agents, report, number)
        episode.walk(seed + number, max_env_steps, np.random.default_rng([seed, number]))
        first = first or episode
        report.facts.append(_fact(episode))
        if episode.raised:
            return
        agents.compare(number)
    if first is None:
        return
    again = _again(_Disturbed(env), agents, first, seed, max_env_steps)
    if again.said != first.said:
        random.setstate(generators[0])
        np.random.set_state(generators[1])  # noqa: NPY002
        undisturbed = _again(env, agents, first, seed, max_env_steps)
        _compare(first, again, report, uses_globals=undisturbed.said == first.said)


def _fact(episode: Episode) -> str:
    """What was walked, in a line; an agent that came back is named, since some environments mean it and some do not."""
    lives = [f"{agent} ({count} lives)" if count > 1 else str(agent) for agent, count in episode.num_lives.items()]
    return f"episode {episode.number}: {len(episode.actions)} calls, {episode.ended_by}; agents: {', '.join(lives) or 'none'}"


def _again(env: Any, agents: Agents, first: Episode, seed: int, max_env_steps: int) -> Episode:
    """The first episode once more, with the same actions."""
    again = Episode(env, agents, Report(), first.number)
    again.walk(seed, max_env_steps, np.random.default_rng(0), recorded=first.actions)
    return again


class _Disturbed:
    """The environment while others use the global generators: before each call they stand elsewhere."""

    def __init__(self, env: Any) -> None:
        self.env, self.calls = env, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def _disturb(self) -> None:
        self.calls += 1
        random.seed(self.calls)
        np.random.seed(self.calls)  # noqa: NPY002  (on purpose; check_env sets it back)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._disturb()
        keys = {"seed": seed, "options": options}
        try:
            accepted = inspect.signature(self.env.reset).parameters
        except ValueError:  # a function without a signature
            return self.env.reset(**keys)
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        return self.env.reset(**{key: value for key, value in keys.items() if open_ended or key in accepted})

    def step(self, actions: dict[Any, Any], /) -> Any:
        self._disturb()
        return self.env.step(actions)


def _compare(first: Episode, again: Episode, report: Report, *, uses_globals: bool) -> None:
    """Report the first call at which two runs of one episode differ, for each agent that differs there."""
    cause = " (it draws from the global generator of random or numpy)" if uses_globals else ""
    for step, (before, after) in enumerate(zip(first.said, again.said, strict=False)):
        if before == after:
            continue
        differing: dict[Any, list[str]] = {}
        for agent, what in dict.fromkeys((*before, *after)):
            if before.get((agent, what)) != after.get((agent, what)):
                differing.setdefault(None if agent == ALL else agent, []).append(what)
        for agent, kinds in differing.items():
            rule = "not-deterministic" if step else "reset-not-seeded"
            seen = f"another {' and '.join(kinds)} when played again{cause}"
            report.add(rule, seen, agent=agent, step=step, episode=first.number)
        return
    step = min(len(first.said), len(again.said))
    seen = f"{first.ended_by}; when played again{cause}: {again.ended_by}"
    report.add("not-deterministic", seen, step=step, episode=first.number)
