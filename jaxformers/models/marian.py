"""Marian (Junczys-Dowmunt et al. 2018, arXiv 1804.00344), the translation models of OPUS-MT: BART with waves for
positions and no norm before its layers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Size, Token
from ..layers import bart
from ..layers.inputs import Inputs
from ..network import Network
from ..sizes import BartSizes


class MarianConfig(BartSizes, Config, model_type="marian"):
    """Sizes and rates of a Marian; the defaults are torch Transformers'.

    share_encoder_decoder_embeddings: whether both sides have the same words; if not, the encoder has vocab_size, the
    decoder decoder_vocab_size, None: as many.
    """

    vocab_size: Size = 58101
    decoder_vocab_size: Size | None = None
    share_encoder_decoder_embeddings: bool = True
    pad_token_id: Token | None = 58100
    eos_token_id: int | tuple[int, ...] | None = 0
    decoder_start_token_id: Token | None = 58100

    @property
    def target_vocab_size(self) -> int:
        """How many words the decoder reads and writes."""
        return self.vocab_size if self.share_encoder_decoder_embeddings else self.decoder_vocab_size or self.vocab_size

    def check(self) -> None:
        """Heads share the width evenly, and the decoder has the padding token too."""
        super().check()
        if self.pad_token_id is not None and self.pad_token_id >= self.target_vocab_size:
            raise ValueError(
                f"{type(self).__name__}: pad_token_id={self.pad_token_id} is not below "
                f"decoder_vocab_size={self.decoder_vocab_size}"
            )

    @property
    def unread(self) -> tuple[str, ...]:
        """Older files have the waves."""
        return (*super().unread, "encoder.embed_positions", "decoder.embed_positions")


def parameters(c: MarianConfig) -> declare.Tree:
    """The arrays of both sides; where each has its own words, "word" are the decoder's, which score what follows."""
    tree = bart.both(c, position=None, embedding_norm=False, final_norm=False)
    if c.share_encoder_decoder_embeddings:
        return tree
    table = partial(declare.embedding, zero_row=c.pad_token_id)
    own = table(c.vocab_size, c.d_model, "encoder.embed_tokens", "source_vocab")
    word = table(c.target_vocab_size, c.d_model, "decoder.embed_tokens", "vocab")
    return {"word": word, "encoder": tree["encoder"] | {"word": own}, "decoder": tree["decoder"]}


def vectors(params: Any, c: MarianConfig, inputs: Inputs) -> jax.Array:
    """The vectors [B, S, D] of what the encoder reads, from its own table where it has one."""
    side = params["encoder"]
    return bart.words_of(side if "word" in side else params, c, inputs)


read: dict[str, Any] = {"order": bart.after, "found": bart.waves(declare.frequencies)}
decode = partial(bart.decode, **read)
network = Network(parameters, partial(bart.encode, **read, vectors=vectors), decode, bart.cells)
decoder = Network(bart.arrays_alone(parameters), decode=bart.alone(decode), cells=bart.cells)


class MarianModel(tasks.Seq2Seq, config=MarianConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class MarianMTModel(tasks.Seq2SeqLM, base=MarianModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class MarianForCausalLM(tasks.AlignedCausalLM, base=MarianModel, accepts=CAUSAL, network=decoder):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""
