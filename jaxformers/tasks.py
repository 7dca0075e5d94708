"""One class per task: which labels it takes, what it returns, and how the loss comes about. Architectures fill them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from . import outputs
from .batch import Label
from .bundle import Model
from .layers import losses
from .layers.dropout import Drop, no_drop
from .layers.inputs import Inputs, Want
from .layers.run import Encoded

Labels = Mapping[str, jax.Array]


def _traces(encoded: Encoded) -> dict[str, Any]:
    return {"hidden_states": encoded.hidden_states, "attentions": encoded.attentions}


class Encoder(Model, task="", labels={}):
    """A model without a head: hidden states, and a pooled vector where it has a pooler."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """The encoder's result under the names that users know."""
        if encoded.pooled is None:
            return outputs.BaseModelOutput(last_hidden_state=encoded.state, **_traces(encoded))
        return outputs.BaseModelOutputWithPooling(
            last_hidden_state=encoded.state, pooler_output=encoded.pooled, **_traces(encoded)
        )


class Decoder(Model, task="", labels={}):
    """A model without a head that reads in one direction: hidden states, and what the next tokens need of these."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """The decoder's result under the names that users know."""
        return outputs.BaseModelOutputWithPast(
            last_hidden_state=encoded.state, past_key_values=encoded.cache, **_traces(encoded)
        )


class CausalLM(Model, task="CausalLM", labels={"labels": Label("vocab_size", per="token")}):
    """Scores of every word to follow each token; labels [B, T] with -100 where none counts, not shifted."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and the mean cross-entropy of each counted label under the scores before it."""
        loss = losses.cross_entropy(scores[:, :-1], labels["labels"][:, 1:]) if labels else None
        return outputs.CausalLMOutputWithPast(
            loss=loss, logits=scores, past_key_values=encoded.cache, **_traces(encoded)
        )


class MaskedLM(Model, task="MaskedLM", labels={"labels": Label("vocab_size", per="token")}):
    """Scores of every word at every place; labels [B, T] with -100 where none counts."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and their mean cross-entropy over counted labels."""
        loss = losses.cross_entropy(scores, labels["labels"]) if labels else None
        return outputs.MaskedLMOutput(loss=loss, logits=scores, **_traces(encoded))


class SequenceClassification(Model, task="SequenceClassification", labels={"labels": Label("num_labels")}):
    """Scores of each label for a text; labels [B] (one class, or a value) or [B, num_labels]."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, num_labels] and the loss by config.problem_type."""
        loss = losses.classification(scores, labels["labels"], config.problem_type) if labels else None
        return outputs.SequenceClassifierOutput(loss=loss, logits=scores, **_traces(encoded))


class NextSentencePrediction(Model, task="NextSentencePrediction", labels={"labels": Label(2)}):
    """Whether the second text follows the first; labels [B], 0 where it does."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, 2] and their cross-entropy."""
        loss = losses.cross_entropy(scores, labels["labels"].reshape(-1)) if labels else None
        return outputs.NextSentencePredictorOutput(loss=loss, logits=scores, **_traces(encoded))


class TokenClassification(Model, task="TokenClassification", labels={"labels": Label("num_labels", per="token")}):
    """Scores of each label for every token; labels [B, T] with -100 where none counts."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, num_labels] and their mean cross-entropy over counted labels."""
        loss = losses.cross_entropy(scores, labels["labels"]) if labels else None
        return outputs.TokenClassifierOutput(loss=loss, logits=scores, **_traces(encoded))


class QuestionAnswering(Model, task="QuestionAnswering", labels={"start_positions": Label(), "end_positions": Label()}):
    """Where in a context the answer starts and ends; start_positions and end_positions [B]."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Start and end scores [B, T] and the mean of their cross-entropies."""
        start, end = scores[..., 0], scores[..., 1]
        loss = losses.span(start, end, labels["start_positions"], labels["end_positions"]) if len(labels) == 2 else None
        return outputs.QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end, **_traces(encoded))


class MultipleChoice(Model, task="MultipleChoice", labels={"labels": Label("choices")}, axes=3):
    """Which of C continuations fits best: inputs [B, C, T], labels [B]."""

    @classmethod
    def forward(
        cls,
        params: Any,
        config: Any,
        inputs: Inputs,
        labels: Labels = {},  # noqa: B006  (never changed)
        want: Want = Want(),
        drop: Drop = no_drop,
    ) -> outputs.Output:
        """Scores [B, C]: every choice is a row of its own for the encoder."""
        tokens = inputs.ids if inputs.ids is not None else inputs.embeds
        assert tokens is not None
        flat = jax.tree.map(
            lambda array: array.reshape(-1, *array.shape[2:]) if array.ndim > 1 else array.repeat(tokens.shape[1]),
            inputs,
        )
        out = super().forward(params, config, flat, {}, want, drop)
        logits = out["logits"].reshape(tokens.shape[:2])
        return out.replace(
            loss=losses.cross_entropy(logits, labels["labels"].reshape(-1)) if labels else None, logits=logits
        )

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """One score a row [B·C, 1]."""
        return outputs.MultipleChoiceModelOutput(logits=scores, **_traces(encoded))


class PreTraining(
    Model,
    task="PreTraining",
    labels={"labels": Label("vocab_size", per="token"), "next_sentence_label": Label(2)},
):
    """Masked words and the next sentence at once; labels [B, T], next_sentence_label [B]."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and [B, 2], and the sum of both losses."""
        words, follows = scores
        loss = None
        if len(labels) == 2:
            loss = losses.cross_entropy(words, labels["labels"])
            loss += losses.cross_entropy(follows, labels["next_sentence_label"].reshape(-1))
        return outputs.PreTrainingOutput(
            loss=loss, prediction_logits=words, seq_relationship_logits=follows, **_traces(encoded)
        )


class OrderPreTraining(
    Model,
    task="PreTraining",
    labels={"labels": Label("vocab_size", per="token"), "sentence_order_label": Label("num_labels")},
):
    """Masked words, and whether two segments stand in their order; labels [B, T], sentence_order_label [B]."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """Scores [B, T, V] and [B, num_labels], and the sum of both losses."""
        words, order = scores
        loss = None
        if len(labels) == 2:
            loss = losses.cross_entropy(words, labels["labels"])
            loss += losses.cross_entropy(order, labels["sentence_order_label"].reshape(-1))
        return outputs.OrderPreTrainingOutput(loss=loss, prediction_logits=words, sop_logits=order, **_traces(encoded))


class ReplacedTokens(Model, task="PreTraining", labels={"labels": Label(2, per="token")}):
    """Whether each token was put in place of another, as ELECTRA was trained; labels [B, T], 1 where it was."""

    @classmethod
    def forward(
        cls,
        params: Any,
        config: Any,
        inputs: Inputs,
        labels: Labels = {},  # noqa: B006  (never changed)
        want: Want = Want(),
        drop: Drop = no_drop,
    ) -> outputs.Output:
        """Scores [B, T] and their loss over what is no padding."""
        out = super().forward(params, config, inputs, {}, want, drop)
        if not labels:
            return out
        counted = (
            labels["labels"] if inputs.mask is None else jnp.where(inputs.mask == 1, labels["labels"], losses.IGNORED)
        )
        return out.replace(loss=losses.yes_or_no(out["logits"], counted))

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Labels, config: Any) -> outputs.Output:
        """One score a token."""
        return outputs.ReplacedTokensOutput(logits=scores, **_traces(encoded))
