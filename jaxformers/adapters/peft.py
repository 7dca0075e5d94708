"""The names by which PEFT's users add an adapter to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from .. import hub
from .config import LoraConfig
from .files import open_stored
from .methods import Adapted


def get_peft_model(model: Any, peft_config: LoraConfig, *, key: jax.Array | None = None) -> Any:
    """The model with a low-rank adapter that is to be trained; it gives what the model gives until then.

    model = get_peft_model(model, LoraConfig(r=8, target_modules=["q_proj", "v_proj"]))
    plan = training.TrainPlan.of(model, optimizer)       # trains the adapter alone

    Args:
        model: any of this library's; it stays as it is. Weights may be kept in fewer bits (dtype="int8").
        peft_config: which layers have an addition, and of which rank.
        key: chooses how the additions begin; `jax.random.key(0)` unless given.

    Raises:
        TypeError: no model, or no `LoraConfig`.
        ValueError: the config means no layer of the model, or one that cannot have an addition.
    """
    if not isinstance(peft_config, LoraConfig):
        raise TypeError(f"get_peft_model takes a LoraConfig, not {type(peft_config).__name__}")
    return _checked(model).with_new(peft_config, key)


class _HasAdapter(type):
    """Models with an adapter are of their own classes; they count as instances of `PeftModel` as well."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Adapted) and instance.adapter is not None


class PeftModel(metaclass=_HasAdapter):
    """Any model with an adapter: `isinstance(model, PeftModel)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("a PeftModel is made by get_peft_model(...) or PeftModel.from_pretrained(...)")

    @staticmethod
    def from_pretrained(
        model: Any, model_id: str | Path | hub.Source, *, is_trainable: bool = False, **options: Any
    ) -> Any:
        """The model with an adapter from a folder or the Hub, in PEFT's format.

        Args:
            model: that the adapter was made for; it stays as it is.
            model_id: a folder with adapter_config.json, or a name on the Hub.
            is_trainable: whether `TrainPlan.of` trains the adapter; else it is used as it is.
            **options: where files are (`hub.OPTIONS`).

        Raises:
            OSError: a file does not exist or cannot be fetched.
            ValueError: the adapter is of another model or of a kind that is not read; the message names the first array
                or field.
            TypeError: no model, or an unknown option.
        """
        source, unknown = hub.split_options(model_id, options)
        if unknown:
            raise TypeError(f"PeftModel.from_pretrained has no {next(iter(unknown))!r}")
        return _checked(model).with_stored(open_stored(source), trainable=is_trainable)


def _checked(model: Any) -> Adapted:
    if not isinstance(model, Adapted):
        raise TypeError(f"expected a model of jaxformers, found {type(model).__name__}")
    return model
