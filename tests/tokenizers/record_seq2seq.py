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
from pathlib import Path
from typing import Any

import cases
import languages
import lines
import record
import seq2seq
from transformers import AutoTokenizer

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


def reference(folder: Path, kind: seq2seq.Kind, number: int) -> Any:
    """The tokenizer that is asked."""
    return AutoTokenizer.from_pretrained(str(folder), **kind.settings[number])


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
