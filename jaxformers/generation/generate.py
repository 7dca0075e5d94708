"""`generate`: from a batch of prompts and settings to a batch of rows, through a session."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import runtime
from ..config import Config
from ..layers.cache import Cache
from .arguments import Arguments
from .config import GenerationConfig
from .lengths import beside_vectors, check_room, fitted, new_tokens
from .model import LoadedModel
from .plan import Plan
from .prompts import Prompt
from .results import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
    traced,
)
from .rows import jaxformers_cache_rows
from .session import Completion, Session

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prompts:
    """Prompts as they are written on, checked.

    plan: what they have in common. prompts: of each row, one for each text that is drawn. ids: [B, T] what comes back
    in front, with padding that was behind. read: [B, E] or [B, E, D] what the model reads, and mask: [B, E], alike.
    pad: what stands behind the end of rows.
    """

    plan: Plan
    prompts: Sequence[Prompt]
    ids: np.ndarray
    read: np.ndarray
    mask: np.ndarray
    pad: int

    @classmethod
    def of(
        cls,
        settings: GenerationConfig,
        arguments: Arguments,
        model: Config,
        ids: np.ndarray,
        mask: np.ndarray,
        *,
        embeds: np.ndarray | None = None,
        negative_ids: np.ndarray | None = None,
        negative_mask: np.ndarray | None = None,
        sources: Sequence[tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray]]] | None = None,
        encoded: bool = False,
    ) -> Prompts:
        """Check prompts and settings.

        Args:
            settings: merged and checked.
            arguments: of the call.
            model: the model's config, which says how long rows may get, and how many words there are.
            ids: [B, T] prompts, padded on either side.
            mask: [B, T] zero at padding; with embeds [B, E].
            embeds: [B, E, D] what is read in the place of ids, of which there may be none then. Where these are as
                many, the mask is of both; where not, lengths of rows count vectors too, as in torch.
            negative_ids: [B, N] what guidance leads away from; None: each prompt's last token.
            negative_mask: [B, N] zero at padding.
            sources: what an encoder reads for each prompt, ids [s] or vectors [s, D], their mask [s], and what else it
                takes of them [s] by the Hub's keywords, in models that have one.
            encoded: whether sources are what an encoder has made.

        Raises:
            ValueError: settings that do not go together, a prompt that leaves no room, no prompt and no bos_token_id.
        """
        if embeds is None:
            ids, mask = _with_start(settings, ids, mask)
        elif not (mask != 0).any(1).all():
            raise ValueError("attention_mask hides all of a row of inputs_embeds: it must show one vector at least")
        width, wide = ids.shape[1], mask.shape[1]
        shown = mask if width == wide else np.ones_like(ids)
        settings, counted = (settings, width) if embeds is None else beside_vectors(settings, width, wide)
        arguments.check(settings, len(ids))
        tokens = ids if embeds is None else embeds
        rows, read = _real(ids, shown), _real(tokens, mask)
        check_room(model, max(map(len, read)), 0)
        most = fitted(settings, model, max(map(len, read)), new_tokens(settings, counted))
        _check_words("input_ids" if sources is None else "decoder_input_ids", rows, model.target_vocab_size)
        _warn(settings, width, most, model.target_vocab_size, arguments.drafts(settings))
        pad = pad_of(settings)
        copies = 1 if settings.num_beams > 1 else settings.num_return_sequences
        each = settings if copies == 1 else settings.replace(num_return_sequences=1)
        plan = Plan.of(each, model.target_vocab_size, arguments.logits_processor, arguments.prefix_allowed_tokens_fn)
        negatives = _negatives(settings, rows, negative_ids, negative_mask)
        if negatives is not None:
            most = fitted(settings, model, max(map(len, negatives)), most)
            _check_words("negative_prompt_ids", negatives, model.target_vocab_size)
        prompts = [
            Prompt(
                ids=row,
                max_new_tokens=most,
                seed=number * copies + copy,
                number=number * copies + copy,
                padding=width - len(row),
                pad=int(ids[number][shown[number] == 0][0]) if len(row) < width else 0,
                negative=None if negatives is None else negatives[number],
                embeds=None if embeds is None else read[number],
                source=None if sources is None else sources[number][0],
                source_mask=None if sources is None else sources[number][1],
                source_beside={} if sources is None else sources[number][2],
                encoded=encoded,
            )
            for number, row in enumerate(rows)
            for copy in range(copies)
        ]
        return cls(plan, prompts, _left(ids, shown), _left(tokens, mask), _left(mask, mask), pad)


def generate(
    batch: Prompts,
    arguments: Arguments,
    platform: str,
    model: LoadedModel,
    past: Cache | None,
    key: jax.Array | None,
    trace: Callable[..., Any] | None,
) -> Any:
    """Write on a batch of prompts.

    Args:
        batch: the prompts.
        arguments: of the call.
        platform: of the model's device.
        model: what writes.
        past: of the first tokens of each prompt.
        key: what draws go by; row i's draws depend on it and i alone.
        trace: as of `results.traced`, for those outputs; mask [R, T + new].

    Returns:
        ids int32 [B · num_return_sequences, T + new] as a jax array, or an output.

    Raises:
        ValueError: a cache that holds as many tokens as a prompt has.
    """
    settings, prompts = batch.plan.settings, batch.prompts
    if past is not None:
        past = _first_tokens(past, prompts, len(prompts) // len(batch.ids))
    session = arguments.session(
        batch.plan,
        model,
        len(prompts) * settings.num_beams,
        platform,
        key=key,
        past=past,
        keep=bool(settings.return_dict_in_generate),
    )
    for prompt in prompts:
        session.submit(prompt, listeners=arguments.listeners)
    ends = sorted(session.run(), key=lambda end: end.id)
    runtime.report()
    new = [completion for end in ends for completion in end.completions]
    copies = len(new) // len(batch.ids)
    written = _filled([one.tokens for one in new], batch.pad)
    sequences = jnp.asarray(np.concatenate([np.repeat(batch.ids, copies, axis=0), written], axis=1))
    if not settings.return_dict_in_generate:
        return sequences
    read, mask = (np.repeat(tokens, copies, axis=0) for tokens in (batch.read, batch.mask))
    kept = traced(settings, trace, read, written, mask)
    for name in ("scores", "logits"):
        if (steps := session.kept(name)) is not None:
            steps = steps if settings.num_beams > 1 else steps[: written.shape[1], : len(prompts)]
            kept[name] = tuple(map(jnp.asarray, steps))
    if settings.num_beams > 1:
        kept["sequences_scores"] = jnp.asarray(np.array([one.score for one in new], np.float32))
        kept["beam_indices"] = jnp.asarray(_filled([one.parents for one in new if one.parents is not None], -1))
    elif not arguments.drafts(settings):
        kept["past_key_values"] = _kept_cache(session, new)
    return _OUTPUTS[prompts[0].source is not None, settings.num_beams > 1](sequences=sequences, **kept)


_OUTPUTS: Mapping[tuple[bool, bool], Any] = {
    (False, False): GenerateDecoderOnlyOutput,
    (False, True): GenerateBeamDecoderOnlyOutput,
    (True, False): GenerateEncoderDecoderOutput,
    (True, True): GenerateBeamEncoderDecoderOutput,
}
"""By whether there are sources, and beams."""


# -- reading what was asked for ---------------------------------------------------------------------------------------


def _with_start(settings: GenerationConfig, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prompts without any token begin with bos."""
    if ids.shape[1] and (mask != 0).any(1).all():
        return ids, mask
    if settings.bos_token_id is None:
        raise ValueError("a prompt has no tokens, and there is no bos_token_id to begin with: pass one")
    if not ids.shape[1]:
        ids, mask = np.zeros((len(ids), 1), np.int32), np.zeros((len(ids), 1), np.int32)
    ids, mask = ids.copy(), mask.copy()
    for row in np.flatnonzero(~(mask != 0).any(1)):
        ids[row, -1], mask[row, -1] = settings.bos_token_id, 1
    return ids, mask


_OF_DRAFTS = ("num_assistant_tokens", "assistant_confidence_threshold", "max_matching_ngram_size")


def _warn(settings: GenerationConfig, width: int, most: int, vocab: int, drafts: bool) -> None:
    """Say which settings can have no effect here, or not the one that they are for."""
    if idle := [name for name in _OF_DRAFTS if name in settings.changed and not drafts]:
        logger.warning("no effect: %s: nothing proposes tokens", ", ".join(idle))
    for name in ("eos_token_id", "pad_token_id"):
        value = getattr(settings, name)
        if max(value if isinstance(value, tuple) else (value or 0,), default=0) >= vocab:
            logger.warning("%s=%s is no word of the model, which has 0 to %d", name, value, vocab - 1)
    if settings.min_length > width + most:
        logger.warning("min_length=%d is more than the %d tokens that rows may have", settings.min_length, width + most)
    if (settings.min_new_tokens or 0) > most:
        logger.warning("min_new_tokens=%d is more than the %d that rows may get", settings.min_new_tokens, most)


def _first_tokens(past: Cache, prompts: Sequence[Prompt], copies: int) -> Cache:
    """What is known of the prompts' first tokens, with as many rows as are written."""
    rows = [len(prompt.read) for prompt in prompts[::copies]]
    for row, (length, known) in enumerate(zip(rows, np.asarray(past.length).tolist(), strict=True)):
        if known >= length:
            raise ValueError(
                f"past_key_values hold {known} tokens of row {row}, whose prompt has {length}: pass the whole "
                "prompt, at least one token more than they hold"
            )
    return past if copies == 1 else jaxformers_cache_rows(past, np.repeat(np.arange(len(rows)), copies), past.slots)


def _kept_cache(session: Session, new: Sequence[Completion]) -> Cache:
    """The cache of all tokens but each row's last."""
    cache, rows = session.rows.cache, len(new)
    read = np.asarray(session.rows.prompt + session.rows.offset)[:rows]
    length = jnp.asarray(read + np.array([len(one.tokens) - 1 for one in new], np.int32))
    cache = jaxformers_cache_rows(cache, np.arange(rows), cache.slots)
    return dataclasses.replace(cache, length=length, reach=jnp.zeros_like(length))


def _real(tokens: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Of each row what is no padding."""
    return [row[seen != 0] for row, seen in zip(tokens, mask, strict=True)]


def _check_words(name: str, rows: Sequence[np.ndarray], vocab: int) -> None:
    """Refuse ids that are no words of the model."""
    for number, row in enumerate(rows):
        if wrong := row[(row < 0) | (row >= vocab)].tolist():
            raise ValueError(f"{name}[{number}] has {wrong[0]}, allowed are 0 to {vocab - 1}")


def pad_of(settings: GenerationConfig) -> int:
    """What stands behind the end of rows."""
    if settings.pad_token_id is not None and settings.pad_token_id >= 0:
        return settings.pad_token_id
    if settings.eos:
        logger.info("pad_token_id is not set: rows are filled with the end token %d", settings.eos[0])
        return settings.eos[0]
    return 0


def _negatives(
    settings: GenerationConfig, rows: Sequence[np.ndarray], ids: np.ndarray | None, mask: np.ndarray | None
) -> list[np.ndarray] | None:
    """What stands in place of the prompts where guidance asks the model without them."""
    if not settings.guided:
        if ids is not None:
            raise ValueError("negative_prompt_ids without guidance_scale has no effect: pass both, or neither")
        return None
    if ids is None:
        if not all(map(len, rows)):
            raise ValueError("guidance_scale beside inputs_embeds alone needs negative_prompt_ids: no token is last")
        return [row[-1:] for row in rows]
    mask = np.ones_like(ids) if mask is None else mask
    if len(ids) != len(rows) or not (mask != 0).any(1).all():
        raise ValueError(
            f"negative_prompt_ids must have a token for each of {len(rows)} prompts; it has {len(ids)} rows"
        )
    return _real(ids, mask)


def _left(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Rows [B, T, ...] with the padding that is behind them in front."""
    width = mask.shape[1]
    if not width:
        return values
    behind = np.argmax(mask[:, ::-1] != 0, axis=1)
    return values[np.arange(len(values))[:, None], (np.arange(width) - behind[:, None]) % width]


def _filled(new: Sequence[np.ndarray], pad: int) -> np.ndarray:
    """New tokens, filled up with `pad` [R, longest]."""
    tail = np.full((len(new), max(map(len, new))), pad, np.int32)
    for row, tokens in zip(tail, new, strict=True):
        row[: len(tokens)] = tokens
    return tail
