"""FSMT (Ng et al. 2019, arXiv 1907.06616), the translation models that fairseq sent to WMT19: BART without norms before
its layers, with fairseq's waves for positions, and words of two languages in tables apart.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import jax

from .. import declare, outputs, tasks
from ..config import Config, Endless, Size, Token
from ..layers import bart
from ..layers.embedding import embed_tokens
from ..layers.heads import Head
from ..layers.inputs import Inputs
from ..layers.linear import unembed
from ..layers.run import Encoded
from ..layers.sites import Sites
from ..network import Network
from ..sizes import TwoSidedSizes


class FSMTConfig(
    Endless,
    TwoSidedSizes,
    Config,
    model_type="fsmt",
    aliases={"vocab_size": "tgt_vocab_size"},
    allowed={**TwoSidedSizes.allowed, "tie_word_embeddings": (False,)},
    ignores=(*TwoSidedSizes.ignores, "decoder", "langs"),
):
    """Sizes and rates of an FSMT; the defaults are torch Transformers'.

    src_vocab_size, tgt_vocab_size: words that the encoder reads, and those that the decoder reads and writes.
    """

    wraps: ClassVar[bool] = True
    src_vocab_size: Size = 42024
    tgt_vocab_size: Size = 42024
    max_position_embeddings: Size = 1024
    activation_function: str = "relu"
    scale_embedding: bool = True
    pad_token_id: Token = 1
    tie_word_embeddings: bool = False

    @property
    def source_vocab_size(self) -> int:
        """Words of the first language."""
        return self.src_vocab_size

    @property
    def unread(self) -> tuple[str, ...]:
        """Some files have the waves."""
        return ("encoder.embed_positions", "decoder.embed_positions")

    def check(self) -> None:
        """Heads share the width evenly, and both languages have the padding token."""
        super().check()
        for name in ("src_vocab_size", "tgt_vocab_size"):
            if self.pad_token_id >= getattr(self, name):
                raise ValueError(f"FSMTConfig: pad_token_id={self.pad_token_id} is not below {name}")


def parameters(c: FSMTConfig) -> declare.Tree:
    """The arrays of both sides; the decoder's words score what follows, too."""
    of = partial(bart.side, c, position=None, embedding_norm=False, final_norm=False)
    table = partial(declare.embedding, zero_row=c.pad_token_id)
    word = table(c.src_vocab_size, c.d_model, "encoder.embed_tokens", "source_vocab")
    own = table(c.tgt_vocab_size, c.d_model, "decoder.output_projection", "vocab", role="unembedding")
    own["table"] = declare.tied(own["table"], "decoder.embed_tokens.weight")
    return {"word": word, "encoder": of("encoder"), "decoder": of("decoder") | {"word": own}}


def scaled(p: Any, c: FSMTConfig, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of a batch's tokens, scaled wherever they come from."""
    x = embed_tokens(p["word"], inputs)
    return x * c.d_model**0.5 if c.scale_embedding else x


def scores(params: Any, c: FSMTConfig, encoded: Encoded, sites: Sites) -> jax.Array:
    """Scores [B, T, V] of each word of the second language."""
    return unembed(params["decoder"]["word"], encoded.state)


read: dict[str, Any] = {"order": bart.after, "found": bart.fairseq_waves}
network = Network(
    parameters,
    partial(bart.encode, **read, places=bart.counted, vectors=scaled),
    partial(bart.decode, **read, vectors=lambda params, c, inputs: scaled(params["decoder"], c, inputs)),
    bart.cells,
)
head = Head(lambda c: {}, scores)


class FSMTModel(
    tasks.Seq2Seq, config=FSMTConfig, prefix="", also=("model",), network=network, head=head, reads_source_twice=True
):
    """Encoder and decoder, whose result are its scores; a decoder without ids reads those of the encoder."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: tasks.Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] in the place of states, as files of this architecture have the projection in the decoder."""
        return super().finish(scores, encoded, labels, config).replace(last_hidden_state=scores)


class FSMTForConditionalGeneration(tasks.Seq2SeqLM, base=FSMTModel, prefix="model", head=head):
    """Scores of every word to follow each of the decoder's tokens."""
