"""`generate`: from a batch of prompts and settings to a batch of rows, by whichever loop the settings ask for."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from .. import runtime
from ..config import Config as ModelConfig
from ..layers.cache import Cache
from . import beams as beam_search
from . import host, processors
from .assisted import assisted
from .config import SETTINGS, GenerationConfig
from .flow import Memory, Task, Watch, flow
from .results import GenerateDecoderOnlyOutput, traced
from .rows import Ends, Kept, Prompt, Voice, jaxformers_seat, rows_for
from .stopping import Rule, Stops
from .streamers import BaseStreamer

logger = logging.getLogger(__name__)

Array = jax.Array


def generate(
    speaker: Callable[[], Voice],
    config: GenerationConfig,
    ids: np.ndarray,
    mask: np.ndarray,
    *,
    vectors: np.ndarray | None = None,
    platform: str,
    model: ModelConfig,
    key: jax.Array | None = None,
    logits_processor: Sequence[Callable[..., Array]] | None = None,
    stopping_criteria: Sequence[Rule] | None = None,
    prefix_allowed_tokens_fn: Any = None,
    tokenizer: Any = None,
    streamer: BaseStreamer | None = None,
    assistant: Callable[[], Voice] | None = None,
    negative_prompt_ids: np.ndarray | None = None,
    negative_prompt_attention_mask: np.ndarray | None = None,
    past: Cache | None = None,
    trace: Callable[..., Any] | None = None,
    typed_length: bool = False,
) -> Any:
    """Write on a batch of prompts.

    Args:
        speaker: gives the model, made ready; not asked before all else is checked.
        config: the settings, merged and checked.
        ids: [B, T] prompts, padded on either side.
        mask: [B, T] zero at padding; with vectors [B, E].
        vectors: [B, E, D] what is read in the place of ids, of which there may be none then. Processors see the ids.
            Where these are as many, the mask is of both; where not, lengths of rows count vectors too, as in torch.
        platform: of the model's device.
        model: the model's config, which says how long rows may get, and how many words there are.
        key: what draws go by; row i's draws depend on it and i alone.
        logits_processor: functions of a `Sight` and scores [R, V].
        stopping_criteria: see `Rule`.
        prefix_allowed_tokens_fn: (row, ids) → allowed ids, or a `TokenTrie`.
        tokenizer: for stop_strings.
        streamer: told each token of a single row.
        assistant: gives a faster model that proposes tokens.
        negative_prompt_ids: [B, N] what guidance compares with; None: each prompt's last token.
        negative_prompt_attention_mask: [B, N].
        past: of the first tokens of each prompt.
        trace: (prompts, new, mask, want) → hidden states and attentions of whole rows, for those outputs; arguments as
            of `results.traced`, mask [R, T + new].
        typed_length: whether the call itself says max_length, which is then no default even where it equals that.

    Returns:
        ids int32 [B · num_return_sequences, T + new] as a jax array, or an output.

    Raises:
        ValueError: settings that do not go together, a prompt that leaves no room, no prompt and no bos_token_id.
    """
    if vectors is None:
        ids, mask = _with_start(config, ids, mask)
    elif not (mask != 0).any(1).all():
        raise ValueError("attention_mask hides all of a row of inputs_embeds: it must show one vector at least")
    width, wide = ids.shape[1], mask.shape[1]
    shown = mask if width == wide else np.ones_like(ids)
    config, before = (config, 0) if vectors is None else beside_vectors(config, width, wide)
    check_ways(config, assistant=assistant is not None, streamer=streamer is not None)
    check_functions(logits_processor, stopping_criteria, streamer)
    most, default = most_new(config, width + before, typed_length or before > 0)
    rows, read = _real(ids, shown), _real(ids if vectors is None else vectors, mask)
    vocab = model.vocab_size
    most = fitted(model, max(map(len, read)), most, default)
    _check_words("input_ids", rows, vocab)
    _warn(config, width, most, vocab, drafts=assistant is not None or config.prompt_lookup_num_tokens is not None)
    pad = pad_of(config, config.eos)
    if streamer is not None and len(rows) > 1:
        raise ValueError(f"a streamer shows one row, and there are {len(rows)} prompts: pass one")
    stops = stops_of(config, tokenizer, stopping_criteria or ())
    custom, prefix = logits_processor or (), prefix_allowed_tokens_fn
    task = task_of(config, vocab=vocab, pad=pad, key=key, custom=custom, prefix=prefix)
    without = _without(config, rows, negative_prompt_ids, negative_prompt_attention_mask)
    if without is not None:
        fitted(model, max(map(len, without)), most, default)
        _check_words("negative_prompt_ids", without, vocab)
    copies = 1 if config.num_beams > 1 else config.num_return_sequences
    if past is not None:
        past = _first_tokens(past, read, copies)
    prompts = [
        Prompt(
            ids=row,
            most=most,
            stream=number * copies + copy,
            number=number * copies + copy,
            padding=width - len(row),
            pad=int(ids[number][shown[number] == 0][0]) if len(row) < width else 0,
            without=None if without is None else without[number],
            vectors=None if vectors is None else read[number],
        )
        for number, row in enumerate(rows)
        for copy in range(copies)
    ]
    voice = speaker()
    on_token = None
    if streamer is not None:
        streamer.put(ids[0])
        on_token = lambda token: streamer.put(np.array([token]))  # noqa: E731
    ids, said, seen = _left(ids, shown), _left(ids if vectors is None else vectors, mask), _left(mask, mask)

    def traces(new: np.ndarray, copies: int) -> dict[str, Any]:
        return traced(config, trace, np.repeat(said, copies, axis=0), new, np.repeat(seen, copies, axis=0))

    if config.num_beams > 1:
        return beam_search.generate(
            voice, task, config, prompts, ids=ids, platform=platform, stops=stops, trace=traces, past=past
        )
    memory = Memory() if config.return_dict_in_generate else None
    if assistant is not None or config.prompt_lookup_num_tokens is not None:
        helper = None if assistant is None else assistant()
        new = [assisted(voice, task, config, prompts, helper, platform, stops, on_token, past)]
    else:
        watch = Watch(stops, on_token, memory)
        new = [np.zeros(0, np.int32)] * len(prompts)
        writing = flow(voice, task, prompts, width=len(prompts), platform=platform, watch=watch, past=past)
        for number, tokens in writing:
            new[number] = tokens
    if streamer is not None:
        streamer.end()
    runtime.report()
    written = _filled(new, pad)
    sequences = jax.numpy.asarray(np.concatenate([np.repeat(ids, copies, axis=0), written], axis=1))
    if memory is None:
        return sequences
    return GenerateDecoderOnlyOutput(
        sequences=sequences, **_remembered(memory, prompts, new), **traces(written, copies)
    )


def task_of(
    config: GenerationConfig,
    *,
    vocab: int,
    pad: int,
    key: jax.Array | None = None,
    custom: Sequence[Callable[..., Array]] = (),
    prefix: Any = None,
) -> Task:
    """What settings ask to be done with rows.

    Args:
        config: the settings, merged and checked.
        vocab: V.
        pad: what fills rows that have ended.
        key: what draws go by.
        custom: functions of a `Sight` and scores [R, V].
        prefix: (row, ids) → allowed ids, or a `TokenTrie`.

    Raises:
        ValueError: ids that are no words of the model, or settings that processors refuse.
    """
    if prefix is not None and not isinstance(prefix, processors.TokenTrie):
        prefix = processors.allowing(prefix, vocab)
    program, values = processors.chosen(
        config,
        vocab=vocab,
        eos=config.eos,
        sampling=bool(config.do_sample),
        beams=config.num_beams,
        custom=custom,
        prefix=prefix,
    )
    ends = Ends(ends_of(config.eos), np.int32(pad))
    key = jax.random.key(0) if key is None else key
    scores, logits = (
        bool(config.return_dict_in_generate and asked) for asked in (config.output_scores, config.output_logits)
    )
    return Task(program, values, ends, key, scores, logits, prefix if isinstance(prefix, host.Asked) else None)


def stops_of(config: GenerationConfig, tokenizer: Any, rules: Sequence[Rule] = ()) -> Stops:
    """What ends rows beside tokens; the clock begins now.

    Raises:
        ValueError: texts without a tokenizer to read them with, or an empty one.
    """
    texts = config.stop_strings or ()
    texts = (texts,) if isinstance(texts, str) else tuple(texts)
    if texts and tokenizer is None:
        raise ValueError("stop_strings needs tokenizer=, to read what has been written")
    if any(not text for text in texts):
        raise ValueError("stop_strings: an empty text ends nothing: leave it out")
    until = None if config.max_time is None else time.monotonic() + config.max_time
    decode = None if tokenizer is None else lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return Stops(texts, decode, until, tuple(rules))


# -- reading what was asked for ---------------------------------------------------------------------------------------


def _with_start(config: GenerationConfig, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prompts without any token begin with bos."""
    if ids.shape[1] and (mask != 0).any(1).all():
        return ids, mask
    if config.bos_token_id is None:
        raise ValueError("a prompt has no tokens, and there is no bos_token_id to begin with: pass one")
    if not ids.shape[1]:
        ids, mask = np.zeros((len(ids), 1), np.int32), np.zeros((len(ids), 1), np.int32)
    ids, mask = ids.copy(), mask.copy()
    for row in np.flatnonzero(~(mask != 0).any(1)):
        ids[row, -1], mask[row, -1] = config.bos_token_id, 1
    return ids, mask


def check_ways(config: GenerationConfig, *, assistant: bool, streamer: bool) -> None:
    """Refuse ways of writing that do not go together.

    Raises:
        ValueError: it says what to leave out.
    """
    looking = config.prompt_lookup_num_tokens is not None
    several = config.num_beams > 1 or config.num_return_sequences > 1
    if assistant and looking:
        raise ValueError("assistant_model and prompt_lookup_num_tokens both propose tokens: leave one out")
    if (assistant or looking) and several:
        raise ValueError("an assistant helps with one row: leave num_beams and num_return_sequences out")
    if streamer and several:
        raise ValueError("a streamer shows one row: leave num_beams and num_return_sequences out")
    if config.guided and config.num_beams > 1:
        raise ValueError("guidance_scale with num_beams > 1 is not implemented: leave one out")


def check_functions(logits_processor: Any, stopping_criteria: Any, streamer: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        ValueError: it says which argument, and what is expected.
    """
    for name, listed in (("logits_processor", logits_processor), ("stopping_criteria", stopping_criteria)):
        if callable(listed):
            raise ValueError(f"{name} must be a list of functions: pass [{getattr(listed, '__name__', 'function')}]")
        if listed is not None and not (isinstance(listed, list | tuple) and all(map(callable, listed))):
            raise ValueError(f"{name}={listed!r:.60}: expected a list of functions")
    if streamer is not None and not (hasattr(streamer, "put") and hasattr(streamer, "end")):
        raise ValueError(f"streamer={streamer!r:.60}: expected an object with put(ids) and end(), such as TextStreamer")


_OF_DRAFTS = ("num_assistant_tokens", "assistant_confidence_threshold", "max_matching_ngram_size")


def _warn(config: GenerationConfig, width: int, most: int, vocab: int, drafts: bool) -> None:
    """Say which settings can have no effect here, or not the one that they are for."""
    if idle := [name for name in _OF_DRAFTS if name in config.changed and not drafts]:
        logger.warning("no effect: %s: nothing proposes tokens", ", ".join(idle))
    for name in ("eos_token_id", "pad_token_id"):
        value = getattr(config, name)
        if max(value if isinstance(value, tuple) else (value or 0,), default=0) >= vocab:
            logger.warning("%s=%s is no word of the model, which has 0 to %d", name, value, vocab - 1)
    if config.min_length > width + most:
        logger.warning("min_length=%d is more than the %d tokens that rows may have", config.min_length, width + most)
    if (config.min_new_tokens or 0) > most:
        logger.warning("min_new_tokens=%d is more than the %d that rows may get", config.min_new_tokens, most)


def _first_tokens(past: Cache, rows: Sequence[np.ndarray], copies: int) -> Cache:
    """What is known of the prompts' first tokens, with as many rows as are written."""
    for row, (ids, known) in enumerate(zip(rows, np.asarray(past.length).tolist(), strict=True)):
        if known >= len(ids):
            raise ValueError(
                f"past_key_values hold {known} tokens of row {row}, whose prompt has {len(ids)}: pass the whole "
                "prompt, at least one token more than they hold"
            )
    return past if copies == 1 else jaxformers_seat(past, np.repeat(np.arange(len(rows)), copies), past.slots)


def _remembered(memory: Memory, prompts: Sequence[Prompt], new: Sequence[np.ndarray]) -> dict[str, Any]:
    """Scores, logits and the cache of an output, as far as there are any."""
    found: dict[str, Any] = {}
    for name in Kept._fields:
        if (steps := memory.steps(name)) is not None:
            found[name] = tuple(jax.numpy.asarray(step[: len(prompts)]) for step in steps[: max(map(len, new))])
    if memory.rows is not None:
        cache = memory.rows.cache
        length = jax.numpy.array([len(p.read) + len(tokens) - 1 for p, tokens in zip(prompts, new, strict=True)])
        cache = jaxformers_seat(cache, np.arange(len(prompts)), cache.slots)
        found["past_key_values"] = dataclasses.replace(cache, length=length, reach=jax.numpy.zeros_like(length))
    return found


def key_of(key: Any) -> jax.Array | None:
    """The key of a call, which may be a seed.

    Raises:
        ValueError: it is neither.
    """
    if key is None:
        return None
    if isinstance(key, jax.Array) and (jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == "uint32"):
        return key
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and -(2**63) <= key < 2**63:
        return jax.random.key(int(key))
    raise ValueError(f"key={key!r:.60}: expected jax.random.key(...) or a whole number")


def most_new(config: GenerationConfig, width: int, typed_length: bool = False) -> tuple[int, bool]:
    """How many new tokens there may be behind `width` of a prompt, and whether nobody said so.

    Raises:
        ValueError: max_length leaves no room.
    """
    if config.max_new_tokens is not None:
        return config.max_new_tokens, False
    if config.max_length == GenerationConfig().max_length and not typed_length:
        return config.max_length, True  # 20 new tokens, not 20 with the prompt
    if width >= config.max_length:
        raise ValueError(
            f"max_length={config.max_length} leaves no room behind a prompt of {width} tokens: pass max_new_tokens"
        )
    return config.max_length - width, False


def beside_vectors(config: GenerationConfig, width: int, wide: int) -> tuple[GenerationConfig, int]:
    """The settings where `wide` vectors are read in the place of `width` ids, and how many of them lengths count beside
    the ids: all where these are not as many, as in torch Transformers 4.57.
    """
    sources = ("encoder_repetition_penalty", "encoder_no_repeat_ngram_size")
    if idle := [name for name in sources if getattr(config, name) not in (None, SETTINGS[name].default)]:
        logger.warning("no effect: %s: vectors are read in the place of ids", ", ".join(idle))
    config = config.replace(**dict.fromkeys(idle))
    if width == wide:
        return config, 0
    return config.replace(min_length=max(0, (config.min_length or 0) - wide)), wide


def _real(tokens: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Of each row what is no padding."""
    return [row[seen != 0] for row, seen in zip(tokens, mask, strict=True)]


def fitted(model: ModelConfig, prompt: int, most: int, default: bool) -> int:
    """How many tokens a prompt of so many may get. What is not said ends where positions do, and also where no more is
    promised; what is said ends with the positions alone.

    Raises:
        ValueError: there is no room.
    """
    positions, promised = model.longest_row, model.promised_row
    if positions is not None and prompt >= positions:
        raise ValueError(
            f"a prompt of {prompt} tokens leaves no room: the model has {positions} positions; pass a shorter one"
        )
    if default and promised is not None:
        if prompt >= promised:
            raise ValueError(
                f"a prompt of {prompt} tokens leaves nothing of the {promised} that the config promises: "
                "pass max_new_tokens to go on"
            )
        most = min(most, promised - prompt)
    if positions is not None and prompt + most > positions:
        if not default:
            raise ValueError(
                f"a prompt of {prompt} tokens and {most} new ones are more than the model's {positions} positions: "
                f"pass max_new_tokens={positions - prompt} or a shorter prompt"
            )
        most = positions - prompt
    model.warn_of_row(prompt + most)
    return most


def _check_words(name: str, rows: Sequence[np.ndarray], vocab: int) -> None:
    """Refuse ids that are no words of the model."""
    for number, row in enumerate(rows):
        if wrong := row[(row < 0) | (row >= vocab)].tolist():
            raise ValueError(f"{name}[{number}] has {wrong[0]}, allowed are 0 to {vocab - 1}")


def pad_of(config: GenerationConfig, eos: Sequence[int]) -> int:
    """What stands behind the end of rows."""
    if config.pad_token_id is not None and config.pad_token_id >= 0:
        return config.pad_token_id
    if eos:
        logger.info("pad_token_id is not set: rows are filled with the end token %d", eos[0])
        return eos[0]
    return 0


def ends_of(eos: Sequence[int]) -> np.ndarray:
    """The end tokens [E], E one of few sizes."""
    return np.array([*eos, *[-1] * (rows_for(max(1, len(eos))) - len(eos))], np.int32)


def _without(
    config: GenerationConfig, rows: Sequence[np.ndarray], ids: np.ndarray | None, mask: np.ndarray | None
) -> list[np.ndarray] | None:
    """What stands in place of the prompts where guidance asks the model without them."""
    if not config.guided:
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
