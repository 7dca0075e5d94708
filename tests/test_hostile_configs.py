"""A config.json that means harm, or is broken, ends at once in an error that names the field; nothing is allocated."""

from __future__ import annotations

import json
import math
import resource
import time

import pytest
from safetensors.numpy import load_file, save_file

from jaxformers import AutoModelForSequenceClassification, registry

DEEP: list = []
for _ in range(500):
    DEEP = [DEEP]

# What is changed in a sound config → what the error must name.
HUGE = 10**400
NUMBERS = (-1, 10**9, 2**31, 2**63, HUGE, 1.5, math.nan, math.inf, "32", "x", None, [], [32], {"a": 1}, True)
VALUES = {
    **dict.fromkeys(("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size"), (0, *NUMBERS)),
    "max_position_embeddings": (0, *NUMBERS),
    "num_hidden_layers": NUMBERS,
    "type_vocab_size": (0, -2, 10**9, "2", None),
    "hidden_dropout_prob": (-0.1, 1.1, math.nan, "0.1", None, HUGE),
    "attention_probs_dropout_prob": (-0.1, 1.1, math.nan, "0.1", None, HUGE),
    "layer_norm_eps": (-1e-12, math.nan, math.inf, "1e-12", None, [1e-12]),
    "initializer_range": ("x", -1, math.nan, None, HUGE),
    "hidden_act": ("os.system", "", None, 5, ["gelu"], {"gelu": 1}, "gelu" * 10**5),
    "pad_token_id": (96, -2, 10**30, 1.0, "0", [0]),
    "id2label": ([], 5, "ab", {"x": "a"}, {"-1": "a"}, {"0": ["a"]}, {"0": DEEP}, {"9" * 4000: "a"}),
    "label2id": (5, [], "ab"),
    "problem_type": ("none such", 5, ["regression"]),
    "position_embedding_type": ("relative_key", 5, []),
    "is_decoder": (True, "yes", 1, []),
    "tie_word_embeddings": ("yes", 1, None),
    "pruned_heads": ({"0": [1]}, DEEP),
    "quantization_config": ({"quant_method": "gptq"},),
    "architectures": (5, "BertModel", [1], {}),
    "torch_dtype": (5, [], {"a": 1}),
    "output_attentions": ("yes", 1, []),
    "model_type": (None, 5, [], "", "x", "../../x", "os", "/etc/passwd", "bert/../os", "a" * 10**6),
}
NAMELESS = {"id2label": None, "label2id": None}
CASES = [({field: value}, field) for field, values in VALUES.items() for value in values]
CASES += [({**NAMELESS, "num_labels": value}, "num_labels") for value in (-1, 10**9, "2", 2.0, [2])]
CASES += [({**NAMELESS, "label2id": {"a": value}}, "label2id") for value in (-1, "x", [0], None)]
CASES += [
    ({**NAMELESS, "num_labels": 7}, "num_labels=7"),
    ({"id2label": {str(i): "x" for i in range(3000)}}, "num_labels=3000"),
    ({"model_type": "mine", "auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
    ({"model_type": "distilbert"}, "another architecture"),
]


def texts(sound):
    """Files that are no JSON object, or a strange one."""
    yield b"", "config.json"
    yield b"{", "config.json"
    yield b"null", "config.json"
    yield b"[]", "config.json"
    yield b"\xff\xfe\x00", "config.json"
    yield b"[" * 10**6, "config.json"
    yield b'{"a":' * 10**5, "config.json"
    yield json.dumps(sound).encode()[:-10], "config.json"
    yield json.dumps(sound).replace(": 96", ": " + "1" * 5000).encode(), "config.json"  # more digits than Python reads


@pytest.fixture(scope="module")
def checkpoint(toy_model, tmp_path_factory):
    """A folder whose weights are sound but for the head, so that what the config says of the head counts."""
    folder = tmp_path_factory.mktemp("hostile")
    toy_model.save_pretrained(folder)
    return folder, json.loads((folder / "config.json").read_text())


def refused(folder, name, **keywords):
    """The one error that loading ends in, soon, small and readable."""
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    with pytest.raises((OSError, ValueError, KeyError)) as caught:
        AutoModelForSequenceClassification.from_pretrained(folder, **keywords)
    message = str(caught.value)
    assert name in message, message[:300]
    assert "\n" not in message
    assert len(message) < 2000
    assert time.thread_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # KiB


def test_hostile_fields_are_refused_by_name(checkpoint):
    folder, sound = checkpoint
    assert len(CASES) > 60
    path = folder / "config.json"
    for changes, name in CASES:
        path.write_text(json.dumps({**sound, **changes}))
        refused(folder, name)
    path.write_text(json.dumps(sound))
    assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_labels == 2


def test_files_that_are_no_config_are_refused_by_path(checkpoint):
    folder, sound = checkpoint
    for text, name in texts(sound):
        (folder / "config.json").write_bytes(text)
        refused(folder, name)
    (folder / "config.json").unlink()
    refused(folder, "config.json")
    (folder / "config.json").mkdir()
    refused(folder, "config.json")
    (folder / "config.json").rmdir()
    (folder / "config.json").symlink_to("/etc/hostname")
    refused(folder, "config.json")
    (folder / "config.json").unlink()
    with open(folder / "config.json", "wb") as file:
        file.truncate(10**10)  # ten gigabytes of nothing
    refused(folder, "config.json")
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(sound))


def test_arrays_that_the_file_lacks_are_not_made_larger_than_the_machine(checkpoint, tmp_path):
    folder, sound = checkpoint
    arrays = {name: x for name, x in load_file(folder / "model.safetensors").items() if ".layer." in name}
    save_file(arrays, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**sound, "vocab_size": 2**31 - 1}))
    refused(tmp_path, "vocab_size")
    refused(tmp_path, "vocab_size", ignore_mismatched_sizes=True)


def test_fields_that_shadow_methods_or_python_names_do_no_harm(checkpoint, tmp_path):
    folder, sound = checkpoint
    odd = {"self": 1, "replace": "x", "bare": [], "check": None, "rest": {}, "_rest": "{", "_key": [], "_hints": 5}
    odd |= {"__class__": "x", "__dict__": {}, "__jax_array__": 1, "": 2, "a b": 3, "to_dict": 4, "aliases": {"a": "b"}}
    (folder / "config.json").write_text(json.dumps({**sound, **odd}))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert {name: written[name] for name in odd} == odd
    (folder / "config.json").write_text(json.dumps(sound))


def test_no_model_type_is_ever_looked_for_outside_the_folder_of_models(monkeypatch):
    asked = []
    monkeypatch.setattr(registry.importlib, "import_module", lambda name, *rest: asked.append(name))
    for model_type in ("os", "../auto", "auto", "bundle", ".bert", "bert;os", "bert os", "models.bert", "bert\0"):
        with pytest.raises(ValueError, match="no architecture"):
            registry.config_class(model_type)
    assert asked == []
