"""The driver of a run, as people hold it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Unpack

from marl.batch import MultiAgentBatch
from marl.config import EvaluationConfig, LearnerEntry, PolicyEntry, RunConfig, RunKeys, load_config
from marl.config.parse import ROUTES
from marl.errors import ConfigError, Problem, did_you_mean
from marl.evaluation import EVALUATION_WORKER, Evaluation, Evaluator
from marl.hooks import HOOKS, hooked
from marl.local import Plan, make_plan, make_worker, make_workers, plan_policy, seed_of
from marl.loops import Run, synchronous
from marl.metrics import EpisodeMetrics
from marl.router import Router
from marl.trainer import saving
from marl.trainer.results import PhaseTimes, episode_results, learner_metrics
from marl.trainer.roster import PolicyHandle, Roster, trains
from marl.trainer.seats import HandSeats
from marl.worker import Worker

Result = dict[str, Any]
STOP_METRICS = {
    "num_env_steps": "num_env_steps_sampled_total",
    "num_agent_steps": "num_agent_steps_sampled_total",
    "time_s": "time_s/total",
    "iterations": "iteration",
}


class Trainer:
    """Samples, dispatches, learns, evaluates, saves.

    Args:
        config: a run file's path, a dict, or a :class:`~marl.config.RunConfig`; ``keys`` replace its keys.

    Attributes:
        config: the validated run; grows and shrinks with ``add_policy`` and ``remove_policy``.
        iteration: iterations made.
        metrics: of the last iteration.
        directory: the run's; None until something is to be written.
        callbacks: the objects made of the run's ``callbacks``.
        lost_at_restore: why episodes that were open at the last checkpoint could not be rebuilt; empty: the run is bit-equal.

    Raises:
        ConfigError: with every problem, before the first step.
    """

    def __init__(self, config: RunConfig | Mapping[str, Any] | str | Path | None = None, /, **keys: Unpack[RunKeys]) -> None:
        self.config = load_config(config, **keys)
        self.iteration = 0
        self.metrics: dict[str, float] = {}
        self.directory: Path | None = None
        self.match_state: Any = None
        self.lost_at_restore: list[str] = []
        self.time_s = 0.0
        self.envs_were_touched = False
        self.callbacks = [one() if isinstance(one, type) else one for one in self.config.callbacks]
        self.plan: Plan = make_plan(self.config)
        self.config = self.plan.config
        self.roster = Roster(self.plan)
        in_worker = {name: hooked(self.callbacks, name) for name in HOOKS[:3]}
        workers = make_workers(self.plan, self._recorded(), in_worker)
        self.state = Run(
            workers=workers,
            learners=self.roster.learners,
            fragment_env_steps=self.config.rollout_fragment_env_steps,
            env_steps_per_iteration=self.config.sample_env_steps_per_iteration,
            may_train=self._may_train,
            on_rows=hooked(self.callbacks, "on_rows"),
        )
        self.roster.hand_out(self.state, list(self.config.policies))
        self.episode_metrics = EpisodeMetrics()
        self._on_result = hooked(self.callbacks, "on_train_result")
        self._times = PhaseTimes(self.state)
        self._evaluator: Evaluator | None = None
        self._seats: HandSeats | None = None
        self._saved_at = -1

    # ------------------------------------------------------------------ training

    def train(self) -> Result:
        """One iteration: ``{"metrics": {name: number}, "episodes": […]}`` (docs/metrics.md)."""
        started, steps, decisions = perf_counter(), self.state.num_env_steps, self.state.num_agent_steps
        finished = synchronous(self.state)
        self.iteration += 1
        self.episode_metrics.add(finished)
        trained_s = perf_counter() - started
        metrics: dict[str, float] = {
            "iteration": self.iteration,
            "num_env_steps_sampled": self.state.num_env_steps - steps,
            "num_env_steps_sampled_total": self.state.num_env_steps,
            "num_agent_steps_sampled": self.state.num_agent_steps - decisions,
            "num_agent_steps_sampled_total": self.state.num_agent_steps,
            **self.episode_metrics.take(self.config.policies),
            **learner_metrics(self.state),
            "num_episodes_lost_at_restore": len(self.lost_at_restore),
            "num_env_steps_per_s": (self.state.num_env_steps - steps) / trained_s,
            **self._times.take(),
        }
        metrics["time_s/evaluate"] = 0.0
        interval = self.config.evaluation.interval
        if interval is not None and self.iteration % interval == 0:
            metrics.update(self._evaluation_metrics())
        spent = perf_counter() - started
        self.time_s += spent
        metrics["time_s/iteration"], metrics["time_s/total"] = spent, self.time_s
        self.metrics = metrics
        result: Result = {"metrics": metrics, "episodes": episode_results(finished, self.state.hashes)}
        for hook in self._on_result:
            hook(self, result)
        return result

    def run(self, on_result: Callable[[Result], None] | None = None) -> Result:
        """Train until a stop condition holds; save as the run's ``checkpoint`` says and at the end. Silent: ``marl.train`` shows and logs.

        Ctrl-C ends the iteration that is going on, saves, and raises KeyboardInterrupt with the checkpoint's path; a second one
        stops at once.

        Args:
            on_result: called after every iteration, e.g. for progress and logging.

        Returns:
            The last iteration's result.

        Raises:
            ConfigError: the run has no stop condition.
        """
        if not self.config.stop:
            raise ConfigError([Problem("stop", "nothing says when run() ends", "stop: {num_env_steps: 100_000}, or call train() yourself")])
        result: Result = {"metrics": self.metrics, "episodes": []}
        with _interrupts() as interrupted:
            while self.stop_reason() is None:
                result = self.train()
                done = self.stop_reason() is not None
                if done and self.config.evaluation.interval is not None:
                    self._evaluate_at_end(result)
                if on_result is not None:
                    on_result(result)
                stopped = interrupted()
                if done or stopped or self._checkpoint_is_due():
                    path = self.save()
                    if stopped and not done:
                        raise KeyboardInterrupt(f"saved {path}; go on with: marl train --resume {path.parent.parent}")
        return result

    def stop_reason(self) -> str | None:
        """The stop condition that holds, or None."""
        for name, threshold in self.config.stop.items():
            value = self.metrics.get(STOP_METRICS.get(name, name))
            if value is not None and value >= threshold:
                return f"{name} {value:,.6g} ≥ {threshold:,.6g}"
        return None

    def _checkpoint_is_due(self) -> bool:
        every = self.config.checkpoint.every_env_steps
        return every is not None and self.state.num_env_steps // every > max(self._saved_at, 0) // every

    def _recorded(self) -> list[str]:
        return [policy_id for policy_id in self.config.policies if trains(self.config, policy_id)]

    def _may_train(self, policy_id: str, batch: MultiAgentBatch) -> bool:
        wanted = self.config.policies_to_train
        return bool(wanted(policy_id, batch)) if callable(wanted) else True

    # ------------------------------------------------------------------ evaluation

    def evaluate(
        self,
        *,
        episodes: int | None = None,
        num_env_steps: int | None = None,
        explore: bool | None = None,
        mapping: Mapping[Any, Any] | None = None,
        policy_mapping_fn: Callable[..., Any] | None = None,
        matches: Sequence[Any] | None = None,
        match_fn: Callable[..., Any] | None = None,
        seed: int | None = None,
    ) -> Result:
        """Play episodes that nobody learns from, as the run's ``evaluation`` says; what is given here comes first.

        Without a seed of its own the episodes differ from iteration to iteration.

        Returns:
            ``{"metrics": …, "episodes": …}``, the metrics' names without ``evaluation/``.
        """
        section = self._evaluation_section(
            {
                "episodes": episodes,
                "num_env_steps": num_env_steps,
                "explore": explore,
                "mapping": mapping,
                "policy_mapping_fn": policy_mapping_fn,
                "matches": matches,
                "match_fn": match_fn,
                "seed": seed,
            }
        )
        found = self._evaluate(section)
        return {"metrics": found.metrics, "episodes": episode_results(found.episodes, self.state.hashes)}

    def _evaluation_section(self, given: Mapping[str, Any]) -> EvaluationConfig:
        wanted = {key: value for key, value in given.items() if value is not None}
        if not wanted:
            return self.config.evaluation
        before = {key: getattr(self.config.evaluation, key) for key in EvaluationConfig.model_fields}
        if any(key in wanted for key in ROUTES):
            before.update(dict.fromkeys(ROUTES))
        if "episodes" in wanted or "num_env_steps" in wanted:
            before.update(episodes=None, num_env_steps=None)
        return load_config(self.config, evaluation={**before, **wanted}).evaluation

    def _evaluate(self, section: EvaluationConfig) -> Evaluation:
        if self._evaluator is None:
            self._evaluator = Evaluator(self.plan.make_env(0), self._make_evaluation_worker)
        named = any(getattr(section, key) is not None for key in ROUTES)
        router = self.plan.router(section if named else None, in_turn=True)
        policies = self.roster.with_weights()
        seed = section.seed if section.seed is not None else seed_of(self.config.seed, "evaluation", self.iteration)
        return self._evaluator.evaluate(
            router,
            policies.values(),
            ids=policies,
            episodes=section.episodes,
            num_env_steps=section.num_env_steps,
            copies=self.plan.vector_copies or section.envs or self.config.envs_per_worker,
            seed=seed,
            explore=section.explore,
            match_state=self.match_state,
            hashes=self.state.workers[0].router.hashes,
        )

    def _make_evaluation_worker(self, make_env: Callable[[int], Any], router: Router, copies: int, seed: int, explore: bool) -> Worker:
        return make_worker(
            self.plan,
            EVALUATION_WORKER,
            router=router,
            record=(),
            make_env=make_env,
            envs=copies,
            seed=seed,
            explore=explore,
        )

    def _evaluation_metrics(self) -> dict[str, float]:
        started = perf_counter()
        found = self._evaluate(self.config.evaluation).metrics
        metrics = {f"evaluation/{name}": value for name, value in found.items()}
        metrics["time_s/evaluate"] = perf_counter() - started
        return metrics

    def _evaluate_at_end(self, result: Result) -> None:
        """A run that evaluates ends with an evaluation."""
        if any(name.startswith("evaluation/") for name in result["metrics"]):
            return
        found = self._evaluation_metrics()
        self.time_s += found["time_s/evaluate"]
        result["metrics"].update(found)
        result["metrics"]["time_s/iteration"] += found["time_s/evaluate"]
        result["metrics"]["time_s/total"] = self.time_s

    # ------------------------------------------------------------------ policies

    def get_policy(self, policy_id: str) -> PolicyHandle:
        """A handle on one policy: ``get_weights``, ``set_weights``, and the policy's own methods.

        Raises:
            ConfigError: there is no such policy, or it is a player, which has no weights.
        """
        policy = self.roster.policy(policy_id)
        if policy is None:
            known = self.roster.with_weights()
            what = "is a player and has no weights" if policy_id in self.config.policies else "does not exist"
            raise ConfigError([Problem("policy_id", f"policy {policy_id!r} {what}.{did_you_mean(policy_id, known)}")])
        return PolicyHandle(policy_id, policy, self.roster, self.state)

    def add_policy(
        self,
        policy_id: str,
        *,
        copy_of: str | None = None,
        algorithm: Any = None,
        player: Any = None,
        train: bool = False,
        keys: Mapping[str, Any] | None = None,
        like: str | None = None,
    ) -> str | None:
        """Add a policy; episodes that begin from now on may name it.

        Args:
            copy_of: take algorithm, weights and preprocessing of this policy as they are now.
            algorithm: a new policy of this algorithm instead.
            player: a player instead: ``"random"``, ``"module:name"``, ``"CHECKPOINT:POLICY"``, a class, a function.
            train: give it a learner of its own; otherwise it keeps its weights.
            keys: further keys, as under ``policies`` in a run file.
            like: the policy whose spaces it has, where the environment alone cannot say.

        Returns:
            The hash of its weights; None for players.

        Raises:
            ConfigError: the id is taken, not exactly one source is given, or something does not fit.
        """
        if policy_id in self.config.policies:
            raise ConfigError([Problem(f"policies.{policy_id}", "is there already", "remove it first, or take another id")])
        given = [name for name, value in (("copy_of", copy_of), ("algorithm", algorithm), ("player", player)) if value is not None]
        if len(given) != 1:
            raise ConfigError([Problem("add_policy", f"{' and '.join(given) or 'nothing'} is given", "say copy_of, algorithm or player")])
        source = self._entry_for_new(policy_id, copy_of, algorithm, player, train, dict(keys or {}), like or copy_of)
        self.config, self.plan = plan_policy(self.plan, policy_id, *source)
        self.roster.plan = self.plan
        if policy_id in self.config.learners:
            self.roster.seat(policy_id)
        found = None
        if copy_of is not None:
            copied = self.get_policy(copy_of)
            self.roster.set_weights(policy_id, copied.get_weights(), reset_optimizer=True, version=copied.version)
        for worker in self.state.workers:
            self._add_to(worker, policy_id)
        if self.roster.policy(policy_id) is not None:
            self.roster.hand_out(self.state, [policy_id])
            found = self.get_policy(policy_id).weights_hash
        self._seats = None
        return found

    def _entry_for_new(
        self, policy_id: str, copy_of: str | None, algorithm: Any, player: Any, train: bool, keys: dict[str, Any], like: str | None
    ) -> tuple[PolicyEntry, LearnerEntry | None]:
        """The config of a policy that is added, checked like a run's."""
        spec = self.plan.specs.get(like) if like is not None else None
        if like is not None and spec is None:
            raise ConfigError([Problem("add_policy", f"there is no policy {like!r}.{did_you_mean(like, self.plan.specs)}")])
        if copy_of is not None:
            entry = self.config.policies[copy_of]
            if entry.learner is None or keys:
                wrong = f"{copy_of!r} is a player" if entry.learner is None else f"keys {sorted(keys)} are given with copy_of"
                raise ConfigError([Problem("add_policy.copy_of", wrong, "copy_of takes everything from a policy with an algorithm")])
            assert spec is not None
            learner = replace(self.config.learners[entry.learner], policies=(policy_id,), named=False)
            copied = replace(entry, learner=policy_id, init_from=None, train=train, discount=spec.discount)
            return replace(copied, observation_space=spec.observation_space, action_space=spec.action_space), learner
        given = {**keys, **({"algorithm": algorithm, "train": train} if player is None else {"player": player})}
        if spec is not None:
            given.update(observation_space=spec.observation_space, action_space=spec.action_space)
        parsed = load_config(env=self.config.env, policies={policy_id: given})
        return parsed.policies[policy_id], parsed.learners.get(policy_id)

    def _add_to(self, worker: Worker, policy_id: str) -> None:
        worker.router.policies[policy_id] = None
        worker.add_policy(
            policy_id,
            self.plan.actor(policy_id),
            self.plan.specs[policy_id].discount,
            self.plan.needs.get(policy_id, frozenset()),
            record=trains(self.config, policy_id),
        )

    def remove_policy(self, policy_id: str) -> None:
        """Remove a policy: no new seat for it; it is gone when the last open episode with it ends.

        Raises:
            ConfigError: there is no such policy, the run's mapping or matches name it, or its learner has others too.
        """
        if policy_id not in self.config.policies:
            raise ConfigError(
                [Problem("remove_policy", f"there is no policy {policy_id!r}.{did_you_mean(policy_id, self.config.policies)}")]
            )
        named = {**self.plan.router(self.config.evaluation).named_policies()} if self._has_route(self.config.evaluation) else {}
        named.update(self.plan.router().named_policies())
        if policy_id in named:
            raise ConfigError(
                [Problem("remove_policy", f"{', '.join(sorted(named[policy_id]))} still names {policy_id!r}", "draw it by match_fn")]
            )
        learner = self.config.policies[policy_id].learner
        if learner is not None and set(self.config.learners[learner].policies) != {policy_id}:
            raise ConfigError(
                [Problem("remove_policy", f"learner {learner!r} of {policy_id!r} has other policies too", "set its train to false")]
            )
        for worker in self.state.workers:
            worker.router.policies.pop(policy_id, None)
            worker.remove_policy(policy_id)
        self.roster.forget(policy_id)
        config = self.config
        wanted = config.policies_to_train
        self.config = config.model_copy(
            update={
                "policies": {one: entry for one, entry in config.policies.items() if one != policy_id},
                "learners": {name: entry for name, entry in config.learners.items() if name != learner},
                "policies_to_train": tuple(one for one in wanted if one != policy_id) if isinstance(wanted, tuple) else wanted,
            }
        )
        for table in (self.plan.entries, self.plan.specs, self.plan.algorithms, self.plan.needs):
            table.pop(policy_id, None)
        self.plan.config = self.config
        self._seats = None

    @staticmethod
    def _has_route(section: EvaluationConfig) -> bool:
        return any(getattr(section, key) is not None for key in ROUTES)

    def set_match_state(self, value: Any) -> None:
        """Give every worker a JSON value that mapping functions and ``match_fn`` read as ``episode.match_state``; checkpoints keep it.

        Raises:
            ConfigError: it is not JSON.
        """
        self.match_state = saving.json_copy(value, "match_state")
        for worker in self.state.workers:
            worker.match_state = saving.json_copy(value, "match_state")

    # ------------------------------------------------------------------ by hand

    def compute_actions(
        self,
        observations: Mapping[Any, Any],
        *,
        infos: Mapping[Any, Any] | None = None,
        explore: bool = False,
        new_episode: bool = False,
        policy_ids: Mapping[Any, str] | None = None,
    ) -> dict[Any, Any]:
        """The environment's actions for ``observations``, agent by agent, with the weights as they are now.

        Seats are given as in the run, once an episode; recurrent states last as long.

        Args:
            infos: where masks may stand.
            new_episode: draw seats anew and begin with fresh recurrent states.
            policy_ids: agent → policy, instead of the run's mapping.
        """
        if self._seats is None:
            players: dict[str, Any] = {}

            def actor(policy_id: str) -> Any:
                policy = self.roster.policy(policy_id)
                if policy is not None:
                    return policy
                if policy_id not in players:
                    players[policy_id] = self.plan.actor(policy_id)
                return players[policy_id]

            self._seats = HandSeats(self.plan.router(), actor, seed=seed_of(self.config.seed, "by-hand"))
            new_episode = True
        if new_episode:
            self._seats.begin(self.match_state)
        return self._seats.act(observations, infos or {}, explore, policy_ids or {})

    def foreach_worker(self, function: Callable[[Worker], Any]) -> list[Any]:
        """``function`` of every worker, in order (one worker in this process with ``workers: 0``)."""
        return [function(worker) for worker in self.state.workers]

    def foreach_env(self, function: Callable[[Any], Any]) -> list[list[Any]]:
        """``function`` of every environment copy of every worker.

        What it changes is in no log: a run that was touched so drops its open episodes when it is restored, and says so.
        """
        self.envs_were_touched = True
        return [list(worker.foreach_env(function)) for worker in self.state.workers]

    # ------------------------------------------------------------------ saving

    def save(self, path: str | Path | None = None) -> Path:
        """Write a checkpoint and return its path; without ``path``, into the run's directory, where the newest few are kept."""
        saved = saving.save(self, path)
        self._saved_at = self.state.num_env_steps
        return saved

    @classmethod
    def restore(
        cls,
        path: str | Path,
        *,
        trust: Sequence[str] = (),
        env: Any = None,
        policy_mapping_fn: Callable[..., Any] | None = None,
        match_fn: Callable[..., Any] | None = None,
        policies_to_train: Sequence[str] | Callable[..., Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Trainer:
        """The trainer that a checkpoint (or the last one of a run's directory) was saved from.

        Args:
            trust: packages that may be imported besides installed entry points.
            env, policy_mapping_fn, match_fn, policies_to_train: instead of the saved ones, where those have no importable name.
            overrides: further keys of the config to replace (``{"stop": {…}}``).

        Raises:
            CheckpointError: missing, damaged, of a newer format, or it needs ``trust`` or one of the arguments.
        """
        given = {"env": env, "policy_mapping_fn": policy_mapping_fn, "match_fn": match_fn, "policies_to_train": policies_to_train}
        replaced = {**{key: value for key, value in given.items() if value is not None}, **(overrides or {})}
        checkpoint, config, state = saving.read(path, trust=trust, replaced=replaced)
        trainer = cls(config)
        trainer.load_state_dict(state)
        trainer.directory = saving.directory_of(checkpoint)
        return trainer

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as nested dicts of arrays and scalars (call between iterations)."""
        return saving.state_dict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state_dict` gave, into a trainer of the same config."""
        saving.load_state_dict(self, state)
        self._times = PhaseTimes(self.state)
        self._saved_at = self.state.num_env_steps

    def run_directory(self) -> Path:
        """The run's directory; chosen on first use, from the config's ``run_dir`` and ``name``."""
        if self.directory is None:
            env = self.config.env
            stem = env if isinstance(env, str) else getattr(env, "__name__", type(env).__name__)
            plain = "".join(letter if letter.isalnum() or letter in "_.-" else "_" for letter in stem.rsplit("/", 1)[-1].rsplit(":", 1)[-1])
            self.directory = self.config.run_dir / (self.config.name or f"{plain}-{datetime.now():%Y%m%d-%H%M%S}")
        return self.directory

    def close(self) -> None:
        """Close every environment."""
        for worker in self.state.workers:
            worker.close()
        if self._evaluator is not None:
            self._evaluator.close()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C is only noted: ``interrupted()``; the second one interrupts."""
    noted = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)
