"""Record what torch Transformers 4.57 writes where vectors are read in the place of ids: run by hand with the `parity`
extra, from the repository's root.

    python -m tests.generation.record_vectors

The models are toys of the parity suite, filled by its rule; written is vectors.json: of each call its options, which
vectors and which ids there were, and the rows.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tests.models import golden, rule

MODELS = ("LlamaForCausalLM", "GPT2LMHeadModel", "GemmaForCausalLM", "Gemma3ForCausalLM", "BloomForCausalLM")
LENGTHS = {"max_new_tokens": 8}
# vectors: those of the ids, or others. ids: none, as many, or the first three columns. masked: whether padding is said.
CALLS: tuple[dict[str, Any], ...] = (
    {"ids": 0, **LENGTHS},
    {"ids": 0, "masked": False, **LENGTHS},
    {"ids": 7, **LENGTHS},
    {"ids": 3, **LENGTHS},
    {"ids": 0, "num_beams": 3, **LENGTHS},
    {"ids": 7, "num_beams": 3, "num_return_sequences": 2, **LENGTHS},
)
# Of the first two models only.
MORE: tuple[dict[str, Any], ...] = (
    {"ids": 0},
    {"ids": 7},
    {"ids": 0, "max_length": 12},
    {"ids": 3, "max_length": 13},
    {"ids": 7, "max_length": 12},
    {"ids": 0, "max_length": 17, "min_length": 15},
    {"ids": 3, "max_length": 18, "min_length": 16},
    {"ids": 7, "max_length": 15, "min_length": 14},
    {"ids": 0, "min_new_tokens": 7, **LENGTHS},
    {"ids": 0, "repetition_penalty": 1.8, **LENGTHS},
    {"ids": 3, "repetition_penalty": 1.8, **LENGTHS},
    {"ids": 7, "repetition_penalty": 1.8, **LENGTHS},
    {"ids": 3, "no_repeat_ngram_size": 2, "num_beams": 2, **LENGTHS},
    {"ids": 0, "bad_words_ids": [[5], [9, 11]], "begin_suppress_tokens": [20, 21], **LENGTHS},
    {"ids": 0, "exponential_decay_length_penalty": (2, 1.6), **LENGTHS},
    {"ids": 0, "forced_eos_token_id": 5, "forced_bos_token_id": 6, **LENGTHS},
    {"ids": 7, "encoder_repetition_penalty": 2.0, "encoder_no_repeat_ngram_size": 2, **LENGTHS},
    {"ids": 0, "num_beams": 3, "max_length": 13, "length_penalty": -1.0, "num_return_sequences": 3},
    {"ids": 0, "rows": 1, "guidance_scale": 1.7, "negative_prompt_ids": [[7, 8, 9]], **LENGTHS},
    {"ids": 7, "rows": 1, "guidance_scale": 1.7, **LENGTHS},
    {"ids": 7, "rows": 1, "prompt_lookup_num_tokens": 2, **LENGTHS},
)


def main() -> None:
    """Write the file."""
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    told = [
        call
        for number, name in enumerate(MODELS)
        for own in (False, True)
        if not (own and name.startswith("Gemma3"))  # its vectors are the table's times a number
        for call in answers(name, own, CALLS + (MORE if number < 2 else ()))
    ]
    text = json.dumps(told).replace('{"model"', '\n{"model"')
    (Path(__file__).parent / "vectors.json").write_text(text + "\n")


def answers(name: str, own: bool, calls: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """What a model writes."""
    case = golden.cases()[name]
    fields = {field: value for field, value in case.config.items() if field != "model_type"}
    config = transformers.AutoConfig.for_model(case.model_type, **fields)
    model = getattr(transformers, name)._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in case.arrays().items()}, strict=False)
    model.generation_config = transformers.GenerationConfig()
    inputs = {name: torch.from_numpy(array.astype("int64")) for name, array in rule.prompts(67, pad=1).items()}
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    vectors = model.get_input_embeddings()(ids)
    if not own:
        vectors = torch.from_numpy(rule.fill("inputs_embeds", tuple(vectors.shape)))
    fixed = {"max_new_tokens": 8, "pad_token_id": 1, "eos_token_id": None}
    plain = model.generate(inputs_embeds=vectors, attention_mask=mask, **fixed)
    end = int(plain[0, 5])
    told = []
    for call in calls:
        options = {key: value for key, value in call.items() if key not in ("ids", "rows", "masked")}
        rows = slice(call.get("rows"))
        given = {"inputs_embeds": vectors[rows], "pad_token_id": 1, "eos_token_id": end, **options}
        given |= {"input_ids": ids[rows, : call["ids"]]} if call["ids"] else {}
        given |= {"attention_mask": mask[rows]} if call.get("masked", True) else {}
        if "negative_prompt_ids" in given:
            given["negative_prompt_ids"] = torch.tensor(given["negative_prompt_ids"])
        with torch.no_grad():
            out = model.generate(**given)
        told.append({"model": name, "own": own, "eos": end, "call": call, "rows": np.asarray(out).tolist()})
    return told


if __name__ == "__main__":
    main()
