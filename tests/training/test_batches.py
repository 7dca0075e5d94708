"""Batches follow from dataset, seed, epoch and position alone, have few shapes, and hold each row once an epoch."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from jaxformers import BertConfig, BertForSequenceClassification, BertForTokenClassification
from jaxformers.training import columns
from jaxformers.training.batches import Batches, Place, batches
from jaxformers.training.buckets import Buckets, fitted, spaced
from jaxformers.training.collators import DataCollatorWithFlattening, default_data_collator
from jaxformers.training.sampling import order

RNG = np.random.default_rng(0)
LENGTHS = np.clip(RNG.lognormal(3.3, 0.6, 1000), 3, 200).astype(int).tolist()
ROWS = [{"input_ids": [i % 90 + 1] * size, "labels": i} for i, size in enumerate(LENGTHS)]
FEW = ROWS[:10]


def pad(features: list[Any], *, buckets: Buckets | None = None, key: Any = None) -> dict[str, Any]:
    """A collator that takes lengths and says its key."""
    length = max(len(feature["input_ids"]) for feature in features)
    length = length if buckets is None else buckets.fit(length)
    ids = np.zeros((len(features), length), np.int64)
    for i, feature in enumerate(features):
        ids[i, : len(feature["input_ids"])] = feature["input_ids"]
    pad.keys.append(key)  # type: ignore[attr-defined]
    return {"input_ids": ids, "labels": np.array([feature["labels"] for feature in features])}


pad.keys = []  # type: ignore[attr-defined]


class Table:
    """A dataset with columns, as the `datasets` package has them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.reads = rows, 0
        self.column_names = list(rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return [row[key] for row in self.rows] if isinstance(key, str) else self.rows[key]

    def __getitems__(self, numbers: list[int]) -> list[Any]:
        self.reads += 1
        return [self.rows[i] for i in numbers]


def seen(made: Any, place: Place = Place(), epochs: int | None = 1) -> list[tuple[Place, list[int]]]:
    """Of each batch its place and the labels that count."""
    found = []
    for at, arrays, *_ in made.iterate(place, epochs):
        labels = arrays["labels"]
        found.append((at, labels[labels != -100].tolist()))
    return found


@pytest.mark.parametrize("sampling", ["random", "sequential", "group_by_length"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_each_row_is_read_once_an_epoch_in_an_order_of_its_own(sampling: Any, drop_last: bool) -> None:
    made = batches(ROWS, pad, 16, sampling=sampling, drop_last=drop_last)
    first, second = seen(made), seen(made, Place(1), epochs=2)
    assert len(first) == len(made) == (62 if drop_last else 63)
    for epoch in (first, second):
        read = [label for _, labels in epoch for label in labels]
        assert len(set(read)) == len(read) == (992 if drop_last else 1000)
    assert ([labels for _, labels in first] == [labels for _, labels in second]) == (sampling == "sequential")
    assert first == seen(batches(ROWS, pad, 16, sampling=sampling, drop_last=drop_last))
    if sampling == "sequential":
        assert first[0][1] == list(range(16))
    else:
        assert first != seen(batches(ROWS, pad, 16, sampling=sampling, drop_last=drop_last, seed=1))


def test_a_run_goes_on_from_any_place() -> None:
    made = batches(ROWS[:50], pad, 8)
    whole = seen(made, epochs=3)
    for done in (0, 3, 7, 10, 14, 20):
        place = made.after(Place(), done)
        assert seen(made, place, epochs=3) == whole[done:]
    assert made.after(Place(0, 5), 2) == Place(1, 0)
    assert seen(made, Place(3), epochs=3) == []


def test_collators_get_a_key_that_says_which_batch_it_is() -> None:
    made = batches(FEW, pad, 4, seed=5)
    pad.keys.clear()  # type: ignore[attr-defined]
    list(made.iterate(Place(), 2))
    assert pad.keys == [(5, epoch, position, 0) for epoch in range(2) for position in range(3)]  # type: ignore[attr-defined]


def last(data: Any, collator: Any, size: int, **keywords: Any) -> Any:
    """The last batch of an epoch."""
    *_, batch = batches(data, collator, size, sampling="sequential", **keywords).iterate(epochs=1)
    return batch


def test_what_is_less_than_a_step_is_filled_with_rows_that_do_not_count() -> None:
    _, arrays, rows, _ = last(FEW, pad, 4, fill=True)
    np.testing.assert_array_equal(arrays["labels"], [8, 9, -100, -100])
    np.testing.assert_array_equal(arrays["input_ids"][2], arrays["input_ids"][0])
    assert rows == 2
    answers = [{"input_ids": [1, 2, 3], "start_positions": 1, "end_positions": 2}] * 3
    names = ("start_positions", "end_positions")
    _, arrays, *_ = last(answers, default_data_collator, 2, label_names=names, fill=True)
    np.testing.assert_array_equal(arrays["start_positions"], [1, 3])  # a place behind the row


def test_what_cannot_be_filled_is_a_shorter_batch() -> None:
    values = [{"input_ids": [1, 2, 3], "labels": 0.5}] * 3
    texts = [{"input_ids": row["input_ids"]} for row in FEW[:3]]
    short = [
        last(FEW, pad, 4),
        last(FEW, pad, 4, fill=True, label_names=()),
        last(values, default_data_collator, 2, fill=True),
        last(texts, DataCollatorWithFlattening(), 2, fill=True),
    ]
    assert [arrays["labels"].shape for _, arrays, *_ in short] == [(2,), (2,), (1,), (1, len(texts[2]["input_ids"]))]
    with pytest.raises(
        ValueError, match="has 3 of 4 rows, and micro-batches and processes take as many: pass drop_last"
    ):
        last(values, default_data_collator, 2, accumulation=2, fill=True)


def test_labels_that_are_values_always_count() -> None:
    config = BertConfig()
    assert columns.skips_labels(BertForSequenceClassification, config)
    assert not columns.skips_labels(BertForSequenceClassification, BertConfig(num_labels=1))
    assert not columns.skips_labels(BertForSequenceClassification, BertConfig(problem_type="regression"))
    assert columns.skips_labels(BertForTokenClassification, BertConfig(num_labels=1))


def test_micro_batches_of_a_step_are_in_one_array() -> None:
    made = batches(FEW, pad, 2, accumulation=3, sampling="sequential", fill=True)
    found = [arrays for _, arrays, *_ in made.iterate(epochs=1)]
    assert [array.shape[0] for batch in found for array in batch.values()] == [6] * 4
    np.testing.assert_array_equal(found[1]["labels"], [6, 7, 8, 9, -100, -100])


@pytest.mark.parametrize("buckets", [None, (64, 128, 256)])
@pytest.mark.parametrize(("sampling", "stream"), [("random", False), ("group_by_length", False), ("random", True)])
def test_processes_share_a_steps_rows_and_agree_on_its_shape(sampling: Any, stream: bool, buckets: Any) -> None:
    data = (lambda: iter(ROWS[:100])) if stream else ROWS[:100]
    keywords = {"accumulation": 2, "sampling": sampling, "fill": True, "buckets": buckets, "process_count": 3}
    made = [batches(data, pad, 4, process_index=i, **keywords) for i in range(3)]
    parts = [list(one.iterate(epochs=2)) for one in made]
    for epoch in range(2):
        read: Counter[int] = Counter()
        for step in zip(*parts, strict=True):
            assert len({place for place, *_ in step}) == 1
            if step[0][0].epoch == epoch:
                assert len({arrays["input_ids"].shape for _, arrays, *_ in step}) == 1
                for _, arrays, rows, _ in step:
                    assert ((arrays["labels"] != -100) == (np.arange(8) < rows)).all()
                    read.update(arrays["labels"][:rows].tolist())
        assert read == Counter(range(100))


def test_rows_of_about_one_length_go_together_in_a_handful_of_shapes() -> None:
    grouped, mixed = (batches(ROWS, pad, 16, sampling=name) for name in ("group_by_length", "random"))
    assert isinstance(grouped, Batches)
    shapes: Counter[int] = Counter()
    padding = []
    for epoch in range(3):
        found = [arrays["input_ids"] for _, arrays, *_ in grouped.iterate(Place(epoch), epoch + 1)]
        shapes.update(ids.shape[1] for ids in found)
        padding.append(1 - sum((ids != 0).sum() for ids in found) / sum(ids.size for ids in found))
        assert grouped.shapes(epoch) == Counter(ids.shape[1] for ids in found)
    assert len(shapes) <= 12
    assert max(padding) < 0.18
    assert 0 <= grouped.padding() < 0.18
    usual = [arrays["input_ids"] for _, arrays, *_ in mixed.iterate(epochs=1)]
    waste = 1 - sum((ids != 0).sum() for ids in usual) / sum(ids.size for ids in usual)
    assert waste > 0.4
    assert len({ids.shape for ids in usual}) <= 16
    first = next(iter(grouped.iterate()))[1]["input_ids"]
    assert (first != 0).sum(1).max() == max(LENGTHS)


def test_grouped_batches_are_not_in_the_order_of_their_lengths() -> None:
    lengths = np.asarray(LENGTHS)
    read = lengths[order(1000, "group_by_length", 10, lengths, seed=0, epoch=0)].reshape(-1, 10)
    means = read.mean(1)
    # Within the first 50 batches, which were sorted together, the lengths of neighbours tell nothing of each other.
    assert abs(np.corrcoef(means[1:49], means[2:50])[0, 1]) < 0.5
    assert read.std(1).mean() < 0.25 * lengths.std()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_lengths_are_those_with_least_padding(count: int) -> None:
    tokens = np.random.default_rng(count).choice([8, 16, 24, 40, 48, 80, 96, 128], 60)
    sizes = np.unique(tokens)
    cost = lambda chosen: sum(min(c for c in chosen if c >= t) for t in tokens)  # noqa: E731
    best = min(cost((*rest, sizes[-1])) for rest in itertools.combinations(sizes[:-1], count - 1))
    found = fitted(tokens, count)
    assert cost(found) == best
    assert len(found) == count
    assert fitted(np.array([300, 229]), 4, longest=300) == (232, 300)
    assert fitted(np.array([100] * 500 + [96]), 4) == (100,)


def test_lengths_are_four_to_a_doubling() -> None:
    assert spaced(200) == (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 200)
    assert spaced(5) == (5,)
    assert all(b / a <= 1.25 for a, b in itertools.pairwise(spaced()[8:]))


def test_datasets_with_columns_are_read_at_once_and_measured_by_their_column() -> None:
    table = Table([row | {"length": len(row["input_ids"])} for row in ROWS[:64]])
    made = batches(table, pad, 8)
    assert isinstance(made, Batches)
    assert made.lengths is not None
    np.testing.assert_array_equal(made.lengths.source, LENGTHS[:64])
    assert len(list(made.iterate(epochs=1))) == table.reads == 8
    plain = batches(Table(ROWS[:64]), pad, 8, sampling="group_by_length")
    assert isinstance(plain, Batches)
    assert plain.lengths is not None
    np.testing.assert_array_equal(plain.lengths.source, LENGTHS[:64])


def stream() -> Iterator[dict[str, Any]]:
    yield from FEW


def test_streams_are_read_in_their_order_from_any_place() -> None:
    for source in (stream, FEW.__iter__, type("Endless", (), {"__iter__": lambda self: iter(FEW)})()):
        made = batches(source, pad, 4)
        whole = seen(made, epochs=2)
        assert [labels for _, labels in whole[:3]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert [tuple(place) for place, _ in whole] == [(e, p) for e in range(2) for p in range(3)]
        for done in range(6):
            assert seen(made, made.after(Place(), done), epochs=2) == whole[done:]
    assert [labels for _, labels in seen(batches(stream, pad, 4, drop_last=True))] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(ValueError, match="an iterator, which gives its rows once"):
        seen(batches(iter(FEW), pad, 4), epochs=2)


def test_columns_that_a_model_does_not_take_are_dropped_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    rows = [row | {"text": "a", "idx": 1} for row in FEW]
    taken = columns.accepted(BertForSequenceClassification)
    with caplog.at_level(logging.INFO, "jaxformers"):
        made = batches(rows, default_data_collator, 1, columns=taken, sampling="sequential")
        arrays = next(made.iterate()).arrays
    assert set(arrays) == {"input_ids", "labels"}
    assert [record.getMessage() for record in caplog.records] == [
        "columns that the model does not take are left out: idx, text"
    ]
    with pytest.raises(ValueError, match=r"takes none of the dataset's columns: idx, text; it takes attention_mask"):
        batches([{"text": "a", "idx": 1}], default_data_collator, 1, columns=taken)
    with pytest.raises(ValueError, match=r"no labels: the dataset's columns are input_ids, sentiment; rename"):
        next(batches([{"input_ids": [1], "sentiment": 1}], default_data_collator, 1, columns=taken).iterate())


class Masker:
    reads = ("special_tokens_mask",)


def test_columns_that_a_collator_reads_are_kept() -> None:
    assert "special_tokens_mask" in columns.accepted(BertForSequenceClassification, Masker())
    assert "special_tokens_mask" not in columns.accepted(BertForSequenceClassification)


@pytest.mark.parametrize(
    ("data", "keywords", "message"),
    [
        ([], {}, "the dataset is empty"),
        (lambda: iter([]), {}, "the dataset is empty"),
        (lambda: iter(FEW), {"batch_size": 16, "drop_last": True}, "gives no row of 16 rows"),
        (FEW, {"batch_size": 16}, "batch_size 16 is more than the dataset's 10 rows"),
        (FEW, {"batch_size": 4, "process_count": 3}, "batch_size 4 on each of 3 processes is more"),
        (FEW, {"batch_size": 4, "accumulation": 4, "drop_last": True}, "a step takes 16 rows"),
        (FEW, {"batch_size": 0}, "batch_size must be a whole number from 1, found 0"),
        (FEW, {"accumulation": 1.5}, "accumulation must be a whole number"),
        (FEW, {"process_index": 2, "process_count": 2}, "process_index 2 of 2 processes"),
        (FEW, {"sampling": "sorted"}, "one of random, sequential, group_by_length"),
        (stream, {"sampling": "group_by_length"}, "a stream is read in its order"),
        ({"train": FEW}, {}, "a mapping with train: give one split"),
        ("train.json", {}, "the dataset is a text"),
        (5, {}, "the dataset is int"),
        ([{"text": "a"}] * 9, {"sampling": "group_by_length"}, "row 0 has no input_ids: it has text"),
        (FEW, {"buckets": (8, 8)}, "buckets must ascend"),
        (FEW, {"buckets": ()}, "buckets are empty"),
        (FEW, {"buckets": (8,)}, "the longest that is allowed is 8: truncate"),
        (FEW, {"longest": 16, "sampling": "group_by_length"}, "row 0 has 29 tokens, the longest that is allowed is 16"),
        (FEW, {"longest": 16}, "the longest that is allowed is 16: truncate"),
        (
            FEW,
            {"buckets": (8,), "sampling": "sequential", "batch_size": 2},
            "(in the batch of the dataset's rows 0, 1)",
        ),
        ([*FEW, {"input_ids": [1]}], {"sampling": "sequential", "batch_size": 11}, "row 10 has no labels, row 0"),
    ],
)
def test_what_cannot_be_read_is_refused(data: Any, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        list(batches(data, pad, **keywords).iterate(epochs=1))
    assert message in str(error.value)


def test_targets_have_one_length_beside_each_of_their_sources() -> None:
    draw = np.random.default_rng(0)
    lengths = [int(n) for n in draw.integers(3, 90, 600)]
    rows = [{"input_ids": [1] * n, "labels": [1] * max(1, int(n * draw.uniform(0.3, 0.9)))} for n in lengths]

    def pairs(examples: Any, *, buckets: Any) -> dict[str, np.ndarray]:
        source, target = (max(len(row[name]) for row in examples) for name in ("input_ids", "labels"))
        shapes = buckets.fit(source), buckets.fit_target(target)
        return {
            name: np.zeros((len(examples), n), int) for name, n in zip(("input_ids", "labels"), shapes, strict=True)
        }

    made = batches(rows, pairs, 8, sampling="group_by_length")
    shapes = Counter((a["input_ids"].shape[1], a["labels"].shape[1]) for _, a, *_ in made.iterate(epochs=4))
    assert len(shapes) <= 14
    assert sum(source * target for source, target in shapes.elements()) < 0.6 * 90 * 81 * sum(shapes.values())
