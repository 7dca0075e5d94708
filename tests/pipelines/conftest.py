"""A toy classifier in a folder: random weights, a vocabulary of letters, real files."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from compiling import quickly

from jaxformers import BertConfig, BertForSequenceClassification, BertTokenizer, Model, Pipeline, pipeline

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


@pytest.fixture(scope="module", autouse=True)
def kept_programs() -> Iterator[None]:
    """None are kept: what is compiled is counted here, whatever ran before."""
    with quickly(jax_enable_compilation_cache=False):
        yield


def write_classifier(
    folder: Path, seed: int = 0, cls: type[Model] = BertForSequenceClassification, **fields: object
) -> Path:
    """Write a toy BERT with a head and its tokenizer; every array is random, norms and biases too."""
    model = cls(BertConfig(**SIZES | fields))
    draw = np.random.RandomState(seed)
    model = jax.tree.map(lambda x: np.asarray(x) + draw.standard_normal(x.shape).astype(np.float32) / 4, model)
    model.save_pretrained(folder)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase]
    (folder / "words.txt").write_text("\n".join(pieces) + "\n")
    BertTokenizer(
        vocab_file=str(folder / "words.txt"), model_max_length=model.config.max_position_embeddings
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("toy"), id2label={0: "NEGATIVE", 1: "POSITIVE"})


@pytest.fixture(scope="session")
def classify(folder: Path) -> Pipeline:
    return pipeline("sentiment-analysis", model=folder)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """120 texts of 3 to 38 tokens, in no order of length."""
    draw = np.random.RandomState(1)
    return [" ".join(draw.choice(list("abcdefgh"), size=draw.randint(1, 37))) for _ in range(120)]


@pytest.fixture(scope="session")
def short(texts: list[str]) -> list[str]:
    """Those of one shape: at most 8 tokens."""
    return [text for text in texts if len(text.split()) <= 6]
