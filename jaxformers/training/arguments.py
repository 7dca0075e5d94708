"""How to train: names and defaults of torch Transformers' TrainingArguments (4.57, and 5.x's new ones), immutable.

Values are checked by themselves (`argument_fields.py`) and together (`argument_rules.py`) when arguments are made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
from jax.experimental import multihost_utils

from .. import parallel
from ..generation import checks
from ..generation.config import nearest
from . import argument_fields as fields
from . import argument_rules as rules
from . import optimizers, sampling, schedules
from .argument_fields import quiet, refused, used

logger = logging.getLogger(__name__)

REPORTERS = ("tensorboard", "wandb", "trackio")
"""What `report_to` may name."""

_ON_A_MESH = "pass mesh=, on which arrays lie as you say"
_NO_HALF = "float16 is not trained in: pass bf16=True"
_LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")

_flag = checks.flag
_text = checks.text
_count = checks.whole(1)
_named = checks.many(checks.text, "a list of names")
_names = checks.either(checks.text, _named)


@dataclasses.dataclass(init=False, repr=False)
class TrainingArguments:
    """Settings of the Trainer. They cannot be changed: `args.replace(learning_rate=1e-4)` is a copy.

    Counts of steps (`logging_steps`, `eval_steps`, `save_steps`, `warmup_steps`) are shares of all steps where they are
    below 1. Arguments of torch's own machinery, which change no result, are taken, and one line of the log says which
    of them do nothing. Those that would change results and are not here are errors that say what to do.

    `remat` is True or a policy of `layers.remat`, and what `gradient_checkpointing` sets. `mesh` is a `jax` mesh, sizes
    of its axes ("data=2,fsdp=4", or a mapping), or "auto", which is "fsdp" of all devices; rows are spread over "data"
    and "fsdp". `nonfinite` says what happens in a step whose loss or gradients are not finite: "stop" ends the run with
    an error and a saved state, "skip" leaves the step out, "ignore" goes on. `save_hub_format` writes at each save also
    a folder that `from_pretrained` reads.

    Args:
        *ordered: values in the order of the fields; the first is output_dir.
        **named: values by name; None stands for the default, and of max_grad_norm for none at all.

    Raises:
        TypeError: a name that is no argument; the message has the nearest.
        ValueError: a value that cannot be, by itself or beside others.
    """

    output_dir: str = used("trainer_output", fields.path)
    overwrite_output_dir: bool = used(False, _flag)
    do_train: bool = used(False, _flag)
    do_eval: bool = used(False, _flag)
    do_predict: bool = used(False, _flag)

    # How long, and on how much at once.
    num_train_epochs: float = used(3.0, fields.from_zero)
    max_steps: int = used(-1, checks.whole(-1))
    per_device_train_batch_size: int = used(8, _count)
    per_device_eval_batch_size: int = used(8, _count)
    gradient_accumulation_steps: int = used(1, _count)

    # The optimizer and its rate.
    learning_rate: float = used(5e-5, fields.from_zero)
    optim: str = used("adamw_torch_fused", fields.one_of(*optimizers.NAMES))
    optim_args: dict[str, Any] | None = used(None, fields.pairs)
    weight_decay: float = used(0.0, fields.from_zero)
    adam_beta1: float = used(0.9, fields.between(0.0, 1.0, without_high=True))
    adam_beta2: float = used(0.999, fields.between(0.0, 1.0, without_high=True))
    adam_epsilon: float = used(1e-8, fields.from_zero)
    max_grad_norm: float | None = used(1.0, fields.from_zero, off=True)  # 0 and None: never shortened
    lr_scheduler_type: str = used("linear", fields.one_of(*schedules.NAMES))
    lr_scheduler_kwargs: dict[str, Any] | None = used(None, fields.options)
    warmup_steps: float = used(0, fields.steps)
    warmup_ratio: float = used(0.0, fields.between(0.0, 1.0))
    label_smoothing_factor: float = used(0.0, fields.between(0.0, 1.0, without_high=True))

    # Numbers and memory.
    bf16: bool = used(False, _flag)
    bf16_full_eval: bool = used(False, _flag)
    remat: bool | str | None = used(None, rules.remat)
    nonfinite: str = used("stop", fields.one_of("stop", "skip", "ignore"))
    seed: int = used(42, fields.seed)
    data_seed: int | None = used(None, fields.seed)

    # Where.
    mesh: jax.sharding.Mesh | None = used(None, rules.mesh)
    use_cpu: bool = used(False, _flag)

    # What is read.
    train_sampling_strategy: str = used("random", fields.one_of(*sampling.SAMPLINGS))
    length_column_name: str = used("length", _text)
    remove_unused_columns: bool = used(True, _flag)
    label_names: tuple[str, ...] | None = used(None, _named)
    dataloader_drop_last: bool = used(False, _flag)
    dataloader_num_workers: int = used(0, checks.whole(0))
    dataloader_prefetch_factor: int | None = used(None, _count)
    ignore_data_skip: bool = used(False, _flag)

    # Evaluation.
    eval_strategy: str = used("no", fields.one_of("no", "steps", "epoch"))
    eval_steps: float | None = used(None, fields.steps)
    eval_delay: float = used(0, fields.from_zero)
    eval_on_start: bool = used(False, _flag)
    prediction_loss_only: bool = used(False, _flag)
    include_for_metrics: tuple[str, ...] = used(
        (), checks.many(fields.one_of("inputs", "loss"), "a list of 'inputs', 'loss'")
    )
    load_best_model_at_end: bool = used(False, _flag)
    metric_for_best_model: str | None = used(None, _text)
    greater_is_better: bool | None = used(None, _flag)

    # Saves.
    save_strategy: str = used("steps", fields.one_of("no", "steps", "epoch", "best"))
    save_steps: float = used(500, fields.steps)
    save_total_limit: int | None = used(None, checks.whole(0))  # 0: without limit, as None
    save_only_model: bool = used(False, _flag)
    save_hub_format: bool = used(False, _flag)
    resume_from_checkpoint: str | bool | None = used(None, checks.either(_flag, fields.path))
    restore_callback_states_from_checkpoint: bool = used(False, _flag)

    # Logs.
    logging_strategy: str = used("steps", fields.one_of("no", "steps", "epoch"))
    logging_steps: float = used(500, fields.steps)
    logging_first_step: bool = used(False, _flag)
    logging_nan_inf_filter: bool = used(True, _flag)
    # The default has the time in it, by which arguments are not to differ.
    logging_dir: str | None = dataclasses.field(
        default=None, compare=False, metadata={"check": fields.path, "off": True}
    )
    log_level: str = used("passive", fields.one_of(*_LEVELS))
    log_level_replica: str = used("warning", fields.one_of(*_LEVELS))
    disable_tqdm: bool = used(False, _flag)
    report_to: tuple[str, ...] = used((), _names)
    run_name: str | None = used(None, _text)
    project: str = used("huggingface", _text)
    trackio_space_id: str | None = used(None, _text)  # on this machine
    include_tokens_per_second: bool = used(False, _flag)
    include_num_input_tokens_seen: str = used("no", fields.seen_tokens)

    # The Hub.
    push_to_hub: bool = used(False, _flag)
    hub_model_id: str | None = used(None, _text)
    hub_strategy: str = used("every_save", fields.one_of("end", "every_save", "checkpoint", "all_checkpoints"))
    hub_token: str | None = used(None, _text)
    hub_private_repo: bool | None = used(None, _flag)
    hub_always_push: bool = used(False, _flag)
    hub_revision: str | None = used(None, _text)
    push_to_hub_organization: str | None = used(None, _text)

    # What would change results, and is not here.
    fp16: bool = refused(False, _NO_HALF)
    fp16_full_eval: bool = refused(False, "float16 is not computed in: pass bf16_full_eval=True")
    save_safetensors: bool = refused(True, "weights are saved as safetensors alone")
    fsdp: Any = refused(None, _ON_A_MESH)
    fsdp_config: Any = refused(None, _ON_A_MESH)
    fsdp_min_num_params: int = refused(0, _ON_A_MESH)
    fsdp_transformer_layer_cls_to_wrap: str | None = refused(None, _ON_A_MESH)
    deepspeed: Any = refused(None, _ON_A_MESH)
    parallelism_config: Any = refused(None, _ON_A_MESH)
    mp_parameters: str = refused("", _ON_A_MESH)
    past_index: int = refused(-1, "no state goes from one batch to the next")
    neftune_noise_alpha: float | None = refused(None, "there is no noise on embeddings: regularise by dropout")
    optim_target_modules: Any = refused(None, "no optimizer here projects gradients: pass optim='adafactor'")
    auto_find_batch_size: bool = refused(
        False, "a batch is as large as said: pass per_device_train_batch_size= that fits"
    )
    eval_do_concat_batches: bool = refused(True, "predictions of all batches are one array")
    batch_eval_metrics: bool = refused(False, "metrics are computed of all predictions at once")

    # torch's machinery.
    accelerator_config: Any = quiet(None, fields.accelerator)
    average_tokens_across_devices: bool = quiet(True)  # always so
    dataloader_in_order: bool = quiet(True)
    dataloader_multiprocessing_context: Any = quiet(None)
    dataloader_persistent_workers: bool = quiet(False)
    dataloader_pin_memory: bool = quiet(True)
    ddp_backend: str | None = quiet(None)
    ddp_broadcast_buffers: bool | None = quiet(None)
    ddp_bucket_cap_mb: int | None = quiet(None)
    ddp_find_unused_parameters: bool | None = quiet(None)
    ddp_static_graph: bool | None = quiet(None)
    ddp_timeout: int = quiet(1800)
    debug: tuple[str, ...] = quiet((), fields.debugging)
    enable_jit_checkpoint: bool = quiet(False)  # a run that is told to end always saves
    eval_accumulation_steps: int | None = quiet(None)  # predictions go to the host after each batch
    eval_use_gather_object: bool = quiet(False)
    fp16_backend: str = quiet("auto")
    fp16_opt_level: str = quiet("O1")
    full_determinism: bool = quiet(False)
    gradient_checkpointing_kwargs: Any = quiet(None)
    half_precision_backend: str = quiet("auto")
    jit_mode_eval: bool = quiet(False)
    liger_kernel_config: Any = quiet(None)
    local_rank: int = quiet(-1)
    log_on_each_node: bool = quiet(True)
    ray_scope: str = quiet("last")
    save_on_each_node: bool = quiet(False)
    skip_memory_metrics: bool = quiet(True)
    tf32: bool | None = quiet(None)
    torch_compile: bool = quiet(False)
    torch_compile_backend: str | None = quiet(None)
    torch_compile_mode: str | None = quiet(None)
    torch_empty_cache_steps: int | None = quiet(None)
    torchdynamo: str | None = quiet(None)
    tpu_metrics_debug: bool = quiet(False)
    tpu_num_cores: int | None = quiet(None)
    trackio_bucket_id: str | None = quiet(None)
    trackio_static_space_id: str | None = quiet(None)
    use_cache: bool = quiet(False)
    use_legacy_prediction_loop: bool = quiet(False)
    use_liger_kernel: bool = quiet(False)
    use_mps_device: bool = quiet(False)

    def __init__(self, *ordered: Any, **named: Any) -> None:
        declared = {field.name: field for field in dataclasses.fields(self)}
        given = _by_name(type(self).__name__, tuple(declared), ordered, named)
        given = rules.translated(given)
        if unknown := [name for name in given if name not in declared]:
            raise TypeError(_unknown(type(self), unknown))
        values = {name: field.default for name, field in declared.items()}
        values |= {name: checks.checked(declared[name], value) for name, value in given.items()}
        self.__dict__.update(rules.settled(values, REPORTERS), _given=given)
        _say_quiet(declared, values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use args.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __getattr__(self, name: str) -> Any:
        if name in rules.OLD_NAMES:
            return rules.OLD_NAMES[name].read(self)
        raise AttributeError(f"{type(self).__name__} has no {nearest([name], _known(type(self)))}")

    def __repr__(self) -> str:
        said = (f"{name}={_shown(name, value)!r}" for name, value in self._given.items())
        return f"{type(self).__name__}({', '.join(said)})"

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], **overrides: Any) -> Self:
        """Arguments of a plain mapping, such as a table of a TOML file or what `to_dict` has returned.

        Raises:
            TypeError: as when arguments are made.
            ValueError: likewise.
        """
        given = {name: value for name, value in mapping.items() if value != _shown(name, "")}
        return cls(**{**given, **overrides})

    def replace(self, **named: Any) -> Self:
        """A copy with other values. What follows from them (`greater_is_better`, `eval_steps`) follows anew.

        Raises:
            TypeError: as when arguments are made.
            ValueError: likewise.
        """
        new = rules.translated(named)
        return type(self)(**{**self._given, **new})

    # -- what follows -------------------------------------------------------------------------------------------

    @property
    def device(self) -> Any:
        """The device on which what has no layout is computed."""
        return jax.devices("cpu")[0] if self.use_cpu else jax.local_devices()[0]

    @property
    def n_gpu(self) -> int:
        """Devices of this process over which rows are spread; of any kind."""
        if self.mesh is None:
            return 1
        spread = math.prod(self.mesh.shape[axis] for axis in parallel.row_axes(self.mesh.axis_names))
        return max(1, spread // self.world_size)

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        return jax.process_count()

    @property
    def process_index(self) -> int:
        """Which of them this is."""
        return jax.process_index()

    @property
    def local_process_index(self) -> int:
        """Which of them on this machine; each process counts as a machine of its own."""
        return 0

    @property
    def should_log(self) -> bool:
        """Whether this process writes logs."""
        return self.process_index == 0

    @property
    def should_save(self) -> bool:
        """Whether this process writes files that one alone has to."""
        return self.process_index == 0

    @property
    def train_batch_size(self) -> int:
        """Rows of a micro-batch on this process."""
        return self.per_device_train_batch_size * self.n_gpu

    @property
    def eval_batch_size(self) -> int:
        """Rows of a batch of evaluation on this process."""
        return self.per_device_eval_batch_size * self.n_gpu

    @property
    def skip_nonfinite(self) -> bool:
        """Whether a step that is not finite changes nothing."""
        return self.nonfinite == "skip"

    def steps_of(self, name: str, total: int) -> int:
        """A number of steps that may be a share of all: "logging_steps", "eval_steps", "save_steps".

        Args:
            name: of the argument.
            total: all steps.
        """
        value = getattr(self, name)
        if value is None:
            raise ValueError(f"{name} is not set")
        return math.ceil(total * value) if value < 1 else int(value)

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Steps in which the rate rises, of so many: warmup_steps, or where it is 0 the share warmup_ratio."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(num_training_steps * (self.warmup_steps or self.warmup_ratio))

    def get_process_log_level(self) -> int:
        """The level of Python's logging for this process; "passive" is that which holds already."""
        said = self.log_level if self.should_log else self.log_level_replica
        if said == "passive":
            return logging.getLogger("jaxformers").getEffectiveLevel()
        return logging.DEBUG if said == "detail" else logging.getLevelNamesMapping()[said.upper()]

    @contextlib.contextmanager
    def main_process_first(self, local: bool = True, desc: str = "work") -> Iterator[None]:
        """What the first process is to do before the others, such as filling a cache of files.

        Args:
            local: of each machine; no difference here.
            desc: what is done, for errors.
        """
        del local
        if self.world_size > 1 and self.process_index:
            multihost_utils.sync_global_devices(desc)
        try:
            yield
        finally:
            if self.world_size > 1 and not self.process_index:
                multihost_utils.sync_global_devices(desc)

    # -- as plain values ----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All arguments as JSON has them; tokens of the Hub are not told."""
        return {name: _shown(name, _plain(getattr(self, name))) for name in (f.name for f in dataclasses.fields(self))}

    def to_json_string(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_sanitized_dict(self) -> dict[str, Any]:
        """The same with texts in place of what is no number, text or truth value; and the sizes of batches."""
        sizes = {"train_batch_size": self.train_batch_size, "eval_batch_size": self.eval_batch_size}
        plain = (bool, int, float, str)
        return {name: v if isinstance(v, plain) else str(v) for name, v in (self.to_dict() | sizes).items()}


@dataclasses.dataclass(init=False, repr=False)
class Seq2SeqTrainingArguments(TrainingArguments):
    """Arguments of the Seq2SeqTrainer, which may generate while it evaluates."""

    predict_with_generate: bool = used(False, _flag)
    generation_max_length: int | None = used(None, _count)
    generation_num_beams: int | None = used(None, _count)
    generation_config: Any = used(None, fields.kept)
    sortish_sampler: bool = quiet(False)  # torch's Trainer reads it nowhere either


def _by_name(owner: str, names: tuple[str, ...], ordered: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Values by name."""
    if len(ordered) > len(names):
        raise TypeError(f"{owner} takes {len(names)} arguments, {len(ordered)} were given")
    first = dict(zip(names, ordered, strict=False))
    if twice := first.keys() & named.keys():
        raise TypeError(f"{owner} got {min(twice)!r} twice")
    return first | named


def _known(cls: type[TrainingArguments]) -> list[str]:
    return [*(field.name for field in dataclasses.fields(cls)), *rules.OLD_NAMES]


def _unknown(cls: type[TrainingArguments], unknown: list[str]) -> str:
    """Why a name is none."""
    of_pairs = [name for name in unknown if name in _known(Seq2SeqTrainingArguments)]
    if of_pairs:
        return f"{cls.__name__} has no argument {of_pairs[0]!r}: Seq2SeqTrainingArguments has"
    return f"{cls.__name__} has no argument {nearest(unknown, _known(cls))}"


def _say_quiet(declared: Mapping[str, dataclasses.Field[Any]], values: Mapping[str, Any]) -> None:
    names = [name for name, field in declared.items() if field.metadata.get("quiet") and values[name] != field.default]
    if names:
        logger.info("arguments of torch's machinery, without effect here: %s", ", ".join(names))


def _shown(name: str, value: Any) -> Any:
    """A value that may be read by anybody."""
    return f"<{name.upper()}>" if name.endswith("_token") else value


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, jax.sharding.Mesh):
        return dict(value.shape)
    if isinstance(value, tuple):
        return list(value)
    return value.to_dict() if hasattr(value, "to_dict") else value
