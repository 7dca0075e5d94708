"""XLM (Lample and Conneau 2019, arXiv 1901.07291): BERT with a table of languages; token types are words of the
vocabulary, and padding is zeroed after each layer.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..batch import Beside
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..layers import heads, post_norm
from ..layers.attention import attention, visible
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network


class XLMConfig(
    Config,
    model_type="xlm",
    aliases={
        "hidden_size": "emb_dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "n_words": "vocab_size",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    },
    allowed={
        "causal": (False,),
        "asm": (False,),
        "is_encoder": (True,),
        "sinusoidal_embeddings": (False, True),
        "summary_type": ("first",),
        "summary_use_proj": (True,),
        "summary_proj_to_labels": (True,),
        "summary_activation": (None, "tanh"),
    },
    ignores="""
        bos_index eos_index unk_index mask_index embed_init_std init_std start_n_top end_n_top lang_id lang2id id2lang
        max_vocab min_count same_enc_dec share_inout_emb
    """.split(),
):
    """Sizes and rates of an XLM model; the defaults are torch Transformers'.

    n_langs: languages, of which `langs` says each token's. use_lang_emb: they have vectors, if there are several.
    gelu_activation: else ReLU.
    """

    vocab_size: Size = 30145
    emb_dim: Size = 2048
    n_layers: Depth = 12
    n_heads: Size = 16
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    gelu_activation: bool = True
    n_langs: Size = 1
    use_lang_emb: bool = True
    max_position_embeddings: Size = 512
    layer_norm_eps: Epsilon = 1e-12
    pad_index: Token | None = None
    summary_activation: str | None = None
    summary_first_dropout: Rate = 0.1
    pad_token_id: Token | None = 2

    def check(self) -> None:
        """Heads share the width evenly, and the padding token is in the vocabulary."""
        post_norm.check_heads(self)
        if not 0 <= self.padding < self.vocab_size:
            raise ValueError(f"{type(self).__name__}: pad_index={self.padding} is not in the vocabulary")

    @property
    def padding(self) -> int:
        """The padding token: newer files say it as pad_token_id alone."""
        said = (self.pad_index, self.pad_token_id, 2)
        return next(token for token in said if token is not None)

    def initializer(self, param: declare.Param) -> declare.Init:
        """Normal, with a deviation of its own for tables."""
        table = param.role in ("table", "unembedding")
        return declare.Normal(self.rest.get(*(("embed_init_std", 2048**-0.5) if table else ("init_std", 0.02))))

    @property
    def hidden_act(self) -> str:
        """The activation function."""
        return "gelu" if self.gelu_activation else "relu"


def parameters(c: XLMConfig) -> declare.Tree:
    """The encoder's arrays; files list each kind of module by layers."""
    d = c.emb_dim

    def layer(i: int) -> declare.Tree:
        names = (f"attentions.{i}.{name}_lin" for name in ("q", "k", "v", "out"))
        return {
            **attention(d, *names),
            "attention_norm": declare.layer_norm(d, f"layer_norm1.{i}"),
            "up": declare.linear(d, 4 * d, f"ffns.{i}.lin1", ("embed", "mlp")),
            "down": declare.linear(4 * d, d, f"ffns.{i}.lin2", ("mlp", "embed")),
            "ffn_norm": declare.layer_norm(d, f"layer_norm2.{i}"),
        }

    tree = {
        "word": declare.embedding(c.vocab_size, d, "embeddings", "vocab", zero_row=c.padding),
        "position": declare.embedding(c.max_position_embeddings, d, "position_embeddings"),
        "norm": declare.layer_norm(d, "layer_norm_emb"),
        "layers": [layer(i) for i in range(c.n_layers)],
    }
    if c.n_langs > 1 and c.use_lang_emb:
        tree["language"] = declare.embedding(c.n_langs, d, "lang_embeddings")
    return tree


def real(c: XLMConfig, inputs: Inputs) -> jax.Array:
    """Which tokens are no padding [B, T]; without a mask a row has as many as it has ids that are not the padding's."""
    if inputs.mask is not None or inputs.ids is None:
        return inputs.segment_ids != 0
    return jnp.arange(inputs.shape[1]) < (inputs.ids != c.padding).sum(1, keepdims=True)


def entered(params: Any, c: XLMConfig, inputs: Inputs, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D], before padding is zeroed."""
    x = embed_tokens(params["word"], inputs) + embed(params["position"], inputs.places)
    if "langs" in inputs.beside and "language" in params:
        x = x + embed(params["language"], inputs.beside["langs"])
    if inputs.types is not None:
        x = x + embed(params["word"], inputs.types)
    return sites.drop("embeddings", layer_norm(params["norm"], x, c.layer_norm_eps), c.dropout)


def through(params: Any, c: XLMConfig, inputs: Inputs, ask: Ask, sites: Sites, layer: Any = post_norm.block) -> Encoded:
    """Hidden states [B, T, D] of one batch, by layers `layer(c, mix)` with zeroes at padding after each."""
    there = real(c, inputs)
    seen = visible(inputs.mask if inputs.mask is not None else there)
    block: Block = layer(c, post_norm.self_attention(c, seen))

    def zeroed(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        return jnp.where(there[..., None], block(p, x, sites), 0)

    x = jnp.where(there[..., None], entered(params, c, inputs, sites), 0)
    return run(zeroed, params["layers"], x, ask=ask, sites=sites)


def encode(params: Any, c: XLMConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    return through(params, c, inputs, ask, sites)


def head_rate(c: XLMConfig) -> float:
    """The dropout before a classifier of tokens."""
    return c.dropout


def summary(choices: bool = False) -> heads.Head:
    """Scores [B, num_labels] of a text's first token; and of these one [B, 1] where it is one of several choices."""

    def parameters(c: XLMConfig) -> declare.Tree:
        tree = {"classifier": declare.linear(c.emb_dim, c.num_labels, "sequence_summary.summary")}
        return tree | ({"choice": declare.linear(c.num_labels, 1, "logits_proj")} if choices else {})

    def forward(params: Any, c: XLMConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        scores = linear(p["classifier"], sites.drop("head", encoded.first, c.summary_first_dropout))
        scores = jnp.tanh(scores) if c.summary_activation == "tanh" else scores
        return linear(p["choice"], scores) if choices else scores

    return heads.Head(parameters, forward)


class XLMModel(
    tasks.Encoder,
    config=XLMConfig,
    prefix="transformer",
    network=Network(parameters, encode),
    accepts=("input_ids", "attention_mask", "langs", "token_type_ids", "position_ids", "inputs_embeds"),
    beside={"langs": Beside(lambda c: c.n_langs)},
):
    """The encoder without a head."""


class XLMWithLMHeadModel(tasks.MaskedLM, base=XLMModel, head=heads.words("pred_layer.proj", bias=True)):
    """Scores of every word at every place."""


class XLMForSequenceClassification(tasks.SequenceClassification, base=XLMModel, head=summary()):
    """One set of scores a text."""


class XLMForTokenClassification(tasks.TokenClassification, base=XLMModel, head=heads.each_token(rate=head_rate)):
    """One set of scores a token."""


class XLMForQuestionAnsweringSimple(tasks.QuestionAnswering, base=XLMModel):
    """Where in a context the answer starts and ends."""


class XLMForMultipleChoice(tasks.MultipleChoice, base=XLMModel, head=summary(choices=True)):
    """Which of several continuations fits best."""
