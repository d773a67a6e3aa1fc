"""The hot path for array-native environments: E copies of a game stepped by one call, the same ledger.

What :mod:`marl.sampler` does with dicts happens here with masks over ``[E, A]``: rewards are paid to the lives that are
there, flags end them, ``acting`` slots observe. A copy that ends has reset itself inside ``step``, with the seed of
its next episode, which is drawn beforehand.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from marl.acting import Actor, Seated
from marl.env import VectorStep
from marl.episode import Episode, make_eps_id
from marl.errors import ConfigError, EnvError, MarlError, MaskError, Problem, RunError
from marl.ledger import TERMINATED, TRUNCATED, Ints
from marl.policy import ColumnSpec, Discount
from marl.resume import episode_from, episode_state, policies_state, policy_map, restore_policies, store_map
from marl.roster import Columns
from marl.router import Router
from marl.seeding import EpisodeSeeds
from marl.spaces import ActionCodec, ObservationCodec
from marl.surroundings import JOINT_COLUMNS, MEMBER_OBSERVED, MEMBER_PAID
from marl.worker import Worker

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


@dataclass(frozen=True)
class SpaceGroup:
    """Slots whose spaces are equal: they stand in one array of the environment."""

    slots: Ints  # places in env.slots
    observation: ObservationCodec
    action: ActionCodec


def space_groups(env: Any) -> list[SpaceGroup]:
    """The groups of ``env``, in the order in which their first slots stand."""
    found: dict[int, list[int]] = {}
    kinds: list[tuple[Any, Any]] = []
    for place, slot in enumerate(env.slots):
        kind = (env.single_observation_spaces[slot], env.single_action_spaces[slot])
        at = next((index for index, known in enumerate(kinds) if known == kind), len(kinds))
        if at == len(kinds):
            kinds.append(kind)
        found.setdefault(at, []).append(place)
    return [SpaceGroup(np.array(found[at], np.int64), ObservationCodec(o), ActionCodec(a)) for at, (o, a) in enumerate(kinds)]


class VectorRolloutWorker(Worker):
    """Samples one array-native environment; what every worker takes is told by :class:`~marl.worker.Worker`.

    Scripted players (which see one raw observation at a time), joint and member columns belong to dict environments and are refused.
    An environment that cannot hold copies still (``can_hold = False``) plays on in those that have enough: fragments may then be longer
    than asked, and of ``num_episodes`` those that began first are returned.
    """

    def __init__(
        self,
        *,
        env: Any,
        router: Router,
        policies: Mapping[str, Actor],
        discounts: Mapping[str, Discount],
        needs: Mapping[str, frozenset[str]] | None = None,
        record: Iterable[str] | None = None,
        seed: int,
        worker_index: int = 0,
        max_idle_ticks: int = 1000,
        info_keys: tuple[str, ...] = (),
        explore: bool = True,
        callbacks: Mapping[str, list[Callable[..., Any]]] | None = None,
    ) -> None:
        super().__init__(
            router=router,
            policies=policies,
            discounts=discounts,
            needs=needs,
            record=record,
            seed=seed,
            worker_index=worker_index,
            max_idle_ticks=max_idle_ticks,
            info_keys=info_keys,
            explore=explore,
            callbacks=callbacks,
        )
        self.env = env
        self._groups = space_groups(env)
        count, slots = env.num_envs, len(env.slots)
        self._group_of = np.zeros(slots, np.int64)
        self._place_in_group = np.zeros(slots, np.int64)
        for at, group in enumerate(self._groups):
            self._group_of[group.slots] = at
            self._place_in_group[group.slots] = np.arange(len(group.slots))
        self._can_hold = bool(getattr(env, "can_hold", True))
        self._seeds = [EpisodeSeeds(seed, worker_index, copy) for copy in range(count)]
        self._counts = [0] * count
        self._episodes: list[Episode] = []
        self._coming: list[Episode] = []
        self._lives = np.full((count, slots), -1, np.int64)
        self._due = np.zeros((count, slots), bool)
        self._tick = np.zeros(count, np.int64)
        self._fragment = np.zeros(count, np.int64)
        self._idle = np.zeros(count, np.int64)
        self._global_state = False
        self._shapes: dict[str, tuple[int, ...]] = {}  # of what the environment gives beside observations

    # ------------------------------------------------------------------ policies

    def _open_episodes(self) -> list[Episode]:
        return self._episodes

    def _seat_late(self) -> None:
        if self._episodes:
            self._seat(None)

    def _seat(self, step: VectorStep | None) -> None:
        for name, front in (("global_state", 1), ("critic_obs", 2)):
            if step is not None and getattr(step, name) is not None:
                self._shapes[name] = tuple(getattr(step, name).shape[front:])
        self.roster.seat(lambda needs, _: self._columns_for(needs))
        if self.roster.any_scripted:
            raise ConfigError(
                [
                    Problem(
                        "policies",
                        "a scripted player sees one observation at a time, and this environment gives arrays of all copies",
                        "use the dict form of the game, or a random, constant or learned policy",
                    )
                ]
            )

    def _columns_for(self, needs: frozenset[str]) -> tuple[Columns, Columns, Columns]:
        refused = sorted(needs & {*JOINT_COLUMNS, *MEMBER_OBSERVED, *MEMBER_PAID})
        if refused:
            wrong = f"an array-native environment gives no {', '.join(refused)}"
            raise ConfigError([Problem("env", wrong, "use the dict form of the game")])
        observed: dict[str, ColumnSpec] = {}
        for name in ("global_state", "critic_obs"):
            if name in needs:
                if name not in self._shapes:
                    raise EnvError(f"{type(self.env).__name__} gives no VectorStep.{name}, which an algorithm of this run needs.")
                observed[name] = (self._shapes[name], _FLOAT32)
        self._global_state = self._global_state or "global_state" in observed
        return observed, {}, {f"infos/{key}": ((), _FLOAT64) for key in self._info_keys}

    # ------------------------------------------------------------------ sampling

    def _run(self, num_env_steps: int | None, num_episodes: int | None, complete_episodes: bool, explore: bool) -> int:
        if not self._episodes:
            self._begin()
        else:
            self._coming = [self._draw_again(episode) for episode in self._coming]
        count = self.env.num_envs
        self._fragment[:] = 0
        active = np.ones(count, bool)
        counted: set[int] | None = None
        starts_left = 0
        if num_episodes is not None:
            active[num_episodes:] = False
            starts_left = max(0, num_episodes - count)
            counted = {episode.episode_id for episode, wanted in zip(self._episodes, active.tolist(), strict=True) if wanted}
        going = active.copy()
        while going.any():
            stepped = going if self._can_hold else np.ones(count, bool)
            ended = self._round(stepped, explore)
            if num_env_steps is not None:
                enough = self._fragment >= num_env_steps
                going &= ~(enough & ended) if complete_episodes else ~enough
                continue
            assert counted is not None
            for copy in np.flatnonzero(ended & going).tolist():
                if starts_left > 0:
                    starts_left -= 1
                    counted.add(self._episodes[copy].episode_id)
                else:
                    going[copy] = False
        if counted is not None:
            self._finished = [record for record in self._finished if record.eps_id in counted]
        return int(self._fragment.sum())

    def _round(self, stepped: NDArray[np.bool_], explore: bool) -> NDArray[np.bool_]:
        """Answer, step, take in. Returns the copies whose episode ended ``[E]``."""
        actions = self._answer(stepped, explore)
        coming = self._coming
        seeds = np.array([episode.seed for episode in coming], np.int64)
        options = [None if episode.match is None else episode.match.options for episode in coming]
        given = options if any(one is not None for one in options) else None
        started = perf_counter()
        try:
            step = self.env.step(actions, active=None if stepped.all() else stepped, next_seeds=seeds, next_options=given)
        except Exception as error:
            self._blame(error)
        self.timers["env"] += perf_counter() - started
        self._take_in(step, stepped)
        ended: NDArray[np.bool_] = step.episode_ended & stepped
        return ended

    def _answer(self, stepped: NDArray[np.bool_], explore: bool) -> Any:
        count = self.env.num_envs
        answers = [np.zeros((count, len(group.slots), *group.action.shape), group.action.dtype) for group in self._groups]
        due = self._due & stepped[:, None]
        copies, slots = np.nonzero(due)
        lives = self._lives[copies, slots]
        self._num_answers += len(lives)
        table = self.ledger.lives
        which = table.store[lives]
        groups = self._group_of[slots]
        for store in np.unique(which).tolist():
            mine = slice(None) if len(self.ledger.stores) == 1 else which == store
            own = lives[mine]
            actions = self.table.answer(store, table.row[own], own, explore, self._no_script)
            group = int(groups[mine][0])
            answers[group][copies[mine], self._place_in_group[slots[mine]]] = actions
        played = [
            _reshaped(self._codec(at).to_env_arrays(answer.reshape(-1, *group.action.shape)), answer.shape[:2])
            for at, (group, answer) in enumerate(zip(self._groups, answers, strict=True))
        ]
        return played[0] if len(played) == 1 else tuple(played)

    def _codec(self, group: int) -> ActionCodec:
        """The codec that plays a group's actions: that of a policy seated there (its way with Box actions counts)."""
        for seated in self.table.by_id.values():
            if seated.actor.action.space == self._groups[group].action.space:
                return seated.actor.action
        return self._groups[group].action

    def _no_script(self, seated: Seated, lives: Ints) -> NDArray[Any]:
        raise RunError(f"player {seated.policy_id!r} sees one observation at a time; array-native environments have none to show.")

    # ------------------------------------------------------------------ episodes

    def _begin(self) -> None:
        """The first episodes of all copies."""
        count = self.env.num_envs
        self._episodes = [self._next_episode(copy) for copy in range(count)]
        seeds = np.array([episode.seed for episode in self._episodes], np.int64)
        started = perf_counter()
        try:
            step = self.env.reset(seed=seeds)
        except Exception as error:
            self._blame(error)
        self.timers["env"] += perf_counter() - started
        self._seat(step)
        self._coming = [self._next_episode(copy) for copy in range(count)]
        for episode in self._episodes:
            self._tell("on_episode_start", episode)
        self._observe(step, np.ones(count, bool))

    def _next_episode(self, copy: int) -> Episode:
        number = self._counts[copy]
        self._counts[copy] += 1
        episode = Episode(
            make_eps_id(self.worker_index, copy, number), self._seeds[copy][number], copy, self.worker_index, (), self.match_state
        )
        return self._draw(episode)

    def _draw(self, episode: Episode) -> Episode:
        episode.policies = self.roster.present
        episode.match_state = self.match_state
        match = episode.match = self.router.begin(episode)
        if match is not None and match.seed is not None:
            episode.seed = match.seed
        return episode

    def _draw_again(self, episode: Episode) -> Episode:
        """An episode that was to come, under what is known now: policies and match state may have changed since."""
        if episode.match is None:
            return episode
        seed = self._seeds[episode.env_index][episode.episode_id & 0xFFFFFFFF]
        return self._draw(Episode(episode.episode_id, seed, episode.env_index, self.worker_index, (), self.match_state))

    def _tell(self, hook: str, *what: Any) -> None:
        for call in self._callbacks.get(hook, ()):
            call(*what)

    # ------------------------------------------------------------------ taking in

    def _take_in(self, step: VectorStep, stepped: NDArray[np.bool_]) -> None:
        ledger = self.ledger
        elapsed = np.where(stepped, 1 if step.elapsed_ticks is None else step.elapsed_ticks, 0)
        living = (self._lives >= 0) & stepped[:, None]
        copies, slots = np.nonzero(living)
        lives = self._lives[copies, slots]
        rewards = step.rewards[copies, slots].astype(np.float64)
        ledger.pay(lives, rewards, self._tick[copies])
        self._note_infos(step, lives, copies, slots)
        homeless = (step.rewards != 0) & ~living & stepped[:, None]
        if homeless.any():
            for copy, slot in zip(*(places.tolist() for places in np.nonzero(homeless)), strict=True):
                self._episodes[copy].uncredit(self.env.slots[slot], float(step.rewards[copy, slot]))
        self._tick += elapsed
        self._fragment += elapsed
        over = step.episode_ended & stepped
        flagged = (step.terminateds | step.truncateds | over[:, None]) & living
        if flagged.any():
            self._end_lives(step, flagged, over)
        for copy in np.flatnonzero(over).tolist():
            self._finish(copy, step)
        self._observe(step, stepped)
        nobody = ~self._due.any(axis=1) & stepped
        self._idle = np.where(nobody, self._idle + elapsed, 0)
        if (self._idle > self._max_idle_ticks).any():
            copy = int(self._idle.argmax())
            ticks = int(self._idle[copy])
            self._blame(EnvError(f"nobody was due in copy {copy} for {ticks} ticks; expected an observation or the episode's end."))

    def _note_infos(self, step: VectorStep, lives: Ints, copies: Ints, slots: Ints) -> None:
        table = self.ledger.lives
        for key in self._info_keys:
            if key in step.infos:
                values = np.asarray(step.infos[key], np.float64)[copies, slots]
                said = ~np.isnan(values)
                for store in np.unique(table.store[lives]).tolist():
                    mine = (table.store[lives] == store) & said
                    self.ledger.stores[store].columns[f"infos/{key}"][table.row[lives[mine]]] = values[mine]

    def _end_lives(self, step: VectorStep, flagged: NDArray[np.bool_], over: NDArray[np.bool_]) -> None:
        ledger, table = self.ledger, self.ledger.lives
        copies, slots = np.nonzero(flagged)
        lives = self._lives[copies, slots]
        flags = np.where(step.terminateds[copies, slots], TERMINATED, TRUNCATED)
        final_rows = np.full(len(lives), -1, np.int64)
        if step.final_mask is not None:
            shown = step.final_mask[copies, slots]
            for store in np.unique(table.store[lives[shown]]).tolist():
                mine = np.flatnonzero(shown & (table.store[lives] == store))
                rows = ledger.final(store, lives[mine])
                final_rows[mine] = np.arange(rows.start, rows.stop)
                states = None
                if self._global_state:
                    ended = over[copies[mine]]
                    current = np.asarray(step.global_state)[copies[mine]]
                    if ended.any():
                        if step.final_global_state is None:
                            self._blame(EnvError("an episode ended without VectorStep.final_global_state, which an algorithm needs."))
                        shape = (-1,) + (1,) * (current.ndim - 1)
                        current = np.where(ended.reshape(shape), np.asarray(step.final_global_state)[copies[mine]], current)
                    states = current
                self._write(store, rows, lives[mine], copies[mine], slots[mine], step.final_obs, None, states, step.final_critic_obs)
        causes = np.zeros(len(lives), np.int64) if step.end_cause is None else step.end_cause[copies, slots].astype(np.int64)
        ledger.end_many(lives, flags, ticks=self._tick[copies], causes=causes, final_rows=final_rows)
        counts, returned = table.count[lives], table.returned[lives]
        cut = (flags == TRUNCATED) & (final_rows < 0)
        for copy, slot, decisions, sum_, blind in zip(
            copies.tolist(), slots.tolist(), counts.tolist(), returned.tolist(), cut.tolist(), strict=True
        ):
            episode, agent = self._episodes[copy], self.env.slots[slot]
            episode.num_agent_steps += decisions
            episode.returns[agent] = episode.returns.get(agent, 0.0) + sum_
            episode.num_truncated_without_observation += blind
        self._lives[copies, slots] = -1

    def _finish(self, copy: int, step: VectorStep) -> None:
        """An episode ended: its record, and the next one, which the environment has begun already."""
        episode = self._episodes[copy]
        end = "terminated" if not step.truncateds[copy].any() else "truncated"
        record = episode.record(int(self._tick[copy]), end)
        self._finished.append(record)
        self._tell("on_episode_end", episode, record)
        self._episodes[copy] = self._coming[copy]
        self._coming[copy] = self._next_episode(copy)
        self._tick[copy] = 0
        self._due[copy] = False
        self._tell("on_episode_start", self._episodes[copy])

    def _observe(self, step: VectorStep, stepped: NDArray[np.bool_]) -> None:
        ledger, table = self.ledger, self.ledger.lives
        self._due = np.where(stepped[:, None], step.acting, self._due)
        fresh = step.acting & stepped[:, None]
        born = fresh & (step.new_life | (self._lives < 0))
        if born.any():
            for copy, slot in zip(*(places.tolist() for places in np.nonzero(born)), strict=True):
                self._begin_life(copy, slot)
        copies, slots = np.nonzero(fresh)
        lives = self._lives[copies, slots]
        which = table.store[lives]
        for store in np.unique(which).tolist():
            mine = np.flatnonzero(which == store) if len(ledger.stores) > 1 else slice(None)
            own = lives[mine]
            rows = ledger.observe(store, own, self._tick[copies[mine]])
            states = np.asarray(step.global_state)[copies[mine]] if self._global_state else None
            self._write(store, rows, own, copies[mine], slots[mine], step.obs, step.action_masks, states, step.critic_obs)

    def _begin_life(self, copy: int, slot: int) -> None:
        episode, agent = self._episodes[copy], self.env.slots[slot]
        seat = episode.seats.get(agent)
        policy_id = self.router.policy_for(agent, episode) if seat is None else seat[0]
        seated = self.table.by_id.get(policy_id)
        if seated is None or (seated.removed and seat is None):
            raise RunError(f"agent {agent!r} was given to policy {policy_id!r}, which is not on this worker.")
        if seat is None:
            episode.seats[agent] = (policy_id, seated.actor.version)
        number = episode.life_counts.get(agent, 0)
        episode.life_counts[agent] = number + 1
        learns = episode.match is None or self.router.learns(agent, episode)
        life = self.ledger.begin(
            agent,
            store=seated.store,
            policy=seated.index,
            env=copy,
            slot=slot,
            eps_id=episode.episode_id,
            number=number,
            record=seated.record and learns,
        )
        self._lives[copy, slot] = life
        self.table.begin_life(seated, life)

    def _write(
        self,
        store: int,
        rows: slice,
        lives: Ints,
        copies: Ints,
        slots: Ints,
        obs: Any,
        masks: Any,
        states: NDArray[Any] | None,
        critic_obs: Any,
    ) -> None:
        """Write what slots ``(copies[i], slots[i])`` see into fresh rows of one store."""
        columns = self.ledger.stores[store].columns
        group = int(self._group_of[slots[0]])
        places = self._place_in_group[slots]
        block = obs if len(self._groups) == 1 else obs[group]
        self._encode(self.table.member_of(store).actor.observation, columns, rows, block, copies, places)
        if masks is not None:
            allowed = np.asarray(masks if len(self._groups) == 1 else masks[group])[copies, places]
            self.table.need_mask(store)
            columns = self.ledger.stores[store].columns
            columns["action_mask"][rows] = allowed.reshape(len(copies), -1)
            self._check_blocked(store, rows, copies, slots)
        elif "action_mask" in columns:
            columns["action_mask"][rows] = True
        self.table.note_state(store, rows, lives)
        if states is not None and "global_state" in columns:
            columns["global_state"][rows] = states
        if "critic_obs" in columns:
            if critic_obs is None:
                self._blame(EnvError("VectorStep.critic_obs or final_critic_obs is missing, which an algorithm needs."))
            columns["critic_obs"][rows] = np.asarray(critic_obs)[copies, slots]
        for key in self._info_keys:
            columns[f"infos/{key}"][rows] = np.nan

    def _encode(
        self, codec: ObservationCodec, columns: Mapping[str, NDArray[Any]], rows: slice, block: Any, copies: Ints, places: Ints
    ) -> None:
        if codec.plain_box:
            picked = block[copies, places]
            if picked.shape[1:] != codec.shape:
                self._blame(EnvError(f"VectorStep.obs has rows of shape {picked.shape[1:]}; expected {codec.shape} as its space says."))
            columns["obs"][rows] = picked
            return
        values = [_pick_row(block, copy, place) for copy, place in zip(copies.tolist(), places.tolist(), strict=True)]
        codec.encode_columns(values, {name: columns[name][rows] for name in codec.columns})

    def _check_blocked(self, store: int, rows: slice, copies: Ints, slots: Ints) -> None:
        masks = self.ledger.stores[store].columns["action_mask"][rows]
        blocked = np.flatnonzero(self.table.member_of(store).actor.action.blocked(masks))
        if blocked.size:
            copy, slot = int(copies[blocked[0]]), int(slots[blocked[0]])
            self._blame(MaskError(f"the action mask of agent {self.env.slots[slot]!r} in copy {copy}, which is due, allows no action."))

    def _blame(self, error: Exception) -> NoReturn:
        where = f"environment {type(self.env).__name__}, worker {self.worker_index}"
        if isinstance(error, MarlError):
            raise type(error)(f"{where}: {error}") from error
        trace = "".join(traceback.format_exception(error)).rstrip()
        raise EnvError(f"{trace}\n\nThe environment raised the error above in {where}.") from error

    # ------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Any]:
        """As the base says; open episodes come back only if the environment has ``get_state()/set_state()``."""
        state: dict[str, Any] = {
            "streams": self.streams.state_dict(),
            "router": self.router.state_dict(),
            "match_state": self.match_state,
            "policies": policies_state(self.table),
            "counts": list(self._counts),
            "env": self.env.get_state() if self._episodes and hasattr(self.env, "get_state") else None,
        }
        state["open"] = len(self._episodes)
        if state["env"] is None:
            return state
        return {
            **state,
            "episodes": [episode_state(episode) for episode in self._episodes],
            "coming": [episode_state(episode) for episode in self._coming],
            "ledger": self.ledger.state_dict(),
            "recurrent": [{name: leaf.copy() for name, leaf in one.items()} for one in self.table.recurrent_state],
            **{name: getattr(self, f"_{name}").copy() for name in ("lives", "due", "tick", "idle")},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> list[str]:
        self.match_state = state["match_state"]
        self.router.load_state_dict(state["router"])
        self._counts = [int(count) for count in state["counts"]]
        if state["policies"]:  # they were seated, so they have drawn
            with self.streams:
                self._seat(self.env.reset(seed=np.zeros(self.env.num_envs, np.int64)))
            restore_policies(self.table, state["policies"])
        reason = self._why_lost(state)
        if state["env"] is None or reason:
            self.streams.load_state_dict(state["streams"])
            return [f"{type(self.env).__name__}: {reason}, so its open episodes begin anew"] * int(state["open"])
        with self.streams:
            self.env.set_state(state["env"])
        self.ledger.load_state_dict(state["ledger"], policy_map(self.table, state["policies"]), store_map(self.table, state["policies"]))
        for mine, saved in zip(self.table.recurrent_state, state["recurrent"], strict=False):
            mine.update({name: np.array(leaf) for name, leaf in saved.items()})
        self._episodes = [episode_from(one) for one in state["episodes"]]
        self._coming = [episode_from(one) for one in state["coming"]]
        for name in ("lives", "due", "tick", "idle"):
            getattr(self, f"_{name}")[:] = state[name]
        self.streams.load_state_dict(state["streams"])
        return []

    def _why_lost(self, state: Mapping[str, Any]) -> str:
        if not hasattr(self.env, "get_state"):
            return "it has no get_state()/set_state()"
        seats = [seat[0] for episode in state.get("episodes", ()) for _, seat in episode["seats"]]
        missing = next((policy_id for policy_id in seats if policy_id not in self.table.by_id), None)
        return "" if missing is None else f"policy {missing!r} is no longer there"

    # ------------------------------------------------------------------ for users' hands

    def foreach_env(self, function: Callable[[Any], Any]) -> list[Any]:
        with self.streams:
            return [function(self.env)]

    def reset_all(self) -> None:
        for life in self._lives[self._lives >= 0].tolist():
            self.ledger.drop(life)
        self.ledger.forget_rows()
        self._lives[:] = -1
        self._due[:] = False
        self._tick[:] = 0
        self._episodes, self._coming = [], []

    def close(self) -> None:
        close = getattr(self.env, "close", None)
        if close is not None:
            close()


def _pick_row(block: Any, copy: int, place: int) -> Any:
    """One slot's observation out of arrays ``[E, A, ...]``, nested as the space is."""
    if isinstance(block, dict):
        return {key: _pick_row(inner, copy, place) for key, inner in block.items()}
    if isinstance(block, tuple):
        return tuple(_pick_row(inner, copy, place) for inner in block)
    return block[copy, place]


def _reshaped(played: Any, front: tuple[int, ...]) -> Any:
    """Arrays ``[E * A, ...]`` as ``[E, A, ...]``, nested as the action space is."""
    if isinstance(played, dict):
        return {key: _reshaped(inner, front) for key, inner in played.items()}
    if isinstance(played, tuple):
        return tuple(_reshaped(inner, front) for inner in played)
    return played.reshape(*front, *played.shape[1:])
