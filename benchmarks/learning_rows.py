"""The learning rows: what is trained, for how long, how it is scored, and what it must reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import marl
from benchmarks.measure import CHECKOUT
from marl.config.run_file import read_run_file

Score = Callable[[str], dict[str, float]]


@dataclass(frozen=True)
class Bar:
    """``score`` at ``mark`` env steps must be at least (or, ``most``, at most) ``value``."""

    score: str
    value: float
    mark: int
    most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.value if self.most else value >= self.value

    def __str__(self) -> str:
        return f"{self.score} {'≤' if self.most else '≥'} {self.value:g} within {self.mark:,} env steps"


@dataclass(frozen=True)
class LearningRow:
    """One row.

    Attributes:
        config: the run, without its seed.
        score: a checkpoint's path → scores by name.
        control: the same scores of a random player.
        bars: what the medians must reach; their marks are when scores are taken.
        at_most_s: CPU seconds of training a seed; with one process and one thread, the wall time of an idle machine.
    """

    name: str
    about: str
    config: dict[str, Any]
    score: Score
    control: Callable[[], dict[str, float]]
    bars: tuple[Bar, ...]
    at_most_s: float = 1200.0

    @property
    def marks(self) -> tuple[int, ...]:
        return tuple(sorted({bar.mark for bar in self.bars}))


def play(
    keys: Mapping[str, Any],
    policies: Mapping[str, Mapping[str, Any]],
    mapping: Mapping[str, str],
    *,
    episodes: int,
    seed: int = 90_000,
) -> list[marl.EpisodeRecord]:
    """``episodes`` greedy episodes of ``keys``' environment, with seeds of their own; players stay as random as they are."""
    environment = {key: keys[key] for key in ("env", "env_config", "wrappers", "groups") if key in keys}
    sampler = marl.Sampler(**environment, policies=policies, mapping=mapping, envs_per_worker=min(20, episodes), seed=seed, explore=False)
    found: list[marl.EpisodeRecord] = []
    while len(found) < episodes:
        found += sampler.sample(num_episodes=episodes - len(found))[1]
    sampler.close()
    return found[:episodes]


RANDOM = {"coin": {"player": "random"}}


def mean_return(
    config: dict[str, Any], *, policies: Mapping[str, str] | None = None, episodes: int = 100
) -> tuple[Score, Callable[[], dict[str, float]]]:
    """Scores ``return`` (summed over agents) and ``worst_agent`` (the least agent's mean), of a checkpoint and of a random player.

    ``policies``: agent pattern → policy id; None: one policy ``default`` plays everyone.
    """
    seats = policies or {"*": "default"}

    def score(checkpoint: str) -> dict[str, float]:
        players = {name: {"player": f"{checkpoint}:{name}"} for name in set(seats.values())}
        return summary(play(config, players, seats, episodes=episodes))

    def control() -> dict[str, float]:
        return summary(play(config, RANDOM, {"*": "coin"}, episodes=episodes))

    def summary(records: list[marl.EpisodeRecord]) -> dict[str, float]:
        agents = {agent for record in records for agent in record.returns}
        each = {agent: statistics.fmean(record.returns.get(agent, 0.0) for record in records) for agent in agents}
        return {"return": sum(each.values()), "worst_agent": min(each.values())}

    return score, control


def against_random(
    config: dict[str, Any], seats: tuple[str, str], policy: str, *, games: int
) -> tuple[Score, Callable[[], dict[str, float]]]:
    """Win, draw and loss rates of a learned policy in each seat of a two-player game of turns (returns +1, 0, -1) against random."""

    def rates(policies: Mapping[str, Mapping[str, Any]], learned: str) -> dict[str, float]:
        found = {}
        for place, seat in zip(("first", "second"), seats):
            mapping = dict.fromkeys(seats, "coin") | {seat: learned}
            returns = [record.returns[seat] for record in play(config, policies, mapping, episodes=games)]
            for name, sign in (("wins", 1), ("draws", 0), ("losses", -1)):
                found[f"{name}_as_{place}"] = statistics.fmean((value > 0) - (value < 0) == sign for value in returns)
        found["least_wins"] = min(found["wins_as_first"], found["wins_as_second"])
        return found

    def score(checkpoint: str) -> dict[str, float]:
        return rates({**RANDOM, "learned": {"player": f"{checkpoint}:{policy}"}}, "learned")

    def control() -> dict[str, float]:
        return rates({**RANDOM, "other": {"player": "random"}}, "other")

    return score, control


LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
Board = tuple[int, ...]  # 0 free, 1 the mover's marks of seat one, -1 of seat two


def winner(board: Board) -> int:
    """1 or -1 for the seat with three in a row, 0 for nobody."""
    return next((board[a] for a, b, c in LINES if board[a] and board[a] == board[b] == board[c]), 0)


def best_value(board: Board, mover: int, memory: dict[tuple[Board, int], int]) -> int:
    """What seat one gets (1, 0, -1) if both play perfectly from here."""
    if (board, mover) not in memory:
        free = [place for place, mark in enumerate(board) if not mark]
        if winner(board) or not free:
            memory[board, mover] = winner(board)
        else:
            values = [best_value(put(board, place, mover), -mover, memory) for place in free]
            memory[board, mover] = max(values) if mover == 1 else min(values)
    return memory[board, mover]


def put(board: Board, place: int, mark: int) -> Board:
    return (*board[:place], mark, *board[place + 1 :])


def lost_lines(act: Callable[[list[int]], int], *, only_optimal: bool) -> tuple[int, int]:
    """Every line of play in which ``act(moves so far)`` plays first: how many there are, and how many it loses.

    ``only_optimal``: the opponent answers with every move of perfect play; else with every legal move.
    """
    memory: dict[tuple[Board, int], int] = {}
    lines = lost = 0
    open_lines: list[tuple[Board, list[int]]] = [((0,) * 9, [])]
    while open_lines:
        board, moves = open_lines.pop()
        if winner(board) or all(board):
            lines += 1
            lost += winner(board) == -1
            continue
        if len(moves) % 2 == 0:
            mine = act(moves)
            open_lines.append((put(board, mine, 1), [*moves, mine]))
            continue
        replies = {place: best_value(put(board, place, -1), 1, memory) for place, mark in enumerate(board) if not mark}
        for place, value in replies.items():
            if not only_optimal or value == min(replies.values()):
                open_lines.append((put(board, place, -1), [*moves, place]))
    return lines, lost


def lines_lost_as_first(checkpoint: str, policy: str) -> dict[str, float]:
    """The enumeration for a checkpoint on ``tictactoe_v3``, whose places count down the columns just as ours (any fixed order will do)."""
    player = marl.load_policy(checkpoint, policy_id=policy)
    env = marl.load_env(checkpoint)

    def act(moves: list[int]) -> int:
        observations, infos = env.reset(seed=0)
        for move in moves:
            (agent,) = observations
            observations, _, _, _, infos = env.step({agent: move})
        (agent,) = observations
        player.reset()
        return int(player.act(observations[agent], info=infos.get(agent), explore=False))

    _, lost = lost_lines(act, only_optimal=True)
    everything, lost_of_all = lost_lines(act, only_optimal=False)
    return {"lines_lost_to_optimal_play": lost, "lines_lost_to_any_play": lost_of_all, "lines_of_any_play": everything}


def _ppo(**keys: Any) -> dict[str, Any]:
    return {"algorithm": "ppo", "model": {"hidden": [64, 64], "activation": "tanh"}, **keys}


def _to_zero(value: float, at: int) -> list[list[float]]:
    """A schedule that falls from ``value`` to zero at ``at`` env steps."""
    return [[0, value], [at, 0.0]]


CARTPOLE_PPO = _ppo(
    lr=_to_zero(3e-3, 100_000),
    discount={"gamma": 0.98},
    gae_lambda=0.8,
    clip=_to_zero(0.2, 100_000),
    entropy_coeff=0.0,
    epochs=10,
    minibatch_rows=256,
)
CARTPOLE = {"env": "gymnasium/CartPole-v1", "envs_per_worker": 16, "rollout_fragment_env_steps": 32, "policies": {"default": CARTPOLE_PPO}}

PENDULUM = {
    "env": "gymnasium/Pendulum-v1",
    "envs_per_worker": 8,
    "rollout_fragment_env_steps": 256,
    "policies": {
        "default": _ppo(lr=1e-3, discount={"gamma": 0.9}, gae_lambda=0.95, clip=0.2, entropy_coeff=0.0, epochs=10, minibatch_rows=256)
    },
}

FOUR_CARTPOLES = {
    "env": "marl_envs/cartpole-v1",
    "env_config": {"num_agents": 4},
    "envs_per_worker": 16,
    "rollout_fragment_env_steps": 32,
    "policies": {f"policy_{place}": {**CARTPOLE_PPO, "lr": _to_zero(3e-3, 300_000), "clip": _to_zero(0.2, 300_000)} for place in range(4)},
    "mapping": {f"agent_{place}": f"policy_{place}" for place in range(4)},
}

TICTACTOE_RUN = read_run_file(CHECKOUT / "examples" / "tictactoe_selfplay.yaml")
TICTACTOE = {key: TICTACTOE_RUN[key] for key in ("env", "mapping", "envs_per_worker", "rollout_fragment_env_steps")} | {
    "policies": {"main": TICTACTOE_RUN["policies"]["main"]}
}
"""What `make train` runs, without its evaluation."""

CONNECT_FOUR = {
    "env": "pettingzoo/classic/connect_four_v3",
    "envs_per_worker": 64,
    "rollout_fragment_env_steps": 128,
    "policies": {
        "main": {
            "algorithm": "ppo",
            "model": {"hidden": [256, 256]},
            "lr": [[0, 1e-3], [4_000_000, 1e-4]],
            "entropy_coeff": [[0, 0.05], [4_000_000, 0.01]],
            "gae_lambda": 0.9,
            "minibatch_rows": 1024,
        },
        "coin": {"player": "random"},
    },
    # Self-play alone forgets how clumsy opponents are beaten; more than half of the games keep that alive, most of them in the harder seat.
    "matches": [
        {"seats": {"player_*": "main"}, "weight": 2},
        {"seats": {"player_0": "main", "player_1": "coin"}, "weight": 1},
        {"seats": {"player_0": "coin", "player_1": "main"}, "weight": 2},
    ],
}

SPREAD = {
    "env": "mpe2/simple_spread_v3",
    "env_config": {"N": 3, "max_cycles": 25, "local_ratio": 0.5, "continuous_actions": False},
    "envs_per_worker": 32,
    "rollout_fragment_env_steps": 50,
    "policies": {
        "shared": _ppo(lr=1e-3, discount={"gamma": 0.95}, gae_lambda=0.95, clip=0.2, entropy_coeff=0.01, epochs=10, minibatch_rows=960)
    },
    "mapping": {"*": "shared"},
}


def _rows() -> list[LearningRow]:
    separate = {f"agent_{place}": f"policy_{place}" for place in range(4)}
    tictactoe, tictactoe_control = against_random(TICTACTOE, ("player_1", "player_2"), "main", games=1000)
    connect_four, connect_four_control = against_random(CONNECT_FOUR, ("player_0", "player_1"), "main", games=500)
    example_steps = TICTACTOE_RUN["stop"]["num_env_steps"]

    def tictactoe_with_lines(checkpoint: str) -> dict[str, float]:
        return {**tictactoe(checkpoint), **lines_lost_as_first(checkpoint, "main")}

    return [
        LearningRow("cartpole", "CartPole-v1", CARTPOLE, *mean_return(CARTPOLE), (Bar("return", 475, 100_000),)),
        LearningRow("pendulum", "Pendulum-v1", PENDULUM, *mean_return(PENDULUM), (Bar("return", -300, 400_000),)),
        LearningRow(
            "four_cartpoles",
            "four CartPoles, four separate policies",
            FOUR_CARTPOLES,
            *mean_return(FOUR_CARTPOLES, policies=separate),
            (Bar("worst_agent", 450, 300_000),),
        ),
        LearningRow(
            "tictactoe",
            "tictactoe_v3, self-play, within 5 minutes",
            TICTACTOE,
            tictactoe_with_lines,
            tictactoe_control,
            (
                Bar("losses_as_first", 0.01, example_steps, most=True),
                Bar("losses_as_second", 0.05, example_steps, most=True),
                Bar("lines_lost_to_optimal_play", 0, example_steps, most=True),
            ),
            at_most_s=300,
        ),
        LearningRow(
            "connect_four",
            "connect_four_v3, self-play and games against random, within 20 minutes",
            CONNECT_FOUR,
            connect_four,
            connect_four_control,
            (Bar("least_wins", 0.95, 4_000_000),),
        ),
        LearningRow(
            "simple_spread",
            "simple_spread_v3, one shared policy",
            SPREAD,
            *mean_return(SPREAD, policies={"*": "shared"}, episodes=200),
            (Bar("return", -55, 250_000), Bar("return", -50, 500_000)),
        ),
    ]


ROWS = {row.name: row for row in _rows()}
