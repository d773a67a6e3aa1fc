"""PettingZoo's AEC games: one agent acts at a time.

One live ``step`` of the game is one env step. Dead steps (``step(None)``) are made here, inside the call in which
they fall due, and take no time. What is paid is the game's ``rewards`` after each live step, for all agents;
``last()``, which sums them up for the agent whose turn it is, is never asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import EnvError, MaskError
from marl_envs.forwarding import TIMING, forward
from marl_envs.pettingzoo_bare import FreshObservations, bare, checked_action, global_state_of, num_discrete

MASK = "action_mask"


class TurnGame(BaseMultiAgentEnv):
    """An AEC environment as ours: at every step exactly one agent is due.

    An agent that becomes done is observed at once; that is its final observation. Zero rewards are left out:
    ``rewards`` of an AEC game is a table of all agents, in which 0 means "nothing".
    """

    api = "aec"

    def __init__(self, env: Any, illegal: str = "error") -> None:
        self.env = env
        self._bare = bare(env)
        self._game = game = self._bare.game
        self._forfeits = illegal == "forfeit"
        self.possible_agents = list(getattr(game, "possible_agents", ()))
        self.observation_spaces = {agent: game.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: game.action_space(agent) for agent in self.possible_agents}
        self.metadata = getattr(game, "metadata", {})
        self.render_mode = getattr(self._bare.renderer, "render_mode", None)
        self._num_actions = {agent: num_discrete(space) for agent, space in self.action_spaces.items()}
        self._fresh: FreshObservations | None = FreshObservations(len(self.possible_agents))
        self._ended: set[Any] = set()  # done and reported, but still in the game's list until their dead step
        self._due: Any = None
        self._mask: Any = None
        self._over = True
        # In PettingZoo's own games step(None) does nothing but take the done agent off the list: with all done, a reset does that too.
        self._dead_steps_only_remove = type(game.unwrapped).__module__.startswith(("pettingzoo.", "mpe2."))
        self.agents: list[Any] = []  # the live ones; written where they change, since it is read at every step
        state = global_state_of(game)
        if state is not None:
            self.global_state = state
            self.global_state_space = getattr(game, "state_space", None)
        forward(self, "_game", TIMING)

    def observation_space(self, agent: Any) -> Any:
        return self._game.observation_space(agent)

    def action_space(self, agent: Any) -> Any:
        return self._game.action_space(agent)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        self._game.reset(seed=seed, options=options)
        self._ended.clear()
        self._over = False
        self._make_dead_steps()
        observations: AgentDict = {}
        infos: AgentDict = {}
        if not self._over:
            self.agents = list(self._game.agents)
            self._next_turn(observations, infos)
        return observations, infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        agent = self._due
        try:
            action = actions[agent]
        except KeyError:
            raise self._no_action(actions) from None
        mask = self._mask
        # The common case, a legal int, inline: this runs at every turn of every game.
        if action.__class__ is not int or not 0 <= action < self._num_actions.get(agent, -1) or (mask is not None and not mask[action]):
            action = checked_action(agent, action, self._game.action_space(agent), self._bare)
            if mask is not None and not _allows(mask, action):
                return self._illegal(agent, action, mask)
        game = self._game
        game.step(action)
        rewards = game.rewards
        paid = {other: reward for other, reward in rewards.items() if reward} if any(rewards.values()) else {}
        if True in game.terminations.values() or True in game.truncations.values():
            return self._with_ends(paid)
        due = self._due = game.agent_selection
        observation = game.observe(due)
        if self._fresh is not None:
            observation = self._copied(observation)
        info = game.infos.get(due)
        self._mask = observation.get(MASK) if observation.__class__ is dict else info.get(MASK) if info else None
        return {due: observation}, paid, {"__all__": False}, {"__all__": False}, {due: info} if info else {}

    def render(self) -> Any:
        return self._bare.renderer.render()

    def close(self) -> None:
        self.env.close()

    def __repr__(self) -> str:
        return f"TurnGame({self._game})"

    def _next_turn(self, observations: AgentDict, infos: AgentDict) -> None:
        """Observe the agent whose turn it is."""
        game = self._game
        due = self._due = game.agent_selection
        if due in observations:  # its last life ended in this very call: the dict's place is for the new one
            infos[due] = {**(game.infos.get(due) or {}), "final_observation": observations[due]}
        elif info := game.infos.get(due):
            infos[due] = info
        observation = observations[due] = self._observe(due)
        self._mask = observation.get(MASK) if isinstance(observation, dict) else (game.infos.get(due) or {}).get(MASK)

    def _with_ends(self, paid: AgentDict) -> StepReturn:
        """The rest of a step in which somebody is done: final observations, dead steps, the next turn if there is one."""
        game = self._game
        observations: AgentDict = {}
        terminateds: AgentDict = {}
        truncateds: AgentDict = {}
        infos: AgentDict = {}
        for agent in game.agents:
            terminated, truncated = bool(game.terminations[agent]), bool(game.truncations[agent])
            if not (terminated or truncated) or agent in self._ended:
                continue
            observations[agent] = self._observe(agent)
            terminateds[agent], truncateds[agent] = terminated, truncated
            if info := game.infos.get(agent):
                infos[agent] = info
            self._ended.add(agent)
        if self._dead_steps_only_remove and len(self._ended) == len(game.agents):
            self._end()
        else:
            self._make_dead_steps()
        cut_off = bool(truncateds) and not any(terminateds.values())
        if not self._over:
            self.agents = [agent for agent in game.agents if agent not in self._ended]
            self._next_turn(observations, infos)
        terminateds["__all__"] = self._over and not cut_off
        truncateds["__all__"] = self._over and cut_off
        return observations, paid, terminateds, truncateds, infos

    def _make_dead_steps(self) -> None:
        """Step with None for as long as the agent whose turn it is is done; the game takes it off its list."""
        game = self._game
        while game.agents:
            agent = game.agent_selection
            if not (game.terminations[agent] or game.truncations[agent]):
                return
            game.step(None)
            if agent in game.agents and (game.terminations[agent] or game.truncations[agent]):
                raise EnvError(
                    f"{game}: step(None) for the done agent {agent!r} left it in env.agents; expected it to be removed "
                    "(PettingZoo's _was_dead_step does that), or the episode never ends."
                )
            self._ended.discard(agent)
        self._end()

    def _end(self) -> None:
        self._over = True
        self.agents = []
        self._due = self._mask = None
        self._ended.clear()

    def _observe(self, agent: Any) -> Any:
        observation = self._game.observe(agent)
        return observation if self._fresh is None else self._copied(observation)

    def _copied(self, observation: Any) -> Any:
        fresh = self._fresh
        assert fresh is not None
        observation = fresh(observation)
        if fresh.done:
            self._fresh = None
        return observation

    def _illegal(self, agent: Any, action: Any, mask: Any) -> StepReturn:
        """An action that the mask forbids: an error, or PettingZoo's rule that who plays it loses and all are done."""
        if not self._forfeits:
            raise MaskError(
                f"{agent!r} played {action!r}, which its action mask forbids; legal: {np.flatnonzero(mask).tolist()}. A player must choose "
                "among the legal actions; env_config {illegal: forfeit} gives PettingZoo's rule instead (its player loses, the game ends)."
            )
        inner = self._game.unwrapped
        inner.terminations = dict.fromkeys(inner.agents, True)
        inner.truncations = dict.fromkeys(inner.agents, True)
        inner.rewards = {**dict.fromkeys(inner.agents, 0), agent: self._bare.illegal_reward}
        ended = list(inner.agents)
        observations = {one: self._observe(one) for one in ended}
        infos = {one: dict(inner.infos[one]) for one in ended if inner.infos.get(one)}
        self._end()
        terminateds = {**dict.fromkeys(ended, True), "__all__": True}
        return observations, {agent: self._bare.illegal_reward}, terminateds, {**dict.fromkeys(ended, True), "__all__": True}, infos

    def _no_action(self, actions: AgentDict) -> EnvError:
        if self._over:
            return EnvError(f"{self._game}: step after the end of the episode; call reset first.")
        return EnvError(f"{self._game}: {self._due!r} is due, but step was given actions of {list(actions)}.")


def _allows(mask: Any, action: Any) -> bool:
    """Whether a mask, an array ``[n]`` or a tuple of them (MultiDiscrete), allows ``action``."""
    if isinstance(mask, (tuple, list)):
        return all(part[one] for part, one in zip(mask, action, strict=True))
    return bool(mask[action])
