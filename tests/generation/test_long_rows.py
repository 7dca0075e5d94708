"""Rows that come past the length of training: torch 5.24's tokens, scores and beams, recorded by `record_long_rows.py`,
and the same by every way of writing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers.declare import is_param
from jaxformers.generation import GenerationConfig, Plan, Prompt, Session
from jaxformers.layers import run
from jaxformers.layers.again import again
from jaxformers.layers.inputs import Inputs
from tests.models import rule

from . import toys
from .long_rows import LENGTHS, MODELS, NEW, TRAINED, prompts

pytestmark = pytest.mark.usefixtures("exact")

RECORDED = np.load(Path(__file__).parent / "long_rows.npz")
SWITCHING = ("phi3", "llama")


@pytest.fixture(scope="module", params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(kind: str) -> Any:
    return toy(kind)


@pytest.fixture(scope="module")
def phi() -> Any:
    return toy("phi3")


def toy(kind: str) -> Any:
    """The toy model that was recorded."""
    prefix, fields = MODELS[kind]
    cls = getattr(jaxformers, f"{prefix}ForCausalLM")
    model = cls(cls.config_class(**fields))
    records = jax.tree.leaves(cls.declaration(model.config), is_leaf=is_param)
    filled = [jnp.asarray(rule.fill(record.name, record.shape, factor=1.5)) for record in records]
    return model.replace(params=jax.tree.unflatten(jax.tree.structure(model.params), filled))


def recorded(kind: str, what: str) -> list[Any]:
    return [RECORDED[f"{kind}.{number}.{what}"] for number in range(len(LENGTHS))]


def whole(model: Any, ids: list[int]) -> np.ndarray:
    """Scores of what follows a row [V], read at once; padding, so that one program serves all rows."""
    ids, mask = toys.padded([ids, [3] * 64], "right")
    return np.asarray(model(ids[:1], mask[:1]).logits[0, mask[0].sum() - 1])


def greedy(model: Any, prompt: list[int], count: int = NEW, **options: Any) -> list[int]:
    out = model.generate([prompt], max_new_tokens=count, do_sample=False, **options)
    return np.asarray(out)[0, len(prompt) :].tolist()


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_a_batch_on_both_sides_are_torchs_alone(model: Any, kind: str, side: str) -> None:
    ids, mask = toys.padded(prompts(), side)
    out = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=NEW,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    np.testing.assert_array_equal(out.sequences[:, ids.shape[1] :], recorded(kind, "tokens"))
    np.testing.assert_allclose(np.stack(out.logits, axis=1), recorded(kind, "logits"), atol=2e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_beams_are_torchs(model: Any, kind: str, side: str) -> None:
    ids, mask = toys.padded(prompts(), side)
    asked = {"num_beams": 3, "num_return_sequences": 2, "return_dict_in_generate": True, "do_sample": False}
    out = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, **asked)
    np.testing.assert_array_equal(out.sequences[:, ids.shape[1] :], np.concatenate(recorded(kind, "beams")))
    np.testing.assert_allclose(out.sequences_scores, np.concatenate(recorded(kind, "sums")), atol=2e-4)


@pytest.mark.parametrize("kind", SWITCHING)
def test_one_pure_function_and_stacked_layers_write_the_same(kind: str) -> None:
    model = toy(kind)
    ids, mask = toys.padded(prompts())
    write = jax.jit(lambda params: jaxformers.generate(params, model, ids, mask, max_new_tokens=NEW, do_sample=False))
    stacked = {**model.params, "layers": run.stack(model.params["layers"])}
    for params in (model.params, stacked):
        np.testing.assert_array_equal(write(params)[:, ids.shape[1] :], recorded(kind, "tokens"))


@pytest.mark.parametrize("known", [1, TRAINED - 1, TRAINED, TRAINED + 1, TRAINED + 5])
def test_a_chat_goes_on_past_the_length_of_training(phi: Any, known: int) -> None:
    """What was read under the other rotation is read again, of those rows that come to the other side."""
    long, short = prompts()[4][: TRAINED + 10], prompts()[0][:6]
    first, mask = toys.padded([long[:known], short[:1]])
    out = phi.generate(first, attention_mask=mask, max_new_tokens=1, return_dict_in_generate=True)
    read = out.past_key_values
    assert read.length.tolist() == [known, 1]
    ids, mask = toys.padded([long, short])
    new = phi.generate(ids, attention_mask=mask, past_key_values=read, max_new_tokens=NEW, do_sample=False)
    assert new[:, ids.shape[1] :].tolist() == [greedy(phi, long), greedy(phi, short)]


def test_a_chat_may_be_taken_back_before_the_length_of_training(phi: Any) -> None:
    long = prompts()[4]
    read = phi.generate([long], max_new_tokens=1, return_dict_in_generate=True).past_key_values
    for kept in (3, TRAINED - 2):
        cache, prompt = dataclasses.replace(read, length=jnp.array([kept])), long[: kept + 1]
        assert greedy(phi, prompt, past_key_values=cache) == greedy(phi, prompt)
        last = phi(np.array([prompt[-1:]]), past_key_values=cache).logits[0, -1]
        np.testing.assert_allclose(last, whole(phi, prompt), atol=2e-4)


@pytest.mark.parametrize("size", [1, 5, 7])
def test_calls_with_a_cache_give_what_the_whole_row_gives(phi: Any, size: int) -> None:
    """Of each part its last token, behind which nothing has been read; two rows, one of them short, and embeddings."""
    long, short = prompts()[4][:35], prompts()[0][:2]
    ids, mask = toys.padded([long, short], "right")
    cache = phi.init_cache(2, 64)
    for start in range(0, len(long), size):
        part = slice(start, start + size)
        given = {"input_ids": ids[:, part]} if start % 2 else {"inputs_embeds": table(phi)[ids[:, part]]}
        out = phi(**given, attention_mask=mask[:, part], past_key_values=cache)
        cache = out.past_key_values
        np.testing.assert_allclose(out.logits[0, -1], whole(phi, long[: start + size]), atol=2e-4)
    assert cache.length.tolist() == [35, 2]
    out = phi(np.array([[9], [9]]), past_key_values=cache)
    np.testing.assert_allclose(out.logits[1, -1], whole(phi, [*short, 9]), atol=2e-4)


def table(model: Any) -> np.ndarray:
    return np.asarray(model.params["word"]["table"])


def test_places_that_were_given_are_kept_where_a_row_is_read_again(phi: Any) -> None:
    ids, places = np.array([prompts()[4][:30]]), np.arange(30)[None] + np.arange(30)[None] // 7
    cache = phi.init_cache(1, 64)
    for part in (slice(0, 20), slice(20, 30)):
        out = phi(ids[:, part], position_ids=places[:, part], past_key_values=cache)
        cache = out.past_key_values
    np.testing.assert_allclose(out.logits, phi(ids, position_ids=places).logits[:, 20:], atol=2e-4)


@pytest.mark.parametrize("helper", ["looking back", "an assistant", "itself"])
def test_proposals_change_nothing(model: Any, kind: str, helper: str) -> None:
    """Also those that were read past the length of training, and taken back."""
    other = jax.tree.map(lambda x: 0.9 * x + 0.03 * jnp.abs(x), model)
    options: dict[str, Any] = {
        "looking back": {"prompt_lookup_num_tokens": 6, "max_matching_ngram_size": 1},
        "an assistant": {"assistant_model": other, "num_assistant_tokens": 5, "assistant_confidence_threshold": 0.0},
        "itself": {"assistant_model": model, "num_assistant_tokens": 5, "assistant_confidence_threshold": 0.0},
    }[helper]
    for prompt, new in zip(prompts(), recorded(kind, "tokens"), strict=True):
        assert greedy(model, prompt, **options) == new.tolist()
    twice = prompts()[0][:9] * 2
    assert greedy(model, twice, 20, **options) == greedy(model, twice, 20)


def test_rows_that_take_the_places_of_others(phi: Any) -> None:
    """Each is as alone, whichever side those stood on whose places they take, and whoever stands beside."""
    rng = np.random.RandomState(3)
    listed = [rng.randint(5, 67, length).tolist() for length in (40, 5, 23, 2, 20, 24, 30, 9)]
    asked = [Prompt(np.array(ids, np.int32), 3 + 20 * (i % 3)) for i, ids in enumerate(listed)]
    session = Session(Plan.of(GenerationConfig(do_sample=False), 67), phi.loaded(), 3, "cpu")
    for prompt in asked:
        session.submit(prompt)
    for end in session.run():
        expected = greedy(phi, listed[end.id], asked[end.id].max_new_tokens)
        assert end.completions[0].tokens.tolist() == expected


def test_rows_without_their_prompts_cross_by_themselves(phi: Any) -> None:
    """Guidance asks the model about the new tokens alone, behind another text."""
    prompt, other = prompts()[0], prompts()[1][: TRAINED - 4]
    guided = {"guidance_scale": 1.5, "negative_prompt_ids": [other]}
    new: list[int] = []
    for _ in range(NEW):
        scores = [toys.log_softmax(whole(phi, [*ids, *new])) for ids in (prompt, other)]
        new.append(int(np.argmax(1.5 * (scores[0] - scores[1]) + scores[1])))
    assert greedy(phi, prompt, **guided) == new


def test_draws_are_those_of_a_row_alone(phi: Any) -> None:
    ids, mask = toys.padded(prompts())
    asked = {"max_new_tokens": NEW, "do_sample": True, "top_k": 5, "key": 4}
    out = np.asarray(phi.generate(ids, attention_mask=mask, **asked))
    alone = phi.generate(ids[:1], attention_mask=mask[:1], **asked)
    np.testing.assert_array_equal(out[:1], alone)


def test_texts_in_one_row_go_by_their_own_length(model: Any) -> None:
    """A short text is turned as a short one though a long one stands beside it."""
    long, short = prompts()[4], prompts()[0]
    texts = np.array([[1] * len(long) + [2] * len(short)])
    packed = Inputs(ids=jnp.array([[*long, *short]]), texts=jnp.array(texts), starts=jnp.array([0, len(long)]))
    cls = type(model)
    together = cls.network.decode(model.params, model.config, packed.separated()).state[0]
    for part, ids in ((slice(0, len(long)), long), (slice(len(long), None), short)):
        alone = cls.network.decode(model.params, model.config, Inputs(ids=jnp.array([ids]))).state[0]
        np.testing.assert_allclose(together[part], alone, atol=2e-4)


def test_other_models_have_no_part_in_it() -> None:
    """Their caches hold nothing more, and their programs are those without it."""
    model = toys.model()
    cache = model.init_cache(1, 64)
    assert cache.past is None
    inputs = Inputs(ids=jnp.array([[5, 6]]), cache=cache)
    with_it, without = (
        str(jax.make_jaxpr(lambda x, f=f: f(model.params, model.config, x).state)(inputs))
        for f in (again(type(model).network.decode), type(model).network.decode)
    )
    assert with_it == without
