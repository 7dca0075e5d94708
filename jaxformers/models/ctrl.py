"""CTRL (Keskar et al. 2019, arXiv 1909.05858): sines as positions, beside scaled word vectors."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Depth, Epsilon, Size
from ..declare import frequencies, repeat
from ..layers import heads
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.decoder_arrays import projections
from ..layers.gpt import attention, head_dim, in_blocks, sines, words
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GPTSizes

EPSILON = 1e-6
"""Of the norms in the layers, whatever the config says of the last one."""


class CTRLConfig(
    GPTSizes,
    Config,
    model_type="ctrl",
    ignores=("attn_pdrop", "from_tf", "n_ctx"),
):
    """Sizes and rates of CTRL; dff: width of the network. layer_norm_epsilon: of the norm after the last layer."""

    vocab_size: Size = 246534
    n_positions: Size = 256
    n_embd: Size = 1280
    dff: Size = 8192
    n_layer: Depth = 48
    n_head: Size = 16
    layer_norm_epsilon: Epsilon = 1e-6

    def check(self) -> None:
        """Heads share the width evenly, and it has as many sines as cosines."""
        super().check()
        if self.n_embd % 2:
            raise ValueError(f"CTRLConfig: n_embd={self.n_embd} must be even")


def parameters(c: CTRLConfig) -> declare.Tree:
    """The model's arrays."""
    d, names = c.n_embd, ("Wq", "Wk", "Wv", "dense")
    layer = {
        "attention_norm": declare.layer_norm(d, "layernorm1"),
        **projections(
            d, c.n_head, c.n_head, head_dim(c), prefix="multi_head_attention", names=names, bias=True, out_bias=True
        ),
        "ffn_norm": declare.layer_norm(d, "layernorm2"),
        "up": declare.linear(d, c.dff, "ffn.0", ("embed", "mlp")),
        "down": declare.linear(c.dff, d, "ffn.2", ("mlp", "embed")),
    }
    return {
        "word": declare.embedding(c.vocab_size, d, "w", "vocab"),
        "layers": repeat(c.n_layer, "h.{}", layer),
        "final_norm": declare.layer_norm(d, "layernorm"),
    }


def decode(params: Any, c: CTRLConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    added = dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop)
    block = norms_first(attention(order, in_blocks(head_dim(c))), plain("relu"), standardised(EPSILON), added)
    x = words(params, inputs) * c.n_embd**0.5
    waves = sines(order.positions, frequencies(c.n_embd // 2)).astype(x.dtype)
    x, norm = sites.drop("embeddings", x + waves, c.embd_pdrop), standardised(c.layer_norm_epsilon)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class CTRLModel(
    tasks.Decoder,
    config=CTRLConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
):
    """The model without a head."""


class CTRLLMHeadModel(tasks.CausalLM, base=CTRLModel, head=heads.words("lm_head", bias=True)):
    """Scores of every word to follow each token."""


class CTRLForSequenceClassification(tasks.SequenceClassification, base=CTRLModel, head=heads.last_token("classifier")):
    """One set of scores a text, from its last token."""
