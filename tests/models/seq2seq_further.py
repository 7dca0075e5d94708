"""Further encoder-decoders that are compared with torch Transformers: what is not BART's or T5's line as it is."""

from __future__ import annotations

from pathlib import Path

from .seq2seq import BART, Case

ABOUT, ARRAYS = (Path(__file__).parent / f"seq2seq_further.{kind}" for kind in ("json", "npz"))

FSMT = {name: value for name, value in BART.items() if name != "vocab_size"} | {
    "langs": ["en", "ru"],
    "src_vocab_size": 67,
    "tgt_vocab_size": 71,
    "decoder_layers": 2,  # as many as torch's cache has room for: those of the encoder
    "forced_eos_token_id": None,
}
LED = {name: value for name, value in BART.items() if name != "max_position_embeddings"} | {
    "max_encoder_position_embeddings": 32,
    "max_decoder_position_embeddings": 24,
    "attention_window": [4, 8],
}
MARKS = [[1, *[0] * 12], [1, 0, 1, *[0] * 10], [*[0] * 6, 1, *[0] * 6]]
"""Which tokens of sources see all."""
OTHERWISE = ("encoder_attentions", "encoder_global_attentions")
CASES = (
    Case("fsmt", "FSMTForConditionalGeneration", FSMT, waves=True),
    Case("fsmt-without-head", "FSMTModel", {**FSMT, "use_cache": False}, waves=True),  # else the last token's alone
    Case("led", "LEDForConditionalGeneration", LED, unlike=OTHERWISE, idle=("bias", "global")),
    Case("led-marked", "LEDForConditionalGeneration", LED, beside={"global_attention_mask": MARKS}, unlike=OTHERWISE),
    Case("led-without-head", "LEDModel", {**LED, "attention_window": 4}, unlike=OTHERWISE),
)
