"""Tic-tac-toe: two players in turn, action masks, and a loser who is paid on the winner's move."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import MaskError

from .drawing import BLACK, BLUE, RED, canvas, disc, line

PLAYERS = ("player_1", "player_2")
LINES = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])
CELL_PIXELS = 64


class TicTacToe(BaseMultiAgentEnv):
    """Cells are numbered row by row, 0 to 8; ``player_1`` (crosses) begins. Only the player to move is due.

    Observation: ``{"observation": int8 [3, 3, 2], "action_mask": int8 [9]}``; plane 0 is the observer's own
    marks, plane 1 the other's. The move that ends the game terminates both players: three in a line
    pay 1 to the mover and -1 to the other, a full board pays both 0. Both get a last observation, with a
    mask of zeros. A taken cell is refused with :class:`marl.errors.MaskError`.
    """

    def __init__(self) -> None:
        self.possible_agents = list(PLAYERS)
        space = spaces.Dict({"observation": spaces.Box(0, 1, (3, 3, 2), np.int8), "action_mask": spaces.Box(0, 1, (9,), np.int8)})
        self.observation_spaces = dict.fromkeys(PLAYERS, space)
        self.action_spaces = dict.fromkeys(PLAYERS, spaces.Discrete(9))
        self.metadata = {"name": "tic_tac_toe-v1", "render_fps": 1}
        self.render_mode = "rgb_array"
        self._marks = np.zeros((2, 9), np.int8)  # [player, cell]
        self._to_move = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin with an empty board. Nothing is drawn: the seed makes no difference."""
        self._marks[:] = 0
        self._to_move = 0
        return {PLAYERS[0]: self._seen_by(0, over=False)}, {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        mover = self._to_move
        cell = self._legal(actions)
        self._marks[mover, cell] = 1
        won = bool((self._marks[mover][LINES].sum(axis=1) == 3).any())
        over = won or bool(self._marks.any(axis=0).all())
        self._to_move = 1 - mover
        seen = PLAYERS if over else (PLAYERS[self._to_move],)
        paid = 1.0 if won else 0.0
        return (
            {player: self._seen_by(PLAYERS.index(player), over=over) for player in seen},
            {PLAYERS[mover]: paid, PLAYERS[1 - mover]: 0.0 - paid},
            {**dict.fromkeys(PLAYERS, over), "__all__": over},
            {**dict.fromkeys(PLAYERS, False), "__all__": False},
            {},
        )

    def render(self) -> NDArray[np.uint8]:
        """The board, ``uint8 [192, 192, 3]``: crosses in blue, noughts in red."""
        frame = canvas(3 * CELL_PIXELS, 3 * CELL_PIXELS)
        for place in (1, 2):
            line(frame, place * CELL_PIXELS, 0, place * CELL_PIXELS, frame.shape[1], 3, BLACK)
            line(frame, 0, place * CELL_PIXELS, frame.shape[0], place * CELL_PIXELS, 3, BLACK)
        arm = CELL_PIXELS * 0.3
        for cell in range(9):
            y, x = ((place + 0.5) * CELL_PIXELS for place in divmod(cell, 3))
            if self._marks[0, cell]:
                line(frame, y - arm, x - arm, y + arm, x + arm, 6, BLUE)
                line(frame, y - arm, x + arm, y + arm, x - arm, 6, BLUE)
            if self._marks[1, cell]:
                disc(frame, y, x, arm + 3, RED, hole=arm - 3)
        return frame

    def _legal(self, actions: AgentDict) -> int:
        player = PLAYERS[self._to_move]
        if player not in actions:
            raise MaskError(f"tic_tac_toe-v1: {player!r} is to move, but the actions name {sorted(map(str, actions))}.")
        cell = int(actions[player])
        if not 0 <= cell < 9 or self._marks[:, cell].any():
            free = np.flatnonzero(~self._marks.any(axis=0)).tolist()
            raise MaskError(f"tic_tac_toe-v1: {player!r} played cell {cell}; free cells are {free}.")
        return cell

    def _seen_by(self, player: int, *, over: bool) -> AgentDict:
        own = self._marks[[player, 1 - player]]  # [2, 9]
        free = np.zeros(9, np.int8) if over else (1 - own.sum(axis=0)).astype(np.int8)
        return {"observation": np.ascontiguousarray(own.T).reshape(3, 3, 2), "action_mask": free}
