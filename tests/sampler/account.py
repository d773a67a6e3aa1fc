"""What the optional columns must be: told from a transcript, one agent at a time, on lists and dicts.

It knows DESIGN §3 to §5 and §11 and nothing of the sampler. Observations are flattened by gymnasium itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten

from .crowd import Said

Slot = tuple[bool, bool, list[float], list[bool]]  # alive, due, flat observation, flat mask


@dataclass
class Moment:
    """What one agent's row says of everybody at one moment."""

    state: list[float]
    critic_obs: list[float] | None
    slots: list[Slot]
    member_alive: list[bool] | None = None
    member_due: list[bool] | None = None


@dataclass
class Row:
    """One decision, with what stands beside it."""

    agent: Any
    life: int
    decision: int
    now: Moment
    joint_actions: list[float]
    rewards: float = 0.0
    infos: dict[str, float] = field(default_factory=dict)
    member_rewards: list[float] | None = None
    member_terminateds: list[bool] | None = None
    member_truncateds: list[bool] | None = None
    closed: bool = False
    terminated: bool = False
    truncated: bool = False
    after: Moment | None = None  # at the successor; None: there is none


# ------------------------------------------------------------------ one agent's observation, mask and action as flat lists


def bare_space(space: Any) -> Any:
    """The observation space without the mask."""
    if isinstance(space, spaces.Dict) and "action_mask" in space.spaces:
        rest = {key: inner for key, inner in space.spaces.items() if key != "action_mask"}
        return next(iter(rest.values())) if len(rest) == 1 else spaces.Dict(rest)
    return space


def bare(space: Any, value: Any) -> Any:
    """The observation without the mask."""
    if isinstance(space, spaces.Dict) and "action_mask" in space.spaces:
        rest = {key: inner for key, inner in value.items() if key != "action_mask"}
        return next(iter(rest.values())) if len(rest) == 1 else rest
    return value


def flat_obs(space: Any, value: Any) -> list[float]:
    numbers: list[float] = np.asarray(flatten(bare_space(space), bare(space, value)), np.float64).reshape(-1).tolist()
    return numbers


def choices(space: Any) -> list[int]:
    """The sizes of all choices in an action, in order."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(n) for n in space.nvec.reshape(-1)]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    if isinstance(space, spaces.Dict):
        return [n for inner in space.spaces.values() for n in choices(inner)]
    if isinstance(space, spaces.Tuple):
        return [n for inner in space.spaces for n in choices(inner)]
    return []


def bits(mask: Any) -> list[bool]:
    """A mask in any form, read from left to right."""
    if isinstance(mask, dict):
        return [bit for part in mask.values() for bit in bits(part)]
    if isinstance(mask, (tuple, list)):
        return [bit for part in mask for bit in bits(part)]
    return [bool(bit) for bit in np.asarray(mask).reshape(-1)]


def mask_of(obs_space: Any, action_space: Any, observation: Any, info: Any) -> list[bool]:
    given = observation["action_mask"] if bare_space(obs_space) is not obs_space else (info or {}).get("action_mask")
    return [True] * sum(choices(action_space)) if given is None else bits(given)


def first_alone(space: Any) -> list[bool]:
    return [place == 0 for n in choices(space) for place in range(n)]


def flat_action(space: Any, action: Any) -> list[float]:
    """An action as a stored row: choices counted from 0."""
    if isinstance(space, spaces.Dict):
        return [number for key, inner in space.spaces.items() for number in flat_action(inner, action[key])]
    if isinstance(space, spaces.Tuple):
        return [number for key, inner in enumerate(space.spaces) for number in flat_action(inner, action[key])]
    start = getattr(space, "start", 0)
    numbers: list[float] = (np.asarray(action) - start).astype(np.float64).reshape(-1).tolist()
    return numbers


# ------------------------------------------------------------------ an episode


def account(said: list[Said], env: Any, groups: dict[Any, Any] | None = None) -> list[Row]:
    """The rows of an episode, in the order of their opening. Rows that nothing closed yet have ``closed`` False."""
    possible = env.possible_agents
    obs_spaces, action_spaces = env.observation_spaces, env.action_spaces
    groups = groups or {}
    rows: list[Row] = []
    alive: dict[Any, int] = {}  # agent -> its life
    shown: dict[Any, tuple[Any, Any]] = {}  # agent -> its last observation and info
    due: list[Any] = []
    open_row: dict[Any, Row] = {}
    lives: dict[Any, int] = {}
    decisions: dict[Any, int] = {}

    def slot(agent: Any, cut: dict[Any, tuple[Any, Any]]) -> Slot:
        if agent not in cut and agent not in alive:
            return False, False, [0.0] * len(flat_obs(obs_spaces[agent], _some(obs_spaces[agent]))), [False] * len(all_free(agent))
        observation, info = cut[agent] if agent in cut else shown[agent]
        flat = flat_obs(obs_spaces[agent], observation)
        if agent in cut:
            mask = mask_of(obs_spaces[agent], action_spaces[agent], observation, info)
            return True, False, flat, mask if _leaves_a_choice(action_spaces[agent], mask) else all_free(agent)
        if agent in due:
            return True, True, flat, mask_of(obs_spaces[agent], action_spaces[agent], observation, info)
        return True, False, flat, first_alone(action_spaces[agent])

    def all_free(agent: Any) -> list[bool]:
        return [True] * sum(choices(action_spaces[agent]))

    def moment(agent: Any, call: Said, info: Any, cut: dict[Any, tuple[Any, Any]], *, final: bool) -> Moment:
        critic = info.get("final_critic_obs", info.get("critic_obs")) if final else info.get("critic_obs")
        found = Moment(list(call.state), None if critic is None else list(critic), [slot(one, cut) for one in possible])
        if agent in groups:
            found.member_alive = list(info["final_member_alive"] if final else info["member_alive"])
            found.member_due = [False] * len(groups[agent]) if final else list(info["member_due"])
        return found

    for number, call in enumerate(said):
        infos = call.infos
        if number:
            # The due agents answered: their rows open with everybody's picture before the call.
            before = said[number - 1]
            assert set(call.actions) == set(due)
            joint = [x for one in possible for x in _acted(action_spaces[one], call.actions.get(one), one in call.actions)]
            for agent in due:
                row = Row(agent, alive[agent], decisions.get(agent, 0), moment(agent, before, shown[agent][1], {}, final=False), joint)
                decisions[agent] = row.decision + 1
                if agent in groups:
                    size = len(groups[agent])
                    row.member_rewards, row.member_terminateds, row.member_truncateds = [0.0] * size, [False] * size, [False] * size
                rows.append(row)
                open_row[agent] = row
            for agent, row in open_row.items():
                row.rewards += call.rewards.get(agent, 0.0)
                info = infos.get(agent, {})
                row.infos.update({key: float(info[key]) for key in ("speed", "luck") if key in info})
                if row.member_rewards is not None and "member_rewards" in info:
                    row.member_rewards = [a + b for a, b in zip(row.member_rewards, info["member_rewards"], strict=True)]
                    row.member_terminateds = [a or b for a, b in zip(row.member_terminateds, info["member_terminateds"], strict=True)]
                    row.member_truncateds = [a or b for a, b in zip(row.member_truncateds, info["member_truncateds"], strict=True)]
        # Ends.
        everyone = call.terminateds.get("__all__") or call.truncateds.get("__all__")
        own = {agent for table in (call.terminateds, call.truncateds) for agent, flag in table.items() if flag} - {"__all__"}
        final_obs = {}
        for agent, observation in call.observations.items():
            again = agent in own and not everyone and "final_observation" in infos.get(agent, {})
            if (agent in own or everyone) and not again:
                final_obs[agent] = observation
        ended: list[tuple[Any, Row, bool]] = []
        for agent in list(alive):
            if agent not in own and not everyone:
                continue
            flags = call.terminateds if agent in own else {agent: call.terminateds.get("__all__")}
            terminated = bool(flags.get(agent))
            del alive[agent]
            ended.append((agent, open_row.pop(agent), terminated))
        due = []
        # New observations.
        continued = []
        for agent, observation in call.observations.items():
            if agent in final_obs:
                continue
            if agent not in alive:
                alive[agent] = lives.get(agent, 0)
                lives[agent] = alive[agent] + 1
                decisions[agent] = 0
            shown[agent] = observation, infos.get(agent, {})
            due.append(agent)
            if agent in open_row:
                continued.append((agent, open_row.pop(agent)))
        # Pictures at the successors: of who goes on, and of who was cut off, with the final observations of all that were.
        cut = {}
        for agent, _, terminated in ended:
            info = infos.get(agent, {})
            final = final_obs.get(agent, info.get("final_observation"))
            if final is not None and not terminated:
                cut[agent] = (final, {} if agent in due else info)  # who begins again in this call has the new life's mask there
        for agent, row in continued:
            row.closed, row.after = True, moment(agent, call, infos[agent], {}, final=False)
        for agent, row, terminated in ended:
            row.closed, row.terminated, row.truncated = True, terminated, not terminated
            if agent in cut:
                row.after = moment(agent, call, infos[agent], cut, final=True)
    return rows


def _acted(space: Any, action: Any, acted: bool) -> list[float]:
    if acted:
        return flat_action(space, action)
    return [0.0] * len(flat_action(space, _some(space)))


def _leaves_a_choice(space: Any, mask: list[bool]) -> bool:
    place = 0
    for n in choices(space):
        if not any(mask[place : place + n]):
            return False
        place += n
    return True


def _some(space: Any) -> Any:
    """Any value of ``space``: only its form is looked at."""
    return space.sample()
