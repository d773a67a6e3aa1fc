"""A trainer's state in and out of checkpoints."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marl.checkpoint import PolicyRecord, check_trust, checkpoint_name, find_checkpoint, keep_last, load_state, references_in, save_state
from marl.checkpoint import load_config as load_saved_config
from marl.config import RunConfig, config_to_data, load_config, reference_to
from marl.errors import CheckpointError, ConfigError, Problem

if TYPE_CHECKING:
    from marl.trainer.trainer import Trainer

log = logging.getLogger("marl.trainer")

CHECKPOINTS = "checkpoints"
_NO_REFERENCES = ("init_from", "name", "run_dir", "tag", "env_config")


def save(trainer: Trainer, path: str | Path | None) -> Path:
    """Write ``trainer`` at ``path``, or into its run's directory."""
    folder = trainer.run_directory() / CHECKPOINTS
    saved = save_state(
        path if path is not None else folder / checkpoint_name(trainer.iteration),
        trainer.state_dict(),
        config=config_to_data(trainer.config, references=False),
        policies=policy_records(trainer),
        meta={
            "iteration": trainer.iteration,
            "num_env_steps": trainer.state.num_env_steps,
            "num_agent_steps": trainer.state.num_agent_steps,
            "time_s": trainer.time_s,
            "metrics": {name: value for name, value in trainer.metrics.items() if value == value},
        },
    )
    if path is None:
        keep_last(folder, trainer.config.checkpoint.keep)
    return saved


def policy_records(trainer: Trainer) -> list[PolicyRecord]:
    """What the checkpoint keeps of every policy, so that it can be played on its own."""
    records = []
    weighted = trainer.roster.with_weights()
    for policy_id, spec in trainer.plan.specs.items():
        entry = trainer.config.policies[policy_id]
        if policy_id in weighted:
            policy = weighted[policy_id]
            reference = trainer.config.learners[entry.learner or ""].reference
            source = reference if isinstance(reference, str) else reference_to(reference)
            learned = trainer.roster.learner_of(policy_id) is not None
            records.append(PolicyRecord(spec, "algorithm", source, policy.get_weights(), policy.version, policy.counters, learned))
            continue
        source = entry.player if isinstance(entry.player, str) else reference_to(entry.player)
        records.append(PolicyRecord(spec, "player", source, {}, learned=False))
    return records


def read(path: str | Path, *, trust: Sequence[str], replaced: Mapping[str, Any]) -> tuple[Path, RunConfig, dict[str, Any]]:
    """``(checkpoint, config, state)`` of a saved run; nothing outside ``trust`` is imported."""
    checkpoint = find_checkpoint(path)
    data = load_saved_config(checkpoint, trust=trust, given=replaced)
    check_trust(references_in(data, skip=_NO_REFERENCES), trust, where=f"the checkpoint {checkpoint}")
    data.update(replaced)
    try:
        config = load_config(data)
    except ConfigError as error:
        raise CheckpointError(f"the configuration of the checkpoint {checkpoint} cannot be used here: {error}") from error
    return checkpoint, config, load_state(checkpoint, trust=trust)


def directory_of(checkpoint: Path) -> Path | None:
    """The run's directory that ``checkpoint`` lies in, or None if it lies elsewhere."""
    return checkpoint.parent.parent if checkpoint.parent.name == CHECKPOINTS else None


def state_dict(trainer: Trainer) -> dict[str, Any]:
    """See :meth:`Trainer.state_dict`."""
    run = trainer.state
    return {
        "progress": {
            "iteration": trainer.iteration,
            "num_env_steps": run.num_env_steps,
            "num_agent_steps": run.num_agent_steps,
            "time_s": trainer.time_s,
            "match_state": trainer.match_state,
            "envs_were_touched": trainer.envs_were_touched,
            "hashes": {policy_id: [[version, found] for version, found in known.items()] for policy_id, known in run.hashes.items()},
            "metrics": dict(trainer.metrics),
        },
        "episode_metrics": trainer.episode_metrics.state_dict(),
        "learners": {name: learner.state_dict() for name, learner in run.learners.items()},
        "frozen": {
            policy_id: {"weights": policy.get_weights(), "version": policy.version} for policy_id, policy in trainer.roster.frozen.items()
        },
        "workers": {str(worker.worker_index): worker.state_dict() for worker in run.workers},
    }


def load_state_dict(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """See :meth:`Trainer.load_state_dict`."""
    run, progress = trainer.state, state["progress"]
    trainer.iteration = int(progress["iteration"])
    trainer.time_s = float(progress["time_s"])
    trainer.metrics = dict(progress["metrics"])
    run.num_env_steps, run.num_agent_steps = int(progress["num_env_steps"]), int(progress["num_agent_steps"])
    trainer.episode_metrics.load_state_dict(state["episode_metrics"])
    for name, learner in run.learners.items():
        learner.load_state_dict(state["learners"][name])
    for policy_id, policy in trainer.roster.frozen.items():
        policy.set_weights(state["frozen"][policy_id]["weights"], version=int(state["frozen"][policy_id]["version"]))
    trainer.roster.hand_out(run, list(trainer.config.policies))
    run.hashes.clear()
    run.hashes.update({policy_id: {int(version): found for version, found in known} for policy_id, known in progress["hashes"].items()})
    if progress["match_state"] is not None:
        trainer.set_match_state(progress["match_state"])
    lost: list[str] = []
    for worker in run.workers:
        saved = state["workers"].get(str(worker.worker_index))
        if saved is None:
            lost.append(f"worker {worker.worker_index} is new: the checkpoint has {', '.join(state['workers'])}")
            continue
        lost += worker.load_state_dict(saved)
        if progress["envs_were_touched"]:
            copies = trainer.plan.vector_copies or trainer.config.envs_per_worker
            lost += [f"worker {worker.worker_index}, copy {copy}: foreach_env was used" for copy in range(copies)]
            worker.reset_all()
    trainer.lost_at_restore = lost
    if lost:
        reasons = "\n  ".join(f"{count} × {reason}" for reason, count in Counter(lost).items())
        log.warning("this run is no longer bit-equal to one that was never interrupted; open episodes lost:\n  %s", reasons)


def json_copy(value: Any, where: str) -> Any:
    """``value`` through JSON and back, so that nobody can change what was given."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError([Problem(where, f"is not JSON ({error})", "numbers, strings, lists and dicts only")]) from error
