"""A checkpoint as a whole: what `from_pretrained` reads, and `save_pretrained` writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax

from . import config as configs
from . import declare, durable, hub
from .checkpoint import dtypes, load, save, weights
from .checkpoint.quantized import plain
from .checkpoint.structure import check_room, check_structure
from .config import Config
from .layers import quantized
from .parallel import explicit, shardings

logger = logging.getLogger(__name__)

# Arguments of torch's loader that say where torch keeps what; accepted, since they change no result.
_TORCH_OPTIONS = frozenset(
    """
    device_map low_cpu_mem_usage offload_folder offload_state_dict offload_buffers max_memory tp_plan tp_size
    attn_implementation trust_remote_code
    """.split()
)


def without_torchs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options but for those that are torch's alone, which is said."""
    for name in filter(_TORCH_OPTIONS.__contains__, options):
        logger.info("%s= is torch machinery and has no effect; devices are chosen by sharding=", name)
    return {name: value for name, value in options.items() if name not in (*_TORCH_OPTIONS, "from_pt", "from_flax")}


def read(
    owner: str,
    source: hub.Source,
    config: Config,
    declaration: Callable[[Config], declare.Tree],
    *,
    prefixes: Sequence[str],
    of_base: declare.Tree,
    rounds: Callable[[declare.Param], bool],
    dtype: Any,
    key: jax.Array | None,
    mesh: jax.sharding.Mesh | None,
    sharding: Any,
    stacked: bool,
    variant: str | None,
    use_safetensors: bool | None,
    ignore_mismatched_sizes: bool,
    provided: Collection[str] = (),
) -> tuple[Config, Any, load.Report]:
    """The config as weights that are read have it, the params, and what did not fit.

    Args:
        owner: the class's name.
        source: where the files are.
        config: of the model.
        declaration: config → its arrays.
        prefixes: what may stand before names.
        of_base: the base model's arrays, which files of any task's class hold.
        rounds: which arrays are kept in fewer bits where `dtype` asks for that.
        dtype: as of `Model.from_pretrained`, as all others.
        key: chooses the random weights.
        mesh: to lay arrays out on.
        sharding: in place of it.
        stacked: layers as one stacked tree.
        variant: of the files.
        use_safetensors: which files are taken.
        ignore_mismatched_sizes: whether such arrays are drawn anew.
        provided: names of arrays that are taken from elsewhere afterwards.

    Raises:
        OSError, ValueError: as of `Model.from_pretrained`.
    """
    files = weights.open_weights(source, variant=variant, use_safetensors=use_safetensors)
    said = getattr(config, "quantization_config", None)
    files, config = plain(files, said), config if said is None else config.without("quantization_config")
    tree = declaration(config)
    tree = declare.stacked(tree) if stacked else tree
    plan = load.plan(
        files,
        tree,
        prefixes=prefixes,
        silent=[param.name for _, param in declare.walk(of_base)],
        unread=config.unread,
        sizes={name: size for name, size in config.to_dict().items() if type(size) is int}
        | {"num_labels": config.num_labels},
        ignore_mismatched_sizes=ignore_mismatched_sizes,
        provided=provided,
    )
    check_room(plan.new * 4, owner)
    expected_all = owner in (getattr(config, "architectures", None) or ())
    load.warn(plan.report, owner, str(source), expected_all=expected_all)
    rounded = dtypes.rounding(dtype)
    params = load.fill(
        plan,
        tree,
        dtype=dtypes.dtype_of(None if rounded else dtype, files),
        key=jax.random.key(0) if key is None else key,
        shardings=_each(sharding, tree) if mesh is None else shardings(tree, mesh),
        finish=lambda param, array: explicit.call_on_host(rounded, array) if rounded and rounds(param) else array,
    )
    return config, params, plan.report


def writer(
    owner: str, params: Any, tree: declare.Tree, config: Config, *, max_shard_size: int | str
) -> Callable[[durable.Replacement], None]:
    """What adds weights and config to a save; made before the folder is touched.

    Args:
        owner: the class's name, which the config tells.
        params: as they lie; those in fewer bits are written in the type of the others.
        tree: their declaration, laid out as they are.
        config: of the model.
        max_shard_size: as of `Model.save_pretrained`.

    Raises:
        ValueError: params are not those of the declaration.
    """
    with explicit.automatic():
        params = quantized.restored(explicit.to_automatic(params))
    check_structure(tree, params, owner)
    arrays = save.Named(params, tree)
    leaves = zip(jax.tree.leaves(params), jax.tree.leaves(tree, is_leaf=declare.is_param), strict=True)
    types = {str(leaf.dtype) for leaf, param in leaves if param.dtype is None}
    said = config.replace(architectures=[owner], dtype=types.pop() if len(types) == 1 else config.dtype)

    def write(files: durable.Replacement) -> None:
        weights.write_weights(files, arrays, max_shard_size=max_shard_size)
        files.write(configs.FILE, said.to_json_string().encode())

    return write


def _each(sharding: Any, tree: declare.Tree) -> declare.Tree | None:
    """One sharding for every array of a declaration, or the tree of shardings as it is."""
    if sharding is None or not isinstance(sharding, jax.sharding.Sharding):
        return sharding
    return jax.tree.map(lambda _: sharding, tree, is_leaf=declare.is_param)
