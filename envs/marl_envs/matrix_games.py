"""Two-player matrix games: climbing, the penalty game with k, and repeated rock-paper-scissors.

Source: C. Claus and C. Boutilier, "The Dynamics of Reinforcement Learning in Cooperative Multiagent
Systems", AAAI 1998 (climbing and penalty, section 4).

Both players act at once for ``rounds`` rounds. What a player sees, ``float32 [2 A + 1]``: its own last
action (one-hot, zeros at first), the other's last action (likewise), and the share of rounds played. After
the last round both lives terminate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn, VectorStep
from marl.errors import ConfigError, EnvError, Problem

CLIMBING = ((11, -30, 0), (-30, 7, 6), (0, 0, 5))
ROCK_PAPER_SCISSORS = ((0, -1, 1), (1, 0, -1), (-1, 1, 0))  # the row player's; 0 rock, 1 paper, 2 scissors


class MatrixGame(BaseMultiAgentEnv):
    """A game of two players and one table of payoffs each, played for a number of rounds.

    Args:
        payoffs: ``[2, A, A]``: ``payoffs[p, a0, a1]`` is paid to player p.
        agents: the ids of the row player and the column player.
        rounds: rounds an episode.
        name: shown in the metadata.
    """

    def __init__(self, payoffs: ArrayLike, agents: tuple[str, str], rounds: int = 1, name: str = "matrix_game") -> None:
        self._table = _checked_payoffs(payoffs)
        self._rounds = _checked_rounds(rounds)
        self._size = self._table.shape[1]
        self.possible_agents = list(agents)
        space = observation_space(self._size)
        self.observation_spaces = dict.fromkeys(agents, space)
        self.action_spaces = dict.fromkeys(agents, spaces.Discrete(self._size))
        self.global_state_space = space
        self.metadata = {"name": name}
        self._last: tuple[int, int] | None = None
        self._round = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode. Nothing is drawn: the seed makes no difference."""
        self._last, self._round = None, 0
        return self._observe(), {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        first, second = self.possible_agents
        self._last = (self._legal(first, actions), self._legal(second, actions))
        self._round += 1
        over = self._round >= self._rounds
        paid = self._table[:, self._last[0], self._last[1]].tolist()
        terminateds = {first: over, second: over, "__all__": over}
        truncateds = {first: False, second: False, "__all__": False}
        return self._observe(), {first: paid[0], second: paid[1]}, terminateds, truncateds, {}

    def global_state(self) -> NDArray[np.float32]:
        """What the first player sees, which is everything: ``float32 [2 A + 1]``."""
        return self._seen_by(0)

    def _legal(self, agent: str, actions: AgentDict) -> int:
        if agent not in actions:
            raise EnvError(f"{self.metadata['name']}: no action for {agent!r}; both players act in every round.")
        action = int(actions[agent])
        if not 0 <= action < self._size:
            raise EnvError(f"{self.metadata['name']}: {agent!r} played {action}; legal are 0 to {self._size - 1}.")
        return action

    def _observe(self) -> AgentDict:
        return {agent: self._seen_by(seat) for seat, agent in enumerate(self.possible_agents)}

    def _seen_by(self, seat: int) -> NDArray[np.float32]:
        seen = np.zeros(2 * self._size + 1, np.float32)
        if self._last is not None:
            seen[self._last[seat]] = 1.0
            seen[self._size + self._last[1 - seat]] = 1.0
        seen[-1] = self._round / self._rounds
        return seen


class VectorMatrixGame:
    """The same game, array-native: E copies at once (:class:`marl.env.VectorMultiAgentEnv`).

    Equal to :class:`MatrixGame` to the last bit. ``global_state`` is ``[E, 2 A + 1]``.
    """

    can_hold = True

    def __init__(self, payoffs: ArrayLike, agents: tuple[str, str], num_envs: int, rounds: int = 1, name: str = "matrix_game") -> None:
        self._table = _checked_payoffs(payoffs)
        self._rounds = _checked_rounds(rounds)
        self._size = self._table.shape[1]
        self.num_envs = num_envs
        self.slots = tuple(agents)
        space = observation_space(self._size)
        self.single_observation_spaces = dict.fromkeys(agents, space)
        self.single_action_spaces = dict.fromkeys(agents, spaces.Discrete(self._size))
        self.global_state_space = space
        self.metadata = {"name": name}
        self._seen = np.zeros((num_envs, 2, 2 * self._size + 1), np.float32)
        self._round = np.zeros(num_envs, np.int64)

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        """Begin an episode in every copy, or in those of ``mask`` [E]."""
        begun = np.ones(self.num_envs, bool) if mask is None else mask
        self._begin(begun)
        none = np.zeros((self.num_envs, 2), bool)
        return self._answer(np.zeros((self.num_envs, 2)), none, none, begun, np.zeros(self.num_envs, bool))

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        *,
        active: NDArray[np.bool_] | None = None,
        next_seeds: NDArray[np.int64],
        next_options: Any = None,
    ) -> VectorStep:
        """Play one round. ``actions`` is ``int [E, 2]``; copies that are not active stand still."""
        active = np.ones(self.num_envs, bool) if active is None else active
        copies = np.flatnonzero(active)
        played = np.asarray(actions)[copies]
        if played.size and not (played.min() >= 0 and played.max() < self._size):
            raise EnvError(f"{self.metadata['name']}: an action lies outside 0 to {self._size - 1}.")
        self._round[copies] += 1
        seen = np.zeros((len(copies), 2, 2 * self._size + 1), np.float32)
        row = np.arange(len(copies))
        for seat in (0, 1):
            seen[row, seat, played[:, seat]] = 1.0
            seen[row, seat, self._size + played[:, 1 - seat]] = 1.0
        seen[:, :, -1] = (self._round[copies] / self._rounds)[:, None]
        self._seen[copies] = seen
        rewards = np.zeros((self.num_envs, 2))
        rewards[copies] = self._table[:, played[:, 0], played[:, 1]].T
        over = active & (self._round >= self._rounds)
        final = self._seen.copy()
        self._begin(over)
        terminateds = np.repeat(over[:, None], 2, axis=1)
        answer = self._answer(rewards, terminateds, np.zeros_like(terminateds), over, over)
        answer.final_obs, answer.final_mask, answer.final_global_state = final, terminateds, final[:, 0]
        answer.elapsed_ticks = active.astype(np.int64)
        return answer

    def get_state(self) -> dict[str, Any]:
        """All copies' open episodes."""
        return {"seen": self._seen.copy(), "round": self._round.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`get_state` was called."""
        self._seen[:], self._round[:] = state["seen"], state["round"]

    def close(self) -> None:
        """Nothing is held."""

    def _begin(self, begun: NDArray[np.bool_]) -> None:
        self._seen[begun] = 0.0
        self._round[begun] = 0

    def _answer(
        self,
        rewards: NDArray[np.float64],
        terminateds: NDArray[np.bool_],
        truncateds: NDArray[np.bool_],
        begun: NDArray[np.bool_],
        ended: NDArray[np.bool_],
    ) -> VectorStep:
        return VectorStep(
            obs=self._seen,
            rewards=rewards,
            terminateds=terminateds,
            truncateds=truncateds,
            acting=np.ones((self.num_envs, 2), bool),
            new_life=np.repeat(begun[:, None], 2, axis=1),
            episode_ended=ended,
            global_state=self._seen[:, 0],
        )


def observation_space(size: int) -> spaces.Box:
    """What a player of a game with ``size`` actions sees: ``float32 [2 size + 1]`` in [0, 1]."""
    return spaces.Box(0.0, 1.0, (2 * size + 1,), np.float32)


# ------------------------------------------------------------------ the games by name


def climbing(rounds: int = 1) -> MatrixGame:
    """The climbing game: both are paid the same; (0, 0) pays 11, but a miss of it costs 30.

    Payoffs (row: ``agent_0``)::

         11  -30    0
        -30    7    6
          0    0    5

    Independent learners are pushed from 11 over 7 down to 5, since a partner that errs makes 0 look bad.
    """
    return MatrixGame(_common(CLIMBING), ("agent_0", "agent_1"), rounds, "climbing-v1")


def penalty(k: float = -100.0, rounds: int = 1) -> MatrixGame:
    """The penalty game: two equally good optima, (0, 0) and (2, 2); a mismatch of them costs ``k``.

    Payoffs (row: ``agent_0``)::

        10   0   k
         0   2   0
         k   0  10

    Args:
        k: the penalty, at most 0.
        rounds: rounds an episode.
    """
    return MatrixGame(_common(_penalty(k)), ("agent_0", "agent_1"), rounds, "penalty-v1")


def rock_paper_scissors(rounds: int = 10) -> MatrixGame:
    """Rock (0), paper (1), scissors (2), repeated: the winner of a round gets 1, the loser -1. Zero sum.

    The only equilibrium plays each with probability 1/3; its value is 0.
    """
    return MatrixGame(_zero_sum(ROCK_PAPER_SCISSORS), ("player_0", "player_1"), rounds, "rock_paper_scissors-v1")


def vector_climbing(num_envs: int = 32, rounds: int = 1) -> VectorMatrixGame:
    """:func:`climbing`, array-native."""
    return VectorMatrixGame(_common(CLIMBING), ("agent_0", "agent_1"), num_envs, rounds, "climbing-v1")


def vector_penalty(num_envs: int = 32, k: float = -100.0, rounds: int = 1) -> VectorMatrixGame:
    """:func:`penalty`, array-native."""
    return VectorMatrixGame(_common(_penalty(k)), ("agent_0", "agent_1"), num_envs, rounds, "penalty-v1")


def vector_rock_paper_scissors(num_envs: int = 32, rounds: int = 10) -> VectorMatrixGame:
    """:func:`rock_paper_scissors`, array-native."""
    return VectorMatrixGame(_zero_sum(ROCK_PAPER_SCISSORS), ("player_0", "player_1"), num_envs, rounds, "rock_paper_scissors-v1")


# ------------------------------------------------------------------ tables


def _penalty(k: float) -> tuple[tuple[float, ...], ...]:
    if not k <= 0:
        raise ConfigError([Problem("k", f"is {k}", "the penalty is at most 0, for example -100")])
    return ((10, 0, k), (0, 2, 0), (k, 0, 10))


def _common(table: ArrayLike) -> NDArray[np.float64]:
    shared = np.asarray(table, np.float64)
    return np.stack([shared, shared])


def _zero_sum(table: ArrayLike) -> NDArray[np.float64]:
    row = np.asarray(table, np.float64)
    return np.stack([row, 0.0 - row])  # 0 - x, not -x: a draw pays 0.0 and not -0.0


def _checked_payoffs(payoffs: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(payoffs, np.float64)
    if table.ndim != 3 or table.shape[0] != 2 or table.shape[1] != table.shape[2]:
        raise ConfigError([Problem("payoffs", f"has shape {table.shape}", "expected [2, A, A]: one square table a player")])
    return table


def _checked_rounds(rounds: int) -> int:
    if rounds < 1:
        raise ConfigError([Problem("rounds", f"is {rounds}", "an episode has at least one round")])
    return rounds
