"""What `generate` gives, and what can be made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ..outputs import Output, output
from .config import GenerationConfig

Array = jax.Array


@output
class GenerateDecoderOnlyOutput(Output):
    """What `generate` gives with return_dict_in_generate.

    sequences: [rows, seq] prompts and new tokens. scores: of each step [rows, vocab], after all processors. logits: of
    each step [rows, vocab], before them. attentions, hidden_states: of each step a tuple over layers; the first step
    has the prompt's. past_key_values: the `Cache` of all tokens but each row's last; not with an assistant.
    """

    sequences: Any = None
    scores: tuple[Any, ...] | None = None
    logits: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None
    hidden_states: tuple[Any, ...] | None = None
    past_key_values: Any = None


@output
class GenerateBeamDecoderOnlyOutput(Output):
    """As `GenerateDecoderOnlyOutput`, for beams; there is no cache, for the beams that end last had other tokens.

    sequences_scores: [rows] the sum of each row's log-probabilities over its length to the power of length_penalty.
    beam_indices: [rows, new tokens] which beam each token came from, −1 behind the end. scores, logits: of each step
    [beams, vocab]. attentions, hidden_states: of the rows that are returned.
    """

    sequences: Any = None
    sequences_scores: Any = None
    scores: tuple[Any, ...] | None = None
    logits: tuple[Any, ...] | None = None
    beam_indices: Any = None
    attentions: tuple[Any, ...] | None = None
    hidden_states: tuple[Any, ...] | None = None


@output
class GenerateEncoderDecoderOutput(Output):
    """What `generate` of a model with an encoder gives with return_dict_in_generate.

    sequences: [rows, seq], each from its decoder_start_token_id on. scores, logits: as of `GenerateDecoderOnlyOutput`.
    encoder_attentions, encoder_hidden_states: a tuple over layers, of the sources. decoder_attentions,
    cross_attentions, decoder_hidden_states: of each step a tuple over layers. past_key_values: the `Cache` of all
    tokens but each row's last, and of what the encoder has read; not with an assistant.
    """

    sequences: Any = None
    scores: tuple[Any, ...] | None = None
    logits: tuple[Any, ...] | None = None
    encoder_attentions: tuple[Any, ...] | None = None
    encoder_hidden_states: tuple[Any, ...] | None = None
    decoder_attentions: tuple[Any, ...] | None = None
    cross_attentions: tuple[Any, ...] | None = None
    decoder_hidden_states: tuple[Any, ...] | None = None
    past_key_values: Any = None


@output
class GenerateBeamEncoderDecoderOutput(Output):
    """As `GenerateEncoderDecoderOutput`, with what beams give beside it (`GenerateBeamDecoderOnlyOutput`)."""

    sequences: Any = None
    sequences_scores: Any = None
    scores: tuple[Any, ...] | None = None
    logits: tuple[Any, ...] | None = None
    beam_indices: Any = None
    encoder_attentions: tuple[Any, ...] | None = None
    encoder_hidden_states: tuple[Any, ...] | None = None
    decoder_attentions: tuple[Any, ...] | None = None
    cross_attentions: tuple[Any, ...] | None = None
    decoder_hidden_states: tuple[Any, ...] | None = None


def traced(
    config: GenerationConfig, trace: Callable[..., Any] | None, prompts: np.ndarray, new: np.ndarray, mask: np.ndarray
) -> dict[str, Any]:
    """Hidden states and attentions of each step, taken out of one pass over the whole rows: what a token gives does
    not depend on when it was written.

    trace: (prompts, new, mask, want) → by the output's names a tuple of layers, of an encoder or of whole rows.
    prompts: ids [R, T] or vectors [R, T, D]. new: [R, N] what was written. mask: [R, T].
    """
    want = {name: bool(getattr(config, f"output_{name}")) for name in ("hidden_states", "attentions")}
    if trace is None or not any(want.values()):
        return {}
    width, last = mask.shape[1], mask.shape[1] + new.shape[1] - 1
    whole = np.concatenate([mask, np.ones((len(mask), last - width), mask.dtype)], axis=1)
    steps = [(0, width), *((i, i + 1) for i in range(width, last))]
    return {
        name: layers
        if name.startswith("encoder_")
        else tuple(tuple(_step(name, layer, *step) for layer in layers) for step in steps)
        for name, layers in trace(prompts, new[:, :-1], whole, want).items()
    }


def _step(name: str, layer: Array, start: int, end: int) -> Array:
    """What the tokens of a step give, of a layer's hidden states [R, T, D] or attentions [R, H, T, T or S]."""
    if name.endswith("hidden_states"):
        return layer[:, start:end]
    return layer[:, :, start:end] if name.startswith("cross") else layer[:, :, start:end, :end]


def transition_scores(
    sequences: Any, scores: Sequence[Any], beam_indices: Any = None, normalize_logits: bool = False
) -> Array:
    """The score of each new token at the time when it was chosen: [rows, new tokens], 0 behind a beam's end.

    Args:
        sequences: [rows, seq] of an output.
        scores: of the output, a tuple of [rows, V].
        beam_indices: [rows, new tokens] of the output of beams.
        normalize_logits: whether to make scores log-probabilities first.

    Raises:
        ValueError: there are no scores, or they are of other rows.
    """
    if scores is None or not len(scores):
        raise ValueError("no scores: call generate with return_dict_in_generate=True and output_scores=True")
    if np.ndim(sequences) != 2 or np.shape(sequences)[1] < len(scores):
        raise ValueError(f"sequences {np.shape(sequences)} are shorter than {len(scores)} steps: pass the output's")
    steps = np.stack([np.asarray(step) for step in scores], axis=1)  # [rows or beams, new, V]
    if normalize_logits:
        steps = np.asarray(jax.nn.log_softmax(steps, axis=-1))
    tokens = np.asarray(sequences)
    if beam_indices is None:
        new = tokens[:, -steps.shape[1] :]
        return jax.numpy.asarray(np.take_along_axis(steps, new[..., None], -1)[..., 0])
    beams = np.asarray(beam_indices)
    count = int((beams >= 0).sum(1).max())
    beams = beams[:, :count]
    new = tokens[:, -count:]
    found = steps[np.maximum(beams, 0), np.arange(count)[None], np.where(beams < 0, 0, new)]
    return jax.numpy.asarray(np.where(beams < 0, 0.0, found))
