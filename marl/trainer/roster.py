"""The policies of a run: those that learn and their learners, those that are frozen, and players."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from marl.algorithm import Algorithm, OnPolicy
from marl.checkpoint import read_policy
from marl.config import LearnerEntry, RunConfig
from marl.errors import ConfigError, Problem
from marl.local import Plan, packages_of, seed_of
from marl.loops import Learner, Run, broadcast
from marl.policy import Policy, PolicySpec


class Roster:
    """The driver's side of every policy.

    Attributes:
        learners: by name; only those that have a policy to train.
        frozen: policies with an algorithm and no learner: they keep the weights that they have.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.learners: dict[str, Learner] = {}
        self.frozen: dict[str, Policy] = {}
        for name in plan.config.learners:
            self.seat(name)

    def seat(self, name: str) -> None:
        """Make the learner called ``name``, or where nothing of it trains, its frozen policies."""
        config, specs = self.plan.config, self.plan.specs
        entry = config.learners[name]
        trained = frozenset(policy_id for policy_id in entry.policies if trains(config, policy_id))
        if trained:
            self.learners[name] = make_learner(name, entry, {one: specs[one] for one in entry.policies}, config, trained)
        for policy_id in entry.policies:
            if not trained:
                seed = seed_of(config.seed, "frozen", policy_id)
                self.frozen[policy_id] = entry.algorithm.make_policy(specs[policy_id], seed=seed, device=config.worker_device)
            if config.policies[policy_id].init_from is not None:
                self._init(policy_id, str(config.policies[policy_id].init_from))

    def _init(self, policy_id: str, reference: str) -> None:
        """Start ``policy_id`` with the weights of ``CHECKPOINT:POLICY``."""
        path, _, source = reference.rpartition(":")
        record = read_policy(path, source or None, trust=packages_of(self.plan.config))
        where, spec = f"policies.{policy_id}.init_from", self.plan.specs[policy_id]
        for kind in ("observation_space", "action_space"):
            mine, theirs = getattr(spec, kind), getattr(record.spec, kind)
            if mine != theirs:
                wrong = f"{reference} has the {kind} {theirs}, and here it is {mine}"
                raise ConfigError([Problem(where, wrong, "start from a policy of this game, wrapped alike")])
        try:
            self.set_weights(policy_id, record.weights, reset_optimizer=True, version=record.version)
        except (KeyError, ValueError, RuntimeError) as error:
            wrong = f"the weights of {reference} do not fit ({error})"
            raise ConfigError([Problem(where, wrong, "use the same algorithm and model as that run")]) from error

    # ------------------------------------------------------------------ one policy

    def learner_of(self, policy_id: str) -> Learner | None:
        """The learner that holds ``policy_id``, or None."""
        return next((one for one in self.learners.values() if policy_id in one.algorithm.policies), None)

    def policy(self, policy_id: str) -> Policy | None:
        """The driver's own copy of a policy with weights; None for players."""
        learner = self.learner_of(policy_id)
        return learner.algorithm.policies[policy_id] if learner is not None else self.frozen.get(policy_id)

    def with_weights(self) -> dict[str, Policy]:
        """Every policy with weights, by id."""
        found = {policy_id: policy for learner in self.learners.values() for policy_id, policy in learner.algorithm.policies.items()}
        return {**found, **self.frozen}

    def set_weights(
        self, policy_id: str, weights: Mapping[str, NDArray[Any]], *, reset_optimizer: bool, version: int | None = None
    ) -> None:
        """Replace the driver's weights of one policy; ``version`` says what made them, for a frozen one."""
        learner = self.learner_of(policy_id)
        if learner is not None:
            learner.algorithm.set_policy_weights(policy_id, weights, reset_optimizer=reset_optimizer)
        else:
            policy = self.frozen[policy_id]
            policy.set_weights(weights, version=policy.version if version is None else version)

    def forget(self, policy_id: str) -> None:
        """Drop what belongs to a policy alone."""
        self.frozen.pop(policy_id, None)
        for name in [name for name, one in self.learners.items() if set(one.algorithm.policies) == {policy_id}]:
            del self.learners[name]

    def hand_out(self, run: Run, policy_ids: Iterable[str]) -> None:
        """Give every worker the weights of ``policy_ids`` (players are passed over)."""
        for policy_id in policy_ids:
            learner = self.learner_of(policy_id)
            if learner is not None:
                broadcast(run, policy_id, learner.algorithm)
            elif policy_id in self.frozen:
                policy = self.frozen[policy_id]
                weights = policy.get_weights()
                run.note_hash(policy_id, policy.version, weights)
                for worker in run.workers:
                    worker.set_weights(policy_id, weights, version=policy.version, counters=run.counters)
        for worker in run.workers:
            worker.refresh_stacks()


def trains(config: RunConfig, policy_id: str) -> bool:
    """Whether rows of ``policy_id`` may ever reach a learner."""
    entry, wanted = config.policies[policy_id], config.policies_to_train
    return entry.learner is not None and entry.train and (not isinstance(wanted, tuple) or policy_id in wanted)


def make_learner(name: str, entry: LearnerEntry, specs: dict[str, PolicySpec], config: RunConfig, trained: frozenset[str]) -> Learner:
    """An algorithm's instance for the policies of ``specs``."""
    algorithm: Algorithm = entry.algorithm(specs, entry.config, seed=seed_of(config.seed, "learner", name), device=config.device)
    data = entry.algorithm.data(entry.config)
    assert isinstance(data, OnPolicy), "the configuration refuses every other kind"
    return Learner(name, algorithm, data, trained)


class PolicyHandle:
    """A policy of a run: its weights, and whatever the policy itself offers (``q_values``, ``action_distribution``, …).

    Attributes:
        policy: the driver's own copy.
    """

    def __init__(self, policy_id: str, policy: Policy, roster: Roster, run: Run) -> None:
        self.policy_id = policy_id
        self.policy = policy
        self._roster = roster
        self._run = run

    @property
    def version(self) -> int:
        """How many learning steps made these weights."""
        return self.policy.version

    @property
    def weights_hash(self) -> str:
        """16 hex digits that name the weights."""
        return self._run.note_hash(self.policy_id, self.policy.version, self.policy.get_weights())

    def get_weights(self) -> dict[str, NDArray[Any]]:
        """Every array that acting depends on, as copies."""
        return self.policy.get_weights()

    def set_weights(self, weights: Mapping[str, NDArray[Any]], reset_optimizer: bool = False) -> None:
        """Replace the weights in the learner (if there is one) and in every worker."""
        self._roster.set_weights(self.policy_id, weights, reset_optimizer=reset_optimizer)
        self._roster.hand_out(self._run, [self.policy_id])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)
