"""The oracle itself, on histories whose rows were worked out by hand."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from .histories import Call, ScriptedEnv, World, answer, bare, code, world_from_bytes
from .oracle import Episode, Row, tell


def play(*calls: Call, gamma: float = 0.9, **world: Any) -> Episode:
    """One whole scripted episode, as the oracle tells it."""
    (episode,) = tell(ScriptedEnv(World(episodes=(calls,), **world)), [len(calls) - 1], answer, lambda agent: gamma)
    return episode


def of(episode: Episode, agent: str) -> list[Row]:
    return [row for row in episode.rows if row.agent == agent]


def seen_at(agent: str, call: int, final: bool = False) -> list[float]:
    return bare(code(0, 0, agent, call, final))


def test_three_level_timetable() -> None:
    """HIERARCHY §2: top = 2 mid actions; mid actions last 3, 2, 4, 1 ticks; 1 is paid per tick to each open level."""
    paid = {level: (level, 1.0) for level in ("top", "mid_0", "mid_1", "low_0", "low_1", "low_2", "low_3")}

    def tick(top: str, mid: str, low: str, **more: Any) -> Call:
        return Call(pays=(paid[top], paid[mid], paid[low]), elapsed=1, **more)

    episode = play(
        Call(sees=("top",)),
        Call(sees=("mid_0",), elapsed=0),
        Call(sees=("low_0",), elapsed=0, parent=(("low_0", "mid_0"),)),
        tick("top", "mid_0", "low_0", sees=("low_0",)),
        tick("top", "mid_0", "low_0", sees=("low_0",)),
        tick("top", "mid_0", "low_0", sees=("mid_0",), truncated=("low_0",), final_in_obs=("low_0",), cause=(("low_0", "clock"),)),
        Call(sees=("low_1",), elapsed=0),
        tick("top", "mid_0", "low_1", sees=("low_1",)),
        tick(
            "top", "mid_0", "low_1", sees=("top",), truncated=("low_1", "mid_0"), final_in_obs=("low_1", "mid_0"),
            cause=(("low_1", "clock"), ("mid_0", "clock")),
        ),
        Call(sees=("mid_1",), elapsed=0),
        Call(sees=("low_2",), elapsed=0),
        tick("top", "mid_1", "low_2", sees=("low_2",)),
        tick("top", "mid_1", "low_2", sees=("low_2",)),
        tick("top", "mid_1", "low_2", sees=("low_2",)),
        tick("top", "mid_1", "low_2", sees=("mid_1",), terminated=("low_2",), final_in_obs=("low_2",), cause=(("low_2", "goal"),)),
        Call(sees=("low_3",), elapsed=0),
        tick("top", "mid_1", "low_3", terminated=("__all__",), final_in_obs=("top", "mid_1", "low_3")),
        possible=("top", "mid_0", "mid_1", "low_0", "low_1", "low_2", "low_3"),
        has_ticks=True,
    )  # fmt: skip
    assert episode.over
    assert episode.ticks == 10
    top, mid_0, mid_1 = of(episode, "top"), of(episode, "mid_0"), of(episode, "mid_1")
    assert [(row.env_steps, row.rewards, round(row.rewards_discounted, 3), row.t) for row in top] == [
        (5, 5.0, 4.095, 0),
        (5, 5.0, 4.095, 5),
    ]
    assert [(row.env_steps, row.rewards, round(row.rewards_discounted, 3), row.t) for row in mid_0] == [(3, 3.0, 2.71, 0), (2, 2.0, 1.9, 3)]
    assert [(row.env_steps, row.rewards, round(row.rewards_discounted, 3), row.t) for row in mid_1] == [
        (4, 4.0, 3.439, 5),
        (1, 1.0, 1.0, 9),
    ]
    assert Counter(row.agent for row in episode.rows) == {"top": 2, "mid_0": 2, "mid_1": 2, "low_0": 3, "low_1": 2, "low_2": 4, "low_3": 1}
    assert [row.end_cause for row in mid_0] == ["none", "clock"]
    assert [row.end_cause for row in of(episode, "low_2")] == ["none", "none", "none", "goal"]
    assert [row.truncated for row in mid_0] == [False, True]
    assert [row.terminated for row in top] == [False, True]
    assert mid_0[1].successor == seen_at("mid_0", 8, final=True)
    assert mid_0[1].bootstrap_valid
    assert mid_0[0].successor == mid_0[1].obs == seen_at("mid_0", 5)
    assert [row.parent for row in of(episode, "low_0")] == [("mid_0", 0, 0)] * 3
    assert not episode.uncredited_reward


def test_losers_reward_lands_on_the_losers_last_move() -> None:
    """Tic-tac-toe, X wins with its third mark: O's -1 arrives when O has long acted."""
    episode = play(
        Call(sees=("X",)),
        Call(sees=("O",)),
        Call(sees=("X",)),
        Call(sees=("O",)),
        Call(sees=("X",)),
        Call(pays=(("X", 1.0), ("O", -1.0)), terminated=("X", "O"), final_in_obs=("X", "O"), agents=()),
        possible=("X", "O"),
        has_agents=True,
    )
    assert [(row.rewards, row.terminated, row.env_steps, row.t) for row in of(episode, "X")] == [
        (0.0, False, 2, 0),
        (0.0, False, 2, 2),
        (1.0, True, 1, 4),
    ]
    assert [(row.rewards, row.terminated, row.env_steps, row.t) for row in of(episode, "O")] == [(0.0, False, 2, 1), (-1.0, True, 2, 3)]
    assert of(episode, "X")[0].successor == seen_at("X", 2)
    assert of(episode, "O")[1].successor == seen_at("O", 5, final=True)


def test_rewards_without_an_open_row_are_uncredited() -> None:
    """Before and with the first observation, between two lives, after the last; to an agent that never acts."""
    episode = play(
        Call(sees=("a0",)),
        Call(sees=("a0",), pays=(("a1", 1.0),)),
        Call(sees=("a0", "a1"), pays=(("a1", 2.0),)),
        Call(sees=("a0",), pays=(("a1", 4.0),), terminated=("a1",)),
        Call(sees=("a0",), pays=(("a1", 8.0),)),
        Call(sees=("a0", "a1"), pays=(("a1", 16.0),)),
        Call(sees=("a0",), pays=(("a1", 32.0),), truncated=("a1",)),
        Call(pays=(("a1", 64.0), ("a2", 0.5)), terminated=("__all__",), final_in_obs=("a2",)),
        possible=("a0", "a1", "a2"),
    )
    assert [(row.life, row.decision, row.rewards, row.terminated, row.truncated) for row in of(episode, "a1")] == [
        (0, 0, 4.0, True, False),
        (1, 0, 32.0, False, True),
    ]
    assert not of(episode, "a1")[1].bootstrap_valid
    assert of(episode, "a1")[0].bootstrap_valid
    assert episode.uncredited_reward == {"a1": 1.0 + 2.0 + 8.0 + 16.0 + 64.0, "a2": 0.5}
    assert episode.num_uncredited_rewards == {"a1": 5, "a2": 1}
    assert episode.returns == {"a1": 127.0, "a2": 0.5}
    assert not of(episode, "a2")


def test_old_life_and_new_life_in_one_call() -> None:
    """The old life's end is in infos, the observation belongs to the new one; the reward of the call to the old."""
    episode = play(
        Call(sees=("a0",)),
        Call(sees=("a0",), pays=(("a0", 3.0),), truncated=("a0",), final_in_infos=("a0",)),
        Call(pays=(("a0", 5.0),), terminated=("a0",)),
    )
    first, second = episode.rows
    assert (first.life, first.rewards, first.truncated, first.successor) == (0, 3.0, True, seen_at("a0", 1, final=True))
    assert (second.life, second.decision, second.rewards, second.obs) == (1, 0, 5.0, seen_at("a0", 1))
    assert episode.over
    assert second.terminated


@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    [
        (("__all__",), (), {"a0": "T", "a1": "T"}),
        ((), ("__all__",), {"a0": "R", "a1": "R"}),
        (("__all__",), ("__all__",), {"a0": "T", "a1": "T"}),
        (("a0",), ("__all__",), {"a0": "T", "a1": "R"}),
        (("__all__",), ("a0",), {"a0": "R", "a1": "T"}),
        (("a0", "__all__"), ("a0", "a1", "__all__"), {"a0": "T", "a1": "R"}),
    ],
)
def test_own_flag_beats_all_and_terminated_beats_truncated(
    terminated: tuple[str, ...], truncated: tuple[str, ...], expected: dict[str, str]
) -> None:
    episode = play(Call(sees=("a0", "a1")), Call(terminated=terminated, truncated=truncated, final_in_obs=("a0",)), possible=("a0", "a1"))
    assert {row.agent: "T" * row.terminated + "R" * row.truncated for row in episode.rows} == expected
    assert {row.agent: row.bootstrap_valid for row in episode.rows} == {"a0": True, "a1": expected["a1"] == "T"}


def test_idle_steps_and_several_ticks_age_an_open_row() -> None:
    """r_i is discounted by the ticks that the row had run when the paying call began; zero-tick calls do not age it."""
    episode = play(
        Call(sees=("a0",)),
        Call(pays=(("a0", 1.0),), elapsed=2),
        Call(pays=(("a0", 1.0),), elapsed=0),
        Call(pays=(("a0", 1.0),), elapsed=3),
        Call(sees=("a0",), pays=(("a0", 1.0),), elapsed=1),
        Call(terminated=("__all__",), elapsed=1),
        gamma=0.5,
        has_ticks=True,
    )
    first, second = episode.rows
    assert (first.rewards, first.rewards_discounted, first.env_steps) == (4.0, 1.0 + 0.25 + 0.25 + 0.5**5, 6)
    assert (second.t, second.rewards, second.env_steps) == (6, 0.0, 1)


def test_without_all_an_episode_waits_for_who_is_still_to_come() -> None:
    """All agents seen so far are done, but a possible one was not seen yet: the game goes on."""
    episode = play(
        Call(sees=("a0",)),
        Call(terminated=("a0",)),
        Call(),
        Call(sees=("a1",)),
        Call(terminated=("a1",), pays=(("a1", 1.0),)),
        possible=("a0", "a1"),
    )
    assert episode.over
    assert episode.ticks == 4
    assert [(row.agent, row.t, row.rewards) for row in episode.rows] == [("a0", 0, 0.0), ("a1", 3, 1.0)]


def test_generated_histories_are_whole_and_the_oracle_accounts_for_all_pay() -> None:
    """Every generated history can be played to its end; every reward is in a row or uncredited; every row is closed."""
    rng = random.Random(1)
    met: Counter[str] = Counter()
    for _ in range(500):
        world = world_from_bytes(rng.randbytes(480))
        for copy in range(2):
            env = ScriptedEnv(world, copy)
            lengths = [len(world.episode(copy, number)) - 1 for number in range(len(world.episodes))]
            for episode, paid, ticks in zip(tell(env, lengths, answer, lambda agent: 0.9), env.paid, env.ticks, strict=True):
                assert episode.over
                assert all(row.closed_at for row in episode.rows)
                assert episode.returns == paid
                assert episode.ticks == sum(ticks)
                credited: Counter[str] = Counter()
                for row in episode.rows:
                    credited[row.agent] += row.rewards  # type: ignore[assignment]
                for agent in paid:
                    assert credited[agent] + episode.uncredited_reward.get(agent, 0.0) == paid[agent]
                _count(met, world, episode)
    for what in _COUNTED:
        assert met[what] >= 10, (what, met)


_COUNTED = (
    "second life", "parent", "truncated blind", "truncated seeing", "terminated", "zero ticks in a row", "many ticks in a row",
    "uncredited", "outsider", "ended by goal", "late arrival", "idle", "masked",
)  # fmt: skip


def _count(met: Counter[str], world: World, episode: Episode) -> None:
    for row in episode.rows:
        met["second life"] += row.life > 0
        met["parent"] += row.parent is not None
        met["truncated blind"] += row.truncated and not row.bootstrap_valid
        met["truncated seeing"] += row.truncated and row.bootstrap_valid
        met["terminated"] += row.terminated
        met["zero ticks in a row"] += row.env_steps == 0
        met["many ticks in a row"] += row.env_steps > 2
        met["outsider"] += row.agent == "x"
        met["ended by goal"] += row.end_cause == "goal"
        met["late arrival"] += row.decision == 0 and row.life == 0 and row.t > 0
        met["masked"] += row.mask is not None
    met["uncredited"] += any(episode.uncredited_reward.values())
    met["idle"] += any(not call.sees for episode_calls in world.episodes for call in episode_calls[:-1])
