"""Tokenizers from files that are older than tokenizer.json: their kinds, and what both libraries are asked of each."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cases

FILES = cases.GOLDEN / "old"
"""Vocabularies of a few hundred pieces; `record.py` trains them."""

ROLES = "<s> </s> <pad> <unk> <mask> <cls> <sep> [QUESTION]".split()
"""What a vocab.txt gets for tokenizers whose roles are not BERT's."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A tokenizer's files.

    model_type: in config.json. files: name in the folder → name among the trained ones. settings: each is a case.
    slow: the reference has no fast tokenizer, hence no offsets, and decodes by other rules. resaved: the reference is
    asked after it has saved and read again, since tokenizers 0.22 matches a token that was added twice by both options.
    """

    model_type: str
    files: Mapping[str, str]
    settings: Sequence[Mapping[str, Any]] = ({},)
    slow: bool = False
    resaved: bool = False


BPE = {"vocab.json": "bpe.json", "merges.txt": "bpe.txt"}
MOSES = {"vocab.json": "moses.json", "merges.txt": "moses.txt"}
WORDS = {"vocab.txt": "words.txt"}
LOWER = ({}, {"do_lower_case": False})
ACCENTS = ({}, {"do_lower_case": True, "keep_accents": True}, {"do_lower_case": False, "keep_accents": False})

KINDS: Mapping[str, Kind] = {
    "roberta": Kind("roberta", BPE, ({}, {"add_prefix_space": True}, {"trim_offsets": False})),
    "longformer": Kind("longformer", BPE),
    "luke": Kind("luke", {**BPE, "entity_vocab.json": "entities.json"}, slow=True),
    "gpt2": Kind("gpt2", BPE, ({}, {"add_bos_token": True}, {"add_prefix_space": True})),
    "deberta": Kind("deberta", BPE, ({}, {"add_prefix_space": True})),
    "electra": Kind("electra", WORDS, LOWER),
    "mobilebert": Kind("mobilebert", WORDS),
    "squeezebert": Kind("squeezebert", WORDS, LOWER),
    "convbert": Kind("convbert", WORDS),
    "funnel": Kind("funnel", WORDS, LOWER),
    "mpnet": Kind("mpnet", WORDS, LOWER),
    "splinter": Kind("splinter", WORDS),
    "roformer": Kind("roformer", WORDS, LOWER),
    "esm": Kind("esm", {"vocab.txt": "esm.txt"}, slow=True),
    "xlm": Kind("xlm", MOSES, ({}, {"do_lowercase_and_remove_accent": False}), slow=True),
    "flaubert": Kind("flaubert", MOSES, ({}, {"do_lowercase": True}), slow=True),
    "albert": Kind("albert", {"spiece.model": "albert.model"}, ACCENTS),
    "nystromformer": Kind("nystromformer", {"spiece.model": "albert.model"}),
    "fnet": Kind("fnet", {"spiece.model": "albert.model"}, ACCENTS),
    "big_bird": Kind("big_bird", {"spiece.model": "big_bird.model"}, resaved=True),
    "rembert": Kind("rembert", {"sentencepiece.model": "albert.model"}, ({}, {"keep_accents": False})),
    "xlnet": Kind("xlnet", {"spiece.model": "xlnet.model"}, ACCENTS),
    "xlm-roberta": Kind("xlm-roberta", {"sentencepiece.bpe.model": "fairseq.model"}),
    "camembert": Kind("camembert", {"sentencepiece.bpe.model": "fairseq.model"}),
    "deberta-v2": Kind("deberta-v2", {"spm.model": "deberta.model"}, ({}, {"split_by_punct": True})),
    "llama": Kind(
        "llama",
        {"tokenizer.model": "llama.model"},
        ({}, {"legacy": False}, {"add_eos_token": True, "add_bos_token": False}),
    ),
    "gemma": Kind("gemma", {"tokenizer.model": "gemma.model"}, ({}, {"add_eos_token": True, "add_bos_token": False})),
    "xglm": Kind("xglm", {"sentencepiece.bpe.model": "fairseq.model"}),
    "qwen2": Kind("qwen2", BPE),
    "codegen": Kind("codegen", BPE, ({}, {"add_prefix_space": True})),
    "openai-gpt": Kind("openai-gpt", MOSES),
    "biogpt": Kind("biogpt", MOSES, slow=True),
    "BPE of sentencepiece without bytes": Kind("xlm-roberta", {"sentencepiece.bpe.model": "llama.model"}),
    "tiktoken": Kind("", {"tokenizer.model": "tiktoken.model"}),
}

CASES = [(name, number) for name, kind in KINDS.items() for number in range(len(kind.settings))]


def write(folder: Path, kind: Kind, trained: Path = FILES) -> Path:
    """The files of a tokenizer in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in kind.files.items():
        shutil.copyfile(trained / source, folder / name)
    (folder / "config.json").write_text(json.dumps({"model_type": kind.model_type} if kind.model_type else {}))
    if not kind.model_type:
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


PAIRS = [
    ("We are happy, été!", "the film was not bad"),
    ("unbelievable 漢字<s>x <mask> [MASK] x<sep>y", "a b c"),
    ("", "1,000 ``quoted'' U.S.A."),
]


def answers(tokenizer: Any, kind: Kind) -> dict[str, Any]:
    """What a tokenizer is, and what it does with pairs of texts."""
    padding = {} if tokenizer.pad_token is None else {"padding": True}
    ids = [tokenizer(text)["input_ids"] for pair in PAIRS for text in pair]
    told = {
        "special_tokens_map": tokenizer.special_tokens_map,
        "special_ids": tokenizer.all_special_ids,
        "sizes": [len(tokenizer), tokenizer.vocab_size],
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "inputs": list(tokenizer.model_input_names),
        "pairs": dict(tokenizer(*map(list, zip(*PAIRS, strict=True)), truncation=True, max_length=24, **padding)),
    }
    if kind.model_type not in ("splinter", "gpt2"):  # fails in the reference, or forgets the first token
        told["built"] = tokenizer.build_inputs_with_special_tokens([7, 8, 9], [10, 11])
    if not kind.slow:
        told |= {
            "added": {str(index): repr(token) for index, token in sorted(tokenizer.added_tokens_decoder.items())},
            "clean": tokenizer.clean_up_tokenization_spaces,
            "decoded": [tokenizer.decode(row, skip_special_tokens=skip) for row in ids for skip in (False, True)],
        }
    return told


def rows(tokenizer: Any, kind: Kind, texts: list[str]) -> list[Any]:
    """Ids of each text, and offsets where the reference has them."""
    if kind.slow:
        return [[ids] for ids in tokenizer(texts, verbose=False)["input_ids"]]
    encoded = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    offsets = [[list(pair) for pair in row] for row in encoded["offset_mapping"]]
    return [list(row) for row in zip(encoded["input_ids"], offsets, strict=True)]
