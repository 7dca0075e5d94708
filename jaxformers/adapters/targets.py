"""Which arrays of a model an adapter is about, by the declaration and by the names that files have for them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from .. import declare
from ..checkpoint import layout
from ..declare import Param, Tree
from ..layers.low_rank import LowRank, declared
from .config import ALL_LINEAR, HEADS, LoraConfig

_DENSE = ("matrix", "projection", "unembedding")
_QUERIES = ("query", "value", "qkv", "kv")
# Where PEFT's usual layers are others than queries and values.
_USUAL = {"phi": ("q_proj", "v_proj", "fc1", "fc2"), "deberta": ("in_proj",)}
_HEADS = {name for names in HEADS.values() for name in names}
_SHOWN = 12  # names in a message


@dataclasses.dataclass(frozen=True)
class _Module:
    """A module with a weight: its Hub name, and the record that is its weight, or a part of it."""

    name: str
    path: str
    param: Param

    @property
    def names(self) -> list[str]:
        """All names under which files may have it."""
        return [self.name, *(alias.removesuffix(".weight") for alias in self.param.aliases)]

    @property
    def tied(self) -> bool:
        """Whether words are looked up in it, and scored by it."""
        return self.param.role == "unembedding" and self.path.split(".")[-2] == "word"

    @property
    def dense(self) -> bool:
        """Whether `linear` reads it, and nothing else."""
        return self.param.role in _DENSE and self.path.endswith((".weight", ".table")) and not self.tied

    @property
    def linear(self) -> bool:
        """Whether it is among "all-linear"."""
        return self.dense and self.param.role != "unembedding" and self.param.layout != "squeezed"


def settled(config: LoraConfig, declaration: Tree, model_type: str, owner: str) -> LoraConfig:
    """The config with the names of all its modules: what files say of an adapter.

    Args:
        config: as a caller gives it.
        declaration: of the model.
        model_type: of its config.
        owner: the class's name, for messages.

    Raises:
        ValueError: a module to save that the model does not have, or whose array is another's too; or no module is
            named, and none is a usual one.
    """
    modules, usual = list(_modules(declaration)), HEADS.get(config.task_type, ())
    for one in modules:
        if one.tied and any(_saved(name, config.modules_to_save) for name in one.names):
            raise ValueError(f"{owner}: modules_to_save: {one.name} stands for scores of words too, and is not parted")
    for name in config.modules_to_save or ():
        if name not in _HEADS and not any(_saved(one.name, (name,)) for one in modules):
            raise ValueError(f"{owner}: modules_to_save: no module is called {name!r}; {_listed(modules)}")
    saved = tuple(dict.fromkeys((*(config.modules_to_save or ()), *usual))) or None
    config = config.replace(modules_to_save=saved)
    if config.target_roles is not None:
        chosen = [one for one in modules if one.param.role in config.target_roles and not _saved(one.name, saved)]
        return config.replace(target_modules=[one.name for one in chosen], target_roles=None)
    if isinstance(config.target_modules, str) and config.target_modules.lower() == ALL_LINEAR:
        chosen = [one for one in modules if one.linear and not _saved(one.name, saved)]
        return config.replace(target_modules=[one.name for one in chosen])
    if config.target_modules is None:
        return config.replace(target_modules=_usual([one for one in modules if one.dense], model_type, owner))
    return config


def _usual(modules: list[_Module], model_type: str, owner: str) -> Iterable[str]:
    """The names of the modules that have additions where nobody says which."""
    found = {one.name.rpartition(".")[2] for one in modules if one.path.split(".")[-2] in _QUERIES}
    names = _USUAL.get(model_type, found)
    if not names:
        raise ValueError(
            f"{owner}: no dense layers are queries and values alone: say target_modules; {_listed(modules)}"
        )
    return names


def adapted(declaration: Tree, config: LoraConfig, owner: str) -> Tree:
    """The declaration with the records of an adapter's additions.

    Args:
        declaration: of the model, layers listed or stacked.
        config: with the names of its modules (`settled`).
        owner: the class's name, for messages.

    Raises:
        ValueError: no module is meant, or one that is no dense layer, or stacked layers are not meant alike.
    """
    found = {one.name for one in _modules(declaration) if _targeted(config, one.name)}
    if not found:
        raise ValueError(
            f"{owner}: target_modules={config.target_modules!r:.200}: no module is called so; "
            + _listed([one for one in _modules(declaration) if one.dense])
        )

    def put(path: tuple[Any, ...], param: Param) -> Param | LowRank:
        modules = list(_of(declare.keystr(path), param))
        hit = [one for one in modules if one.name in found]
        if not hit:
            return param
        if not hit[0].dense:
            what = "is tied to the words" if hit[0].param.role == "unembedding" else f"is a {hit[0].param.role}"
            raise ValueError(f"{owner}: target_modules: {hit[0].name} {what}; additions are to dense layers")
        if len({_strength(config, one.name) if one.name in found else None for one in modules}) > 1:
            raise ValueError(
                f"{owner}: {hit[0].name} is one of {len(modules)} weights in one array, of which each is to have an "
                "addition alike: read the model with stacked=False, or leave patterns of layers out"
            )
        if config.lora_dropout and any(one.param.layout == "stacked" for one in hit):
            raise ValueError(
                f"{owner}: lora_dropout is not done in experts, of which {hit[0].name} is one: set it to 0"
            )
        rank, scale = _strength(config, hit[0].name)
        return declared(param, rank, scale, config.lora_dropout, _starts(config, param, rank))

    return jax.tree_util.tree_map_with_path(put, declaration, is_leaf=declare.is_param)


def own(declaration: Tree, config: LoraConfig) -> frozenset[str]:
    """The paths of the arrays that belong to an adapter: additions, modules that are saved, and biases.

    Args:
        declaration: as `adapted` gives it.
        config: with the names of its modules.
    """
    return frozenset(path for path, param in declare.walk(declaration) if _is_own(param, config))


def base_layer(name: str, config: LoraConfig) -> str:
    """The name of an array as PEFT has it, which puts a part of its own before biases of layers with an addition."""
    module, _, last = name.rpartition(".")
    return f"{module}.base_layer.{last}" if last == "bias" and _targeted(config, module) else name


def _is_own(param: Param, config: LoraConfig) -> bool:
    record = param.records[0]
    if record.role == "adapter":
        return True
    if record.role == "buffer":
        return False
    module, _, last = record.name.rpartition(".")
    if _saved(module, config.modules_to_save):
        return True
    if config.bias == "lora_only":
        return last == "bias" and _targeted(config, module)
    return config.bias == "all" and "bias" in record.name


# -- modules ----------------------------------------------------------------------------------------------------------


def _modules(declaration: Tree) -> Iterator[_Module]:
    for path, param in declare.walk(declaration):
        yield from _of(path, param)


def _of(path: str, param: Param) -> Iterable[_Module]:
    """The modules whose weights an array holds."""
    for record in param.records:
        for name in layout.names(record, record.name):
            if name.endswith(".weight"):
                yield _Module(name.removesuffix(".weight"), path, record)


def _targeted(config: LoraConfig, name: str) -> bool:
    """Whether a module has an addition."""
    if _named(config.excluded, name) or not _named(config.targets, name) or _saved(name, config.modules_to_save):
        return False
    return isinstance(config.targets, str) or name in config.targets or _in_layers(config, name)


def _named(names: str | frozenset[str], name: str) -> bool:
    """Whether a name matches a pattern, or ends as one of several do."""
    if isinstance(names, str):
        return re.fullmatch(names, name) is not None
    parts = name.split(".")
    return any(".".join(parts[first:]) in names for first in range(len(parts)))


def _saved(name: str, modules: Iterable[str] | None) -> bool:
    """Whether a module is one of those that are trained as a whole, or within one."""
    return any(re.fullmatch(rf"(.*\.)?{module}(\..*)?", name) for module in modules or ())


def _in_layers(config: LoraConfig, name: str) -> bool:
    asked = config.layers_to_transform
    if asked is None or asked == ():
        return True
    patterns = (config.layers_pattern,) if isinstance(config.layers_pattern, str) else config.layers_pattern
    for before in patterns or ("[^.]*",):
        if found := re.match(rf"(?:.*?\.)?{before}\.(\d+)\.", name):
            return int(found[1]) in ((asked,) if isinstance(asked, int) else asked)
    return False


def _strength(config: LoraConfig, name: str) -> tuple[int, float]:
    """The rank and the scale of a module's addition."""
    matching: Callable[[Any], Any] = lambda patterns: next(  # noqa: E731
        (patterns[pattern] for pattern in patterns if re.fullmatch(rf"(.*\.)?({pattern})", name)), None
    )
    rank, alpha = matching(config.rank_pattern), matching(config.alpha_pattern)
    rank = config.r if rank is None else rank
    alpha = config.lora_alpha if alpha is None else alpha
    return rank, alpha / (rank**0.5 if config.use_rslora else rank)


def _starts(config: LoraConfig, param: Param, rank: int) -> tuple[declare.Init, declare.Init]:
    """How `down` and `up` begin."""
    evenly = lambda size: declare.Uniform(-(size**-0.5), size**-0.5)  # noqa: E731
    down = declare.Normal(1 / rank) if config.init_lora_weights == "gaussian" else evenly(param.shape[-1])
    return down, evenly(rank) if config.init_lora_weights is False else declare.zeros


def _listed(modules: Iterable[_Module]) -> str:
    names = list(dict.fromkeys(one.name.rpartition(".")[2] for one in modules))
    return f"there are {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"
