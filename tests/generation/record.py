"""Record what torch Transformers' processors make of scores: run by hand with an interpreter that has both.

    PYTHON tests/generation/record.py

Writes processors.npz and filters.npz (inputs, answers, and as JSON text the settings of each case) and defaults.json
beside itself. The processors are built by the library's own `_get_logits_processor`, so that their order is its own.
"""

from __future__ import annotations

import io
import json
import logging
import random
import zipfile
from pathlib import Path

import numpy as np
import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

HERE = Path(__file__).parent
PAD, EOS = 0, 7

# -- processors: rows of 3 prompts, left-padded by 0, 2 and 5 ---------------------------------------------------------

VOCAB, ROWS, PROMPT, NEW = 24, 3, 7, 5
PADDING = (0, 2, 5)

ALONE = [
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"encoder_repetition_penalty": 1.4},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 3},
    {"no_repeat_ngram_size": 4},
    {"encoder_no_repeat_ngram_size": 2},
    {"encoder_no_repeat_ngram_size": 3},
    {"bad_words_ids": [[3], [7], [1, 2], [4, 1, 9], [0, 0, 5]]},
    {"sequence_bias": [[[3], 2.5], [[1, 2], -4.0], [[2, 1, 5], 10.0], [[1, 5], 1.0], [[0, 1], 3.0]]},
    {"min_length": 9},
    {"min_length": 11},
    {"min_new_tokens": 2},
    {"min_new_tokens": 5},
    {"forced_bos_token_id": 4},
    {"forced_eos_token_id": 7},
    {"forced_eos_token_id": [7, 8]},
    {"remove_invalid_values": True},
    {"exponential_decay_length_penalty": (1, 1.3)},
    {"exponential_decay_length_penalty": (2, 0.7)},
    {"suppress_tokens": [1, 5, 20]},
    {"begin_suppress_tokens": [2, 6]},
    {"forced_bos_token_id": 4, "begin_suppress_tokens": [2, 6]},
    {"guidance_scale": 1.5},
    {"renormalize_logits": True},
]


def combined(rng: random.Random) -> dict:
    """Several of them."""
    settings: dict = {}
    for one in rng.sample(ALONE, rng.randint(2, 7)):
        settings |= one
    return settings


def rows(rng: np.random.Generator, prompt: int, new: int, padding: tuple[int, ...]) -> np.ndarray:
    """Padded ids of few kinds, so that n-grams repeat, that n-grams with padding are about, and pads stand within."""
    ids = rng.integers(1, 4, (len(padding), prompt + new))
    ids[rng.random(ids.shape) < 0.08] = PAD
    for row, count in enumerate(padding):
        ids[row, :count] = PAD
    return ids


def unconditional(scores: np.ndarray) -> np.ndarray:
    return np.roll(scores, 3, 1) * 0.5


def record_processors() -> None:
    draw, rng = random.Random(0), np.random.default_rng(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_layer=1, n_head=1, n_embd=4, n_positions=64))
    cases = [(one, new) for one in ALONE for new in (0, 1, 3, NEW)] + [
        (combined(draw), draw.randint(0, NEW)) for _ in range(60)
    ]
    # The start of an encoder-decoder model's answer: one column, no padding.
    cases += [(one, -1) for one in ALONE if "forced_bos_token_id" in one or "begin_suppress_tokens" in one]
    kept: dict[str, list] = {name: [] for name in ("ids", "scores", "answer")}
    said = []
    for settings, new in cases:
        prompt, padding = (PROMPT, PADDING) if new >= 0 else (1, (0, 0, 0))
        new = max(new, 0)
        ids = torch.tensor(rows(rng, prompt, new, padding))
        scores = rng.normal(0, 3, (ROWS, VOCAB)).astype(np.float32)
        if settings.get("remove_invalid_values"):
            scores[0, 3], scores[1, 4], scores[2, 5] = np.nan, np.inf, -np.inf
        config = GenerationConfig(**settings, max_length=PROMPT + NEW + 1, eos_token_id=EOS, pad_token_id=PAD)
        config._eos_token_tensor = torch.tensor([EOS])
        if isinstance(bias := settings.get("sequence_bias"), list):
            config.sequence_bias = {tuple(sequence): value for sequence, value in bias}
        built = model._get_logits_processor(
            generation_config=config,
            input_ids_seq_length=prompt,
            encoder_input_ids=ids[:, :prompt],
            device="cpu",
        )
        for processor in built:
            if hasattr(processor, "get_unconditional_logits"):
                processor.get_unconditional_logits = lambda _, s=scores: torch.tensor(unconditional(s))[:, None]
        answer = built(ids, torch.tensor(scores)).numpy()
        padded = np.full((ROWS, PROMPT + NEW), -1, np.int8)
        padded[:, : ids.shape[1]] = ids
        kept["ids"].append(padded)
        kept["scores"].append(scores)
        kept["answer"].append(answer.astype(np.float32))
        said.append({"settings": settings, "prompt": prompt, "new": new, "padding": padding})
    save("processors.npz", said, {name: np.stack(arrays) for name, arrays in kept.items()})


# -- filters: rows of four kinds, from one sure token to nearly flat --------------------------------------------------

WIDE = 300

FILTERS = [
    {},
    {"temperature": 0.4},
    {"temperature": 2.5},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 64},
    {"top_k": 65},
    {"top_k": 120},
    {"top_k": 400},
    {"top_p": 0.0},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"top_p": 0.99},
    {"min_p": 0.0},
    {"min_p": 0.05},
    {"min_p": 0.5},
    {"min_p": 1.0},
    {"typical_p": 0.2},
    {"typical_p": 0.9},
    {"epsilon_cutoff": 0.003},
    {"epsilon_cutoff": 0.02},
    {"epsilon_cutoff": 0.9},
    {"eta_cutoff": 0.003},
    {"eta_cutoff": 0.3},
    {"temperature": 0.7, "top_k": 50, "top_p": 0.9},
    {"temperature": 1.3, "top_k": 100, "top_p": 0.8},
    {"top_p": 0.9, "min_p": 0.02},
    {"top_k": 80, "min_p": 0.3},
    {"top_k": 40, "typical_p": 0.7},
    {"top_p": 0.95, "typical_p": 0.8},
    {"top_p": 0.95, "epsilon_cutoff": 0.004},
    {"top_k": 90, "eta_cutoff": 0.01},
    {"temperature": 1.5, "top_k": 150, "top_p": 0.95, "min_p": 0.01, "typical_p": 0.9, "epsilon_cutoff": 0.002},
    {"temperature": 0.8, "top_k": 30, "top_p": 0.95, "min_p": 0.01, "eta_cutoff": 0.004, "renormalize_logits": True},
]


def record_filters() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 1, (5, WIDE)).astype(np.float32) * np.float32([[0.2], [1], [2], [4], [9]])
    scores[2, rng.choice(WIDE, 100, replace=False)] = -np.inf
    model = GPT2LMHeadModel(GPT2Config(vocab_size=WIDE, n_layer=1, n_head=1, n_embd=4, n_positions=64))
    said, answers = [], []
    for beams, eos in ((1, None), (3, [EOS]), (2, [EOS, 8])):
        for settings in FILTERS:
            config = GenerationConfig(**({"top_k": 0} | settings), do_sample=True, num_beams=beams)
            config._eos_token_tensor = eos and torch.tensor(eos)
            built = model._get_logits_processor(generation_config=config, input_ids_seq_length=1, device="cpu")
            answer = built(torch.ones((len(scores), 1), dtype=torch.long), torch.tensor(scores)).numpy()
            said.append({"settings": settings, "beams": beams, "eos": eos or []})
            answers.append(answer)
    kept = np.stack([np.isfinite(answer) for answer in answers])
    ends = np.stack([np.where(np.isfinite(answer), answer, 0).sum(-1) for answer in answers])
    save("filters.npz", said, {"scores": scores, "kept": np.packbits(kept, axis=-1), "sums": ends.astype(np.float32)})


def save(name: str, cases: list[dict], arrays: dict[str, np.ndarray]) -> None:
    """An npz whose bytes depend on nothing but its contents."""
    arrays = {**arrays, "cases": np.frombuffer(json.dumps(cases).encode(), np.uint8)}
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_DEFLATED) as file:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            file.writestr(zipfile.ZipInfo(f"{key}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)


def record_defaults() -> None:
    fields = GenerationConfig().to_dict()
    fields.pop("transformers_version")
    (HERE / "defaults.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    record_defaults()
    record_processors()
    record_filters()
