"""What a run of the Trainer has on the host: how long it is, and where it stands."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any, NamedTuple

import jax

from . import speed
from .batches import Batches, Place, StreamBatches
from .checkpoints import Checkpoints
from .loader import Loader
from .meters import Meter
from .schedules import Level, Plateau
from .step import TrainPlan


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a run is.

    steps: of all. per_epoch: steps of an epoch; None: of a stream, which nobody knows. parts: micro-batches of an
    epoch. accumulation: micro-batches of a step. rows: of a step, on all processes.
    """

    steps: int
    per_epoch: int | None
    parts: int
    accumulation: int
    rows: int

    @classmethod
    def of(cls, reading: Batches | StreamBatches, max_steps: int, epochs: float) -> Length:
        """Of max_steps, or where these are 0 or less of so many epochs.

        Raises:
            ValueError: a stream, whose length nobody knows, and no max_steps.
        """
        rows = reading.rows
        if isinstance(reading, StreamBatches):
            if max_steps <= 0:
                raise ValueError("the dataset has no length: say with max_steps= how long to train")
            return cls(max_steps, None, max_steps * rows.accumulation, rows.accumulation, rows.step)
        parts = -(-len(reading.dataset) // (rows.batch * rows.count))
        steps = max_steps if max_steps > 0 else math.ceil(epochs * len(reading))
        return cls(steps, len(reading), min(parts, len(reading) * rows.accumulation), rows.accumulation, rows.step)

    @property
    def epochs(self) -> int:
        """How many are begun."""
        return 1 if self.per_epoch is None else -(-self.steps // self.per_epoch)

    def epoch(self, place: Place) -> float:
        """How many epochs are read where the next batch stands at a place."""
        return place.epoch + min(place.position * self.accumulation / self.parts, 1.0)

    def left(self, place: Place) -> int:
        """Steps of the epoch from a place on."""
        return 0 if self.per_epoch is None or place.position == 0 else self.per_epoch - place.position

    def ends_epoch(self, place: Place, step: int) -> bool:
        """Whether an epoch, or the run, ends after so many steps, where the next batch stands at a place."""
        return step >= self.steps or (self.per_epoch is not None and place.position == 0)


class Since(NamedTuple):
    """What was done since a time, in seconds."""

    began: float
    tokens: int = 0
    flops: float = 0.0


@dataclasses.dataclass
class Run:
    """A run of the Trainer.

    plateau: and level: of rates that follow measurements. logged: the step of the last log. start: the first step of
    this process. began: when, in seconds.
    """

    plan: TrainPlan
    loader: Loader
    checkpoints: Checkpoints
    length: Length
    plateau: Plateau | None
    level: Level
    meter: Meter = dataclasses.field(default_factory=Meter)
    logged: int = 0
    start: int = 0
    began: float = dataclasses.field(default_factory=time.time)
    _since: Since = dataclasses.field(default_factory=lambda: Since(time.time()))

    def count(self, tokens: int, flops: float) -> None:
        """Add what a step has read, and what it needed."""
        self._since = Since(self._since.began, self._since.tokens + tokens, self._since.flops + flops)

    def rates(self) -> dict[str, float]:
        """How fast the steps since the last log were."""
        began, tokens, flops = self._since
        self._since = Since(time.time())
        return speed.rates(tokens, flops, self._since.began - began, jax.device_count(), speed.peak_flops())

    def told(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "loader": self.loader.state_dict(),
            "meter": self.meter.state_dict(),
            "level": dataclasses.asdict(self.level),
        }

    def resume(self, told: dict[str, Any], step: int) -> None:
        """Go to where a checkpoint stands, after so many steps."""
        self.loader.load_state_dict(told["loader"])
        self.meter.load_state_dict(told["meter"])
        self.level = Level(**told["level"])
        self.start = self.logged = step
