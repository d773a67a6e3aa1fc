"""Crash capsules: the episode in which an environment failed, saved so that it fails again on demand."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marl.checkpoint import load_state, save_state
from marl.errors import CheckpointError, EnvError
from marl.local import load_env
from marl.report.episode_ledger import shown
from marl.resume import play_capsule

FOLDER = "crashes"
_TOLD = 3  # calls before the last one that are printed


def save_capsule(run: Path, error: EnvError, config: Mapping[str, Any]) -> Path | None:
    """Write the capsule that ``error`` carries into the run's directory; None if it carries none.

    Args:
        config: the run's, from which the environment is made again.
    """
    if error.capsule is None:
        return None
    folder = run / FOLDER
    number = len(list(folder.glob("crash_*"))) + 1
    return save_state(
        folder / f"crash_{number:06d}", {"capsule": dict(error.capsule)}, config=config, meta={"error": error.capsule["error"]}
    )


@dataclass(frozen=True)
class Outcome:
    """What a replay came to: ``failed_again`` and everything there is to say."""

    failed_again: bool
    text: str


def replay_capsule(path: str | Path, *, trust: Sequence[str] = (), env: Any = None) -> Outcome:
    """Make the environment again, reset it with the same seed and step it as recorded.

    Raises:
        CheckpointError: ``path`` is no capsule, is damaged, or names code outside ``trust``.
    """
    saved = load_state(path, trust=trust).get("capsule")
    if saved is None:
        raise CheckpointError(f"{path} is a checkpoint, not a crash capsule; capsules lie in a run's folder {FOLDER}/.")
    calls: list[str] = []

    def note(number: int, actions: Mapping[Any, Any], result: Any) -> None:
        acted = ", ".join(f"{agent}: {shown(action)}" for agent, action in actions.items())
        calls.append("reset" if number == 0 else f"call {number}  {{{acted}}}")

    made = load_env(path, trust=trust, env=env)
    head = f"seed {saved['seed']}; recorded: {saved['error']}"
    try:
        play_capsule(made, saved, note)
    except Exception as error:  # whatever the environment raises is what we came for
        last = "\n".join(calls[-_TOLD:])
        trace = "".join(traceback.format_exception(error)).rstrip()
        return Outcome(True, f"{head}\n{last}\nfailed again at call {len(calls)}:\n\n{trace}")
    finally:
        if callable(getattr(made, "close", None)):
            made.close()
    mend = "The environment raised nothing this time. If it returned something wrong: marl check tells what"
    return Outcome(False, f"{head}\nplayed {len(calls) - 1} calls without an error. {mend}.")
