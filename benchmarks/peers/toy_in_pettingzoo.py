"""The toy game of W5 as a PettingZoo parallel environment: the same ``step``, under the base class that SuperSuit asks for."""

from __future__ import annotations

from typing import Any

from pettingzoo import ParallelEnv

from marl_envs.toy import Toy


class ToyInPettingZoo(Toy, ParallelEnv):
    metadata = {"name": "toy_v0", "is_parallelizable": True}  # noqa: RUF012 (PettingZoo reads it from the class)
    render_mode = None

    def __init__(self, num_agents: int) -> None:
        Toy.__init__(self, num_agents=num_agents)
        self._no_infos: dict[Any, Any] = {agent: {} for agent in self.possible_agents}
        self._spaces = dict(self.observation_spaces), dict(self.action_spaces)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.agents = list(self.possible_agents)
        return self._told(super().reset(seed=seed, options=options))

    def step(self, actions: Any) -> Any:
        answer = super().step(actions)
        over = answer[3].pop("__all__")
        del answer[2]["__all__"]
        if over:
            self.agents = []
        return self._told(answer)

    def _told(self, answer: tuple[Any, ...]) -> tuple[Any, ...]:
        """PettingZoo wants an info for each agent."""
        return *answer[:-1], self._no_infos

    num_agents = property(lambda self: len(self.agents))

    def observation_space(self, agent: Any) -> Any:
        return self._spaces[0][agent]

    def action_space(self, agent: Any) -> Any:
        return self._spaces[1][agent]
