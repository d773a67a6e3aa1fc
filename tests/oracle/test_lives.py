"""``marl.lives``, the readable form of the rules of life and death, against the oracle."""

from __future__ import annotations

import random

from marl.lives import Lives

from .histories import ScriptedEnv, answer, bare, world_from_bytes
from .oracle import Episode


def test_lives_agree_with_the_oracle() -> None:
    rng = random.Random(4)
    for _ in range(500):
        world = world_from_bytes(rng.randbytes(480))
        env = ScriptedEnv(world)
        for number in range(len(world.episodes)):
            lives, oracle = Lives(world.possible), Episode(world.possible, lambda agent: 1.0)
            observations, infos = env.reset(seed=number)
            oracle.begin(observations, infos)
            meaning = lives.begin(observations)
            assert set(meaning.due) == set(meaning.began) == set(oracle.due)
            while not oracle.over:
                assert not meaning.over
                actions = {agent: answer(observations[agent]) for agent in list(oracle.due)}
                for agent, action in actions.items():
                    oracle.act(agent, action)
                open_rows, known = dict(oracle.open), dict(oracle.num_lives)
                observations, rewards, terminateds, truncateds, infos = env.step(actions)
                agents = getattr(env, "agents", None)
                oracle.hear(observations, rewards, terminateds, truncateds, infos, getattr(env, "elapsed_ticks", 1), agents)
                meaning = lives.follow(observations, terminateds, truncateds, infos, agents)
                ended = {agent: row for agent, row in open_rows.items() if row.terminated or row.truncated}
                assert set(meaning.due) == set(oracle.due)
                assert set(meaning.began) == {agent for agent, count in oracle.num_lives.items() if count > known.get(agent, 0)}
                assert {agent: end for agent, end in meaning.ended.items() if agent in open_rows} == {
                    a: row.terminated for a, row in ended.items()
                }
                finals = {agent: bare(final) for agent, final in meaning.finals.items() if agent in ended}
                assert finals == {agent: row.successor for agent, row in ended.items() if row.successor is not None}
                assert set(lives.alive) == set(oracle.alive)
            assert meaning.over
