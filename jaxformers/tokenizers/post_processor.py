"""Special tokens around texts: templates of rows, and the post-processors that the tokenizers library makes of them.

A template is a row in words: tokens, roles in braces, `$A` and `$B` for the texts, each with its token type, as in
`"{cls_token}:0 $A:0 {sep_token}:0"`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import tokenizers
from tokenizers import processors

from .backend import as_value_error

Templates = tuple[str, str]
"""The template of a row of one text, and that of a pair."""

NOTHING_AROUND: Templates = ("$A:0", "$A:0 $B:1")
BERT: Templates = (
    "{cls_token}:0 $A:0 {sep_token}:0",
    "{cls_token}:0 $A:0 {sep_token}:0 $B:1 {sep_token}:1",
)
ROBERTA: Templates = (
    "{cls_token}:0 $A:0 {sep_token}:0",
    "{cls_token}:0 $A:0 {sep_token}:0 {sep_token}:0 $B:0 {sep_token}:0",
)

_TEXTS = ("$A", "$B")


def bos_eos(bos: bool, eos: bool) -> Templates:
    """Each text gets the beginning and end that are asked for."""

    def row(text: str, kind: int) -> str:
        parts = {"{bos_token}": bos, text: True, "{eos_token}": eos}
        return " ".join(f"{part}:{kind}" for part, there in parts.items() if there)

    return row("$A", 0), f"{row('$A', 0)} {row('$B', 1)}"


def around(backend: tokenizers.Tokenizer) -> tuple[list[str], list[str]]:
    """The tokens that a backend puts in front of a text, and those behind it; none where it has no template."""
    if backend.post_processor is None:
        return [], []
    state = json.loads(backend.post_processor.__getstate__())
    for part in state.get("processors", [state]):
        if part.get("type") == "TemplateProcessing":
            tokens = [piece.get("SpecialToken", {}).get("id") for piece in part["single"]]
            text = tokens.index(None) if None in tokens else len(tokens)
            return tokens[:text], tokens[text + 1 :]
    return [], []


def parts(template: str, roles: Mapping[str, str], owner: str) -> list[tuple[str, int]]:
    """The tokens of a row, and `$A` and `$B`, each with its token type.

    Args:
        template: the template of a row.
        roles: the tokenizer's token of each role.
        owner: the tokenizer's class, for the error.

    Raises:
        ValueError: a role that the row needs has no token.
    """
    found = []
    for part in template.split():
        token, _, kind = part.rpartition(":")
        try:
            found.append((token.format_map(roles), int(kind)))
        except KeyError as error:
            raise ValueError(f"{owner} needs a {error.args[0]} for this, set it first") from None
    return found


def build(
    templates: Templates, roles: Mapping[str, str], backend: tokenizers.Tokenizer, owner: str
) -> processors.PostProcessor:
    """The post-processor that makes rows by templates.

    Args:
        templates: of one text and of a pair.
        roles: as in `parts`, like `owner`.
        backend: has the tokens.
        owner: the tokenizer's class, for the error.

    Raises:
        ValueError: as `parts`, or a token of a template has no id.
    """
    rows = [parts(template, roles, owner) for template in templates]
    tokens = {token: backend.token_to_id(token) for row in rows for token, _ in row if token not in _TEXTS}
    for token, index in tokens.items():
        if index is None:
            raise ValueError(f"{owner}: every row gets a {token!r}, which the vocabulary lacks")
    single, pair = ([f"{token}:{kind}" for token, kind in row] for row in rows)
    with as_value_error(f"{owner}: special tokens {list(tokens)} cannot be used"):
        return processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(tokens.items()))
