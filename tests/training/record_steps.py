"""Record what torch gives for `cases.py`: AdamW, clipping and a linear schedule with warm-up, step by step.

python -m tests.training.record_steps      (torch and transformers 4.57; writes tests/training/recorded/*.npz)
"""

from __future__ import annotations

import numpy as np
import torch
import transformers
from transformers.trainer_pt_utils import LabelSmoother, get_parameter_names

from .cases import CASES, DECAY, MOST, RATE, RECORDED, STEPS, WARMUP, Case, drawn

# The names that `Trainer` decays no weight of, beside those of `torch.nn.LayerNorm`.
PLAIN = (r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)")


def record(case: Case) -> dict[str, np.ndarray]:
    """Loss, norm of the gradients and rate of each step, and the weights after the last."""
    cls = getattr(transformers, case.cls)
    model = cls(cls.config_class(**case.config)).train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(drawn(name, tuple(weight.shape))))
    decayed = set(get_parameter_names(model, [torch.nn.LayerNorm], list(PLAIN)))
    named = list(model.named_parameters())
    groups = [
        {"params": [weight for name, weight in named if name in decayed], "weight_decay": DECAY},
        {"params": [weight for name, weight in named if name not in decayed], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = transformers.get_scheduler("linear", optimizer, WARMUP, STEPS)
    rows = []
    for step in range(STEPS):
        batch = {name: torch.from_numpy(array.astype(np.int64)) for name, array in case.batch(step).items()}
        if case.smoothing:
            labels = batch.pop("labels")
            batch["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels)
            loss = LabelSmoother(epsilon=case.smoothing)(model(**batch), labels)
        else:
            loss = model(**batch).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), MOST)
        rows.append((loss.item(), norm.item(), schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    loss, norm, rate = np.array(rows).T
    weights = {f"weights.{name}": weight.detach().numpy() for name, weight in named}
    return {"loss": loss, "grad_norm": norm, "learning_rate": rate, **weights}


if __name__ == "__main__":
    torch.set_num_threads(1)
    RECORDED.mkdir(exist_ok=True)
    for name, case in CASES.items():
        found = record(case)
        np.savez_compressed(RECORDED / f"{name}.npz", **found)
        print(name, found["loss"][[0, -1]], found["grad_norm"][[0, -1]])
