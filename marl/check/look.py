"""What one call said, value by value: is each what the contract says?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.check.agents import Agents
from marl.check.report import Report
from marl.check.values import kind_of, leaves, misfits, signature
from marl.env import END_CAUSES
from marl.errors import MarlError
from marl.lives import ALL, FINAL_OBSERVATION, Lives
from marl.spaces import MASK_KEY, OBSERVATION_KEYS, split_mask

_COMMON_INFO = "__common__"  # RLlib's key for infos of no agent


class Look:
    """Looks at the values of one episode, and reports what is wrong, at ``step``.

    Attributes:
        step: the call that is looked at; 0 is the reset.
        lives: who lives; kept up to date by the walk.
        masks: the usable masks of the agents that are due, flat; the walk clears them before each call.
    """

    def __init__(self, env: Any, agents: Agents, report: Report, episode: int) -> None:
        self.env, self.agents, self.report, self.episode = env, agents, report, episode
        self.step = 0
        self.lives = Lives(agents.possible)
        self.masks: dict[Any, NDArray[np.bool_]] = {}
        self._shapes: dict[Any, Any] = {}

    def add(
        self,
        rule: str,
        seen: str,
        *,
        agent: Any = None,
        expected: str | None = None,
        mend: str | None = None,
        part: Any = None,
        step: int | None = None,
    ) -> None:
        """Report at this step (or another)."""
        step = self.step if step is None else step
        self.report.add(rule, seen, agent=agent, step=step, episode=self.episode, expected=expected, mend=mend, part=part)

    def heard_of(self, agent: Any) -> bool:
        """Whether the id is one that the environment named before."""
        return self.agents.known(agent) or agent in self.lives.seen

    # -- observations and masks

    def observation(self, agent: Any, observation: Any, info: Mapping[Any, Any], *, due: bool, which: str = "") -> None:
        """An observation of ``agent`` with its mask, and the final observation in its info. ``which`` begins what is reported."""
        spaces = self.agents.spaces(agent)
        if spaces is None:
            if agent not in self.agents.possible:
                self.add("observation-unknown-agent", f"an observation for {agent!r}", agent=agent)
            return
        space, mask = spaces.observation, info.get(MASK_KEY)
        if spaces.masked and isinstance(observation, Mapping) and MASK_KEY in observation:
            if any(key in observation for key in OBSERVATION_KEYS):
                space = spaces.inner
                observation, mask = split_mask(observation)
        for misfit in misfits(space, observation):
            rule, part = f"observation-{misfit.kind}", (which, misfit.path)
            self.add(rule, f"{which}{misfit.seen}", agent=agent, expected=misfit.expected, part=part)
        if mask is not None and not which:
            self.mask(agent, mask, due)
        if FINAL_OBSERVATION in info:
            self.observation(agent, info[FINAL_OBSERVATION], {}, due=False, which="final_observation: ")

    def mask(self, agent: Any, mask: Any, due: bool) -> None:
        """A mask; of an agent that is not due only its form counts."""
        spaces = self.agents.spaces(agent)
        if spaces is None or spaces.codec is None:
            return
        arrays = list(leaves(mask)) or [np.asarray(mask)]
        kinds = {str(array.dtype) for array in arrays if array.size and array.dtype.kind not in "biu"}
        if kinds:
            self.add("mask-dtype", f"a mask of {', '.join(sorted(kinds))}", agent=agent)
        elif any(((array != 0) & (array != 1)).any() for array in arrays):
            values = sorted({int(value) for array in arrays for value in array.reshape(-1)})
            self.add("mask-values", f"a mask with {values}", agent=agent)
        try:
            flat = spaces.codec.flat_mask(mask)
        except (MarlError, TypeError, ValueError, KeyError, IndexError):
            seen = f"{sum(array.size for array in arrays)} entries in {len(arrays)} array{'s' if len(arrays) != 1 else ''}"
            self.add("mask-size", seen, agent=agent, expected=f"{spaces.codec.mask_size} entries for {spaces.action}")
            return
        blocked = spaces.codec.blocked_part(flat)
        if due and blocked is not None:
            path = "/".join(map(str, spaces.codec.parts[blocked].path))
            self.add("mask-all-zero", "no legal action" + (f" at {path!r}" if path else ""), agent=agent)
        elif due:
            self.masks[agent] = flat

    # -- rewards, infos, states

    def reward(self, agent: Any, reward: Any) -> None:
        if not self.heard_of(agent):
            self.add("reward-unknown-agent", f"a reward for {agent!r}", agent=agent)
        number = reward.item() if isinstance(reward, np.ndarray) and reward.ndim == 0 else reward
        if not isinstance(number, (int, float, np.integer, np.floating)):
            self.add("reward-not-a-number", kind_of(reward), agent=agent)
        elif not np.isfinite(number):
            self.add("reward-not-finite", str(number), agent=agent)

    def info(self, agent: Any, info: Any) -> None:
        if agent in (ALL, _COMMON_INFO):
            return
        if not self.heard_of(agent):
            self.add("info-unknown-agent", f"an info for {agent!r}", agent=agent)
        if not isinstance(info, Mapping):
            self.add("info-not-dict", kind_of(info), agent=agent)
            return
        if "end_cause" in info and info["end_cause"] not in END_CAUSES[1:]:
            self.add("info-end-cause", repr(info["end_cause"]), agent=agent)
        parent = info.get("parent")
        if parent is not None and not (among(parent, self.agents.possible) or among(parent, self.lives.seen)):
            self.add("info-parent", repr(parent), agent=agent)
        if "critic_obs" in info:
            self._same_shape("critic-obs-shape", agent, info["critic_obs"])

    def global_state(self) -> None:
        ask = getattr(self.env, "global_state", None) or getattr(self.env, "state", None)
        if not callable(ask):
            return
        try:
            state = ask()
        except NotImplementedError:  # PettingZoo's base class has the method without a body
            return
        except Exception as error:  # whatever it raises is the finding
            self.report.add_traceback(error)
            self.add("global-state-raised", f"{type(error).__name__}: {error}")
            return
        self._same_shape("global-state-shape", None, state)
        space = getattr(self.env, "global_state_space", None) or getattr(self.env, "state_space", None)
        if space is not None:
            for misfit in misfits(space, state):
                part = (misfit.kind, misfit.path)
                self.add("global-state-space", f"{misfit.kind}: {misfit.seen}", expected=misfit.expected, part=part)

    def _same_shape(self, rule: str, agent: Any, value: Any) -> None:
        shape = signature(value)
        first = self._shapes.setdefault((rule, agent), shape)
        if shape != first:
            self.add(rule, f"shape {shape}", agent=agent, expected=f"{first}, as at first")


def among(value: Any, ids: Any) -> bool:
    """``value in ids``, False for what cannot be an id."""
    try:
        return value in ids
    except (TypeError, ValueError):
        return False
