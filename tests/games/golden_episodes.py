"""Golden episodes: one printed episode a game, seeded, with random legal actions. The tests compare them.

``python tests/games/golden_episodes.py`` says which differ; ``--write [GAME ...]`` writes them anew, which is
right only after a change of the game's rules that was meant (and that gave the game a new version).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from marl_envs.cartpole import CartPole
from marl_envs.corridor import Corridor
from marl_envs.matrix_games import climbing, penalty, rock_paper_scissors
from marl_envs.pendulum import Pendulum
from marl_envs.tic_tac_toe import TicTacToe
from marl_envs.toy import Toy
from marl_envs.traffic import Traffic
from marl_envs.two_step import TwoStep

FOLDER = Path(__file__).parents[1] / "goldens"

GAMES: dict[str, Callable[[], Any]] = {
    "climbing": lambda: climbing(rounds=3),
    "penalty": lambda: penalty(k=-50, rounds=3),
    "rock_paper_scissors": lambda: rock_paper_scissors(rounds=5),
    "two_step": TwoStep,
    "tic_tac_toe": TicTacToe,
    "cartpole": lambda: CartPole(num_agents=3, max_steps=20),
    "pendulum": lambda: Pendulum(num_agents=2, max_steps=6),
    "corridor": lambda: Corridor(length=3, num_agents=2, max_steps=12),
    "traffic": lambda: Traffic(num_lights=2, max_cars=4, block=2, arrivals=0.5, light_period=3, patience=9, horizon=30),
    "toy": lambda: Toy(num_agents=3, num_steps=8, silent=0.2, shuffle_rewards=True, lives_ended=0.15, layout_seed=3),
}


def printed_episode(env: Any, seed: int) -> str:
    """One episode: per call who acted, who was paid, who saw what, whose life ended."""
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    lines = [f"reset seed={seed}", *_seen(observations), *_told(infos)]
    due = observations
    for call in range(1, 10_000):
        actions = {agent: _legal(env.action_spaces[agent], observation, rng) for agent, observation in due.items()}
        observations, rewards, terminateds, truncateds, infos = env.step(actions)
        acted = " ".join(f"{agent}={_number(action)}" for agent, action in actions.items())
        lines += [f"call {call}", f"  acted {acted or '(nobody)'}"]
        lines += [f"  paid  {' '.join(f'{agent}={reward:.6g}' for agent, reward in rewards.items())}"]
        lines += _seen(observations)
        for word, flags in (("terminated", terminateds), ("truncated", truncateds)):
            named = [agent for agent, flag in flags.items() if flag]
            lines += [f"  {word} {' '.join(named)}"] if named else []
        lines += _told(infos)
        if terminateds["__all__"] or truncateds["__all__"]:
            return "\n".join(lines) + "\n"
        done = {agent for agent in observations if terminateds.get(agent) or truncateds.get(agent)}
        reborn = {agent for agent in done if "final_observation" in infos.get(agent, {})}
        due = {agent: observation for agent, observation in observations.items() if agent not in done - reborn}
    raise AssertionError("the episode did not end")


def _legal(space: Any, observation: Any, rng: np.random.Generator) -> Any:
    if hasattr(space, "n"):
        legal = np.flatnonzero(observation["action_mask"]) if isinstance(observation, dict) else np.arange(space.n)
        return int(rng.choice(legal))
    return rng.uniform(space.low, space.high).astype(space.dtype)


def _seen(observations: dict[str, Any]) -> list[str]:
    return [f"  saw   {agent} {_shown(observation)}" for agent, observation in observations.items()]


def _told(infos: dict[str, Any]) -> list[str]:
    return [f"  told  {agent} {key}={_shown(value)}" for agent, info in infos.items() for key, value in info.items()]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_shown(part)}" for key, part in value.items())
    return f"[{_number(value)}]" if isinstance(value, np.ndarray) else str(value)


def _number(value: Any) -> str:
    # Six digits: enough to see a change of rules, few enough to bear another machine's sine.
    return " ".join(f"{number:.6g}" for number in np.ravel(value).tolist())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", nargs="*", metavar="GAME", choices=[*GAMES, []], help="write these games' episodes (none named: all)")
    args = parser.parse_args()
    wrong = 0
    for game in args.write or GAMES:
        path = FOLDER / f"{game}.txt"
        text = printed_episode(GAMES[game](), seed=7)
        if args.write is not None:
            path.write_text(text)
            print(f"{game}: written to {path}")
        elif not path.exists() or path.read_text() != text:
            wrong += 1
            print(f"{game}: differs from {path}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
