"""Files of adapters, as PEFT has them: adapter_config.json and adapter_model.safetensors."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from .. import declare, durable, hub
from ..checkpoint import layout, load, safetensors, save
from ..checkpoint.safetensors import Tensor
from ..declare import Param, Tree
from . import config as lora
from . import targets
from .config import LoraConfig
from .trees import only

logger = logging.getLogger(__name__)

WEIGHTS = "adapter_model.safetensors"
_PICKLED = "adapter_model.bin"
_PREFIX = "base_model.model."
# What PEFT writes beside: copies of modules before training, and tables as the base model has them.
_COPIES = re.compile(r".*\.(original_module|modules_to_save)\..*|.*\.base_layer\.weight")


@dataclasses.dataclass(frozen=True)
class Stored:
    """An adapter in its files, nothing of which has been read but their headers.

    config: adapter_config.json. path: of the weights. tensors: by the names that the model's own arrays have.
    """

    config: LoraConfig
    path: Path
    tensors: Mapping[str, Tensor]


def parted(source: hub.Source) -> tuple[hub.Source, hub.Source | None]:
    """The source of a model, and that of the adapter where files are of an adapter: then the model is its base.

    Raises:
        OSError: the base model is not there.
        ValueError: the files do not say which one it is, or it is an adapter as well.
    """
    if source.gguf_file is not None or not source.holds_adapter():
        return source, None
    config = LoraConfig.from_pretrained(source)
    name = config.base_model_name_or_path
    if not name:
        raise ValueError(
            f"{source}: {lora.FILE} does not say base_model_name_or_path, the model that it is for: load that one, and "
            "add the adapter with PeftModel.from_pretrained(model, folder)"
        )
    where = {word: getattr(source, word) for word in ("token", "cache_dir", "local_files_only", "force_download")}
    beside = source.file(lora.FILE).parent / name
    if not Path(name).expanduser().is_dir() and beside.is_dir():
        name = str(beside)
    try:
        base = hub.source_of(name, revision=config.revision, **where)
        if base.holds_adapter():
            raise ValueError(f"{source}: its base model {name} is an adapter as well: merge that one first")
    except OSError as error:
        raise type(error)(f"{source} is an adapter (LoRA) of {name!r:.200}, which cannot be read: {error}") from error
    return base, source


def with_tokenizer(source: hub.Source) -> hub.Source:
    """The source, or that of its base model where it is an adapter's without a tokenizer."""
    own = ("tokenizer_config.json", "tokenizer.json")
    if source.gguf_file is not None or any(source.find(name) is not None for name in own):
        return source
    return parted(source)[0]


def open_stored(source: hub.Source) -> Stored:
    """Read the config of an adapter and the header of its weights.

    Raises:
        OSError: a file is absent.
        ValueError: a file is malformed, or the adapter is of a kind that is not read.
    """
    config = LoraConfig.from_pretrained(source)
    if (path := source.find(WEIGHTS)) is not None:
        tensors: Mapping[str, Tensor] = safetensors.open_file(path)
    elif (path := source.find(_PICKLED)) is not None:
        from ..checkpoint import torch_pickle  # on demand: few adapters need it

        tensors = torch_pickle.open_file(path)
    else:
        raise source.absent(f"{WEIGHTS} or {_PICKLED}")
    return Stored(config, path, {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()})


def matched(
    stored: Stored, tree: Tree, config: LoraConfig, prefixes: Sequence[str], owner: str
) -> tuple[frozenset[str], dict[str, Tensor]]:
    """The paths of a model's arrays that an adapter has, and its tensors by `Param.path`; nothing is read.

    Args:
        stored: the adapter.
        tree: the model's declaration with the adapter's records.
        config: of the adapter, with the names of its modules.
        prefixes: of the base model's names.
        owner: the class's name, for messages.

    Raises:
        ValueError: an array is absent, of another shape, or has no place in the model; the message names it.
    """
    paths = targets.own(tree, config)
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    for path, param in declare.walk(tree):
        for record in param.records if path in paths else ():
            names = _names(record, config, prefixes, stored)
            used.update(names)
            tensor = layout.ours(record, [stored.tensors[name] for name in names]) if names else None
            if tensor is None:
                raise _misfit(owner, stored, f"{record.name} is not in it")
            if not jnp.issubdtype(tensor.dtype, jnp.floating) or tensor.dtype.itemsize < 2:
                raise _misfit(owner, stored, f"{names[0]} is stored as {tensor.dtype}")
            if tensor.shape != record.shape:
                raise _misfit(owner, stored, f"{names[0]} is {tensor.shape}, and here {record.shape}", record)
            found[record.path] = tensor
    for name in stored.tensors:
        if name not in used and not _COPIES.fullmatch(name):
            raise _misfit(owner, stored, f"{name} has no place here")
    return paths, found


def provided(stored: Stored, declaration: Tree, model_type: str, prefixes: Sequence[str], owner: str) -> frozenset[str]:
    """The names of a model's own arrays that an adapter brings; nothing is read.

    Raises:
        ValueError: it is of another model, as of `matched`.
    """
    config = targets.settled(stored.config, declaration, model_type, owner)
    paths, _ = matched(stored, targets.adapted(declaration, config, owner), config, prefixes, owner)
    return frozenset(param.name for path, param in declare.walk(declaration) if path in paths)


def _names(record: Param, config: LoraConfig, prefixes: Sequence[str], stored: Stored) -> list[str]:
    """The names under which the files have the parts of an array; none where they do not have them."""
    for spelt in load.spellings(record, prefixes):
        for name in dict.fromkeys((targets.base_layer(spelt, config), spelt)):
            if not layout.missing(record, name, stored.tensors):
                return layout.names(record, name)
    return []


def _misfit(owner: str, stored: Stored, what: str, record: Param | None = None) -> ValueError:
    whole = record is not None and record.role != "adapter"
    advice = "; read the model with the num_labels= or vocab_size= that the adapter was trained with" if whole else ""
    base = stored.config.base_model_name_or_path
    made = f", which was made for {base!r:.200}" if base else ""
    return ValueError(f"{owner} does not fit the adapter in {stored.path}{made}: {what}{advice}")


def writer(params: Tree, tree: Tree, config: LoraConfig) -> Callable[[durable.Replacement], None]:
    """What adds an adapter to a save; made before the folder is touched.

    Args:
        params: of the model.
        tree: their declaration, with the adapter's records.
        config: of the adapter, with the names of its modules.
    """
    paths = targets.own(tree, config)
    arrays: Mapping[str, Any] = save.Named(only(params, paths), only(tree, paths))
    named = {_PREFIX + targets.base_layer(name, config): array for name, array in arrays.items()}
    said = config.replace(inference_mode=True)  # as PEFT writes it: who loads it says whether it is trained

    def write(files: durable.Replacement) -> None:
        safetensors.write_file(files.path(WEIGHTS), named, {"format": "pt"})
        files.write(lora.FILE, said.to_json_string().encode())
        files.remove(_PICKLED)

    return write
