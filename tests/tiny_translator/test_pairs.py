"""What the scripts that train encoder-decoders read, set aside and measure."""

from __future__ import annotations

from pathlib import Path

import catalogues
import docstrings
import lexicon
import pairs
import pytest
import scores
import small_models
from pairs import Pair
from pipelines import toy_seq2seq

from jaxformers import AutoModelForSeq2SeqLM, AutoTokenizer, DataCollatorForSeq2Seq

PO = r"""
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

#: a.py:1
msgctxt "menu"
msgid "Open \"%s\""
msgstr ""
"Ouvrir "
"« %s »"

#, fuzzy, python-format
msgid "Unsure"
msgstr "Incertain"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d fichier"
msgstr[1] "%d fichiers"

#~ msgid "Gone"
#~ msgstr "Parti"
"""


def test_messages_of_a_catalogue() -> None:
    found = [Pair(*pair) for pair in catalogues.read_po(PO)]
    assert [pair for pair in found if catalogues.usable(pair)] == [
        Pair('Open "%s"', "Ouvrir « %s »"),
        Pair("%d file", "%d fichier"),
    ]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Hello %s", "Bonjour"),  # a place that is not filled in
        ("<b>Hello</b>", "<b>Bonjour</b>"),
        ("E-mail", "E-mail"),
        ("%(a)s", "%(a)s !"),
    ],
)
def test_messages_that_teach_nothing(source: str, target: str) -> None:
    assert not catalogues.usable(Pair(source, target))


def test_what_is_learnt_is_not_tested() -> None:
    packages = [
        ("editor-1.0", [Pair("Open file", "Ouvrir"), Pair("Close", "Fermer")]),
        ("forum-2.1", [Pair("Open file!", "Ouvrir !"), Pair("Reply", "Répondre")]),
        ("shop-0.3", [Pair("close", "Fermer"), Pair("Buy", "Acheter")]),
    ]
    found = pairs.split(packages, ["shop"], ["forum"])
    assert found.train == packages[0][1]
    assert found.counts == {"editor-1.0": 2}
    assert found.held_out == [Pair("Reply", "Répondre")]
    assert found.validation == [Pair("Buy", "Acheter")]
    with pytest.raises(ValueError, match="nothing found of wiki"):
        pairs.split(packages, ["shop"], ["wiki"])


def test_first_lines_of_docstrings() -> None:
    text = """Give the shortest path
    between two nodes.

    All paths are tried in the order of their lengths, which :func:`walk` keeps in a ``heap`` of its own.

    Args:
        graph: what has nodes.
    """
    source = "All paths are tried in the order of their lengths, which walk keeps in a heap of its own."
    assert docstrings.pair_of(text) == Pair(source, "Give the shortest path between two nodes.")
    assert docstrings.pair_of("Give the shortest path between two nodes.") is None


def test_scores() -> None:
    assert scores.chrf(["abc"], ["abd"]) == pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3)
    assert scores.chrf(["le chat"], ["le chat"]) == pytest.approx(100)
    assert scores.rouge(["The cat sat."], ["the cat sat down"]) == pytest.approx(
        {"rouge1": 600 / 7, "rouge2": 80, "rougeL": 600 / 7}
    )


def test_lexicon_finds_what_translates_what() -> None:
    open_, file, window, ouvrir, fichier, fenetre = range(2, 8)
    rows = [
        {"input_ids": [open_, file], "labels": [ouvrir, fichier]},
        {"input_ids": [open_, window], "labels": [ouvrir, fenetre]},
        {"input_ids": [file], "labels": [fichier]},
    ]
    sources, targets, probability = lexicon.translations(rows, 8, rounds=20)
    likely = {(int(s), int(t)) for s, t, p in zip(sources, targets, probability, strict=True) if p > 0.8}
    assert likely == {(open_, ouvrir), (file, fichier), (window, fenetre)}
    table = lexicon.table(rows, 8, 64, seed=0)
    near = table @ table.T / 64
    assert near[file, fichier] > 0.8 > abs(near[file, fenetre])


def test_training_in_cycles_leaves_a_checkpoint(tmp_path: Path) -> None:
    start = toy_seq2seq.t5(tmp_path / "start", dropout_rate=0.0)
    tokenizer = AutoTokenizer.from_pretrained(start)
    found = [Pair(f"The file {i}.", f"Le fichier {i}.") for i in range(8)] + [Pair("The file " * 9, "Le fichier.")]
    rows = small_models.rows_of(tokenizer, found, (16, 16))
    assert len(rows) == 8  # without the long one
    model = AutoModelForSeq2SeqLM.from_pretrained(start)
    settings = {"cycles": [(3, 0.03), (1, 0.01)], "batch": 4, "seed": 0}
    small_models.train(model, tokenizer, rows, tmp_path / "out", **settings)
    trained = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out", dtype="float32")
    batch = DataCollatorForSeq2Seq(tokenizer)(rows)
    assert trained(**batch).loss < model(**batch).loss - 0.5
    assert (
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out", dtype="auto").params["word"]["table"].dtype == "float16"
    )
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "out")("The file.")["input_ids"] == tokenizer("The file.")["input_ids"]
    )
