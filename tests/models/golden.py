"""The recorded answers, and checkpoints made from recorded names: what the checking half of the parity suite reads."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (numpy then knows "bfloat16")
import numpy as np
import safetensors.numpy

from . import rule

FOLDER = Path(__file__).parent / "golden"


@dataclasses.dataclass(frozen=True)
class Call:
    """One call that torch answered.

    inputs: arrays by the Hub's keywords, labels among them. flags: output_hidden_states and the like. config: fields
    that differ in this call. outputs: arrays in torch's order; of a tuple, arrays or only shapes.
    """

    inputs: Mapping[str, np.ndarray]
    flags: Mapping[str, bool]
    config: Mapping[str, Any]
    outputs: Mapping[str, Any]

    @property
    def real(self) -> np.ndarray:
        """Which tokens are no padding [rows, T]: bool, the choices of a row as rows."""
        tokens = self.inputs.get("input_ids", self.inputs.get("inputs_embeds"))
        assert tokens is not None
        axes = 3 if tokens.shape[:2] == (2, 2) else 2
        mask = self.inputs.get("attention_mask", np.ones(tokens.shape[:axes]))
        return mask.reshape(-1, mask.shape[-1]) != 0


@dataclasses.dataclass(frozen=True)
class Generated:
    """What torch generated: prompts by the Hub's keywords, options of `generate`, and its rows [R, T]."""

    inputs: Mapping[str, np.ndarray]
    options: Mapping[str, Any]
    sequences: np.ndarray


@dataclasses.dataclass(frozen=True)
class Golden:
    """One case: torch's class and config.json, its tensors' types and shapes by name, and its answers.

    tied: names of the same tensor as another name. left_out: names that torch's own save does not write. own: tensors
    that keep the values with which torch starts them. factor: on the others that are matrices.
    """

    name: str
    model_type: str
    cls: str
    config: Mapping[str, Any]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    tied: Mapping[str, str]
    left_out: tuple[str, ...]
    own: Mapping[str, np.ndarray]
    factor: float
    calls: Mapping[str, Call]
    generated: Mapping[str, Generated]

    def arrays(self) -> dict[str, np.ndarray]:
        """All tensors by torch's names: those that torch writes, then tied ones."""
        made = {}
        for name in sorted(self.tensors, key=lambda name: name in self.left_out):
            dtype, shape = self.tensors[name]
            one = self.tied.get(name, name)
            made[name] = self.own[one] if one in self.own else rule.fill(one, shape, factor=self.factor).astype(dtype)
        return made

    def written(self) -> dict[str, np.ndarray]:
        """The tensors that torch's own save writes."""
        return {name: array for name, array in self.arrays().items() if name not in self.left_out}

    def write(self, folder: Path, arrays: Mapping[str, np.ndarray] | None = None) -> Path:
        """A checkpoint as torch writes it, or with other tensors."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config))
        kept = {
            name: np.require(a, requirements="C") for name, a in (self.written() if arrays is None else arrays).items()
        }
        safetensors.numpy.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        return folder


@functools.cache
def cases() -> dict[str, Golden]:
    """All recorded cases by name."""
    return {case.name: case for path in sorted(FOLDER.glob("*.json")) for case in _read(path)}


def _read(path: Path) -> list[Golden]:
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        arrays = dict(file)

    def value(recorded: Any) -> Any:
        if isinstance(recorded, str):
            return arrays[recorded]
        return tuple(arrays[x] if isinstance(x, str) else tuple(x) for x in recorded)

    def call(told: Mapping[str, Any]) -> Call:
        inputs = {name: arrays[a] for name, a in told["inputs"].items()}
        outputs = {key: value(a) for key, a in told["outputs"].items()}
        return Call(inputs, told["flags"], told["config"], outputs)

    def text(told: Mapping[str, Any]) -> Generated:
        inputs = {name: arrays[a] for name, a in told["inputs"].items()}
        return Generated(inputs, told["options"], arrays[told["sequences"]])

    return [
        Golden(
            name=name,
            model_type=path.stem,
            cls=told["class"],
            config=told["config"],
            tensors={name: (dtype, tuple(shape)) for name, (dtype, *shape) in told["tensors"].items()},
            tied=told["tied"],
            left_out=tuple(told["left_out"]),
            own={name: arrays[a] for name, a in told["own"].items()},
            factor=told.get("factor", 1.0),
            calls={word: call(c) for word, c in told["calls"].items()},
            generated={word: text(g) for word, g in told.get("generated", {}).items()},
        )
        for name, told in json.loads(path.read_text())["cases"].items()
    ]


def error(ours: Any, theirs: np.ndarray, real: np.ndarray) -> float:
    """The largest difference over the largest value of torch's, where tokens are real; infinite for other shapes.

    ours, theirs: [rows, T, …] (a value a token), [rows, H, T, S] (attention of real tokens to all), or anything else,
    which is compared whole.
    """
    ours = np.asarray(ours)
    if ours.shape != theirs.shape or not np.issubdtype(ours.dtype, np.floating):
        return float("inf")
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if b.ndim == 4 and (b.shape[0], b.shape[2]) == real.shape:
        a, b = a.swapaxes(1, 2), b.swapaxes(1, 2)
    if b.shape[:2] == real.shape:
        a, b = a[real], b[real]
    return float(np.abs(a - b).max() / np.abs(b).max())
