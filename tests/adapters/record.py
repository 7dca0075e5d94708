"""Record what PEFT gives for `cases.py`: files, what models with them give, and losses of AdamW over their arrays.

python -m tests.adapters.record            (torch, transformers and peft; writes tests/adapters/recorded/)
python -m tests.adapters.record FOLDER     (opens what `python -m tests.adapters.ours FOLDER` has written)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers
from safetensors.torch import load_file

from .cases import CASES, DECAY, RATE, RECORDED, STEPS, TRAINED, Case, addition, drawn


def base_of(case: Case) -> Any:
    """The model without an adapter."""
    cls = getattr(transformers, case.toy.cls)
    model = cls(cls.config_class(**case.toy.config)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(drawn(name, tuple(weight.shape))))
    return model


def batch_of(case: Case, step: int) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.astype(np.int64)) for name, array in case.toy.batch(step).items()}


def draw(model: Any) -> None:
    """Give what an adapter has other numbers than it starts from."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                plain = name.replace(".default", "").replace(".modules_to_save", "")
                weight.copy_(torch.from_numpy(addition(plain, tuple(weight.shape))))


def record(name: str, case: Case, folder: Path) -> dict[str, np.ndarray]:
    model = peft.get_peft_model(base_of(case), case.config(peft.LoraConfig))
    draw(model)
    model.save_pretrained(folder / name)
    found = {"logits": model(**batch_of(case, 0)).logits.detach().numpy()}
    found["trainable"] = np.array(model.get_nb_trainable_parameters()[0])
    stored = load_file(folder / name / "adapter_model.safetensors")
    if name == "llama":
        torch.save(stored, RECORDED / "llama.bin")  # as PEFT wrote before safetensors
    found |= {f"file.{key}": array.numpy() for key, array in stored.items()}
    found["config"] = np.array((folder / name / "adapter_config.json").read_text())
    if name in TRAINED:
        found["losses"] = np.array(losses(model, case))
        after = peft.get_peft_model_state_dict(model)
        found |= {f"after.{key}": array.detach().numpy() for key, array in after.items()}
    return found


def losses(model: Any, case: Case) -> list[float]:
    """Ten steps over what the adapter has; biases and norms are not decayed."""
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    plain = lambda name: name.endswith("bias") or "norm" in name.lower()  # noqa: E731
    groups = [
        {"params": [weight for name, weight in named if not plain(name)], "weight_decay": DECAY},
        {"params": [weight for name, weight in named if plain(name)], "weight_decay": 0.0},
    ]
    optimizer, found = torch.optim.AdamW([group for group in groups if group["params"]], lr=RATE), []
    for step in range(STEPS):
        loss = model(**batch_of(case, step)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight for _, weight in named], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


def check(folder: Path) -> None:
    """What PEFT makes of our folders is what is recorded of its own; the greatest difference of each."""
    for name, case in CASES.items():
        model = peft.PeftModel.from_pretrained(base_of(case), folder / name)
        found = model(**batch_of(case, 0)).logits.detach().numpy()
        print(name, np.abs(found - np.load(RECORDED / f"{name}.npz")["logits"]).max())


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:]:
        check(Path(sys.argv[1]))
        sys.exit()
    RECORDED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            found = record(name, case, Path(folder))
            np.savez_compressed(RECORDED / f"{name}.npz", **found)
            print(name, sum(key.startswith("file.") for key in found), found.get("losses", [0])[-1])
