"""Texts written on texts: torch's answers, whose prefixes, languages and lengths count, and what is refused."""

from __future__ import annotations

import inspect
import itertools
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_writer

from jaxformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertModel,
    GenerationConfig,
    Pipeline,
    forbid,
    hub,
    pipeline,
)
from jaxformers import config as configs
from jaxformers.generation import TextIteratorStreamer
from jaxformers.pipelines import KeyDataset, chunks
from jaxformers.pipelines import task as tasks
from jaxformers.pipelines.text2text import (
    SummarizationPipeline,
    Text2TextGenerationPipeline,
    TranslationPipeline,
)
from jaxformers.tokenizers.languages import UnknownLanguage

from . import toy_seq2seq
from .conftest import write_classifier
from .seq2seq_calls import CASES, EN_RO, GOLDEN, GREEDY, LONG, SHORT, TEXT, TEXTS
from .test_golden import same
from .toy_seq2seq import LISTED

ANSWERS = json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each toy."""
    writers = {write for _, write, _ in CASES.values()}
    return {write.__name__: write(tmp_path_factory.mktemp(write.__name__)) for write in writers}


@pytest.fixture(scope="module")
def pipes(folders: dict[str, Path]) -> dict[str, Pipeline]:
    """The pipeline of each case; toys are read once."""
    models = {name: AutoModelForSeq2SeqLM.from_pretrained(folder) for name, folder in folders.items()}
    read = {name: AutoTokenizer.from_pretrained(folder) for name, folder in folders.items()}
    return {
        name: pipeline(task, model=models[write.__name__], tokenizer=read[write.__name__], batch_size=16)
        for name, (task, write, _) in CASES.items()
    }


@pytest.fixture(autouse=True)
def said_anew() -> None:
    configs.say_once.cache_clear()


def again(pipe: Pipeline, task: str, **options: Any) -> Any:
    """A pipeline on the same model."""
    return pipeline(task, model=pipe.model, tokenizer=pipe.tokenizer, batch_size=16, **options)


def greedy(pipe: Pipeline, text: str, count: int = 7) -> list[int]:
    """The decoder's ids, one whole pass for each; a start, then what is written."""
    config = pipe.model.config
    source, ids = pipe.tokenizer(text)["input_ids"], [config.decoder_start_token_id]
    while len(ids) <= count and (len(ids) == 1 or ids[-1] != config.eos_token_id):
        logits = pipe.model(input_ids=np.array([source]), decoder_input_ids=np.array([ids])).logits
        ids.append(int(np.argmax(np.asarray(logits)[0, -1])))
    return ids


# -- torch's answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "number"), [(name, i) for name, case in CASES.items() for i in range(len(case[2]))])
def test_answers_are_torchs(pipes: dict[str, Pipeline], name: str, number: int) -> None:
    assert len(ANSWERS[name]) == len(CASES[name][2]), "the calls changed: python -m tests.pipelines.seq2seq_calls"
    args, keywords = CASES[name][2][number]
    same(pipes[name](*args, **keywords), ANSWERS[name][number])


# -- what comes back --------------------------------------------------------------------------------------------------


def test_a_text_gets_what_the_model_writes(pipes: dict[str, Pipeline]) -> None:
    for name, options in (("t5", {}), ("m2m", {"src_lang": "en", "tgt_lang": "fr", "forced_bos_token_id": None})):
        (found,) = pipes[name](TEXT, **GREEDY, **options, return_tensors=True)
        (ids,) = found.values()
        source = pipes[name].tokenizer(TEXT)["input_ids"]
        expected = np.asarray(pipes[name].model.generate([source], **GREEDY))[0].tolist()
        assert ids == greedy(pipes[name], TEXT) == expected
        assert json.dumps(found)


def test_each_kind_of_input_has_its_kind_of_answer(pipes: dict[str, Pipeline]) -> None:
    pipe = pipes["t5"]
    expected = [one["generated_text"] for one in pipe(TEXTS, **GREEDY)]
    assert expected == [pipe(text, **GREEDY)[0]["generated_text"] for text in TEXTS]
    flat, each = [{"generated_text": text} for text in expected], [[{"generated_text": text}] for text in expected]
    for given in (TEXTS, tuple(TEXTS), np.array(TEXTS)):
        assert pipe(given, **GREEDY) == flat
    assert pipe(*TEXTS, **GREEDY) == flat
    assert pipe(TEXTS, batch_size=2, **GREEDY) == flat
    assert list(pipe((text for text in TEXTS), **GREEDY)) == each
    assert list(pipe(KeyDataset([{"text": text} for text in TEXTS], "text"), **GREEDY)) == each
    assert pipe.predict(TEXTS, **GREEDY) == flat
    several = pipe(TEXTS[:2], **SHORT, num_beams=2, num_return_sequences=2)
    assert [len(own) for own in several] == [2, 2]
    assert pipe(TEXT, **GREEDY, return_text=True) == [flat[0]]


def test_a_generator_is_read_and_answered_as_it_goes(pipes: dict[str, Pipeline]) -> None:
    read: list[int] = []

    def endless() -> Iterator[str]:
        for i in itertools.count():
            read.append(i)
            yield TEXTS[i % len(TEXTS)]

    answers = pipes["t5"](endless(), **GREEDY)
    assert read == []
    expected = [[one] for one in pipes["t5"](TEXTS, **GREEDY)]
    assert list(itertools.islice(answers, 5)) == expected
    assert len(read) <= 200
    answers.close()


def test_scores_stand_beside_the_text(pipes: dict[str, Pipeline]) -> None:
    said = {"return_dict_in_generate": True, "output_scores": True, **SHORT}
    (found,) = pipes["t5"](TEXT, num_beams=2, **said)
    assert isinstance(found["sequences_scores"], float)
    assert np.shape(found["scores"])[1:] == (2, pipes["t5"].model.config.vocab_size)
    assert json.dumps(found)


def test_one_row_can_be_heard_while_it_is_written(pipes: dict[str, Pipeline]) -> None:
    pipe = pipes["t5"]
    streamer = TextIteratorStreamer(pipe.tokenizer, skip_prompt=True, skip_special_tokens=True)
    (found,) = pipe(TEXT, streamer=streamer, **SHORT)  # four beams are the pipeline's own idea, and give way
    assert "".join(streamer) == found["generated_text"] == pipe(TEXT, **GREEDY)[0]["generated_text"]
    with pytest.raises(ValueError, match="a streamer shows one row: pass num_beams=1"):
        pipe(TEXT, streamer=streamer, num_beams=2)
    with pytest.raises(ValueError, match="a streamer shows one row"):
        pipes["bart_summaries"](TEXT, streamer=streamer)


def test_an_assistant_changes_nothing(pipes: dict[str, Pipeline], folders: dict[str, Path]) -> None:
    pipe = pipes["t5"]
    expected = pipe(TEXT, **GREEDY)
    assert pipe(TEXT, assistant_model=pipe.model, **SHORT) == expected
    assert pipe(TEXT, prompt_lookup_num_tokens=2, **SHORT) == expected
    assert again(pipe, "text2text-generation", assistant_model=folders["t5"])(TEXT, **SHORT) == expected


def test_other_values_compile_nothing(pipes: dict[str, Pipeline]) -> None:
    pipes["t5"](TEXTS, **SHORT, num_beams=2, length_penalty=1.0)
    with forbid():
        pipes["t5"](TEXTS[::-1], max_new_tokens=5, num_beams=2, length_penalty=2.0)


# -- lengths and settings ---------------------------------------------------------------------------------------------


def test_defaults_are_the_pipelines_then_the_models_then_the_tasks_then_the_callers(
    pipes: dict[str, Pipeline], tmp_path: Path
) -> None:
    def said(pipe: Pipeline, *names: str) -> list[Any]:
        return [getattr(pipe.generation_config, name) for name in names]

    assert said(pipes["t5"], "max_new_tokens", "num_beams", "do_sample") == [256, 4, False]
    lengths = ("max_new_tokens", "max_length", "min_length", "num_beams", "length_penalty")
    assert said(pipes["t5_summaries"], *lengths) == [256, 9, 3, 2, 2.0]
    assert said(pipes["t5_unnamed"], "max_length", "num_beams") == [12, 3]
    assert said(pipes["bart_summaries"], *lengths) == [None, 14, 5, 3, 2.0]
    assert said(again(pipes["t5"], "summarization", num_beams=5, max_length=30), *lengths) == [None, 30, 3, 5, 2.0]
    own = pipeline("summarization", model=toy_seq2seq.t5(tmp_path, generation={"num_beams": 6, "min_length": 2}))
    assert said(own, *lengths) == [256, 9, 3, 2, 2.0]  # the task's go before the model's
    plain = again(own, "text2text-generation")
    assert said(plain, *lengths) == [256, 20, 2, 6, 1.0]
    passed = again(own, "summarization", generation_config=GenerationConfig(min_length=4))
    assert said(passed, *lengths) == [None, 20, 4, 6, 1.0]


def length(pipe: Pipeline, text: str, **options: Any) -> int:
    (found,) = pipe(text, return_tensors=True, num_beams=1, eos_token_id=None, **options)
    (ids,) = found.values()
    return len(ids)


def test_a_length_that_was_typed_beats_one_that_was_not(
    pipes: dict[str, Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    pipe = pipes["t5"]
    assert length(pipe, TEXT, max_length=10) == 10  # the first of them is what the decoder begins with
    assert length(pipe, TEXT, max_new_tokens=10) == 11
    assert length(pipe, TEXT) == 257
    assert length(pipes["t5_summaries"], TEXT, max_length=6, min_length=1) == 6
    assert length(pipes["bart_summaries"], TEXT) == 14
    assert length(pipes["bart_summaries"], TEXT, max_new_tokens=4, min_length=0) == 5
    assert length(again(pipe, "text2text-generation", max_length=8), TEXT) == 8
    assert length(again(pipe, "text2text-generation", max_length=8), TEXT, max_new_tokens=3) == 4
    assert length(pipe, TEXT, generation_config=GenerationConfig(max_length=12)) == 12
    assert "max_length" not in caplog.text
    assert length(pipe, TEXT, max_length=30, max_new_tokens=3) == 4
    assert "max_length=30 has no effect: max_new_tokens=3 counts" in caplog.text


def test_what_nobody_typed_ends_where_the_decoder_does(pipes: dict[str, Pipeline]) -> None:
    assert length(pipes["marian"], TEXT) == toy_seq2seq.PLACES
    with pytest.raises(ValueError, match=r"100 new ones are more than the model's 64 positions.*max_new_tokens=63"):
        pipes["marian"](TEXT, max_new_tokens=100)


def test_the_least_length_counts_what_is_written(pipes: dict[str, Pipeline]) -> None:
    for options in ({"min_length": 6, "max_length": 6}, {"min_new_tokens": 5, "max_new_tokens": 5}):
        found = pipes["t5"](TEXTS, return_tensors=True, num_beams=2, **options)
        assert {len(one["generated_token_ids"]) for one in found} == {6}


def test_a_stop_text_ends_an_answer_as_a_whole(pipes: dict[str, Pipeline]) -> None:
    pipe = pipes["bart_summaries"]
    said = {**GREEDY, "max_new_tokens": 12}
    whole = pipe(TEXT, **said)[0]["summary_text"]
    stop = whole[4:7]
    for name in ("stop_sequence", "stop_strings"):
        found = pipe(TEXT, **said, **{name: stop})[0]["summary_text"]
        assert whole.startswith(found)
        assert stop in found
        assert len(found) < len(whole)


def test_lengths_that_do_not_go_with_texts_are_said_once(
    pipes: dict[str, Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    pipes["bart_summaries"](["a", "b"], num_beams=1, max_length=9, min_length=2)
    pipes["bart_summaries"]("c", num_beams=1, max_length=9, min_length=2)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["summarization"]
    assert "fewer tokens than the 8" in caplog.text
    caplog.clear()
    for _ in range(2):
        pipes["marian"](TEXTS, max_new_tokens=6, num_beams=1)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["translation"]
    assert "nine tenths of the 6" in caplog.text
    caplog.clear()
    for _ in range(2):
        pipes["t5"](TEXT, max_new_tokens=3, min_length=9, num_beams=1)
    assert [record.getMessage() for record in caplog.records] == [
        "answers are to have 8 new tokens at least, and get 3 at most: the most counts"
    ]


def test_nothing_is_said_about_what_nobody_asked_for(
    pipes: dict[str, Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jaxformers")
    pipes["t5"](TEXT, **GREEDY)
    pipes["marian"]("x", **GREEDY)
    pipes["t5_summaries"](LONG[:80])  # shorter than the 256 tokens that nobody asked for
    assert not [record for record in caplog.records if record.name != "jaxformers.runtime"]


# -- prefixes and languages -------------------------------------------------------------------------------------------


def heard(pipe: Pipeline, text: str, **options: Any) -> list[int]:
    (found,) = pipe(text, return_tensors=True, **GREEDY, **options)
    (ids,) = found.values()
    return ids


def test_a_prefix_is_the_callers_the_tasks_or_the_models(pipes: dict[str, Pipeline], tmp_path: Path) -> None:
    plain = again(pipes["t5"], "text2text-generation", min_length=0)
    summary = again(pipes["t5"], "summarization", min_length=0)
    assert heard(summary, TEXT) == heard(plain, f"summarize: {TEXT}")
    assert heard(summary, TEXT, prefix="so: ") == heard(plain, f"so: {TEXT}")
    assert heard(summary, TEXT, prefix="") == heard(plain, TEXT) != heard(summary, TEXT)
    own = pipeline("summarization", model=toy_seq2seq.t5(tmp_path, prefix="tell: ", task_specific_params=None))
    assert heard(own, TEXT) == heard(plain, f"tell: {TEXT}")


@pytest.mark.parametrize(
    ("task", "options", "prefix"),
    [
        ("translation", {"src_lang": "en", "tgt_lang": "fr"}, "translate English to French: "),
        ("translation", {"src_lang": "English", "tgt_lang": "french"}, "translate English to French: "),
        ("translation", {"src_lang": "fr", "tgt_lang": "Spanish"}, "translate French to Spanish: "),
        ("translation", {}, "translate English to German: "),
        ("translation_en_to_fr", {}, "translate English to French: "),
        ("translation_en_to_fr", {"src_lang": "en", "tgt_lang": "de"}, "translate English to German: "),
        ("translation_en_to_fr", {"tgt_lang": "ro"}, "translate English to Romanian: "),
        ("translation_en_to_ro", {}, ""),
        ("translation", {"src_lang": "en", "tgt_lang": "fr", "prefix": "x "}, "x "),
    ],
)
def test_t5_is_told_languages_in_words(
    pipes: dict[str, Pipeline], task: str, options: dict[str, Any], prefix: str
) -> None:
    plain = again(pipes["t5"], "text2text-generation")
    pipe = again(pipes["t5"], task)
    assert heard(pipe, TEXT, **options) == heard(plain, prefix + TEXT)
    assert heard(again(pipes["t5"], task, **options), TEXT) == heard(plain, prefix + TEXT)


def test_languages_that_nobody_names_are_the_first_listed_ones(
    pipes: dict[str, Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        pipes["t5_unnamed"]("x", max_new_tokens=20, num_beams=1)
    assert caplog.text.count("going by translation_en_to_de") == 1
    caplog.clear()
    listed = {name: LISTED[name] for name in ("summarization", "translation_en_to_fr")}
    model = pipes["t5"].model
    one = model.replace(config=model.config.replace(task_specific_params=listed))
    pipe = pipeline("translation", model=one, tokenizer=pipes["t5"].tokenizer)
    assert heard(pipe, TEXT) == heard(again(pipe, "translation_en_to_fr"), TEXT)
    assert "going by" not in caplog.text  # there is no other


def test_languages_that_a_model_does_not_list_are_doubted_once(
    pipes: dict[str, Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    listed = again(pipes["t5"], "translation_en_to_de")
    heard(listed, TEXT)
    heard(listed, TEXT, src_lang="en", tgt_lang="fr")
    heard(again(pipes["marian"], "translation_en_to_ro"), TEXT)  # lists none
    assert "learnt" not in caplog.text
    for _ in range(2):
        heard(again(pipes["t5"], "translation_en_to_es"), TEXT)
        heard(listed, TEXT, tgt_lang="es", src_lang="en")
    told = "translation_en_to_es: config.json lists translation_en_to_de, translation_en_to_fr alone"
    for prefix in ("", "translate English to Spanish: "):
        assert caplog.text.count(f"{told}, so the model may not have learnt it; texts are read behind {prefix!r}") == 1


def test_languages_of_a_call_leave_no_trace(pipes: dict[str, Pipeline]) -> None:
    pipe = again(pipes["mbart"], "translation", **EN_RO)
    before = (pipe.tokenizer.src_lang, pipe.tokenizer.tgt_lang, pipe.tokenizer(TEXT)["input_ids"])
    ids = heard(pipe, TEXT)
    assert ids[1] == pipe.tokenizer.get_lang_id("ro_RO")
    other = heard(pipe, TEXT, src_lang="de_DE", tgt_lang="fr_XX")
    assert other[1] == pipe.tokenizer.get_lang_id("fr_XX")
    assert [heard(pipe, text, src_lang="de_DE") for text in TEXTS] != [heard(pipe, text) for text in TEXTS]
    assert heard(pipe, TEXT) == ids
    assert (pipe.tokenizer.src_lang, pipe.tokenizer.tgt_lang, pipe.tokenizer(TEXT)["input_ids"]) == before
    read = pipe.tokenizer.for_languages("de_DE")(TEXT)["input_ids"]
    expected = pipe.model.generate([read], forced_bos_token_id=pipe.tokenizer.get_lang_id("fr_XX"), **GREEDY)
    assert other == np.asarray(expected)[0].tolist()
    assert pipe.generation_config.forced_bos_token_id is None
    assert heard(pipe, TEXT, forced_bos_token_id=9)[1] == 9


def test_languages_that_are_needed_or_unknown_are_named_at_the_call(pipes: dict[str, Pipeline]) -> None:
    for options in ({}, {"src_lang": "en_XX"}, {"tgt_lang": "en_XX"}):
        with pytest.raises(ValueError, match=r"^the model translates between many languages: pass src_lang= and tgt_"):
            pipes["mbart"]([TEXT], **options)
    with pytest.raises(UnknownLanguage, match=r"^'ro' is no language of MBartTokenizer \(the nearest are ro_RO\)"):
        pipes["mbart"]([TEXT], src_lang="en_XX", tgt_lang="ro")
    pair = again(pipes["mbart"], "translation_en_to_ro")
    with pytest.raises(UnknownLanguage, match=r"the nearest are en_XX"):
        pair(TEXT)
    assert heard(pair, TEXT, **EN_RO) == heard(pipes["mbart"], TEXT, **EN_RO)
    with pytest.raises(ValueError, match=r"told both languages in words: pass src_lang= and tgt_lang="):
        pipes["t5_unnamed"](TEXT, tgt_lang="fr")
    with pytest.raises(ValueError, match=r"'Frensh' is no language.*nearest are French"):
        pipes["t5_unnamed"](TEXT, src_lang="en", tgt_lang="Frensh")
    with pytest.raises(ValueError, match="src_lang=3"):
        pipes["marian"](TEXT, src_lang=3)


def test_a_model_of_one_pair_takes_and_leaves_languages(
    pipes: dict[str, Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jaxformers")
    assert pipes["marian"](TEXT, src_lang="xx", **GREEDY) == pipes["marian"](TEXT, **GREEDY)
    assert "no effect: src_lang, tgt_lang" in caplog.text


# -- long texts -------------------------------------------------------------------------------------------------------


SENTENCES = ["The file could not be opened. ", "It is a file! ", "Could it be opened? ", "No… ", "The end."]
STORY = "".join(SENTENCES * 3)


def test_long_texts_are_refused_or_cut(pipes: dict[str, Pipeline]) -> None:
    for name in ("marian", "t5", "bart_summaries"):
        said = r"\d+ tokens, the model takes 64: pass truncation=True"
        with forbid(), pytest.raises(ValueError, match=said):
            pipes[name](LONG * 4, **SHORT)
        with pytest.raises(ValueError, match=f"^input 1: {said}"):
            pipes[name](["", LONG * 4], **SHORT)
    with pytest.raises(ValueError, match=r'truncation=True .* or long="chunks"'):
        pipes["bart_summaries"](LONG * 4, **GREEDY)
    pipe = pipes["marian"]
    ids = pipe.tokenizer(LONG * 4, truncation=True, max_length=toy_seq2seq.PLACES)["input_ids"]
    expected = np.asarray(pipe.model.generate([ids], **GREEDY))[0].tolist()
    assert heard(pipe, LONG * 4, truncation=True) == expected


def test_long_texts_are_summarised_in_parts(pipes: dict[str, Pipeline]) -> None:
    pipe = pipes["bart_summaries"]
    count = lambda part: len(pipe.tokenizer(part)["input_ids"])  # noqa: E731
    parts = chunks.windows(STORY, count, toy_seq2seq.PLACES)
    assert len(parts) > 2
    said = {"long": "chunks", **SHORT, "min_length": 0}
    expected = " ".join(pipe(part, **SHORT, min_length=0)[0]["summary_text"] for part in parts)
    assert pipe(STORY, **said) == [{"summary_text": expected}]
    assert pipe(["a", STORY, TEXT], **said) == [
        *pipe("a", **SHORT, min_length=0),
        {"summary_text": expected},
        *pipe(TEXT, **SHORT, min_length=0),
    ]
    ids = [
        id for part in parts for id in pipe(part, **SHORT, min_length=0, return_tensors=True)[0]["summary_token_ids"]
    ]
    assert pipe(STORY, **said, return_tensors=True) == [{"summary_token_ids": ids}]
    several = pipe(STORY, **said, num_return_sequences=2)
    assert len(several) == 2
    assert several[0]["summary_text"] == expected
    scored = pipe(STORY, **said, return_dict_in_generate=True)[0]
    assert len(scored["sequences_scores"]) == len(parts)


def test_parts_are_whole_sentences_of_about_one_length() -> None:
    count = lambda text: 2 + len(text.split())  # noqa: E731
    parts = chunks.windows(STORY, count, 20)
    assert " ".join(parts) == STORY
    assert all(part[-1] in ".!?…" for part in parts)
    lengths = [count(part) for part in parts]
    assert max(lengths) <= 20
    assert min(lengths) > 7
    assert chunks.windows(STORY, count, 100) == [STORY]
    words = chunks.windows("a b c d e f g h", count, 5)
    assert " ".join(words) == "a b c d e f g h"
    assert max(map(count, words)) <= 5
    letters = chunks.windows("abcdefgh", lambda text: 1 + len(text), 4)
    assert "".join(letters) == "abcdefgh"
    assert max(map(len, letters)) <= 3
    chinese = "\u4f60\u597d\u3002\u518d\u89c1\u3002"
    assert chunks.windows(chinese, len, 3) == [chinese[:3], chinese[3:]]
    lines = lambda text: len(re.findall(r"\S+|\n\n", text))  # noqa: E731
    assert chunks.windows("\n\na b c d\ne f g h", lines, 4) == ["a b c d", "e f g h"]
    assert chunks.windows("    ", len, 2) == [""]
    with pytest.raises(ValueError, match="takes 3 tokens, and what stands around each part has 3"):
        chunks.windows("  aa", lambda text: 3 + len(text.strip()) // 2, 3)
    with pytest.raises(ValueError, match="takes 2 tokens, and 'a' alone has 3"):
        chunks.windows("aa", lambda text: 2 + len(text), 2)


# -- which model, which task ------------------------------------------------------------------------------------------


def test_tasks_are_known_by_name_by_default_and_by_model(folders: dict[str, Path]) -> None:
    assert tasks.default("summarization") == ("sshleifer/distilbart-cnn-12-6", "a4f8f3e")
    assert {tasks.default(f"translation_en_to_{other}") for other in ("de", "fr", "ro")} == {
        tasks.default("text2text-generation"),
        ("google-t5/t5-base", "a9723ea"),
    }
    for task in ("translation", "translation_en_to_es"):
        with pytest.raises(
            ValueError, match=r"no default model: name a model, or one of the tasks translation_en_to_de"
        ):
            pipeline(task)
    kinds = {
        "t5": "text2text-generation",
        "bart": "text2text-generation",
        "marian": "translation",
        "m2m": "translation",
    }
    for name, task in kinds.items():
        assert pipeline(model=folders[name]).task == task
    found = [pipeline(task, model=folders["t5"]) for task in ("summarization", "translation_en_to_fr")]
    assert [type(pipe) for pipe in found] == [SummarizationPipeline, TranslationPipeline]
    assert [pipe.task for pipe in found] == ["summarization", "translation_en_to_fr"]
    assert isinstance(found[0], Text2TextGenerationPipeline)


def test_names_of_translations_that_are_none_say_the_pattern() -> None:
    for name in ("translation_en_fr", "translation_en_to", "translation_en_XX_to_fr_XX", "translations"):
        with pytest.raises(KeyError, match="translation_XX_to_YY"):
            pipeline(name)
    with pytest.raises(KeyError, match="did you mean 'summarization'"):
        pipeline("summarisation")


def test_a_model_without_both_sides_is_refused_with_those_that_fit(folder: Path, tmp_path: Path) -> None:
    write_classifier(tmp_path / "base", cls=BertModel)
    models = (folder, tmp_path / "base", toy_writer.write(tmp_path / "writer"))
    for model in models:
        for task in ("summarization", "translation", "text2text-generation"):
            for more in ({}, {"allow_new_head": True}):
                with (
                    forbid(),
                    pytest.raises(ValueError, match=r"takes models of the classes BartFor.*T5For.*has none of"),
                ):
                    pipeline(task, model=model, **more)
    with pytest.raises(ValueError, match="it fits 'text-generation'"):
        pipeline("summarization", model=models[2])


def test_an_encoder_decoder_is_refused_where_it_has_no_class(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="it fits 'text2text-generation' and 'summarization' and 'translation'"):
        pipeline("text-generation", model=folders["t5"])


def test_without_a_network_the_default_says_what_to_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(hub.Unreachable, match=r"google-t5/t5-base"):
        pipeline("translation_en_to_fr", local_files_only=True)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [None, 3, {"text": "a"}, 1.5, b"a"])
def test_what_is_no_text_is_a_type_error(pipes: dict[str, Pipeline], item: Any) -> None:
    with pytest.raises(TypeError):
        pipes["t5"](item, **GREEDY)
    with pytest.raises(TypeError, match="input 1: expected a text, found"):
        pipes["t5"](["a", item], **GREEDY)
    with pytest.raises(TypeError, match="is called with an input"):
        pipes["t5"](**GREEDY)


def test_what_is_wrong_with_an_input_is_said_in_its_place(pipes: dict[str, Pipeline]) -> None:
    answers = pipes["t5"](iter(["a", 3, ""]), **GREEDY)
    assert next(answers) == pipes["t5"]("a", **GREEDY)
    with pytest.raises(TypeError, match="input 1"):
        next(answers)
    assert next(answers) == pipes["t5"]("", **GREEDY)


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("t5", {"max_new_token": 3}, TypeError, "did you mean 'max_new_tokens'"),
        ("t5", {"src_lang": "en"}, TypeError, "takes no 'src_lang'"),
        ("marian", {"long": "chunks"}, TypeError, "takes no 'long'"),
        ("t5", {"owner": None}, TypeError, "takes no 'owner'"),
        ("t5", {"return_text": True, "return_tensors": True}, ValueError, "exclude each other"),
        ("t5", {"return_text": False}, ValueError, "return_tensors=True"),
        ("t5", {"return_tensors": 1}, ValueError, "return_tensors=1: True or False"),
        ("t5", {"max_new_tokens": 0}, ValueError, "max_new_tokens"),
        ("t5", {"max_length": 1}, ValueError, "max_length=1 leaves no room"),
        ("t5", {"num_return_sequences": 5}, ValueError, "num_return_sequences"),
        ("t5", {"penalty_alpha": 0.6}, ValueError, "contrastive"),
        ("t5", {"stop_sequence": 3}, ValueError, "stop_sequence"),
        ("t5", {"prefix": 3}, ValueError, "prefix"),
        ("t5", {"output_attentions": True}, ValueError, r"model\.generate"),
        ("bart_summaries", {"long": "parts"}, ValueError, '"chunks" or None'),
        ("bart_summaries", {"long": "chunks", "truncation": True}, ValueError, "leave one out"),
    ],
)
def test_options_that_cannot_be_are_errors_at_the_call(
    pipes: dict[str, Pipeline], name: str, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with forbid(), pytest.raises(error, match=said) as raised:
        pipes[name](["a", "b"], **options)
    assert "input 0" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_without_a_beginning_is_refused(folders: dict[str, Path]) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(folders["t5"])
    config = model.config.replace(decoder_start_token_id=None)
    lost = model.replace(config=config, generation_config=GenerationConfig(pad_token_id=0, eos_token_id=1))
    pipe = pipeline("text2text-generation", model=lost, tokenizer=folders["t5"])
    with pytest.raises(ValueError, match="neither decoder_start_token_id nor bos_token_id"):
        pipe("a", **GREEDY)
    assert heard(pipe, "a", decoder_start_token_id=0) == heard(pipeline(model=folders["t5"]), "a")


def test_all_settings_of_generate_can_be_said(pipes: dict[str, Pipeline]) -> None:
    arguments = inspect.signature(pipes["t5"].model.generate).parameters
    prompts = {"input_ids", "attention_mask", "inputs_embeds", "decoder_input_ids", "decoder_attention_mask", "options"}
    prompts |= {"token_type_ids", "encoder_outputs", "capture", "patch"}  # and of research: answers are texts
    for task in ("text2text-generation", "summarization", "translation"):
        assert not set(arguments) - set(tasks.find(task).words) - prompts
