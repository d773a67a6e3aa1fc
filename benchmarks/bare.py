"""Environments with nothing around them: random legal actions, drawn beforehand, stepped in a plain loop.

Random numbers are drawn before the clock runs, so that the rate is the environment's own. An environment is reset, seeded,
whenever its episode ends; the reset's time counts, as it does for everyone else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Work


def parallel_loop(env: Any, *, num_env_steps: int, seed: int, lives: bool = False) -> Callable[[], Work]:
    """Steps an environment of dicts in which whoever is observed acts, be it PettingZoo's, RLlib's or ours.

    The episode ends when ``__all__`` says so, or, without it, when all are done (PettingZoo's parallel environments). ``lives``: agents
    end one by one, so somebody has to look at their flags.
    """
    rng = np.random.default_rng(seed)
    observations, _ = env.reset(seed=seed)
    space_of = env.action_space if callable(getattr(env, "action_space", None)) else env.action_spaces.__getitem__
    agents = list(observations)
    table = {agent: _draws(space_of(agent), rng, count=512) for agent in agents}
    # All agents at once is the common case: its dicts are made beforehand, too.
    everyone = [{agent: table[agent][index] for agent in agents} for index in range(512)]
    state = {"observations": observations, "done": set(), "episodes": 0}

    def run() -> Work:
        observations, done = state["observations"], state["done"]
        agent_steps = 0
        for index in range(num_env_steps):
            slot = index & 511
            if not done and len(observations) == len(agents):
                actions = everyone[slot]
            else:
                actions = {agent: table[agent][slot] for agent in observations if agent not in done}
            agent_steps += len(actions)
            observations, _, terminateds, truncateds, _ = env.step(actions)
            over = terminateds.get("__all__", False) or truncateds.get("__all__", False)
            if "__all__" not in terminateds:
                over = all(terminateds.values()) or all(truncateds.values()) or not observations
            elif lives and not over:
                for flags in (terminateds, truncateds):
                    if True in flags.values():
                        done.update(agent for agent, flag in flags.items() if flag)
            if over:
                state["episodes"] += 1
                observations, _ = env.reset(seed=seed + state["episodes"])
                done = set()
        state["observations"], state["done"] = observations, done
        return Work(num_env_steps, agent_steps)

    return run


def turns_loop(env: Any, *, num_turns: int, seed: int) -> Callable[[], Work]:
    """PettingZoo's own loop for games of turns: ``last``, a random legal move, ``step``; dead steps do not count."""
    uniform = np.random.default_rng(seed).random(4096).tolist()
    state = {"episodes": 0}
    env.reset(seed=seed)

    def run() -> Work:
        turns = 0
        while turns < num_turns:
            for _ in env.agent_iter():
                observation, _, terminated, truncated, _ = env.last()
                if terminated or truncated:
                    env.step(None)
                    continue
                legal = observation["action_mask"].nonzero()[0]
                env.step(int(legal[int(uniform[turns & 4095] * len(legal))]))
                turns += 1
            state["episodes"] += 1
            env.reset(seed=seed + state["episodes"])
        return Work(turns, turns)

    return run


def single_loop(env: Any, *, num_env_steps: int, seed: int) -> Callable[[], Work]:
    """A Gymnasium environment."""
    actions = _draws(env.action_space, np.random.default_rng(seed), count=4096)
    state = {"episodes": 0}
    env.reset(seed=seed)

    def run() -> Work:
        for index in range(num_env_steps):
            _, _, terminated, truncated, _ = env.step(actions[index & 4095])
            if terminated or truncated:
                state["episodes"] += 1
                env.reset(seed=seed + state["episodes"])
        return Work(num_env_steps, num_env_steps)

    return run


def _draws(space: Any, rng: np.random.Generator, *, count: int) -> list[Any]:
    """``count`` random actions of a Discrete or Box space, as its environment expects them."""
    if hasattr(space, "n"):
        return [int(action) for action in rng.integers(space.n, size=count)]
    return list(rng.uniform(space.low, space.high, size=(count, *space.shape)).astype(space.dtype))
