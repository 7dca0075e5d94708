"""One batch as users give it: the Hub's keywords, lists or arrays, read as our inputs and checked on the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .layers import losses
from .layers.cache import Cache
from .layers.inputs import Ask, Inputs, Memory
from .layers.remat import policy_of

# The Hub's keywords for a batch, and our fields.
FIELDS = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "types",
    "position_ids": "positions",
    "inputs_embeds": "embeds",
    "past_key_values": "cache",
}
# Those of a decoder beside an encoder, and our fields of `Inputs.target`.
TARGET = {
    "decoder_input_ids": "ids",
    "decoder_attention_mask": "mask",
    "decoder_inputs_embeds": "embeds",
    "past_key_values": "cache",
}
# What most models take, in the order of positional arguments.
USUAL = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")
# What models take that read in one direction.
CAUSAL = ("input_ids", "attention_mask", "position_ids", "past_key_values", "inputs_embeds")
# The same where segments are words, and where distances alone are known.
SEGMENTED = (*CAUSAL, "token_type_ids")
UNPLACED = tuple(word for word in CAUSAL if word != "position_ids")
# What models take that have both.
TWO_SIDED = (
    "input_ids",
    "attention_mask",
    "decoder_input_ids",
    "decoder_attention_mask",
    "encoder_outputs",
    "past_key_values",
    "inputs_embeds",
    "decoder_inputs_embeds",
)
_FLAGS = ("output_hidden_states", "output_attentions", "return_dict", "gradient_checkpointing")
_TAPS = ("capture", "patch")
FOR_USERS = frozenset(
    """
    special_tokens_mask offset_mapping length overflow_to_sample_mapping overflowing_tokens num_truncated_tokens
    """.split()
)
"""What tokenizers give when asked to, for whoever called them: no model takes it."""
_CACHE = "use_cache"


@dataclasses.dataclass(frozen=True)
class Label:
    """What a label keyword of a task holds.

    bound: ids are below it: a number, a field of the config, "choices" (as many as a row has), None: not checked.
    per: what has one: a "row", labels [B], or a "token", labels [B, T]; or labels [B, any number] of a "target".
    """

    bound: int | str | None = None
    per: Literal["row", "token", "target"] = "row"


@dataclasses.dataclass(frozen=True)
class Beside:
    """What a keyword holds that one architecture alone takes.

    below: config → what its whole numbers are below. Raises ValueError where the config has nothing to choose from.
    None: other numbers, or any.
    per: what has one: a "row" [B], or a "token" [B, T].
    """

    below: Callable[[Any], int] | None = None
    per: Literal["row", "token"] = "token"


def read(
    cls: Any, c: Any, args: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Inputs, dict[str, jax.Array], Ask, bool]:
    """The Hub's keywords as our inputs: arrays of 32 bits, whatever the caller's lists or arrays held.

    The last result says whether an `Output` is wanted rather than a tuple. What a call does not say of `return_dict`,
    `output_hidden_states`, `output_attentions` and `gradient_checkpointing`, the config says.
    """
    owner = cls.__name__
    if len(args) > len(cls.accepts):
        raise TypeError(f"{owner} takes at most {len(cls.accepts)} arrays in order: {', '.join(cls.accepts)}")
    given = dict(zip(cls.accepts, args, strict=False))
    if twice := given.keys() & keywords.keys():
        raise TypeError(f"{owner}: {', '.join(sorted(twice))} is given twice, by place and by name")
    given |= keywords
    if "token_type_ids" not in cls.accepts:
        check_no_types(owner, given.pop("token_type_ids", None))
    asked = {name: given.pop(name, None) for name in _FLAGS}
    cached = given.pop(_CACHE, False) if "past_key_values" in cls.accepts else False
    flags = {name: getattr(c, name, None) if value is None else value for name, value in asked.items()}
    for name in given:
        if name in FOR_USERS:
            raise TypeError(f"{owner} takes no {name!r}, which the tokenizer gave for you: leave it out")
        if name not in cls.accepts and name not in cls.labels:
            known = (*cls.accepts, *cls.labels, *_FLAGS, *_TAPS)
            raise TypeError(f"{owner} takes no {name!r}; it takes {', '.join(known)}")
    arrays = {name: _array(name, value) for name, value in given.items() if value is not None}
    given_memory = "encoder_outputs" in arrays
    if not given_memory and ("input_ids" in arrays) == ("inputs_embeds" in arrays):
        more = ", or encoder_outputs" if "encoder_outputs" in cls.accepts else ""
        raise ValueError(f"{owner}: pass either input_ids or inputs_embeds{more}")
    taken = [name for name in cls.accepts if name in arrays]
    of_target = [name for name in taken if name in TARGET] if cls.network.two_sided else []
    batch = Inputs(
        **{FIELDS[name]: arrays[name] for name in taken if name in FIELDS and name not in of_target},
        beside={name: arrays[name] for name in taken if name in cls.beside},
        target=Inputs(**{TARGET[name]: arrays[name] for name in of_target}) if of_target else None,
        memory=memory(cls, c, arrays["encoder_outputs"], arrays.get("attention_mask")) if given_memory else None,
    )
    labels = {name: arrays[name] for name in cls.labels if name in arrays}
    cached = cached or ("past_key_values" in arrays and cached is not False)
    ask = Ask(
        hidden_states=bool(flags["output_hidden_states"]),
        attentions=bool(flags["output_attentions"]),
        cross_attentions=bool(flags["output_attentions"]) and cls.network.two_sided,
        cache=bool(cached),
        remat=policy_of(flags["gradient_checkpointing"], owner),
    )
    return batch, labels, ask, flags["return_dict"] is None or bool(flags["return_dict"])


def bounds(cls: Any, c: Any) -> dict[str, int | None]:
    """What each number that a token has is below, by the Hub's keyword; None: any will do."""
    return {
        "input_ids": c.target_vocab_size if cls.network.encode is None else c.source_vocab_size,
        "token_type_ids": getattr(c, "type_vocab_size", None) or None,
        "position_ids": 2**31 - 1 if c.longest_row is None else c.promised_row,
    }


def check_no_types(owner: str, types: Any) -> None:
    """Refuse what a model without token types cannot tell apart; zeros, as tokenizers give them, say nothing.

    Arrays of a device are fetched, since what may be left out depends on their values. Those of tracers nobody knows:
    they are taken as right, as ids are.

    Raises:
        ValueError: some are not zero, or no numbers.
    """
    if types is None or isinstance(types, jax.core.Tracer):
        return
    types = np.asarray(jax.device_get(_array("token_type_ids", types)))
    if types.any():
        raise ValueError(
            f"{owner} has no token types, and token_type_ids has {types[types != 0][0]}: leave token_type_ids out, or "
            "tokenize with return_token_type_ids=False"
        )


def check(cls: Any, c: Any, batch: Inputs, labels: Mapping[str, Any]) -> None:
    """Refuse what would compute nonsense silently. Shapes and types are known of tracers too; values are looked at on
    the host only.
    """
    shape = check_tokens(cls, c, batch)
    if cls.network.two_sided:
        _check_target(cls, c, batch, shape[0], labels)
    cls.check_batch(c, batch)
    for name, array in labels.items():
        _check_label(cls, c, name, array, shape)


def check_tokens(cls: Any, c: Any, batch: Inputs) -> tuple[int, ...]:
    """`check` of what a model reads, in models with both sides of what the encoder reads: its shape."""
    owner = cls.__name__
    axes = "batch, seq" if cls.axes == 2 else "batch, choices, seq"
    if batch.memory is not None:
        shape = batch.memory.mask.shape
    else:
        shape = batch.ids.shape if batch.ids is not None else _check_vectors(cls, c.source_width, axes, batch.embeds)
    if len(shape) != cls.axes:
        found = f"found {len(shape)} axes {tuple(shape)}{_lone('input_ids', shape, cls.axes)}"
        raise ValueError(f"{owner}: input_ids must be [{axes}], {found}")
    if 0 in shape:
        raise ValueError(f"{owner}: input_ids [{axes}] is empty: {tuple(shape)}")
    longest = c.longest_target if cls.network.encode is None else c.longest_row
    if longest is not None and shape[-1] > longest:
        raise ValueError(
            f"{owner}: {shape[-1]} tokens in a row, the model has {longest} positions: "
            "tokenize with truncation=True, or pass shorter texts"
        )
    c.warn_of_row(shape[-1])
    if batch.cache is not None:
        _check_cache(owner, c, batch.cache, shape, longest)
    if batch.mask is not None and batch.mask.shape not in (shape, (*shape, shape[-1])):
        raise ValueError(f"{owner}: attention_mask has shape {tuple(batch.mask.shape)}, input_ids {tuple(shape)}")
    reads_last = cls.task == "SequenceClassification" and "past_key_values" in cls.accepts and not cls.network.two_sided
    if reads_last and shape[0] > 1 and batch.mask is None and c.pad_token_id is None:
        raise ValueError(
            f"{owner}: {shape[0]} rows without attention_mask, and the config has no pad_token_id: which token of a "
            "row is the last, by which labels are scored, cannot be told; pass attention_mask, or set pad_token_id"
        )
    for name, bound in bounds(cls, c).items():
        if (array := getattr(batch, FIELDS[name])) is not None:
            _check_ids(owner, name, array, (shape,), bound)
    for name, array in batch.beside.items():
        _check_beside(cls, c, name, array, shape)
    return shape


def _check_target(cls: Any, c: Any, batch: Inputs, rows: int, labels: Mapping[str, Any]) -> None:
    """Refuse what a decoder cannot read beside an encoder of so many rows."""
    owner, target = cls.__name__, batch.target
    if target is None or (target.ids is None and target.embeds is None):
        makes = {name: array for name, array in labels.items() if cls.labels[name].per == "target"}
        if cls.reads_source_twice and batch.ids is not None:
            makes["input_ids"] = batch.ids
        if not makes:
            could = [name for name, label in cls.labels.items() if label.per == "target"]
            others = [f"{name}, from which they are made" for name in (*could, "input_ids")]
            raise ValueError(f"{owner}: pass decoder_input_ids, or {others[0]}")
        name, ids = next(iter(makes.items()))
        _check_shifted(owner, c, name, ids.shape)
        return
    if (target.ids is None) == (target.embeds is None):
        raise ValueError(f"{owner}: pass either decoder_input_ids or decoder_inputs_embeds")
    shape = (
        target.ids.shape if target.ids is not None else _check_vectors(cls, c.target_width, "batch, seq", target.embeds)
    )
    if len(shape) != 2 or shape[0] != rows or not shape[1]:
        raise ValueError(f"{owner}: decoder_input_ids must be [{rows}, seq], as input_ids, found {tuple(shape)}")
    if target.ids is not None:
        _check_ids(owner, "decoder_input_ids", target.ids, (shape,), c.target_vocab_size)
    if target.mask is not None and target.mask.shape != shape:
        raise ValueError(
            f"{owner}: decoder_attention_mask has shape {tuple(target.mask.shape)}, decoder_input_ids {tuple(shape)}"
        )
    longest = c.longest_target
    if longest is not None and shape[1] > longest:
        raise ValueError(
            f"{owner}: {shape[1]} tokens in a row of decoder_input_ids, the model has {longest} positions: pass fewer"
        )
    if target.cache is not None:
        _check_cache(owner, c, target.cache, shape, longest)


def _check_shifted(owner: str, c: Any, name: str, shape: tuple[int, ...]) -> None:
    """Refuse ids from which a decoder's cannot be made by a shift."""
    for token in ("pad_token_id", *(() if c.wraps else ("decoder_start_token_id",))):
        if getattr(c, token) is None:
            raise ValueError(
                f"{owner}: the decoder reads {name} shifted by one, and the config has no {token}: set it by "
                f"model.replace(config=model.config.replace({token}=...)), or pass decoder_input_ids"
            )
        if not 0 <= getattr(c, token) < c.target_vocab_size:
            raise ValueError(
                f"{owner}: the decoder reads {name} shifted by one, and {token}={getattr(c, token)} of the config is "
                f"not in the vocabulary (0 to {c.target_vocab_size - 1}): pass decoder_input_ids, or mend the config"
            )
    if c.longest_target is not None and any(length > c.longest_target for length in shape[1:]):
        raise ValueError(
            f"{owner}: {shape[1]} tokens in a row of {name}, the decoder has {c.longest_target} positions: pass fewer"
        )


def memory(cls: Any, c: Any, given: Any, mask: Any) -> Memory:
    """An encoder's result, as users hand it on: an output, a tuple, or its first array [B, S, D].

    Raises:
        ValueError: it is no such array, or of another encoder's width, or the mask [B, S] is of another shape.
    """
    owner = cls.__name__
    if isinstance(given, Mapping):
        given = given.get("last_hidden_state")
    state = given[0] if isinstance(given, tuple | list) and given else given
    shape = tuple(np.shape(state))
    if not hasattr(state, "dtype") or len(shape) != 3 or not jnp.issubdtype(state.dtype, jnp.floating):
        found = f"{state.dtype} {shape}" if hasattr(state, "dtype") else type(state).__name__
        raise ValueError(f"{owner}: encoder_outputs must be floats [batch, seq, dim], found {found}")
    if shape[2] != c.memory_width:
        raise ValueError(f"{owner}: encoder_outputs are {shape[2]} wide, those of its encoder {c.memory_width}")
    if mask is not None and np.shape(mask) != shape[:2]:
        raise ValueError(f"{owner}: attention_mask has shape {np.shape(mask)}, encoder_outputs {shape[:2]}")
    return Memory(state, jnp.ones(shape[:2], bool) if mask is None else jnp.asarray(mask) != 0)


def _check_beside(cls: Any, c: Any, name: str, array: Any, shape: tuple[int, ...]) -> None:
    owner, told = cls.__name__, cls.beside[name]
    wanted = shape if told.per == "token" else shape[:1]
    if told.below is None:
        if array.shape != wanted:
            raise ValueError(f"{owner}: {name} has shape {tuple(array.shape)}, input_ids {tuple(shape)}")
        return
    try:
        bound = told.below(c)
    except ValueError as error:
        raise ValueError(f"{owner}: {name} was given, and {error}") from None
    _check_ids(owner, name, array, (wanted,), bound)


def vectors(cls: Any, c: Any, embeds: Any) -> Any:
    """Prompts [B, E, D] for `generate` as vectors.

    Raises:
        ValueError: other shapes or types, or the model takes none.
    """
    if "inputs_embeds" not in cls.accepts:
        raise ValueError(f"{cls.__name__} takes no inputs_embeds: pass input_ids")
    embeds = _array("inputs_embeds", embeds)
    if 0 in _check_vectors(cls, c.source_width, "batch, seq", embeds):
        raise ValueError(f"{cls.__name__}: inputs_embeds is empty: {tuple(embeds.shape)}")
    return embeds


def of_sources(cls: Any, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What of the keywords of `generate` an architecture's encoder alone takes, on the host."""
    return {name: np.asarray(_array(name, options[name])) for name in cls.beside if options.get(name) is not None}


def prompts(
    owner: str, ids: Any, mask: Any, pad: int | None, ends: Collection[int], embeds: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Prompts [B, T] for `generate`, and what of them is no padding, on the host.

    embeds: [B, E, D] what is read in their place; then the mask is [B, E].

    Raises:
        ValueError: other shapes, no whole numbers.
    """
    rows = 1 if embeds is None else len(embeds)
    tokens = np.zeros((rows, 0), np.int32) if ids is None else np.asarray(_array("input_ids", ids))
    if tokens.ndim != 2 or not len(tokens):
        what = f"input_ids must be [batch, seq], found {tuple(tokens.shape)}{_lone('input_ids', tokens.shape, 2)}"
        raise ValueError(f"{owner}: {what}")
    if tokens.size and tokens.dtype.kind not in "iu":
        raise ValueError(f"{owner}: input_ids must be whole numbers, found {tokens.dtype}")
    tokens = tokens.astype(np.int32)
    seen = None if mask is None else np.asarray(_array("attention_mask", mask))
    shape = shape_read(owner, tokens, seen, embeds)
    if seen is None:
        padded = tokens.shape == shape and pad is not None and pad not in ends and (tokens == pad).any()
        return tokens, (tokens != pad).astype(np.int32) if padded else np.ones(shape, np.int32)
    return tokens, (seen != 0).astype(np.int32)


def shape_read(owner: str, ids: Any, mask: Any, embeds: Any) -> tuple[int, ...]:
    """The shape of what of prompts is read, ids [B, T] or embeds [B, E, D]: that of their mask, if there is one.

    Raises:
        ValueError: they have other rows, or the mask has another shape.
    """
    shape, name = (ids.shape, "input_ids") if embeds is None else (embeds.shape[:2], "inputs_embeds")
    if len(ids) != shape[0]:
        raise ValueError(f"{owner}: {len(ids)} rows of input_ids beside {shape[0]} of inputs_embeds")
    if mask is not None and np.shape(mask) != shape:
        raise ValueError(f"{owner}: attention_mask has shape {np.shape(mask)}, {name} {tuple(shape)}")
    return tuple(shape)


def check_past(owner: str, cache: Any, rows: int, empty_cache: Callable[[int], Cache]) -> None:
    """Refuse what `generate` cannot go on with: empty_cache(slots) is an empty cache of the rows' model.

    Raises:
        ValueError: no cache, or one of other rows or of another model.
    """
    if not isinstance(cache, Cache):
        raise ValueError(f"past_key_values: expected the cache of an earlier call, found {type(cache).__name__}")
    if cache.length.shape != (rows,):
        raise ValueError(f"{owner}: past_key_values hold {cache.length.shape[0]} rows, there are {rows} prompts")
    own = jax.eval_shape(lambda: empty_cache(cache.slots))
    shapes = [jax.tree.map(lambda x: x.shape, tree) for tree in (cache, own)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{owner}: past_key_values come from another model: pass those of an earlier call of this one")


def _check_vectors(cls: Any, width: int, axes: str, embeds: Any) -> tuple[int, ...]:
    """The axes of tokens of vectors [..., width]."""
    shape = tuple(embeds.shape[:-1])
    fits = embeds.ndim == cls.axes + 1 and embeds.shape[-1] == width
    if not jnp.issubdtype(embeds.dtype, jnp.floating):
        raise ValueError(f"{cls.__name__}: inputs_embeds must be floats, found {embeds.dtype}: ids are input_ids")
    if not fits:
        raise ValueError(
            f"{cls.__name__}: inputs_embeds must be floats [{axes}, {width}], found {embeds.dtype} "
            f"{tuple(embeds.shape)}{_lone('inputs_embeds', shape, cls.axes)}"
        )
    return shape


def _lone(name: str, shape: tuple[int, ...], axes: int) -> str:
    """What to do where the axis of rows is missing."""
    if len(shape) != axes - 1 or 0 in shape:
        return ""
    return f": pass {name}[None]; under vmap too each example is a batch, of one row"


def _check_cache(owner: str, c: Any, cache: Cache, shape: tuple[int, ...], longest: int | None) -> None:
    if cache.length.shape != shape[:1]:
        held = cache.length.shape[0] if cache.length.ndim else "no"
        raise ValueError(f"{owner}: past_key_values hold {held} rows, input_ids {shape[0]}")
    known = 0 if isinstance(cache.length, jax.core.Tracer) else int(cache.length.max())
    reached = known + shape[1]
    if longest is not None and reached > longest:
        raise ValueError(f"{owner}: {reached} tokens with those of past_key_values, the model has {longest} positions")
    c.warn_of_row(reached)
    if 0 < cache.slots < reached:
        raise ValueError(
            f"{owner}: past_key_values have room for {cache.slots} tokens, and {reached} are to stand there: make it "
            "with model.init_cache(rows, tokens)"
        )


def _check_label(cls: Any, c: Any, name: str, array: Any, shape: tuple[int, ...]) -> None:
    label, owner = cls.labels[name], cls.__name__
    if cls.task == "SequenceClassification":
        kind = losses.problem(c.problem_type, c.num_labels, array.dtype)
        if kind != "single_label_classification":
            shapes = ((shape[0], c.num_labels), *([shape[:1]] if c.num_labels == 1 else []))
            if array.shape not in shapes:
                raise ValueError(f"{owner}: {name} has shape {tuple(array.shape)}, {kind} takes {shapes[0]}")
            return
        if array.shape == (shape[0], c.num_labels) != (shape[0], 1):
            why = "problem_type says so" if c.problem_type else "they are whole numbers; pass floats"
            raise ValueError(
                f"{owner}: {name} {tuple(array.shape)} has a number for every label, where one label a row is expected "
                f"({why}, or set problem_type='multi_label_classification' in the config)"
            )
    bound = shape[1] if label.bound == "choices" else label.bound
    bound = getattr(c, bound) if isinstance(bound, str) else bound
    shapes = (shape,) if label.per == "token" else (shape[:1], (shape[0], 1))
    if label.per == "target":
        shapes = ((shape[0], *array.shape[1:2]),)
    _check_ids(owner, name, array, shapes, bound, ignored=losses.IGNORED)


def _array(name: str, value: Any) -> Any:
    """`value` as an array of 32 bits; jax arrays and tracers as they are."""
    if isinstance(value, jax.Array | Cache) or name == "encoder_outputs":
        return value
    if name == "past_key_values":
        raise ValueError(f"past_key_values: expected the cache of an earlier call, found {type(value).__name__}")
    if isinstance(value, Mapping):
        raise ValueError(f"{name}: found a whole batch; pass its fields by name: model(**batch)")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: the rows have different lengths; tokenize with padding=True") from None
    if array.dtype == object or array.dtype.kind in "USM":
        raise ValueError(f"{name}: expected numbers, found {array.dtype}; tokenize with return_tensors='np'")
    if array.dtype.kind in "iu":
        if array.size and (array.max() > 2**31 - 1 or array.min() < -(2**31)):
            raise ValueError(f"{name}: {array.max()} does not fit into 32 bits")
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _check_ids(
    owner: str,
    name: str,
    array: Any,
    shapes: Collection[tuple[int, ...]],
    bound: int | None,
    ignored: int | None = None,
) -> None:
    """Refuse other shapes, fractions, and values outside 0 to bound - 1.

    An index out of range reads another row or nothing, without a word.
    """
    if array.shape not in shapes:
        expected = " or ".join(str(tuple(shape)) for shape in dict.fromkeys(shapes))
        raise ValueError(f"{owner}: {name} has shape {tuple(array.shape)}, expected {expected}")
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{owner}: {name} must be whole numbers, found {array.dtype}")
    if bound is None or not isinstance(array, np.ndarray):
        return
    wrong = (array < 0) | (array >= bound)
    if ignored is not None:
        wrong &= array != ignored
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{owner}: {name}{list(place)} is {array[place]}, allowed are 0 to {bound - 1}")
