"""The optional columns where something is missing, comes late, or begins again."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import marl
from marl.env import BaseMultiAgentEnv
from marl.errors import EnvError, MaskError, RunError
from marl.players import RandomPolicy
from marl.policy import Discount, PolicySpec
from marl.router import Router
from marl.sampler import RolloutWorker

from .crowd import Crowd, worker_for

BOX = spaces.Box(-100, 100, (2,), np.float32)


class Walk(BaseMultiAgentEnv):
    """``a`` and ``b`` act at every step, for ``length`` steps; ``b`` sees [10, step], ``a`` [0, step]."""

    def __init__(self, length: int = 4, **said: Any) -> None:
        self.length, self.said = length, said
        self.possible_agents = ["a", "b"]
        self.observation_spaces = dict.fromkeys("ab", BOX)
        self.action_spaces = dict.fromkeys("ab", spaces.Discrete(3))
        self.resets = 0
        self.t = 0

    def _see(self, who: str = "ab") -> dict[str, Any]:
        return {agent: np.array([10.0 * (agent == "b"), self.t], np.float32) for agent in who}

    def _infos(self, who: Any) -> dict[str, Any]:
        return {agent: {name: value(self, agent) for name, value in self.said.items()} for agent in who}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t, self.resets = 0, self.resets + 1
        return self._see(), self._infos("ab")

    def step(self, actions: Any, /) -> Any:
        self.t += 1
        over = self.t >= self.length
        return self._see(), dict.fromkeys(actions, 1.0), {"__all__": False}, {"__all__": over}, self._infos("ab")


def makers(env: Any) -> Any:
    """Gives ``env`` first, then copies of it as it was."""
    fresh = copy.deepcopy(env)
    given = iter([env])
    return lambda index: next(given, None) or copy.deepcopy(fresh)


def walker(env: Any, needs: set[str], **keys: Any) -> RolloutWorker:
    spec = PolicySpec("p", env.observation_spaces["a"], env.action_spaces["a"])
    keys = {"needs": {"p": frozenset(needs)}, "seed": 1, "envs_per_worker": 1, **keys}
    return RolloutWorker(make_env=makers(env), router=Router(["p"]), policies={"p": RandomPolicy(spec)}, discounts={}, **keys)


def second(env: Any) -> RandomPolicy:
    return RandomPolicy(PolicySpec("q", env.observation_spaces["a"], env.action_spaces["a"]))


# ------------------------------------------------------------------ what is not there is an error


@pytest.mark.parametrize(
    ("needs", "said", "words"),
    [
        ({"critic_obs"}, {}, "Walk gave no infos"),
        ({"global_state"}, {}, "neither global_state"),
        ({"member_rewards"}, {}, "infos.'a'. has no 'member_alive'"),
    ],
)
def test_what_the_environment_does_not_give_is_an_error(needs: set[str], said: Any, words: str) -> None:
    with pytest.raises(EnvError, match=words):
        walker(Walk(**said), needs).sample(num_env_steps=2)


def test_a_critics_observation_that_is_missing_later_names_the_agent() -> None:
    class Forgets(Walk):
        def _infos(self, who: Any) -> dict[str, Any]:
            return {agent: {"critic_obs": [1.0]} for agent in who if self.t < 2 or agent == "a"}

    with pytest.raises(EnvError, match=r"infos\['b'\] has no 'critic_obs'"):
        walker(Forgets(), {"critic_obs"}).sample(num_env_steps=4)


def test_a_critics_observation_of_another_shape_names_the_agent() -> None:
    env = Walk(critic_obs=lambda env, agent: np.zeros(3 if agent == "b" and env.t == 1 else 2))
    with pytest.raises(EnvError, match=r"infos\['b'\]\['critic_obs'\] has shape \(3,\); expected \(2,\)"):
        walker(env, {"critic_obs"}).sample(num_env_steps=4)


def test_a_scalar_info_that_is_no_number_names_agent_and_key() -> None:
    with pytest.raises(EnvError, match=r"infos\['a'\]\['speed'\] is 'fast'; expected a number"):
        walker(Walk(speed=lambda env, agent: "fast"), set(), info_keys=("speed",)).sample(num_env_steps=2)


def test_joint_columns_refuse_who_is_not_in_possible_agents() -> None:
    class Guest(Walk):
        def observation_space(self, agent: Any) -> Any:
            return BOX

        def _see(self, who: str = "ab") -> dict[str, Any]:
            return super()._see("abc" if self.t == 2 else "ab")

    with pytest.raises(EnvError, match=r"agent 'c' is not in possible_agents \(a, b\)"):
        walker(Guest(), {"joint_obs"}).sample(num_env_steps=4)
    batch, _ = walker(Guest(), set()).sample(num_env_steps=4)
    assert batch.num_rows == 9


def test_joint_columns_need_possible_agents() -> None:
    env = Walk()
    env.possible_agents = []
    with pytest.raises(EnvError, match="has no possible_agents"):
        walker(env, {"joint_due"}).sample(num_env_steps=2)


# ------------------------------------------------------------------ only what is asked for


def test_nothing_is_written_that_nobody_asked_for() -> None:
    env = Walk(critic_obs=lambda env, agent: [1.0])
    batch, _ = walker(env, set()).sample(num_env_steps=4)
    assert set(batch.policies["p"]) == {
        "obs", "actions", "rewards", "terminateds", "truncateds", "eps_id", "life", "decision", "t", "env_steps", "end_cause",
        "weights_version", "agent_index",
    }  # fmt: skip
    assert env.resets == 1  # and the game was not begun to look at it
    batch, _ = walker(Walk(), {"joint_due"}).sample(num_env_steps=4)
    assert "joint_due" in batch.policies["p"]
    assert "joint_obs" not in batch.policies["p"]


def test_a_stated_space_needs_no_look_at_the_game() -> None:
    class Stated(Walk):
        global_state_space = spaces.Box(0, 9, (3,), np.float64)

        def global_state(self) -> Any:
            return np.array([1, 2, self.t], np.float64)

    env = Stated()
    batch, _ = walker(env, {"global_state"}).sample(num_env_steps=3)
    assert env.resets == 1
    rows = batch.policies["p"]
    assert rows["global_state"].dtype == np.float32
    np.testing.assert_array_equal(rows["global_state"][:, 2], rows["t"])
    np.testing.assert_array_equal(rows.pieces["bootstrap_global_state"], [[1, 2, 3], [1, 2, 3]])


def test_whole_numbers_and_pictures_keep_their_kind() -> None:
    class Picture(Walk):
        def state(self) -> Any:
            return np.full((2, 2, 3), self.t, np.uint8)

    batch, _ = walker(Picture(), {"global_state"}).sample(num_env_steps=3)
    assert batch.policies["p"]["global_state"].dtype == np.uint8
    assert batch.policies["p"]["global_state"].shape == (6, 2, 2, 3)


# ------------------------------------------------------------------ policies that come while episodes are open


@pytest.mark.parametrize("needs", [{"critic_obs"}, {"global_state"}, {"joint_obs", "joint_actions", "joint_alive"}])
def test_a_policy_that_comes_in_the_middle_of_an_episode_disturbs_nothing(needs: set[str]) -> None:
    class Game(Walk):
        def global_state(self) -> Any:
            return np.array([float(self.t)])

    def played(add: bool) -> Any:
        worker = walker(Game(length=7, critic_obs=lambda env, agent: [env.t]), set(), envs_per_worker=1)
        first, _ = worker.sample(num_env_steps=3)
        if add:
            worker.add_policy("q", second(worker.copies[0].env), needs=frozenset(needs))
        return [first, *(worker.sample(num_env_steps=3)[0] for _ in range(3))]

    for alone, beside in zip(played(False), played(True), strict=True):
        for name, column in alone.policies["p"].columns.items():
            np.testing.assert_array_equal(column, beside.policies["p"][name])


def test_one_environment_object_is_not_reset_in_the_middle_of_an_episode() -> None:
    env = Walk(length=5, critic_obs=lambda env, agent: [env.t])
    sampler = marl.Sampler(env, policies={"p": {"player": "random"}}, wrappers=["agent_id"])
    sampler.sample(num_env_steps=2)
    with pytest.raises(RunError, match="one environment object is in the middle of"):
        sampler.worker.add_policy("q", second(sampler.worker.copies[0].env), needs=frozenset({"critic_obs"}))
    assert env.t == 2
    sampler.sample(num_env_steps=3)  # to the episode's end: now it may be looked at, through wrappers of its own
    closed: list[bool] = []
    env.close = lambda: closed.append(True)  # type: ignore[method-assign]
    sampler.worker.router.policies["q"] = None
    sampler.worker.add_policy("q", second(sampler.worker.copies[0].env), needs=frozenset({"critic_obs"}))
    assert not closed
    assert sampler.sample(num_env_steps=5)[0].num_rows == 10


def test_wrappers_that_remember_are_not_shown_an_episode_that_nobody_plays() -> None:
    """A look at the game goes to an object of its own, once there was an episode."""
    worker = walker(Walk(length=3, critic_obs=lambda env, agent: [env.t]), set())
    worker.sample(num_env_steps=3)
    env = worker.copies[0].env
    resets = env.resets
    worker.add_policy("q", second(env), needs=frozenset({"critic_obs"}))
    assert env.resets == resets


def test_joint_columns_asked_for_in_the_middle_know_who_is_there() -> None:
    """The episode that is open was not followed so far; a newcomer to it sees who is there all the same."""

    class Late(Walk):
        """``c`` comes with step 4; ``b`` was last seen at step 2."""

        def __init__(self) -> None:
            super().__init__(length=9)
            self.possible_agents = ["a", "b", "c"]
            self.observation_spaces = dict.fromkeys("abc", BOX)
            self.action_spaces = dict.fromkeys("abc", spaces.Discrete(3))

        def _see(self, who: str = "ab") -> dict[str, Any]:
            return super()._see("ab" if self.t <= 2 else "a" if self.t < 4 else "ac")

        def step(self, actions: Any, /) -> Any:
            result = super().step(actions)
            return result[0], {}, *result[2:]

    def columns(late: bool) -> Any:
        env = Late()
        needs = frozenset({"joint_obs", "joint_alive", "joint_due", "joint_actions"})
        spec = PolicySpec("p", BOX, spaces.Discrete(3))
        worker = RolloutWorker(
            make_env=lambda index: env,
            envs_per_worker=1,
            router=Router(["p", "q"], policy_mapping_fn=lambda agent_id: "q" if agent_id == "c" else "p"),
            policies={"p": RandomPolicy(spec)} if late else {"p": RandomPolicy(spec), "q": second(env)},
            discounts={},
            needs={} if late else {"q": needs},
            seed=3,
        )
        worker.sample(num_env_steps=3)
        if late:
            worker.add_policy("q", second(env), Discount(), needs)
        return worker.sample(num_env_steps=3)[0].policies["q"]

    before, after = columns(False), columns(True)
    np.testing.assert_array_equal(after["joint_alive"], [[True, True, True]] * 2)
    np.testing.assert_array_equal(after["joint_due"], [[True, False, True]] * 2)
    np.testing.assert_array_equal(after["joint_obs"][0], [0, 4, 10, 2, 0, 4])
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_dropped_episodes_leave_nobody_behind() -> None:
    """After ``reset_all`` the joint columns know only who comes with the new episode."""

    class Shrinks(Walk):
        def _see(self, who: str = "ab") -> dict[str, Any]:
            return super()._see("ab" if self.resets < 2 else "a")

    worker = walker(Shrinks(length=6), {"joint_alive", "joint_obs"})
    worker.sample(num_env_steps=2)
    worker.reset_all()
    rows = worker.sample(num_env_steps=2)[0].policies["p"]
    np.testing.assert_array_equal(rows["joint_alive"], [[True, False]] * 2)
    np.testing.assert_array_equal(rows["joint_obs"][:, 2:], np.zeros((2, 2)))


# ------------------------------------------------------------------ ends


class Ends(BaseMultiAgentEnv):
    """``a`` is cut off at step 2 and begins again in the same call; its mask stands in infos, that of the final observation too."""

    possible_agents = ["a"]
    observation_spaces = {"a": BOX}
    action_spaces = {"a": spaces.Discrete(3)}

    def __init__(self, *, again: bool, critic: bool = True, everyone: bool = False) -> None:
        self.again, self.critic, self.everyone = again, critic, everyone

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return {"a": np.zeros(2, np.float32)}, {"a": {"critic_obs": [0.0], "action_mask": [1, 1, 1]}}

    def step(self, actions: Any, /) -> Any:
        self.t += 1
        info: dict[str, Any] = {"critic_obs": [float(self.t)], "action_mask": [0, 1, 1]}
        seen = {"a": np.full(2, self.t, np.float32)}
        cut = self.t == 2
        if cut:
            info["action_mask"] = [0, 0, 1]
            if self.again:
                info |= {"final_observation": np.full(2, 20, np.float32)} | ({"final_critic_obs": [20.0]} if self.critic else {})
        return seen, {"a": 1.0}, {}, {"__all__" if self.everyone else "a": cut}, {"a": info}


def test_the_old_lifes_end_does_not_take_what_belongs_to_the_new_one() -> None:
    rows = walker(Ends(again=True), {"critic_obs"}).sample(num_env_steps=3)[0].policies["p"]
    first = int(np.flatnonzero(rows["life"] == 0).max())
    piece = int(rows.piece_of_rows()[first])
    assert rows["truncateds"][first]
    assert rows.pieces["bootstrap_critic_obs"][piece] == 20
    assert rows.pieces["bootstrap_obs"][piece].tolist() == [20, 20]
    assert rows.pieces["bootstrap_action_mask"][piece].tolist() == [True, True, True]  # the mask is the new life's
    assert rows["critic_obs"][rows["life"] == 1].tolist() == [[2.0]]
    assert rows["action_mask"][rows["life"] == 1].tolist() == [[False, False, True]]


def test_the_old_lifes_critic_must_see_its_own_end() -> None:
    with pytest.raises(EnvError, match=r"infos\['a'\] has no 'critic_obs'"):
        walker(Ends(again=True, critic=False), {"critic_obs"}).sample(num_env_steps=3)


@pytest.mark.parametrize("everyone", [False, True])
def test_a_mask_beside_a_final_observation_counts(everyone: bool) -> None:
    rows = walker(Ends(again=False, everyone=everyone), set()).sample(num_env_steps=2)[0].policies["p"]
    assert rows["truncateds"].tolist() == [False, True]
    assert rows.pieces["bootstrap_action_mask"].tolist() == [[False, False, True]]
    assert rows["action_mask"].tolist() == [[True, True, True], [False, True, True]]


def test_a_state_that_is_written_in_place_is_the_final_one() -> None:
    class InPlace(Walk):
        global_state_space = spaces.Box(0, 99, (1,), np.float32)
        held = np.zeros(1, np.float32)

        def global_state(self) -> Any:
            self.held[:] = self.t + 10 * self.resets
            return self.held

    rows = walker(InPlace(length=3), {"global_state"}).sample(num_env_steps=6)[0].policies["p"]
    a = rows["agent_index"] == rows.agents.index("a")
    assert rows["global_state"][a, 0].tolist() == [10, 11, 12, 20, 21, 22]
    assert sorted(rows.pieces["bootstrap_global_state"][:, 0].tolist()) == [13, 13, 23, 23]


# ------------------------------------------------------------------ masks that do not fit


@pytest.mark.parametrize(
    ("mask", "words"), [([1, 1], "2 entries, expected 3"), ([1] * 4, "4 entries, expected 3"), ([0, 0, 0], "allows no action")]
)
@pytest.mark.parametrize("place", ["infos", "observation"])
def test_a_mask_that_does_not_fit_names_the_agent(mask: list[int], words: str, place: str) -> None:
    class Masked(Walk):
        def __init__(self) -> None:
            super().__init__()
            if place == "observation":
                space = spaces.Dict({"observation": BOX, "action_mask": spaces.MultiBinary(3)})
                self.observation_spaces = dict.fromkeys("ab", space)

        def mask(self, agent: str) -> Any:
            return np.array(mask if agent == "b" and self.t == 1 else [1, 0, 1], np.int8)

        def _see(self, who: str = "ab") -> Any:
            seen = super()._see(who)
            return seen if place == "infos" else {a: {"observation": x, "action_mask": self.mask(a)} for a, x in seen.items()}

        def _infos(self, who: Any) -> Any:
            return {agent: {"action_mask": self.mask(agent)} for agent in who} if place == "infos" else {}

    with pytest.raises((EnvError, MaskError), match=rf"agent 'b'.*{words}"):
        walker(Masked(), set()).sample(num_env_steps=3)


def test_an_observation_without_its_mask_names_the_agent() -> None:
    class Bare(Walk):
        def __init__(self) -> None:
            super().__init__()
            self.observation_spaces = dict.fromkeys("ab", spaces.Dict({"observation": BOX, "action_mask": spaces.MultiBinary(3)}))

    with pytest.raises(EnvError, match=r"agent 'a': an observation is array.*expected a dict with an 'action_mask'"):
        walker(Bare(), set()).sample(num_env_steps=1)


# ------------------------------------------------------------------ through the front door


def test_the_sampler_takes_needs_and_infos_for_groups_too() -> None:
    sampler = marl.Sampler(
        Walk,
        groups={"team": ["a", "b"]},
        policies={"p": {"player": "random"}},
        needs={"p": ["member_rewards", "joint_obs"]},
    )
    rows = sampler.sample(num_env_steps=8)[0].policies["p"]
    assert rows["member_rewards"].tolist() == [[1.0, 1.0]] * 8
    assert rows["rewards"].tolist() == [2.0] * 8
    assert rows["joint_obs"][:4].tolist() == [[0, t, 10, t] for t in range(4)]
    assert rows.pieces["bootstrap_member_alive"].tolist() == [[True, True]] * 2


def test_a_crowd_without_needs_is_never_looked_at() -> None:
    crowd = Crowd(Walk())
    worker_for([crowd], frozenset()).sample(num_env_steps=2)
    assert len(crowd.episodes) == 1
