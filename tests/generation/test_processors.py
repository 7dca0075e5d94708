"""Processors before the filters: what torch's make of scores, one by one and together, recorded by `record.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers import GenerationConfig
from jaxformers.generation import History, TokenTrie, processors
from jaxformers.generation.plan import Plan

from . import toys

RECORDED = np.load(Path(__file__).parent / "processors.npz")
CASES = json.loads(RECORDED["cases"].tobytes())
PAD, EOS, VOCAB, ROWS, MOST = 0, 7, 24, 3, 13


def history_of(number: int) -> History:
    """The rows of a case, whose padding stands behind them here."""
    case, ids = CASES[number], RECORDED["ids"][number].astype(np.int32)
    padding, count = np.array(case["padding"], np.int32), case["prompt"] + case["new"]
    own = np.stack([np.roll(row, -pad) for row, pad in zip(ids, padding, strict=True)])
    return History(
        ids=jnp.asarray(np.maximum(own, 0)),
        length=jnp.asarray(count - padding),
        prompt=jnp.asarray(case["prompt"] - padding),
        padding=jnp.asarray(padding),
        pad=jnp.full(ROWS, PAD, jnp.int32),
        limit=jnp.asarray(MOST - padding),
        number=jnp.arange(ROWS),
    )


@pytest.mark.parametrize("number", range(len(CASES)))
def test_scores_are_torchs(number: int):
    case, scores = CASES[number], RECORDED["scores"][number]
    config = GenerationConfig(**case["settings"], eos_token_id=EOS, pad_token_id=PAD)
    plan = Plan.of(config, VOCAB)
    values = processors.Values(plan.shared, plan.columns([config] * ROWS))
    without = np.roll(scores, 3, 1) * np.float32(0.5)
    with jax.disable_jit():  # each structure is a program of its own, and runs once
        ours = processors.apply(plan.program, values, history_of(number), jnp.asarray(scores), unconditional=without)
    theirs = RECORDED["answer"][number]
    known = ~np.isnan(theirs)  # torch's is no number where a length makes an end impossible and then likelier
    np.testing.assert_array_equal(np.isneginf(ours)[known], np.isneginf(theirs)[known], err_msg=str(case))
    finite = np.isfinite(theirs)
    np.testing.assert_allclose(np.asarray(ours)[finite], theirs[finite], rtol=2e-5, atol=2e-5, err_msg=str(case))


@pytest.mark.parametrize("place", [jaxformers, jaxformers.generation])
def test_the_older_name_of_a_history_is_said(place: Any) -> None:
    with pytest.warns(DeprecationWarning, match=r"History"):
        assert place.Sight is History


def test_other_values_share_a_program():
    kinds = (
        {"repetition_penalty": 1.2},
        {"repetition_penalty": 2, "temperature": 0.3, "top_k": 9, "top_p": 0.5, "min_p": 0.1},
        {"temperature": 5.0},
        {},
    )
    programs = {Plan.of(GenerationConfig(do_sample=True, **one), VOCAB).program for one in kinds}
    assert len(programs) == 1
    lengths = ({"min_new_tokens": 2}, {"min_new_tokens": 9})
    assert len({Plan.of(GenerationConfig(eos_token_id=EOS, **one), VOCAB).program for one in lengths}) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"suppress_tokens": [99]},
        {"bad_words_ids": [[99]]},
        {"forced_eos_token_id": 24},
        {"sequence_bias": {(3, 99): 1.0}},
    ],
)
def test_ids_beyond_the_vocabulary(settings: dict[str, Any]):
    """What would change a score that is not there has no effect where torch's has none, and is refused else."""
    config = GenerationConfig(**settings)
    if "suppress_tokens" in settings:
        assert not Plan.of(config, VOCAB).shared["suppress_tokens"]["ids"].any()
        return
    with pytest.raises(ValueError, match=next(iter(settings))):
        Plan.of(config, VOCAB)


def test_what_may_come_next_by_function_and_by_trie():
    model = toys.model()
    (prompt,) = toys.prompts(4)
    allowed = [[5, 6, 7], [5, 9], [11]]

    def next_ids(row: int, ids: np.ndarray) -> list[int]:
        new = np.asarray(ids)[len(prompt) :].tolist()
        whole = [[*sequence, 2] for sequence in allowed]
        return sorted({seq[len(new)] for seq in whole if seq[: len(new)] == new and len(seq) > len(new)})

    options = {"max_new_tokens": 4, "eos_token_id": 2}
    by_function = np.asarray(model.generate([prompt], prefix_allowed_tokens_fn=next_ids, **options))[0, 4:].tolist()
    assert by_function[: by_function.index(2)] in allowed
    trie = TokenTrie.of(allowed, 2)
    by_trie = np.asarray(model.generate([prompt], prefix_allowed_tokens_fn=trie, **options))[0, 4:].tolist()
    assert by_trie == by_function
