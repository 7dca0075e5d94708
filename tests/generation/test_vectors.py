"""`generate(inputs_embeds=...)`: vectors in the place of ids, alone and beside them, as in torch Transformers 4.57."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from tests.models import golden, rule

from . import toys

pytestmark = pytest.mark.usefixtures("exact")

RECORDED = json.loads((Path(__file__).parent / "vectors.json").read_text())


@pytest.fixture(scope="module")
def model() -> Any:
    """One for all tests, whose programs they share."""
    return toys.model()


def vectors_of(model: Any, ids: Any) -> np.ndarray:
    """The vectors [B, T, D] that ids stand for."""
    return np.asarray(model.params["word"]["table"])[np.asarray(ids)]


@pytest.mark.parametrize("name", sorted({told["model"] for told in RECORDED}))
def test_rows_are_torchs(name: str, tmp_path: Path):
    model = getattr(jaxformers, name).from_pretrained(golden.cases()[name].write(tmp_path))
    inputs = rule.prompts(67, pad=1)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    other = rule.fill("inputs_embeds", (*ids.shape, model.config.hidden_size))
    for told in (told for told in RECORDED if told["model"] == name):
        options = dict(told["call"])
        count, masked, rows = options.pop("ids"), options.pop("masked", True), slice(options.pop("rows", None))
        given = {"input_ids": ids[rows, :count]} if count else {}
        given |= {"attention_mask": mask[rows]} if masked else {}
        vectors = vectors_of(model, ids) if told["own"] else other
        out = model.generate(**given, inputs_embeds=vectors[rows], pad_token_id=1, eos_token_id=told["eos"], **options)
        assert out.shape[1] == len(told["rows"][0]), told["call"]
        for ours, theirs in zip(np.asarray(out).tolist(), told["rows"], strict=True):
            assert toys.until(ours, count, [told["eos"]]) == toys.until(theirs, count, [told["eos"]]), told["call"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_of_ids_give_what_ids_give(model: Any, side: str):
    ids, mask = toys.padded(toys.prompts(9, 4, 1), side)
    vectors, seen = vectors_of(model, ids), {"attention_mask": mask}
    asked = {"return_dict_in_generate": True, "output_scores": True, "output_hidden_states": True}
    asked["output_attentions"] = True
    several = {"num_beams": 3, "num_return_sequences": 2, **asked}
    for options in ({}, asked, several, {"do_sample": True, "num_return_sequences": 2, "key": 3}):
        expected = model.generate(ids, **seen, max_new_tokens=6, **options)
        beside = model.generate(ids, inputs_embeds=vectors, **seen, max_new_tokens=6, **options)
        alone = model.generate(inputs_embeds=vectors, **seen, max_new_tokens=6, **options)
        if "output_scores" not in options:
            np.testing.assert_array_equal(beside, expected)
            np.testing.assert_array_equal(alone, expected[:, 9:])
            continue
        real = np.repeat(toys.padded(toys.prompts(9, 4, 1))[1], options.get("num_return_sequences", 1), axis=0) != 0
        for out in (beside, alone):
            assert out.keys() == expected.keys()
            for name in expected.keys() - {"sequences"}:
                for x, y in zip(jax.tree.leaves(out[name]), jax.tree.leaves(expected[name]), strict=True):
                    if x.shape[:2] == real.shape:  # hidden states of padding mean nothing
                        x, y = x[real], y[real]
                    elif x.ndim == 4 and x.shape[2:] == (9, 9):
                        x, y = (np.swapaxes(odds, 1, 2)[real] for odds in (x, y))
                    if name != "past_key_values" or x.ndim == 1:  # of a cache later slots mean nothing
                        np.testing.assert_allclose(x, y, atol=5e-5)


def test_long_prompts_and_rows_of_vectors(model: Any):
    (prompt,) = toys.prompts(70)
    whole = toys.greedy(model, prompt, 90)
    out = model.generate(inputs_embeds=vectors_of(model, [prompt]), max_new_tokens=90)
    assert out.tolist() == [whole]
    few = model.generate([prompt[:3]], inputs_embeds=vectors_of(model, [prompt]), max_new_tokens=90)
    assert few.tolist() == [[*prompt[:3], *whole]]
    more = model.generate([prompt * 2], inputs_embeds=vectors_of(model, [prompt]), max_new_tokens=90)
    assert more.tolist() == [[*prompt, *prompt, *whole]]
    beams = model.generate(inputs_embeds=vectors_of(model, [prompt]), max_new_tokens=90, num_beams=2)
    np.testing.assert_array_equal(beams, model.generate([prompt], max_new_tokens=90, num_beams=2)[:, 70:])


def test_vectors_where_proposals_are_judged_and_where_someone_listens(model: Any):
    prompt = toys.prompts(5)[0] * 3
    vectors, whole = vectors_of(model, [prompt]), toys.greedy(model, prompt, 40)
    heard: list[list[int]] = []

    class Ear:
        def put(self, value: np.ndarray) -> None:
            heard.append(np.asarray(value).tolist())

        def end(self) -> None:
            heard.append([])

    for helped in ({"prompt_lookup_num_tokens": 4}, {"assistant_model": toys.model(7)}, {}):
        for given in ({}, {"input_ids": [prompt]}, {"input_ids": [prompt[:2]]}):
            heard.clear()
            out = model.generate(**given, inputs_embeds=vectors, max_new_tokens=40, streamer=Ear(), **helped)
            begun = given.get("input_ids", [[]])[0]
            assert out.tolist() == [[*begun, *whole]]
            assert heard == [begun, *([token] for token in whole), []]
        ended = model.generate(inputs_embeds=vectors, max_new_tokens=40, eos_token_id=whole[0], **helped)
        assert ended.tolist() == [whole[:1]]


def test_what_was_read_of_vectors_is_not_read_again(model: Any):
    ids, mask = toys.padded(toys.prompts(9, 4))
    vectors = vectors_of(model, ids)
    first = model.generate(inputs_embeds=vectors, attention_mask=mask, max_new_tokens=5, return_dict_in_generate=True)
    longer = np.concatenate([vectors, vectors_of(model, first.sequences), vectors_of(model, [[3, 4], [5, 6]])], axis=1)
    seen = np.concatenate([mask, np.ones((2, 7), int)], axis=1)
    expected = model.generate(inputs_embeds=longer, attention_mask=seen, max_new_tokens=6)
    again = model.generate(
        inputs_embeds=longer, attention_mask=seen, max_new_tokens=6, past_key_values=first.past_key_values
    )
    np.testing.assert_array_equal(again, expected)
    with pytest.raises(ValueError, match="at least one token more"):
        model.generate(inputs_embeds=vectors, attention_mask=mask, past_key_values=first.past_key_values)


def test_one_pure_function_takes_vectors(model: Any):
    ids, mask = toys.padded(toys.prompts(6, 3))
    vectors = vectors_of(model, ids)

    @jax.jit
    def write(params: Any, vectors: Any, mask: Any) -> Any:
        return jaxformers.generate(params, model, inputs_embeds=vectors, attention_mask=mask, max_new_tokens=7)

    expected = np.asarray(model.generate(ids, attention_mask=mask, max_new_tokens=7))
    np.testing.assert_array_equal(write(model.params, vectors, mask), expected[:, 6:])
    many = jax.vmap(write, in_axes=(None, 0, None))(model.params, jnp.stack([vectors, 0.5 * vectors]), mask)
    np.testing.assert_array_equal(many[0], expected[:, 6:])
    for count, options in ((6, {"repetition_penalty": 1.4}), (2, {"repetition_penalty": 1.4, "max_length": 14})):
        given = {"inputs_embeds": vectors, "attention_mask": mask, "max_new_tokens": None, "max_length": 12, **options}
        pure = jaxformers.generate(model.params, model, ids[:, :count], **given)
        np.testing.assert_array_equal(pure, model.generate(ids[:, :count], **given))


def test_what_cannot_be_read_is_said(model: Any):
    ids, mask = toys.padded(toys.prompts(5, 3))
    vectors = vectors_of(model, ids)
    for given, said in (
        ({"inputs_embeds": vectors[..., :-1]}, r"must be floats \[batch, seq, 24\], found float32 \(2, 5, 23\)"),
        ({"inputs_embeds": vectors[0]}, r"found float32 \(5, 24\): pass inputs_embeds\[None\]"),
        ({"inputs_embeds": ids}, "inputs_embeds must be floats, found int32: ids are input_ids"),
        ({"input_ids": ids[0]}, r"input_ids must be \[batch, seq\], found \(5,\): pass input_ids\[None\]"),
        ({"input_ids": ids * 1.0}, "input_ids must be whole numbers, found float32"),
        ({"inputs_embeds": vectors[:, :0]}, "inputs_embeds is empty"),
        ({"inputs_embeds": vectors, "input_ids": ids[:1]}, "1 rows of input_ids beside 2 of inputs_embeds"),
        ({"inputs_embeds": vectors, "attention_mask": mask[:, :4]}, r"attention_mask has shape \(2, 4\)"),
        ({"inputs_embeds": vectors}, "max_length=5 leaves no room"),
    ):
        options = {"max_length": 5} | given
        with pytest.raises(ValueError, match=said):
            model.generate(**options)
        with pytest.raises(ValueError, match=said):
            jaxformers.generate(model.params, model, **options)
    with pytest.raises(ValueError, match="hides all of a row"):
        model.generate(inputs_embeds=vectors, attention_mask=mask * [[1], [0]])
    with pytest.raises(ValueError, match="needs negative_prompt_ids"):
        model.generate(inputs_embeds=vectors, guidance_scale=1.5)
    with pytest.raises(ValueError, match="pass input_ids or inputs_embeds"):
        jaxformers.generate(model.params, model)
    with pytest.raises(ValueError, match="bos_token_id"):
        toys.model(bos_token_id=None).generate(inputs_embeds=None)


def test_what_has_no_effect_beside_vectors_is_said(model: Any, caplog: pytest.LogCaptureFixture):
    ids, _ = toys.padded(toys.prompts(5))
    with caplog.at_level(logging.WARNING):
        model.generate(ids, inputs_embeds=vectors_of(model, ids), encoder_repetition_penalty=2.0, max_new_tokens=2)
    assert "no effect: encoder_repetition_penalty: vectors are read" in caplog.text
