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
CASES = (
    Case("fsmt", "FSMTForConditionalGeneration", FSMT, waves=True),
    Case("fsmt-without-head", "FSMTModel", {**FSMT, "use_cache": False}, waves=True),  # else the last token's alone
)
