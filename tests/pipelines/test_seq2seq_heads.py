"""Pipelines over encoder-decoders with heads, and encoders of T5: each text gets what its row gets alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

import jaxformers
from jaxformers import pipeline

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
TEXTS = ["abc def", "some longer text, of many words", "x"]


def written(model: Any, folder: Path) -> Path:
    """A checkpoint whose rows are "<s> text </s>" and "<s> text </s></s> text </s>", of bytes."""
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = tokenizers.Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    model.save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def bart(head: str, **fields: Any) -> Any:
    sizes = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in
             (("layers", 2), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
    config = jaxformers.BartConfig(
        vocab_size=260, d_model=16, max_position_embeddings=130, **sizes, init_std=0.3, **fields
    )
    return getattr(jaxformers, f"Bart{head}")(config)


def t5(name: str, **fields: Any) -> Any:
    cls = getattr(jaxformers, name)
    sizes = {"vocab_size": 260, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    tokens = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0}
    return cls(cls.config_class(**sizes, **tokens, **fields))


def row(pipe: Any, *texts: str) -> dict[str, np.ndarray]:
    encoded = pipe.tokenizer(*texts, return_tensors="np")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def softmax(x: Any) -> np.ndarray:
    odds = np.exp(np.asarray(x, np.float64) - np.max(x))
    return odds / odds.sum()


def test_zero_shot_with_the_class_of_the_default_model(tmp_path: Path) -> None:
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    folder = written(bart("ForSequenceClassification", id2label=labels), tmp_path)
    pipe = pipeline("zero-shot-classification", folder)
    assert type(pipe.model).__name__ == "BartForSequenceClassification"
    chosen = ["tea", "a longer name", "fun"]
    for text, found in zip(TEXTS, pipe(TEXTS, candidate_labels=chosen), strict=True):
        rows = [row(pipe, text, f"This example is {label}.") for label in chosen]
        logits = [np.asarray(pipe.model(**one).logits)[0] for one in rows]
        scores = softmax([entailed[2] for entailed in logits])
        order = np.argsort(-scores)
        assert found["labels"] == [chosen[i] for i in order]
        np.testing.assert_allclose(found["scores"], scores[order], rtol=1e-4)
    several = pipe(TEXTS[0], candidate_labels=chosen, multi_label=True)
    logits = np.asarray(pipe.model(**row(pipe, TEXTS[0], "This example is tea.")).logits)[0]
    assert several["scores"][several["labels"].index("tea")] == pytest.approx(softmax(logits[[0, 2]])[1], rel=1e-4)


@pytest.mark.parametrize("kind", ["bart", "T5", "UMT5"])
def test_texts_are_classified(kind: str, tmp_path: Path) -> None:
    head = "ForSequenceClassification"
    model = bart(head, num_labels=3) if kind == "bart" else t5(f"{kind}{head}", num_labels=3)
    pipe = pipeline(model=written(model, tmp_path))
    assert pipe.task == "text-classification"
    for text, found in zip(TEXTS, pipe(TEXTS, top_k=None), strict=True):
        scores = softmax(pipe.model(**row(pipe, text)).logits[0])
        by_label = {one["label"]: one["score"] for one in found}
        np.testing.assert_allclose([by_label[f"LABEL_{i}"] for i in range(3)], scores, rtol=1e-4)


@pytest.mark.parametrize("kind", ["bart", "T5"])
def test_questions_are_answered(kind: str, tmp_path: Path) -> None:
    head = "ForQuestionAnswering"
    pipe = pipeline(model=written(bart(head) if kind == "bart" else t5(f"{kind}{head}"), tmp_path))
    question, context = "who?", "it was a cat"
    found = pipe(question=question, context=context, max_answer_len=20, align_to_words=False)
    out = pipe.model(**row(pipe, question, context))
    ids = row(pipe, question, context)["input_ids"][0]
    first = len(ids) - 1 - len(context)
    seen = np.zeros(len(ids), bool)
    seen[first : len(ids) - 1] = True
    chances = [softmax(np.where(seen, np.asarray(x)[0], -1e9)) for x in (out.start_logits, out.end_logits)]
    scores = np.triu(np.outer(*chances))[first:-1, first:-1]
    start, end = np.unravel_index(scores.argmax(), scores.shape)
    assert (found["start"], found["end"]) == (start, end + 1)
    assert found["score"] == pytest.approx(scores.max(), rel=1e-3)


def test_tokens_are_classified_by_an_encoder_alone(tmp_path: Path) -> None:
    pipe = pipeline(model=written(t5("MT5ForTokenClassification", num_labels=4), tmp_path))
    assert pipe.task == "token-classification"
    for text, found in zip(TEXTS, pipe(TEXTS, ignore_labels=[]), strict=True):
        logits = np.asarray(pipe.model(**row(pipe, text)).logits)[0, 1:-1]
        assert [one["entity"] for one in found] == [f"LABEL_{i}" for i in logits.argmax(-1)]


def test_decoders_alone_write(tmp_path: Path) -> None:
    pipe = pipeline("text-generation", written(bart("ForCausalLM"), tmp_path))
    ids = row(pipe, TEXTS[0])["input_ids"][:, :-1]
    rows = pipe.model.generate(ids, max_new_tokens=4, do_sample=False)
    (found,) = pipe(
        ["<s>" + TEXTS[0]], max_new_tokens=4, do_sample=False, add_special_tokens=False, return_tensors=True
    )
    assert found[0]["generated_token_ids"] == np.asarray(rows)[0].tolist()


@pytest.mark.parametrize("name", ["T5EncoderModel", "MT5EncoderModel", "UMT5EncoderModel"])
def test_sentence_t5_embeds(name: str, tmp_path: Path) -> None:
    """Transformer, mean, a dense layer without bias, and vectors of length one."""
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": "" if not i else f"{i}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    for number, kind in enumerate(kinds[1:], 1):
        (tmp_path / f"{number}_{kind}").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    dense = {
        "in_features": 16,
        "out_features": 12,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (tmp_path / "2_Dense" / "config.json").write_text(json.dumps(dense))
    weight = np.random.RandomState(0).standard_normal((12, 16)).astype(np.float32)
    safetensors.numpy.save_file({"linear.weight": weight}, tmp_path / "2_Dense" / "model.safetensors")
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64, "do_lower_case": False}))
    pipe = pipeline("text-embedding", written(t5(name), tmp_path))
    assert type(pipe.model).__name__ == name
    for text, found in zip(TEXTS, np.asarray(pipe.encode(TEXTS)), strict=True):
        states = np.asarray(pipe.model(**row(pipe, text))[0])[0]
        vector = weight @ states.mean(0)
        np.testing.assert_allclose(found, vector / np.linalg.norm(vector), atol=1e-5)
    tokens = pipeline("feature-extraction", tmp_path)(TEXTS)
    for text, found in zip(TEXTS, tokens, strict=True):
        np.testing.assert_allclose(found, pipe.model(**row(pipe, text))[0], atol=1e-4)
