"""The reward ledger: who decided what, and what each decision earned.

A *row* is one decision. It opens when its agent observes, is answered by :meth:`Ledger.act`, takes every reward that
arrives for the agent while it is open, and closes when the agent's next observation arrives or its life ends. The
ledger is fed by ``begin / observe / act / pay / end`` and emptied by ``ship``; it knows no environment.

A row stores only its data, its life and its opening tick. Flags, counts and the ends of pieces are derived when rows ship, by one
stable sort. Rows stand in a :class:`Store`, one for every layout of columns; lives in one table for all.

Within one moment of an environment's time the order of calls is: ``pay`` (the step's rewards), then the clock, then ``end``, then
``observe``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from marl.batch import SampleBatch
from marl.env import END_CAUSES
from marl.errors import EnvError
from marl.policy import ColumnSpec, Discount

Ints = NDArray[np.int64]

ALIVE, TERMINATED, TRUNCATED = 0, 1, 2
_MIN_ROWS = 256
_CAUSE_OF_FLAG = {TERMINATED: END_CAUSES.index("env_terminated"), TRUNCATED: END_CAUSES.index("env_truncated")}


@dataclass(frozen=True)
class Layout:
    """The columns of a store, by the moment at which they are written.

    ``observed`` columns (obs, action_mask, recurrent_state_in, …) are written when a row opens, and their value at a piece's
    successor ships as ``bootstrap_<name>``; ``acted`` ones with the answer; ``paid`` ones are sums that grow while
    the row is open.
    """

    observed: Mapping[str, ColumnSpec]
    acted: Mapping[str, ColumnSpec]
    paid: Mapping[str, ColumnSpec] = field(default_factory=dict)


class Store:
    """Rows of one layout: columns that are there already and grow by doubling."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.used = 0
        self.capacity = _MIN_ROWS
        self.columns: dict[str, NDArray[Any]] = {
            name: np.zeros((self.capacity, *shape), dtype)
            for group in (layout.observed, layout.acted, layout.paid)
            for name, (shape, dtype) in group.items()
        }
        self.columns["rewards"] = np.zeros(self.capacity)
        self.life = np.zeros(self.capacity, np.int64)
        self.tick = np.zeros(self.capacity, np.int64)
        self.acted = np.zeros(self.capacity, bool)
        self.version = np.zeros(self.capacity, np.int32)
        self._sums = ("rewards", *layout.paid)

    def allocate(self, lives: Ints, ticks: Any) -> slice:
        """Fresh rows for ``lives`` [k], opened at ``ticks`` [k]; sums start at zero."""
        start, stop = self.used, self.used + len(lives)
        if stop > self.capacity:
            self._grow(stop)
        self.used = stop
        rows = slice(start, stop)
        self.life[rows] = lives
        self.tick[rows] = ticks
        self.acted[rows] = False
        for name in self._sums:
            self.columns[name][rows] = 0
        return rows

    def add_observed(self, name: str, spec: ColumnSpec, fill: Any) -> None:
        """A further observed column; rows that are there already hold ``fill``."""
        shape, dtype = spec
        self.layout = Layout({**self.layout.observed, name: spec}, self.layout.acted, self.layout.paid)
        self.columns[name] = np.full((self.capacity, *shape), fill, dtype)

    def _grow(self, needed: int) -> None:
        self.capacity = max(2 * self.capacity, needed)

        def larger(column: NDArray[Any]) -> NDArray[Any]:
            grown: NDArray[Any] = np.zeros((self.capacity, *column.shape[1:]), column.dtype)
            grown[: self.used] = column[: self.used]
            return grown

        self.columns = {name: larger(column) for name, column in self.columns.items()}
        self.life, self.tick, self.acted, self.version = map(larger, (self.life, self.tick, self.acted, self.version))

    def load(self, rows: Mapping[str, Any]) -> None:
        """Take the saved open rows of a store of this layout."""
        count = len(rows["life"])
        if count > self.capacity:
            self._grow(count)
        for name, column in rows["columns"].items():
            if name not in self.columns:  # a mask column that came with the first mask
                self.add_observed(name, (column.shape[1:], column.dtype), fill=True)
            self.columns[name][:count] = column
        for name in ("life", "tick", "acted", "version"):
            getattr(self, name)[:count] = rows[name]
        self.used = count

    def keep(self, rows: Ints) -> None:
        """Drop every row but ``rows``, which become rows 0..k-1 in their order."""
        count = len(rows)
        for column in (*self.columns.values(), self.life, self.tick, self.acted, self.version):
            column[:count] = column[rows]
        self.used = count


class Lives:
    """The table of lives: parallel columns indexed by life; ended lives are recycled after they shipped."""

    COLUMNS: tuple[tuple[str, type, Any], ...] = (
        ("store", np.int64, 0),
        ("policy", np.int64, 0),
        ("env", np.int64, 0),
        ("slot", np.int64, -1),
        ("eps_id", np.int64, 0),
        ("number", np.int64, 0),
        ("record", bool, True),
        ("row", np.int64, -1),
        ("final", np.int64, -1),
        ("flag", np.int64, ALIVE),
        ("cause", np.int64, 0),
        ("end_tick", np.int64, 0),
        ("shipped", np.int64, 0),
        ("count", np.int64, 0),
        ("returned", np.float64, 0.0),
        ("hash", np.uint64, 0),
        ("parent", np.int64, -1),
        ("parent_number", np.int64, -1),
        ("parent_decision", np.int64, -1),
    )

    store: Ints
    policy: Ints
    env: Ints
    slot: Ints
    eps_id: Ints
    number: Ints
    record: NDArray[np.bool_]
    row: Ints
    final: Ints
    flag: Ints
    cause: Ints
    end_tick: Ints
    shipped: Ints
    count: Ints
    returned: NDArray[np.float64]
    hash: NDArray[np.uint64]
    parent: Ints
    parent_number: Ints
    parent_decision: Ints

    def __init__(self) -> None:
        self.capacity = 64
        for name, kind, blank in self.COLUMNS:
            setattr(self, name, np.full(self.capacity, blank, kind))
        self.agent: list[Any] = [None] * self.capacity
        self.parent_agent: list[Any] = [None] * self.capacity
        self.free: list[int] = list(range(self.capacity - 1, -1, -1))
        self.ended: list[int] = []

    def take(self) -> int:
        """A blank life."""
        if not self.free:
            old = self.capacity
            self.capacity = 2 * old
            for name, kind, blank in self.COLUMNS:
                grown: NDArray[Any] = np.full(self.capacity, blank, kind)
                grown[:old] = getattr(self, name)
                setattr(self, name, grown)
            for column in (self.agent, self.parent_agent):
                column.extend([None] * old)
            self.free = list(range(self.capacity - 1, old - 1, -1))
        return self.free.pop()

    def recycle(self) -> None:
        """Blank every ended life (its rows have shipped) and make it free again."""
        if not self.ended:
            return
        gone = np.array(self.ended, np.int64)
        for name in ("row", "final", "parent", "parent_number", "parent_decision"):
            getattr(self, name)[gone] = -1
        for name in ("flag", "cause", "shipped", "count", "returned", "hash"):
            getattr(self, name)[gone] = 0
        self.record[gone] = True
        for life in self.ended:
            self.agent[life] = self.parent_agent[life] = None
        self.free.extend(reversed(self.ended))
        self.ended = []


class Ledger:
    """Rows and lives of one worker.

    Args:
        layouts: the stores' layouts.
        discounts: policy index → discount; rows of a policy with ``per: tick`` get ``rewards_discounted`` = Σ γⁱ rᵢ.

    Attributes:
        discounts_ticks: some policy asks for ``rewards_discounted``; otherwise :meth:`pay` reads no ticks.
        hashing: keep a running hash of every life's closed rows, against which a replayed episode is held.
    """

    def __init__(self, layouts: Sequence[Layout] = (), discounts: Sequence[Discount] = ()) -> None:
        self.lives = Lives()
        self.stores: list[Store] = [Store(layout) for layout in layouts]
        self.discounts: list[Discount] = list(discounts)
        self.hashing = False
        self._past = Past()
        self._refresh_discounts()

    def add_store(self, layout: Layout) -> int:
        """A further store; returns its index."""
        self.stores.append(Store(layout))
        return len(self.stores) - 1

    def add_policy(self, discount: Discount) -> int:
        """A further policy; returns its index."""
        self.discounts.append(discount)
        self._refresh_discounts()
        return len(self.discounts) - 1

    def _refresh_discounts(self) -> None:
        self._gamma = np.array([d.gamma for d in self.discounts] or [1.0])
        self._per_tick = np.array([d.per == "tick" for d in self.discounts] or [False])
        self.discounts_ticks = bool(self._per_tick.any())

    # ------------------------------------------------------------------ what happens to a life

    def begin(
        self,
        agent: Any,
        *,
        store: int = 0,
        policy: int = 0,
        env: int = 0,
        slot: int = -1,
        eps_id: int = 0,
        number: int = 0,
        record: bool = True,
    ) -> int:
        """An agent's life begins (its first observation follows by :meth:`observe`); returns the life.

        Args:
            number: how many lives the agent had before in this episode.
            record: False: the rows never ship.
        """
        lives = self.lives
        life = lives.take()
        lives.store[life] = store
        lives.policy[life] = policy
        lives.env[life] = env
        lives.slot[life] = slot
        lives.eps_id[life] = eps_id
        lives.number[life] = number
        lives.record[life] = record
        lives.agent[life] = agent
        return life

    def begin_many(self, births: Sequence[tuple[int, int, int, int, int, int, int, bool]]) -> None:
        """:meth:`begin` for lives that ``lives.take()`` gave and whose agent is set.

        Args:
            births: ``(life, store, policy, env, slot, eps_id, number, record)`` each.
        """
        table = self.lives
        columns = np.array(births, np.int64).T
        born = columns[0]
        table.store[born], table.policy[born], table.env[born], table.slot[born] = columns[1:5]
        table.eps_id[born], table.number[born], table.record[born] = columns[5:]

    def set_parent(self, life: int, parent: int) -> None:
        """``life`` was begun by the decision that ``parent`` has open."""
        lives = self.lives
        lives.parent[life] = parent
        lives.parent_number[life] = lives.number[parent]
        lives.parent_decision[life] = lives.count[parent] - 1
        lives.parent_agent[life] = lives.agent[parent]

    def observe(self, store: int, lives: Ints, ticks: Any) -> slice:
        """A new observation for each of ``lives`` [k] of one store: their open rows close, new rows open at ``ticks`` [k].

        Returns the new rows; the caller writes the store's observed columns there.
        """
        rows = self.stores[store].allocate(lives, ticks)
        table = self.lives
        table.row[lives] = np.arange(rows.start, rows.stop)
        table.count[lives] += 1
        return rows

    def act(self, store: int, rows: Any, actions: NDArray[Any], columns: Mapping[str, NDArray[Any]], version: Any) -> None:
        """Answer the observations of ``rows`` (slice or integer array) of one store."""
        place = self.stores[store]
        place.columns["actions"][rows] = actions
        for name, column in columns.items():
            place.columns[name][rows] = column
        place.acted[rows] = True
        place.version[rows] = version

    def pay(self, lives: Ints, rewards: NDArray[np.float64], ticks: Any) -> None:
        """Add ``rewards`` [k] to the open rows of ``lives`` [k] (each at most once a call).

        Args:
            ticks: the clocks ``[k]`` of the lives' episodes when the paying call began.
        """
        table = self.lives
        table.returned[lives] += rewards
        if len(self.stores) == 1:
            self._pay_store(self.stores[0], lives, rewards, ticks)
            return
        which = table.store[lives]
        for index, store in enumerate(self.stores):
            mine = which == index
            if mine.any():
                self._pay_store(store, lives[mine], rewards[mine], ticks[mine] if np.ndim(ticks) else ticks)

    def _pay_store(self, store: Store, lives: Ints, rewards: NDArray[np.float64], ticks: Any) -> None:
        rows = self.lives.row[lives]
        store.columns["rewards"][rows] += rewards
        if self.discounts_ticks and "rewards_discounted" in store.columns:
            policy = self.lives.policy[lives]
            mine = self._per_tick[policy]
            run = (ticks - store.tick[rows]).astype(np.float64)
            weight = np.where(mine, self._gamma[policy], 1.0) ** run
            store.columns["rewards_discounted"][rows] += weight * rewards

    def end(self, life: int, flag: int, *, tick: int, cause: int = 0, final_row: int = -1) -> None:
        """A life ends at ``tick``: its open row closes.

        Args:
            flag: ``TERMINATED`` or ``TRUNCATED``.
            cause: index into ``END_CAUSES``; 0: follows from the flag.
            final_row: the row (of :meth:`final`) that holds its final observation, or -1.
        """
        one = [np.array([value]) for value in (life, flag, tick, cause, final_row)]
        self.end_many(one[0], one[1], ticks=one[2], causes=one[3], final_rows=one[4])

    def end_many(self, lives: Ints, flags: Ints, *, ticks: Ints, causes: Ints, final_rows: Ints) -> None:
        """:meth:`end` for ``lives`` [k] at once; a cause of 0 follows from the flag."""
        table = self.lives
        table.flag[lives] = flags
        usual = np.where(flags == TERMINATED, _CAUSE_OF_FLAG[TERMINATED], _CAUSE_OF_FLAG[TRUNCATED])
        table.cause[lives] = np.where(causes > 0, causes, usual)
        table.end_tick[lives] = ticks
        table.row[lives] = -1
        table.final[lives] = final_rows
        table.ended.extend(lives.tolist())

    def final(self, store: int, lives: Ints) -> slice:
        """Rows for the final observations of ``lives`` [k], which never ask for an action and never ship as rows."""
        return self.stores[store].allocate(lives, 0)

    def drop(self, life: int) -> None:
        """Forget a living life and its open row; nothing of it ships any more."""
        self.lives.row[life] = -1
        self.lives.record[life] = False
        self.lives.flag[life] = TRUNCATED
        self.lives.ended.append(life)

    def forget_rows(self) -> None:
        """Drop every row; all lives must have ended or been dropped."""
        for store in self.stores:
            store.used = 0
        self.lives.recycle()

    def clear(self) -> None:
        """Forget every row and life."""
        self.lives = Lives()
        self._past = Past()
        for store in self.stores:
            store.used = 0

    # ------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """Open rows and living lives, taken right after :meth:`ship`."""
        lives = self.lives
        return {
            "lives": {
                **{name: getattr(lives, name).copy() for name, _, _ in Lives.COLUMNS},
                "agent": list(lives.agent),
                "parent_agent": list(lives.parent_agent),
                "free": np.array(lives.free, np.int64),
            },
            "past": self._past.state_dict(),
            "stores": [
                {
                    "columns": {name: column[: store.used].copy() for name, column in store.columns.items()},
                    **{name: getattr(store, name)[: store.used].copy() for name in ("life", "tick", "acted", "version")},
                }
                for store in self.stores
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any], policies: Mapping[int, tuple[int, int, bool]], stores: Mapping[int, int]) -> None:
        """Put back what :meth:`state_dict` gave.

        Args:
            policies: saved policy index → (index, store, recorded) here. Lives of others must be dropped by the caller.
            stores: saved store → store here.
        """
        lives, saved = self.lives, state["lives"]
        lives.capacity = len(saved["row"])
        for name, kind, _ in Lives.COLUMNS:
            setattr(lives, name, np.array(saved[name], kind))
        lives.agent = [tuple(agent) if isinstance(agent, list) else agent for agent in saved["agent"]]
        lives.parent_agent = [tuple(agent) if isinstance(agent, list) else agent for agent in saved["parent_agent"]]
        lives.free = np.asarray(saved["free"]).tolist()
        lives.ended = []
        self._past.load_state_dict(state["past"])
        for life in np.flatnonzero(lives.row >= 0).tolist():
            if int(lives.policy[life]) in policies:
                index, store, recorded = policies[int(lives.policy[life])]
                lives.policy[life], lives.store[life] = index, store
                lives.record[life] &= recorded
        for mine in self.stores:
            mine.used = 0
        for old, rows in enumerate(state["stores"]):
            if old in stores:
                self.stores[stores[old]].load(rows)

    def past(self, env: int, eps_id: int) -> int:
        """One number for the lives of an open episode that have ended (and shipped)."""
        return self._past.of(env, eps_id)

    # ------------------------------------------------------------------ what leaves

    def ship(self) -> dict[int, SampleBatch]:
        """All closed rows that are recorded, by policy index; open rows and unanswered observations are carried over."""
        batches: dict[int, SampleBatch] = {}
        for store in self.stores:
            if store.used:
                self._ship_store(store, batches)
        if self.hashing and self.lives.ended:
            self._past.take(self.lives)
        self.lives.recycle()
        return batches

    def _ship_store(self, store: Store, batches: dict[int, SampleBatch]) -> None:
        table = self.lives
        used = store.used
        life = store.life[:used]
        current = table.row[life] == np.arange(used)
        closed = store.acted[:used] & ~current
        if not table.record.all():
            if self.hashing:
                self._hash_unrecorded(store, np.flatnonzero(closed & ~table.record[life]))
            closed &= table.record[life]
        index = np.flatnonzero(closed)
        if index.size:
            self._ship_rows(store, index, batches)
        answered = store.acted[:used]
        carried = np.concatenate([np.flatnonzero(current & answered), np.flatnonzero(current & ~answered)])
        table.row[store.life[carried]] = np.arange(len(carried))
        store.keep(carried)

    def _ship_rows(self, store: Store, index: Ints, batches: dict[int, SampleBatch]) -> None:
        table = self.lives
        life = store.life[index]
        policy = table.policy[life]
        first = int(policy[0])
        several = bool((policy != first).any())
        key: NDArray[Any] = policy * table.capacity + life if several else life
        if table.capacity * (len(self.discounts) if several else 1) < 2**16:
            key = key.astype(np.uint16)  # numpy sorts 16-bit keys by radix
        order = np.argsort(key, kind="stable")
        rows, life = index[order], life[order]
        starts = np.flatnonzero(np.concatenate(([True], life[1:] != life[:-1])))
        offsets = np.append(starts, len(rows))
        lengths = np.diff(offsets)
        last = offsets[1:] - 1
        of_piece = life[starts]
        flag = table.flag[of_piece]
        ended = flag != ALIVE
        successor = np.where(ended, table.final[of_piece], table.row[of_piece])

        tick = store.tick[rows]
        closing = np.empty_like(tick)
        closing[:-1] = tick[1:]
        closing[last] = np.where(ended, table.end_tick[of_piece], store.tick[np.maximum(successor, 0)])
        terminateds = np.zeros(len(rows), bool)
        truncateds = np.zeros(len(rows), bool)
        terminateds[last] = flag == TERMINATED
        truncateds[last] = flag == TRUNCATED
        end_cause = np.zeros(len(rows), np.int8)
        end_cause[last] = np.where(ended, table.cause[of_piece], 0)
        decision = np.arange(len(rows)) + np.repeat(table.shipped[of_piece] - starts, lengths)
        table.shipped[of_piece] += lengths

        columns = {name: np.take(column, rows, axis=0) for name, column in store.columns.items()}
        if not np.isfinite(columns["rewards"]).all():
            self._blame_reward(columns["rewards"], life, decision)
        for name in store.layout.observed:
            if name.startswith("obs") and columns[name].dtype.kind == "f" and np.isnan(columns[name]).any():
                self._blame_observation(columns[name], life, decision)
        columns["terminateds"] = terminateds
        columns["truncateds"] = truncateds
        columns["eps_id"] = np.repeat(table.eps_id[of_piece], lengths)
        columns["life"] = np.repeat(table.number[of_piece].astype(np.int32), lengths)
        columns["decision"] = decision.astype(np.int32)
        columns["t"] = tick
        columns["env_steps"] = (closing - tick).astype(np.int32)
        columns["end_cause"] = end_cause
        columns["weights_version"] = store.version[rows]
        pieces = {"bootstrap_valid": ~((flag == TRUNCATED) & (successor < 0))}
        missing = np.flatnonzero(successor < 0)
        there = np.maximum(successor, 0)
        for name in store.layout.observed:
            value = store.columns[name][there]
            if missing.size:
                value[missing] = 0
            pieces[f"bootstrap_{name}"] = value

        if self.hashing:
            seen = _seen(store, columns)
            table.hash[of_piece] += np.add.reduceat(row_hash(seen, columns["rewards"], terminateds + 2 * truncateds, decision), starts)

        policy_of_piece = table.policy[of_piece]
        cuts = np.flatnonzero(np.concatenate(([True], policy_of_piece[1:] != policy_of_piece[:-1])))
        for start, stop in zip(cuts.tolist(), [*cuts[1:].tolist(), len(of_piece)], strict=True):
            which = int(policy_of_piece[start])
            batches[which] = self._cut(which, columns, pieces, offsets, of_piece, start, stop)

    def _hash_unrecorded(self, store: Store, rows: Ints) -> None:
        """A replayed episode is held against what all its agents saw, not only those who learn."""
        if rows.size:
            seen = _seen(store, {name: column[rows] for name, column in store.columns.items()})
            hashes = row_hash(seen, store.columns["rewards"][rows], np.zeros(len(rows), bool), store.tick[rows])
            np.add.at(self.lives.hash, store.life[rows], hashes)

    def _blame_reward(self, rewards: NDArray[np.float64], life: Ints, decision: Ints) -> NoReturn:
        at = int(np.flatnonzero(~np.isfinite(rewards))[0])
        where = self._place(int(life[at]), int(decision[at]))
        raise EnvError(f"the rewards for {where} add up to {rewards[at]}; expected finite numbers.")

    def _blame_observation(self, observations: NDArray[Any], life: Ints, decision: Ints) -> NoReturn:
        at = int(np.flatnonzero(np.isnan(observations).reshape(len(observations), -1).any(axis=1))[0])
        raise EnvError(f"the observation before {self._place(int(life[at]), int(decision[at]))} has NaN in it; expected numbers.")

    def _place(self, life: int, decision: int) -> str:
        table = self.lives
        return (
            f"decision {decision} of agent {table.agent[life]!r} (environment copy {int(table.env[life])}, "
            f"episode {int(table.eps_id[life])}, life {int(table.number[life])})"
        )

    def _cut(
        self,
        policy: int,
        columns: dict[str, NDArray[Any]],
        pieces: dict[str, NDArray[Any]],
        offsets: Ints,
        of_piece: Ints,
        start: int,
        stop: int,
    ) -> SampleBatch:
        """The batch of pieces ``start:stop``, all of one policy."""
        table = self.lives
        begin, end = int(offsets[start]), int(offsets[stop])
        whole = begin == 0 and end == offsets[-1]
        mine = of_piece[start:stop]
        own = columns if whole else {name: column[begin:end] for name, column in columns.items()}
        if not self._per_tick[policy] and "rewards_discounted" in own:
            own = {name: column for name, column in own.items() if name != "rewards_discounted"}
        agents: dict[Any, int] = {}
        agent_of_piece = [agents.setdefault(table.agent[life], len(agents)) for life in mine.tolist()]
        lengths = np.diff(offsets[start : stop + 1])
        if (table.parent[mine] >= 0).any():
            links = np.stack(
                [
                    [agents.setdefault(table.parent_agent[life], len(agents)) if table.parent[life] >= 0 else -1 for life in mine.tolist()],
                    table.parent_number[mine],
                    table.parent_decision[mine],
                ],
                axis=1,
            )
            own = {**own, "parent_decision": np.repeat(links, lengths, axis=0)}
        own = {**own, "agent_index": np.repeat(np.array(agent_of_piece, np.int32), lengths)}
        return SampleBatch(
            own,
            offsets[start : stop + 1] - begin,
            pieces if whole else {name: column[start:stop] for name, column in pieces.items()},
            tuple(agents),
        )


class Past:
    """For every copy, one number of the lives of its newest episode that have ended."""

    def __init__(self) -> None:
        self._episode = np.full(1, -1, np.int64)
        self._hash = np.zeros(1, np.uint64)

    def take(self, lives: Lives) -> None:
        """The lives that ended, just before they are recycled."""
        gone = np.array(lives.ended, np.int64)
        env, episode = lives.env[gone], lives.eps_id[gone]
        missing = int(env.max()) + 1 - len(self._hash)
        if missing > 0:
            self._episode = np.append(self._episode, np.full(missing, -1, np.int64))
            self._hash = np.append(self._hash, np.zeros(missing, np.uint64))
        before = self._episode.copy()
        np.maximum.at(self._episode, env, episode)
        self._hash[self._episode != before] = 0
        newest = episode == self._episode[env]
        weight = 2 * lives.number[gone].astype(np.uint64) + np.uint64(1)
        np.add.at(self._hash, env[newest], (lives.hash[gone] * weight)[newest])

    def of(self, env: int, episode: int) -> int:
        """The number of one copy's episode; 0 where no life of it has ended."""
        return int(self._hash[env]) if env < len(self._hash) and self._episode[env] == episode else 0

    def state_dict(self) -> dict[str, Any]:
        return {"episode": self._episode.copy(), "hash": self._hash.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._episode, self._hash = np.array(state["episode"], np.int64), np.array(state["hash"], np.uint64)


def _seen(store: Store, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: columns[name] for name in store.layout.observed if name.startswith(("obs", "action_mask"))}


def row_hash(
    columns: Mapping[str, NDArray[Any]], rewards: NDArray[np.float64], flags: NDArray[Any], decision: NDArray[Any]
) -> NDArray[np.uint64]:
    """One number ``[n]`` for each row's observations, masks, reward and flags, weighted by the decision's place in its life.

    A mask that allows everything adds nothing: a store's mask column may come after its first rows have shipped.
    """
    total = rewards.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + flags.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    blocks = [columns[name] for name in sorted(columns) if name != "action_mask"]
    if "action_mask" in columns:
        blocks.append(~columns["action_mask"])
    for place, column in enumerate(blocks):
        block = np.ascontiguousarray(column).reshape(len(rewards), -1).view(np.uint8)
        width = 8 if block.shape[1] % 8 == 0 else 4 if block.shape[1] % 4 == 0 else 1
        words = block.view({8: np.uint64, 4: np.uint32, 1: np.uint8}[width])
        weights = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93) + np.uint64(2 * place + 1)
        total = total + words.astype(np.uint64, copy=False) @ weights
    hashes: NDArray[np.uint64] = total * (2 * decision.astype(np.uint64) + np.uint64(1))
    return hashes
