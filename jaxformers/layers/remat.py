"""Rematerialisation: what a gradient computes again instead of keeping it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

POLICIES = ("nothing_saveable", "dots_saveable", "dots_with_no_batch_dims_saveable", "everything_saveable")
"""What may be kept of a layer besides what enters it, by jax's names (`jax.checkpoint_policies`)."""


def policy_of(asked: Any, owner: str) -> str | None:
    """The policy's name: True keeps nothing, False and None keep all, without rematerialisation.

    Raises:
        ValueError: there is no policy of this name.
    """
    if asked is None or asked is False:
        return None
    if asked is True:
        return POLICIES[0]
    if asked not in POLICIES:
        raise ValueError(f"{owner}: gradient_checkpointing={asked!r:.60}: expected True, False or one of {POLICIES}")
    return asked


def rematerialised(function: Callable[..., Any], policy: str | None, *, scanned: bool) -> Callable[..., Any]:
    """The function, whose gradient keeps what the policy says; None: the function itself."""
    if policy is None:
        return function
    # Within a scan XLA cannot merge what is computed again with what was computed before.
    return jax.checkpoint(function, policy=getattr(jax.checkpoint_policies, policy), prevent_cse=not scanned)
