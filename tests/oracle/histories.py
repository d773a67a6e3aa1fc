"""Life histories as data, an environment that plays them, and a generator that makes them up.

A :class:`World` is everything that the copies of one environment will do: its episodes, call by call. It prints as
Python that makes it again, so a failing history is its own reproducer. :class:`ScriptedEnv` plays a world and
watches its player: it must be asked in the right order, with exactly the due agents, each giving the action
that belongs to *its* observation.

Observations are ``[copy, episode, agent, call, kind]`` (kind 0: asks for an action, 1: final), so a row that
holds somebody else's observation shows whose it was.

:func:`world_from_bytes` reads a history from plain bytes. Byte 0 is the simplest answer everywhere, so
hypothesis shrinks a failing history to a small one by shrinking the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

NUM_ACTIONS = 5
NAMES = (*(f"a{number}" for number in range(12)), "x", "ghost")
"""Every id that a generated history may use; ``x`` stands outside ``possible_agents``, ``ghost`` in it but never comes."""
CAUSES = ("goal", "clock", "parent", "abnormal", "env_terminated", "env_truncated")


class _Compact:
    """A repr that names only what differs from the default, and is Python."""

    def __repr__(self) -> str:
        said = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(said)})"


@dataclass(frozen=True, repr=False)
class Call(_Compact):
    """What one call returns. The first call of an episode is ``reset`` (only ``sees``, ``parent`` and ``decision_next`` count there)."""

    sees: tuple[str, ...] = ()  # ordinary observations: these agents are due next
    pays: tuple[tuple[str, float], ...] = ()
    terminated: tuple[str, ...] = ()  # own flags, "__all__" among them
    truncated: tuple[str, ...] = ()
    final_in_obs: tuple[str, ...] = ()
    final_in_infos: tuple[str, ...] = ()
    cause: tuple[tuple[str, str], ...] = ()  # infos[agent]["end_cause"]
    parent: tuple[tuple[str, str], ...] = ()  # infos[agent]["parent"]
    elapsed: int = 1
    agents: tuple[str, ...] = ("somebody",)  # the attribute ``agents`` after this call, where the world has it


@dataclass(frozen=True, repr=False)
class World(_Compact):
    """What an environment does: copy ``c`` plays ``episodes[(c + k) % len(episodes)]`` as its k-th episode."""

    possible: tuple[str, ...] = ("a0",)
    episodes: tuple[tuple[Call, ...], ...] = ()
    masks: str = ""  # "", "observation" or "observations" (a dict observation with that key), "infos"
    has_ticks: bool = False  # elapsed_ticks and next_call_is_decision exist
    has_agents: bool = False  # the attribute ``agents`` exists
    says_false: bool = False  # flags that are False are written out
    tagged: bool = False  # rewards carry their copy and episode
    form: str = ""  # of an observation: "" float32 [5], "dict" (two leaves), "uint8" [5, 1]
    wide_odd: bool = False  # agents of odd number see two numbers more
    reuses_dicts: bool = False  # the dicts that step returns are the same objects at every call

    def episode(self, copy: int, number: int) -> tuple[Call, ...]:
        return self.episodes[(copy + number) % len(self.episodes)]

    def reward(self, base: float, copy: int, number: int) -> float:
        return base + (16.0 * copy + 4.0 * number if self.tagged else 0.0)


def is_odd(agent: str) -> bool:
    return agent[-1] in "13579"


def code(copy: int, episode: int, agent: str, call: int, final: bool) -> NDArray[np.float32]:
    """The observation that says whose it is and when it was given."""
    index = NAMES.index(agent) if agent in NAMES else 20 + sum(map(ord, agent)) % 89
    return np.array([copy, episode, index, call, float(final)], dtype=np.float32)


def bare(obs: Any) -> list[float]:
    """An observation in any of its forms, without its mask, as a list of numbers."""
    if isinstance(obs, dict) and "action_mask" in obs:
        obs = obs["observation" if "observation" in obs else "observations"]
    if isinstance(obs, dict):
        return bare(obs["by"]) + bare(obs["when"])
    numbers: list[float] = np.asarray(obs, np.float64).reshape(-1).tolist()
    return numbers


def answer(obs: Any) -> int:
    """The one right action for an observation."""
    copy, episode, agent, call, final = (int(number) for number in bare(obs)[:5])
    assert not final, "a player was asked to act on a final observation"
    return (copy + 2 * episode + 3 * agent + call) % NUM_ACTIONS


def player(obs: Any, info: Any, rng: Any) -> int:
    """A scripted player: an action that is a function of the observation alone."""
    return answer(obs)


def mask_of(obs: Any) -> NDArray[np.int8]:
    """A mask that allows the right action and some others; all zeros on a final observation, as PettingZoo's games give."""
    numbers = [int(number) for number in bare(obs)[:5]]
    if numbers[4]:
        return np.zeros(NUM_ACTIONS, dtype=np.int8)
    mask = np.array([(sum(numbers) >> place) & 1 for place in range(NUM_ACTIONS)], dtype=np.int8)
    mask[answer(obs)] = 1
    return mask


class ScriptedEnv:
    """Plays a :class:`World` as a ``MultiAgentEnv`` and complains about any wrong move of its caller.

    ``calls`` holds, per episode begun, the number of ``step`` calls made; ``paid`` what each agent was paid;
    ``ticks`` the elapsed ticks of each call.
    """

    metadata: dict[str, Any] = {}

    def __init__(self, world: World, copy: int = 0) -> None:
        self.world, self.copy = world, copy
        self.possible_agents = list(world.possible)
        self.observation_spaces = {agent: self.observation_space(agent) for agent in world.possible}
        self.action_spaces = {agent: self.action_space(agent) for agent in world.possible}
        self.calls: list[int] = []
        self.paid: list[dict[str, float]] = []
        self.ticks: list[list[int]] = []
        self.seeds: list[int | None] = []
        self.num_answers = 0
        self._returned: tuple[dict[Any, Any], ...] = ({}, {}, {}, {}, {})
        self.due: dict[str, int] = {}
        self._script: tuple[Call, ...] = ()

    def observation_space(self, agent: str) -> Space[Any]:
        width = 7 if self.world.wide_odd and is_odd(agent) else 5
        space: Space[Any] = spaces.Box(-1e6, 1e6, (width,), np.float32)
        if self.world.form == "dict":
            space = spaces.Dict({"by": spaces.Box(-1e6, 1e6, (3,), np.float32), "when": spaces.Box(-1e6, 1e6, (width - 3,), np.float32)})
        if self.world.form == "uint8":
            space = spaces.Box(0, 255, (width, 1), np.uint8)
        if self.world.masks in ("observation", "observations"):
            return spaces.Dict({self.world.masks: space, "action_mask": spaces.Box(0, 1, (NUM_ACTIONS,), np.int8)})
        return space

    def action_space(self, agent: str) -> Space[Any]:
        return spaces.Discrete(NUM_ACTIONS)

    def close(self) -> None:
        pass

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[Any, Any], dict[Any, Any]]:
        if self.calls:
            assert self.calls[-1] == len(self._script) - 1, f"reset in the middle of an episode, after call {self.calls[-1]}"
        self.seeds.append(seed)
        self.calls.append(0)
        self.paid.append({})
        self.ticks.append([])
        self._script = self.world.episode(self.copy, len(self.calls) - 1)
        observations, infos = self._show(self._script[0])
        return observations, infos

    def step(self, actions: dict[Any, Any], /) -> tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any], dict[Any, Any], dict[Any, Any]]:
        assert self.calls[-1] < len(self._script) - 1, "stepped after the episode's end"
        given = {agent: int(action) for agent, action in actions.items()}
        assert given == self.due, (
            f"copy {self.copy}, episode {len(self.calls) - 1}, call {self.calls[-1] + 1}: due {self.due}, given {given}"
        )
        self.num_answers += len(given)
        self.calls[-1] += 1
        call = self._script[self.calls[-1]]
        observations, infos = self._show(call)
        rewards = {agent: self.world.reward(base, self.copy, len(self.calls) - 1) for agent, base in call.pays}
        for agent, reward in rewards.items():
            self.paid[-1][agent] = self.paid[-1].get(agent, 0.0) + reward
        self.ticks[-1].append(call.elapsed)
        named = [*observations, *rewards] if self.world.says_false else []
        terminateds = {**dict.fromkeys(named, False), **dict.fromkeys(call.terminated, True)}
        truncateds = {**dict.fromkeys(named, False), **dict.fromkeys(call.truncated, True)}
        if self.world.says_false:
            terminateds.setdefault("__all__", False)
            truncateds.setdefault("__all__", False)
        if not self.world.reuses_dicts:
            return observations, rewards, terminateds, truncateds, infos
        for kept, new in zip(self._returned, (observations, rewards, terminateds, truncateds, infos), strict=True):
            kept.clear()
            kept.update(new)
        return self._returned  # type: ignore[return-value]

    def _show(self, call: Call) -> tuple[dict[Any, Any], dict[Any, Any]]:
        observations: dict[Any, Any] = {}
        infos: dict[Any, dict[str, Any]] = {}
        for agent in (*call.sees, *call.final_in_obs):
            observations[agent] = self._observation(agent, agent in call.final_in_obs)
            if self.world.masks == "infos":
                infos.setdefault(agent, {})["action_mask"] = mask_of(observations[agent])
        for agent in call.final_in_infos:
            infos.setdefault(agent, {})["final_observation"] = self._observation(agent, True)
        for agent, cause in call.cause:
            infos.setdefault(agent, {})["end_cause"] = cause
        for agent, parent in call.parent:
            infos.setdefault(agent, {})["parent"] = parent
        self.due = {agent: answer(observations[agent]) for agent in call.sees}
        if self.world.has_ticks:
            self.elapsed_ticks = call.elapsed
            place = self.calls[-1] + 1
            self.next_call_is_decision = place < len(self._script) and self._script[place].elapsed == 0
        if self.world.has_agents:
            self.agents = list(call.agents)
        return observations, infos

    def _observation(self, agent: str, final: bool) -> Any:
        numbers = code(self.copy, len(self.calls) - 1, agent, self.calls[-1], final)
        if self.world.wide_odd and is_odd(agent):
            numbers = np.append(numbers, np.array([7, 9], np.float32))
        obs: Any = numbers
        if self.world.form == "dict":
            obs = {"by": numbers[:3], "when": numbers[3:]}
        if self.world.form == "uint8":
            obs = numbers.astype(np.uint8)[:, None]
        if self.world.masks in ("observation", "observations"):
            return {self.world.masks: obs, "action_mask": mask_of(numbers)}
        return obs


# --- the generator -------------------------------------------------------------------------------------------------

SIMULTANEOUS, TURNS, WILD, STEADY = 0, 1, 2, 3
#                       see silent terminate truncate both respawn
ALIVE_WEIGHTS = {SIMULTANEOUS: (16, 0, 1, 1, 1, 1), TURNS: (16, 0, 1, 1, 1, 1), WILD: (6, 6, 1, 2, 1, 2), STEADY: (90, 3, 1, 1, 1, 1)}
#                       nothing, see, flag without observation, final observation at once
AWAY_WEIGHTS = {SIMULTANEOUS: (9, 2, 1, 1), TURNS: (12, 2, 1, 1), WILD: (6, 3, 1, 1), STEADY: (4, 2, 1, 1)}
PAYS = (None, 1.0, 1.0, -1.0, 0.25, 2.0, None, 0.0)


class Choices:
    """Bytes read as small decisions. When they run out, every answer is 0: the simplest."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def below(self, bound: int) -> int:
        byte = self._data[self._place] if self._place < len(self._data) else 0
        self._place += 1
        return byte % bound

    def weighted(self, weights: Sequence[int]) -> int:
        number = self.below(sum(weights))
        for index, weight in enumerate(weights):
            number -= weight
            if number < 0:
                return index
        raise AssertionError


def world_from_bytes(data: bytes) -> World:
    """A world read from bytes: any kind of game, with 1 to 3 different episodes of 1 to 9 calls."""
    choose = Choices(data)
    crowded = choose.below(6) == 5
    possible = list(NAMES[: 1 + choose.below(12 if crowded else 4)])
    style = choose.below(4)
    outside = choose.below(4) == 3
    ghost = choose.below(3) == 2
    options, shape = choose.below(16), choose.below(24)
    masks = ("", "", "", "observation", "observations", "infos")[choose.below(6)]
    num_episodes = 1 + choose.below(3)
    has_ticks, has_agents, says_false, tagged = (bool(options & bit) for bit in (1, 2, 4, 8))
    known = tuple(possible + (["ghost"] if ghost else []))
    actors = possible + (["x"] if outside else [])
    episodes = tuple(_episode(choose, style, actors, known, has_ticks, has_agents) for _ in range(num_episodes))
    form = ("", "", "", "", "dict", "uint8")[shape // 4]
    return World(known, episodes, masks, has_ticks, has_agents, says_false, tagged, form, bool(shape & 1), bool(shape & 2))


def _episode(
    choose: Choices, style: int, actors: list[str], possible: tuple[str, ...], has_ticks: bool, has_agents: bool
) -> tuple[Call, ...]:
    num_calls = 1 + choose.below(16 if style == STEADY else 9)
    first = _reset_call(choose, style, actors)
    alive, seen, calls = set(first.sees), set(first.sees), [first]
    for number in range(1, num_calls + 1):
        draft = _middle_call(choose, style, actors, possible, alive, seen, number)
        if number == num_calls:
            draft = _last_call(choose, actors, possible, alive, seen, has_agents)
        ended = {*draft.terminated, *draft.truncated}
        alive = (alive - ended) | set(draft.sees)
        seen |= set(draft.sees) | set(draft.final_in_obs)
        if number < num_calls and alive and not draft.sees and seen >= set(possible) and not alive & set(possible):
            # Only ids outside possible_agents live and none of them is due: let them be seen, so that the episode plainly goes on.
            draft = _replace(draft, sees=tuple(sorted(alive)))
        over = number == num_calls or (not draft.sees and not alive and seen >= set(possible))
        ticks = (1, 0, 1, 0, 2, 3, 1, 1)[choose.below(8)] if has_ticks else 1
        if over and not any(call.elapsed for call in calls[1:]):
            ticks = max(ticks, 1)  # an episode without a tick would never fill a fragment
        attribute = () if over else tuple(sorted(alive)) or ("somebody",)
        calls.append(_replace(draft, elapsed=ticks, agents=attribute))
        if over:
            break
    return tuple(calls)


def _replace(call: Call, **changes: Any) -> Call:
    return Call(**{**{f.name: getattr(call, f.name) for f in fields(call)}, **changes})


def _reset_call(choose: Choices, style: int, actors: list[str]) -> Call:
    if style == TURNS:
        return Call(sees=(actors[choose.below(len(actors))],))
    odds = 2 if style == WILD else 8
    return Call(sees=tuple(agent for agent in actors if choose.below(odds) != odds - 1))


def _pays(choose: Choices, actors: list[str]) -> tuple[tuple[str, float], ...]:
    order = actors[::-1] if choose.below(2) else actors
    drawn = [(agent, PAYS[choose.below(len(PAYS))]) for agent in order]
    return tuple((agent, pay) for agent, pay in drawn if pay is not None)


def _cause(choose: Choices, agent: str) -> tuple[tuple[str, str], ...]:
    number = choose.below(12)
    return ((agent, CAUSES[number - 6]),) if number >= 6 else ()


def _middle_call(
    choose: Choices, style: int, actors: list[str], possible: tuple[str, ...], alive: set[str], seen: set[str], number: int
) -> Call:
    sees: list[str] = []
    terminated: list[str] = []
    truncated: list[str] = []
    in_obs: list[str] = []
    in_infos: list[str] = []
    newborn: list[str] = []
    causes: tuple[tuple[str, str], ...] = ()
    for index, agent in enumerate(actors):
        if agent in alive:
            event = choose.weighted(ALIVE_WEIGHTS[style])
            if event == 0 and style == TURNS and number % len(actors) != index:
                event = 1
            if event == 0:
                sees.append(agent)
            if event >= 2:
                if event in (2, 4):
                    terminated.append(agent)
                if event in (3, 4):
                    truncated.append(agent)
                causes += _cause(choose, agent)
            if event == 5:
                (terminated if choose.below(2) else truncated).append(agent)
                in_infos.append(agent)
                sees.append(agent)
            elif event >= 2:
                _place_final(choose, agent, in_obs, in_infos)
        else:
            event = choose.weighted(AWAY_WEIGHTS[style])
            if event == 1:
                sees.append(agent)
                newborn.append(agent)
            # A flag for a possible agent that was never observed leaves open whether it was "seen and is done".
            if event == 2 and (agent in seen or agent not in possible or "ghost" in possible):
                (terminated if choose.below(2) else truncated).append(agent)
            if event == 3:
                (terminated if choose.below(2) else truncated).append(agent)
                in_obs.append(agent)
    if choose.below(6) == 5:
        sees.reverse()  # in another order than at the last call
    waiting = [agent for agent in actors if agent in alive and agent not in (*sees, *terminated, *truncated)]
    parents = tuple((agent, waiting[0]) for agent in newborn if waiting and choose.below(2))
    return Call(
        tuple(sees), _pays(choose, actors), tuple(terminated), tuple(truncated), tuple(in_obs), tuple(in_infos), causes, parents
    )  # fmt: skip


def _place_final(choose: Choices, agent: str, in_obs: list[str], in_infos: list[str]) -> None:
    place = choose.below(3)
    if place == 0:
        in_obs.append(agent)
    if place == 1:
        in_infos.append(agent)


def _last_call(choose: Choices, actors: list[str], possible: tuple[str, ...], alive: set[str], seen: set[str], has_agents: bool) -> Call:
    how = choose.below(5)  # 0..2: by __all__; 3: by an empty ``agents``; 4: everybody possible was seen and is done
    if how == 3 and not has_agents:
        how = 4
    if how == 4 and "ghost" in possible:
        how = 0
    terminated = ["__all__"] if how in (0, 2) else []
    truncated = ["__all__"] if how in (1, 2) else []
    in_obs: list[str] = []
    in_infos: list[str] = []
    causes: tuple[tuple[str, str], ...] = ()
    for agent in actors:
        flags = choose.below(4)
        if agent in alive:
            if flags == 0 and how >= 3:
                flags = 1
            _place_final(choose, agent, in_obs, in_infos)
            causes += _cause(choose, agent)
        elif how == 4 and agent not in seen:
            flags = 1 + flags % 2
            in_obs.append(agent)
        elif how <= 2 and flags == 3:
            in_obs.append(agent)  # an agent that comes with the end of everything: its observation is final
            flags = 0
        else:
            flags = 0
        if flags in (1, 3):
            terminated.append(agent)
        if flags in (2, 3):
            truncated.append(agent)
    return Call((), _pays(choose, actors), tuple(terminated), tuple(truncated), tuple(in_obs), tuple(in_infos), causes)
