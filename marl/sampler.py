"""The hot path: environment copies in, a ledger of exact rows out.

Every round answers all due agents of all copies (one forward pass a policy), steps the copies, and takes in what they
returned: rewards are paid to the rows that are open, lives end, new observations open new rows. A copy whose agents
are the same as in its last step, with no flag set, goes through in a few slices; everything else goes through
:meth:`RolloutWorker._take_in`, agent by agent.

The order within one call of ``step`` is the ledger's: rewards first, at the age that rows had when the call began, then
the clock, then ends, then new observations.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from marl.acting import Actor, Seated, play_scripted_lives
from marl.env import END_CAUSES
from marl.episode import Episode, make_eps_id
from marl.errors import EnvError, MarlError, MaskError, RunError
from marl.ledger import TERMINATED, TRUNCATED, Ints
from marl.players import ScriptedPlayer
from marl.policy import Discount, Policy
from marl.resume import capsule, restore_worker, worker_state
from marl.router import Router
from marl.seeding import EpisodeSeeds, generator
from marl.spaces import MASK_KEY, split_mask
from marl.surroundings import Surroundings, read_global_state
from marl.worker import Worker
from marl.wrappers.base import state_is_whole

MAX_ZERO_TICK_CALLS = 1000
FOREVER = 2**62
_NOTHING: Any = object()
_CAUSES = {name: index for index, name in enumerate(END_CAUSES)}


class EnvCopy:
    """One copy of the environment and what is going on in it."""

    __slots__ = (
        "cascades",
        "due",
        "due_lives",
        "env",
        "episode",
        "episode_count",
        "final_global_state",
        "global_state",
        "idle_ticks",
        "index",
        "infos",
        "lives",
        "log",
        "memory",
        "needs_reset",
        "observations",
        "options",
        "possible",
        "remembers",
        "seeds",
        "seen",
        "states_agents",
        "step",
        "stopped",
        "tick",
        "ticks_before",
        "zero_tick_calls",
    )

    def __init__(self, index: int, env: Any, seeds: EpisodeSeeds) -> None:
        self.index = index
        self.env = env
        self.step = env.step
        self.seeds = seeds
        self.possible = frozenset(getattr(env, "possible_agents", ()))
        self.episode: Episode = None  # type: ignore[assignment]  # set by the first reset
        self.episode_count = 0
        self.lives: dict[Any, int] = {}
        self.due: tuple[Any, ...] = ()
        self.due_lives: list[int] = []
        self.observations: dict[Any, Any] = {}
        self.infos: dict[Any, Any] = {}
        self.seen: set[Any] = set()
        self.tick = 0
        self.ticks_before = 0  # ticks of this fragment in earlier episodes, less those of this episode in earlier fragments
        self.idle_ticks = 0
        self.zero_tick_calls = 0
        self.needs_reset = True
        self.stopped = False
        self.cascades = False
        self.states_agents = False
        self.options: dict[str, Any] | None = None
        self.log: list[dict[Any, Any]] = []
        self.memory: Any = None  # what wrappers remembered when the episode began
        self.remembers = hasattr(env, "get_state") and not state_is_whole(env)
        self.global_state: Any = None
        self.final_global_state: Any = None

    def note_members(self) -> None:
        """See which optional members the environment has; some come with the first reset."""
        self.cascades = hasattr(self.env, "next_call_is_decision")
        self.states_agents = getattr(self.env, "agents", None) is not None


class RolloutWorker(Worker):
    """Samples copies of a dict environment; what every worker takes is told by :class:`~marl.worker.Worker`.

    Args:
        make_env: copy number → environment, wrapped and grouped.
        probe_env: an environment made already; it becomes copy 0.
        keep_logs: keep each open episode's actions, for checkpoints and crash capsules.
    """

    def __init__(
        self,
        *,
        make_env: Callable[[int], Any],
        envs_per_worker: int,
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
        probe_env: Any = None,
        keep_logs: bool = True,
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
        self.ledger.hashing = keep_logs
        self._make_env = make_env
        self._num_copies = envs_per_worker
        self._probe_env = probe_env
        self._keep_logs = keep_logs
        self.surroundings: Surroundings = None  # type: ignore[assignment]  # made with the first copy
        self.copies: list[EnvCopy] = []
        self._tick = np.zeros(envs_per_worker, np.int64)
        self.scripted: dict[int, tuple[Callable[..., Any], np.random.Generator]] = {}
        self._any_scripted = False
        self._keep_raw = True
        self._target = -1
        self._complete = False
        self._starts_left = 0
        self._cascading = False
        self._any_stopped = False
        self._clear_round()

    # ------------------------------------------------------------------ copies and policies

    def ensure_copies(self) -> None:
        """Make the environment copies, if they are not there yet."""
        if self.copies:
            return
        for index in range(self._num_copies):
            env = self._probe_env if index == 0 and self._probe_env is not None else self._make_env(index)
            self.copies.append(EnvCopy(index, env, EpisodeSeeds(self.seed, self.worker_index, index)))
        self.surroundings = Surroundings(self.copies[0].env, self._num_copies, self._info_keys)
        self._seat()

    def _open_episodes(self) -> list[Episode]:
        return [copy.episode for copy in self.copies if not copy.needs_reset]

    def _seat_late(self) -> None:
        if self.copies:
            self._seat()

    def _seat(self) -> None:
        joined = self.surroundings.joins
        self.roster.seat(lambda needs, group_size: self.surroundings.columns_for(needs, group_size, self._spare_env))
        if self.surroundings.joins and not joined:
            for copy in self.copies:
                if not copy.needs_reset:
                    self.surroundings.recall(self.ledger, copy.index, copy.lives, copy.due)
        self._any_scripted = self.roster.any_scripted
        whole = any(state_is_whole(copy.env) for copy in self.copies)  # saved with what it last showed, not replayed
        self._keep_raw = self._any_scripted or self.surroundings.active or whole

    @contextmanager
    def _spare_env(self) -> Iterator[tuple[Any, int]]:
        """``(environment, seed)``: one that no episode is open in, to look at an episode's beginning."""
        copy = self.copies[0]
        env = self._make_env(0) if copy.episode_count else copy.env
        if not copy.needs_reset and _innermost(env) is _innermost(copy.env):
            raise RunError(
                "a new policy needs a look at an episode's beginning, and the run's one environment object is in the middle of one; "
                "add the policy before the first sample, or give the run a class or name to make environments from."
            )
        yield env, copy.seeds[0]
        if _innermost(env) is not _innermost(copy.env) and hasattr(env, "close"):
            env.close()

    # ------------------------------------------------------------------ sampling

    def _run(self, num_env_steps: int | None, num_episodes: int | None, complete_episodes: bool, explore: bool) -> int:
        """Rounds until every copy has what was asked for; returns the ticks of all copies."""
        self.ensure_copies()
        self._target = num_env_steps if num_env_steps is not None else -1
        self._complete = complete_episodes
        active = list(self.copies)
        if num_episodes is not None:
            open_ = [copy for copy in self.copies if not copy.needs_reset][:num_episodes]
            idle = [copy for copy in self.copies if copy.needs_reset][: num_episodes - len(open_)]
            active = sorted(open_ + idle, key=lambda copy: copy.index)
            self._starts_left = num_episodes - len(active)
        for copy in self.copies:
            if copy.needs_reset:
                copy.tick = 0
            copy.ticks_before = -copy.tick
            copy.stopped = False
        self._clear_round()
        fresh = [copy for copy in active if copy.needs_reset]
        for copy in fresh:
            self._reset(copy)
        if fresh:
            self._flush(fresh)
        in_order = False  # whether the rows to answer are the newest rows of their stores, in the order of the copies
        while active:
            group = active
            if self._cascading:
                deciders = [copy for copy in active if copy.cascades and copy.env.next_call_is_decision]
                group = deciders or active
            actions = self._answer(group, explore, in_order and group is active)
            self._regular = in_order and group is active
            self._step(group, actions)
            in_order = group is active
            if self._any_stopped:
                active = [copy for copy in active if not copy.stopped]
                self._any_stopped = False
                in_order = False
        return sum(copy.tick + copy.ticks_before for copy in self.copies)

    def _clear_round(self) -> None:
        self._obs: list[Any] = []
        self._payments: list[Any] = []
        self._regular_copies: list[EnvCopy] = []
        self._pay_lives: list[int] = []
        self._late_payments: list[Any] = []
        self._births: list[tuple[int, int, int, int, int, int, int, bool]] = []
        self._masks: list[tuple[int, Any]] = []
        self._ends: list[tuple[EnvCopy, Episode, Any, int, int, int, int, Any, Any]] = []
        self._parents: list[tuple[int, int]] = []
        self._results: list[tuple[int, Mapping[str, Any]]] = []
        self._over: list[tuple[Episode, int, str]] = []
        self._regular = True
        self._any_stopped = False
        self._round_lives: Ints = np.zeros(0, np.int64)
        self._cascading = any(copy.cascades for copy in self.copies)

    # ------------------------------------------------------------------ answering

    def _answer(self, group: list[EnvCopy], explore: bool, in_order: bool) -> list[Any]:
        """The environment actions of every due agent of ``group``, in the order of the copies and their agents."""
        table, ledger = self.table, self.ledger
        if in_order:
            lives = self._round_lives
        else:
            lives = np.array([life for copy in group for life in copy.due_lives], np.int64)
        count = len(lives)
        self._num_answers += count
        if not count:
            return []
        stores = ledger.stores
        if len(stores) == 1:
            used = stores[0].used
            rows = slice(used - count, used) if in_order else ledger.lives.row[lives]
            actions = table.answer(0, rows, lives, explore, self._play_scripted)
            if self.surroundings.joins:
                self.surroundings.note_actions(ledger, lives)
            return self._codec(0).to_env(actions)  # type: ignore[no-any-return]
        flat: list[Any] = [None] * count
        which = ledger.lives.store[lives]
        for store in np.unique(which).tolist():
            mine = np.flatnonzero(which == store)
            own = lives[mine]
            actions = table.answer(store, ledger.lives.row[own], own, explore, self._play_scripted)
            for at, action in zip(mine.tolist(), self._codec(store).to_env(actions), strict=True):
                flat[at] = action
        if self.surroundings.joins:
            self.surroundings.note_actions(ledger, lives)
        return flat

    def _codec(self, store: int) -> Any:
        return self.table.member_of(store).actor.action

    def _play_scripted(self, seated: Seated, lives: Ints) -> NDArray[Any]:
        agents, envs = self.ledger.lives.agent, self.ledger.lives.env
        players, observations, infos = [], [], []
        for life in lives.tolist():
            observation, info = _scripted_view(self.copies[int(envs[life])], agents[life])
            players.append(self.scripted[life])
            observations.append(observation)
            infos.append(info)
        return play_scripted_lives(seated, players, observations, infos)

    # ------------------------------------------------------------------ stepping

    def _step(self, group: list[EnvCopy], flat: list[Any]) -> None:
        started = perf_counter()
        results = []
        at = 0
        keep_logs = self._keep_logs
        for copy in group:
            due = copy.due
            after = at + len(due)
            actions = dict(zip(due, flat[at:after]))
            at = after
            if keep_logs:
                copy.log.append(actions)
            try:
                results.append(copy.step(actions))
            except Exception as error:
                self._blame(copy, actions, error)
        self.timers["env"] += perf_counter() - started

        obs_rows, payments, regular_copies = self._obs, self._payments, self._regular_copies
        target = self._target if self._target > -1 and not self._complete else FOREVER
        states = self.surroundings.global_state
        keep_raw = self._keep_raw
        step_hooks = self._callbacks.get("on_episode_step", ())
        for copy, result in zip(group, results):
            try:
                obs, rewards, terminateds, truncateds, infos = result
            except (TypeError, ValueError):
                self._blame(copy, copy.log[-1] if copy.log else {}, EnvError(_five_values(result)))
            try:
                elapsed = getattr(copy.env, "elapsed_ticks", 1)
                quiet = (
                    True not in terminateds.values()
                    and True not in truncateds.values()
                    and elapsed > 0
                    and not (infos and any(infos.values()))
                    and not (copy.states_agents and len(copy.env.agents) == 0)
                )
                agents = tuple(obs)
                if quiet and agents and agents == copy.due and tuple(rewards) == agents:
                    payments.extend(rewards.values())
                    regular_copies.append(copy)
                else:
                    self._regular = False
                    quiet = quiet and self._next_due(copy, agents, rewards)
                if quiet:
                    obs_rows.extend(obs.values())
                    copy.tick += elapsed
                    copy.zero_tick_calls = 0
                    if keep_raw:
                        copy.observations = obs
                        copy.infos = infos
                else:
                    self._take_in(copy, obs, rewards, terminateds, truncateds, infos, elapsed)
            except (AttributeError, TypeError):
                if wrong := _no_dicts("step()", (obs, rewards, terminateds, truncateds, infos)):
                    self._blame(copy, copy.log[-1] if copy.log else {}, EnvError(wrong))
                raise
            if states:
                copy.global_state = read_global_state(copy.env)
            for hook in step_hooks:
                hook(copy.episode)
            if copy.needs_reset:
                if states:
                    copy.final_global_state = np.array(copy.global_state)  # a copy: a reset may write into the same array
                self._after_end(copy)
            elif copy.tick >= target - copy.ticks_before:
                copy.stopped = self._any_stopped = True
        self._flush(group)

    def _after_end(self, copy: EnvCopy) -> None:
        """An episode ended: begin the next one at once, unless this copy's fragment is over."""
        if self._target > -1:
            if copy.tick + copy.ticks_before >= self._target:
                copy.stopped = self._any_stopped = True
            else:
                self._reset(copy)
        elif self._starts_left > 0:
            self._starts_left -= 1
            self._reset(copy)
        else:
            copy.stopped = self._any_stopped = True

    def _reset(self, copy: EnvCopy) -> None:
        """Begin an episode in ``copy``."""
        self._regular = False
        number = copy.episode_count
        copy.episode_count += 1
        seed = copy.seeds[number]
        eps_id = make_eps_id(self.worker_index, copy.index, number)
        episode = Episode(eps_id, seed, copy.index, self.worker_index, self.roster.present, self.match_state)
        copy.episode = episode
        match = episode.match = self.router.begin(episode)
        copy.options = None
        if match is not None:
            if match.seed is not None:
                episode.seed = match.seed
            if match.options is not None:
                copy.options = dict(match.options)
        copy.ticks_before += copy.tick
        copy.tick = copy.idle_ticks = copy.zero_tick_calls = 0
        copy.needs_reset = False
        copy.lives = {}
        copy.seen = set()
        copy.log = []
        if copy.remembers:
            copy.memory = copy.env.get_state()
        started = perf_counter()
        try:
            if copy.options is None:
                begun = copy.env.reset(seed=episode.seed)
            else:
                begun = copy.env.reset(seed=episode.seed, options=copy.options)
        except Exception as error:
            self._blame(copy, {}, error)
        self.timers["env"] += perf_counter() - started
        try:
            observations, infos = begun
        except (TypeError, ValueError):
            self._blame(copy, {}, EnvError(f"reset() returned {_form(begun)}; expected (observations, infos)."))
        copy.note_members()
        self._cascading = self._cascading or copy.cascades
        for hook in self._callbacks.get("on_episode_start", ()):
            hook(episode)
        try:
            self._observe(copy, observations, infos, ())
        except (AttributeError, TypeError):
            if wrong := _no_dicts("reset()", (observations, infos)):
                self._blame(copy, {}, EnvError(wrong))
            raise
        if self.surroundings.global_state:
            copy.global_state = read_global_state(copy.env)

    def _next_due(self, copy: EnvCopy, agents: tuple[Any, ...], rewards: Mapping[Any, Any]) -> bool:
        """A call in which nobody begins or ends: note who is due and who was paid. False (and nothing noted) if somebody begins."""
        lives = copy.lives
        try:
            due_lives = [lives[agent] for agent in agents]
        except KeyError:
            return False
        if not due_lives:
            return False
        for agent, reward in rewards.items():
            life = lives.get(agent)
            if life is not None:
                self._pay_lives.append(life)
                self._late_payments.append(reward)
            else:
                self._uncredit(copy, agent, reward)
        copy.due, copy.due_lives = agents, due_lives
        copy.idle_ticks = 0
        return True

    # ------------------------------------------------------------------ taking in, agent by agent

    def _take_in(self, copy: EnvCopy, obs: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any, elapsed: int) -> None:
        """What one call of ``step`` returned, in any form that the contract allows."""
        lives, episode = copy.lives, copy.episode
        pay_lives, payments = self._pay_lives, self._late_payments
        if self.surroundings.sums:
            self._results.extend((lives[agent], info) for agent, info in infos.items() if info and agent in lives)
        for agent, reward in rewards.items():
            life = lives.get(agent)
            if life is not None:
                pay_lives.append(life)
                payments.append(reward)
            else:
                self._uncredit(copy, agent, reward)
        if elapsed < 0:
            self._blame(copy, copy.log[-1] if copy.log else {}, EnvError(f"elapsed_ticks is {elapsed!r}; expected a whole number ≥ 0."))
        copy.tick += elapsed
        over = ""
        ended: dict[Any, int] = {}
        final_agents: Any = ()
        if any(terminateds.values()) or any(truncateds.values()):
            for agent, flag in truncateds.items():
                if flag:
                    ended[agent] = TRUNCATED
            for agent, flag in terminateds.items():
                if flag:
                    ended[agent] = TERMINATED
            everyone = ended.pop("__all__", 0)
            if everyone:
                over = "terminated" if everyone == TERMINATED else "truncated"
            final_agents = self._end_lives(copy, ended, everyone, obs, infos)
        self._observe(copy, obs, infos, final_agents)
        if not over and (ended or not copy.due or copy.states_agents):
            over = self._unsaid_end(copy, obs, infos)
        if over:
            self._over.append((episode, copy.tick, over))
            if not copy.seen <= episode.seats.keys():  # who was seen off, and never acted: the last one in when all others fold
                unseated = sorted((copy.seen & copy.possible) - episode.seats.keys(), key=str)
                episode.absent = self.router.absent(unseated, episode)
            copy.needs_reset = True
            copy.due, copy.due_lives = (), []
            return
        if elapsed == 0:
            copy.zero_tick_calls += 1
            if copy.zero_tick_calls > MAX_ZERO_TICK_CALLS:
                self._blame(
                    copy, {}, EnvError(f"{copy.zero_tick_calls} calls of step in a row took no tick; expected the game's clock to go on.")
                )
        else:
            copy.zero_tick_calls = 0
        if copy.due:
            copy.idle_ticks = 0
        else:
            copy.idle_ticks += elapsed
            if copy.idle_ticks > self._max_idle_ticks:
                self._blame(
                    copy,
                    {},
                    EnvError(
                        f"nobody was due for {copy.idle_ticks} ticks (max_idle_ticks {self._max_idle_ticks}); expected an observation for "
                        "an agent, or the episode's end by terminateds/truncateds['__all__']."
                    ),
                )

    def _uncredit(self, copy: EnvCopy, agent: Any, reward: Any) -> None:
        try:
            copy.episode.uncredit(agent, float(reward))
        except (TypeError, ValueError):
            self._blame(copy, {}, EnvError(f"the reward of agent {agent!r} is {reward!r}; expected a number."))

    def _end_lives(self, copy: EnvCopy, ended: dict[Any, int], everyone: int, obs: Any, infos: Any) -> set[Any]:
        """End the lives that ``ended`` (own flags) and ``everyone`` (``__all__``) name; returns agents whose observation is final."""
        lives = copy.lives
        final_agents: set[Any] = set()
        if everyone:
            final_agents.update(obs)
        for agent in list(lives) if everyone else list(ended):
            flag = ended.get(agent, everyone)
            info = infos.get(agent) or {}
            if agent in obs and (everyone or "final_observation" not in info):
                final = obs[agent]
                final_agents.add(agent)
            else:
                final = info.get("final_observation", _NOTHING)
            life = lives.pop(agent, None)
            if life is None:
                continue
            cause = info.get("end_cause")
            if cause is not None and cause not in _CAUSES:
                self._blame(copy, {}, EnvError(f"infos[{agent!r}]['end_cause'] is {cause!r}; expected one of {', '.join(END_CAUSES)}."))
            self._ends.append((copy, copy.episode, agent, life, flag, 0 if cause is None else _CAUSES[cause], copy.tick, final, info))
        copy.seen.update(final_agents)
        copy.seen.update(ended)
        return final_agents

    def _unsaid_end(self, copy: EnvCopy, obs: Any, infos: Any) -> str:
        """Whether the episode ended though the environment never said ``__all__``; how. Who still lives is cut off."""
        if copy.states_agents and len(copy.env.agents) == 0:
            how = "agents_empty"
        elif not copy.due and copy.possible and copy.possible <= copy.seen and copy.possible.isdisjoint(copy.lives):
            how = "all_done"
        else:
            return ""
        if copy.lives:
            self._obs = self._obs[: len(self._obs) - len(copy.due)]
            born = {birth[0] for birth in self._births}
            for agent, life in list(copy.lives.items()):
                if life in born:  # seen first in the call that ended everything: no row, nothing to end
                    del copy.lives[agent]
                    self._births = [birth for birth in self._births if birth[0] != life]
                    self.ledger.lives.free.append(life)
            self._end_lives(copy, {}, TRUNCATED, obs, infos)
        return how

    def _observe(self, copy: EnvCopy, obs: Any, infos: Any, final_agents: Any) -> None:
        """New observations: begin lives, note who is due."""
        lives = copy.lives
        obs_rows = self._obs
        due: list[Any] = []
        due_lives: list[int] = []
        informed = any(infos.values())
        for agent, observation in obs.items():
            if agent in final_agents:
                continue
            life = lives.get(agent)
            if life is None:
                life = self._begin_life(copy, agent)
                if informed and infos.get(agent) and "parent" in infos[agent]:
                    self._note_parent(copy, life, infos[agent]["parent"], obs, final_agents)
            if informed:
                info = infos.get(agent)
                if info and "action_mask" in info:
                    self._masks.append((len(obs_rows), info["action_mask"]))
            due.append(agent)
            due_lives.append(life)
            obs_rows.append(observation)
        copy.due = tuple(due)
        copy.due_lives = due_lives
        copy.observations = obs
        copy.infos = infos

    def _begin_life(self, copy: EnvCopy, agent: Any) -> int:
        episode = copy.episode
        seat = episode.seats.get(agent)
        if seat is None:
            policy_id = self.router.policy_for(agent, episode)
            seated = self.table.by_id.get(policy_id)
            if seated is None or seated.removed:
                raise RunError(f"agent {agent!r} was given to policy {policy_id!r}, which is not on this worker.")
            seat = episode.seats[agent] = (policy_id, seated.actor.version)
        else:
            seated = self.table.by_id[seat[0]]
        number = episode.life_counts.get(agent, 0)
        episode.life_counts[agent] = number + 1
        copy.seen.add(agent)
        life = self.ledger.lives.take()
        self.ledger.lives.agent[life] = agent
        record = seated.record and (episode.match is None or self.router.learns(agent, episode))
        try:
            slot = self.surroundings.slot(agent)
        except EnvError as error:
            self._blame(copy, {}, error)
        self._births.append((life, seated.store, seated.index, copy.index, slot, episode.episode_id, number, record))
        copy.lives[agent] = life
        self.table.begin_life(seated, life)
        if self._any_scripted and not isinstance(seated.actor, Policy):
            self.seat_player(life, seated, episode, agent, number)
        return life

    def seat_player(self, life: int, seated: Seated, episode: Episode, agent: Any, number: int) -> None:
        """Give a life its scripted player. One that may remember draws from a generator of that life's own, so that it can be replayed."""
        player = seated.actor
        assert isinstance(player, ScriptedPlayer)
        rng = generator(self.seed, "player", episode.episode_id, str(agent), number) if player.remembers else seated.rng
        self.scripted[life] = (player.begin_life(), rng)

    def _note_parent(self, copy: EnvCopy, life: int, parent: Any, obs: Any, final_agents: Any) -> None:
        """Link ``life`` to the row that ``parent`` has open after this call, if it has one."""
        parent_life = copy.lives.get(parent)
        if parent_life is not None and not (parent in obs and parent not in final_agents):
            self._parents.append((life, parent_life))

    # ------------------------------------------------------------------ into the ledger

    def _flush(self, group: list[EnvCopy]) -> None:
        """Bring a round's payments, ends and observations into the ledger, in that order."""
        ledger = self.ledger
        lives = ledger.lives
        if self._regular:
            paid = self._round_lives
        else:
            paid = np.array([life for copy in self._regular_copies for life in copy.due_lives] + self._pay_lives, np.int64)
            self._payments += self._late_payments
        if len(paid):
            try:
                rewards = np.array(self._payments, np.float64)
            except (TypeError, ValueError):
                rewards = np.zeros(0)
            if rewards.shape != paid.shape:
                self._blame_payment(paid)
            ledger.pay(paid, rewards, self._tick[lives.env[paid]] if ledger.discounts_ticks else 0)
        if self._results:
            self.surroundings.note_results(ledger, self._results)
        self._tick[[copy.index for copy in group]] = [copy.tick for copy in group]
        cut_off = self._flush_ends() if self._ends else []
        for episode, length, end in self._over:
            record = episode.record(length, end)
            self._finished.append(record)
            for hook in self._callbacks.get("on_episode_end", ()):
                hook(episode, record)
        if self._births:
            ledger.begin_many(self._births)
        if self._obs:
            if not self._regular:
                self._round_lives = np.array([life for copy in group for life in copy.due_lives], np.int64)
            self._flush_observations(self._round_lives)
        else:
            self._round_lives = np.zeros(0, np.int64)
        if self.surroundings.joins:
            self.surroundings.joint_observe(ledger, [copy.index for copy in group], self._round_lives)
            self.surroundings.joint_finals(ledger, cut_off)
        for life, parent in self._parents:
            ledger.set_parent(life, parent)
        self._obs, self._payments, self._regular_copies = [], [], []
        if not self._regular:
            self._pay_lives, self._late_payments = [], []
            self._births, self._masks, self._ends, self._parents, self._over, self._results = [], [], [], [], [], []
        self._regular = True

    def _flush_ends(self) -> list[tuple[int, int]]:
        """End lives; returns the (life, final row) whose joint picture waits for the others' new observations."""
        ledger, table = self.ledger, self.ledger.lives
        copies, episodes, agents, ended, flags, causes, ticks, finals, _ = zip(*self._ends, strict=True)
        lives = np.array(ended, np.int64)
        final_rows = np.full(len(lives), -1, np.int64)
        shown = np.array([at for at, final in enumerate(finals) if final is not _NOTHING], np.int64)
        which = table.store[lives[shown]]
        for store in np.unique(which).tolist() if len(ledger.stores) > 1 else [0] if len(shown) else []:
            mine = shown[which == store]
            rows = ledger.final(store, lives[mine])
            places = mine.tolist()
            self._write(store, rows, lives[mine], [finals[at] for at in places], [self._ends[at] for at in places])
            final_rows[mine] = np.arange(rows.start, rows.stop)
        ledger.end_many(lives, np.array(flags), ticks=np.array(ticks), causes=np.array(causes), final_rows=final_rows)
        decisions, returned = table.count[lives].tolist(), table.returned[lives].tolist()
        for episode, agent, flag, row, count, reward in zip(episodes, agents, flags, final_rows.tolist(), decisions, returned, strict=True):
            episode.num_agent_steps += count
            episode.returns[agent] = episode.returns.get(agent, 0.0) + reward
            if flag == TRUNCATED and row < 0:
                episode.num_truncated_without_observation += 1
        if self._any_scripted:
            for life in ended:
                self.scripted.pop(life, None)
        if not self.surroundings.joins:
            return []
        finished = {id(episode) for episode, _, _ in self._over}
        over = {copy.index for copy, episode in zip(copies, episodes, strict=True) if id(episode) in finished}
        return self.surroundings.joint_ends(ledger, list(zip(ended, flags, final_rows.tolist(), strict=True)), over)

    def _flush_observations(self, lives: Ints) -> None:
        ledger = self.ledger
        ticks = self._tick[ledger.lives.env[lives]]
        if len(ledger.stores) == 1:
            self._write(0, ledger.observe(0, lives, ticks), lives, self._obs)
            if self._masks:
                self._write_info_masks(lives)
        else:
            which = ledger.lives.store[lives]
            for store in np.unique(which).tolist():
                mine = np.flatnonzero(which == store)
                own = lives[mine]
                self._write(store, ledger.observe(store, own, ticks[mine]), own, [self._obs[at] for at in mine.tolist()])
            if self._masks:
                self._write_info_masks(lives)

    def _write(self, store: int, rows: slice, lives: Ints, values: list[Any], ends: list[Any] | None = None) -> None:
        """Write observations into fresh rows of one store, with everything that stands beside them."""
        seated = self.table.member_of(store)
        codec = seated.actor.observation
        columns = self.ledger.stores[store].columns
        given = values
        try:
            if codec.masked:
                values, masks = codec.split(values)
                self._write_masks(store, rows, masks)
                if ends is None:
                    self._check_blocked(store, columns["action_mask"][rows], lives)
            elif "action_mask" in columns:
                columns["action_mask"][rows] = True
            if codec.structured:
                codec.encode_columns(values, {name: columns[name][rows] for name in codec.columns})
            else:
                codec.encode(values, columns["obs"][rows])
        except (MarlError, TypeError, ValueError, KeyError, IndexError) as error:
            self._blame_observation(store, lives, given, error)
        if ends is not None:
            self._write_final_masks(store, rows, ends)
        self.table.note_state(store, rows, lives)
        if self.surroundings.active:
            table = self.ledger.lives
            infos: list[Any]
            if ends is None:
                copies = [self.copies[env] for env in table.env[lives].tolist()]
                infos = [copy.infos.get(table.agent[life]) or {} for copy, life in zip(copies, lives.tolist(), strict=True)]
                states = [copy.global_state for copy in copies]
            else:
                over = {id(episode) for episode, _, _ in self._over}
                infos = [_final_info(end) for end in ends]
                states = [end[0].final_global_state if id(end[1]) in over else end[0].global_state for end in ends]
            self.surroundings.write(self.ledger, store, rows, lives, infos, states)

    def _write_masks(self, store: int, rows: slice, masks: list[Any]) -> None:
        column = self.ledger.stores[store].columns["action_mask"]
        codec = self.table.member_of(store).actor.action
        if codec.discrete:
            if len(set(map(len, masks))) > 1:
                raise MaskError("action masks of different sizes")
            column[rows] = np.concatenate(masks).reshape(len(masks), codec.mask_size)
        else:
            for at, mask in zip(range(rows.start, rows.stop), masks, strict=True):
                column[at] = codec.flat_mask(mask)

    def _write_final_masks(self, store: int, rows: slice, ends: list[Any]) -> None:
        """Masks in infos beside final observations: a bootstrap over actions must not count masked ones."""
        for row, (copy, episode, agent, *_, info) in zip(range(rows.start, rows.stop), ends, strict=True):
            if "action_mask" in info and not _begins_again(copy, episode, agent):
                self.table.need_mask(store)
                try:
                    flat = self.table.member_of(store).actor.action.flat_mask(info["action_mask"])
                except MaskError as error:
                    self._blame(copy, {}, EnvError(f"agent {agent!r}: {error}"))
                self.ledger.stores[store].columns["action_mask"][row] = flat

    def _write_info_masks(self, lives: Ints) -> None:
        """Masks that came in infos; a store gets its mask column when the first one comes."""
        table = self.ledger.lives
        for at, mask in self._masks:
            life = int(lives[at])
            store = int(table.store[life])
            self.table.need_mask(store)
            codec = self.table.member_of(store).actor.action
            try:
                flat = codec.flat_mask(mask)
            except MaskError as error:
                self._blame(self.copies[int(table.env[life])], {}, EnvError(f"agent {table.agent[life]!r}: {error}"))
            self._check_blocked(store, flat[None], lives[at : at + 1])
            self.ledger.stores[store].columns["action_mask"][table.row[life]] = flat

    def _check_blocked(self, store: int, masks: NDArray[np.bool_], lives: Ints) -> None:
        """An all-zero mask for a due agent is an error; row i of ``masks`` [n, mask_size] is of ``lives[i]``."""
        blocked = self.table.member_of(store).actor.action.blocked(masks)
        if blocked.any():
            table = self.ledger.lives
            life = int(lives[np.flatnonzero(blocked)[0]])
            message = (
                f"the action mask of agent {table.agent[life]!r}, which is due, allows no action; expected at least one, "
                "or no observation for an agent that need not act."
            )
            self._blame(self.copies[int(table.env[life])], {}, MaskError(message))

    # ------------------------------------------------------------------ whose fault

    def _blame(self, copy: EnvCopy, actions: dict[Any, Any], error: Exception) -> NoReturn:
        """Raise ``error`` with where it happened: environment, seed, episode, step, actions."""
        episode = copy.episode
        name = getattr(copy.env, "name", None) or type(copy.env).__name__
        place = f"copy {copy.index} of worker {self.worker_index}"
        where = f"environment {name!s}, {place}, episode {episode.episode_id} (seed {episode.seed}), call {len(copy.log)}"
        shown = f", actions {actions!r}" if actions else ""
        if isinstance(error, MarlError):
            located: MarlError = type(error)(f"{where}{shown}: {error}")
        else:
            trace = "".join(traceback.format_exception(error)).rstrip()
            located = EnvError(f"{trace}\n\nThe environment raised the error above in {where}{shown}.")
        if isinstance(located, EnvError) and self._keep_logs:
            located.capsule = capsule(copy, actions, error)
        raise located from error

    def _blame_payment(self, lives: Ints) -> NoReturn:
        table = self.ledger.lives
        for life, reward in zip(lives.tolist(), self._payments, strict=True):
            try:
                float(reward)
            except (TypeError, ValueError):
                message = f"the reward of agent {table.agent[life]!r} is {reward!r}; expected a number."
                self._blame(self.copies[int(table.env[life])], {}, EnvError(message))
        raise EnvError("rewards could not be read as numbers.")

    def _blame_observation(self, store: int, lives: Ints, values: list[Any], error: Exception) -> NoReturn:
        actor = self.table.member_of(store).actor
        codec = actor.observation
        table = self.ledger.lives
        for life, value in zip(lives.tolist(), values, strict=True):
            try:
                if codec.masked:
                    if not isinstance(value, Mapping) or MASK_KEY not in value:
                        raise EnvError(f"an observation is {value!r}; expected a dict with an {MASK_KEY!r} as its space says.")
                    value, mask = split_mask(value)
                    actor.action.flat_mask(mask)
                codec.encode_one(value)
            except (MarlError, TypeError, ValueError, KeyError, IndexError) as own:
                self._blame(
                    self.copies[int(table.env[life])],
                    {},
                    EnvError(f"agent {table.agent[life]!r}: {own} (its observation space: {codec.inner})"),
                )
        raise error

    # ------------------------------------------------------------------ saving and replaying

    def state_dict(self) -> dict[str, Any]:
        return worker_state(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> list[str]:
        return restore_worker(self, state)

    def replay(self, copy: EnvCopy, episode: Episode, log: list[dict[Any, Any]]) -> str:
        """Play ``log`` again in ``copy`` from the reset on, feeding the ledger; returns why that is impossible, or ""."""
        self._clear_round()
        copy.episode = episode
        copy.tick = copy.idle_ticks = copy.zero_tick_calls = 0
        copy.lives, copy.seen, copy.log, copy.needs_reset = {}, set(), [], False
        if copy.options is None:
            observations, infos = copy.env.reset(seed=episode.seed)
        else:
            observations, infos = copy.env.reset(seed=episode.seed, options=copy.options)
        copy.note_members()
        if self.surroundings.global_state:
            copy.global_state = read_global_state(copy.env)
        self._regular = False
        self._observe(copy, observations, infos, ())
        self._flush([copy])
        table = self.ledger.lives
        for actions in log:
            if set(actions) != set(copy.due):
                return f"at call {len(copy.log) + 1} {sorted(map(str, copy.due))} were due; the recording has {sorted(map(str, actions))}"
            for agent, life in zip(copy.due, copy.due_lives, strict=True):
                self.ledger.stores[int(table.store[life])].acted[table.row[life]] = True
                seated = self.table.by_index[int(table.policy[life])]
                if isinstance(seated.actor, ScriptedPlayer) and seated.actor.remembers:
                    play, rng = self.scripted[life]  # its answer is in the recording; it is asked so that it remembers
                    answer = play(*_scripted_view(copy, agent), rng)
                    if not seated.actor.action.same(answer, actions[agent]):
                        who = f"at call {len(copy.log) + 1} player {seated.policy_id!r}"
                        return f"{who} answered {answer!r}; the recording has {actions[agent]!r}"
            copy.log.append(actions)
            observations, rewards, terminateds, truncateds, infos = copy.env.step(actions)
            self._regular = False
            self._take_in(copy, observations, rewards, terminateds, truncateds, infos, getattr(copy.env, "elapsed_ticks", 1))
            if copy.needs_reset:
                return f"it ended at call {len(copy.log)}; the recording goes on"
            if self.surroundings.global_state:
                copy.global_state = read_global_state(copy.env)
            self._flush([copy])
        return ""

    def forget_round(self) -> None:
        """Empty the ledger and everything on its way there, after a replay was compared."""
        self._clear_round()
        self._finished = []
        self.ledger.clear()

    def note_tick(self, copy: EnvCopy) -> None:
        """Take over a copy's clock after it was restored."""
        self._tick[copy.index] = copy.tick

    # ------------------------------------------------------------------ for users' hands

    def foreach_env(self, function: Callable[[Any], Any]) -> list[Any]:
        with self.streams:
            self.ensure_copies()
            return [function(copy.env) for copy in self.copies]

    def reset_all(self) -> None:
        for copy in self.copies:
            if not copy.needs_reset:
                for life in copy.lives.values():
                    self.ledger.drop(life)
                copy.lives = {}
                copy.due, copy.due_lives = (), []
                copy.needs_reset = True
                self.surroundings.forget(copy.index)
        self.ledger.forget_rows()

    def close(self) -> None:
        for copy in self.copies:
            close = getattr(copy.env, "close", None)
            if close is not None:
                close()
        self.copies = []


def _innermost(env: Any) -> Any:
    while "env" in getattr(env, "__dict__", {}):
        env = env.env
    return env


def _begins_again(copy: EnvCopy, episode: Episode, agent: Any) -> bool:
    """Whether ``agent``, whose life ended in this call, has begun a new one in it: then its info is the new life's."""
    return copy.episode is episode and not copy.needs_reset and agent in copy.lives


def _final_info(end: tuple[Any, ...]) -> dict[str, Any] | None:
    """What ``infos`` say of a final observation; None after a termination, where nothing is looked up."""
    copy, episode, agent, _, flag, *_, info = end
    if flag == TERMINATED:
        return None
    found = dict(info)
    if "final_member_alive" in info:
        found["member_alive"] = info["final_member_alive"]
        found["member_due"] = np.zeros_like(info["final_member_alive"])
    if "final_critic_obs" in info:
        found["critic_obs"] = info["final_critic_obs"]
    elif _begins_again(copy, episode, agent):
        found.pop("critic_obs", None)
    return found


def _scripted_view(copy: EnvCopy, agent: Any) -> tuple[Any, dict[str, Any]]:
    """``(observation, info)`` as a scripted player sees them: raw, the action mask always in the info too."""
    observation = copy.observations[agent]
    info = copy.infos.get(agent) or {}
    if isinstance(observation, dict) and "action_mask" in observation:
        info = {**info, "action_mask": observation["action_mask"]}
    return observation, info


def _form(result: Any) -> str:
    return f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"


def _five_values(result: Any) -> str:
    hint = " (Gym's old form; terminated and truncated are two)" if isinstance(result, tuple) and len(result) == 4 else ""
    return f"step() returned {_form(result)}{hint}; expected (observations, rewards, terminateds, truncateds, infos)."


def _no_dicts(call: str, values: tuple[Any, ...]) -> str:
    """What of ``values``, the returns of ``call``, is no dict (or, of infos, holds something else), or ""."""
    names = ("observations", "rewards", "terminateds", "truncateds", "infos") if len(values) == 5 else ("observations", "infos")
    wrong = [f"{name} is {value!r}" for name, value in zip(names, values, strict=True) if not isinstance(value, Mapping)]
    infos = values[-1]
    if not wrong and isinstance(infos, Mapping):
        wrong = [f"infos[{agent!r}] is {info!r}" for agent, info in infos.items() if not isinstance(info, Mapping | None)]
    if not wrong:
        return ""
    dicts = "dicts keyed by agent (infos: a dict for each)"
    return f"{call} returned something that is no dict: {'; '.join(wrong)}; expected {dicts}. marl check lists everything that is wrong."
