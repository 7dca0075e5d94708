"""Calls of pipelines that write texts on texts, whose answers torch's pipelines have given too.

    PYTHONPATH=tests python -m tests.pipelines.seq2seq_calls PYTHON_WITH_TORCH [NAME...]

writes `golden_seq2seq.json`, or of it the cases whose names stand behind that: the toys are written here, in JAX, and
the interpreter named (torch, transformers 4.57, sentencepiece) only answers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import toy_seq2seq
from .calls import Call
from .record import answers_of

GOLDEN = Path(__file__).with_name("golden_seq2seq.json")

TEXT = "The file could not be opened."
TEXTS = [TEXT, "a b", "Le fichier n’a pas pu être ouvert, and a little more is said of it", "", "x"]
LONG = " ".join(TEXTS) * 4
SHORT = {"max_new_tokens": 7}
GREEDY = {"num_beams": 1, "do_sample": False, **SHORT}
IDS = {"return_tensors": True, **SHORT}
EN_RO, EN_FR, NLLB, JAVA = (
    {"src_lang": source, "tgt_lang": target}
    for source, target in (("en_XX", "ro_RO"), ("en", "fr"), ("eng_Latn", "fra_Latn"), ("java", "en_XX"))
)

CASES: Mapping[str, tuple[str, Callable[[Path], Path], Sequence[Call]]] = {
    "t5": (
        "text2text-generation",
        toy_seq2seq.t5,
        [
            ([TEXT], SHORT),
            ([TEXTS], SHORT),
            ([[TEXT]], SHORT),
            ([[]], SHORT),
            ([""], SHORT),
            ([TEXT], GREEDY),
            ([TEXTS], {**GREEDY, "num_return_sequences": 1}),
            ([TEXT], {**SHORT, "num_return_sequences": 3}),
            ([TEXTS], {**SHORT, "num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.5}),
            ([TEXT], IDS),
            ([TEXTS], {**IDS, "no_repeat_ngram_size": 2, "early_stopping": True}),
            ([TEXTS], {**SHORT, "repetition_penalty": 2.5, "min_length": 6}),
            ([LONG], {**IDS, "truncation": True}),
            ([TEXTS], {**SHORT, "clean_up_tokenization_spaces": True, "repetition_penalty": 3.0}),
            ([TEXT], {"no_repeat_ngram_size": 1, "max_new_tokens": 40}),
        ],
    ),
    "t5_summaries": (
        "summarization",
        toy_seq2seq.t5,
        [([TEXT], SHORT), ([TEXTS], IDS), ([TEXTS], {**IDS, "num_beams": 4, "length_penalty": -1.0})],
    ),
    "t5_unnamed": ("translation", toy_seq2seq.t5, [([TEXTS], IDS)]),
    "t5_german": ("translation_en_to_de", toy_seq2seq.t5, [([TEXTS], IDS), ([TEXT], SHORT)]),
    "t5_french": (
        "translation_en_to_fr",
        toy_seq2seq.t5,
        [([TEXTS], IDS), ([TEXT], {**SHORT, "num_return_sequences": 2})],
    ),
    "t5_spanish": ("translation_en_to_es", toy_seq2seq.t5, [([TEXTS], IDS)]),
    "bart_summaries": (
        "summarization",
        toy_seq2seq.bart,
        [([TEXT], {"num_beams": 3}), ([TEXTS], {"num_beams": 3, "return_tensors": True}), ([LONG[:60]], GREEDY)],
    ),
    "mbart": (
        "translation",
        toy_seq2seq.mbart,
        [
            ([TEXT], {**SHORT, **EN_RO}),
            ([TEXTS], {**IDS, **EN_RO}),
            ([TEXTS], {**IDS, "src_lang": "ro_RO", "tgt_lang": "en_XX"}),
            ([TEXT], {**SHORT, **EN_RO, "num_return_sequences": 2}),
        ],
    ),
    "m2m": ("translation", toy_seq2seq.m2m, [([TEXTS], {**IDS, **EN_FR})]),
    "m2m_pair": (
        "translation_en_to_fr",
        toy_seq2seq.m2m,
        [([TEXTS], IDS), ([TEXT], {**IDS, "src_lang": "de", "tgt_lang": "en"})],
    ),
    "nllb": (
        "translation",
        toy_seq2seq.nllb,
        [([TEXTS], {**IDS, **NLLB}), ([TEXT], {**SHORT, "src_lang": "fra_Latn", "tgt_lang": "zho_Hans"})],
    ),
    "plbart": (
        "translation",
        toy_seq2seq.plbart,
        [([TEXTS], {**IDS, **JAVA}), ([TEXT], {**SHORT, "src_lang": "__en_XX__", "tgt_lang": "__python__"})],
    ),
    "marian": ("translation", toy_seq2seq.marian, [([TEXTS], SHORT), ([TEXTS], IDS), ([TEXT], {**SHORT, **EN_FR})]),
    "marian_pair": ("translation_en_to_fr", toy_seq2seq.marian, [([TEXTS], {**IDS, "num_beams": 1})]),
}


def main() -> None:
    """Record all cases, or those that are named."""
    python, *named = sys.argv[1:]
    golden = json.loads(GOLDEN.read_text()) if named else {}
    for name, (task, write, calls) in CASES.items():
        if not named or name in named:
            with tempfile.TemporaryDirectory() as folder:
                golden[name] = answers_of(python, task, write(Path(folder)), calls)
    lines = [f"{json.dumps(name)}: {json.dumps(golden[name], ensure_ascii=False)}" for name in CASES]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{GOLDEN}: {sum(map(len, golden.values()))} answers")


if __name__ == "__main__":
    main()
