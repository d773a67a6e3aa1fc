"""Our environments as PettingZoo's: ``to_aec_env`` for games in turns (and every other), ``to_parallel_env`` where all act at once.

What PettingZoo cannot say: a reward for an agent that is not in its list ("before its first observation" where
the environment names no ``agents``, or after its end) is kept in ``undelivered_rewards``; an agent that comes
back comes back under its old id, which PettingZoo allows but its ``api_test`` refuses.
"""

from __future__ import annotations

from typing import Any

from gymnasium import Space
from gymnasium.wrappers.utils import create_zero_array
from pettingzoo.utils.env import AECEnv, ParallelEnv

from marl.env import AgentDict
from marl.errors import EnvError
from marl.spaces import agent_spaces

MAX_IDLE_STEPS = 1_000
_DEAD_STEP_ERROR = "a done agent's only step is step(None)"


def to_parallel_env(env: Any) -> ParallelEnv[Any, Any, Any]:
    """``env`` as a PettingZoo ParallelEnv. Every live agent must be due at every step (EnvError where one is not)."""
    return _ParallelExport(env)


def to_aec_env(env: Any) -> AECEnv[Any, Any, Any]:
    """``env`` as a PettingZoo AECEnv. Agents that are due together act one after another; the last one's turn steps ``env``."""
    return _AECExport(env)


class _Episode:
    """An episode of ``env`` followed with PettingZoo's words: who is in the list, whose flags stand, what was last seen."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.agents: list[Any] = []
        self.due: list[Any] = []
        self.seen: AgentDict = {}
        self.infos: AgentDict = {}
        self.terminated: set[Any] = set()
        self.truncated: set[Any] = set()
        self.undelivered: dict[Any, float] = {}

    def reset(self, seed: int | None, options: dict[str, Any] | None, *, unseen: bool) -> None:
        """Begin with the observed agents, and with ``unseen`` those that are live but have not been observed yet."""
        observations, infos = self.env.reset(seed=seed, options=options)
        stated = getattr(self.env, "agents", None)
        self.agents = list(self.env.possible_agents if stated is None else stated) if unseen else []
        self.terminated, self.truncated = set(), set()
        self.seen, self.undelivered = {}, {}
        self._observe(observations, infos)
        self.due = list(observations)

    def step(self, actions: AgentDict) -> AgentDict:
        """Step ``env``: the rewards of those in the list. The done stay in the list until :meth:`drop`."""
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        all_terminated, all_truncated = bool(terminateds.get("__all__")), bool(truncateds.get("__all__"))
        stated = getattr(self.env, "agents", None)
        self._observe(observations, infos)
        for agent in self.agents:
            if agent in self.terminated or agent in self.truncated:
                continue
            terminated, truncated = bool(terminateds.get(agent)), bool(truncateds.get(agent))
            if not (terminated or truncated):  # an agent's own flag beats "__all__"; terminated beats truncated
                terminated, truncated = all_terminated, all_truncated and not all_terminated
            if not (terminated or truncated) and stated is not None and len(stated) == 0:
                terminated = True
            if terminated:
                self.terminated.add(agent)
            elif truncated:
                self.truncated.add(agent)
            if (terminated or truncated) and "final_observation" in self.infos[agent]:
                if agent in observations:
                    raise EnvError(f"{agent!r} ends and begins a new life in one step, which PettingZoo has no words for.")
                self.seen[agent] = self.infos[agent]["final_observation"]
        self.due = [agent for agent in observations if agent not in self.terminated and agent not in self.truncated]
        for agent, reward in rewards.items():
            if agent not in self.agents:
                self.undelivered[agent] = self.undelivered.get(agent, 0.0) + reward
        return {agent: rewards.get(agent, 0) for agent in self.agents}

    def drop(self, agent: Any) -> None:
        self.agents.remove(agent)
        self.terminated.discard(agent)
        self.truncated.discard(agent)

    def done(self, agent: Any) -> bool:
        return agent in self.terminated or agent in self.truncated

    def _observe(self, observations: AgentDict, infos: AgentDict) -> None:
        self.seen.update(observations)
        self.agents += [agent for agent in observations if agent not in self.agents]
        self.infos = {agent: dict(infos.get(agent) or {}) for agent in self.agents}


class _Export:
    """What both forms have in common: names and spaces."""

    def __init__(self, env: Any, *, is_parallelizable: bool) -> None:
        self.env = env
        self.possible_agents = list(env.possible_agents)
        stated = getattr(env, "metadata", None) or {}
        name = stated.get("name", type(env).__name__)
        self.metadata = {"render_modes": ["rgb_array"], **stated, "name": name, "is_parallelizable": is_parallelizable}
        self.render_mode = getattr(env, "render_mode", None)
        self._spaces: dict[Any, tuple[Space[Any], Space[Any]]] = {}
        self._episode = _Episode(env)
        state_space = getattr(env, "global_state_space", None)
        if state_space is not None:
            self.state_space = state_space

    @property
    def undelivered_rewards(self) -> dict[Any, float]:
        """What was paid in this episode to agents that were not in PettingZoo's list."""
        return dict(self._episode.undelivered)

    def observation_space(self, agent: Any) -> Space[Any]:
        return self._spaces_of(agent)[0]

    def action_space(self, agent: Any) -> Space[Any]:
        return self._spaces_of(agent)[1]

    def state(self) -> Any:
        ask = getattr(self.env, "global_state", None) or getattr(self.env, "state", None)
        if ask is None:
            raise NotImplementedError(f"{self.metadata['name']} has no global state")
        return ask()

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        close = getattr(self.env, "close", None)
        if close is not None:
            close()

    def __str__(self) -> str:
        return str(self.metadata["name"])

    def _spaces_of(self, agent: Any) -> tuple[Space[Any], Space[Any]]:
        if agent not in self._spaces:  # PettingZoo seeds them: one agent's must be the same object each time
            self._spaces[agent] = agent_spaces(self.env, agent)
        return self._spaces[agent]


class _ParallelExport(_Export, ParallelEnv[Any, Any, Any]):
    def __init__(self, env: Any) -> None:
        super().__init__(env, is_parallelizable=True)
        self.agents: list[Any] = []

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[AgentDict, AgentDict]:
        episode = self._episode
        episode.reset(seed, options, unseen=False)
        self._follow()
        return {agent: episode.seen[agent] for agent in self.agents}, episode.infos

    def step(self, actions: AgentDict) -> tuple[AgentDict, AgentDict, AgentDict, AgentDict, AgentDict]:
        episode = self._episode
        rewards = episode.step({agent: actions[agent] for agent in episode.due})
        listed = list(episode.agents)
        observations = {agent: episode.seen[agent] for agent in listed}
        terminations = {agent: agent in episode.terminated for agent in listed}
        truncations = {agent: agent in episode.truncated for agent in listed}
        for agent in listed:
            if episode.done(agent):
                episode.drop(agent)
        self._follow()
        return observations, rewards, terminations, truncations, episode.infos

    def _follow(self) -> None:
        """The list for PettingZoo; all in it must be due."""
        self.agents = list(self._episode.agents)
        idle = [agent for agent in self.agents if agent not in self._episode.due]
        if idle:
            raise EnvError(
                f"{self.metadata['name']}: {idle[0]!r} is live but not due, and PettingZoo's parallel form has no such agent; "
                "export environments in which agents take turns with to_aec_env."
            )


class _AECExport(_Export, AECEnv[Any, Any, Any]):
    agent_selection: Any

    def __init__(self, env: Any) -> None:
        super().__init__(env, is_parallelizable=False)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        episode = self._episode
        episode.reset(seed, options, unseen=True)
        self._skip_agent_selection = None
        self._actions: AgentDict = {}
        self._cumulative_rewards: dict[Any, float] = dict.fromkeys(episode.agents, 0)
        self.rewards: dict[Any, float] = dict.fromkeys(episode.agents, 0)
        self._idle_until_due()
        self._follow()

    def observe(self, agent: Any) -> Any:
        """What ``agent`` saw last; before it has seen anything, zeros."""
        seen = self._episode.seen
        return seen[agent] if agent in seen else create_zero_array(self.observation_space(agent))

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            if action is not None:
                raise EnvError(f"{self.metadata['name']}: {_DEAD_STEP_ERROR}, and {agent!r} is done; found {action!r}.")
            self._episode.drop(agent)
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0
        self._clear_rewards()
        self._actions[agent] = action
        if len(self._actions) < len(self._episode.due):
            self.agent_selection = self._episode.due[len(self._actions)]
        else:
            self._pay(self._episode.step(self._actions))
            self._actions = {}
            self._idle_until_due()
            self._follow()
        self._accumulate_rewards()
        self._deads_step_first()

    def _idle_until_due(self) -> None:
        """Let time pass while somebody lives and nobody is due."""
        episode = self._episode
        for _ in range(MAX_IDLE_STEPS):
            if episode.due or all(episode.done(agent) for agent in episode.agents):
                return
            self._pay(episode.step({}))
        raise EnvError(f"{self.metadata['name']}: nobody was due for {MAX_IDLE_STEPS} steps, and the episode did not end.")

    def _pay(self, rewards: AgentDict) -> None:
        for agent, reward in rewards.items():
            self.rewards[agent] = self.rewards.get(agent, 0) + reward

    def _follow(self) -> None:
        """PettingZoo's tables, each with exactly the agents of the list."""
        episode = self._episode
        self.agents = list(episode.agents)
        self.terminations = {agent: agent in episode.terminated for agent in self.agents}
        self.truncations = {agent: agent in episode.truncated for agent in self.agents}
        self.infos = {agent: episode.infos.get(agent, {}) for agent in self.agents}
        self.rewards = {agent: self.rewards.get(agent, 0) for agent in self.agents}
        self._cumulative_rewards = {agent: self._cumulative_rewards.get(agent, 0) for agent in self.agents}
        self.agent_selection = episode.due[0] if episode.due else self.agents[0]
