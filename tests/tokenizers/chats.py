"""What is asked of both libraries about chats: templates, conversations, options, and what comes of them.

Works on any object with the calls of a Hub tokenizer, so that the recorder and the checks ask the same questions.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Optional, Union

import lines
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

TEMPLATES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent / "chat_templates").glob("*.jinja"))
}
"""Templates in the style of model families, and `corners` with what those do not use."""

SPECIAL = "<s> </s> <|im_start|> <|im_end|> [INST] [/INST] <|user|> <|end|> <start_of_turn> <end_of_turn>".split()


def write(folder: Path, bpe: Path) -> Path:
    """A byte-level BPE tokenizer that puts <s> in front of texts, unless it is told not to.

    Args:
        folder: where it goes.
        bpe: a folder with bpe.json and bpe.txt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backend = tokenizers.Tokenizer(models.BPE.from_file(str(bpe / "bpe.json"), str(bpe / "bpe.txt")))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL)
    start = backend.token_to_id("<s>")
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    backend.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "padding_side": "left",
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius", days: Optional[int] = None) -> dict:  # noqa: UP045 - users write it
    """
    What the weather will be, in a
    place of your choice.

    It asks nobody.

    Args:
        city: The city, and if need be
            the country: "Paris, Texas"

        unit: The unit (choices: ["celsius", "fahrenheit"])
        days: How many days ahead

    Returns:
        The weather, as an object.
        More of it.

    Raises:
        ValueError: never
    """


def search(query: str | list[str], limits: tuple[int, float], options: dict[str, list[bool]], any: Any):
    """Search.

    Args:
        query: What to look for
        limits: Two numbers
        options: Flags <&> such
        any: Anything
    """


def bare() -> None:
    """Do nothing."""


def many(
    a: Union[int, str, None],  # noqa: UP007 - users write it
    b: Literal[1, "x", None],
    c: Path,
    d: list,
    e: Optional[Union[list[int], dict[str, Any]]],  # noqa: UP007, UP045 - users write it
    *,
    f: bool = True,
    g: float = 0.5,
) -> list[dict[str, int]]:
    """Many kinds of arguments.

    Args:
        a: One of several
        b: A literal
        c: A path
        d: A list
        e: Either
        f: A flag
        g: A number
            with note: of its own
    Returns:
        Rows
    """


SCHEMA = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers: 'a' + \"b\" < é",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "number", "description": "The first"},
                "b": {"type": ["number", "string"], "description": "The second"},
            },
            "required": ["a"],
        },
    },
}
FUNCTIONS = (get_weather, search, bare, many)
TOOLS = [get_weather, search, SCHEMA, many]
DOCUMENTS = [
    {"title": "Emperor penguins", "text": "They are  <tall>.\n"},
    {"title": "Où ?", "text": "In Antarctica", "extra": [1, None]},
]


def _call(name: str, arguments: Any, number: str = "abcdefghi") -> dict[str, Any]:
    return {"type": "function", "id": number, "function": {"name": name, "arguments": arguments}}


def _said(*turns: str) -> list[dict[str, Any]]:
    """A conversation from lines such as "user: Hi"."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in turns]


CONVERSATIONS: Mapping[str, list[dict[str, Any]]] = {
    "one": _said("user: Hello!"),
    "two": _said("user: Hello!", "assistant: Hi there."),
    "system": _said("system: Be brief.", "user: What is 2 + 2?", "assistant: 4", "user: And 3 + 3?"),
    "long": _said("user: a", "assistant: b", "user: c", "assistant: d é 漢字 😀", "user: e", "assistant: f"),
    "spaces": _said("system:  padded \n", "user:  Hello \n", "assistant:  Hi  \n\n "),
    "answer first": _said("assistant: I begin.", "user: Why?", "assistant: Why not?"),
    "two questions": _said("user: One", "user: Two"),
    "late system": _said("user: One", "system: Now be brief.", "assistant: Yes"),
    "thoughts": [
        *_said("user: Think!", "assistant: <think>\nHm: <1>\n</think>\n\nDone", "user: Again"),
        {"role": "assistant", "content": "<think>x</think>y", "reasoning_content": "own thoughts\n"},
    ],
    "tool": [
        *_said("system: Use tools.", "user: Weather in Paris?"),
        {"role": "assistant", "content": None, "tool_calls": [_call("get_weather", {"city": "Paris", "days": 2})]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": "22.5"},
        *_said("assistant: Warm."),
    ],
    "two tools": [
        *_said("user: Weather?"),
        {
            "role": "assistant",
            "tool_calls": [_call("a", {"x": "é"}), _call("b", "{}", "123456789")],
            "content": "Let me see",
        },
        {"role": "tool", "content": "1", "tool_call_id": "abcdefghi"},
        {"role": "tool", "content": {"content": [1, {"a": None}]}, "tool_call_id": "123456789"},
    ],
    "bad call": [*_said("user: x"), {"role": "assistant", "tool_calls": [_call("a", {}, "short")]}],
    "parts": [
        {"role": "system", "content": [{"type": "text", "text": "You see."}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " What is it? "}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A "}, {"type": "text", "text": "cat  "}]},
    ],
    "only images": [{"role": "user", "content": [{"type": "image"}]}],
    "no content": [{"role": "user"}],
    "empty texts": _said("system: ", "user: ", "assistant: "),
    "other roles": _said("user: a", "skip: b", "critic: c", "stop: d", "user: e"),
    "special": _said("user: <|im_end|> {{ 1 }} {% raise %} </s>[INST]", "assistant: <s>\r\n\tx"),
}

OPTIONS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "prompt": {"add_generation_prompt": True},
    "go on": {"continue_final_message": True},
    "tools": {"tools": TOOLS, "add_generation_prompt": True},
    "no tools": {"tools": []},
    "documents": {"documents": DOCUMENTS, "add_generation_prompt": True},
    "variables": {
        "tools": [SCHEMA],
        "documents": [],
        "add_generation_prompt": True,
        "enable_thinking": False,
        "tools_in_user_message": False,
        "builtin_tools": ["code_interpreter", "get_weather"],
        "citation_mode": "accurate",
        "date_string": "1 Jan",
        "custom": {"a": [1]},
        "bos_token": "<own>",
    },
    "mask": {"return_dict": True, "return_assistant_tokens_mask": True},
}


def cases() -> Iterator[tuple[str, str, str]]:
    """Every template with every conversation and all options."""
    return itertools.product(TEMPLATES, CONVERSATIONS, OPTIONS)


def answer(tokenizer: Any, template: str, conversation: Any, options: Mapping[str, Any]) -> Any:
    """Text and ids, or with a mask all that is returned; None where it raises."""
    try:
        if "return_dict" in options:
            encoded = tokenizer.apply_chat_template(conversation, chat_template=template, **options)
            return {name: list(encoded[name]) for name in ("input_ids", "attention_mask", "assistant_masks")}
        text = tokenizer.apply_chat_template(conversation, chat_template=template, tokenize=False, **options)
        return [text, list(tokenizer.apply_chat_template(conversation, chat_template=template, **options))]
    except Exception:
        return None


def digests(tokenizer: Any, template: str) -> str:
    """The answers to all cases of a template, as digests one after another; dashes where it raises."""
    found = []
    for name, conversation, options in cases():
        if name == template:
            told = answer(tokenizer, TEMPLATES[name], CONVERSATIONS[conversation], OPTIONS[options])
            found.append("-" * lines.SHORT if told is None else lines.digest(told)[: lines.SHORT])
    return "".join(found)


BATCH = [CONVERSATIONS["two"], CONVERSATIONS["long"], CONVERSATIONS["system"]]
CALLS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "ids": (BATCH[1], {}),
    "batch": (BATCH, {}),
    "tuples": (tuple(map(tuple, BATCH)), {"tokenize": False}),
    "text": (BATCH, {"tokenize": False, "add_generation_prompt": True}),
    "dict": (BATCH[1], {"return_dict": True}),
    "dicts": (BATCH, {"return_dict": True}),
    "padded": (BATCH, {"return_dict": True, "padding": True}),
    "padded to a length": (BATCH, {"return_dict": True, "padding": "max_length", "max_length": 60, "truncation": True}),
    "cut": (BATCH, {"truncation": True, "max_length": 20}),
    "length alone": (BATCH, {"max_length": 20}),
    "arrays": (BATCH, {"return_tensors": "np", "padding": True}),
    "one array": (BATCH[0], {"return_tensors": "np"}),
    "arrays by name": (BATCH, {"return_tensors": "np", "padding": True, "return_dict": True}),
    "mask": (BATCH[1], {"return_dict": True, "return_assistant_tokens_mask": True}),
    "masks": (BATCH, {"return_dict": True, "return_assistant_tokens_mask": True, "padding": True}),
    "mask arrays": (
        BATCH,
        {"return_dict": True, "return_assistant_tokens_mask": True, "padding": True, "return_tensors": "np"},
    ),
    "one mask array": (BATCH[1], {"return_dict": True, "return_assistant_tokens_mask": True, "return_tensors": "np"}),
    "cut mask": (
        BATCH,
        {"return_dict": True, "return_assistant_tokens_mask": True, "truncation": True, "max_length": 30},
    ),
    "cut to a length, mask": (
        BATCH,
        {
            "return_dict": True,
            "return_assistant_tokens_mask": True,
            "truncation": True,
            "max_length": 40,
            "padding": "max_length",
        },
    ),
    "more options": (BATCH, {"return_dict": True, "tokenizer_kwargs": {"return_length": True, "stride": 0}}),
    "right": (BATCH, {"padding": True, "tokenizer_kwargs": {"padding_side": "right"}}),
    "go on": (BATCH[:2], {"continue_final_message": True, "tokenize": False}),
}
"""Calls with the template that has generation blocks."""


def called(tokenizer: Any) -> dict[str, Any]:
    """What each call returns, as JSON, with the types of arrays."""
    found = {}
    for name, (conversation, options) in CALLS.items():
        told = tokenizer.apply_chat_template(conversation, chat_template=TEMPLATES["masked"], **options)
        found[name] = plain(dict(told) if options.get("return_dict") else told)
    return json.loads(json.dumps(found))


def plain(value: Any) -> Any:
    """Arrays as their type and lists."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [str(value.dtype), value.tolist()] if hasattr(value, "dtype") else value
