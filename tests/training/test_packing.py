"""Rows that hold several texts: nothing is lost, nothing sees another, and the loss is that of the texts alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxformers import FNetForMaskedLM, GPT2Config, GPT2LMHeadModel
from jaxformers.layers.inputs import Inputs
from jaxformers.training.collators import default_data_collator
from jaxformers.training.packing import PackedDataset, first_fit_decreasing, packed, segments, starts


@given(st.lists(st.integers(1, 20), max_size=60))
def test_each_item_is_in_the_first_row_that_has_room(sizes: list[int]) -> None:
    expected: list[list[int]] = []
    for item in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        fits = [row for row in expected if sum(sizes[i] for i in row) + sizes[item] <= 20]
        if not fits:
            expected.append(fits := [])
            fits = [expected[-1]]
        fits[0].append(item)
    assert first_fit_decreasing(sizes, 20) == expected


def test_rows_hold_all_texts_and_tell_them_apart() -> None:
    texts = [{"input_ids": ids} for ids in ([1, 2], [3, 4, 5, 6], [7], [8, 9, 10])]
    rows = PackedDataset(texts, 6, pad_token_id=99)
    batch = default_data_collator(list(rows))
    np.testing.assert_array_equal(batch["input_ids"], [[3, 4, 5, 6, 1, 2], [8, 9, 10, 7, 99, 99]])
    np.testing.assert_array_equal(batch["labels"], [[-100, 4, 5, 6, -100, 2], [-100, 9, 10, -100, -100, -100]])
    np.testing.assert_array_equal(batch["position_ids"], [[0, 1, 2, 3, 0, 1], [0, 1, 2, 0, 0, 0]])
    np.testing.assert_array_equal(batch["segment_ids"], [[1, 1, 1, 1, 2, 2], [1, 1, 1, 2, 0, 0]])
    np.testing.assert_array_equal(starts(batch["segment_ids"]), [0, 4, 6, 9])
    assert rows.padding == pytest.approx(2 / 12)
    np.testing.assert_array_equal(rows[-1]["input_ids"], batch["input_ids"][1])
    assert len(rows[:1]) == 1


def test_labels_of_ones_own_are_kept_and_long_texts_are_cut_on_demand() -> None:
    texts = [{"input_ids": [1, 2, 3, 4, 5], "labels": [-100, -100, 3, 4, 5]}]
    with pytest.raises(ValueError, match="row 0 has 5 tokens, the rows that texts are packed into have 3"):
        PackedDataset(texts, 3)
    batch = default_data_collator(list(PackedDataset(texts, 3, split=True)))
    np.testing.assert_array_equal(batch["input_ids"], [[1, 2, 3], [4, 5, 0]])
    np.testing.assert_array_equal(batch["labels"], [[-100, -100, 3], [-100, 5, -100]])


@pytest.mark.parametrize(
    ("texts", "length", "message"),
    [
        ([], 4, "no tokens"),
        ([{"input_ids": []}], 4, "no tokens"),
        ([{"input_ids": [1]}], 0, "length must be 1"),
        ([{"input_ids": [1]}, {"text": "a"}], 4, "row 1 has no input_ids: it has text"),
    ],
)
def test_what_cannot_be_packed_is_refused(texts: list[Any], length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PackedDataset(texts, length)


def test_a_models_loss_is_that_of_the_texts_alone(make: Callable[..., Any]) -> None:
    config = GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    model = make(GPT2LMHeadModel, config)
    rng = np.random.default_rng(0)
    texts = [{"input_ids": rng.integers(0, 40, size).tolist()} for size in (3, 7, 5, 4)]

    @jax.jit
    def loss(inputs: Inputs, labels: jax.Array) -> jax.Array:
        return GPT2LMHeadModel.forward(model.params, config, inputs.separated(), {"labels": labels}).loss

    batch, owners = segments(model, default_data_collator(list(PackedDataset(texts, 10))))
    assert set(batch) == {"input_ids", "labels"}
    ids, labels = jnp.asarray(batch["input_ids"]), jnp.asarray(batch["labels"])
    assert ids.shape == (2, 10)
    together = loss(packed(Inputs(ids=ids), jnp.asarray(owners)), labels)
    alone = np.zeros((4, 10), np.int32)
    counted = np.full((4, 10), -100)
    for i, text in enumerate(texts):
        size = len(text["input_ids"])
        alone[i, :size] = counted[i, :size] = text["input_ids"]
    expected = loss(Inputs(ids=jnp.asarray(alone), mask=jnp.asarray(counted != -100)), jnp.asarray(counted))
    assert float(together) == pytest.approx(float(expected), abs=1e-5)
    blind = loss(Inputs(ids=ids), labels)
    assert abs(float(blind) - float(expected)) > 1e-3


def test_models_that_cannot_tell_texts_apart_refuse_them() -> None:
    batch = default_data_collator(list(PackedDataset([{"input_ids": [1, 2]}], 4)))
    with pytest.raises(ValueError, match="FNetForMaskedLM: texts in one row change each other's results"):
        segments(FNetForMaskedLM, batch)
    with pytest.raises(ValueError, match=r"segment_ids has shape \(1, 4\), input_ids \(1, 3\)"):
        segments(GPT2LMHeadModel, batch | {"input_ids": batch["input_ids"][:, :3]})
    assert segments(FNetForMaskedLM, {"input_ids": [1]}) == ({"input_ids": [1]}, None)
