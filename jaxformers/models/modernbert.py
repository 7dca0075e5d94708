"""ModernBERT (Warner et al. 2024, arXiv 2412.13663): rotary positions, gated layers without biases, norms before them,
and attention that sees the whole row in every third layer alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size, Token
from ..declare import Param, repeat
from ..layers import rotary
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, project, through_out, visible
from ..layers.decoder import SLIDING, WHOLE, check_kinds, rotations
from ..layers.embedding import embed_tokens
from ..layers.flash import band_of
from ..layers.heads import Head
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear, unembed
from ..layers.norm import layer_norm
from ..layers.post_norm import check_heads
from ..layers.run import Block, Encoded, either, run, stack
from ..layers.sites import PLAIN, Sites
from ..network import Network


class ModernBertConfig(
    Endless,
    Config,
    model_type="modernbert",
    aliases={"layer_norm_eps": "norm_eps", "hidden_act": "hidden_activation", "rope_theta": "global_rope_theta"},
    allowed={
        "hidden_activation": ACTIVATIONS,
        "classifier_activation": ACTIVATIONS,
        "classifier_pooling": ("cls", "mean"),
        "rope_scaling": (None,),
        "position_embedding_type": ("absolute", "sans_pos", "rope"),
    },
    ignores="""
        deterministic_flash_attn initializer_cutoff_factor reference_compile repad_logits_with_grad sparse_prediction
        sparse_pred_ignore_index
    """.split(),
):
    """Sizes and rates of a ModernBERT model; the defaults are ModernBERT-base's.

    layer_types: which layers see the whole row, and which local_attention / 2 tokens to either side; None: the whole do
    those numbered 0, n, 2n, ... of n = global_attn_every_n_layers. *_theta: bases of the rotation; rope_parameters: the
    same by kind of layer, as newer files have it. classifier_pooling: a text is its first token, or the mean of all.
    """

    vocab_size: Size = 50368
    hidden_size: Size = 768
    intermediate_size: Size = 1152
    num_hidden_layers: Depth = 22
    num_attention_heads: Size = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: Size = 8192
    norm_eps: Epsilon = 1e-5
    norm_bias: bool = False
    global_rope_theta: float = 160_000.0
    local_rope_theta: float | None = 10_000.0
    rope_scaling: dict | None = None
    rope_parameters: dict | None = None
    global_attn_every_n_layers: Size = 3
    layer_types: tuple[str, ...] | None = None
    local_attention: Size = 128
    attention_bias: bool = False
    attention_dropout: Rate = 0.0
    embedding_dropout: Rate = 0.0
    mlp_bias: bool = False
    mlp_dropout: Rate = 0.0
    decoder_bias: bool = True
    classifier_pooling: str = "cls"
    classifier_dropout: Rate = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    pad_token_id: Token | None = 50283

    def check(self) -> None:
        """There is a first layer, heads share the width evenly and have pairs to rotate, and bases are positive."""
        check_heads(self)
        if self.num_hidden_layers < 1:
            raise ValueError("ModernBertConfig: num_hidden_layers must be 1 or more")
        if self.hidden_size // self.num_attention_heads % 2:
            raise ValueError(
                f"ModernBertConfig: hidden_size={self.hidden_size} over num_attention_heads={self.num_attention_heads} "
                "gives heads of odd width, which rotation does not take"
            )
        check_kinds(self)
        for kind, (base, told) in self.rotations.items():
            if told.get("rope_type", "default") != "default":
                said = f"rope_parameters[{kind!r}] has rope_type={str(told['rope_type'])[:60]!r}"
                raise ValueError(f"ModernBertConfig: {said}, supported: 'default'")
            if isinstance(base, bool) or not isinstance(base, int | float) or not base > 0:
                raise ValueError(f"ModernBertConfig: rope_theta={base!r} of {kind!r} must be a positive number")

    @property
    def kinds(self) -> Sequence[str]:
        """What each layer sees."""
        period = self.global_attn_every_n_layers
        return self.layer_types or [SLIDING if i % period else WHOLE for i in range(self.num_hidden_layers)]

    @property
    def rotations(self) -> dict[str, tuple[Any, Mapping[str, Any]]]:
        """Base and kind of the rotation of each kind of layer."""
        told = rotations(self, self.local_rope_theta or self.global_rope_theta)
        return {kind: (self.global_rope_theta if base is None else base, said) for kind, (base, said) in told.items()}

    def initializer(self, param: Param) -> declare.Init:
        """Normal, but for what would be far from zero."""
        return declare.Normal(self.spread, CUT)


CUT = 2.0
"""In standard deviations: no random weight is further from zero."""


def residual(c: ModernBertConfig) -> declare.Init:
    """How what is added to the residual starts."""
    return declare.Normal(c.spread / (2 * c.num_hidden_layers) ** 0.5, CUT)


def parameters(c: ModernBertConfig) -> declare.Tree:
    """The encoder's arrays. The first layer, which has no norm before its attention, stands apart."""
    d = c.hidden_size
    layer = {
        "attention_norm": declare.layer_norm(d, "attn_norm", bias=c.norm_bias),
        "qkv": declare.linear(d, 3 * d, "attn.Wqkv", ("embed", "heads"), bias=c.attention_bias),
        "out": declare.linear(d, d, "attn.Wo", ("heads", "embed"), bias=c.attention_bias, init=residual(c)),
        "ffn_norm": declare.layer_norm(d, "mlp_norm", bias=c.norm_bias),
        "up_gate": declare.linear(d, 2 * c.intermediate_size, "mlp.Wi", ("embed", "mlp"), bias=c.mlp_bias),
        "down": declare.linear(c.intermediate_size, d, "mlp.Wo", ("mlp", "embed"), bias=c.mlp_bias, init=residual(c)),
    }
    first, *rest = repeat(c.num_hidden_layers, "layers.{}", layer)
    del first["attention_norm"]
    return {
        "word": declare.embedding(c.vocab_size, d, "embeddings.tok_embeddings", "vocab", zero_row=c.pad_token_id),
        "norm": declare.layer_norm(d, "embeddings.norm", bias=c.norm_bias),
        "first": first,
        "layers": rest,
        "final_norm": declare.layer_norm(d, "final_norm", bias=c.norm_bias),
    }


def block(c: ModernBertConfig, inputs: Inputs) -> Block:
    """The layer as `run` takes it; whether it is local comes with each."""
    width = c.hidden_size // c.num_attention_heads
    bases = {kind: float(base) for kind, (base, _) in c.rotations.items()}
    wide_angles, near_angles = (rotary.angles(inputs.places, width, bases[kind]) for kind in (WHOLE, SLIDING))
    seen = visible(inputs.mask)
    place, half = jnp.arange(inputs.shape[1]), c.local_attention // 2
    near = (jnp.abs(place[:, None] - place) <= half)[None, None]
    seen_near = near if seen is None else near & seen
    seen_wide = jnp.ones_like(near) if seen is None else jnp.broadcast_to(seen, seen_near.shape)

    def mixed(local: Any, q: jax.Array, k: jax.Array, v: jax.Array, sites: Sites) -> jax.Array:
        taken = partial(attend, q, k, v, rate=c.attention_dropout, sites=sites)
        if sites.taps("attention_weights"):  # which are shown once, not in each of two branches
            return taken(either(local, lambda: seen_near, lambda: seen_wide))
        return either(
            local,
            lambda: taken(seen_near, band=band_of(inputs, half, half)),
            lambda: taken(seen_wide, band=band_of(inputs)),
        )

    def apply(p: Any, x: jax.Array, sites: Sites, local: Any) -> jax.Array:
        h = layer_norm(p["attention_norm"], x, c.norm_eps) if "attention_norm" in p else x
        q, k, v = project(p, h, width)
        angles = either(local, lambda: near_angles, lambda: wide_angles)
        q, k = rotary.rotate(q, angles), rotary.rotate(k, angles)
        context = mixed(local, q, k, v, sites)
        x = x + sites("attention", through_out(p, merge(context), x, sites), c.attention_dropout)
        up, gate = jnp.split(linear(p["up_gate"], layer_norm(p["ffn_norm"], x, c.norm_eps)), 2, axis=-1)
        h = sites.drop("activation", ACTIVATIONS[c.hidden_activation](up) * gate, c.mlp_dropout)
        return x + sites("ffn", linear(p["down"], h, like=x))

    return apply


def encode(params: Any, c: ModernBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = sites.drop(
        "embeddings", layer_norm(params["norm"], embed_tokens(params["word"], inputs), c.norm_eps), c.embedding_dropout
    )
    first, rest = params["first"], params["layers"]
    if isinstance(rest, list):
        layers: Any = [first, *rest]
    else:
        layers = (stack([first]), *(rest if isinstance(rest, tuple) else [rest]))
    local = [kind == SLIDING for kind in c.kinds]
    encoded = run(block(c, inputs), layers, x, local, ask=ask, sites=sites)
    return dataclasses.replace(encoded, state=layer_norm(params["final_norm"], encoded.state, c.norm_eps))


def transformed(c: ModernBertConfig) -> declare.Tree:
    """The arrays that every head has before its last layer."""
    d = c.hidden_size
    dense = declare.linear(d, d, "head.dense", bias=c.classifier_bias, init=residual(c))
    return {"dense": dense, "norm": declare.layer_norm(d, "head.norm", bias=c.norm_bias)}


def transform(p: Any, c: ModernBertConfig, x: jax.Array) -> jax.Array:
    """Vectors [..., D] as the last layer takes them."""
    return layer_norm(p["norm"], ACTIVATIONS[c.classifier_activation](linear(p["dense"], x)), c.norm_eps)


def words() -> Head:
    """Scores [B, T, V] of every token by the word table, or one of its own."""

    def parameters(c: ModernBertConfig) -> declare.Tree:
        tree = transformed(c)
        if c.decoder_bias:
            tree["bias"] = declare.vector(c.vocab_size, "decoder.bias", "vocab")
        if not c.tie_word_embeddings:
            tree["decoder"] = declare.embedding(c.vocab_size, c.hidden_size, "decoder", "vocab")
        return tree

    def forward(params: Any, c: ModernBertConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        scores = unembed(p["decoder"] if "decoder" in p else params["word"], transform(p, c, encoded.state))
        return scores + p["bias"] if "bias" in p else scores

    return Head(parameters, forward, tied=("decoder.weight",))


def classifier(labels: int | None, state: Any) -> Head:
    """Scores of the vectors that `state` takes from the encoder's result; `labels` None: as many as the config says."""

    def parameters(c: ModernBertConfig) -> declare.Tree:
        init = declare.Normal(c.hidden_size**-0.5, CUT)
        last = declare.linear(c.hidden_size, labels or c.num_labels, "classifier", init=init)
        return transformed(c) | {"classifier": last}

    def forward(params: Any, c: ModernBertConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        return linear(p["classifier"], sites.drop("head", transform(p, c, state(c, encoded)), c.classifier_dropout))

    return Head(parameters, forward)


def text(c: ModernBertConfig, encoded: Encoded) -> jax.Array:
    """A text's vector: its first place, or the mean of its tokens."""
    return encoded.mean(encoded.state) if c.classifier_pooling == "mean" else encoded.first


def choice(c: ModernBertConfig, encoded: Encoded) -> jax.Array:
    """A choice's vector: its first token that is no padding, or the mean of all."""
    first = encoded.state[jnp.arange(len(encoded.state)), jnp.argmax(encoded.inputs.segment_ids != 0, axis=1)]
    return encoded.mean(encoded.state) if c.classifier_pooling == "mean" else first


def tokens(c: ModernBertConfig, encoded: Encoded) -> jax.Array:
    """Every token's vector."""
    return encoded.state


class ModernBertModel(
    tasks.Encoder,
    config=ModernBertConfig,
    prefix="model",
    network=Network(parameters, encode),
    accepts=("input_ids", "attention_mask", "position_ids", "inputs_embeds"),
):
    """The encoder without a head."""


class ModernBertForMaskedLM(tasks.MaskedLM, base=ModernBertModel, head=words()):
    """Scores of every word at every place."""


class ModernBertForSequenceClassification(
    tasks.SequenceClassification, base=ModernBertModel, head=classifier(None, text)
):
    """One set of scores a text."""


class ModernBertForTokenClassification(tasks.TokenClassification, base=ModernBertModel, head=classifier(None, tokens)):
    """One set of scores a token."""


class ModernBertForQuestionAnswering(tasks.QuestionAnswering, base=ModernBertModel, head=classifier(2, tokens)):
    """Where in a context the answer starts and ends."""


class ModernBertForMultipleChoice(tasks.MultipleChoice, base=ModernBertModel, head=classifier(1, choice)):
    """Which of several continuations fits best."""
