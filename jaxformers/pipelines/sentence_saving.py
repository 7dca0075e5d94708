"""Saving sentence encoders and rerankers as sentence-transformers does, beside the files of model and tokenizer.

Classes are written under the first paths that they had and settings in their first spelling, which later versions read
too.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Model
from ..checkpoint import weights
from ..durable import Replacement, resolve
from ..hub import source_of
from . import sentence_modules as kinds
from .fields import loaded
from .sentence_files import ABOUT, CONFIG, FLAGS, LIST, READING, Settings, Transformer
from .sentence_modules import Arrays, Module

TEMPLATE = "chat_template.jinja"
_WRITTEN = "sentence_transformers.models.{}"
_ELSEWHERE = {
    "MLMTransformer": "sentence_transformers.sparse_encoder.models.MLMTransformer",
    "SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling",
    "LogitScore": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore",
}
"""Classes are written under the first paths that they had, which later versions read too."""
_OWN = re.compile(r"[1-9]\d*_[A-Z][A-Za-z]+(-\d+)?")  # a folder that a save has made, and may remove


def write(files: Replacement, settings: Settings, model: Model, kind: str) -> Callable[[], None]:
    """Add all of this to a save, the list of modules last; folders of modules that are in use stay as they are.

    Args:
        files: the save, with the transformer's own files in it.
        settings: what is written.
        model: the transformer.
        kind: the reference's name of what they make: "SentenceTransformer", "SparseEncoder" or "CrossEncoder".

    Returns:
        What to do when the save is done: it removes the files of modules that were there before.
    """
    before = _listed_in(files.folder)
    transformer, widths = settings.transformer, settings.widths(model)
    first = "MLMTransformer" if transformer.task == "fill-mask" else "Transformer"
    entries = [{"idx": 0, "name": "0", "path": "", "type": _path_of(first)}]
    for i, (module, own) in enumerate(zip(settings.modules, settings.arrays, strict=True), 1):
        name = type(module).__name__
        fields = _saved(module, own, widths[i - 1])
        path = _placed(files.folder, f"{i}_{name}", _dumped(fields), own)
        entries.append({"idx": i, "name": str(i), "path": path, "type": _path_of(name)})
    about = {
        "model_type": kind,
        "prompts": dict(settings.prompts),
        "default_prompt_name": settings.default_prompt,
        "similarity_fn_name": settings.similarity,
        "truncate_dim": settings.truncate_dim,
        "max_active_dims": settings.most_words,
        "activation_fn": settings.activation,
    }
    kept = ("model_type", "prompts", "default_prompt_name")
    files.write(READING, _dumped(_reading(transformer)))
    files.write(ABOUT, _dumped({name: value for name, value in about.items() if value is not None or name in kept}))
    files.write(LIST, _dumped(entries))
    now = {entry["path"] for entry in entries}
    return partial(_tidy, files.folder, [path for path in before if path not in now])


def _tidy(folder: Path, paths: Collection[str]) -> None:
    """Remove the files of modules that a save has superseded."""
    for path in paths:
        inner = folder / path
        if _OWN.fullmatch(path) and inner.is_dir() and not inner.is_symlink():
            for name in (CONFIG, "model.safetensors", "pytorch_model.bin"):
                (inner / name).unlink(missing_ok=True)
            if not any(inner.iterdir()):
                inner.rmdir()


def _path_of(name: str) -> str:
    return _ELSEWHERE.get(name, _WRITTEN.format(name))


def _listed_in(folder: Path) -> list[str]:
    """The folders of modules that belong to what a folder holds."""
    path = resolve(folder, LIST)
    try:
        found = [] if path is None else loaded(path, list)
    except (ValueError, OSError):
        return []
    return [one["path"] for one in found if isinstance(one, dict) and isinstance(one.get("path"), str)]


def _placed(folder: Path, name: str, config: bytes, arrays: Arrays) -> str:
    """Write a module into a folder of its own, or take one that holds the same: what is in use is not changed."""
    made = {key: np.asarray(array) for key, array in arrays.items()}
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    path = next(path for path in names if not (folder / path).exists() or _holds(folder / path, config, made))
    if not (folder / path).exists():
        with Replacement(folder / path) as files:
            if made:
                weights.write_weights(files, made)
            files.write(CONFIG, config)
    return path


def _holds(folder: Path, config: bytes, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a folder holds this module."""
    source = source_of(folder)
    path = source.find(CONFIG)
    if path is None or path.read_bytes() != config:
        return False
    if not arrays:
        return True
    try:
        files = weights.open_weights(source)
        return set(files) == set(arrays) and all(np.array_equal(files[key].read(), arrays[key]) for key in arrays)
    except (OSError, ValueError):
        return False


def _reading(transformer: Transformer) -> dict[str, Any]:
    fields: dict[str, Any] = {"max_seq_length": transformer.longest, "do_lower_case": transformer.lower}
    if transformer.task in ("sequence-classification", "text-generation"):
        fields["transformer_task"] = transformer.task
    if transformer.chat is not None:
        head, chat = transformer.head, transformer.chat
        way = {"method": "forward", "method_output_name": head.result}
        fields["modality_config"] = {"text": way, "message": {**way, "format": chat.style}}
        fields["module_output_name"] = head.gives
        variables = dict(chat.variables)
        variables |= {} if chat.keeps_end else {"restore_suffix": False}
        variables |= {} if chat.template is None else {"chat_template": chat.template}
        if variables:
            fields["processing_kwargs"] = {"chat_template": variables}
    return fields


def _saved(module: Module, arrays: Arrays, width: int) -> dict[str, Any]:
    """The fields of a module's config.json. width: how many numbers a vector has that goes into it."""
    match module:
        case kinds.Pooling(modes, include_prompt):
            fields: dict[str, Any] = {"word_embedding_dimension": width, "include_prompt": include_prompt}
            if list(modes) == sorted(set(modes), key=kinds.MODES.index):
                return fields | {name: mode in modes for mode, name in FLAGS.items()}
            return fields | {"pooling_mode": list(modes)}
        case kinds.Dense(activation, reads, gives, bias, residual):
            fields = {
                "in_features": width,
                "out_features": len(arrays["linear.weight"]),
                "bias": bias,
                "activation_function": torch_path(activation),
            }
            named = {"module_input_name": reads, "module_output_name": gives}
            fields |= {} if reads == gives == kinds.VECTOR else named
            return fields | ({"use_residual": True} if residual else {})
        case kinds.Normalize(reads, gives):
            return {} if reads == gives == kinds.VECTOR else {"module_input_name": reads, "module_output_name": gives}
        case kinds.LayerNorm():
            return {"dimension": width}
        case kinds.Dropout(rate):
            return {"dropout": rate}
        case kinds.SpladePooling(strategy, activation):
            return {"pooling_strategy": strategy, "activation_function": activation, "word_embedding_dimension": width}
        case kinds.WeightedLayerPooling(start):
            layers = arrays["layer_weights"].shape[0] + start - 1
            return {"word_embedding_dimension": width, "layer_start": start, "num_hidden_layers": layers}
        case kinds.LogitScore(yes, no):
            return {"true_token_id": yes, "false_token_id": no, "module_input_name": kinds.LOGITS}
    raise TypeError(f"{type(module).__name__} is not written here")


def torch_path(activation: str) -> str:
    """The path of torch's class of an activation."""
    return f"torch.nn.modules.{'linear' if activation == 'Identity' else 'activation'}.{activation}"


def _dumped(found: Any) -> bytes:
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()
