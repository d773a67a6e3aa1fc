"""The two-step game: the first agent's choice decides which of two matrix games is played next.

Source: T. Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement
Learning", ICML 2018, section 5 (two-step game).

Step one pays nothing; ``agent_0``'s action alone leads to the state 2A (action 0) or 2B (action 1). Step two
pays both agents the same and ends the episode::

    2A:  7  7        2B:  0  1
         7  7             1  8

The best play earns 8 through 2B, but needs both agents to agree there; a learner whose joint value is a sum
of the agents' own values settles for 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn, VectorStep
from marl.errors import EnvError

AGENTS = ("agent_0", "agent_1")
PAYOFFS = np.array([[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]])  # [state 2A or 2B, action of agent_0, action of agent_1]
OVER = 3  # after the second step: no state, shown as zeros
SEEN = np.concatenate([np.eye(3, dtype=np.float32), np.zeros((1, 3), np.float32)])  # [4, 3]
SPACE = spaces.Box(0.0, 1.0, (3,), np.float32)


class TwoStep(BaseMultiAgentEnv):
    """Both agents see the state, one-hot ``float32 [3]`` (first step, 2A, 2B); ``global_state()`` is the same.

    Both lives terminate after the second step, with zeros as the last observation.
    """

    def __init__(self) -> None:
        self.possible_agents = list(AGENTS)
        self.observation_spaces = dict.fromkeys(AGENTS, SPACE)
        self.action_spaces = dict.fromkeys(AGENTS, spaces.Discrete(2))
        self.global_state_space = SPACE
        self.metadata = {"name": "two_step-v1"}
        self._place = OVER

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode. Nothing is drawn: the seed makes no difference."""
        self._place = 0
        return self._observe(), {}

    def step(self, actions: AgentDict, /) -> StepReturn:
        first, second = (_legal(agent, actions) for agent in AGENTS)
        paid = 0.0
        if self._place == 0:
            self._place = 1 + first
        else:
            paid = float(PAYOFFS[self._place - 1, first, second])
            self._place = OVER
        over = self._place == OVER
        return (
            self._observe(),
            dict.fromkeys(AGENTS, paid),
            {**dict.fromkeys(AGENTS, over), "__all__": over},
            {**dict.fromkeys(AGENTS, False), "__all__": False},
            {},
        )

    def global_state(self) -> NDArray[np.float32]:
        """The state, one-hot ``float32 [3]``; zeros when the episode is over."""
        return SEEN[self._place].copy()

    def _observe(self) -> AgentDict:
        return {agent: SEEN[self._place].copy() for agent in AGENTS}


class VectorTwoStep:
    """The same game, array-native (:class:`marl.env.VectorMultiAgentEnv`): equal to :class:`TwoStep` to the last bit."""

    can_hold = True

    def __init__(self, num_envs: int = 32) -> None:
        self.num_envs = num_envs
        self.slots = AGENTS
        self.single_observation_spaces = dict.fromkeys(AGENTS, SPACE)
        self.single_action_spaces = dict.fromkeys(AGENTS, spaces.Discrete(2))
        self.global_state_space = SPACE
        self.metadata = {"name": "two_step-v1"}
        self._place = np.zeros(num_envs, np.int64)

    def reset(self, *, seed: NDArray[np.int64] | None = None, mask: NDArray[np.bool_] | None = None) -> VectorStep:
        """Begin an episode in every copy, or in those of ``mask`` [E]."""
        begun = np.ones(self.num_envs, bool) if mask is None else mask
        self._place[begun] = 0
        return self._answer(np.zeros(self.num_envs), begun, np.zeros(self.num_envs, bool))

    def step(
        self,
        actions: NDArray[np.integer[Any]],
        *,
        active: NDArray[np.bool_] | None = None,
        next_seeds: NDArray[np.int64],
        next_options: Any = None,
    ) -> VectorStep:
        """Advance by one step. ``actions`` is ``int [E, 2]``; copies that are not active stand still."""
        active = np.ones(self.num_envs, bool) if active is None else active
        actions = np.where(active[:, None], actions, 0)
        if not ((actions == 0) | (actions == 1)).all():
            raise EnvError("two_step-v1: an action is neither 0 nor 1.")
        over = active & (self._place > 0)
        opening = active & (self._place == 0)
        payoff = PAYOFFS[np.maximum(self._place - 1, 0), actions[:, 0], actions[:, 1]]
        self._place[opening] = 1 + actions[opening, 0]
        before = np.where(over, OVER, self._place)  # as the episode left it, before the reset
        self._place[over] = 0
        answer = self._answer(np.where(over, payoff, 0.0), over, over)
        answer.final_global_state = SEEN[before]
        answer.final_obs = np.repeat(answer.final_global_state[:, None], 2, axis=1)
        answer.final_mask = answer.terminateds
        answer.elapsed_ticks = active.astype(np.int64)
        return answer

    def get_state(self) -> dict[str, Any]:
        """All copies' open episodes."""
        return {"place": self._place.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`get_state` was called."""
        self._place[:] = state["place"]

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, rewards: NDArray[np.float64], begun: NDArray[np.bool_], ended: NDArray[np.bool_]) -> VectorStep:
        place = SEEN[self._place]
        return VectorStep(
            obs=np.repeat(place[:, None], 2, axis=1),
            rewards=np.repeat(rewards[:, None], 2, axis=1),
            terminateds=np.repeat(ended[:, None], 2, axis=1),
            truncateds=np.zeros((self.num_envs, 2), bool),
            acting=np.ones((self.num_envs, 2), bool),
            new_life=np.repeat(begun[:, None], 2, axis=1),
            episode_ended=ended,
            global_state=place,
        )


def _legal(agent: str, actions: AgentDict) -> int:
    if agent not in actions:
        raise EnvError(f"two_step-v1: no action for {agent!r}; both agents act in both steps.")
    action = int(actions[agent])
    if action not in (0, 1):
        raise EnvError(f"two_step-v1: {agent!r} played {action}; legal are 0 and 1.")
    return action
