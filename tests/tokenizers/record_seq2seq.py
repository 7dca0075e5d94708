"""Ask torch Transformers 4.57 about the tokenizers of encoder-decoders: run by hand, with the `parity` extra installed.

python tests/tokenizers/record_seq2seq.py golden [NAME...]     rewrites golden/seq2seq.json, or the kinds of these names
python tests/tokenizers/record_seq2seq.py vocabularies         rewrites golden/seq2seq/, then record golden
python tests/tokenizers/record_seq2seq.py train FOLDER         reads texts (a JSON list) from stdin, writes vocabularies
python tests/tokenizers/record_seq2seq.py kind FOLDER          reads a kind of seq2seq.py, the number of its settings
                                                               and texts (JSON) from stdin, writes what it does with
                                                               them (JSON), and itself into FOLDER/theirs; the tokenizer
                                                               is in FOLDER
Needs sentencepiece and sacremoses as well.
"""

from __future__ import annotations

import json
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import cases
import languages
import lines
import record
import seq2seq
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import models, pre_tokenizers, trainers
from transformers import AutoTokenizer
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

COMPOSED = {unicodedata.normalize("NFD", letter): letter for letter in "말세한세가어간국감ñỹźẙ"}
"""Rules for several characters at once, which sentencepiece and the tokenizers library apply to different texts."""
COUNT = 300
"""Made lines that each kind is asked about."""
GOLDEN = cases.GOLDEN / "seq2seq.json"


def train(folder: Path, texts: list[str], size: int, rules: bool) -> None:
    """Vocabularies of all kinds that seq2seq.py names."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as other:
        table = record.write_rules(Path(other)) if rules else None
        unigram, pairs = (record.trained_sentencepiece(texts, size, kind, table) for kind in ("unigram", "bpe"))
    for name, content in {
        "t5.model": record.laid_out(unigram, "<pad>", "</s>", "<unk>"),
        "pairs.model": record.laid_out(pairs, "<pad>", "</s>", "<unk>"),
        "fairseq.model": record.laid_out(unigram, "<unk>", "<s>", "</s>"),
        "nllb.model": record.laid_out(pairs, "<unk>", "<s>", "</s>"),
    }.items():
        (folder / name).write_bytes(content)

    with tempfile.TemporaryDirectory() as temporary:
        table = record.write_rules(Path(temporary), {**record.RULES, **COMPOSED}) if rules else None
        plain, plain_pairs, other = (
            record.trained_sentencepiece(some, size, kind, table, user_defined_symbols=[], byte_fallback=False)
            for some, kind in ((texts, "unigram"), (texts, "bpe"), (texts[: len(texts) // 2], "unigram"))
        )
    (folder / "plain.model").write_bytes(plain)
    (folder / "plain_pairs.model").write_bytes(plain_pairs)
    (folder / "target.model").write_bytes(other)
    first, last = pieces_of(plain), pieces_of(other)
    both = sorted({*first, *pieces_of(plain_pairs)})[::-1]  # in an order of its own, and not all of them
    write_ids(folder / "m2m.json", ["<s>", "<pad>", "</s>", "<unk>", *(p for p in both if len(p) != 5), "<word>"])
    roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>"}
    codes = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    (folder / "m2m_roles.json").write_text(json.dumps(roles | {"additional_special_tokens": codes}))
    joint = [piece for piece in sorted({*first, *last}) if len(piece) != 4]
    write_ids(folder / "marian.json", ["</s>", "<unk>", *joint, ">>fra<<", ">>deu<<", "<pad>"])
    write_ids(folder / "marian_target.json", ["</s>", "<unk>", *last[::-1], "<pad>"])

    words = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=400, show_progress=False
    )
    words.train_from_iterator([text.lower() if index % 2 else text for index, text in enumerate(texts)], trainer)
    merges = json.loads(words.to_str())["model"]["merges"]
    (folder / "small.txt").write_text("#version: 0.2\n" + "".join(f"{' '.join(merge)}\n" for merge in merges))
    (folder / "fsmt.txt").write_text("".join(f"{' '.join(merge)} {9}\n" for merge in merges))
    (folder / "fsmt_config.json").write_text('{"langs": ["en", "de"]}')
    found = [piece for piece in sorted(words.get_vocab()) if len(piece) != 7 and piece != "<unk>"]
    marked = [piece[:-4] if piece.endswith("</w>") else f"{piece}@@" for piece in found]
    roles = ["__null__", "__start__", "__end__", "__unk__"]
    write_ids(folder / "small.json", [*roles, "__newln__", *marked])
    write_ids(folder / "fsmt_source.json", ["<s>", "<pad>", "</s>", "<unk>", *found])
    write_ids(folder / "fsmt_target.json", ["<s>", "<pad>", "</s>", "<unk>", *found[::-1]])


def pieces_of(model: bytes) -> list[str]:
    """The pieces of a model of sentencepiece, without its first three."""
    return [piece.piece for piece in sentencepiece_model_pb2.ModelProto.FromString(model).pieces][3:]


def write_ids(path: Path, pieces: list[str]) -> None:
    """A vocab.json."""
    path.write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}, ensure_ascii=False))


def reference(folder: Path, kind: seq2seq.Kind, number: int) -> Any:
    """The tokenizer that is asked."""
    # the fast class of small Blenderbots, which AutoTokenizer takes where files name the slow one, reads no such files
    return AutoTokenizer.from_pretrained(str(folder), use_fast=not kind.slow, **kind.settings[number])


def record_golden(names: list[str]) -> None:
    """What each kind gives."""
    found = json.loads(GOLDEN.read_text()) if names else {}
    texts = languages.made(COUNT)
    for name, number in seq2seq.CASES:
        if names and name not in names:
            continue
        kind = seq2seq.KINDS[name]
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = reference(seq2seq.write(Path(folder), kind), kind, number)
            digests = "".join(lines.digest(row)[: lines.SHORT] for row in seq2seq.rows(tokenizer, kind, texts))
            found[f"{name} {number}"] = {"lines": digests, **seq2seq.answers(tokenizer, kind)}
    found = {f"{name} {number}": found[f"{name} {number}"] for name, number in seq2seq.CASES}
    record.write(GOLDEN.name, found)


def main(command: str, *arguments: str) -> None:
    """Record; see the module."""
    if command == "golden":
        record_golden(list(arguments))
    elif command == "vocabularies":
        sentences = [line for language in languages.SENTENCES for line in languages.sentences(language)]
        train(
            seq2seq.FILES, sentences * 2 + [text for text in languages.made(400) if text.isprintable()], 900, rules=True
        )
    elif command == "train":
        train(Path(arguments[0]), json.load(sys.stdin), 4000, rules=False)
    elif command == "kind":
        name, number, texts = json.load(sys.stdin)
        kind, folder = seq2seq.KINDS[name], Path(arguments[0])
        tokenizer = reference(folder, kind, number)
        tokenizer.save_pretrained(folder / "theirs")
        json.dump([seq2seq.answers(tokenizer, kind), seq2seq.rows(tokenizer, kind, texts)], sys.stdout)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
