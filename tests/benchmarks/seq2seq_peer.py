"""A side of the benchmark of encoder-decoders, in a process of its own: JSON commands in, answers out, one a line.

seq2seq_peer.py ours|torch|ctranslate2 FOLDER DTYPE
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

Side = tuple[Callable[..., Any], Callable[[], dict[str, Any]]]
"""(texts, new tokens, beams, batch size) to rows of new ids; and what there is to tell afterwards."""

THREADS = os.cpu_count() or 1


def ours(folder: str, dtype: str) -> Side:
    """This library."""
    from jaxformers import compilations, pipeline

    pipe = pipeline("text2text-generation", model=folder, dtype=dtype)

    def write(texts: list[str], count: int, beams: int, batch: int) -> Any:
        options = {"max_new_tokens": count, "min_new_tokens": count, "num_beams": beams, "return_tensors": True}
        return [row["generated_token_ids"][1:] for row in pipe(texts, do_sample=False, **options)]

    def told() -> dict[str, Any]:
        return {"programs": sum(compilations().values()), "by name": compilations()}

    return write, told


def torch(folder: str, dtype: str) -> Side:
    """Torch Transformers."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(THREADS)
    pipe = pipeline("text2text-generation", model=folder, dtype=getattr(torch, dtype))

    def write(texts: list[str], count: int, beams: int, batch: int) -> Any:
        options = {"max_new_tokens": count, "min_new_tokens": count, "num_beams": beams, "return_tensors": True}
        found = pipe(texts, do_sample=False, batch_size=batch, **options)
        return [row["generated_token_ids"].tolist()[1:] for row in found]

    return write, dict


def ctranslate2(folder: str, compute_type: str) -> Side:
    """CTranslate2, with the weights in the type that it computes in, and batches as it chooses them."""
    import ctranslate2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as home:
        ctranslate2.converters.TransformersConverter(folder).convert(home, quantization=compute_type, force=True)
        translator = ctranslate2.Translator(home, device="cpu", compute_type=compute_type, intra_threads=THREADS)

    def write(texts: list[str], count: int, beams: int, batch: int) -> Any:
        rows = [tokenizer.convert_ids_to_tokens(ids) for ids in tokenizer(texts)["input_ids"]]
        lengths = {"max_decoding_length": count, "min_decoding_length": count}
        found = translator.translate_batch(rows, beam_size=beams, max_batch_size=batch, **lengths)
        return [tokenizer.convert_tokens_to_ids(one.hypotheses[0]) for one in found]

    return write, dict


def main() -> None:
    """Answer commands until the input ends."""
    side, *rest = sys.argv[1:]
    write, told = {side.__name__: side for side in (ours, torch, ctranslate2)}[side](*rest)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        answers = write(asked["texts"], asked["count"], asked["beams"], asked["batch"])
        print(json.dumps({"seconds": time.perf_counter() - start, "answers": answers, **told()}), flush=True)


if __name__ == "__main__":
    main()
