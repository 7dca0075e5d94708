"""What fairseq's decoders share (Ott et al. 2019, arXiv 1904.01038): positions that begin late, names of a layer."""

from __future__ import annotations

from typing import Any

from .. import declare
from .decoder_arrays import projections

OFFSET = 2
"""Rows of fairseq's tables of positions before the first token's."""
EPSILON = 1e-5
"""Of the norms of fairseq's decoders."""


def layer_arrays(c: Any, inner: int, *, bias: bool = True) -> declare.Tree:
    """A layer's arrays under fairseq's names."""
    d, count, names = c.hidden_size, c.num_attention_heads, ("q_proj", "k_proj", "v_proj", "out_proj")
    return {
        **projections(d, count, count, d // count, names=names, bias=bias, out_bias=bias),
        "attention_norm": declare.layer_norm(d, "self_attn_layer_norm"),
        "up": declare.linear(d, inner, "fc1", ("embed", "mlp"), bias=bias),
        "down": declare.linear(inner, d, "fc2", ("mlp", "embed"), bias=bias),
        "ffn_norm": declare.layer_norm(d, "final_layer_norm"),
    }
