"""A toy with next to no game in it: what a sampler costs by itself. Used by the benchmarks.

n agents see 8 float32 numbers (a row of a table made once), each of 4 actions is right at every fourth step
and pays 1, every agent acts, and 100 steps cut the episode off. Three options make the data path work:
silent agents, rewards in another order, lives that end and come back.

Who is silent, who ends and in which order rewards come is drawn once, at construction, so that a step costs
no more than the building of its dicts. Every episode of one object is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marl.env import BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import ConfigError, Problem

NUM_NUMBERS = 8
NUM_ACTIONS = 4


@dataclass(frozen=True)
class Moment:
    """One step's answer, but for the rewards' values."""

    seen: tuple[str, ...]  # who is observed, in order
    rows: NDArray[np.float32]  # [len(seen), 8]
    paid: tuple[str, ...]  # the living, in the order of their rewards
    ended: tuple[str, ...]  # whose life ends here
    reborn: tuple[str, ...]  # of those, who begins a new life in the same call


class Toy(BaseMultiAgentEnv):
    """Agents are ``agent_0`` …. Silent agents are paid too, 0 each, since they did not act.

    Args:
        num_agents: n.
        num_steps: steps an episode; then everybody is truncated, with a last observation.
        silent: share of agents that get no observation at a step, drawn anew each step.
        shuffle_rewards: rewards come in an order of their own, drawn anew each step.
        lives_ended: share of agents whose life ends (terminates) at a step; one stays if they are to be absent.
        absent_steps: steps for which an ended agent stays away; 0: its new life begins in the same call, and
            ``infos[agent]["final_observation"]`` is the old life's last observation.
        layout_seed: of the table and of all that is drawn.
    """

    def __init__(
        self,
        num_agents: int = 10,
        num_steps: int = 100,
        silent: float = 0.0,
        shuffle_rewards: bool = False,
        lives_ended: float = 0.0,
        absent_steps: int = 1,
        layout_seed: int = 0,
    ) -> None:
        _check(num_agents, num_steps, silent, lives_ended, absent_steps)
        self.possible_agents = [f"agent_{place}" for place in range(num_agents)]
        space = spaces.Box(0.0, 1.0, (NUM_NUMBERS,), np.float32)
        self.observation_spaces = dict.fromkeys(self.possible_agents, space)
        self.action_spaces = dict.fromkeys(self.possible_agents, spaces.Discrete(NUM_ACTIONS))
        self.metadata = {"name": "toy-v1"}
        rng = np.random.default_rng(layout_seed)
        self._table = rng.random((num_steps + 1, num_agents, NUM_NUMBERS), np.float32)
        self._moments = self._lay_out(rng, silent, shuffle_rewards, lives_ended, absent_steps)
        self._step = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        """Begin an episode; everybody is observed. Nothing is drawn: the seed makes no difference."""
        self._step = 0
        return dict(zip(self.possible_agents, self._table[0], strict=True)), {}

    def step(self, actions: dict[str, int], /) -> StepReturn:
        right = self._step % NUM_ACTIONS
        moment = self._moments[self._step]
        self._step += 1
        over = self._step == len(self._moments)
        seen = moment.seen
        played = actions.get
        observations = dict(zip(seen, moment.rows, strict=True))
        rewards = {agent: 1.0 if played(agent) == right else 0.0 for agent in moment.paid}
        terminateds = dict.fromkeys(seen, False)
        truncateds = dict.fromkeys(seen, over)
        infos: dict[str, Any] = {}
        if moment.ended:
            terminateds.update(dict.fromkeys(moment.ended, True))
            truncateds.update(dict.fromkeys(moment.ended, False))
            for agent in moment.reborn:
                infos[agent] = {"final_observation": observations[agent]}
                observations[agent] = self._table[0, int(agent[6:])]
        terminateds["__all__"] = False
        truncateds["__all__"] = over
        return observations, rewards, terminateds, truncateds, infos

    def _lay_out(
        self, rng: np.random.Generator, silent: float, shuffle_rewards: bool, lives_ended: float, absent_steps: int
    ) -> list[Moment]:
        agents = self.possible_agents
        num_steps = len(self._table) - 1
        back_at = np.zeros(len(agents), np.int64)  # the step whose answer shows the agent again
        moments = []
        for step in range(1, num_steps + 1):
            over = step == num_steps
            living = back_at <= step - 1
            returning = (back_at == step) & ~living
            ends = living & (rng.random(len(agents)) < lives_ended) & (not over)
            if absent_steps and ends.sum() == living.sum() > 0:
                ends[np.flatnonzero(living)[0]] = False  # somebody stays: an empty room would end the episode
            quiet = living & ~ends & (rng.random(len(agents)) < silent) & (not over)
            seen = np.flatnonzero((living & ~quiet) | (returning & (not over)))
            paid = rng.permutation(np.flatnonzero(living)) if shuffle_rewards else np.flatnonzero(living)
            ended = tuple(agents[place] for place in np.flatnonzero(ends))
            back_at[ends] = step + absent_steps
            moments.append(
                Moment(
                    seen=tuple(agents[place] for place in seen),
                    rows=self._table[step, seen],
                    paid=tuple(agents[place] for place in paid),
                    ended=ended,
                    reborn=ended if absent_steps == 0 else (),
                )
            )
        return moments


def _check(num_agents: int, num_steps: int, silent: float, lives_ended: float, absent_steps: int) -> None:
    problems = [
        Problem(key, f"is {value}", f"must be at least {least}")
        for key, value, least in (("num_agents", num_agents, 1), ("num_steps", num_steps, 1), ("absent_steps", absent_steps, 0))
        if value < least
    ]
    for key, share in (("silent", silent), ("lives_ended", lives_ended)):
        if not 0.0 <= share <= 1.0:
            problems.append(Problem(key, f"is {share}", "a share lies between 0 and 1"))
    if problems:
        raise ConfigError(problems)
