"""`import jaxformers` costs next to nothing, touches no device, and still shows every name."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jaxformers

ROOT = Path(__file__).parent.parent
STUB = ROOT / "jaxformers" / "__init__.pyi"


def fresh(code: str) -> Any:
    """What `code` prints as JSON in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def stub_names() -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_import_loads_nothing_heavy() -> None:
    loaded = fresh("import sys, json, jaxformers; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))")
    assert not {"flax", "huggingface_hub", "jax", "numpy", "optax", "orbax", "safetensors", "tokenizers", "tqdm"} & set(
        loaded
    )


def test_public_names_load_no_optional_weight_and_no_device() -> None:
    code = """
import json, sys
from jaxformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, pipeline
from jax._src import xla_bridge
print(json.dumps([xla_bridge.backends_are_initialized(), sorted({name.split(".")[0] for name in sys.modules})]))
"""
    initialised, loaded = fresh(code)
    assert not initialised
    assert not {"flax", "huggingface_hub", "optax", "orbax", "safetensors"} & set(loaded)


def test_import_takes_under_150_ms_more_than_jax() -> None:
    code = """
import json, time
import jax
before = time.perf_counter()
import jaxformers
print(json.dumps(time.perf_counter() - before))
"""
    assert min(fresh(code) for _ in range(3)) < 0.15


def test_every_name_of_the_stub_loads() -> None:
    names = stub_names()
    assert {"pipeline", "AutoModelForSequenceClassification", "DistilBertConfig"} <= names
    for name in sorted(names):
        assert getattr(jaxformers, name) is not None, name


def test_dir_lists_names_before_they_are_loaded() -> None:
    listed = fresh("import jaxformers, json; print(json.dumps(dir(jaxformers)))")
    assert {"AutoModel", "AutoTokenizer", "pipeline", "__version__"} <= set(listed)


def test_a_star_imports_what_the_stub_lists() -> None:
    bound = fresh("from jaxformers import *; import json; print(json.dumps(dir()))")
    assert {name for name in bound if not name.startswith("__")} - {"json"} == stub_names() - {"tasks"}


def test_a_name_is_loaded_once() -> None:
    assert jaxformers.BertConfig is jaxformers.BertConfig
    assert "BertConfig" in vars(jaxformers)


@pytest.mark.parametrize("name", ["BertForDancing", "bert_config", "_private", "NoSuchModel", "__wrapped__"])
def test_unknown_names_are_attribute_errors(name: str) -> None:
    assert not hasattr(jaxformers, name)


def test_rooms_are_attributes() -> None:
    assert fresh("import jaxformers, json; print(json.dumps(jaxformers.config.__name__))") == "jaxformers.config"


def test_every_class_is_a_class_statement() -> None:
    """What `inspect.getsource`, grep and an editor's "go to definition" find."""
    for name in sorted(stub_names()):
        value = getattr(jaxformers, name)
        if inspect.isclass(value) and value.__module__.startswith("jaxformers."):
            assert f"class {value.__name__}" in inspect.getsource(value), name
