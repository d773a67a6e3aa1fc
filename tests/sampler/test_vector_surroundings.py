"""Global states, critics' observations and scalar infos of array-native environments: each row's own, at its own time.

An observation names its copy, episode and call, and so do the state and the critic's observation that stand beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle.histories import ScriptedEnv
from oracle.judge import POLICY_OF, arrays_case_from_bytes
from oracle.vector_histories import ScriptedVectorEnv

import marl
from marl.env import VectorStep
from marl.errors import EnvError
from marl.players import RandomPolicy
from marl.policy import Discount, PolicySpec
from marl.router import Router
from marl.vector_sampler import VectorRolloutWorker

NEEDS = frozenset({"global_state", "critic_obs"})


class Seen(ScriptedVectorEnv):
    """Gives all that may stand beside observations, in arrays that it uses again."""

    without: tuple[str, ...] = ()

    def _beside(self, step: VectorStep, calls: list[tuple[int, int]], finals: list[tuple[int, int]]) -> VectorStep:
        shape = (self.num_envs, len(self.slots))
        state, final_state = np.zeros((self.num_envs, 3)), np.zeros((self.num_envs, 3))
        critic, final_critic = np.zeros((*shape, 4)), np.zeros((*shape, 4))
        speed = np.full(shape, np.nan)
        for e in range(self.num_envs):
            state[e], final_state[e] = (e, *calls[e]), (e, *finals[e])
            critic[e, :, :3], final_critic[e, :, :3] = state[e], final_state[e]
            critic[e, :, 3], final_critic[e, :, 3] = np.arange(shape[1]), np.arange(shape[1])
            if finals[e][1] % 3:  # not said at every call
                speed[e] = 100 * finals[e][0] + finals[e][1]
        beside = {"global_state": state, "final_global_state": final_state, "critic_obs": critic, "final_critic_obs": final_critic}
        given = {name: value for name, value in beside.items() if name not in self.without}
        return replace(step, **given, infos={"speed": speed})

    def _calls(self) -> list[tuple[int, int]]:
        return [(len(copy.calls) - 1, copy.calls[-1]) for copy in self.copies]

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        step = super().reset(seed=seed, mask=mask)
        return self._beside(step, self._calls(), self._calls())

    def step(self, actions: Any, *, active: Any = None, next_seeds: Any, next_options: Any = None) -> VectorStep:
        before = self._calls()
        step = super().step(actions, active=active, next_seeds=next_seeds, next_options=next_options)
        stepped = [active is None or bool(active[e]) for e in range(self.num_envs)]
        finals = [(number, call + moved) for (number, call), moved in zip(before, stepped, strict=True)]
        return self._beside(step, self._calls(), finals)


def worker_of(env: Any, world: Any) -> VectorRolloutWorker:
    shown = ScriptedEnv(world)
    specs = {
        policy: PolicySpec(policy, shown.observation_space(agent), shown.action_space(agent))
        for policy, agent in (("main", "a0"), ("rival", "a1"))
    }
    return VectorRolloutWorker(
        env=env,
        router=Router(specs, mapping=POLICY_OF),
        policies={policy: Right(spec) for policy, spec in specs.items()},
        discounts=dict.fromkeys(specs, Discount()),
        needs={"main": NEEDS},
        info_keys=("speed",),
        seed=7,
    )


class Right(RandomPolicy):
    """The one action that belongs to an observation."""

    def act_batch(self, obs: Any, **given: Any) -> Any:
        return (np.asarray(obs)[:, :4] @ np.array([1, 2, 3, 1])).astype(np.int64) % 5, {}, {}


@settings(
    max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,)
)
@given(case=st.builds(arrays_case_from_bytes, st.binary(min_size=480, max_size=480)))
def test_what_stands_beside_an_observation_is_of_its_own_moment(case: Any) -> None:
    env = Seen(case.world, case.copies)
    worker = worker_of(env, case.world)
    for length in case.lengths:
        batch, _ = worker.sample(num_env_steps=length)
        for policy, rows in batch.policies.items():
            following = np.full(len(rows), np.nan)  # the call that closed the row, where an observation tells it
            following[:-1] = rows["obs"][1:, 3]
            last = rows.last_rows
            told = (
                rows.pieces["bootstrap_valid"]
                & (rows.pieces["bootstrap_obs"][:, 4] == rows["truncateds"][last])
                & ~rows["terminateds"][last]
            )
            following[last] = np.where(told, rows.pieces["bootstrap_obs"][:, 3], np.nan)
            if policy == "main":
                np.testing.assert_array_equal(rows["global_state"], rows["obs"][:, [0, 1, 3]])
                slots = [env.slots.index(rows.agents[index]) for index in rows["agent_index"]]
                np.testing.assert_array_equal(rows["critic_obs"], np.column_stack([rows["obs"][:, [0, 1, 3]], slots]))
                after = rows.pieces["bootstrap_obs"][told][:, [0, 1, 3]]
                np.testing.assert_array_equal(rows.pieces["bootstrap_global_state"][told], after)
                np.testing.assert_array_equal(rows.pieces["bootstrap_critic_obs"][told][:, :3], after)
            else:
                assert not NEEDS.intersection(rows)
            for opened, closed, number, speed in zip(rows["obs"][:, 3], following, rows["obs"][:, 1], rows["infos/speed"], strict=True):
                if np.isnan(closed):
                    continue
                said = [call for call in range(int(opened) + 1, int(closed) + 1) if call % 3]
                np.testing.assert_array_equal(speed, 100 * number + said[-1] if said else np.nan)


@pytest.mark.parametrize("missing", ["global_state", "critic_obs", "final_global_state", "final_critic_obs"])
def test_what_is_missing_is_an_error_that_names_it(missing: str) -> None:
    case = arrays_case_from_bytes(bytes(480))
    env = Seen(case.world, 2)
    env.without = (missing,)
    worker = worker_of(env, case.world)
    with pytest.raises(EnvError, match=missing):
        worker.sample(num_env_steps=36)


def test_a_policy_may_come_late_and_need_what_the_arrays_hold() -> None:
    case = arrays_case_from_bytes(bytes(480))
    worker = worker_of(Seen(case.world, 2), case.world)
    worker.sample(num_env_steps=3)
    shown = ScriptedEnv(case.world)
    worker.router.policies["late"] = None
    worker.add_policy("late", Right(PolicySpec("late", shown.observation_space("a0"), shown.action_space("a0"))), needs=NEEDS)
    worker.router.mapping = {"*": "late"}
    worker.router._keys.clear()
    rows = [worker.sample(num_env_steps=9)[0] for _ in range(3)][-1].policies["late"]
    np.testing.assert_array_equal(rows["global_state"], rows["obs"][:, [0, 1, 3]])


@pytest.mark.parametrize("column", ["joint_obs", "joint_actions", "member_rewards"])
def test_joint_and_member_columns_are_for_dicts(column: str) -> None:
    keys: dict[str, Any] = {"env": "marl_envs/vector_two_step-v1", "env_config": {"num_envs": 2}, "policies": {"p": {"player": "random"}}}
    with pytest.raises(marl.ConfigError, match=f"gives no {column}"):
        marl.Sampler(**keys, needs={"p": [column]}).sample(num_env_steps=2)
