"""ObservationFunction: every agent's observation made from all living agents' last observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gymnasium import Space, spaces

from marl.env import AgentDict, ResetReturn, StepReturn
from marl.errors import EnvError, Problem
from marl.spaces import agent_spaces
from marl.wrappers.base import Wrapper, refuse
from marl.wrappers.importing import importable, imported
from marl.wrappers.observing import FINAL, kept, payload_key

ViewFunction = Callable[[dict[Any, Any]], Mapping[Any, Any]]


class ObservationFunction(Wrapper):
    """What RLlib calls an observation function: ``function({living agent: last observation}) -> {agent: new observation}``.

    The function sees observations without their masks, and must answer for every agent that is due; what it answers
    for others is dropped. Masks stay as they are. An agent that is alive but not due shows what it
    saw last; whether it is due is not told. For a final observation the world is asked once more as it was at that
    moment: all that lived until then, each with its last or final observation.

    Args:
        env: the inner environment.
        function: the function, or its name ``"module:name"``.
        observation_spaces: the new spaces without masks: one for all, a dict by agent, a function
            ``(agent, inner space) -> space`` or the name of any of these; None: the inner ones.
    """

    def __init__(self, env: Any, function: ViewFunction | str, observation_spaces: Any = None) -> None:
        refuse(self.check_options(function, observation_spaces))
        super().__init__(env)
        self._function: ViewFunction = imported(function) if isinstance(function, str) else function
        self._new_spaces = imported(observation_spaces) if isinstance(observation_spaces, str) else observation_spaces
        self._known: dict[Any, tuple[Space[Any], str | None]] = {}
        self._last: dict[Any, Any] = {}  # of every living agent, without masks
        for agent in env.possible_agents:
            self.observation_space(agent)

    @staticmethod
    def check_options(function: ViewFunction | str, observation_spaces: Any = None) -> list[Problem]:
        """Every problem of the options."""
        problems = []
        if not callable(function):
            problems += importable("function", function)
        if isinstance(observation_spaces, str):
            problems += importable("observation_spaces", observation_spaces)
        elif not (observation_spaces is None or isinstance(observation_spaces, (Space, Mapping)) or callable(observation_spaces)):
            mend = "must be a space, a dict of spaces by agent, a function (agent, space) -> space, or its name module:name"
            problems.append(Problem("observation_spaces", f"is {observation_spaces!r}", mend))
        return problems

    # ------------------------------------------------------------------ the protocol

    @property
    def observation_spaces(self) -> dict[Any, Space[Any]]:  # type: ignore[override]  # made from the function's
        """``{agent: new space}`` of ``possible_agents``, masks included."""
        return {agent: self.observation_space(agent) for agent in self.env.possible_agents}

    def observation_space(self, agent: Any) -> Space[Any]:
        """The new observation space of ``agent``, its mask included."""
        return self._look_up(agent)[0]

    def action_space(self, agent: Any) -> Space[Any]:
        """The inner action space of ``agent``."""
        return agent_spaces(self.env, agent)[1]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        observations, infos = self.env.reset(seed=seed, options=options)
        self._last = {agent: kept(self._payload(agent, seen)) for agent, seen in observations.items()}
        return self._viewed(observations, self._last), infos

    def step(self, actions: AgentDict, /) -> StepReturn:
        observations, rewards, terminateds, truncateds, infos = self.env.step(actions)
        over = bool(terminateds.get("__all__") or truncateds.get("__all__"))
        ended = {agent for flags in (terminateds, truncateds) for agent, flag in flags.items() if flag and agent != "__all__"}
        in_infos = {agent: info[FINAL] for agent, info in infos.items() if info and info.get(FINAL) is not None}
        reborn = {} if over else {agent: observations[agent] for agent in in_infos if agent in observations and agent in ended}
        now = {agent: seen for agent, seen in observations.items() if agent not in reborn}  # who lived until this moment
        world = {**self._last, **{agent: kept(self._payload(agent, seen)) for agent, seen in now.items()}}
        finals = dict(now) if over else {agent: seen for agent, seen in now.items() if agent in ended}

        viewed: AgentDict = {}
        if finals:
            viewed.update(self._viewed(finals, world))
        if in_infos:
            at_the_end = {**world, **{agent: self._payload(agent, seen) for agent, seen in in_infos.items()}}
            new_finals = self._viewed(in_infos, at_the_end)
            infos = {**infos, **{agent: {**infos[agent], FINAL: seen} for agent, seen in new_finals.items()}}
        self._last = {agent: seen for agent, seen in world.items() if agent not in ended and not over}
        self._last |= {agent: kept(self._payload(agent, seen)) for agent, seen in reborn.items()}
        due = {agent: seen for agent, seen in observations.items() if agent not in finals}
        if due:
            viewed.update(self._viewed(due, self._last))
        ordered = {agent: viewed[agent] for agent in observations}
        return ordered, rewards, terminateds, truncateds, infos

    def own_state(self) -> dict[str, Any]:
        return {"agents": list(self._last), "last": list(self._last.values())}

    def set_own_state(self, state: dict[str, Any]) -> None:
        self._last = dict(zip(state["agents"], state["last"], strict=True))

    # ------------------------------------------------------------------ one view

    def _viewed(self, observations: Mapping[Any, Any], world: dict[Any, Any]) -> AgentDict:
        """The new observations of the agents of ``observations``, masks put back, as the function sees ``world``."""
        answer = self._function(dict(world))
        missing = [agent for agent in observations if agent not in answer]
        if missing:
            name = getattr(self._function, "__qualname__", repr(self._function))
            raise EnvError(f"observation function {name}: no observation for {missing}; it must answer for every agent that is due.")
        viewed = {}
        for agent, seen in observations.items():
            key = self._look_up(agent)[1]
            viewed[agent] = answer[agent] if key is None else {**seen, key: answer[agent]}
        return viewed

    def _payload(self, agent: Any, observation: Any) -> Any:
        key = self._look_up(agent)[1]
        return observation if key is None else observation[key]

    def _look_up(self, agent: Any) -> tuple[Space[Any], str | None]:
        known = self._known.get(agent)
        if known is None:
            inner = agent_spaces(self.env, agent)[0]
            key = payload_key(inner)
            if key is None:
                known = (self._new_space(agent, inner), None)
            else:
                assert isinstance(inner, spaces.Dict)
                known = (spaces.Dict({**inner.spaces, key: self._new_space(agent, inner.spaces[key])}), key)
            self._known[agent] = known
        return known

    def _new_space(self, agent: Any, inner: Space[Any]) -> Space[Any]:
        new = self._new_spaces
        if new is None:
            return inner
        if isinstance(new, Space):
            return new
        try:
            space = new[agent] if isinstance(new, Mapping) else new(agent, inner)
        except KeyError:
            raise EnvError(f"observation function: observation_spaces has no entry for {agent!r}; it has {list(new)}.") from None
        if not isinstance(space, Space):
            raise EnvError(f"observation function: the observation space of {agent!r} is {space!r}, which is no gymnasium space.")
        return space
