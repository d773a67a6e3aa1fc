"""The command line: ``marl train|evaluate|play|check|ledger|list|replay``.

One file a command. Each loads what it needs when it runs, so that ``marl train`` shows its first iteration as soon as it can.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from marl.cli.app import app
from marl.cli.failing import EXIT_INTERRUPTED, explain, show, was_interrupted
from marl.errors import MarlError

__all__ = ["app", "main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; raises ``SystemExit`` with its exit code.

    0: done; 1: it failed, or ``marl check`` found something; 2: the command line or a run file is wrong; 130: interrupted.
    """
    try:
        app(args=None if argv is None else list(argv), prog_name="marl")
    except MarlError as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as ended:
        if was_interrupted(ended):  # typer makes an exit of it, and says nothing
            sys.stderr.write("interrupted\n")
        raise
    except BrokenPipeError:  # `marl list | head`
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # of a user's own code in a run: a callback, a mapping function
        sys.exit(show(error))
