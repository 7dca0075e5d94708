"""Further encoder-decoders that are compared with torch Transformers: what is not BART's or T5's line as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .seq2seq import BART, T5, Case

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
MARKED = {"global_attention_mask": [[1, *[0] * 12], [1, 0, 1, *[0] * 10], [*[0] * 6, 1, *[0] * 6]]}
"""Which tokens of sources see all."""
OTHERWISE = ("encoder_attentions", "encoder_global_attentions")
PEGASUS_X = {
    **BART,
    "encoder_layers": 3,
    "num_global_tokens": 3,
    "block_size": 4,
    "forced_eos_token_id": None,
}
BLOCKS = ("encoder_attentions", "encoder_hidden_states")
LONGT5 = {**T5, "local_radius": 2}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
SUMS = {**LONGT5, "encoder_attention_type": "transient-global", "global_block_size": 4}
ALL = ("encoder_attentions",)
ALONE = ("attentions",)
PROPHET = {
    "vocab_size": 67,
    "hidden_size": 32,
    "num_encoder_layers": 3,
    "num_encoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "num_decoder_layers": 2,
    "num_decoder_attention_heads": 4,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 24,
    "num_buckets": 8,
    "relative_max_distance": 12,
    "pad_token_id": 0,
}
STREAMS = ("encoder_attentions", "decoder_ngram_attentions", "cross_attentions")
AHEAD = ("ngram_attentions", "cross_attentions")
BERT = {
    "model_type": "bert",
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "pad_token_id": 1,
}
ROBERTA = {**BERT, "model_type": "roberta", "max_position_embeddings": 26, "type_vocab_size": 1}
FIRST = {**ROBERTA, "model_type": "roberta-prelayernorm"}
ELECTRA = {**BERT, "model_type": "electra", "embedding_size": 20}
GENERATION = {**BERT, "model_type": "bert-generation"}
GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 71,
    "n_embd": 24,
    "n_layer": 3,
    "n_head": 3,
    "n_positions": 20,
    "bos_token_id": None,
    "eos_token_id": None,
}


def both(encoder: Mapping[str, Any], decoder: Mapping[str, Any], **fields: Any) -> Mapping[str, Any]:
    """The config of two sides."""
    directed = {**decoder, "is_decoder": True, "add_cross_attention": True}
    ends = {"decoder_start_token_id": 2, "pad_token_id": 1, "eos_token_id": 3}
    return {"encoder": encoder, "decoder": directed, **ends, **fields}


CASES = (
    Case("fsmt", "FSMTForConditionalGeneration", FSMT, waves=True),
    Case("fsmt-without-head", "FSMTModel", {**FSMT, "use_cache": False}, waves=True),  # else the last token's alone
    Case("led", "LEDForConditionalGeneration", LED, unlike=OTHERWISE, idle=("bias", "global")),
    Case("led-marked", "LEDForConditionalGeneration", LED, beside=MARKED, unlike=OTHERWISE),
    Case("led-without-head", "LEDModel", {**LED, "attention_window": 4}, unlike=OTHERWISE),
    Case("led-text", "LEDForSequenceClassification", {**LED, "num_labels": 3}, beside=MARKED, unlike=OTHERWISE),
    Case("led-span", "LEDForQuestionAnswering", LED, beside=MARKED, unlike=OTHERWISE),
    Case("pegasus_x", "PegasusXForConditionalGeneration", PEGASUS_X, unlike=BLOCKS),
    Case(
        "pegasus_x-still",
        "PegasusXForConditionalGeneration",
        {**PEGASUS_X, "stagger_local_blocks": False},
        unlike=BLOCKS,
    ),
    Case("pegasus_x-without-head", "PegasusXModel", PEGASUS_X, unlike=BLOCKS),
    Case("longt5", "LongT5ForConditionalGeneration", LONGT5, factor=0.5, unlike=ALL),
    Case("longt5-sums", "LongT5ForConditionalGeneration", SUMS, factor=0.5, unlike=ALL),
    Case("longt5-gated", "LongT5ForConditionalGeneration", {**SUMS, **GATED}, factor=0.5, unlike=ALL),
    Case("longt5-short", "LongT5Model", {**SUMS, "global_block_size": 16}, factor=0.5, unlike=ALL, idle=("global",)),
    Case("longt5-without-head", "LongT5Model", SUMS, factor=0.5, unlike=ALL),
    Case("longt5-encoder", "LongT5EncoderModel", SUMS, factor=0.5, unlike=ALONE),
    Case("prophetnet", "ProphetNetForConditionalGeneration", PROPHET, unlike=STREAMS),
    Case(
        "prophetnet-smoothed", "ProphetNetForConditionalGeneration", {**PROPHET, "ngram": 3, "eps": 0.1}, unlike=STREAMS
    ),
    Case("prophetnet-next", "ProphetNetForConditionalGeneration", {**PROPHET, "ngram": 1}, unlike=STREAMS),
    Case("prophetnet-without-head", "ProphetNetModel", PROPHET, unlike=STREAMS),
    Case("prophetnet-decoder", "ProphetNetForCausalLM", PROPHET, unlike=AHEAD),
    Case("xlm-prophetnet", "XLMProphetNetForConditionalGeneration", PROPHET, unlike=STREAMS),
    Case("xlm-prophetnet-without-head", "XLMProphetNetModel", PROPHET, unlike=STREAMS, traced=False),
    Case("xlm-prophetnet-decoder", "XLMProphetNetForCausalLM", PROPHET, unlike=AHEAD, traced=False),
    Case("bert-bert", "EncoderDecoderModel", both(BERT, BERT), idle=("bias", "pooler")),
    Case("roberta-roberta", "EncoderDecoderModel", both(ROBERTA, ROBERTA), idle=("bias", "pooler")),
    Case("bert-gpt2", "EncoderDecoderModel", both(BERT, GPT2), idle=("bias", "pooler")),
    Case("generation-generation", "EncoderDecoderModel", both(GENERATION, GENERATION)),
    Case("bert-generation", "EncoderDecoderModel", both(BERT, GENERATION), idle=("bias", "pooler"), traced=False),
    Case("roberta-norms-first", "EncoderDecoderModel", both(ROBERTA, FIRST), idle=("bias", "pooler")),
    Case("bert-electra", "EncoderDecoderModel", both(BERT, ELECTRA), idle=("bias", "pooler"), traced=False),
    Case("bert-shared", "EncoderDecoderModel", both(BERT, BERT, tie_encoder_decoder=True), idle=("bias", "pooler")),
)
