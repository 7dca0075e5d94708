"""The vocabularies of golden/gguf.json as the metadata of a GGUF file."""

from __future__ import annotations

from typing import Any

import numpy as np


def metadata(kind: str, vocabulary: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a vocabulary; `kind` is a way of splitting, "spm" or "spm without a space"."""
    tokens = {"tokenizer.ggml.tokens": vocabulary["tokens"]}
    if not kind.startswith("spm"):
        kinds = [3, 3, 3] + [1] * (len(vocabulary["tokens"]) - 3)
        merges = {"tokenizer.ggml.merges": vocabulary["merges"]}
        more = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": kind, **merges}
        roles = {"bos": 0, "eos": 1, "padding": 2}
    else:
        kinds = vocabulary["kinds"]
        more = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": np.array(vocabulary["scores"], np.float32)}
        more |= {"tokenizer.ggml.add_space_prefix": False} if kind != "spm" else {}
        roles = {"unknown": 0, "bos": 1, "eos": 2}
    said = {f"tokenizer.ggml.{role}_token_id": index for role, index in roles.items()}
    return {**more, **tokens, "tokenizer.ggml.token_type": np.array(kinds, np.int32), **said}
