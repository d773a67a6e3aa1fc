"""The oracle: who saw, who acted, who was paid for which act. Slow, on lists and dicts, and meant to be obviously right.

It knows DESIGN §3 (rules 1 to 5), §4 and §5 and nothing else: no numpy tricks, no batches, one agent at a time.
:func:`tell` drives an environment of its own, call by call, and returns its episodes, each with its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .histories import bare

Joint = dict[str, tuple[bool, list[float]]]
"""Everybody alive: whether it is due, and its last observation."""


@dataclass
class Row:
    """One decision."""

    agent: str
    life: int
    decision: int  # index in the life
    t: int  # tick of the decision since the episode's start
    obs: Any
    mask: Any
    action: int
    weights_version: int
    parent: tuple[str, int, int] | None  # (agent, life, decision) of the parent's row that was open when this life began
    rewards: float = 0.0
    rewards_discounted: float = 0.0
    env_steps: int = 0
    terminated: bool = False
    truncated: bool = False
    end_cause: str = "none"
    closed_at: int | None = None  # the call of the episode that closed it (1: the first step); None: it is still open
    successor: Any = None  # the observation that closed the row; the final one if the life ended; None: there is none
    bootstrap_valid: bool = True
    joint: Joint = field(default_factory=dict)  # everybody when the row opened
    joint_actions: dict[str, int] = field(default_factory=dict)
    joint_after: Joint | None = None  # everybody when the next observation closed the row


@dataclass
class Life:
    """A stay of an agent: its number, and how many decisions it made."""

    number: int
    parent: tuple[str, int, int] | None
    num_decisions: int = 0


@dataclass
class Episode:
    """One episode, told by ``begin``, then ``act`` and ``hear`` once a call, until ``over``."""

    possible: Sequence[str]
    gamma_of: Callable[[str], float]
    ticks: int = 0
    num_calls: int = 0
    over: bool = False
    rows: list[Row] = field(default_factory=list)  # in the order of their opening
    due: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # agent -> (observation, mask) that waits for an answer
    open: dict[str, Row] = field(default_factory=dict)  # agent -> its open row
    alive: dict[str, Life] = field(default_factory=dict)
    num_lives: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    returns: dict[str, float] = field(default_factory=dict)
    uncredited_reward: dict[str, float] = field(default_factory=dict)
    num_uncredited_rewards: dict[str, int] = field(default_factory=dict)

    def begin(self, observations: dict[str, Any], infos: dict[str, Any]) -> None:
        """What ``reset`` returned."""
        for agent, obs in observations.items():
            self._sees(agent, obs, infos.get(agent, {}))

    def look(self) -> Joint:
        """Everybody that is alive, between two calls (§5, the columns ``joint_*``)."""
        return {agent: (agent in self.due, self.due[agent][0] if agent in self.due else self.open[agent].obs) for agent in self.alive}

    def answer(self, actions: dict[str, int], weights_version: int = 0) -> None:
        """The answers of all due agents to one call."""
        joint = self.look()
        for agent, action in actions.items():
            self.act(agent, action, weights_version)
        for agent in actions:
            self.open[agent].joint, self.open[agent].joint_actions = joint, actions

    def act(self, agent: str, action: int, weights_version: int = 0) -> None:
        """A due agent's answer opens a row (§4.1)."""
        obs, mask = self.due.pop(agent)
        life = self.alive[agent]
        row = Row(agent, life.number, life.num_decisions, self.ticks, obs, mask, action, weights_version, life.parent)
        life.num_decisions += 1
        self.rows.append(row)
        self.open[agent] = row

    def hear(
        self,
        observations: dict[str, Any],
        rewards: dict[str, float],
        terminateds: dict[str, bool],
        truncateds: dict[str, bool],
        infos: dict[str, Any],
        elapsed_ticks: int,
        agents: Sequence[str] | None,
    ) -> None:
        """What ``step`` returned, with the attributes ``elapsed_ticks`` and ``agents`` (None: there is none)."""
        assert not self.due
        assert not self.over
        self.num_calls += 1
        # Rewards first, at the age that the rows had when the call began (§4.2, §4.5) …
        for agent, reward in rewards.items():
            self.returns[agent] = self.returns.get(agent, 0.0) + reward
            if agent in self.open:
                row = self.open[agent]
                row.rewards += reward
                row.rewards_discounted += self.gamma_of(agent) ** row.env_steps * reward
            else:
                self.uncredited_reward[agent] = self.uncredited_reward.get(agent, 0.0) + reward
                self.num_uncredited_rewards[agent] = self.num_uncredited_rewards.get(agent, 0) + 1
        # … then time (§4.1b) …
        self.ticks += elapsed_ticks
        for row in self.open.values():
            row.env_steps += elapsed_ticks
        # … then ends (§3.3, §3.4) …
        everyone = terminateds.get("__all__", False) or truncateds.get("__all__", False)
        own = {agent for agent in (*terminateds, *truncateds) if terminateds.get(agent) or truncateds.get(agent)} - {"__all__"}
        final = {}  # agents whose observation of this call is final
        for agent in observations:
            again = agent in own and not everyone and "final_observation" in infos.get(agent, {})
            if (agent in own or everyone) and not again:
                final[agent] = observations[agent]
        for agent in list(self.alive):
            if agent in own:
                terminated = bool(terminateds.get(agent, False))
            elif everyone:
                terminated = bool(terminateds.get("__all__", False))
            else:
                continue
            info = infos.get(agent, {})
            last = final.get(agent, info.get("final_observation"))
            self._ends(agent, terminated, last, info.get("end_cause"))
        self.seen |= set(final)
        # … then the observations that ask for an action (§3.1), the parents' decisions last of all that is read.
        continued = []
        for agent in observations:
            if agent in self.open and agent not in final:
                row = self.open.pop(agent)
                continued.append(row)
                row.closed_at, row.successor = self.num_calls, bare(observations[agent])
        for agent, obs in observations.items():
            if agent not in final:
                self._sees(agent, obs, infos.get(agent, {}))
        for row in continued:
            row.joint_after = self.look()
        # Who ends the episode (§3.3)?
        all_done = all(agent in self.seen and agent not in self.alive for agent in self.possible)
        self.over = everyone or (agents is not None and len(agents) == 0) or (all_done and not self.due)
        assert not (self.over and self.alive), f"DESIGN does not say how {sorted(self.alive)} ended"

    def _sees(self, agent: str, obs: Any, info: dict[str, Any]) -> None:
        self.seen.add(agent)
        if agent not in self.alive:
            parent = self.open.get(info.get("parent", ""))
            self.alive[agent] = Life(self.num_lives.get(agent, 0), (parent.agent, parent.life, parent.decision) if parent else None)
            self.num_lives[agent] = self.num_lives.get(agent, 0) + 1
        self.due[agent] = (bare(obs), mask_in(obs, info))

    def _ends(self, agent: str, terminated: bool, final_observation: Any, cause: str | None) -> None:
        row = self.open.pop(agent)
        row.closed_at = self.num_calls
        row.terminated, row.truncated = terminated, not terminated
        row.successor = None if final_observation is None else bare(final_observation)
        row.bootstrap_valid = terminated or final_observation is not None
        row.end_cause = cause or ("env_terminated" if terminated else "env_truncated")
        del self.alive[agent]


def mask_in(obs: Any, info: dict[str, Any]) -> list[bool] | None:
    mask = obs["action_mask"] if isinstance(obs, dict) and "action_mask" in obs else info.get("action_mask")
    return None if mask is None else [bool(bit) for bit in mask]


def tell(
    env: Any,
    num_calls: Sequence[int],
    choose: Callable[[Any], int],
    gamma_of: Callable[[str], float],
    version_at: Callable[[int, int], int] = lambda number, call: 0,
) -> list[Episode]:
    """Play an environment and write down its episodes: the k-th for ``num_calls[k]`` calls of ``step``.

    ``version_at(k, c)`` is the version of the weights that answered before the c-th call of episode k.
    """
    episodes = []
    for number, calls in enumerate(num_calls):
        episode = Episode(list(env.possible_agents), gamma_of)
        observations, infos = env.reset(seed=number)
        episode.begin(observations, infos)
        for call in range(1, calls + 1):
            actions = {agent: choose(observations[agent]) for agent in list(episode.due)}
            episode.answer(actions, version_at(number, call))
            observations, rewards, terminateds, truncateds, infos = env.step(actions)
            elapsed, agents = getattr(env, "elapsed_ticks", 1), getattr(env, "agents", None)
            episode.hear(observations, rewards, terminateds, truncateds, infos, elapsed, agents)
        episodes.append(episode)
    return episodes
