"""The encoder-decoders that are compared with torch Transformers: toy configs, and what they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ABOUT, ARRAYS = (Path(__file__).parent / f"seq2seq.{kind}" for kind in ("json", "npz"))


@dataclasses.dataclass(frozen=True)
class Case:
    """A class under a config.

    cls: its name, in both libraries. config: of torch's class. waves: positions are computed by torch, and no file
    needs to hold them. factor: on matrices, where no norms keep values at order one. traced: whether layers' states and
    attentions are recorded, too; those of heads that are the same elsewhere are not. beside: what the encoder takes
    beside ids and mask, rows by the Hub's keyword. unlike: outputs that have another form here. idle: words in the
    paths of arrays that change nothing.
    """

    name: str
    cls: str
    config: Mapping[str, Any]
    waves: bool = False
    factor: float = 1.0
    traced: bool = True
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unlike: tuple[str, ...] = ()
    idle: tuple[str, ...] = ("bias",)

    @property
    def source(self) -> tuple[str, ...]:
        """The keywords of what the encoder reads."""
        return ("input_ids", "attention_mask", *self.beside)

    @property
    def head(self) -> str:
        """What follows the architecture's name in that of the class."""
        return next((head for head in (*HEADS, "MarianMTModel", "Model") if self.cls.endswith(head)), "")

    @property
    def writes(self) -> bool:
        """Whether torch's generates."""
        return self.head in WRITERS and not self.cls.startswith("XLMProphetNet")

    @property
    def two_sided(self) -> bool:
        """Whether a decoder of it reads what an encoder has read."""
        return self.head in WRITERS and self.head != "ForCausalLM"


HEADS = (
    "ForConditionalGeneration",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForCausalLM",
    "EncoderDecoderModel",
    "EncoderModel",
)

WRITERS = ("ForConditionalGeneration", "MarianMTModel", "EncoderDecoderModel", "ForCausalLM")

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
ALONE = {**BART, "encoder_layers": 3}  # by which torch counts the layers of a cache
APART = {**MARIAN, "decoder_vocab_size": 71, "share_encoder_decoder_embeddings": False}
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
    Case("blenderbot-small", "BlenderbotSmallForConditionalGeneration", {**BART, "scale_embedding": True}),
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
    Case("t5-text", "T5ForSequenceClassification", {**T5, "num_labels": 3}, factor=0.5),
    Case("t5-tokens", "T5ForTokenClassification", {**T5, "num_labels": 5}, factor=0.5),
    Case("t5-span", "T5ForQuestionAnswering", T5, factor=0.5),
    Case("mt5", "MT5ForConditionalGeneration", T5, factor=0.5),
    Case("mt5-without-head", "MT5Model", T5, factor=0.5, traced=False),
    Case("mt5-encoder", "MT5EncoderModel", T5, factor=0.5, traced=False),
    Case("mt5-text", "MT5ForSequenceClassification", {**T5, "num_labels": 3}, factor=0.5, traced=False),
    Case("mt5-tokens", "MT5ForTokenClassification", {**T5, "num_labels": 5}, factor=0.5, traced=False),
    Case("mt5-span", "MT5ForQuestionAnswering", T5, factor=0.5, traced=False),
    Case("umt5", "UMT5ForConditionalGeneration", T5, factor=0.5),
    Case("umt5-without-head", "UMT5Model", T5, factor=0.5),
    Case("umt5-encoder", "UMT5EncoderModel", T5, factor=0.5, traced=False),
    Case("umt5-text", "UMT5ForSequenceClassification", {**T5, "num_labels": 3}, factor=0.5, traced=False),
    Case("umt5-tokens", "UMT5ForTokenClassification", {**T5, "num_labels": 5}, factor=0.5, traced=False),
    Case("umt5-span", "UMT5ForQuestionAnswering", T5, factor=0.5, traced=False),
    Case("bart-text", "BartForSequenceClassification", {**BART, "num_labels": 3}),
    Case("bart-span", "BartForQuestionAnswering", BART),
    Case("bart-decoder", "BartForCausalLM", ALONE),
    Case("mbart-text", "MBartForSequenceClassification", {**BART, "num_labels": 3}, traced=False),
    Case("mbart-span", "MBartForQuestionAnswering", BART, traced=False),
    Case("mbart-decoder", "MBartForCausalLM", ALONE, traced=False),
    Case("plbart-text", "PLBartForSequenceClassification", {**BART, "num_labels": 3}, traced=False),
    Case("plbart-decoder", "PLBartForCausalLM", ALONE, traced=False),
    Case("mvp-text", "MvpForSequenceClassification", {**BART, "num_labels": 3}, traced=False),
    Case("mvp-span", "MvpForQuestionAnswering", BART, traced=False),
    Case("mvp-decoder", "MvpForCausalLM", ALONE, traced=False),
    Case("marian-apart", "MarianMTModel", APART, waves=True),
    Case("marian-apart-without-head", "MarianModel", APART, waves=True, traced=False),
    Case("marian-untied", "MarianMTModel", {**APART, "tie_word_embeddings": False}, waves=True, traced=False),
    Case("marian-decoder", "MarianForCausalLM", {**MARIAN, "encoder_layers": 3}, waves=True),
    Case("pegasus-decoder", "PegasusForCausalLM", ALONE, traced=False),
    Case("blenderbot-decoder", "BlenderbotForCausalLM", ALONE, traced=False),
    Case("blenderbot-small-decoder", "BlenderbotSmallForCausalLM", {**ALONE, "scale_embedding": True}, traced=False),
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
REPORTED = [case for case in CASES if case.name in ("t5", "bart")]
"""Of which torch's reports of a generation are recorded."""
REPORT = {
    "return_dict_in_generate": True,
    **{f"output_{name}": True for name in ("scores", "logits", "attentions", "hidden_states")},
}


def reported(value: Any) -> Any:
    """The shapes in a report."""
    return [reported(part) for part in value] if isinstance(value, tuple) else list(value.shape)


def inputs(case: Case) -> dict[str, np.ndarray]:
    """Sources [3, 13] whole, padded on the right and on the left; what decoders read of them and shall say [3, 6].

    Of heads of one text labels in its place; where ends count, two a row. A decoder alone counts places behind padding
    on the left otherwise than torch's, so there is none.
    """
    rng = np.random.RandomState(0)
    mask = np.ones((3, 13), np.int32)
    mask[1, 9:] = mask[2, :4] = 0
    pad = case.config.get("pad_token_id", 0)
    found = {"input_ids": np.where(mask == 1, rng.randint(5, 66, mask.shape), pad).astype(np.int32)}
    found |= {"attention_mask": mask, "decoder_input_ids": rng.randint(5, 66, (3, 6)).astype(np.int32)}
    labels = rng.randint(5, 66, (3, 6)).astype(np.int32)
    labels[1, 4:] = -100
    found["labels"] = labels
    found |= {name: np.asarray(rows, np.int32) for name, rows in case.beside.items()}
    source = {"input_ids": found["input_ids"], "attention_mask": mask}
    match case.head:
        case "ForSequenceClassification":
            source["input_ids"][[[0], [1], [2]], [[5, 12], [3, 8], [4, 9]]] = case.config.get("eos_token_id", 1)
            return source | {"labels": np.array([2, 0, 1], np.int32)}
        case "ForTokenClassification":
            return source | {"labels": np.where(mask == 1, rng.randint(0, 5, mask.shape), -100).astype(np.int32)}
        case "ForQuestionAnswering":
            places = {"start_positions": [2, 20, 9], "end_positions": [4, 5, 11]}
            return source | {name: np.array(value, np.int32) for name, value in places.items()}
        case "ForCausalLM":
            source["input_ids"][2, :4] = [7, 8, 9, 10]
            mask[2] = 1
            return source | {"labels": np.where(mask == 1, source["input_ids"], -100)}
    return found


def prompts(case: Case) -> dict[str, np.ndarray]:
    """What `generate` reads: the sources, or of a decoder alone the starts of the whole rows."""
    given = inputs(case)
    if case.head == "ForCausalLM":
        return {name: given[name][[0, 2], :6] for name in ("input_ids", "attention_mask")}
    return {name: given[name] for name in case.source}


def options(case: Case) -> Mapping[str, Mapping[str, Any]]:
    """What of OPTIONS is asked of a class."""
    return {name: OPTIONS[name] for name in ("greedy", "beams")} if case.head == "ForCausalLM" else OPTIONS


def starting(cases: Iterable[Case]) -> list[Case]:
    """A case a class, with one layer a side, of which is compared how random models start; of twins one."""
    first: dict[str, Case] = {}
    for case in cases:
        if not case.cls.startswith(("MT5", "PLBart", "Mvp", "XLMProphetNet", "EncoderDecoder")):
            first.setdefault(case.cls, case)
    one = dict.fromkeys(("num_layers", "num_encoder_layers", "num_decoder_layers"), 1)
    one |= {"encoder_layers": 1, "decoder_layers": 1, "attention_window": 4}
    shallow = lambda config: {name: one.get(name, value) for name, value in config.items()}  # noqa: E731
    return [dataclasses.replace(case, config=shallow(case.config)) for case in first.values()]
