"""Chats: conversations to text and ids by a checkpoint's chat template."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import tools

if TYPE_CHECKING:
    from .encoding import BatchEncoding
    from .sandbox import Rendered

DEFAULT, WITH_TOOLS = "default", "tool_use"
"""The names of templates that are chosen where a tokenizer has several and the call names none."""

_RESERVED = ("messages", "conversations")
_NAME = re.compile(r"[\w.-]+")
_GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
# The space lets a template that trims the message show itself. The word is that of the reference: where a template
# writes the message more than once, it stays in the text.
_END = "CONTINUE_FINAL_MESSAGE_TAG "


@dataclasses.dataclass(frozen=True)
class Conversations:
    """What is rendered.

    Attributes:
        messages: of each conversation, a list.
        single: whether one conversation was given, whose answer has no batch axis.
    """

    messages: list[Any]
    single: bool

    @classmethod
    def of(cls, conversation: Any) -> Conversations:
        """Sort out what was passed: messages, a list of those, or objects with `.messages`.

        Raises:
            ValueError: no messages.
        """
        if hasattr(conversation, "messages"):
            return cls([_messages(conversation, "conversation")], True)
        if isinstance(conversation, list | tuple):
            if not conversation:
                raise ValueError("conversation is empty: pass at least one message")
            first = conversation[0]
            if isinstance(first, list | tuple) or hasattr(first, "messages"):
                found = [_messages(chat, f"conversation[{index}]") for index, chat in enumerate(conversation)]
                return cls(found, False)
        return cls([_messages(conversation, "conversation")], True)


def check_options(
    tokenize: bool, return_dict: bool, return_assistant_tokens_mask: bool, continue_final_message: bool
) -> None:
    """Refuse options of `apply_chat_template` that exclude each other.

    Raises:
        ValueError: naming them.
    """
    if return_dict and not tokenize:
        raise ValueError("return_dict=True returns what tokenizing gives: pass tokenize=True with it")
    if return_assistant_tokens_mask and not return_dict:
        raise ValueError("return_assistant_tokens_mask=True needs a place for the mask: pass return_dict=True")
    if return_assistant_tokens_mask and continue_final_message:
        raise ValueError("return_assistant_tokens_mask=True is for whole messages, continue_final_message=True not")


def choose(templates: Any, asked: str | None, tools: Any) -> str:
    """The template of a call.

    Args:
        templates: the tokenizer's: a text, texts by name, or None.
        asked: a template's text, or the name of one of several; None is the tokenizer's own.
        tools: the call's; with some (an empty list too) the template for tools is preferred.

    Raises:
        ValueError: there is none, or none of that name; the message says which names there are.
    """
    if asked is not None and not isinstance(asked, str):
        raise ValueError(f"chat_template must be a template's text or name, not {asked!r:.80}")
    if isinstance(templates, Mapping):
        names = ", ".join(sorted(templates)) or "none"
        if asked is None:
            asked = WITH_TOOLS if tools is not None and WITH_TOOLS in templates else DEFAULT
            if asked not in templates:
                raise ValueError(f"several chat templates and no {DEFAULT!r}: pass chat_template= one of {names}")
        elif asked not in templates and _NAME.fullmatch(asked):
            raise ValueError(f"no chat template {asked!r}: there are {names}")
        return templates.get(asked, asked)
    if asked is not None:
        return asked
    if templates is None:
        raise ValueError(
            "this tokenizer has no chat template: pass chat_template=, set tokenizer.chat_template, or load a model "
            "that was trained to chat"
        )
    if not isinstance(templates, str):
        raise ValueError(f"tokenizer.chat_template must be a text or a dict of texts, not {templates!r:.80}")
    return templates


def render(
    conversations: Conversations,
    template: str,
    *,
    functions: Iterable[Any] | None,
    documents: Iterable[Any] | None,
    continue_final_message: bool,
    add_generation_prompt: bool,
    variables: Mapping[str, Any],
) -> list[Rendered]:
    """The text of each conversation.

    Args:
        conversations: what is rendered.
        template: the template's text.
        functions: tools, as JSON schemas or Python functions.
        documents: dicts, usually with "title" and "text".
        continue_final_message: end each text where the last message's text ends.
        add_generation_prompt: what the template puts in front of an answer.
        variables: what else the template can read.

    Raises:
        ValueError: options that exclude each other, tools without a schema, a last message that cannot be continued,
            or whatever is wrong with the template.
        TypeError: documents that are no dicts, or a variable with a name that is taken.
    """
    from .sandbox import render  # jinja2, which only chats need

    if continue_final_message and add_generation_prompt:
        raise ValueError(
            "continue_final_message=True goes on with the last message, add_generation_prompt=True begins a new one: "
            "pass one of them"
        )
    for name in _RESERVED:
        if name in variables:
            raise TypeError(f"{name!r} is what the conversation is called: pass it as the first argument")
    shared = {
        "tools": tools.schemas(functions),
        "documents": _documents(documents),
        "add_generation_prompt": add_generation_prompt,
        **variables,
    }
    found = []
    for index, messages in enumerate(conversations.messages):
        if not continue_final_message:
            found.append(render(template, {"messages": messages, **shared}))
            continue
        where = "conversation" if conversations.single else f"conversation[{index}]"
        marked, text = _marked(messages, where)
        rendered = render(template, {"messages": marked, **shared})
        found.append(dataclasses.replace(rendered, text=_cut(rendered.text, text, where)))
    return found


def has_generation(template: str) -> bool:
    """Whether a template says what the assistant's words are."""
    return _GENERATION.search(template) is not None


def assistant_masks(encoded: BatchEncoding, rendered: Sequence[Rendered]) -> list[list[int]]:
    """1 at the tokens of `{% generation %}` blocks, 0 elsewhere, for each row of what was encoded.

    A token that lies only partly in a block counts.
    """
    import numpy as np

    samples = encoded.get("overflow_to_sample_mapping", range(len(rendered)))
    found = []
    for row, sample in zip(encoded.encodings or (), samples, strict=True):
        mask = [0] * len(row)
        starts, ends = np.asarray(row.offsets, np.int64).reshape(-1, 2).T
        for start, end in rendered[sample].generated:
            inside = np.flatnonzero((starts < end) & (ends > start))
            if inside.size:  # a block may be empty, or cut off
                mask[inside[0] : inside[-1] + 1] = [1] * int(inside[-1] + 1 - inside[0])
        found.append(mask)
    return found


def _messages(chat: Any, where: str) -> Any:
    messages = getattr(chat, "messages", chat)
    if messages is None or isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
        raise ValueError(
            f"{where} is {messages!r:.60} ({type(messages).__name__}), expected a list of messages such as "
            '{"role": "user", "content": "Hi"}, or a list of such lists'
        )
    return messages


def _documents(documents: Any) -> list[Any] | None:
    if documents is None:
        return None
    if isinstance(documents, str | Mapping) or not isinstance(documents, Iterable):
        raise TypeError(f'documents={documents!r:.60} must be a list of dicts with "title" and "text"')
    documents = list(documents)
    for index, document in enumerate(documents):
        if not isinstance(document, dict):
            raise TypeError(f'documents[{index}] is {document!r:.60}, expected a dict with "title" and "text"')
    return documents


def _marked(messages: Any, where: str) -> tuple[list[Any], str]:
    """The messages with a mark at the end of the last one's text, and that text.

    Raises:
        ValueError: the last message has no text.
    """
    try:
        last = copy.copy(messages[-1])
        content = last["content"]
        if isinstance(content, str):
            last["content"] = content + _END
            return [*messages[:-1], last], content
        parts = list(content)
        for index in reversed(range(len(parts))):
            if "text" in parts[index]:
                text = parts[index]["text"]
                parts[index] = {**parts[index], "text": text + _END}
                last["content"] = parts
                return [*messages[:-1], last], text
    except (TypeError, LookupError):
        pass
    raise ValueError(f"continue_final_message=True: the last message of {where} has no text to go on with")


def _cut(text: str, final: str, where: str) -> str:
    """A rendered chat up to the mark.

    Raises:
        ValueError: the template has changed or left out the last message.
    """
    mark = _END.rstrip()
    if final.strip() not in text or mark not in text:
        raise ValueError(
            f"continue_final_message=True: the last message of {where} is not as it was after the chat template: the "
            "template leaves out or changes parts of it, pass another message or another template"
        )
    place = text.rindex(mark)
    # without the space the template has trimmed the message, and would have trimmed what stood before the mark too
    return text[:place] if text.startswith(_END, place) else text[:place].rstrip()
