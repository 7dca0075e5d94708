"""Ask torch Transformers 4.57 and keep its answers: run by hand, with the `parity` extra installed.

python tests/tokenizers/record.py golden VOCAB     rewrites golden/; VOCAB is the vocab.txt of bert-base-uncased
                                                   (Apache-2.0), of which the pieces that are needed are kept
python tests/tokenizers/record.py lines FOLDER     reads texts (a JSON list) from stdin, writes ids and offsets of each
                                                   (JSON) for the tokenizer in FOLDER and every variant
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cases
import lines
from transformers import AutoTokenizer, BertTokenizerFast

COUNT = 2000
"""Made lines that the plain tests compare."""
EXTRA = "A B Z The We ##A ##B É é ##é È ü ñ 漢字 ##̈"
"""Pieces that an uncased vocabulary lacks, so that other variants have something to find."""


def pruned(path: Path) -> list[str]:
    """The pieces of a vocabulary that made lines use, and all short ones, in their order."""
    tokenizer = BertTokenizerFast(str(path))
    used = {
        piece for row in tokenizer(lines.made(COUNT))["input_ids"] for piece in tokenizer.convert_ids_to_tokens(row)
    }
    for texts in (cases.TEXTS, cases.PAIRS, list(cases.SEQUENCES)):
        used |= {piece for text in texts for piece in tokenizer.tokenize(text)}
    pieces = path.read_text(encoding="utf-8").split("\n")
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    kept = [p for p in pieces if p in used or p in special or (p and len(p.removeprefix("##")) == 1)]
    return kept + [piece for piece in EXTRA.split() if piece not in kept]


def rows(tokenizer: Any, texts: list[str]) -> list[Any]:
    """Ids and offsets of each text."""
    encoded = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    return [list(row) for row in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)]


def record_lines() -> dict[str, str]:
    """Digests of every made line, one after another, by variant: from vocab.txt and from tokenizer.json alike."""
    texts, found = lines.made(COUNT), {}
    with tempfile.TemporaryDirectory() as folder:
        BertTokenizerFast(str(cases.VOCABULARY)).save_pretrained(folder)
        (Path(folder) / "vocab.txt").unlink()
        for name, settings in cases.VARIANTS.items():
            answers = rows(BertTokenizerFast(str(cases.VOCABULARY), **settings), texts)
            assert answers == rows(BertTokenizerFast.from_pretrained(folder, **settings), texts)
            found[name] = "".join(lines.digest(answer)[: lines.SHORT] for answer in answers)
    return found


def record_calls() -> str:
    """Digests of the answers to all calls, one after another; dashes where it raises."""
    tokenizer = BertTokenizerFast(str(cases.VOCABULARY), model_max_length=24)
    found = []
    for side, texts, options in cases.calls():
        tokenizer.truncation_side = side
        try:
            found.append(lines.digest(cases.answer(tokenizer, texts, options))[: lines.SHORT])
        except (Exception, BaseException) as error:  # a panic of Rust code is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            found.append("-" * lines.SHORT)
    return "".join(found)


def record_folders() -> dict[str, Any]:
    """What each folder of files gives."""
    found: dict[str, Any] = {}
    for name, files in cases.FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            cases.write(Path(folder), files)
            found[name] = cases.loaded(AutoTokenizer.from_pretrained, Path(folder))
    return found


def write(name: str, value: Any) -> None:
    """A golden file; one line for each entry."""
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
    (cases.GOLDEN / name).write_text("{" + text + "}\n")


def main(command: str, path: str) -> None:
    """Record; see the module."""
    if command == "golden":
        cases.GOLDEN.mkdir(exist_ok=True)
        cases.VOCABULARY.write_text("".join(f"{piece}\n" for piece in pruned(Path(path))))
        write("lines.json", record_lines())
        decoded = cases.decoded(BertTokenizerFast(str(cases.VOCABULARY)))
        write("calls.json", {"calls": record_calls(), "decoded": decoded})
        write("folders.json", record_folders())
    elif command == "lines":
        texts = json.load(sys.stdin)
        answers = {
            name: rows(AutoTokenizer.from_pretrained(path, **settings), texts)
            for name, settings in cases.VARIANTS.items()
        }
        json.dump(answers, sys.stdout)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
