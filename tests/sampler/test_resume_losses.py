"""What cannot be restored is found out, counted and said; all else goes on unharmed. And crashes can be played again."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import marl
from marl.env import BaseMultiAgentEnv
from marl.errors import EnvError
from marl.players import RandomPolicy
from marl.policy import PolicySpec
from marl.resume import pack_log, play_capsule, unpack_log
from marl.router import Router
from marl.sampler import RolloutWorker

from .resuming import compare, differences, through_disk

BOX = spaces.Box(-1e6, 1e6, (1,), np.float32)
WHIMS = (
    "none",
    "first observation",
    "observation",
    "reward",
    "mask",
    "who is due",
    "end",
    "a dead agent's reward",
    "another policy's reward",
    "raises",
)


class Fickle(BaseMultiAgentEnv):
    """Three agents walk for ``length`` steps; ``c`` dies at step 3. From the second object on, something at step 2 is otherwise."""

    made = 0

    def __init__(self, whim: str = "none", length: int = 8) -> None:
        self.whim, self.length = whim, length
        self.possible_agents = ["a", "b", "c"]
        self.observation_spaces = dict.fromkeys("abc", BOX)
        self.action_spaces = dict.fromkeys("abc", spaces.Discrete(3))
        Fickle.made += 1
        self.second = Fickle.made > 1
        self.resets = 0

    def odd(self, whim: str) -> bool:
        return self.second and self.whim == whim and self.t == 2 and self.resets == 1

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.options, self.resets = 0, options, self.resets + 1
        self.rng = np.random.default_rng(seed)
        self.first = 1.0 if self.second and self.whim == "first observation" else 0.0
        return {agent: np.array([self.first + seed % 7], np.float32) for agent in "abc"}, {}

    def step(self, actions: Any, /) -> Any:
        self.t += 1
        if self.odd("raises"):
            raise RuntimeError("the game has a mood")
        living = "abc" if self.t <= 3 else "ab"
        seen = {agent: np.array([self.rng.integers(100)], np.float32) for agent in living}
        if self.odd("observation"):
            seen["b"] = seen["b"] + 1
        if self.odd("who is due"):
            del seen["b"]
        infos = {"a": {"action_mask": [1, 1, int(not self.odd("mask"))]}}
        rewards = {agent: float(action) for agent, action in actions.items()}
        if self.odd("reward") or self.odd("another policy's reward"):
            rewards["a" if self.whim == "reward" else "b"] += 0.5
        if self.odd("a dead agent's reward"):
            rewards["c"] += 0.5
        over = self.t >= self.length or self.odd("end")
        return seen, rewards, {"c": self.t == 3, "__all__": False}, {"__all__": over}, infos


def worker_of(whim: str, copies: int = 1, *, record: tuple[str, ...] | None = ("p",)) -> RolloutWorker:
    """``a`` and ``c`` are played by ``p``, ``b`` by ``q``, whose rows nobody keeps."""
    spec = {policy_id: PolicySpec(policy_id, BOX, spaces.Discrete(3)) for policy_id in "pq"}
    return RolloutWorker(
        make_env=lambda index: Fickle(whim if index == 0 else "none"),
        envs_per_worker=copies,
        router=Router("pq", mapping={"b": "q", "*": "p"}),
        policies={policy_id: RandomPolicy(one) for policy_id, one in spec.items()},
        discounts={},
        record=record,
        seed=6,
    )


@pytest.mark.parametrize("whim", WHIMS)
@pytest.mark.parametrize("cuts", [(5,), (1, 1, 1, 2), (2, 3), (4, 1)])
def test_a_game_that_goes_another_way_is_found_out(whim: str, cuts: tuple[int, ...]) -> None:
    Fickle.made = 0
    whole = worker_of(whim)
    for cut in cuts:
        whole.sample(num_env_steps=cut)
    fresh = worker_of(whim)
    lost = fresh.load_state_dict(through_disk(whole.state_dict()))
    assert len(lost) == (whim != "none"), lost
    if whim != "none":
        assert lost[0].startswith("copy 0 of worker 0, episode 0: ")
        batch, episodes = fresh.sample(num_env_steps=8)
        rows = batch.policies["p"]
        assert (rows["eps_id"] == 1).all()  # no row of the lost episode
        assert rows.num_rows == 8 + 3
        assert rows["decision"].tolist() == [*range(8), *range(3)]
        assert [record.eps_id for record in episodes] == [1]


def test_why_is_said() -> None:
    words = {
        "first observation": "what it saw and was paid differs",
        "who is due": "were due; the recording has",
        "end": "it ended at call 2; the recording goes on",
        "raises": "replaying it raised .*the game has a mood",
        "a dead agent's reward": "whose lives ended",
    }
    for whim, expected in words.items():
        Fickle.made = 0
        whole = worker_of(whim)
        whole.sample(num_env_steps=5)
        (reason,) = worker_of(whim).load_state_dict(whole.state_dict())
        assert re.search(expected, reason, re.DOTALL), reason


def test_the_rest_is_unharmed() -> None:
    """Copy 0 goes another way; copies 1 and 2 go on to the bit, and copy 0's next episode is the one that it would have begun."""
    Fickle.made = 0
    whole = worker_of("observation", 3)
    whole.sample(num_env_steps=5)
    fresh = worker_of("observation", 3)
    (reason,) = fresh.load_state_dict(through_disk(whole.state_dict()))
    assert reason.startswith("copy 0 ")
    assert [copy.needs_reset for copy in fresh.copies] == [True, False, False]
    (left, _), (right, episodes) = whole.sample(num_env_steps=3), fresh.sample(num_env_steps=3)
    for copy in (1, 2):
        assert [rows_of(one, copy, ("obs", "t", "decision")) for one in (left,)] == [rows_of(right, copy, ("obs", "t", "decision"))]
    assert {record.env_index for record in episodes} == {1, 2}
    assert fresh.copies[0].episode.episode_id == 1


def rows_of(batch: Any, copy: int, names: tuple[str, ...]) -> Any:
    rows = batch.policies["p"]
    mine = (rows["eps_id"] >> 32) == copy
    return {name: rows[name][mine].tolist() for name in names}


def test_an_environment_with_a_state_of_its_own_is_not_replayed() -> None:
    """It may be as fickle as it likes: it says where it was."""

    class Stateful(Fickle):
        def get_state(self) -> Any:
            return {"t": self.t, "rng": dict(self.rng.bit_generator.state)}

        def set_state(self, state: Any) -> None:
            self.t = state["t"]
            self.rng = np.random.default_rng()
            self.rng.bit_generator.state = state["rng"]

    def make() -> RolloutWorker:
        worker = worker_of("none")
        worker._make_env = lambda index: Stateful("observation")
        return worker

    Fickle.made = 0
    whole = make()
    whole.sample(num_env_steps=5)
    fresh = make()
    assert fresh.load_state_dict(through_disk(whole.state_dict())) == []
    assert compare(whole.sample(num_env_steps=20), fresh.sample(num_env_steps=20), "") == []


class Elephant:
    """A bot that never forgets what it saw."""

    def __init__(self) -> None:
        self.sum = 0

    def act(self, obs: Any) -> int:
        self.sum += int(obs[0])
        return self.sum % 3


class Moody(Elephant):
    """One that answers by a clock of its own."""

    calls = 0

    def act(self, obs: Any) -> int:
        Moody.calls += 1
        return Moody.calls % 3


def test_a_bots_memory_is_rebuilt_by_showing_it_the_game_again() -> None:
    """Even where the environment could say where it was: the bot cannot."""

    class Stateful(Fickle):
        def get_state(self) -> Any:
            return {"t": self.t, "rng": dict(self.rng.bit_generator.state)}

        def set_state(self, state: Any) -> None:
            raise AssertionError("it was to be replayed")

    for env in (Fickle, Stateful):
        Fickle.made = 0
        keys: dict[str, Any] = {"env": env, "policies": {"bot": {"player": Elephant}}, "seed": 2}
        whole, fresh = marl.Sampler(**keys).worker, marl.Sampler(**keys).worker
        whole.sample(num_env_steps=5)
        assert fresh.load_state_dict(through_disk(whole.state_dict())) == []
        assert compare(whole.sample(num_env_steps=20), fresh.sample(num_env_steps=20), "") == []


def test_a_bot_that_answers_otherwise_cannot_be_rebuilt_and_that_is_said() -> None:
    keys: dict[str, Any] = {"env": Fickle, "policies": {"bot": {"player": Moody}}, "seed": 2}
    whole, fresh = marl.Sampler(**keys).worker, marl.Sampler(**keys).worker
    whole.sample(num_env_steps=5)
    Moody.calls += 1
    (reason,) = fresh.load_state_dict(whole.state_dict())
    assert "player 'bot' answered" in reason


# ------------------------------------------------------------------ crash capsules


class Crashes(Fickle):
    """Raises when the sum of all actions since the reset reaches 9, or returns what is asked for then."""

    def __init__(self, returns: Any = None) -> None:
        super().__init__(length=1000)
        self.returns = returns

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.sum = 0
        return super().reset(seed=seed, options=options)

    def step(self, actions: Any, /) -> Any:
        self.sum += sum(actions.values())
        result = super().step(actions)
        if self.sum < 9:
            return result
        if self.returns is None:
            raise ZeroDivisionError(f"at {self.sum}, step {self.t}, options {self.options}, draw {self.rng.integers(10**9)}")
        return self.returns(result)


def crash(env: Any, **keys: Any) -> EnvError:
    sampler = marl.Sampler(env, policies={"p": {"player": "random"}}, seed=8, **keys)
    with pytest.raises(EnvError) as caught:
        sampler.sample(num_env_steps=50)
    return caught.value


def test_a_crash_can_be_played_again() -> None:
    error = crash(Crashes)
    saved = through_disk({"capsule": error.capsule})["capsule"]
    assert differences(saved, error.capsule) == []
    calls: list[Any] = []
    with pytest.raises(ZeroDivisionError) as again:
        play_capsule(Crashes(), saved, lambda number, actions, result: calls.append((number, actions, result)))
    assert str(again.value) in str(error)
    assert f"ZeroDivisionError: {again.value}" == saved["error"]
    assert [number for number, _, _ in calls] == list(range(len(calls)))
    assert len(calls) == len(unpack_log(saved["log"]))  # the reset and every call but the last, which raised
    assert calls[0][1] == {}


def test_a_crash_names_environment_seed_episode_call_and_actions() -> None:
    error = crash(Crashes, envs_per_worker=2)
    words = str(error)
    assert "ZeroDivisionError" in words.splitlines()[-1] or "Traceback" in words
    assert error.capsule is not None
    for part in ("environment Crashes", f"copy {error.capsule['env_index']} of worker 0", f"seed {error.capsule['seed']}", "actions {"):
        assert part in words, part
    assert f"call {len(unpack_log(error.capsule['log']))}" in words


def test_options_and_later_episodes_are_in_the_capsule() -> None:
    class Second(Crashes):
        def step(self, actions: Any, /) -> Any:
            result = super().step({} if self.options["number"] == 0 else actions)
            over = self.options["number"] == 0 and self.t == 3
            return {} if over else result[0], {}, {"c": self.t == 3, "__all__": over}, {}, {}

    def match(episode: Any) -> marl.Match:
        return marl.Match({"*": "p"}, options={"number": episode.episode_id & 0xFF})

    error = crash(Second, match_fn=match)
    assert error.capsule is not None
    assert error.capsule["options"] == {"number": 1}
    assert error.capsule["episode_id"] == 1
    with pytest.raises(ZeroDivisionError, match=r"options \{'number': 1\}"):
        play_capsule(Second(), error.capsule)


def test_what_wrappers_remembered_is_in_the_capsule() -> None:
    class Rich(Crashes):
        def step(self, actions: Any, /) -> Any:
            seen, rewards, terminateds, _, infos = super().step(actions)
            return seen, rewards, terminateds, {"__all__": self.t == 4 and self.sum < 7}, infos

    from marl.wrappers.specs import apply_wrappers

    error = crash(Rich, wrappers=["reward_normalize"])
    assert error.capsule is not None
    assert error.capsule["memory"] is not None
    paid: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        play_capsule(apply_wrappers(Rich(), ["reward_normalize"]), error.capsule, lambda number, actions, result: paid.append(result[1]))
    unseen: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        play_capsule(
            apply_wrappers(Rich(), ["reward_normalize"]),
            {**error.capsule, "memory": None},
            lambda n, actions, result: unseen.append(result[1]),
        )
    assert paid[1:] != unseen[1:] or error.capsule["episode_id"] == 0


@pytest.mark.parametrize(
    ("begun", "words"),
    [
        (None, r"reset\(\) returned a NoneType; expected \(observations, infos\)"),
        (([1.0], {}), r"call 0: reset\(\) returned something that is no dict: observations is \[1.0\]"),
    ],
)
def test_a_reset_that_returns_garbage_is_named(begun: Any, words: str) -> None:
    class Begins(Crashes):
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return begun

    with pytest.raises(EnvError, match=words):
        marl.Sampler(Begins, policies={"p": {"player": "random"}}).sample(num_env_steps=5)


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        (lambda result: result[:4], "returned a tuple of 4"),
        (lambda result: None, "returned a NoneType"),
        (lambda result: (None, *result[1:]), "observations is None; expected dicts keyed by agent"),
        (lambda result: (result[0], [1.0], *result[2:]), r"rewards is \[1.0\]"),
        (lambda result: (*result[:2], True, False, {}), "terminateds is True; truncateds is False"),
        (lambda result: (*result[:2], {"a": True}, {}, None), "infos is None"),
        (lambda result: (*result[:2], {"a": True}, {}, {"a": "ill"}), r"infos\['a'\] is 'ill'"),
        (lambda result: ({**result[0], "b": np.zeros(2, np.float32)}, *result[1:]), r"agent 'b': .*shape \(2,\), expected \(1,\)"),
        (lambda result: (result[0], {"a": "much"}, *result[2:]), "the reward of agent 'a' is 'much'; expected a number"),
        (lambda result: (*result[:4], {"a": {"action_mask": [0, 0, 0]}}), "agent 'a', which is due, allows no action"),
        (lambda result: (*result[:4], {"a": {"action_mask": [1]}}), r"agent 'a': an action mask has \[1\] entries, expected \[3\]"),
        (lambda result: (*result[:2], {"a": True}, {}, {"a": {"end_cause": "bored"}}), r"infos\['a'\]\['end_cause'\] is 'bored'"),
    ],
)
def test_garbage_is_named_and_has_a_capsule_too(returns: Any, words: str) -> None:
    sampler = marl.Sampler(lambda: Crashes(returns), policies={"p": {"player": "random"}}, seed=8)
    with pytest.raises(marl.MarlError, match=words) as caught:
        sampler.sample(num_env_steps=50)
    error = caught.value
    if isinstance(error, EnvError):
        assert error.capsule is not None
        results: list[Any] = []
        play_capsule(Crashes(returns), error.capsule, lambda number, actions, result: results.append(result))
        assert len(results) == 1 + len(unpack_log(error.capsule["log"]))


def test_without_logs_there_is_no_capsule() -> None:
    """Half a recording would play another game."""
    worker = worker_of("none")
    plain = RolloutWorker(
        make_env=lambda index: Crashes(),
        envs_per_worker=1,
        router=Router("p"),
        policies={"p": worker.policies["p"]},
        discounts={},
        seed=6,
        keep_logs=False,
    )
    with pytest.raises(EnvError) as caught:
        plain.sample(num_env_steps=50)
    assert caught.value.capsule is None


# ------------------------------------------------------------------ logs


@pytest.mark.parametrize(
    "log",
    [
        [],
        [{}],
        [{"a": 1}, {"a": 2, "b": 0}, {}, {"b": 3}],
        [{0: 1, (1, 2): 2}, {(1, 2): 5}],
        [{"a": np.array([0.5], np.float32)}, {"a": np.array([1.5], np.float32)}],
        [{"a": np.array([1], np.int64)}, {"a": np.array([1, 2], np.int64)}],
        [{"a": {"go": 1, "how": np.array([0.25], np.float32)}, "b": (1, np.array([[1, 2]], np.int8))}],
        [{"a": 1}, {"a": True}, {"a": 2**70}, {"a": "left"}, {"a": None}, {"a": 1.5}],
        [{"b": 1, "a": 2}, {"a": 2, "b": 1}],
    ],
)
def test_logs_come_back_as_they_were(log: Any) -> None:
    back = unpack_log(through_disk({"log": pack_log(log)})["log"])
    assert differences(back, log) == []
    assert [list(call) for call in back] == [list(call) for call in log]
    kinds = [[type(action) for action in call.values()] for call in log]
    assert [[type(action) for action in call.values()] for call in back] == kinds


def test_a_log_of_plain_actions_is_small() -> None:
    log = [{"a": step % 4, "b": 1} for step in range(1000)]
    packed = pack_log(log)
    assert len(json.dumps(packed["agents"])) < 100
    assert [stream["kind"] for _, stream in packed["actions"]] == ["int", "int"]
