"""Text generation: a prompt gets what it would get alone, however it is passed; options mean what they say."""

from __future__ import annotations

import inspect
import itertools
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import toy_writer

from jaxformers import AutoTokenizer, GenerationConfig, Pipeline, forbid, pipeline
from jaxformers.generation import TextIteratorStreamer, TextStreamer, TokenTrie
from jaxformers.pipelines import KeyDataset
from jaxformers.pipelines import task as tasks

GREEDY = {"do_sample": False, "max_new_tokens": 8}
CHAT = [{"role": "user", "content": "Hi there"}]
PROMPTS = ["one two", "A longer one.", "a", "b c d e f", "yes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_writer.write(tmp_path_factory.mktemp("writer"))


@pytest.fixture(scope="module")
def pipe(folder: Path) -> Pipeline:
    """Two rows at a time, so that few programs serve all tests."""
    return pipeline("text-generation", model=folder, batch_size=2)


@pytest.fixture(scope="module")
def bare(pipe: Pipeline) -> Pipeline:
    """Without an end, so that all of max_new_tokens is written."""
    return pipeline("text-generation", model=pipe.model, tokenizer=pipe.tokenizer, batch_size=2, eos_token_id=None)


def greedy(pipe: Any, text: str, count: int = 8) -> str:
    """What is new, one whole pass a token."""
    ids = pipe.tokenizer(text)["input_ids"]
    new = toy_writer.greedy(pipe.model, ids, count, end=pipe.generation_config.eos_token_id)
    return pipe.tokenizer.decode(new, skip_special_tokens=True)


def texts(answers: Any) -> list[str]:
    return [answer[0]["generated_text"] for answer in answers]


# -- what comes back --------------------------------------------------------------------------------------------------


def test_one_text_gives_a_list_of_one_dict(pipe: Pipeline) -> None:
    new = greedy(pipe, "one two")
    assert pipe("one two", **GREEDY) == [{"generated_text": "one two" + new}]
    assert pipe(text_inputs="one two", return_full_text=False, **GREEDY) == [{"generated_text": new}]
    assert pipe("one two", return_text=True, **GREEDY) == [{"generated_text": "one two" + new}]
    ids = pipe("one two", return_tensors=True, **GREEDY)[0]["generated_token_ids"]
    assert pipe.tokenizer.decode(ids, skip_special_tokens=True) == "one two" + new
    assert json.dumps(ids)


def test_a_list_gives_each_prompt_what_it_gets_alone_in_its_order(pipe: Pipeline) -> None:
    expected = [text + greedy(pipe, text) for text in PROMPTS]
    assert texts(pipe(PROMPTS, **GREEDY)) == expected
    assert texts(pipe(PROMPTS, batch_size=3, **GREEDY)) == expected
    assert texts(pipe(tuple(PROMPTS), **GREEDY)) == expected
    assert texts(pipe(np.array(PROMPTS), **GREEDY)) == expected
    assert texts(pipe(*PROMPTS, **GREEDY)) == expected
    assert texts(pipe(KeyDataset([{"text": text} for text in PROMPTS], "text"), **GREEDY)) == expected
    assert pipe([], **GREEDY) == []


def test_a_generator_is_read_and_answered_as_it_goes(pipe: Pipeline) -> None:
    read: list[int] = []

    def endless() -> Iterator[str]:
        for i in itertools.count():
            read.append(i)
            yield PROMPTS[i % len(PROMPTS)]

    answers = pipe(endless(), **GREEDY)
    assert read == []
    assert next(answers)[0]["generated_text"] == "one two" + greedy(pipe, "one two")
    assert len(read) == 1
    assert texts(itertools.islice(answers, 3)) == [text + greedy(pipe, text) for text in PROMPTS[1:4]]
    assert len(read) <= 200
    answers.close()


def test_several_results_of_a_prompt(bare: Pipeline) -> None:
    found = bare(["a", "one two"], num_return_sequences=3, max_new_tokens=6)
    assert [len(own) for own in found] == [3, 3]
    assert len({one["generated_text"] for one in found[1]}) == 3
    assert all(one["generated_text"].startswith("one two") for one in found[1])


def test_spaces_and_special_tokens_are_cleaned_unless_told_otherwise(pipe: Pipeline) -> None:
    comma, space = (pipe.tokenizer.convert_tokens_to_ids(token) for token in ", ")

    def dictated(sight: Any, scores: jax.Array) -> jax.Array:
        """A space and a comma by turns, and then the end."""
        token = jax.numpy.where(sight.new > 1, 2, jax.numpy.where(sight.new == 0, space, comma))
        return jax.numpy.where(jax.numpy.arange(scores.shape[1]) == token[:, None], 0.0, -jax.numpy.inf)

    said = {"logits_processor": [dictated], **GREEDY}
    assert pipe("a", **said)[0]["generated_text"] == "a,"
    assert pipe("a", clean_up_tokenization_spaces=False, **said)[0]["generated_text"] == "a ,"
    assert pipe("a", skip_special_tokens=False, **said)[0]["generated_text"] == "a,<eos>"


def test_scores_stand_beside_the_text(bare: Pipeline) -> None:
    ((found,),) = bare(["one two"], return_dict_in_generate=True, output_scores=True, output_logits=True, **GREEDY)
    ids = bare.tokenizer("one two")["input_ids"]
    expected = toy_writer.scores(bare.model, ids)
    np.testing.assert_allclose(found["logits"][0], expected, atol=1e-4)
    assert np.shape(found["scores"]) == (8, len(expected))
    assert json.dumps(found)
    beams = bare("one two", return_dict_in_generate=True, num_beams=2, **GREEDY)[0]
    assert isinstance(beams["sequences_scores"], float)
    assert len(beams["beam_indices"]) == 8
    with pytest.raises(ValueError, match=r"output_attentions.*model\.generate"):
        bare("a", return_dict_in_generate=True, output_attentions=True, **GREEDY)


# -- settings ---------------------------------------------------------------------------------------------------------


def made(folder: Path, **options: Any) -> GenerationConfig:
    return pipeline("text-generation", model=folder, **options).generation_config


def test_defaults_are_the_pipelines_then_the_models_then_the_callers(folder: Path, tmp_path: Path) -> None:
    said = made(folder)
    assert (said.max_new_tokens, said.do_sample, said.temperature) == (256, True, 0.7)
    assert made(folder, do_sample=False).temperature == 1.0  # no word about a temperature that nobody asked for
    own = toy_writer.write(tmp_path / "own", generation={"temperature": 0.3, "max_length": 50, "eos_token_id": 2})
    said = made(own)
    assert (said.max_new_tokens, said.max_length, said.do_sample, said.temperature) == (None, 50, True, 0.3)
    assert made(own, temperature=0.9, max_new_tokens=4).temperature == 0.9
    special = {"text-generation": {"do_sample": True, "max_length": 50, "top_k": 7, "prefix": "so "}}
    old = toy_writer.write(tmp_path / "old", task_specific_params=special)
    said = made(old)
    assert (said.max_new_tokens, said.max_length, said.top_k) == (256, 50, 7)
    said = made(folder, generation_config=GenerationConfig(top_p=0.5))
    assert (said.max_new_tokens, said.do_sample, said.top_p) == (None, False, 0.5)


def length(pipe: Any, text: str, **options: Any) -> int:
    return len(pipe(text, return_tensors=True, **options)[0]["generated_token_ids"])


def test_a_length_that_was_typed_beats_one_that_was_not(
    bare: Pipeline, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert length(bare, "abcde", max_length=10) == 10
    assert length(bare, "abcde", max_length=20) == 20  # not 20 new ones
    assert length(bare, "abcde", max_new_tokens=3) == 8
    assert length(bare, "abcde", generation_config=GenerationConfig(max_length=12)) == 12
    assert length(bare, "abcde", generation_config=GenerationConfig(do_sample=True)) == 25
    assert not caplog.records
    assert length(bare, "abcde", max_new_tokens=3, max_length=60) == 8
    assert "max_new_tokens=3 counts" in caplog.text
    caplog.clear()
    said = {"eos_token_id": None, "max_new_tokens": 4, "truncation": True}
    short = pipeline("text-generation", model=bare.model, tokenizer=folder, **said)
    assert length(short, "abcde") == 9
    assert length(short, "abcde", max_length=6) == 6
    assert length(short, "abcde", max_new_tokens=2, max_length=3) == 5  # the prompt was cut to 3
    assert not caplog.records


def test_the_built_in_length_ends_where_the_model_does(bare: Pipeline) -> None:
    assert length(bare, "abcde") == toy_writer.PLACES


def test_a_call_goes_before_the_pipeline(folder: Path) -> None:
    pipe = pipeline("text-generation", model=folder, return_full_text=False, **GREEDY)
    new = greedy(pipe, "a")
    assert pipe("a")[0]["generated_text"] == new
    assert pipe("a", return_full_text=True)[0]["generated_text"] == "a" + new
    assert list(pipe("a", return_tensors=True)[0]) == ["generated_token_ids"]
    assert pipe("a", max_new_tokens=2)[0]["generated_text"] == greedy(pipe, "a", 2)


def test_draws_go_by_key_and_number_alone(bare: Pipeline) -> None:
    key = jax.random.key(5)
    listed = texts(bare(PROMPTS, key=key, max_new_tokens=6))
    assert texts(bare(PROMPTS, key=5, batch_size=1, max_new_tokens=6)) == listed
    assert texts(bare(iter(PROMPTS), key=key, max_new_tokens=6)) == listed
    assert texts(bare(["zzz", *PROMPTS[1:]], key=key, max_new_tokens=6))[1:] == listed[1:]
    assert texts(bare(PROMPTS, key=6, max_new_tokens=6)) != listed
    same = texts(bare(["a"] * 4, key=key, max_new_tokens=6))
    assert len(set(same)) > 1
    beams = texts(bare(PROMPTS[:3], key=key, num_beams=2, max_new_tokens=6))
    assert texts(bare(["zzz", *PROMPTS[1:3]], key=key, num_beams=2, max_new_tokens=6))[1:] == beams[1:]


def test_other_values_compile_nothing(pipe: Pipeline) -> None:
    pipe(PROMPTS, max_new_tokens=5, temperature=0.8, top_k=9)
    pipe("one two", max_new_tokens=5, temperature=0.8, top_k=9)
    with forbid():
        pipe(list(reversed(PROMPTS)), max_new_tokens=7, temperature=1.2, top_k=20, top_p=0.9, key=3)
        pipe("xyz", max_new_tokens=7, temperature=1.2)


@pytest.mark.parametrize("option", ["stop_sequence", "stop_strings"])
def test_a_stop_text_ends_an_answer_only_as_a_whole(bare: Pipeline, option: str) -> None:
    new = greedy(bare, "one two", 40)
    stop = new[3:6]
    end = new.index(stop) + 3
    found = bare("one two", return_full_text=False, do_sample=False, max_new_tokens=40, **{option: stop})
    assert found[0]["generated_text"] == new[:end]
    listed = texts(bare(["one two", "b"], return_full_text=False, do_sample=False, max_new_tokens=40, **{option: stop}))
    assert listed[0] == new[:end]


def test_time_is_each_prompts_own(bare: Pipeline) -> None:
    bare(["a", "b"], max_new_tokens=60, max_time=9.0)
    found = bare(["a", "b"], max_new_tokens=60, max_time=1e-6, return_tensors=True)
    assert all(1 < len(own[0]["generated_token_ids"]) < 60 for own in found)


def test_beams_in_groups_are_beams_alone(pipe: Pipeline) -> None:
    said = {"num_beams": 2, "num_return_sequences": 2, **GREEDY}
    ids = pipe.tokenizer(PROMPTS[1])["input_ids"]
    expected = np.asarray(pipe.model.generate([ids], pad_token_id=0, **said))[:, len(ids) :]
    listed = pipe(PROMPTS[:3], batch_size=6, return_full_text=False, **said)
    for row, own in zip(expected, listed[1], strict=True):
        assert own["generated_text"] == pipe.tokenizer.decode(row, skip_special_tokens=True)
    assert listed[1] == pipe(PROMPTS[1], return_full_text=False, **said)


def test_an_assistant_changes_nothing(pipe: Pipeline, folder: Path) -> None:
    expected = [text + greedy(pipe, text) for text in PROMPTS[:3]]
    assert texts(pipe(PROMPTS[:3], assistant_model=pipe.model, **GREEDY)) == expected
    assert texts(pipe(PROMPTS[:3], prompt_lookup_num_tokens=3, **GREEDY)) == expected
    helped = pipeline("text-generation", model=pipe.model, tokenizer=folder, assistant_model=folder)
    assert texts(helped(PROMPTS[:3], **GREEDY)) == expected
    with pytest.raises(ValueError, match="same tokenizer"):
        pipe("a", assistant_model=toy_writer.model(vocab_size=40))
    with pytest.raises(ValueError, match="an assistant helps with one row"):
        pipe("a", assistant_model=pipe.model, num_beams=2)


def test_guidance_and_constraints_are_those_of_generate(pipe: Pipeline) -> None:
    ids, negative = (pipe.tokenizer(text)["input_ids"] for text in ("one two", "yes"))
    said = {"guidance_scale": 2.5, "negative_prompt_ids": [negative], **GREEDY}
    expected = np.asarray(pipe.model.generate([ids], **said))[0].tolist()
    assert pipe("one two", return_tensors=True, **said)[0]["generated_token_ids"] == expected
    word = pipe.tokenizer("ok")["input_ids"]
    trie = TokenTrie.of([word], 2)
    assert texts(pipe(["a", "b c"], prefix_allowed_tokens_fn=trie, **GREEDY)) == ["aok", "b cok"]
    rows: list[int] = []

    def allowed(row: int, so_far: np.ndarray) -> list[int]:
        rows.append(row)
        return [*word, 2]

    for text in texts(pipe(["a", "b c"], prefix_allowed_tokens_fn=allowed, **GREEDY)):
        assert set(text.removeprefix("a").removeprefix("b c")) <= set("ok")
    assert set(rows) == {0}


def test_a_rule_of_the_users_ends_rows(bare: Pipeline) -> None:
    rule = lambda ids, scores: ids.shape[1] >= 10  # noqa: E731
    found = bare(["abc", "abcdef"], stopping_criteria=[rule], return_tensors=True, **GREEDY)
    assert [len(own[0]["generated_token_ids"]) for own in found] == [10, 10]


# -- prompts ----------------------------------------------------------------------------------------------------------


def test_a_prefix_is_read_and_not_shown(bare: Pipeline) -> None:
    new = greedy(bare, "so one two")
    assert bare("one two", prefix="so ", **GREEDY)[0]["generated_text"] == "one two" + new
    found = bare("one two", prefix="so ", do_sample=False, max_length=10, return_full_text=False)[0]["generated_text"]
    assert found == new[:3]  # a length counts the text's own tokens


def test_an_empty_text_begins_with_bos(bare: Pipeline, folder: Path) -> None:
    new = bare.tokenizer.decode(toy_writer.greedy(bare.model, [1], 8), skip_special_tokens=True)
    assert bare("", **GREEDY) == [{"generated_text": new}]
    assert texts(bare(["a", ""], **GREEDY))[1] == new
    mute = pipeline("text-generation", model=toy_writer.model(bos_token_id=None), tokenizer=folder)
    with pytest.raises(ValueError, match="bos_token_id"):
        mute("")


def test_long_prompts_are_refused_cut_or_lose_their_beginning(bare: Pipeline) -> None:
    long = "abcdefghij" * 12
    with pytest.raises(ValueError, match=r"120 tokens leaves no room, the model takes 96.*truncation=True"):
        bare(long, **GREEDY)
    with pytest.raises(ValueError, match=r"90 tokens and 8 new ones.*max_new_tokens=6"):
        bare(long[:90], **GREEDY)
    said = {"return_full_text": False, **GREEDY}
    found = bare(long, handle_long_generation="hole", **said)
    assert found[0]["generated_text"] == greedy(bare, long[-88:])
    assert bare(long, truncation=True, **said)[0]["generated_text"] == greedy(bare, long[:88])
    assert bare("short", handle_long_generation="hole", **said)[0]["generated_text"] == greedy(bare, "short")
    with pytest.raises(ValueError, match="hole"):
        bare(long, handle_long_generation="hole", max_new_tokens=96)
    with pytest.raises(ValueError, match=r"max_length=10 leaves no room behind a prompt of 12"):
        bare("abcdefghijkl", max_length=10)


# -- chats ------------------------------------------------------------------------------------------------------------


def test_a_chat_gets_an_answer(pipe: Pipeline) -> None:
    new = greedy(pipe, "<user>Hi there|<assistant>")
    expected = [{"generated_text": [*CHAT, {"role": "assistant", "content": new}]}]
    before = json.dumps(CHAT)
    assert pipe(CHAT, **GREEDY) == expected
    assert pipe([CHAT, CHAT], **GREEDY) == [expected, expected]
    assert list(pipe(iter([CHAT]), **GREEDY)) == [expected]
    assert pipe([{"messages": CHAT}], **GREEDY) == [expected]
    assert pipe(CHAT, return_full_text=False, **GREEDY) == [{"generated_text": new}]
    assert pipe([CHAT, "a"], **GREEDY)[1] == pipe("a", **GREEDY)
    assert json.dumps(CHAT) == before


def test_what_the_assistant_began_is_gone_on_with(pipe: Pipeline) -> None:
    begun = [*CHAT, {"role": "assistant", "content": "I am"}]
    new = greedy(pipe, "<user>Hi there|<assistant>I am")
    expected = [*CHAT, {"role": "assistant", "content": "I am" + new}]
    assert pipe(begun, **GREEDY)[0]["generated_text"] == expected
    other = pipe(begun, continue_final_message=False, **GREEDY)[0]["generated_text"]
    assert other[:2] == begun
    assert other[2]["content"] == greedy(pipe, "<user>Hi there|<assistant>I am|<assistant>")


def test_variables_of_the_template(pipe: Pipeline) -> None:
    found = pipe(CHAT, tokenizer_encode_kwargs={"closing": "ok "}, return_full_text=False, **GREEDY)
    assert found[0]["generated_text"] == greedy(pipe, "<user>Hi there|<assistant>ok ")


def test_bad_chats_are_named(pipe: Pipeline, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"message 1 .* 'content'"):
        pipe([*CHAT, {"role": "user"}])
    with pytest.raises(ValueError, match="at least one message"):
        pipe([CHAT, []])
    with pytest.raises(ValueError, match="found dict with"):
        pipe({"role": "user", "content": "a"})
    plain = pipeline("text-generation", model=toy_writer.write(tmp_path, chats=False))
    with pytest.raises(ValueError, match="no chat template"):
        plain(CHAT)


# -- streams of tokens ------------------------------------------------------------------------------------------------


def test_a_streamer_hears_what_the_answer_says(bare: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    new = {"return_full_text": False, "clean_up_tokenization_spaces": False}
    streamer = TextIteratorStreamer(bare.tokenizer, skip_prompt=True, skip_special_tokens=True)
    (found,) = bare("one two", streamer=streamer, key=2, max_new_tokens=12, **new)
    assert "".join(streamer) == found["generated_text"]
    assert bare("one two", key=2, max_new_tokens=12, **new) == [found]
    printer = TextStreamer(bare.tokenizer, skip_special_tokens=True)
    listed = bare(["one two", "a"], streamer=printer, **GREEDY, **new)
    assert capsys.readouterr().out == "".join(
        f"{text}{own[0]['generated_text']}\n" for text, own in zip(["one two", "a"], listed, strict=True)
    )
    with pytest.raises(ValueError, match="a streamer shows one row"):
        bare("a", streamer=streamer, num_beams=2)


def test_who_reads_a_streamer_hears_of_errors(bare: Pipeline, folder: Path) -> None:
    def reading(run: Any) -> tuple[list[str], BaseException | None, BaseException | None]:
        """What a reader in another thread gets and raises, and what is raised here."""
        pieces: list[str] = []
        raised: list[BaseException | None] = [None, None]

        def read() -> None:
            try:
                pieces.extend(streamer)
            except Exception as error:
                raised[0] = error

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            run()
        except Exception as error:
            raised[1] = error
        reader.join(20)
        assert not reader.is_alive(), "the reader waits for ever"
        return pieces, raised[0], raised[1]

    streamer = TextIteratorStreamer(bare.tokenizer, skip_prompt=True, skip_special_tokens=True)
    made = pipeline("text-generation", model=bare.model, tokenizer=bare.tokenizer, streamer=streamer)

    def stopped(ids: Any, _: Any) -> bool:
        raise LookupError("not so")

    for run in (
        lambda: bare("a", streamer=streamer, max_new_token=3),
        lambda: bare(streamer=streamer),
        lambda: bare("a", streamer=streamer, num_beams=2),
        lambda: bare("a", streamer=streamer, max_new_tokens=1000),
        lambda: bare(3, streamer=streamer),
        lambda: bare("a", streamer=streamer, batch_size=-1),
        lambda: bare.predict([[], CHAT], streamer=streamer),
        lambda: next(bare(iter([{"no": "text"}]), streamer=streamer)),
        lambda: made("a", max_new_token=3),
        lambda: made("a", stopping_criteria=[stopped]),
        lambda: pipeline("text-generation", model=folder, streamer=streamer, max_new_token=3),
    ):
        _, told, own = reading(run)
        assert own is not None
        assert told is own
    answers: list[Any] = []
    new = {"return_full_text": False, "clean_up_tokenization_spaces": False}
    pieces, told, own = reading(lambda: answers.extend(bare("one two", streamer=streamer, **GREEDY, **new)))
    assert (told, own) == (None, None)
    assert "".join(pieces) == answers[0]["generated_text"]
    assert reading(lambda: bare([], streamer=streamer)) == ([""], None, None)
    several = bare(iter(["a", "one two"]), streamer=streamer, **GREEDY, **new)
    for text in several:
        assert "".join(streamer) == text[0]["generated_text"]
    assert next(several, None) is None
    several.close()


# -- bad input --------------------------------------------------------------------------------------------------------


def test_unknown_options_name_the_nearest(pipe: Pipeline, folder: Path) -> None:
    with pytest.raises(TypeError, match="did you mean 'max_new_tokens'"):
        pipe("a", max_new_token=3)
    with pytest.raises(TypeError, match="did you mean 'return_full_text'"):
        pipeline("text-generation", model=folder, return_fulltext=True)
    with pytest.raises(TypeError, match="'settings'"):
        pipe("a", settings={})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"return_full_text": True, "return_tensors": True}, "exclude each other"),
        ({"return_text": True, "return_tensors": True}, "exclude each other"),
        ({"return_text": False}, "return_tensors=True"),
        ({"handle_long_generation": "cut"}, "hole"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": 0}, "do_sample=False"),
        ({"temperature": float("nan")}, "temperature"),
        ({"penalty_alpha": 0.6}, "contrastive"),
        ({"num_return_sequences": 2, "do_sample": False}, "num_return_sequences"),
        ({"key": "seed"}, "key"),
        ({"stop_sequence": 3}, "stop_sequence"),
        ({"generation_config": {"max_length": 3}}, "GenerationConfig"),
        ({"negative_prompt_ids": [[3], [4]], "guidance_scale": 2.0}, "negative_prompt_ids"),
        ({"guidance_scale": 2.0, "num_beams": 2}, "guidance_scale"),
    ],
)
def test_options_that_cannot_be_are_errors_at_the_call(pipe: Pipeline, options: dict[str, Any], said: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ValueError, match=said) as error:
        pipe(["a", "b"], **options)
    assert "input 0" not in str(error.value)  # it is not the text that is wrong
    assert "\n" not in str(error.value)
    assert time.perf_counter() - start < 2


def test_what_is_wrong_with_an_input_is_said_in_its_place(pipe: Pipeline) -> None:
    answers = pipe(iter(["a", 3, "b"]), **GREEDY)
    assert next(answers)[0]["generated_text"] == "a" + greedy(pipe, "a")
    with pytest.raises(ValueError, match=r"input 1: text-generation takes a text, or a chat.*found int"):
        next(answers)
    assert next(answers)[0]["generated_text"] == "b" + greedy(pipe, "b")


def test_words_that_the_model_lacks_are_refused_in_their_place(pipe: Pipeline, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["NEW"])
    grown = pipeline("text-generation", model=pipe.model, tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r"^input 1: token .* is none of the model's .*resize_token_embeddings"):
        grown(["a", "b NEW"], **GREEDY)
    assert grown("a", **GREEDY) == pipe("a", **GREEDY)


def test_the_task_is_known_by_name_by_default_and_by_head(folder: Path) -> None:
    assert tasks.DEFAULTS["text-generation"] == ("openai-community/gpt2", "607a30d")
    assert pipeline(model=folder).task == "text-generation"
    with pytest.raises(ValueError, match="text-classification"):
        pipeline("text-generation", model="jaxformers/tiny-sentiment")


def test_all_settings_of_generate_can_be_said(pipe: Pipeline) -> None:
    words = set(tasks.find("text-generation").words)
    arguments = inspect.signature(pipe.model.generate).parameters
    prompts = {"input_ids", "attention_mask", "token_type_ids", "inputs_embeds", "past_key_values"}
    research = {"capture", "patch"}  # answers of pipelines are texts
    assert not set(arguments) - words - prompts - research - {"options"}


def test_nothing_is_said_about_what_nobody_asked_for(pipe: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jaxformers")
    pipe("a", **GREEDY)
    pipe("a", max_new_tokens=4)
    assert "no effect" not in caplog.text
    assert "pad_token" not in caplog.text
