"""How a command fails: the user's own traceback first, then what is wrong and how to mend it, then the exit code."""

from __future__ import annotations

import sys
import traceback

from marl.errors import ConfigError, MarlError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def explain(error: MarlError) -> int:
    """Write ``error`` to stderr and return the exit code."""
    cause = error.__cause__
    told = isinstance(cause, (MarlError, OSError, ValueError, ImportError)) or "Traceback (most recent" in str(error)
    if cause is not None and not told:
        sys.stderr.write("".join(traceback.format_exception(cause)))
        sys.stderr.write("\n")
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
