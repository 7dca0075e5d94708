"""The encoder-decoders that are compared with torch Transformers: toy configs, and what they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ABOUT, ARRAYS = (Path(__file__).parent / f"seq2seq.{kind}" for kind in ("json", "npz"))


@dataclasses.dataclass(frozen=True)
class Case:
    """A class under a config.

    cls: its name, in both libraries. config: of torch's class. waves: positions are computed by torch, and no file
    needs to hold them. factor: on matrices, where no norms keep values at order one. beside: what the encoder takes
    beside ids and mask, rows by the Hub's keyword. unlike: outputs that have another form here.
    idle: words in the paths of arrays that change nothing.
    """

    name: str
    cls: str
    config: Mapping[str, Any]
    waves: bool = False
    factor: float = 1.0
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unlike: tuple[str, ...] = ()
    idle: tuple[str, ...] = ("bias",)

    @property
    def source(self) -> tuple[str, ...]:
        """The keywords of what the encoder reads."""
        return ("input_ids", "attention_mask", *self.beside)


T5 = {
    "vocab_size": 67,
    "d_model": 32,
    "d_kv": 12,
    "d_ff": 48,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
}
BART = {
    "vocab_size": 67,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 24,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
MARIAN = {**BART, "decoder_vocab_size": 67, "pad_token_id": 66, "eos_token_id": 0, "decoder_start_token_id": 66}
SCALED = {**BART, "scale_embedding": True, "activation_function": "relu"}
GATED = {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
CASES = (
    Case("t5", "T5ForConditionalGeneration", T5, factor=0.5),
    Case("t5-gated", "T5ForConditionalGeneration", GATED, factor=0.5),
    Case("t5-without-head", "T5Model", T5, factor=0.5),
    Case("t5-encoder", "T5EncoderModel", T5, factor=0.5),
    Case("bart", "BartForConditionalGeneration", BART),
    Case(
        "bart-scaled", "BartForConditionalGeneration", {**BART, "scale_embedding": True, "activation_function": "relu"}
    ),
    Case("bart-without-head", "BartModel", BART),
    Case("mbart", "MBartForConditionalGeneration", BART),
    Case("marian", "MarianMTModel", {**MARIAN, "scale_embedding": True, "activation_function": "swish"}, waves=True),
    Case("pegasus", "PegasusForConditionalGeneration", BART),
    Case("m2m_100", "M2M100ForConditionalGeneration", {**BART, "scale_embedding": True}, waves=True),
    Case("blenderbot", "BlenderbotForConditionalGeneration", BART),
    Case("blenderbot-small", "BlenderbotSmallForConditionalGeneration", BART),
    Case("plbart", "PLBartForConditionalGeneration", BART),
    Case("mvp", "MvpForConditionalGeneration", BART),
    Case("mbart-without-head", "MBartModel", BART),
    Case("marian-without-head", "MarianModel", MARIAN, waves=True),
    Case("pegasus-without-head", "PegasusModel", BART),
    Case("m2m_100-without-head", "M2M100Model", BART, waves=True),
    Case("blenderbot-without-head", "BlenderbotModel", BART),
    Case("blenderbot-small-without-head", "BlenderbotSmallModel", BART),
    Case("plbart-without-head", "PLBartModel", BART),
    Case("mvp-without-head", "MvpModel", BART),
)


OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"num_beams": 1},
    "beams": {"num_beams": 3},
    "long_beams": {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 2},
    "unlike_sources": {"num_beams": 1, "encoder_no_repeat_ngram_size": 1, "encoder_repetition_penalty": 1.5},
    "beams_unlike_sources": {"num_beams": 3, "encoder_no_repeat_ngram_size": 1},
    "forced": {"num_beams": 1, "forced_bos_token_id": 9, "repetition_penalty": 1.3},
}
"""What is generated, by name; all with LENGTHS."""
LENGTHS = {"max_new_tokens": 8, "min_new_tokens": 3, "do_sample": False}


def inputs(case: Case) -> dict[str, np.ndarray]:
    """Sources [3, 13] whole, padded on the right and on the left; what decoders read of them and shall say [3, 6]."""
    rng = np.random.RandomState(0)
    mask = np.ones((3, 13), np.int32)
    mask[1, 9:] = mask[2, :4] = 0
    pad = case.config.get("pad_token_id", 0)
    found = {"input_ids": np.where(mask == 1, rng.randint(5, 66, mask.shape), pad).astype(np.int32)}
    found |= {"attention_mask": mask, "decoder_input_ids": rng.randint(5, 66, (3, 6)).astype(np.int32)}
    labels = rng.randint(5, 66, (3, 6)).astype(np.int32)
    labels[1, 4:] = -100
    found |= {name: np.asarray(rows, np.int32) for name, rows in case.beside.items()}
    return found | {"labels": labels}
