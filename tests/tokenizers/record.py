"""Ask torch Transformers 4.57 and keep its answers: run by hand, with the `parity` extra installed.

python tests/tokenizers/record.py golden VOCAB     rewrites golden/; VOCAB is the vocab.txt of bert-base-uncased
                                                   (Apache-2.0), of which the pieces that are needed are kept
python tests/tokenizers/record.py old              rewrites golden/old/ and old.json; needs sentencepiece, sacremoses,
                                                   rjieba and tiktoken as well
python tests/tokenizers/record.py train FOLDER     reads texts (a JSON list) from stdin, writes vocabularies of all
                                                   kinds
python tests/tokenizers/record.py kind FOLDER      reads a kind of old.py, settings and texts (JSON) from stdin, writes
                                                   what it does with them (JSON); the tokenizer is in FOLDER
python tests/tokenizers/record.py lines FOLDER     reads texts (a JSON list) from stdin, writes ids and offsets of each
                                                   (JSON) for the tokenizer in FOLDER and every variant
"""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cases
import lines
import old
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, BertTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

COUNT = 2000
"""Made lines that the plain tests compare."""
OLD = 250
"""Of these, those that go through each kind of old files."""
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
            written = cases.write(Path(folder), files)
            load = lambda name: cases.as_five(AutoTokenizer.from_pretrained(name), Path(name))  # noqa: E731
            found[name] = cases.loaded(load, written)
    return found


# Some of what nmt_nfkc does, in a table that is small: wide letters, ligatures, spaces; what cannot be seen goes.
RULES = {
    **{chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)},
    **dict(zip("①②③½ﬁﬂ\u00a0\u3000\t\u2003", ["1", "2", "3", "1/2", "fi", "fl", " ", " ", " ", " "], strict=True)),
    **dict.fromkeys("\u200b\ufeff\u00ad", ""),
}


def write_rules(folder: Path, rules: Mapping[str, str] = RULES) -> Path:
    """Rules of normalization in a file, as sentencepiece reads them."""
    code = lambda text: " ".join(f"{ord(letter):X}" for letter in text)  # noqa: E731
    table = folder / "rules.tsv"
    table.write_text("".join(f"{code(old)}\t{code(new)}\n" for old, new in rules.items()))
    return table


def trained_sentencepiece(texts: list[str], size: int, kind: str, rules: Path | None, **options: Any) -> bytes:
    """A model of sentencepiece, `<unk> <s> </s>` first; options of the trainer go before what is said here."""
    file = io.BytesIO()
    settings: dict[str, Any] = {
        "model_type": kind,
        "vocab_size": size,
        "hard_vocab_limit": False,
        "byte_fallback": kind == "bpe",
        "user_defined_symbols": ["<user>", "[M]"],
        "character_coverage": 0.995,
        "minloglevel": 2,
        **({"normalization_rule_tsv": str(rules)} if rules else {}),
        **options,
    }
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=file, **settings)
    return file.getvalue()


def laid_out(model: bytes, *pieces: str) -> bytes:
    """The model with these in place of its first three; "<unk>" among them keeps its part, `*` are user-defined."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    rest = list(proto.pieces)[3:]
    del proto.pieces[:]
    for index, name in enumerate(pieces):
        unknown = name.lower() in ("<unk>", "[unk]")
        proto.pieces.add(piece=name.strip("*"), score=0.0, type=2 if unknown else 4 if name.endswith("*") else 3)
        if unknown:
            proto.trainer_spec.unk_id, proto.trainer_spec.unk_piece = index, name
    proto.pieces.extend(rest)
    return proto.SerializeToString()


def train(folder: Path, texts: list[str], size: int, rules: bool) -> None:
    """Vocabularies of all kinds that old.py names."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as other:
        table = write_rules(Path(other)) if rules else None
        unigram, pairs = (trained_sentencepiece(texts, size, kind, table) for kind in ("unigram", "bpe"))
    for name, content in {
        "fairseq.model": laid_out(unigram, "<unk>", "<s>", "</s>"),
        "albert.model": laid_out(unigram, "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "(x)*"),
        "big_bird.model": laid_out(unigram, "<pad>", "</s>", "<s>", "<unk>", "[SEP]", "[CLS]", "[MASK]"),
        "xlnet.model": laid_out(
            unigram, "<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>", "(x)*"
        ),
        "deberta.model": laid_out(unigram, "[PAD]", "[CLS]", "[SEP]", "[UNK]"),
        "llama.model": laid_out(pairs, "<unk>", "<s>", "</s>"),
        "gemma.model": laid_out(pairs, "<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>*"),
    }.items():
        (folder / name).write_bytes(content)

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"]
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size + 200, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    save_bpe(bpe, folder, "bpe", header=True)
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    plain = [(index, piece) for piece, index in bpe.get_vocab(with_added_tokens=False).items() if piece not in special]
    ranks = "".join(
        f"{base64.b64encode(bytes(letters[letter] for letter in piece)).decode()} {rank}\n"
        for rank, (_, piece) in enumerate(sorted(plain))
    )
    (folder / "tiktoken.model").write_text(ranks)

    words = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.decoder = decoders.BPEDecoder()
    roles = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{number}>" for number in range(10))]
    words.train_from_iterator(
        [text.lower() if index % 2 else text for index, text in enumerate(texts)],
        trainers.BpeTrainer(
            vocab_size=size, special_tokens=roles, end_of_word_suffix="</w>", limit_alphabet=150, show_progress=False
        ),
    )
    save_bpe(words, folder, "moses", header=False)

    pieces = cases.VOCABULARY.read_text(encoding="utf-8")
    (folder / "words.txt").write_text(pieces + "".join(f"{role}\n" for role in old.ROLES), encoding="utf-8")
    proteins = "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>".split()
    (folder / "esm.txt").write_text("\n".join(proteins))
    (folder / "entities.json").write_text('{"[MASK]": 0, "[UNK]": 1, "[PAD]": 2, "[MASK2]": 3, "Ana Ivanovic": 4}')


def save_bpe(tokenizer: tokenizers.Tokenizer, folder: Path, name: str, header: bool) -> None:
    """vocab.json and merges.txt under other names."""
    with tempfile.TemporaryDirectory() as other:
        tokenizer.model.save(other)
        (folder / f"{name}.json").write_bytes((Path(other) / "vocab.json").read_bytes())
        merges = (Path(other) / "merges.txt").read_text(encoding="utf-8")
    (folder / f"{name}.txt").write_text(merges if header else merges.split("\n", 1)[1], encoding="utf-8")


def reference(folder: Path, kind: old.Kind, number: int) -> Any:
    """The tokenizer that is asked."""
    tokenizer = cases.as_five(AutoTokenizer.from_pretrained(str(folder), **kind.settings[number]), folder)
    if kind.resaved:
        with tempfile.TemporaryDirectory() as other:
            tokenizer.save_pretrained(other)
            return AutoTokenizer.from_pretrained(other)
    return tokenizer


def record_old() -> dict[str, Any]:
    """What each kind of old files gives."""
    prose = [text for text in lines.made(4000) if text and max(text) < "\u0250"]
    train(old.FILES, prose, 600, rules=True)
    texts, found = lines.made(OLD), {}
    for name, number in old.CASES:
        kind = old.KINDS[name]
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = reference(old.write(Path(folder), kind), kind, number)
            digests = "".join(lines.digest(row)[: lines.SHORT] for row in old.rows(tokenizer, kind, texts))
            found[f"{name} {number}"] = {"lines": digests, **old.answers(tokenizer, kind)}
    return found


def write(name: str, value: Any) -> None:
    """A golden file; one line for each entry."""
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
    (cases.GOLDEN / name).write_text("{" + text + "}\n")


def main(command: str, path: str = "") -> None:
    """Record; see the module."""
    if command == "golden":
        cases.GOLDEN.mkdir(exist_ok=True)
        cases.VOCABULARY.write_text("".join(f"{piece}\n" for piece in pruned(Path(path))))
        write("lines.json", record_lines())
        decoded = cases.decoded(BertTokenizerFast(str(cases.VOCABULARY)))
        write("calls.json", {"calls": record_calls(), "decoded": decoded})
        write("folders.json", record_folders())
    elif command == "old":
        write("old.json", record_old())
    elif command == "train":
        train(Path(path), json.load(sys.stdin), 4000, rules=False)
    elif command == "kind":
        name, number, texts = json.load(sys.stdin)
        kind = old.KINDS[name]
        tokenizer = reference(Path(path), kind, number)
        json.dump([old.answers(tokenizer, kind), old.rows(tokenizer, kind, texts)], sys.stdout)
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
