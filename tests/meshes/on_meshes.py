"""Families of models on meshes of 8 virtual devices beside one device: run by `test_meshes.py`, in a process each.

JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m tests.meshes.on_meshes llama
"""

from __future__ import annotations

import json
import math
import sys
import types
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jaxformers
from jaxformers import parallel, training
from jaxformers.layers import cache as caches
from jaxformers.layers import expert_products, experts

SIZES = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 95}
FEW_KEYS = SIZES | TOKENS | {"num_key_value_heads": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForMaskedLM", SIZES),
    "llama": ("LlamaForCausalLM", FEW_KEYS),
    "gemma3": (
        "Gemma3ForCausalLM",
        FEW_KEYS | {"head_dim": 8, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "mixtral": ("MixtralForCausalLM", FEW_KEYS | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "deepseek": (
        "DeepseekV3ForCausalLM",
        SIZES
        | TOKENS
        | {
            "num_key_value_heads": 8,
            "moe_intermediate_size": 32,
            "n_routed_experts": 8,
            "n_group": 2,
            "topk_group": 1,
            "num_experts_per_tok": 2,
            "first_k_dense_replace": 1,
            "kv_lora_rank": 16,
            "q_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 16,
        },
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {
            "vocab_size": 96,
            "d_model": 64,
            "d_kv": 8,
            "d_ff": 128,
            "num_layers": 2,
            "num_heads": 8,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
            "eos_token_id": 95,
        },
    ),
    "bart": (
        "BartForConditionalGeneration",
        {
            "vocab_size": 96,
            "d_model": 64,
            **{
                f"{side}_{name}": value
                for side in ("encoder", "decoder")
                for name, value in (("layers", 2), ("attention_heads", 8), ("ffn_dim", 128))
            },
            "max_position_embeddings": 64,
            "decoder_start_token_id": 2,
            "eos_token_id": 95,
            "forced_eos_token_id": None,
        },
    ),
}
MESHES: dict[str, dict[str, int]] = {
    "data": {"data": 8},
    "fsdp": {"fsdp": 8},
    "tensor": {"tensor": 8},
    "three": {"data": 2, "fsdp": 2, "tensor": 2},
    "sequence": {"sequence": 4},
    "expert": {"expert": 4},
}
KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}
ROWS, LENGTH, NEW = 8, 16, 6


def mesh_of(sizes: dict[str, int], kind: AxisType) -> Mesh:
    """A mesh of the first devices."""
    devices = jax.devices()[: math.prod(sizes.values())]
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(kind,) * len(sizes), devices=devices)


def batch_of(cls: str) -> dict[str, np.ndarray]:
    """Rows of which the second half is padded on the left, with labels."""
    ids = np.random.default_rng(0).integers(3, 95, (ROWS, LENGTH)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[ROWS // 2 :, :5] = 0
    ids = np.where(mask == 1, ids, 0)
    labels = np.where(mask == 1, ids, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels[:, 4:12] if "Conditional" in cls else labels}


def made(family: str) -> Any:
    """The toy model, its arrays random and none of them near nothing."""
    name, config = FAMILIES[family]
    cls = getattr(jaxformers, name)
    model = cls(cls.config_class(**config))
    rng = np.random.default_rng(1)
    return model.replace(
        params=jax.tree.map(lambda x: x + rng.normal(0, 0.05, x.shape).astype(np.float32), model.params)
    )


def results(model: Any, mesh: Mesh | None) -> dict[str, Any]:
    """What the model gives: logits, written ids, and the losses and weights of two steps of training."""
    batch: dict[str, Any] = batch_of(type(model).__name__)
    rows = batch
    if mesh is not None:
        model = model.replace(params=jax.device_put(model.params, parallel.shardings(model.laid_out, mesh)))
        layout = NamedSharding(mesh, PartitionSpec(parallel.row_axes(mesh.axis_names)))
        rows = {name: jax.device_put(array, layout) for name, array in batch.items()}
    found = {"logits": np.asarray(model(**rows).logits), "bytes": bytes_of(model.params)}
    if hasattr(model, "generate"):
        prompt = {name: rows[name] for name in ("input_ids", "attention_mask")}
        found["ids"] = np.asarray(model.generate(**prompt, max_new_tokens=NEW, do_sample=False, num_beams=1))
        found["beams"] = np.asarray(model.generate(**prompt, max_new_tokens=NEW, do_sample=False, num_beams=2))
    own = training.optimizer("adamw", 1e-3, model.laid_out, weight_decay=0.1)
    plan = training.TrainPlan.of(model, own)
    state = training.init(plan, model.params)
    losses = []
    for _ in range(2):
        state, metrics = training.train_step(plan, state, rows)
        losses += [float(metrics["loss"]), float(metrics["grad_norm"])]
    return found | {"losses": np.array(losses), "params": jax.tree.map(np.asarray, state.params)}


def bytes_of(tree: Any) -> int:
    """The bytes that the first device has."""
    return sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))


def difference(a: Any, b: Any) -> float:
    """The largest between arrays, relative to the largest number."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(x - y).max() / max(np.abs(y).max(), 1e-6)) for x, y in pairs)


def elsewhere() -> None:
    """Let caches lie, and experts compute, as on accelerators."""
    caches.platform_of = lambda like: "tpu"

    def default(*args: Any, default: Any, **platforms: Any) -> Any:
        return default(*args)

    expert_products.jax = experts.jax = types.SimpleNamespace(
        **{**vars(jax), "lax": types.SimpleNamespace(**{**vars(jax.lax), "platform_dependent": default})}
    )


def main(family: str, *meshes: str, as_elsewhere: bool = False) -> None:
    """Print for each mesh, named as "tensor explicit", how far its results are from those of one device.

    as_elsewhere: on the mesh caches lie, and experts compute, as on accelerators.
    """
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_disable_most_optimizations", True)
    model = made(family)
    one, told = results(model, None), {}
    if as_elsewhere:
        elsewhere()
        jax.clear_caches()
    for name in meshes:
        sizes, kind = name.split()
        other = results(model, mesh_of(MESHES[sizes], KINDS[kind]))
        told[name] = {
            **{key: difference(other[key], one[key]) for key in ("logits", "losses", "params")},
            **{key: bool((other[key] == one[key]).all()) for key in ("ids", "beams") if key in one},
            "share": other["bytes"] / one["bytes"],
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
