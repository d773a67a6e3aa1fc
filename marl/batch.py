"""Rows with names: what the sampler writes and learners read.

A :class:`SampleBatch` holds *row columns* (one entry per decision) and *piece columns* (one entry per piece). A piece is
a run of consecutive rows of one life; rows of a life stand together and in order, and ``offsets`` bounds the
pieces: piece ``p`` is rows ``offsets[p]:offsets[p + 1]``. What follows a piece's last row stands in the piece
columns ``bootstrap_*``: the successor observation, or the true final one where the life was truncated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # numpy array or torch tensor


class SampleBatch:
    """Named columns with one first dimension, cut into pieces.

    Args:
        columns: row columns, each ``[N, ...]``.
        offsets: ``int64 [P + 1]`` from 0 to N; default: one piece.
        pieces: piece columns, each ``[P, ...]``.
        agents: agent ids that the column ``agent_index`` counts in.

    Raises:
        ValueError: columns of different lengths, or offsets that do not span them.
    """

    def __init__(
        self,
        columns: Mapping[str, Array],
        offsets: NDArray[np.int64] | None = None,
        pieces: Mapping[str, Array] | None = None,
        agents: Sequence[Any] = (),
    ) -> None:
        self.columns: dict[str, Array] = dict(columns)
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")
        self.num_rows = next(iter(lengths.values()), 0)
        self.offsets: NDArray[np.int64] = np.array([0, self.num_rows] if self.num_rows else [0], np.int64) if offsets is None else offsets
        if self.offsets[0] != 0 or self.offsets[-1] != self.num_rows:
            raise ValueError(f"offsets run from {self.offsets[0]} to {self.offsets[-1]}, expected 0 to {self.num_rows}")
        self.pieces: dict[str, Array] = dict(pieces or {})
        self.agents: tuple[Any, ...] = tuple(agents)

    def __getitem__(self, name: str) -> Array:
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"no column {name!r}; this batch has {sorted(self.columns)}") from None

    def __setitem__(self, name: str, column: Array) -> None:
        if len(column) != self.num_rows:
            raise ValueError(f"column {name!r} has {len(column)} entries, expected {self.num_rows}")
        self.columns[name] = column

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __repr__(self) -> str:
        shapes = {name: tuple(column.shape) for name, column in self.columns.items()}
        return f"SampleBatch({self.num_rows} rows, {self.num_pieces} pieces, {shapes})"

    @property
    def num_pieces(self) -> int:
        return len(self.offsets) - 1

    @property
    def last_rows(self) -> NDArray[np.int64]:
        """The last row of every piece ``[P]``."""
        return self.offsets[1:] - 1

    def piece_of_rows(self) -> NDArray[np.int64]:
        """The piece of every row ``[N]``."""
        return np.repeat(np.arange(self.num_pieces), np.diff(self.offsets))

    def observation(self, name: str = "obs") -> Array | dict[str, Array]:
        """The column ``name``, or where observations are structured the dict of its leaves (``obs/<path>`` → array)."""
        return structured_column(self.columns, name)

    def bootstrap(self, name: str = "obs") -> Array | dict[str, Array]:
        """The piece column ``bootstrap_<name>`` in the same form as :meth:`observation`."""
        return structured_column(self.pieces, f"bootstrap_{name}")

    def rows(self, index: Any) -> dict[str, Array]:
        """The row columns at ``index`` (slice or integer array), as a plain dict: what a minibatch is made of."""
        return {name: column[index] for name, column in self.columns.items()}

    def select_pieces(self, keep: NDArray[np.bool_]) -> SampleBatch:
        """The batch of only those pieces that ``keep`` [P] names, rows and order unchanged."""
        if keep.all():
            return self
        lengths = np.diff(self.offsets)
        row_keep = np.repeat(keep, lengths)
        offsets = np.concatenate(([0], np.cumsum(lengths[keep]))).astype(np.int64)
        columns = {name: column[row_keep] for name, column in self.columns.items()}
        return SampleBatch(columns, offsets, {name: column[keep] for name, column in self.pieces.items()}, self.agents)

    @staticmethod
    def concat(batches: Iterable[SampleBatch]) -> SampleBatch:
        """One batch of all rows; tables of agents are joined and ``agent_index`` counted anew.

        Pieces stay as they were cut: a life that goes over a cut is two pieces.
        """
        parts = [batch for batch in batches if batch.num_rows]
        if not parts:
            return SampleBatch({})
        if len(parts) == 1:
            return parts[0]
        agents: dict[Any, int] = {}
        tables = [np.array([*(agents.setdefault(agent, len(agents)) for agent in part.agents), -1], np.int64) for part in parts]
        if any("parent_decision" in part for part in parts):
            parts = [part if "parent_decision" in part else _without_parents(part) for part in parts]
        masked = next((part for part in parts if "action_mask" in part), None)
        if masked is not None:  # the first mask for a policy's agents may have come after the first part
            parts = [part if "action_mask" in part else _with_free_masks(part, masked["action_mask"].shape[1]) for part in parts]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if "agent_index" in columns:
            counted = [table[part["agent_index"]] for table, part in zip(tables, parts, strict=True)]
            columns["agent_index"] = np.concatenate(counted).astype(np.int32)
        if "parent_decision" in columns:  # its first number counts in the table of agents too; -1, the table's last, is no parent
            columns["parent_decision"][:, 0] = np.concatenate(
                [table[part["parent_decision"][:, 0]] for table, part in zip(tables, parts, strict=True)]
            )
        starts = np.cumsum([0] + [part.num_rows for part in parts])
        offsets = np.concatenate([part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)] + [starts[-1:]])
        pieces = {name: np.concatenate([part.pieces[name] for part in parts]) for name in parts[0].pieces}
        return SampleBatch(columns, offsets, pieces, tuple(agents))


def _with_free_masks(part: SampleBatch, size: int) -> SampleBatch:
    """``part`` with masks that allow everything."""
    columns = {**part.columns, "action_mask": np.ones((part.num_rows, size), bool)}
    pieces = {**part.pieces, "bootstrap_action_mask": np.ones((part.num_pieces, size), bool)}
    return SampleBatch(columns, part.offsets, pieces, part.agents)


def _without_parents(part: SampleBatch) -> SampleBatch:
    """``part`` with the column that says that none of its rows has a parent."""
    columns = {**part.columns, "parent_decision": np.full((part.num_rows, 3), -1, np.int64)}
    return SampleBatch(columns, part.offsets, part.pieces, part.agents)


def structured_column(table: Mapping[str, Array], name: str) -> Array | dict[str, Array]:
    """``table[name]``, or ``{"obs/<path>": array}`` where the column is structured."""
    if name in table:
        return table[name]
    prefix = f"{name}/"
    strip = len(name) - len("obs") if name.endswith("obs") else 0
    leaves = {key[strip:]: column for key, column in table.items() if key.startswith(prefix)}
    if not leaves:
        raise KeyError(f"no column {name!r}; there are {sorted(table)}")
    return leaves


@dataclass
class EpisodeRecord:
    """One finished episode.

    Attributes:
        eps_id: unique in a run.
        env_index: the copy of the environment, counted within the worker; ``worker_index`` the worker.
        seats: agent → ``(policy_id, weights_version)`` when it was first seen.
        returns: agent → everything the environment paid it (credited or not).
        uncredited_reward, num_uncredited_rewards: agent → sum and count of what belongs to no row.
        num_env_steps: ticks. ``num_agent_steps``: decisions.
        end: why it ended: ``terminated``, ``truncated``, or ``agents_empty`` / ``all_done`` where the environment never said.
        tag: the match's.
        absent: agent → the policy that would have played it, for agents that the environment saw off and that never had to act.
    """

    eps_id: int
    env_index: int
    worker_index: int
    seed: int | None
    seats: dict[Any, tuple[str, int]]
    returns: dict[Any, float]
    uncredited_reward: dict[Any, float]
    num_uncredited_rewards: dict[Any, int]
    num_env_steps: int
    num_agent_steps: int
    end: str
    tag: Any = None
    learn: tuple[Any, ...] | None = None
    num_truncated_without_observation: int = 0
    absent: dict[Any, str] = field(default_factory=dict)


@dataclass
class MultiAgentBatch:
    """What one fragment holds: a batch for every policy that decided something.

    Attributes:
        policies: policy id → its rows.
        num_env_steps: ticks sampled, over all copies.
        num_agent_steps: decisions that were answered in this fragment (rows that opened).
        episodes: ``eps_id → {agent: (policy, weights_version)}`` of every episode with a row here.
    """

    policies: dict[str, SampleBatch]
    num_env_steps: int
    num_agent_steps: int
    episodes: dict[int, dict[Any, tuple[str, int]]] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        return sum(batch.num_rows for batch in self.policies.values())

    def select(self, policy_ids: Iterable[str]) -> MultiAgentBatch:
        """Only the rows of ``policy_ids``; the counts stay the fragment's."""
        chosen = {policy_id: self.policies[policy_id] for policy_id in policy_ids if policy_id in self.policies}
        return MultiAgentBatch(chosen, self.num_env_steps, self.num_agent_steps, self.episodes)

    @staticmethod
    def concat(batches: Sequence[MultiAgentBatch]) -> MultiAgentBatch:
        """All rows of ``batches`` by policy, counts added."""
        if len(batches) == 1:
            return batches[0]
        ids = list(dict.fromkeys(policy_id for batch in batches for policy_id in batch.policies))
        episodes: dict[int, dict[Any, tuple[str, int]]] = {}
        for batch in batches:
            for eps_id, seats in batch.episodes.items():
                episodes.setdefault(eps_id, {}).update(seats)
        return MultiAgentBatch(
            {one: SampleBatch.concat([batch.policies[one] for batch in batches if one in batch.policies]) for one in ids},
            sum(batch.num_env_steps for batch in batches),
            sum(batch.num_agent_steps for batch in batches),
            episodes,
        )
