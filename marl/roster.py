"""The policies that a worker has: seated when its environments are there, removed when the last open episode with them ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gymnasium.spaces import Tuple
from numpy.typing import NDArray

from marl.acting import Actor, PolicyTable
from marl.errors import RunError
from marl.ledger import Ledger
from marl.policy import ColumnSpec, Counters, Discount, Policy

Columns = dict[str, ColumnSpec]


class Roster:
    """Policies by id, waiting or seated.

    Args:
        record: ids of the policies whose rows are kept; None: all.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        policies: Mapping[str, Actor],
        discounts: Mapping[str, Discount],
        needs: Mapping[str, frozenset[str]],
        record: Iterable[str] | None,
        seed: int,
        worker_index: int,
    ) -> None:
        self.table = PolicyTable(ledger, seed=seed, worker_index=worker_index)
        self._present: tuple[str, ...] | None = None
        self._unrecorded = set() if record is None else set(policies) - set(record)
        self._waiting = [
            (policy_id, actor, discounts.get(policy_id, Discount()), needs.get(policy_id, frozenset()))
            for policy_id, actor in policies.items()
        ]

    @property
    def policies(self) -> dict[str, Actor]:
        """The policies present, by id."""
        present = {seated.policy_id: seated.actor for seated in self.table.by_id.values() if not seated.removed}
        present.update({policy_id: actor for policy_id, actor, _, _ in self._waiting})
        return present

    @property
    def present(self) -> tuple[str, ...]:
        """The ids of the policies that episodes may name, as :attr:`policies` has them."""
        if self._present is None:
            self._present = tuple(self.policies)
        return self._present

    @property
    def any_scripted(self) -> bool:
        """Whether some seat sees raw observations, one agent at a time."""
        return any(not isinstance(seated.actor, Policy) for seated in self.table.by_index)

    def add(self, policy_id: str, actor: Actor, discount: Discount, needs: frozenset[str], *, record: bool) -> None:
        """A further policy; it is seated by the next :meth:`seat`.

        Raises:
            RunError: the id is taken, perhaps by a removed policy that still plays an open episode.
        """
        if policy_id in self.policies:
            raise RunError(f"policy {policy_id!r} is there already; remove it first, or take another id.")
        if policy_id in self.table.by_id:
            raise RunError(f"policy {policy_id!r} was removed and still plays an open episode; take another id.")
        if not record:
            self._unrecorded.add(policy_id)
        self._waiting.append((policy_id, actor, discount, needs))
        self._present = None

    def remove(self, policy_id: str) -> None:
        """No new seat for this policy; :meth:`sweep` forgets it once nobody plays it."""
        seated = self.table.by_id.get(policy_id)
        if seated is None:
            self._waiting = [one for one in self._waiting if one[0] != policy_id]
        else:
            seated.removed = True
        self._unrecorded.discard(policy_id)
        self._present = None

    def sweep(self, seats_of_open_episodes: Callable[[], Iterable[str]]) -> None:
        """Forget removed policies that no open episode has a seat for."""
        gone = [seated.policy_id for seated in self.table.by_id.values() if seated.removed]
        if gone:
            playing = set(seats_of_open_episodes())
            for policy_id in gone:
                if policy_id not in playing:
                    self.table.remove(policy_id)

    def seat(self, columns_for: Callable[[frozenset[str], int], tuple[Columns, Columns, Columns]]) -> None:
        """Seat everyone who waits. ``columns_for(needs, group size)`` says which columns the sampler adds (observed, acted, paid)."""
        for policy_id, actor, discount, needs in self._waiting:
            space = actor.action.space
            observed, acted, paid = columns_for(needs, len(space.spaces) if isinstance(space, Tuple) else 0)
            record = policy_id not in self._unrecorded
            self.table.add(policy_id, actor, discount, record=record, observed=observed, acted=acted, paid=paid)
        self._waiting = []

    def set_weights(self, policy_id: str, weights: Mapping[str, NDArray[Any]], *, version: int, counters: Counters | None) -> None:
        """Give one policy new weights."""
        policy = self.policies[policy_id]
        assert isinstance(policy, Policy)
        policy.set_weights(weights, version=version, counters=counters)
