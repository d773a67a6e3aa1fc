"""How a command fails: the user's own traceback first, then what is wrong and how to mend it, then the exit code."""

from __future__ import annotations

import sys
import traceback

from marl.errors import ConfigError, MarlError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def show(error: Exception) -> int:
    """Write an exception that is no :class:`MarlError` as Python does, without the frames of the command line; returns the exit code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _of_the_command_line(trace.tb_frame.f_globals.get("__name__", "")):
        trace = trace.tb_next
    sys.stderr.write("".join(traceback.format_exception(type(error), error, trace)))
    return EXIT_FAILED


def _of_the_command_line(module: str) -> bool:
    return module.startswith(("typer.", "click.", "marl.cli"))


def was_interrupted(ended: SystemExit) -> bool:
    """Whether an exit comes of a Ctrl-C that no command has answered."""
    before: BaseException | None = ended
    while before is not None:
        if isinstance(before, KeyboardInterrupt):
            return True
        before = before.__cause__ or before.__context__
    return False


def explain(error: MarlError) -> int:
    """Write ``error`` to stderr and return the exit code."""
    cause = error.__cause__
    told = isinstance(cause, (MarlError, OSError, ValueError, ImportError)) or "Traceback (most recent" in str(error)
    if cause is not None and not told:
        sys.stderr.write("".join(traceback.format_exception(cause)))
        sys.stderr.write("\n")
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
