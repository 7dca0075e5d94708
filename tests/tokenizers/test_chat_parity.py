"""The same chats as torch Transformers 4.57, from a golden file that `record_chats.py` made.

By hand, with JAXFORMERS_ORACLE as a Python that has it: many more conversations, drawn at random (`-m heavy`).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import cases
import chats
import lines
import pytest

from jaxformers import hub, tokenizers
from jaxformers.tokenizers import Tokenizer, sandbox, tools

GOLDEN = json.loads((cases.GOLDEN / "chats.json").read_text())


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = chats.write(tmp_path_factory.mktemp("chats"), cases.GOLDEN / "old")
    return tokenizers.load(hub.source_of(folder))


@pytest.mark.parametrize("template", chats.TEMPLATES)
def test_texts_ids_and_masks(template: str, tokenizer: Tokenizer) -> None:
    expected, actual = GOLDEN[template], chats.digests(tokenizer, template)
    names = [case for case in chats.cases() if case[0] == template]
    assert len(actual) == len(expected) == len(names) * lines.SHORT
    wrong = [
        case
        for number, case in enumerate(names)
        if actual[number * lines.SHORT :][: lines.SHORT] != expected[number * lines.SHORT :][: lines.SHORT]
    ]
    assert not wrong, f"{len(wrong)} of {len(names)} differ, the first is {wrong[0]}"
    assert actual.count("-" * lines.SHORT) < len(names) - 20  # what raises says little


def test_every_form_of_call(tokenizer: Tokenizer) -> None:
    for name, told in chats.called(tokenizer).items():
        assert told == GOLDEN["calls"][name], name


def test_schemas_of_functions() -> None:
    assert [json.dumps(tools.schema(function)) for function in chats.FUNCTIONS] == [
        json.dumps(schema) for schema in GOLDEN["schemas"]
    ]


# By hand


def drawn(rng: random.Random) -> list[dict[str, Any]]:
    """A conversation, often one that a template refuses."""
    turns: list[dict[str, Any]] = []
    texts = [text for text in lines.made(200) if text] + [
        "",
        " ",
        "\n",
        "</think>",
        "<think>\na\n</think>\n\nb",
        "{{ x }}",
    ]
    if rng.random() < 0.4:
        turns.append({"role": "system", "content": rng.choice(texts)})
    roles = ["user", "assistant"]
    for number in range(rng.randint(1, 7)):
        role = roles[number % 2] if rng.random() < 0.9 else rng.choice([*roles, "tool", "system", "skip", "other"])
        turn: dict[str, Any] = {"role": role, "content": rng.choice(texts)}
        if rng.random() < 0.1:
            turn["content"] = [{"type": rng.choice(["text", "image"]), "text": rng.choice(texts)}]
        if rng.random() < 0.05:
            turn["content"] = rng.choice([None, 1, {"a": [1.5, True]}])
        if role == "assistant" and rng.random() < 0.2:
            calls = [chats._call("f", {"x": rng.choice(texts), "y": [1]}) for _ in range(rng.randint(1, 2))]
            turn["tool_calls"] = calls
        if role == "tool":
            turn["tool_call_id"] = rng.choice(["abcdefghi", "x"])
        turns.append(turn)
    return turns


@pytest.mark.heavy
@pytest.mark.parametrize("name", chats.TEMPLATES)
def test_random_conversations(name: str) -> None:
    if "JAXFORMERS_ORACLE" not in os.environ:
        pytest.skip("JAXFORMERS_ORACLE is not set")
    rng, asked = random.Random(name), []
    for _ in range(400):
        options: dict[str, Any] = {"add_generation_prompt": rng.random() < 0.5}
        if rng.random() < 0.3:
            options["tools"] = [chats.SCHEMA, *GOLDEN["schemas"]][: rng.randint(0, 5)]
        if rng.random() < 0.3:
            options["documents"] = chats.DOCUMENTS[: rng.randint(0, 2)]
        if rng.random() < 0.3:
            options["enable_thinking"] = rng.random() < 0.5
        asked.append([drawn(rng), options])
    variables = {"bos_token": "<s>", "eos_token": "</s>"}
    done = subprocess.run(
        [os.environ["JAXFORMERS_ORACLE"], str(Path(__file__).with_name("record_chats.py")), "ask"],
        input=json.dumps([chats.TEMPLATES[name], variables, asked]).encode(),
        capture_output=True,
        check=True,
    )
    answered = 0
    for (conversation, options), expected in zip(asked, json.loads(done.stdout), strict=True):
        try:
            given = {"messages": conversation, "tools": None, "documents": None, **variables, **options}
            text = sandbox.render(chats.TEMPLATES[name], given).text
        except ValueError:
            text = None
        assert text == expected, (conversation, options)
        answered += text is not None
    assert answered > 50
