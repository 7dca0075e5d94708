"""Functions of the host that compiled loops ask.

A program knows the number of such a function alone, which is data: another function compiles nothing, and none is kept
alive by a program. What a function raises is kept until the loop's host side looks.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

_numbers = itertools.count()
_asked: weakref.WeakValueDictionary[int, Asked] = weakref.WeakValueDictionary()
"""Those that a call holds: how a program's callback finds the function that a number stands for."""


class Asked:
    """A function of arrays that gives an array of bools, for as long as somebody holds this object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.error: Exception | None = None
        self.number = np.int32(next(_numbers) % 2**31)
        _asked[int(self.number)] = self

    def check(self) -> None:
        """Raise what the function raised."""
        if self.error is not None:
            raise self.error


def ask(number: Any, shape: tuple[int, ...], *arrays: jax.Array) -> jax.Array:
    """What the function of a number gives for arrays while a program runs: bools of a shape. After an error, and where
    nobody holds the function any more, all are true.
    """

    def answer(number: Any, *given: Any) -> np.ndarray:
        asked = _asked.get(int(number))
        if asked is not None and asked.error is None:
            try:
                return np.asarray(asked.function(*map(np.asarray, given)))
            except Exception as error:
                asked.error = error
        return np.ones(shape, bool)

    return jax.pure_callback(answer, jax.ShapeDtypeStruct(shape, bool), number, *arrays)
