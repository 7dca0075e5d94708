"""Heads of encoder-decoders beside the one that writes, and their decoders alone: what torch's numbers do not show."""

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
from jaxformers.auto import class_for
from jaxformers.layers import cache as caches

from . import rule
from .seq2seq import ABOUT, APART, BART, CASES, MARIAN, T5, Case, inputs, prompts

TOLD = json.loads(ABOUT.read_text())
NAMED = {case.name: case for case in CASES}
ALONE = [case for case in CASES if case.head == "ForCausalLM"]
TEXTS = [case for case in CASES if case.head == "ForSequenceClassification"]
SPANS = [case for case in CASES if case.head == "ForQuestionAnswering"]
named = lambda case: case.name  # noqa: E731


def written(case: Case, folder: Path) -> Path:
    """A checkpoint of a case, as torch writes it."""
    about = TOLD[case.name]
    tensors = {name: rule.fill(name, tuple(shape), factor=case.factor) for name, shape in about["tensors"].items()}
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(about["config"]))
    return folder


def read(case: Case, folder: Path) -> Any:
    """The model of a case."""
    return getattr(jaxformers, case.cls).from_pretrained(written(case, folder))


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*ALONE, *TEXTS, *SPANS], ids=named)
def test_what_was_read_is_written_again(case: Case, tmp_path: Path) -> None:
    read(case, tmp_path).save_pretrained(tmp_path / "ours")
    theirs, ours = (
        safetensors.numpy.load_file(folder / "model.safetensors") for folder in (tmp_path, tmp_path / "ours")
    )
    theirs = {name: array for name, array in theirs.items() if not (case.waves and "embed_positions" in name)}
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


@pytest.mark.parametrize("case", ALONE, ids=named)
def test_decoders_are_read_out_of_files_with_both_sides(case: Case, tmp_path: Path) -> None:
    """They score as those whose file has the same arrays and nothing else."""
    cls = getattr(jaxformers, case.cls)
    whole = class_for(cls.config_class, "Seq2SeqLM")(cls.config_class(**case.config))
    whole.save_pretrained(tmp_path)
    alone, report = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    for path in (("word", "table"), ("layers", 1, "query", "weight"), ("layers", 0, "cross", "out", "weight")):
        ours, theirs = alone.params, whole.params if path[0] == "word" else whole.params["decoder"]
        for key in path:
            ours, theirs = ours[key], theirs[key]
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["T5", "MT5", "UMT5"])
def test_encoders_are_read_out_of_files_with_both_sides(kind: str, tmp_path: Path) -> None:
    config = getattr(jaxformers, f"{kind}Config")(**T5)
    whole = getattr(jaxformers, f"{kind}ForConditionalGeneration")(config)
    whole.save_pretrained(tmp_path)
    alone, report = getattr(jaxformers, f"{kind}EncoderModel").from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    ids = np.array([[5, 6, 7, 1]])
    both = whole(ids, decoder_input_ids=[[0]])
    np.testing.assert_allclose(alone(ids)[0], both.encoder_last_hidden_state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("marian", {"final_logits_bias"}), ("marian-apart", {"final_logits_bias"}), ("marian-untied", {"lm_head.weight"})],
)
def test_marian_files_of_all_times_are_read(name: str, missing: set[str], tmp_path: Path) -> None:
    """Older ones hold the waves, and the table of words under each of its names; of a new head none is kept back."""
    case = NAMED[name]
    tensors = safetensors.numpy.load_file(written(case, tmp_path) / "model.safetensors")
    waves = {f"model.{side}.embed_positions.weight": np.ones((24, 32), np.float32) for side in ("encoder", "decoder")}
    more = dict(waves)
    if name == "marian":
        table = tensors["model.shared.weight"]
        more |= {f"model.{side}.embed_tokens.weight": table for side in ("encoder", "decoder")}
        more["lm_head.weight"] = table
    model, report = jaxformers.MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    safetensors.numpy.save_file(tensors | more, tmp_path / "model.safetensors", metadata={"format": "pt"})
    again, report = jaxformers.MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)
    fewer = {key: array for key, array in tensors.items() if key not in missing}
    assert len(fewer) < len(tensors)
    safetensors.numpy.save_file(fewer, tmp_path / "model.safetensors", metadata={"format": "pt"})
    _, report = jaxformers.MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert set(report["missing_keys"]) == missing


# -- decoders alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALONE, ids=named)
def test_decoders_alone_go_on_behind_a_cache(case: Case, tmp_path: Path) -> None:
    model, ids = read(case, tmp_path), inputs(case)["input_ids"][:1]
    whole = np.asarray(model(ids).logits)
    out = model(ids[:, :4], past_key_values=model.init_cache(1, 16))
    parts, cache = [out.logits], out.past_key_values
    for i in range(4, ids.shape[1]):
        out = model(ids[:, i : i + 1], past_key_values=cache)
        parts, cache = [*parts, out.logits], out.past_key_values
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5 * np.abs(whole).max())
    assert caches.grown(cache, 20).slots >= 20


@pytest.mark.parametrize("case", ALONE, ids=named)
def test_padding_in_front_of_prompts_changes_nothing(case: Case, tmp_path: Path) -> None:
    model, given = read(case, tmp_path), prompts(case)["input_ids"]
    options = {"max_new_tokens": 5, "do_sample": False}
    alone = np.asarray(model.generate(given[:1], **options))
    ids = np.stack([np.r_[[model.config.pad_token_id] * 3, given[0]], np.r_[given[1], given[1, :3]]])
    mask = np.array([[0] * 3 + [1] * 6, [1] * 9])
    both = np.asarray(model.generate(ids, attention_mask=mask, **options))
    np.testing.assert_array_equal(both[0, 3:][: alone.shape[1]], alone[0])
    np.testing.assert_allclose(
        model(ids, mask).logits[0, 3:], model(given[:1]).logits[0], atol=1e-5 * np.abs(model(given[:1]).logits).max()
    )


@pytest.mark.parametrize("case", ALONE, ids=named)
def test_arrays_that_look_at_an_encoder_are_idle_and_no_others(case: Case, tmp_path: Path) -> None:
    model, given = read(case, tmp_path), inputs(case)

    def loss(params: Any) -> Any:
        return jnp.sin(model.apply(params, **given).logits).sum()

    slopes = jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(model.params))
    idle = [jax.tree_util.keystr(path) for path, slope in slopes if not np.abs(slope).max() > 0]
    unlike = [path for path in idle if "cross" not in path and "bias" not in path and "'position'" not in path]
    assert idle
    assert not unlike


# -- what a head reads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TEXTS, ids=named)
def test_a_text_is_scored_where_it_ends(case: Case, tmp_path: Path) -> None:
    """Whatever stands behind its last end, and whether the decoder's ids are given or made."""
    model, given = read(case, tmp_path), inputs(case)
    ids, mask = given["input_ids"][:1].copy(), np.ones((1, 13), np.int32)
    ids[0, 8] = ids[0, 12]
    cut = model(ids[:, :9], mask[:, :9]).logits
    mask[0, 9:], ids[0, 9:] = 0, model.config.pad_token_id
    np.testing.assert_allclose(model(ids, mask).logits, cut, rtol=1e-4, atol=1e-5)
    if not model.config.wraps:
        start = np.full((1, 1), model.config.decoder_start_token_id)
        shifted = np.concatenate([start, ids[:, :8]], axis=1)
        told = model(ids[:, :9], mask[:, :9], decoder_input_ids=shifted).logits
        np.testing.assert_allclose(told, cut, rtol=1e-5, atol=1e-6)
    memory = model(ids[:, :9], mask[:, :9]).encoder_last_hidden_state
    again = model(ids[:, :9], encoder_outputs=(memory,)).logits
    np.testing.assert_allclose(again, cut, rtol=1e-5, atol=1e-6)


def test_one_of_several_ends_counts(tmp_path: Path) -> None:
    model = read(NAMED["bart-text"], tmp_path)
    several = model.replace(config=model.config.replace(eos_token_id=(2, 3)))
    ids = np.array([[5, 6, 7, 8, 3]])
    end = np.array([[5, 6, 7, 8, 2]])
    shifted = {"decoder_input_ids": [[2, 5, 6, 7, 8]]}
    memory = {"encoder_outputs": (model(end).encoder_last_hidden_state,)}
    np.testing.assert_array_equal(several(ids, **memory, **shifted).logits, model(end, **memory, **shifted).logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_ids": np.full((3, 13), 9)}, "0, 0, 0 times eos_token_id=2: expected the same number in all, one or"),
        ({"input_ids": np.eye(3, 13, dtype=int) * 2 + np.eye(3, 13, 1, dtype=int)}, None),
        ({"input_ids": np.tril(np.full((3, 13), 2), -1) + 5 * np.triu(np.ones((3, 13), int))}, "0, 1, 2 times"),
        ({"input_ids": None, "inputs_embeds": np.ones((3, 13, 32))}, "pass decoder_input_ids, or input_ids"),
        (
            {"input_ids": None, "inputs_embeds": np.ones((3, 13, 32)), "decoder_input_ids": np.ones((3, 13), int)},
            "by the place of its eos_token_id: pass input_ids",
        ),
        ({"decoder_input_ids": np.ones((3, 5), int)}, r"decoder_input_ids has shape \(3, 5\), input_ids \(3, 13\)"),
        ({"labels": np.array([3, 0, 1])}, r"labels\[0\] is 3, allowed are 0 to 2"),
        ({"labels": np.ones((3, 13), int)}, "labels has shape"),
    ],
)
def test_texts_that_cannot_be_scored(change: dict[str, Any], message: str | None, tmp_path: Path) -> None:
    model = read(NAMED["bart-text"], tmp_path)
    told = {name: array for name, array in (inputs(NAMED["bart-text"]) | change).items() if array is not None}
    if message is None:
        assert np.isfinite(model(**told).loss)
        return
    with pytest.raises(ValueError, match=message):
        model(**told)


@pytest.mark.parametrize("kind", ["Bart", "T5"])
def test_losses_go_by_the_kind_of_problem(kind: str) -> None:
    config = getattr(jaxformers, f"{kind}Config")(**(BART if kind == "Bart" else T5), num_labels=3)
    model = getattr(jaxformers, f"{kind}ForSequenceClassification")(config)
    ids = np.array([[5, 6, config.eos_token_id], [7, 8, config.eos_token_id]])
    scores = np.asarray(model(ids).logits, np.float64)
    values = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, 0.25]], np.float32)
    regression = model.replace(config=config.replace(problem_type="regression"))
    assert regression(ids, labels=values).loss == pytest.approx(np.square(scores - values).mean(), rel=1e-5)
    several = (values > 0).astype(np.float32)
    expected = (np.logaddexp(0, scores) - scores * several).mean()
    assert model(ids, labels=several).loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["t5-text", "umt5-tokens", "bart-span", "mbart-decoder"])
def test_heads_go_through_what_jax_does_with_models(name: str, tmp_path: Path) -> None:
    """Keys turn dropout on, models and batches are mapped over, and half types give nearly the same."""
    model, given = read(NAMED[name], tmp_path), inputs(NAMED[name])
    given = {key: array for key, array in given.items() if key in ("input_ids", "attention_mask")}
    first = lambda out: np.asarray(jax.tree.leaves(out)[0], np.float32)  # noqa: E731
    plain = first(model(**given))
    config = model.config.replace(**({"classifier_dropout": 0.1} if "decoder" not in name else {}))
    noisy = model.replace(config=config)
    one, same, other = (first(noisy.apply(noisy.params, **given, key=key)) for key in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert min(np.abs(one - plain).max(), np.abs(one - other).max()) > 1e-3
    pair = lambda *arrays: jnp.stack(arrays)  # noqa: E731
    second = jax.tree.map(lambda array: array * np.float32(0.9), model)
    both = jax.vmap(lambda m, batch: m.apply(m.params, **batch))(
        jax.tree.map(pair, model, second), {key: pair(array, array[::-1]) for key, array in given.items()}
    )
    turned = {key: array[::-1] for key, array in given.items()}
    real = given["attention_mask"] != 0 if plain.shape[:2] == (3, 13) else np.ones(plain.shape[0], bool)
    for mapped, alone, seen in (
        (first(both)[0], plain, real),
        (first(both)[1], first(second(**turned)), real[::-1]),
    ):
        np.testing.assert_allclose(mapped[seen], alone[seen], atol=1e-4 * np.abs(alone[seen]).max())
    half = jax.tree.map(lambda array: array.astype(jnp.bfloat16), model)
    assert np.abs(first(half(**given)) - plain)[real].max() < 0.15 * np.abs(plain[real]).max()


# -- two vocabularies -------------------------------------------------------------------------------------------------


def test_each_side_has_its_own_words(tmp_path: Path) -> None:
    """The encoder has 67, the decoder 71: ids are checked against those of their side."""
    model = read(NAMED["marian-apart"], tmp_path)
    source = np.array([[5, 6, 66]])
    assert model(source, decoder_input_ids=[[70]], labels=[[70]]).logits.shape == (1, 1, 71)
    with pytest.raises(ValueError, match=r"input_ids\[0, 0\] is 67, allowed are 0 to 66"):
        model([[67]], decoder_input_ids=[[5]])
    with pytest.raises(ValueError, match=r"decoder_input_ids\[0, 0\] is 71, allowed are 0 to 70"):
        model(source, decoder_input_ids=[[71]])
    with pytest.raises(ValueError, match=r"labels\[0, 0\] is 71, allowed are 0 to 70"):
        model(source, labels=[[71]])
    with pytest.raises(ValueError, match=r"is 67, allowed are 0 to 66"):
        model.generate([[67]])
    with pytest.raises(ValueError, match="has 71, allowed are 0 to 70"):
        model.generate(source, decoder_input_ids=[[66, 71]])
    begun = model.generate(source, decoder_input_ids=[[66, 70]], max_new_tokens=2)
    assert begun[0, :2].tolist() == [66, 70]
    with pytest.raises(ValueError, match="words of their own"):
        model.resize_token_embeddings(80)


@pytest.mark.parametrize(
    ("config", "buckets", "furthest"),
    [
        (jaxformers.T5Config, "relative_attention_num_buckets", "relative_attention_max_distance"),
        (jaxformers.LongT5Config, "relative_attention_num_buckets", "relative_attention_max_distance"),
        (jaxformers.ProphetNetConfig, "num_buckets", "relative_max_distance"),
    ],
)
def test_distances_have_buckets(config: Any, buckets: str, furthest: str) -> None:
    config(**{buckets: 4, furthest: 3})
    for count, most in ((3, 128), (4, 2), (32, 16)):
        with pytest.raises(ValueError, match=f"{buckets}={count} and {furthest}={most}: expected 4 buckets at least"):
            config(**{buckets: count, furthest: most})


def test_both_sides_have_the_padding_token() -> None:
    with pytest.raises(ValueError, match="pad_token_id=66 is not below decoder_vocab_size=50"):
        jaxformers.MarianConfig(**{**APART, "decoder_vocab_size": 50})
    assert jaxformers.MarianConfig(**{**MARIAN, "decoder_vocab_size": None}).target_vocab_size == 67


# -- float16 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t5", "t5-gated", "umt5"])
def test_float16_holds_what_is_beyond_its_range(name: str, tmp_path: Path) -> None:
    """Large T5s add up more than 65504 between their norms."""
    case = NAMED[name]
    model = read(case, tmp_path)

    def grown(path: Any, array: Any) -> Any:
        name = jax.tree_util.keystr(path)
        return array * (2e4 if "'down'" in name else 10 if "'up'" in name else 1)

    large = jax.tree_util.tree_map_with_path(grown, model)
    given = {key: inputs(case)[key] for key in ("input_ids", "attention_mask", "decoder_input_ids")}
    plain = large(**given, output_hidden_states=True)
    for states in (plain.encoder_hidden_states[-2], plain.decoder_hidden_states[-2]):
        assert np.abs(states).max() > 2 * float(np.finfo(np.float16).max)
    half = jax.tree.map(lambda array: array.astype(jnp.float16), large)
    out = half(**given)
    assert out.logits.dtype == jnp.float16
    error = np.abs(np.asarray(out.logits, np.float32) - plain.logits).max() / np.abs(plain.logits).max()
    assert error < 0.02
    source = {key: given[key] for key in ("input_ids", "attention_mask")}
    options = {"max_new_tokens": 4, "do_sample": False}
    assert half.generate(**source, **options).shape == large.generate(**source, **options).shape


def test_tied_words_of_the_newer_version_score_states_as_its_config_says() -> None:
    """Which ties words of T5 1.1 too, and says apart that states are not scaled."""
    sizes = {"vocab_size": 67, "d_model": 32, "d_kv": 12, "d_ff": 48, "num_layers": 1, "num_heads": 4}
    given = {"input_ids": np.array([[5, 6, 7]]), "decoder_input_ids": np.array([[0, 8]])}
    found = {}
    for scaled in (None, True, False):
        config = jaxformers.T5Config(**sizes, scale_decoder_outputs=scaled)
        found[scaled] = np.asarray(jaxformers.T5ForConditionalGeneration(config)(**given).logits)
    np.testing.assert_array_equal(found[None], found[True])
    np.testing.assert_allclose(found[False], found[True] * 32**0.5, rtol=1e-5)
