"""What a compiled segment does with memory: a step reads the weights and writes its own slots, and copies neither."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

from jaxformers.generation import GenerationConfig, Plan, Prompt, rows
from jaxformers.generation.prefill import begin_rows
from jaxformers.generation.processors import Values
from jaxformers.layers.run import stack

from . import toys

pytestmark = pytest.mark.usefixtures("optimised")

SLOTS = 192


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "top_k": 5}], ids=["greedy", "sampled"])
@pytest.mark.parametrize(("count", "stacked"), [(1, False), (4, False), (4, True)])
def test_a_step_copies_neither_the_cache_nor_the_weights(count: int, stacked: bool, options: dict[str, object]) -> None:
    model = toys.model(num_hidden_layers=3)
    if stacked:
        model = model.replace(params={**model.params, "layers": stack(model.params["layers"])})
    loaded = model.loaded()
    config = GenerationConfig(max_new_tokens=9, **options)
    plan = Plan.of(config, toys.VOCAB)
    prompts = [Prompt(np.arange(3, 9, dtype=np.int32), 9, 0)]
    values = Values(plan.shared, plan.columns([config] * count))
    held = begin_rows(loaded, prompts, count, SLOTS, "cpu")
    lowered = rows.decode_segment.lower(plan.program, loaded, held, values, jax.random.key(0), 9)
    program = lowered.compile()
    cells = jax.tree.leaves(held.cache.cells)
    room = sum(cell.nbytes for cell in cells)
    found = program.memory_analysis()
    assert found.alias_size_in_bytes >= room  # the cache that comes out is the one that went in
    assert found.temp_size_in_bytes < room
    shape = lambda array: f"f32[{','.join(map(str, array.shape))}]"  # noqa: E731
    large = {shape(array) for array in (*cells, *jax.tree.leaves(loaded.params)) if array.size > 500}
    copied = re.findall(r"= (f32\[[\d,]+\])\S* (?:copy|transpose|copy-start)\(", program.as_text())
    assert not large & set(copied)
