"""Decoders with experts in some of their layers: feed-forward arrays and networks as a config says."""

from __future__ import annotations

from typing import Any

from .. import declare
from . import experts
from .decoder import Feed, gated
from .decoder_arrays import gate_up_down


def every_nth(c: Any, shared: declare.Tree) -> list[declare.Tree]:
    """The feed-forward arrays of each layer, given those that stand beside experts: each decoder_sparse_step-th has
    these, unless it is of mlp_only_layers.
    """
    d, count = c.hidden_size, c.num_experts
    each = experts.one_by_one(count, d, c.moe_intermediate_size, "experts.{}")
    sparse = declare.under("mlp", {"router": experts.router(d, count, "gate"), "experts": each, **shared})
    dense, alone = gate_up_down(d, c.intermediate_size), c.mlp_only_layers or ()
    return [dense if i in alone or (i + 1) % c.decoder_sparse_step else sparse for i in range(c.num_hidden_layers)]


def routed(c: Any, *beside: Feed) -> Feed:
    """The feed-forward network of a layer with experts, or without, and what is added to what experts give."""
    chosen = experts.best(c.num_experts_per_tok, normalised=c.norm_topk_prob)
    mixture = experts.mixture(chosen, experts.halves(c.hidden_act))
    return experts.sparse_or_dense(experts.together(mixture, *beside), gated(c.hidden_act))


def after_first(c: Any, correction: declare.Tree) -> list[declare.Tree]:
    """The feed-forward arrays of each layer: one network in the first first_k_dense_replace, then experts beside shared
    ones, whose router has `correction` beside its weight.
    """
    d, count, inner = c.hidden_size, c.n_routed_experts, c.moe_intermediate_size
    sparse = {
        "router": experts.router(d, count, "gate") | correction,
        "experts": experts.one_by_one(count, d, inner, "experts.{}"),
        "shared": gate_up_down(d, inner * c.n_shared_experts, prefix="shared_experts"),
    }
    kinds = (gate_up_down(d, c.intermediate_size), declare.under("mlp", sparse))
    return [kinds[i >= c.first_k_dense_replace] for i in range(c.num_hidden_layers)]


def beside_shared(c: Any, route: experts.Route) -> Feed:
    """The feed-forward network of a layer: one, or experts beside those for all."""
    one = gated(c.hidden_act)
    mixture = experts.mixture(route, experts.halves(c.hidden_act))
    return experts.sparse_or_dense(experts.together(mixture, lambda p, x, sites: one(p["shared"], x, sites)), one)
