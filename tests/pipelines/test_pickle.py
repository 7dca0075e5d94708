"""Pipelines of all tasks go to other processes and are copied: by what they were made of."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
import toy_writer

from jaxformers import BertForMaskedLM, BertModel, Pipeline, pipeline
from jaxformers.pipelines import task as tasks

from . import calls, toy_decoder, toy_seq2seq
from .conftest import write_classifier
from .seq2seq_calls import EN_RO

QUERY = {"query": "a b", "documents": ["c d", "a b c", "e"]}


def encoder(folder: Path) -> Path:
    """A toy sentence encoder with modules that have weights, prompts and a length."""
    write_classifier(folder, 4, BertModel)
    settings: dict[str, dict[str, Any]] = {
        "1_Pooling": {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
        "2_Dense": {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"},
        "3_Normalize": {},
    }
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for i, (path, config) in enumerate(settings.items(), 1):
        kind = path.partition("_")[2]
        listed.append({"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"})
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config))
    draw = np.random.RandomState(0).standard_normal((8, 33)).astype(np.float32)
    weights = {"linear.weight": draw[:, 1:].copy(), "linear.bias": draw[:, 0].copy()}
    safetensors.numpy.save_file(weights, folder / "2_Dense" / "model.safetensors")
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q r "}}')
    return folder


def splade(folder: Path) -> Path:
    """A toy whose vectors are over words."""
    write_classifier(folder, 5, BertForMaskedLM)
    names = {"": "models.MLMTransformer", "1_SpladePooling": "sparse_encoder.models.SpladePooling"}
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{name}"}
        for i, (path, name) in enumerate(names.items())
    ]
    (folder / "1_SpladePooling").mkdir()
    (folder / "1_SpladePooling" / "config.json").write_text(
        '{"pooling_strategy": "max", "activation_function": "relu"}'
    )
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


CASES: dict[str, tuple[str, Callable[[Path], Path], dict[str, Any], Any]] = {
    "classification": ("text-classification", write_classifier, {"top_k": 2}, "a b"),
    "tokens": ("token-classification", calls.tags, {"aggregation_strategy": "first"}, "ab c"),
    "answers": ("question-answering", calls.answers, {}, calls.EXAMPLE),
    "masks": ("fill-mask", calls.masks, {"top_k": 2}, "a [MASK]"),
    "zero-shot": ("zero-shot-classification", calls.zero_shot, {"candidate_labels": ["a", "b"]}, "a b"),
    "features": ("feature-extraction", write_classifier, {}, "a b"),
    "vectors": ("text-embedding", encoder, {"truncate_dim": 4, "prompt_name": "query"}, "a b"),
    "words": ("text-embedding", splade, {}, "a b"),
    "ranking": ("text-ranking", lambda folder: write_classifier(folder, num_labels=1), {"top_k": 2}, QUERY),
    "asked": ("text-ranking", toy_decoder.write_ranker, {"instruction": "find it"}, QUERY),
    "writing": ("text-generation", toy_writer.write, {"key": 3, "max_new_tokens": 5}, "one"),
    "text to text": ("text2text-generation", toy_seq2seq.t5, {"max_new_tokens": 5}, "one"),
    "summaries": ("summarization", toy_seq2seq.bart, {"max_new_tokens": 6, "long": "chunks"}, "one two. " * 20),
    "translation": ("translation", toy_seq2seq.mbart, {"max_new_tokens": 5, **EN_RO}, "one"),
    "pair": ("translation_en_to_fr", toy_seq2seq.m2m, {"max_new_tokens": 5}, "one"),
}


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """A process that was spawned, and so knows nothing but what is sent to it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_every_task_has_a_case() -> None:
    assert {task for task, *_ in CASES.values()} >= {*tasks.TASKS}


@pytest.mark.parametrize("case", CASES)
def test_a_pipeline_answers_the_same_in_another_process(
    case: str, tmp_path: Path, elsewhere: ProcessPoolExecutor
) -> None:
    task, write, options, given = CASES[case]
    pipe = pipeline(task, model=write(tmp_path), batch_size=3, **options)
    expected = pipe(given)
    sent = len(pickle.dumps(pipe))
    for array in jax.tree.leaves(pipe.model.prepared):
        array.block_until_ready()
    assert len(pickle.dumps(pipe)) == sent  # what is prepared stays here
    for path in sorted(tmp_path.rglob("*"), reverse=True):  # the files are not read again
        path.unlink() if path.is_file() else path.rmdir()
    same(elsewhere.submit(pipe, given).result(120), expected)
    (listed,) = elsewhere.map(pipe, [[given, given]], timeout=120)
    same(listed, pipe([given, given]))
    again = pickle.loads(pickle.dumps(pipe))
    assert (type(again), again.task, again._batch_size) == (type(pipe), task, 3)
    for other in (again, copy.copy(pipe), copy.deepcopy(pipe)):
        same(other(given), expected)


def same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if isinstance(x, str):
            assert x == y
        else:
            np.testing.assert_allclose(x, y, atol=1e-5)


class Shouting(Pipeline):
    """A pipeline of someone's own, with something of its own."""

    mark = "!"

    def shout(self, text: str) -> str:
        return self(text)[0]["label"] + self.mark


def test_subclasses_keep_what_they_have(folder: Path, elsewhere: ProcessPoolExecutor) -> None:
    pipe = pipeline("text-classification", model=folder, pipeline_class=Shouting)
    pipe.mark = "?"
    assert elsewhere.submit(pipe.shout, "a b").result(120) == pipe.shout("a b")
    assert pickle.loads(pickle.dumps(pipe)).mark == "?"


def test_models_of_fewer_bits_and_stacked_layers_go_too(tmp_path: Path, elsewhere: ProcessPoolExecutor) -> None:
    toy_writer.write(tmp_path)
    for options in ({"dtype": "int4_weight_only"}, {"dtype": "int8"}, {"dtype": "bfloat16"}, {"stacked": True}):
        pipe = pipeline("text-generation", model=tmp_path, model_kwargs=options, do_sample=False, max_new_tokens=4)
        again = pickle.loads(pickle.dumps(pipe))
        assert jax.tree.structure(again.model) == jax.tree.structure(pipe.model)
        for x, y in zip(jax.tree.leaves(again.model), jax.tree.leaves(pipe.model), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        assert elsewhere.submit(pipe, "one").result(120) == pipe("one")


def test_what_cannot_go_is_named(folder: Path) -> None:
    pipe = pipeline("text-ranking", model=folder, activation_fn=lambda x: x, allow_new_head=True)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(pipe)


def test_tasks_come_back_as_themselves() -> None:
    for name in {*tasks.TASKS, *tasks.DEFAULTS}:
        task = tasks.find(name)
        again = pickle.loads(pickle.dumps(task))
        assert again.name == name
        assert all(getattr(again, field) is value for field, value in vars(task).items() if field != "name")
