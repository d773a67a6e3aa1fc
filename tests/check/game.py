"""A small game that keeps every rule of the contract and uses most of it; faults are planted in it one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

PLAIN = spaces.Box(-1.0, 1.0, (2,), np.float32)
MASKED = spaces.Dict({"observation": PLAIN, "action_mask": spaces.Box(0, 1, (3,), np.int8)})


class Game:
    """Three agents, eight calls. ``a`` acts always, ``b`` leaves at step 3 and is back at 5, ``m`` has a mask and is silent at 4.

    Step 2 collects a decision (no tick). At step 6 ``b`` is cut off; at step 8 everybody is. ``tamper`` is where faults go in.
    """

    def __init__(self) -> None:
        self.possible_agents: Any = ["a", "b", "m"]
        self.observation_spaces: Any = {"a": PLAIN, "b": PLAIN, "m": MASKED}
        self.action_spaces: Any = {"a": spaces.Discrete(3), "b": spaces.Box(-1, 1, (2,), np.float32), "m": spaces.Discrete(3)}
        self.global_state_space: Any = spaces.Box(0, 8, (1,), np.float32)
        self.elapsed_ticks: Any = 1
        self.next_call_is_decision = False
        self.t = 0

    def global_state(self) -> Any:
        return np.array([self.t], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.rng, self.t = np.random.default_rng(seed), 0
        self.elapsed_ticks, self.next_call_is_decision = 1, False
        out: list[Any] = [{"a": self.see(), "b": self.see(), "m": self.see_masked()}, {}, {}, {}, {"a": {"critic_obs": np.zeros(3)}}]
        self.tamper(0, *out)
        return out[0], out[4]

    def step(self, actions: Any, /) -> Any:
        assert all(self.action_spaces[agent].contains(action) for agent, action in actions.items())
        assert set(actions) == self.acting()
        self.t += 1
        t = self.t
        self.elapsed_ticks, self.next_call_is_decision = int(t != 2), t == 1
        observations: dict[Any, Any] = {"a": self.see()}
        rewards: dict[Any, Any] = {"b": 1.0, "m": np.float32(0.5), "a": float(actions["a"])}
        terminateds: dict[Any, Any] = {"b": t == 3, "__all__": False}
        truncateds: dict[Any, Any] = {"b": np.bool_(t == 6), "__all__": t == 8}
        infos: dict[Any, Any] = {"a": {"critic_obs": np.full(3, t)}, "b": {"parent": "a", "end_cause": "goal"}, "__common__": 3}
        if t not in (3, 4, 7, 8):
            observations["b"] = self.see()
        if t == 6:
            infos["b"]["final_observation"] = observations.pop("b")
        if t != 4:
            observations["m"] = self.see_masked()
        self.tamper(t, observations, rewards, terminateds, truncateds, infos)
        return observations, rewards, terminateds, truncateds, infos

    def acting(self) -> set[str]:
        return {"a"} | ({"b"} if self.t not in (3, 4, 6, 7) else set()) | ({"m"} if self.t != 4 else set())

    def see(self) -> Any:
        return self.rng.uniform(-1, 1, 2).astype(np.float32)

    def see_masked(self) -> Any:
        return {"observation": self.see(), "action_mask": np.array([1, self.t % 2, 0], np.int8)}

    def tamper(self, t: int, observations: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any) -> None:
        """Nothing is wrong here."""
