"""What every rollout worker does, whatever its environments look like: keep policies, sample a fragment, measure time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from marl.acting import Actor
from marl.batch import EpisodeRecord, MultiAgentBatch
from marl.episode import Episode
from marl.ledger import Ledger
from marl.policy import Counters, Discount
from marl.roster import Roster
from marl.router import Router
from marl.streams import GlobalStreams


class Worker(ABC):
    """A sampler with its own environments and copies of the policies.

    Args:
        policies, discounts: by policy id.
        needs: policy id → optional columns (``global_state``, ``joint_obs``, …) to write.
        record: ids of the policies whose rows are kept; None: all.
        max_idle_ticks: ticks in a row with nobody due before it is an error.
        info_keys: scalar info keys that become columns ``infos/<key>``: the last value given while the row was open, NaN if none.
        explore: default of :meth:`sample`.
        callbacks: bound hooks by name (``on_episode_start``, ``on_episode_step``, ``on_episode_end``).

    Attributes:
        timers: seconds spent in ``env``, ``inference`` and ``framework`` (all else) so far.
        match_state: given to episodes that begin.
    """

    def __init__(
        self,
        *,
        router: Router,
        policies: Mapping[str, Actor],
        discounts: Mapping[str, Discount],
        needs: Mapping[str, frozenset[str]] | None,
        record: Iterable[str] | None,
        seed: int,
        worker_index: int,
        max_idle_ticks: int,
        info_keys: tuple[str, ...],
        explore: bool,
        callbacks: Mapping[str, list[Callable[..., Any]]] | None,
    ) -> None:
        self.ledger = Ledger()
        self.roster = Roster(
            self.ledger,
            policies=policies,
            discounts=discounts,
            needs=needs or {},
            record=record,
            seed=seed,
            worker_index=worker_index,
        )
        self.table = self.roster.table
        self.router = router
        self.seed = seed
        self.worker_index = worker_index
        self.explore = explore
        self.match_state: Any = None
        self.timers = {"env": 0.0, "inference": 0.0, "framework": 0.0}
        self.streams = GlobalStreams(seed, worker_index)
        self._callbacks = dict(callbacks or {})
        self._info_keys = info_keys
        self._max_idle_ticks = max_idle_ticks
        self._finished: list[EpisodeRecord] = []
        self._num_answers = 0

    # ------------------------------------------------------------------ policies

    @property
    def policies(self) -> dict[str, Actor]:
        """The policies present, by id."""
        return self.roster.policies

    def add_policy(
        self,
        policy_id: str,
        policy: Actor,
        discount: Discount | None = None,
        needs: frozenset[str] = frozenset(),
        *,
        record: bool = True,
    ) -> None:
        """Seat a further policy; episodes that begin from now on may name it."""
        self.roster.add(policy_id, policy, discount or Discount(), needs, record=record)
        try:
            self._seat_late()
        except BaseException:  # what could not be seated is not there
            self.roster.remove(policy_id)
            raise

    def remove_policy(self, policy_id: str) -> None:
        """No new seat for this policy; it is gone when the last open episode with it ends."""
        self.roster.remove(policy_id)
        self._sweep()

    def set_weights(self, policy_id: str, weights: Mapping[str, NDArray[Any]], *, version: int, counters: Counters | None = None) -> None:
        """Give one policy new weights; call :meth:`refresh_stacks` after the last of a broadcast."""
        self.roster.set_weights(policy_id, weights, version=version, counters=counters)

    def refresh_stacks(self) -> None:
        """Make stacked passes read the policies' weights again."""
        self.table.refresh_stacks()

    def _sweep(self) -> None:
        self.roster.sweep(lambda: (seat[0] for episode in self._open_episodes() for seat in episode.seats.values()))

    # ------------------------------------------------------------------ sampling

    def sample(
        self,
        *,
        num_env_steps: int | None = None,
        num_episodes: int | None = None,
        complete_episodes: bool = False,
        explore: bool | None = None,
    ) -> tuple[MultiAgentBatch, list[EpisodeRecord]]:
        """One fragment.

        Args:
            num_env_steps: ticks that each copy advances by (a call of several ticks may overshoot).
            num_episodes: instead, this many episodes in all: those already open, then new ones, every one played to its end
                (so that short episodes are not preferred). Copies that are not needed stand still.
            complete_episodes: each copy goes on to its first episode end at or after ``num_env_steps``.
            explore: False: greedy; None: the worker's default.

        Returns:
            The rows that closed, and the episodes that ended.
        """
        if (num_env_steps is None) == (num_episodes is None):
            raise ValueError("sample() takes either num_env_steps or num_episodes")
        started, env_s, inference_s = perf_counter(), self.timers["env"], self.table.inference_s
        self._num_answers = 0
        with self.streams:
            ticks = self._run(num_env_steps, num_episodes, complete_episodes, self.explore if explore is None else explore)
            batches = self.ledger.ship()
        seats = {episode.episode_id: episode.seats for episode in self._open_episodes()}
        seats.update({record.eps_id: record.seats for record in self._finished})
        rows = {self.table.by_index[index].policy_id: batch for index, batch in sorted(batches.items())}
        batch = MultiAgentBatch(rows, ticks, self._num_answers, seats)
        finished, self._finished = self._finished, []
        self._sweep()
        inference = self.table.inference_s - inference_s
        self.timers["inference"] += inference
        self.timers["framework"] += perf_counter() - started - (self.timers["env"] - env_s) - inference
        return batch, finished

    @abstractmethod
    def _run(self, num_env_steps: int | None, num_episodes: int | None, complete_episodes: bool, explore: bool) -> int:
        """Sample what was asked for into the ledger; returns the ticks of all copies."""

    @abstractmethod
    def _open_episodes(self) -> list[Episode]:
        """The episodes that are going on."""

    @abstractmethod
    def _seat_late(self) -> None:
        """Seat policies that were added after the environments were made."""

    # ------------------------------------------------------------------ saving

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed worker needs: open episodes and rows, generators. Between two fragments only."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> list[str]:
        """Bring this fresh worker to a saved state; returns why episodes were lost, one line each (none: bit-equal)."""

    # ------------------------------------------------------------------ for users' hands

    @abstractmethod
    def foreach_env(self, function: Callable[[Any], Any]) -> list[Any]:
        """``function(env)`` for every environment, in order."""

    @abstractmethod
    def reset_all(self) -> None:
        """Drop every open episode and row; the next :meth:`sample` begins new episodes."""

    @abstractmethod
    def close(self) -> None:
        """Close the environments."""
