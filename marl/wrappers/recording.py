"""RecordEpisode: episodes as GIF files, or frame by frame as PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.env import AgentDict, ResetReturn, StepReturn
from marl.errors import EnvError, Problem, RunError
from marl.wrappers.base import Wrapper, number, refuse, whole

FORMATS = ("gif", "png")


class RecordEpisode(Wrapper):
    """Draws the game after each reset and each call that took ticks, and writes the episode when it is over.

    Files are ``<folder>/<prefix>_000012.gif``, or ``<folder>/<prefix>_000012/000345.png``. An episode that is
    left before its end is written at the next reset, or by ``close()``.

    Args:
        env: the inner environment; its ``render()`` gives ``uint8 [H, W, 3]``.
        folder: where the files go; made if it is not there.
        every: records episodes 0, every, 2 every, ….
        format: ``gif`` or ``png``.
        fps: frames a second of a GIF; None: the environment's ``metadata["render_fps"]``, or 10.
        prefix: begins the files' names. Copies of one environment need different ones.
    """

    remembers = True  # the number of the next episode

    def __init__(
        self, env: Any, folder: str, every: int = 1, format: str = "gif", fps: float | None = None, prefix: str = "episode"
    ) -> None:
        refuse(self.check_options(folder, every, format, fps, prefix))
        super().__init__(env)
        self._folder = Path(folder)
        self._every, self._format, self._prefix = every, format, prefix
        self._fps = fps or (getattr(env, "metadata", None) or {}).get("render_fps") or 10
        self._episode = -1
        self._frames: list[NDArray[np.uint8]] = []

    @staticmethod
    def check_options(folder: str, every: int = 1, format: str = "gif", fps: float | None = None, prefix: str = "episode") -> list[Problem]:
        """Every problem of the options."""
        problems = whole("every", every, 1)
        if not isinstance(folder, (str, os.PathLike)) or not str(folder):
            problems.append(Problem("folder", f"is {folder!r}", "must be a path"))
        if format not in FORMATS:
            problems.append(Problem("format", f"is {format!r}", f"must be one of {', '.join(FORMATS)}"))
        if fps is not None:
            problems += number("fps", fps, 0.1, 100.0)
        if not isinstance(prefix, str) or not prefix or "/" in prefix:
            problems.append(Problem("prefix", f"is {prefix!r}", "must be a part of a file's name"))
        return problems

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> ResetReturn:
        self._write()
        answer = self.env.reset(seed=seed, options=options)
        self._episode += 1
        self._draw()
        return answer  # type: ignore[no-any-return]

    def step(self, actions: AgentDict, /) -> StepReturn:
        answer: StepReturn = self.env.step(actions)
        if getattr(self.env, "elapsed_ticks", 1):
            self._draw()
        _, _, terminateds, truncateds, _ = answer
        if terminateds.get("__all__") or truncateds.get("__all__"):
            self._write()
        return answer

    def close(self) -> None:
        """Write what is open, and close the inner environment."""
        self._write()
        super().close()

    def own_state(self) -> dict[str, Any]:
        return {"episode": self._episode}

    def set_own_state(self, state: dict[str, Any]) -> None:
        self._episode = state["episode"]

    def _draw(self) -> None:
        if self._episode % self._every == 0:
            self._frames.append(rgb_frame(self.env))

    def _write(self) -> None:
        frames, self._frames = self._frames, []
        if not frames:
            return
        name = f"{self._prefix}_{self._episode:06d}"
        if self._format == "gif":
            write_gif(self._folder / f"{name}.gif", frames, self._fps)
        else:
            write_pngs(self._folder / name, frames)


def rgb_frame(env: Any) -> NDArray[np.uint8]:
    """One frame ``uint8 [H, W, 3]`` of ``env``, as a copy.

    Raises:
        EnvError: ``env`` cannot draw itself, or drew something else.
    """
    render = getattr(env, "render", None)
    frame = None if render is None else render()
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
        if isinstance(frame, np.ndarray):
            found = f"gave {frame.dtype} {frame.shape}"
        else:
            found = "is missing" if render is None else f"gave {frame!r}"
        raise EnvError(
            f"recording: render() of {env!r} {found}; expected uint8 [H, W, 3]. "
            "PettingZoo and Gymnasium draw only if made with render_mode: rgb_array (in env_config)."
        )
    return frame.copy()


def write_gif(path: str | os.PathLike[str], frames: Sequence[NDArray[np.uint8]], fps: float = 10) -> Path:
    """Write ``frames`` (``uint8 [H, W, 3]`` each) as an endless GIF; beside its place first, then renamed into it.

    Raises:
        RunError: Pillow is not installed, or the file cannot be written.
    """
    image = _pillow()
    place = Path(path)
    part = place.with_name(place.name + ".part")
    pictures = [image.fromarray(frame) for frame in frames]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        pictures[0].save(part, format="GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
        part.replace(place)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise _unwritable(place, error) from error
    return place


def write_pngs(folder: str | os.PathLike[str], frames: Sequence[NDArray[np.uint8]]) -> Path:
    """Write ``frames`` (``uint8 [H, W, 3]`` each) as ``000000.png`` … into ``folder``.

    Raises:
        RunError: Pillow is not installed, or a file cannot be written.
    """
    image = _pillow()
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for number_of_frame, frame in enumerate(frames):
            image.fromarray(frame).save(place / f"{number_of_frame:06d}.png")
    except OSError as error:
        raise _unwritable(place, error) from error
    return place


def _unwritable(place: Path, error: OSError) -> RunError:
    return RunError(f"recording: {place} cannot be written ({error}); give a folder that can be, with room on its disk.")


def _pillow() -> Any:
    try:
        from PIL import Image  # only whoever records needs it
    except ImportError as error:
        raise RunError("recording needs Pillow; install it: pip install 'marl-framework[report]'") from error
    return Image
