"""What stands around a text: `bos_token` in front and `eos_token` behind, where a tokenizer has no rows of its own."""

from __future__ import annotations

import json

import tokenizers

from . import files

NAMES = ("add_bos_token", "add_eos_token")

SETTINGS = dict.fromkeys(NAMES, files.boolean)
"""The settings of a tokenizer that puts them there as it is asked to."""


def rows(first: bool, last: bool) -> tuple[str, str]:
    """The templates of one text and of two, each of which gets what is asked for."""

    def row(text: str, kind: int) -> str:
        parts = {"{bos_token}": first, text: True, "{eos_token}": last}
        return " ".join(f"{part}:{kind}" for part, there in parts.items() if there)

    return row("$A", 0), f"{row('$A', 0)} {row('$B', 1)}"


def around(backend: tokenizers.Tokenizer) -> tuple[list[str], list[str]]:
    """The tokens that a template puts in front of a text, and those behind it; none where there is no template."""
    if backend.post_processor is None:
        return [], []
    state = json.loads(backend.post_processor.__getstate__())
    for part in state.get("processors", [state]):
        if part.get("type") == "TemplateProcessing":
            tokens = [piece.get("SpecialToken", {}).get("id") for piece in part["single"]]
            text = tokens.index(None) if None in tokens else len(tokens)
            return tokens[:text], tokens[text + 1 :]
    return [], []
