"""PettingZoo's parallel games: all live agents act at once.

Most of them are AEC games in a wrapper that plays one cycle of turns per step and observes every agent twice;
here the cycle is played on the bare game, each agent observed once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from marl.env import AgentDict, BaseMultiAgentEnv, ResetReturn, StepReturn
from marl.errors import EnvError, MaskError
from marl_envs.forwarding import TIMING, forward
from marl_envs.pettingzoo_bare import Bare, FreshObservations, bare, checked_action, global_state_of, num_discrete

MASK = "action_mask"


class RoundGame(BaseMultiAgentEnv):
    """A parallel environment as ours: every live agent is due at every step.

    ``env`` is a ``ParallelEnv``, or an AEC environment whose agents act in a fixed cycle (PettingZoo's
    ``is_parallelizable``). An agent's last observation comes with its end.
    """

    api = "parallel"

    def __init__(self, env: Any, *, cycle: bool) -> None:
        self.env = env
        self._bare = bare(env) if cycle else Bare(env, renderer=env)
        self._game = game = self._bare.game
        self._play = self._play_cycle if cycle else game.step
        self._begin = self._begin_cycle if cycle else game.reset
        self.possible_agents = list(getattr(game, "possible_agents", ()))
        self.observation_spaces = {agent: game.observation_space(agent) for agent in self.possible_agents}
        self.action_spaces = {agent: game.action_space(agent) for agent in self.possible_agents}
        self.metadata = getattr(game, "metadata", {})
        self.render_mode = getattr(self._bare.renderer, "render_mode", None)
        self.agents: list[Any] = []
        self._due: list[Any] = []
        self._num_actions = {agent: num_discrete(space) for agent, space in self.action_spaces.items()}
        self._fresh: FreshObservations | None = FreshObservations(len(self.possible_agents))
        self._masks: AgentDict = {}
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
        observations, infos = self._begin(seed=seed, options=options)
        self.agents = list(self._game.agents)
        self._due = [agent for agent in self.agents if agent in observations]
        observations = self._copied(observations) if self._fresh is not None else dict(observations)
        self._keep_masks(observations, infos)
        return observations, infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        if not self.agents:
            raise EnvError(f"{self._game}: step after the end of the episode; call reset first.")
        num_actions = self._num_actions
        for agent in self._due:
            if agent not in actions:
                raise EnvError(f"{self._game}: {agent!r} is due, but step was given actions of {list(actions)}.")
            action = actions[agent]
            if action.__class__ is not int or not 0 <= action < num_actions.get(agent, -1):
                action = checked_action(agent, action, self._game.action_space(agent), self._bare)
                actions = {**actions, agent: action}
            if agent in self._masks:
                self._check_mask(agent, action)
        observations, rewards, terminations, truncations, infos = self._play(actions)
        terminateds, truncateds = dict(terminations), dict(truncations)
        now = self._game.agents
        over = not now
        if now != self._due or True in terminateds.values() or True in truncateds.values() or len(observations) != len(now):
            observations, terminateds, truncateds = self._with_changes(observations, terminateds, truncateds)
        cut_off = over and True in truncateds.values() and True not in terminateds.values()
        terminateds["__all__"] = over and not cut_off
        truncateds["__all__"] = cut_off
        if self._fresh is not None:
            observations = self._copied(observations)
        if self._masks or infos:
            self._keep_masks(observations, infos)
        return observations, dict(rewards), terminateds, truncateds, dict(infos)

    def render(self) -> Any:
        return self._bare.renderer.render()

    def close(self) -> None:
        self.env.close()

    def __repr__(self) -> str:
        return f"RoundGame({self._game})"

    def _begin_cycle(self, *, seed: int | None, options: dict[str, Any] | None) -> ResetReturn:
        game = self._game
        game.reset(seed=seed, options=options)
        live = [agent for agent in game.agents if not (game.terminations[agent] or game.truncations[agent])]
        return {agent: game.observe(agent) for agent in live}, _speaking(game.infos)

    def _play_cycle(self, actions: AgentDict) -> StepReturn:
        """One turn for each live agent, in order; rewards of all those turns are summed (aec_to_parallel's rule)."""
        game = self._game
        rewards = dict.fromkeys(self.agents, 0)
        for agent in self.agents:
            if agent != game.agent_selection:
                raise EnvError(
                    f"{game}: it is {game.agent_selection!r}'s turn where the cycle expects {agent!r}; a parallel game's agents act in a "
                    "fixed cycle and end only after it. Play it with env_config {api: aec}."
                )
            game.step(actions[agent])
            for other, reward in game.rewards.items():
                if reward:
                    rewards[other] = rewards.get(other, 0) + reward
        observations = {agent: game.observe(agent) for agent in game.agents}
        terminations, truncations, infos = dict(game.terminations), dict(game.truncations), _speaking(game.infos)
        while game.agents and (game.terminations[game.agent_selection] or game.truncations[game.agent_selection]):
            game.step(None)
        return observations, rewards, terminations, truncations, infos

    def _with_changes(self, *tables: AgentDict) -> tuple[AgentDict, ...]:
        """Follow who lives and who is due; what concerns somebody who was done before this step is taken out of ``tables``."""
        before, now = self.agents, self._game.agents
        self.agents = list(now)
        self._due = [agent for agent in now if agent in tables[0]]
        return tuple({agent: entry for agent, entry in table.items() if agent in now or agent in before} for table in tables)

    def _copied(self, observations: AgentDict) -> AgentDict:
        fresh = self._fresh
        assert fresh is not None
        observations = {agent: fresh(observation) for agent, observation in observations.items()}
        if fresh.done:
            self._fresh = None
        return observations

    def _keep_masks(self, observations: AgentDict, infos: AgentDict) -> None:
        masks = {agent: seen[MASK] for agent, seen in observations.items() if isinstance(seen, dict) and MASK in seen}
        masks.update((agent, info[MASK]) for agent, info in infos.items() if MASK in info)
        self._masks = masks

    def _check_mask(self, agent: Any, action: Any) -> None:
        mask = self._masks[agent]
        parts = zip(mask, action, strict=True) if isinstance(mask, (tuple, list)) else [(mask, action)]
        if not all(part[one] for part, one in parts):
            legal = [np.flatnonzero(part).tolist() for part in (mask if isinstance(mask, (tuple, list)) else [mask])]
            raise MaskError(f"{agent!r} played {action!r}, which its action mask forbids; legal: {legal}.")


def _speaking(infos: AgentDict) -> AgentDict:
    """The infos that say something."""
    return {agent: info for agent, info in infos.items() if info}
