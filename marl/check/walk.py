"""One episode of an environment with random legal actions (or recorded ones), and everything in it that breaks the contract."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.check.agents import Agents
from marl.check.look import Look, among
from marl.check.report import Report
from marl.check.returned import Said, Stop, is_flag, reset_said, step_said, truth
from marl.check.values import kind_of, leaves
from marl.lives import ALL, FINAL_OBSERVATION, CallMeaning
from marl.spaces import MASK_KEY

MAX_IDLE_TICKS = 1000
MAX_ZERO_TICK_CALLS = 1000
_KEPT_CALLS = 3  # arrays are compared over this many calls; a longer ring of buffers goes unseen


class Episode:
    """Walks one episode.

    Attributes:
        actions: what was played, call by call.
        said: per call (0: the reset) ``{(agent, what): digest}`` of observations, rewards, flags and masks.
        num_lives: lives begun, by agent.
        raised: the environment raised an exception.
        ended_by: how the episode ended, in words.
    """

    def __init__(self, env: Any, agents: Agents, report: Report, number: int) -> None:
        self.env, self.agents, self.report, self.number = env, agents, report, number
        self.look = Look(env, agents, report, number)
        self.lives = self.look.lives
        self.actions: list[dict[Any, Any]] = []
        self.said: list[dict[tuple[Any, str], bytes]] = []
        self.num_lives: dict[Any, int] = {}
        self.raised = False
        self.ended_by = ""
        self._handed: deque[list[tuple[Any, int, NDArray[Any], NDArray[Any]]]] = deque(maxlen=_KEPT_CALLS)
        self._nobody_since = 0
        self._decision_announced = False
        self._zero_tick_calls = self._idle_ticks = 0

    def walk(self, seed: int, max_env_steps: int, rng: np.random.Generator, recorded: list[dict[Any, Any]] | None = None) -> None:
        """Play until the episode ends, ``max_env_steps`` calls were made, or nothing more can be done."""
        try:
            meaning = self._reset(seed)
            while not meaning.over:
                made = len(self.actions)
                waiting = self._zero_tick_calls > 0 or not meaning.due  # what waits forever is found by its own limits
                if (made >= max_env_steps and not waiting) or (recorded is not None and made >= len(recorded)):
                    self.ended_by = f"cut by the check after {made} calls"
                    return
                meaning = self._step(self._choose(meaning, rng) if recorded is None else recorded[made], meaning)
            self.ended_by = "ended"
        except Stop as stop:
            self.ended_by = str(stop)

    def _reset(self, seed: int) -> CallMeaning:
        reset, keys = self.env.reset, {"seed": seed, "options": None}
        try:
            accepted = inspect.signature(reset)
            accepted.bind(**keys)
        except ValueError:  # a function without a signature: called as the contract says
            pass
        except TypeError:
            self.look.add("reset-arguments", f"reset{accepted}")
            keys = {key: value for key, value in keys.items() if key in accepted.parameters}
        said = reset_said(self._call(lambda: reset(**keys), due=()), self.look)
        meaning = self.lives.begin(self._usable(said.observations))
        self._decision_announced = bool(getattr(self.env, "next_call_is_decision", False))
        self._look_at(said, meaning)
        return meaning

    def _step(self, actions: dict[Any, Any], before: CallMeaning) -> CallMeaning:
        self.look.step += 1
        self.actions.append(copy.deepcopy(actions))
        played = copy.deepcopy(actions)
        parts = {agent: list(leaves(action)) for agent, action in played.items()}
        said = step_said(self._call(lambda: self.env.step(played), due=before.due), self.look)
        for agent, arrays in parts.items():
            if any(not np.array_equal(array, old) for array, old in zip(arrays, leaves(actions[agent]), strict=True)):
                self.look.add("action-changed", "step changed the action that it was given", agent=agent)
        self._look_at_flags(said)
        was_alive, was_done = set(self.lives.alive), self.lives.done
        meaning = self.lives.follow(
            self._usable(said.observations),
            {agent: truth(flag) for agent, flag in said.terminateds.items()},
            {agent: truth(flag) for agent, flag in said.truncateds.items()},
            {agent: info for agent, info in said.infos.items() if isinstance(info, Mapping)},
            self._live_agents(),
        )
        self._look_at(said, meaning)
        self._look_at_lives(said, meaning, was_alive, was_done)
        self._look_at_time(meaning)
        return meaning

    # -- the environment, called

    def _call(self, call: Callable[[], Any], due: tuple[Any, ...]) -> Any:
        """Call the environment; report its exception, and arrays of earlier calls that it changed."""
        try:
            returned = call()
        except Exception as error:  # whatever the environment raises is what we came to find
            self.raised = True
            self._report_exception(error, due)
            raise Stop(f"raised {type(error).__name__}") from error
        self._compare_handed()
        return returned

    def _report_exception(self, error: Exception, due: tuple[Any, ...]) -> None:
        self.report.add_traceback(error, skip=2)
        said = f"{type(error).__name__}: {error}"
        if self.look.step and self.lives.seen and not self.lives.alive:
            self.look.add("missing-all", f"nobody was left, and the next call raised {said}", step=self._nobody_since)
        elif isinstance(error, KeyError) and error.args and among(error.args[0], self.agents.possible) and error.args[0] not in due:
            self.look.add("needs-absent-action", f"KeyError; due were {list(due)}", agent=error.args[0])
        else:
            self.look.add("environment-raised", f"{'step' if self.look.step else 'reset'} raised {said}"[:300])

    def _choose(self, meaning: CallMeaning, rng: np.random.Generator) -> dict[Any, Any]:
        actions = {}
        for agent in meaning.due:
            spaces = self.agents.spaces(agent)
            if spaces is not None and spaces.codec is not None:
                actions[agent] = spaces.legal_action(self.look.masks.get(agent), rng)
        return actions

    def _usable(self, observations: Mapping[Any, Any]) -> dict[Any, Any]:
        """The observations that count: of agents, not of ``__all__``, and not of ids that nobody knows."""
        return {agent: value for agent, value in observations.items() if agent != ALL and self.agents.known(agent)}

    def _live_agents(self) -> list[Any] | None:
        try:
            return list(self.env.agents)
        except (AttributeError, TypeError):
            return None

    # -- what it said

    def _look_at(self, said: Said, meaning: CallMeaning) -> None:
        """Look at every value of one call, and keep its digests and arrays."""
        for name, table in (("observations", said.observations), ("rewards", said.rewards), ("infos", said.infos)):
            if table.pop(ALL, None) is not None:
                self.look.add("reserved-id", f"'__all__' in {name}", part=name)
        digests: dict[tuple[Any, str], bytes] = {}
        handed: list[tuple[Any, int, NDArray[Any], NDArray[Any]]] = []
        self.look.masks.clear()
        for agent, info in said.infos.items():
            self.look.info(agent, info)
        for agent, observation in said.observations.items():
            info = said.info(agent)
            self.look.observation(agent, observation, info, due=agent in meaning.due)
            extra = {key: info[key] for key in (MASK_KEY, "critic_obs", FINAL_OBSERVATION) if key in info}
            handed += [(agent, self.look.step, array, array.copy()) for array in leaves((observation, extra))]
            digests[agent, "observation"] = _digest(observation)
            if extra:
                digests[agent, " or ".join(extra)] = _digest(extra)
        for agent, reward in said.rewards.items():
            self.look.reward(agent, reward)
            digests[agent, "reward"] = _digest(reward)
        for what, flags in (("terminated", said.terminateds), ("truncated", said.truncateds)):
            digests.update({(agent, what): b"" for agent, flag in flags.items() if truth(flag)})
        self.look.global_state()
        self._handed.append(handed)
        self.said.append(digests)
        for agent in meaning.began:
            self.num_lives[agent] = self.num_lives.get(agent, 0) + 1
        if self.lives.alive:
            self._nobody_since = self.look.step + 1

    def _look_at_flags(self, said: Said) -> None:
        for name, table in (("terminateds", said.terminateds), ("truncateds", said.truncateds)):
            for agent, flag in table.items():
                if agent != ALL and not self.look.heard_of(agent):
                    self.look.add("flag-unknown-agent", f"{name} for {agent!r}", agent=agent)
                if not is_flag(flag):
                    self.look.add("flag-not-bool", f"{name} is {kind_of(flag)}", agent=agent, part=name)
        for agent, flag in said.terminateds.items():
            if agent != ALL and truth(flag) and truth(said.truncateds.get(agent)):
                self.look.add("both-flags", "both flags are set", agent=agent)

    def _look_at_lives(self, said: Said, meaning: CallMeaning, was_alive: set[Any], was_done: frozenset[Any]) -> None:
        live = self._live_agents()
        ended_in_silence = live == [] and not truth(said.terminateds.get(ALL)) and not truth(said.truncateds.get(ALL))
        for agent in said.observations:
            if agent in was_done and said.flagged(agent) and agent not in meaning.due:
                self.look.add("observation-for-done-agent", "an observation and an end flag, after its end", agent=agent)
            elif agent in meaning.due and live and agent not in live:
                rule = "observation-for-done-agent" if agent in was_done else "agents-attribute"
                self.look.add(rule, f"observed, but not in env.agents {live}", agent=agent)
        for agent, terminated in meaning.ended.items():
            if agent not in was_alive:
                continue
            if ended_in_silence and not said.flagged(agent):
                self.look.add("agents-attribute", "`agents` is empty, but the agent's end was not said", agent=agent)
            elif not terminated and agent not in meaning.finals:
                self.look.add("no-final-observation", "truncated, and no last observation", agent=agent)

    def _look_at_time(self, meaning: CallMeaning) -> None:
        elapsed = getattr(self.env, "elapsed_ticks", 1)
        if isinstance(elapsed, bool) or not isinstance(elapsed, (int, np.integer)) or elapsed < 0:
            self.look.add("elapsed-ticks", f"elapsed_ticks is {elapsed!r}")
            elapsed = 1
        if self._decision_announced != (elapsed == 0):
            self.look.add("next-call-is-decision", f"it was {self._decision_announced} before a call of {elapsed} ticks")
        self._decision_announced = bool(getattr(self.env, "next_call_is_decision", False))
        self._zero_tick_calls = self._zero_tick_calls + 1 if elapsed == 0 else 0
        self._idle_ticks = 0 if meaning.due else self._idle_ticks + int(elapsed)
        if meaning.over:
            return
        if self._zero_tick_calls >= MAX_ZERO_TICK_CALLS:
            self.look.add("zero-tick-loop", f"{self._zero_tick_calls} calls in a row took no time")
            raise Stop("time stood still")
        limit = getattr(self.env, "max_idle_ticks", MAX_IDLE_TICKS)
        if self._idle_ticks <= limit:
            return
        if self.lives.seen and not self.lives.alive:
            self.look.add("missing-all", f"nobody was left, and it went on for {self._idle_ticks} ticks", step=self._nobody_since)
        else:
            self.look.add("idle-too-long", f"nobody was due for {self._idle_ticks} ticks", expected=f"somebody to act within {limit} ticks")
        raise Stop("nobody acts any more")

    def _compare_handed(self) -> None:
        """Whether the arrays of the last calls are still what they were."""
        for handed in self._handed:
            for index, (agent, step, array, old) in enumerate(handed):
                if not np.array_equal(array, old, equal_nan=old.dtype.kind == "f"):
                    self.look.add(
                        "observation-reused", f"the array handed out at step {step} was changed by step {self.look.step}", agent=agent
                    )
                    handed[index] = (agent, step, array, array.copy())


def _digest(value: Any) -> bytes:
    """Equal for equal values, dtypes and structure."""
    hasher = hashlib.blake2b(digest_size=16)
    _feed(hasher, value)
    return hasher.digest()


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            hasher.update(repr(key).encode())
            _feed(hasher, inner)
    elif isinstance(value, (tuple, list)):
        hasher.update(b"(")
        for inner in value:
            _feed(hasher, inner)
        hasher.update(b")")
    elif isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        hasher.update(f"{value.dtype}{value.shape}".encode())
        hasher.update(value.tobytes())
    else:
        hasher.update(repr(value).encode())
