"""An environment that plays a script, for wrappers to stand around."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces


class Scripted:
    """Answers call k with ``answers[k]``: a dict of what differs from "nothing happened".

    Keys: obs, rewards, terminateds, truncateds, infos, ticks, decision (the next call is one).
    """

    metadata = {"render_fps": 4}

    def __init__(self, answers: list[dict[str, Any]], agents=("a", "b"), space=None, with_state=False):
        self.answers = answers
        self.possible_agents = list(agents)
        space = space or spaces.Box(-100.0, 100.0, (1,), np.float32)
        self.observation_spaces = dict.fromkeys(agents, space)
        self.action_spaces = {agent: spaces.Discrete(2) for agent in agents}
        self.call = 0
        self.seeds = []
        self.closed = False
        self.elapsed_ticks = 0
        self.next_call_is_decision = False
        if with_state:
            self.get_state = lambda: {"call": self.call}
            self.set_state = lambda state: setattr(self, "call", state["call"])

    def reset(self, *, seed=None, options=None):
        self.seeds.append((seed, options))
        self.call = 0
        answer = self.answers[0]
        self._tell(answer)
        return dict(answer.get("obs", {})), dict(answer.get("infos", {}))

    def step(self, actions):
        self.call += 1
        answer = self.answers[self.call]
        self._tell(answer)
        flags = [{"__all__": False, **answer.get(kind, {})} for kind in ("terminateds", "truncateds")]
        return dict(answer.get("obs", {})), dict(answer.get("rewards", {})), *flags, dict(answer.get("infos", {}))

    def render(self):
        frame = np.zeros((8, 8, 3), np.uint8)
        frame[:, : self.call + 1] = (255, 10 * self.call, 0)
        return frame

    def close(self):
        self.closed = True

    def _tell(self, answer):
        self.elapsed_ticks = answer.get("ticks", 1)
        self.next_call_is_decision = answer.get("decision", False)


def x(*numbers):
    """An observation ``float32 [n]``."""
    return np.array(numbers, np.float32)


def plain(value):
    """Arrays as lists, for comparisons."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value
