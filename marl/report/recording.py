"""One episode of a checkpoint's policies as a GIF."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marl.checkpoint import find_checkpoint, trusting
from marl.config import RunConfig
from marl.config.build_env import build_env
from marl.errors import ConfigError, RunError
from marl.local import make_plan
from marl.report.judging import judged_config, judging_worker, match_state_of
from marl.wrappers import RecordEpisode


def record_episode(
    checkpoint: str | Path, target: str | Path, *, seed: int = 0, explore: bool = False, trust: Sequence[str] = (), env: Any = None
) -> Path:
    """Play one episode as the run evaluates (or else trains: who plays whom), and write it to ``target``.

    Raises:
        EnvError: the environment cannot draw itself.
        RunError: Pillow is not installed, or the file cannot be written.
    """
    path, place = find_checkpoint(checkpoint), Path(target)
    with tempfile.TemporaryDirectory(prefix="marl-recording-") as folder, trusting(trust):
        config = judged_config(path, env=env)
        plan = make_plan(config)
        recorded = RecordEpisode(_drawing_env(config), folder)
        try:
            worker = judging_worker(plan, lambda _: recorded, copies=1, seed=seed, explore=explore, match_state=match_state_of(path))
            worker.sample(num_episodes=1, explore=explore)
        finally:
            recorded.close()
            close = getattr(plan.probe, "close", None)
            if close is not None:
                close()
        first = sorted(Path(folder).glob("*.gif"))
        if not first:
            raise RunError(f"cannot write {place}: the episode has no frames.")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first[0], place)
        except OSError as error:
            raise RunError(f"cannot write {place}: {error.strerror or error}.") from error
    return place


def _drawing_env(config: RunConfig) -> Any:
    """The run's environment, made so that it draws: with ``render_mode: rgb_array`` where its creator takes that."""
    try:
        return build_env(config.env, {**config.env_config, "render_mode": "rgb_array"}, config.wrappers, config.groups)
    except ConfigError as error:
        if not any(problem.key == "env_config.render_mode" for problem in error.problems):
            raise
        return build_env(config.env, config.env_config, config.wrappers, config.groups)
