"""What a TPU's compiler makes of the programs of all families. By hand, in an environment with the extra `tpu`.

pip install -e ".[test,tpu]" && pytest -m tpu
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxformers
from jaxformers.parallel.compiled import work

from . import ahead

pytestmark = [
    pytest.mark.tpu,
    pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="the extra `tpu` is not installed"),
]

SIZES = {
    "vocab_size": 32_000,
    "hidden_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "max_position_embeddings": 4096,
}
KEYS = SIZES | {"num_key_value_heads": 8, "head_dim": 128}
SIDES = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in (("layers", 3), ("attention_heads", 8), ("ffn_dim", 2048))
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForMaskedLM", SIZES),
    "llama": ("LlamaForCausalLM", KEYS),
    "gemma3": ("Gemma3ForCausalLM", KEYS | {"sliding_window": 512}),
    "mixtral": ("MixtralForCausalLM", KEYS | {"num_local_experts": 8, "num_experts_per_tok": 2}),
    "deepseek": (
        "DeepseekV3ForCausalLM",
        SIZES
        | {
            "num_key_value_heads": 8,
            "moe_intermediate_size": 512,
            "n_routed_experts": 16,
            "n_group": 4,
            "topk_group": 2,
            "num_experts_per_tok": 4,
            "first_k_dense_replace": 1,
            "kv_lora_rank": 256,
            "q_lora_rank": 256,
        },
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"d_model": 1024, "d_kv": 128, "d_ff": 2048, "num_layers": 3, "num_heads": 8, "decoder_start_token_id": 0},
    ),
    "bart": ("BartForConditionalGeneration", SIDES | {"d_model": 1024, "max_position_embeddings": 4096}),
}
WRITERS = [name for name in FAMILIES if name != "bert"]
MEASURED = [name for name in WRITERS if name != "deepseek"]  # whose toy is too small: what it computes is as large
TOPOLOGIES = ("v5e-8", "v5p-8")
FUSED = {"bert", "llama", "mixtral", "bart"}
"""Whose attention is all of the kind that the kernel takes, when layers are stacked."""


def model(family: str, topology: str, dtype: Any = jnp.bfloat16, **mesh: int) -> ahead.Abstract:
    name, config = FAMILIES[family]
    cls = getattr(jaxformers, name)
    return ahead.Abstract(cls, cls.config_class(**config), ahead.mesh_of(topology, **mesh), dtype)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_forward(family: str, topology: str) -> None:
    compiled = model(family, topology, data=2, tensor=4).forward(8, 2048)
    scores = 4 * (8 // 2) * (8 // 4) * 2048**2  # bytes of one layer's in float32, of a device's rows and heads
    if family in FUSED:
        assert "splash" in compiled.as_text()  # products of experts are kernels, too
    if family in ("bert", "llama"):  # of others other things are as large
        assert compiled.memory_analysis().temp_size_in_bytes < scores


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("family", MEASURED)
def test_a_step_reads_weights_and_cache_once(family: str, topology: str) -> None:
    given = model(family, topology, **({"expert": 8} if family == "mixtral" else {"tensor": 8}))
    compiled = given.decode(8, 4096)
    weights, cells = ahead.bytes_of(given.params), ahead.cells_of(given.cache(8, 4096))
    memory, found = compiled.memory_analysis(), work(compiled.as_text())
    assert memory.alias_size_in_bytes >= cells
    assert memory.temp_size_in_bytes <= 0.05 * (weights + cells) + 8 * 32_000 * 4
    assert found.traffic <= (1.3 if family == "mixtral" else 1.15) * (weights + cells)
    gathered = found.collectives.get("all-gather")
    assert gathered is None or gathered.bytes < 0.02 * weights * 8


@pytest.mark.parametrize("family", WRITERS)
def test_prompts_are_read_in_chunks(family: str) -> None:
    given = model(family, "v5e-8", tensor=8)
    compiled = given.decode(8, 4096, tokens=512)
    assert compiled.memory_analysis().alias_size_in_bytes >= ahead.cells_of(given.cache(8, 4096))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_training_fits(family: str, topology: str) -> None:
    given = model(family, topology, jnp.float32, fsdp=8)
    compiled = given.train(8, 1024)
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= 3 * ahead.bytes_of(given.params)  # weights and both moments
    assert memory.temp_size_in_bytes < 2**32


def test_listed_and_stacked_layers_move_the_same_bytes() -> None:
    """Of cells that a TPU's own memory (VMEM) has no room for; smaller ones of listed layers go there and back."""
    cls, config = jaxformers.LlamaForCausalLM, jaxformers.LlamaConfig(**KEYS | {"num_hidden_layers": 4})
    mesh = ahead.mesh_of("v5e-1", data=1)
    stacked, listed = (
        work(ahead.Abstract(cls, config, mesh, stacked=stacked).decode(32, 2048).as_text()).traffic
        for stacked in (True, False)
    )
    assert abs(stacked - listed) < 0.05 * listed


LARGE: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen3-0.6B": (
        "Qwen3ForCausalLM",
        {
            "vocab_size": 151_936,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "tie_word_embeddings": True,
        },
    ),
    "Llama-3.1-8B": (
        "LlamaForCausalLM",
        {
            "vocab_size": 128_256,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        },
    ),
    "Llama-3.1-70B": (
        "LlamaForCausalLM",
        {
            "vocab_size": 128_256,
            "hidden_size": 8192,
            "intermediate_size": 28_672,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
        },
    ),
    "Gemma-3-27B": (
        "Gemma3ForCausalLM",
        {
            "vocab_size": 262_208,
            "hidden_size": 5376,
            "intermediate_size": 21_504,
            "num_hidden_layers": 62,
            "num_attention_heads": 32,
            "num_key_value_heads": 16,
            "head_dim": 128,
            "sliding_window": 1024,
        },
    ),
    "Qwen3-30B-A3B": (
        "Qwen3MoeForCausalLM",
        {
            "vocab_size": 151_936,
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 48,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "head_dim": 128,
        },
    ),
}
STEPS = [
    ("Qwen3-0.6B", "v5e-1", {"data": 1}, 32, 2048, 1.15),
    ("Llama-3.1-8B", "v5e-8", {"tensor": 8}, 32, 4096, 1.15),
    ("Llama-3.1-8B", "v5p-8", {"tensor": 8}, 32, 4096, 1.15),
    ("Llama-3.1-70B", "v5p-8", {"tensor": 8}, 32, 4096, 1.15),
    ("Gemma-3-27B", "v5p-8", {"tensor": 8}, 32, 4096, 1.15),
    ("Qwen3-30B-A3B", "v5e-8", {"expert": 2, "tensor": 4}, 8, 1024, 1.3),
    ("Qwen3-30B-A3B", "v5p-8", {"expert": 8}, 8, 1024, 1.3),
]


@pytest.mark.parametrize(("name", "topology", "mesh", "rows", "slots", "most"), STEPS)
def test_large_models(
    name: str, topology: str, mesh: dict[str, int], rows: int, slots: int, most: float, capsys: Any
) -> None:
    cls, config = LARGE[name]
    cls = getattr(jaxformers, cls)
    given = ahead.Abstract(cls, cls.config_class(**config), ahead.mesh_of(topology, **mesh))
    compiled = given.decode(rows, slots)
    weights, cells = ahead.bytes_of(given.params), ahead.cells_of(given.cache(rows, slots))
    table = given.params["word"]["table"]
    if "head" in given.params:  # of a table of its own only the rows of a few words are read
        weights -= math.prod(table.sharding.shard_shape(table.shape)) * table.dtype.itemsize
    found, memory = work(compiled.as_text()), compiled.memory_analysis()
    with capsys.disabled():
        print(
            f"\n{name} on {topology} {mesh}, {rows} x {slots}: weights {weights / 2**30:.2f} GiB, "
            f"cache {cells / 2**30:.2f}, ratio {found.traffic / (weights + cells):.3f}, "
            f"temporaries {memory.temp_size_in_bytes / 2**20:.1f} MiB, peak {memory.peak_memory_in_bytes / 2**30:.2f}"
        )
    assert found.traffic <= most * (weights + cells)
    assert memory.temp_size_in_bytes <= 0.05 * weights + rows * config["vocab_size"] * 4
    assert jax.default_backend() == "cpu"
