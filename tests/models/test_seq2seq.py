"""Encoder-decoders answer as torch Transformers recorded it, from sources padded on either side, cached or at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jaxformers
from jaxformers import auto
from jaxformers.generation import GenerationConfig
from jaxformers.generation.assisted import _looking_back
from jaxformers.layers import cache as caches
from jaxformers.layers.run import stack

from . import rule, seq2seq, seq2seq_further
from .seq2seq import LENGTHS, OPTIONS, REPORT, REPORTED, Case, inputs, options, prompts, reported

LIMIT = 2e-5
TABLES = (seq2seq, seq2seq_further)
CASES = tuple(case for table in TABLES for case in table.CASES)
TOLD = {name: about for table in TABLES for name, about in json.loads(table.ABOUT.read_text()).items()}
RECORDED = {name: array for table in TABLES for name, array in np.load(table.ARRAYS).items()}


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Case → its model, from a folder with the tensors that torch writes."""
    made: dict[str, Any] = {}

    def loaded(case: Case) -> Any:
        if case.name not in made:
            about, folder = TOLD[case.name], tmp_path_factory.mktemp(case.name)
            tensors = {n: rule.fill(n, tuple(shape), factor=case.factor) for n, shape in about["tensors"].items()}
            safetensors.numpy.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
            (folder / "config.json").write_text(json.dumps(about["config"]))
            cls = getattr(jaxformers, case.cls)
            made[case.name], report = cls.from_pretrained(folder, output_loading_info=True)
            assert not any(report.values()), report
        return made[case.name]

    return loaded


def taken(model: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in given.items() if name in (*model.accepts, *model.labels)}


def error(ours: Any, theirs: np.ndarray, real: np.ndarray) -> float:
    """Of what is no padding, relative to the largest value."""
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    if theirs.ndim == 3 and theirs.shape[1] % real.shape[1] == 0:  # streams stand one behind the other
        real = np.tile(real, (1, theirs.shape[1] // real.shape[1]))
        ours, theirs = ours[real], theirs[real]
    if theirs.ndim == 4 and theirs.shape[2] == real.shape[1]:  # of padding nobody asks what it takes
        ours, theirs = (np.swapaxes(x, 1, 2)[real] for x in (ours, theirs))
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_are_torchs(case: Case, load: Any) -> None:
    model, given = load(case), inputs(case)
    assert auto.class_for(model.config, model.task) is type(model)
    out = model(**taken(model, given), output_hidden_states=case.traced, output_attentions=case.traced)
    assert [name for name in out if name not in case.unlike] == list(TOLD[case.name]["outputs"])
    for name, count in TOLD[case.name]["outputs"].items():
        assert not count or len(out[name]) == count
        theirs = RECORDED[f"{case.name}.{name}"]
        assert error(out[name][-1] if count else out[name], theirs, given["attention_mask"] != 0) < LIMIT, name


CORE = frozenset(
    "t5 umt5 bart fsmt led-marked pegasus_x longt5-sums prophetnet bert-bert roberta-norms-first bert-gpt2".split()
)
"""Cases of which caches, files and gradients are asked; what the others' code puts together, these have."""
LOOPS = frozenset("t5 bart prophetnet".split())
"""Of which all ways to write are asked; of the first case of a class greedy search and beams, of others the first."""
FIRST = {case.cls: case.name for case in reversed(CASES)}
"""Of each class the first case."""


def unless(asked: bool) -> list[pytest.MarkDecorator]:
    """The marks of what is asked always, or else with `-m heavy`."""
    return [] if asked else [pytest.mark.heavy]


def asked(case: Case, word: str) -> bool:
    """Whether this way to write is asked of a case always."""
    return word == "greedy" or case.name in LOOPS or (word == "beams" and case.name in (FIRST[case.cls], *CORE))


BOTH = [
    pytest.param(case, marks=unless(case.name in CORE), id=case.name)
    for case in CASES
    if case.name == "t5-without-head" or case.two_sided
]
"""With a decoder; of those without a head one."""


@pytest.mark.parametrize("case", BOTH)
def test_tokens_one_by_one_behind_a_cache_are_those_of_a_whole_pass(case: Case, load: Any) -> None:
    model, given = load(case), inputs(case)
    source = {name: given[name] for name in case.source}
    ids = given["decoder_input_ids"]
    whole = model(**source, decoder_input_ids=ids)
    out = model(**source, decoder_input_ids=ids[:, :2], use_cache=True)
    cache, parts = caches.grown(out.past_key_values, 8), [out[0]]
    memory = {"encoder_outputs": (whole.encoder_last_hidden_state,), "attention_mask": given["attention_mask"]}
    for i in range(2, 6):
        step = model(**memory, decoder_input_ids=ids[:, i : i + 1], past_key_values=cache)
        cache = step.past_key_values
        parts.append(step[0])
    found = np.concatenate([np.asarray(part) for part in parts], axis=1)
    np.testing.assert_allclose(found, whole[0], atol=1e-5 * np.abs(whole[0]).max())


@pytest.mark.parametrize("case", BOTH)
def test_an_encoders_result_may_be_given(case: Case, load: Any) -> None:
    model, given = load(case), inputs(case)
    out = model(**{name: given[name] for name in (*case.source, "decoder_input_ids")})
    memory = {"encoder_outputs": (out.encoder_last_hidden_state,), "attention_mask": given["attention_mask"]}
    again = model(**memory, decoder_input_ids=given["decoder_input_ids"])
    np.testing.assert_allclose(again[0], out[0], atol=1e-5 * np.abs(out[0]).max())


WRITING = [
    pytest.param(case, word, marks=unless(asked(case, word)), id=f"{case.name}-{word}")
    for case in CASES
    if case.writes
    for word in options(case)
]


@pytest.mark.parametrize(("case", "word"), WRITING)
def test_generated_tokens_are_torchs(case: Case, word: str, load: Any) -> None:
    rows = load(case).generate(**prompts(case), **LENGTHS, **OPTIONS[word])
    np.testing.assert_array_equal(rows, RECORDED[f"{case.name}.{word}"])


def test_what_decoders_begin_with_is_written_on(load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    whole = np.asarray(model.generate(**source, **LENGTHS))
    for begin in (whole[:, :3], whole[:, 1:3]):  # with and without decoder_start_token_id
        rest = model.generate(**source, decoder_input_ids=begin, max_new_tokens=6, do_sample=False)
        np.testing.assert_array_equal(rest, whole)
    one = model.generate(given["input_ids"][1:2, :9], **LENGTHS)
    np.testing.assert_array_equal(np.asarray(one)[0], whole[1, : one.shape[1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": None}, "pass input_ids or inputs_embeds, or encoder_outputs"),
        ({"inputs_embeds": np.ones((3, 13, 32))}, "pass input_ids or inputs_embeds, or encoder_outputs"),
        ({"guidance_scale": 2.0}, "leave guidance_scale out"),
        ({"attention_mask": np.zeros((3, 13), int)}, "hides all of a source"),
        ({"input_ids": np.full((3, 13), 70)}, r"input_ids\[0, 0\] is 70, allowed are 0 to 66"),
        ({"decoder_input_ids": np.ones((2, 3), int)}, "2 rows of decoder_input_ids beside 3 sources"),
        ({"decoder_input_ids": np.ones((3, 0), int)}, "decoder_input_ids is empty: leave it out"),
        ({"decoder_input_ids": np.full((3, 2), 67)}, r"decoder_input_ids\[0\] has 67, allowed are 0 to 66"),
        (
            {"input_ids": None, "encoder_outputs": np.zeros((3, 13, 7), np.float32)},
            "encoder_outputs are 7 wide, those of its encoder 32",
        ),
    ],
)
def test_what_cannot_be_written_from(change: dict[str, Any], message: str, load: Any) -> None:
    given = inputs(CASES[0])
    told = {name: given[name] for name in ("input_ids", "attention_mask")} | change
    with pytest.raises(ValueError, match=message):
        load(CASES[0]).generate(**{name: array for name, array in told.items() if array is not None})


def test_what_decoders_begin_with_is_said_for_the_model_or_for_each_row(load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    rows = np.asarray(model.generate(**source, **LENGTHS, decoder_start_token_id=[3, 4, 5]))
    np.testing.assert_array_equal(rows[:, 0], [3, 4, 5])
    np.testing.assert_array_equal(
        model.generate(**source, decoder_input_ids=rows[:, :1], **LENGTHS, decoder_start_token_id=[3, 4, 5]), rows
    )
    lost = model.replace(
        config=model.config.replace(decoder_start_token_id=None),
        generation_config=model.generation_config.replace(decoder_start_token_id=None, bos_token_id=4),
    )
    begun = np.asarray(lost.generate(**source, **LENGTHS))
    np.testing.assert_array_equal(begun[1, :], rows[1, : begun.shape[1]])
    with pytest.raises(ValueError, match="expected one, or one for each of 3 rows"):
        model.generate(**source, decoder_start_token_id=[3, 4])
    with pytest.raises(ValueError, match="neither decoder_start_token_id nor bos_token_id is set"):
        lost.generate(**source, bos_token_id=None)


@pytest.mark.parametrize("name", ["t5", "mbart"])
def test_labels_that_a_decoder_cannot_read_are_refused(name: str, load: Any) -> None:
    model = load(case := next(case for case in CASES if case.name == name))
    source = {name: inputs(case)[name] for name in ("input_ids", "attention_mask")}
    labels = np.full((3, 4), 5)
    changed = lambda field: model.replace(config=model.config.replace(**{field: None}))  # noqa: E731
    with pytest.raises(ValueError, match="reads labels shifted by one, and the config has no pad_token_id"):
        changed("pad_token_id")(**source, labels=labels)
    if name == "mbart":  # the last label stands in front
        assert np.isfinite(changed("decoder_start_token_id")(**source, labels=labels).loss)
        longest = model.config.longest_target
        with pytest.raises(ValueError, match=f"{longest + 1} tokens in a row of labels, the decoder has {longest}"):
            model(**source, labels=np.full((3, longest + 1), 5))
        return
    with pytest.raises(ValueError, match="the config has no decoder_start_token_id: set it by"):
        changed("decoder_start_token_id")(**source, labels=labels)
    with pytest.raises(ValueError, match="the config has no decoder_start_token_id"):
        changed("decoder_start_token_id").apply(model.params, **source, labels=labels)
    beyond = model.replace(config=model.config.replace(decoder_start_token_id=model.config.vocab_size))
    with pytest.raises(ValueError, match=f"decoder_start_token_id={model.config.vocab_size} of the config is not"):
        beyond(**source, labels=labels)


def test_prompts_longer_than_the_decoder_are_told_its_positions(load: Any) -> None:
    case = next(case for case in CASES if case.name == "bart")
    source, longest = inputs(case)["input_ids"][:1], case.config["max_position_embeddings"]
    with pytest.raises(ValueError, match=f"leaves no room: the model has {longest} positions"):
        load(case).generate(source, decoder_input_ids=np.full((1, longest), 5), max_length=20)
    with pytest.raises(ValueError, match="pass max_new_tokens=4 or a shorter prompt"):
        load(case).generate(source, decoder_input_ids=np.full((1, longest - 5), 5), max_new_tokens=9)


@pytest.mark.parametrize("case", BOTH)
def test_stacked_layers_saved_files_and_gradients(case: Case, load: Any, tmp_path: Path) -> None:
    model, given = load(case), inputs(case)
    told = taken(model, given)
    params = model.params | {
        side: model.params[side] | {"layers": stack(model.params[side]["layers"])} for side in ("encoder", "decoder")
    }
    stacked = model.replace(params=params)
    np.testing.assert_allclose(stacked(**told)[0], model(**told)[0], atol=1e-4)
    stacked.save_pretrained(tmp_path)
    for whole in (False, True):
        read = type(model).from_pretrained(tmp_path, stacked=whole)
        np.testing.assert_allclose(read(**told)[0], model(**told)[0], rtol=1e-5, atol=1e-5)
    first = model.sites(**told)
    assert {"encoder.embeddings", "decoder.layers.0.cross", "decoder.layers.1.cross.attention_weights"} <= set(first)

    def loss(params: Any) -> Any:
        out = model.apply(params, **told)
        return sum(jnp.sin(x).sum() for x in (out[0], out["encoder_last_hidden_state"]))

    slopes = jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(model.params))
    idle = [jax.tree_util.keystr(path) for path, slope in slopes if not np.abs(slope).max() > 0]
    assert not [path for path in idle if not any(word in path for word in case.idle)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder_input_ids": None, "labels": None}, "pass decoder_input_ids, or labels"),
        ({"decoder_input_ids": np.full((3, 2), 99)}, r"decoder_input_ids\[0, 0\] is 99, allowed are 0 to 66"),
        ({"decoder_input_ids": np.ones((2, 6), int)}, r"decoder_input_ids must be \[3, seq\]"),
        ({"decoder_attention_mask": np.ones((3, 2), int)}, "decoder_attention_mask has shape"),
        (
            {"encoder_outputs": np.zeros((3, 13))},
            r"encoder_outputs must be floats \[batch, seq, dim\], found float64 \(3, 13\)",
        ),
        ({"input_ids": None}, "pass either input_ids or inputs_embeds"),
        ({"labels": np.ones((2, 6), int)}, "labels has shape"),
    ],
)
def test_what_a_call_cannot_be(change: dict[str, Any], message: str, load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    told = {name: array for name, array in (given | change).items() if array is not None}
    with pytest.raises(ValueError, match=message):
        model(**told)


def test_drafts_are_verified_beside_the_source(load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    source = {name: given[name][:1] for name in ("input_ids", "attention_mask")}
    alone = model.generate(**source, **LENGTHS)
    np.testing.assert_array_equal(model.generate(**source, **LENGTHS, assistant_model=model), alone)
    np.testing.assert_array_equal(model.generate(**source, **LENGTHS, prompt_lookup_num_tokens=2), alone)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("case", REPORTED, ids=lambda case: case.name)
def test_what_steps_have_been_is_reported_as_torch_does(case: Case, beams: int, load: Any) -> None:
    model, given = load(case), inputs(case)
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    out = model.generate(**source, **LENGTHS, **REPORT, num_beams=beams)
    theirs = TOLD[case.name]["report"][str(beams)]
    shapes = {name: reported(value) for name, value in out.items() if name != "past_key_values"}
    if beams > 1:  # of steps torch reports its beams, of which these are those that are returned
        for name in ("decoder_attentions", "decoder_hidden_states", "cross_attentions"):
            theirs[name] = [[[3, *shape[1:]] for shape in layers] for layers in theirs[name]]
    assert shapes == theirs
    for name in ("cross_attentions", "decoder_hidden_states") if beams == 1 else ():
        found = RECORDED[f"{case.name}.report.{name}"]
        np.testing.assert_allclose(out[name][-1][-1], found, atol=LIMIT * np.abs(found).max())
    found = RECORDED[f"{case.name}.report.{beams}.scores"]
    np.testing.assert_allclose(np.asarray(out.scores[-1]), found, atol=5e-5 * np.abs(found[found > -1e30]).max())


def test_an_encoders_result_is_written_from(load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    mask = {"attention_mask": given["attention_mask"]}
    states = model.encode(**source)
    alone = model(**source, decoder_input_ids=given["decoder_input_ids"], output_hidden_states=True)
    np.testing.assert_array_equal(states[0], alone.encoder_last_hidden_state)
    pure = jax.jit(lambda params: model.encode(**source, params=params, output_hidden_states=True))(model.params)
    assert len(pure.hidden_states) == len(alone.encoder_hidden_states)
    decoded = model.decode(given["decoder_input_ids"], states, given["attention_mask"])
    np.testing.assert_allclose(decoded.logits, alone.logits, atol=1e-5 * np.abs(alone.logits).max())
    pure = model.decode(given["decoder_input_ids"], states, given["attention_mask"], params=model.params)
    np.testing.assert_allclose(pure.logits, alone.logits, atol=1e-5 * np.abs(alone.logits).max())
    cache = model.init_cache(3, 8, states, given["attention_mask"])
    for i in range(3):
        step = model.decode(given["decoder_input_ids"][:, i : i + 1], states, past_key_values=cache)
        cache = step.past_key_values
    np.testing.assert_allclose(step.logits[:, 0], alone.logits[:, 2], atol=1e-5 * np.abs(alone.logits).max())
    for beams in (1, 3):
        found = model.generate(encoder_outputs=states, **mask, **LENGTHS, num_beams=beams)
        np.testing.assert_array_equal(found, model.generate(**source, **LENGTHS, num_beams=beams))


@pytest.mark.parametrize(
    ("case", "word"),
    [
        pytest.param(case, word, marks=unless(word == "greedy" or case.name == "t5"), id=f"{case.name}-{word}")
        for case in REPORTED
        for word in ("greedy", "unlike_sources", "forced")
    ],
)
def test_one_pure_function_writes_from_sources(case: Case, word: str, load: Any) -> None:
    model, given = load(case), inputs(case)
    write = lambda params, ids, mask: jaxformers.generate(params, model, ids, mask, **LENGTHS, **OPTIONS[word])  # noqa: E731
    rows = jax.jit(write)(model.params, given["input_ids"], given["attention_mask"])
    found = RECORDED[f"{case.name}.{word}"]
    np.testing.assert_array_equal(rows[:, : found.shape[1]], found)
    begun = jaxformers.generate(
        model.params, model, given["input_ids"], given["attention_mask"], decoder_input_ids=rows[:, :3],
        **{**OPTIONS[word], "do_sample": False, "max_new_tokens": 4, "forced_bos_token_id": None},
    )  # fmt: skip
    np.testing.assert_array_equal(begun[:, :6], rows[:, :6])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, states: model.init_cache(3, 8), "pass encoder_outputs, as model.encode gives them"),
        (lambda model, states: model.init_cache(2, 8, states), "3 rows of encoder_outputs, 2 of the cache"),
        (lambda model, states: model.init_cache(0, 8, states), "1 or more of each"),
        (lambda model, states: model.decode(np.ones((3, 2), int)), "inputs_embeds, or encoder_outputs"),
        (lambda model, states: model.decode(np.ones((3, 2), int), 5), "must be floats .*, found int"),
        (lambda model, states: model.decode(np.ones((3, 2), int), states, np.ones((3, 2))), "attention_mask has shape"),
        (lambda model, states: model.encode(np.full((3, 4), 99)), r"input_ids\[0, 0\] is 99"),
        (lambda model, states: model.generate(encoder_outputs=states, assistant_model=model), "pass input_ids"),
    ],
)
def test_what_sides_alone_cannot_be(call: Any, message: str, load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    with pytest.raises(ValueError, match=message):
        call(model, model.encode(given["input_ids"]))


def test_sites_of_both_sides_are_captured_and_replaced_while_writing(load: Any) -> None:
    model, given = load(CASES[0]), inputs(CASES[0])
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    rows, kept = model.generate(**source, **LENGTHS, capture=["encoder.layers.1.residual", "decoder.layers.*.cross"])
    plain = np.asarray(rows)
    mask = np.ones_like(plain[:, :-1])
    whole = model(**source, decoder_input_ids=plain[:, :-1], decoder_attention_mask=mask, output_hidden_states=True)
    np.testing.assert_allclose(kept["encoder.layers.1.residual"], whole.encoder_hidden_states[2], atol=1e-4)
    assert {name: x.shape for name, x in kept.items() if "cross" in name} == {
        f"decoder.layers.{i}.cross": (3, 8, 32) for i in range(2)
    }
    for patch in ({"encoder.layers.0.ffn": 0.0}, {"decoder.layers.1.cross": lambda x: -x}):
        changed = np.asarray(model.generate(**source, **LENGTHS, patch=patch))
        step = model(**source, decoder_input_ids=changed[:, :3], patch=patch)
        assert (changed != plain).any()
        np.testing.assert_array_equal(np.argmax(step.logits[:, -1], -1), changed[:, 3])
    with pytest.raises(ValueError, match="no site is named"):
        model.generate(**source, capture=["layers.0.cross"])


def test_what_followed_in_the_source_is_drafted() -> None:
    draft = _looking_back(GenerationConfig(max_matching_ngram_size=2), 3, np.array([7, 8, 9, 4, 5, 6]))
    tokens, _ = draft(np.array([0, 8, 9, 0, 0]), 3, 3)
    np.testing.assert_array_equal(tokens, [4, 5, 6])
    tokens, _ = draft(np.array([0, 9, 1, 2, 9, 0]), 5, 2)  # the row's own comes first
    np.testing.assert_array_equal(tokens, [1, 2])


def test_sampled_rows_depend_on_nothing_beside_them(load: Any) -> None:
    model, given = load(CASES[4]), inputs(CASES[4])
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    told = {"do_sample": True, "max_new_tokens": 6, "key": 3}
    drawn = np.asarray(model.generate(**source, **told, num_return_sequences=2))
    assert drawn.shape[0] == 6
    assert len({tuple(row) for row in drawn[:2]}) == 2
    first = np.asarray(
        model.generate(**{name: array[:1] for name, array in source.items()}, **told, num_return_sequences=2)
    )
    np.testing.assert_array_equal(first, drawn[:2, : first.shape[1]])


@pytest.mark.parametrize(("name", "first"), [("mbart", 7), ("plbart", 7), ("bart", 2), ("t5", 0)])
def test_labels_are_read_shifted_by_one_with_a_languages_code_in_front(name: str, first: int, load: Any) -> None:
    case = next(case for case in CASES if case.name == name)
    model, given, pad = load(case), inputs(case), case.config.get("pad_token_id", 0)
    labels = np.repeat([[9, 8, 7, -100, -100]], 3, axis=0)
    source = {name: given[name] for name in ("input_ids", "attention_mask")}
    read = np.repeat([[first, 9, 8, 7, pad]], 3, axis=0)
    np.testing.assert_allclose(
        model(**source, labels=labels).loss, model(**source, decoder_input_ids=read, labels=labels).loss, rtol=1e-6
    )


def test_reports_are_of_the_stream_that_reads(load: Any) -> None:
    case = next(case for case in CASES if case.name == "prophetnet")
    model, source = load(case), prompts(case)
    told = model.generate(**source, **LENGTHS, **REPORT)
    ids = np.asarray(told.sequences)[:, :-1]
    whole = model(**source, decoder_input_ids=ids, output_hidden_states=True, output_attentions=True)
    last = ids.shape[1] - 1
    for name in ("cross_attentions", "decoder_hidden_states"):
        part = whole[name][-1][:, :, last:] if name == "cross_attentions" else whole[name][-1][:, last:]
        np.testing.assert_allclose(told[name][last][-1], part, atol=1e-5 * np.abs(part).max())
    assert "decoder_ngram_hidden_states" not in told
