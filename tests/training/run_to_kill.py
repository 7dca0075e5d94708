"""A run that may be killed: python -m tests.training.run_to_kill FOLDER [full]

With dropout and shuffling on. It says after which step it is, and at the end its losses and a hash of its weights. With
"full" no file can grow any more from the seventh step on, as on a full disk.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from typing import Any

import jax
import numpy as np

from jaxformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments
from jaxformers.training.checkpoints import get_last_checkpoint

STEPS = 14


class Told(TrainerCallback):
    """Says where the run is, and fills the disk when asked."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After each step."""
        print("step", state.global_step, flush=True)
        if "full" in sys.argv and state.global_step == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))


def main(folder: str) -> None:
    """Train, from the latest checkpoint if there is one."""
    config = BertConfig(
        vocab_size=96,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    rng = np.random.default_rng(0)
    rows = [{"input_ids": rng.integers(5, 90, 8), "label": i % 2} for i in range(40)]
    args = TrainingArguments(
        folder, max_steps=STEPS, logging_steps=1, save_steps=2, save_total_limit=2, disable_tqdm=True
    )
    trainer = Trainer(BertForSequenceClassification(config), args, train_dataset=rows, callbacks=[Told])
    trainer.train(resume_from_checkpoint=get_last_checkpoint(folder))
    weights = b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(trainer.model.params))
    losses = [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "loss" in entry]
    print("done", json.dumps({"weights": hashlib.sha256(weights).hexdigest(), "losses": losses}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
