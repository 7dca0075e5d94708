"""What training arguments must be beside each other, what follows from them, and older names for them."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from ..generation import checks
from ..generation.checks import Wrong
from ..layers.remat import policy_of
from ..parallel import mesh_of

# -- older names ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class OldName:
    """Another name for an argument.

    name: of the argument. write: its value from that under the old name; None: nothing was said. read: the old name's
    value from arguments.
    """

    name: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _same(name: str) -> OldName:
    return OldName(name, lambda value: value, lambda args: getattr(args, name))


def _where(old: str, name: str, value: Any) -> OldName:
    """A truth value that stood for a value of the argument."""

    def write(flag: Any) -> Any:
        if not isinstance(flag, bool):
            raise ValueError(f"{old}={checks.shown(flag)}: expected True or False")
        return value if flag else None

    return OldName(name, write, lambda args: getattr(args, name) == value)


def _computes_again(args: Any) -> bool:
    return args.remat not in (None, False)


OLD_NAMES: Mapping[str, OldName] = {
    "evaluation_strategy": _same("eval_strategy"),
    "no_cuda": _same("use_cpu"),
    "per_gpu_train_batch_size": _same("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": _same("per_device_eval_batch_size"),
    "push_to_hub_model_id": _same("hub_model_id"),
    "push_to_hub_token": _same("hub_token"),
    "gradient_checkpointing": OldName("remat", lambda value: value, _computes_again),
    "activation_checkpointing": OldName("remat", lambda value: value, _computes_again),
    "activation_checkpointing_kwargs": _same("gradient_checkpointing_kwargs"),
    "group_by_length": _where("group_by_length", "train_sampling_strategy", "group_by_length"),
    "adafactor": _where("adafactor", "optim", "adafactor"),
    "include_inputs_for_metrics": _where("include_inputs_for_metrics", "include_for_metrics", ("inputs",)),
}
"""Names of older versions of torch Transformers, and of 5.x for what 4.57 and we call otherwise."""


def translated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values under the arguments' names.

    Raises:
        ValueError: both names were given, with different values.
    """
    found = {name: value for name, value in given.items() if name not in OLD_NAMES}
    for old in (name for name in given if name in OLD_NAMES and given[name] is not None):
        name, value = OLD_NAMES[old].name, OLD_NAMES[old].write(given[old])
        if value is None:
            continue
        if found.get(name) is not None and found[name] != value:
            raise ValueError(
                f"{old}={given[old]!r} and {name}={found[name]!r} are two names for one: pass {name} alone"
            )
        found[name] = value
    return found


# -- values -----------------------------------------------------------------------------------------------------------


def remat(value: Any) -> bool | str:
    """Of remat: True, False, or a policy."""
    try:
        policy_of(value, "")
    except ValueError as error:
        raise Wrong(str(error).partition("expected ")[2]) from None
    return value


def mesh(value: Any) -> jax.sharding.Mesh | None:
    """Of mesh: one, or what `parallel.mesh_of` makes one of."""
    try:
        return mesh_of(value)
    except ValueError as error:
        raise Wrong(str(error).partition("expected ")[2]) from None


# -- together ---------------------------------------------------------------------------------------------------------


def settled(values: Mapping[str, Any], reporters: tuple[str, ...]) -> dict[str, Any]:
    """All values, with those that follow from others.

    Args:
        values: checked, each by itself.
        reporters: what `report_to` may name.

    Raises:
        ValueError: values that do not go together.
    """
    found = dict(values)
    found["report_to"] = _reporters(found["report_to"], reporters)
    found["logging_dir"] = found["logging_dir"] or os.path.join(found["output_dir"], "runs", _run())
    found["do_eval"] = found["do_eval"] or found["eval_strategy"] != "no"
    found["hub_model_id"] = _hub_name(found)
    _settle_steps(found)
    _settle_best(found)
    if found["dataloader_prefetch_factor"] and not found["dataloader_num_workers"]:
        raise ValueError("dataloader_prefetch_factor is of workers: set dataloader_num_workers above 0")
    if found["use_cpu"] and found["mesh"] is not None and found["mesh"].devices.flat[0].platform != "cpu":
        raise ValueError("use_cpu=True beside a mesh of other devices: pass one of the two")
    return found


def _settle_steps(found: dict[str, Any]) -> None:
    """How often there are logs, evaluations and saves."""
    if found["eval_strategy"] == "steps" and not found["eval_steps"]:
        if not found["logging_steps"]:
            raise ValueError("eval_strategy='steps' needs eval_steps, or logging_steps, above 0")
        found["eval_steps"] = found["logging_steps"]
    for kind in ("logging", "save"):
        if found[f"{kind}_strategy"] == "steps" and not found[f"{kind}_steps"]:
            raise ValueError(f"{kind}_strategy='steps' needs {kind}_steps above 0")


def _settle_best(found: dict[str, Any]) -> None:
    """Which model is the best, and that it is saved."""
    evaluates, saves = found["eval_strategy"], found["save_strategy"]
    plateau = found["lr_scheduler_type"] == "reduce_lr_on_plateau"
    if evaluates == "no" and (plateau or saves == "best"):
        name = "lr_scheduler_type='reduce_lr_on_plateau'" if plateau else "save_strategy='best'"
        raise ValueError(f"{name} goes by an evaluation: set eval_strategy to 'steps' or 'epoch'")
    if found["load_best_model_at_end"] and saves != "best":
        _check_saved(found)
    if found["load_best_model_at_end"] or plateau or saves == "best":
        found["metric_for_best_model"] = found["metric_for_best_model"] or "loss"
    if found["greater_is_better"] is None and found["metric_for_best_model"] is not None:
        found["greater_is_better"] = not found["metric_for_best_model"].endswith("loss")


def _check_saved(found: Mapping[str, Any]) -> None:
    """Whether each model that is evaluated could be loaded again."""
    evaluates, saves = found["eval_strategy"], found["save_strategy"]
    if evaluates != saves or evaluates == "no":
        raise ValueError(
            f"load_best_model_at_end=True loads what was saved where it was evaluated: eval_strategy={evaluates!r} and "
            f"save_strategy={saves!r} must be equal and not 'no', or save_strategy='best'"
        )
    if evaluates != "steps":
        return
    every, saved = found["eval_steps"], found["save_steps"]
    mixed = (every < 1) != (saved < 1)
    # Shares are counted in millionths, since 0.3 is no multiple of 0.1 in binary numbers.
    scale = 1_000_000 if every < 1 else 1
    if mixed or round(saved * scale) % max(1, round(every * scale)):
        raise ValueError(
            f"load_best_model_at_end=True: save_steps={saved} must be a multiple of eval_steps={every}, so that what "
            "is saved was evaluated" + (" (both steps, or both shares of all steps)" if mixed else "")
        )


def _reporters(names: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    """Of report_to."""
    asked = (names,) if isinstance(names, str) else names
    if asked in (("all",), ("none",)):
        return asked if asked == ("all",) else ()
    if unknown := [name for name in asked if name not in known]:
        raise ValueError(
            f"report_to={unknown[0]!r}: expected 'none', 'all' or some of {', '.join(map(repr, known))}; for others "
            "pass a TrainerCallback"
        )
    return tuple(asked)


def _hub_name(found: Mapping[str, Any]) -> str | None:
    """The name on the Hub; one of an organization takes the folder's name, where there is no other."""
    name, organization = found["hub_model_id"], found["push_to_hub_organization"]
    if organization is None or "/" in (name or ""):
        return name
    return f"{organization}/{name or os.path.basename(os.path.abspath(found['output_dir']))}"


def _run() -> str:
    """A name for what is logged from now on: the time and the machine."""
    return f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}"
