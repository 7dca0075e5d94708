"""BART (Lewis et al. 2020, arXiv 1910.13461): BERT's encoder beside GPT's decoder, trained to mend broken texts."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from .. import declare, tasks
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


network = Network(
    parameters, partial(bart.encode, order=bart.after), partial(bart.decode, order=bart.after), bart.cells
)


class BartModel(tasks.Seq2Seq, config=BartConfig, prefix="model", network=network, reads_source_twice=True):
    """Encoder and decoder without a head; a decoder without ids reads those of the encoder."""


class BartForConditionalGeneration(tasks.Seq2SeqLM, base=BartModel, head=bart.scores()):
    """Scores of every word to follow each of the decoder's tokens."""


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
