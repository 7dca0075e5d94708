"""From the metadata of a GGUF file to what config.json on the Hub says of the same model.

One table tells which key is which field; what llama.cpp knows by an architecture's name, by the presence of a tensor or
by a tensor of rotary factors is worked out below it. Facts: llama.cpp's converter and its loader.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import hub
from .header import Header, read

logger = logging.getLogger(__name__)

Fields = dict[str, Any]


@dataclass(frozen=True)
class _Architecture:
    """What llama.cpp calls an architecture, on the Hub.

    Attributes:
        model_type, model: in config.json, the latter in its `architectures`.
        fields: key without the architecture's name in front → field.
        more: further fields, from the header and those that are known already.
    """

    model_type: str
    model: str
    fields: Mapping[str, str]
    more: tuple[Callable[[Header, Fields], Fields], ...] = ()


def read_config(source: hub.Source) -> Fields:
    """The fields of config.json of the model in the file that `source.gguf_file` names.

    Keys of the architecture that have no effect here are named in one warning.

    Raises:
        OSError: a file is absent or cannot be read.
        ValueError: it is damaged, or as `config`.
    """
    header = read(source)
    fields = config(header)
    fields |= _special(header, fields["vocab_size"])
    name, architecture = _architecture(header)
    known = _HARMLESS | architecture.fields.keys()
    strange = [key for key in header if key.startswith(f"{name}.") and key.removeprefix(f"{name}.") not in known]
    if strange:
        logger.warning("%s: keys without effect here: %s", source, ", ".join(map(repr, sorted(strange)[:20])))
    return fields


def config(header: Header) -> Fields:
    """The fields of config.json that say what the model computes.

    Raises:
        ValueError: an architecture that is not known here, a field of a wrong type, or none where one is needed.
    """
    where = header.files[0]
    name, architecture = _architecture(header)
    if header.flag(f"{name}.attention.causal") is False:
        raise ValueError(f"{where}: {name}.attention.causal is false: GGUF files of decoders only are read")
    layers = {match[1] for tensor in header.tensors if (match := re.match(r"blk\.(\d+)\.", tensor))}
    if (said := header.whole(f"{name}.block_count")) != len(layers):
        raise ValueError(f"{where}: {name}.block_count is {said}, but there are tensors of {len(layers)} layers")
    fields: Fields = {"model_type": architecture.model_type, "architectures": [architecture.model]}
    for key, field in architecture.fields.items():
        value = _number(header, f"{name}.{key}")
        if value is not None:
            fields[field] = value
        elif key not in _OPTIONAL:
            raise ValueError(f"{where}: {name}.{key} is missing")
    table = header.tensors.get("token_embd.weight")
    if table is None:
        raise ValueError(f"{where}: no token_embd.weight in it: it is no whole language model")
    fields |= {"vocab_size": table.shape[0], "tie_word_embeddings": "output.weight" not in header.tensors}
    for more in architecture.more:
        fields |= more(header, fields)
    return fields


def _architecture(header: Header) -> tuple[str, _Architecture]:
    """What the file calls the architecture, and what that is.

    Raises:
        ValueError: it is not known here, or there are no tensors of it.
    """
    where = header.files[0]
    if not header.tensors:
        raise ValueError(f"{where}: no tensors in it: a vocabulary alone is no model")
    name = header.text("general.architecture")
    if name is None:
        raise ValueError(f"{where}: general.architecture is missing: which model is it?")
    found = _ARCHITECTURES.get(f"{name} with experts" if header.whole(f"{name}.expert_count") else name)
    found = found or _ARCHITECTURES.get(name)
    if found is None:
        known = ", ".join(name for name in _ARCHITECTURES if " " not in name)
        raise ValueError(f"{where}: the architecture {name!r:.80} is not read from GGUF; known are {known}")
    return name, found


# Where these are not in the file, the defaults of the architecture count, which are the same there and on the Hub.
_OPTIONAL = frozenset(
    "attention.head_count_kv rope.freq_base attn_logit_softcapping final_logit_softcapping expert_used_count".split()
)

# Keys that say nothing that the tensors' shapes do not, or that are read below.
_HARMLESS = frozenset(
    """
    vocab_size attention.causal attention.key_length attention.value_length attention.key_length_swa
    attention.value_length_swa attention.sliding_window attention.sliding_window_pattern rope.dimension_count
    rope.dimension_count_swa rope.freq_base_swa rope.scaling.type rope.scaling.factor rope.scale_linear
    rope.scaling.original_context_length rope.scaling.attn_factor rope.scaling.finetuned rope.scaling.yarn_ext_factor
    rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow use_parallel_residual
    tensor_data_layout expert_count expert_used_count expert_feed_forward_length expert_shared_feed_forward_length
    pooling_type classifier.output_labels block_count context_length embedding_length feed_forward_length
    """.split()
)


def _number(header: Header, key: str) -> int | float | None:
    """A number; or the one number of which a list consists, as files have it that allow for one a layer."""
    try:
        return header.real(key)
    except ValueError as error:
        try:
            values = header.numbers(key)
        except ValueError:
            raise error from None
        if values is None or len(set(values.tolist())) != 1:
            raise ValueError(f"{header.files[0]}: {key} differs from layer to layer, which is not read here") from None
        return values[0].item()


def _special(header: Header, words: int) -> Fields:
    """The ids of special tokens, of which several may end a text; those outside the vocabulary mean none."""
    fields: Fields = {}
    for role, key in _ROLES.items():
        index = header.whole(f"tokenizer.ggml.{key}_token_id")
        if index is not None and 0 <= index < words:
            fields[f"{role}_token_id"] = index
    ends = [fields["eos_token_id"]] if "eos_token_id" in fields else []
    ends += [index for index in dict.fromkeys(_turn_ends(header)) if 0 <= index < words and index not in ends]
    if len(ends) > 1:
        fields["eos_token_id"] = ends
    return fields


_ROLES = {"bos": "bos", "eos": "eos", "pad": "padding"}

_CONTROL = 3
_TURN_ENDS = ("<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>")


def _turn_ends(header: Header) -> list[int]:
    """Ids at which an answer is over besides the end of the text: said by keys, or known by name in files for chats."""
    said = [header.whole(f"tokenizer.ggml.{key}_token_id") for key in ("eot", "eom")]
    found = [index for index in said if index is not None]
    if "tokenizer.chat_template" not in header:
        return found
    named = header.indices("tokenizer.ggml.tokens", _TURN_ENDS)
    kinds = header.numbers("tokenizer.ggml.token_type")
    control = [] if kinds is None else np.flatnonzero(kinds == _CONTROL).tolist()
    return found + [named[token] for token in _TURN_ENDS if named.get(token) in control]


def _name(header: Header, key: str) -> str:
    return f"{header.text('general.architecture')}.{key}"


def _need(header: Header, fields: Fields, *names: str) -> list[int]:
    """Fields that must be there, as whole numbers above 0."""
    for name in names:
        if type(fields.get(name)) is not int or fields[name] < 1:
            raise ValueError(f"{header.files[0]}: {name} is {fields.get(name)!r:.40}, expected a whole number above 0")
    return [fields[name] for name in names]


def _key_heads(header: Header, fields: Fields) -> Fields:
    """As many key heads as heads, unless said."""
    (heads,) = _need(header, fields, "num_attention_heads")
    return {"num_key_value_heads": fields.get("num_key_value_heads", heads)}


def _head_dim(header: Header, fields: Fields) -> Fields:
    """The width of a head."""
    width, heads = _need(header, fields, "hidden_size", "num_attention_heads")
    return {"head_dim": header.whole(_name(header, "attention.key_length")) or width // heads}


def _rotated(header: Header, fields: Fields) -> Fields:
    """The part of a head that is rotated."""
    width, heads = _need(header, fields, "hidden_size", "num_attention_heads")
    rotated = header.whole(_name(header, "rope.dimension_count"))
    return {} if rotated is None else {"partial_rotary_factor": rotated * heads / width}


def _scaled(header: Header, fields: Fields) -> Fields:
    """How rotary positions are stretched: `rope_scaling`.

    Llama 3's way is in the file as one factor per pair only. Where its rule with its usual numbers gives these factors,
    the rule is written; else the factors themselves, as those of "longrope", which mean the same at any length.
    """
    width = fields.get("head_dim") or fields["hidden_size"] // fields["num_attention_heads"]
    rotated = header.whole(_name(header, "rope.dimension_count"))
    if rotated not in (None, width):
        raise ValueError(f"{header.files[0]}: heads are {width} wide, of which {rotated} are rotated: not read here")
    if "rope_freqs.weight" in header.tensors:
        factors = header.floats("rope_freqs.weight")
        if set(factors) == {1.0}:
            return {}
        rule = {"factor": max(factors), "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rule["original_max_position_embeddings"] = 8192
        if np.allclose(factors, _llama3(len(factors), fields.get("rope_theta", 10000.0), **rule), rtol=1e-4):
            return {"rope_scaling": {"rope_type": "llama3", **rule}}
        both = {f"{length}_factor": factors for length in ("short", "long")}
        fixed = {"factor": 1.0, "attention_factor": 1.0}
        return {"rope_scaling": {"rope_type": "longrope", **both, **fixed}}
    kind = header.text(_name(header, "rope.scaling.type"))
    factor = header.real(_name(header, "rope.scaling.factor")) or header.real(_name(header, "rope.scale_linear"))
    if factor is None or kind in ("none", "longrope"):
        return {}
    scaling: Fields = {"rope_type": kind or "linear", "factor": factor}
    if kind == "yarn":
        for field, key in _YARN.items():
            value = header.real(_name(header, f"rope.scaling.{key}"))
            if value is not None:
                scaling[field] = value
    return {"rope_scaling": scaling}


_YARN = {
    "original_max_position_embeddings": "original_context_length",
    "attention_factor": "yarn_attn_factor",
    "beta_fast": "yarn_beta_fast",
    "beta_slow": "yarn_beta_slow",
}


def _llama3(
    pairs: int,
    theta: float,
    *,
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    original_max_position_embeddings: float,
) -> np.ndarray:
    """By how much Llama 3.1 slows each pair of dimensions down, [pairs]: long waves by `factor`, short ones not."""
    with np.errstate(all="ignore"):  # whatever theta is in the file
        waves = 2 * math.pi * np.power(float(theta), np.arange(pairs) / pairs)
        turns = original_max_position_embeddings / waves
        smooth = np.clip((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), 0, 1)
        return 1 / ((1 - smooth) / factor + smooth)


def _biases(header: Header, fields: Fields) -> Fields:
    biased = "blk.0.attn_q.bias" in header.tensors
    return {"attention_bias": biased, "mlp_bias": "blk.0.ffn_up.bias" in header.tensors}


def _shape(header: Header, name: str, axis: int) -> int | None:
    entry = header.tensors.get(name)
    return None if entry is None or len(entry.shape) <= -axis - 1 else entry.shape[axis]


def _experts(header: Header, fields: Fields) -> Fields:
    """Qwen's experts, all of one width, and the one that all tokens share."""
    widths = {
        "moe_intermediate_size": _shape(header, "blk.0.ffn_gate_exps.weight", -2),
        "shared_expert_intermediate_size": _shape(header, "blk.0.ffn_gate_shexp.weight", -2),
    }
    return {field: width for field, width in widths.items() if width is not None}


def _softcaps(header: Header, fields: Fields) -> Fields:
    """Gemma 2: queries are scaled by the head's width, but in the largest model by the share of the hidden width."""
    layers, width, heads = _need(header, fields, "num_hidden_layers", "hidden_size", "num_attention_heads")
    window = header.whole(_name(header, "attention.sliding_window"))
    scale = width // heads if layers == 46 else fields["head_dim"]
    return {"query_pre_attn_scalar": scale, **({} if window is None else {"sliding_window": window})}


def _gemma3(header: Header, fields: Fields) -> Fields:
    """Gemma 3: five layers of six look back by a window only, unless the file says which."""
    layers, width, heads = _need(header, fields, "num_hidden_layers", "hidden_size", "num_attention_heads")
    more: Fields = {"query_pre_attn_scalar": width // heads if layers == 62 else fields["head_dim"]}
    local = header.real(_name(header, "rope.freq_base_swa"))
    if local is not None:
        more["rope_local_base_freq"] = local
    window = header.whole(_name(header, "attention.sliding_window"))
    pattern = _pattern(header, layers)
    if not window:
        return {**more, "layer_types": ["full_attention"] * layers}
    more["sliding_window"] = window
    return more | ({} if pattern is None else {"layer_types": pattern})


def _pattern(header: Header, layers: int) -> list[str] | None:
    """The kind of attention of each layer: in the file as a flag a layer, or as the period with one full layer."""
    key = _name(header, "attention.sliding_window_pattern")
    if key not in header:
        return None
    try:
        period = header.whole(key) or layers + 1
        sliding = [(layer + 1) % period != 0 for layer in range(layers)]
    except ValueError:
        flags = header.numbers(key)
        sliding = [] if flags is None else flags.astype(bool).tolist()
        if len(sliding) != layers:
            raise ValueError(f"{header.files[0]}: {key} speaks of {len(sliding)} layers of {layers}") from None
    return ["sliding_attention" if slides else "full_attention" for slides in sliding]


def _phi3(header: Header, fields: Fields) -> Fields:
    """Phi-3: factors for short and for long texts, and a window that is 0 where there is none."""
    more: Fields = {"sliding_window": header.whole(_name(header, "attention.sliding_window")) or None}
    before = header.whole(_name(header, "rope.scaling.original_context_length"))
    if before is not None:
        more["original_max_position_embeddings"] = before
    names = {length: f"rope_factors_{length}.weight" for length in ("short", "long")}
    if all(name in header.tensors for name in names.values()):
        factors = {f"{length}_factor": header.floats(name) for length, name in names.items()}
        more["rope_scaling"] = {"type": "longrope", **factors}
    return more


def _starcoder2(header: Header, fields: Fields) -> Fields:
    return {"use_bias": "blk.0.attn_q.bias" in header.tensors}


def _stablelm(header: Header, fields: Fields) -> Fields:
    return {
        "use_qkv_bias": "blk.0.attn_q.bias" in header.tensors,
        "qk_layernorm": "blk.0.attn_q_norm.weight" in header.tensors,
        "use_parallel_residual": "blk.0.ffn_norm.weight" not in header.tensors,
    }


def _gpt2(header: Header, fields: Fields) -> Fields:
    inner, width = fields.get("n_inner"), fields.get("n_embd")
    return {"n_inner": None} if type(width) is int and inner == 4 * width else {}


def _falcon(header: Header, fields: Fields) -> Fields:
    """Falcon: the older kind has one key head for all, the newer groups of heads, with one norm or two before them."""
    (keys,) = _need(header, {"num_kv_heads": fields.get("num_kv_heads", 1)}, "num_kv_heads")
    norms = 2 if "blk.0.attn_norm_2.weight" in header.tensors else 1
    new = norms == 2 or keys > 1
    return {
        "num_kv_heads": keys,
        "multi_query": not new,
        "new_decoder_architecture": new,
        **({"num_ln_in_parallel_attn": norms} if new else {}),
        "parallel_attn": True,
        "alibi": False,
        "bias": "blk.0.attn_qkv.bias" in header.tensors,
    }


_SIZES = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "rope.freq_base": "rope_theta",
}
_RMS = _SIZES | {"attention.layer_norm_rms_epsilon": "rms_norm_eps"}
_USED = {"expert_used_count": "num_experts_per_tok"}
_CAPS = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}

# By the name in general.architecture; "with experts" where expert_count is above 0 and this is another architecture.
_ARCHITECTURES: Mapping[str, _Architecture] = {
    "llama": _Architecture("llama", "LlamaForCausalLM", _RMS, (_key_heads, _head_dim, _biases, _scaled)),
    "llama with experts": _Architecture(
        "mixtral",
        "MixtralForCausalLM",
        _RMS | _USED | {"expert_count": "num_local_experts"},
        (_key_heads, _head_dim, _scaled),
    ),
    "qwen2": _Architecture("qwen2", "Qwen2ForCausalLM", _RMS, (_key_heads, _scaled)),
    "qwen2moe": _Architecture(
        "qwen2_moe",
        "Qwen2MoeForCausalLM",
        _RMS | _USED | {"expert_count": "num_experts"},
        (_key_heads, _experts, _scaled),
    ),
    "qwen3": _Architecture("qwen3", "Qwen3ForCausalLM", _RMS, (_key_heads, _head_dim, _scaled)),
    "qwen3moe": _Architecture(
        "qwen3_moe",
        "Qwen3MoeForCausalLM",
        _RMS | _USED | {"expert_count": "num_experts"},
        (_key_heads, _head_dim, _experts, _scaled, lambda header, fields: {"norm_topk_prob": True}),
    ),
    "gemma": _Architecture("gemma", "GemmaForCausalLM", _RMS, (_key_heads, _head_dim)),
    "gemma2": _Architecture("gemma2", "Gemma2ForCausalLM", _RMS | _CAPS, (_key_heads, _head_dim, _softcaps)),
    "gemma3": _Architecture(
        "gemma3_text", "Gemma3ForCausalLM", _RMS | _CAPS, (_key_heads, _head_dim, _gemma3, _scaled)
    ),
    "phi3": _Architecture("phi3", "Phi3ForCausalLM", _RMS, (_key_heads, _rotated, _phi3)),
    "starcoder2": _Architecture(
        "starcoder2",
        "Starcoder2ForCausalLM",
        _SIZES | {"attention.layer_norm_epsilon": "norm_epsilon"},
        (_key_heads, _starcoder2, _scaled),
    ),
    "stablelm": _Architecture(
        "stablelm",
        "StableLmForCausalLM",
        _SIZES | {"attention.layer_norm_epsilon": "layer_norm_eps"},
        (_key_heads, _rotated, _stablelm),
    ),
    "gpt2": _Architecture(
        "gpt2",
        "GPT2LMHeadModel",
        {
            "context_length": "n_positions",
            "block_count": "n_layer",
            "embedding_length": "n_embd",
            "feed_forward_length": "n_inner",
            "attention.head_count": "n_head",
            "attention.layer_norm_epsilon": "layer_norm_epsilon",
        },
        (_gpt2,),
    ),
    "falcon": _Architecture(
        "falcon",
        "FalconForCausalLM",
        _SIZES
        | {
            "attention.layer_norm_epsilon": "layer_norm_epsilon",
            "attention.head_count_kv": "num_kv_heads",
            "feed_forward_length": "ffn_hidden_size",
        },
        (_falcon,),
    ),
}
