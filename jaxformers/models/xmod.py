"""X-MOD (Pfeiffer et al. 2022, arXiv 2205.06266): RoBERTa whose layers end in an adapter for each language."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..batch import Beside
from ..config import Config, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import through_out, visible
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.post_norm import embedded, embeddings, layer, self_attention
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes


class XmodConfig(CountedSizes, Config, model_type="xmod"):
    """RoBERTa's sizes and rates, and the adapters'.

    languages: lang_ids count in their order. default_language: of rows that come without lang_ids. An adapter reads its
    own norm (adapter_layer_norm), else the layer's (adapter_reuse_layer_norm), else none; what it is added to has that
    norm with ln_before_adapter. pre_norm: norms stand before attention and network instead of behind them.
    """

    vocab_size: Size = 50265
    classifier_dropout: Rate | None = None
    pre_norm: bool = False
    adapter_reduction_factor: Size = 2
    adapter_layer_norm: bool = False
    adapter_reuse_layer_norm: bool = True
    ln_before_adapter: bool = True
    languages: tuple[str, ...] = ("en_XX",)
    default_language: str | None = None
    pad_token_id: Token = 1

    def check(self) -> None:
        """The default language is one of the languages, and adapters have a width."""
        super().check()
        if self.default_language is not None and self.default_language not in self.languages:
            raise ValueError(
                f"XmodConfig: default_language={self.default_language!r} is none of languages={list(self.languages)}"
            )
        if self.adapter_reduction_factor > self.hidden_size:
            raise ValueError(
                f"XmodConfig: adapter_reduction_factor={self.adapter_reduction_factor} leaves nothing of "
                f"hidden_size={self.hidden_size}"
            )


def body(c: XmodConfig) -> declare.Tree:
    """The encoder's arrays; "adapters" has a tree for each language."""
    d, narrow = c.hidden_size, c.hidden_size // c.adapter_reduction_factor

    def adapter(name: str) -> declare.Tree:
        return {
            "down": declare.linear(d, narrow, f"{name}.dense1"),
            "up": declare.linear(narrow, d, f"{name}.dense2", ("out", "embed")),
        }

    each = layer(c) | {"adapters": {word: adapter(f"output.adapter_modules.{word}") for word in c.languages}}
    if c.adapter_layer_norm:
        each["adapter_norm"] = declare.layer_norm(d, "output.adapter_layer_norm")
    tree = embeddings(c, d) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", each)}
    return tree | ({"final_norm": declare.layer_norm(d, "encoder.LayerNorm")} if c.pre_norm else {})


def adapted(adapters: Any, c: XmodConfig, x: jax.Array, languages: jax.Array | None) -> jax.Array:
    """X [B, T, D] through the adapter of each row's language [B], or of the default language.

    The batch goes once through the adapter of every language that is in it, and through no other.
    """

    def through(word: str, x: jax.Array) -> jax.Array:
        p = adapters[word]
        return linear(p["up"], ACTIVATIONS[c.hidden_act](linear(p["down"], x)), like=x)

    if languages is None:
        if c.default_language is None:
            raise ValueError(
                f"the language of the rows is not known: pass lang_ids, or set default_language in the config to one "
                f"of {list(c.languages)}"
            )
        return through(c.default_language, x)
    y = jnp.zeros_like(x)
    for number, word in enumerate(c.languages):
        mine = (languages == number)[:, None, None]
        y = jax.lax.cond(
            mine.any(), lambda y, mine=mine, word=word: jnp.where(mine, through(word, x), y), lambda y: y, y
        )
    return y


def block(c: XmodConfig, seen: jax.Array | None, languages: jax.Array | None) -> Block:
    """The layer as `run` takes it: tokens mix, each goes through the network, then through its language's adapter."""
    mix = self_attention(c, seen)

    def before(p: Any, x: jax.Array) -> jax.Array:
        return layer_norm(p, x, c.layer_norm_eps) if c.pre_norm else x

    def after(p: Any, x: jax.Array) -> jax.Array:
        return x if c.pre_norm else layer_norm(p, x, c.layer_norm_eps)

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        context = mix(p, before(p["attention_norm"], x), sites)
        h = sites("attention", through_out(p, context, x, sites), c.hidden_dropout_prob)
        x = after(p["attention_norm"], x + h)
        h = ACTIVATIONS[c.hidden_act](linear(p["up"], before(p["ffn_norm"], x)))
        x = x + sites("ffn", linear(p["down"], h, like=x), c.hidden_dropout_prob)
        y = x
        if "adapter_norm" in p or c.adapter_reuse_layer_norm:
            y = layer_norm(p["adapter_norm"] if "adapter_norm" in p else p["ffn_norm"], x, c.layer_norm_eps)
        h = sites.drop("adapter", adapted(p["adapters"], c, y, languages), c.hidden_dropout_prob)
        return after(p["ffn_norm"], (y if c.ln_before_adapter else x) + h)

    return apply


def encode(params: Any, c: XmodConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch.

    Raises:
        ValueError: neither the batch nor the config says the language.
    """
    x = embedded(params, c, inputs, inputs.counted(c.pad_token_id), sites)
    through = block(c, visible(inputs.mask), inputs.beside.get("lang_ids"))
    encoded = run(through, params["layers"], x, ask=ask, sites=sites)
    if not c.pre_norm:
        return encoded
    return encoded.normed(layer_norm(params["final_norm"], encoded.state, c.layer_norm_eps))


class XmodModel(
    tasks.Encoder,
    config=XmodConfig,
    prefix="roberta",
    network=Network(heads.with_pooler(body), encode),
    accepts=("input_ids", "lang_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds"),
    beside={"lang_ids": Beside(lambda c: len(c.languages), per="row")},
):
    """The encoder with its pooler, without a head; lang_ids [B] are places in config.languages."""


class XmodForMaskedLM(tasks.MaskedLM, base=XmodModel, parameters=body, head=named_heads.lm_head()):
    """Scores of every word at every place."""


class XmodForSequenceClassification(
    tasks.SequenceClassification, base=XmodModel, parameters=body, head=named_heads.classification_head()
):
    """One set of scores a text."""


class XmodForTokenClassification(tasks.TokenClassification, base=XmodModel, parameters=body):
    """One set of scores a token."""


class XmodForQuestionAnswering(tasks.QuestionAnswering, base=XmodModel, parameters=body):
    """Where in a context the answer starts and ends."""


class XmodForMultipleChoice(tasks.MultipleChoice, base=XmodModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)):
    """Which of several continuations fits best; lang_ids [B] hold for all of a row's choices."""
