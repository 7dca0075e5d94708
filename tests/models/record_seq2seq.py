"""Record what torch Transformers answers with encoder-decoders: `python -m tests.models.record_seq2seq`, or with
"further" behind it for the table of `seq2seq_further`.

Sources of three lengths, padded on both sides; every array is filled by the rule of the parity suite.
"""

from __future__ import annotations

import copy
import inspect
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
import transformers

from . import rule, seq2seq, seq2seq_further
from .seq2seq import LENGTHS, OPTIONS, Case, inputs

torch.set_grad_enabled(False)


def filled(case: Case) -> tuple[Any, dict[str, Any]]:
    """A model, and what is to be told of its tensors."""
    cls = getattr(transformers, case.cls)
    config = cls.config_class(**copy.deepcopy(dict(case.config)))  # some take parts out of it
    model = cls._from_config(config, attn_implementation="eager").eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        with safetensors.safe_open(Path(folder) / "model.safetensors", "pt") as file:
            written = sorted(file.keys())
    state = model.state_dict()
    shapes = {name: [*state[name].shape] for name in written}
    for name in written:
        if not (name.endswith("embed_positions.weight") and case.waves):
            state[name].copy_(torch.from_numpy(rule.fill(name, tuple(shapes[name]), factor=case.factor)))
    return model, {"config": model.config.to_dict(), "tensors": shapes}


def with_places(model: Any) -> Any:
    """FSMT in 4.57 gets the last token alone behind a cache, and then stands it in the first place: it counts the
    places of all that it gets, and must get all.
    """
    plain = model.prepare_inputs_for_generation
    model.prepare_inputs_for_generation = lambda ids, **given: plain(ids, **given) | {"decoder_input_ids": ids}
    return model


def answered(case: Case, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """One case; of what there is a tuple of, its length and its last array."""
    model, about = filled(case)
    given = {name: torch.from_numpy(array.astype(np.int64)) for name, array in inputs(case).items()}
    given = {name: array for name, array in given.items() if name in inspect.signature(model.forward).parameters}
    out = model(**given, output_attentions=True, output_hidden_states=True)
    if "ConditionalGeneration" in case.cls or case.cls in ("MarianMTModel", "EncoderDecoderModel"):
        source = {name: given[name] for name in case.source}
        model = with_places(model) if case.cls.startswith("FSMT") else model
        for word, options in OPTIONS.items():
            rows = model.generate(**source, **LENGTHS, **options)
            arrays[f"{case.name}.{word}"] = rows.numpy().astype(np.int32)
    kept = {name: value for name, value in out.items() if name not in ("past_key_values", *case.unlike)}
    for name, value in kept.items():
        arrays[f"{case.name}.{name}"] = (value[-1] if isinstance(value, tuple) else value).numpy()
    return about | {"outputs": {name: len(value) if isinstance(value, tuple) else 0 for name, value in kept.items()}}


def main(argv: list[str]) -> None:
    """Ask for all cases of a table."""
    table = seq2seq_further if argv == ["further"] else seq2seq
    arrays: dict[str, np.ndarray] = {}
    about = {case.name: answered(case, arrays) for case in table.CASES}
    table.ABOUT.write_text(json.dumps(about, separators=(",", ":")) + "\n")
    np.savez_compressed(table.ARRAYS, **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
