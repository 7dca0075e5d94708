"""GPT-Neo (Black et al. 2021, https://zenodo.org/records/5297715): GPT-2 in which every other layer sees the last
tokens alone, and scores are not divided by the root of a head's width.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Depth, Epsilon, Rate, Size
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.causal import FULL, Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.decoder_arrays import projections, up_down
from ..layers.embedding import embed
from ..layers.gpt import attention, in_blocks, model_arrays, words
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network

_LOCAL = "local"


class GPTNeoConfig(
    Config,
    model_type="gpt_neo",
    aliases={"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"},
    allowed={"activation_function": ACTIVATIONS},
    ignores="""
        summary_activation summary_first_dropout summary_proj_to_labels summary_type summary_use_proj
    """.split(),
):
    """Sizes and rates of a GPT-Neo; the defaults are those with 1.3 billion parameters.

    attention_types: pairs of kinds of layers and how often they come in turn. attention_layers: the same, one a layer.
    window_size: how many tokens those that are "local" see, each itself included.
    """

    vocab_size: Size = 50257
    max_position_embeddings: Size = 2048
    hidden_size: Size = 2048
    num_layers: Depth = 24
    attention_types: tuple[tuple[tuple[str, ...] | int, ...], ...] = ((("global", _LOCAL), 12),)
    attention_layers: tuple[str, ...] | None = None
    num_heads: Size = 16
    intermediate_size: Size | None = None
    window_size: Size = 256
    activation_function: str = "gelu_new"
    resid_dropout: Rate = 0.0
    embed_dropout: Rate = 0.0
    attention_dropout: Rate = 0.0
    classifier_dropout: Rate = 0.1
    layer_norm_epsilon: Epsilon = 1e-5

    def check(self) -> None:
        """Heads share the width evenly, and there is a kind for each layer."""
        check_heads(self)
        pairs: Any = self.attention_types
        if not all(len(pair) == 2 and isinstance(pair[0], tuple) and isinstance(pair[1], int) for pair in pairs):
            raise ValueError("GPTNeoConfig: attention_types must be pairs, each of kinds and how often they come")
        count = sum(len(kinds) * max(times, 0) for kinds, times in pairs)
        if count != self.num_layers:
            raise ValueError(f"GPTNeoConfig: attention_types names {count} layers, num_layers={self.num_layers}")
        if self.attention_layers not in (None, seen_by(self)):
            raise ValueError("GPTNeoConfig: attention_layers and attention_types name other layers")
        if strange := [kind for kind in seen_by(self) if kind not in ("global", _LOCAL)]:
            raise ValueError(f"GPTNeoConfig: attention_types has {strange[0][:60]!r}, supported: 'global', 'local'")


def seen_by(c: GPTNeoConfig) -> tuple[str, ...]:
    """The kind of each layer."""
    pairs: Any = c.attention_types
    return tuple(kind for kinds, times in pairs for kind in kinds * times)


def parameters(c: GPTNeoConfig) -> declare.Tree:
    """The model's arrays."""
    d, width = c.hidden_size, c.hidden_size // c.num_heads
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    layer = {
        "attention_norm": declare.layer_norm(d, "ln_1"),
        **projections(d, c.num_heads, c.num_heads, width, prefix="attn.attention", names=names, out_bias=True),
        "ffn_norm": declare.layer_norm(d, "ln_2"),
        **up_down(d, c.intermediate_size or 4 * d, names=("c_fc", "c_proj"), bias=True),
    }
    return model_arrays(c, layer) | {"position": declare.embedding(c.max_position_embeddings, d, "wpe")}


def decode(params: Any, c: GPTNeoConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    mix = attention(order, in_blocks(c.hidden_size // c.num_heads), scale=1.0, rate=c.attention_dropout)
    added = dropped(attention=c.resid_dropout, ffn=c.resid_dropout)
    block = norms_first(mix, plain(c.activation_function), norm, added)
    x = sites.drop("embeddings", words(params, inputs) + embed(params["position"], order.positions), c.embed_dropout)
    windows = [c.window_size if kind == _LOCAL else FULL for kind in seen_by(c)]
    return run_decoder(order, block, params, x, windows, ask=ask, sites=sites, norm=norm)


class GPTNeoModel(
    tasks.Decoder,
    config=GPTNeoConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
):
    """The model without a head."""


class GPTNeoForCausalLM(tasks.CausalLM, base=GPTNeoModel):
    """Scores of every word to follow each token."""


class GPTNeoForSequenceClassification(tasks.SequenceClassification, base=GPTNeoModel):
    """One set of scores a text, from its last token."""


class GPTNeoForTokenClassification(
    tasks.TokenClassification, base=GPTNeoModel, head=heads.each_token("classifier", rate=token_rate)
):
    """One set of scores a token."""


class GPTNeoForQuestionAnswering(tasks.QuestionAnswering, base=GPTNeoModel):
    """Where in a context the answer starts and ends."""
