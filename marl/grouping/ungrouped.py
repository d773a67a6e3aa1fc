"""The way back: the members again, read from what their groups say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import Space

from marl.env import FORWARDED, ResetReturn, StepReturn
from marl.errors import ConfigError, Problem
from marl.grouping.blanks import blank
from marl.grouping.grouped import GroupedEnv, not_grouped
from marl.spaces import MASK_KEY, agent_spaces


def ungroup(env: GroupedEnv) -> UngroupedEnv:
    """The environment under the groups, rebuilt from what the groups say: grouping, then this, is the identity.

    Flags come back in their meaning: an agent that ``__all__`` ended has its own flag, a repeated flag of a done agent is gone.
    """
    if not isinstance(env, GroupedEnv):
        raise ConfigError(
            [Problem("ungroup", f"{type(env).__name__} is not a grouped environment", "pass what with_agent_groups returned")]
        )
    return UngroupedEnv(env)


class UngroupedEnv:
    """What :func:`ungroup` returns: the members again, read from their groups' observations, actions and infos."""

    def __init__(self, grouped: GroupedEnv) -> None:
        self.env = grouped
        self.possible_agents = list(grouped.env.possible_agents)
        self._due: frozenset[Any] = frozenset()

    def observation_space(self, agent: Any) -> Space[Any]:
        return agent_spaces(self.env.env, agent)[0]

    def action_space(self, agent: Any) -> Space[Any]:
        return agent_spaces(self.env.env, agent)[1]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        observations, _, _, _, infos = self._members(observations, {}, {}, {}, infos)
        return observations, infos

    def step(self, actions: dict[Any, Any], /) -> StepReturn:
        grouped: dict[Any, Any] = {}
        taken: set[Any] = set()
        for group in self.env._groups.values():
            acting = [member for member in group.members if member in actions]
            if acting:
                taken.update(acting)
                grouped[group.name] = tuple(
                    actions[slot.agent] if slot.agent in actions else blank(slot.action_space) for slot in group.slots
                )
        grouped.update({agent: action for agent, action in actions.items() if agent not in taken})
        return self._members(*self.env.step(grouped))

    def close(self) -> None:
        self.env.close()

    def __getattr__(self, name: str) -> Any:
        if name == "env" or name not in (*FORWARDED, "get_state", "set_state"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.env.env if name in ("agents", "discounts") else self.env, name)

    def _members(
        self,
        observations: dict[Any, Any],
        rewards: dict[Any, Any],
        terminateds: dict[Any, Any],
        truncateds: dict[Any, Any],
        infos: dict[Any, Any],
    ) -> StepReturn:
        groups = self.env._groups
        observations, infos = dict(observations), dict(infos)
        rewards, terminateds, truncateds = (not_grouped(table, groups) for table in (rewards, terminateds, truncateds))
        for agent, info in infos.items():
            if isinstance(info, Mapping) and "parent_member" in info:
                infos[agent] = {key: value for key, value in info.items() if key != "parent_member"} | {"parent": info["parent_member"]}
        for name, group in groups.items():
            shown, info = observations.pop(name, None), infos.pop(name, None)
            if info is None:
                continue
            parts, masks = (shown["observations"], shown[MASK_KEY]) if group.with_masks and shown is not None else (shown, None)
            for index, slot in enumerate(group.slots):
                if info["member_due"][index]:
                    assert parts is not None
                    observations[slot.agent] = slot.join(parts[index], None if masks is None else masks[index])
                if info["member_paid"][index]:
                    rewards[slot.agent] = info["individual_rewards"][index]
                if info["member_terminateds"][index]:
                    terminateds[slot.agent] = True
                if info["member_truncateds"][index]:
                    truncateds[slot.agent] = True
            observations.update(info["member_observations"])
            infos.update(info["member_infos"])
        return observations, rewards, terminateds, truncateds, infos
