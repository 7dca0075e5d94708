"""mBART and mBART-50 (Liu et al. 2020, arXiv 2001.08210; Tang et al. 2020, arXiv 2008.00401): BART for many languages,
with norms before the parts of a layer and one more at the end of each side.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from .. import declare, tasks
from ..config import Config, Rate
from ..layers import bart
from ..network import Network
from ..sizes import BartSizes


class MBartConfig(BartSizes, Config, model_type="mbart"):
    """Sizes and rates of an mBART; the defaults are mbart-large-cc25's."""

    wraps: ClassVar[bool] = True
    classifier_dropout: Rate = 0.0
    decoder_start_token_id: int | None = None


def parameters(c: MBartConfig) -> declare.Tree:
    """The arrays of both sides."""
    return bart.both(c, position=bart.learned(c), embedding_norm=True, final_norm=True)


network = Network(
    parameters, partial(bart.encode, order=bart.before), partial(bart.decode, order=bart.before), bart.cells
)


class MBartModel(tasks.Seq2Seq, config=MBartConfig, prefix="model", network=network):
    """Encoder and decoder without a head."""


class MBartForConditionalGeneration(tasks.Seq2SeqLM, base=MBartModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""
