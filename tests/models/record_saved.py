"""Record what torch Transformers saves: run by hand from the root of the repository, with 4.57 first, then with 5.24.

    python -m tests.models.record_saved

For every case of `architectures.py` that the version has, and for one more of each architecture whose fields are no
defaults (`ODD`), it builds torch's model, saves it, and writes config.json with the names and shapes of the tensors
to saved/<version>.json.gz; of the odd ones also a few numbers of what the model gives with weights from seeds. Beside
these config.json of each architecture's defaults, and the words that the version takes for other fields.
"""

from __future__ import annotations

import copy
import gzip
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy
import torch
import transformers

from . import saved
from .architectures import ARCHITECTURES, Architecture, Case

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)

VERSION = transformers.__version__.rpartition(".")[0]

ODD: Mapping[str, Any] = {
    "rope_theta": 700.0,
    "rotary_emb_base": 700,
    "global_rope_theta": 900.0,
    "local_rope_theta": 300.0,
    "rope_local_base_freq": 300.0,
    "partial_rotary_factor": 0.75,
    "layer_norm_eps": 1e-3,
    "layer_norm_epsilon": 1e-3,
    "rms_norm_eps": 1e-3,
    "norm_eps": 1e-3,
    "norm_epsilon": 1e-3,
    "pad_token_id": 3,
    "pad_index": 3,
    "bos_token_id": 4,
    "eos_token_id": 6,
    "swiglu_alpha": 1.3,
    "swiglu_limit": 2.0,
}
"""Fields with values that no architecture starts with: where both versions have them, under whatever names."""

UNFIT = {"gpt_neox": ("rope_theta", "partial_rotary_factor")}
"""Fields that the version makes of others."""
FITS: Mapping[str, Mapping[str, Any]] = {
    "glm": {"head_dim": 8},  # so that the share of a head is a whole and even number
    "glm4": {"head_dim": 8},
    "esm": {"rope_theta": 10_000.0},  # the only one that files have
    "olmo3": {"rope_theta": 500_000.0},  # the newer version takes the older word for one kind of layers alone
    "apertus": {"rope_theta": 12_000_000.0},  # which has parameters of its own there, and takes no older word
}
LEFT_OPEN: Mapping[str, Mapping[str, Any]] = {
    "esm": {"vocab_size": 33, "pad_token_id": 1},
    "deepseek_v2": {"num_experts_per_tok": 6},
}
"""What defaults leave open although torch's own model needs it."""
UNMADE = {"4.57": ("StableLmModel-normed", "StableLmModel-parallel"), "5.24": ("NystromformerModel-plain",)}[VERSION]
"""Cases that the version refuses, or fails to make."""
SCORES = ("ForCausalLM", "LMHeadModel", "WithLMHeadModel", "ForMaskedLM")


def main() -> None:
    """Write the file of the version that runs."""
    older = saved.version(saved.VERSIONS[0]).cases if saved.VERSIONS[0] != VERSION else {}
    defaults, words, cases = {}, {}, {}
    for kind, architecture in ARCHITECTURES.items():
        theirs = architecture.hub.theirs if architecture.hub else kind
        if theirs not in transformers.CONFIG_MAPPING:
            continue
        default = transformers.AutoConfig.for_model(theirs, **LEFT_OPEN.get(kind, {}))
        with tempfile.TemporaryDirectory() as folder:
            default.save_pretrained(folder)
            defaults[kind] = json.loads((Path(folder) / "config.json").read_text())
        words[kind] = dict(type(default).attribute_map)
        head = next((head for head in SCORES if head in architecture.heads.split()), "Model")
        name = f"{architecture.named(head)}-odd"
        odd = {field: value for field, value in ODD.items() if hasattr(default, field)}
        odd = {field: value for field, value in odd.items() if field not in UNFIT.get(kind, ())} | FITS.get(kind, {})
        plain = {field: value for field, value in architecture.config.items() if field != "rope_parameters"}
        given = older[name].given if name in older else plain | odd  # in words of the older version
        cases[name] = checkpoint(kind, theirs, architecture, Case(head, own=architecture.own), given, ask=True)
        for name, case in architecture.cases():
            given = {**architecture.config, **case.config}
            if hasattr(transformers, _class(architecture, case)) and name not in UNMADE:
                cases[name] = checkpoint(kind, theirs, architecture, case, given)
    about = {"transformers": transformers.__version__, "defaults": defaults, "words": words, "cases": cases}
    saved.FOLDER.mkdir(exist_ok=True)
    path = saved.FOLDER / f"{VERSION}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(about, sort_keys=True).encode(), 9, mtime=0))
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size / 1000:.0f} kB")


def checkpoint(
    kind: str, theirs: str, architecture: Architecture, case: Case, given: Mapping[str, Any], *, ask: bool = False
) -> dict[str, Any]:
    """One entry of the file; `ask`: with numbers."""
    cls = getattr(transformers, _class(architecture, case))
    model = cls._from_config(transformers.AutoConfig.for_model(theirs, **copy.deepcopy(given)), dtype=torch.float32)
    model = model.float()  # some activations have parameters of a type of their own
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config, path = json.loads((Path(folder) / "config.json").read_text()), Path(folder) / "model.safetensors"
        arrays = safetensors.numpy.load_file(path)
        told = saved.Saved(kind, _class(architecture, case), given, config, {n: a.shape for n, a in arrays.items()}, ())
        entry = {"model_type": kind, "class": told.cls, "given": given, "config": config, "tensors": told.tensors}
        if not ask:
            return entry
        filled = told.weights(architecture.factor)
        own = {name: arrays[name] for name in filled if name.endswith((*case.own, "inv_freq"))}
        safetensors.numpy.save_file(filled | own, path, metadata={"format": "pt"})
        model = cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval().float()
        wide = {name: torch.from_numpy(array) for name, array in (filled | own).items()}
        model.load_state_dict(wide, strict=False)  # where a type of its own had rounded them
    model.config._experts_implementation = "eager"  # the newer version's other ways want wide experts
    ids = torch.from_numpy(saved.inputs(model.config.vocab_size)["input_ids"]).long()
    with torch.no_grad():
        return entry | {"numbers": saved.some(model(input_ids=ids)[0].numpy())}


def _class(architecture: Architecture, case: Case) -> str:
    return f"{architecture.hub.cls}{case.head}" if architecture.hub else architecture.named(case.head)


if __name__ == "__main__":
    main()
