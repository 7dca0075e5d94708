"""What both halves of the parity suite compute alike, in numpy alone: the weights of a checkpoint, and one batch.

`numpy.random.RandomState` is frozen: it draws the same numbers in every version and on every machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import Any

import numpy as np

ROWS, LENGTH = 4, 11


def fill(name: str, shape: tuple[int, ...], seed: int = 0, factor: float = 1.0) -> np.ndarray:
    """The float32 array of a tensor, by its name alone: nothing is zero or one, and nothing equal to another.

    Tables are small, so that a wrong epsilon in the norm after them shows; matrices keep values of order one at order
    one and make attention uneven, times `factor`; norms are around one.
    """
    drawn = np.random.RandomState(zlib.crc32(name.encode()) ^ seed).standard_normal(shape).astype(np.float32)
    if len(shape) < 2:
        norm = name.endswith(("weight", "gamma"))
        # numpy makes numbers of arrays without axes
        return np.asarray(np.float32(1.0) + np.float32(0.2) * drawn if norm else np.float32(0.3) * drawn)
    inputs = shape[-1] if shape[-1] > 1 else np.prod(shape[1:])  # kernels may end in an axis of 1
    scale = 0.1 if "embed" in name else 1.5 / np.sqrt(inputs)
    return np.float32(factor * scale) * drawn


def batch(
    vocab: int, *, pad: int = 0, segments: int = 0, seed: int = 0, length: int = LENGTH, padded: bool = True
) -> dict[str, np.ndarray]:
    """A batch [4, length] of a full row, one padded on the right, one on the left, and a short one.

    vocab: ids are 5 to vocab - 1 where they are not padding. segments: token types, 0: the model has none. padded:
    whether it is so; else all four rows are full.
    """
    rng = np.random.RandomState(seed)
    mask = np.ones((ROWS, length), np.int32)
    if padded:
        mask[1, 7:] = mask[2, :3] = mask[3, 3:] = 0
    inputs = {"input_ids": np.where(mask == 1, rng.randint(5, vocab, mask.shape), pad).astype(np.int32)}
    inputs["attention_mask"] = mask
    if segments:
        later = (np.cumsum(mask, 1) > mask.sum(1, keepdims=True) // 2) & (mask == 1)
        inputs["token_type_ids"] = np.where(later, rng.randint(1, segments, (ROWS, 1)), 0).astype(np.int32)
    return inputs


def prompts(vocab: int, *, pad: int = 0, seed: int = 4) -> dict[str, np.ndarray]:
    """Three prompts of 7, 5 and 2 tokens, padded on the left [3, 7]."""
    mask = (np.arange(7) >= np.array([[0], [2], [5]])).astype(np.int32)
    ids = np.random.RandomState(seed).randint(5, vocab, mask.shape)
    return {"input_ids": np.where(mask == 1, ids, pad).astype(np.int32), "attention_mask": mask}


def labels(
    head: str, inputs: dict[str, np.ndarray], count: int, accepted: Collection[str], seed: int = 1
) -> dict[str, dict[str, Any]]:
    """Calls with labels of a head: a word for each → the labels' keywords, and "config" for fields that it replaces.

    count: the config's num_labels. accepted: the keywords of the model, which tell kinds of pretraining apart.
    The first call is the one that is also asked for all intermediate results.
    """
    rng = np.random.RandomState(seed)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    some = np.where((rng.random_sample(mask.shape) < 0.5) & (mask == 1), ids, -100)
    row = np.array([1, 0, 0, 1])
    match head:
        case "ForPreTraining":
            for pair in ("next_sentence_label", "sentence_order_label"):
                if pair in accepted:
                    return {"labels": {"labels": some, pair: row}}
            return {"labels": {"labels": rng.randint(0, 2, mask.shape)}}
        case "ForMaskedLM" | "WithLMHeadModel" | "ForCausalLM" | "LMHeadModel":
            return {"labels": {"labels": some}}
        case "ForNextSentencePrediction":
            return {"labels": {"labels": row}}
        case "ForTokenClassification":
            return {"labels": {"labels": np.where(mask == 1, rng.randint(0, count, mask.shape), -100)}}
        case "ForQuestionAnswering" | "ForQuestionAnsweringSimple":  # past the row: ignored; negative: taken as 0
            return {"labels": {"start_positions": np.array([2, 20, 3, 0]), "end_positions": np.array([4, 5, -1, 11])}}
        case "ForMultipleChoice":
            return {"labels": {"labels": np.array([1, 0])}}
        case "ForSequenceClassification":
            values = rng.standard_normal((ROWS, count)).astype(np.float32)
            if count == 1:
                return {
                    "guessed": {"labels": values[:, 0]},
                    "regression": {"labels": values, "config": {"problem_type": "regression"}},
                }
            classes, several = np.array([2, -100, 0, 1]), (values > 0).astype(np.float32)
            return {
                "guessed_single": {"labels": classes},
                "guessed_multi": {"labels": several},
                "single": {"labels": classes, "config": {"problem_type": "single_label_classification"}},
                "multi": {"labels": several, "config": {"problem_type": "multi_label_classification"}},
                "regression": {"labels": values, "config": {"problem_type": "regression"}},
            }
    return {}
