"""What layers keep, of every kind, through every loop: the same tokens as from all tokens' words."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import declare, generation
from jaxformers.declare import Param
from jaxformers.generation import Plan, Prompt, Session
from jaxformers.generation.beams import BeamSession
from jaxformers.layers import cache as caches
from jaxformers.layers import run

from . import toy_hybrid, toys

PROMPTS = toys.prompts(9, 5, 3)


@pytest.fixture(scope="module")
def models() -> tuple[Any, Any]:
    return toy_hybrid.pair()


def stacked(model: Any) -> Any:
    return model.replace(params=model.params | {"layers": run.stack(model.params["layers"])})


def new(model: Any, rows: list[list[int]], side: str = "left", **options: Any) -> list[list[int]]:
    """New tokens of each row."""
    ids, mask = toys.padded(rows, side)
    out = np.asarray(model.generate(ids, attention_mask=mask, **options))
    return out[:, ids.shape[1] :].tolist()


def test_the_toys_are_one_function(models: tuple[Any, Any]) -> None:
    hybrid, plain = models
    ids, mask = toys.padded(PROMPTS)
    whole = hybrid(ids, mask).logits
    np.testing.assert_allclose(plain(ids, mask).logits, whole, rtol=1e-5, atol=1e-4)
    for model in models:
        first = model(ids[:, :6], mask[:, :6], past_key_values=model.init_cache(3, 64))
        after = model(ids[:, 6:], mask[:, 6:], past_key_values=first.past_key_values)
        real = mask[:, 6:].astype(bool)
        np.testing.assert_allclose(np.asarray(after.logits)[real], np.asarray(whole)[:, 6:][real], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("layers", ["listed", "stacked"])
def test_greedy_search_past_the_ring(models: tuple[Any, Any], side: str, layers: str) -> None:
    hybrid, plain = models
    hybrid = stacked(hybrid) if layers == "stacked" else hybrid
    options: dict[str, Any] = {"max_new_tokens": 90, "do_sample": False}
    answer = new(plain, PROMPTS, **options)
    assert new(hybrid, PROMPTS, side, **options) == answer
    alone = [new(hybrid, [row], **options)[0] for row in PROMPTS]
    assert alone == answer


@pytest.mark.parametrize("layers", ["listed", "stacked"])
def test_beams_reorder_rows_and_share_the_source(models: tuple[Any, Any], layers: str) -> None:
    hybrid, plain = models
    hybrid = stacked(hybrid) if layers == "stacked" else hybrid
    options: dict[str, Any] = {"max_new_tokens": 12, "num_beams": 4, "num_return_sequences": 2}
    assert new(hybrid, PROMPTS, **options) == new(plain, PROMPTS, **options)


def test_beams_have_one_source(models: tuple[Any, Any]) -> None:
    prompts = [Prompt(np.array(row, np.int32), 4) for row in PROMPTS]
    settings = generation.merged(models[0].generation_config, None, {"num_beams": 4})
    session = BeamSession(Plan.of(settings, models[0].config.vocab_size), models[0].loaded(), 12, "cpu")
    for prompt in prompts:
        session.submit(prompt)
    session.step()
    rows = {name: leaf.array.shape[0] for name, leaf in session.rows.rows.cache.cells[0].items()}
    assert rows == {"key": 12, "value": 12, "state": 12, "ring": 12, "when": 12, "source": 3}


def test_rows_that_ended_are_refilled(models: tuple[Any, Any]) -> None:
    """More prompts than rows, of many lengths: each as if alone."""
    rows = toys.prompts(7, 3, 12, 4, 9, 5, 30, seed=3)
    prompts = [Prompt(np.array(row, np.int32), 5 + 17 * (i % 3), seed=i) for i, row in enumerate(rows)]
    answers = []
    for model in models:
        config = generation.merged(model.generation_config, None, {"do_sample": False})
        session = Session(Plan.of(config, model.config.vocab_size), model.loaded(), 3, "cpu")
        for prompt in prompts:
            session.submit(prompt)
        found = {end.id: end.completions[0].tokens.tolist() for end in session.run()}
        answers.append([found[i] for i in range(len(rows))])
    assert answers[0] == answers[1]
    assert answers[0] == [
        new(models[1], [row], max_new_tokens=p.max_new_tokens)[0] for row, p in zip(rows, prompts, strict=True)
    ]


@pytest.mark.parametrize("sampled", [False, True])
def test_refused_proposals_leave_no_trace(models: tuple[Any, Any], sampled: bool) -> None:
    hybrid, plain = models
    options: dict[str, Any] = {"max_new_tokens": 24, "do_sample": sampled, "temperature": 0.7, "key": 3}
    options = options if sampled else {"max_new_tokens": 24}
    other, other_plain = toy_hybrid.pair(seed=1)
    both = [(hybrid, other), (plain, other_plain)]
    helped = [new(model, PROMPTS[:1], assistant_model=helper, **options) for model, helper in both]
    assert helped[0] == helped[1]
    looked = [new(model, [[5, 6, 7, 5, 6]], prompt_lookup_num_tokens=3, **options) for model in models]
    assert looked[0] == looked[1]
    if not sampled:
        assert helped[0] == new(plain, PROMPTS[:1], **options)
        own = new(hybrid, PROMPTS[:1], assistant_model=hybrid, **options)
        assert own == helped[0]


def test_caches_are_gone_on_with(models: tuple[Any, Any]) -> None:
    """Also behind rows that ended early, whose state no further step may have changed."""
    plain = models[1]
    end = new(plain, PROMPTS, max_new_tokens=8)[1][2]
    answers = []
    for model in models:
        ids, mask = toys.padded(PROMPTS)
        first = model.generate(
            ids, attention_mask=mask, max_new_tokens=8, eos_token_id=end, return_dict_in_generate=True
        )
        written = [row[seen != 0].tolist() for row, seen in zip(ids, mask, strict=True)]
        tails = np.asarray(first.sequences)[:, ids.shape[1] :].tolist()
        tails = [tail[: tail.index(end) + 1] if end in tail else tail for tail in tails]
        rows = [own + tail + [7, 8] for own, tail in zip(written, tails, strict=True)]
        answers.append(new(model, rows, max_new_tokens=6, past_key_values=first.past_key_values))
        assert answers[-1] == [new(plain, [row], max_new_tokens=6)[0] for row in rows]
    assert answers[0] == answers[1]


def test_axes_say_what_becomes_of_a_leaf() -> None:
    """Of shapes that no rule of thumb about places would get right."""
    kinds = {
        "slots": Param((2, 3, 8), ("batch", "length", None), "", "buffer"),
        "state": Param((2, 3, 8), ("batch", None, None), "", "buffer"),
        "late": Param((3, 2), (None, "batch"), "", "buffer"),
        "source": Param((2, 5), ("source", None), "", "buffer", dtype="int32"),
        "ring": Param((2, 4), ("batch", "ring"), "", "buffer"),
    }
    for cells in ([kinds], declare.stacked([kinds, kinds])):
        cache = caches.empty(cells, jnp.bfloat16, jnp.zeros(()))
        assert (cache.slots, cache.recurrent, cache.length.shape) == (3, True, (2,))
        counted = [jnp.arange(leaf.array.size).reshape(leaf.array.shape) for leaf in caches.leaves(cache)]
        structure = jax.tree.structure(cache.cells)
        cache = caches.Cache(jax.tree.unflatten(structure, counted), jnp.array([4, 5]), jnp.array([6, 7]))
        layer = lambda c: c.cells[0] if isinstance(c.cells, list) else jax.tree.map(lambda x: x[-1], c.cells)  # noqa: E731
        old = {name: leaf.array for name, leaf in layer(cache).items()}
        taken = {name: leaf.array for name, leaf in layer(caches.rows_of(cache, jnp.array([1, 1, 0]))).items()}
        for name in ("slots", "state", "source", "ring"):
            np.testing.assert_array_equal(taken[name], old[name][jnp.array([1, 1, 0])], name)
        np.testing.assert_array_equal(taken["late"], old["late"][:, jnp.array([1, 1, 0])])
        wide = caches.beams_of(cache, jnp.array([1, 1, 0, 0]))
        own = {name: leaf.array for name, leaf in layer(wide).items()}
        np.testing.assert_array_equal(own["source"], old["source"])
        np.testing.assert_array_equal(own["state"], old["state"][jnp.array([1, 1, 0, 0])])
        assert wide.length.tolist() == [5, 5, 4, 4]
        shapes = {name: leaf.array.shape for name, leaf in layer(caches.grown(cache, 7)).items()}
        assert shapes == {name: (2, 7, 8) if name == "slots" else array.shape for name, array in old.items()}
        other = jax.tree.map(lambda x: x + 100, caches.rows_of(cache, jnp.array([0, 1])))
        put = {name: leaf.array for name, leaf in layer(caches.replaced(cache, jnp.array([1, 2]), other)).items()}
        for name, array in old.items():
            axis = 1 if name == "late" else 0
            expected = jnp.stack([array.take(0, axis), array.take(0, axis) + 100], axis)
            np.testing.assert_array_equal(put[name], expected, name)
        back = {name: leaf.array for name, leaf in layer(caches.restored(other, cache)).items()}
        changed = [name for name, array in back.items() if np.array_equal(array, old[name])]
        assert changed == ["late", "state"]


def test_fixed_shapes_need_no_positions() -> None:
    """A model that keeps states alone has no slots to run out of."""
    state = {"state": Param((2, 8), ("batch", None), "", "buffer")}
    cache = caches.empty([state], jnp.float32, jnp.zeros(()))
    assert cache.slots == 0
    assert caches.grown(cache, 64).cells[0]["state"].array.shape == (2, 8)
