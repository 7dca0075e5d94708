"""Record what torch Transformers answers: run by hand with the `parity` extra, from the root of the repository.

    JAXFORMERS_VOCABULARY=<a BERT vocab.txt, uncased> python tests/tokenizers/record_answers.py

Writes golden/vocab.txt, those pieces of the vocabulary that the cases need, and golden/answers.json. There a line
whose answer is the same as with the first settings has 0.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import transformers

sys.path.insert(0, str(Path(__file__).parent))
import tokenizer_cases as cases

transformers.logging.set_verbosity_error()

GOLDEN = Path(__file__).parent / "golden"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(vocabulary: Path, **settings: Any) -> Any:
    """Torch Transformers' tokenizer from a vocab.txt alone."""
    return transformers.BertTokenizerFast(vocab_file=str(vocabulary), **settings)


def prune(source: Path) -> list[str]:
    """The pieces that the cases use, and every piece of one or two characters among the first ones."""
    used = set(SPECIAL)
    for settings in cases.SETTINGS.values():
        for text in [*cases.LINES, *cases.TEXTS, *cases.PAIRS, *(word for row in cases.WORDS for word in row)]:
            used |= set(tokenizer_of(source, settings).tokenize(text))
    pieces = source.read_text("utf-8").split("\n")
    short = [piece for piece in pieces if len(piece.removeprefix("##")) == 1 and piece.removeprefix("##").isascii()]
    common = [piece for piece in pieces if piece.isascii() and piece.isalpha()][:2000]
    used |= {*short, *common}
    return [*SPECIAL, *(piece for piece in pieces if piece in used and piece not in SPECIAL)]


_made: dict[tuple[Path, str], Any] = {}


def tokenizer_of(source: Path, settings: dict[str, Any]) -> Any:
    """As `tokenizer`, made once."""
    key = (source, repr(settings))
    if key not in _made:
        _made[key] = tokenizer(source, **settings)
    return _made[key]


def flat(encoded: Any) -> dict[str, Any]:
    """An answer as JSON, offsets as one list of numbers a row."""
    fields = dict(encoded)
    if "offset_mapping" in fields:
        offsets = fields["offset_mapping"]
        rows = offsets if offsets and isinstance(offsets[0], list) else [offsets]
        fields["offset_mapping"] = [[place for pair in row for place in pair] for row in rows]
    return fields


def main() -> None:
    """Write the golden files."""
    GOLDEN.mkdir(exist_ok=True)
    vocabulary = GOLDEN / "vocab.txt"
    pieces = prune(Path(os.environ["JAXFORMERS_VOCABULARY"]))
    vocabulary.write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    first: list[Any] = []
    answers: dict[str, Any] = {"lines": {}, "calls": [], "decoded": []}
    for name, settings in cases.SETTINGS.items():
        ours = tokenizer(vocabulary, **settings)
        rows = [ours(line, return_offsets_mapping=True) for line in cases.LINES]
        found = [
            [row["input_ids"][1:-1], [place for pair in row["offset_mapping"][1:-1] for place in pair]] for row in rows
        ]
        first = first or found
        answers["lines"][name] = [
            row if row != same or found is first else 0 for row, same in zip(found, first, strict=True)
        ]
    for padding_side, truncation_side in cases.SIDES:
        ours = tokenizer(vocabulary, padding_side=padding_side, truncation_side=truncation_side, model_max_length=64)
        found = [flat(ours(**call)) for call in cases.calls()]
        plain = answers["calls"][0] if answers["calls"] else [None] * len(found)
        answers["calls"].append([row if row != same else 0 for row, same in zip(found, plain, strict=True)])
    ours = tokenizer(vocabulary)
    for line in cases.LINES[::3]:
        ids = ours(line)["input_ids"]
        answers["decoded"].append(
            [
                ours.decode(ids, skip, clean_up_tokenization_spaces=clean)
                for skip in (False, True)
                for clean in (False, True)
            ]
        )
    answers["skeleton"] = {
        "frames": [ours.build_inputs_with_special_tokens([7, 8]), ours.build_inputs_with_special_tokens([7], [8, 9])],
        "types": [
            ours.create_token_type_ids_from_sequences([7, 8]),
            ours.create_token_type_ids_from_sequences([7], [8, 9]),
        ],
        "specials": ours.special_tokens_map,
        "ids": ours.all_special_ids,
        "sizes": [ours.vocab_size, len(ours)],
    }
    with tempfile.TemporaryDirectory() as folder:
        ours.save_pretrained(folder)
        answers["config"] = json.loads((Path(folder) / "tokenizer_config.json").read_text("utf-8"))
    text = json.dumps(answers, ensure_ascii=True, separators=(",", ":"))
    (GOLDEN / "answers.json").write_text(text.replace("],[", "],\n[").replace("},{", "},\n{") + "\n", "utf-8")
    print(f"{len(pieces)} pieces, {len(cases.LINES)} lines, {len(list(cases.calls()))} calls, {len(text)} bytes")


if __name__ == "__main__":
    main()
