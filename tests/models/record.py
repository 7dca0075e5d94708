"""Record what torch Transformers answers: run by hand with the `parity` extra, from the root of the repository.

    python -m tests.models.record [model_type ...]        without arguments: all that this version has

For every case of `architectures.py` it builds torch's model at toy size, fills its state_dict by `rule.fill`, runs the
calls below in float32, and writes golden/<model_type>.json (config; names, shapes and types of torch's tensors; which
are one; which of them torch's own save leaves out; inputs and outputs of each call) and golden/<model_type>.npz (their
arrays).
"""

from __future__ import annotations

import inspect
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import transformers

from . import rule
from .architectures import ARCHITECTURES, Architecture, Case

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)  # sums in one order: the same file each time

GOLDEN = Path(__file__).parent / "golden"


def record(model_type: str) -> None:
    """Write both files of one architecture."""
    architecture, kept = ARCHITECTURES[model_type], Arrays()
    cases = {name: answer(model_type, architecture, case, kept) for name, case in architecture.cases()}
    about = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__, "cases": cases}
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{model_type}.json").write_text(dumped(about))
    with zipfile.ZipFile(GOLDEN / f"{model_type}.npz", "w") as file:  # not np.savez, which writes the time of day too
        for name, array in kept.arrays.items():
            np.save(content := io.BytesIO(), array)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
    for path in (GOLDEN / f"{model_type}.json", GOLDEN / f"{model_type}.npz"):
        print(f"{path.name}: {len(cases)} cases, {path.stat().st_size / 1000:.0f} kB")


class Arrays:
    """The arrays of one file, each kept once however many calls have it."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[Any, str] = {}

    def keep(self, array: np.ndarray) -> str:
        """The name under which the array stands in the file."""
        content = (str(array.dtype), array.shape, array.tobytes())
        name = self._names.setdefault(content, f"a{len(self._names)}")
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name


def answer(model_type: str, architecture: Architecture, case: Case, kept: Arrays) -> dict[str, Any]:
    """One case: its entry in the JSON file."""
    torch.manual_seed(0)
    fields = {**architecture.config, **case.config}
    name = architecture.named(case.head)
    if architecture.hub:
        model_type, name = architecture.hub.theirs, f"{architecture.hub.cls}{case.head}"
    defaults = transformers.AutoConfig.for_model(model_type)
    if strange := [name for name in fields if not hasattr(defaults, name) and name not in architecture.unnamed]:
        raise SystemExit(f"{type(defaults).__name__} ignores {', '.join(strange)}")
    config = transformers.AutoConfig.for_model(model_type, **fields)
    cls = getattr(transformers, name)
    model = cls._from_config(config, attn_implementation=case.attention, dtype=torch.float32).eval()
    model = model.float()  # some activations have parameters of a type of their own
    if architecture.hub:
        model, about = filled_as_on_the_hub(model, architecture)
    else:
        about = filled(model, architecture, case, kept)

    told, problem_type = {}, model.config.problem_type
    reads_on = case.counts and not {*DECODERS}.isdisjoint((*architecture.heads.split(), case.head))
    traces = tuple(t for t in architecture.traces if case.attention == "eager" or t != "output_attentions")
    for word, inputs, labels, flags in calls(case, model, traces):
        if word.startswith("guessed") and not architecture.guesses:
            continue
        replaced = labels.pop("config", {})
        model.config.problem_type = problem_type  # torch writes its guess there
        model.config.update(replaced)
        given = inputs | labels
        with torch.no_grad():
            told_too = counted(model, given) if reads_on else {}
            out = model(**{name: as_torch(array) for name, array in (given | told_too).items()}, **flags)
        told[word] = {
            "inputs": {name: kept.keep(array) for name, array in given.items()},
            "flags": flags,
            "config": replaced,
            "outputs": {key: entry(value, kept, case.head) for key, value in out.items() if not left_out(key, value)},
        }
    model.config.problem_type = problem_type
    writes = hasattr(model, "generate") and (hasattr(model, "lm_head") or case.head in DECODERS)
    made = generated(model, architecture, kept) if writes and case.counts else {}
    fields = model.config.to_dict()
    if architecture.hub:
        fields = {architecture.hub.fields.get(field, field): value for field, value in fields.items()}
        fields |= {**architecture.hub.config, "architectures": [architecture.named(case.head)]}
    about = {"class": architecture.named(case.head), "config": fields, **about, "calls": told}
    about |= {"generated": made} if made else {}
    return about if architecture.factor == 1.0 else about | {"factor": architecture.factor}


def filled(model: Any, architecture: Architecture, case: Case, kept: Arrays) -> dict[str, Any]:
    """Fill a model by the rule; what is to be told of its tensors."""
    tensors, tied, own, first = {}, {}, {}, {}
    for name, tensor in model.state_dict().items():
        tensors[name] = [str(tensor.dtype).removeprefix("torch."), *tensor.shape]
        one = first.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
        if one != name:
            tied[name] = one
        elif name.endswith(case.own):
            own[name] = kept.keep(tensor.numpy().copy())
        elif tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(rule.fill(name, tuple(tensor.shape), factor=architecture.factor)))
        else:
            raise SystemExit(f"{type(model).__name__}: {name} is {tensor.dtype}, which no rule fills: name it in `own`")
    if absent := [end for end in case.own if not any(name.endswith(end) for name in tensors)]:
        raise SystemExit(f"{type(model).__name__} has no tensors {absent}")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        with safetensors.safe_open(Path(folder) / "model.safetensors", "pt") as file:
            written = set(file.keys())
    return {"tensors": tensors, "tied": tied, "own": own, "left_out": sorted(tensors.keys() - written)}


def filled_as_on_the_hub(model: Any, architecture: Architecture) -> tuple[Any, dict[str, Any]]:
    """A model read from a file under the Hub's names, filled by these; and what is to be told of its tensors."""
    theirs, hub = f"{architecture.hub.theirs}.", f"{architecture.hub.prefix}."
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        with safetensors.safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        renamed = {name: hub + name.removeprefix(theirs) if name.startswith(theirs) else name for name in shapes}
        arrays = {name: rule.fill(renamed[name], shape, factor=architecture.factor) for name, shape in shapes.items()}
        safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
        model = type(model).from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    tensors = {renamed[name]: ["float32", *shape] for name, shape in sorted(shapes.items())}
    return model, {"tensors": tensors, "tied": {}, "own": {}, "left_out": []}


DECODERS = ("ForCausalLM", "LMHeadModel")


def counted(model: Any, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The positions that torch must be told, where a model that reads in one direction counts padding otherwise."""
    accepted = {*inspect.signature(model.forward).parameters}
    if "kwargs" in accepted:
        accepted |= {*inspect.signature(model.base_model.forward).parameters}
    told = "position_ids" in given or "attention_mask" not in given
    if told or "position_ids" not in accepted:
        return {}
    return {"position_ids": np.maximum(np.cumsum(given["attention_mask"], 1) - 1, 0)}


def generated(model: Any, architecture: Architecture, kept: Arrays) -> dict[str, Any]:
    """What torch generates from prompts of three lengths, padded on the left, with an end of text among the tokens."""
    inputs = rule.prompts(model.config.vocab_size, pad=model.config.pad_token_id or 0)
    if architecture.alone:
        inputs = {name: array[:1] for name, array in inputs.items()}
    given = {name: as_torch(array) for name, array in inputs.items()}
    fixed = {"max_new_tokens": 9, "do_sample": False, "pad_token_id": model.config.pad_token_id or 0, "use_cache": True}
    model.generation_config = transformers.GenerationConfig()
    told = {}
    with torch.no_grad():
        plain = model.generate(**given, **fixed, eos_token_id=None)
        end = int(plain[0, inputs["input_ids"].shape[1] + 4])
        for word, options in {"greedy": {}, "beams": {"num_beams": 3}}.items():
            options = fixed | {"eos_token_id": end} | options
            out = model.generate(**given, **options)
            del options["use_cache"]
            told[word] = {
                "inputs": {name: kept.keep(array) for name, array in inputs.items()},
                "options": options,
                "sequences": kept.keep(out.numpy().astype(np.int32)),
            }
    return told


def left_out(key: str, value: Any) -> bool:
    """Whether an output is a cache, or a tuple of what torch did not compute."""
    return key in ("past_key_values", "cache") or (isinstance(value, tuple) and all(array is None for array in value))


def entry(value: Any, kept: Arrays, head: str) -> Any:
    """One output: the name of its array, or of a tuple's arrays.

    Of intermediate results of a model with a head only the shapes: its encoder is the base model's.
    """
    if not isinstance(value, tuple):
        return kept.keep(value.numpy())
    return [kept.keep(array.numpy()) if head == "Model" else list(array.shape) for array in value]


Call = tuple[str, dict[str, np.ndarray], dict[str, Any], dict[str, bool]]


def calls(case: Case, model: Any, traces: tuple[str, ...]) -> Iterator[Call]:
    """The calls of one model: word, inputs, labels (and fields of the config), flags."""
    head, c, accepted = case.head, model.config, inspect.signature(model.forward).parameters
    segments = getattr(c, "type_vocab_size", 2) if "token_type_ids" in accepted else 0
    batch = rule.batch(c.vocab_size, pad=c.pad_token_id or 0, segments=segments, length=case.length, padded=case.padded)
    passed = inspect.signature(model.base_model.forward).parameters
    inputs = {name: array for name, array in batch.items() if name in accepted and name in passed}
    if "lang_ids" in accepted and head != "ForMultipleChoice":  # torch takes none of its rows there
        inputs["lang_ids"] = np.arange(rule.ROWS, dtype=np.int32)[::-1] % len(c.languages)
    if "langs" in accepted:
        inputs["langs"] = (batch["input_ids"] % c.n_langs).astype(np.int32)
    if "global_attention_mask" in accepted and head != "ForSequenceClassification":  # which has a default of its own
        inputs["global_attention_mask"] = (batch["input_ids"] % 4 == 0).astype(np.int32)
        inputs["global_attention_mask"][:, 0] = [1, 0, 1, 0]
    labelled = rule.labels(head, batch, c.num_labels, accepted)
    if head == "ForMultipleChoice":
        inputs = {name: array.reshape(2, 2, -1) for name, array in inputs.items()}
    traces = {name: True for name in traces if name in passed or "kwargs" in passed}
    for i, (word, labels) in enumerate((labelled or {"traced": {}}).items()):
        yield word, inputs, labels, traces if i == 0 else {}
    yield "plain", inputs, {}, {}
    if head == "Model":
        yield "ids", {"input_ids": inputs["input_ids"]}, {}, {}
        if "position_ids" in accepted:
            places = np.random.RandomState(2).randint(0, c.max_position_embeddings, inputs["input_ids"].shape)
            yield "positions", inputs | {"position_ids": places.astype(np.int32)}, {}, {}
        if getattr(c, "use_task_id", False):
            tasks = np.random.RandomState(3).randint(0, c.task_type_vocab_size, inputs["input_ids"].shape)
            yield "tasks", inputs | {"task_type_ids": tasks.astype(np.int32)}, {}, {}
        width = model.get_input_embeddings().weight.shape[1]
        embeds = rule.fill("inputs_embeds", (*inputs["input_ids"].shape, width))
        rest = {name: array for name, array in inputs.items() if name != "input_ids"}
        yield "embeds", rest | {"inputs_embeds": embeds}, {}, {}


def as_torch(array: np.ndarray) -> torch.Tensor:
    """A copy, which torch may write to, with whole numbers as it wants them, 64 bits wide."""
    return torch.from_numpy(array.copy() if array.dtype.kind == "f" else array.astype(np.int64))


def dumped(about: Mapping[str, Any]) -> str:
    """JSON with one line for each field of a case and for each tensor, so that a change reads as one."""
    lines = []
    for name, entry in about["cases"].items():
        fields = []
        for field, value in entry.items():
            text = json.dumps(value, sort_keys=field == "config")
            if field == "tensors":
                text = "{\n    " + ",\n    ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "}"
            fields.append(f"   {json.dumps(field)}: {text}")
        lines.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(fields) + "}")
    head = [f' "{field}": {json.dumps(value)}' for field, value in about.items() if field != "cases"]
    return "{\n" + ",\n".join(head) + ',\n "cases": {\n' + ",\n".join(lines) + "}}\n"


if __name__ == "__main__":
    newer = int(transformers.__version__.partition(".")[0]) > 4
    for word in sys.argv[1:] or [word for word, architecture in ARCHITECTURES.items() if architecture.newer == newer]:
        if word not in ARCHITECTURES:
            raise SystemExit(f"no architecture {word!r} in the table; it has {', '.join(ARCHITECTURES)}")
        record(word)
