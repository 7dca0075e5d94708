"""Ask llama.cpp how it tokenizes, and keep its answers in golden/gguf.json: run by hand.

    python tests/tokenizers/record_gguf_tokenizers.py

Needs the packages sentencepiece and xllamacpp, whose server has llama.cpp's tokenizers. Two small vocabularies are
trained on made lines, one of byte-level BPE and one of sentencepiece; the first is written once for each way of
splitting texts into words.
"""

from __future__ import annotations

import http.client
import io
import json
import sys
import tempfile
import unicodedata
import urllib.parse
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import gguf_files as files
import lines
import sentencepiece
from gguf_vocabularies import metadata
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

GOLDEN = Path(__file__).parent / "golden" / "gguf.json"
COUNT = 300
WORDS = 900
PIECES = 1300  # of which some 900 are single characters
NAMES = (
    "gpt-2",
    "smollm",
    "llama-bpe",
    "dbrx",
    "glm4",
    "qwen2",
    "stablelm2",
    "seed-coder",
    "tekken",
    "gpt-4o",
    "falcon",
    "deepseek-coder",
)
NUMBERS = " ".join(str(number) for number in range(2000))


def byte_level() -> dict[str, Any]:
    """Tokens and merges in which numbers are whole, and no space is part of them, as in Falcon's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(individual_digits=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>", "<pad>"]
    )
    tokenizer.train_from_iterator([*lines.made(2000), NUMBERS], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return {"tokens": sorted(model["vocab"], key=model["vocab"].__getitem__), "merges": merges}


def pieces() -> dict[str, Any]:
    """Pieces, scores and kinds of sentencepiece's BPE, with bytes, and spaces that are found before all else."""
    model = io.BytesIO()
    texts = [line.replace("\n", " ").replace("\0", " ") for line in lines.made(2000)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=PIECES,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.98,
        user_defined_symbols=["<b>", "▁▁", "▁▁▁"],
        minloglevel=2,
    )
    kept = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    tokens = [kept.id_to_piece(index) for index in range(PIECES)]
    kinds = [
        2 if kept.is_unknown(i) else 3 if kept.is_control(i) else 6 if kept.is_byte(i) else 1 for i in range(PIECES)
    ]
    for index, token in enumerate(tokens):
        if token == "<b>" or (token and set(token) == {"▁"} and len(token) > 1):
            tokens[index], kinds[index] = token.replace("▁", " "), 4  # as the converter has them
    return {"tokens": tokens, "scores": [kept.get_score(index) for index in range(PIECES)], "kinds": kinds}


def ask(path: Path, texts: list[str]) -> list[list[int]]:
    """The ids that llama.cpp gives texts."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_gpu_layers, params.warmup = str(path), 64, 0, False
    server = xllamacpp.Server(params)
    address = urllib.parse.urlparse(server.listening_address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    ids = []
    for text in texts:
        body = json.dumps({"content": text, "add_special": False, "parse_special": True})
        connection.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
        ids.append(json.loads(connection.getresponse().read())["tokens"])
    return ids


def main() -> None:
    """Record."""
    vocabularies = {"bpe": byte_level(), "spm": pieces()}
    answers = {}
    for name in (*NAMES, "spm", "spm without a space"):
        vocabulary = vocabularies["spm" if name.startswith("spm") else "bpe"]
        texts = lines.made(COUNT)
        if name == "qwen2":  # llama.cpp leaves out the normalisation that the Hub's tokenizer has
            texts = [unicodedata.normalize("NFC", text) for text in texts]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.gguf"
            said = {**files.LLAMA, **metadata(name, vocabulary)}
            path.write_bytes(files.write(said, files.tensors(len(vocabulary["tokens"]))))
            answers[name] = "".join(lines.digest(ids)[: lines.SHORT] for ids in ask(path, texts))
    GOLDEN.write_text(json.dumps({**vocabularies, "lines": answers}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
