"""From named tensors in files to a tree of arrays, by the declaration, with a report of what did not fit."""

from __future__ import annotations

import dataclasses
import logging
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
class Plan:
    """Which tensor of the files fills which array of the tree; nothing has been read yet."""

    found: Mapping[str, Tensor]  # by path in our tree
    report: Report


def plan(
    weights: Weights,
    declaration: declare.Tree,
    *,
    prefixes: Sequence[str],
    silent: Iterable[str] = (),
    unread: Iterable[str] = (),
    sizes: Mapping[str, int] = {},
    ignore_mismatched_sizes: bool = False,
) -> Plan:
    """Match names and shapes.

    Args:
        weights: the open files.
        declaration: the model's arrays, with full Hub names.
        prefixes: of the base model, such as "bert"; files may have any of them where the model has another or none.
        silent: names that may be in the files without a word, such as those of a pooler that this task does not use.
        unread: starts of such names.
        sizes: the whole numbers of the config by field, so that an error can name the field at fault.
        ignore_mismatched_sizes: report arrays of another size as mismatched instead of raising.

    Raises:
        ValueError: sizes differ, a tensor holds no plain floats, none of the layers' arrays is in the files (another
            architecture's weights), or their names have more in them than the model's.
    """
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    absent: list[Param] = []
    missing, mismatched = [], []
    for path, param in declare.walk(declaration):
        present = [name for name in _spellings(param, prefixes) if not layout.missing(param, name, weights)]
        used.update(part for name in present for part in layout.names(param, name))
        if not present:
            lacking, there = layout.absent(param, _spellings(param, prefixes), weights)
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
            found[path] = tensor
    if mismatched and not ignore_mismatched_sizes:
        shown = "; ".join(f"{name}: {theirs} in the file, {ours} in the model" for name, theirs, ours in mismatched[:3])
        more = f" and {len(mismatched) - 3} more" if len(mismatched) > 3 else ""
        wrong = {size for _, theirs, ours in mismatched for size in set(ours) - set(theirs)}
        fields = ", ".join(f"{name}={size}" for name, size in sizes.items() if size in wrong)
        raise ValueError(
            f"{weights.files[0]}: sizes differ: {shown}{more}. Fix the config{fields and f' ({fields})'}, or pass "
            "ignore_mismatched_sizes=True to start these anew"
        )
    if not mismatched and not _has_body(found, declaration):
        theirs = ", ".join(list(weights)[:3])
        before = _before(weights, _known([param for _, param in _body(declaration)], prefixes))
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
    return Plan(found, Report(tuple(missing), tuple(sorted(unexpected)), tuple(mismatched)))


def fill(
    plan: Plan,
    declaration: declare.Tree,
    *,
    dtype: Any,
    key: jax.Array,
    std: float,
    shardings: declare.Tree | None = None,
    finish: Callable[[str, jax.Array], Any] = lambda path, array: array,
) -> declare.Tree:
    """The tree of arrays: tensors that were found, cast to `dtype` (None: as stored), and random ones for the rest.

    Each tensor is copied exactly once, one at a time; with `shardings` each device's part is read by itself. `finish`
    may put another leaf in an array's place before the next is read.
    """
    by_path = {} if shardings is None else _by_path(shardings, declaration)
    new = dtype or next((t.dtype for t in plan.found.values() if jnp.issubdtype(t.dtype, jnp.floating)), jnp.float32)

    def make(path: Any, param: Param) -> Any:
        where = jax.tree_util.keystr(path, simple=True, separator=".")
        return finish(where, read(where, param))

    def read(where: str, param: Param) -> jax.Array:
        sharding = by_path.get(where)
        tensor = plan.found.get(where)
        if tensor is None:
            array = declare.init_one(param, declare.key_of(key, where), std=std, dtype=param.dtype or new)
            return array if sharding is None else jax.device_put(array, sharding)
        target = np.dtype(param.dtype or dtype or tensor.dtype)
        if sharding is None:
            return jax.device_put(_owned(tensor.read(), target))
        return jax.make_array_from_callback(param.shape, sharding, lambda part: _owned(tensor.read(part), target))

    return jax.tree_util.tree_map_with_path(make, declaration, is_leaf=declare.is_param)


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


def _has_body(found: Iterable[str], declaration: declare.Tree) -> bool:
    """Whether anything of the body was found."""
    return not set(found).isdisjoint(path for path, _ in _body(declaration))


def _body(declaration: declare.Tree) -> list[tuple[str, Param]]:
    """The arrays of the layers, or of the rest of the body where there are no layers.

    Files of other architectures may well share the names of the embeddings.
    """
    body = [(path, param) for path, param in declare.walk(declaration) if not path.startswith("head.")]
    return [(path, param) for path, param in body if path.startswith("layers.")] or body


def _known(params: Iterable[Param], prefixes: Sequence[str]) -> set[str]:
    """All names under which files may hold some arrays."""
    return {part for param in params for name in _spellings(param, prefixes) for part in layout.names(param, name)}


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


def _spellings(param: Param, prefixes: Sequence[str]) -> Iterable[str]:
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


def _owned(view: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy of `view` in memory of its own, so aligned that jax takes it over without a second copy.

    Never the view itself: jax may alias what it is given, and the file or buffer behind a view may change.
    """
    size = view.size * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    array = raw[start : start + size].view(dtype).reshape(view.shape)
    np.copyto(array, view, casting="unsafe")
    return array
