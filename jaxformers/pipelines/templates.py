"""Texts in the words of a chat template, for models that read a conversation to judge it and write no answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from ..tokenizers import Tokenizer

Conversation = tuple[tuple[str, str], ...]
"""Who says what, in their order."""

PAIR = ("query", "document")
"""Who says the two texts of a pair."""
_PARTS = ("content[0]", ".type", "'type'", '"type"', "message.content[")
_FILLERS = ("0", "1 2 3 4")  # that begin and end in no common token


@dataclasses.dataclass(frozen=True)
class Chat:
    """How texts are put into a template.

    style: "flat", a message's content is its text; "structured", a list of parts; "auto", as the template reads it.
    variables: of the template. keeps_end: whether what the template writes behind the last text stays where rows are
    cut. template: in place of the tokenizer's own.
    """

    style: str = "auto"
    variables: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    keeps_end: bool = True
    template: str | None = None

    def rows(self, conversations: Sequence[Conversation], tokenizer: Tokenizer, size: int) -> list[list[int]]:
        """The tokens of conversations, at most `size`: longer ones lose the end of their last text.

        Raises:
            ValueError: the template refuses them; or what surrounds the last text leaves no token for it.
        """
        if not conversations:
            return []
        rows, ends = _ids(self._texts(conversations, tokenizer), tokenizer), {}
        for i, (row, chat) in enumerate(zip(rows, conversations, strict=True)):
            if len(row) <= size:
                continue
            skeleton = _filled(chat, "")
            if skeleton not in ends:
                ends[skeleton] = self._end(chat, tokenizer)
            front = len(row) - len(ends[skeleton]) - len(_ids([chat[-1][1]], tokenizer)[0])
            end = ends[skeleton] if self.keeps_end else []
            if front + len(end) >= size:
                raise ValueError(
                    f"the {front} tokens in front of the last text and the {len(end)} that its template writes behind "
                    f"leave nothing of the {size} tokens that a row may have here (max_length) for it: raise "
                    "max_length or shorten what stands in front"
                )
            rows[i] = [*row[: size - len(end)], *end]
        return rows

    def carries_pairs(self, tokenizer: Tokenizer) -> bool:
        """Whether both texts of a pair show in what the template makes of it."""
        probes = [("alpha", "bravo"), ("charlie", "bravo"), ("alpha", "foxtrot")]
        try:
            base, *others = self._texts([tuple(zip(PAIR, probe, strict=True)) for probe in probes], tokenizer)
        except ValueError:
            return False
        return base not in others

    def _end(self, chat: Conversation, tokenizer: Tokenizer) -> list[int]:
        """The tokens behind the last text: those in which two conversations of other texts end alike."""
        texts = self._texts([_filled(chat, filler) for filler in _FILLERS], tokenizer)
        first, second = (row[::-1] for row in _ids(texts, tokenizer))
        alike = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]
        return alike[::-1] if len(alike) < min(len(first), len(second)) else []

    def _texts(self, conversations: Sequence[Conversation], tokenizer: Tokenizer) -> list[str]:
        structured = self.style == "structured"
        if self.style == "auto":
            structured = any(part in tokenizer.get_chat_template(self.template) for part in _PARTS)
        messages = [
            [{"role": who, "content": [{"type": "text", "text": text}] if structured else text} for who, text in chat]
            for chat in conversations
        ]
        return tokenizer.apply_chat_template(
            messages, tokenize=False, chat_template=self.template, **dict(self.variables)
        )


def _filled(chat: Conversation, filler: str) -> Conversation:
    """The conversation with other texts, but for what the system says."""
    return tuple((who, text if who == "system" else filler) for who, text in chat)


def _ids(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
