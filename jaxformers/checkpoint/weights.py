"""The weight files of a checkpoint as one mapping from names to arrays, and the other way round.

Reading looks for safetensors, then for a torch pickle, then for flax's msgpack, each as one file or as shards with an
index. Names are those of the torch checkpoints on the Hub, whatever the file.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..durable import Replacement
from ..gguf import read as read_gguf
from ..hub import Source
from . import safetensors
from .safetensors import Array, Index, Lazy, Tensor

__all__ = ["Array", "Index", "Lazy", "Tensor", "Weights", "open_weights", "write_weights"]

logger = logging.getLogger(__name__)

_LARGEST_INDEX = 1 << 26  # bytes
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class _Format:
    """A kind of weight file.

    Attributes:
        stem, suffix: of the single file's name; shards have a number between the two, the index a word after them.
        open: a file's path to its arrays by torch name.
    """

    name: str
    stem: str
    suffix: str
    open: Callable[[Path], Mapping[str, Tensor]]

    @property
    def single(self) -> str:
        return f"{self.stem}.{self.suffix}"

    @property
    def index(self) -> str:
        return f"{self.single}.index.json"

    def owns(self, name: str) -> bool:
        """Whether a file name is one that a checkpoint of this kind uses: the file, a shard or the index."""
        shard = rf"{self.stem}(-[0-9a-f]{{8}})?-\d{{5}}-of-\d{{5}}\.{self.suffix}"
        return name in (self.single, self.index) or re.fullmatch(shard, name) is not None


def _open_torch(path: Path) -> Mapping[str, Tensor]:
    from . import torch_pickle  # on demand: most checkpoints need neither this nor the next

    return torch_pickle.open_file(path)


def _open_flax(path: Path) -> Mapping[str, Tensor]:
    from . import msgpack

    return msgpack.open_file(path)


def _open_gguf(source: Source) -> Weights:
    from . import gguf

    header = read_gguf(source)
    return Weights("gguf", list(header.files), gguf.open_header(header), gguf.dtype_of(header))


_SAFETENSORS = _Format("safetensors", "model", "safetensors", safetensors.open_file)
_FORMATS = (
    _SAFETENSORS,
    _Format("pytorch", "pytorch_model", "bin", _open_torch),
    _Format("flax", "flax_model", "msgpack", _open_flax),
)

# What is sometimes there instead, and what to do about it.
_INSTEAD = (
    (
        r"tf_model\.h5|.*\.ckpt(\..*)?",
        "a TensorFlow checkpoint: convert it first, with torch Transformers' from_tf=True",
    ),
    (r"(model|pytorch_model)\.[\w-]+\.(safetensors|bin)", "a variant: pass variant= with the word in its name"),
    (r".*\.(safetensors|bin|pt|pth|msgpack)", "a file with another name: is it a checkpoint of another library?"),
)


class Weights(Mapping[str, Tensor]):
    """The arrays of a checkpoint by their torch names. Values are read on `weights[name].read()`, not before.

    Attributes:
        format: "safetensors", "pytorch", "flax" or "gguf".
        files: the files that hold the arrays.
        dtype: the one type of all arrays where they are to be kept as stored; None: each has its own.
    """

    def __init__(
        self, format: str, files: list[Path], tensors: Mapping[str, Tensor], dtype: np.dtype[Any] | None = None
    ) -> None:
        self.format = format
        self.files = files
        self.dtype = dtype
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"Weights({self.format}, {len(self)} arrays in {len(self.files)} files)"


def open_weights(source: Source, *, variant: str | None = None, use_safetensors: bool | None = None) -> Weights:
    """Find the weight files of a checkpoint and read their headers.

    The first of these that is there is used, and an INFO line says which: the GGUF file if the source names one;
    model.safetensors, its index, pytorch_model.bin, its index, flax_model.msgpack, its index.

    weights = open_weights(hub.source_of(folder))
    weights["embeddings.weight"].shape, .dtype        # known
    weights["embeddings.weight"].read()               # a view of the file or a fresh array: see `Tensor.read`
    weights["embeddings.weight"].read((slice(0, 8),)) # a part: reads no more than that

    Args:
        source: where from; shards on the Hub are fetched one after the other.
        variant: a word in the file's name, as in model.fp16.safetensors.
        use_safetensors: True for safetensors only, False for the other kinds only.

    Raises:
        OSError: no weight file; the message says what was looked for and what was found instead. A shard is absent or
            outside the folder.
        ValueError: a file or an index is damaged, refused, or of a kind that cannot be read.
        KeyError: a shard lacks an array that the index promises.
    """
    if source.gguf_file is not None:
        if variant or use_safetensors:
            raise ValueError(f"{source}: variant= and use_safetensors=True are for other files than {source.gguf_file}")
        logger.info("%s: weights from %s", source, source.gguf_file)
        return _open_gguf(source)
    formats = [
        format for format in _FORMATS if use_safetensors is None or (format is _SAFETENSORS) is bool(use_safetensors)
    ]
    for format in formats:
        single, index = (_with_variant(name, variant) for name in (format.single, format.index))
        if path := source.find(single):
            logger.info("%s: weights from %s", source, single)
            return Weights(format.name, [path], format.open(path))
        if path := source.find(index):
            logger.info("%s: weights from the shards of %s", source, index)
            return _open_shards(source, format, path)
    raise _nothing(source, [_with_variant(n, variant) for f in formats for n in (f.single, f.index)])


def _open_shards(source: Source, format: _Format, index: Path) -> Weights:
    places = _read_index(index)
    files = {shard: source.file(shard) for shard in dict.fromkeys(places.values())}
    opened = {shard: format.open(path) for shard, path in files.items()}
    tensors = {}
    for name, shard in places.items():
        if name not in opened[shard]:
            raise KeyError(f"{files[shard]} lacks {name!r}, which {index.name} promises: the checkpoint is incomplete")
        tensors[name] = opened[shard][name]
    return Weights(format.name, list(files.values()), tensors)


def _read_index(path: Path) -> dict[str, str]:
    """The `weight_map` of an index: array name → name of the shard that holds it."""
    if path.stat().st_size > _LARGEST_INDEX:
        raise ValueError(f"{path}: too large for an index: {path.stat().st_size} bytes")
    try:
        index = safetensors.parse_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from None
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{path}: no weight_map in it, from array names to file names")
    for name, shard in places.items():
        if not isinstance(shard, str):
            raise ValueError(f"{path}: {name!r} is in {shard!r}, which is no file name")
    return places


def _with_variant(name: str, variant: str | None) -> str:
    if not variant:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{variant}{dot}{suffix}"


def _nothing(source: Source, looked_for: list[str]) -> OSError:
    """The error for a source without weights, with advice on what is there instead."""
    error = source.absent(f"weights ({', '.join(looked_for)})")
    names = source.names()
    for pattern, meaning in _INSTEAD:
        found = next((name for name in names if re.fullmatch(pattern, name) and name not in looked_for), None)
        if found is not None:
            return OSError(f"{error}; {found} is {meaning}")
    return error


def write_weights(
    replacement: Replacement, arrays: Mapping[str, Array], *, max_shard_size: int | str = "5GB"
) -> list[str]:
    """Add arrays to a save as safetensors, one file or several with an index, and drop the weights that were there.

    with durable.Replacement(folder) as files:
        write_weights(files, {"a.weight": host_array, "b.weight": lazy}, max_shard_size="5GB")
        files.write("config.json", ...)                   # last: the folder then is complete

    A value is a numpy array, or anything with `shape`, `dtype` and a call that makes the array: each is called once,
    written and dropped, so that no more than one is held. Arrays are written in the order of the mapping, shard after
    shard. Weight files that an earlier save left (of any kind, without a variant) go once the new ones are in place.

    Args:
        replacement: the save, already entered.
        arrays: by torch name, each weight once: of tied weights pass one.
        max_shard_size: bytes, or text such as "200MB" (10⁶) or "1GiB" (2³⁰); a larger array has a shard of its own.

    Returns:
        The names of the files written.

    Raises:
        ValueError: an impossible `max_shard_size`; a lazy array that is not what it announced.
        TypeError: an array of a type that safetensors cannot hold.
    """
    shards = _split(arrays, _bytes_in(max_shard_size))
    present = [path.name for path in replacement.folder.iterdir()]
    names = _shard_names(len(shards), present)
    for name, shard in zip(names, shards, strict=True):
        safetensors.write_file(replacement.path(name), shard, {"format": "pt"})
    if len(shards) > 1:
        places = {array: name for name, shard in zip(names, shards, strict=True) for array in shard}
        total = sum(map(safetensors.size_of, arrays.values()))
        index: dict[str, Any] = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        replacement.write(_SAFETENSORS.index, (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode())
        names.append(_SAFETENSORS.index)
    # The names that readers look for go even if they are not there now: another save may put them there meanwhile.
    entries = [name for format in _FORMATS for name in (format.single, format.index)]
    for name in (*present, *entries):
        if name not in names and any(format.owns(name) for format in _FORMATS):
            replacement.remove(name)
    return names


def _split(arrays: Mapping[str, Array], limit: int) -> list[dict[str, Array]]:
    """Arrays in order, in as few shards of at most `limit` bytes as their order allows; at least one shard."""
    shards: list[dict[str, Array]] = [{}]
    room = limit
    for name, array in arrays.items():
        size = safetensors.size_of(array)
        if size > room and shards[-1]:
            shards.append({})
            room = limit
        shards[-1][name] = array
        room -= size
    return shards


def _shard_names(count: int, present: list[str]) -> list[str]:
    """Names that no file has yet: a reader of the old index must never meet a new shard, nor the reverse."""
    if count == 1:
        return [_SAFETENSORS.single]
    stem = _SAFETENSORS.stem
    while True:
        names = [f"{stem}-{number:05}-of-{count:05}.{_SAFETENSORS.suffix}" for number in range(1, count + 1)]
        if not set(names) & set(present):
            return names
        stem = f"{_SAFETENSORS.stem}-{secrets.token_hex(4)}"


def _bytes_in(size: int | str) -> int:
    if isinstance(size, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", size)):
        number, unit = match.groups()
        if unit.upper() in _UNITS:
            size = int(float(number) * _UNITS[unit.upper()])
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise ValueError(f'max_shard_size={size!r}: expected bytes, or text such as "5GB"')
    return size
