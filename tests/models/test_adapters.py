"""Jina v3's tasks: what they add to each row is what weights would give into which they are merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import jaxformers

from . import rule
from .architectures import ARCHITECTURES

TASKS = ("retrieval.query", "retrieval.passage", "separation")
FIELDS = {
    **ARCHITECTURES["jina_embeddings_v3"].config,
    "lora_adaptations": TASKS,
    "lora_rank": 3,
    "lora_alpha": 2.0,
    "rotary_emb_base": 20000.0,
}
AUTO_MAP = {"AutoConfig": "jinaai/xlm-roberta-flash-implementation--configuration_xlm_roberta.XLMRobertaFlashConfig"}
IDS = np.random.RandomState(0).randint(5, 67, (4, 9)).astype(np.int32)
TYPES = (IDS % 2).astype(np.int32)
ROWS = np.array([2, 0, 1, 2], np.int32)
MIDDLE = ".parametrizations.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the Hub has it: the words of its own code, weights of tasks of the size of the others'."""
    path = tmp_path_factory.mktemp("jina")
    model = jaxformers.JinaEmbeddingsV3ForMaskedLM(jaxformers.JinaEmbeddingsV3Config(**FIELDS))
    model.save_pretrained(path)
    base = jaxformers.JinaEmbeddingsV3Model(model.config)
    base.save_pretrained(path / "base")
    arrays = safetensors.numpy.load_file(path / "model.safetensors")
    pooler = safetensors.numpy.load_file(path / "base" / "model.safetensors")
    shapes = {name: a.shape for name, a in arrays.items()}
    shapes |= {f"roberta.{name}": a.shape for name, a in pooler.items() if name.startswith("pooler")}
    filled = {name: rule.fill(name, shape) for name, shape in shapes.items()}
    safetensors.numpy.save_file(filled, path / "model.safetensors")
    config = json.loads((path / "config.json").read_text())
    config |= {"model_type": "xlm-roberta", "auto_map": AUTO_MAP, "position_embedding_type": "rotary"}
    config["task_instructions"] = {"retrieval.query": "ask : ", "retrieval.passage": "", "separation": ""}
    (path / "config.json").write_text(json.dumps(config))
    return path


def merged(folder: Path, task: int, to: Path) -> Path:
    """The checkpoint with one task's additions in its weights, and no tasks."""
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    plain = {name: a for name, a in arrays.items() if MIDDLE not in name}
    for name, array in arrays.items():
        if name.endswith(f"{MIDDLE}.original"):
            path = name.removesuffix(f"{MIDDLE}.original")
            a, b = (arrays[f"{path}{MIDDLE}.0.lora_{which}"][task] for which in "AB")
            addition = a @ b if "embeddings" in path else b @ a
            plain[f"{path}.weight"] = array + np.float32(2 / 3) * addition
    to.mkdir()
    config = json.loads((folder / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | {"lora_adaptations": None, "task_instructions": None}))
    safetensors.numpy.save_file(plain, to / "model.safetensors")
    return to


@pytest.mark.parametrize("stacked", [False, True])
def test_each_row_takes_its_own_task(folder: Path, tmp_path: Path, stacked: bool):
    cls = jaxformers.AutoModel
    model = cls.from_pretrained(folder, stacked=stacked)
    batch = {"input_ids": IDS, "token_type_ids": TYPES, "attention_mask": np.ones_like(IDS)}
    out = model(**batch, adapter_mask=ROWS)
    plain = model(**batch)
    for task in range(3):
        one = cls.from_pretrained(merged(folder, task, tmp_path / str(task)))(**batch)
        for key, value in out.items():
            theirs = np.asarray(one[key])[task == ROWS]
            assert np.abs(np.asarray(value)[task == ROWS] - theirs).max() < 1e-5 * np.abs(theirs).max()
            assert np.abs(np.asarray(plain[key])[task == ROWS] - theirs).max() > 0.1 * np.abs(theirs).max()


def test_files_are_written_as_they_were_read(folder: Path, tmp_path: Path):
    model = jaxformers.AutoModelForMaskedLM.from_pretrained(folder)
    assert type(model) is jaxformers.JinaEmbeddingsV3ForMaskedLM
    model.save_pretrained(tmp_path)
    theirs = safetensors.numpy.load_file(folder / "model.safetensors")
    ours = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert ours.keys() == {name for name in theirs if "pooler" not in name}
    for key, array in ours.items():
        np.testing.assert_array_equal(array, theirs[key])
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "xlm-roberta"
    assert written["auto_map"] == AUTO_MAP
    assert written["lora_adaptations"] == list(TASKS)


def test_bfloat16_and_int8_weights_keep_tasks(folder: Path):
    exact = jaxformers.AutoModel.from_pretrained(folder)(IDS, adapter_mask=ROWS).last_hidden_state
    for dtype in ("bfloat16", "int8"):
        out = jaxformers.AutoModel.from_pretrained(folder, dtype=dtype)(IDS, adapter_mask=ROWS).last_hidden_state
        assert np.abs(np.asarray(out, np.float32) - exact).max() < 0.15 * np.abs(exact).max()


def test_what_is_no_task(folder: Path):
    model = jaxformers.AutoModel.from_pretrained(folder)
    for mask, message in (
        ([0, 1, 2, 3], "allowed are 0 to 2"),
        ([0, 1], "shape"),
        ([0, 1, 2, -1], "allowed are 0 to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            model(IDS, adapter_mask=np.array(mask))
    without = jaxformers.JinaEmbeddingsV3Model(jaxformers.JinaEmbeddingsV3Config(**FIELDS | {"lora_adaptations": None}))
    with pytest.raises(ValueError, match="no lora_adaptations"):
        without(IDS, adapter_mask=ROWS)


def test_the_embedding_pipeline_knows_tasks(folder: Path, tmp_path: Path, words: Any):
    for path in (folder, *(merged(folder, task, tmp_path / str(task)) for task in range(2))):
        words(path)
    pipe = jaxformers.pipeline("text-embedding", str(folder))
    asked, passage = (jaxformers.pipeline("text-embedding", str(tmp_path / str(task))) for task in range(2))
    texts = ["a b c", "c a", "b"]
    near = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(
        pipe.encode(texts, task="retrieval.query"), asked.encode([f"ask : {text}" for text in texts]), **near
    )
    np.testing.assert_allclose(pipe.encode_query(texts), pipe.encode(texts, task="retrieval.query"), **near)
    np.testing.assert_allclose(pipe.encode_document(texts), passage.encode(texts), **near)
    np.testing.assert_allclose(pipe.encode(texts, task="retrieval.query", prompt=""), asked.encode(texts), **near)
    assert np.abs(pipe.encode(texts) - pipe.encode(texts, task="separation")).max() > 0.01
    with pytest.raises(ValueError, match=r"retrieval\.query"):
        pipe.encode(texts, task="retrieval")
    with pytest.raises(ValueError, match="no tasks"):
        passage.encode(texts, task="retrieval.query")


@pytest.fixture
def words() -> Any:
    """Writes a tokenizer of few words into a folder."""

    def write(folder: Path) -> None:
        vocabulary = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "ask", ":", "a", "b", "c"]
        (folder / "vocab.txt").write_text("\n".join(vocabulary))
        about = {"tokenizer_class": "BertTokenizer", "pad_token": "<pad>", "unk_token": "<unk>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(about))

    return write
