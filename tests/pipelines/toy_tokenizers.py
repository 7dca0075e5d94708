"""Small tokenizers of the kinds that tell words apart in ways of their own."""

from __future__ import annotations

import json
import string
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_piece() -> tokenizers.Tokenizer:
    """Letters, what goes on with a word, and some names, behind BERT's rules: no accents, punctuation by itself."""
    marks = ["berlin", "garcia", "maria", *string.ascii_lowercase, *string.punctuation]
    pieces = [*SPECIAL, *marks, *(f"##{letter}" for letter in string.ascii_lowercase)]
    made = tokenizers.Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return _around(made)


def byte_level() -> tokenizers.Tokenizer:
    """Bytes, of which a few are joined, and each letter with a space in front of it."""
    merges = [("\u0120", sign) for sign in f"{string.ascii_letters}("] + [("b", "c"), ("z", "z")]
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    made = tokenizers.Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return _around(made)


def unigram() -> tokenizers.Tokenizer:
    """Letters, each also behind the sign for a space, which stands by itself before what is not among them."""
    signs = [*string.ascii_letters, *string.punctuation]
    scores = [(piece, 0.0) for piece in SPECIAL] + [("\u2581", -4.0), ("bc", -2.0)]
    scores += [(sign, -3.0) for sign in signs] + [(f"\u2581{sign}", -3.0) for sign in signs]
    made = tokenizers.Tokenizer(models.Unigram(scores, unk_id=1))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return _around(made)


def _around(made: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """With the special tokens that stand around a row."""
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def put(made: tokenizers.Tokenizer, folder: Path) -> Path:
    """The folder, with this tokenizer and no other."""
    for path in folder.glob("*.txt"):
        path.unlink()
    made.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 40, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
