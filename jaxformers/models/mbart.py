"""mBART and mBART-50 (Liu et al. 2020, arXiv 2001.08210; Tang et al. 2020, arXiv 2008.00401): BART for many languages,
with norms before the parts of a layer and one more at the end of each side.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from .. import declare, tasks
from ..batch import CAUSAL
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


decode = partial(bart.decode, order=bart.before)
network = Network(parameters, partial(bart.encode, order=bart.before), decode, bart.cells)
decoder = Network(bart.arrays_alone(parameters), decode=bart.alone(decode), cells=bart.cells)


class MBartModel(tasks.Seq2Seq, config=MBartConfig, prefix="model", network=network, reads_source_twice=True):
    """Encoder and decoder without a head."""


class MBartForConditionalGeneration(tasks.Seq2SeqLM, base=MBartModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class MBartForSequenceClassification(tasks.Seq2SeqSequenceClassification, base=MBartModel):
    """One set of scores a text, by the decoder's state at its end."""


class MBartForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=MBartModel):
    """Where in a context the answer starts and ends, by the decoder's states."""


class MBartForCausalLM(tasks.AlignedCausalLM, base=MBartModel, accepts=CAUSAL, network=decoder):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""
