"""What a tokenizer's call returns: named lists or arrays, and where each token lies in its text."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self, SupportsIndex

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

    Args:
        data: names and their lists or arrays.
        encoding: the rows as the tokenizers library gave them.
        tensor_type: "np" or "jax", see `convert_to_tensors`.
        prepend_batch_axis: for lists that are one row.
        n_sequences: texts in a row, 1 or 2; taken from `encoding` if not given.

    Raises:
        ValueError: as `convert_to_tensors`.
    """

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
        import jax
        import numpy as np

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


def _converter(tensor_type: str) -> Callable[[str, Any], Any]:
    """The function of a name and its value that makes arrays of one type."""
    import numpy as np

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
            import jax.numpy as jnp

            return value if isinstance(value, jnp.ndarray) else jnp.asarray(array, _NARROW.get(array.dtype.kind))
        return array.astype(np.int64, copy=False) if array.dtype.kind == "i" else array

    return convert


_NARROW = {"i": "int32", "u": "uint32", "f": "float32"}  # by numpy's kind of number; jax's own default width
