"""Real weights beside torch's pipeline, by hand: `pytest -m heavy tests/pipelines/test_real_generation.py -n 0`.

JAXFORMERS_ORACLE   a Python with torch Transformers 4.57 (the `parity` extra)
JAXFORMERS_WRITERS  models that generate, separated as in PATH: folders or GGUF files; chats need a template of theirs
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxformers import AutoModelForCausalLM, AutoTokenizer, pipeline

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("optimised")]

THEIRS = """
import json, sys
import torch, transformers
job = json.load(sys.stdin)
write = transformers.pipeline("text-generation", model=job["folder"], dtype=torch.float32, device="cpu")
answers = []
for inputs, options in job["calls"]:
    if "stop_strings" in options:
        options["tokenizer"] = write.tokenizer
    answers.append(write(inputs, **options))
print(json.dumps(answers))
"""

TEXTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n    ",
    "Water boils at",
    "Dear Sir or Madam,\n\n",
    "1, 2, 3, 4,",
    "The quick brown fox",
    "My favourite book is",
    "Q: What is the largest planet?\nA:",
    "In 1969,",
    "Roses are red, violets are",
    "To make bread, you need",
    "The meeting was postponed because",
    "Ein schöner Tag beginnt mit",
    "import numpy as np\n\nx = np.",
    "She opened the door and",
    "The three laws of motion are:\n1.",
    "A recipe for soup:",
    "According to the report, sales in the third quarter rose by 4.2 per cent, which",
    "x",
]

GREEDY = {"do_sample": False, "max_new_tokens": 64}
SHORT = {"do_sample": False, "max_new_tokens": 12}


def said(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """A chat in which user and assistant speak by turns."""
    turns = [{"role": ("user", "assistant")[number % 2], "content": content} for number, content in enumerate(contents)]
    return turns if system is None else [{"role": "system", "content": system}, *turns]


CHATS = [
    said("What is the capital of France?"),
    said("Name three colours.", system="You answer in one line."),
    said("Hi!", "Hello, how can I help you?", "Tell me a joke."),
    said("Who wrote Hamlet?", "Hamlet was written by"),
    said("How many legs has a spider?", system="You are a pirate."),
]

CALLS: list[tuple[Any, dict[str, Any]]] = [
    (TEXTS, GREEDY),
    (CHATS, GREEDY),
    *((chat, {**SHORT, "return_full_text": False}) for chat in CHATS),
    (CHATS[3], {**SHORT, "continue_final_message": False}),
    (TEXTS[0], SHORT),
    (TEXTS[:3], {**SHORT, "return_full_text": False}),
    (TEXTS[:3], {**SHORT, "return_tensors": True}),
    (TEXTS[3], {**SHORT, "clean_up_tokenization_spaces": False}),
    (CHATS[0], {**GREEDY, "skip_special_tokens": False, "return_full_text": False}),
    (TEXTS[4:6], {**SHORT, "prefix": "This is a letter. "}),
    ("", SHORT),
    (TEXTS[5], {**GREEDY, "stop_strings": ["12, 13"]}),
    (TEXTS[1], {**GREEDY, "stop_strings": [" who", " had"], "return_full_text": False}),
    (TEXTS[18], {**SHORT, "truncation": True, "max_length": 6}),
    (TEXTS[:4], {**SHORT, "num_beams": 3, "num_return_sequences": 2}),
    (TEXTS[6:9], {**GREEDY, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3}),
    (CHATS[0], {**SHORT, "tokenizer_encode_kwargs": {"tools": None}}),
]


def is_chat(inputs: Any) -> bool:
    """Whether a call's inputs are a chat or several."""
    return isinstance(inputs, list) and not isinstance(inputs[0], str)


def path_of(name: str) -> str:
    """A path from the environment."""
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    return os.environ[name]


@pytest.mark.parametrize("name", os.environ.get("JAXFORMERS_WRITERS", "none").split(os.pathsep))
def test_answers_are_torchs(name: str, tmp_path: Path) -> None:
    path_of("JAXFORMERS_WRITERS")
    AutoModelForCausalLM.from_pretrained(name, dtype="float32").save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.save_pretrained(tmp_path)
    chats = tokenizer.chat_template is not None
    calls = [(inputs, options) for inputs, options in CALLS if chats or not is_chat(inputs)]
    done = subprocess.run(
        [path_of("JAXFORMERS_ORACLE"), "-c", THEIRS],
        input=json.dumps({"folder": str(tmp_path), "calls": calls}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    write = pipeline("text-generation", model=tmp_path, dtype="float32")
    wrong = []
    with jax.default_matmul_precision("highest"):
        for (inputs, options), theirs in zip(calls, json.loads(done.stdout.splitlines()[-1]), strict=True):
            ours = write(inputs, **options)
            if ours != theirs:
                wrong.append((inputs, options, ours, theirs))
    for inputs, options, ours, theirs in wrong:
        print(inputs, options, "ours:", ours, "theirs:", theirs, sep="\n  ")
    assert not wrong
