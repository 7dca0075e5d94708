"""GPT-J (Wang and Komatsuzaki 2021, https://github.com/kingoflolz/mesh-transformer-jax): attention and network read
the same normed state, and the first numbers of each head are rotated in pairs of neighbours.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Depth, Rate, Size
from ..layers import heads, rotation
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, plain, run_decoder, side_by_side, standardised
from ..layers.decoder_arrays import projections, up_down
from ..layers.gpt import Split, attention, head_dim, in_blocks, model_arrays, rotated_heads, words
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GPTSizes


class GPTJConfig(
    GPTSizes,
    Config,
    model_type="gptj",
    allowed={"activation_function": ACTIVATIONS, "rotary": (True,), "scale_attn_weights": (True,)},
    ignores=("n_ctx",),
):
    """Sizes and rates of a GPT-J; the defaults are those of the one with 6 billion parameters.

    rotary_dim: how many numbers of each head are turned. n_inner: as of GPT-2.
    """

    vocab_size: Size = 50400
    n_positions: Size = 2048
    n_embd: Size = 4096
    n_layer: Depth = 28
    n_head: Size = 16
    rotary_dim: Size = 64
    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: Rate = 0.0
    embd_pdrop: Rate = 0.0
    attn_pdrop: Rate = 0.0
    tie_word_embeddings: bool = False

    def check(self) -> None:
        """Heads share the width evenly, and have pairs to turn."""
        super().check()
        rotation.check(self, self.rotary_dim)
        if self.rotary_dim > head_dim(self):
            raise ValueError(
                f"{type(self).__name__}: rotary_dim={self.rotary_dim} is more than a head's {head_dim(self)}"
            )


def layer(c: Any) -> declare.Tree:
    """A layer's arrays but for its projections."""
    return {
        "attention_norm": declare.layer_norm(c.n_embd, "ln_1"),
        **up_down(c.n_embd, c.n_inner or 4 * c.n_embd, names=("fc_in", "fc_out"), bias=True),
    }


def parameters(c: GPTJConfig) -> declare.Tree:
    """The model's arrays."""
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    return model_arrays(
        c, layer(c) | projections(c.n_embd, c.n_head, c.n_head, head_dim(c), prefix="attn", names=names)
    )


def read(params: Any, c: Any, inputs: Inputs, split: Split, ask: Ask, sites: Sites) -> Encoded:
    """Hidden states [B, T, D], given how queries, keys and values come from a layer's input."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    cos_sin = rotation.rotation(c, c.rotary_dim).cos_sin(order.positions, order.reach)
    mix = attention(order, rotated_heads(split, rotation.rotate_interleaved, cos_sin), rate=c.attn_pdrop)
    block = side_by_side(mix, plain(c.activation_function), norm, dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop))
    x = sites.drop("embeddings", words(params, inputs), c.embd_pdrop)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


def decode(params: Any, c: GPTJConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    return read(params, c, inputs, in_blocks(head_dim(c)), ask, sites)


class GPTJModel(
    tasks.Decoder,
    config=GPTJConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
):
    """The model without a head."""


class GPTJForCausalLM(tasks.CausalLM, base=GPTJModel, head=heads.words("lm_head", bias=True)):
    """Scores of every word to follow each token."""


class GPTJForSequenceClassification(tasks.SequenceClassification, base=GPTJModel):
    """One set of scores a text, from its last token."""


class GPTJForQuestionAnswering(tasks.QuestionAnswering, base=GPTJModel):
    """Where in a context the answer starts and ends."""
