"""The array-native contract: a game that keeps it passes, and every fault is named with its slot and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from marl.check import RULES, check_env, check_vector_env

from .vector_game import VectorGame


@dataclass(frozen=True)
class Fault:
    rule: str
    agent: Any
    step: int | None
    make: Callable[[], Any]


FAULTS: dict[str, Fault] = {}


def fault(rule: str, agent: Any, step: int | None) -> Callable[[Any], Any]:
    """Register a subclass of VectorGame, or a function that tampers with one answer."""

    def register(what: Any) -> Any:
        if isinstance(what, type):
            FAULTS[what.__name__] = Fault(rule, agent, step, what)
        else:

            def tamper(self: Any, t: int, said: Any) -> Any:
                if t == step:
                    what(said)
                return said

            FAULTS[what.__name__] = Fault(rule, agent, step, lambda: type(what.__name__, (VectorGame,), {"tamper": tamper})())
        return what

    return register


@fault("vector-members", None, None)
class NoSlots(VectorGame):
    def __init__(self) -> None:
        super().__init__()
        del self.slots


@fault("missing-spaces", "b", None)
class NoSpaceOfASlot(VectorGame):
    def __init__(self) -> None:
        super().__init__()
        self.single_action_spaces = {"a": spaces.Discrete(3)}


@fault("vector-return", None, 2)
class ReturnsATuple(VectorGame):
    def tamper(self, t: int, said: Any) -> Any:
        return (said.obs, said.rewards) if t == 2 else said


@fault("environment-raised", None, 4)
class Raises(VectorGame):
    def tamper(self, t: int, said: Any) -> Any:
        if t == 4:
            raise RuntimeError("planted")
        return said


@fault("vector-shape", None, 2)
def rewards_without_slots(said: Any) -> None:
    said.rewards = said.rewards[:, 0]


@fault("vector-shape", None, 0)
def observations_without_slots(said: Any) -> None:
    said.obs = said.obs[:, 0]


@fault("vector-shape", None, 0)
def state_of_one_copy(said: Any) -> None:
    said.global_state = said.global_state[:1]


@fault("vector-dtype", None, 1)
def integer_flags(said: Any) -> None:
    said.terminateds = said.terminateds.astype(np.int64)


@fault("vector-final-observation", "a", 5)
def no_final_mask(said: Any) -> None:
    said.final_mask = said.final_mask & [[False, True]]


@fault("vector-reset", "a", 5)
class ResetsWithAnotherSeed(VectorGame):
    def next_episode(self, e: int, seed: int) -> None:
        super().next_episode(e, seed + 1)


@fault("vector-episode-end", "b", 5)
def end_without_a_flag(said: Any) -> None:
    said.truncateds = said.truncateds & [[True, False]]


@fault("vector-new-life", "b", 4)
def back_without_new_life(said: Any) -> None:
    said.new_life = np.zeros_like(said.new_life)


@fault("vector-new-life", "a", 1)
def new_life_of_the_living(said: Any) -> None:
    said.new_life = said.new_life | [[True, False]]


@fault("vector-ends", "b", 4)
class EndsTwice(VectorGame):
    def tamper(self, t: int, said: Any) -> Any:
        if t == 4:
            said.terminateds[:, 1] |= (self.age == 3) & (said.elapsed_ticks > 0)
        return said


@fault("vector-still", None, 3)
class NothingStandsStill(VectorGame):
    def step(self, actions: Any, *, active: Any = None, next_seeds: Any, next_options: Any = None) -> Any:
        safe = np.where(self.said.action_masks[..., 1] > 0, np.asarray(actions), 0)
        return super().step(safe, next_seeds=next_seeds)


@fault("vector-copies", "a", 1)
class OneGeneratorForAll(VectorGame):
    def step(self, actions: Any, *, active: Any = None, next_seeds: Any, next_options: Any = None) -> Any:
        said = super().step(actions, active=active, next_seeds=next_seeds)
        if self.calls == 1:
            said.rewards[0] = actions[1:].sum() + next_seeds[2]
        return said


@fault("reset-not-seeded", "a", 0)
class UnseededReset(VectorGame):
    def reset(self, *, seed: Any = None, mask: Any = None) -> Any:
        return super().reset()


@fault("not-deterministic", "b", 2)
class RemembersRuns(VectorGame):
    runs = 0

    def tamper(self, t: int, said: Any) -> Any:
        self.runs += t == 0
        if t == 2:
            said.rewards[:, 1] = self.runs
        return said


@fault("both-flags", "b", 2)
def both_flags(said: Any) -> None:
    said.truncateds = said.terminateds.copy()
    said.final_mask = said.terminateds.copy()
    said.final_obs = np.zeros_like(said.final_obs)


@fault("reward-not-finite", "a", 2)
def nan_reward(said: Any) -> None:
    said.rewards[1, 0] = np.nan


@fault("elapsed-ticks", None, 2)
def negative_ticks(said: Any) -> None:
    said.elapsed_ticks[1] = -1


@fault("info-end-cause", "a", 2)
def unknown_cause(said: Any) -> None:
    said.end_cause[2, 0] = 99


@fault("observation-bounds", "b", 1)
def out_of_bounds(said: Any) -> None:
    said.obs[1, 1, 0] = 3.0


@fault("observation-bounds", "a", 5)
def final_observation_out_of_bounds(said: Any) -> None:
    said.final_obs[0, 0, 1] = 3.0


@fault("observation-not-finite", "b", 1)
def nan_observation(said: Any) -> None:
    said.obs[1, 1, 0] = np.nan


@fault("mask-all-zero", "a", 1)
def no_legal_action(said: Any) -> None:
    said.action_masks = said.action_masks.copy()
    said.action_masks[2, 0] = False


@fault("mask-size", "a", 1)
def mask_too_long(said: Any) -> None:
    said.action_masks = np.ones((3, 2, 5), bool)


def test_a_correct_game_has_no_violation() -> None:
    report = check_vector_env(VectorGame(), num_steps=60)
    assert report.ok, report
    assert report.facts == ["3 copies of 2 slots"]
    assert check_env(VectorGame(), max_env_steps=20).facts == report.facts


def test_a_game_that_cannot_hold_is_never_asked_to() -> None:
    class Restless(NothingStandsStill):
        can_hold = False

    assert check_vector_env(Restless(), num_steps=30).ok


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_slot_and_step(name: str) -> None:
    planted = FAULTS[name]
    report = check_vector_env(planted.make(), num_steps=12)
    found = [violation for violation in report.violations if violation.rule == planted.rule]
    assert found, report
    assert (found[0].agent, found[0].step) == (planted.agent, planted.step), report


def test_every_rule_of_arrays_has_a_planted_fault() -> None:
    assert {rule for rule in RULES if rule.startswith("vector-")} <= {planted.rule for planted in FAULTS.values()}


def test_slots_of_different_spaces_are_one_array_a_space() -> None:
    class TwoSpaces(VectorGame):
        """Slot b sees and does something else than slot a."""

        def __init__(self) -> None:
            super().__init__()
            self.single_observation_spaces = {"a": self.single_observation_spaces["a"], "b": spaces.Box(-1, 1, (1,), np.float32)}
            self.single_action_spaces = {"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (1,), np.float32)}

        def step(self, actions: Any, *, active: Any = None, next_seeds: Any, next_options: Any = None) -> Any:
            first, second = actions
            assert (first.shape, second.shape, second.dtype) == ((3, 1), (3, 1, 1), np.float32)
            both = np.concatenate([first, np.zeros((3, 1), int)], axis=1)
            return super().step(both, active=active, next_seeds=next_seeds)

        def tamper(self, t: int, said: Any) -> Any:
            cut = {name: (getattr(said, name)[:, :1], getattr(said, name)[:, 1:, :1]) for name in ("obs", "final_obs")}
            return replace(said, action_masks=(said.action_masks[:, :1], None), **cut)

    report = check_vector_env(TwoSpaces(), num_steps=30)
    assert report.ok, report
