"""DeepSeek-V2 (DeepSeek-AI 2024, arXiv 2405.04434): keys and values of all heads come from a few numbers of a token, of
which positions turn a part that all heads share; many small networks, of which a router chooses some for each token
among the best groups of them, beside some that all tokens go to.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Between, Config, Depth, Epsilon, Repeats, Size
from ..layers import cache, experts, rotation
from ..layers.causal import Causal
from ..layers.decoder import Feed, Mix, Turn, decoded, gated, norms_first, root_mean_square
from ..layers.decoder_arrays import gate_up_down, model_arrays
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.linear import linear
from ..layers.norm import rms_norm
from ..layers.rotation import neighbours
from ..layers.run import Encoded
from ..network import Network
from ..sizes import RotarySizes

EPSILON = 1e-6
"""Of the norms within attention, whatever the others have."""
Further = Annotated[int, Between(0, 1024)]
"""A number of layers that guess further tokens."""


class Latent(RotarySizes):
    """Fields of both DeepSeeks, to be put before Config.

    q_lora_rank, kv_lora_rank: of how few numbers queries, and keys and values, are made; None: queries of all.
    qk_rope_head_dim: numbers of a head that positions turn; qk_nope_head_dim: the others; v_head_dim: those of values.
    first_k_dense_replace: layers that have one network; n_routed_experts: networks of the others, of which a token goes
    to num_experts_per_tok in topk_group of n_group groups; n_shared_experts: networks for all; moe_intermediate_size:
    width of each; routed_scaling_factor: on what routed ones give. num_nextn_predict_layers: layers behind the last, of
    which files hold arrays that nothing here computes with.
    """

    rms_norm_eps: Epsilon = 1e-6
    attention_bias: bool = False
    q_lora_rank: Size | None = 1536
    kv_lora_rank: Size = 512
    qk_rope_head_dim: Size = 64
    qk_nope_head_dim: Size = 128
    v_head_dim: Size = 128
    first_k_dense_replace: Depth = 0
    n_routed_experts: Repeats = 64
    n_shared_experts: Repeats = 2
    num_experts_per_tok: Repeats = 6
    moe_intermediate_size: Size = 1407
    n_group: Repeats | None = None
    topk_group: Repeats | None = None
    routed_scaling_factor: float = 1.0
    num_nextn_predict_layers: Further = 0

    ignores: ClassVar[Collection[str]] = (
        *RotarySizes.ignores,
        *("aux_loss_alpha", "ep_size", "output_router_logits", "qk_head_dim", "router_aux_loss_coef", "seq_aux"),
    )

    @property
    def unread(self) -> tuple[str, ...]:
        """Starts of the names of layers that guess further tokens."""
        return tuple(f"layers.{self.num_hidden_layers + i}." for i in range(self.num_nextn_predict_layers))

    @property
    def groups(self) -> tuple[int, int]:
        """How many groups of experts there are, and in how many of them those of a token are."""
        return self.n_group or 1, self.topk_group or 1

    def check(self) -> None:
        """All heads have keys, with pairs to rotate; and groups hold the experts of a token."""
        owner, heads = type(self).__name__, self.num_attention_heads
        if self.num_key_value_heads not in (None, heads):
            raise ValueError(f"{owner}: num_key_value_heads={self.num_key_value_heads} must be {heads}, as of queries")
        rotation.check(self, self.qk_rope_head_dim)
        experts.check(self, "n_routed_experts")
        (groups, kept), count = self.groups, self.n_routed_experts
        if count % groups or kept > groups or self.num_experts_per_tok > kept * (count // groups):
            raise ValueError(
                f"{owner}: n_routed_experts={count} must be a multiple of n_group={groups}, of which topk_group={kept} "
                f"hold num_experts_per_tok={self.num_experts_per_tok}"
            )


class DeepseekV2Config(
    Latent,
    Config,
    model_type="deepseek_v2",
    aliases={"num_experts": "n_routed_experts"},
    allowed={
        "mlp_bias": (False,),
        "norm_topk_prob": (False,),
        "scoring_func": ("softmax",),
        "topk_method": ("greedy", "group_limited_greedy"),
        "moe_layer_freq": (1,),
    },
):
    """Sizes and rates of a DeepSeek-V2; topk_method: experts are chosen among all, or among the best groups. The
    loss is that of the words alone, whatever aux_loss_alpha says.
    """

    topk_method: str = "greedy"

    @property
    def groups(self) -> tuple[int, int]:
        """One where experts are chosen among all."""
        return (1, 1) if self.topk_method == "greedy" else super().groups


def attention(c: Any) -> declare.Tree:
    """The arrays of a layer but those of its feed-forward network."""
    d, heads, bias = c.hidden_size, c.num_attention_heads, c.attention_bias
    still, turned, values, rank = c.qk_nope_head_dim, c.qk_rope_head_dim, c.v_head_dim, c.q_lora_rank
    if rank is None:
        query = {"query": declare.linear(d, heads * (still + turned), "q_proj", ("embed", "heads"), bias=False)}
    else:
        query = {
            "query_down": declare.linear(d, rank, "q_a_proj", bias=bias),
            "query_norm": declare.rms_norm(rank, "q_a_layernorm", None),
            "query_up": declare.linear(rank, heads * (still + turned), "q_b_proj", (None, "heads"), bias=False),
        }
    tree = {
        **query,
        "kv_down": declare.linear(d, c.kv_lora_rank + turned, "kv_a_proj_with_mqa", bias=bias),
        "kv_norm": declare.rms_norm(c.kv_lora_rank, "kv_a_layernorm", None),
        "kv_up": declare.linear(c.kv_lora_rank, heads * (still + values), "kv_b_proj", (None, "heads"), bias=False),
        "out": declare.linear(heads * values, d, "o_proj", ("heads", "embed"), bias=bias),
    }
    return declare.under("self_attn", tree) | {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
    }


def arrays(c: Any, correction: declare.Tree) -> declare.Tree:
    """The model's arrays, given what a router has beside its weight."""
    d, count, inner = c.hidden_size, c.n_routed_experts, c.moe_intermediate_size
    sparse = {
        "router": experts.router(d, count, "gate") | correction,
        "experts": experts.one_by_one(count, d, inner, "experts.{}"),
        "shared": gate_up_down(d, inner * c.n_shared_experts, prefix="shared_experts"),
    }
    kinds = (gate_up_down(d, c.intermediate_size), declare.under("mlp", sparse))
    each = [attention(c) | kinds[i >= c.first_k_dense_replace] for i in range(c.num_hidden_layers)]
    return model_arrays(c, {}) | {"layers": declare.numbered("layers.{}", each)}


def parameters(c: DeepseekV2Config) -> declare.Tree:
    """The model's arrays."""
    return arrays(c, {})


def cells(c: Any, rows: int, slots: int) -> declare.Tree:
    """What the layers keep: of each head keys, and values of another width."""
    width, heads = c.qk_nope_head_dim + c.qk_rope_head_dim, c.num_attention_heads
    return [cache.keys_values(rows, slots, heads, width, c.v_head_dim) for _ in range(c.num_hidden_layers)]


def latent(c: Any, order: Causal, turn: Turn) -> Mix:
    """Attention whose keys and values are made of a few numbers of a token."""
    turns = rotation.rotation(c, c.qk_rope_head_dim).turns(order.positions, order.reach)
    still, heads, scale = c.qk_nope_head_dim, c.num_attention_heads, scaled(c)

    def mix(p: Any, x: jax.Array, cell: Any, drop: Drop) -> tuple[jax.Array, jax.Array, Any]:
        split = lambda y: y.reshape(*y.shape[:2], heads, -1)  # noqa: E731
        if "query" in p:
            q = split(linear(p["query"], x))
        else:
            q = split(linear(p["query_up"], rms_norm(p["query_norm"], linear(p["query_down"], x), EPSILON)))
        few, shared = jnp.split(linear(p["kv_down"], x), [c.kv_lora_rank], axis=-1)
        k, v = jnp.split(split(linear(p["kv_up"], rms_norm(p["kv_norm"], few, EPSILON))), [still], axis=-1)
        shared = jnp.broadcast_to(turn(shared[:, :, None], turns), (*k.shape[:3], c.qk_rope_head_dim))
        q = jnp.concatenate([q[..., :still], turn(q[..., still:], turns)], axis=-1)
        k = jnp.concatenate([k, shared], axis=-1)
        return order.attend(q, k, v, cell, scale=scale, rate=c.attention_dropout, drop=drop)

    return mix


def scaled(c: Any) -> float:
    """The factor on scores, which grows with the rows that a rotation is stretched to."""
    told = rotation.scaling(c)
    strength, factor = told.get("mscale_all_dim") or 0.0, told.get("factor", 1.0)
    gain = 0.1 * strength * math.log(factor) + 1 if strength and factor > 1 else 1.0
    return gain**2 * (c.qk_nope_head_dim + c.qk_rope_head_dim) ** -0.5


def feed(c: Any, route: experts.Route) -> Feed:
    """The feed-forward network of a layer: one, or experts beside those for all."""
    one = gated(c.hidden_act)
    routed = experts.mixture(route, experts.halves(c.hidden_act))
    return experts.sparse_or_dense(experts.together(routed, lambda p, x, drop: one(p["shared"], x, drop)), one)


def softmax_route(c: Any) -> experts.Route:
    """Shares by softmax over all; a group is worth its best expert."""

    def route(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        every = jax.nn.softmax(experts.scores(p, x), axis=-1)
        best = experts.of_best_groups(every, *c.groups, worth=lambda group: group.max(-1))
        shares, chosen = jax.lax.top_k(best, c.num_experts_per_tok)
        return chosen, shares * c.routed_scaling_factor

    return route


def run_layers(
    params: Any, c: Any, inputs: Inputs, want: Want, drop: Drop, *, turn: Turn, route: experts.Route
) -> Encoded:
    """Hidden states [B, T, D] of one batch, given how positions turn pairs and how experts are chosen."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(latent(c, order, turn), feed(c, route), norm)
    x = embed_tokens(params["word"], inputs)
    return decoded(order, block, params, x, drop.each(c.num_hidden_layers), want=want, norm=norm)


def decode(params: Any, c: DeepseekV2Config, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    return run_layers(params, c, inputs, want, drop, turn=neighbours, route=softmax_route(c))


class DeepseekV2Model(tasks.Decoder, config=DeepseekV2Config, network=Network(parameters, decode=decode, cells=cells)):
    """The model without a head."""


class DeepseekV2ForCausalLM(tasks.CausalLM, base=DeepseekV2Model):
    """Scores of every word to follow each token."""


class DeepseekV2ForSequenceClassification(tasks.SequenceClassification, base=DeepseekV2Model):
    """One set of scores a text, from its last token."""
