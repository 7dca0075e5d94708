"""Toys that write texts on texts: random weights beside the small vocabularies of the tokenizers' tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    Model,
    PLBartConfig,
    PLBartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)
from jaxformers.config import Config

GOLDEN = Path(__file__).parents[1] / "tokenizers" / "golden"
PLACES = 64
"""Positions of all but T5, whose tokenizer says as many."""
_CROSS = 8
T5_SIZES: dict[str, Any] = {
    "d_model": 24,
    "d_kv": 6,
    "d_ff": 32,
    "num_layers": 1,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
SIZES: dict[str, Any] = {
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": PLACES,
}
LISTED: dict[str, Any] = {
    "summarization": {"prefix": "summarize: ", "max_length": 9, "min_length": 3, "num_beams": 2, "length_penalty": 2.0},
    "translation_en_to_de": {"prefix": "translate English to German: ", "max_length": 12, "num_beams": 3},
    "translation_en_to_fr": {"prefix": "translate English to French: ", "early_stopping": True},
}
"""What T5's config says for tasks."""


def write(
    folder: Path, cls: type[Model], config: type[Config], files: Mapping[str, str], tokenizer: str, **fields: Any
) -> Path:
    """A model whose every array is random, and its tokenizer; `generation` is what generation_config.json holds."""
    generation = fields.pop("generation", None)
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        shutil.copyfile(GOLDEN / source, folder / name)
    about = {"tokenizer_class": tokenizer, "model_max_length": PLACES}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    read = AutoTokenizer.from_pretrained(folder)
    special = {name: getattr(read, name) for name in ("pad_token_id", "eos_token_id")}
    fields = {"vocab_size": len(read), "decoder_start_token_id": read.eos_token_id} | special | fields
    draw = np.random.RandomState(0)

    def drawn(path: Any, x: Any) -> np.ndarray:
        """Random, and large where the decoder looks at the source, so that what is read matters."""
        name = jax.tree_util.keystr(path)
        strength, middle = _CROSS if "['cross']" in name else 1, float(name.endswith("['scale']"))
        return strength * (middle + draw.standard_normal(x.shape).astype(np.float32) / 3)

    model = jax.tree_util.tree_map_with_path(drawn, cls(config(**fields), key=jax.random.key(0)))
    model.save_pretrained(folder)
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def t5(folder: Path, **fields: Any) -> Path:
    """T5, told in words what to do."""
    files = {"spiece.model": "seq2seq/t5.model"}
    fields = T5_SIZES | {"task_specific_params": LISTED} | fields
    return write(folder, T5ForConditionalGeneration, T5Config, files, "T5Tokenizer", **fields)


def bart(folder: Path, **fields: Any) -> Path:
    """BART, whose config says how long summaries are, as BART-CNN's."""
    files = {"vocab.json": "old/bpe.json", "merges.txt": "old/bpe.txt"}
    said = {"max_length": 14, "min_length": 5, "num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 3}
    return write(folder, BartForConditionalGeneration, BartConfig, files, "BartTokenizer", **SIZES | said | fields)


def mbart(folder: Path, **fields: Any) -> Path:
    """mBART, of many languages."""
    files = {"sentencepiece.bpe.model": "old/fairseq.model"}
    return write(folder, MBartForConditionalGeneration, MBartConfig, files, "MBartTokenizer", **SIZES | fields)


def m2m(folder: Path, **fields: Any) -> Path:
    """M2M-100, of many languages."""
    files = {
        "vocab.json": "seq2seq/m2m.json",
        "special_tokens_map.json": "seq2seq/m2m_roles.json",
        "sentencepiece.bpe.model": "seq2seq/plain.model",
    }
    return write(folder, M2M100ForConditionalGeneration, M2M100Config, files, "M2M100Tokenizer", **SIZES | fields)


def nllb(folder: Path, **fields: Any) -> Path:
    """NLLB, which is M2M-100 with a tokenizer of its own."""
    files = {"sentencepiece.bpe.model": "seq2seq/nllb.model"}
    return write(folder, M2M100ForConditionalGeneration, M2M100Config, files, "NllbTokenizer", **SIZES | fields)


def plbart(folder: Path, **fields: Any) -> Path:
    """PLBart, of programs and English."""
    files = {"sentencepiece.bpe.model": "seq2seq/plain.model"}
    return write(folder, PLBartForConditionalGeneration, PLBartConfig, files, "PLBartTokenizer", **SIZES | fields)


def marian(folder: Path, **fields: Any) -> Path:
    """Marian, of one pair."""
    files = {
        "source.spm": "seq2seq/plain.model",
        "target.spm": "seq2seq/target.model",
        "vocab.json": "seq2seq/marian.json",
    }
    start = json.loads((GOLDEN / files["vocab.json"]).read_text())["<pad>"]
    fields = SIZES | {"decoder_start_token_id": start, "forced_eos_token_id": None} | fields
    return write(folder, MarianMTModel, MarianConfig, files, "MarianTokenizer", **fields)
