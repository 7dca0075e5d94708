"""M2M-100 and NLLB-200 (Fan et al. 2020, arXiv 2010.11125; NLLB Team 2022, arXiv 2207.04672): mBART with fairseq's
waves for positions, counted over what is no padding.
"""

from __future__ import annotations

from functools import partial

from .. import declare, tasks
from ..config import Config, Rate, Size, Token
from ..layers import bart, heads
from ..network import Network
from ..sizes import BartSizes


class M2M100Config(BartSizes, Config, model_type="m2m_100"):
    """Sizes and rates of an M2M-100; the defaults are torch Transformers'."""

    vocab_size: Size = 128112
    activation_function: str = "relu"
    attention_dropout: Rate = 0.1
    scale_embedding: bool = True
    pad_token_id: Token = 1


def parameters(c: M2M100Config) -> declare.Tree:
    """The arrays of both sides."""
    return bart.both(c, position=None, embedding_norm=False, final_norm=True)


network = Network(
    parameters,
    partial(bart.encode, order=bart.before, found=bart.fairseq_waves, places=bart.counted),
    partial(bart.decode, order=bart.before, found=bart.fairseq_waves),
    bart.cells,
)


class M2M100Model(tasks.Seq2Seq, config=M2M100Config, prefix="model", network=network):
    """Encoder and decoder without a head."""


class M2M100ForConditionalGeneration(tasks.Seq2SeqLM, base=M2M100Model, head=heads.words("lm_head")):
    """Scores of every word to follow each of the decoder's tokens."""
