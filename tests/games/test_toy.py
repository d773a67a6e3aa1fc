"""The toy of the benchmarks: plain, with silent agents, shuffled pay, lives that end and come back."""

from __future__ import annotations

import numpy as np
import pytest

from marl.errors import ConfigError
from marl_envs.toy import Toy


def play(env):
    due, _ = env.reset(seed=0)
    while True:
        actions = dict.fromkeys(due, 1)
        answer = env.step(actions)
        yield due, answer
        observations, _, terminateds, truncateds, infos = answer
        if truncateds["__all__"]:
            return
        due = {a: seen for a, seen in observations.items() if not terminateds[a] or "final_observation" in infos.get(a, {})}


def test_plain_everybody_acts_for_100_steps_and_is_cut_off():
    env = Toy(num_agents=5)
    calls = list(play(env))
    assert len(calls) == 100
    for step, (due, (observations, rewards, terminateds, truncateds, infos)) in enumerate(calls, 1):
        assert list(due) == list(observations) == list(rewards) == env.possible_agents
        assert set(rewards.values()) == {1.0 if (step - 1) % 4 == 1 else 0.0}
        assert not any(terminateds.values())
        assert set(truncateds.values()) == {step == 100}
        assert infos == {}
    assert observations["agent_3"].dtype == np.float32
    assert observations["agent_3"].shape == (8,)


def test_silent_agents_are_paid_in_another_order_and_seen_at_the_end():
    env = Toy(num_agents=50, silent=0.1, shuffle_rewards=True)
    shares, in_order = [], 0
    for _, answer in play(env):
        observations, rewards, _, truncateds, _ = answer
        assert set(rewards) == set(env.possible_agents)
        in_order += list(rewards) == env.possible_agents
        shares.append(len(observations) / 50)
    assert len(observations) == 50
    assert all(truncateds.values())
    assert in_order == 0
    assert 0.87 < np.mean(shares) < 0.93


@pytest.mark.parametrize("absent_steps", [0, 1, 3])
def test_lives_end_and_come_back(absent_steps):
    env = Toy(num_agents=50, lives_ended=0.02, absent_steps=absent_steps)
    away: dict[str, int] = {}
    ended = 0
    for step, (due, (observations, rewards, terminateds, _, infos)) in enumerate(play(env), 1):
        assert set(due) == set(rewards) == set(env.possible_agents) - set(away)
        back = {agent for agent, at in away.items() if at == step}
        if step < 100:
            assert set(observations) == (set(env.possible_agents) - set(away)) | back
        away = {agent: at for agent, at in away.items() if agent not in back}
        for agent in observations:
            if terminateds[agent]:
                ended += 1
                if absent_steps:
                    away[agent] = step + absent_steps
                    assert agent not in infos
                else:
                    assert (infos[agent]["final_observation"] != observations[agent]).any()
    assert 60 < ended < 140


def test_wrong_settings_all_at_once():
    with pytest.raises(ConfigError) as caught:
        Toy(num_agents=0, silent=1.2, absent_steps=-1)
    assert {problem.key for problem in caught.value.problems} == {"num_agents", "silent", "absent_steps"}
