"""Steps on a mesh of 8 devices beside those of one: run by `test_devices.py` in a process of its own.

JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m tests.training.on_devices
"""

from __future__ import annotations

import json
import re
import tempfile
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jaxformers
from jaxformers import LlamaConfig, LlamaForCausalLM, parallel, runtime, training
from jaxformers.training import step

from .cases import CASES

STEPS = 4
CASE = CASES["llama"]
CONFIG = LlamaConfig(**{**CASE.config, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2})
_BYTES = {"f32": 4, "s32": 4, "u32": 4, "pred": 1}


def run(mesh: Mesh | None, **words: Any) -> dict[str, Any]:
    """Losses of several steps, and of the program what it reduces over all devices, in bytes."""
    model = LlamaForCausalLM(CONFIG)
    params = model.params
    if mesh is not None:
        params = jax.device_put(params, parallel.shardings(model.laid_out, mesh))
    own = training.optimizer("adamw", 1e-2, model.laid_out, weight_decay=0.1)
    plan = training.TrainPlan.of(model, own, **words)
    state, losses, programs = training.init(plan, params), [], []
    layout = [leaf.sharding for leaf in jax.tree.leaves(state)]
    runtime.compilations()
    reduced = 0
    for number in range(STEPS):
        batch = CASE.batch(number, rows=16)
        if mesh is not None:
            rows = NamedSharding(mesh, PartitionSpec("dp"))
            batch = {name: jax.device_put(array.astype(np.int32), rows) for name, array in batch.items()}
        if number == 0:
            given = parallel.explicit.to_automatic(step.read(plan, batch))
            program = step._train_step.lower(plan, step._layout(state), state, *given).compile()
            reduced = bytes_reduced(program.as_text())
        state, metrics = training.train_step(plan, state, batch)
        losses.append(float(metrics["loss"]))
        programs.append(runtime.compilations()["jaxformers_train_step"])
    kept = all(a.is_equivalent_to(b.sharding, b.ndim) for a, b in zip(layout, jax.tree.leaves(state), strict=True))
    return {
        "losses": losses,
        "reduced": reduced,
        "gradients": sum(leaf.size * 4 for leaf in jax.tree.leaves(model.params)),
        "more_programs": programs[-1] - programs[0],
        "kept": kept,
        "spread": sum(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state.params)),
    }


def bytes_reduced(text: str) -> int:
    """The bytes of the results of all-reduces in a program's text."""
    total = 0
    for line in text.splitlines():
        if found := re.search(r" = (.*?) all-reduce(-start)?\(", line):
            for kind, shape in re.findall(r"(\w+)\[([\d,]*)\]", found[1]):
                total += _BYTES[kind] * int(np.prod([int(n) for n in shape.split(",") if n] or [1]))
    return total


def trained(mesh: Mesh | None) -> dict[str, Any]:
    """A short run of the Trainer with a checkpoint, from which another goes on, and an evaluation of some rows."""
    batches = [CASE.batch(number, rows=8) for number in range(5)]
    rows = [{name: batch[name][i] for name in batch} for batch in batches for i in range(8)]
    found, share = {}, 1 if mesh is None else mesh.shape["dp"] * mesh.shape.get("fsdp", 1)
    with tempfile.TemporaryDirectory() as folder:
        for steps in (2, 4):
            args = jaxformers.TrainingArguments(
                folder, max_steps=steps, logging_steps=1, save_steps=2, per_device_train_batch_size=8 // share,
                per_device_eval_batch_size=8 // share, disable_tqdm=True, mesh=mesh, lr_scheduler_type="constant",
            )  # fmt: skip
            trainer = jaxformers.Trainer(LlamaForCausalLM(CONFIG), args, train_dataset=rows, eval_dataset=rows[:11])
            trainer.train(resume_from_checkpoint=steps > 2)
        found["losses"] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        found["evaluated"] = trainer.evaluate()["eval_loss"]
        found["rows"] = trainer.predict(rows[:11]).predictions.shape[0]
        layouts = [leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(trainer.model.params)]
        return found | {"spread": layouts.count(False)}


def main() -> None:
    """Print what one device, eight copies, and a mesh of three axes give."""
    jax.config.update("jax_default_matmul_precision", "highest")
    assert jax.device_count() == 8, jax.devices()
    automatic = (AxisType.Auto,)
    found = {
        "one": run(None),
        "copies": run(jax.make_mesh((8,), ("dp",), axis_types=automatic)),
        "explicit": run(jax.make_mesh((2, 2, 2), ("dp", "fsdp", "tp")), accumulation=2),
    }
    found |= {
        "trainer on one": trained(None),
        "trainer on eight": trained(jax.make_mesh((2, 2, 2), ("dp", "fsdp", "tp"))),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
