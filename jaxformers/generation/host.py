"""Functions of the host within compiled loops: what they raise reaches the caller as it was raised.

A program that fails in such a function ends with an error of jax's own, whose text is all that is left of the cause. So
the cause is laid aside under a number, the number is part of that text, and whoever waits for the program looks it up.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

_MOST = 64  # causes that nobody waits for any more
_causes: OrderedDict[int, Exception] = OrderedDict()
_numbers = itertools.count()


class _Failed(Exception):
    """What the program gets to see."""


def asked(function: Callable[..., np.ndarray], kind: jax.ShapeDtypeStruct, *arrays: Any) -> jax.Array:
    """What the host's `function` gives for arrays while a program runs, of the shape and type of `kind`."""

    def ask(*given: Any) -> np.ndarray:
        try:
            return function(*map(np.asarray, given))
        except Exception as error:
            number = next(_numbers)
            _causes[number] = error
            while len(_causes) > _MOST:
                _causes.popitem(last=False)
            raise _Failed(f"cause {number} of the host") from error

    return jax.pure_callback(ask, kind, *arrays)


@contextlib.contextmanager
def causes() -> Iterator[None]:
    """Within it a program that fails because a function of the host does raises what that function raised."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        named = re.search(r"cause (\d+) of the host", str(error))
        cause = None if named is None else _causes.pop(int(named[1]), None)
        if cause is None:
            raise
        raise cause from None
