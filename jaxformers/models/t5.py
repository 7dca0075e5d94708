"""T5 (Raffel et al. 2020, arXiv 1910.10683): an encoder and a decoder whose scores go by distance. Version 1.1 and FLAN
have a gate, and tables of words apart.
"""

from __future__ import annotations

from functools import partial

from .. import declare, tasks
from ..config import Config, Depth, Size
from ..layers import t5
from ..network import Network
from ..sizes import T5Sizes


class T5Config(T5Sizes, Config, model_type="t5"):
    """Sizes and rates of a T5; the defaults are t5-small's."""


class T5Model(
    tasks.Seq2Seq, config=T5Config, prefix="", network=Network(t5.parameters, t5.encode, t5.decode, t5.cells)
):
    """Encoder and decoder without a head."""


class T5EncoderModel(
    tasks.Encoder, config=T5Config, prefix="", network=Network(t5.encoder_arrays, t5.encode), accepts=t5.ENCODER
):
    """The encoder alone."""


class T5ForConditionalGeneration(tasks.Seq2SeqLM, base=T5Model, head=t5.words):
    """Scores of every word to follow each of the decoder's tokens."""


class T5ForSequenceClassification(
    tasks.Seq2SeqSequenceClassification, base=T5Model, prefix="transformer", head=t5.ends, reads_source_twice=True
):
    """One set of scores a text, by the decoder's state at its end."""


class T5ForTokenClassification(tasks.TokenClassification, base=T5EncoderModel, prefix="transformer", head=t5.tokens):
    """One set of scores a token, by the encoder's state."""


class T5ForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=T5Model, head=t5.spans, reads_source_twice=True):
    """Where in a context the answer starts and ends, by the decoder's states."""


# -- mT5 (Xue et al. 2020, arXiv 2010.11934): T5 1.1 for many languages ------------------------------------------------


class MT5Config(T5Config, model_type="mt5"):
    """Sizes and rates of an mT5; the defaults are mt5-small's."""

    vocab_size: Size = 250112
    d_ff: Size = 1024
    num_layers: Depth = 8
    num_heads: Size = 6
    feed_forward_proj: str = "gated-gelu"
    tie_word_embeddings: bool = False


class MT5Model(T5Model, config=MT5Config):
    """Encoder and decoder without a head."""


class MT5EncoderModel(T5EncoderModel, config=MT5Config):
    """The encoder alone."""


class MT5ForConditionalGeneration(T5ForConditionalGeneration, base=MT5Model):
    """Scores of every word to follow each of the decoder's tokens."""


class MT5ForSequenceClassification(
    T5ForSequenceClassification, base=MT5Model, prefix="transformer", reads_source_twice=True
):
    """One set of scores a text, by the decoder's state at its end."""


class MT5ForTokenClassification(T5ForTokenClassification, base=MT5EncoderModel, prefix="transformer"):
    """One set of scores a token, by the encoder's state."""


class MT5ForQuestionAnswering(T5ForQuestionAnswering, base=MT5Model, reads_source_twice=True):
    """Where in a context the answer starts and ends, by the decoder's states."""


# -- UMT5 (Chung et al. 2023, arXiv 2304.09151): mT5 with a table of distances in each layer ---------------------------


class UMT5Config(MT5Config, model_type="umt5"):
    """Sizes and rates of a UMT5; the defaults are umt5-small's."""

    tie_word_embeddings: bool = True


def side_of_each(c: UMT5Config, count: int, *, crossed: bool) -> declare.Tree:
    """The arrays of the encoder or the decoder, with a table of distances in each layer."""
    blocks = [block | {"distance": t5.distance(c, i)} for i, block in enumerate(t5.layers(c, count, crossed=crossed))]
    return {"layers": blocks, "final_norm": declare.rms_norm(c.d_model, "final_layer_norm")}


read = partial(t5.encode, mixing=t5.everything(t5.of_each))


class UMT5Model(
    tasks.Seq2Seq,
    config=UMT5Config,
    prefix="",
    network=Network(partial(t5.parameters, side=side_of_each), read, partial(t5.decode, biases=t5.of_each), t5.cells),
):
    """Encoder and decoder without a head."""


class UMT5EncoderModel(
    tasks.Encoder,
    config=UMT5Config,
    prefix="",
    network=Network(partial(t5.encoder_arrays, side=side_of_each), read),
    accepts=t5.ENCODER,
):
    """The encoder alone."""


class UMT5ForConditionalGeneration(tasks.Seq2SeqLM, base=UMT5Model, head=t5.words):
    """Scores of every word to follow each of the decoder's tokens."""


class UMT5ForSequenceClassification(
    tasks.Seq2SeqSequenceClassification, base=UMT5Model, prefix="transformer", head=t5.ends, reads_source_twice=True
):
    """One set of scores a text, by the decoder's state at its end."""


class UMT5ForTokenClassification(
    tasks.TokenClassification, base=UMT5EncoderModel, prefix="transformer", head=t5.tokens
):
    """One set of scores a token, by the encoder's state."""


class UMT5ForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=UMT5Model, head=t5.spans, reads_source_twice=True):
    """Where in a context the answer starts and ends, by the decoder's states."""
