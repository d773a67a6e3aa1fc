"""Any game as a :class:`Crowd`: with everything that a learner may need of others, and a transcript of all that was said.

The global state is written into one and the same array at every call, as games do; critics' observations and scalar infos name
their agent, episode and call, so a row that holds somebody else's shows whose it was.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marl.players import RandomPolicy
from marl.policy import Discount, PolicySpec
from marl.router import Router
from marl.sampler import RolloutWorker
from marl.spaces import agent_spaces


@dataclass
class Said:
    """One call of ``reset`` (the first of an episode) or ``step``: what was given, and what came back."""

    actions: dict[Any, Any]
    observations: dict[Any, Any]
    rewards: dict[Any, Any] = field(default_factory=dict)
    terminateds: dict[Any, Any] = field(default_factory=dict)
    truncateds: dict[Any, Any] = field(default_factory=dict)
    infos: dict[Any, Any] = field(default_factory=dict)
    state: list[float] = field(default_factory=list)
    agents: list[Any] | None = None


class Crowd:
    """``env`` with a global state, critics' observations and the scalar infos ``speed`` and ``luck``; ``episodes`` is the transcript.

    Episodes are counted, or with ``by_seed`` numbered by their seeds, so that two objects say the same of one.
    """

    def __init__(self, env: Any, place: int = 0, *, by_seed: bool = False) -> None:
        self.env, self.place, self.by_seed = env, place, by_seed
        self.possible_agents = list(env.possible_agents)
        self.observation_spaces = {agent: agent_spaces(env, agent)[0] for agent in self.possible_agents}
        self.action_spaces = {agent: agent_spaces(env, agent)[1] for agent in self.possible_agents}
        self.episodes: list[list[Said]] = []
        self.num_looked_at = 0  # episodes that were begun only to look at the game
        self._state = np.zeros(3)

    def __getattr__(self, name: str) -> Any:
        if name in ("agents", "elapsed_ticks", "next_call_is_decision"):
            return getattr(self.env, name)
        raise AttributeError(name)

    def global_state(self) -> Any:
        return self._state

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observations, infos = self.env.reset(seed=seed, options=options)
        self.episodes.append([])
        self._number = (seed or 0) % 97 if self.by_seed else len(self.episodes) - 1 - self.num_looked_at
        return self._note({}, (observations, {}, {}, {}, infos))[::4]

    def step(self, actions: dict[Any, Any], /) -> Any:
        return self._note(actions, self.env.step(actions))

    def _note(self, actions: dict[Any, Any], said: Any) -> Any:
        observations, rewards, terminateds, truncateds, infos = said
        number, call = self._number, len(self.episodes[-1])
        self._state[:] = self.place, number, call
        infos = {agent: dict(info) for agent, info in infos.items()}
        named = [*observations, *(agent for table in (terminateds, truncateds) for agent in table if agent != "__all__")]
        for agent in dict.fromkeys(named):
            info = infos.setdefault(agent, {})
            whose = [self.place, number, self.possible_agents.index(agent), call]
            info["critic_obs"] = np.array([*whose, 0.0])
            if "final_observation" in info:
                info["final_critic_obs"] = np.array([*whose, 1.0])
        for index, agent in enumerate(self.possible_agents):
            if (call + index + number) % 3 == 0:
                infos.setdefault(agent, {})["speed"] = 100.0 * number + 10 * call + index
            if (call + index) % 5 == 0:
                infos.setdefault(agent, {})["luck"] = bool(call % 2)
        agents = getattr(self.env, "agents", None)
        kept = copy.deepcopy((actions, observations, rewards, terminateds, truncateds, infos, self._state.tolist(), agents))
        self.episodes[-1].append(Said(*kept))
        return observations, rewards, terminateds, truncateds, infos


def kinds_of(env: Any) -> dict[Any, str]:
    """Agent → a policy: agents of equal spaces are played by one."""
    found: list[Any] = []
    policy_of = {}
    for agent in env.possible_agents:
        both = agent_spaces(env, agent)
        if both not in found:
            found.append(both)
        policy_of[agent] = f"policy_{found.index(both)}"
    return policy_of


def worker_for(
    crowds: list[Crowd],
    needs: frozenset[str],
    *,
    info_keys: tuple[str, ...] = (),
    seed: int = 5,
    needy: tuple[str, ...] | None = None,
) -> RolloutWorker:
    """Random policies over copies ``crowds``; those of ``needy`` (None: all) have ``needs``."""
    policy_of = kinds_of(crowds[0])
    crowds[0].num_looked_at = int(bool({"global_state", "critic_obs"} & needs))  # only a beginning tells their shapes
    specs: dict[str, PolicySpec] = {}
    for agent, policy_id in policy_of.items():
        specs.setdefault(policy_id, PolicySpec(policy_id, *agent_spaces(crowds[0], agent)))
    return RolloutWorker(
        make_env=lambda index: crowds[index],
        envs_per_worker=len(crowds),
        router=Router(specs, mapping=policy_of),
        policies={policy_id: RandomPolicy(spec) for policy_id, spec in specs.items()},
        discounts=dict.fromkeys(specs, Discount()),
        needs=dict.fromkeys(specs if needy is None else needy, needs),
        info_keys=info_keys,
        seed=seed,
    )
