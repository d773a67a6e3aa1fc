"""Small drawings in numpy: an RGB canvas with rectangles, thick lines and discs. No window, no display."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (20, 20, 20)
GREY: Colour = (190, 190, 190)
RED: Colour = (200, 40, 40)
GREEN: Colour = (40, 160, 70)
BLUE: Colour = (40, 90, 200)
BROWN: Colour = (202, 152, 101)


def canvas(height: int, width: int, colour: Colour = WHITE) -> NDArray[np.uint8]:
    """A frame ``uint8 [height, width, 3]`` of one colour."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = colour
    return frame


def rectangle(frame: NDArray[np.uint8], top: float, left: float, bottom: float, right: float, colour: Colour) -> None:
    """Fill the rectangle; what lies outside the frame is cut off."""
    rows = slice(max(round(top), 0), max(round(bottom), 0))
    columns = slice(max(round(left), 0), max(round(right), 0))
    frame[rows, columns] = colour


def disc(frame: NDArray[np.uint8], y: float, x: float, radius: float, colour: Colour, *, hole: float = 0.0) -> None:
    """Fill a disc; with ``hole`` > 0, a ring of that inner radius."""
    rows, columns = np.ogrid[: frame.shape[0], : frame.shape[1]]
    distance = (rows - y) ** 2 + (columns - x) ** 2
    frame[(distance <= radius**2) & (distance >= hole**2)] = colour


def line(frame: NDArray[np.uint8], y0: float, x0: float, y1: float, x1: float, thickness: float, colour: Colour) -> None:
    """Draw a thick line: every pixel nearer than half the thickness to the segment."""
    rows, columns = np.ogrid[: frame.shape[0], : frame.shape[1]]
    dy, dx = y1 - y0, x1 - x0
    length = max(dy * dy + dx * dx, 1e-9)
    along = np.clip(((rows - y0) * dy + (columns - x0) * dx) / length, 0.0, 1.0)
    distance = (rows - (y0 + along * dy)) ** 2 + (columns - (x0 + along * dx)) ** 2
    frame[distance <= (thickness / 2) ** 2] = colour


def side_by_side(frames: list[NDArray[np.uint8]], columns: int, gap: int = 4) -> NDArray[np.uint8]:
    """Frames of one size in a grid of ``columns`` columns, with a grey gap between them."""
    height, width, _ = frames[0].shape
    rows = -(-len(frames) // columns)
    grid = canvas(rows * height + (rows - 1) * gap, columns * width + (columns - 1) * gap, GREY)
    for place, frame in enumerate(frames):
        row, column = divmod(place, columns)
        top, left = row * (height + gap), column * (width + gap)
        grid[top : top + height, left : left + width] = frame
    return grid
