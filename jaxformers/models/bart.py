"""BART (Lewis et al. 2020, arXiv 1910.13461): BERT's encoder beside GPT's decoder, trained to mend broken texts."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Rate, Size, Token
from ..layers import bart
from ..network import Network
from ..sizes import BartSizes


class BartConfig(BartSizes, Config, model_type="bart"):
    """Sizes and rates of a BART; the defaults are bart-large's."""

    classifier_dropout: Rate = 0.0


def parameters(c: BartConfig) -> declare.Tree:
    """The arrays of both sides."""
    return bart.both(c, position=bart.learned(c), embedding_norm=True, final_norm=False)


decode = partial(bart.decode, order=bart.after)
network = Network(parameters, partial(bart.encode, order=bart.after), decode, bart.cells)
decoder = Network(bart.arrays_alone(parameters), decode=bart.alone(decode), cells=bart.cells)


class BartModel(tasks.Seq2Seq, config=BartConfig, prefix="model", network=network, reads_source_twice=True):
    """Encoder and decoder without a head; a decoder without ids reads those of the encoder."""


class BartForConditionalGeneration(tasks.Seq2SeqLM, base=BartModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


class BartForSequenceClassification(tasks.Seq2SeqSequenceClassification, base=BartModel):
    """One set of scores a text, by the decoder's state at its end."""


class BartForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=BartModel):
    """Where in a context the answer starts and ends, by the decoder's states."""


class BartForCausalLM(tasks.AlignedCausalLM, base=BartModel, accepts=CAUSAL, network=decoder):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""


# -- PLBart (Ahmad et al. 2021, arXiv 2103.06333): BART for programs ---------------------------------------------------


class PLBartConfig(BartConfig, model_type="plbart"):
    """Sizes and rates of a PLBart; the defaults are plbart-base's."""

    wraps: ClassVar[bool] = True
    vocab_size: Size = 50005
    d_model: Size = 768
    encoder_layers: Depth = 6
    encoder_attention_heads: Size = 12
    encoder_ffn_dim: Size = 3072
    decoder_layers: Depth = 6
    decoder_attention_heads: Size = 12
    decoder_ffn_dim: Size = 3072
    attention_dropout: Rate = 0.1
    scale_embedding: bool = True
    decoder_start_token_id: Token | None = None


class PLBartModel(BartModel, config=PLBartConfig):
    """Encoder and decoder without a head."""


class PLBartForConditionalGeneration(BartForConditionalGeneration, base=PLBartModel):
    """Scores of every word to follow each of the decoder's tokens."""


class PLBartForSequenceClassification(BartForSequenceClassification, base=PLBartModel):
    """One set of scores a text, by the decoder's state at its end."""


class PLBartForCausalLM(BartForCausalLM, base=PLBartModel, accepts=CAUSAL):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""


# -- MVP (Tang et al. 2022, arXiv 2206.12131): BART trained on many tasks, without prompts -----------------------------


class MvpConfig(
    BartConfig,
    model_type="mvp",
    allowed={**BartSizes.allowed, "use_prompt": (False,)},
    ignores=(*BartSizes.ignores, "prompt_length", "prompt_mid_dim"),
):
    """Sizes and rates of an MVP; the defaults are mvp's."""

    vocab_size: Size = 50267


class MvpModel(BartModel, config=MvpConfig):
    """Encoder and decoder without a head."""


class MvpForConditionalGeneration(BartForConditionalGeneration, base=MvpModel):
    """Scores of every word to follow each of the decoder's tokens."""


class MvpForSequenceClassification(BartForSequenceClassification, base=MvpModel):
    """One set of scores a text, by the decoder's state at its end."""


class MvpForQuestionAnswering(BartForQuestionAnswering, base=MvpModel):
    """Where in a context the answer starts and ends, by the decoder's states."""


class MvpForCausalLM(BartForCausalLM, base=MvpModel, accepts=CAUSAL):
    """The decoder alone: scores of every word to follow each token; labels are shifted already."""
