"""Losses of steps, as the log wants them: read a step late, so that no device waits for the host."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax


@dataclasses.dataclass
class Meter:
    """What steps have told, added up on the host.

    Attributes:
        total: of the losses of all steps. since: of those since the last log, and steps: how many these are.
        grad_norm, learning_rate: of the last step that is read.
    """

    total: float = 0.0
    since: float = 0.0
    steps: int = 0
    grad_norm: float | None = None
    learning_rate: float | None = None
    _waiting: list[tuple[int, Mapping[str, jax.Array]]] = dataclasses.field(default_factory=list)

    def add(self, step: int, metrics: Mapping[str, jax.Array]) -> int | None:
        """Take a step's metrics, and read those of the step before.

        Returns:
            The number of the step that is read, if its loss or gradients are not finite.
        """
        self._waiting.append((step, metrics))
        return self._read() if len(self._waiting) > 1 else None

    def settle(self) -> int | None:
        """Read what waits; returns as `add`."""
        return self._read() if self._waiting else None

    def _read(self) -> int | None:
        step, metrics = self._waiting.pop(0)
        told = jax.device_get(dict(metrics))
        self.grad_norm = float(told["grad_norm"])
        self.learning_rate = float(told["learning_rate"]) if "learning_rate" in told else None
        if not told["finite"]:
            return step
        self.total += float(told["loss"])
        self.since += float(told["loss"])
        self.steps += 1
        return None

    def logs(self) -> dict[str, float]:
        """What is logged of the steps since the last time, which are then forgotten."""
        self.settle()
        logs = {"loss": self.since / self.steps if self.steps else math.nan, "grad_norm": self.grad_norm}
        if self.learning_rate is not None:
            logs["learning_rate"] = self.learning_rate
        self.since, self.steps = 0.0, 0
        return {name: value for name, value in logs.items() if value is not None}

    def state_dict(self) -> dict[str, Any]:
        """What a run goes on from; all steps must be read."""
        fields = ("total", "since", "steps", "grad_norm", "learning_rate")
        return {name: getattr(self, name) for name in fields}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._waiting.clear()
        for name, value in state.items():
            setattr(self, name, value)
