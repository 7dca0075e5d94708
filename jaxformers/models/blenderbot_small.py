"""The small Blenderbot of 90 million parameters (Roller et al. 2020, arXiv 2004.13637): BART with a table of positions
from its first row on; of what the decoder reads only words are normed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Size, Token
from ..layers import bart
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


read: dict[str, Any] = {"order": bart.after, "found": bart.from_table(0)}
decode = partial(bart.decode, **read, enter=bart.words_normed)
network = Network(parameters, partial(bart.encode, **read), decode, bart.cells)


class BlenderbotSmallModel(tasks.Seq2Seq, config=BlenderbotSmallConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class BlenderbotSmallForConditionalGeneration(tasks.Seq2SeqLM, base=BlenderbotSmallModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""
