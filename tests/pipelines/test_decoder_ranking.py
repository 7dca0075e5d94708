"""Decoders that are asked whether a document fits, in the files of Qwen3-Reranker; those with a classifier are not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxformers import (
    AutoTokenizer,
    Gemma2Config,
    Gemma2ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
    pipeline,
)
from jaxformers.pipelines import asking, shapes
from jaxformers.pipelines.text_ranking import Ranker

from .conftest import write_classifier
from .sentence_folders import FOLDERS, QUESTION
from .toy_decoder import LIMIT, PAIRS, SIZES, asked, write_ranker

GOLDEN = json.loads(Path(__file__).with_name("golden_decoders.json").read_text())
QUERY, DOCUMENT = PAIRS[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ranker(tmp_path_factory.mktemp("ranker"))


@pytest.fixture(scope="module")
def ranker(folder: Path) -> Ranker:
    made = pipeline("text-ranking", model=folder)
    assert isinstance(made, Ranker)
    return made


def differences(model: Any, folder: Path, pairs: list[tuple[str, str]], limit: int = LIMIT) -> np.ndarray:
    """How much more the model alone gives "yes" than "no" behind each question."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    no, yes = (tokenizer.convert_tokens_to_ids(word) for word in ("no", "yes"))
    found = []
    for ids in asked(pairs, tokenizer, asking.INSTRUCTION, limit):
        padded = np.array([ids + [0] * (LIMIT - len(ids))])  # tokens see what is before them alone
        scores = np.asarray(model(padded).logits[0, len(ids) - 1], np.float32)
        found.append(scores[yes] - scores[no])
    return np.array(found)


@pytest.mark.parametrize("packed", [False, True])
def test_scores_are_torchs(packed: bool, ranker: Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    if packed:
        monkeypatch.setattr(shapes, "token_budget", lambda platform: 2 * LIMIT)
    np.testing.assert_allclose(ranker.predict(PAIRS), GOLDEN["odds"], atol=1e-5)
    np.testing.assert_allclose(ranker.predict(PAIRS, instruction="Find the note"), GOLDEN["instructed"], atol=1e-5)
    np.testing.assert_allclose(ranker.predict(PAIRS[:5], batch_size=2), GOLDEN["odds"][:5], atol=1e-5)


def test_documents_in_their_order(ranker: Ranker, folder: Path) -> None:
    documents = [document for query, document in PAIRS if query == QUERY]
    scores = GOLDEN["odds"][: len(documents)]
    best = sorted(range(len(documents)), key=lambda i: -scores[i])
    ranked = ranker.rank(QUERY, documents, return_documents=True)
    assert [(one["corpus_id"], one["text"]) for one in ranked] == [(i, documents[i]) for i in best]
    np.testing.assert_allclose([one["score"] for one in ranked], sorted(scores)[::-1], atol=1e-5)
    other = ranker.rank(QUERY, documents, instruction="Find the note", top_k=1)
    np.testing.assert_allclose(other[0]["score"], max(GOLDEN["instructed"][: len(documents)]), atol=1e-5)
    settled = pipeline("rerank", model=folder, instruction="Find the note")
    np.testing.assert_allclose(settled.predict(PAIRS[0]), GOLDEN["instructed"][0], atol=1e-5)
    given = {"query": QUERY, "documents": documents}
    assert [one["corpus_id"] for one in next(iter(ranker(iter([given]))))] == best
    assert ranker.rank(QUERY, []) == []
    assert ranker.predict([]).shape == (0,)


def test_identity_gives_differences_of_logits(ranker: Ranker, folder: Path) -> None:
    expected = differences(Qwen3ForCausalLM.from_pretrained(folder), folder, PAIRS)
    np.testing.assert_allclose(ranker.predict(PAIRS, activation_fn="Identity"), expected, atol=1e-4)


def test_long_documents_lose_their_end(ranker: Ranker, folder: Path) -> None:
    """What stands before and behind them stays; where that leaves nothing, it is said."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pair = ("query", "cut " * LIMIT)
    (whole,) = asked([pair], tokenizer, asking.INSTRUCTION, 10_000)
    (cut,) = asked([pair], tokenizer, asking.INSTRUCTION, 200)
    behind = len(tokenizer("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")["input_ids"])
    assert cut == whole[: 200 - behind] + whole[-behind:]
    expected = differences(Qwen3ForCausalLM.from_pretrained(folder), folder, [pair], 200)
    ours = ranker.predict(pair, max_length=200, activation_fn="Identity")
    np.testing.assert_allclose(ours, expected[0], atol=1e-4)
    taken = len(whole) - len(tokenizer(pair[1])["input_ids"])
    for options in ({"max_length": taken - 1}, {"instruction": "more " * LIMIT}):
        with pytest.raises(
            ValueError, match=rf"the \d+ tokens in front .* the {behind} that its template writes behind leave"
        ):
            ranker.predict([pair], **{"max_length": LIMIT} | options)


HEADS: dict[str, Any] = {
    "untied": (Qwen3ForCausalLM, None, {"tie_word_embeddings": False}),
    "bias": (PhiForCausalLM, PhiConfig, {"num_key_value_heads": 4, "tie_word_embeddings": False}),
    "capped": (Gemma2ForCausalLM, Gemma2Config, {"query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0}),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_of_other_decoders(name: str, tmp_path: Path) -> None:
    cls, config, fields = HEADS[name]
    write_ranker(tmp_path, **({} if config else fields))
    if config:
        words = AutoTokenizer.from_pretrained(tmp_path)
        sizes = {field: SIZES[field] for field in SIZES if field != "head_dim" or cls is Gemma2ForCausalLM}
        model = cls(config(**sizes | fields | {"vocab_size": len(words)}), key=jax.random.key(2))
        draw = np.random.RandomState(0)
        model = jax.tree.map(lambda x: np.asarray(x) + draw.randn(*x.shape).astype(np.float32) / 8, model)
        model.save_pretrained(tmp_path)
    pairs = PAIRS[:3]
    ranker = pipeline("text-ranking", model=tmp_path)
    expected = differences(cls.from_pretrained(tmp_path), tmp_path, pairs)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(ranker.predict(pairs, activation_fn="Identity"), expected, atol=1e-4)
    assert type(ranker.model) is cls  # as it was loaded: it can be saved, and go on writing


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int8_weight_only", "int4_weight_only"])
def test_fewer_bits_are_near(dtype: str, ranker: Ranker, folder: Path) -> None:
    near = pipeline("text-ranking", model=folder, dtype=dtype)
    np.testing.assert_allclose(near.predict(PAIRS[:3]), ranker.predict(PAIRS[:3]), atol=0.2 if "int4" in dtype else 0.1)


def test_a_model_that_is_made_already(ranker: Ranker, folder: Path) -> None:
    model, tokenizer = Qwen3ForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    made = pipeline("text-ranking", model=model, tokenizer=tokenizer)
    np.testing.assert_allclose(made.predict(PAIRS[:2]), ranker.predict(PAIRS[:2]), atol=1e-6)


def test_who_cannot_answer_is_refused(ranker: Ranker, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the tokenizer has none for \['yes', 'no'\]"):
        pipeline("text-ranking", model=write_ranker(tmp_path / "mute", answers=False))
    with pytest.raises(ValueError, match="instruction=5: expected a text"):
        ranker.predict(PAIRS, instruction=5)  # type: ignore[arg-type]
    encoder = pipeline("text-ranking", model=write_classifier(tmp_path / "encoder", 5, num_labels=1))
    with pytest.raises(TypeError, match="takes no 'instruction'"):
        encoder.rank("q", ["a"], instruction="b")


def test_questions_that_cannot_be_asked(tmp_path: Path) -> None:
    """A template that drops the pair, and words that the model does not have."""
    for name, template, words, message in (
        ("template", "{{ messages[0].role }}", [70, 71], "does not show what a 'query' and a 'document' say"),
        ("words", QUESTION, [70, 10**6], r"LogitScore reads the tokens \[70, 1000000\], and the model has"),
    ):
        case = dataclasses.replace(FOLDERS["a decoder that is asked"], template=template)
        folder = case.write(tmp_path / name)
        said = {"true_token_id": words[0], "false_token_id": words[1]}
        (folder / "1_LogitScore" / "config.json").write_text(json.dumps(said))
        with pytest.raises(ValueError, match=message):
            pipeline("text-ranking", model=folder)


def test_a_long_document_loses_its_end_in_a_template_too(tmp_path: Path) -> None:
    """What the folder's template writes behind it stays."""
    ranker = pipeline("text-ranking", model=FOLDERS["a decoder that is asked"].write(tmp_path))
    assert isinstance(ranker, Ranker)
    tokenizer = ranker.tokenizer
    chat = (("query", "a"), ("document", "yes " * 100))
    rows = [ranker._task.settings.transformer.chat.rows([chat], tokenizer, size)[0] for size in (1000, 60)]
    end = tokenizer("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    assert rows[1] == [*rows[0][: 60 - len(end)], *end]
    free = dataclasses.replace(ranker._task.settings.transformer.chat, keeps_end=False)
    assert free.rows([chat], tokenizer, 60) == [rows[0][:60]]
    with pytest.raises(ValueError, match="leave nothing of the 20 tokens"):
        ranker.predict(("a", "yes " * 100), max_length=20)


def test_a_decoder_with_a_classifier_reads_texts_as_they_are(tmp_path: Path) -> None:
    """As published conversions of rerankers have it: who calls them writes the prompt."""
    write_ranker(tmp_path, Qwen3ForSequenceClassification, num_labels=1)
    ranker = pipeline("text-ranking", model=tmp_path)
    model, tokenizer = Qwen3ForSequenceClassification.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    for pair, ours in zip(PAIRS[:2], ranker.predict(PAIRS[:2], activation_fn="Identity"), strict=True):
        (logits,) = np.asarray(model(np.array([tokenizer(*pair)["input_ids"]])).logits)
        np.testing.assert_allclose(ours, logits[0], atol=1e-4)
