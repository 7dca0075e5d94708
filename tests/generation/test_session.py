"""A session: each row gets what it gets alone, whatever its settings, whenever it comes, and whoever leaves."""

from __future__ import annotations

import dataclasses
import random
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers import GenerationConfig, generation
from jaxformers.generation import End, Listeners, Plan, Prompt, Session, Tokens, prefill
from jaxformers.generation.beams import BeamSession

from . import toy_hybrid, toys

LENGTHS = (7, 3, 12, 4, 9, 5, 30, 8, 2)
SAMPLED: list[dict[str, Any]] = [
    {"temperature": 0.4, "top_k": 0},
    {"temperature": 1.7, "top_k": 5, "max_new_tokens": 21},
    {"top_p": 0.6, "eos_token_id": [11, 30]},
    {"repetition_penalty": 1.8, "top_k": 0, "min_new_tokens": 6, "eos_token_id": 8},
    {"min_p": 0.2, "max_new_tokens": 3},
    {"temperature": 2.5, "top_k": 40, "top_p": 0.9},
    {"repetition_penalty": 0.7, "max_new_tokens": 70},
    {"stop_strings": ["q"]},
    {"temperature": 0.9, "min_new_tokens": 9, "eos_token_id": 40},
]


class Letters:
    """A tokenizer whose tokens are letters."""

    def decode(self, ids: Any, **_: Any) -> str:
        return "".join(chr(ord("a") + int(i) % 26) for i in ids)


@pytest.fixture(scope="module")
def model() -> Any:
    """One for all tests, whose programs they share."""
    return toys.model()


def settings_of(model: Any, sampled: bool) -> list[GenerationConfig]:
    """The settings of each row, those of sampling alone left out in greedy search."""
    own = {"temperature", "top_k", "top_p", "min_p"}
    whole = {"do_sample": sampled, "max_new_tokens": 11}
    merged = partial(generation.merged, model.generation_config, None)
    return [merged(whole | {n: v for n, v in one.items() if sampled or n not in own}) for one in SAMPLED]


def alone(model: Any, row: list[int], settings: GenerationConfig, seed: int) -> list[int]:
    """What a session of one prompt writes."""
    session = Session(Plan.of(settings, toys.VOCAB), model.loaded(), 1, "cpu", key=jax.random.key(4))
    session.submit(prompt_of(row, settings, seed), listeners=Listeners(tokenizer=Letters()))
    return session.run()[0].completions[0].tokens.tolist()


def prompt_of(row: list[int], settings: GenerationConfig, seed: int) -> Prompt:
    return Prompt(np.array(row, np.int32), settings.max_new_tokens, seed=seed)


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("order", [0, 1])
def test_rows_with_settings_of_their_own_are_as_alone(model: Any, sampled: bool, order: int) -> None:
    """Submitted at different times, cancelled in between and put into others' places, in one program."""
    rows, settings = toys.prompts(*LENGTHS, seed=6), settings_of(model, sampled)
    expected = {i: alone(model, row, settings[i], i) for i, row in enumerate(rows)}
    assert len({tuple(tokens) for tokens in expected.values()}) == len(rows)
    plan = Plan.of(settings[3].replace(eos_token_id=[8, 11]), toys.VOCAB)
    session = Session(plan, model.loaded(), 3, "cpu", key=jax.random.key(4))
    chance = random.Random(order)
    coming = chance.sample(range(len(rows)), len(rows))
    names: dict[int, int] = {}
    pieces: dict[int, list[int]] = {}
    ended: dict[int, list[int]] = {}
    gone = chance.sample(coming, 2)
    while coming or session.busy:
        for i in [coming.pop() for _ in range(min(len(coming), chance.randint(1, 2)))]:
            names[session.submit(prompt_of(rows[i], settings[i], i), settings[i], Listeners(tokenizer=Letters()))] = i
        for event in session.step():
            match event:
                case Tokens(number, tokens):
                    pieces.setdefault(names[number], []).extend(tokens.tolist())
                case End(number, (completion,)):
                    ended[names[number]] = completion.tokens.tolist()
        for number, i in names.items():
            if i in gone:
                session.cancel(number)
    left = [i for i in gone if i not in ended]
    assert set(ended) == set(expected) - set(left)
    for i, tokens in ended.items():
        assert tokens == pieces[i] == expected[i], settings[i]
    for i in left:
        assert pieces.get(i, []) == expected[i][: len(pieces.get(i, []))]


def test_other_numbers_compile_nothing(model: Any) -> None:
    plan = Plan.of(generation.merged(model.generation_config, None, {"do_sample": True, "eos_token_id": 5}), toys.VOCAB)
    (row,) = toys.prompts(6)

    def write(**said: Any) -> None:
        session = Session(plan, model.loaded(), 2, "cpu")
        for number in range(2):
            session.submit(Prompt(np.array(row, np.int32), 4, seed=number), plan.settings.replace(**said))
        session.run()

    write()
    with jaxformers.forbid():
        write(temperature=0.3)
        write(top_k=3, top_p=0.5, repetition_penalty=2.0)
        write(eos_token_id=7)


def test_what_a_session_never_reads_is_not_compared(model: Any) -> None:
    """Settings that begin anew, and not as the model's, have no pad; and what does nothing is no other program."""
    plan = Plan.of(model.generation_config.replace(do_sample=True), toys.VOCAB)
    assert plan.settings.pad_token_id == 0
    numbers = {"typical_p": None, "epsilon_cutoff": None, "min_length": 0, "min_new_tokens": 0, "top_p": None}
    sizes = {"no_repeat_ngram_size": None, "encoder_repetition_penalty": None, "guidance_scale": 1.0}
    for said in ({}, numbers, sizes, {"use_cache": False}, {"bos_token_id": 7, "pad_token_id": 9}):
        own = GenerationConfig(do_sample=True, temperature=0.3, **said)
        drawn = []
        for settings in (own, plan.settings.replace(temperature=0.3)):
            session = Session(plan, model.loaded(), 1, "cpu", key=2)
            session.submit(Prompt(np.array([3, 4]), 6), settings)
            drawn.append(session.run()[0].completions[0].tokens.tolist())
        assert drawn[0] == drawn[1], said


@pytest.mark.parametrize(
    ("plan", "said", "needed"),
    [
        ({}, {"temperature": 0.3}, "temperature=0.3: .*, whose plan has do_sample=True"),
        ({}, {"typical_p": 0.3}, "typical_p=0.3: .*, whose plan has do_sample=True"),
        ({"do_sample": True}, {"typical_p": 0.3}, "whose plan has a typical_p that does something"),
        ({"eos_token_id": 5}, {"min_new_tokens": 3}, "whose plan has a min_new_tokens that does something"),
        ({}, {"no_repeat_ngram_size": 2}, "whose plan has it"),
        ({}, {"eos_token_id": [3, 4]}, "1 at most; open another session, whose plan has as many"),
        ({"min_new_tokens": 3}, {"eos_token_id": 5}, "min_new_tokens=3 beside eos_token_id=.*whose plan has both"),
    ],
)
def test_who_is_refused_is_told_what_the_plan_must_have(
    model: Any, plan: dict[str, Any], said: dict[str, Any], needed: str
) -> None:
    whole = Plan.of(GenerationConfig(**plan), toys.VOCAB)
    session = Session(whole, model.loaded(), 2, "cpu")
    with pytest.raises(ValueError, match=needed):
        session.submit(Prompt(np.array([3, 4]), 4), whole.settings.replace(**said))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"do_sample": True}, "do_sample=True"),
        ({"no_repeat_ngram_size": 2}, "no_repeat_ngram_size=2"),
        ({"min_new_tokens": 3}, "min_new_tokens=3"),
        ({"suppress_tokens": [3]}, "suppress_tokens"),
        ({"num_beams": 2}, "num_beams=2"),
        ({"eos_token_id": [3, 4, 5]}, "eos_token_id"),
        ({"guidance_scale": 2.0}, "guidance_scale"),
    ],
)
def test_settings_of_another_program_are_refused(model: Any, said: dict[str, Any], name: str) -> None:
    plan = Plan.of(model.generation_config, toys.VOCAB)
    session = Session(plan, model.loaded(), 2, "cpu")
    with pytest.raises(ValueError, match=name):
        session.submit(Prompt(np.array([3, 4], np.int32), 4), plan.settings.replace(**said))
    assert not session.busy
    assert session.step() == []


def test_numbers_that_cannot_be_are_refused(model: Any) -> None:
    settings = generation.merged(model.generation_config, None, {"do_sample": True, "guidance_scale": 2.0})
    session = Session(Plan.of(settings, toys.VOCAB), model.loaded(), 2, "cpu")
    prompt = Prompt(np.array([3, 4]), 4, negative=np.array([4]))
    for said, name in (({"temperature": 0.0}, "do_sample=False"), ({"guidance_scale": None}, "guidance_scale=None")):
        with pytest.raises(ValueError, match=name):
            session.submit(prompt, settings.replace(**said))
    with pytest.raises(ValueError, match="negative"):
        session.submit(Prompt(np.array([3, 4]), 4))
    session.submit(prompt, settings.replace(guidance_scale=3.0))
    assert len(session.run()) == 1


def test_streams_and_rules_are_each_rows_own(model: Any) -> None:
    heard: dict[str, list[list[int]]] = {"a": [], "b": []}

    class Ear:
        def __init__(self, name: str) -> None:
            self.heard = heard[name]

        def put(self, value: np.ndarray) -> None:
            self.heard.append(np.asarray(value).tolist())

        def end(self) -> None:
            self.heard.append([])

    rows = toys.prompts(5, 3)
    whole = [toys.greedy(model, row, 9) for row in rows]
    plan = Plan.of(model.generation_config, toys.VOCAB)
    session = Session(plan, model.loaded(), 4, "cpu")
    rule = lambda ids, scores: ids.shape[1] >= 7  # noqa: E731
    for row, name in zip(rows, heard, strict=True):
        own = Listeners(streamer=Ear(name), stopping_criteria=[rule] if name == "b" else [])
        session.submit(Prompt(np.array(row, np.int32), 9), listeners=own)
    session.submit(Prompt(np.array(rows[0], np.int32), 9))
    ends = {end.id: end.completions[0].tokens.tolist() for end in session.run()}
    assert ends == {0: whole[0], 1: whole[1][:4], 2: whole[0]}
    assert heard["a"] == [rows[0], *([token] for token in whole[0]), []]
    assert heard["b"] == [rows[1], *([token] for token in whole[1][:4]), []]


def test_a_stream_that_is_cancelled_ends(model: Any) -> None:
    heard: list[list[int]] = []

    class Ear:
        put = staticmethod(lambda value: heard.append(np.asarray(value).tolist()))
        end = staticmethod(lambda: heard.append([]))

    (row,) = toys.prompts(5)
    for kind, options in ((Session, {}), (BeamSession, {"num_beams": 2})):
        heard.clear()
        plan = Plan.of(generation.merged(model.generation_config, None, options), toys.VOCAB)
        session = kind(plan, model.loaded(), 4, "cpu")
        first = session.submit(Prompt(np.array(row, np.int32), 70), listeners=Listeners(streamer=Ear()))
        session.step()
        session.cancel(first)
        assert not session.busy
        assert heard[0] == row
        assert heard[-1] == []
        heard.clear()
        second = session.submit(Prompt(np.array(row, np.int32), 5), listeners=Listeners(streamer=Ear()))
        ((number, (completion, *_)),) = session.run()
        assert number == second
        assert heard == [row, *([token] for token in completion.tokens.tolist()), []]
        expected = model.generate([row], max_new_tokens=5, **options)
        assert completion.tokens.tolist() == np.asarray(expected)[0, 5:].tolist()


def test_who_waits_may_leave_and_a_rule_that_fails_harms_no_other_row(model: Any) -> None:
    heard: list[list[int]] = []

    class Ear:
        put = staticmethod(lambda value: heard.append(np.asarray(value).tolist()))
        end = staticmethod(lambda: heard.append([]))

    def broken(ids: np.ndarray, scores: Any) -> bool:
        raise LookupError("no rule")

    rows = toys.prompts(5, 3, 4)
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 2, "cpu")
    first, bad, last = (
        session.submit(Prompt(np.array(row, np.int32), 9), listeners=own)
        for row, own in zip(
            rows, (Listeners(), Listeners(stopping_criteria=[broken]), Listeners(streamer=Ear())), strict=True
        )
    )
    session.cancel(last)
    assert heard == [[]]
    with pytest.raises(LookupError, match="no rule"):
        session.step()
    session.cancel(bad)
    (end,) = session.run()
    assert (end.id, end.completions[0].tokens.tolist()) == (first, toys.greedy(model, rows[0], 9))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ids": []}, "0 tokens"),
        ({"max_new_tokens": 0}, "0 new ones"),
        ({"max_new_tokens": 1000}, "512 positions"),
        ({"max_new_tokens": 511}, "pass max_new_tokens=510"),
        ({"ids": [3] * 512}, "leaves no room"),
        ({"embeds": np.zeros((2, 24), np.float32)}, "embeds: all prompts of a session"),
        ({"source": [3]}, "has no encoder"),
    ],
)
def test_prompts_that_cannot_be_written_on_are_refused(wrong: dict[str, Any], said: str) -> None:
    sizes = {"vocab_size": toys.VOCAB, "n_embd": 24, "n_layer": 1, "n_head": 2, "n_positions": 512}
    model = jaxformers.GPT2LMHeadModel(jaxformers.GPT2Config(**sizes), key=jax.random.key(0))
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 2, "cpu")
    good = {"ids": [3, 4], "max_new_tokens": 4}
    session.submit(Prompt(**good))
    with pytest.raises(ValueError, match=said):
        session.submit(Prompt(**good | wrong))


class Reading(toy_hybrid.HybridForCausalLM, base=toy_hybrid.HybridModel):
    """A toy whose prompts have a source: its layers begin with the sum of the source's words."""

    @classmethod
    def begin(cls, params: Any, config: Any, source: Any, rows: int, slots: int, sites: Any) -> Any:
        """A cache that has read the sources."""
        cache = cls.empty_cache(params, config, rows, slots)
        said = jnp.where(source.mask[..., None], params["word"]["table"][source.ids], 0).sum(1)
        cells = [cell | {"source": cell["source"].put(said)} for cell in cache.cells]
        return dataclasses.replace(cache, cells=cells)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "Reading has an encoder: a prompt needs a source"),
        ([], "source is empty"),
        ([99], "source has 99, allowed are 0 to 52"),
        ([[3]], r"source: expected vectors \[n, D\].*found int64"),
        (np.zeros((2, 3), np.float32), "all prompts of a session have ids, or vectors of one width"),
    ],
)
def test_a_source_is_what_the_encoder_reads(source: Any, said: str) -> None:
    toy = toy_hybrid.pair()[0]
    model = Reading(toy.config, params=toy.params)
    session = Session(Plan.of(GenerationConfig(), model.config.vocab_size), model.loaded(), 2, "cpu")
    session.submit(Prompt(np.array([3]), 2, source=np.array([4])))
    with pytest.raises(ValueError, match=said):
        session.submit(Prompt(np.array([3]), 2, source=source))


def test_each_row_has_its_own_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refilled ones and beams too: as one that stands alone with it."""
    toy = toy_hybrid.pair()[0]
    model = Reading(toy.config, params=toy.params)
    rows, sources = toys.prompts(7, 3, 12, 4, 9, 5, 30, seed=3), toys.prompts(70, 9, 4, 2, 1, 140, 6, seed=5)

    def prompt(i: int, source: int) -> Prompt:
        return Prompt(np.array(rows[i], np.int32), 5 + 17 * (i % 3), source=np.array(sources[source], np.int32))

    def written(prompts: list[Prompt], width: int, **options: Any) -> list[list[int]]:
        plan = Plan.of(generation.merged(model.generation_config, None, options), model.config.vocab_size)
        writing = (BeamSession if options else Session)(plan, model.loaded(), width, "cpu")
        for one in prompts:
            writing.submit(one)
        ends = sorted(writing.run(), key=lambda end: end.id)
        return [end.completions[0].tokens.tolist() for end in ends]

    begin = prefill.jaxformers_begin
    shapes: list[tuple[int, int]] = []

    def begin_told(model: Any, source: Any, *sizes: int) -> Any:
        shapes.append(source.ids.shape)
        return begin(model, source, *sizes)

    monkeypatch.setattr(prefill, "jaxformers_begin", begin_told)
    for options in ({}, {"num_beams": 3}):
        listed = [prompt(i, i) for i in range(len(rows))]
        single = [written([one], 3, **options)[0] for one in listed]
        shapes.clear()
        assert written(listed, 3, **options) == single
        if not options:  # short ones take places among long ones; what is too long for that begins with those after it
            assert shapes == [(3, 96), (1, 96), (1, 96), (2, 192)]
        other = written([prompt(0, 1)], 3, **options)[0]
        assert other != single[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ids": [[3, 4]]}, r"Prompt\.ids: expected ids \[n\] of one row, whole numbers, found int64 \[1, 2\]"),
        ({"ids": [[3, 4], [5]]}, r"Prompt\.ids=.*expected an array"),
        ({"ids": [3.0, 4.5]}, r"Prompt\.ids: expected .* found float64 \[2\]"),
        ({"ids": [3, 53]}, r"Prompt\.ids has 53, allowed are 0 to 52"),
        ({"ids": [-1]}, r"Prompt\.ids has -1"),
        ({"max_new_tokens": None}, "max_new_tokens=None: expected a whole number"),
        ({"max_new_tokens": "5"}, "max_new_tokens='5'"),
        ({"max_new_tokens": 5.5}, "max_new_tokens=5.5"),
        ({"max_new_tokens": True}, "max_new_tokens=True"),
        ({"seed": 2**40}, "seed=1099511627776"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"padding": -1}, "padding=-1"),
        ({"embeds": np.zeros(24, np.float32)}, r"embeds: expected vectors \[n, 24\].* found float32 \[24\]"),
        ({"embeds": np.zeros((2, 23), np.float32)}, r"embeds: expected vectors \[n, 24\]"),
        ({"embeds": np.zeros((2, 24), np.int32)}, "floats, found int32"),
        ({"negative": [3]}, "guidance_scale goes with"),
        ({"negative": []}, "negative is empty"),
        ({"negative": [99]}, "negative has 99"),
        (None, "expected a Prompt"),
    ],
)
def test_a_prompt_that_cannot_be_harms_no_other(model: Any, wrong: dict[str, Any] | None, said: str) -> None:
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 2, "cpu")
    good = {"ids": [3, 4], "max_new_tokens": 4}
    session.submit(Prompt(**good))
    with pytest.raises(ValueError, match=said):
        session.submit(None if wrong is None else Prompt(**good | wrong))  # type: ignore[arg-type]
    (end,) = session.run()
    assert end.completions[0].tokens.tolist() == toys.greedy(model, [3, 4], 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settings": {"temperature": 0.3}}, r"settings=.*plan\.settings\.replace"),
        ({"listeners": jaxformers.TextStreamer}, r"expected Listeners\(streamer="),
        ({"listeners": Listeners(streamer=print)}, r"streamer=.*expected an object with put"),
        ({"listeners": Listeners(stopping_criteria=len)}, r"stopping_criteria must be a list"),
        ({"settings": GenerationConfig(stop_strings="q"), "listeners": Listeners(tokenizer="q")}, "stop_strings needs"),
        ({"settings": GenerationConfig(do_sample=True, num_return_sequences=3)}, "num_return_sequences=3"),
    ],
)
def test_what_comes_beside_a_prompt_is_checked(model: Any, options: dict[str, Any], said: str) -> None:
    sampled = bool(getattr(options.get("settings"), "do_sample", False))
    plan = Plan.of(GenerationConfig(do_sample=sampled), toys.VOCAB)
    session = Session(plan, model.loaded(), 2, "cpu")
    with pytest.raises(ValueError, match=said):
        session.submit(Prompt(np.array([3, 4]), 4), **options)
    assert not session.busy


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"plan": GenerationConfig()}, r"expected Plan\.of"),
        ({"platform": "gpux"}, "platform='gpux': expected that of a device here, such as 'cpu'"),
        ({"platform": None}, "platform=None"),
        ({"width": 2.5}, "width=2.5: expected how many rows"),
        ({"width": 0}, "width=0"),
        ({"key": "3"}, "key='3': expected"),
    ],
)
def test_what_a_session_is_opened_with_is_checked(model: Any, wrong: dict[str, Any], said: str) -> None:
    good = {"plan": Plan.of(model.generation_config, toys.VOCAB), "model": model.loaded(), "width": 2}
    with pytest.raises(ValueError, match=said):
        Session(**{"platform": "cpu", **good, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"model=LlamaForCausalLM.*pass model\.loaded\(\)"):
        Session(good["plan"], model, 2, "cpu")


def test_each_plan_has_its_kind_of_session(model: Any) -> None:
    """What a plan asks for is never left out without a word."""
    plans = {name: Plan.of(GenerationConfig(**{name: 3}), toys.VOCAB) for name in _PLANS}
    loaded, none = model.loaded(), Plan.of(GenerationConfig(), toys.VOCAB)
    with pytest.raises(ValueError, match="num_beams=3: such a plan is for a BeamSession"):
        Session(plans["num_beams"], loaded, 3, "cpu")
    with pytest.raises(ValueError, match="prompt_lookup_num_tokens=3: such a plan is for an AssistedSession"):
        Session(plans["prompt_lookup_num_tokens"], loaded, 3, "cpu")
    with pytest.raises(ValueError, match="num_beams=1: such a plan is for a Session"):
        generation.BeamSession(none, loaded, 3, "cpu")
    with pytest.raises(ValueError, match="nothing drafts"):
        generation.AssistedSession(none, loaded, "cpu", assistant=None)
    with pytest.raises(ValueError, match=r"assistant=LlamaForCausalLM.*pass model\.loaded\(\)"):
        generation.AssistedSession(none, loaded, "cpu", assistant=model)
    for name, plan in plans.items():
        assert type(generation.Arguments().session(plan, loaded, 3, "cpu")) is _PLANS[name]


_PLANS = {"num_beams": generation.BeamSession, "prompt_lookup_num_tokens": generation.AssistedSession}


def test_who_was_never_there_cannot_be_cancelled(model: Any) -> None:
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 2, "cpu")
    number = session.submit(Prompt(np.array([3, 4]), 2))
    for strange in (number + 1, -1, "0", None):
        with pytest.raises(ValueError, match="no prompt of this session has it"):
            session.cancel(strange)  # type: ignore[arg-type]
    assert len(session.run()) == 1
    session.cancel(number)  # has ended


def test_a_streamer_that_fails_at_the_prompt_loses_nobody(model: Any) -> None:
    """Those that wait go on waiting, hear their prompts once, and whoever is at fault can be cancelled."""
    heard: list[list[int]] = []

    class Ear:
        put = staticmethod(lambda value: heard.append(np.asarray(value).tolist()))
        end = staticmethod(lambda: heard.append([]))

    class Broken(Ear):
        @staticmethod
        def put(value: np.ndarray) -> None:
            raise LookupError("no ear")

    rows = toys.prompts(5, 3, 4)
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 3, "cpu")
    ears = (Ear(), Broken(), None)
    first, bad, last = (
        session.submit(Prompt(np.array(row), 2), listeners=Listeners(streamer=ear))
        for row, ear in zip(rows, ears, strict=True)
    )
    with pytest.raises(LookupError, match="no ear"):
        session.step()
    session.cancel(bad)
    ends = {end.id: end.completions[0].tokens.tolist() for end in session.run()}
    assert ends == {i: toys.greedy(model, rows[i], 2) for i in (first, last)}
    assert heard == [rows[first], [], *([token] for token in ends[first]), []]
    assert not session.busy


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"prompt_lookup_num_tokens": 2}])
def test_a_streamer_that_fails_takes_no_event_from_others(model: Any, options: dict[str, Any]) -> None:
    class Broken:
        """It hears the prompt, and no token."""

        put = staticmethod(lambda value: None if len(value) > 1 else {}["no ear"])
        end = staticmethod(lambda: None)

    rows = toys.prompts(5, 3, 4)
    plan = Plan.of(GenerationConfig(**options), toys.VOCAB)
    session = generation.Arguments().session(plan, model.loaded(), 6, "cpu")
    for row, ear in zip(rows, (None, Broken(), None), strict=True):
        session.submit(Prompt(np.array(row), 1), listeners=Listeners(streamer=ear))
    with pytest.raises(KeyError, match="no ear"):
        session.run()
    ends = {end.id: end.completions[0].tokens.tolist() for end in session.run()}
    assert ends == {i: toys.greedy(model, row, 1) for i, row in enumerate(rows)}
    assert not session.busy


def test_a_streamer_may_cancel_another_prompt(model: Any) -> None:
    """Of which there is no event from then on, and whose own streamer ends once."""
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 2, "cpu")
    heard: list[str] = []

    class Cancelling:
        put = staticmethod(lambda value: session.cancel(1) if len(value) == 1 else None)
        end = staticmethod(lambda: None)

    class Ear:
        put = staticmethod(lambda value: heard.append("put"))
        end = staticmethod(lambda: heard.append("end"))

    session.submit(Prompt(np.array([3, 4]), 3), listeners=Listeners(streamer=Cancelling()))
    session.submit(Prompt(np.array([5, 6]), 3), listeners=Listeners(streamer=Ear()))
    events = [event for _ in range(4) for event in session.step()]
    assert {event.id for event in events} == {0}
    assert heard == ["put", "end"]


def test_a_streamer_may_cancel_its_own_prompt(model: Any) -> None:
    session = Session(Plan.of(model.generation_config, toys.VOCAB), model.loaded(), 2, "cpu")

    class Leaving:
        put = staticmethod(lambda value: session.cancel(1))
        end = staticmethod(lambda: None)

    session.submit(Prompt(np.array([3, 4]), 2))
    session.submit(Prompt(np.array([5]), 2), listeners=Listeners(streamer=Leaving()))
    (end,) = session.run()
    assert (end.id, end.completions[0].tokens.tolist()) == (0, toys.greedy(model, [3, 4], 2))


def test_equal_prompts_are_not_answered_alike(model: Any) -> None:
    """Where they say no seed; and a session's key may be a seed, as that of `generate`."""
    plan = Plan.of(GenerationConfig(do_sample=True, top_k=0, temperature=2.0), toys.VOCAB)

    def written(key: Any, *seeds: int | None) -> list[list[int]]:
        session = Session(plan, model.loaded(), 2, "cpu", key=key)
        for seed in seeds:
            session.submit(Prompt(np.array([3, 4]), 9, seed=seed))
        ends = sorted(session.run(), key=lambda end: end.id)
        return [end.completions[0].tokens.tolist() for end in ends]

    first, second = written(3, None, None)
    assert first != second
    assert [first, second] == written(jax.random.key(3), 0, 1)
    assert written(None, 0) == written(0, 0) != [first]
