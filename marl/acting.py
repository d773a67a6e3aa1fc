"""Who answers: the policies of one worker, their stores, and one forward pass for all agents of a policy.

Policies whose rows have the same layout share a store of the ledger; those of equal shape are answered by one
stacked pass where their class offers one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.errors import MaskError, PolicyError
from marl.ledger import Ints, Layout, Ledger
from marl.players import ScriptedPlayer
from marl.policy import ColumnSpec, Discount, Policy, StackedPolicy
from marl.seeding import generator
from marl.spaces import space_to_json

Actor = Policy | ScriptedPlayer
_BOOL = np.dtype(bool)


class Seated:
    """One policy of a worker: its index in the ledger, its store and its generator."""

    __slots__ = ("actor", "discount", "index", "policy_id", "record", "removed", "rng", "store")

    def __init__(
        self, policy_id: str, actor: Actor, discount: Discount, index: int, store: int, rng: np.random.Generator, record: bool
    ) -> None:
        self.policy_id = policy_id
        self.actor = actor
        self.discount = discount
        self.index = index
        self.store = store
        self.rng = rng
        self.record = record
        self.removed = False


class PolicyTable:
    """The policies of one worker, and how they answer.

    Args:
        seed, worker_index: place in the run's tree of seeds; each policy has a generator of its own.
    """

    def __init__(self, ledger: Ledger, *, seed: int, worker_index: int) -> None:
        self.ledger = ledger
        self.by_id: dict[str, Seated] = {}
        self.by_index: list[Seated] = []
        self._layouts: dict[str, int] = {}
        self._seed, self._worker_index = seed, worker_index
        self._members: list[list[Seated]] = []
        self._codec_of: list[Seated] = []
        self._stacks: list[StackedPolicy | None] = []
        self._stack_place: list[NDArray[np.intp]] = []
        self.recurrent_state: list[dict[str, NDArray[Any]]] = []
        self.inference_s = 0.0

    def add(
        self,
        policy_id: str,
        actor: Actor,
        discount: Discount,
        *,
        record: bool,
        observed: dict[str, ColumnSpec],
        paid: dict[str, ColumnSpec],
        acted: dict[str, ColumnSpec],
    ) -> Seated:
        """Seat a policy: find or make the store that its rows fit.

        ``observed``, ``paid`` and ``acted`` are the columns that the sampler writes beside the policy's own.
        """
        codec, action = actor.observation, actor.action
        own_columns = dict(getattr(actor, "columns", {}))
        recurrent = dict(getattr(actor, "recurrent", {}))
        layout = Layout(
            observed={
                **codec.columns,
                **({"action_mask": ((action.mask_size,), _BOOL)} if codec.masked else {}),
                **{f"recurrent_state_in/{name}": spec for name, spec in recurrent.items()},
                **observed,
            },
            acted={"actions": (action.shape, action.dtype), **own_columns, **acted},
            paid={**({"rewards_discounted": ((), np.dtype(float))} if discount.per == "tick" else {}), **paid},
        )
        key = json.dumps([_layout_key(layout), space_to_json(action.space), action.box, space_to_json(codec.space), codec.structured])
        index = self.ledger.add_policy(discount)
        if key not in self._layouts:
            self._layouts[key] = self.ledger.add_store(layout)
            self._members.append([])
            self._stacks.append(None)
            self._stack_place.append(np.zeros(0, np.intp))
            self.recurrent_state.append({})
        store = self._layouts[key]
        rng = generator(self._seed, "policy", self._worker_index, policy_id)
        seated = Seated(policy_id, actor, discount, index, store, rng, record)
        self.by_id[policy_id] = seated
        self.by_index.append(seated)
        if store == len(self._codec_of):
            self._codec_of.append(seated)
        self._members[store].append(seated)
        for name, (shape, dtype) in recurrent.items():
            if name not in self.recurrent_state[store]:  # others of the store may be in the middle of their lives
                self.recurrent_state[store][name] = np.zeros((self.ledger.lives.capacity, *shape), dtype)
        self._restack(store)
        return seated

    def remove(self, policy_id: str) -> None:
        """Forget a policy that no life is played by any more."""
        seated = self.by_id.pop(policy_id)
        self._members[seated.store].remove(seated)
        self._restack(seated.store)

    def _restack(self, store: int) -> None:
        members = self._members[store]
        self._stacks[store] = None
        policies = [one.actor for one in members if isinstance(one.actor, Policy)]
        if len(policies) > 1 and len(policies) == len(members) and len({type(policy) for policy in policies}) == 1:
            self._stacks[store] = type(policies[0]).stack(policies)
        place = np.full(len(self.by_index), -1, np.intp)
        for at, one in enumerate(members):
            place[one.index] = at
        self._stack_place[store] = place

    def member_of(self, store: int) -> Seated:
        """Any policy of the store: all of them share its codecs."""
        return self._codec_of[store]

    def need_mask(self, store: int) -> None:
        """Give a store a mask column (all allowed so far): the first mask for one of its agents came in an info."""
        if "action_mask" not in self.ledger.stores[store].columns:
            size = self._codec_of[store].actor.action.mask_size
            self.ledger.stores[store].add_observed("action_mask", ((size,), _BOOL), fill=True)

    def refresh_stacks(self) -> None:
        """Read weights again into every stacked pass; after policies' weights were set."""
        for stack in self._stacks:
            if stack is not None:
                stack.refresh()

    def begin_life(self, seated: Seated, life: int) -> None:
        """A life starts with a fresh recurrent state."""
        state = self.recurrent_state[seated.store]
        if state:
            assert isinstance(seated.actor, Policy)
            for name, initial in seated.actor.initial_recurrent_state(1).items():
                if life >= len(state[name]):
                    grown = np.zeros((self.ledger.lives.capacity, *state[name].shape[1:]), state[name].dtype)
                    grown[: len(state[name])] = state[name]
                    state[name] = grown
                state[name][life] = initial[0]

    def note_state(self, store: int, rows: slice, lives: Ints) -> None:
        """Write the recurrent state with which ``lives`` meet the observations at ``rows``."""
        for name, state in self.recurrent_state[store].items():
            self.ledger.stores[store].columns[f"recurrent_state_in/{name}"][rows] = state[lives]

    # ------------------------------------------------------------------ answering

    def answer(
        self,
        store: int,
        rows: slice | Ints,
        lives: Ints,
        explore: bool,
        play_scripted: Callable[[Seated, Ints], NDArray[Any]],
    ) -> NDArray[Any]:
        """Answer the observations at ``rows`` of one store, row i for ``lives[i]``; returns the stored actions ``[n, …]``.

        ``play_scripted(seated, lives)`` answers for scripted players, which see raw observations.

        Raises:
            MaskError: a policy chose a masked action.
        """
        members = self._members[store]
        if len(members) == 1:
            return self._one(members[0], rows, lives, explore, play_scripted)
        which = self.ledger.lives.policy[lives]
        stack = self._stacks[store]
        if stack is not None:
            return self._stacked(stack, store, rows, lives, which, explore)
        present = np.unique(which)
        if len(present) == 1:
            return self._one(self.by_index[int(present[0])], rows, lives, explore, play_scripted)
        index = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        for policy in present.tolist():
            mine = np.flatnonzero(which == policy)
            self._one(self.by_index[policy], index[mine], lives[mine], explore, play_scripted)
        actions: NDArray[Any] = self.ledger.stores[store].columns["actions"][rows]
        return actions

    def _one(
        self,
        seated: Seated,
        rows: slice | Ints,
        lives: Ints,
        explore: bool,
        play_scripted: Callable[[Seated, Ints], NDArray[Any]],
    ) -> NDArray[Any]:
        actor = seated.actor
        columns = self.ledger.stores[seated.store].columns
        mask = columns["action_mask"][rows] if "action_mask" in columns else None
        started = perf_counter()
        if isinstance(actor, Policy):
            state = self.recurrent_state[seated.store]
            actions, following, extra = actor.act_batch(
                _observation(columns, actor, rows),
                recurrent_state={name: leaf[lives] for name, leaf in state.items()} if state else {},
                action_mask=mask,
                explore=explore,
                rng=seated.rng,
                schedule_step=actor.counters.num_env_steps,
            )
            for name, leaf in state.items():
                leaf[lives] = following[name]
        else:
            actions, extra = play_scripted(seated, lives), {}
        self.inference_s += perf_counter() - started
        if mask is not None:
            self._check_mask(seated.actor.action.allowed(actions, mask), lives, actions)
        self.ledger.act(seated.store, rows, actions, extra, actor.version)
        return actions

    def _stacked(self, stack: StackedPolicy, store: int, rows: slice | Ints, lives: Ints, which: Ints, explore: bool) -> NDArray[Any]:
        members = self._members[store]
        first = members[0].actor
        assert isinstance(first, Policy)
        columns = self.ledger.stores[store].columns
        mask = columns["action_mask"][rows] if "action_mask" in columns else None
        place = self._stack_place[store][which]
        started = perf_counter()
        actions, _, extra = stack.act_batch(
            _observation(columns, first, rows),
            policy_index=place,
            action_mask=mask,
            explore=explore,
            rngs=[one.rng for one in members],
            schedule_step=first.counters.num_env_steps,
        )
        self.inference_s += perf_counter() - started
        if mask is not None:
            self._check_mask(first.action.allowed(actions, mask), lives, actions)
        versions = np.array([one.actor.version for one in members], np.int32)[place]
        self.ledger.act(store, rows, actions, extra, versions)
        return actions

    def _check_mask(self, allowed: NDArray[np.bool_], lives: Ints, actions: NDArray[Any]) -> None:
        if allowed.all():
            return
        wrong = int(np.flatnonzero(~allowed)[0])
        life = int(lives[wrong])
        table = self.ledger.lives
        seated = self.by_index[int(table.policy[life])]
        raise MaskError(
            f"policy {seated.policy_id!r} chose the masked action {actions[wrong].tolist()!r} for agent {table.agent[life]!r} "
            f"(episode {int(table.eps_id[life])}, decision {int(table.count[life]) - 1}); expected one that its action_mask allows."
        )


def _observation(columns: dict[str, NDArray[Any]], actor: Policy, rows: slice | Ints) -> Any:
    if actor.observation.structured:
        return {name: columns[name][rows] for name in actor.observation.columns}
    return columns["obs"][rows]


def _layout_key(layout: Layout) -> list[Any]:
    return [
        [[name, list(shape), str(dtype)] for name, (shape, dtype) in group.items()]
        for group in (layout.observed, layout.acted, layout.paid)
    ]


def play_scripted_lives(
    seated: Seated,
    players: Sequence[tuple[Callable[..., Any], np.random.Generator]],
    observations: Sequence[Any],
    infos: Sequence[Any],
) -> NDArray[Any]:
    """Ask each life's player (with its generator) for its action and turn the answers into stored rows ``[n, …]``."""
    actor = seated.actor
    out = np.empty((len(players), *actor.action.shape), actor.action.dtype)
    for at, ((play, rng), observation, info) in enumerate(zip(players, observations, infos, strict=True)):
        action = play(observation, info, rng)
        try:
            out[at] = actor.action.from_env(action)
        except Exception as error:
            raise PolicyError(f"player {seated.policy_id!r} answered {action!r}: {error}") from error
    return out
