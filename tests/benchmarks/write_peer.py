"""A side of the benchmark of generation, in a process of its own: JSON commands in, answers out, one a line.

write_peer.py ours|torch|compiled FOLDER DTYPE
write_peer.py ctranslate2 FOLDER COMPUTE_TYPE
write_peer.py llama FILE.gguf -
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Side = tuple[Callable[..., Any], Callable[..., Any] | None, int]
"""Token ids and how many new ones to rows of ids (llama.cpp: to texts); chats, how many and a batch size to texts; the
weights' bytes.
"""

THREADS = os.cpu_count() or 1


def ours(folder: str, dtype: str) -> Side:
    """This library."""
    import jax

    from jaxformers import pipeline

    pipe = pipeline("text-generation", model=folder, dtype=dtype)

    def write(ids: list[list[int]], count: int, **options: Any) -> Any:
        out = pipe.model.generate(ids, max_new_tokens=count, min_new_tokens=count, **{"do_sample": False, **options})
        return np.asarray(out).tolist()

    def chat(chats: Any, count: int, batch: int) -> Any:
        return pipe(chats, max_new_tokens=count, do_sample=False, return_full_text=False)

    return write, chat, sum(leaf.nbytes for leaf in jax.tree.leaves(pipe.model.params))


def compiled(folder: str, dtype: str) -> Side:
    """Torch Transformers with its static cache and torch.compile, which it leaves out on CPUs unless it is told so."""
    from transformers import CompileConfig

    everywhere = CompileConfig()
    everywhere._compile_all_devices = True
    return torch(folder, dtype, cache_implementation="static", compile_config=everywhere)


def torch(folder: str, dtype: str, **always: Any) -> Side:
    """Torch Transformers with its dynamic cache, or as it is told."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(THREADS)
    pipe = pipeline("text-generation", model=folder, dtype=getattr(torch, dtype))
    pipe.tokenizer.padding_side = "left"

    def write(ids: list[list[int]], count: int, **options: Any) -> Any:
        given = torch.tensor(ids)
        with torch.inference_mode():
            out = pipe.model.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=count,
                min_new_tokens=count,
                **{"do_sample": False, **always, **options},
            )
        return out.tolist()

    def chat(chats: Any, count: int, batch: int) -> Any:
        return pipe(chats, max_new_tokens=count, do_sample=False, return_full_text=False, batch_size=batch)

    return write, chat, sum(p.numel() * p.element_size() for p in pipe.model.parameters())


def ctranslate2(folder: str, compute_type: str) -> Side:
    """CTranslate2, with the weights in the type that it computes in."""
    import ctranslate2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as home:
        ctranslate2.converters.TransformersConverter(folder).convert(home, quantization=compute_type, force=True)
        size = os.path.getsize(f"{home}/model.bin")
        generator = ctranslate2.Generator(home, device="cpu", compute_type=compute_type, intra_threads=THREADS)

    def write(ids: list[list[int]], count: int, **options: Any) -> Any:
        prompts = [tokenizer.convert_ids_to_tokens(row) for row in ids]
        found = generator.generate_batch(
            prompts, max_length=count, min_length=count, sampling_topk=1, include_prompt_in_result=False
        )
        return [row + result.sequences_ids[0] for row, result in zip(ids, found, strict=True)]

    return write, None, size


def llama(file: str, _: str) -> Side:
    """llama.cpp with the file's own types, one row at a time."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx, params.n_parallel, params.warmup = 1024, 1, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    server = xllamacpp.Server(params)

    def write(ids: list[list[int]], count: int, **options: Any) -> Any:
        asked = {"n_predict": count, "ignore_eos": True, "temperature": 0, "cache_prompt": False}
        found = [server.handle_completions({"prompt": row, **asked}) for row in ids]
        assert all(one["usage"]["completion_tokens"] == count for one in found)
        return [one["choices"][0]["text"] for one in found]

    return write, None, os.path.getsize(file)


def main() -> None:
    """Answer commands until the input ends."""
    side, *rest = sys.argv[1:]
    write, chat, size = {side.__name__: side for side in (ours, torch, compiled, ctranslate2, llama)}[side](*rest)
    print(json.dumps({"bytes": size}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        if "chats" in asked:
            assert chat is not None
            answers = [one[0]["generated_text"] for one in chat(asked["chats"], asked["count"], asked["batch"])]
        else:
            answers = write(asked["texts"], asked["count"], **asked.get("options", {}))
        print(json.dumps({"seconds": time.perf_counter() - start, "answers": answers}), flush=True)


if __name__ == "__main__":
    main()
