"""Record what torch Transformers' beam search gives: run by hand with the `parity` extra, from the repository's root.

    python -m tests.generation.record_beams

The model is the toy Llama of the parity suite, filled by its rule; written is beams.json: of each call the prompts, the
options, the rows, their scores, where their tokens came from, and the score of each token.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

from tests.models import rule
from tests.models.architectures import LLAMA

CALLS = (
    {"num_beams": 4},
    {"num_beams": 4, "num_return_sequences": 3},
    {"num_beams": 3, "length_penalty": 2.0},
    {"num_beams": 3, "length_penalty": -1.0, "num_return_sequences": 3},
    {"num_beams": 3, "early_stopping": True, "num_return_sequences": 2},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.5},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.0, "num_return_sequences": 3},
    {"num_beams": 2, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "min_new_tokens": 4},
    {"num_beams": 5, "bad_words_ids": [[7], [9, 11]], "num_return_sequences": 5},
    {"num_beams": 2, "forced_eos_token_id": 5},
)


def main() -> None:
    """Write the file."""
    transformers.logging.set_verbosity_error()
    model = transformers.LlamaForCausalLM._from_config(
        transformers.LlamaConfig(**LLAMA), attn_implementation="eager", dtype=torch.float32
    ).eval()
    for name, tensor in model.state_dict().items():
        tensor.copy_(torch.from_numpy(rule.fill(name, tuple(tensor.shape))))
    model.generation_config = transformers.GenerationConfig()
    inputs = {name: torch.from_numpy(array.astype("int64")) for name, array in rule.prompts(67, pad=1).items()}
    asked = {"max_new_tokens": 10, "pad_token_id": 1, "return_dict_in_generate": True, "output_scores": True}
    plain = model.generate(**inputs, max_new_tokens=10, pad_token_id=1, eos_token_id=None)
    ends = [int(plain[0, 10]), int(plain[1, 13])]
    told = []
    for options in CALLS:
        for eos in (ends[:1], ends):
            options = options | {"eos_token_id": eos}
            with torch.no_grad():
                out = model.generate(**inputs, **asked, **options)
            scores = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
            told.append(
                {
                    "options": options,
                    "sequences": out.sequences.tolist(),
                    "sequences_scores": out.sequences_scores.tolist(),
                    "beam_indices": out.beam_indices.tolist(),
                    "transition_scores": scores.tolist(),
                }
            )
    text = json.dumps({"inputs": {name: x.tolist() for name, x in inputs.items()}, "calls": told})
    (Path(__file__).parent / "beams.json").write_text(text.replace('{"options"', '\n{"options"') + "\n")


if __name__ == "__main__":
    main()
