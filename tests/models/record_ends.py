"""Record how long a row torch Transformers' models take: run by hand from the repository's root, with each version.

    python -m tests.models.record_ends

Written into ends.json, under the version: of each toy of `architectures.py` and each of its variants the most tokens
that its base model takes, up to MORE beyond its positions; null where it takes them all.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import torch
import transformers

from .architectures import ARCHITECTURES, variants

MORE = 40
FILE = Path(__file__).parent / "ends.json"


def most(model: Any) -> int | None:
    """The most tokens of a row."""
    c = model.config
    end = next(
        getattr(c, name) for name in ("max_position_embeddings", "max_seq_len", "vocab_size") if hasattr(c, name)
    )

    def runs(length: int) -> bool:
        ids = torch.arange(length)[None] % 50 + 5
        try:
            with torch.no_grad():
                model(input_ids=ids)
        except (RuntimeError, IndexError):
            return False
        return True

    if runs(end + MORE):
        return None
    return next(length for length in range(end + MORE, 0, -1) if runs(length))


def main() -> None:
    """Write the file."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    found = {}
    for kind, architecture in ARCHITECTURES.items():
        named = architecture.hub.theirs if architecture.hub else kind
        if named not in transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES:
            continue
        for name, fields in variants(architecture).items():
            try:
                model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(named, **fields)).eval()
            except Exception as error:  # configs of the other version
                print(f"{kind} {name} is left out: {str(error).splitlines()[0]}")
                continue
            with contextlib.suppress(StopIteration):  # a toy that this version cannot run
                found[f"{kind} {name}".strip()] = most(model)
    told = json.loads(FILE.read_text()) if FILE.exists() else {}
    told[transformers.__version__.rsplit(".", 1)[0]] = found
    FILE.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
