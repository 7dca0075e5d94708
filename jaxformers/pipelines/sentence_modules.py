"""What a sentence encoder's folder says beside its weights: how token vectors become one, in the files of
sentence-transformers (Reimers and Gurevych 2019, arXiv 1908.10084).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import gguf
from ..checkpoint import weights
from ..hub import Source
from ..layers.linear import linear

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Ways to pool, in the order in which several are put side by side."""
_FIELDS = {mode: f"pooling_mode_{mode}" for mode in MODES} | {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
}
_OF_GGUF = {1: "mean", 2: "cls", 3: "lasttoken"}
"""llama.cpp's numbers of the ways to pool."""
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "Identity": lambda x: x,
    "Tanh": jnp.tanh,
    "ReLU": jax.nn.relu,
    "GELU": lambda x: jax.nn.gelu(x, approximate=False),
    "Sigmoid": jax.nn.sigmoid,
}
"""By the last part of the name of torch's class."""


@dataclasses.dataclass(frozen=True)
class Modules:
    """The modules behind the transformer, as values that may select a program.

    pooling: the ways to pool. dense: the activation of each dense layer, in their order. normalize: whether vectors get
    length 1. include_prompt: whether a prompt's tokens are pooled too. sparse: weights of words instead of a vector.
    """

    pooling: tuple[str, ...] = ("mean",)
    dense: tuple[str, ...] = ()
    normalize: bool = False
    include_prompt: bool = True
    sparse: bool = False


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is read once with a checkpoint.

    modules: see there. arrays: "dense.0.weight" and the like. prompts: by name; default_prompt: the name of that which
    is used where none is asked for. longest: tokens of a text; None: what the tokenizer says; never more than the model
    takes. similarity: how vectors are compared. lower: whether texts are lowered first. tasks: the words before the
    texts of each of the model's tasks.
    """

    modules: Modules = Modules()
    arrays: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)
    prompts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    default_prompt: str | None = None
    longest: int | None = None
    similarity: str = "cosine"
    lower: bool = False
    tasks: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(source: Source) -> Settings:
    """The settings of a checkpoint; without modules.json what its GGUF file says, or the mean of the token vectors.

    Raises:
        ValueError: a module that is none of these, or a file that does not say what it must.
    """
    listed = _json(source, "modules.json", list, [])
    if not all(isinstance(one, dict) and "type" in one for one in listed):
        raise ValueError(f"{source}: modules.json must be a list of modules, each with a type")
    modules, arrays = Modules() if listed or source.gguf_file is None else _of_gguf(source), {}
    for one in listed:
        kind, path = str(one["type"]).rpartition(".")[2], str(one.get("path", ""))
        where = f"{path}/config.json"
        if kind == "Pooling":
            modules = _pooling(modules, _json(source, where), f"{source}/{where}")
        elif kind == "SpladePooling":
            modules = dataclasses.replace(modules, sparse=True)
        elif kind == "Dense":
            dense = _json(source, where)
            name = str(dense.get("activation_function", "Tanh")).rpartition(".")[2]
            if name not in ACTIVATIONS:
                raise ValueError(f"{source}/{where}: activation_function {name!r} is none of {list(ACTIVATIONS)}")
            files = weights.open_weights(source.within(path))
            number = len(modules.dense)
            for part in ("weight", "bias"):
                if f"linear.{part}" in files:
                    array = jnp.asarray(np.array(files[f"linear.{part}"].read(), np.float32))
                    arrays[f"dense.{number}.{part}"] = array
            if f"dense.{number}.weight" not in arrays:
                raise ValueError(f"{source}/{path}: no linear.weight in the weights of this dense layer")
            modules = dataclasses.replace(modules, dense=(*modules.dense, name))
        elif kind == "Normalize":
            modules = dataclasses.replace(modules, normalize=True)
        elif kind not in ("Transformer", "MLMTransformer", "Dropout"):
            raise ValueError(f"{source}: modules.json has a {kind!r}, which is not known here")
        elif path:
            raise ValueError(f"{source}: the transformer is in {path!r}; pass subfolder={path!r}")
    measure = "dot" if modules.sparse else "cosine"
    return Settings(modules=modules, arrays=arrays, tasks=_tasks(source), **_said(source, measure))


def _of_gguf(source: Source) -> Modules:
    """What llama.cpp does behind the transformer of a GGUF file: it pools as the header says, and gives length 1."""
    header = gguf.read(source)
    key = f"{header.text('general.architecture')}.pooling_type"
    number = header.whole(key)
    if not number:
        return Modules()
    if number not in _OF_GGUF:
        known = ", ".join(f"{number} ({mode})" for number, mode in _OF_GGUF.items())
        raise ValueError(f"{header.files[0]}: {key} is {number}, no way to pool that is known here: {known}")
    return Modules(pooling=(_OF_GGUF[number],), normalize=True)


def _said(source: Source, measure: str) -> dict[str, Any]:
    """Those of the settings that stand in two files of their own; `measure` is how vectors are compared by default."""
    name = "config_sentence_transformers.json"
    about = _json(source, name)
    prompts = about.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ValueError(f"{source}: prompts of {name} must be texts by name")
    for field in ("default_prompt_name", "similarity_fn_name"):
        if not isinstance(about.get(field), str | None):
            raise ValueError(f"{source}: {field} of {name} must be a string or null, found {about[field]!r:.60}")
    name = "sentence_bert_config.json"
    transformer = _json(source, name)
    longest, lower = transformer.get("max_seq_length"), transformer.get("do_lower_case", False)
    if longest is not None and (type(longest) is not int or longest < 1):
        raise ValueError(f"{source}: max_seq_length of {name} must be 1 or more tokens or null, found {longest!r:.60}")
    if not isinstance(lower, bool):
        raise ValueError(f"{source}: do_lower_case of {name} must be true or false, found {lower!r:.60}")
    return {
        "prompts": prompts,
        "default_prompt": about.get("default_prompt_name"),
        "similarity": about.get("similarity_fn_name") or measure,
        "longest": longest,
        "lower": lower,
    }


def _tasks(source: Source) -> dict[str, str]:
    """The words before the texts of each task that the model's config.json names."""
    config = _json(source, "config.json")
    names, words = config.get("lora_adaptations") or [], config.get("task_instructions") or {}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not isinstance(words, dict):
        raise ValueError(
            f"{source}: config.json must list its lora_adaptations, and name the texts of task_instructions"
        )
    return {name: str(words.get(name, "")) for name in names}


def _pooling(modules: Modules, config: Mapping[str, Any], where: str) -> Modules:
    named = config.get("pooling_mode")
    if named is not None:
        modes = tuple([named] if isinstance(named, str) else named)
    else:
        modes = tuple(mode for mode in MODES if config.get(_FIELDS[mode]))
    if not modes or not set(modes) <= set(MODES):
        raise ValueError(f"{where} must choose some of {list(MODES)}; found {modes or config}")
    return dataclasses.replace(modules, pooling=modes, include_prompt=bool(config.get("include_prompt", True)))


def _json(source: Source, name: str, kind: type[Any] = dict, absent: Any = None) -> Any:
    """What a file of a checkpoint holds, an object unless another kind is asked for; where it is absent, none."""
    path = source.find(name)
    if path is None:
        return {} if absent is None else absent
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON: {error}") from None
    if not isinstance(found, kind):
        what = "a list of modules" if kind is list else "an object"
        raise ValueError(f"{path} must be {what}, found {type(found).__name__}")
    return found


def pooled(modules: Modules, state: jax.Array, owner: jax.Array, place: jax.Array, texts: int) -> jax.Array:
    """Vectors [N, D or more] of texts from those of their tokens.

    Args:
        modules: how.
        state: [M, D] of all tokens of a batch.
        owner: [M] the number of each token's text; N or above: of none.
        place: [M] where in its text a token is.
        texts: N.
    """
    state = state.astype("float32")
    sums = lambda x: jax.ops.segment_sum(x, owner, texts)  # noqa: E731
    ones = jnp.ones(owner.shape, jnp.float32)
    count = jnp.maximum(sums(ones), 1e-9)[:, None]

    def pick(chosen: jax.Array) -> jax.Array:
        return sums(jnp.where(chosen[:, None], state, 0.0))

    parts = []
    for mode in modules.pooling:
        match mode:
            case "cls":
                parts.append(pick(place == 0))
            case "max":
                parts.append(jnp.maximum(jax.ops.segment_max(state, owner, texts), jnp.finfo(jnp.float32).min))
            case "mean":
                parts.append(sums(state) / count)
            case "mean_sqrt_len_tokens":
                parts.append(sums(state) / jnp.sqrt(count))
            case "weightedmean":
                weight = (place + 1).astype(jnp.float32)
                parts.append(sums(state * weight[:, None]) / sums(weight)[:, None])
            case "lasttoken":
                last = jax.ops.segment_max(place, owner, texts)
                parts.append(pick(place == last[jnp.minimum(owner, texts - 1)]))
    return jnp.concatenate(parts, axis=-1)


def finished(modules: Modules, x: jax.Array, arrays: Mapping[str, jax.Array]) -> jax.Array:
    """What comes behind pooling: dense layers, and length 1."""
    for i, activation in enumerate(modules.dense):
        layer = {part: arrays[name] for part in ("weight", "bias") if (name := f"dense.{i}.{part}") in arrays}
        x = ACTIVATIONS[activation](linear(layer, x))
    return normalized(x) if modules.normalize else x


def normalized(x: jax.Array) -> jax.Array:
    """Vectors of length 1."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
