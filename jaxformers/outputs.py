"""What a model returns: a dataclass, a mapping and a tuple at once, and a pytree.

`out.logits is out["logits"] is out[0]`; slices give tuples; iterating gives the names, as over a dict. A field that was
not asked for is None: it is absent from the names, the length and the tuple, and stays in the pytree's structure.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar, overload

import jax
import jax.export

Array = jax.Array
Layers = tuple[Array, ...]
T = TypeVar("T", bound=type)


class Output(Mapping[str, Any]):
    """The base of all outputs: read-only access by attribute, name, index and slice.

    Raises:
        KeyError: a name that is no field, or whose field is None.
        IndexError: an index past the fields that are not None.
    """

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are not None, in order of declaration."""
        return tuple(self[name] for name in self)

    def replace(self, **fields: Any) -> Self:
        """A copy with other fields."""
        return dataclasses.replace(self, **fields)  # type: ignore[type-var]

    @overload
    def __getitem__(self, key: str | int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        value = self.__dict__.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in self.__dict__.items() if value is not None)

    def __len__(self) -> int:
        return sum(value is not None for value in self.__dict__.values())

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def __eq__(self, other: object) -> bool:
        return self is other  # comparing arrays gives no single truth value


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
def output(cls: T) -> T:
    """Make a class of annotated fields an output: frozen, keyword-only, and a pytree with named children.

    Exported functions (`jax.export`) may return it, and find it again by its name.
    """
    jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls))
    jax.export.register_pytree_node_serialization(
        cls,
        serialized_name=f"jaxformers.{cls.__name__}",
        serialize_auxdata=lambda nothing: b"",
        deserialize_auxdata=lambda data: (),
    )
    return cls


@output
class BaseModelOutput(Output):
    """What an encoder gives.

    last_hidden_state: [batch, seq, dim]. hidden_states: the embeddings and each layer's result, n_layers + 1 arrays
    [batch, seq, dim]. attentions: probabilities of each layer, n_layers arrays [batch, heads, seq, seq].
    """

    last_hidden_state: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class BaseModelOutputWithPooling(Output):
    """As `BaseModelOutput`, with pooler_output: [batch, dim], the first token through a dense layer and tanh."""

    last_hidden_state: Array | None = None
    pooler_output: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class BaseModelOutputWithPast(Output):
    """As `BaseModelOutput`, with past_key_values: the `Cache` of all tokens so far, where one was asked for."""

    last_hidden_state: Array | None = None
    past_key_values: Any = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class CausalLMOutputWithPast(Output):
    """loss: scalar, mean over labels that are not -100. logits: [batch, seq, vocab], of the token that follows each.

    past_key_values: the `Cache` of all tokens so far, where one was asked for.
    """

    loss: Array | None = None
    logits: Array | None = None
    past_key_values: Any = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class MaskedLMOutput(Output):
    """loss: scalar, mean over labels that are not -100. logits: [batch, seq, vocab], before the softmax."""

    loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class OrderPreTrainingOutput(Output):
    """loss: scalar, the sum of both. prediction_logits: [batch, seq, vocab]. sop_logits: [batch, num_labels]."""

    loss: Array | None = None
    prediction_logits: Array | None = None
    sop_logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class ReplacedTokensOutput(Output):
    """loss: scalar, mean over tokens. logits: [batch, seq], above 0 where a token was put in place of another."""

    loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class SequenceClassifierOutput(Output):
    """loss: scalar. logits: [batch, num_labels], before the softmax or sigmoid; for regression the values."""

    loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class NextSentencePredictorOutput(Output):
    """loss: scalar. logits: [batch, 2]; 0 means that the second text follows the first."""

    loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class TokenClassifierOutput(Output):
    """loss: scalar, mean over labels that are not -100. logits: [batch, seq, num_labels]."""

    loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class QuestionAnsweringModelOutput(Output):
    """loss: scalar, mean of both. start_logits, end_logits: [batch, seq]."""

    loss: Array | None = None
    start_logits: Array | None = None
    end_logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class MultipleChoiceModelOutput(Output):
    """loss: scalar. logits: [batch, choices]."""

    loss: Array | None = None
    logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class PreTrainingOutput(Output):
    """loss: the sum of both tasks'. prediction_logits: [batch, seq, vocab]. seq_relationship_logits: [batch, 2]."""

    loss: Array | None = None
    prediction_logits: Array | None = None
    seq_relationship_logits: Array | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@output
class Seq2SeqModelOutput(Output):
    """What a decoder gives beside an encoder: the last layer's states [batch, seq, dim], and the encoder's beside it.

    past_key_values: the `Cache` of all tokens so far and of the encoder's, where one was asked for.
    """

    last_hidden_state: Array | None = None
    past_key_values: Any = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Array | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@output
class Seq2SeqLMOutput(Output):
    """loss: scalar, mean over labels that are not -100. logits: [batch, seq, vocab], of the token that follows each.

    The rest as of `Seq2SeqModelOutput`.
    """

    loss: Array | None = None
    logits: Array | None = None
    past_key_values: Any = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Array | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@output
class Seq2SeqSequenceClassifierOutput(Output):
    """loss: scalar. logits: [batch, num_labels], before the softmax or sigmoid; for regression the values.

    The rest as of `Seq2SeqModelOutput`.
    """

    loss: Array | None = None
    logits: Array | None = None
    past_key_values: Any = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Array | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@output
class Seq2SeqQuestionAnsweringModelOutput(Output):
    """loss: scalar, mean of both. start_logits, end_logits: [batch, seq].

    The rest as of `Seq2SeqModelOutput`.
    """

    loss: Array | None = None
    start_logits: Array | None = None
    end_logits: Array | None = None
    past_key_values: Any = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Array | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None
