"""Steps over an adapter on a mesh of 8 devices beside those of one: run by `test_models.py` in a process of its own.

JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m tests.adapters.on_devices
"""

from __future__ import annotations

import json
import tempfile
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxformers import LlamaConfig, LlamaForCausalLM, LoraConfig, get_peft_model, parallel, training

from .cases import CASES

TOY = CASES["llama"].toy
CONFIG = LlamaConfig(**{**TOY.config, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2})


def run(mesh: Mesh | None) -> dict[str, Any]:
    """Losses of three steps, and the layouts of a weight and its addition."""
    model = LlamaForCausalLM(CONFIG)
    if mesh is not None:
        placed = jax.device_put(model.params, parallel.shardings(model.laid_out, mesh))
        model = model.replace(params=placed)
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    leaf = model.params["layers"][0]["query"]["weight"]
    plan = training.TrainPlan.of(model, training.optimizer("adamw", 1e-2, model.laid_out))
    state, losses = training.init(plan, model.params, key=None), []
    for number in range(3):
        state, metrics = training.train_step(plan, state, TOY.batch(number, rows=8))
        losses.append(float(metrics["loss"]))
    merged = model.merge_and_unload().params["layers"][0]["query"]["weight"]
    layouts = {"up": leaf.up, "down": leaf.down, "merged": merged} | read(model, mesh)
    return {"losses": losses} | {
        name: None if mesh is None else list(array.sharding.spec) for name, array in layouts.items()
    }


def read(model: Any, mesh: Mesh | None) -> dict[str, jax.Array]:
    """Arrays of the adapter, read from files onto a mesh; they are those that were saved."""
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(CONFIG).save_pretrained(f"{folder}/base")
        model.replace(params=jax.device_get(model.params)).save_pretrained(f"{folder}/adapter")
        config = LoraConfig.from_pretrained(f"{folder}/adapter")
        config.replace(base_model_name_or_path="../base").save_pretrained(f"{folder}/adapter")
        listed, stacked = (
            LlamaForCausalLM.from_pretrained(f"{folder}/adapter", mesh=mesh, stacked=stacked).params["layers"]
            for stacked in (False, True)
        )
    down, up = listed[0]["query"]["weight"].down, stacked["query"]["weight"].up
    expected = model.params["layers"][0]["query"]["weight"]
    np.testing.assert_array_equal(down, expected.down)
    np.testing.assert_array_equal(up[0], expected.up)
    return {"read_down": down, "read_up": up}


def main() -> None:
    """Print what is found, as JSON."""
    grid = np.array(jax.devices()).reshape(2, 2, 2)
    axes = ("dp", "fsdp", "tp")
    found = {
        "one": run(None),
        "auto": run(Mesh(grid, axes)),
        "explicit": run(Mesh(grid, axes, axis_types=(AxisType.Explicit,) * 3)),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
