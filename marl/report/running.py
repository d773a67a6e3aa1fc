"""A run with everything that people see of it: its directory, progress while it goes on, and last words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from gymnasium import spaces

from marl.config import RunConfig, RunKeys, config_to_data
from marl.errors import ConfigError, Problem
from marl.report.display import make_display
from marl.report.following import Following
from marl.report.loggers import make_loggers
from marl.report.run_directory import new_run_directory
from marl.report.summary import marl_command, shown_path, summary
from marl.trainer import Trainer


def train(config: RunConfig | Mapping[str, Any] | str | Path | None = None, /, **keys: Unpack[RunKeys]) -> Trainer:
    """Make a trainer and run it to its stop condition, in a directory of its own, with progress and loggers.

    Args:
        config: a run file's path, a dict, or a :class:`~marl.config.RunConfig`; ``keys`` replace its keys.

    Raises:
        ConfigError: with every problem, before the first step.
        KeyboardInterrupt: on Ctrl-C, after the iteration has ended and a checkpoint is written; its text says where.
            A second one stops at once.
    """
    trainer = begin(Trainer(config, **keys))
    following = follow(trainer)
    following.run()
    if following.interrupted:
        raise KeyboardInterrupt(following.saved())
    following.display.note("\n" + last_words(following))
    return trainer


def begin(trainer: Trainer, run_dir: Path | None = None) -> Trainer:
    """Give a new trainer a directory of its own.

    Raises:
        ConfigError: nothing says when the run ends.
        RunError: the directory cannot be made.
    """
    config = trainer.config
    need_stop(config)
    trainer.directory = new_run_directory(run_dir or config.run_dir, run_name(config), config_to_data(config), timed=config.name is None)
    return trainer


def need_stop(config: RunConfig) -> None:
    """Refuse a run without an end."""
    if not config.stop:
        raise ConfigError([Problem("stop", "nothing says when the run ends", "stop: {num_env_steps: 100_000}")])


def follow(trainer: Trainer) -> Following:
    """``trainer`` with its display and loggers; it has its directory already."""
    assert trainer.directory is not None
    config, directory = trainer.config, trainer.directory
    loggers = make_loggers(config.loggers, directory, after_iteration=trainer.iteration, from_step=trainer.state.num_env_steps)
    display = make_display(config.stop, f"{run_name(config)}  →  {shown_path(directory)}", learned_policies(config))
    return Following(trainer, directory, display, loggers)


def learned_policies(config: RunConfig) -> list[str]:
    """The policies that have an algorithm."""
    return [policy_id for policy_id, entry in config.policies.items() if entry.learner is not None]


def run_name(config: RunConfig) -> str:
    """The run's name, or its environment's."""
    env: Any = config.env
    return config.name or (env if isinstance(env, str) else str(getattr(env, "__name__", type(env).__name__)))


def last_words(following: Following) -> str:
    """How the run ended: how good it is, where it lies, what can be done with it."""
    trainer, config = following.trainer, following.trainer.config
    agents = trainer.plan.agents
    seats = [agent for agent in agents.agents if agent in agents.spaces]
    curve = following.directory / "learning_curve.png"
    return summary(
        following.metrics,
        checkpoint=following.checkpoint,
        run=following.directory,
        learned=learned_policies(config),
        seats=seats,
        playable=bool(seats) and all(isinstance(agents.spaces[seat][1], (spaces.Discrete, spaces.MultiDiscrete)) for seat in seats),
        explore=config.evaluation.explore,
        stop=config.stop,
        curve=curve if curve.exists() else None,
        drawable=any(trainer.foreach_worker(lambda worker: any(worker.foreach_env(_draws)))),
        command=marl_command(),
    )


def _draws(env: Any) -> bool:
    """Whether an environment can be asked for pictures."""
    modes = (getattr(env, "metadata", None) or {}).get("render_modes") or ()
    return callable(getattr(env, "render", None)) and "rgb_array" in (*modes, getattr(env, "render_mode", None))
