"""LUKE (Yamada et al. 2020, arXiv 2010.01057) over words alone: then it is RoBERTa.

Files hold arrays for entities too; they are read, kept and written, and nothing here computes with them.
"""

from __future__ import annotations

from typing import Any

from .. import declare, outputs, tasks
from ..config import Size
from ..declare import Param, repeat, under
from ..layers import heads, named_heads
from ..layers.heads import Head
from ..layers.post_norm import embeddings, layer
from ..layers.run import Encoded
from ..network import Network
from ..outputs import Array, Layers
from .roberta import RobertaConfig, encode


class LukeConfig(RobertaConfig, model_type="luke", ignores=("bert_model_name",)):
    """RoBERTa's sizes and rates, and those of the tables of entities."""

    vocab_size: Size = 50267
    entity_vocab_size: Size = 500000
    entity_emb_size: Size = 256
    use_entity_aware_attention: bool = True


def body(c: LukeConfig) -> declare.Tree:
    """The encoder's arrays; "entities", and "to_entity" and the like in layers, are those that words do not need."""
    d, narrow = c.hidden_size, c.entity_emb_size
    each = layer(c)
    if c.use_entity_aware_attention:
        each |= {
            name: declare.linear(d, d, f"attention.self.{word}_query", ("embed", "heads"))
            for name, word in (("to_entity", "w2e"), ("to_word", "e2w"), ("between_entities", "e2e"))
        }
    entities = {
        "entity": declare.embedding(c.entity_vocab_size, narrow, "entity_embeddings", zero_row=0),
        "position": declare.embedding(c.max_position_embeddings, d, "position_embeddings"),
        "type": declare.embedding(c.type_vocab_size, d, "token_type_embeddings"),
        "norm": declare.layer_norm(d, "LayerNorm"),
    }
    if narrow != d:
        entities["project"] = declare.projection(narrow, d, "entity_embedding_dense", bias=False)
    return embeddings(c, d) | {
        "entities": under("entity_embeddings", entities),
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", each),
    }


def words_beside_entities() -> Head:
    """RoBERTa's scores of every word [B, T, V]; "entities" are the arrays for those of entities."""
    words = named_heads.lm_head()

    def parameters(c: LukeConfig) -> declare.Tree:
        narrow = c.entity_emb_size
        entities = {
            "dense": declare.linear(c.hidden_size, narrow, "transform.dense"),
            "norm": declare.layer_norm(narrow, "transform.LayerNorm"),
            "bias": Param((c.entity_vocab_size,), ("out",), "bias", "bias", declare.zeros),
        }
        return words.parameters(c) | {"entities": under("entity_predictions", entities)}

    return Head(parameters, words.forward, words.tied)


@outputs.output
class LukeMaskedLMOutput(outputs.Output):
    """loss: scalar, mean over labels that are not -100; mlm_loss the same. logits: [batch, seq, vocab]."""

    loss: Array | None = None
    mlm_loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


class LukeModel(tasks.Encoder, config=LukeConfig, prefix="luke", network=Network(heads.with_pooler(body), encode)):
    """The encoder with its pooler, without a head."""


class LukeForMaskedLM(tasks.MaskedLM, base=LukeModel, head=words_beside_entities()):
    """Scores of every word at every place."""

    @classmethod
    def declaration(cls, config: Any) -> declare.Tree:
        """The model's arrays; files may hold the table of entities a second time, as a decoder."""
        tree = super().declaration(config)
        entity = tree["entities"]["entity"]
        entity["table"] = declare.tied(entity["table"], "entity_predictions.decoder.weight")
        return tree

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: tasks.Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and their mean cross-entropy over counted labels, under both of its names."""
        out = super().finish(scores, encoded, labels, config)
        return LukeMaskedLMOutput(**{"mlm_loss": out.get("loss"), **out})


class LukeForSequenceClassification(
    tasks.SequenceClassification, base=LukeModel, head=heads.pooled(rate=heads.classifier_rate)
):
    """One set of scores a text."""


class LukeForTokenClassification(tasks.TokenClassification, base=LukeModel, parameters=body):
    """One set of scores a token."""


class LukeForQuestionAnswering(tasks.QuestionAnswering, base=LukeModel, parameters=body):
    """Where in a context the answer starts and ends."""


class LukeForMultipleChoice(
    tasks.MultipleChoice, base=LukeModel, head=heads.pooled(rate=heads.classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
