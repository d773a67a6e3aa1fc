"""What a learner needs of others: global state, critics' observations, joint columns, members of groups, infos.

Nothing here is written unless an algorithm's ``needs()`` or the run's ``infos`` name it. Columns that are observed ship their
value at the successor as ``bootstrap_<name>`` like any other.

Joint columns stand in ``possible_agents`` order. A living agent that is not due shows its last observation, ``joint_due``
false, action 0 and a mask that allows action 0 alone; an absent one zeros and ``joint_alive`` false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.errors import EnvError
from marl.ledger import TRUNCATED, Ints, Ledger
from marl.policy import ColumnSpec
from marl.spaces import ActionCodec, ObservationCodec, agent_spaces

JOINT_COLUMNS = ("joint_obs", "joint_actions", "joint_alive", "joint_due", "joint_action_mask")
MEMBER_OBSERVED = ("member_alive", "member_due")
MEMBER_PAID = ("member_rewards", "member_terminateds", "member_truncateds")
OPTIONAL_COLUMNS = ("global_state", "critic_obs", *JOINT_COLUMNS, *MEMBER_OBSERVED, *MEMBER_PAID)

MAX_IDLE_CALLS = 1000
_BOOL, _FLOAT32, _FLOAT64 = np.dtype(bool), np.dtype(np.float32), np.dtype(np.float64)


@dataclass(frozen=True)
class JointSlot:
    """Where one agent stands in the joint columns."""

    obs: slice
    actions: slice
    mask: slice
    first_choices: NDArray[np.int64]  # the mask places of every part's action 0


def joint_slots(env: Any) -> dict[Any, JointSlot]:
    """Agent → its place in the joint columns, in ``possible_agents`` order.

    Raises:
        EnvError: the environment has no closed set of agents.
    """
    agents = list(getattr(env, "possible_agents", ()))
    if not agents:
        raise EnvError(
            f"{type(env).__name__} has no possible_agents; joint columns need a closed set of agents. Use the environment's global_state()."
        )
    slots: dict[Any, JointSlot] = {}
    obs = actions = mask = 0
    for agent in agents:
        observation_space, action_space = agent_spaces(env, agent)
        observation, action = ObservationCodec(observation_space), ActionCodec(action_space)
        width = int(np.prod(observation.shape))
        columns = max(1, int(np.prod(action.shape)))
        first = np.array([mask + part.mask for part in action.parts if part.n], np.int64)
        slots[agent] = JointSlot(slice(obs, obs + width), slice(actions, actions + columns), slice(mask, mask + action.mask_size), first)
        obs, actions, mask = obs + width, actions + columns, mask + action.mask_size
    return slots


class _Joint:
    """The joint columns' current values in every copy."""

    def __init__(self, env: Any, num_copies: int) -> None:
        self.slots = list(joint_slots(env).values())
        last = self.slots[-1]
        self.obs = np.zeros((num_copies, last.obs.stop), np.float32)
        self.actions = np.zeros((num_copies, last.actions.stop), np.float32)
        self.mask = np.zeros((num_copies, last.mask.stop), bool)
        self.alive = np.zeros((num_copies, len(self.slots)), bool)
        self.due = np.zeros((num_copies, len(self.slots)), bool)

    def clear(self, envs: Any, slot: int) -> None:
        place = self.slots[slot]
        self.obs[envs, place.obs] = 0
        self.mask[envs, place.mask] = False
        self.alive[envs, slot] = self.due[envs, slot] = False

    def set(self, envs: Ints, slot: int, obs: NDArray[Any], mask: NDArray[Any] | bool, *, due: bool) -> None:
        place = self.slots[slot]
        self.obs[envs, place.obs] = obs
        self.mask[envs, place.mask] = mask
        self.alive[envs, slot] = True
        self.due[envs, slot] = due

    def rest(self, env: int) -> None:
        """Nobody of copy ``env`` is due until told."""
        self.due[env] = False
        self.mask[env] = False
        for slot, place in enumerate(self.slots):
            if self.alive[env, slot]:
                self.mask[env, place.first_choices] = True

    def columns(self, env: Any) -> dict[str, NDArray[Any]]:
        return {
            "joint_obs": self.obs[env],
            "joint_action_mask": self.mask[env],
            "joint_alive": self.alive[env],
            "joint_due": self.due[env],
        }


class Surroundings:
    """Writes the optional columns of one worker's dict environments.

    Attributes:
        active: something is written when observations come. ``joins``: joint columns are. ``sums``: something is
            written with what a step returned (infos, members' rewards).
    """

    def __init__(self, env: Any, num_copies: int, info_keys: Sequence[str]) -> None:
        self._env = env
        self._num_copies = num_copies
        self._info_keys = tuple(info_keys)
        self._joint: _Joint | None = None
        self._slot_of: dict[Any, int] = {}
        self._first_infos: Mapping[Any, Any] | None = None  # of an episode begun only to look at it
        self._first_state: NDArray[Any] | None = None
        self.global_state = False
        self._members = False
        self.active = bool(info_keys)
        self.sums = bool(info_keys)

    @property
    def joins(self) -> bool:
        return self._joint is not None

    def slot(self, agent: Any) -> int:
        """The agent's place in the joint columns; -1 where nobody asks for them.

        Raises:
            EnvError: the agent is not in ``possible_agents``, so it has none.
        """
        if self._joint is not None and agent not in self._slot_of:
            raise EnvError(
                f"agent {agent!r} is not in possible_agents ({', '.join(map(str, self._slot_of))}), so joint columns have no place for it; "
                "expected a closed set of agents. Use the environment's global_state()."
            )
        return self._slot_of.get(agent, -1)

    def columns_for(
        self, needs: frozenset[str], group_size: int, spare_env: Callable[[], AbstractContextManager[tuple[Any, int]]]
    ) -> tuple[dict[str, ColumnSpec], dict[str, ColumnSpec], dict[str, ColumnSpec]]:
        """``(observed, acted, paid)`` columns for a policy with these needs.

        Args:
            spare_env: lends ``(environment, seed)`` where only an episode's beginning can tell a column's shape.

        Raises:
            EnvError: the environment cannot give one of them.
        """
        observed: dict[str, ColumnSpec] = {}
        acted: dict[str, ColumnSpec] = {}
        paid: dict[str, ColumnSpec] = {f"infos/{key}": ((), _FLOAT64) for key in self._info_keys}
        stated = getattr(self._env, "global_state_space", None) or getattr(self._env, "state_space", None)
        unstated = "global_state" in needs and stated is None and self._first_state is None
        if unstated or ("critic_obs" in needs and self._first_infos is None):
            with spare_env() as (env, seed):
                self._first_infos = _first_infos(env, seed)
                if unstated:
                    self._first_state = np.array(read_global_state(env))
        if "global_state" in needs:
            like: Any = self._first_state if stated is None else stated
            observed["global_state"] = (tuple(like.shape), _FLOAT32 if np.dtype(like.dtype).kind == "f" else np.dtype(like.dtype))
            self.global_state = True
        if "critic_obs" in needs:
            assert self._first_infos is not None
            found = next((info["critic_obs"] for info in self._first_infos.values() if info and "critic_obs" in info), None)
            if found is None:
                raise EnvError(
                    f"{type(self._env).__name__} gave no infos[agent]['critic_obs'] with an episode's first observations, which an "
                    "algorithm of this run needs."
                )
            observed["critic_obs"] = (np.asarray(found).shape, _FLOAT32)
        if any(name in needs for name in JOINT_COLUMNS):
            if self._joint is None:
                self._joint = _Joint(self._env, self._num_copies)
                self._slot_of = {agent: at for at, agent in enumerate(self._env.possible_agents)}
            joint = self._joint
            shapes: dict[str, ColumnSpec] = {
                "joint_obs": ((joint.obs.shape[1],), _FLOAT32),
                "joint_action_mask": ((joint.mask.shape[1],), _BOOL),
                "joint_alive": ((len(joint.slots),), _BOOL),
                "joint_due": ((len(joint.slots),), _BOOL),
            }
            observed.update({name: spec for name, spec in shapes.items() if name in needs})
            if "joint_actions" in needs:
                acted["joint_actions"] = ((joint.actions.shape[1],), _FLOAT32)
        if any(name in needs for name in (*MEMBER_OBSERVED, *MEMBER_PAID)):
            observed.update(dict.fromkeys(MEMBER_OBSERVED, ((group_size,), _BOOL)))
            paid["member_rewards"] = ((group_size,), _FLOAT64)
            paid.update(dict.fromkeys(MEMBER_PAID[1:], ((group_size,), _BOOL)))
            self._members = self.sums = True
        self.active = self.active or bool(observed)
        return observed, acted, paid

    # ------------------------------------------------------------------ per row

    def write(
        self, ledger: Ledger, store: int, rows: slice, lives: Ints, infos: Sequence[Mapping[Any, Any] | None], states: Sequence[Any]
    ) -> None:
        """The columns beside observations at ``rows``: row i is of ``lives[i]``, whose info and copy's global state are given.

        An info of None: nothing will be looked up beside this observation, so zeros will do.
        """
        columns = ledger.stores[store].columns
        for key in self._info_keys:
            columns[f"infos/{key}"][rows] = np.nan
        if "global_state" in columns:
            for row, state in zip(range(rows.start, rows.stop), states, strict=True):
                columns["global_state"][row] = state
        for name in ("critic_obs", *MEMBER_OBSERVED):
            if name in columns:
                column = columns[name]
                for row, life, info in zip(range(rows.start, rows.stop), lives.tolist(), infos, strict=True):
                    column[row] = 0 if info is None else _given(info, name, ledger.lives.agent[life], column.shape[1:])

    def note_results(self, ledger: Ledger, results: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """What a step's infos say of rows that were open: ``(life, info)`` of every informed agent, before lives end."""
        table = ledger.lives
        for life, info in results:
            row = int(table.row[life])
            columns = ledger.stores[int(table.store[life])].columns
            for key in self._info_keys:
                if key in info:
                    columns[f"infos/{key}"][row] = _scalar(info[key], key, table.agent[life])
            if self._members and "member_rewards" in columns:
                columns["member_rewards"][row] += info["member_rewards"]
                columns["member_terminateds"][row] |= info["member_terminateds"]
                columns["member_truncateds"][row] |= info["member_truncateds"]

    # ------------------------------------------------------------------ joint columns

    def joint_ends(self, ledger: Ledger, ends: Sequence[tuple[int, int, int]], envs_over: set[int]) -> list[tuple[int, int]]:
        """Lives ended: ``(life, flag, final row or -1)``. Copies in ``envs_over`` get their final picture now.

        Returns the ``(life, final row)`` of the others, for :meth:`joint_finals` after the new observations.
        """
        joint = self._joint
        assert joint is not None
        table = ledger.lives
        later: list[tuple[int, int]] = []
        for life, flag, row in ends:
            env, slot = int(table.env[life]), int(table.slot[life])
            joint.clear(env, slot)
            if flag != TRUNCATED and row >= 0:  # nothing is looked up there
                self._joint_row(ledger, life, row, dict.fromkeys(JOINT_COLUMNS, 0))
            elif row >= 0:
                if env in envs_over:  # the picture is taken below, once all of the copy are known
                    mask = _final_mask(ledger, life, row, joint.slots[slot])
                    joint.set(np.array([env]), slot, _flat_observation(ledger, life, row), mask, due=False)
                else:
                    later.append((life, row))
        for life, flag, row in ends:
            env = int(table.env[life])
            if env in envs_over and flag == TRUNCATED and row >= 0:
                self._joint_row(ledger, life, row, joint.columns(env))
        for env in envs_over:
            for slot in range(len(joint.slots)):
                joint.clear(env, slot)
        return later

    def _joint_row(self, ledger: Ledger, life: int, row: int, picture: Mapping[str, Any]) -> None:
        columns = ledger.stores[int(ledger.lives.store[life])].columns
        for name, value in picture.items():
            if name in columns:
                columns[name][row] = value

    def joint_observe(self, ledger: Ledger, envs: Sequence[int], lives: Ints) -> None:
        """New observations of ``lives``; ``envs`` are the copies that this round advanced."""
        joint = self._joint
        assert joint is not None
        for env in envs:
            joint.rest(env)
        table = ledger.lives
        slots, stores, rows, of_env = table.slot[lives], table.store[lives], table.row[lives], table.env[lives]
        for slot in np.unique(slots).tolist():
            for store in np.unique(stores[slots == slot]).tolist():
                mine = (slots == slot) & (stores == store)
                columns = ledger.stores[store].columns
                mask = columns["action_mask"][rows[mine]] if "action_mask" in columns else True
                joint.set(of_env[mine], slot, _flat_rows(columns, rows[mine]), mask, due=True)
        for store in np.unique(stores).tolist():
            mine = stores == store
            columns = ledger.stores[store].columns
            for name, value in joint.columns(of_env[mine]).items():
                if name in columns:
                    columns[name][rows[mine]] = value

    def joint_finals(self, ledger: Ledger, finals: Sequence[tuple[int, int]]) -> None:
        """Final pictures of lives cut off while the episode goes on: the others' newest observations, one's own final one."""
        joint = self._joint
        assert joint is not None
        table = ledger.lives
        by_env: dict[int, list[tuple[int, int]]] = {}
        for life, row in finals:
            by_env.setdefault(int(table.env[life]), []).append((life, row))
        for env, cut in by_env.items():
            picture = {name: value.copy() for name, value in joint.columns(env).items()}
            for life, row in cut:
                slot = int(table.slot[life])
                place = joint.slots[slot]
                picture["joint_obs"][place.obs] = _flat_observation(ledger, life, row)
                picture["joint_action_mask"][place.mask] = _final_mask(ledger, life, row, place)
                picture["joint_alive"][slot] = True
                picture["joint_due"][slot] = False
            for life, row in cut:
                self._joint_row(ledger, life, row, picture)

    def forget(self, env: int) -> None:
        """The open episode of copy ``env`` was dropped: nobody is there any more."""
        if self._joint is not None:
            for slot in range(len(self._joint.slots)):
                self._joint.clear(env, slot)

    def recall(self, ledger: Ledger, env: int, lives: Mapping[Any, int], due: Iterable[Any]) -> None:
        """Take the joint picture of copy ``env`` from its open rows: its episode began before this was asked for, or was restored."""
        if self._joint is None:
            return
        self.forget(env)
        table, waiting = ledger.lives, set(due)
        for agent, life in lives.items():
            slot, row = self.slot(agent), int(table.row[life])
            table.slot[life] = slot
            mask: Any = False
            if agent in waiting:
                columns = ledger.stores[int(table.store[life])].columns
                mask = columns["action_mask"][row] if "action_mask" in columns else True
            place = np.array([env])
            self._joint.set(place, slot, _flat_observation(ledger, life, row), mask, due=agent in waiting)
            if agent not in waiting:
                self._joint.mask[env, self._joint.slots[slot].first_choices] = True

    def note_actions(self, ledger: Ledger, lives: Ints) -> None:
        """All due agents of a call have answered: write everybody's actions beside each of their rows."""
        joint = self._joint
        assert joint is not None
        table = ledger.lives
        slots, stores, rows, envs = table.slot[lives], table.store[lives], table.row[lives], table.env[lives]
        joint.actions[np.unique(envs)] = 0
        for slot in np.unique(slots).tolist():
            for store in np.unique(stores[slots == slot]).tolist():
                mine = (slots == slot) & (stores == store)
                actions = ledger.stores[store].columns["actions"][rows[mine]]
                joint.actions[envs[mine], joint.slots[slot].actions] = actions.reshape(len(actions), -1)
        for store in np.unique(stores).tolist():
            columns = ledger.stores[store].columns
            if "joint_actions" in columns:
                mine = stores == store
                columns["joint_actions"][rows[mine]] = joint.actions[envs[mine]]


def read_global_state(env: Any) -> Any:
    """``env.global_state()``, or ``env.state()`` where only that exists.

    Raises:
        EnvError: it has neither.
    """
    for name in ("global_state", "state"):
        method = getattr(env, name, None)
        if callable(method):
            return method()
    raise EnvError(f"{type(env).__name__} has neither global_state() nor state(), which an algorithm of this run needs.")


def _flat_rows(columns: Mapping[str, NDArray[Any]], rows: Any) -> NDArray[Any]:
    if "obs" in columns:
        block: NDArray[Any] = columns["obs"][rows]
        return block.reshape(len(block), -1)
    leaves = [columns[name][rows] for name in columns if name.startswith("obs/")]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def _flat_observation(ledger: Ledger, life: int, row: int) -> NDArray[Any]:
    columns = ledger.stores[int(ledger.lives.store[life])].columns
    flat: NDArray[Any] = _flat_rows(columns, np.array([row]))[0]
    return flat


def _final_mask(ledger: Ledger, life: int, row: int, place: JointSlot) -> NDArray[Any] | bool:
    """The mask beside a final observation; where it leaves some choice nothing (as PettingZoo's games give it), everything is allowed."""
    columns = ledger.stores[int(ledger.lives.store[life])].columns
    if "action_mask" not in columns or not len(place.first_choices):
        return True
    mask: NDArray[Any] = columns["action_mask"][row]
    each_choice = np.logical_or.reduceat(mask, place.first_choices - place.mask.start)
    return mask if each_choice.all() else True


def _first_infos(env: Any, seed: int) -> Mapping[Any, Any]:
    """The infos that come with an episode's first observations."""
    observations, infos = env.reset(seed=seed)
    for _ in range(MAX_IDLE_CALLS):
        if observations:
            break
        observations, _, terminateds, truncateds, infos = env.step({})
        if terminateds.get("__all__") or truncateds.get("__all__"):
            break
    return infos  # type: ignore[no-any-return]


def _given(info: Mapping[Any, Any], name: str, agent: Any, shape: tuple[int, ...]) -> Any:
    """``info[name]``, which must be there and of this shape."""
    if name not in info:
        raise EnvError(f"infos[{agent!r}] has no {name!r}, which an algorithm of this run needs with every observation.")
    value = info[name]
    if np.shape(value) != shape:
        raise EnvError(f"infos[{agent!r}][{name!r}] has shape {np.shape(value)}; expected {shape} as the first that was seen.")
    return value


def _scalar(value: Any, key: str, agent: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EnvError(
            f"infos[{agent!r}][{key!r}] is {value!r}; expected a number, since the run asks for it as a column (infos: [{key}])."
        ) from None
