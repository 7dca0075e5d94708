"""Decoders as encoders of texts, in the files of Qwen3-Embedding: the state of the end that closes each text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jaxformers import AutoTokenizer, Qwen3ForCausalLM, Qwen3Model, pipeline
from jaxformers.pipelines import shapes
from jaxformers.pipelines.text_embedding import Embedder

from .toy_decoder import QUERY, SHORT, TEXTS, write_embedder

GOLDEN = {
    name: np.array(values)
    for name, values in json.loads(Path(__file__).with_name("golden_decoders.json").read_text()).items()
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="module")
def embed(folder: Path) -> Embedder:
    made = pipeline("text-embedding", model=folder)
    assert isinstance(made, Embedder)
    return made


def last_states(folder: Path, texts: list[str], limit: int) -> np.ndarray:
    """The model alone on each text's own tokens: its last state, of length 1."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), Qwen3Model.from_pretrained(folder)
    end, found = tokenizer.convert_tokens_to_ids("<|endoftext|>"), []
    for text in texts:
        ids = [*tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"][: limit - 1], end]
        padded = np.array([ids + [0] * (SHORT - len(ids))])  # tokens see what is before them alone
        found.append(np.asarray(model(padded).last_hidden_state[0, len(ids) - 1]))
    return np.stack([x / np.linalg.norm(x) for x in found])


@pytest.mark.parametrize("packed", [False, True])
def test_vectors_are_torchs(packed: bool, embed: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    if packed:
        monkeypatch.setattr(shapes, "token_budget", lambda platform: 2 * SHORT)
    np.testing.assert_allclose(embed.encode(TEXTS), GOLDEN["plain"], atol=1e-5)
    np.testing.assert_allclose(embed.encode_document(TEXTS), GOLDEN["plain"], atol=1e-5)
    np.testing.assert_allclose(embed.encode_query(TEXTS), GOLDEN["query"], atol=1e-5)
    np.testing.assert_allclose(embed.encode(TEXTS, prompt=QUERY), GOLDEN["query"], atol=1e-5)
    np.testing.assert_allclose(embed.encode(TEXTS, truncate_dim=9), GOLDEN["plain"][:, :9], atol=1e-5)
    np.testing.assert_allclose(embed.encode(TEXTS[:5], batch_size=2), GOLDEN["plain"][:5], atol=1e-5)
    np.testing.assert_allclose(embed.encode(TEXTS[3]), GOLDEN["plain"][3], atol=1e-5)


def test_the_end_survives_where_texts_are_cut(folder: Path) -> None:
    embed = pipeline("text-embedding", model=folder, max_length=8)
    np.testing.assert_allclose(embed.encode(TEXTS[-1:]), last_states(folder, TEXTS[-1:], 8), atol=1e-5)
    assert embed.encode(TEXTS[-1], output_value="token_embeddings").shape == (8, 32)


def test_the_same_from_a_checkpoint_that_writes(embed: Embedder, folder: Path, tmp_path: Path) -> None:
    """Arrays under the prefix that a model with a head has, and a limit in the transformer's own file."""
    write_embedder(tmp_path)
    base = Qwen3Model.from_pretrained(folder)
    Qwen3ForCausalLM(base.config, params=base.params | {"head": {}}).save_pretrained(tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 6, "do_lower_case": False}))
    again = pipeline("text-embedding", model=tmp_path)
    np.testing.assert_allclose(again.encode(TEXTS[1:3]), embed.encode(TEXTS[1:3]), atol=1e-6)
    np.testing.assert_allclose(again.encode(TEXTS[-1:]), last_states(folder, TEXTS[-1:], 6), atol=1e-5)
