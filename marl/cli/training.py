"""What ``marl train`` does: a run from its file to its last words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from marl.checkpoint import find_checkpoint, list_checkpoints, trusting
from marl.cli.failing import EXIT_INTERRUPTED
from marl.cli.options import trusted
from marl.config import RunConfig, apply_overrides, config_to_data, load_config, read_run_file
from marl.errors import ConfigError, EnvError, MarlError, Problem, RunError
from marl.report.run_directory import CHECKPOINTS, new_run_directory, run_of, write_config
from marl.report.running import begin, follow, last_words, need_stop, run_name
from marl.report.summary import marl_command, shown_path
from marl.trainer import Trainer

CHANGEABLE = ("stop", "checkpoint", "evaluation", "loggers")
"""Sections that ``--set`` may change when a run is resumed: how long, and what is told; not what is learned."""


def train_run(
    file: Path | None, overrides: Sequence[str], *, resume: Path | None, run_dir: Path | None, record: bool, trust: Sequence[str]
) -> int:
    """Train, and return the exit code."""
    with trusting(trusted(trust, file)):
        return _train_run(file, overrides, resume, run_dir, record)


def _train_run(file: Path | None, overrides: Sequence[str], resume: Path | None, run_dir: Path | None, record: bool) -> int:
    if resume is not None:
        trainer = resumed(resume, overrides, run_dir)
    elif file is not None:
        trainer = started(file, overrides, run_dir)
    else:
        raise ConfigError([Problem("FILE", "neither a run file nor --resume RUN is given", "marl train run.yaml")])
    assert trainer.directory is not None
    directory = trainer.directory
    try:
        code = _follow(trainer, directory)
    except EnvError as error:
        raise _with_capsule(error, directory, trainer.config) from error.__cause__
    except Exception:  # ours or the user's: the way on is said, then the error
        _say(_last_checkpoint(directory), error=True)
        raise
    finally:
        trainer.close()
    if record and code == 0:
        from marl.report.recording import record_episode

        _say(f"episode      {shown_path(record_episode(directory, directory / 'episode.gif'))}")
    return code


def started(file: Path, overrides: Sequence[str], run_dir: Path | None) -> Trainer:
    """A new run in a directory of its own."""
    config = load_config(apply_overrides(read_run_file(file), overrides))
    need_stop(config)
    return begin(Trainer(config), run_dir)


def resumed(run: Path, overrides: Sequence[str], run_dir: Path | None) -> Trainer:
    """The run that goes on: in its own directory, or in a new one if ``run_dir`` is given or ``run`` is not a run's last checkpoint."""
    checkpoint = find_checkpoint(run)
    changed = apply_overrides({}, overrides)
    wrong = [key for key in changed if key not in CHANGEABLE]
    if wrong:
        mend = f"only {', '.join(CHANGEABLE)} change on --resume; for anything else start a new run, with init_from for its policies"
        raise ConfigError([Problem(f"--set {key}", "cannot change when a run goes on", mend) for key in wrong])
    if changed:
        from marl.checkpoint import load_config as saved_config

        saved = saved_config(checkpoint)
        changed = {key: value for key, value in apply_overrides(saved, overrides).items() if key in changed}
    trainer = Trainer.restore(checkpoint, overrides=changed)
    reason = trainer.stop_reason()
    if reason is not None:
        mend = f"{marl_command()} train --resume RUN --set stop.num_env_steps=…"
        raise RunError(f"this run has reached its stop condition already ({reason}). To go further: {mend}")
    config = trainer.config
    directory = run_of(checkpoint)
    if directory is not None and run_dir is None and find_checkpoint(directory).samefile(checkpoint):
        write_config(directory, config_to_data(config))
    else:  # later checkpoints of the same run are another future: they stay as they are
        directory = new_run_directory(run_dir or config.run_dir, run_name(config), config_to_data(config), timed=config.name is None)
    trainer.directory = directory
    lost = len(trainer.lost_at_restore)
    exact = (
        "bit-equal to a run that was never interrupted" if not lost else f"{lost} open episodes could not be rebuilt: no longer bit-equal"
    )
    place = "" if directory == run_of(checkpoint) else f" in {shown_path(directory)}"
    _say(f"goes on{place} from {shown_path(checkpoint)}: iteration {trainer.iteration}, {trainer.state.num_env_steps:,} env steps; {exact}")
    return trainer


def _follow(trainer: Trainer, directory: Path) -> int:
    following = follow(trainer)
    try:
        following.run()
    except KeyboardInterrupt:
        _say(f"stopped at once: {_last_checkpoint(directory)}", error=True)
        return EXIT_INTERRUPTED
    if following.interrupted:
        _say(following.saved(), error=True)
        return EXIT_INTERRUPTED
    _say("\n" + last_words(following))
    return 0


def _last_checkpoint(directory: Path) -> str:
    whole = list_checkpoints(directory / CHECKPOINTS)
    if not whole:
        return f"{shown_path(directory)} has no checkpoint yet."
    return f"the last checkpoint is whole: {shown_path(whole[-1])}; go on with: {marl_command()} train --resume {shown_path(directory)}"


def _with_capsule(error: EnvError, directory: Path, config: RunConfig) -> EnvError:
    """``error`` with what can be done about it: the capsule's path, the last checkpoint."""
    from marl.report.capsules import save_capsule

    lines = [str(error)]
    try:
        capsule = save_capsule(directory, error, config_to_data(config, references=False))
        if capsule is not None:
            lines.append(f"to see it again: {marl_command()} replay {shown_path(capsule)}")
    except MarlError as trouble:  # the error itself matters more than its capsule
        lines.append(f"(no crash capsule: {trouble})")
    lines.append(_last_checkpoint(directory))
    told = type(error)("\n".join(lines))
    told.capsule = error.capsule
    return told


def _say(text: str, *, error: bool = False) -> None:
    stream = sys.stderr if error else sys.stdout
    stream.write(text + "\n")
    stream.flush()
