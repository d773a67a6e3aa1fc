"""Every key of a run, once, with its unit and range. A run file, a dict and keyword arguments all become one :class:`RunConfig`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from gymnasium import Space
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation

from marl.algorithm import Algorithm, PluginConfig
from marl.policy import Discount
from marl.router import WeightedMatch


def _whole(value: Any) -> Any:
    """``1e6`` is a whole number, though YAML and Python read it as a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=1)]
CountOrZero = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True)
class LearnerEntry:
    """An algorithm's instance: which class, its ``Config``, and the policies that join it.

    ``named``: it stands under ``learners``, not in short under its only policy.
    """

    algorithm: type[Algorithm]
    reference: Any
    config: PluginConfig
    policies: tuple[str, ...]
    named: bool = False


@dataclass(frozen=True)
class PolicyEntry:
    """One policy: learned (``learner`` and its ``config``) or a player (``player`` and its ``options``).

    ``train``: False: it plays with the weights that it is made with, and has no learner. ``discount``: None: the environment's own, or
    0.99 per decision. Spaces are given only where the environment cannot be asked.
    """

    learner: str | None = None
    config: PluginConfig | None = None
    player: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    train: bool = True
    init_from: str | None = None
    discount: Discount | None = None
    observation_space: Space[Any] | None = None
    action_space: Space[Any] | None = None


class EvaluationConfig(Section):
    """How the run is judged while it trains."""

    interval: Count | None = Field(default=None, description="evaluate after every so many iterations; null: only when asked")
    episodes: Count | None = Field(default=None, description="episodes of one evaluation (100 if neither this nor num_env_steps is given)")
    num_env_steps: Count | None = Field(default=None, description="env steps of one evaluation, over all copies, instead of episodes")
    explore: Flag = Field(default=False, description="whether policies explore; false: greedy")
    mapping: dict[Any, Any] | None = Field(default=None, description="who plays whom, if other than in training")
    policy_mapping_fn: Callable[..., Any] | None = Field(default=None, description="the same as a function")
    matches: tuple[SkipValidation[WeightedMatch], ...] | None = Field(default=None, description="matches, played in turn")
    match_fn: Callable[..., Any] | None = Field(default=None, description="the same as a function")
    seed: CountOrZero | None = Field(default=None, description="of the evaluation's environments; null: a branch of the run's seed")
    envs: Count | None = Field(default=None, description="copies of the environment; null: envs_per_worker, at most one per episode")


class CheckpointConfig(Section):
    """When a run saves itself. It always does at its end and on Ctrl-C."""

    every_env_steps: Count | None = Field(default=None, description="save after every so many env steps; null: only at the end")
    keep: Count = Field(default=3, description="how many of the newest checkpoints stay")
    replay: Flag = Field(default=False, description="save the contents of replay stores too")


class RunConfig(Section):
    """A whole run, validated."""

    env: Any = Field(description="a name, module:Class, class, callable, or (envs_per_worker 1) an instance")
    env_config: dict[str, Any] = Field(default_factory=dict, description="what the environment's creator gets")
    wrappers: tuple[Any, ...] = Field(default=(), description="list of NAME or {NAME: {options}}, innermost first")
    groups: dict[str, tuple[Any, ...]] | None = Field(default=None, description="group → its agents, who then act as one agent")
    policies: dict[str, SkipValidation[PolicyEntry]] = Field(
        description="policy → its algorithm or player, and keys; default: {default: {algorithm: ppo}}"
    )
    learners: dict[str, SkipValidation[LearnerEntry]] = Field(
        default_factory=dict, description="learner → its algorithm and keys, for learners of several policies"
    )
    mapping: dict[Any, Any] | None = Field(default=None, description="agent or pattern → policy, or a draw per episode {policy: weight}")
    policy_mapping_fn: Callable[..., Any] | None = Field(default=None, description="(agent_id, episode, worker) → policy")
    matches: tuple[SkipValidation[WeightedMatch], ...] | None = Field(
        default=None, description="list of {seats, learn, weight, weights, seed, options, tag}"
    )
    match_fn: Callable[..., Any] | None = Field(default=None, description="(episode) → marl.Match")
    policies_to_train: tuple[str, ...] | Callable[..., Any] | None = Field(
        default=None, description="the policies that learn: a list, or (policy_id, batch) → bool; null: all that have an algorithm"
    )
    explore: Flag = Field(default=True, description="whether policies explore while sampling")
    workers: CountOrZero = Field(default=0, description="0: one worker in this process; n: n workers run by runner")
    runner: Literal["local"] = Field(default="local", description="local: the workers live in this process")
    envs_per_worker: Count = Field(default=1, description="copies of the environment that each worker steps together")
    rollout_fragment_env_steps: Count = Field(default=200, description="env steps per environment copy of one fragment")
    sample_env_steps_per_iteration: Count | None = Field(
        default=None, description="env steps of one iteration, summed over workers and copies; null: one fragment"
    )
    max_idle_ticks: Count = Field(default=1000, description="env steps with nobody due, or zero-tick calls, in a row that are an error")
    infos: tuple[str, ...] = Field(default=(), description="scalar info keys to keep as columns infos/<key>")
    seed: CountOrZero = Field(default=0, description="root of every generator of the run")
    loop: Literal["synchronous"] = Field(default="synchronous", description="sample, learn, broadcast, in turn")
    device: str = Field(default="cpu", description="of learners: auto, cpu, cuda or cuda:n", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    worker_device: str = Field(default="cpu", description="of the workers' policies", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="how the run is judged while it trains")
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig, description="when the run saves itself")
    stop: dict[str, float] = Field(
        default_factory=dict, description="ends run(): num_env_steps, num_agent_steps, time_s, iterations, or any metric: its threshold"
    )
    run_dir: Path = Field(default=Path("runs"), description="folder that holds the runs' directories")
    name: str | None = Field(
        default=None, description="of the run's directory; null: the environment's name and the time", pattern=r"^[^/\\.][^/\\]*$"
    )
    loggers: tuple[Any, ...] = Field(
        default=("csv", "tensorboard"), description="what writes an iteration down during run(): csv, tensorboard, module:Class"
    )
    callbacks: tuple[Any, ...] = Field(default=(), description="objects, classes or module:Class with any of the hooks")
    env_process: Literal["shared"] = Field(default="shared", description="shared: environments live in the worker's process")
    env_step_timeout_s: float | None = Field(
        default=None, description="cut an env.step that takes longer; needs an environment with its own process", gt=0
    )


class RunKeys(TypedDict, total=False):
    """The keys of :class:`RunConfig`, as people give them."""

    env: Any
    env_config: Mapping[str, Any]
    wrappers: Sequence[Any]
    groups: Mapping[str, Sequence[Any]] | None
    policies: Mapping[str, Mapping[str, Any]]
    learners: Mapping[str, Mapping[str, Any]]
    mapping: Mapping[Any, Any] | None
    policy_mapping_fn: Callable[..., Any] | str | None
    matches: Sequence[Any] | None
    match_fn: Callable[..., Any] | str | None
    policies_to_train: Sequence[str] | Callable[..., Any] | None
    explore: bool
    workers: int
    runner: str
    envs_per_worker: int
    rollout_fragment_env_steps: int
    sample_env_steps_per_iteration: int | None
    max_idle_ticks: int
    infos: Sequence[str]
    seed: int
    loop: str
    device: str
    worker_device: str
    evaluation: Mapping[str, Any]
    checkpoint: Mapping[str, Any]
    stop: Mapping[str, float]
    run_dir: str | Path
    name: str | None
    loggers: Sequence[Any]
    callbacks: Sequence[Any]
    env_process: str
    env_step_timeout_s: float | None
