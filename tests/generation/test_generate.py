"""`generate`: whatever the padding, the other rows and the loop, a row gets what it would get alone, token by token."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import jax
import numpy as np
import pytest

import jaxformers
from jaxformers.generation import TextIteratorStreamer, TokenTrie, buckets

from . import toys


@pytest.fixture(scope="module")
def model() -> Any:
    """One for all tests, whose programs they share."""
    return toys.model()


def new_of(out: Any, width: int) -> list[list[int]]:
    return np.asarray(out)[:, width:].tolist()


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_written_as_alone_on_either_side_of_padding(model: Any, side: str):
    prompts = toys.prompts(9, 4, 1)
    ids, mask = toys.padded(prompts, side)
    out = model.generate(ids, attention_mask=mask, max_new_tokens=12)
    assert new_of(out, 9) == [toys.greedy(model, prompt, 12) for prompt in prompts]
    left, _ = toys.padded(prompts)
    np.testing.assert_array_equal(np.asarray(out)[:, :9], left)


def test_a_row_ends_with_its_first_end_and_is_padded(model: Any):
    prompts = toys.prompts(6, 3)
    whole = [toys.greedy(model, prompt, 10) for prompt in prompts]
    end = whole[0][3]
    ids, mask = toys.padded(prompts)
    out = new_of(model.generate(ids, attention_mask=mask, max_new_tokens=10, eos_token_id=[52, end]), 6)
    for row, full in zip(out, whole, strict=True):
        stop = next((i + 1 for i, token in enumerate(full) if token in (52, end)), len(full))
        assert row[:stop] == full[:stop]
        assert set(row[stop:]) <= {0}
    assert len(out[0]) <= 10


def test_long_rows_grow_their_cache(model: Any):
    (prompt,) = toys.prompts(60)
    out = new_of(model.generate([prompt], max_new_tokens=100), 60)
    assert out == [toys.greedy(model, prompt, 100)]


def test_lengths(model: Any):
    (prompt,) = toys.prompts(5)
    assert len(model.generate([prompt])[0]) == 25  # 20 new ones, not 20 with the prompt
    assert len(model.generate([prompt], max_length=9)[0]) == 9
    assert len(model.generate([prompt], max_length=20)[0]) == 20  # said, though it is the default
    pure = jaxformers.generate(model.params, model, np.array([prompt]), max_length=20)
    np.testing.assert_array_equal(pure, model.generate([prompt], max_length=20))
    assert len(model.generate()[0]) == 21  # begins with bos
    assert int(model.generate()[0, 0]) == 1
    short = toys.model(max_position_embeddings=12)
    assert len(short.generate([prompt])[0]) == 12  # nobody asked for more than there are positions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": -3}, "max_new_tokens"),
        ({"temperature": float("nan"), "do_sample": True}, "temperature"),
        ({"num_return_sequences": 3}, "num_return_sequences"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences"),
        ({"max_length": 5}, "max_length=5"),
        ({"tempreature": 1.0}, "temperature"),
        ({"stop_strings": "x"}, "tokenizer"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "contrastive"),
        ({"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}, "diverse"),
        ({"bad_words_ids": [[99]]}, "99"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_compiled(model: Any, options: dict[str, Any], said: str):
    (prompt,) = toys.prompts(6)
    before = sum(jaxformers.compilations().values())
    with pytest.raises(ValueError, match=said):
        model.generate([prompt], **options)
    assert sum(jaxformers.compilations().values()) == before


@pytest.mark.parametrize(
    ("ids", "mask", "said"),
    [
        ([[3, 60]], None, "60"),
        ([[3, -1]], None, "-1"),
        ([3, 4], None, "batch, seq"),
        ([[3.5]], None, "whole numbers"),
        ([[3, 4]], [[1]], "attention_mask"),
        ([list(range(3, 40)) * 20], None, "740 tokens leaves nothing of the 512 .* pass max_new_tokens"),
    ],
)
def test_bad_prompts_are_refused(model: Any, ids: Any, mask: Any, said: str):
    with pytest.raises(ValueError, match=said):
        model.generate(ids, attention_mask=mask)


def test_an_empty_prompt_without_a_first_token_is_refused(model: Any):
    with pytest.raises(ValueError, match="bos_token_id"):
        toys.model(bos_token_id=None).generate()


def test_draws_depend_on_the_key_and_the_row_alone(model: Any):
    prompts = toys.prompts(7, 7, 3)
    ids, mask = toys.padded(prompts)
    options = {"do_sample": True, "max_new_tokens": 8, "temperature": 1.5, "top_k": 20}
    both = new_of(model.generate(ids, attention_mask=mask, key=jax.random.key(1), **options), 7)
    again = new_of(model.generate(ids, attention_mask=mask, key=jax.random.key(1), **options), 7)
    other = new_of(model.generate(ids, attention_mask=mask, key=jax.random.key(2), **options), 7)
    assert both == again != other
    alone = new_of(model.generate([prompts[0]], key=jax.random.key(1), **options), 7)
    assert alone[0] == both[0]
    twice = new_of(model.generate([prompts[0]], key=jax.random.key(1), num_return_sequences=2, **options), 7)
    assert twice[0] == both[0] != twice[1]


def test_scores_are_those_of_each_step(model: Any):
    prompts = toys.prompts(6, 2)
    ids, mask = toys.padded(prompts)
    options = {"max_new_tokens": 5, "return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    out = model.generate(ids, attention_mask=mask, repetition_penalty=1.7, **options)
    assert len(out.scores) == len(out.logits) == 5
    for row, prompt in enumerate(prompts):
        new = np.asarray(out.sequences)[row, 6:].tolist()
        for step in range(5):
            np.testing.assert_allclose(out.logits[step][row], toys.scores(model, prompt + new[:step]), atol=1e-4)
            assert int(np.argmax(out.scores[step][row])) == new[step]
    chosen = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
    assert chosen.shape == (2, 5)
    best = [[toys.log_softmax(s[row]).max() for s in out.scores] for row in range(2)]
    np.testing.assert_allclose(chosen, best, atol=1e-5)


def test_hidden_states_and_attentions_are_those_of_each_step(model: Any):
    (prompt,) = toys.prompts(6)
    asked = {"output_hidden_states": True, "output_attentions": True}
    out = model.generate([prompt], max_new_tokens=3, return_dict_in_generate=True, **asked)
    assert [step[0].shape for step in out.hidden_states] == [(1, 6, 24), (1, 1, 24), (1, 1, 24)]
    assert [step[1].shape for step in out.attentions] == [(1, 4, 6, 6), (1, 4, 1, 7), (1, 4, 1, 8)]
    whole = model(np.asarray(out.sequences)[:, :8], **asked)
    np.testing.assert_allclose(out.hidden_states[2][-1][0, 0], whole.hidden_states[-1][0, 7], atol=1e-5)
    np.testing.assert_allclose(out.attentions[1][0][0, :, 0], whole.attentions[0][0, :, 6, :7], atol=1e-5)


class Letters:
    """A tokenizer whose tokens are letters."""

    def decode(self, ids: Any, **_: Any) -> str:
        return "".join(chr(ord("a") + int(i) % 26) for i in ids)


def test_a_row_ends_where_a_stop_text_is_complete(model: Any):
    prompts = toys.prompts(6, 4)
    whole = [toys.greedy(model, prompt, 30) for prompt in prompts]
    stop = Letters().decode(whole[0][10:12])
    ids, mask = toys.padded(prompts)
    options = {"max_new_tokens": 30, "stop_strings": stop, "tokenizer": Letters()}
    out = new_of(model.generate(ids, attention_mask=mask, **options), 6)
    for row, full, prompt in zip(out, whole, prompts, strict=True):
        text = Letters().decode(prompt + full)
        found = text.find(stop, len(prompt) - len(stop) + 1)
        count = 30 if found < 0 else found + len(stop) - len(prompt)
        assert row[:count] == full[:count]
        assert set(row[count:]) <= {0}


def test_user_rules_and_the_clock_end_rows(model: Any):
    (prompt,) = toys.prompts(4)
    longer = lambda ids, scores: ids.shape[1] >= 7  # noqa: E731
    assert len(model.generate([prompt], max_new_tokens=20, stopping_criteria=[longer])[0]) == 7
    start = time.monotonic()
    out = model.generate([prompt], max_new_tokens=500, max_time=1e-6)
    assert time.monotonic() - start < 20
    assert 5 <= len(out[0]) <= 4 + 8


def test_a_streamer_gets_every_token_as_it_comes(model: Any):
    (prompt,) = toys.prompts(4)
    heard: list[list[int]] = []

    class Ear:
        def put(self, value: np.ndarray) -> None:
            heard.append(np.asarray(value).tolist())

        def end(self) -> None:
            heard.append([])

    out = new_of(model.generate([prompt], max_new_tokens=6, streamer=Ear()), 4)
    assert heard == [prompt, *([token] for token in out[0]), []]
    with pytest.raises(ValueError, match="one row"):
        model.generate([prompt, prompt], streamer=Ear())
    streamer = TextIteratorStreamer(Letters(), skip_prompt=True)
    model.generate([prompt], max_new_tokens=6, streamer=streamer)
    assert "".join(streamer) == Letters().decode(out[0])


@pytest.mark.parametrize("assistant", [None, 0, 7])
def test_an_assistant_changes_nothing(model: Any, assistant: int | None):
    prompt = toys.prompts(5)[0] * 3
    helped: dict[str, Any] = {"prompt_lookup_num_tokens": 4}
    if assistant is not None:
        helped = {"assistant_model": toys.model(assistant), "num_assistant_tokens": 5}
    out = new_of(model.generate([prompt], max_new_tokens=40, **helped), 15)
    assert out == [toys.greedy(model, prompt, 40)]
    end = out[0][17]
    ended = new_of(model.generate([prompt], max_new_tokens=40, eos_token_id=end, **helped), 15)
    assert ended == [toys.greedy(model, prompt, 40, end)]
    with pytest.raises(ValueError, match="one prompt"):
        model.generate([prompt, prompt], **helped)


def test_guidance_leads_away_from_what_comes_without_the_prompt(model: Any):
    prompts = toys.prompts(5, 8)
    ids, mask = toys.padded(prompts)
    out = new_of(model.generate(ids, attention_mask=mask, max_new_tokens=6, guidance_scale=1.8), 8)
    for row, prompt in zip(out, prompts, strict=True):
        new: list[int] = []
        for _ in range(6):
            with_, without = (toys.log_softmax(toys.scores(model, start + new)) for start in (prompt, prompt[-1:]))
            new.append(int(np.argmax(without + 1.8 * (with_ - without))))
        assert row == new


def test_without_a_pad_token_rows_are_filled_with_their_end():
    bare = toys.model(pad_token_id=None)
    prompts = toys.prompts(5, 5)
    whole = [toys.greedy(bare, prompt, 8) for prompt in prompts]
    end = next(token for token in whole[0] if token not in whole[1])
    out = new_of(bare.generate(prompts, eos_token_id=end, max_new_tokens=8), 5)
    stop = whole[0].index(end)
    assert out[0] == whole[0][:stop] + [end] * (8 - stop)


def test_few_programs_for_prompts_of_all_lengths():
    model = toys.model(num_hidden_layers=1, max_position_embeddings=1024)
    rng = np.random.RandomState(0)

    def write(n: int, **options: Any) -> None:
        model.generate([rng.randint(3, toys.VOCAB, n)], do_sample=True, max_new_tokens=3, **options)

    def ours() -> int:
        return sum(n for name, n in jaxformers.compilations().items() if name.startswith("jaxformers_"))

    before = ours()
    for n in (1, 30, 60, 64, 130, 300, 700):
        write(n)
    assert 0 < ours() - before <= 12
    with jaxformers.forbid():
        for n in (2, 17, 50, 62, 100, 260, 450, 513):
            write(n)
        for setting in (
            {"temperature": 0.5},
            {"top_k": 3},
            {"top_p": 0.8},
            {"min_p": 0.1},
            {"repetition_penalty": 1.3},
        ):
            write(33, **setting)


def test_sizes_are_few():
    assert sorted({buckets.rows_for(n) for n in range(1, 33)}) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    assert sorted({buckets.source_slots_for(n) for n in range(1, 257)}) == [16, 32, 64, 96, 128, 192, 256]
    sizes = [48, 64, 128, 256, 512, 768, 1024]
    assert sorted({buckets.slots_for(n) for n in range(1, 1025)}) == sizes
    assert [buckets.chunk_of(slots, "cpu") for slots in sizes] == [32, 32, 32, 64, 128, 256, 256]
    assert [buckets.chunk_of(slots, "gpu") for slots in (*sizes, 16_384)] == [32, 32, 32, 64, 128, 192, 256, 2048]


def test_one_pure_function_gives_the_same(model: Any):
    prompts = toys.prompts(6, 3)
    ids, mask = toys.padded(prompts)
    whole = [toys.greedy(model, prompt, 7) for prompt in prompts]
    end = whole[0][4]
    options = {"max_new_tokens": 7, "eos_token_id": end}
    write = jax.jit(lambda p, ids, mask: jaxformers.generate(p, model, ids, mask, **options))
    out = np.asarray(write(model.params, ids, mask))
    host = np.asarray(model.generate(ids, attention_mask=mask, **options))
    np.testing.assert_array_equal(out[:, : host.shape[1]], host)
    both = jax.tree.map(lambda x: np.stack([x, 0.5 * x]), model.params)
    many = jax.vmap(lambda p: jaxformers.generate(p, model, ids, mask, **options))(both)
    np.testing.assert_array_equal(many[0], out)
    drawn = {"do_sample": True, "max_new_tokens": 7, "eos_token_id": end}
    key = jax.random.key(3)
    host = np.asarray(model.generate(ids, attention_mask=mask, key=key, **drawn))
    pure = np.asarray(jaxformers.generate(model.params, model, ids, mask, key=key, **drawn))
    np.testing.assert_array_equal(pure[:, : host.shape[1]], host)
    with pytest.raises(ValueError, match=r"model\.generate"):
        jaxformers.generate(model.params, model, ids, mask, stop_strings="x")
    with pytest.raises(ValueError, match=r"model\.generate"):
        jaxformers.generate(model.params, model, ids, mask, prefix_allowed_tokens_fn=lambda row, ids: [5])


def test_the_pure_function_takes_what_needs_no_host(model: Any):
    ids, _ = toys.padded(toys.prompts(6, 3))
    even = lambda sight, scores: scores.at[:, 1::2].set(-np.inf)  # noqa: E731
    trie = TokenTrie.of([[5, 6, 7], [9]], eos=52)
    for given in ({"logits_processor": [even]}, {"prefix_allowed_tokens_fn": trie, "eos_token_id": 52}, {}):
        host = np.asarray(model.generate(ids, max_new_tokens=4, **given))  # without a mask, zeros are padding
        pure = np.asarray(jaxformers.generate(model.params, model, ids, max_new_tokens=4, **given))
        np.testing.assert_array_equal(pure[:, : host.shape[1]], host)


def test_each_row_is_allowed_its_own_tokens_whatever_ends_beside_it(model: Any):
    """Five rows are six in the program, some end early, and beams are rows of their own."""
    ids, mask = toys.padded(toys.prompts(6, 3, 4, 2, 5))
    own = [[2, 3], [10, 11], [20, 21], [30, 31], [40, 41]]
    asked: set[int] = set()

    def allowed(row: int, ids: np.ndarray) -> list[int]:
        asked.add(row)
        return own[row]

    for beams in (1, 2):
        options = {"max_new_tokens": 70, "eos_token_id": [3, 11, 30], "num_beams": beams}
        out = new_of(model.generate(ids, attention_mask=mask, prefix_allowed_tokens_fn=allowed, **options), 6)
        for row, tokens in enumerate(out):
            assert set(tokens) <= {*own[row], 0}, (beams, row)
        assert len(out[4]) == 70
    assert asked == set(range(5))


def test_guidance_away_from_a_prompt_longer_than_the_row(model: Any):
    """Room is made for the longer of the two, from the beginning and later."""
    (prompt,), (short,), (negative,) = toys.prompts(3), toys.prompts(4), toys.prompts(100)
    for other in (negative[:60], negative):
        options = {"guidance_scale": 1.5, "max_new_tokens": 30, "negative_prompt_ids": [other]}
        out = new_of(model.generate([prompt], **options), 3)[0]
        ids, rest = list(prompt), list(other)
        for token in out:
            with_prompt, without = (jax.nn.log_softmax(toys.scores(model, row)) for row in (ids, rest))
            assert token == int((without + 1.5 * (with_prompt - without)).argmax())
            ids, rest = [*ids, token], [*rest, token]
    for wrong in ([short, short], [[99]], [[]]):
        with pytest.raises(ValueError, match="negative_prompt_ids"):
            model.generate([prompt], guidance_scale=1.5, negative_prompt_ids=wrong)
    with pytest.raises(ValueError, match="guidance_scale"):
        model.generate([prompt], negative_prompt_ids=[short])


def test_proposals_may_end_where_positions_do():
    """Positions that are looked up in a table end, and what a proposal is filled up with stands past that."""
    config = jaxformers.GPT2Config(
        vocab_size=toys.VOCAB, n_embd=24, n_layer=2, n_head=4, n_positions=32, bos_token_id=1, eos_token_id=None
    )
    model = jaxformers.GPT2LMHeadModel(config, key=jax.random.key(3))
    prompt = [5, 6, 7, 8] * 5
    plain = model.generate([prompt], max_new_tokens=12)
    np.testing.assert_array_equal(model.generate([prompt], max_new_tokens=12, prompt_lookup_num_tokens=10), plain)
    with pytest.raises(ValueError, match="32 positions"):
        model.generate([prompt], max_new_tokens=13)
    with pytest.raises(ValueError, match="32 positions"):
        jaxformers.generate(model.params, model, np.array([prompt]), max_new_tokens=13)
    assert len(model.generate([prompt])[0]) == 32  # nobody asked for more than there are positions
    with pytest.raises(ValueError, match="assistant has 32 positions"):
        toys.model().generate([prompt], assistant_model=model, max_new_tokens=13)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_beams": 2, "prompt_lookup_num_tokens": 3}, "an assistant"),
        ({"assistant_model": "a name"}, "assistant_model"),
        ({"logits_processor": len}, "logits_processor"),
        ({"stopping_criteria": len}, "stopping_criteria"),
        ({"key": "seed"}, "key"),
    ],
)
def test_ways_that_do_not_go_together_and_arguments_of_other_kinds(model: Any, options: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        model.generate([[5, 6]], max_new_tokens=3, **options)
    if said == "an assistant":
        with pytest.raises(ValueError, match="both propose"):
            model.generate([[5, 6]], assistant_model=model, prompt_lookup_num_tokens=3, max_new_tokens=3)


def test_n_grams_longer_than_a_row_ban_nothing(model: Any):
    (prompt,) = toys.prompts(5)
    out = model.generate([prompt], max_new_tokens=4, no_repeat_ngram_size=5000)
    np.testing.assert_array_equal(out, model.generate([prompt], max_new_tokens=4))


def test_the_pure_function_gives_ids_alone(model: Any):
    for option in ("return_dict_in_generate", "output_scores", "output_hidden_states"):
        with pytest.raises(ValueError, match=option):
            jaxformers.generate(model.params, model, np.array([[5, 6]]), max_new_tokens=3, **{option: True})
    short = jaxformers.generate(model.params, model, np.ones((1, 500), np.int32))
    assert short.shape == (1, 512)  # what nobody said ends where no more is promised


def test_a_text_that_ends_in_a_character_of_several_tokens_is_found():
    from jaxformers.generation.stopping import Stops

    decode = lambda ids: bytes(ids).decode("utf-8", errors="replace")  # noqa: E731
    for text in ("é", "A😀", "😀 b", "end."):
        whole = f"say {text} and on".encode()
        assert Stops((text,), decode).end_of(list(whole), 2) == len(f"say {text}".encode()), text


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_was_read_is_not_read_again(model: Any, side: str):
    prompts = toys.prompts(9, 4)
    ids, mask = toys.padded(prompts)
    first = model.generate(ids, attention_mask=mask, max_new_tokens=6, return_dict_in_generate=True)
    cache = first.past_key_values
    assert np.asarray(cache.length).tolist() == [14, 9]  # all but each row's last token
    texts = [[*prompt, *new, 7, 8] for prompt, new in zip(prompts, new_of(first.sequences, 9), strict=True)]
    ids, mask = toys.padded(texts, side)
    options = {"attention_mask": mask, "max_new_tokens": 70}
    whole = model.generate(ids, **options)
    for _ in range(2):  # a cache may be gone on with more than once
        np.testing.assert_array_equal(model.generate(ids, past_key_values=cache, **options), whole)
    drawn = {**options, "max_new_tokens": 5, "do_sample": True, "num_return_sequences": 2, "temperature": 1.5}
    np.testing.assert_array_equal(model.generate(ids, past_key_values=cache, **drawn), model.generate(ids, **drawn))
    beams = {**options, "max_new_tokens": 5, "num_beams": 2}
    np.testing.assert_array_equal(model.generate(ids, past_key_values=cache, **beams), model.generate(ids, **beams))


def test_what_was_read_is_believed(model: Any):
    (prompt,) = toys.prompts(8)
    (other,) = toys.prompts(8, seed=5)
    cache = model.generate([other], max_new_tokens=1, return_dict_in_generate=True).past_key_values
    found = model.generate([[*prompt, 9]], past_key_values=cache, max_new_tokens=6)
    assert new_of(found, 9) == [toys.greedy(model, [*other, 9], 6)] != [toys.greedy(model, [*prompt, 9], 6)]


def test_a_cache_that_does_not_fit_is_refused(model: Any):
    (prompt,) = toys.prompts(5)
    cache = model.generate([prompt], max_new_tokens=3, return_dict_in_generate=True).past_key_values
    with pytest.raises(ValueError, match="at least one token more"):
        model.generate([prompt], past_key_values=cache)
    with pytest.raises(ValueError, match="1 rows, there are 2"):
        model.generate([prompt, prompt], past_key_values=cache)
    with pytest.raises(ValueError, match="another model"):
        toys.model(num_hidden_layers=1).generate([[*prompt, *prompt]], past_key_values=cache)
    with pytest.raises(ValueError, match="found tuple"):
        model.generate([prompt], past_key_values=((1, 2),))


def test_what_a_function_of_the_host_raises_is_raised(model: Any, caplog: pytest.LogCaptureFixture):
    def broken(row: int, ids: np.ndarray) -> list[int]:
        raise LookupError(f"no words for row {row}")

    (prompt,) = toys.prompts(5)
    for options in ({}, {"num_beams": 2}, {"prompt_lookup_num_tokens": 2}):
        with pytest.raises(LookupError, match="no words for row 0"):
            model.generate([prompt], prefix_allowed_tokens_fn=broken, **options)
    for allowed, said in (([], "allows no token for row 0"), ([700], "700"), ([0.5], "0.5"), (None, "None")):
        with pytest.raises(ValueError, match=said):
            model.generate([prompt], prefix_allowed_tokens_fn=lambda row, ids: allowed)  # noqa: B023
    assert not caplog.text


def test_functions_of_the_host_share_a_program_and_are_forgotten(model: Any):
    (prompt,) = toys.prompts(5)

    class Words(list[int]):
        """A list that can be referred to weakly."""

    def written(words: Words) -> list[int]:
        return new_of(model.generate([prompt], prefix_allowed_tokens_fn=lambda row, ids: words, max_new_tokens=3), 5)[0]

    assert written(Words([7])) == [7, 7, 7]
    other = Words([9])
    seen = weakref.ref(other)
    with jaxformers.forbid():
        assert written(other) == [9, 9, 9]
    del other
    gc.collect()
    assert seen() is None


def test_functions_that_give_something_else_are_refused(model: Any):
    ids, mask = toys.padded(toys.prompts(5, 3))
    for give, said in (
        (lambda sight, scores: scores[:1], r"float32 \(1, 53\)"),
        (lambda sight, scores: scores > 0, "bool"),
        (lambda sight, scores: None, "NoneType"),
    ):
        with pytest.raises(ValueError, match=said):
            model.generate(ids, attention_mask=mask, logits_processor=[give])
    with pytest.raises(ValueError, match="stopping criterion"):
        model.generate(ids, attention_mask=mask, stopping_criteria=[lambda ids, scores: np.array([False, True])])
    for options in (
        {"logits_processor": 5},
        {"logits_processor": [5]},
        {"stopping_criteria": [5]},
        {"streamer": 5},
        {"prefix_allowed_tokens_fn": 5},
        {"generation_config": 5},
        {"key": 2**70},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            model.generate(ids, attention_mask=mask, **options)
    with pytest.raises(ValueError, match="output_scores"):
        model.compute_transition_scores(ids, None)


def test_a_streamer_ends_with_an_error(model: Any):
    class Told:
        ended = False

        def put(self, value: np.ndarray) -> None:
            if len(value) == 1:
                raise LookupError("no more")

        def end(self) -> None:
            self.ended = True

    told = Told()
    with pytest.raises(LookupError, match="no more"):
        model.generate([toys.prompts(5)[0]], streamer=told)
    assert told.ended


def test_time_ends_beams_and_helped_rows_after_some_tokens(model: Any):
    (prompt,) = toys.prompts(5)
    for options in ({"num_beams": 2}, {"prompt_lookup_num_tokens": 2}):
        assert 5 < len(model.generate([prompt], max_time=1e-6, max_new_tokens=200, **options)[0]) < 100


def test_holes_in_a_mask_stay_where_they_are(model: Any):
    out = model.generate([[5, 6, 7, 8], [9, 10, 0, 0]], attention_mask=[[1, 0, 1, 1], [1, 1, 0, 0]], max_new_tokens=1)
    assert np.asarray(out)[:, :4].tolist() == [[5, 6, 7, 8], [0, 0, 9, 10]]


def test_rows_of_a_trie_end_where_they_cannot_go_on(model: Any):
    (prompt,) = toys.prompts(5)
    trie = TokenTrie.of([[5, 6], [7]], eos=[50])
    found = new_of(model.generate([prompt], prefix_allowed_tokens_fn=trie, eos_token_id=50, max_new_tokens=9), 5)[0]
    assert found in ([5, 6, 50], [7, 50])
    stuck = {"prefix_allowed_tokens_fn": trie, "eos_token_id": 50, "max_new_tokens": 9}
    assert new_of(model.generate([prompt], bad_words_ids=[[5], [7]], **stuck), 5) == [[50]]
    with pytest.raises(ValueError, match="set eos_token_id"):
        model.generate([prompt], prefix_allowed_tokens_fn=trie, eos_token_id=49)
    for sequences, ends in (([[5.5]], 2), (None, 2), ([5], 2), (["ab"], 2), ([[5]], None), ([], 2), ([[-1]], 2)):
        with pytest.raises(ValueError, match="TokenTrie"):
            TokenTrie.of(sequences, ends)  # type: ignore[arg-type]


def test_lengths_out_of_reach_are_said(model: Any, caplog: pytest.LogCaptureFixture):
    (prompt,) = toys.prompts(5)
    model.generate([prompt], max_new_tokens=2, min_length=9, min_new_tokens=3, eos_token_id=52)
    assert "min_length=9" in caplog.text
    assert "min_new_tokens=3" in caplog.text
    for seconds in (0, -1.5, float("inf")):
        with pytest.raises(ValueError, match="max_time"):
            model.generate([prompt], max_time=seconds)


def test_what_can_have_no_effect_is_said(model: Any, caplog: pytest.LogCaptureFixture):
    (prompt,) = toys.prompts(5)
    model.generate([prompt], max_new_tokens=2, num_assistant_tokens=5, max_matching_ngram_size=3, eos_token_id=100)
    assert "num_assistant_tokens, max_matching_ngram_size: nothing proposes tokens" in caplog.text
    assert "eos_token_id=100 is no word" in caplog.text
    caplog.clear()
    model.generate([prompt], max_new_tokens=2, prompt_lookup_num_tokens=2, max_matching_ngram_size=3, eos_token_id=52)
    assert not caplog.text


def test_token_types_that_say_nothing_are_dropped_and_others_refused(model: Any):
    ids, mask = toys.padded(toys.prompts(6, 3))
    batch = {"input_ids": ids, "attention_mask": mask}
    expected = np.asarray(model.generate(**batch, max_new_tokens=3))
    for zeros in (ids * 0, (ids * 0).tolist(), jax.numpy.zeros((2, 6), int), None):
        np.testing.assert_array_equal(model.generate(**batch, token_type_ids=zeros, max_new_tokens=3), expected)
    pure = jax.jit(lambda params, batch: jaxformers.generate(params, model, **batch, max_new_tokens=3))
    np.testing.assert_array_equal(pure(model.params, batch | {"token_type_ids": ids * 0}), expected)
    for types in (ids * 0 + 1, jax.numpy.ones((2, 6), int)):
        for write in (model.generate, lambda **given: jaxformers.generate(model.params, model, **given)):
            with pytest.raises(ValueError, match="token_type_ids has 1: leave token_type_ids out"):
                write(**batch, token_type_ids=types)
    with pytest.raises(ValueError, match="no 'special_tokens_mask', which the tokenizer gave for you: leave it out"):
        model.generate(**batch, special_tokens_mask=ids * 0)
    small = jaxformers.GPT2Config(vocab_size=9, n_embd=4, n_layer=1, n_head=1, n_positions=8)
    with pytest.raises(ValueError, match=r"adds none: leave token_type_ids out"):
        jaxformers.GPT2LMHeadModel(small).generate([[3]], token_type_ids=[[0]])
