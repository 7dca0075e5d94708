"""What llama.cpp calls the tensors of an architecture, and how it lays them out, against the checkpoints on the Hub.

Tables by `model_type`. The tests hold them against files that llama.cpp's own converter wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Layout = Literal["same", "pairs", "groups", "turned", "one_less", "each", "row"]
"""How a tensor of the file becomes the Hub's:
same: it is;
pairs: rows of each head, of which the file has those of a rotated pair side by side, the Hub in two halves;
groups: rows of a fused projection, of which the file has all queries, keys and values together, the Hub by key head;
turned: axes swapped;
one_less: norms to which the Hub's models add one themselves;
each: what the file stacks is one tensor each, numbered in the name;
row: a vector is a matrix of one row."""


@dataclass(frozen=True)
class Place:
    """Where a tensor goes: the Hub's name up to ".weight" or ".bias", and how to get it there."""

    name: str
    layout: Layout = "same"


@dataclass(frozen=True)
class Names:
    """The names of one architecture.

    Attributes:
        layers: what the Hub puts before a layer's names.
        layer: names within a layer, without the file's "blk.0.".
        outside: the others.
    """

    layers: str
    layer: Mapping[str, Place]
    outside: Mapping[str, Place]

    def place(self, name: str) -> Place:
        """Where a tensor of the file goes, with its whole name; one that is not known keeps its own."""
        stem, _, part = name.rpartition(".")
        inside = re.fullmatch(r"blk\.(\d{1,4})\.(.+)", stem)
        number, stem = inside.groups() if inside else ("", stem)
        found = (self.layer if inside else self.outside).get(stem)
        if found is None and (expert := re.fullmatch(r"(ffn_\w+)\.(\d{1,4})", stem)):  # older files do not stack them
            stacked = self.layer.get(f"{expert[1]}_exps")
            found = stacked and Place(stacked.name.format(expert[2]))
        if found is None or part not in ("weight", "bias"):
            return Place(name)
        prefix = f"{self.layers}.{number}." if inside else ""
        return Place(f"{prefix}{found.name}.{part}", found.layout)


def _places(names: Mapping[str, str], layouts: Mapping[str, Layout] = {}) -> dict[str, Place]:
    return {stem: Place(name, layouts.get(stem, "same")) for stem, name in names.items()}


_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_GATED = {
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_PLAIN = {"ffn_norm": "post_attention_layernorm", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
_AROUND = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_QWEN_EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{}.gate_proj",
    "ffn_up_exps": "mlp.experts.{}.up_proj",
    "ffn_down_exps": "mlp.experts.{}.down_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
_MIXTRAL_EXPERTS = {
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{}.w1",
    "ffn_down_exps": "block_sparse_moe.experts.{}.w2",
    "ffn_up_exps": "block_sparse_moe.experts.{}.w3",
}
_GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
_GPT2_OUTSIDE = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
_FALCON = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attention.query_key_value",
    "attn_output": "self_attention.dense",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}
_FALCON_OUTSIDE = {
    "token_embd": "transformer.word_embeddings",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
_PHI3 = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
_STABLELM = {"attn_q_norm": "self_attn.q_layernorm.norms.{}", "attn_k_norm": "self_attn.k_layernorm.norms.{}"}

_PAIRS: Mapping[str, Layout] = {"attn_q": "pairs", "attn_k": "pairs"}
_EACH: Mapping[str, Layout] = dict.fromkeys(("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"), "each")
_TURNED: Mapping[str, Layout] = dict.fromkeys(("attn_qkv", "attn_output", "ffn_up", "ffn_down"), "turned")


def _llama(layer: Mapping[str, str], layouts: Mapping[str, Layout] = {}) -> Names:
    return Names("model.layers", _places(layer, layouts), _places(_OUTSIDE))


def _gemma(layer: Mapping[str, str]) -> Names:
    """All norms, inside layers and out, are kept less one."""
    norms: dict[str, Layout] = {stem: "one_less" for stem in (*layer, *_OUTSIDE) if stem.endswith("norm")}
    return Names("model.layers", _places(layer, norms), _places(_OUTSIDE, norms))


NAMES: Mapping[str, Names] = {
    "llama": _llama(_ATTENTION | _GATED, _PAIRS),
    "mixtral": _llama(_ATTENTION | _MIXTRAL_EXPERTS, {**_PAIRS, **_EACH}),
    "qwen2": _llama(_ATTENTION | _GATED),
    "qwen2_moe": _llama(_ATTENTION | _GATED | _QWEN_EXPERTS, {**_EACH, "ffn_gate_inp_shexp": "row"}),
    "qwen3": _llama(_ATTENTION | _HEAD_NORMS | _GATED),
    "qwen3_moe": _llama(_ATTENTION | _HEAD_NORMS | _GATED | _QWEN_EXPERTS, _EACH),
    "gemma": _gemma(_ATTENTION | _GATED),
    "gemma2": _gemma(_ATTENTION | _GATED | _AROUND),
    "gemma3_text": _gemma(_ATTENTION | _HEAD_NORMS | _GATED | _AROUND),
    "phi3": _llama(_PHI3),
    "starcoder2": _llama(_ATTENTION | _PLAIN),
    "stablelm": _llama(_ATTENTION | _GATED | _STABLELM, {"attn_q_norm": "each", "attn_k_norm": "each"}),
    "gpt2": Names("transformer.h", _places(_GPT2, _TURNED), _places(_GPT2_OUTSIDE)),
    "falcon": Names("transformer.h", _places(_FALCON, {"attn_qkv": "groups"}), _places(_FALCON_OUTSIDE)),
}


def names_of(model_type: str, *, two_norms: bool = False) -> Names:
    """The names of an architecture; `two_norms`: Falcon's layers with one norm before each half."""
    names = NAMES[model_type]
    if not two_norms:
        return names
    norms = _places({"attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"})
    return Names(names.layers, {**names.layer, **norms}, names.outside)
