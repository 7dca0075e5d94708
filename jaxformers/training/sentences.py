"""Encoders of texts, trained by which texts belong together: what is read, and the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ..layers import losses
from ..layers.losses import Sum
from ..outputs import Output
from ..tokenizers.text_encoder import TextEncoder
from .buckets import Buckets
from .collators import Arrays, DataCollatorWithPadding
from .examples import mappings

Pooling = Literal["mean", "cls", "lasttoken", "max"]


@dataclasses.dataclass
class SentencePairsCollator:
    """Rows of texts that belong together to one batch: all first texts, then all second ones, and so on.

    Args:
        tokenizer: of the model.
        columns: of the texts, in their order: of an anchor, of what belongs to it, and of what does not; None: all
            columns of a row that hold texts.
        max_length: tokens that a text has at most; None: as many as the model takes.
        prompts: what is put in front of the texts of a column.
    """

    tokenizer: TextEncoder
    columns: Sequence[str] | None = None
    max_length: int | None = None
    prompts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def reads(self) -> Sequence[str] | None:
        """The columns, which no model takes by itself; None: all."""
        return self.columns

    def __call__(self, features: Sequence[Any], *, buckets: Buckets | None = None) -> Arrays:
        """Arrays [columns · B, T].

        Raises:
            ValueError: no examples, other fields than the first's, fewer than two columns, or what is no text.
        """
        examples = mappings(features)
        names = self.columns or [name for name, value in examples[0].items() if isinstance(value, str)]
        if len(names) < 2 or any(name not in examples[0] for name in names):
            raise ValueError(
                f"columns {', '.join(names) or 'with texts: none'}: two or more are needed of those that rows have: "
                f"{', '.join(examples[0])}"
            )
        texts = [self.prompts.get(name, "") + example[name] for name in names for example in examples]
        encoded = self.tokenizer(texts, truncation=True, max_length=self.max_length)
        rows = [{name: encoded[name][i] for name in encoded} for i in range(len(texts))]
        return DataCollatorWithPadding(self.tokenizer)(rows, buckets=buckets)


@dataclasses.dataclass(frozen=True)
class MultipleNegativesRankingLoss:
    """Each anchor is to be nearer to its own text than to those of the other rows of the batch.

    Cross-entropy of scaled cosines over all texts that are no anchors (Henderson et al. 2017, arXiv 1705.00652). Larger
    batches are harder and better; with `gradient_accumulation_steps` a part of a batch sees itself alone.

        Trainer(encoder, args, SentencePairsCollator(tokenizer), rows, compute_loss_func=MultipleNegativesRankingLoss())

    Args:
        texts: columns of a row: 2, or with texts that do not belong to the anchor more.
        scale: what cosines are multiplied by, the inverse of a temperature.
        pooling: how tokens become one vector: their mean, the first, the last or the largest of each number.
    """

    texts: int = 2
    scale: float = 20.0
    pooling: Pooling = "mean"

    def __call__(self, output: Output, labels: Mapping[str, jax.Array], num_items_in_batch: Any = None) -> Sum:
        """Of an encoder's output [texts · B, T, D]: total and number of the losses of B anchors.

        Raises:
            ValueError: rows that cannot be divided by the number of texts, or an unknown pooling.
        """
        del num_items_in_batch  # counted here
        state = output["last_hidden_state"].astype(jnp.float32)
        mask = labels.get("attention_mask")
        vectors = pooled(state, jnp.ones(state.shape[:2], jnp.int32) if mask is None else mask, self.pooling)
        if len(vectors) % self.texts:
            raise ValueError(f"{len(vectors)} texts cannot be divided into rows of {self.texts}: say how many texts=")
        vectors = vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        count = len(vectors) // self.texts
        scores = self.scale * vectors[:count] @ vectors[count:].T
        (found,) = losses.cross_entropy(scores, jnp.arange(count)).sums()
        return found


def pooled(state: jax.Array, mask: jax.Array, how: Pooling) -> jax.Array:
    """One vector of a text's tokens: [B, T, D] → [B, D].

    Args:
        state: of the tokens.
        mask: [B, T], zero at padding on either side.
        how: see `MultipleNegativesRankingLoss`.

    Raises:
        ValueError: an unknown name.
    """
    real = (mask != 0)[..., None]
    if how == "mean":
        return jnp.sum(state, axis=1, where=real) / jnp.maximum(jnp.sum(real, axis=1), 1)
    if how == "max":
        return jnp.max(state, axis=1, where=real, initial=-jnp.inf)
    if how not in ("cls", "lasttoken"):
        raise ValueError(f"pooling {how!r}: one of mean, cls, lasttoken, max")
    place = (
        jnp.argmax(mask != 0, axis=1) if how == "cls" else mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1] != 0, axis=1)
    )
    return jnp.take_along_axis(state, place[:, None, None], axis=1)[:, 0]
