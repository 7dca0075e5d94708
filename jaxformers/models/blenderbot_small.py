"""The small Blenderbot of 90 million parameters (Roller et al. 2020, arXiv 2004.13637): BART with a table of positions
from its first row on; of what the decoder reads only words are normed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Size, Token
from ..layers import bart
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs
from ..network import Network
from ..sizes import BartSizes


class BlenderbotSmallConfig(BartSizes, Config, model_type="blenderbot-small"):
    """Sizes and rates of a small Blenderbot; the defaults are blenderbot_small-90M's."""

    d_model: Size = 512
    encoder_layers: Depth = 8
    encoder_ffn_dim: Size = 2048
    decoder_layers: Depth = 8
    decoder_ffn_dim: Size = 2048
    max_position_embeddings: Size = 512
    pad_token_id: Token | None = 0
    decoder_start_token_id: Token | None = 1


def parameters(c: BlenderbotSmallConfig) -> declare.Tree:
    """The arrays of both sides."""
    return bart.both(c, position=bart.learned(c, 0), embedding_norm=True, final_norm=False)


def unscaled(params: Any, c: BlenderbotSmallConfig, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of what the decoder reads, which alone are not scaled: a norm follows."""
    return embed_tokens(params["word"], inputs)


read: dict[str, Any] = {"order": bart.after, "found": bart.from_table(0)}
decode = partial(bart.decode, **read, enter=bart.words_normed, vectors=unscaled)
network = Network(parameters, partial(bart.encode, **read), decode, bart.cells)
decoder = Network(bart.arrays_alone(parameters), decode=bart.alone(decode), cells=bart.cells)


class BlenderbotSmallModel(tasks.Seq2Seq, config=BlenderbotSmallConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class BlenderbotSmallForConditionalGeneration(tasks.Seq2SeqLM, base=BlenderbotSmallModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class BlenderbotSmallForCausalLM(tasks.AlignedCausalLM, base=BlenderbotSmallModel, accepts=CAUSAL, network=decoder):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""
