"""Pegasus (Zhang et al. 2020, arXiv 1912.08777), made for summaries: mBART with waves for positions, which files hold,
and no norm before its layers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Token
from ..layers import bart
from ..network import Network
from ..sizes import BartSizes


class PegasusConfig(BartSizes, Config, model_type="pegasus"):
    """Sizes and rates of a Pegasus; the defaults are torch Transformers'."""

    pad_token_id: Token | None = 0
    eos_token_id: int | tuple[int, ...] | None = 1
    decoder_start_token_id: Token | None = 0


def parameters(c: PegasusConfig) -> declare.Tree:
    """The arrays of both sides."""
    waves = declare.embedding(
        c.max_position_embeddings, c.d_model, "embed_positions", role="buffer", init=declare.sines_then_cosines
    )
    return bart.both(c, position=waves, embedding_norm=False, final_norm=True)


read: dict[str, Any] = {"order": bart.before, "found": bart.from_table(0)}
decode = partial(bart.decode, **read)
network = Network(parameters, partial(bart.encode, **read), decode, bart.cells)
decoder = Network(bart.arrays_alone(parameters), decode=bart.alone(decode), cells=bart.cells)


class PegasusModel(tasks.Seq2Seq, config=PegasusConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class PegasusForConditionalGeneration(tasks.Seq2SeqLM, base=PegasusModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class PegasusForCausalLM(tasks.AlignedCausalLM, base=PegasusModel, accepts=CAUSAL, network=decoder):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""
