"""LED (Beltagy et al. 2020, arXiv 2004.05150): BART for long sources, whose encoder is Longformer's. A token sees those
near it, and a few that all see, which see all in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .. import declare, tasks
from ..batch import TWO_SIDED, Beside
from ..config import Config, Rate, Size, Token
from ..layers import bart, window
from ..layers.attention import attention
from ..layers.inputs import Inputs
from ..layers.post_norm import Mix
from ..network import Network
from ..sizes import TwoSidedSizes, WindowSizes


class LEDConfig(WindowSizes, TwoSidedSizes, Config, model_type="led"):
    """Sizes and rates of an LED; the defaults are torch Transformers'."""

    vocab_size: Size = 50265
    max_encoder_position_embeddings: Size = 16384
    max_decoder_position_embeddings: Size = 1024
    classifier_dropout: Rate = 0.0
    pad_token_id: Token | None = 1

    def check(self) -> None:
        """Heads share the width evenly, and windows are even."""
        super().check()
        window.check(self)

    @property
    def longest_row(self) -> int:
        """The encoder's positions."""
        return self.max_encoder_position_embeddings

    @property
    def longest_target(self) -> int:
        """The decoder's positions."""
        return self.max_decoder_position_embeddings


def parameters(c: LEDConfig) -> declare.Tree:
    """The arrays of both sides."""
    inside = "self_attn.longformer_self_attn"
    names = (*(f"{inside}.{name}" for name in ("query", "key", "value")), "self_attn.output")
    own = attention(c.d_model, *names) | {"global": window.wide_arrays(c.d_model, inside)}
    places = lambda count: declare.embedding(count, c.d_model, "embed_positions")  # noqa: E731
    of = partial(bart.side, c, embedding_norm=True, final_norm=False)
    return {
        "word": bart.words(c),
        "encoder": of("encoder", position=places(c.max_encoder_position_embeddings), own=own),
        "decoder": of("decoder", position=places(c.max_decoder_position_embeddings)),
    }


def mixing(c: LEDConfig, inputs: Inputs) -> tuple[Callable[..., Mix], Sequence[Sequence[Any]]]:
    """Tokens see those in the window of a layer, and those that `global_attention_mask` marks."""
    said = inputs.beside.get("global_attention_mask")
    marks, few = (None, 0) if said is None else (said != 0, None)
    head = c.d_model // c.encoder_attention_heads
    return window.mixes(inputs, c.windows, marks, few, head=head, rate=c.attention_dropout)


read: dict[str, Any] = {"order": bart.after, "found": bart.from_table(0)}
network = Network(parameters, partial(bart.encode, **read, mixing=mixing), partial(bart.decode, **read), bart.cells)


class LEDModel(
    tasks.Seq2Seq,
    config=LEDConfig,
    prefix="led",
    network=network,
    accepts=(*TWO_SIDED[:5], "global_attention_mask", *TWO_SIDED[5:]),
    beside={"global_attention_mask": Beside()},
    reads_source_twice=True,
):
    """Encoder and decoder without a head; a decoder without ids reads those of the encoder.

    The encoder's attentions are of all tokens with all, [B, H, S, S].
    """


class LEDForConditionalGeneration(tasks.Seq2SeqLM, base=LEDModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class LEDForSequenceClassification(tasks.Seq2SeqSequenceClassification, base=LEDModel):
    """One set of scores a text, by the decoder's state at its end."""


class LEDForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=LEDModel):
    """Where in a context the answer starts and ends, by the decoder's states."""
