"""What models can do that have an adapter: a tree with additions, and beside it the config that says which."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Self

import jax

from .. import declare
from . import files, targets, trees
from .config import LoraConfig


class Adapted(abc.ABC):
    """The part of a model that is about its adapter.

    adapter: its config, with the names of its modules; None: the model has none.
    """

    adapter: LoraConfig | None
    config: Any
    params: Any
    prefixes: Any
    name_or_path: Any

    @property
    def peft_config(self) -> Mapping[str, LoraConfig]:
        """The configs of adapters by their names, as PEFT has them: of one, which is called "default", or of none."""
        return {} if self.adapter is None else {"default": self.adapter}

    @property
    def trains(self) -> tuple[str, ...] | None:
        """The paths of what training changes unless it is told otherwise; None: all arrays.

        Raises:
            ValueError: the adapter was loaded to be used as it is.
        """
        if self.adapter is None:
            return None
        if self.adapter.inference_mode:
            raise ValueError(
                f"{type(self).__name__}: the adapter was loaded to be used as it is: load it with is_trainable=True, "
                "or say what to train (TrainPlan.of(..., only=))"
            )
        return tuple(sorted(targets.own(self.laid_out, self.adapter)))

    def get_nb_trainable_parameters(self) -> tuple[int, int]:
        """How many numbers are trained, and how many there are."""
        tree = self.laid_out
        if self.adapter is None:
            paths = frozenset(path for path, param in declare.walk(tree) if param.role != "buffer")
        else:
            paths = frozenset() if self.adapter.inference_mode else targets.own(tree, self.adapter)
        return trees.sizes(self.params, paths)

    def print_trainable_parameters(self) -> None:
        """Print how many numbers are trained, and how many there are."""
        own, every = self.get_nb_trainable_parameters()
        print(f"trainable params: {own:,d} || all params: {every:,d} || trainable%: {100 * own / every:.4f}")

    def merge_and_unload(self) -> Self:
        """A model without an adapter, whose weights have its additions; weights in fewer bits are rounded anew.

        Modules that were trained as a whole, and biases, are as trained.

        Raises:
            ValueError: the model has no adapter.
        """
        return self._plain(trees.merged(self.params))

    def unload(self) -> Self:
        """A model without additions; modules that were trained as a whole, and biases, are as trained, as in PEFT.

        Raises:
            ValueError: the model has no adapter.
        """
        return self._plain(trees.without(self.params))

    def with_stored(self, stored: files.Stored, *, trainable: bool = False) -> Self:
        """The model with an adapter that files hold.

        Raises:
            ValueError: the adapter is of another model; nothing has been read then.
        """
        config = self._settled(stored.config.replace(inference_mode=not trainable))
        tree = targets.adapted(self.laid_out, config, self._owner)
        paths, found = files.matched(stored, tree, config, self.prefixes, self._owner)
        return self._with(tree, config, paths, found, jax.random.key(0))

    def with_new(self, config: LoraConfig, key: jax.Array | None = None) -> Self:
        """The model with an adapter that is to be trained.

        Raises:
            ValueError: the config does not fit the model, or this has an adapter already.
        """
        config = self._settled(config)
        if config.base_model_name_or_path is None:
            config = config.replace(base_model_name_or_path=self.name_or_path or None)
        tree = targets.adapted(self.laid_out, config, self._owner)
        paths = frozenset(path for path, param in declare.walk(tree) if param.role == "adapter")
        return self._with(tree, config, paths, {}, jax.random.key(0) if key is None else key)

    def _with(self, tree: Any, config: LoraConfig, paths: frozenset[str], found: Any, key: jax.Array) -> Self:
        params = trees.plain(self.params, targets.own(tree, config))
        return self._with_adapter(trees.filled(params, tree, paths, found, key), config)

    def _plain(self, params: Any) -> Self:
        if self.adapter is None:
            raise ValueError(f"{self._owner} has no adapter")
        return self._with_adapter(params, None)

    def _settled(self, config: LoraConfig) -> LoraConfig:
        if self.adapter is not None:
            raise ValueError(f"{self._owner} has an adapter already: merge_and_unload() it, or unload() it, first")
        return targets.settled(config, self.laid_out, self.config.model_type, self._owner)

    @property
    def _owner(self) -> str:
        return type(self).__name__

    @property
    @abc.abstractmethod
    def laid_out(self) -> Any:
        """The declaration of the params as they lie."""

    @abc.abstractmethod
    def _with_adapter(self, params: Any, adapter: LoraConfig | None) -> Self:
        """The model with other params and another adapter."""
