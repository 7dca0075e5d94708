"""Configurations: a frozen dataclass per architecture with the Hub's field names, to and from config.json.

A config is a *static pytree node*: it passes through `jax.jit`, `grad`, `vmap` and `scan` as an ordinary argument and
is compared by value. It has three parts:

- the fields that the architecture declares: they shape the arrays and the computation;
- four fields that every head may read (`num_labels`, `problem_type`, `pad_token_id`, `tie_word_embeddings`);
- `rest`: everything else of config.json (label names, task parameters, bookkeeping). It reads as attributes and is
  kept on save, but `bare()` leaves it out, so that two fine-tunes of one network share their compiled programs.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
import math
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import jax

from . import durable, hub

logger = logging.getLogger(__name__)

FILE = "config.json"
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclasses.dataclass(frozen=True)
class Between:
    """Bounds of a number, checked when a config is made: `low <= value <= high`."""

    low: float
    high: float


Size = Annotated[int, Between(1, 2**31 - 1)]
"""A length of an axis: what makes an array empty or overflow its index type is refused by name."""
Depth = Annotated[int, Between(0, 4096)]
"""A number of layers."""
Rate = Annotated[float, Between(0.0, 1.0)]
"""A probability, such as a dropout rate."""
Epsilon = Annotated[float, Between(0.0, 1.0)]
"""A small positive number that keeps a division finite."""

# Fields that change the computation of every architecture and that none here implements: only these values pass.
_ALLOWED_EVERYWHERE: dict[str, Collection[Any]] = {
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
    "problem_type": (None, *PROBLEM_TYPES),
}

# Fields of config.json that never change what a model computes: kept, and not worth a warning.
_HARMLESS = frozenset(
    """
    architectures auto_map model_type transformers_version torch_dtype dtype _name_or_path id2label label2id
    finetuning_task task_specific_params function_to_apply gradient_checkpointing use_cache output_past return_dict
    output_attentions output_hidden_states torchscript use_bfloat16 initializer_range initializer_factor bos_token_id
    eos_token_id sep_token_id cls_token_id mask_token_id unk_token_id decoder_start_token_id prefix tokenizer_class
    chunk_size_feed_forward max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty
    temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
    forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
    begin_suppress_tokens tf_legacy_loss cross_attention_hidden_size tie_encoder_decoder directionality
    pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type language
    sentence_transformers adapters type_vocab_size attention_probs_dropout_prob hidden_dropout_prob classifier_dropout
    """.split()
)


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
class Config:
    """The base of all configurations.

    A subclass is a declaration: `class BertConfig(Config, model_type="bert", aliases={...}, allowed={...})` with
    annotated fields and their defaults.

    Args of a subclass statement:
        model_type: the word that config.json uses for the architecture.
        aliases: other spellings of a declared field, `{alias: field}`: both read, only the field is written.
        allowed: `{field: values}` for declared fields with a closed set of values (activations), and for known fields
            of the reference that the model file does not implement, with the values at which they change nothing.

    Raises:
        ValueError: a field has the wrong type or an impossible or unsupported value. The message names the field.
    """

    num_labels: int = 2
    problem_type: str | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    id2label: Mapping[int, str]
    label2id: Mapping[str, int]

    model_type: ClassVar[str] = ""
    aliases: ClassVar[Mapping[str, str]] = {}
    allowed: ClassVar[Mapping[str, Collection[Any]]] = {}
    _hints: ClassVar[Mapping[str, Any]] = {}
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _rest: str  # JSON text
    _key: tuple[Any, ...]

    def __init_subclass__(
        cls,
        *,
        model_type: str,
        aliases: Mapping[str, str] | None = None,
        allowed: Mapping[str, Collection[Any]] | None = None,
    ) -> None:
        cls.model_type = model_type
        cls.aliases = aliases or {}
        cls.allowed = {**_ALLOWED_EVERYWHERE, **(allowed or {})}
        hints = typing.get_type_hints(cls, include_extras=True)
        cls._hints = {
            name: hint
            for name, hint in hints.items()
            if typing.get_origin(hint) is not ClassVar and not name.startswith("_") and hasattr(cls, name)
        }
        cls._defaults = {name: getattr(cls, name) for name in cls._hints}
        jax.tree_util.register_static(cls)

    def __init__(self, **given: Any) -> None:
        given = {self.aliases.get(name, name): value for name, value in given.items()}
        for name in ("torch_dtype", "dtype"):  # numpy and jax scalar types are spelt as config.json spells them
            if name in given and given[name] is not None and not isinstance(given[name], str):
                given[name] = jax.numpy.dtype(given[name]).name
        if given.get("model_type", self.model_type) != self.model_type:
            raise ValueError(
                f"{type(self).__name__}: model_type is {given['model_type']!r}, this class reads {self.model_type!r}; "
                "use AutoConfig, or the class of that architecture"
            )
        given.pop("model_type", None)
        names = _label_names(given)
        values = {**self._defaults, **{name: given.pop(name) for name in self._hints if name in given}}
        if names is not None:
            values["num_labels"] = len(names)
            given["id2label"] = {str(i): name for i, name in names.items()}
            given["label2id"] = {name: i for i, name in names.items()}
        for name, value in values.items():
            values[name] = _checked(type(self).__name__, name, value, self._hints[name])
        for name, options in self.allowed.items():
            value = values.get(name, given.get(name, _ABSENT))
            if value is not _ABSENT and not any(value == option for option in options):
                known = ", ".join(repr(option) for option in options)
                raise ValueError(f"{type(self).__name__}: {name}={value!r} is not supported; supported: {known}")
        _freeze(self, values, _canonical(given, type(self).__name__))
        self.check()

    def check(self) -> None:
        """Say here which fields must agree with each other; raise ValueError naming them."""

    # -- reading ------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also keeps copy and pickle from asking an empty instance for its fields
            raise AttributeError(name)
        if name in self.aliases:
            return getattr(self, self.aliases[name])
        if name == "id2label":
            names = {i: f"LABEL_{i}" for i in range(self.num_labels)}
            return names | {int(i): label for i, label in sorted(self.rest.get("id2label", {}).items())}
        if name == "label2id":
            return {label: i for i, label in self.id2label.items()}
        if name == "torch_dtype" or name == "dtype":
            return self.rest.get("dtype", self.rest.get("torch_dtype"))
        rest = self.rest
        if name in rest:
            return rest[name]
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use config.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    @property
    def _values(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self._hints}

    @property
    def rest(self) -> dict[str, Any]:
        """A fresh copy of the fields of config.json that the architecture does not declare."""
        return json.loads(self._rest)

    def bare(self) -> Self:
        """This config without `rest`: what the library's own compiled programs are keyed by."""
        return self if self._rest == "{}" else _freeze(object.__new__(type(self)), self._values, "{}")

    def replace(self, **fields: Any) -> Self:
        """A copy with other values. `num_labels` alone renames the labels LABEL_0, LABEL_1, …"""
        fields = {self.aliases.get(name, name): value for name, value in fields.items()}
        kept = {**self._values, **self.rest}
        if fields.keys() & {"num_labels", "id2label", "label2id"}:
            if fields.get("num_labels") == self.num_labels and not fields.keys() & {"id2label", "label2id"}:
                fields.pop("num_labels")
            else:
                for name in ("num_labels", "id2label", "label2id"):
                    kept.pop(name, None)
        return type(self)(**{**kept, **fields})

    def override(self, **fields: Any) -> Self:
        """`replace` for keywords that a user typed: a name that is no field of this architecture is an error.

        Raises:
            TypeError: an unknown name; the message gives the nearest.
        """
        known = self._known() | self.rest.keys()
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
        """What config.json holds: declared fields, labels as `{"0": name}`, and every other field that was read."""
        fields = dict(self._values)
        del fields["num_labels"]
        names = self.id2label
        if names != {0: "LABEL_0", 1: "LABEL_1"}:
            fields["id2label"] = {str(i): name for i, name in names.items()}
            fields["label2id"] = {name: i for i, name in names.items()}
        return dict(sorted({**self.rest, **fields, "model_type": self.model_type}.items()))

    def to_json_string(self) -> str:
        """`to_dict` as the text of config.json."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], **overrides: Any) -> Self:
        """The config of a config.json that has been read, with fields replaced by keyword.

        Fields that neither the architecture declares nor the library knows as harmless are named in one warning.

        Raises:
            TypeError: an override is no field of this architecture.
        """
        strange = sorted(name for name in fields if name not in cls._known() and not name.startswith("_"))
        if strange:
            logger.warning("%s: unknown fields, kept but without effect: %s", cls.__name__, ", ".join(strange))
        return cls(**dict(fields)).override(**overrides)

    @classmethod
    def _known(cls) -> set[str]:
        return {*cls._hints, *cls.aliases, *cls.allowed, *_HARMLESS}

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Read config.json from a folder or the Hub.

        Args:
            name_or_path: a folder, or a name on the Hub.
            **options: `revision, subfolder, token, cache_dir, local_files_only, force_download`, and any field of the
                config, which replaces the file's value.

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


def read(source: hub.Source) -> dict[str, Any]:
    """The JSON object in a source's config.json.

    Raises:
        OSError: the file is absent or cannot be fetched.
        ValueError: it is not a JSON object.
    """
    path = source.file(FILE)
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
    config.__dict__.update(values, _rest=rest, _key=(*(repr(values[name]) for name in config._hints), rest))
    return config


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
                raise ValueError(f"{owner}: {name} cannot be written as JSON: {type(value).__name__}") from None
        raise ValueError(f"{owner}: a field's name cannot be written as JSON") from None


def _label_names(given: dict[str, Any]) -> dict[int, str] | None:
    """The label names that the three label fields ask for together, by id; None where they say nothing.

    `id2label` wins over `num_labels` and `label2id`; the last two alone imply the first.
    """
    count, by_id, by_name = (given.pop(name, None) for name in ("num_labels", "id2label", "label2id"))
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 2**24):
        raise ValueError(f"num_labels={count!r}: expected a whole number of labels")
    if by_id is None and by_name is not None:
        if not isinstance(by_name, Mapping):
            raise ValueError(f"label2id: expected an object of name to id, found {type(by_name).__name__}")
        by_id = {i: name for name, i in by_name.items()}
        if count is not None and len(by_id) != count:
            by_id = None  # as the reference does: label2id of another size says nothing about the names
    if by_id is None:
        return None if count is None else {i: f"LABEL_{i}" for i in range(count)}
    if not isinstance(by_id, Mapping):
        raise ValueError(f"id2label: expected an object of id to name, found {type(by_id).__name__}")
    try:
        names = {int(i): str(name) for i, name in by_id.items()}
    except (TypeError, ValueError):
        raise ValueError("id2label: the keys must be whole numbers") from None
    if any(i < 0 for i in names):
        raise ValueError(f"id2label: ids below 0: {min(names)}")
    if count is not None and count != len(names):
        logger.warning("num_labels=%d, but id2label names %d labels: id2label is taken", count, len(names))
    return dict(sorted(names.items()))


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
            value = float(value)
            if not math.isfinite(value):
                raise ValueError(f"{owner}: {name}={value!r} is not a finite number")
        elif typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            item = typing.get_args(option)[0]
            return tuple(_checked(owner, f"{name}[{i}]", entry, item) for i, entry in enumerate(value))
        elif not (isinstance(option, type) and isinstance(value, option)):
            continue
        for bound in bounds:
            if isinstance(bound, Between) and not bound.low <= value <= bound.high:
                raise ValueError(f"{owner}: {name}={value!r} is out of range ({bound.low} to {bound.high})")
        return value
    expected = " or ".join(_spelt(option) for option in options)
    raise ValueError(f"{owner}: {name}={value!r} has the wrong type: expected {expected}")


def _spelt(option: Any) -> str:
    base = typing.get_args(option)[0] if typing.get_origin(option) is Annotated else option
    return "null" if base is types.NoneType else getattr(base, "__name__", str(base))
