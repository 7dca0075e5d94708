"""The arrays of decoders, under the names that most files use: dense layers, norms of heads, a layer and a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import declare
from .attention import QKV
from .gqa import head_dim, kv_heads


def projections(
    d: int,
    heads: int,
    keys: int,
    width: int,
    *,
    prefix: str = "self_attn",
    names: Sequence[str] = ("q_proj", "k_proj", "v_proj", "o_proj"),
    bias: bool = False,
    out_bias: bool = False,
) -> declare.Tree:
    """Arrays of attention with `heads` heads of queries and `keys` of keys and values, `width` numbers each."""
    sizes = zip(QKV, names[:3], (heads, keys, keys), ("heads", "kv_heads", "kv_heads"), strict=True)
    tree = {
        ours: declare.linear(d, count * width, name, ("embed", axis), bias=bias, heads=count)
        for ours, name, count, axis in sizes
    }
    out = {"out": declare.linear(heads * width, d, names[3], ("heads", "embed"), bias=out_bias, heads=heads)}
    return declare.under(prefix, declare.together("qkv", tree) | out)


def gate_up_down(
    d: int,
    inner: int,
    *,
    prefix: str = "mlp",
    names: Sequence[str] = ("gate_proj", "up_proj", "down_proj"),
    bias: bool = False,
) -> declare.Tree:
    """Arrays of a gated feed-forward network."""
    gate, up, down = names
    opened = {
        "gate": declare.linear(d, inner, gate, ("embed", "mlp"), bias=bias),
        "up": declare.linear(d, inner, up, ("embed", "mlp"), bias=bias),
    }
    tree = declare.together("gate_up", opened) | {"down": declare.linear(inner, d, down, ("mlp", "embed"), bias=bias)}
    return declare.under(prefix, tree)


def up_down(
    d: int,
    inner: int,
    *,
    prefix: str = "mlp",
    names: Sequence[str] = ("up_proj", "down_proj"),
    bias: bool = False,
    residual: declare.Init | None = None,
) -> declare.Tree:
    """Arrays of a feed-forward network without a gate. residual: how what is added to the residual starts."""
    up, down = names
    tree = {
        "up": declare.linear(d, inner, up, ("embed", "mlp"), bias=bias),
        "down": declare.linear(inner, d, down, ("mlp", "embed"), bias=bias, init=residual),
    }
    return declare.under(prefix, tree)


def fused_gate_up(d: int, inner: int) -> declare.Tree:
    """Arrays of a gated feed-forward network whose files hold gate and up as one."""
    return {
        "gate_up": declare.linear(d, 2 * inner, "mlp.gate_up_proj", ("embed", "mlp"), bias=False),
        "down": declare.linear(inner, d, "mlp.down_proj", ("mlp", "embed"), bias=False),
    }


def head_norms(
    c: Any,
    norm: Callable[..., declare.Tree] = declare.rms_norm,
    names: tuple[str, str] = ("q_norm", "k_norm"),
) -> declare.Tree:
    """Norms of queries and of keys, which all heads share."""
    query, key = (norm(head_dim(c), f"self_attn.{name}", axis=None) for name in names)
    return {"query_norm": query, "key_norm": key}


def joint_head_norms(c: Any) -> declare.Tree:
    """Norms of queries and of keys over all heads together."""
    return {
        "query_norm": declare.rms_norm(c.num_attention_heads * head_dim(c), "self_attn.q_norm", "heads"),
        "key_norm": declare.rms_norm(kv_heads(c) * head_dim(c), "self_attn.k_norm", "kv_heads"),
    }


def attention_arrays(c: Any) -> declare.Tree:
    """Arrays of a layer with norms before both halves, but those of its feed-forward network."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    return {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
    }


def layer_arrays(c: Any) -> declare.Tree:
    """Arrays of a layer with norms before both halves and a gated feed-forward network."""
    return attention_arrays(c) | gate_up_down(c.hidden_size, c.intermediate_size, bias=c.mlp_bias)


def model_arrays(c: Any, layer: declare.Tree) -> declare.Tree:
    """The model's arrays, given those of a layer."""
    return {
        "word": declare.embedding(c.vocab_size, c.hidden_size, "embed_tokens", "vocab", zero_row=c.pad_token_id),
        "layers": declare.repeat(c.num_hidden_layers, "layers.{}", layer),
        "final_norm": declare.rms_norm(c.hidden_size, "norm"),
    }
