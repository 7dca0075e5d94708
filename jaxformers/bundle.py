"""The model that users hold: a thin, frozen bundle of a config and its parameters, and a pytree of the latter.

The class says which pure functions belong together (`network`, `head`); the object adds loading, saving and a checked,
jitted call. Everything computed is `cls.captured(params, config, inputs, ...)`, a pure function.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import jax
import jax.export

from . import adapters, declare, durable, hub, pretrained, runtime
from . import batch as batches
from . import config as configs
from .architecture import Architecture
from .checkpoint import dtypes
from .checkpoint.structure import check_room, check_structure
from .config import Config
from .generation.config import FILE as GENERATION_FILE
from .generation.config import GenerationConfig
from .generation.keys import key_of
from .layers import half, quantized, vocabulary
from .layers.attention import prepare
from .layers.cache import Cache
from .layers.inputs import Ask, Inputs
from .layers.remat import policy_of
from .layers.sites import EVERY, PLAIN, Patch, Sites, check_names, in_order, parse_taps
from .outputs import Output
from .parallel import explicit, mesh_of

logger = logging.getLogger(__name__)

_MANY_PROGRAMS = 8  # direct calls compile once per shape; so many deserve a word

# What torch users reach for, and what does the same here.
_TORCH_HABITS = {
    "to": "jax.device_put(model, device), or from_pretrained(..., dtype=...)",
    "cuda": "jax.device_put(model, jax.devices('gpu')[0])",
    "cpu": "jax.device_put(model, jax.devices('cpu')[0])",
    "half": "jax.tree.map(lambda x: x.astype('float16'), model)",
    "float": "jax.tree.map(lambda x: x.astype('float32'), model)",
    "bfloat16": "jax.tree.map(lambda x: x.astype('bfloat16'), model)",
    "eval": "nothing: calls are without dropout unless model.apply(params, ..., key=...) is given a key",
    "train": "model.apply(params, ..., key=key): a key turns dropout on",
    "parameters": "jax.tree.leaves(model.params)",
    "named_parameters": "jax.tree_util.tree_leaves_with_path(model.params)",
    "state_dict": "model.params, or model.save_pretrained(folder) for the Hub's names",
    "load_state_dict": "model.replace(params=...)",
    "requires_grad_": "jax.grad over the part of model.params that is to change",
    "zero_grad": "nothing: jax.grad returns new gradients",
    "device": "jax.tree.leaves(model.params)[0].devices()",
    "dtype": "jax.tree.leaves(model.params)[0].dtype",
    "compile": "nothing: calls are compiled by jax.jit",
}


_Structure = tuple["type[Model]", Config, GenerationConfig | None, adapters.LoraConfig | None]


def _written(structure: _Structure) -> bytes:
    """What of a model is no array, as text."""
    _, config, generation, adapter = structure
    return json.dumps([config.to_dict(), *(one and one.to_dict() for one in (generation, adapter))]).encode()


def _read(cls: type[Model], data: bytearray) -> _Structure:
    """The inverse of `_written`."""
    config, generation, adapter = json.loads(data)
    return (
        cls,
        cls.config_class.from_dict(config),
        generation and GenerationConfig.from_dict(generation),
        adapter and adapters.LoraConfig.from_dict(adapter),
    )


class Model(adapters.Adapted, Architecture):
    """The base of all models.

    `Class(config)` makes random weights (`key=` chooses them), `Class(config, params=tree)` takes yours,
    `Class.from_pretrained(name)` reads a checkpoint. `model(**inputs)` checks and compiles; `model.apply(params,
    **inputs)` is the pure function for your own `jit`, `grad`, `vmap` and `shard_map`. The object is a pytree: params
    are its leaves, class and config its structure, so `jax.tree.map`, `jax.device_put` and optax work on it directly.
    """

    config: Config
    params: Any

    @classmethod
    def declared(cls) -> None:
        """Register the class as a pytree, whose leaves are those of the params."""
        jax.tree_util.register_pytree_with_keys(
            cls,
            lambda model: ([(jax.tree_util.GetAttrKey("params"), model.params)], model._structure),
            lambda structure, children: cls._made(structure[1], next(iter(children)), *structure[2:]),
            lambda model: ((model.params,), model._structure),
        )
        with contextlib.suppress(ValueError):  # a class defined anew, as in a notebook: the first keeps the name
            jax.export.register_pytree_node_serialization(
                cls,
                serialized_name=f"{cls.__module__}.{cls.__qualname__}",
                serialize_auxdata=_written,
                deserialize_auxdata=partial(_read, cls),
            )

    def __init__(self, config: Config, *, params: Any = None, key: jax.Array | None = None) -> None:
        """A model with given or random weights.

        Args:
            config: of this architecture's class.
            params: a tree as `declaration(config)` describes it; None: random weights.
            key: chooses the random weights; `jax.random.key(0)` unless given.

        Raises:
            TypeError: the config is of another class.
            ValueError: the random weights would not fit into this machine's memory, or params have another structure.
        """
        self._check(config, params)
        if params is None:
            tree = self.declaration(config)
            check_room(declare.size(tree) * 4, type(self).__name__)
            key = jax.random.key(0) if key is None else key
            params = declare.init(tree, key)
        self.__dict__.update(config=config, params=params, _generation=None, adapter=None)

    @classmethod
    def _check(cls, config: Any, params: Any) -> None:
        """Refuse what makes no model; params that are None will be made."""
        if not isinstance(config, cls.config_class):
            raise TypeError(
                f"{cls.__name__} takes a {cls.config_class.__name__}, not {type(config).__name__}; "
                "from_pretrained reads a checkpoint by name or folder"
            )
        policy_of(getattr(config, "gradient_checkpointing", None), cls.__name__)
        if params is not None:
            check_structure(cls.declaration(config), params, cls.__name__)

    @classmethod
    def _made(
        cls,
        config: Config,
        params: Any,
        generation: GenerationConfig | None = None,
        adapter: adapters.LoraConfig | None = None,
    ) -> Self:
        """A model without checks: its leaves may be tracers, shapes or anything that a tree may hold."""
        model = object.__new__(cls)
        model.__dict__.update(config=config, params=params, _generation=generation, adapter=adapter)
        return model

    @property
    def _structure(self) -> _Structure:
        """What of a model is no array."""
        return type(self), self.config, self.__dict__["_generation"], self.adapter

    @property
    def name_or_path(self) -> str:
        """Where `from_pretrained` has read it; empty where it was made, also by `jax.tree.map` of one that was read."""
        return self.__dict__.get("_read_from", "")

    @property
    def generation_config(self) -> GenerationConfig:
        """How `generate` writes unless it is told otherwise: generation_config.json, or what config.json says of it."""
        return self.__dict__["_generation"] or GenerationConfig.from_model_config(self.config)

    @cached_property
    def prepared(self) -> Any:
        """Params as they compute fastest where they lie: on one CPU with fewer, larger products, and in models that
        generate with half types in products alone (`layers.half`); elsewhere as they are. All axes are automatic.

        What pipelines and `generate` use. The larger ones are copies of more than half of each layer, made when first
        asked for and kept with the model; all else is shared. Accelerators have no memory for them, and heads that are
        sharded would be parted again in each layer.
        """
        params = explicit.to_automatic(self.params)
        arrays = [leaf for leaf in jax.tree.leaves(params) if isinstance(leaf, jax.Array)]
        devices = {device for array in arrays for device in array.devices()}
        alone = [device.platform for device in devices] == ["cpu"]
        if not alone:
            return params
        with explicit.automatic():
            tree = declare.like(self.declaration(self.config), params)
            return prepare(half.halved(params, tree) if self.writes() else params, tree)

    @property
    def laid_out(self) -> declare.Tree:
        """The declaration of the params, with layers listed or stacked as they are."""
        return declare.like(self.declaration(self.config), self.params)

    def _with_adapter(self, params: Any, adapter: adapters.LoraConfig | None) -> Self:
        model = self._made(self.config, params, self.__dict__["_generation"], adapter)
        model.__dict__["_read_from"] = self.name_or_path
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        """For `pickle` and `copy`: what is prepared can be made again, and is as large as the model."""
        return self._made, (self.config, self.params, *self._structure[2:])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use model.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __getattr__(self, name: str) -> Any:
        if name in _TORCH_HABITS:
            raise AttributeError(f"models here have no .{name}; instead: {_TORCH_HABITS[name]}")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        leaves = [leaf for leaf in jax.tree.leaves(self.params) if hasattr(leaf, "dtype")]
        count = sum(math.prod(array.shape) for array in quantized.weights(self.params) if hasattr(array, "dtype"))
        total = sum(math.prod(leaf.shape) * dtypes.bits(leaf.dtype) / 8 for leaf in leaves)
        types = ", ".join(sorted({str(leaf.dtype) for leaf in leaves}))
        return f"{type(self).__name__}({count:,} parameters, {total / 1e6:,.1f} MB, {types})"

    def replace(
        self, *, config: Config | None = None, params: Any = None, generation_config: GenerationConfig | None = None
    ) -> Self:
        """A model with another config, other params or another way of generating.

        Params may be tracers or shapes. What is no model's tree (its shardings, an ensemble's arrays) is made by
        `jax.tree.map` over the model.

        Raises:
            TypeError: the config is of another class.
            ValueError: params and config do not fit each other.
        """
        changed = config is not None or params is not None
        config = self.config if config is None else config
        params = self.params if params is None else params
        if changed:
            self._check(config, params)
        model = self._made(config, params, generation_config or self.__dict__["_generation"], self.adapter)
        model.__dict__["_read_from"] = self.name_or_path
        if params is self.params and "prepared" in self.__dict__:
            model.__dict__["prepared"] = self.prepared
        return model

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        *,
        key: jax.Array | None = None,
    ) -> Self:
        """A model for another number of words; this one stays as it is.

        Args:
            new_num_tokens: rows of the word table, as `len(tokenizer)`; None: as many as now.
            pad_to_multiple_of: more rows, up to a multiple of this.
            key: chooses the new rows, which are drawn around the mean of the old ones.

        Raises:
            ValueError: no whole number above 0, or both sides have words of their own.
        """
        if any("source_vocab" in param.axes for _, param in declare.walk(self.laid_out)):
            raise ValueError(f"{type(self).__name__}: encoder and decoder have words of their own, and none are added")
        count = self.config.vocab_size if new_num_tokens is None else new_num_tokens
        for name, value in (("new_num_tokens", count), ("pad_to_multiple_of", pad_to_multiple_of or 1)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}: expected a whole number above 0")
        count += -count % (pad_to_multiple_of or 1)
        config = self.config.replace(vocab_size=count)
        key = jax.random.key(0) if key is None else key

        resize = partial(vocabulary.resized_tree, declaration=self.laid_out, count=count)
        return self.replace(config=config, params=explicit.call_on_host(resize, self.params, key))

    # -- calls --------------------------------------------------------------------------------------------------

    def init_cache(self, batch_size: int, max_length: int) -> Cache:
        """A cache for `past_key_values=`, with room for `max_length` tokens in each of `batch_size` rows.

        Raises:
            TypeError: the model reads in both directions, so that later tokens change what earlier ones give.
            ValueError: a size below 1.
        """
        if min(batch_size, max_length) < 1:
            raise ValueError(f"init_cache({batch_size}, {max_length}): expected rows and tokens, 1 or more of each")
        if self.network.cells is None:
            raise TypeError(f"{type(self).__name__} reads in both directions: it has no cache")
        return self.empty_cache(self.params, self.config, batch_size, max_length)

    def __call__(
        self,
        *args: Any,
        capture: Sequence[str] | None = None,
        patch: Mapping[str, Patch] | None = None,
        **inputs: Any,
    ) -> Any:
        """Check one batch on the host, and run it through one compiled program per shape.

        Args:
            *args: arrays in the order of `accepts`.
            capture: names of sites (`layers.sites.TABLE`; "*" for any one part), whose values come back beside the
                output: `(output, {"layers.0.residual": [batch, seq, dim], ...})`.
            patch: by the same names what stands there instead: an array that broadcasts to the value, or a function of
                it; where several names are of one site, all act, exact ones last. Functions select the program: use
                the same object again, or `jax.tree_util.Partial(function, array)` whose arrays may change.
            **inputs: `input_ids` [batch, seq] (or `inputs_embeds` [batch, seq, dim]), `attention_mask`,
                `token_type_ids`, `position_ids` [batch, seq], the task's labels, `output_hidden_states`,
                `output_attentions`, `gradient_checkpointing` (True, or a policy of `layers.remat`: gradients compute
                layers again), and `return_dict` (False gives a plain tuple). Lists, numpy and jax arrays are taken;
                values of arrays that already live on a device, and of tracers, are not checked. A model
                without token types drops those that are all zero.

        Raises:
            TypeError: an unknown keyword.
            ValueError: an id out of the vocabulary, more tokens than positions, no rows, shapes that disagree, or no
                site of a name.
        """
        batch, labels, ask, named = batches.read(type(self), self.config, args, inputs)
        batches.check(type(self), self.config, batch, labels)
        before = _forward._cache_size()  # type: ignore[attr-defined]
        ask, sites = self.tapped(self.params, batch, labels, ask, None, capture, patch)
        out, captured = _forward(type(self), self.params, self.config.bare(), batch, labels, ask, sites)
        if before < _MANY_PROGRAMS <= _forward._cache_size():  # type: ignore[attr-defined]
            logger.info(
                "%d shapes of batches have been compiled, one program each; tokenize with pad_to_multiple_of=64, or "
                "use pipeline(), which needs few programs for texts of any length",
                _MANY_PROGRAMS,
            )
        out = out if named else out.to_tuple()
        return out if capture is None else (out, in_order(captured))

    def apply(
        self,
        params: Any,
        *args: Any,
        key: jax.Array | int | None = None,
        capture: Sequence[str] | None = None,
        patch: Mapping[str, Patch] | None = None,
        **inputs: Any,
    ) -> Any:
        """The pure function of `params`, without jit, for your own transformations.

        A batch is checked as in a call, and the values of tracers are not; params are taken as they are.

        Args:
            params: a tree of this model's structure.
            *args: as in a call.
            key: a random key, or a seed, turns dropout on.
            capture: as in a call.
            patch: as in a call.
            **inputs: as in a call.

        Raises:
            TypeError, ValueError: as in a call.
        """
        batch, labels, ask, named = batches.read(type(self), self.config, args, inputs)
        batches.check(type(self), self.config, batch, labels)
        ask, sites = self.tapped(params, batch, labels, ask, key_of(key), capture, patch)
        out, captured = explicit.call(self.captured, batch, params, self.config.bare(), batch, labels, ask, sites)
        out = out if named else out.to_tuple()
        return out if capture is None else (out, in_order(captured))

    def sites(self, *args: Any, **inputs: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """The names for `capture` and `patch` in a call with these arguments, and what stands there.

        Raises:
            TypeError, ValueError: as in a call.
        """
        batch, labels, ask, _ = batches.read(type(self), self.config, args, inputs)
        batches.check(type(self), self.config, batch, labels)
        return self._sites(self.params, batch, labels, ask, PLAIN)

    def _sites(self, params: Any, batch: Inputs, labels: Any, ask: Ask, sites: Sites) -> dict[str, Any]:
        """By the compiled entry, which traces each kind of call once."""
        ask = dataclasses.replace(ask, captured=EVERY)
        given = type(self), params, self.config.bare(), batch, labels, ask, sites
        return in_order(_forward.eval_shape(*given)[1])

    def tapped(
        self,
        params: Any,
        batch: Inputs,
        labels: Any,
        ask: Ask,
        key: jax.Array | None,
        capture: Sequence[str] | None,
        patch: Mapping[str, Patch] | None,
    ) -> tuple[Ask, Sites]:
        """What a call is asked for, and its sites, checked before anything is computed."""
        sites = PLAIN if key is None else Sites(key=key)
        if capture is None and not patch:
            return ask, sites
        sites, captured = parse_taps(type(self).__name__, sites, capture, patch)
        check_names(type(self).__name__, self._sites(params, batch, labels, ask, sites), captured, sites.patches)
        return dataclasses.replace(ask, captured=captured), sites

    # -- files --------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | hub.Source,
        *,
        config: Config | str | Path | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        key: jax.Array | None = None,
        mesh: jax.sharding.Mesh | Mapping[str, int] | str | None = None,
        sharding: Any = None,
        stacked: bool = False,
        variant: str | None = None,
        use_safetensors: bool | None = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        from_tf: bool = False,
        **options: Any,
    ) -> Any:
        """Read a checkpoint from a folder or the Hub.

        Args:
            name_or_path: a folder, a name on the Hub, a model that ships with the package, or the path of a .gguf file.
                Where it is of an adapter (adapter_config.json), its base model is read, and the adapter added.
            config: a config object, or where to read one; default: beside the weights.
            dtype: type of the weights, in any spelling ("bfloat16", jnp.bfloat16, np.dtype, "auto": as stored; "int8":
                the layers' weights, and what they multiply as it comes, as whole numbers with scales;
                "int8_weight_only", "int4_weight_only": these weights alone, widened where they are multiplied).
                Default: float32 on CPU, the stored type on accelerators.
            torch_dtype: the older spelling of `dtype`.
            key: chooses the random weights of what the checkpoint does not hold.
            mesh: a `jax.sharding.Mesh` with axes of any type, sizes of its axes ("data=2,tensor=4", or a mapping), or
                "auto", which chooses them (`parallel.mesh_of`); arrays are laid out on it by `parallel.RULES`.
            sharding: in place of `mesh`: one `jax.sharding.Sharding` for all arrays, or a tree of them as `declaration`
                is laid out. With either, each device's part is read by itself, and no host holds a whole tensor.
            stacked: give the layers as one stacked tree, which scans (see `layers.run`).
            variant: reads `model.<variant>.safetensors`.
            use_safetensors: True or False accepts only, or no, safetensors files.
            ignore_mismatched_sizes: start arrays anew whose sizes differ from the config's, instead of raising.
            output_loading_info: return `(model, report)`, the report a dict of missing, unexpected and mismatched keys.
            from_tf: TensorFlow checkpoints must be converted first.
            **options: `revision, subfolder, token, cache_dir, local_files_only, force_download, gguf_file`; every other
                keyword replaces a field of the config.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: the files belong to another architecture, sizes differ, a file is malformed, or `mesh` is none
                or does not divide the arrays.
            TypeError: a keyword is neither an option nor a field of the config.
        """
        if from_tf:
            raise ValueError(f"{name_or_path}: TensorFlow checkpoints are not read; convert it to safetensors first")
        mesh_of(mesh)  # what is none is refused before a file is looked for
        source, overrides = hub.split_options(name_or_path, pretrained.without_torchs(options))
        source, of_adapter = adapters.parted(source)
        config = cls._config(source, config, overrides)
        stored = None if of_adapter is None else adapters.open_stored(of_adapter)
        provided: Collection[str] = ()
        if stored is not None:
            tree = cls.declaration(config)
            provided = adapters.provided(stored, tree, config.model_type, cls.prefixes, cls.__name__)
        policy_of(getattr(config, "gradient_checkpointing", None), cls.__name__)
        config, params, report = pretrained.read(
            cls.__name__,
            source,
            config,
            cls.declaration,
            prefixes=cls.prefixes,
            of_base=declare.under(cls.prefix, cls.base.network.parameters(config)),
            rounds=cls.rounds,
            dtype=torch_dtype if dtype is None else dtype,
            key=key,
            mesh=mesh_of(mesh, cls.declaration(config)),
            sharding=sharding,
            stacked=stacked,
            variant=variant,
            use_safetensors=use_safetensors,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            provided=provided,
        )
        model = cls._made(config, params, GenerationConfig.of_model(source, config) if cls.writes() else None)
        model.__dict__["_read_from"] = str(source)
        model = model if stored is None else model.with_stored(stored)
        return (model, report.to_dict()) if output_loading_info else model

    @classmethod
    def _config(cls, source: hub.Source, config: Any, overrides: Mapping[str, Any]) -> Config:
        if config is None:
            return cls.config_class.from_dict(configs.read(source), **overrides)
        if not isinstance(config, Config):
            return cls.config_class.from_pretrained(config, **overrides)
        if not isinstance(config, cls.config_class):
            raise ValueError(f"{cls.__name__} takes a {cls.config_class.__name__}, not {type(config).__name__}")
        return config.override(**overrides)

    def save_pretrained(self, folder: str | Path, *, max_shard_size: int | str = "5GB") -> None:
        """Write config.json and the weights in the Hub's format, so that torch Transformers loads them too.

        Files of an older save are replaced only when the new ones are complete: a killed save leaves the old or the
        new checkpoint. Other files in the folder stay. Weights that are `Quantized` are written in the type of the
        others. Of a model with an adapter that one alone is written, as PEFT has it.

        Args:
            folder: made if absent.
            max_shard_size: larger models are split into files of at most this many bytes ("200MB", "5GB" or a number).
        """
        write = self.writer(max_shard_size=max_shard_size)
        with durable.Replacement(folder) as files:
            write(files)

    def writer(self, *, max_shard_size: int | str = "5GB") -> Callable[[durable.Replacement], None]:
        """What adds to a save what `save_pretrained` writes; made before the folder is touched, it raises as that."""
        if self.adapter is not None:
            return adapters.writer(explicit.to_automatic(self.params), self.laid_out, self.adapter)
        write_model = pretrained.writer(
            type(self).__name__, self.params, self.laid_out, self.config, max_shard_size=max_shard_size
        )

        def write(files: durable.Replacement) -> None:
            if self.writes():
                files.write(GENERATION_FILE, self.generation_config.to_json_string().encode())
            write_model(files)

        return write

    def push_to_hub(self, repo_id: str, *, max_shard_size: int | str = "5GB", **options: Any) -> str:
        """Save into a temporary folder and upload it; see `hub.push` for the options. Returns the repository's URL."""
        return hub.push(repo_id, partial(self.save_pretrained, max_shard_size=max_shard_size), **options)


def jaxformers_forward(
    cls: type[Model],
    params: Any,
    config: Config,
    inputs: Inputs,
    labels: dict[str, jax.Array],
    ask: Ask,
    sites: Sites,
) -> tuple[Output, dict[str, jax.Array]]:
    """The one compiled entry of all models: jax's own cache knows its programs by class, config and shapes."""
    runtime.note_shapes((inputs, labels))
    return explicit.call(cls.captured, inputs, params, config, inputs, labels, ask, sites)


_forward = jax.jit(jaxformers_forward, static_argnums=0)
