"""Ask torch Transformers about the tokenizers of decoders and keep its answers: run by hand, with 4.57 and with 5.24.

python tests/tokenizers/record_decoders.py MODEL_TYPE...     rewrites what this version says in golden/decoders.json;
                                                              the model types are those of our causal models. First with
                                                              4.57, then 5.24, then 4.57 again, which then knows the
                                                              classes that 5.24 names
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import decoders
import transformers
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES


def classes(model_type: str) -> list[str]:
    """The classes that this version names for a model type."""
    named = TOKENIZER_MAPPING_NAMES.get(model_type) or ()
    return [name for name in ([named] if isinstance(named, str) else named) if name]


def answer(folder: Path, settings: dict[str, Any]) -> Any:
    """What the tokenizer in a folder answers; the kind of error where it cannot be loaded."""
    try:
        return decoders.answers(AutoTokenizer.from_pretrained(str(folder), **settings))
    except Exception as error:
        return type(error).__name__


def main(model_types: list[str]) -> None:
    """Record; see the module."""
    version = ".".join(transformers.__version__.split(".")[:2])
    found = json.loads(decoders.GOLDEN.read_text()) if decoders.GOLDEN.exists() else {}
    named = found.setdefault("classes", {})
    for model_type in model_types:
        named[model_type] = sorted({*named.get(model_type, ()), *classes(model_type)})
    rows, distinct = found.setdefault("rows", []), found.setdefault("answers", [])
    cells: dict[str, list[int]] = {}
    for model_type, kind, _, files, settings in decoders.cells(named):
        with tempfile.TemporaryDirectory() as folder:
            told = answer(decoders.write(Path(folder), model_type, kind, files), settings)
        if isinstance(told, dict):
            told["rows"] = number(told["rows"], rows)
        cells.setdefault(f"{model_type} {kind}".strip(), []).append(number(told, distinct))
    found[version] = cells
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
    decoders.GOLDEN.write_text(f"{{{lines}}}\n")


def number(value: Any, distinct: list[Any]) -> int:
    """The place of a value in a list, to which it is added if it is not there."""
    if value not in distinct:
        distinct.append(value)
    return distinct.index(value)


if __name__ == "__main__":
    main(sys.argv[1:])
