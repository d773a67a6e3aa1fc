"""Where an episode cannot go on: nobody due for too long, calls that never take time, a due agent without a legal action."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import marl
from marl.errors import EnvError, MaskError


class Waiting:
    """``agent_0`` is due at reset and again after ``silent_calls`` calls, each of which takes ``ticks_per_call`` ticks."""

    possible_agents = ("agent_0",)

    def __init__(self, silent_calls: int, ticks_per_call: int = 1) -> None:
        self.observation_spaces = {"agent_0": spaces.Box(-1, 1, (1,), np.float32)}
        self.action_spaces = {"agent_0": spaces.Discrete(2)}
        self.silent_calls, self.elapsed_ticks = silent_calls, ticks_per_call
        self.next_call_is_decision = ticks_per_call == 0
        self.calls = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        self.calls = 0
        return {"agent_0": np.zeros(1, np.float32)}, {}

    def step(self, actions: dict[str, Any], /) -> tuple[dict[str, Any], ...]:
        self.calls += 1
        sees = {"agent_0": np.zeros(1, np.float32)} if self.calls > self.silent_calls else {}
        return sees, {"agent_0": 1.0}, {}, {}, {}


class Masked(Waiting):
    """Gives ``agent_0`` an action mask; at the call ``blocked_at`` an all-zero one."""

    def __init__(self, blocked_at: int) -> None:
        super().__init__(0)
        self.blocked_at = blocked_at

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        observations, _ = super().reset()
        return observations, self._infos()

    def step(self, actions: dict[str, Any], /) -> tuple[dict[str, Any], ...]:
        observations, rewards, _, _, _ = super().step(actions)
        ended = self.calls == 8
        return observations, rewards, {"__all__": ended}, {}, self._infos(ended)

    def _infos(self, ended: bool = False) -> dict[str, Any]:
        return {"agent_0": {"action_mask": np.array([0, 0] if ended or self.calls == self.blocked_at else [0, 1], np.int8)}}


def sampler(env: Any, player: Any = lambda obs, info, rng: 1, **more: Any) -> Any:
    return marl.Sampler(env=lambda: env, policies={"main": {"player": player}}, mapping={"*": "main"}, envs_per_worker=1, seed=0, **more)


def test_idle_ticks_belong_to_the_open_row() -> None:
    batch, _ = sampler(Waiting(400)).sample(num_env_steps=402)
    rows = batch.policies["main"]
    assert rows["env_steps"].tolist() == [401, 1]
    assert rows["rewards"].tolist() == [401.0, 1.0]
    assert rows["t"].tolist() == [0, 401]


@pytest.mark.parametrize(("silent_calls", "limit"), [(1500, None), (30, 20)])
def test_an_episode_in_which_nobody_is_due_for_too_long_is_an_error(silent_calls: int, limit: int | None) -> None:
    more = {} if limit is None else {"max_idle_ticks": limit}
    with pytest.raises(EnvError, match=r"idle|due"):
        sampler(Waiting(silent_calls), **more).sample(num_env_steps=2000)


def test_idle_ticks_up_to_the_limit_are_none() -> None:
    batch, _ = sampler(Waiting(19), max_idle_ticks=20).sample(num_env_steps=40)
    assert batch.policies["main"]["env_steps"].tolist() == [20] + [1] * 20


@pytest.mark.parametrize("silent_calls", [0, 5000])
def test_calls_that_never_take_time_are_an_error(silent_calls: int) -> None:
    """1,000 zero-tick calls in a row, whether somebody decides in them or nobody does."""
    with pytest.raises(EnvError, match="tick"):
        sampler(Waiting(silent_calls, ticks_per_call=0)).sample(num_env_steps=1)


@pytest.mark.parametrize("player", [lambda obs, info, rng: 1, "random"])
def test_a_due_agent_without_a_legal_action_is_named(player: Any) -> None:
    with pytest.raises(MaskError, match=r"agent_0(.|\n)*\b3\b|\b3\b(.|\n)*agent_0"):
        sampler(Masked(blocked_at=3), player).sample(num_env_steps=10)


def test_an_all_zero_mask_on_a_final_observation_is_nothing() -> None:
    batch, episodes = sampler(Masked(blocked_at=99), "random").sample(num_env_steps=16)
    rows = batch.policies["main"]
    assert len(episodes) == 2
    assert rows["action_mask"].tolist() == [[False, True]] * 16
    assert rows["actions"].tolist() == [1] * 16
    assert rows["terminateds"].sum() == 2


def test_a_masked_action_of_a_scripted_player_is_an_error_that_names_the_player() -> None:
    with pytest.raises(MaskError, match=r"main|agent_0"):
        sampler(Masked(blocked_at=99), lambda obs, info, rng: 0).sample(num_env_steps=4)


class Spoiled(Waiting):
    """Its third call gives NaN: as the reward, or in the observation."""

    def __init__(self, what: str) -> None:
        super().__init__(0)
        self.what = what

    def step(self, actions: dict[str, Any], /) -> tuple[dict[str, Any], ...]:
        observations, rewards, *rest = super().step(actions)
        if self.calls == 3 and self.what == "reward":
            rewards = {"agent_0": float("nan")}
        if self.calls == 3 and self.what == "observation":
            observations = {"agent_0": np.full(1, np.nan, np.float32)}
        return observations, rewards, *rest


@pytest.mark.parametrize(("what", "decision"), [("reward", 2), ("observation", 3)])
def test_nan_is_named(what: str, decision: int) -> None:
    with pytest.raises(EnvError, match=rf"{what}.* decision {decision} of agent 'agent_0'"):
        sampler(Spoiled(what)).sample(num_env_steps=8)
