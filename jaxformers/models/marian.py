"""Marian (Junczys-Dowmunt et al. 2018, arXiv 1804.00344), the translation models of OPUS-MT: BART with waves for
positions and no norm before its layers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import declare, tasks
from ..config import Config, Size, Token
from ..layers import bart
from ..network import Network
from ..sizes import BartSizes


class MarianConfig(
    BartSizes,
    Config,
    model_type="marian",
    allowed={**BartSizes.allowed, "share_encoder_decoder_embeddings": (True,)},
    ignores=(*BartSizes.ignores, "decoder_vocab_size"),
):
    """Sizes and rates of a Marian; the defaults are torch Transformers'."""

    vocab_size: Size = 58101
    pad_token_id: Token | None = 58100
    eos_token_id: int | tuple[int, ...] | None = 0
    decoder_start_token_id: Token | None = 58100

    @property
    def unread(self) -> tuple[str, ...]:
        """Older files have the waves."""
        return ("encoder.embed_positions", "decoder.embed_positions")


def parameters(c: MarianConfig) -> declare.Tree:
    """The arrays of both sides."""
    return bart.both(c, position=None, embedding_norm=False, final_norm=False)


read: dict[str, Any] = {"order": bart.after, "found": bart.waves(declare.frequencies)}
network = Network(parameters, partial(bart.encode, **read), partial(bart.decode, **read), bart.cells)


class MarianModel(tasks.Seq2Seq, config=MarianConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class MarianMTModel(tasks.Seq2SeqLM, base=MarianModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""
