"""Configurations: a frozen dataclass per architecture with the Hub's field names, to and from config.json.

A config is a *static pytree node*: it passes through `jax.jit`, `grad`, `vmap` and `scan` as an ordinary argument and
is compared by value. It has three parts:

- the fields that the architecture declares: they shape the arrays and the computation;
- four fields that every head may read (`num_labels`, `problem_type`, `pad_token_id`, `tie_word_embeddings`);
- `rest`: everything else of config.json (label names, task parameters, bookkeeping). It reads as attributes and is
  kept on save, but `bare()` leaves it out, so that two fine-tunes of one network share their compiled programs.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import functools
import json
import logging
import math
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import jax
import numpy as np

from . import durable, gguf, hub
from .declare import Init, Normal, Param

logger = logging.getLogger(__name__)

FILE = "config.json"
LARGEST = 1 << 26  # bytes: a config.json is a page of text
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclasses.dataclass(frozen=True)
class Between:
    """Bounds of a number, checked when a config is made: `low <= value <= high`."""

    low: float
    high: float


Size = Annotated[int, Between(1, 2**31 - 1)]
"""A length of an axis: what makes an array empty or overflow its index type is refused by name."""
Depth = Annotated[int, Between(0, 1024)]
"""A number of layers."""
Repeats = Annotated[int, Between(1, 1024)]
"""A number of parts, or how often one runs: at least once."""
Count = Annotated[int, Between(0, 2**20)]
"""A number of labels, or of types."""
Window = Annotated[int, Between(0, 2**31 - 1)]
"""How many tokens a token sees; 0 is a newer way to say all."""
Limit = Annotated[int, Between(-1, 2**31 - 1)]
"""A largest distance; -1 for none."""
Token = Annotated[int, Between(-1, 2**31 - 1)]
"""An id in the vocabulary; -1 is an older way to say none."""
Rate = Annotated[float, Between(0.0, 1.0)]
"""A probability, such as a dropout rate."""
Positive = Annotated[float, Between(1e-6, 1e6)]
"""A number that others are divided or bounded by."""
Epsilon = Annotated[float, Between(0.0, 1.0)]
"""A small positive number that keeps a division finite."""


@functools.cache
def say_once(message: str) -> None:
    """A warning that is given once in a process."""
    logger.warning(message)


class Endless:
    """To be put before Config where positions are rotations, penalties, distances or waves: rows have no end."""

    @property
    def longest_row(self) -> int | None:
        """None."""
        return None


# Fields that change the computation of every architecture and that none here implements: only these values pass.
_ALLOWED_EVERYWHERE: dict[str, Collection[Any]] = {
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
    "problem_type": (None, *PROBLEM_TYPES),
}

# Ways to quantise weights that `checkpoint/quantized.py` reads.
_QUANTISED = ("fp8", "mxfp4")

# Fields of any config.json that never change what a model computes: what libraries note down, what generation reads,
# how weights were made and their products split. What belongs to one architecture its class says: `ignores`.
_BOOKKEEPING = frozenset(
    """
    architectures auto_map model_type transformers_version torch_dtype dtype _name_or_path id2label label2id
    finetuning_task task_specific_params function_to_apply gradient_checkpointing use_cache output_past return_dict
    output_attentions output_hidden_states torchscript use_bfloat16 initializer_range initializer_factor bos_token_id
    eos_token_id bos_token_ids eos_token_ids sep_token_id cls_token_id mask_token_id unk_token_id
    decoder_start_token_id prefix tokenizer_class chunk_size_feed_forward max_length min_length do_sample
    early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty
    length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores
    return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values
    exponential_decay_length_penalty suppress_tokens begin_suppress_tokens cache_implementation tf_legacy_loss
    cross_attention_hidden_size tie_encoder_decoder language adapters xla_device pretraining_tp sentence_transformers
    sbert_ce_default_activation_function transformers.js_config
    """.split()
)
_NOTES = ("_", "unsloth_")  # starts of names under which libraries note things down for themselves

# What newer files say in rope_parameters, for all layers or for each kind of them → the older fields for the same.
_ROTATION: Mapping[str, Collection[str]] = {
    "rope_theta": ("rope_theta", "global_rope_theta", "rotary_emb_base"),
    "partial_rotary_factor": ("partial_rotary_factor", "rotary_pct"),
}
_OF_WINDOWS = ("rope_local_base_freq", "local_rope_theta")  # the base where a layer sees a window
_OLDER_ROTATION = frozenset({"rope_scaling", *_OF_WINDOWS, *(name for names in _ROTATION.values() for name in names)})

# Types of those fields in `rest` that something here reads.
_READ_FROM_REST: Mapping[str, Any] = {
    "architectures": tuple[str, ...] | None,
    **dict.fromkeys(("initializer_range", "init_std", "embed_init_std"), Annotated[float, Between(0.0, 1000.0)]),
    "output_attentions": bool | None,
    "output_hidden_states": bool | None,
    "return_dict": bool | None,
}


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
class Config:
    """The base of all configurations.

    A subclass is a declaration: `class BertConfig(Config, model_type="bert", aliases={...}, allowed={...})` with
    annotated fields and their defaults.

    Args of a subclass statement:
        model_type: the word that config.json uses for the architecture.
        also: other words under which files have it that bring their own code; such a file is written as it was read.
        inside: words of models that read other things too, whose config.json has this one as text_config: what reads
            text is then taken from it, and written as a model of its own.
        aliases: other spellings of a declared field, `{alias: field}`: both read, only the field is written.
        allowed: `{field: values}` for declared fields with a closed set of values (activations), and for known fields
            of the reference that the model file does not implement, with the values at which they change nothing.
        ignores: fields that its files have and that never change what it computes: read and written, without a word.

    Raises:
        ValueError: a field has the wrong type or an impossible or unsupported value. The message names the field.
    """

    num_labels: Count = 2
    problem_type: str | None = None
    pad_token_id: Token | None = None
    tie_word_embeddings: bool = True
    id2label: Mapping[int, str]
    label2id: Mapping[str, int]

    usual_range: ClassVar[float] = 0.02  # the standard deviation of random weights without initializer_range
    model_type: ClassVar[str] = ""
    also: ClassVar[Collection[str]] = ()
    inside: ClassVar[Collection[str]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    allowed: ClassVar[Mapping[str, Collection[Any]]] = {}
    ignores: ClassVar[Collection[str]] = ()
    _hints: ClassVar[Mapping[str, Any]] = {}
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _rest: str  # JSON text
    _key: tuple[Any, ...]

    def __init_subclass__(
        cls,
        *,
        model_type: str,
        also: Collection[str] = (),
        inside: Collection[str] = (),
        aliases: Mapping[str, str] | None = None,
        allowed: Mapping[str, Collection[Any]] | None = None,
        ignores: Collection[str] = (),
    ) -> None:
        cls.model_type = model_type
        cls.also = also
        cls.inside = inside
        cls.aliases = {**cls.aliases, **(aliases or {})}
        cls.allowed = {**_ALLOWED_EVERYWHERE, **cls.allowed, **(allowed or {})}
        cls.ignores = (*cls.ignores, *ignores)
        hints = typing.get_type_hints(cls, include_extras=True)
        cls._hints = {
            name: hint
            for name, hint in hints.items()
            if typing.get_origin(hint) is not ClassVar and not name.startswith("_") and hasattr(cls, name)
        }
        cls._defaults = {name: getattr(cls, name) for name in cls._hints}
        jax.tree_util.register_static(cls)

    def __init__(self, /, **fields: Any) -> None:
        owner = type(self).__name__
        given = self._declared(fields)
        for name in given.keys() & {"torch_dtype", "dtype"}:
            given[name] = _type_name(owner, name, given[name])
        if given.get("model_type", self.model_type) not in (self.model_type, *self.also):
            raise ValueError(
                f"{owner}: model_type is {_shown(given['model_type'])}, this class reads {self.model_type!r}; "
                "use AutoConfig, or the class of that architecture"
            )
        if given.get("model_type") not in self.also:
            given.pop("model_type", None)
        count, names = _labels(owner, given)
        values = {**self._defaults, **{name: given.pop(name) for name in self._hints if name in given}}
        if names is not None:
            values["num_labels"] = len(names)
            if names != _numbered(len(names)):
                given["id2label"] = {str(i): name for i, name in names.items()}
        elif count is not None:
            values["num_labels"] = count
        values |= _rotations_alike(values, self._defaults)
        for name, value in values.items():
            values[name] = _checked(owner, name, value, self._hints[name])
        for name in given.keys() & _READ_FROM_REST:
            _checked(owner, name, given[name], _READ_FROM_REST[name])
        for name, options in self.allowed.items():
            value = values.get(name, given.get(name, _ABSENT))
            if value is not _ABSENT and not any(value == option for option in options):
                known = ", ".join(repr(option) for option in options)
                raise ValueError(f"{owner}: {name}={_shown(value)} is not supported; supported: {known}")
        for field in ("quantization_config", "quantization"):
            _check_quantised(owner, field, given.get(field))
        pad, rows = values["pad_token_id"], values.get("vocab_size")
        if pad is not None and rows is not None and pad >= rows:
            raise ValueError(f"{owner}: pad_token_id={pad} is not in the vocabulary (vocab_size={rows})")
        _freeze(self, values, _canonical(given, owner))
        self.check()

    def check(self) -> None:
        """Say here which fields must agree with each other; raise ValueError naming them."""

    @property
    def longest_row(self) -> int | None:
        """The most tokens that a row may have, since positions are those of a table; None: any number."""
        return self.promised_row

    wraps: ClassVar[bool] = False  # whether the last label is what a decoder reads first

    @property
    def memory_width(self) -> int:
        """How many numbers a state of an encoder beside a decoder has."""
        return self.hidden_size

    @property
    def longest_target(self) -> int | None:
        """How many tokens a decoder that may stand beside an encoder takes; None: any number."""
        return self.longest_row

    @property
    def source_vocab_size(self) -> int:
        """How many words a model reads; beside a decoder its encoder, which may have a language of its own."""
        return self.vocab_size

    @property
    def target_vocab_size(self) -> int:
        """How many words a decoder reads and writes."""
        return self.vocab_size

    @property
    def source_width(self) -> int:
        """How many numbers a vector in the place of a token has; beside a decoder its encoder's."""
        return getattr(self, "embedding_size", None) or self.hidden_size

    @property
    def target_width(self) -> int:
        """How many numbers a vector in the place of a decoder's token has."""
        return self.source_width

    @property
    def promised_row(self) -> int | None:
        """How many tokens of a row the config answers for; None: it does not say."""
        return getattr(self, "max_position_embeddings", None)

    def warn_of_row(self, tokens: int) -> None:
        """Say, once in a process, that a row runs which is longer than the config promises."""
        if self.longest_row is None and self.promised_row is not None and tokens > self.promised_row:
            say_once(
                f"{type(self).__name__}: a row of more than {self.promised_row} tokens runs, but is longer than the "
                "config promises (max_position_embeddings, or what its rope_scaling makes of the rows of training)"
            )

    @property
    def spread(self) -> float:
        """The standard deviation of random weights: initializer_range, where the config has it."""
        return self._parsed.get("initializer_range", self.usual_range)

    def initializer(self, param: Param) -> Init:
        """How an array starts whose declaration does not say it."""
        return Normal(self.spread)

    @property
    def unread(self) -> tuple[str, ...]:
        """Starts of the names, without a prefix, of tensors that files may hold and nothing here computes with."""
        return ()

    # -- reading ------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_rest" not in self.__dict__:  # protocols; and an instance that is not filled yet
            raise AttributeError(name)
        if name in self.aliases:
            return getattr(self, self.aliases[name])
        if name == "id2label":
            if "_labels" not in self.__dict__:
                self.__dict__["_labels"] = dict(sorted({**_numbered(self.num_labels), **self._names}.items()))
            return dict(self.__dict__["_labels"])
        if name == "label2id":
            return {label: i for i, label in self.id2label.items()}
        parsed = self._parsed
        if name == "torch_dtype" or name == "dtype":
            return parsed.get("dtype", parsed.get("torch_dtype"))
        if name in parsed:
            return copy.deepcopy(parsed[name])
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use config.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    @property
    def _values(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self._hints}

    @property
    def _parsed(self) -> dict[str, Any]:
        """What `rest` copies; never handed out."""
        if "_from_text" not in self.__dict__:
            self.__dict__["_from_text"] = json.loads(self._rest)
        return self.__dict__["_from_text"]

    @property
    def _names(self) -> dict[int, str]:
        """The names of labels that were given."""
        return {int(i): label for i, label in self._parsed.get("id2label", {}).items()}

    @property
    def rest(self) -> dict[str, Any]:
        """A fresh copy of the fields of config.json that the architecture does not declare."""
        return json.loads(self._rest)

    def bare(self) -> Self:
        """This config, and those within it, without `rest`: what the library's own compiled programs are keyed by."""
        if "_without_rest" not in self.__dict__:
            inside = {
                name: value.bare() if isinstance(value, Config) else value for name, value in self._values.items()
            }
            plain = self._rest == "{}" and all(inside[name] is value for name, value in self._values.items())
            self.__dict__["_without_rest"] = self if plain else _freeze(object.__new__(type(self)), inside, "{}")
        return self.__dict__["_without_rest"]

    def replace(self, /, **fields: Any) -> Self:
        """A copy with other values. `num_labels` alone renames the labels LABEL_0, LABEL_1, …

        Raises:
            ValueError: `num_labels` and `id2label` say different numbers.
        """
        fields = self._declared(fields)
        kept = {**self._values, **self.rest}
        count, names = fields.get("num_labels"), fields.get("id2label")
        if count is not None and isinstance(names, Mapping) and count != len(names):
            raise ValueError(
                f"{type(self).__name__}: num_labels={_shown(count)}, but id2label names {len(names)} labels: pass one"
            )
        if fields.keys() & _LABEL_FIELDS:
            if fields.get("num_labels") == self.num_labels and not fields.keys() & {"id2label", "label2id"}:
                fields.pop("num_labels")
            else:
                kept = {name: value for name, value in kept.items() if name not in _LABEL_FIELDS}
        if fields.keys() & {"dtype", "torch_dtype"}:  # two spellings of one fact: the old one must not stay behind
            kept.pop("dtype", None)
            kept.pop("torch_dtype", None)
        older = fields.keys() & _OLDER_ROTATION  # these and rope_parameters say the same
        for name in _OLDER_ROTATION if "rope_parameters" in fields else ("rope_parameters",) if older else ():
            kept.pop(name, None)
        return type(self)(**{**kept, **fields})

    def without(self, *names: str) -> Self:
        """A copy without fields of `rest`."""
        kept = {name: value for name, value in self.rest.items() if name not in names}
        return type(self)(**{**self._values, **kept})

    @classmethod
    def _declared(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields under the names that are written, and numpy's numbers as Python's."""
        given: dict[str, Any] = {}
        for name, value in fields.items():
            ours = cls.aliases.get(name, name)
            value = value.item() if isinstance(value, np.generic) else value
            if ours in given and given[ours] != value:
                other = next(alias for alias in fields if alias != name and cls.aliases.get(alias, alias) == ours)
                raise ValueError(
                    f"{cls.__name__}: {other}={_shown(given[ours])} and {name}={_shown(value)} are one field: pass one"
                )
            given[ours] = value
        return given

    def override(self, /, **fields: Any) -> Self:
        """`replace` for keywords that a user typed: a name that is no field of this architecture is an error.

        Raises:
            TypeError: an unknown name; the message gives the nearest.
        """
        known = self._known() | self._parsed.keys()
        for name in fields:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"{type(self).__name__} has no field {name!r}{hint}")
        return self.replace(**fields) if fields else self

    # -- identity -----------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        changed = {name: value for name, value in self._values.items() if value != self._defaults[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _thaw, (type(self), self._values, self._rest)

    # -- files --------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What config.json holds: declared fields, labels as `{"0": name}`, and every other field that was read.

        A None that is the default is left out: it says nothing, and readers that ask whether the field is there would
        take it for a value (torch Transformers' DeBERTa).
        """
        fields = {k: v for k, v in self._values.items() if v is not None or self._defaults[k] is not None}
        fields = {k: v.to_dict() if isinstance(v, Config) else v for k, v in fields.items()}
        count = fields.pop("num_labels")
        names = self._names or _numbered(count)
        if names != _numbered(2):
            fields["id2label"] = {str(i): name for i, name in names.items()}
            fields["label2id"] = {name: i for i, name in names.items()}
        return dict(sorted({"model_type": self.model_type, **self.rest, **fields}.items()))

    def to_json_string(self) -> str:
        """`to_dict` as the text of config.json."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], **overrides: Any) -> Self:
        """The config of a config.json that has been read, with fields replaced by keyword.

        Fields that the architecture neither declares nor ignores are named in one warning: they might change results.

        Raises:
            TypeError: an override is no field of this architecture.
        """
        fields = cls._of_text(fields) if fields.get("model_type") in cls.inside else fields
        made = cls(**dict(fields))
        known = cls._known()
        strange = sorted(name for name in fields if name not in known and not name.startswith(_NOTES))
        if strange:
            logger.warning("%s: unknown fields, kept but without effect: %s", cls.__name__, ", ".join(strange))
        return made.override(**overrides)

    @classmethod
    def _of_text(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the config of a model that reads other things too says of the part that reads text."""
        text = fields.get("text_config")
        if not isinstance(text, Mapping):
            raise ValueError(
                f"{cls.__name__}: a {fields['model_type']!r} must have its text_config, found {_shown(text)}"
            )
        shared = cls._known() - {"model_type", "architectures"}
        outside = {name: value for name, value in fields.items() if name in shared}
        ends = {name: value for name, value in outside.items() if name in ("bos_token_id", "eos_token_id")}
        return {**outside, **text, **ends}

    @classmethod
    def _known(cls) -> set[str]:
        return {*cls._hints, *cls.aliases, *cls.allowed, *cls.ignores, *_BOOKKEEPING, "quantization_config"}

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Read config.json from a folder or the Hub.

        Args:
            name_or_path: a folder, or a name on the Hub.
            **options: `revision, subfolder, token, cache_dir, local_files_only, force_download, gguf_file`, and any
                field of the config, which replaces the file's value.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: the file is no JSON object, belongs to another architecture, or has an impossible value.
        """
        source, overrides = hub.split_options(name_or_path, options)
        return cls.from_dict(read(source), **overrides)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json into `folder`, made if absent."""
        with durable.Replacement(folder) as files:
            files.write(FILE, self.to_json_string().encode())


def read(source: hub.Source, filename: str = FILE) -> dict[str, Any]:
    """The JSON object in a source's config.json, or in another of its files.

    Of a source that names a GGUF file the config is what that file says.

    Raises:
        OSError: the file is absent or cannot be fetched.
        ValueError: it is not a JSON object; or the GGUF file is damaged, or of an architecture that is not known.
    """
    if source.gguf_file is not None and filename == FILE:
        return gguf.read_config(source)
    path = source.file(filename)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: too large for a config: {path.stat().st_size} bytes")
    try:
        fields = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(fields).__name__}")
    return fields


class _Absent:
    """No value was given: None is a value of its own."""


_ABSENT = _Absent()


def _freeze(config: Any, values: Mapping[str, Any], rest: str) -> Any:
    """Fill a config that nobody has seen yet."""
    config.__dict__.update(values, _rest=rest, _key=(*(_identity(values[name]) for name in config._hints), rest))
    return config


def _identity(value: Any) -> Any:
    """What a value is compared by."""
    return (type(value), value._key) if isinstance(value, Config) else repr(value)


def _thaw(cls: type[Config], values: Mapping[str, Any], rest: str) -> Config:
    return _freeze(object.__new__(cls), values, rest)


def _canonical(rest: Mapping[str, Any], owner: str) -> str:
    """`rest` as JSON text: hashable, equal for equal contents, and without references that others could change."""
    try:
        return json.dumps(rest, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        for name, value in rest.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError, RecursionError):
                raise ValueError(f"{owner}: {_shown(name)} cannot be written as JSON: {type(value).__name__}") from None
        raise ValueError(f"{owner}: a field's name cannot be written as JSON") from None


def _check_quantised(owner: str, field: str, said: Any) -> None:
    """Refuse weights that are quantised in a way that is not read here, by its name; MLX says none."""
    if said is None:
        return
    method = said.get("quant_method") if isinstance(said, Mapping) else said
    if isinstance(said, Mapping) and method is None and {"bits", "group_size"} <= said.keys():
        method = "MLX"
    if not isinstance(said, Mapping) or method not in _QUANTISED:
        raise ValueError(
            f"{owner}: {field}: weights quantised by {_shown(method)} are not read here; read are "
            f"{' and '.join(_QUANTISED)}. Load the checkpoint that this one was made from; dtype='int8' makes "
            "it small as it is loaded"
        )


_LABEL_FIELDS = frozenset({"num_labels", "id2label", "label2id"})


def _numbered(count: int) -> dict[int, str]:
    """The names of labels that have none."""
    return {i: f"LABEL_{i}" for i in range(count)}


def _labels(owner: str, given: dict[str, Any]) -> tuple[int | None, dict[int, str] | None]:
    """The number of labels and their names by id, as the three label fields together say; None: they say nothing.

    `id2label` wins over `num_labels` and `label2id`; `label2id` alone implies it.
    """
    count, by_id, by_name = (given.pop(name, None) for name in ("num_labels", "id2label", "label2id"))
    if count is not None:
        count = _checked(owner, "num_labels", count, Count)
    for field, value in (("id2label", by_id), ("label2id", by_name)):
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"{owner}: {field}={_shown(value)} has the wrong type: expected an object")
    if by_id is not None:
        field, pairs = "id2label", list(by_id.items())
    elif by_name is not None and count in (None, len(by_name)):  # of another size it says nothing, as in the reference
        field, pairs = "label2id", [(i, name) for name, i in by_name.items()]
    else:
        return count, None
    names: dict[int, str] = {}
    for i, name in pairs:
        try:
            number = int(i) if isinstance(i, str | int | np.integer) and not isinstance(i, bool) else -1
        except ValueError:
            number = -1
        if not 0 <= number < 2**31 or number in names:
            raise ValueError(f"{owner}: {field}: ids are whole numbers from 0, each once; found {_shown(i)}")
        if not isinstance(name, str | int | float):
            raise ValueError(f"{owner}: {field}: the name of label {number} is {_shown(name)}: expected text")
        names[number] = str(name)
    if count is not None and count != len(names):
        logger.warning("num_labels=%d, but id2label names %d labels: id2label is taken", count, len(names))
    return len(names), dict(sorted(names.items()))


def _rotations_alike(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The declared fields of rotations, the older ones and rope_parameters saying the same, so that whoever reads one
    of them reads all; a rope_scaling that was added to a newer file counts, as in the reference.
    """
    told, scaling = values.get("rope_parameters"), values.get("rope_scaling")
    if not isinstance(told, Mapping) or not told:
        return {}
    alike: dict[str, Any] = {}
    kinds = told.keys() & {"full_attention", "sliding_attention"}
    if isinstance(scaling, Mapping) and scaling and scaling != defaults.get("rope_scaling") and not kinds:
        told = alike["rope_parameters"] = {**{name: told[name] for name in _ROTATION if name in told}, **scaling}
    whole, near = told.get("full_attention", told), told.get("sliding_attention", {})
    if not isinstance(whole, Mapping) or not isinstance(near, Mapping):
        return {}
    said = {name: whole.get(newer) for newer, names in _ROTATION.items() for name in names}
    said |= dict.fromkeys(_OF_WINDOWS, near.get("rope_theta"))
    alike |= {name: value for name, value in said.items() if name in values and value is not None}
    if "rope_scaling" in values:
        rest = {name: value for name, value in whole.items() if name not in _ROTATION}
        plain = rest.get("rope_type", rest.get("type", "default")) == "default"
        alike["rope_scaling"] = None if plain else rest
    return alike


def _type_name(owner: str, field: str, value: Any) -> Any:
    """A numpy, jax or torch type as config.json spells it: "float16"."""
    if value is None or isinstance(value, str):
        return value and value.removeprefix("torch.")
    if str(value).startswith("torch."):
        return str(value).removeprefix("torch.")
    try:
        if isinstance(value, type | np.dtype):
            return jax.numpy.dtype(value).name
    except TypeError:
        pass
    raise ValueError(f"{owner}: {field}={_shown(value)} is no type of numbers: use 'float32', 'bfloat16' or 'float16'")


def _shown(value: Any) -> str:
    """A value in an error: one line of bounded length, whatever a file held."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _checked(owner: str, name: str, value: Any, hint: Any) -> Any:
    """`value` if it fits the annotation of its field; JSON lists become tuples, whole numbers pass as floats."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    for option in options:
        bounds: tuple[Any, ...] = ()
        if typing.get_origin(option) is Annotated:
            option, *bounds_list = typing.get_args(option)
            bounds = tuple(bounds_list)
        if option is types.NoneType and value is None:
            return None
        if option is bool and isinstance(value, bool):
            return value
        if isinstance(value, bool):
            continue
        if option is float and isinstance(value, int | float):
            try:
                value = float(value)
            except OverflowError:
                value = math.inf
            if not math.isfinite(value):
                raise ValueError(f"{owner}: {name}={value!r} is not a finite number")
        elif typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            item = typing.get_args(option)[0]
            return tuple(_checked(owner, f"{name}[{i}]", entry, item) for i, entry in enumerate(value))
        elif option is dict and isinstance(value, Mapping):
            return {key: copy.deepcopy(value[key]) for key in sorted(value, key=str)}  # equal ones are spelt alike
        elif not (isinstance(option, type) and isinstance(value, option)):
            continue
        for bound in bounds:
            if isinstance(bound, Between) and not bound.low <= value <= bound.high:
                raise ValueError(f"{owner}: {name}={_shown(value)} is out of range ({bound.low} to {bound.high})")
        return value
    expected = " or ".join(_spelt(option) for option in options)
    raise ValueError(f"{owner}: {name}={_shown(value)} has the wrong type: expected {expected}")


def _spelt(option: Any) -> str:
    base = typing.get_args(option)[0] if typing.get_origin(option) is Annotated else option
    return "null" if base is types.NoneType else getattr(base, "__name__", str(base))
