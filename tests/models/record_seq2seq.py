"""Record what torch Transformers answers with encoder-decoders: `python -m tests.models.record_seq2seq`, or with
"further" behind it for the table of `seq2seq_further`; names of cases behind that stand for these alone.

Sources of three lengths, padded on both sides; every array is filled by the rule of the parity suite.
"""

from __future__ import annotations

import copy
import functools
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
from .seq2seq import LENGTHS, REPORT, REPORTED, Case, inputs, options, prompts, reported

torch.set_grad_enabled(False)


def filled(case: Case) -> tuple[Any, dict[str, Any]]:
    """A model, and what is to be told of its tensors."""
    cls = getattr(transformers, case.cls)
    config = cls.config_class(**copy.deepcopy(dict(case.config)))  # some take parts out of it
    model = cls._from_config(config, attn_implementation="eager").eval()
    if not getattr(model.config, "share_encoder_decoder_embeddings", True):  # new models have one size for both
        model.resize_decoder_token_embeddings(model.config.decoder_vocab_size)
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


def in_place(model: Any) -> Any:
    """ProphetNet in 4.57 confuses places, streams and heads in what streams ahead get for distances, where several
    tokens are read at once, so that what follows a token depends on how many are behind it: it gets each place alone,
    which is what it computes when it writes.
    """

    def each(whole: Any, states: Any, weights: Any, places: Any, buckets: Any) -> Any:
        if buckets is None:
            return whole(states, weights, places, buckets)
        count = range(states.shape[1])
        alone = [whole(states[:, i : i + 1], weights[..., i : i + 1, :], places, buckets[:, i : i + 1]) for i in count]
        return torch.cat(alone, dim=3)

    for layer in model.get_decoder().layers if hasattr(model, "lm_head") else model.decoder.layers:
        mix = layer.self_attn
        mix.get_predict_relative_pos_embeddings = functools.partial(each, mix.get_predict_relative_pos_embeddings)
    return model


def answered(case: Case, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """One case; of what there is a tuple of, its length and its last array."""
    model, about = filled(case)
    model = in_place(model) if "ProphetNet" in case.cls else model
    given = {name: torch.from_numpy(array.astype(np.int64)) for name, array in inputs(case).items()}
    given = {name: array for name, array in given.items() if name in inspect.signature(model.forward).parameters}
    out = model(**given, output_attentions=case.traced, output_hidden_states=case.traced)
    if case.writes:
        if case.cls.startswith("Marian"):  # beams count by it what is written
            model.config.vocab_size = model.get_decoder().embed_tokens.num_embeddings
        read = {name: torch.from_numpy(array.astype(np.int64)) for name, array in prompts(case).items()}
        model = with_places(model) if case.cls.startswith("FSMT") else model
        for word, chosen in options(case).items():
            rows = model.generate(**read, **LENGTHS, **chosen)
            arrays[f"{case.name}.{word}"] = rows.numpy().astype(np.int32)
    if case in REPORTED:
        about["report"] = {beams: report(model, case, read, beams, arrays) for beams in (1, 3)}
    kept = {name: value for name, value in out.items() if name not in ("past_key_values", *case.unlike)}
    for name, value in kept.items():
        arrays[f"{case.name}.{name}"] = (value[-1] if isinstance(value, tuple) else value).numpy()
    return about | {"outputs": {name: len(value) if isinstance(value, tuple) else 0 for name, value in kept.items()}}


def report(model: Any, case: Case, source: dict[str, Any], beams: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The shapes of what a generation reports, and the last scores; in greedy search what the last step read."""
    told = model.generate(**source, **LENGTHS, **REPORT, num_beams=beams)
    arrays[f"{case.name}.report.{beams}.scores"] = told.scores[-1].numpy()
    for name in ("cross_attentions", "decoder_hidden_states") if beams == 1 else ():
        arrays[f"{case.name}.report.{name}"] = told[name][-1][-1].numpy()
    return {name: reported(value) for name, value in told.items() if name != "past_key_values"}


def main(argv: list[str]) -> None:
    """Ask for all cases of a table, or for those that are named."""
    table = seq2seq_further if argv[:1] == ["further"] else seq2seq
    named = argv[table is seq2seq_further :]
    arrays = {name: array for name, array in np.load(table.ARRAYS).items() if named and name.split(".")[0] not in named}
    told = json.loads(table.ABOUT.read_text()) if named else {}
    asked = {case.name: answered(case, arrays) for case in table.CASES if not named or case.name in named}
    about = {case.name: (told | asked)[case.name] for case in table.CASES}
    table.ABOUT.write_text(json.dumps(about, separators=(",", ":")) + "\n")
    np.savez_compressed(table.ARRAYS, **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
