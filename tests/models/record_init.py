"""Record how torch Transformers starts random models: by hand with the `parity` extra, from the root of the repository.

    python -m tests.models.record_init        once with 4.57, and once with 5 for the architectures that only it has
    python -m tests.models.record_init NAME   the architectures so called, or "seq2seq", alone

Writes initial.json: for each class of `architectures.py` and of `seq2seq.py` at toy size, the mean and the standard
deviation that each tensor has over several seeds. Tensors that a class shares with its base model stand there alone.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers

from . import seq2seq, seq2seq_further
from .architectures import ARCHITECTURES, Architecture

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

FILE = Path(__file__).parent / "initial.json"
SEEDS = 6
PLAIN = Architecture("", {}, "")
"""Files are as torch Transformers has them."""


def tensors(model: Any, architecture: Architecture) -> dict[str, torch.Tensor]:
    """A model's tensors under the names of the files that are read here."""
    if architecture.hub is None:
        return dict(model.state_dict())
    theirs, hub = f"{architecture.hub.theirs}.", f"{architecture.hub.prefix}."
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        found = safetensors.torch.load_file(Path(folder) / "model.safetensors")
    return {hub + name.removeprefix(theirs) if name.startswith(theirs) else name: x for name, x in found.items()}


def moments(new: Callable[[], Mapping[str, torch.Tensor]]) -> dict[str, list[float]]:
    """Mean and standard deviation of each tensor of new models."""
    drawn: dict[str, list[torch.Tensor]] = {}
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        for key, tensor in new().items():
            if tensor.is_floating_point():
                drawn.setdefault(key, []).append(tensor.double().flatten())
    joined = {key: torch.cat(parts) for key, parts in drawn.items()}
    return {key: [float(f"{x.mean():.3g}"), float(f"{x.std(correction=0):.3g}")] for key, x in joined.items()}


def started(cls: Any, config: Any, architecture: Architecture) -> dict[str, torch.Tensor]:
    """The tensors of a new model."""
    return tensors(cls._from_config(copy.deepcopy(config), dtype=torch.float32), architecture)


def of_seq2seq() -> dict[str, dict[str, list[float]]]:
    """The classes of encoder-decoders."""
    told: dict[str, dict[str, list[float]]] = {}
    for case in seq2seq.starting((*seq2seq.CASES, *seq2seq_further.CASES)):
        cls = getattr(transformers, case.cls)
        got = moments(partial(started, cls, cls.config_class(**case.config), PLAIN))
        told[case.cls] = {key: value for key, value in got.items() if "embed_positions" not in key or not case.waves}
    return told


def main() -> None:
    """Add to the file what this version of torch Transformers has, or of that what is named."""
    named = sys.argv[1:]
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    newer = int(transformers.__version__.partition(".")[0]) > 4
    for model_type, architecture in ARCHITECTURES.items():
        if architecture.newer != newer or (named and model_type not in named):
            continue
        hub = architecture.hub
        theirs, shared, told = (hub.theirs if hub else model_type), set(), {}
        for name, case in architecture.cases():
            if case.variant:
                continue
            cls = f"{hub.cls}{case.head}" if hub else name
            config = transformers.AutoConfig.for_model(theirs, **{**architecture.config, **case.config})
            got = moments(partial(started, getattr(transformers, cls), config, architecture))
            prefix = hub.prefix if hub else getattr(transformers, cls).base_model_prefix
            bare = {key: key.removeprefix(f"{prefix}.") for key in got}
            told[name] = {key: value for key, value in got.items() if bare[key] not in shared}
            if case.head == "Model":
                shared |= set(bare.values())
        found[model_type] = told
        print(model_type, flush=True)
    if not newer and (not named or "seq2seq" in named):
        found["seq2seq"] = of_seq2seq()
    write(found)


def write(found: Mapping[str, Mapping[str, Any]]) -> None:
    """The file, a line a class."""
    lines = []
    for model_type, told in sorted(found.items()):
        entries = ",\n".join(f"  {json.dumps(name)}: {json.dumps(got)}" for name, got in told.items())
        lines.append(f" {json.dumps(model_type)}: {{\n{entries}}}")
    FILE.write_text("{\n" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
