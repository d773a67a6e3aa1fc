"""The environment in which groups act as one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from marl.env import FORWARDED, ResetReturn, StepReturn
from marl.errors import EnvError, PolicyError
from marl.grouping.group import MISSING, BaseCall, Group, GroupEnd, make_groups, stated_space
from marl.lives import FINAL_OBSERVATION, Lives
from marl.spaces import agent_spaces


def with_agent_groups(
    env: Any,
    groups: Mapping[str, Sequence[Any]],
    obs_space: Space[Any] | None = None,
    act_space: Space[Any] | None = None,
) -> GroupedEnv:
    """``env`` with each group acting as one agent; agents in no group stay as they are.

    The observation of a group has one form, fixed here:

    * ``{"observations": (o_1, …, o_N), "action_mask": (m_1, …, m_N)}`` if any member's action has a choice in it (Discrete,
      MultiDiscrete, MultiBinary, or a Tuple or Dict of them). A mask of a member says what that member may do; of a member that
      is absent or not due it allows action 0 alone. A Box has an empty mask (its action is ignored then). A member's mask is one
      flat bool array, or nested as its action space is nested.
    * the tuple ``(o_1, …, o_N)`` if all members' actions are Boxes.

    ``o_i`` is the member's observation without its mask, or zeros (the nearest legal value where zero is out of bounds) if it is
    absent or not due.

    Args:
        env: any :class:`marl.env.MultiAgentEnv`.
        groups: group id → its members, in the order of the tuples. A group id is a new agent id.
        obs_space: Tuple space to state for the ``observations`` of every group; default: the members' own.
        act_space: Tuple space to state for the actions of every group; default: the members' own.

    Raises:
        ConfigError: an unknown member, an agent in two groups, a group named like an agent, an empty group, spaces that do
            not fit; all problems at once.
    """
    return GroupedEnv(env, groups, obs_space, act_space)


class GroupedEnv:
    """What :func:`with_agent_groups` returns.

    Attributes:
        env: the environment under the groups.
        groups: group id → tuple of its members.
        possible_agents: each group where its first member stood, and the agents in no group.
    """

    def __init__(
        self, env: Any, groups: Mapping[str, Sequence[Any]], obs_space: Space[Any] | None = None, act_space: Space[Any] | None = None
    ) -> None:
        self.env = env
        self._groups = make_groups(env, groups, obs_space, act_space)
        self.groups = {name: group.members for name, group in self._groups.items()}
        self._group_of = {member: name for name, members in self.groups.items() for member in members}
        self.possible_agents = list(dict.fromkeys(self._translate(agent) for agent in env.possible_agents))
        self.observation_spaces: dict[Any, Space[Any]] = {}
        self.action_spaces: dict[Any, Space[Any]] = {}
        for agent in self.possible_agents:
            if agent in self._groups:
                self.observation_spaces[agent] = stated_space(self._groups[agent], obs_space)
                self.action_spaces[agent] = act_space or spaces.Tuple([slot.action_space for slot in self._groups[agent].slots])
                continue
            try:
                self.observation_spaces[agent], self.action_spaces[agent] = agent_spaces(env, agent)
            except EnvError:
                continue  # given by its policy, or an error where it is first needed
        self._lives = Lives(env.possible_agents)
        self._due: frozenset[Any] = frozenset()

    # -- the contract

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        self._lives = Lives(self.env.possible_agents)
        for group in self._groups.values():
            group.reset()
        meaning = self._lives.begin(observations)
        out: StepReturn = ({}, {}, {}, {}, {})
        self._regroup(BaseCall(observations, {}, infos, meaning, frozenset(), frozenset(self._lives.alive)), out)
        return out[0], out[4]

    def step(self, actions: dict[Any, Any], /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(self._member_actions(actions))
        done_before = self._lives.done
        meaning = self._lives.follow(observations, terminateds, truncateds, infos, getattr(self.env, "agents", None))
        out: StepReturn = ({}, {}, not_grouped(terminateds, self._group_of), not_grouped(truncateds, self._group_of), {})
        self._regroup(BaseCall(observations, rewards, infos, meaning, done_before, frozenset(self._lives.alive)), out)
        return out

    def observation_space(self, agent: Any) -> Space[Any]:
        return self.observation_spaces[agent] if agent in self.observation_spaces else agent_spaces(self.env, agent)[0]

    def action_space(self, agent: Any) -> Space[Any]:
        return self.action_spaces[agent] if agent in self.action_spaces else agent_spaces(self.env, agent)[1]

    def close(self) -> None:
        close = getattr(self.env, "close", None)
        if close is not None:
            close()

    def with_agent_groups(
        self, groups: Mapping[str, list[Any]], obs_space: Space[Any] | None = None, act_space: Space[Any] | None = None
    ) -> GroupedEnv:
        """Groups of groups: see :func:`with_agent_groups`."""
        return with_agent_groups(self, groups, obs_space, act_space)

    def __getattr__(self, name: str) -> Any:
        """The optional members of the contract exist here exactly if they exist in the environment underneath."""
        if name == "env" or name not in (*FORWARDED, "get_state", "set_state"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = getattr(self.env, name)
        if name == "agents":
            return list(dict.fromkeys(self._translate(agent) for agent in value))
        if name == "discounts":
            return {self._translate(agent): discount for agent, discount in value.items()}
        if name in ("get_state", "set_state"):
            return getattr(self, f"_{name}")
        return value

    # -- actions in, observations out

    def _translate(self, agent: Any) -> Any:
        return self._group_of.get(agent, agent)

    def _member_actions(self, actions: Mapping[Any, Any]) -> dict[Any, Any]:
        """``actions`` with each group's tuple dealt out to its due members."""
        dealt: dict[Any, Any] = {}
        for agent, action in actions.items():
            group = self._groups.get(agent)
            if group is None:
                dealt[agent] = action
                continue
            try:
                given = len(action)
            except TypeError:
                given = -1
            if given != len(group.members):
                raise PolicyError(
                    f"the action of group {agent!r} is {action!r}; expected a tuple of {len(group.members)} actions, "
                    f"one for each of its members {list(group.members)} in this order."
                )
            dealt.update({member: action[index] for index, member in enumerate(group.members) if member in self._due})
        return dealt

    def _regroup(self, call: BaseCall, out: StepReturn) -> None:
        """Fill ``out`` with what the agents in no group were given, then with each group's view of the call."""
        observations, rewards, terminateds, truncateds, infos = out
        observations.update(not_grouped(call.observations, self._group_of))
        rewards.update(not_grouped(call.rewards, self._group_of))
        for agent, info in not_grouped(call.infos, self._group_of).items():
            grouped_parent = isinstance(info, Mapping) and _hashable(info.get("parent")) and info.get("parent") in self._group_of
            infos[agent] = {**info, "parent": self._group_of[info["parent"]], "parent_member": info["parent"]} if grouped_parent else info
        for name, group in self._groups.items():
            was_open = group.is_open
            end = group.take_ends(call)
            shown = {}
            for index, slot in enumerate(group.slots):
                if slot.agent in call.meaning.began:
                    group.cut_off.pop(index, None)
                if slot.agent in call.meaning.due:
                    shown[index] = slot.split(call.observations[slot.agent], call.infos.get(slot.agent))
            group.is_open = group.is_open or bool(shown)
            paid = any(member in call.rewards for member in group.members)
            named = paid or any(
                member in table for member in group.members for table in (call.observations, call.meaning.ended, call.infos)
            )
            if not (was_open or group.is_open or named):
                continue
            info = self._group_info(group, call)
            if paid:
                rewards[name] = sum(info["individual_rewards"])
            if end is not None:
                (terminateds if end.terminated else truncateds)[name] = True
                info.update(_end_info(group, end, call))
                if end.final is not MISSING:
                    if shown:
                        info[FINAL_OBSERVATION] = end.final
                    else:
                        observations[name] = end.final
            if shown:
                observations[name] = group.observation(shown)
                if end is not None or not was_open:
                    info.update(self._parent_info(group, call))
            infos[name] = info
        self._due = frozenset(call.meaning.due)

    def _group_info(self, group: Group, call: BaseCall) -> dict[str, Any]:
        ended, members = call.meaning.ended, group.members
        due = set(call.meaning.due)
        individual = [float(call.rewards.get(member, 0.0)) for member in members]
        return {
            "individual_rewards": individual,
            "member_alive": np.array([member in call.alive for member in members], bool),
            "member_due": np.array([member in due for member in members], bool),
            "member_rewards": np.array(individual, np.float64),
            "member_terminateds": np.array([ended.get(member) is True for member in members], bool),
            "member_truncateds": np.array([ended.get(member) is False for member in members], bool),
            "member_paid": np.array([member in call.rewards for member in members], bool),
            "member_infos": {member: call.infos[member] for member in members if member in call.infos},
            "member_observations": {
                member: call.observations[member] for member in members if member in call.observations and member not in due
            },
        }

    def _parent_info(self, group: Group, call: BaseCall) -> dict[str, Any]:
        """``{"parent": …}`` if the members that begin the group's life name one and the same."""
        named = [(call.infos.get(member) or {}).get("parent") for member in group.members if member in call.meaning.began]
        parents = {self._translate(parent) for parent in named if parent is not None}
        return {"parent": parents.pop()} if len(parents) == 1 else {}

    # -- the state of an open episode

    def _get_state(self) -> dict[str, Any]:
        lives = self._lives
        groups = [
            {
                "is_open": group.is_open,
                "any_truncated": group.any_truncated,
                "cut_off": [[index, None if shown is MISSING else list(shown)] for index, shown in group.cut_off.items()],
            }
            for group in self._groups.values()
        ]
        kept = {"alive": list(lives.alive), "seen": _in_order(lives.seen), "due": _in_order(self._due)}
        return {"env": self.env.get_state(), "lives": kept, "groups": groups}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.env.set_state(state["env"])
        kept = state["lives"]
        self._lives = Lives(self.env.possible_agents)
        self._lives.alive = dict.fromkeys(kept["alive"])
        self._lives.seen, self._due = set(kept["seen"]), frozenset(kept["due"])
        for group, saved in zip(self._groups.values(), state["groups"], strict=True):
            group.is_open, group.any_truncated = saved["is_open"], saved["any_truncated"]
            group.cut_off = {
                index: MISSING if shown is None else (shown[0], np.asarray(shown[1], bool)) for index, shown in saved["cut_off"]
            }


def not_grouped(table: Mapping[Any, Any], group_of: Mapping[Any, Any]) -> dict[Any, Any]:
    return {agent: value for agent, value in table.items() if agent not in group_of}


def _end_info(group: Group, end: GroupEnd, call: BaseCall) -> dict[str, Any]:
    """``final_member_alive``, and the ``end_cause`` of the members that ended the group in its own way, where they agree."""
    causes = {
        (call.infos.get(member) or {}).get("end_cause")
        for member in group.members
        if member in call.meaning.ended and call.meaning.ended[member] is end.terminated
    }
    info: dict[str, Any] = {"final_member_alive": end.futures}
    if len(causes) == 1 and None not in causes:
        info["end_cause"] = causes.pop()
    return info


def _in_order(agents: Any) -> list[Any]:
    return sorted(agents, key=str)


def _hashable(value: Any) -> bool:
    return isinstance(value, Hashable)
