"""Record what torch Transformers 5.24 writes across the length of training: run by hand, from the repository's root.

    python -m tests.generation.record_long_rows

Written is long_rows.npz: of each model of `long_rows.py` the tokens that follow each prompt, the scores of each step,
and the best beams with their scores, all of a row alone that is read whole for each token; of the one whose rotation
changes with each token, of a row alone with the own cache of torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers

from tests.models import rule

from .long_rows import MODELS, NEW, prompts


def toy(kind: str) -> transformers.PreTrainedModel:
    """The model; made anew for each call, since torch's rotations remember the longest row."""
    prefix, fields = MODELS[kind]
    config = getattr(transformers, f"{prefix}Config")(**fields)
    model = getattr(transformers, f"{prefix}ForCausalLM")._from_config(
        config, attn_implementation="eager", dtype=torch.float32
    )
    for name, tensor in model.eval().state_dict().items():
        tensor.copy_(torch.from_numpy(rule.fill(name, tuple(tensor.shape), factor=1.5)))
    return model


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    found = {}
    for kind in MODELS:
        asked = {"max_new_tokens": NEW, "do_sample": False, "use_cache": kind == "dynamic", "pad_token_id": 0}
        asked |= {"return_dict_in_generate": True, "output_logits": True, "output_scores": True}
        for number, prompt in enumerate(prompts()):
            ids = torch.tensor([prompt])
            asked["attention_mask"] = torch.ones_like(ids)
            with torch.no_grad():
                greedy = toy(kind).generate(ids, **asked)
                beams = toy(kind).generate(ids, num_beams=3, num_return_sequences=2, **asked)
            found[f"{kind}.{number}.tokens"] = greedy.sequences[0, len(prompt) :].numpy().astype(np.int32)
            found[f"{kind}.{number}.logits"] = torch.cat(greedy.logits).numpy()
            found[f"{kind}.{number}.beams"] = beams.sequences[:, len(prompt) :].numpy().astype(np.int32)
            found[f"{kind}.{number}.sums"] = beams.sequences_scores.numpy()
    np.savez_compressed(Path(__file__).parent / "long_rows.npz", **found)


if __name__ == "__main__":
    main()
