"""Blenderbot (Roller et al. 2020, arXiv 2004.13637), made for conversations: mBART without a norm before its
layers, with a table of positions from its first row on.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Size, Token
from ..layers import bart
from ..network import Network
from ..sizes import BartSizes


class BlenderbotConfig(BartSizes, Config, model_type="blenderbot"):
    """Sizes and rates of a Blenderbot; the defaults are blenderbot-3B's."""

    vocab_size: Size = 8008
    d_model: Size = 2560
    encoder_layers: Depth = 2
    encoder_attention_heads: Size = 32
    encoder_ffn_dim: Size = 10240
    decoder_layers: Depth = 24
    decoder_attention_heads: Size = 32
    decoder_ffn_dim: Size = 10240
    max_position_embeddings: Size = 128
    pad_token_id: Token | None = 0
    decoder_start_token_id: Token | None = 1


def parameters(c: BlenderbotConfig) -> declare.Tree:
    """The arrays of both sides."""
    return bart.both(c, position=bart.learned(c, 0), embedding_norm=False, final_norm=True)


read: dict[str, Any] = {"order": bart.before, "found": bart.from_table(0)}
decode = partial(bart.decode, **read)
network = Network(parameters, partial(bart.encode, **read), decode, bart.cells)
decoder = Network(bart.arrays_alone(parameters), decode=bart.alone(decode), cells=bart.cells)


class BlenderbotModel(tasks.Seq2Seq, config=BlenderbotConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class BlenderbotForConditionalGeneration(tasks.Seq2SeqLM, base=BlenderbotModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class BlenderbotForCausalLM(tasks.AlignedCausalLM, base=BlenderbotModel, accepts=CAUSAL, network=decoder):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""
