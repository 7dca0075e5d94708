"""A loss curve as a PNG, drawn with numpy alone: lines, ticks and their numbers."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import durable

WIDTH, HEIGHT = 800, 500
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 40, 50  # pixels around the lines
_SCALE = 2  # pixels of a dot of a letter
_INK, _GRID = (60, 60, 60), (225, 225, 225)
_CURVES = {"loss": ("training", (31, 119, 180)), "eval_loss": ("evaluation", (255, 127, 14))}

# Each letter is 5 rows of 3 dots, a digit from 0 to 7 a row.
_FONT: Mapping[str, str] = dict(
    zip(
        "0123456789.-+aegilnoprstuv",
        (
            "75557 26227 71747 71717 55711 74717 74757 71111 75757 75717 00002 00700 02720 03557 07564 07571 "
            "20222 22222 07555 07557 07574 07444 07471 27223 05557 05552"
        ).split(),
        strict=True,
    )
)


def loss_curve(log_history: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Draw the losses of training and evaluation over the steps.

    Args:
        log_history: of `TrainerState`; entries without a step or a loss, or whose loss is not finite, are left out.
        path: of the PNG.

    Raises:
        ValueError: no loss was logged.
        OSError: it cannot be written.
    """
    points = {name: _points(log_history, name) for name in _CURVES}
    if not any(map(len, points.values())):
        raise ValueError("no loss was logged: set logging_steps to fewer steps than the run has")
    every = np.concatenate([found for found in points.values() if len(found)])
    low, high = every.min(axis=0), every.max(axis=0)
    low[0] = min(low[0], 0.0)
    high = np.where(high > low, high, low + 1.0)
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    _draw_axes(pixels, low, high)
    for number, (name, (said, color)) in enumerate((name, _CURVES[name]) for name in _CURVES if len(points[name])):
        _write(pixels, said, _LEFT + 160 * number, _TOP // 2 - 5, color)
        _draw_curve(pixels, _placed(points[name], low, high), color)
    path = Path(path)
    with durable.Replacement(path.parent) as files:
        files.write(path.name, png(pixels))
    return path


def png(pixels: np.ndarray) -> bytes:
    """The file of an image, uint8 [height, width, 3]."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(body)) + kind + body + _checksum(kind + body) for kind, body in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, about `most` of them."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _points(log_history: Iterable[Mapping[str, Any]], name: str) -> np.ndarray:
    """Steps and values [N, 2]."""
    pairs = [(entry["step"], entry[name]) for entry in log_history if "step" in entry and name in entry]
    return np.array([pair for pair in pairs if math.isfinite(pair[1])], np.float64).reshape(-1, 2)


def _placed(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Columns and rows of pixels [N, 2]."""
    share = (points - low) / (high - low)
    column = _LEFT + share[:, 0] * (WIDTH - _LEFT - _RIGHT)
    return np.stack([column, HEIGHT - _BOTTOM - share[:, 1] * (HEIGHT - _TOP - _BOTTOM)], axis=1).round().astype(int)


def _draw_axes(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    for value in ticks(low[0], high[0]):
        column = _placed(np.array([[value, low[1]]]), low, high)[0, 0]
        pixels[_TOP : HEIGHT - _BOTTOM, column] = _GRID
        _write(pixels, f"{value:g}", column - _length(f"{value:g}") // 2, HEIGHT - _BOTTOM + 8, _INK)
    for value in ticks(low[1], high[1]):
        row = _placed(np.array([[low[0], value]]), low, high)[0, 1]
        pixels[row, _LEFT : WIDTH - _RIGHT] = _GRID
        _write(pixels, f"{value:g}", _LEFT - 8 - _length(f"{value:g}"), row - 5, _INK)
    pixels[_TOP : HEIGHT - _BOTTOM + 1, _LEFT] = _INK
    pixels[HEIGHT - _BOTTOM, _LEFT : WIDTH - _RIGHT] = _INK
    _write(pixels, "step", WIDTH - _RIGHT - _length("step"), HEIGHT - 20, _INK)
    _write(pixels, "loss", 10, _TOP // 2 - 5, _INK)


def _draw_curve(pixels: np.ndarray, places: np.ndarray, color: Sequence[int]) -> None:
    """Lines from each place to the next, two pixels wide; a single place is a dot."""
    for start, end in zip(places, places[1:] if len(places) > 1 else places, strict=False):
        count = max(2, int(np.abs(end - start).max()) + 1)
        for column, row in np.linspace(start, end, count).round().astype(int):
            pixels[row - 1 : row + 1, column - 1 : column + 1] = color
    if len(places) == 1:
        column, row = places[0]
        pixels[row - 3 : row + 3, column - 3 : column + 3] = color


def _write(pixels: np.ndarray, text: str, column: int, row: int, color: Sequence[int]) -> None:
    """Put a text to where its left upper corner is to be."""
    for letter in text:
        dots = np.array([[int(line) >> bit & 1 for bit in (2, 1, 0)] for line in _FONT[letter]], bool)
        dots = dots.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
        pixels[row : row + dots.shape[0], column : column + dots.shape[1]][dots] = color
        column += 4 * _SCALE


def _length(text: str) -> int:
    return (4 * len(text) - 1) * _SCALE


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
