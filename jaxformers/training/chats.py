"""Chats to rows whose labels are what the assistant says, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..layers.losses import IGNORED
from ..tokenizers import chat as templates
from ..tokenizers.text_encoder import TextEncoder
from .examples import Example

Chat = Sequence[Mapping[str, Any]]
"""Messages, each with its role and content."""

ASSISTANT = "assistant"


def spoken(
    tokenizer: TextEncoder, chats: Sequence[Chat], *, max_length: int | None = None, **options: Any
) -> list[Example]:
    """A row for each chat: input_ids, and labels that are -100 but where the assistant speaks.

    What it says is told by the template's `{% generation %}` blocks, or where it has none by what each answer adds to
    the text of the chat before it, the end of its turn with it.

    Args:
        tokenizer: has the chat template.
        chats: each a list of messages.
        max_length: tokens of a row; longer ones lose their end, with the labels there. None: all are kept.
        **options: of `apply_chat_template`, such as tools or variables of the template.

    Raises:
        ValueError: a chat in which no assistant speaks, or a template without blocks that writes a chat's beginning
            otherwise when more follows.
    """
    for place, chat in enumerate(chats):
        if not any(message.get("role") == ASSISTANT for message in chat):
            raise ValueError(f"chat {place} has no message of the {ASSISTANT}: there is nothing to learn from it")
    if not chats:
        return []
    marked = templates.has_generation(tokenizer.get_chat_template(options.get("chat_template"), options.get("tools")))
    masks = _by_blocks if marked else _by_turns
    rows = []
    for ids, mask in masks(tokenizer, chats, options):
        labels = [token if own else IGNORED for token, own in zip(ids, mask, strict=True)]
        rows.append({"input_ids": ids[:max_length], "labels": labels[:max_length]})
    return rows


def _by_blocks(tokenizer: TextEncoder, chats: Sequence[Chat], options: Mapping[str, Any]) -> list[Any]:
    """The ids of each chat, and which of them are the assistant's, as the template says."""
    encoded = tokenizer.apply_chat_template(
        [list(chat) for chat in chats], return_dict=True, return_assistant_tokens_mask=True, **options
    )
    return list(zip(encoded["input_ids"], encoded["assistant_masks"], strict=True))


def _by_turns(tokenizer: TextEncoder, chats: Sequence[Chat], options: Mapping[str, Any]) -> list[Any]:
    """The same, by the characters of its turns."""
    texts = [tokenizer.apply_chat_template(list(chat), tokenize=False, **options) for chat in chats]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    found = []
    for place, (chat, text) in enumerate(zip(chats, texts, strict=True)):
        turns = [
            _turn(tokenizer, chat, i, text, place, options) for i, one in enumerate(chat) if one["role"] == ASSISTANT
        ]
        mask = [
            any(start < last and end > first for first, last in turns)
            for start, end in encoded["offset_mapping"][place]
        ]
        found.append((encoded["input_ids"][place], mask))
    return found


def _turn(
    tokenizer: TextEncoder, chat: Chat, index: int, text: str, place: int, options: Mapping[str, Any]
) -> tuple[int, int]:
    """The characters of a message of the assistant in the text of its chat."""
    if not index:
        raise ValueError(f"chat {place} begins with the {ASSISTANT}: put what it answers in front")
    before = tokenizer.apply_chat_template(list(chat[:index]), tokenize=False, add_generation_prompt=True, **options)
    after = tokenizer.apply_chat_template(list(chat[: index + 1]), tokenize=False, **options)
    if not (text.startswith(after) and after.startswith(before)):
        raise ValueError(
            f"chat {place}: the chat template writes what stands before message {index} otherwise when more follows, "
            "so it does not show what the assistant says: mark that in the template by {% generation %} and "
            "{% endgeneration %}, or leave out what it changes"
        )
    return len(before), len(after)
