"""A game that does whatever the contract allows: members that leave, come back, fall silent, are paid out of turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

AGENTS = ("a", "b", "c", "d", "e")

_CHOICE = spaces.Discrete(3)
_MIXED = spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)])
_MASKED = spaces.Dict({"observation": spaces.Box(-9, 9, (2,), np.float32), "action_mask": spaces.Box(0, 1, (3,), np.int8)})
_EXTRA = spaces.Dict(
    {
        "observations": spaces.Discrete(50, start=1),
        "extra": spaces.MultiBinary(2),
        "action_mask": spaces.Tuple([spaces.MultiBinary(2), spaces.Box(0, 1, (0,), np.int8)]),
    }
)


class RandomGame:
    """Five agents of four kinds; what happens is drawn from ``script`` alone, what is seen also from the actions."""

    def __init__(self, script: int, *, with_agents: bool = False, num_calls: int = 14, lasting: float = 0.85) -> None:
        self.script, self.num_calls, self.lasting = script, num_calls, lasting
        self.possible_agents = list(AGENTS)
        self.observation_spaces = {
            "a": _MASKED,
            "b": spaces.Box(1.0, 99.0, (3,), np.float64),
            "c": spaces.MultiDiscrete([50, 50]),
            "d": _EXTRA,
            "e": _MASKED,
        }
        self.action_spaces = {
            "a": _CHOICE,
            "b": spaces.Box(-1, 1, (1,), np.float32),
            "c": spaces.MultiDiscrete([2, 3]),
            "d": _MIXED,
            "e": _CHOICE,
        }
        self.elapsed_ticks, self.next_call_is_decision = 1, False
        self.received: list[Any] = []
        if with_agents:
            self.agents: list[Any] = []
        self.with_agents = with_agents

    def observe(self, agent: Any) -> Any:
        number = int(self.rng.integers(1, 8))
        mask = self.rng.random(3) < 0.5
        mask[number % 3] = True
        if agent in "ae":
            return {"observation": np.full(2, number, np.float32), "action_mask": mask.astype(np.int8)}
        if agent == "b":
            return np.full(3, number, np.float64)
        if agent == "c":
            return np.array([number, self.sum % 50])
        split = (np.array([number % 2, 1], np.int8), np.zeros(0, np.int8))
        return {"observations": np.int64(number), "extra": np.array([1, number % 2], np.int8), "action_mask": split}

    def info(self, agent: Any) -> dict[str, Any]:
        info: dict[str, Any] = {"note": int(self.rng.integers(99))}
        if agent == "c" and self.rng.random() < 0.5:
            info["action_mask"] = (np.array([True, False]), np.array([False, True, True]))
        if self.rng.random() < 0.3:
            info["parent"] = str(self.rng.choice(AGENTS))
        return info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.rng = np.random.default_rng([self.script, seed or 0])
        self.call, self.sum, self.received = 0, 0, []
        self.elapsed_ticks, self.next_call_is_decision = 1, False
        self.alive = {agent for agent in AGENTS if self.rng.random() < 0.6}
        self.seen = set(self.alive)
        self._tell_agents()
        present = [agent for agent in AGENTS if agent in self.alive]
        return {agent: self.observe(agent) for agent in present}, {agent: self.info(agent) for agent in present if self.rng.random() < 0.5}

    def step(self, actions: dict[Any, Any], /) -> Any:
        self.received.append({agent: _plain(action) for agent, action in actions.items()})
        self.sum += sum(int(np.sum(np.concatenate([np.ravel(part) for part in _parts(action)])) * 7) for action in actions.values())
        rng, self.call = self.rng, self.call + 1
        observations, rewards, terminateds, truncateds, infos = {}, {}, {}, {}, {}
        for agent in AGENTS:
            if rng.random() < 0.5:
                rewards[agent] = float(rng.integers(-3, 4))
            if rng.random() < 0.3:
                infos[agent] = self.info(agent)
            if agent in self.alive:
                if rng.random() > self.lasting:
                    self._end(agent, observations, terminateds, truncateds, infos)
                elif rng.random() < 0.7:
                    observations[agent] = self.observe(agent)
            elif rng.random() < 0.15:
                observations[agent] = self.observe(agent)
                self.alive.add(agent)
                self.seen.add(agent)
            elif rng.random() < 0.1 and agent in self.seen:
                (terminateds if rng.random() < 0.5 else truncateds)[agent] = True  # says again what is known
            if agent not in terminateds and rng.random() < 0.3:
                terminateds[agent] = False
        if rng.random() < 0.04 or self.call >= self.num_calls:
            (terminateds if rng.random() < 0.5 else truncateds)["__all__"] = True
            for agent in sorted(self.alive - set(observations)):
                if rng.random() < 0.5:
                    observations[agent] = self.observe(agent)
        self.elapsed_ticks, self.next_call_is_decision = int(rng.integers(3)), bool(rng.random() < 0.2)
        self._tell_agents()
        return observations, rewards, terminateds, truncateds, infos

    def _end(self, agent: Any, observations: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
        rng = self.rng
        (terminateds if rng.random() < 0.5 else truncateds)[agent] = True
        how = rng.random()
        if how < 0.5:
            observations[agent] = self.observe(agent)
        elif how < 0.85:
            infos[agent] = {**self.info(agent), "final_observation": self.observe(agent), "end_cause": "goal"}
        if 0.7 < how < 0.85:
            observations[agent] = self.observe(agent)  # and begins again at once
        else:
            self.alive.discard(agent)

    def _tell_agents(self) -> None:
        if self.with_agents:
            self.agents = [agent for agent in AGENTS if agent in self.alive]


def _parts(action: Any) -> list[Any]:
    return list(action) if isinstance(action, tuple) else [action]


def _plain(action: Any) -> Any:
    return [np.asarray(part).tolist() for part in _parts(action)]
