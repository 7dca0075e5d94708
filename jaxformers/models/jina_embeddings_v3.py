"""Jina Embeddings v3 (Sturua et al. 2024, arXiv 2409.10173): XLM-RoBERTa with rotary positions, and for each of several
tasks a low-rank addition to every dense layer and table. Files have the names of its own code.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import Beside
from ..config import Config, Depth, Endless, Epsilon, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, lora, named_heads, rotary
from ..layers.attention import visible
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import block, rotary_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class JinaEmbeddingsV3Config(
    Endless,
    BertSizes,
    Config,
    model_type="jina_embeddings_v3",
    also=("xlm-roberta",),
    aliases={"rotary_emb_base": "rope_theta"},
    allowed={
        "position_embedding_type": ("rotary",),
        "emb_pooler": (None,),
        "use_qkv_bias": (True,),
    },
    ignores=("lora_dropout_p", "use_flash_attn"),
):
    """Sizes and rates of a Jina v3 model; the defaults are jina-embeddings-v3's, but for its tasks.

    lora_adaptations: the names of the tasks, lora_rank: of their additions, which are multiplied by lora_alpha over it.
    task_instructions: words before the texts of a task, by its name.
    """

    vocab_size: Size = 250002
    hidden_size: Size = 1024
    num_hidden_layers: Depth = 24
    num_attention_heads: Size = 16
    intermediate_size: Size = 4096
    max_position_embeddings: Size = 8194
    type_vocab_size: Size = 1
    layer_norm_eps: Epsilon = 1e-5
    classifier_dropout: Rate | None = None
    rope_theta: float = 20000.0
    rope_parameters: dict | None = None
    head_dim: Size | None = None
    lora_adaptations: tuple[str, ...] | None = None
    lora_rank: Size = 4
    lora_alpha: float = 1.0
    task_instructions: dict | None = None
    pad_token_id: Token | None = 1

    def check(self) -> None:
        """Heads share the width evenly and have pairs to rotate."""
        rotary.check(self)

    @property
    def adapters(self) -> int:
        """How many tasks there are."""
        return len(self.lora_adaptations or ())

    @property
    def lora_scale(self) -> float:
        """What additions are multiplied by."""
        return self.lora_alpha / self.lora_rank


def body(c: JinaEmbeddingsV3Config) -> declare.Tree:
    """The encoder's arrays."""
    d, inner = c.hidden_size, c.intermediate_size
    layer = {
        "qkv": dense(c, declare.linear(d, 3 * d, "mixer.Wqkv", ("embed", "heads"))),
        "out": dense(c, declare.linear(d, d, "mixer.out_proj", ("heads", "embed"))),
        "attention_norm": declare.layer_norm(d, "norm1"),
        "up": dense(c, declare.linear(d, inner, "mlp.fc1", ("embed", "mlp"))),
        "down": dense(c, declare.linear(inner, d, "mlp.fc2", ("mlp", "embed"))),
        "ffn_norm": declare.layer_norm(d, "norm2"),
    }
    words = declare.embedding(c.vocab_size, d, "embeddings.word_embeddings", "vocab", zero_row=c.pad_token_id)
    return {
        "word": table(c, words),
        "type": table(c, declare.embedding(c.type_vocab_size, d, "embeddings.token_type_embeddings")),
        "norm": declare.layer_norm(d, "emb_ln"),
        "layers": repeat(c.num_hidden_layers, "encoder.layers.{}", layer),
    }


def with_pooler(c: JinaEmbeddingsV3Config) -> declare.Tree:
    """The encoder's arrays and the pooler's."""
    return body(c) | {"pooler": dense(c, declare.projection(c.hidden_size, c.hidden_size, "pooler.dense"))}


def dense(c: JinaEmbeddingsV3Config, layer: declare.Tree) -> declare.Tree:
    """The dense layer with what the tasks add, where there are tasks."""
    return lora.dense(layer, c.adapters, c.lora_rank) if c.adapters else layer


def table(c: JinaEmbeddingsV3Config, rows: declare.Tree) -> declare.Tree:
    """The table with what the tasks add, where there are tasks."""
    return lora.table(rows, c.adapters, c.lora_rank) if c.adapters else rows


def encode(params: Any, c: JinaEmbeddingsV3Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    rows = inputs.beside.get("adapter_mask")
    x = lora.embed(params["word"], inputs, None, rows, c.lora_scale)
    x = x + lora.embed(params["type"], inputs, inputs.segments, rows, c.lora_scale)
    x = sites.drop("embeddings", layer_norm(params["norm"], x, c.layer_norm_eps), c.hidden_dropout_prob)
    angles = rotary.angles(inputs.places, c.hidden_size // c.num_attention_heads, rotary.base(c))
    through = block(c, rotary_attention(c, visible(inputs.mask), angles))
    layers = lora.chosen(params["layers"], rows, c.lora_scale)
    encoded = run(through, layers, x, ask=ask, sites=sites)
    if "pooler" not in params:
        return encoded
    return heads.pool(lora.chosen(params["pooler"], rows, c.lora_scale), encoded)


def number_of_tasks(c: JinaEmbeddingsV3Config) -> int:
    """How many tasks a row may choose from.

    Raises:
        ValueError: none.
    """
    if not c.adapters:
        raise ValueError("the config has no lora_adaptations")
    return c.adapters


class JinaEmbeddingsV3Model(
    tasks.Encoder,
    config=JinaEmbeddingsV3Config,
    prefix="roberta",
    network=Network(with_pooler, encode),
    accepts=("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "adapter_mask"),
    beside={"adapter_mask": Beside(number_of_tasks, per="row")},
    packs=False,
):
    """The encoder with its pooler, without a head. adapter_mask [batch]: the task of each row, by its number."""


class JinaEmbeddingsV3ForMaskedLM(
    tasks.MaskedLM,
    base=JinaEmbeddingsV3Model,
    parameters=body,
    head=named_heads.lm_head(),
):
    """Scores of every word at every place."""


class JinaEmbeddingsV3ForSequenceClassification(
    tasks.SequenceClassification,
    base=JinaEmbeddingsV3Model,
    parameters=body,
    head=named_heads.classification_head(),
):
    """One set of scores a text."""


class JinaEmbeddingsV3ForTokenClassification(
    tasks.TokenClassification,
    base=JinaEmbeddingsV3Model,
    parameters=body,
    head=heads.each_token(rate=heads.classifier_rate),
):
    """One set of scores a token."""


class JinaEmbeddingsV3ForQuestionAnswering(tasks.QuestionAnswering, base=JinaEmbeddingsV3Model, parameters=body):
    """Where in a context the answer starts and ends."""
