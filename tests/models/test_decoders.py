"""What every model that reads in one direction promises: a cache changes nothing, and torch's own tokens come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxformers

from . import golden
from .registry import LIMIT, heavy, load

CASES = {name: case for name, case in golden.cases().items() if getattr(jaxformers, case.cls).network.cells}
SPEAKERS = [name for name, case in CASES.items() if case.generated]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products of float32 as float32, whatever the device's default; and nothing compiled as a whole."""
    with jax.default_matmul_precision("highest"), jax.disable_jit():
        yield


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if n == case.cls and n.endswith("Model")])
def test_in_parts_is_at_once(name: str, tmp_path: Path):
    """A row read in three parts behind a cache, the second of one token, gives what it gives at once."""
    case = CASES[name]
    model, _ = load(case, case.write(tmp_path))
    plain = case.calls["plain"]
    ids = plain.inputs["input_ids"]
    mask = plain.inputs.get("attention_mask", np.ones_like(ids))
    cache = model.init_cache(len(ids), ids.shape[1])
    parts = []
    for part in (slice(0, 5), slice(5, 6), slice(6, None)):
        out = model(**{name: array[:, part] for name, array in plain.inputs.items()}, past_key_values=cache)
        cache = out.past_key_values
        parts.append(out[0])
    np.testing.assert_array_equal(cache.length, mask.sum(1))
    first = next(iter(plain.outputs))
    assert golden.error(np.concatenate(parts, 1), plain.outputs[first], mask != 0) < LIMIT


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, "greedy") for name in SPEAKERS]
    + [pytest.param(name, "beams", marks=heavy(CASES[name].model_type)) for name in SPEAKERS],
)
def test_tokens_are_torchs(name: str, how: str, tmp_path: Path):
    """Up to each row's first end of text: what follows is padding, and torch fills beams with another one."""
    case = CASES[name]
    model, _ = load(case, case.write(tmp_path))
    recorded = case.generated[how]
    ours = np.asarray(model.generate(**recorded.inputs, **recorded.options))
    start, end = recorded.inputs["input_ids"].shape[1], recorded.options["eos_token_id"]
    assert len(ours) == len(recorded.sequences)
    for mine, theirs in zip(ours.tolist(), recorded.sequences.tolist(), strict=True):
        new = theirs[start:]
        new = new[: new.index(end) + 1] if end in new else new
        assert mine[start : start + len(new)] == new
        assert set(mine[start + len(new) :]) <= {recorded.options["pad_token_id"]}


def test_which_token_of_a_row_is_last_must_be_told():
    sizes = {"vocab_size": 11, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8}
    ids = [[1, 2, 3], [4, 5, 0]]
    model = jaxformers.GPT2ForSequenceClassification(jaxformers.GPT2Config(**sizes, pad_token_id=None))
    with pytest.raises(ValueError, match=r"2 rows without attention_mask.* pass attention_mask, or set pad_token_id"):
        model(ids)
    short = model([[4, 5]]).logits[0]
    np.testing.assert_allclose(model(ids, [[1, 1, 1], [1, 1, 0]]).logits[1], short, rtol=1e-5)
    padded = jaxformers.GPT2ForSequenceClassification(jaxformers.GPT2Config(**sizes, pad_token_id=0))
    np.testing.assert_allclose(padded.replace(params=model.params)(ids).logits[1], short, rtol=1e-5)
