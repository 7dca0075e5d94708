"""What a tokenizer's call returns: named lists or arrays, and where each token lies in its text."""

from __future__ import annotations

import dataclasses
from collections import UserDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Encoding


class TokenSpan(NamedTuple):
    """Tokens `start` to `end`, the last excluded."""

    start: int
    end: int


class CharSpan(NamedTuple):
    """Characters `start` to `end` of a text, the last excluded."""

    start: int
    end: int


class BatchEncoding(UserDict[str, Any]):
    """A mapping of model inputs (`input_ids`, `attention_mask`, ...) that also knows words, characters and sequences.

    `enc["input_ids"]` and `enc.input_ids` are the same; `enc[i]` is the i-th row as a `tokenizers.Encoding`.
    Methods about a place take `(batch_index, place)`, or `(place)` alone for the first row. They need the encodings
    that a tokenizer's call brings along; a BatchEncoding made by hand or by `pad` has none.

    It is a pytree whose leaves are the arrays, in order of their names. What is no array stays on the host: inside of
    functions that `jax.jit` and its like trace there is none of it, so two batches of the same shapes share a program;
    through `jax.device_put`, `jax.tree.map` and their like it goes along, the encodings as long as shapes stay.

    Args:
        data: names and their lists or arrays.
        encoding: the rows as the tokenizers library gave them.
        tensor_type: "np" or "jax", see `convert_to_tensors`.
        prepend_batch_axis: for lists that are one row.
        n_sequences: texts in a row, 1 or 2; taken from `encoding` if not given.

    Raises:
        ValueError: as `convert_to_tensors`.
    """

    _leaves: tuple[str, ...] = ()  # names whose values are leaves, whatever a transformation has put there
    _outside: tuple[str, ...] = ()  # names whose values have stayed on the host

    def __init__(
        self,
        data: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data or {})
        rows = [encoding] if isinstance(encoding, Encoding) else encoding
        self._encodings: list[Encoding] | None = None if rows is None else list(rows)
        if n_sequences is None and self._encodings:
            n_sequences = self._encodings[0].n_sequences
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key in self._outside and key not in self.data:
                raise KeyError(f"{key}: is no array, so it stays outside: call the tokenizer with return_tensors='jax'")
            return self.data[key]
        if self._encodings is not None and isinstance(key, SupportsIndex | slice):
            return self._encodings[key]
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.data.items()}
        raise KeyError(f"{key!r}: expected a name of {list(self.data)}, or the number of a row that has an encoding")

    def __getattr__(self, name: str) -> Any:
        data = self.__dict__.get("data", {})
        if name in data:
            return data[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {list(data)}")

    @property
    def encodings(self) -> list[Encoding] | None:
        """The rows as the tokenizers library gave them, padded and truncated; None if there are none."""
        return self._encodings

    @property
    def is_fast(self) -> bool:
        """Whether the methods about tokens, words and characters work."""
        return self._encodings is not None

    @property
    def n_sequences(self) -> int | None:
        """Texts in a row: 1, or 2 for pairs; None if unknown."""
        return self._n_sequences

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row as text."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The number of each token's word in its text; None at special tokens and padding."""
        return self._row(batch_index).word_ids

    words = word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """0 at tokens of the first text, 1 at those of the second, None at special tokens and padding."""
        return self._row(batch_index).sequence_ids

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The text, 0 or 1, that a token belongs to. Negative token numbers count from the end."""
        row, token = self._place(batch_or_token_index, token_index, from_end=True)
        return row.token_to_sequence(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The number of a token's word in its text; None at special tokens."""
        row, token = self._place(batch_or_token_index, token_index, from_end=True)
        return row.token_to_word(token)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters that a token stands for; None at special tokens."""
        row, token = self._place(batch_or_token_index, token_index, from_end=True)
        span = row.token_to_chars(token)
        return CharSpan(*span) if span else None

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word of the first or second text; None if no token is left of it."""
        row, word = self._place(batch_or_word_index, word_index)
        span = row.word_to_tokens(word, sequence_index)
        return TokenSpan(*span) if span else None

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word of the first or second text; None if no token is left of it."""
        row, word = self._place(batch_or_word_index, word_index)
        span = row.word_to_chars(word, sequence_index)
        return CharSpan(*span) if span else None

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that a character of the first or second text lies in; None for white space."""
        row, char = self._place(batch_or_char_index, char_index)
        return row.char_to_token(char, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word that a character of the first or second text lies in; None for white space."""
        row, char = self._place(batch_or_char_index, char_index)
        return row.char_to_word(char, sequence_index)

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> Self:
        """Turn every list into an array, in place: "np" makes int64, "jax" int32; None changes nothing.

        Args:
            tensor_type: "np" or "jax"; other floats and booleans keep their kind.
            prepend_batch_axis: give each value an axis of length 1 in front.

        Raises:
            ValueError: rows of different lengths, values that are no numbers, or another tensor type.
        """
        if tensor_type is None:
            return self
        convert = _converter(tensor_type)
        self.data = {name: convert(name, [value] if prepend_batch_axis else value) for name, value in self.data.items()}
        return self

    def to(self, device: Any) -> Self:
        """Put the arrays on a device, in place; lists stay lists.

        Args:
            device: a `jax.Device`, a sharding, or a name such as "cpu", "gpu" or "tpu:1".

        Raises:
            ValueError: this machine has no such device.
        """
        if isinstance(device, str):
            kind, _, index = device.partition(":")
            try:
                device = jax.devices(kind)[int(index or 0)]
            except (RuntimeError, IndexError, ValueError):
                raise ValueError(f"no device {device!r} here, jax has {jax.devices()}") from None
        self.data = {
            name: jax.device_put(value, device) if isinstance(value, np.ndarray | jax.Array) else value
            for name, value in self.data.items()
        }
        return self

    def _row(self, index: int) -> Encoding:
        if self._encodings is None:
            raise ValueError("this BatchEncoding has no encodings: call the tokenizer on the texts to get them")
        return self._encodings[index]

    def _place(self, first: int, second: int | None, from_end: bool = False) -> tuple[Encoding, int]:
        """The row and the place in it that one or two numbers mean."""
        batch_index, place = (0, first) if second is None else (first, second)
        row = self._row(batch_index)
        if place < 0 and from_end:
            place += len(row)
        if not 0 <= place < 2**32:
            raise IndexError(
                f"row {batch_index} has {len(row)} tokens and no place {first if second is None else second}"
            )
        return row, place


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class _Host:
    """What a BatchEncoding has beside its leaves.

    Of a program's key only the names of leaves are a part. Without leaves it is everything, and equal to nothing else;
    it goes into no traced function, for each batch would be a program.

    Attributes:
        leaves: the names of the leaves, sorted.
        data: all names in their order, with the values of those that are no leaves.
        shapes: of the leaves.
        encodings, n_sequences: as in `BatchEncoding`.
    """

    leaves: tuple[str, ...]
    data: Mapping[str, Any]
    shapes: tuple[Any, ...]
    encodings: list[Encoding] | None
    n_sequences: int | None

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, _Host):
            return self is other
        return self.leaves == other.leaves and not (self._is_all or other._is_all)

    def __hash__(self) -> int:
        return hash(self.leaves)

    def __repr__(self) -> str:
        return f"BatchEncoding of {', '.join(self.data)}; arrays: {', '.join(self.leaves) or 'none'}"

    @property
    def _is_all(self) -> bool:
        return not self.leaves and bool(self.data or self.encodings)


def _flatten(batch: BatchEncoding) -> tuple[list[tuple[Any, Any]], _Host]:
    names = tuple(sorted(name for name, value in batch.data.items() if name in batch._leaves or _is_array(value)))
    rest = {name: None if name in names else value for name, value in batch.data.items()}
    shapes = tuple(getattr(batch.data[name], "shape", None) for name in names)
    host = _Host(names, rest, shapes, batch._encodings, batch._n_sequences)
    return [(jax.tree_util.DictKey(name), batch.data[name]) for name in names], host


def _unflatten(host: _Host, values: Iterable[Any]) -> BatchEncoding:
    found = dict(zip(host.leaves, values, strict=True))
    if host.data and not found and isinstance(jnp.zeros(()), jax.core.Tracer):  # so are all new arrays within a trace
        raise ValueError(
            "a BatchEncoding of lists goes into no compiled function: call the tokenizer with return_tensors='np' or "
            "'jax'"
        )
    traced = any(isinstance(value, jax.core.Tracer) for value in found.values())
    names = [name for name in host.data if name in found or not traced]
    batch = BatchEncoding({name: found.get(name, host.data[name]) for name in names})
    batch._leaves = host.leaves
    batch._outside = tuple(name for name in host.data if name not in names)
    if not traced:
        batch._n_sequences = host.n_sequences
        same = tuple(getattr(found[name], "shape", None) for name in host.leaves) == host.shapes
        batch._encodings = host.encodings if same else None
    return batch


def _is_array(value: Any) -> bool:
    """Whether a value is an array of numbers, or stands for one."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind not in "OSU"
    return isinstance(value, jax.Array | jax.ShapeDtypeStruct)


jax.tree_util.register_pytree_with_keys(BatchEncoding, _flatten, _unflatten)


def _converter(tensor_type: str) -> Callable[[str, Any], Any]:
    """The function of a name and its value that makes arrays of one type."""
    kind = getattr(tensor_type, "value", tensor_type)  # enumerations of other libraries say the same words
    if kind not in ("np", "jax"):
        hint = "; for torch, torch.from_numpy takes what 'np' gives" if kind == "pt" else ""
        raise ValueError(f"return_tensors={kind!r} is not made here, use 'np' or 'jax'{hint}")

    def convert(name: str, value: Any) -> Any:
        if kind == "np" and isinstance(value, np.ndarray):
            return value
        try:
            array = np.asarray(value)
        except ValueError:
            raise ValueError(
                f"{name}: rows of different lengths make no array: set padding=True (and truncation=True where texts "
                "may be longer than the model takes)"
            ) from None
        if array.size == 0 and array.dtype == np.float64:
            array = array.astype(np.int64)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name}: {array.dtype} values make no array of numbers: remove it before converting")
        if kind == "jax":
            return value if isinstance(value, jnp.ndarray) else jnp.asarray(array, _NARROW.get(array.dtype.kind))
        return array.astype(np.int64, copy=False) if array.dtype.kind == "i" else array

    return convert


_NARROW = {"i": "int32", "u": "uint32", "f": "float32"}  # by numpy's kind of number; jax's own default width
