"""Follow a run from its first iteration to its last: what ``Trainer.run()`` does, with people watching.

After every iteration the metrics go to the loggers and to the display. The first Ctrl-C (or SIGTERM) lets the iteration end and saves; the
second stops at once, and the last checkpoint stays. At the end the learning curve is drawn.
"""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from marl.report.curve import write_curve
from marl.report.display import Display
from marl.report.loggers import Logger
from marl.report.summary import marl_command, shown_path
from marl.trainer import Trainer


class Following:
    """A run with its display and loggers.

    Args:
        directory: the run's.

    Attributes:
        metrics: of the last iteration.
        checkpoint: the last one written here.
        interrupted: whether somebody stopped the run before its end.
    """

    def __init__(self, trainer: Trainer, directory: Path, display: Display, loggers: Sequence[Logger]) -> None:
        self.trainer, self.directory, self.display, self.loggers = trainer, directory, display, list(loggers)
        self.metrics: dict[str, Any] = {}
        self.checkpoint: Path | None = None
        self.interrupted = False
        self._saved_at = trainer.state.num_env_steps

    def run(self) -> None:
        """Iterate until a stop condition holds or somebody stops the run; a checkpoint is written in either case.

        Raises:
            KeyboardInterrupt: a second Ctrl-C. The last checkpoint stays as it is.
        """
        trainer = self.trainer
        try:
            with listening(self._stop) as asked:
                while trainer.stop_reason() is None and not asked():
                    self.metrics = dict(trainer.train()["metrics"])
                    if trainer.stop_reason() is not None:
                        self._evaluate_at_the_end()
                    for logger in self.loggers:
                        logger.log(self.metrics)
                    self.display.update(self.metrics)
                    if self._checkpoint_is_due():
                        self._save()
                self.interrupted = asked() and trainer.stop_reason() is None
                if self.metrics and self._saved_at != trainer.state.num_env_steps:
                    self._save()
        finally:
            self._close()

    def saved(self) -> str:
        """After an interruption: what was saved, and how to go on."""
        if self.checkpoint is None:
            return f"nothing was trained, so nothing was saved in {shown_path(self.directory)}"
        go_on = f"{marl_command()} train --resume {shlex.quote(shown_path(self.directory))}"
        return f"saved {shown_path(self.checkpoint)}; go on with: {go_on}"

    def _stop(self) -> None:
        self.display.note("stopping: this iteration ends, then a checkpoint is written (Ctrl-C once more: stop at once, without)")

    def _evaluate_at_the_end(self) -> None:
        """A run that evaluates ends with an evaluation."""
        if self.trainer.config.evaluation.interval is not None and not any(name.startswith("evaluation/") for name in self.metrics):
            found = self.trainer.evaluate()["metrics"]
            self.metrics.update({f"evaluation/{name}": value for name, value in found.items()})

    def _checkpoint_is_due(self) -> bool:
        every = self.trainer.config.checkpoint.every_env_steps
        return every is not None and self.trainer.state.num_env_steps // every > self._saved_at // every

    def _save(self) -> None:
        self.checkpoint = self.trainer.save()
        self._saved_at = self.trainer.state.num_env_steps

    def _close(self) -> None:
        self.display.close()
        for logger in self.loggers:
            logger.close()
        learned = [policy_id for policy_id, entry in self.trainer.config.policies.items() if entry.learner is not None]
        write_curve(self.directory / "progress.csv", self.directory / "learning_curve.png", learned)


@contextmanager
def listening(say: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """While the block runs, take the first Ctrl-C or SIGTERM as a wish (``asked()``; ``say`` is called) and the second as an order.

    Outside the main thread signals cannot be heard: then nobody asks.
    """
    asked = False

    def heard(_number: int, _frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        with suppress(RuntimeError):  # the signal came in the midst of a write to the same stream
            say()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
