"""Chats to rows: the labels are what the assistant says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy_writer

from jaxformers import AutoTokenizer
from jaxformers.layers.losses import IGNORED
from jaxformers.training import chats

BLOCKS = (
    "{% for message in messages %}<{{ message.role }}>"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}|{% endgeneration %}"
    "{% else %}{{ message.content }}|{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
FORGETS = (
    "{% for message in messages %}{% if loop.last or message.role == 'user' %}{{ message.content }}{% endif %}"
    "{% endfor %}"
)
CHAT = [
    {"role": "user", "content": "Hi there"},
    {"role": "assistant", "content": "Yes"},
    {"role": "user", "content": "No"},
    {"role": "assistant", "content": "Bye now"},
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each letter is a token."""
    return AutoTokenizer.from_pretrained(toy_writer.write(tmp_path_factory.mktemp("toy")))


def said(tokenizer: Any, labels: list[int]) -> str:
    """What counts, with a _ for what does not."""
    return "".join("_" if label == IGNORED else tokenizer.decode([label]) for label in labels)


@pytest.mark.parametrize("template", [toy_writer.TEMPLATE, BLOCKS], ids=["turns", "blocks"])
def test_only_what_the_assistant_says_counts(tokenizer: Any, template: str) -> None:
    one, two = chats.spoken(tokenizer, [CHAT, CHAT[:2]], chat_template=template)
    whole = "<user>Hi there|<assistant>Yes|<user>No|<assistant>Bye now|"
    assert tokenizer.decode(one["input_ids"]) == whole
    blank = ["_" * len(part) for part in ("<user>Hi there|<assistant>", "<user>No|<assistant>")]
    assert said(tokenizer, one["labels"]) == f"{blank[0]}Yes|{blank[1]}Bye now|"
    assert said(tokenizer, two["labels"]) == f"{blank[0]}Yes|"
    assert all(label in (IGNORED, token) for token, label in zip(one["input_ids"], one["labels"], strict=True))


def test_long_chats_lose_their_end(tokenizer: Any) -> None:
    (row,) = chats.spoken(tokenizer, [CHAT], max_length=28)
    assert len(row["input_ids"]) == 28
    assert said(tokenizer, row["labels"]).strip("_") == "Ye"


def test_no_chats_are_no_rows(tokenizer: Any) -> None:
    assert chats.spoken(tokenizer, []) == []


@pytest.mark.parametrize(
    ("chat", "template", "reason"),
    [
        (CHAT[:1], None, "chat 1 has no message of the assistant"),
        (CHAT[1:], None, "chat 1 begins with the assistant"),
        (CHAT, FORGETS, "chat 0: the chat template writes what stands before message 1 otherwise"),
    ],
)
def test_chats_that_cannot_be_learnt_from(tokenizer: Any, chat: Any, template: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        chats.spoken(tokenizer, [CHAT, chat], chat_template=template)


def test_a_tokenizer_without_a_template_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no chat template"):
        chats.spoken(AutoTokenizer.from_pretrained(toy_writer.write(tmp_path, chats=False)), [CHAT])
