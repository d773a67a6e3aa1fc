"""A person against policies, in the terminal: one seat asks on standard input, the others are players."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.checkpoint import ScriptedSeat, find_checkpoint, load_policy, read_manifest
from marl.config.build_env import agents_of_env
from marl.errors import ConfigError, EnvError, MarlError, Problem, did_you_mean
from marl.local import load_env
from marl.players import Player, RandomPolicy
from marl.policy import PolicySpec
from marl.seeding import EpisodeSeeds
from marl.spaces import ActionCodec, has_mask, split_mask

Seat = Player | ScriptedSeat


class Left(Exception):
    """The person typed q, or standard input ended."""


def play_games(
    checkpoint: str | Path, *, seat: str | None, opponent: str | None, games: int, explore: bool, seed: int, trust: Sequence[str]
) -> None:
    """Play ``games`` games and say how each ended."""
    path = find_checkpoint(checkpoint)
    env = load_env(path, trust=trust)
    try:
        agents = agents_of_env(env).agents
        person = _seat(seat, agents)
        _countable(agents_of_env(env).of(env, person), person)
        others = [agent for agent in agents if agent != person]
        opponents = {agent: _opponent(path, agent, opponent, env, seed + place, trust) for place, agent in enumerate(others)}
        said = {agent: name for agent, (_, name) in opponents.items()}
        _say(f"you are {person}; " + ", ".join(f"{agent} is {name}" for agent, name in said.items()) + ".  ?: legal moves, q: leave")
        seeds = EpisodeSeeds(seed, 0, 0)
        won = [0, 0, 0]
        for game in range(games):
            result = Game(env, person, {agent: one for agent, (one, _) in opponents.items()}, explore).play(seeds[game])
            won[result] += 1
        if games > 1:
            _say(f"{games} games: you won {won[0]}, drew {won[1]}, lost {won[2]}")
    except Left:
        _say("left the game")
    finally:
        close = getattr(env, "close", None)
        if close is not None:
            close()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _seat(seat: str | None, agents: Sequence[Any]) -> Any:
    if not agents:
        raise EnvError("this game does not say who plays (possible_agents is empty); a person needs a seat to take.")
    if seat is None:
        return agents[0]
    for agent in agents:
        if str(agent) == seat:
            return agent
    raise ConfigError([Problem("--as", f"there is no seat {seat!r}.{did_you_mean(seat, agents)}", f"one of {', '.join(map(str, agents))}")])


def _countable(both: Any, agent: Any) -> None:
    if both is None or not isinstance(both[1], (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        found = "unknown actions" if both is None else str(both[1])
        raise EnvError(
            f"{agent} has {found}: only games whose moves can be counted are played by hand. Watch it instead: marl evaluate --record."
        )


def _opponent(path: Path, agent: Any, name: str | None, env: Any, seed: int, trust: Sequence[str]) -> tuple[Seat, str]:
    if name == "random":
        both = agents_of_env(env).of(env, agent)
        assert both is not None
        return Player(RandomPolicy(PolicySpec("random", both[0], both[1])), seed=seed), "random"
    manifest = read_manifest(path)
    if name is None and len(manifest.learned) != 1:
        raise MarlError(f"several policies could play {agent}: name one with --opponent ({', '.join([*manifest.policies, 'random'])}).")
    return load_policy(path, name, seed=seed, trust=trust), name or manifest.learned[0]


@dataclass
class Game:
    """One game between a person and players."""

    env: Any
    person: Any
    players: Mapping[Any, Seat]
    explore: bool

    def play(self, seed: int) -> int:
        """Play one episode; 0: the person won, 1: a draw, 2: lost (by return, against the best of the others)."""
        for player in self.players.values():
            player.reset()
        returns: dict[Any, float] = {}
        observations, infos = self.env.reset(seed=seed)
        over: dict[Any, bool] = {}
        while True:
            due = {agent: seen for agent, seen in observations.items() if not over.get(agent)}
            actions = {agent: self._action(agent, seen, infos.get(agent)) for agent, seen in due.items()}
            observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
            for agent, reward in rewards.items():
                returns[agent] = returns.get(agent, 0.0) + float(reward)
            over = {agent: bool(terminateds.get(agent) or truncateds.get(agent)) for agent in {*terminateds, *truncateds}}
            if self._ended(over):
                return self._result(observations, returns)

    def _ended(self, over: Mapping[Any, bool]) -> bool:
        return over.get("__all__", False) or (hasattr(self.env, "agents") and not self.env.agents)

    def _action(self, agent: Any, seen: Any, info: Any) -> Any:
        if agent != self.person:
            action = self.players[agent].act(seen, info=info, explore=self.explore)
            _say(f"{agent} plays {_text(action)}")
            return action
        space = agents_of_env(self.env).of(self.env, agent)
        assert space is not None
        view, mask = split_mask(seen) if has_mask(space[0]) else (seen, (info or {}).get("action_mask"))
        codec = ActionCodec(space[1])
        allowed = np.ones(codec.mask_size, bool) if mask is None else codec.flat_mask(mask)
        _say("")
        _say(picture(self.env, view, codec, allowed))
        return ask(codec, allowed, agent)

    def _result(self, observations: Mapping[Any, Any], returns: Mapping[Any, float]) -> int:
        space = agents_of_env(self.env).of(self.env, self.person)
        if self.person in observations and space is not None:
            seen = observations[self.person]
            view = split_mask(seen)[0] if has_mask(space[0]) else seen
            codec = ActionCodec(space[1])
            _say("")
            _say(picture(self.env, view, codec, np.zeros(codec.mask_size, bool)))
        mine = returns.get(self.person, 0.0)
        best = max((value for agent, value in returns.items() if agent != self.person), default=mine)
        result = 0 if mine > best else 1 if mine == best else 2
        score = ", ".join(f"{agent} {value:+g}" for agent, value in returns.items())
        _say(f"{('you win', 'a draw', 'you lose')[result]}: {score}")
        return result


def ask(codec: ActionCodec, allowed: NDArray[np.bool_], agent: Any) -> Any:
    """A legal move of the person.

    Raises:
        Left: the person typed q, or standard input ended.
    """
    parts = codec.parts
    while True:
        sys.stdout.write(f"your move, {agent}> ")
        sys.stdout.flush()
        typed = sys.stdin.readline()
        if not sys.stdin.isatty():  # a script plays: its moves belong into what it reads back
            _say(typed.rstrip("\n"))
        if not typed or typed.strip().lower() in ("q", "quit", "exit"):
            raise Left
        words = typed.replace(",", " ").split()
        if len(words) == len(parts) and all(word.lstrip("-").isdigit() for word in words):
            row = np.array([int(word) - part.start for word, part in zip(words, parts)])
            inside = all(0 <= value < part.n for value, part in zip(row.tolist(), parts))
            if inside and all(allowed[part.mask + value] for value, part in zip(row.tolist(), parts)):
                return codec.to_env(row.reshape(1, *codec.shape))[0]
            _say(f"{typed.strip()} is not legal here.")
        elif typed.strip() not in ("", "?"):
            _say(f"expected {'a number' if len(parts) == 1 else f'{len(parts)} numbers'}, found {typed.strip()!r}.")
        _say("legal: " + legal_moves(codec, allowed))


def legal_moves(codec: ActionCodec, allowed: NDArray[np.bool_]) -> str:
    """The legal choices of each part of an action, as numbers that may be typed."""
    lists = [[str(value + part.start) for value in range(part.n) if allowed[part.mask + value]] for part in codec.parts]
    return " | ".join(" ".join(one) for one in lists)


def picture(env: Any, view: Any, codec: ActionCodec, allowed: NDArray[np.bool_]) -> str:
    """What the person sees: the game's own text, a board where the observation is one, or the observation itself."""
    if getattr(env, "render_mode", None) == "ansi":
        return str(env.render())
    board: NDArray[Any] = np.asarray(view) if not isinstance(view, (dict, tuple)) else np.zeros(())
    if board.ndim == 3 and board.shape[2] == 2 and board.dtype.kind in "biu" and set(np.unique(board).tolist()) <= {0, 1}:
        return draw_board(board, codec, allowed)
    from marl.report.episode_ledger import shown

    return f"you see {shown(view, 200)}\nlegal: {legal_moves(codec, allowed)}" if allowed.any() else f"you see {shown(view, 200)}"


def draw_board(board: NDArray[Any], codec: ActionCodec, allowed: NDArray[np.bool_]) -> str:
    """Two planes ``[H, W, 2]`` (mine, theirs) as a board: X is you; free cells (or columns) show the number of their move."""
    height, width = board.shape[:2]
    cells = codec.mask_size == height * width
    size = max(2, len(str(codec.mask_size - 1)) + 1)
    lines = []
    for row in range(height):
        texts = []
        for column in range(width):
            move = row * width + column
            mark = "X" if board[row, column, 0] else "O" if board[row, column, 1] else str(move) if cells and allowed[move] else "."
            texts.append(mark.rjust(size))
        lines.append("".join(texts))
    if codec.mask_size == width:
        lines.append("".join((str(move) if allowed[move] else " ").rjust(size) for move in range(width)))
    return "\n".join(lines)


def _text(action: Any) -> str:
    return str(action.tolist()) if isinstance(action, np.ndarray) else str(action)
