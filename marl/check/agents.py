"""What a check knows of an environment's agents: their spaces, and which ids are known at all."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from marl.check.report import Report
from marl.errors import EnvError, MarlError
from marl.spaces import ActionCodec, agent_spaces, has_mask, without_mask


@dataclass(frozen=True)
class AgentSpaces:
    """One agent's spaces, as they were when first asked for."""

    observation: Space[Any]
    action: Space[Any]
    codec: ActionCodec | None  # None: actions of this space cannot be played

    @property
    def masked(self) -> bool:
        return has_mask(self.observation)

    @property
    def inner(self) -> Space[Any]:
        return without_mask(self.observation)

    def legal_action(self, mask: NDArray[np.bool_] | None, rng: np.random.Generator) -> Any:
        """A random legal action in the environment's form; None where the space cannot be played."""
        if self.codec is None:
            return None
        return self.codec.to_env(self.codec.sample(1, rng, None if mask is None else mask[None]))[0]


class Agents:
    """The agents of one environment. Asking for the spaces of an agent for the first time reports what is wrong with them."""

    def __init__(self, env: Any, report: Report) -> None:
        self.env, self.report = env, report
        self.possible: tuple[Any, ...] = ()
        self._spaces: dict[Any, AgentSpaces | None] = {}
        try:
            self.possible = tuple(env.possible_agents)
        except (AttributeError, TypeError):
            seen = "no possible_agents" if not hasattr(env, "possible_agents") else f"possible_agents is {env.possible_agents!r}"
            report.add("missing-possible-agents", seen)
        if len(set(self.possible)) < len(self.possible):
            report.add("missing-possible-agents", f"an id twice: {list(self.possible)}")
        if "__all__" in self.possible:
            report.add("reserved-id", "'__all__' in possible_agents", expected="other ids")
        for agent in self.possible:
            self.spaces(agent)

    def spaces(self, agent: Any) -> AgentSpaces | None:
        """The agent's spaces, or None if there are none."""
        if agent not in self._spaces:
            self._spaces[agent] = self._ask(agent)
        return self._spaces[agent]

    def known(self, agent: Any) -> bool:
        return agent in self.possible or self.spaces(agent) is not None

    def _ask(self, agent: Any) -> AgentSpaces | None:
        try:
            observation, action = agent_spaces(self.env, agent)
        except Exception as error:  # a method of the user's, which may raise anything
            if agent in self.possible:
                what = str(error) if isinstance(error, EnvError) else f"{type(error).__name__}: {error}"
                self.report.add("missing-spaces", what.split(";")[0], agent=agent)
            return None
        wrong = [kind for kind, space in (("observation", observation), ("action", action)) if not isinstance(space, Space)]
        for kind in wrong:
            self.report.add(
                "missing-spaces", f"the {kind} space is a {type(observation if kind == 'observation' else action).__name__}", agent=agent
            )
        if wrong:
            return None
        try:
            codec = ActionCodec(action)
        except MarlError:
            self.report.add("unsupported-action-space", str(action), agent=agent)
            return AgentSpaces(copy.deepcopy(observation), copy.deepcopy(action), None)
        return AgentSpaces(copy.deepcopy(observation), copy.deepcopy(action), codec)

    def compare(self, episode: int) -> None:
        """Report the agents whose spaces are no longer what they were."""
        for agent, before in self._spaces.items():
            if before is None:
                continue
            try:
                observation, action = agent_spaces(self.env, agent)
            except Exception as error:  # the same method of the user's
                self.report.add("spaces-changed", f"none any more ({type(error).__name__})", agent=agent, step=0, episode=episode)
                continue
            for kind, old, new in (("observation", before.observation, observation), ("action", before.action, action)):
                if old != new:
                    self.report.add("spaces-changed", f"{kind} space {new}, before {old}", agent=agent, step=0, episode=episode, part=kind)
