"""The array-native forms equal their dict forms to the last bit, given the same seeds and actions."""

from __future__ import annotations

import numpy as np
import pytest

from marl.env import VectorMultiAgentEnv
from marl.errors import EnvError
from marl_envs.cartpole import CartPole, VectorCartPole
from marl_envs.matrix_games import (
    climbing,
    penalty,
    rock_paper_scissors,
    vector_climbing,
    vector_penalty,
    vector_rock_paper_scissors,
)
from marl_envs.two_step import TwoStep, VectorTwoStep

GAMES = {
    "climbing": (lambda: climbing(rounds=3), lambda copies: vector_climbing(copies, rounds=3)),
    "penalty": (lambda: penalty(k=-7), lambda copies: vector_penalty(copies, k=-7)),
    "rock_paper_scissors": (rock_paper_scissors, vector_rock_paper_scissors),
    "two_step": (TwoStep, VectorTwoStep),
    "cartpole": (lambda: CartPole(3, max_steps=30), lambda copies: VectorCartPole(copies, 3, max_steps=30, with_global_state=True)),
}
COPIES = 7


@pytest.mark.parametrize("game", GAMES)
def test_equal_to_the_dict_form(game):
    make, make_vector = GAMES[game]
    vector, envs = make_vector(COPIES), [make() for _ in range(COPIES)]
    assert isinstance(vector, VectorMultiAgentEnv)
    rng = np.random.default_rng(0)
    slots = vector.slots
    assert list(slots) == envs[0].possible_agents
    assert vector.single_observation_spaces == envs[0].observation_spaces
    assert vector.single_action_spaces == envs[0].action_spaces
    number = vector.single_action_spaces[slots[0]].n

    answer = vector.reset(seed=np.arange(COPIES))
    due = [env.reset(seed=seed)[0] for seed, env in enumerate(envs)]
    assert answer.new_life.all()
    ends = 0
    for step in range(120):
        for copy in range(COPIES):
            assert [slot in due[copy] for slot in slots] == answer.acting[copy].tolist()
            for slot, seen in due[copy].items():
                assert np.array_equal(answer.obs[copy, slots.index(slot)], seen), (step, copy, slot)
                assert answer.obs.dtype == seen.dtype
            assert np.array_equal(answer.global_state[copy], envs[copy].global_state())
        actions = rng.integers(0, number, (COPIES, len(slots)))
        active = rng.random(COPIES) < 0.8
        next_seeds = rng.integers(0, 1000, COPIES)
        answer = vector.step(actions, active=active, next_seeds=next_seeds)
        assert answer.elapsed_ticks.tolist() == active.astype(int).tolist()
        for copy in range(COPIES):
            if not active[copy]:
                assert not answer.rewards[copy].any()
                assert not (answer.terminateds | answer.truncateds | answer.new_life)[copy].any()
                assert not answer.episode_ended[copy]
                continue
            played = {slot: int(actions[copy, slots.index(slot)]) for slot in due[copy]}
            observations, rewards, terminateds, truncateds, _ = envs[copy].step(played)
            for place, slot in enumerate(slots):
                assert answer.rewards[copy, place] == rewards.get(slot, 0.0)
                assert answer.terminateds[copy, place] == terminateds.get(slot, False)
                assert answer.truncateds[copy, place] == truncateds.get(slot, False)
                ended = terminateds.get(slot, False) or truncateds.get(slot, False)
                assert answer.final_mask[copy, place] == ended
                if ended:
                    assert np.array_equal(answer.final_obs[copy, place], observations[slot])
            over = terminateds["__all__"] or truncateds["__all__"]
            assert answer.episode_ended[copy] == over
            assert answer.new_life[copy].tolist() == [over] * len(slots)
            if over:
                ends += 1
                assert np.array_equal(answer.final_global_state[copy], envs[copy].global_state())
                due[copy] = envs[copy].reset(seed=int(next_seeds[copy]))[0]
            else:
                due[copy] = {slot: seen for slot, seen in observations.items() if not (terminateds[slot] or truncateds[slot])}
    assert ends > COPIES


@pytest.mark.parametrize("game", GAMES)
def test_reset_of_some_copies_leaves_the_others(game):
    vector = GAMES[game][1](4)
    vector.reset(seed=np.arange(4))
    before = vector.step(np.zeros((4, len(vector.slots)), int), next_seeds=np.zeros(4, int)).obs.copy()
    chosen = np.array([True, False, False, True])
    answer = vector.reset(seed=np.full(4, 99), mask=chosen)
    assert answer.new_life[:, 0].tolist() == chosen.tolist()
    assert np.array_equal(answer.obs[~chosen], before[~chosen])
    fresh = GAMES[game][1](4).reset(seed=np.full(4, 99))
    assert np.array_equal(answer.obs[chosen], fresh.obs[chosen])


@pytest.mark.parametrize("game", GAMES)
def test_an_illegal_action_is_refused(game):
    vector = GAMES[game][1](2)
    vector.reset(seed=np.arange(2))
    with pytest.raises(EnvError):
        vector.step(np.full((2, len(vector.slots)), 5), next_seeds=np.zeros(2, int))


def test_long_cartpole_with_a_good_policy():
    """500 balanced steps: not a bit of drift between the forms."""
    vector, env = VectorCartPole(2, num_agents=4), CartPole(num_agents=4)
    answer = vector.reset(seed=np.array([3, 3]))
    due, _ = env.reset(seed=3)
    for _ in range(500):
        actions = (answer.obs[..., 2] + 0.5 * answer.obs[..., 3] + 0.1 * answer.obs[..., 1] > 0).astype(int)
        observations, _, terminateds, truncateds, _ = env.step({agent: int(actions[0, int(agent[-1])]) for agent in due})
        answer = vector.step(actions, next_seeds=np.array([0, 0]))
        for agent, seen in observations.items():
            assert np.array_equal(answer.final_obs[0, int(agent[-1])], seen)
        due = {agent: seen for agent, seen in observations.items() if not (terminateds[agent] or truncateds[agent])}
        if not due:
            break
    assert truncateds["__all__"]
    assert answer.episode_ended.all()
