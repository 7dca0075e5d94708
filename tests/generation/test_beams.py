"""Beam search: torch's rows, scores and origins of tokens, recorded by `record_beams.py`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers.generation.stopping import Stops
from tests.models import golden

from . import toys

pytestmark = pytest.mark.usefixtures("exact")

RECORDED = json.loads((Path(__file__).parent / "beams.json").read_text())


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The toy model that was recorded."""
    folder = golden.cases()["LlamaForCausalLM"].write(tmp_path_factory.mktemp("llama"))
    return jaxformers.LlamaForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("number", range(len(RECORDED["calls"])))
def test_rows_scores_and_origins_are_torchs(llama: Any, number: int):
    call, inputs = RECORDED["calls"][number], RECORDED["inputs"]
    out = llama.generate(
        **inputs,
        max_new_tokens=10,
        pad_token_id=1,
        return_dict_in_generate=True,
        output_scores=True,
        **call["options"],
    )
    ends, start = call["options"]["eos_token_id"], len(inputs["input_ids"][0])
    for ours, theirs in zip(np.asarray(out.sequences).tolist(), call["sequences"], strict=True):
        assert toys.until(ours, start, ends) == toys.until(theirs, start, ends)
    np.testing.assert_allclose(out.sequences_scores, call["sequences_scores"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(out.beam_indices, call["beam_indices"])
    scores = llama.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    np.testing.assert_allclose(scores, call["transition_scores"], rtol=1e-4, atol=1e-4)


def test_a_row_is_searched_as_alone():
    model = toys.model()
    prompts = toys.prompts(8, 5, 2)
    ids, mask = toys.padded(prompts)
    options = {"num_beams": 3, "max_new_tokens": 6, "eos_token_id": 9}
    both = np.asarray(model.generate(ids, attention_mask=mask, **options))[:, 8:]
    for row, prompt in zip(both, prompts, strict=True):
        alone = np.asarray(model.generate([prompt], **options))[0, len(prompt) :]
        np.testing.assert_array_equal(row[: len(alone)], alone)


def test_beams_with_room_for_more_than_one_segment():
    model = toys.model()
    (prompt,) = toys.prompts(50)
    out = np.asarray(model.generate([prompt], num_beams=2, max_new_tokens=30))[0, 50:].tolist()
    beams = [(0.0, [])]
    for _ in range(30):
        found = []
        for score, new in beams:
            odds = toys.log_softmax(toys.scores(model, prompt + new))
            found += [(score + odds[token], [*new, token]) for token in range(toys.VOCAB)]
        beams = sorted(found, key=lambda beam: -beam[0])[:2]
    assert out == beams[0][1]


def test_beam_sampling_draws_by_the_key():
    model = toys.model()
    (prompt,) = toys.prompts(5)
    options = {"num_beams": 3, "do_sample": True, "max_new_tokens": 6, "temperature": 2.0, "top_k": 0}
    rows = {tuple(np.asarray(model.generate([prompt], key=jax.random.key(i), **options))[0]) for i in (0, 0, 1, 2)}
    assert len(rows) > 1
    assert len(rows) < 4


def test_draws_without_replacement_follow_their_sums():
    """Of three candidates, each is among the two drawn as often as sequential drawing has it."""
    from jaxformers.generation.beams import _drawn

    odds = np.array([0.6, 0.3, 0.1])
    count = 20_000

    rows = jnp.arange(count)
    sums, places = _drawn(jnp.log(jnp.tile(odds, (count, 1))), 2, jax.random.key(0), rows, 0 * rows)
    np.testing.assert_allclose(np.exp(sums), odds[np.asarray(places)], rtol=1e-5)
    for first in range(3):
        for second in range(3):
            if first != second:
                expected = odds[first] * odds[second] / (1 - odds[first])
                seen = float(((places[:, 0] == first) & (places[:, 1] == second)).mean())
                assert abs(seen - expected) < 4 * (expected / count) ** 0.5


def test_stop_texts_end_beams():
    class Letters:
        def decode(self, ids: Any, **_: Any) -> str:
            return "".join(chr(ord("a") + int(i) % 26) for i in ids)

    model = toys.model()
    (prompt,) = toys.prompts(5)
    whole = np.asarray(model.generate([prompt], num_beams=2, max_new_tokens=8))[0, 5:].tolist()
    stop = Letters().decode(whole[2:4])
    out = np.asarray(model.generate([prompt], num_beams=2, max_new_tokens=8, stop_strings=[stop], tokenizer=Letters()))[
        0
    ]
    row = out.tolist()
    stops = Stops((stop,), Letters().decode)
    end = stops.end_of(row, 5)
    assert end is None or set(row[end:]) <= {0}
    assert stop in Letters().decode(row[5:]) or len(row) == 13
    with jaxformers.forbid():  # other texts are no other program
        model.generate([prompt], num_beams=2, max_new_tokens=8, stop_strings=["zz", "?"], tokenizer=Letters())


def test_where_time_runs_out_ended_beams_of_a_finished_row_stay():
    """Beams that were going on stand in where the search was on, and nowhere else."""
    from jaxformers.generation import beams, rows

    ids = np.array([[[1, 2], [1, 3]], [[1, 4], [1, 5]]], np.int32)
    ended_ids = np.array([[[1, 6], [1, 7]], [[1, 8], [0, 0]]], np.int32)
    scores = np.array([[-0.1, -0.2], [-0.3, -0.4]], np.float32)
    two = np.full(2, 2, np.int32)
    columns = dict.fromkeys((field.name for field in dataclasses.fields(rows.Rows)), two.repeat(2)) | {
        "ids": ids.reshape(4, 2),
        "prompt": two.repeat(2) - 1,
        "done": np.array([True, True, False, False]),
        "cache": None,
    }
    held = beams.Beams(
        rows=rows.Rows(**columns),
        scores=scores,
        parents=ids,
        finished=beams.Hypotheses(
            ids=ended_ids,
            parents=ended_ids,
            scores=np.array([[-5.0, -6.0], [-7.0, 0.0]], np.float32),
            ended=np.array([[True, True], [True, False]]),
            length=np.full((2, 2), 2, np.int32),
        ),
        open=np.array([False, True]),
    )
    after = beams._with_running(held, 1.0)
    np.testing.assert_array_equal(after.ids[0], ended_ids[0])
    np.testing.assert_array_equal(after.ids[1], ids[1])
