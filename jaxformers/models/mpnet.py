"""MPNet (Song et al. 2020, arXiv 2004.09297): BERT's encoder with fairseq's positions and a bias by distance, which all
layers share.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Size, Token
from ..declare import repeat, under
from ..layers import heads, named_heads, relative
from ..layers.attention import attention, visible
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import block, embedded, self_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import UnsegmentedSizes

PAD = 1
"""The padding token behind which positions count, whatever pad_token_id says."""


class MPNetConfig(UnsegmentedSizes, Config, model_type="mpnet", allowed={"relative_attention_num_buckets": (32,)}):
    """Sizes and rates of an MPNet model; the defaults are torch Transformers'."""

    vocab_size: Size = 30527
    relative_attention_num_buckets: Size = 32
    pad_token_id: Token = 1

    def check(self) -> None:
        """Heads share the width evenly, and positions are left when counting starts after the padding token."""
        super().check()
        if self.max_position_embeddings < PAD + 2:
            raise ValueError(
                f"MPNetConfig: positions count from {PAD}, max_position_embeddings={self.max_position_embeddings} has "
                "none after it"
            )

    @property
    def longest_row(self) -> int:
        """The positions less those up to the padding token, where counting starts: 512 of 514."""
        return self.max_position_embeddings - PAD - 1


def body(c: MPNetConfig) -> declare.Tree:
    """The encoder's arrays."""
    d = c.hidden_size
    layer = {
        **under("attention", attention(d, "attn.q", "attn.k", "attn.v", "attn.o")),
        "attention_norm": declare.layer_norm(d, "attention.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }
    tables = {
        "word": declare.embedding(c.vocab_size, d, "word_embeddings", "vocab", zero_row=PAD),
        "position": declare.embedding(c.max_position_embeddings, d, "position_embeddings", zero_row=PAD),
        "norm": declare.layer_norm(d, "LayerNorm"),
    }
    distance = declare.Param(
        (c.relative_attention_num_buckets, c.num_attention_heads),
        (None, "heads"),
        "encoder.relative_attention_bias.weight",
        "bias",
    )
    return under("embeddings", tables) | {
        "distance": {"table": distance},
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer),
    }


def encode(params: Any, c: MPNetConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.counted(PAD), sites)
    bias = relative.bias(params["distance"], x.shape[1])
    through = block(c, self_attention(c, visible(inputs.mask), bias))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class MPNetModel(
    tasks.Encoder,
    config=MPNetConfig,
    prefix="mpnet",
    network=Network(heads.with_pooler(body), encode),
    accepts=("input_ids", "attention_mask", "position_ids", "inputs_embeds"),
):
    """The encoder with its pooler, without a head."""


class MPNetForMaskedLM(
    tasks.MaskedLM,
    base=MPNetModel,
    parameters=body,
    head=named_heads.lm_head(),
):
    """Scores of every word at every place."""


class MPNetForSequenceClassification(
    tasks.SequenceClassification,
    base=MPNetModel,
    parameters=body,
    head=named_heads.classification_head(rate=heads.hidden_rate),
):
    """One set of scores a text."""


class MPNetForTokenClassification(
    tasks.TokenClassification, base=MPNetModel, parameters=body, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class MPNetForQuestionAnswering(tasks.QuestionAnswering, base=MPNetModel, parameters=body):
    """Where in a context the answer starts and ends."""


class MPNetForMultipleChoice(
    tasks.MultipleChoice, base=MPNetModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)
):
    """Which of several continuations fits best."""
