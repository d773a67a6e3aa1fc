"""From a validated run to rollout workers in this process; and :class:`Sampler`, the same without a trainer.

A :class:`Plan` is what one probe environment taught about the run: which policy has which spaces, what learners need. Workers
here or elsewhere are made from a plan alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from gymnasium import Space, spaces

from marl.algorithm import Algorithm, Capabilities
from marl.batch import EpisodeRecord, MultiAgentBatch
from marl.checkpoint import check_trust, find_checkpoint, read_policy, references_in
from marl.checkpoint import load_config as load_saved_config
from marl.checkpoint.policies import build_policy
from marl.config import EvaluationConfig, LearnerEntry, PolicyEntry, RunConfig, load_config, names_checkpoint
from marl.config.build_env import AgentsOfEnv, agents_of_env, build_env
from marl.config.parse import ROUTES
from marl.errors import ConfigError, EnvError, PolicyError, Problem
from marl.hooks import HOOKS, hooked
from marl.players import ConstantPolicy, RandomPolicy, ScriptedPlayer
from marl.policy import Discount, Policy, PolicySpec
from marl.router import Router
from marl.sampler import RolloutWorker
from marl.seeding import branch, generator
from marl.surroundings import JOINT_COLUMNS, JointSlot, joint_slots
from marl.vector_sampler import VectorRolloutWorker
from marl.worker import Worker

PROBES = 32
"""How often a mapping function is asked about each agent before the first step, to learn which policy has which spaces."""

Actor = Policy | ScriptedPlayer


@dataclass(frozen=True)
class JointSpec:
    """``PolicySpec.joint``: where each agent stands in the joint columns, and the one policy that plays it (None: it may change)."""

    slots: Mapping[Any, JointSlot]
    policies: Mapping[Any, str | None]


@dataclass
class Plan:
    """Everything that workers are made from.

    Attributes:
        agents: the agents of the (wrapped, grouped) environment and their spaces.
        entries, specs: of every policy, learned or player; both grow with ``add_policy``.
        algorithms: policy → the class that makes a worker's copy of it.
        needs: policy → optional columns that its learner wants.
        has_global_state: the environment offers one.
        vector_copies: how many copies an array-native environment steps; 0: the environment speaks in dicts.
        probe: the environment that was asked; the first worker takes it as its first copy.
    """

    config: RunConfig
    agents: AgentsOfEnv
    entries: dict[str, PolicyEntry]
    specs: dict[str, PolicySpec]
    algorithms: dict[str, type[Algorithm]]
    needs: dict[str, frozenset[str]]
    has_global_state: bool = False
    vector_copies: int = 0
    probe: Any = field(default=None, repr=False)

    def router(self, section: RunConfig | EvaluationConfig | None = None, *, in_turn: bool = False) -> Router:
        """A router of its own for one worker; ``section`` is where who plays whom is said (default: the run)."""
        says = section or self.config
        return Router(
            self.specs,
            mapping=says.mapping,
            policy_mapping_fn=says.policy_mapping_fn,
            matches=says.matches,
            match_fn=says.match_fn,
            in_turn=in_turn,
        )

    def make_env(self, worker_index: int) -> Callable[[int], Any]:
        """vector index → one more copy of the run's environment, for one worker."""
        config = self.config

        def make(vector_index: int) -> Any:
            return build_env(
                config.env,
                config.env_config,
                config.wrappers,
                config.groups,
                worker_index=worker_index,
                vector_index=vector_index,
                num_workers=config.workers,
            )

        return make

    def actor(self, policy_id: str) -> Actor:
        """A worker's copy of one policy; learned ones get their weights by broadcast."""
        seed = seed_of(self.config.seed, "policy", policy_id)
        algorithm = self.algorithms.get(policy_id)
        if algorithm is not None:
            return algorithm.make_policy(self.specs[policy_id], seed=seed, device=self.config.worker_device)
        entry, spec = self.entries[policy_id], self.specs[policy_id]
        return make_player(entry, spec, seed=seed, device=self.config.worker_device, trust=packages_of(self.config))


def seed_of(run_seed: int, *path: int | str) -> int:
    """An integer seed for the node of the run's tree that ``path`` names."""
    return int(branch(run_seed, *path).generate_state(1)[0]) >> 1


# ------------------------------------------------------------------ planning: one probe environment against the policies


def _with_form(config: RunConfig, probe: Any) -> RunConfig:
    """``config`` with the form in which a PettingZoo game is played (``env_config.api``), where the run left the choice open."""
    env = probe
    while not hasattr(type(env), "api") and "env" in getattr(env, "__dict__", {}):
        env = env.env
    api = getattr(type(env), "api", None)
    if api not in ("aec", "parallel") or not isinstance(config.env, str) or "api" in config.env_config:
        return config
    return config.model_copy(update={"env_config": {**config.env_config, "api": api}})


def make_plan(config: RunConfig) -> Plan:
    """Make one probe environment and hold it against the policies.

    Raises:
        ConfigError: with everything that does not fit: agents that nothing names, a policy with two different spaces, …
    """
    worker_index = 1 if config.workers else 0
    probe = Plan(config, AgentsOfEnv((), {}), {}, {}, {}, {}).make_env(worker_index)(0)
    config = _with_form(config, probe)
    try:
        agents = agents_of_env(probe)
        has_global_state = any(hasattr(probe, name) for name in ("global_state", "state", "single_observation_spaces"))
        problems: list[Problem] = []
        learned = {policy_id: config.learners[entry.learner].algorithm for policy_id, entry in config.policies.items() if entry.learner}
        needs = {policy_id: _needs(config, policy_id) for policy_id in learned}
        routers = [Plan(config, agents, {}, dict.fromkeys(config.policies), {}, {}).router()]  # type: ignore[arg-type]
        if any(getattr(config.evaluation, key) is not None for key in ("mapping", "matches", "policy_mapping_fn", "match_fn")):
            routers.append(Plan(config, agents, {}, dict.fromkeys(config.policies), {}, {}).router(config.evaluation))  # type: ignore[arg-type]
        seats = _seats(routers, agents, config, problems)
        specs = {}
        for policy_id, entry in config.policies.items():
            spec = _spec(policy_id, entry, seats.get(policy_id), agents, probe, problems)
            if spec is not None:
                specs[policy_id] = spec
        for policy_id in [one for one, columns in needs.items() if one in specs and columns.intersection(JOINT_COLUMNS)]:
            joint = _joint(policy_id, probe, agents, routers[0], problems)
            specs[policy_id] = replace(specs[policy_id], joint=joint)
        for policy_id, algorithm in learned.items():
            if policy_id in specs:
                problems += _unfit(policy_id, algorithm.capabilities, specs[policy_id], routers[0], has_global_state)
        problems += _unneeded(needs, has_global_state)
        copies = int(probe.num_envs) if hasattr(probe, "single_observation_spaces") else 0
        if copies and config.envs_per_worker not in (1, copies):
            wrong = f"the environment is array-native and steps {copies} copies by itself"
            problems.append(Problem("envs_per_worker", wrong, "leave it out, and say how many in env_config"))
        if problems:
            raise ConfigError(problems)
    except BaseException:
        close = getattr(probe, "close", None)
        if close is not None:
            close()
        raise
    return Plan(config, agents, dict(config.policies), specs, learned, needs, has_global_state, copies, probe)


def _needs(config: RunConfig, policy_id: str) -> frozenset[str]:
    learner = config.learners[config.policies[policy_id].learner or ""]
    return frozenset(learner.algorithm.needs(learner.config))


def _seats(routers: Sequence[Router], agents: AgentsOfEnv, config: RunConfig, problems: list[Problem]) -> dict[str, list[Any]]:
    """Policy → the agents that it may play, as far as can be known now."""
    seats: dict[str, list[Any]] = {}
    for place, router in enumerate(routers):
        where = "evaluation." if place else ""
        for agent in agents.agents:
            possible = router.possible_policies(agent)
            if possible is None:
                possible = _asked(router, agent, config, problems)
            elif not possible:
                kind = "mapping" if router.mapping is not None else "matches"
                known = ", ".join(map(str, router.mapping or router.matches[0].match.seats))  # type: ignore[index]
                problems.append(
                    Problem(
                        f"{where}{kind}", f"no entry names agent {agent!r} (entries: {known})", f'add "{agent}": POLICY, or "*": POLICY'
                    )
                )
            for policy_id in possible:
                if agent not in seats.setdefault(policy_id, []):
                    seats[policy_id].append(agent)
    return seats


class _ProbedEpisode:
    """A stand-in episode for asking a mapping function before there is one."""

    def __init__(self, number: int, seed: int, policies: Sequence[str]) -> None:
        self.episode_id = number
        self.rng = generator(seed, "probe", number)
        self.agents: list[Any] = []
        self.policies = tuple(policies)
        self.match: Any = None
        self.match_state: Any = None
        self.user: dict[str, Any] = {}
        self.env_index = self.worker_index = 0
        self.seed: int | None = number


def _asked(router: Router, agent: Any, config: RunConfig, problems: list[Problem]) -> tuple[str, ...]:
    """The policies that a function gives ``agent`` in a few trial episodes; what it raises for a trial tells nothing."""
    if router.policy_mapping_fn is None:
        return ()
    found: dict[str, None] = {}
    for number in range(PROBES):
        try:
            found[router.policy_for(agent, _ProbedEpisode(number, config.seed, tuple(config.policies)))] = None
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            return tuple(found)
        except Exception:  # the function may want more of an episode than a trial has: then its first real call speaks
            return tuple(found)
    return tuple(found)


def _spec(
    policy_id: str, entry: PolicyEntry, seats: Sequence[Any] | None, agents: AgentsOfEnv, probe: Any, problems: list[Problem]
) -> PolicySpec | None:
    """What ``policy_id`` sees and does: its agents' common spaces."""
    where = f"policies.{policy_id}"
    stated = _stated_discount(seats, probe, where, problems)
    if entry.discount is not None and stated is not None and entry.discount != stated:
        problems.append(Problem(f"{where}.discount", f"{entry.discount} against the environment's own {stated}", "leave it out"))
    of_seats = {agent: agents.spaces[agent] for agent in seats or () if agent in agents.spaces}
    first = next(iter(of_seats), None)
    if entry.observation_space is not None and entry.action_space is not None:
        both: tuple[Space[Any], Space[Any]] = (entry.observation_space, entry.action_space)
    elif first is not None:
        both = of_seats[first]
    else:
        kinds = list(dict.fromkeys(map(_spaces_key, agents.spaces.values())))
        if len(kinds) != 1:
            said = "its agents' spaces cannot be known yet" if kinds else "the environment states no spaces before it runs"
            problems.append(Problem(where, said, f"give {where}.observation_space and action_space, or name its agents in mapping"))
            return None
        both = next(iter(agents.spaces.values()))
    for agent, (observation_space, action_space) in of_seats.items():
        for kind, mine, theirs in (("observation", both[0], observation_space), ("action", both[1], action_space)):
            if mine != theirs:
                other = f"agent {first!r}" if entry.observation_space is None else "its own"
                problems.append(
                    Problem(
                        where,
                        f"agent {agent!r} has the {kind} space {theirs}, but {other} {'has' if first in of_seats else 'is'} {mine}",
                        "map them to two policies, or make the spaces equal in a wrapper",
                    )
                )
    group = None
    groups = getattr(probe, "groups", None)
    if isinstance(groups, Mapping) and first in groups and isinstance(both[1], spaces.Tuple):
        base = agents_of_env(probe.env)
        group = {member: known for member in groups[first] if (known := base.of(probe.env, member)) is not None}
    return PolicySpec(
        policy_id,
        both[0],
        both[1],
        config=entry.config if entry.learner is not None else dict(entry.options),
        discount=entry.discount or stated or Discount(),
        agents=tuple(seats) if seats is not None else None,
        group=group,
        global_state_space=getattr(probe, "global_state_space", None) or getattr(probe, "state_space", None),
    )


def _joint(policy_id: str, probe: Any, agents: AgentsOfEnv, router: Router, problems: list[Problem]) -> JointSpec | None:
    try:
        slots = joint_slots(probe)
    except EnvError as error:
        problems.append(Problem(f"policies.{policy_id}", str(error), "take an algorithm that needs no joint columns"))
        return None
    possible = {agent: router.possible_policies(agent) or () for agent in agents.agents}
    return JointSpec(slots, {agent: found[0] if len(found) == 1 else None for agent, found in possible.items()})


def _spaces_key(both: tuple[Space[Any], Space[Any]]) -> str:
    return f"{both[0]!r}|{both[1]!r}"


def _stated_discount(seats: Sequence[Any] | None, probe: Any, where: str, problems: list[Problem]) -> Discount | None:
    """The discount that the environment states for a policy's agents (``env.discounts``), if any."""
    stated = getattr(probe, "discounts", None) or {}
    found = {Discount(float(stated[agent][0]), stated[agent][1]) for agent in seats or () if agent in stated}
    if len(found) > 1:
        shown = ", ".join(str(one) for one in sorted(found, key=str))
        problems.append(
            Problem(f"{where}.discount", f"its agents have different discounts in the environment: {shown}", "map them to two policies")
        )
    return next(iter(found)) if len(found) == 1 else None


def action_kind(space: Space[Any]) -> str:
    """The kind of ``space`` in :class:`~marl.algorithm.Capabilities`' words."""
    if isinstance(space, spaces.Discrete):
        return "discrete"
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)):
        return "multi_discrete"
    return "box" if isinstance(space, spaces.Box) else "composite"


def _unfit(policy_id: str, can: Capabilities, spec: PolicySpec, router: Router, has_global_state: bool) -> list[Problem]:
    """What this game asks and the policy's algorithm cannot do."""
    where = f"policies.{policy_id}.algorithm"
    kind = action_kind(spec.action_space)
    problems = []
    if kind not in can.actions and not (spec.group is not None and can.groups != "no"):
        wrong = f"cannot play {kind} actions ({spec.action_space}); it plays {', '.join(sorted(can.actions))}"
        problems.append(Problem(where, wrong, "take an algorithm that does, or change the action space in a wrapper"))
    if can.groups == "required" and spec.group is None:
        problems.append(Problem(where, "plays groups only, and no group is mapped to it", "groups: {TEAM: [AGENT, …]}"))
    if can.fixed_assignment and not router.static:
        problems.append(Problem(where, "needs every agent mapped to the same policy in every episode", "use a mapping without draws"))
    if can.global_state == "required" and not has_global_state:
        problems.append(Problem(where, "needs a global state, and the environment has none", "write global_state() in the environment"))
    return problems


def _unneeded(needs: Mapping[str, frozenset[str]], has_global_state: bool) -> list[Problem]:
    if has_global_state:
        return []
    wrong, mend = "its algorithm asks for the column global_state, and the environment has none", "write global_state() in the environment"
    return [Problem(f"policies.{policy_id}", wrong, mend) for policy_id, columns in needs.items() if "global_state" in columns]


def plan_policy(plan: Plan, policy_id: str, entry: PolicyEntry, learner: LearnerEntry | None) -> tuple[RunConfig, Plan]:
    """``plan`` with one policy more, and the config that says so.

    Raises:
        ConfigError: its spaces cannot be known, or the game asks what its algorithm cannot do.
    """
    problems: list[Problem] = []
    wanted = plan.config.policies_to_train
    trained = isinstance(wanted, tuple) and learner is not None and entry.train
    config = plan.config.model_copy(
        update={
            "policies": {**plan.config.policies, policy_id: entry},
            "learners": {**plan.config.learners, **({policy_id: learner} if learner is not None else {})},
            "policies_to_train": (*wanted, policy_id) if isinstance(wanted, tuple) and trained else wanted,
        }
    )
    spec = _spec(policy_id, entry, None, plan.agents, None, problems)
    if spec is not None and learner is not None:
        plan.algorithms[policy_id] = learner.algorithm
        plan.needs[policy_id] = frozenset(learner.algorithm.needs(learner.config))
        problems += _unfit(policy_id, learner.algorithm.capabilities, spec, plan.router(), plan.has_global_state)
    if problems or spec is None:
        plan.algorithms.pop(policy_id, None)
        plan.needs.pop(policy_id, None)
        raise ConfigError(problems)
    plan.entries[policy_id], plan.specs[policy_id] = entry, spec
    plan.config = config
    return config, plan


# ------------------------------------------------------------------ players


def make_player(entry: PolicyEntry, spec: PolicySpec, *, seed: int, device: str, trust: Sequence[str] = ()) -> Actor:
    """What stands behind ``player``: random, constant, a checkpoint's policy, a batch policy or a bot of the user's own."""
    player, options = entry.player, dict(entry.options)
    where = f"policies.{spec.policy_id}.player"
    if player == "random":
        return RandomPolicy(spec)
    if player == "constant":
        return ConstantPolicy(spec, options.get("action"))
    if isinstance(player, str) and names_checkpoint(player):
        return player_from_checkpoint(player, spec, seed=seed, device=device, trust=trust)
    if isinstance(player, type) and issubclass(player, Policy):
        made: Any = cast(Any, player)(spec, **options)  # a Policy class of the user's own takes its spec first
        if not isinstance(made, Policy):
            raise PolicyError(f"{where}: {player.__name__} made {made!r}, expected a Policy")
        return made
    if isinstance(player, Policy):
        wrong = f"{type(player).__name__} is one object and would be shared by every worker"
        raise ConfigError([Problem(where, wrong, "give its class, or a function of the spec that makes one")])
    source = player
    if options:
        if not isinstance(player, type):
            raise ConfigError([Problem(where, f"options {sorted(options)} go to a class, and {player!r} is none", "give a class")])

        def made_with_options() -> Any:
            return player(**options)

        source = made_with_options
    return ScriptedPlayer(source, spec, getattr(player, "__qualname__", repr(player)))


def packages_of(config: RunConfig) -> tuple[str, ...]:
    """The packages of the run's own algorithms: they are imported already, so its checkpoints may name them."""
    return tuple(sorted({entry.algorithm.__module__.partition(".")[0] for entry in config.learners.values()}))


def player_from_checkpoint(reference: str, spec: PolicySpec, *, seed: int, device: str, trust: Sequence[str] = ()) -> Policy:
    """The policy that ``CHECKPOINT:POLICY`` names, as a player in a seat of ``spec``.

    Raises:
        ConfigError: its spaces are not those of the seat.
    """
    path, _, policy_id = reference.rpartition(":")
    record = read_policy(path, policy_id or None, trust=trust)
    where = f"policies.{spec.policy_id}.player"
    for kind, mine, theirs in (
        ("observation", spec.observation_space, record.spec.observation_space),
        ("action", spec.action_space, record.spec.action_space),
    ):
        if mine != theirs:
            wrong = f"{reference} has the {kind} space {theirs}, its seat here {mine}"
            raise ConfigError([Problem(where, wrong, "take a policy that was trained on this game, wrapped alike")])
    policy = build_policy(record, seed=seed, device=device, where=reference)
    policy.set_weights(record.weights, version=record.version, counters=record.counters)
    return policy


# ------------------------------------------------------------------ workers


def make_worker(
    plan: Plan,
    worker_index: int,
    *,
    router: Router | None = None,
    record: Iterable[str] | None = None,
    make_env: Callable[[int], Any] | None = None,
    envs: int | None = None,
    seed: int | None = None,
    explore: bool | None = None,
    hooks: Mapping[str, list[Callable[..., Any]]] | None = None,
    probe: Any = None,
) -> Worker:
    """A rollout worker of ``plan``; what is not given is the run's own.

    Args:
        record: the policies whose rows are kept; None: all.
        hooks: bound hooks by name (:data:`marl.hooks.HOOKS`).
        probe: an environment that is its first copy already.
    """
    config = plan.config
    router = router or plan.router()
    make_env = make_env or plan.make_env(worker_index)
    policies: dict[str, Actor] = {policy_id: plan.actor(policy_id) for policy_id in plan.specs}
    discounts = {policy_id: spec.discount for policy_id, spec in plan.specs.items()}
    kept = None if record is None else frozenset(record)
    callbacks = None if hooks is None else dict(hooks)
    worker: Worker
    if plan.vector_copies:
        worker = VectorRolloutWorker(
            env=make_env(0) if probe is None else probe,
            router=router,
            policies=policies,
            discounts=discounts,
            needs=plan.needs,
            record=kept,
            seed=config.seed if seed is None else seed,
            worker_index=worker_index,
            max_idle_ticks=config.max_idle_ticks,
            info_keys=config.infos,
            explore=config.explore if explore is None else explore,
            callbacks=callbacks,
        )
    else:
        worker = RolloutWorker(
            make_env=make_env,
            envs_per_worker=envs or config.envs_per_worker,
            router=router,
            policies=policies,
            discounts=discounts,
            needs=plan.needs,
            record=kept,
            seed=config.seed if seed is None else seed,
            worker_index=worker_index,
            max_idle_ticks=config.max_idle_ticks,
            info_keys=config.infos,
            explore=config.explore if explore is None else explore,
            callbacks=callbacks,
            probe_env=probe,
        )
    router.worker = worker
    return worker


def make_workers(plan: Plan, record: Iterable[str] | None, hooks: Mapping[str, list[Callable[..., Any]]] | None = None) -> list[Worker]:
    """The run's workers, all in this process; the first takes the probe environment."""
    indices = range(1, plan.config.workers + 1) if plan.config.workers else (0,)
    kept = None if record is None else frozenset(record)
    workers = []
    for index in indices:
        workers.append(make_worker(plan, index, record=kept, hooks=hooks, probe=plan.probe))
        plan.probe = None
    return workers


def load_env(path: Any, *, trust: Sequence[str] = (), env: Any = None) -> Any:
    """The environment of the run that saved ``path`` (a checkpoint, or a run's directory), wrapped and grouped as it was.

    Args:
        trust: packages that may be imported besides installed entry points.
        env: instead of the saved one, where that has no importable name.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or names code outside ``trust``.
    """
    checkpoint = find_checkpoint(path)
    keys = ("env", "env_config", "wrappers", "groups")
    given = [*ROUTES, "policies", "learners", "evaluation", "loggers", "callbacks", *(() if env is None else ("env",))]
    saved = load_saved_config(checkpoint, trust=trust, given=given)
    data = {key: saved.get(key) for key in keys}
    check_trust(references_in(data), trust, where=f"the checkpoint {checkpoint}")
    return build_env(env if env is not None else data["env"], data["env_config"], data["wrappers"] or (), data["groups"])


class Sampler:
    """Sampling without a trainer, for people with loops of their own; the keys are those of a run.

    Policies with an algorithm play with the weights that they are made with; ``set_weights`` changes them. The rows of every
    policy are kept, those of players too.

    Raises:
        ConfigError: as a run would, with every problem at once.
    """

    def __init__(
        self,
        env: Any,
        *,
        env_config: Mapping[str, Any] | None = None,
        wrappers: Sequence[Any] = (),
        groups: Mapping[str, Sequence[Any]] | None = None,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        learners: Mapping[str, Mapping[str, Any]] | None = None,
        mapping: Mapping[Any, Any] | None = None,
        policy_mapping_fn: Callable[..., Any] | str | None = None,
        matches: Sequence[Any] | None = None,
        match_fn: Callable[..., Any] | str | None = None,
        envs_per_worker: int = 1,
        seed: int = 0,
        max_idle_ticks: int = 1000,
        explore: bool = True,
        infos: Sequence[str] = (),
        needs: Mapping[str, Iterable[str]] | None = None,
        callbacks: Sequence[Any] = (),
    ) -> None:
        self.config = load_config(
            env=env,
            env_config=dict(env_config or {}),
            wrappers=wrappers,
            groups=groups,
            policies={"default": {"algorithm": "ppo"}} if policies is None else policies,
            learners=learners or {},
            mapping=mapping,
            policy_mapping_fn=policy_mapping_fn,
            matches=matches,
            match_fn=match_fn,
            envs_per_worker=envs_per_worker,
            seed=seed,
            max_idle_ticks=max_idle_ticks,
            explore=explore,
            infos=infos,
            callbacks=callbacks,
        )
        plan = make_plan(self.config)
        if needs:
            both = {policy_id: plan.needs.get(policy_id, frozenset()) | frozenset(columns) for policy_id, columns in needs.items()}
            plan = replace(plan, needs={**plan.needs, **both})
        self.plan = plan
        made = [one() if isinstance(one, type) else one for one in self.config.callbacks]
        self._on_rows = hooked(made, "on_rows")
        self.worker = make_workers(plan, None, {name: hooked(made, name) for name in HOOKS[:3]})[0]

    @property
    def policies(self) -> dict[str, Any]:
        """The policies and players, by id."""
        return self.worker.policies

    @property
    def timers(self) -> dict[str, float]:
        """Seconds spent so far in the environments, in policies and in the sampler itself."""
        return self.worker.timers

    def sample(
        self,
        *,
        num_env_steps: int | None = None,
        num_episodes: int | None = None,
        complete_episodes: bool = False,
        explore: bool | None = None,
    ) -> tuple[MultiAgentBatch, list[EpisodeRecord]]:
        """One fragment: ``num_env_steps`` of every copy, or whole episodes until ``num_episodes`` have ended.

        Args:
            complete_episodes: each copy goes on to its first episode end at or after ``num_env_steps``.
            explore: overrides the sampler's own.

        Returns:
            The rows that closed, by policy, and the episodes that ended.
        """
        if (num_env_steps is None) == (num_episodes is None):
            raise ConfigError([Problem("sample", "say either num_env_steps or num_episodes", "sample(num_env_steps=200)")])
        asked = num_env_steps if num_episodes is None else num_episodes
        if asked is not None and asked < 0:
            raise ConfigError([Problem("sample", f"found {asked}", "expected 0 or more")])
        batch, episodes = self.worker.sample(
            num_env_steps=num_env_steps, num_episodes=num_episodes, complete_episodes=complete_episodes, explore=explore
        )
        for hook in self._on_rows:
            changed = hook(batch)
            batch = batch if changed is None else changed
        return batch, episodes

    def set_weights(self, policy_id: str, weights: Mapping[str, Any], *, version: int) -> None:
        """Give one policy its weights, as its ``get_weights`` returned them."""
        self.worker.set_weights(policy_id, weights, version=version, counters=None)
        self.worker.refresh_stacks()

    def foreach_env(self, function: Callable[[Any], Any]) -> list[Any]:
        """``function`` of every copy of the environment."""
        return list(self.worker.foreach_env(function))

    def close(self) -> None:
        """Close the environments."""
        self.worker.close()
