"""Follow a run: after every iteration its metrics go to the loggers and to the display; at the end its learning curve is drawn.

The trainer knows nothing of this: ``trainer.run(on_result=following)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marl.report.curve import write_curve
from marl.report.display import Display
from marl.report.loggers import Logger


class Following:
    """A run's display and loggers, as one function of an iteration's result.

    Args:
        directory: the run's.
    """

    def __init__(self, directory: Path, display: Display, loggers: Sequence[Logger]) -> None:
        self.directory, self.display, self.loggers = directory, display, list(loggers)
        self.metrics: dict[str, Any] = {}

    def __call__(self, result: Mapping[str, Any]) -> None:
        """Take one iteration's result: ``{"metrics": …, "episodes": …}``."""
        self.metrics = dict(result["metrics"])
        for logger in self.loggers:
            logger.log(self.metrics)
        self.display.update(self.metrics)

    def close(self) -> None:
        """Close display and loggers, and draw the learning curve."""
        self.display.close()
        for logger in self.loggers:
            logger.close()
        write_curve(self.directory / "progress.csv", self.directory / "learning_curve.png")

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
