"""What RLlib records of three small episodes: ``.venv-peers-rllib/bin/python -W ignore -m benchmarks.peers.rllib_faults``.

The README says that RLlib drops early rewards, takes a truncation for a termination, and refuses agents that come back. This shows it on
the RLlib that is installed; ``tests/ledger/test_peer_faults.py`` shows such episodes right here.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner


class Two(MultiAgentEnv):
    """Agents a and b; everybody who acts is paid 1."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.possible_agents = self.agents = ["a", "b"]
        self.observation_spaces = {agent: gymnasium.spaces.Box(-1, 1, (1,), np.float32) for agent in "ab"}
        self.action_spaces = {agent: gymnasium.spaces.Discrete(2) for agent in "ab"}
        self.t = 0

    def seen(self, agents: str) -> dict[str, Any]:
        return {agent: np.zeros(1, np.float32) for agent in agents}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, ...]:
        self.t = 0
        return self.seen("ab"), {}


class TimeLimit(Two):
    """Both are truncated after three steps, with flags of their own, as parallel PettingZoo games say it."""

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        self.t += 1
        over = self.t == 3
        return (
            self.seen("ab"),
            dict.fromkeys(actions, 1.0),
            dict.fromkeys(["a", "b", "__all__"], False),
            dict.fromkeys(["a", "b", "__all__"], over),
            {},
        )


class Late(Two):
    """b is paid 5 before its first observation and 7 with it."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, ...]:
        self.t = 0
        return self.seen("a"), {}

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        self.t += 1
        rewards = {"a": 1.0, "b": {1: 5.0, 2: 7.0}.get(self.t, 1.0)}
        return self.seen("a" if self.t == 1 else "ab"), rewards, {"__all__": self.t == 4}, {"__all__": False}, {}


class Returning(Two):
    """b ends at the second step and is observed again at the fourth."""

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        self.t += 1
        flags = {"b": self.t == 2, "__all__": self.t == 6}
        return self.seen("a" if self.t == 3 else "ab"), dict.fromkeys(actions, 1.0), flags, {"__all__": False}, {}


def main() -> None:
    print(f"ray {ray.__version__}")
    for game in (TimeLimit, Late, Returning):
        print(f"\n{game.__name__}: {game.__doc__}")
        config = PPOConfig().environment(game).env_runners(num_env_runners=0)
        config = config.multi_agent(policies={"p"}, policy_mapping_fn=lambda agent_id, episode, **_: "p")
        try:
            (episode,) = MultiAgentEnvRunner(config=config).sample(num_episodes=1, random_actions=True)
        except Exception as error:  # whatever it is, it is what RLlib says to this episode
            print(f"  {type(error).__name__}: {error}")
            continue
        for agent, life in episode.agent_episodes.items():
            print(
                f"  {agent}: rewards {list(map(float, life.get_rewards()))}, terminated {life.is_terminated}, truncated {life.is_truncated}"
            )


if __name__ == "__main__":
    main()
