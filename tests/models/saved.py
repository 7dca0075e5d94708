"""What versions 4.57 and 5.24 of torch Transformers save, as `record_saved.py` wrote it down: read without torch."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import rule

FOLDER = Path(__file__).parent / "saved"
VERSIONS = ("4.57", "5.24")


@dataclasses.dataclass(frozen=True)
class Saved:
    """One checkpoint that a version saved.

    given: the fields it was asked for. config: config.json. tensors: shapes by name, as the file has them. numbers:
    some of what the model with `weights` gives for `inputs`, of cases whose fields are no defaults.
    """

    model_type: str
    cls: str
    given: Mapping[str, Any]
    config: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]
    numbers: tuple[float, ...]

    def weights(self, factor: float = 1.0) -> dict[str, np.ndarray]:
        """The arrays of the file: of one array the same in both versions, under whatever name each has it."""
        return {
            name: rule.fill(canonical(name, self.tensors), shape, factor=factor) for name, shape in self.tensors.items()
        }


@dataclasses.dataclass(frozen=True)
class Version:
    """What one version saves: its whole number, config.json of each architecture's defaults, other words for fields by
    architecture, and checkpoints by the names of `architectures.py`; those of odd configs are called "<class>-odd".
    """

    transformers: str
    defaults: Mapping[str, Mapping[str, Any]]
    words: Mapping[str, Mapping[str, str]]
    cases: Mapping[str, Saved]


def canonical(name: str, names: Mapping[str, Any]) -> str:
    """One name for what is one array, by the names of its file.

    5.24 calls ESM's norms gamma and beta; where the word table is not the decoder, it has a bias beside the decoder's,
    which counts; and of LUKE it writes the decoder, which is the word table.
    """
    for newer, older in ((".gamma", ".weight"), (".beta", ".bias"), (".decoder.bias", ".bias")):
        if name.endswith(newer):
            return name.removesuffix(newer) + older
    if name.removesuffix("bias") + "decoder.bias" in names:
        return f"{name} that nothing reads"
    return "luke.embeddings.word_embeddings.weight" if name == "lm_head.decoder.weight" and _of_luke(names) else name


def _of_luke(names: Mapping[str, Any]) -> bool:
    return any(name.startswith("luke.") for name in names)


def inputs(vocab: int) -> dict[str, np.ndarray]:
    """The call of odd cases: four full rows."""
    return {"input_ids": rule.batch(vocab, padded=False)["input_ids"]}


def some(array: np.ndarray) -> list[float]:
    """A few numbers of an output, from all over it, to five digits."""
    flat = np.asarray(array, np.float64).ravel()
    return [float(f"{value:.5g}") for value in flat[:: max(1, flat.size // 12)][:12]]


@functools.cache
def version(name: str) -> Version:
    """What was recorded of a version."""
    about = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    cases = {
        case: Saved(
            told["model_type"],
            told["class"],
            told["given"],
            told["config"],
            {tensor: tuple(shape) for tensor, shape in told["tensors"].items()},
            tuple(told.get("numbers", ())),
        )
        for case, told in about["cases"].items()
    }
    return Version(about["transformers"], about["defaults"], about["words"], cases)
