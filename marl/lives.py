"""Who lives, who is due and when an episode ends: rules 1, 3 and 4 of the environment's contract, in plain Python.

An agent's *life* begins with its first observation and ends with its termination, its truncation or the episode's end; it may have
several. One :class:`Lives` follows one episode call by call and says what each call meant. The sampler has a faster form of the
same rules; this one is what grouping and ``check_env`` use, and what can be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

ALL = "__all__"
FINAL_OBSERVATION = "final_observation"


@dataclass(frozen=True)
class CallMeaning:
    """What one ``reset`` or ``step`` said, by the contract.

    Attributes:
        due: agents that must act at the next ``step``, in the order of the observations.
        began: those of ``due`` whose life this observation begins.
        ended: agents whose life this call ended → True if terminated, False if truncated (and agents whose first observation
            was final: they had no life, and are done all the same).
        finals: the final observations of those of ``ended`` that were given one.
        over: the episode has ended.
    """

    due: tuple[Any, ...]
    began: tuple[Any, ...]
    ended: dict[Any, bool] = field(default_factory=dict)
    finals: dict[Any, Any] = field(default_factory=dict)
    over: bool = False


class Lives:
    """The lives of one episode.

    Attributes:
        alive: agents with an open life, in order of their beginning.
        seen: agents that were observed so far.
    """

    def __init__(self, possible_agents: Collection[Any]) -> None:
        self.possible_agents = tuple(possible_agents)
        self.alive: dict[Any, None] = {}
        self.seen: set[Any] = set()

    @property
    def done(self) -> frozenset[Any]:
        """Agents that were observed and have no open life."""
        return frozenset(self.seen.difference(self.alive))

    def begin(self, observations: Mapping[Any, Any]) -> CallMeaning:
        """Take what ``reset`` returned."""
        self.alive = dict.fromkeys(observations)
        self.seen = set(observations)
        return CallMeaning(due=tuple(observations), began=tuple(observations))

    def follow(
        self,
        observations: Mapping[Any, Any],
        terminateds: Mapping[Any, Any],
        truncateds: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        live_agents: Collection[Any] | None = None,
    ) -> CallMeaning:
        """Take what ``step`` returned; ``live_agents`` is the environment's attribute ``agents`` (None: it has none).

        A flag of an agent's own beats ``__all__``; terminated beats truncated. An observation with an end is final, unless
        ``infos[agent]["final_observation"]`` is given beside it: then that is the final one and the observation begins a new life.
        """
        all_terminated, all_truncated = bool(terminateds.get(ALL)), bool(truncateds.get(ALL))
        over = all_terminated or all_truncated or (live_agents is not None and len(live_agents) == 0)

        flagged = {agent: True for agent, flag in terminateds.items() if flag and agent != ALL}
        for agent, flag in truncateds.items():
            if flag and agent != ALL:
                flagged.setdefault(agent, False)
        newly_seen = [agent for agent in observations if agent not in self.seen]
        ended = {agent: terminated for agent, terminated in flagged.items() if agent in self.alive or agent in newly_seen}
        if over:
            for agent in self.alive:
                ended.setdefault(agent, all_terminated)

        due = () if over else tuple(agent for agent in observations if agent not in flagged or _has_final(infos.get(agent)))
        finals: dict[Any, Any] = {}
        for agent in ended:
            if agent in observations and agent not in due:
                finals[agent] = observations[agent]
            elif _has_final(infos.get(agent)):
                finals[agent] = infos[agent][FINAL_OBSERVATION]

        for agent in ended:
            self.alive.pop(agent, None)
        began = tuple(agent for agent in due if agent not in self.alive)
        self.seen.update(observations)
        self.alive.update(dict.fromkeys(began))

        if not over and not due and self.possible_agents:
            over = all(agent in self.seen and agent not in self.alive for agent in self.possible_agents)
            if over:
                ended.update(dict.fromkeys(self.alive, False))  # ids outside possible_agents that fell silent
                self.alive.clear()
        return CallMeaning(due, began, ended, finals, over)


def _has_final(info: Any) -> bool:
    return bool(info) and FINAL_OBSERVATION in info
