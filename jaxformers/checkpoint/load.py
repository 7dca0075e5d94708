"""From named tensors in files to a tree of arrays, by the declaration, with a report of what did not fit."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import declare
from ..declare import Param
from . import layout
from .weights import Tensor, Weights

logger = logging.getLogger(__name__)

# Buffers and bookkeeping that older files carry beside the weights; nothing that we compute reads them.
_BUFFERS = ("position_ids", "token_type_ids", "inv_freq", "masked_bias", "causal_mask")
_CAUSAL_MASKS = ("attn.bias", "attention.bias")
_AHEAD = ("mtp.", "model.mtp.")  # layers that guess further tokens
_WRAPPERS = ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_ALIGNMENT = 64  # bytes; at other addresses jax copies a host array once more
_SHOWN = 40  # names in a warning; of a checkpoint that fits badly there may be thousands


@dataclasses.dataclass(frozen=True)
class Report:
    """What of a checkpoint did not fit the model, by Hub names.

    missing: arrays of the model that no file has; they are random. unexpected: tensors of the files that the model has
    no place for. mismatched: (name, shape in the file, shape in the model) of arrays that are random for their size.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    def to_dict(self) -> dict[str, list[Any]]:
        """The report under the names that `output_loading_info=True` has always used."""
        return {
            "missing_keys": list(self.missing),
            "unexpected_keys": list(self.unexpected),
            "mismatched_keys": list(self.mismatched),
            "error_msgs": [],
        }


@dataclasses.dataclass(frozen=True)
class LoadPlan:
    """Which tensor of the files fills which array; nothing has been read yet.

    found: by `Param.path`. new: how many numbers are to be drawn, since no file has them.
    """

    found: Mapping[str, Tensor]
    report: Report
    new: int = 0


def plan(
    weights: Weights,
    declaration: declare.Tree,
    *,
    prefixes: Sequence[str],
    silent: Iterable[str] = (),
    unread: Iterable[str] = (),
    sizes: Mapping[str, int] = {},
    ignore_mismatched_sizes: bool = False,
    provided: Collection[str] = (),
) -> LoadPlan:
    """Match names and shapes.

    Args:
        weights: the open files.
        declaration: the model's arrays, resolved, listed or stacked, with full Hub names.
        prefixes: of the base model, such as "bert"; files may have any of them where the model has another or none.
        silent: names that may be in the files without a word, such as those of a pooler that this task does not use.
        unread: starts of such names.
        sizes: the whole numbers of the config by field, so that an error can name the field at fault.
        ignore_mismatched_sizes: report arrays of another size as mismatched instead of raising.
        provided: names of arrays that are taken from elsewhere afterwards: whatever the files have is well.

    Raises:
        ValueError: sizes differ, a tensor holds no plain floats, none of the layers' arrays is in the files (another
            architecture's weights), or their names have more in them than the model's.
    """
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    absent: list[Param] = []
    missing, mismatched = [], []
    records = [record for _, param in declare.walk(declaration) for record in param.records]
    for param in records:
        present = [name for name in spellings(param, prefixes) if not layout.missing(param, name, weights)]
        used.update(part for name in present for part in layout.names(param, name))
        if param.name in provided:
            continue
        if not present:
            lacking, there = layout.absent(param, spellings(param, prefixes), weights)
            missing.extend(lacking)
            absent.append(param)
            used.update(there)
            continue
        parts = [weights[part] for part in layout.names(param, present[0])]
        _check_plain(weights, present[0], parts)
        tensor = layout.ours(param, parts)
        if any(part.shape != parts[0].shape for part in parts) or tensor.shape != param.shape:
            mismatched.append((param.name, tensor.shape, param.shape))
        else:
            found[param.path] = tensor
    if mismatched and not ignore_mismatched_sizes:
        shown = "; ".join(f"{name}: {theirs} in the file, {ours} in the model" for name, theirs, ours in mismatched[:3])
        more = f" and {len(mismatched) - 3} more" if len(mismatched) > 3 else ""
        wrong = {size for _, theirs, ours in mismatched for size in set(ours) - set(theirs)}
        fields = ", ".join(f"{name}={size}" for name, size in sizes.items() if size in wrong)
        raise ValueError(
            f"{weights.files[0]}: sizes differ: {shown}{more}. Fix the config{fields and f' ({fields})'}, or pass "
            "ignore_mismatched_sizes=True to start these anew"
        )
    if not mismatched and found.keys().isdisjoint(param.path for param in _body(records)):
        theirs = ", ".join(list(weights)[:3])
        before = _before(weights, _known(_body(records), prefixes))
        raise ValueError(
            f"{weights.files[0]}: none of the model's layers is there (it holds {theirs or 'nothing'}, …): "
            + (f"{_too_much(before)}; else " if before else "")
            + "these are the weights of another architecture"
        )
    if absent and (between := _between(weights, _known(absent, prefixes))):
        raise ValueError(f"{weights.files[0]}: {_too_much(between)}")
    quiet = {spelling for name in silent for spelling in _spelt(name, prefixes)}
    begins = (*_AHEAD, *(spelling for start in unread for spelling in _spelt(start, prefixes)))
    unexpected = [
        name
        for name in weights
        if name not in used
        and name not in quiet
        and not name.startswith(begins)
        and name.rpartition(".")[2] not in _BUFFERS
        and not name.endswith(_CAUSAL_MASKS)
    ]
    new = sum(math.prod(param.shape) for param in records if param.path not in found)
    return LoadPlan(found, Report(tuple(missing), tuple(sorted(unexpected)), tuple(mismatched)), new)


def fill(
    plan: LoadPlan,
    declaration: declare.Tree,
    *,
    dtype: Any,
    key: jax.Array,
    shardings: declare.Tree | None = None,
    finish: Callable[[Param, jax.Array], Any] = lambda param, array: array,
) -> declare.Tree:
    """The tree of arrays: tensors that were found, cast to `dtype` (None: as stored), and random ones for the rest.

    Each tensor is copied exactly once, one at a time, those of stacked layers to their places in the stack; with
    `shardings` each device's part is read by itself. `finish` may put another leaf in an array's place before the next
    is read.
    """
    by_path = {} if shardings is None else _by_path(shardings, declaration)
    new = dtype or next((t.dtype for t in plan.found.values() if jnp.issubdtype(t.dtype, jnp.floating)), jnp.float32)

    def make(path: Any, param: Param) -> Any:
        return finish(param, read(param, by_path.get(declare.keystr(path))))

    def read(param: Param, sharding: Any) -> jax.Array:
        tensors = [plan.found.get(record.path) for record in param.records]
        if not any(tensors):
            array = declare.init_one(param, key, dtype=param.dtype or new)
            return array if sharding is None else jax.device_put(array, sharding)
        drawn = lambda record: _Drawn(record, key, np.dtype(record.dtype or new))  # noqa: E731
        parts = [tensor or drawn(record) for tensor, record in zip(tensors, param.records, strict=True)]
        tensor = layout.Stacked(tuple(parts)) if param.entries else parts[0]
        target = np.dtype(param.dtype or dtype or tensor.dtype)
        if sharding is None:
            return jax.device_put(_owned(tensor, target))
        return jax.make_array_from_callback(param.shape, sharding, lambda part: _owned(tensor, target, part))

    return jax.tree_util.tree_map_with_path(make, declaration, is_leaf=declare.is_param)


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """A random array in the place of a tensor that no file has."""

    record: Param
    key: jax.Array
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.record.shape

    def read(self, index: Any = None) -> np.ndarray:
        """See `Tensor.read`."""
        array = np.asarray(declare.init_one(self.record, self.key, dtype=self.dtype))
        return array if index is None else array[index]


def warn(report: Report, owner: str, name: str, *, expected_all: bool) -> None:
    """Say in at most one warning a kind what a report holds."""
    new = [*report.missing, *(f"{key} ({ours} instead of {theirs})" for key, theirs, ours in report.mismatched)]
    if new:
        logger.warning(
            "%s: not in %s and newly initialised: %s. Train the model before you use it for predictions.",
            owner,
            name,
            _listed(new),
        )
    if report.unexpected:
        logger.log(
            logging.WARNING if expected_all else logging.INFO,
            "%s: in %s but not used: %s",
            owner,
            name,
            _listed(report.unexpected),
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _check_plain(weights: Weights, name: str, parts: Sequence[Tensor]) -> None:
    """Refuse numbers that mean something with their scales alone."""
    for part in parts:
        if part.dtype.itemsize < 2 or not jnp.issubdtype(part.dtype, jnp.floating):
            raise ValueError(
                f"{weights.files[0]}: {name} is stored as {part.dtype}, as quantised weights are, and no "
                "quantization_config in config.json says what the numbers mean: add it, or load the checkpoint that "
                "this one was made from"
            )


def _body(records: Sequence[Param]) -> list[Param]:
    """The arrays of the layers, or of the rest of the body where there are no layers.

    Files of other architectures may well share the names of the embeddings.
    """
    body = [param for param in records if not param.path.startswith("head.")]
    return [param for param in body if param.path.startswith("layers.")] or body


def _known(params: Iterable[Param], prefixes: Sequence[str]) -> set[str]:
    """All names under which files may hold some arrays."""
    return {part for param in params for name in spellings(param, prefixes) for part in layout.names(param, name)}


def _before(weights: Weights, known: Collection[str]) -> str | None:
    """What stands before names in a file that are known without it, or what torch's wrappers have put into them."""
    for name in weights:
        words = name.split(".")
        for count in range(1, len(words)):
            if ".".join(words[count:]) in known:
                return ".".join((*words[:count], ""))
    return _between(weights, known)


def _between(weights: Weights, known: Collection[str]) -> str | None:
    """What torch's wrappers have put into a name that is known without it."""
    for name in weights:
        words = name.split(".")
        wrapper = next((word for word in words if word in _WRAPPERS), None)
        if wrapper and ".".join(word for word in words if word not in _WRAPPERS) in known:
            return f"{wrapper}."
    return None


def _too_much(found: str) -> str:
    return (
        f"names are the model's but for {found!r}. Save the state_dict of the model that is wrapped (model.module, "
        "model._orig_mod), or rename the tensors"
    )


def spellings(param: Param, prefixes: Sequence[str]) -> Iterable[str]:
    """The names under which a file may hold an array, best first."""
    names = (*param.aliases, param.name) if param.aliases_first else (param.name, *param.aliases)
    for name in names:
        yield from _spelt(name, prefixes)


def _spelt(name: str, prefixes: Sequence[str]) -> Iterable[str]:
    """A name as it is, without its prefix, and under each of the others."""
    bare = next((name.removeprefix(f"{own}.") for own in prefixes if own and name.startswith(f"{own}.")), name)
    return dict.fromkeys((name, bare, *(f"{other}.{bare}" for other in prefixes if other)))


def _by_path(tree: Any, declaration: declare.Tree) -> dict[str, Any]:
    leaves: Callable[[Any], bool] = lambda leaf: isinstance(leaf, jax.sharding.Sharding)  # noqa: E731
    by_path = {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=leaves)
    }
    paths = {path for path, _ in declare.walk(declaration)}
    if odd := sorted(by_path.keys() ^ paths) + [path for path, leaf in by_path.items() if not leaves(leaf)]:
        raise ValueError(
            f"sharding must be a jax.sharding.Sharding, or a tree with one for every array of the model: see {odd[0]!r}"
        )
    return by_path


def _owned(tensor: Tensor, dtype: np.dtype, index: Any = None) -> np.ndarray:
    """A copy of a tensor, or of a part, in memory of its own, so aligned that jax takes it over without a second copy.

    Never a view: jax may alias what it is given, and the file or buffer behind a view may change.
    """
    if isinstance(tensor, layout.Stacked):
        (first, *rest), count = tensor.at(index), len(tensor.at(index))
        view = first[0].read(first[1])
        array = _aligned((count, *view.shape), dtype)
        np.copyto(array[0, ...], view, casting="unsafe")  # with dots, so that numbers without axes are views too
        for i, (part, within) in enumerate(rest, 1):
            np.copyto(array[i, ...], part.read(within), casting="unsafe")
        return array
    view = tensor.read(index)
    array = _aligned(view.shape, dtype)
    np.copyto(array, view, casting="unsafe")
    return array


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
