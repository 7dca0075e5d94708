"""A new vocabulary for a tokenizer, learnt from texts."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers import AddedToken, pre_tokenizers, trainers

from . import backend as backends
from .special import Token

_TRAINERS = {
    "WordPiece": trainers.WordPieceTrainer,
    "WordLevel": trainers.WordLevelTrainer,
    "BPE": trainers.BpeTrainer,
    "Unigram": trainers.UnigramTrainer,
}


def trained(
    backend: tokenizers.Tokenizer,
    texts: Iterable[Any],
    vocab_size: int,
    length: int | None,
    new_special_tokens: Sequence[Token],
    names: Mapping[str, str],
    options: Mapping[str, Any],
) -> tokenizers.Tokenizer:
    """A tokenizer with the parts of `backend` and a vocabulary of its own.

    Args:
        backend: gives the kind of model, all other parts, and the special tokens.
        texts: what to learn from: texts, or lists of them.
        vocab_size: tokens to learn, special ones included.
        length: how many texts come.
        new_special_tokens: come after those of `backend`.
        names: new texts for special tokens.
        options: for the library's trainer.

    Raises:
        ValueError: the kind of model cannot be trained, or a special token of the post-processor is gone.
        Exception: what the library raises.
    """
    backends.check_writable(backend)
    state = json.loads(backend.to_str())
    model, kind = state["model"], state["model"]["type"]
    if kind not in _TRAINERS:
        raise ValueError(f"a {kind} model cannot be trained, only {', '.join(_TRAINERS)}")
    options = dict(options)
    specials = [
        AddedToken(**{**token, "content": names.get(token["content"], token["content"])})
        for token in ({key: value for key, value in item.items() if key != "id"} for item in state["added_tokens"])
        if token["special"] or kind == "Unigram"
    ]
    if kind == "Unigram":
        if model["unk_id"] is not None:
            unknown = model["vocab"][model["unk_id"]][0]
            options.setdefault("unk_token", names.get(unknown, unknown))
            model |= {"unk_id": 0, "vocab": [[options["unk_token"], 0.0]]}
    else:
        model["vocab"] = {}
        if model.get("unk_token") in names:
            model["unk_token"] = names[model["unk_token"]]
    if kind == "BPE":
        model["merges"] = []
        for name in ("continuing_subword_prefix", "end_of_word_suffix"):
            if model[name] is not None:
                options.setdefault(name, model[name])
    if '"ByteLevel"' in json.dumps(state["pre_tokenizer"]):
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    known = list(inspect.signature(_TRAINERS[kind]).parameters)
    if wrong := [name for name in options if name not in known]:  # the library's trainers let them pass
        raise ValueError(f"{wrong[0]!r} is no option of the trainer, which has {', '.join(known)}")
    processor = state.pop("post_processor")  # holds ids, which training gives out anew
    other = tokenizers.Tokenizer.from_str(json.dumps(state | {"added_tokens": [], "post_processor": None}))
    trainer = _TRAINERS[kind](vocab_size=vocab_size, special_tokens=[*specials, *new_special_tokens], **options)
    other.train_from_iterator(texts, trainer=trainer, length=length)
    if processor is None:
        return other
    renumbered = json.loads(other.to_str()) | {"post_processor": _renumbered(processor, other, names)}
    return tokenizers.Tokenizer.from_str(json.dumps(renumbered))


def _renumbered(processor: Any, backend: tokenizers.Tokenizer, names: Mapping[str, str]) -> Any:
    """A post-processor's state with the names and ids that its special tokens have now."""

    def index(token: str) -> int:
        found = backend.token_to_id(token)
        if found is None:
            raise ValueError(
                f"the post-processor puts {token!r} into rows, which is no special token of the new vocabulary"
            )
        return found

    processor = dict(processor)
    for entry in processor.get("special_tokens", {}).values():
        entry["tokens"] = [names.get(token, token) for token in entry["tokens"]]
        entry["ids"] = [index(token) for token in entry["tokens"]]
    for role in ("cls", "sep"):
        if role in processor:
            token = names.get(processor[role][0], processor[role][0])
            processor[role] = [token, index(token)]
    if "processors" in processor:
        processor["processors"] = [_renumbered(part, backend, names) for part in processor["processors"]]
    return processor
