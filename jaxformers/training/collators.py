"""Examples to one batch of numpy arrays, under the names, arguments and defaults of the Hub's collators.

A collator may take two keywords more, which `batches` gives it: `buckets`, the lengths that rows may be padded to, and
`key`, numbers that settle what is left to chance, so that a batch can be made again.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..layers.losses import IGNORED
from ..tokenizers.text_encoder import TextEncoder
from . import masking
from .buckets import Buckets
from .examples import Example, mappings, token_count
from .packing import flattened

logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]
Key = int | Sequence[int]

LABELS = ("label", "label_ids")
"""What datasets call what models call labels."""


def default_data_collator(features: Sequence[Any], return_tensors: str = "np") -> Arrays:
    """Stack examples whose fields have the same shape in each; "label" and "label_ids" become labels.

    Args:
        features: mappings, or objects with fields. Texts and fields that are None in the first are left out.
        return_tensors: "np".

    Raises:
        ValueError: no examples, other fields than the first's, or values of different shapes.
    """
    _check_tensors(return_tensors)
    examples = mappings(features)
    first = examples[0]
    present = [name for name, value in first.items() if value is not None and not isinstance(value, str)]
    label = next((name for name in LABELS if name in present), None)
    batch = {} if label is None else {"labels": _labels(label, examples)}
    return batch | {name: _array(name, _column(examples, name)) for name in present if name not in LABELS}


@dataclasses.dataclass
class DefaultDataCollator:
    """`default_data_collator` as an object."""

    return_tensors: str = "np"

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Arrays:
        """See `default_data_collator`."""
        return default_data_collator(features, return_tensors or self.return_tensors)


@dataclasses.dataclass
class DataCollatorWithPadding:
    """Pad tokenized texts to one length; other fields are stacked, "label" and "label_ids" become labels.

    Args:
        tokenizer: knows the side and the ids of padding.
        padding: True or "longest", "max_length", False.
        max_length: tokens of a row with padding="max_length".
        pad_to_multiple_of: rows get a length that is a multiple of it.
        return_tensors: "np".
    """

    tokenizer: TextEncoder
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "np"

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)

    def __call__(
        self, features: Sequence[Any], return_tensors: str | None = None, *, buckets: Buckets | None = None
    ) -> Arrays:
        """Arrays [B, T] and labels [B].

        Raises:
            ValueError: no examples, other fields than the first's, or rows that cannot be padded.
        """
        _check_tensors(return_tensors or self.return_tensors)
        return _renamed(_arrays(_padded(self, mappings(features), buckets)))


@dataclasses.dataclass
class DataCollatorForTokenClassification:
    """Pad tokenized texts, and the label that each token has.

    Args:
        tokenizer: knows the side and the ids of padding.
        padding: True or "longest", "max_length", False.
        max_length: tokens of a row with padding="max_length".
        pad_to_multiple_of: rows get a length that is a multiple of it.
        label_pad_token_id: the label of padding; -100 does not count.
        return_tensors: "np".
    """

    tokenizer: TextEncoder
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "np"

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)

    def __call__(
        self, features: Sequence[Any], return_tensors: str | None = None, *, buckets: Buckets | None = None
    ) -> Arrays:
        """Arrays [B, T]; labels too, where the examples have some.

        Raises:
            ValueError: no examples, other fields than the first's, or labels that are more or fewer than tokens.
        """
        _check_tensors(return_tensors or self.return_tensors)
        examples, labels = _without_labels(mappings(features))
        if labels is not None:
            _check_per_token(examples, labels)
        batch = _arrays(_padded(self, examples, buckets))
        if labels is not None:
            width = batch["input_ids"].shape[1]
            batch["labels"] = _rows(labels, width, self.label_pad_token_id, self.tokenizer.padding_side)
        return batch


@dataclasses.dataclass
class DataCollatorForSeq2Seq:
    """Pad sources, and targets to a length of their own.

    Args:
        tokenizer: knows the side and the ids of padding.
        model: a model with a method `prepare_decoder_input_ids_from_labels`, which then makes decoder_input_ids of the
            labels. Without one the decoder reads the labels shifted by one, which models do by themselves.
        padding: True or "longest", "max_length", False.
        max_length: tokens of sources and targets with padding="max_length".
        pad_to_multiple_of: both get lengths that are multiples of it.
        label_pad_token_id: the label of padding; -100 does not count.
        return_tensors: "np".
    """

    tokenizer: TextEncoder
    model: Any = None
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "np"

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)

    def __call__(
        self, features: Sequence[Any], return_tensors: str | None = None, *, buckets: Buckets | None = None
    ) -> Arrays:
        """Arrays [B, S], and labels [B, T] where the examples have some.

        Raises:
            ValueError: no examples, other fields than the first's, or rows that cannot be padded.
        """
        _check_tensors(return_tensors or self.return_tensors)
        examples, labels = _without_labels(mappings(features))
        batch = _arrays(_padded(self, examples, buckets))
        if labels is None:
            return batch
        width = self._width(max(map(len, labels)), buckets)
        batch["labels"] = _rows(labels, width, self.label_pad_token_id, self.tokenizer.padding_side)
        if hasattr(self.model, "prepare_decoder_input_ids_from_labels"):
            ids = self.model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
            batch["decoder_input_ids"] = np.asarray(ids)
        return batch

    def _width(self, tokens: int, buckets: Buckets | None) -> int | None:
        """How long targets become, of which the longest has so many tokens; None: as they are."""
        if _unpadded(self.padding):
            return None
        if self.padding == "max_length" and self.max_length is not None:
            tokens = self.max_length
        elif buckets is not None:
            tokens = buckets.fit_target(tokens)
        multiple = self.pad_to_multiple_of or 1
        return -(-tokens // multiple) * multiple


@dataclasses.dataclass
class DataCollatorForMultipleChoice:
    """Pad examples that are several texts each, of which one is right.

    Args:
        tokenizer: knows the side and the ids of padding.
        padding: True or "longest", "max_length", False.
        max_length: tokens of a row with padding="max_length".
        pad_to_multiple_of: rows get a length that is a multiple of it.
        return_tensors: "np".
    """

    tokenizer: TextEncoder
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "np"

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)

    def __call__(
        self, features: Sequence[Any], return_tensors: str | None = None, *, buckets: Buckets | None = None
    ) -> Arrays:
        """Arrays [B, choices, T], and labels [B] where the examples have some.

        Raises:
            ValueError: no examples, other fields than the first's, or other numbers of choices.
        """
        _check_tensors(return_tensors or self.return_tensors)
        examples, labels = _without_labels(mappings(features))
        count = _choices(examples)
        flat = [{name: value[i] for name, value in example.items()} for example in examples for i in range(count)]
        arrays = _arrays(_padded(self, flat, buckets))
        batch = {name: array.reshape(len(examples), count, *array.shape[1:]) for name, array in arrays.items()}
        return batch if labels is None else batch | {"labels": np.asarray(labels, np.int64)}


@dataclasses.dataclass
class DataCollatorForLanguageModeling:
    """Make labels of the tokens themselves: the hidden ones (mlm), or all, for a model that reads in one direction.

    Args:
        tokenizer: knows padding, the mask and the special tokens.
        mlm: hide tokens for a masked language model; False: the labels are the ids, and -100 at padding.
        whole_word_mask: hide words, all of whose tokens become the mask; needs offset_mapping in the examples.
        mlm_probability: of each token, or word, to be hidden. Special tokens and padding never are.
        mask_replace_prob: the share of hidden tokens that becomes the mask.
        random_replace_prob: the share that becomes any word; what is left stays.
        pad_to_multiple_of: rows get a length that is a multiple of it.
        return_tensors: "np".
        seed: begins the numbers by which batches without a key are hidden; None: others in each process.

    Raises:
        ValueError: no mask token, or shares that are none.
    """

    tokenizer: TextEncoder
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float | None = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "np"
    seed: int | None = None

    padding: ClassVar[bool] = True
    max_length: ClassVar[int | None] = None
    reads: ClassVar[tuple[str, ...]] = ("special_tokens_mask", "offset_mapping")
    """Columns that no model takes and this does."""

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)
        if self.mlm and self.tokenizer.mask_token is None:
            raise ValueError("the tokenizer has no mask token, which mlm=True needs: mlm=False is for causal models")
        if self.whole_word_mask and not self.mlm:
            raise ValueError("whole_word_mask=True hides words, which mlm=False does not: pass mlm=True")
        for name in ("mlm_probability", "mask_replace_prob", "random_replace_prob"):
            share = getattr(self, name)
            if (self.mlm or name != "mlm_probability") and (share is None or not 0 <= share <= 1):
                raise ValueError(f"{name} must be between 0 and 1, found {share}")
        if self.mask_replace_prob + self.random_replace_prob > 1:
            raise ValueError(
                f"mask_replace_prob {self.mask_replace_prob} and random_replace_prob {self.random_replace_prob} are "
                "shares of the hidden tokens: together they must not exceed 1"
            )
        if self.whole_word_mask and self.mask_replace_prob < 1:
            logger.warning("whole_word_mask: all tokens of a hidden word become the mask, as with mask_replace_prob=1")
            self.mask_replace_prob, self.random_replace_prob = 1.0, 0.0
        self._own_chance = np.random.default_rng(self.seed)

    def __call__(
        self,
        features: Sequence[Any],
        return_tensors: str | None = None,
        *,
        buckets: Buckets | None = None,
        key: Key | None = None,
    ) -> Arrays:
        """Arrays [B, T] with labels.

        Args:
            features: mappings, or lists of ids.
            return_tensors: "np".
            buckets: lengths that rows may have.
            key: settles which tokens are hidden; None: the numbers that `seed` has begun go on.

        Raises:
            ValueError: no examples, other fields than the first's, or rows that cannot be padded.
        """
        _check_tensors(return_tensors or self.return_tensors)
        examples = [_without(example, "labels", *LABELS) for example in mappings(_with_names(features))]
        offsets = [example.pop("offset_mapping") for example in examples] if "offset_mapping" in examples[0] else None
        batch = _arrays(_padded(self, examples, buckets))
        special = batch.pop("special_tokens_mask", None)
        if _is_list(features[0]):
            batch = {"input_ids": batch["input_ids"]}
        ids = batch["input_ids"]
        if not self.mlm:
            padding = ids == (IGNORED if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id)
            return batch | {"labels": np.where(padding, IGNORED, ids)}
        rng = self._own_chance if key is None else np.random.default_rng(key)
        chosen = self._chosen(ids, _special(self.tokenizer, ids) if special is None else special, offsets, rng)
        return batch | self._hidden(ids, chosen, rng)

    def _chosen(self, ids: np.ndarray, special: np.ndarray, offsets: Any, rng: np.random.Generator) -> np.ndarray:
        """Which tokens [B, T] are hidden."""
        assert self.mlm_probability is not None
        if not self.whole_word_mask:
            return masking.tokens_chosen(special == 0, self.mlm_probability, rng)
        if offsets is None:
            raise ValueError("whole_word_mask needs offset_mapping: tokenize with return_offsets_mapping=True")
        side = self.tokenizer.padding_side
        edges = np.stack([_rows([[pair[i] for pair in row] for row in offsets], ids.shape[1], 0, side) for i in (0, 1)])
        words = masking.words_by_offsets(np.moveaxis(edges, 0, -1), special)
        return masking.words_chosen(words, self.mlm_probability, rng)

    def _hidden(self, ids: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> Arrays:
        """What the model reads, and the labels of what it is to find."""
        mask_id = self.tokenizer.mask_token_id
        assert mask_id is not None
        shares = self.mask_replace_prob, self.random_replace_prob
        read = masking.replaced(ids, chosen, mask_id, len(self.tokenizer), *shares, rng)
        return {"input_ids": read, "labels": np.where(chosen, ids, IGNORED)}


@dataclasses.dataclass
class DataCollatorForWholeWordMask(DataCollatorForLanguageModeling):
    """Hide whole words of BERT's kind, whose further tokens begin with "##", up to a share of each row's tokens.

    Of each row `mlm_probability` of the tokens, rounded, are hidden, or fewer where the next words do not fit, one at
    least and 512 at most; hidden tokens are replaced one by one. A column "chinese_ref" names places that go on with a
    word too. Beside ids and labels there is the attention mask.
    """

    reads: ClassVar[tuple[str, ...]] = ("chinese_ref",)

    def __call__(
        self,
        features: Sequence[Any],
        return_tensors: str | None = None,
        *,
        buckets: Buckets | None = None,
        key: Key | None = None,
    ) -> Arrays:
        """See `DataCollatorForLanguageModeling`."""
        _check_tensors(return_tensors or self.return_tensors)
        examples = mappings(_with_names(features))
        rng = self._own_chance if key is None else np.random.default_rng(key)
        chosen = [self._words(example, place, rng) for place, example in enumerate(examples)]
        batch = _arrays(_padded(self, [{"input_ids": example["input_ids"]} for example in examples], buckets))
        ids = batch["input_ids"]
        free = _special(self.tokenizer, ids) == 0
        return batch | self._hidden(ids, free & (_rows(chosen, ids.shape[1], 0, self.tokenizer.padding_side) != 0), rng)

    def _words(self, example: Example, place: int, rng: np.random.Generator) -> list[int]:
        """1 at each token of a row that is hidden, 0 elsewhere."""
        assert self.mlm_probability is not None
        count = token_count(example, place=place)
        words = masking.words_by_pieces(
            self.tokenizer.convert_ids_to_tokens(list(map(int, example["input_ids"]))), example.get("chinese_ref", ())
        )
        most = min(masking.MOST_WORD_TOKENS, max(1, round(count * self.mlm_probability)))
        hidden = set(masking.words_within(words, most, rng))
        return [int(i in hidden) for i in range(count)]


@dataclasses.dataclass
class DataCollatorWithFlattening:
    """All texts of a batch one behind another, in one row without padding, for models that read in one direction.

    Beside the reference's arrays there are `segment_ids`, by which a step keeps texts from seeing each other, see
    `packing`. Each batch has a length of its own, and so a program: `packing.PackedDataset` has one.

    Args:
        return_tensors: "np".
        return_position_ids: give position_ids, which restart with each text.
        separator_id: the label of each text's first token, which nothing predicts.
        return_flash_attn_kwargs: give cu_seq_lens_q, cu_seq_lens_k, max_length_q and max_length_k, which no model here
            takes.
        return_seq_idx: give seq_idx, the number of each token's text from 0.
    """

    return_tensors: str = "np"
    _: dataclasses.KW_ONLY
    return_position_ids: bool = True
    separator_id: int = IGNORED
    return_flash_attn_kwargs: bool = False
    return_seq_idx: bool = False

    def __post_init__(self) -> None:
        _check_tensors(self.return_tensors)

    def __call__(
        self, features: Sequence[Any], return_tensors: str | None = None, separator_id: int | None = None
    ) -> dict[str, Any]:
        """Arrays [1, all tokens].

        Raises:
            ValueError: no examples, other fields than the first's, or no ids.
        """
        _check_tensors(return_tensors or self.return_tensors)
        examples = mappings(features)
        sizes = [token_count(example, place=place) for place, example in enumerate(examples)]
        row = flattened(examples, self.separator_id if separator_id is None else separator_id)
        batch: dict[str, Any] = {name: array[None] for name, array in row.items()}
        if not self.return_position_ids:
            del batch["position_ids"]
        if self.return_seq_idx:
            batch["seq_idx"] = (batch["segment_ids"] - 1).astype(np.int32)
        if self.return_flash_attn_kwargs:
            edges = np.cumsum([0, *sizes], dtype=np.int32)
            batch |= {"cu_seq_lens_q": edges, "cu_seq_lens_k": edges}
            batch |= {"max_length_q": max(sizes), "max_length_k": max(sizes)}
        return batch


def _check_tensors(name: str) -> None:
    if name != "np":
        raise ValueError(f"return_tensors={name!r}: collators give numpy arrays, which jax takes as they are: say 'np'")


def _unpadded(padding: bool | str) -> bool:
    return padding is False or padding == "do_not_pad"


def _padded(collator: Any, examples: list[Example], buckets: Buckets | None) -> Example:
    """Examples padded as a collator's settings say, or as the buckets do where these leave the length open."""
    longest = max(token_count(example, place=place) for place, example in enumerate(examples))
    padding, length = collator.padding, collator.max_length
    if buckets is not None and padding in (True, "longest"):
        padding, length = "max_length", buckets.fit(longest)
    lists = [{name: _list(value) for name, value in example.items()} for example in examples]
    padded = collator.tokenizer.pad(
        lists, padding=padding, max_length=length, pad_to_multiple_of=collator.pad_to_multiple_of
    )
    return dict(padded)


def _renamed(batch: Arrays) -> Arrays:
    """With "label" or "label_ids" under the name that models have."""
    return {"labels" if name in LABELS else name: array for name, array in batch.items()}


def _arrays(batch: Example) -> Arrays:
    return {name: _array(name, values) for name, values in batch.items()}


def _array(name: str, values: Any) -> np.ndarray:
    """One column as an array of numbers."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name}: the rows have different lengths, and this collator does not pad them: leave the column out, or "
            "use the collator that does"
        ) from None
    if array.dtype.kind not in "iufb":
        raise ValueError(f"{name}: expected numbers, found {array.dtype}: leave the column out")
    return array


def _column(examples: Sequence[Example], name: str) -> list[Any]:
    return [example[name] for example in examples]


def _labels(name: str, examples: Sequence[Example]) -> np.ndarray:
    """Labels of a column: int64, or where the first is no whole number float32; arrays keep their kind."""
    values = _column(examples, name)
    first = values[0]
    if name == "label_ids" and isinstance(first, np.ndarray):
        return _array(name, values)
    while hasattr(first, "__len__") and len(first):
        first = first[0]
    whole = isinstance(first, int | np.integer)
    return _array(name, values).astype(np.int64 if whole else np.float32)


def _without(example: Example, *names: str) -> Example:
    return {name: value for name, value in example.items() if name not in names}


def _without_labels(examples: list[Example]) -> tuple[list[Example], list[Any] | None]:
    """Examples, and their labels where there are any that are not None."""
    name = "label" if "label" in examples[0] else "labels"
    labels = [example.get(name) for example in examples]
    rest = [_without(example, name) for example in examples]
    if all(label is None for label in labels):
        return rest, None
    for place, label in enumerate(labels):
        if label is None:
            raise ValueError(f"row {place}: {name} is None, others are not")
    return rest, [_list(label) for label in labels]


def _check_per_token(examples: Sequence[Example], labels: Sequence[Any]) -> None:
    for place, (example, label) in enumerate(zip(examples, labels, strict=True)):
        tokens = token_count(example, place=place)
        if not isinstance(label, list) or len(label) != tokens:
            found = len(label) if isinstance(label, list) else repr(label)
            raise ValueError(f"row {place}: labels must have one for each of {tokens} tokens, found {found}")


def _choices(examples: Sequence[Example]) -> int:
    """How many choices each example has."""
    counts = []
    for place, example in enumerate(examples):
        token_count(example, place=place)
        if not all(hasattr(value, "__len__") for value in example.values()):
            name = next(name for name, value in example.items() if not hasattr(value, "__len__"))
            raise ValueError(f"row {place}: {name} must have one value for each choice: leave the column out")
        counts.append({len(value) for value in example.values()})
        if counts[-1] != counts[0] or len(counts[-1]) != 1:
            raise ValueError(f"row {place} has {sorted(counts[-1])} choices, row 0 {sorted(counts[0])}: give as many")
    return counts[0].pop()


def _with_names(features: Sequence[Any]) -> Sequence[Any]:
    """Features as mappings, where they may be lists of ids."""
    return [{"input_ids": row} if _is_list(row) else row for row in features]


def _is_list(feature: Any) -> bool:
    return isinstance(feature, list | tuple | np.ndarray)


def _list(value: Any) -> Any:
    """Arrays as lists, tuples too."""
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


def _rows(rows: Sequence[Any], width: int | None, filler: int, side: str) -> np.ndarray:
    """Lists [B, any] as an array [B, width], int64; without a width they must have one length."""
    if width is None:
        return _array("labels", rows).astype(np.int64)
    array = np.full((len(rows), width), filler, np.int64)
    for place, row in enumerate(rows):
        if len(row) > width:
            raise ValueError(f"row {place} has {len(row)} labels, max_length is {width}: truncate the texts")
        if len(row):
            array[place, slice(0, len(row)) if side == "right" else slice(width - len(row), width)] = row
    return array


def _special(tokenizer: TextEncoder, ids: np.ndarray) -> np.ndarray:
    """1 at special tokens [B, T]."""
    return np.isin(ids, tokenizer.all_special_ids).astype(np.int64)
