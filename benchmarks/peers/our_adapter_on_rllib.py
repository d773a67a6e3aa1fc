"""RLlib's own example environments through our adapter, unmodified: ``python -m benchmarks.peers.our_adapter_on_rllib``.

Runs where RLlib is installed. Each environment plays episodes with random actions twice from the same seed: once in RLlib's own
terms, once as ``RLlibEnv``. What comes out must be equal to the last bit, every space must hold what was seen, and agents must be known.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv, make_multi_agent
from ray.rllib.env.wrappers.pettingzoo_env import PettingZooEnv
from ray.rllib.examples.envs.classes.multi_agent import GuessTheNumberGame, MultiAgentCartPole, MultiAgentPendulum
from ray.rllib.examples.envs.classes.multi_agent.double_row_corridor_env import DoubleRowCorridorEnv
from ray.rllib.examples.envs.classes.multi_agent.pettingzoo_connect4 import MultiAgentConnect4
from ray.rllib.examples.envs.classes.multi_agent.rock_paper_scissors import RockPaperScissors
from ray.rllib.examples.envs.classes.multi_agent.tic_tac_toe import TicTacToe
from ray.rllib.examples.envs.classes.multi_agent.two_step_game import TwoStepGame

from marl.env import EnvContext
from marl_envs.from_rllib import ADAPTER, RLlibEnv

MOST_STEPS, EPISODES = 400, 3


class OldStyle(MultiAgentEnv):
    """The attribute style of older versions: ``_agent_ids`` and one space for all."""

    def __init__(self, _: Any = None) -> None:
        super().__init__()
        inner = MultiAgentCartPole({"num_agents": 2})
        self.inner, self._agent_ids = inner, {0, 1}
        self.observation_space, self.action_space = inner.observation_spaces[0], inner.action_spaces[0]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.inner.reset(seed=seed, options=options)

    def step(self, actions: Any) -> Any:
        return self.inner.step(actions)


MAKERS: dict[str, Callable[[], Any]] = {
    "MultiAgentCartPole": lambda: MultiAgentCartPole({"num_agents": 4}),
    "MultiAgentPendulum": lambda: MultiAgentPendulum({"num_agents": 2}),
    "make_multi_agent(CartPole-v1)": lambda: make_multi_agent("CartPole-v1")({"num_agents": 3}),
    "old attribute style": OldStyle,
    "GuessTheNumberGame": lambda: GuessTheNumberGame({"max_number": 3, "max_guesses": 5}),
    "DoubleRowCorridorEnv": lambda: DoubleRowCorridorEnv({}),
    "RockPaperScissors": lambda: RockPaperScissors({}),
    "TicTacToe": lambda: TicTacToe({}),
    "TwoStepGame": lambda: TwoStepGame({"one_hot_state_encoding": True}),
    "MultiAgentConnect4": lambda: MultiAgentConnect4(),
    "PettingZooEnv(tictactoe_v3)": lambda: PettingZooEnv(__import__("pettingzoo.classic.tictactoe_v3", fromlist=["env"]).env()),
}


def play(env: Any, spaces_of: RLlibEnv, *, seed: int, check: bool) -> list[Any]:
    """Everything that ``EPISODES`` episodes give, in order; actions are drawn from a generator of their own."""
    random.seed(seed)  # some of RLlib's examples draw from the global generators
    np.random.seed(seed)  # noqa: NPY002 (the same)
    rng = np.random.default_rng(seed)
    heard: list[Any] = []
    for episode in range(EPISODES):
        answer: tuple[Any, ...] = env.reset(seed=seed + episode)
        heard.append(answer)
        done: set[Any] = set()
        for _ in range(MOST_STEPS):
            observations = answer[0]
            actions = {}
            for agent, observation in observations.items():
                if check:
                    space = spaces_of.observation_space(agent)
                    assert space.contains(observation), f"{agent!r} sees {observation!r}, outside {space}"
                    assert agent in spaces_of.possible_agents, f"{agent!r} is not among {spaces_of.possible_agents}"
                if agent not in done:
                    actions[agent] = draw(spaces_of.action_space(agent), observation, rng)
            answer = env.step(actions)
            heard.append(answer)
            _, _, terminateds, truncateds, _ = answer
            done |= {agent for flags in (terminateds, truncateds) for agent, flag in flags.items() if flag}
            if terminateds.get("__all__") or truncateds.get("__all__"):
                break
    return heard


def draw(space: Any, observation: Any, rng: np.random.Generator) -> Any:
    mask = observation.get("action_mask") if isinstance(observation, dict) else None
    if mask is not None and np.any(mask):
        return int(rng.choice(np.flatnonzero(mask)))
    if hasattr(space, "low"):
        return rng.uniform(space.low, space.high).astype(space.dtype)
    if hasattr(space, "nvec"):
        return rng.integers(space.nvec)
    if hasattr(space, "spaces"):
        parts = space.spaces
        if isinstance(parts, tuple):
            return tuple(draw(part, observation, rng) for part in parts)
        return {key: draw(part, observation, rng) for key, part in parts.items()}
    return int(rng.integers(space.n))


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other))
    return bool(np.array_equal(one, other))


def main() -> None:
    failed = 0
    for name, make in MAKERS.items():
        try:
            assert ADAPTER.matches(make()), "the adapter does not recognise it"
            adapted = ADAPTER.adapt(make(), EnvContext())
            assert isinstance(adapted, RLlibEnv)
            theirs = play(make(), adapted, seed=3, check=False)
            ours = play(adapted, adapted, seed=3, check=True)
            assert equal(theirs, ours), "what comes out differs"
            print(f"passed  {name}: {len(ours)} calls, agents {adapted.possible_agents}")
        except Exception as error:  # every environment is tried, the verdict comes at the end
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {str(error)[:300]}")
    print(f"{len(MAKERS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
