"""Every fault that the check knows, planted in a game that has no other, is named, with its agent and its step."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from marl.check import RULES, Report, assert_env, check_env
from marl.errors import EnvError

from .game import PLAIN, Game


@dataclass(frozen=True)
class Fault:
    rule: str
    agent: Any
    step: int | None
    make: Callable[[], Any]
    also: frozenset[str] = frozenset()  # what the same fault breaks as well


FAULTS: dict[str, Fault] = {}


def fault(rule: str, agent: Any, step: int | None, *also: str) -> Callable[[Any], Any]:
    """Register a subclass of Game, or a tampering function, under its own name."""

    def register(what: Any) -> Any:
        if isinstance(what, type):
            make: Callable[[], Any] = what
        else:

            def make() -> Any:
                game: Any = type(what.__name__, (Game,), {"tamper": what})()
                return game

        assert what.__name__ not in FAULTS
        FAULTS[what.__name__] = Fault(rule, agent, step, make, frozenset(also))
        return what

    return register


# -- what it is


@fault("missing-possible-agents", None, None)
class NoPossibleAgents(Game):
    def __init__(self) -> None:
        super().__init__()
        del self.possible_agents


@fault("missing-possible-agents", None, None)
class AgentTwice(Game):
    def __init__(self) -> None:
        super().__init__()
        self.possible_agents = ["a", "b", "m", "a"]


@fault("missing-spaces", "b", None)
class NoSpaces(Game):
    def __init__(self) -> None:
        super().__init__()
        self.action_spaces = {**self.action_spaces}
        self.observation_spaces = {"a": PLAIN, "m": self.observation_spaces["m"]}

    def step(self, actions: Any, /) -> Any:
        return super().step({**actions, **({"b": np.zeros(2, np.float32)} if "b" in self.acting() else {})})


@fault("missing-spaces", "a", None)
class SpaceOfANumber(Game):
    def __init__(self) -> None:
        super().__init__()
        self.observation_spaces = {**self.observation_spaces, "a": 3}

    def step(self, actions: Any, /) -> Any:
        return super().step({**actions, "a": 0})


@fault("unsupported-action-space", "b", None)
class TextAction(Game):
    def __init__(self) -> None:
        super().__init__()
        self.action_spaces = {**self.action_spaces, "b": spaces.Text(5)}

    def step(self, actions: Any, /) -> Any:
        return super().step({**actions, **({"b": "hey"} if "b" in self.acting() else {})})


@fault("spaces-changed", "a", 0)
class AnotherSpaceEachEpisode(Game):
    def reset(self, **keys: Any) -> Any:
        returned = super().reset(**keys)
        self.observation_spaces = {**self.observation_spaces, "a": spaces.Box(-2, 2, (2,), np.float32)}
        return returned


# -- reset


@fault("reset-arguments", None, 0, "reset-not-seeded")
class ResetTakesNothing(Game):
    def reset(self) -> Any:
        return super().reset()


@fault("reset-return", None, 0)
class ResetReturnsObservationsOnly(Game):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=seed)[0]


@fault("reset-return", None, 0)
class ResetReturnsAnArray(Game):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return np.zeros(3), {}


@fault("reset-return", None, 0)
class ResetReturnsNoInfos(Game):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=seed)[0], None


@fault("reset-not-seeded", "a", 0)
class ResetIgnoresItsSeed(Game):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset()


@fault("reset-not-seeded", "a", 0)
class DrawsFromTheGlobalGenerator(Game):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        observations, infos = super().reset(seed=seed)
        observations["a"] = np.full(2, random.random(), np.float32)
        return observations, infos


# -- step


@fault("step-return", None, 1, "missing-all")
class StepReturnsFour(Game):
    def step(self, actions: Any, /) -> Any:
        observations, rewards, terminateds, truncateds, infos = super().step(actions)
        done = {agent: bool(terminateds.get(agent) or truncateds.get(agent)) for agent in ("b", "__all__")}
        infos["b"].pop("final_observation", None)
        return observations, rewards, done, infos


@fault("step-return", None, 3)
class StepReturnsNoRewards(Game):
    def step(self, actions: Any, /) -> Any:
        observations, rewards, *rest = super().step(actions)
        return observations, None if self.t == 3 else rewards, *rest


@fault("step-return", None, 3)
class StepReturnsNone(Game):
    def step(self, actions: Any, /) -> Any:
        returned = super().step(actions)
        return None if self.t == 3 else returned


@fault("environment-raised", None, 5)
class Raises(Game):
    def step(self, actions: Any, /) -> Any:
        returned = super().step(actions)
        if self.t == 5:
            raise ZeroDivisionError("of a planted fault")
        return returned


@fault("environment-raised", None, 0)
class ResetRaises(Game):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        raise OSError("no such map")


@fault("needs-absent-action", "b", 4)
class ReadsEveryAction(Game):
    def step(self, actions: Any, /) -> Any:
        [actions[agent] for agent in ("a", "b")]
        return super().step(actions)


@fault("action-changed", "b", 1)
class ScalesTheActionInPlace(Game):
    def step(self, actions: Any, /) -> Any:
        returned = super().step(actions)
        if "b" in actions:
            actions["b"] *= 0.5
        return returned


@fault("not-deterministic", "m", 3)
class RemembersTheEpisodeBefore(Game):
    episodes = 0

    def reset(self, **keys: Any) -> Any:
        self.episodes += 1
        return super().reset(**keys)

    def tamper(self, t: int, observations: Any, rewards: Any, *rest: Any) -> None:
        if t == 3:
            rewards["m"] = float(self.episodes)


@fault("not-deterministic", "a", 2)
def noise_of_the_global_generator(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 2:
        observations["a"] = np.full(2, np.random.random(), np.float32)


@fault("reserved-id", None, 4)
def reward_for_all(self: Any, t: int, observations: Any, rewards: Any, *rest: Any) -> None:
    if t == 4:
        rewards["__all__"] = 1.0


# -- observations


@fault("observation-structure", "m", 1)
def a_key_is_missing(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 1:
        observations["m"] = {"action_mask": observations["m"]["action_mask"]}


@fault("observation-structure", "a", 2)
def none_for_an_observation(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 2:
        observations["a"] = None


@fault("observation-shape", "a", 3)
def wrong_shape(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 3:
        observations["a"] = np.zeros((2, 1), np.float32)


@fault("observation-dtype", "m", 5)
def wrong_dtype(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 5:
        observations["m"]["observation"] = observations["m"]["observation"].astype(np.float64)


@fault("observation-bounds", "b", 5)
def out_of_bounds(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 5:
        observations["b"] = np.array([0.0, 1.5], np.float32)


@fault("observation-bounds", "b", 6)
def final_observation_out_of_bounds(
    self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any
) -> None:
    if t == 6:
        infos["b"]["final_observation"] = np.array([0.0, 1.5], np.float32)
        observations["b"] = self.see()
        truncateds["b"] = True
        self.acting = lambda: {"a", "b", "m"} if self.t == 6 else Game.acting(self)
    if t == 8:
        observations["b"] = self.see()


@fault("observation-not-finite", "a", 4)
def nan(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 4:
        observations["a"] = np.array([np.nan, 0.0], np.float32)


@fault("observation-unknown-agent", "zebra", 7)
def observation_for_a_stranger(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 7:
        observations["zebra"] = self.see()


@fault("observation-for-done-agent", "b", 4)
def observation_of_a_done_agent(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, *rest: Any) -> None:
    if t == 4:
        observations["b"] = self.see()
        terminateds["b"] = True


@fault("observation-for-done-agent", "b", 4)
class ObservedThoughNotAmongTheLiving(Game):
    def acting(self) -> set[str]:
        return super().acting() | ({"b"} if self.t == 4 else set())

    def tamper(self, t: int, observations: Any, *rest: Any) -> None:
        self.agents = ["a", "m"] + ["b"] * (t not in (3, 4, 6, 7))
        if t == 4:
            observations["b"] = self.see()


@fault("observation-reused", "a", 1)
class OneArrayForAll(Game):
    def __init__(self) -> None:
        super().__init__()
        self.array = np.zeros(2, np.float32)

    def tamper(self, t: int, observations: Any, *rest: Any) -> None:
        self.array[:] = observations["a"]
        observations["a"] = self.array


@fault("observation-reused", "m", 2)
class TwoArraysInTurn(Game):
    def __init__(self) -> None:
        super().__init__()
        self.arrays = [np.zeros(2, np.float32), np.zeros(2, np.float32)]

    def tamper(self, t: int, observations: Any, *rest: Any) -> None:
        if "m" in observations:
            self.arrays[t % 2][:] = observations["m"]["observation"]
            observations["m"]["observation"] = self.arrays[t % 2]


# -- masks


@fault("mask-size", "m", 2)
def mask_too_long(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 2:
        observations["m"]["action_mask"] = np.ones(4, np.int8)


@fault("mask-size", "a", 2)
def mask_in_the_info_too_short(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 2:
        infos["a"]["action_mask"] = np.ones(2, bool)


@fault("mask-dtype", "m", 3)
def mask_of_floats(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 3:
        observations["m"]["action_mask"] = np.ones(3, np.float32)


@fault("mask-values", "m", 3)
def mask_of_twos(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 3:
        observations["m"]["action_mask"] = np.array([0, 1, 2], np.int8)


@fault("mask-all-zero", "m", 5)
def no_legal_action(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 5:
        observations["m"]["action_mask"] = np.zeros(3, np.int8)


# -- rewards


@fault("reward-unknown-agent", "zebra", 1)
def reward_for_a_stranger(self: Any, t: int, observations: Any, rewards: Any, *rest: Any) -> None:
    if t == 1:
        rewards["zebra"] = 1.0


@fault("reward-not-a-number", "a", 6)
def reward_none(self: Any, t: int, observations: Any, rewards: Any, *rest: Any) -> None:
    if t == 6:
        rewards["a"] = None


@fault("reward-not-a-number", "a", 6)
def reward_array(self: Any, t: int, observations: Any, rewards: Any, *rest: Any) -> None:
    if t == 6:
        rewards["a"] = np.zeros(1)


@fault("reward-not-finite", "b", 4)
def reward_nan(self: Any, t: int, observations: Any, rewards: Any, *rest: Any) -> None:
    if t == 4:
        rewards["b"] = float("nan")


# -- ends


@fault("flag-unknown-agent", "zebra", 5)
def flag_of_a_stranger(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, *rest: Any) -> None:
    if t == 5:
        terminateds["zebra"] = True


@fault("flag-not-bool", "a", 5)
def flag_none(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, *rest: Any) -> None:
    if t == 5:
        terminateds["a"] = None


@fault("both-flags", "b", 3)
def both_flags(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 3:
        truncateds["b"] = True


@fault("missing-all", None, 8)
class NeverSaysAll(Game):
    """Everybody ends, a fourth agent never appears, and nobody says that it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.possible_agents = ["a", "b", "m", "ghost"]
        self.observation_spaces = {**self.observation_spaces, "ghost": PLAIN}
        self.action_spaces = {**self.action_spaces, "ghost": spaces.Discrete(2)}

    def step(self, actions: Any, /) -> Any:
        if self.t < 8:
            observations, rewards, terminateds, truncateds, infos = super().step(actions)
            if truncateds.pop("__all__"):
                terminateds = dict.fromkeys("abm", True)
            return observations, rewards, terminateds, truncateds, infos
        return {}, {}, {}, {}, {}


@fault("missing-all", None, 8)
class RaisesWhenNobodyIsLeft(NeverSaysAll):
    def step(self, actions: Any, /) -> Any:
        if self.t >= 8:
            raise RuntimeError("the game is over")
        return super().step(actions)


@fault("no-final-observation", "b", 6)
def no_final_observation(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 6:
        del infos["b"]["final_observation"]


@fault("no-final-observation", "m", 8)
def no_final_observation_at_the_end(self: Any, t: int, observations: Any, *rest: Any) -> None:
    if t == 8:
        del observations["m"]


@fault("agents-attribute", "a", 4)
class EmptyAgents(Game):
    def tamper(self, t: int, observations: Any, *rest: Any) -> None:
        self.agents: list[str] = [] if t == 4 else ["a", "b", "m"]


@fault("agents-attribute", "m", 1)
class AgentsWithoutOne(Game):
    agents = ("a", "b")


# -- time


@fault("elapsed-ticks", None, 3)
class NegativeTicks(Game):
    def tamper(self, t: int, *rest: Any) -> None:
        if t == 3:
            self.elapsed_ticks = -1


@fault("elapsed-ticks", None, 3)
class HalfATick(Game):
    def tamper(self, t: int, *rest: Any) -> None:
        if t == 3:
            self.elapsed_ticks = 0.5


@fault("next-call-is-decision", None, 2)
class UnannouncedDecision(Game):
    def tamper(self, t: int, *rest: Any) -> None:
        self.next_call_is_decision = False


@fault("zero-tick-loop", None, 1000)
class TimeStandsStill(Game):
    def reset(self, **keys: Any) -> Any:
        returned = super().reset(**keys)
        self.next_call_is_decision = True
        return returned

    def step(self, actions: Any, /) -> Any:
        self.t, self.elapsed_ticks, self.next_call_is_decision = 0, 0, True
        return {"a": self.see()}, {}, {}, {}, {}


@fault("idle-too-long", None, 13)
class NobodyActs(Game):
    max_idle_ticks = 10

    def step(self, actions: Any, /) -> Any:
        if self.t == 2:
            self.elapsed_ticks = 1
            return {}, {}, {}, {}, {}
        return super().step(actions)


@fault("idle-too-long", None, 1001)
class NobodyIsEverDue(Game):
    def reset(self, **keys: Any) -> Any:
        super().reset(**keys)
        return {}, {}

    def step(self, actions: Any, /) -> Any:
        return {}, {}, {}, {}, {}


# -- infos and states


@fault("info-not-dict", "a", 2)
def info_string(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 2:
        infos["a"] = "fine"


@fault("info-unknown-agent", "zebra", 2)
def info_of_a_stranger(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 2:
        infos["zebra"] = {}


@fault("info-end-cause", "b", 3)
def unknown_cause(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 3:
        infos["b"]["end_cause"] = "boredom"


@fault("info-parent", "m", 1)
def unknown_parent(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 1:
        infos["m"] = {"parent": "zebra"}


@fault("critic-obs-shape", "a", 5)
def critic_obs_grow(self: Any, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
    if t == 5:
        infos["a"]["critic_obs"] = np.zeros(4)


@fault("global-state-shape", None, 3)
class GrowingState(Game):
    def __init__(self) -> None:
        super().__init__()
        del self.global_state_space

    def global_state(self) -> Any:
        return np.zeros(4 if self.t == 3 else 3)


@fault("global-state-space", None, 7)
class StateOutOfItsSpace(Game):
    def global_state(self) -> Any:
        return np.array([99 if self.t == 7 else 0], np.float32)


@fault("global-state-raised", None, 0)
class StateRaises(Game):
    def global_state(self) -> Any:
        raise AttributeError("no grid")


@fault("not-an-environment", None, None)
class NotAnEnvironment:
    possible_agents = ("a",)


# ------------------------------------------------------------------ the tests


def test_a_correct_game_has_no_violation() -> None:
    report = check_env(Game())
    assert report.ok, report
    assert report.violations == []
    assert len(report.facts) == 3
    assert "episode 0: 8 calls, ended; agents: a, b (2 lives), m" in report.facts
    assert_env(Game())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_agent_and_step(name: str) -> None:
    planted = FAULTS[name]
    report = check_env(planted.make())
    found = [violation for violation in report.violations if violation.rule == planted.rule]
    assert found, report
    assert (found[0].agent, found[0].step) == (planted.agent, planted.step)
    assert report.rules - planted.also == {planted.rule}, report
    for text in (found[0].seen, found[0].expected, found[0].mend):
        assert text
    assert planted.rule in report.table()
    with pytest.raises(EnvError, match=planted.rule):
        report.raise_if_violations()


def test_every_rule_has_a_planted_fault() -> None:
    dict_rules = {rule for rule in RULES if not rule.startswith("vector-")}
    assert {planted.rule for planted in FAULTS.values()} == dict_rules


def test_all_faults_are_reported_at_once_each_in_its_own_line() -> None:
    class Bad(Game):
        def tamper(self, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
            wrong_shape(self, t, observations)
            nan(self, t, observations)
            out_of_bounds(self, t, observations)
            reward_for_a_stranger(self, t, observations, rewards)
            both_flags(self, t, observations, rewards, terminateds, truncateds, infos)
            no_final_observation(self, t, observations, rewards, terminateds, truncateds, infos)

    report = check_env(Bad())
    expected = {
        "observation-shape",
        "observation-not-finite",
        "observation-bounds",
        "reward-unknown-agent",
        "both-flags",
        "no-final-observation",
    }
    assert report.rules == expected
    table = report.table(width=160)
    assert table.startswith("6 violations")
    assert all(rule in table for rule in expected)
    assert max(map(len, table.splitlines())) <= 160
    assert "0.3 (×3)" in table  # once in each of three episodes: one line, and how often


def test_a_class_is_not_an_environment() -> None:
    report = check_env(Game)
    assert [violation.rule for violation in report.violations] == ["not-an-environment"]
    assert "the class Game" in report.violations[0].seen


def test_the_users_traceback_comes_first_and_ends_in_his_file() -> None:
    report = check_env(Raises())
    text = str(report)
    assert text.startswith("Traceback")
    assert text.index("of a planted fault") < text.index("environment-raised")
    assert "marl/check" not in report.tracebacks[0]
    assert len(report.facts) == 1  # the walk stopped there


def test_a_draw_from_a_global_generator_is_told_from_other_causes() -> None:
    told = {
        name: check_env(FAULTS[name].make()).table(width=250) for name in ("noise_of_the_global_generator", "RemembersTheEpisodeBefore")
    }
    words = [" ".join(text.split()) for text in told.values()]
    assert ["(it draws from" in text for text in words] == [True, False]


def test_the_global_generators_are_left_alone() -> None:
    random.seed(3)
    np.random.seed(3)
    before = random.getstate(), np.random.get_state()[1].tolist()
    check_env(Game())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_a_game_without_end_is_no_violation() -> None:
    class Endless(Game):
        def step(self, actions: Any, /) -> Any:
            self.t = 0
            returned = super().step(actions)
            return returned

        def acting(self) -> set[str]:
            return {"a", "b", "m"}

    report = check_env(Endless(), num_episodes=1, max_env_steps=50)
    assert report.rules <= {"next-call-is-decision"}
    assert "cut by the check after 50 calls" in report.facts[0]


def test_an_empty_report_says_so() -> None:
    assert Report().table() == "No violations."
