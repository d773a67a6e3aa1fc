"""A recorded episode as a GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marl.errors import EnvError, RunError


def frame_of(env: Any) -> NDArray[np.uint8]:
    """What ``env.render()`` shows now: ``uint8 [H, W, 3]``.

    Raises:
        EnvError: the environment cannot render, or gives no picture.
    """
    render = getattr(env, "render", None)
    mend = "Make it with a render mode that gives pictures (env_config: {render_mode: rgb_array}), or leave --record out."
    if not callable(render):
        raise EnvError(f"{type(env).__name__} cannot be recorded: it has no render(). {mend}")
    frame = render()
    if frame is None:
        raise EnvError(
            f"{type(env).__name__}.render() gave no picture (None; its render_mode is {getattr(env, 'render_mode', None)!r}). {mend}"
        )
    picture = np.asarray(frame)
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise EnvError(f"{type(env).__name__}.render() gave {picture.dtype} {picture.shape}, expected uint8 [H, W, 3]. {mend}")
    if picture.dtype.kind == "f" and picture.size and float(picture.max()) <= 1.0:
        picture = picture * 255
    return np.ascontiguousarray(picture[:, :, :3].astype(np.uint8))


def write_gif(path: str | Path, frames: Sequence[NDArray[np.uint8]], *, fps: float = 10.0) -> Path:
    """Write ``frames`` [T, H, W, 3] as an endless GIF.

    Raises:
        RunError: Pillow is not installed, there are no frames, or the file cannot be written.
    """
    if not frames:
        raise RunError(f"cannot write {path}: the episode has no frames.")
    try:
        from PIL import Image  # loaded on use: only recordings need it
    except ImportError as error:
        raise RunError(f"cannot write {path}: recording needs Pillow; pip install 'marl-framework[report]'.") from error
    pictures = [Image.fromarray(frame) for frame in frames]
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=max(20, round(1000 / fps)), loop=0)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
    return target
