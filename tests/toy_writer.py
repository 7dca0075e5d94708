"""A toy that writes: a Llama with random weights, whose tokens are letters, as a checkpoint."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from jaxformers import LlamaConfig, LlamaForCausalLM

SPECIAL = ["<pad>", "<bos>", "<eos>"]
LETTERS = [*string.ascii_letters, *string.digits, *" .,<>|:-"]
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}|{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}{% if closing is defined %}{{ closing }}{% endif %}"
)
PLACES = 96


def model(seed: int = 0, **fields: Any) -> LlamaForCausalLM:
    """One that has something of its own to say about every letter."""
    sizes = {
        "vocab_size": len(SPECIAL) + len(LETTERS),
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 40,
        "max_position_embeddings": PLACES,
        "initializer_range": 0.4,
        "pad_token_id": None,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes | fields), key=jax.random.key(seed))


def scores(model: Any, ids: list[int]) -> np.ndarray:
    """What follows a row [V], without a cache."""
    return np.asarray(model(np.array([ids + [0] * (-len(ids) % 16)])).logits[0, len(ids) - 1])


def greedy(model: Any, ids: list[int], count: int, end: int | None = None) -> list[int]:
    """New tokens, one whole pass for each."""
    new: list[int] = []
    while len(new) < count and (not new or new[-1] != end):
        new.append(int(np.argmax(scores(model, [*ids, *new]))))
    return new


def write(folder: Path, chats: bool = True, **fields: Any) -> Path:
    """The model and its tokenizer; `generation` is what generation_config.json holds."""
    generation = fields.pop("generation", None)
    model(**fields).save_pretrained(folder)
    backend = tokenizers.Tokenizer(
        models.WordLevel({token: i for i, token in enumerate([*SPECIAL, *LETTERS])}, unk_token="<pad>")
    )
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens(SPECIAL)
    backend.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "model_max_length": PLACES,
        **({"chat_template": TEMPLATE} if chats else {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder
