"""The Trainer: a loop on the host over `train_step`, with the arguments and methods of torch Transformers' own."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import durable, hub, runtime
from ..bundle import Model
from ..layers.losses import IGNORED, Loss, Sum
from ..outputs import Output
from . import card, columns, speed, termination
from . import optimizers as optimizers_of
from . import schedules as schedules_of
from .arguments import TrainingArguments
from .batches import Batches, StreamBatches, batches
from .callbacks import (
    CallbackHandler,
    DefaultFlowCallback,
    PrinterCallback,
    ProgressCallback,
    better,
    metric_name,
)
from .checkpoints import PREFIX, CheckpointError, Checkpoints, steps
from .collators import Arrays
from .evaluator import Evaluator
from .loader import Loader
from .metrics import EvalPrediction
from .placement import Placement
from .reports import JsonLines, reporters
from .run_state import STATE_FILE, TrainerControl, TrainerState, states_of
from .runs import Length, Run
from .sampling import Sampling
from .schedules import Level, Plateau
from .step import Labels, LossFunction, State, TrainPlan, init, read, train_step

logger = logging.getLogger(__name__)

_PLATEAU = "reduce_lr_on_plateau"
_BATCHES = "override get_train_batches or get_eval_batches, which return `training.batches.batches(...)`"
_NOT_CALLED = {
    "compute_loss": "a loss is a part of a compiled step: pass compute_loss_func=",
    "training_step": "a step is one compiled program: see `training.train_step`, and compute_loss_func=",
    "get_train_dataloader": _BATCHES,
    "get_eval_dataloader": _BATCHES,
    "get_test_dataloader": _BATCHES,
    "create_optimizer_and_scheduler": "override create_optimizer and create_scheduler",
}
"""What is overridden in classes derived from torch's Trainer, and what does the same here."""


class TrainOutput(NamedTuple):
    """What `train` returns, with the fields of torch Transformers."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class Placed(NamedTuple):
    """A batch where it is computed; of all processes, how many tokens of it are none of padding, and the operations
    that the step needs.
    """

    arrays: Mapping[str, jax.Array]
    tokens: int
    flops: float


class Trainer(Evaluator):
    """Trains a model on a dataset, evaluates it, keeps checkpoints and a log.

    trainer = Trainer(model, TrainingArguments("out"), train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    trainer.model.save_pretrained("tuned")

    Args:
        model: is not changed: `trainer.model` is the one that is trained.
        args: how; without them `TrainingArguments()`.
        data_collator: examples → arrays. Without one rows are padded where there is a tokenizer, else stacked.
        train_dataset: a sequence of tokenized examples, a `datasets` object, an iterable, or a function that returns
            one.
        eval_dataset: likewise, or a mapping from names to such.
        processing_class: the tokenizer; it is saved with the model.
        model_init: makes the model when training begins, in place of `model`.
        compute_loss_func: (output, labels, num_items_in_batch) → the mean loss of a batch, in place of the task's, or a
            `losses.Sum`. It is compiled into the step. labels: the array, or of models that have none or several a
            mapping, with attention_mask beside them.
        compute_metrics: an `EvalPrediction` → metrics by name.
        callbacks: beside those that log, evaluate, save and stop as args say.
        optimizers: an optax transformation in place of the one of args, and the schedule that it goes by, for the log.
        optimizer_cls_and_kwargs: a function that makes one, of `learning_rate=` (a schedule) and these keywords.
        preprocess_logits_for_metrics: (logits, labels) → what is kept of a batch's predictions.
        tokenizer: the older name of processing_class.

    Attributes:
        args, state, control: what callbacks are given.
    """

    def __init__(
        self,
        model: Model | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[..., Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[[], Model] | None = None,
        compute_loss_func: Callable[..., Any] | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, Any]] | None = None,
        callbacks: Sequence[Any] | None = None,
        optimizers: tuple[optax.GradientTransformation | None, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[Callable[..., optax.GradientTransformation], Mapping[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
        *,
        tokenizer: Any = None,
    ) -> None:
        if (model is None) == (model_init is None):
            raise ValueError("Trainer: pass either model= or model_init=")
        if optimizers[0] is not None and optimizer_cls_and_kwargs is not None:
            raise ValueError("Trainer: pass either optimizers= or optimizer_cls_and_kwargs=")
        model = model_init() if model is None else model  # type: ignore[misc]
        if not isinstance(model, Model):
            raise TypeError(f"Trainer: model is {type(model).__name__}: expected a model of jaxformers")
        self.args = TrainingArguments() if args is None else args
        self.processing_class = tokenizer if processing_class is None else processing_class
        self.data_collator = self._collator() if data_collator is None else data_collator
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.compute_metrics, self.compute_loss_func = compute_metrics, compute_loss_func
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.optimizers, self.optimizer_cls_and_kwargs = optimizers, optimizer_cls_and_kwargs
        self._model_init, self._model = model_init, model
        self._arrays: State | None = None  # while there is one, its weights are the model's
        self._loss = None if compute_loss_func is None else _loss_of(compute_loss_func, tuple(model.labels))
        self.placement = Placement.of(model, self.args.mesh)
        self.state, self.control = TrainerState(), TrainerControl()
        self.callback_handler = CallbackHandler(
            [DefaultFlowCallback, JsonLines, *reporters(self.args.report_to), *(callbacks or ()), _shown(self.args)],
            processing_class=self.processing_class,
        )
        self._tell("on_init_end")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse to be given what is not called.

        Raises:
            TypeError: a method of torch's Trainer that has no part in this one.
        """
        super().__init_subclass__(**kwargs)
        for name, instead in _NOT_CALLED.items():
            if name in vars(cls):
                raise TypeError(f"{cls.__name__}.{name} would not be called: {instead}")

    # -- what is trained ----------------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        """The model as it is now. While training goes on, it is that of the last step, and of no later one."""
        if self._arrays is None:
            return self._model
        params = optimizers_of.evaluation_params(self._arrays.opt_state, self._arrays.params)
        return jax.tree.unflatten(jax.tree.structure(self._model), jax.tree.leaves(params))

    @property
    def _current(self) -> State:
        assert self._arrays is not None, "training has not begun"
        return self._arrays

    def create_optimizer(self, rate: schedules_of.Schedule) -> optax.GradientTransformation:
        """The optimizer of a run, whose learning rate follows a schedule."""
        given, args = self.optimizers[0], self.args
        if given is not None:
            return given
        if self.optimizer_cls_and_kwargs is not None:
            make, options = self.optimizer_cls_and_kwargs
            return make(learning_rate=rate, **options)
        return optimizers_of.optimizer(
            args.optim,
            rate,
            self._model.laid_out,
            weight_decay=args.weight_decay,
            b1=args.adam_beta1,
            b2=args.adam_beta2,
            eps=args.adam_epsilon,
            **(args.optim_args or {}),
        )

    def create_scheduler(self, num_training_steps: int) -> schedules_of.Schedule:
        """The learning rate by step."""
        args = self.args
        options = {} if args.lr_scheduler_type == _PLATEAU else dict(args.lr_scheduler_kwargs or {})
        return schedules_of.schedule(
            args.lr_scheduler_type,
            args.learning_rate,
            steps=num_training_steps,
            warmup_steps=args.get_warmup_steps(num_training_steps),
            **options,
        )

    def plan(self, num_training_steps: int) -> TrainPlan:
        """What selects the program of a step of a run of so many."""
        args = self.args
        return TrainPlan.of(
            self._model,
            self.create_optimizer(self.create_scheduler(num_training_steps)),
            accumulation=args.gradient_accumulation_steps,
            max_grad_norm=args.max_grad_norm or None,
            compute_dtype="bfloat16" if args.bf16 else None,
            label_smoothing=args.label_smoothing_factor if "labels" in self._model.labels else 0.0,
            remat=args.remat,
            loss=self._loss,
            skip_nonfinite=args.nonfinite != "ignore",
        )

    # -- what is read -------------------------------------------------------------------------------------------

    def get_train_batches(self) -> Batches | StreamBatches:
        """The batches of the training set.

        Raises:
            ValueError: there is none, it is empty, smaller than a batch, or has no column that the model takes.
        """
        args = self.args
        if self.train_dataset is None:
            raise ValueError("Trainer: training needs a train_dataset=")
        return batches(
            self.train_dataset,
            self.data_collator,
            self.placement.rows(args.per_device_train_batch_size),
            sampling=cast(Sampling, args.train_sampling_strategy),
            seed=args.seed if args.data_seed is None else args.data_seed,
            accumulation=args.gradient_accumulation_steps,
            drop_last=args.dataloader_drop_last,
            fill=columns.skips_labels(self._model, self._model.config),
            labelled=bool(self._model.labels),
            length_column=args.length_column_name,
            **self._reading(),
        )

    # -- training -----------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: bool | str | Path | None = None) -> TrainOutput:
        """Train until `max_steps` or the last epoch.

        A SIGTERM lets the step end, saves a checkpoint and ends the process with exit code 0.

        Args:
            resume_from_checkpoint: a checkpoint's folder, or True for the latest one in `args.output_dir`: training
                goes on from there as if it had never stopped. None: as args say.

        Raises:
            ValueError: what is to be trained or read is wrong, or there is no such checkpoint.
            FloatingPointError: a loss or a gradient is not finite, and args do not say to leave such steps out.
            OSError: a checkpoint cannot be written; those before it are as they were.
        """
        runtime.enable_cache()
        args = self.args
        if self._model_init is not None:
            self._model = self._model_init()
        reading = self.get_train_batches()
        length = Length.of(reading, args.max_steps, args.num_train_epochs)
        plan = self.plan(length.steps)
        self._arrays = init(plan, self.placement.model(self._model).params, key=args.seed)
        self._begin(length)
        flops = functools.cache(functools.partial(speed.step_flops, self._model.laid_out, trained=plan.trained))
        with (
            termination.requests() as ended,
            Loader(reading, place=lambda arrays: self._placed(plan, arrays, flops)) as loader,
            Checkpoints(args.output_dir, plan.trained, args.save_total_limit or None) as checkpoints,
        ):
            run = Run(plan, loader, checkpoints, length, self._plateau(), Level(args.learning_rate))
            self._resume(run, args.resume_from_checkpoint if resume_from_checkpoint is None else resume_from_checkpoint)
            self._tell("on_train_begin")
            self._loop(run, ended.is_set)
            if ended.is_set():
                logger.warning("asked to end: saving the state after %d steps", self.state.global_step)
                self._save(run)
                checkpoints.wait()
                raise SystemExit(0)
            return self._finish(run)

    def _begin(self, length: Length) -> None:
        """The state and the control of a run before its first step."""
        args, self.control = self.args, TrainerControl()
        self.state = TrainerState(
            max_steps=length.steps,
            num_train_epochs=length.epochs,
            train_batch_size=args.train_batch_size,
            epoch=0.0,
            is_local_process_zero=args.local_process_index == 0,
            is_world_process_zero=args.process_index == 0,
        )
        self.state.compute_steps(args, length.steps)

    def _loop(self, run: Run, ended: Callable[[], bool]) -> None:
        """Steps, until all are made, a callback says to stop, or the process is asked to end."""
        state, length = self.state, run.length
        if self.args.eval_on_start and not state.global_step:
            self._evaluate(run)
        fresh = True  # whether an epoch begins
        while state.global_step < state.max_steps and not ended():
            if fresh:
                self._tell("on_epoch_begin")
            self._step(run)
            self._react(run)
            stop = self.control.should_training_stop
            fresh = length.ends_epoch(run.loader.place, state.global_step) or stop or self.control.should_epoch_stop
            if fresh:
                self._tell("on_epoch_end")
                self._react(run)
            if self.control.should_training_stop:
                return
            if self.control.should_epoch_stop:
                run.loader.skip(length.left(run.loader.place))

    def _step(self, run: Run) -> None:
        """One step, and what is counted of it."""
        state = self.state
        arrays, tokens, flops = next(run.loader)
        self._tell("on_step_begin")
        self._tell("on_pre_optimizer_step")
        self._arrays, metrics = train_step(run.plan, self._current, arrays)
        bad = run.meter.add(state.global_step + 1, metrics)
        self._tell("on_optimizer_step")
        state.global_step += 1
        state.epoch = run.length.epoch(run.loader.place)
        state.num_input_tokens_seen += tokens
        run.count(tokens, flops)
        state.total_flos += flops
        self._check_finite(run, bad)
        self._tell("on_step_end")

    def _react(self, run: Run) -> None:
        """Log, evaluate and save, where a callback has said so."""
        control = self.control
        if control.should_log and self.state.global_step > run.logged:
            run.logged = self.state.global_step
            self._check_finite(run, run.meter.settle())
            self.log(run.meter.logs() | run.rates())
        if control.should_evaluate:
            self._evaluate(run)
        if self.control.should_save:
            self._save(run)

    def _check_finite(self, run: Run, bad: int | None) -> None:
        """Stop at a step whose loss or gradients are not finite, or say that it was left out."""
        if bad is None:
            return
        if self.args.nonfinite != "stop":
            logger.warning("step %d: the loss or a gradient is not finite", bad)
            return
        saved = ""
        if self.args.save_strategy != "no":
            run.meter.settle()
            self._write(run)
            run.checkpoints.wait()
            saved = f" The weights from before it are in {run.checkpoints.path(self.state.global_step)}."
        raise FloatingPointError(
            f"step {bad}: the loss or a gradient is not finite.{saved} Look at the rows that it has read, lower "
            'learning_rate, or pass nonfinite="skip" to leave such steps out'
        )

    def _finish(self, run: Run) -> TrainOutput:
        """Say how long all took, load the best weights if asked, and write the model."""
        self._check_finite(run, run.meter.settle())
        state, args = self.state, self.args
        made = state.global_step - run.start
        loss = run.meter.total / max(state.global_step, 1)
        metrics = speed.speed_metrics("train", run.began, num_samples=made * run.length.rows, num_steps=made)
        metrics |= {"total_flos": state.total_flos, "train_loss": loss, "epoch": state.epoch or 0.0}
        self.log(metrics)
        run.checkpoints.wait()
        if args.load_best_model_at_end and state.best_global_step is not None:
            self._load_best(run)
        self._tell("on_train_end")
        if args.save_strategy != "no":  # also where nothing was left to train: the run before may have died just here
            self.save_model()
            self.save_state()
        if args.push_to_hub:
            self.push_to_hub()
        return TrainOutput(state.global_step, loss, metrics)

    def _load_best(self, run: Run) -> None:
        step = self.state.best_global_step
        if step is None or step not in steps(run.checkpoints.folder):
            logger.warning("the best model, of step %s, was not saved: the last one is kept", step)
            return
        logger.info("loading the best model, of step %s: %s", step, self.state.best_metric)
        self._arrays, _ = run.checkpoints.restore(step, self._current)

    def _plateau(self) -> Plateau | None:
        args = self.args
        if args.lr_scheduler_type != _PLATEAU:
            return None
        mode = "max" if args.greater_is_better else "min"
        return Plateau(**{"mode": mode} | (args.lr_scheduler_kwargs or {}))

    def _evaluate(self, run: Run) -> None:
        """Evaluate, and what follows from it: a lower rate on a plateau, and whether it is the best yet."""
        metrics, args, state = self.evaluate(), self.args, self.state
        if run.plateau is not None:
            run.level = run.plateau.after(run.level, self._metric(metrics))
            factor = run.level.rate / args.learning_rate
            changed = optimizers_of.with_rate_factor(self._current.opt_state, factor)
            self._arrays = dataclasses.replace(self._current, opt_state=changed)
        if args.metric_for_best_model is None:
            return
        value = self._metric(metrics)
        if better(args, value, state.best_metric):
            state.best_metric, state.best_global_step = value, state.global_step
            state.best_model_checkpoint = str(Path(args.output_dir) / f"{PREFIX}{state.global_step}")
            self.control.should_save |= args.save_strategy == "best"

    def _metric(self, metrics: Mapping[str, float]) -> float:
        """The one that says which model is best."""
        name = metric_name(self.args)
        if name not in metrics:
            raise ValueError(
                f"metric_for_best_model={name!r}: evaluation gives {', '.join(metrics)}; compute_metrics makes others"
            )
        return float(metrics[name])

    def _placed(self, plan: TrainPlan, arrays: Arrays, flops: Callable[[int, int, int, int], float]) -> Placed:
        """A checked batch where it is computed. flops: as `speed.step_flops`, of tokens and lengths."""
        inputs, labels = read(plan, arrays)
        target = labels.get("labels")
        written = target.shape if self._model.network.two_sided and target is not None and target.ndim == 2 else (0, 0)
        count, mask = jax.process_count(), arrays.get("attention_mask")
        places = math.prod(inputs.shape)
        needed = flops(count * places, inputs.shape[1], count * math.prod(written), written[1])
        tokens = places if mask is None else int(np.count_nonzero(mask))
        return Placed(self.placement.put(arrays), count * tokens, needed)

    # -- checkpoints --------------------------------------------------------------------------------------------

    def _save(self, run: Run) -> None:
        """Write a checkpoint of where the run stands, if all of its steps were finite."""
        self._check_finite(run, run.meter.settle())
        self._write(run)

    def _write(self, run: Run) -> None:
        args, state = self.args, self.state
        state.stateful_callbacks = states_of([*self.callback_handler.callbacks, self.control])
        told = run.told() | {"trainer_state": dataclasses.asdict(state)}
        best = state.best_global_step if args.load_best_model_at_end else None
        run.checkpoints.save(state.global_step, self._current, told, keep=() if best is None else (best,))
        if args.save_hub_format:
            run.checkpoints.wait()
            self.save_model(run.checkpoints.path(state.global_step))
        self._tell("on_save")
        if args.push_to_hub and args.hub_strategy != "end":
            self.push_to_hub(commit_message=f"Training in progress, step {state.global_step}")

    def _resume(self, run: Run, given: bool | str | Path | None) -> None:
        """Go to where a checkpoint stands."""
        if not given:
            return
        folder, step = _checkpoint(Path(self.args.output_dir), given)
        with contextlib.ExitStack() as stack:
            own = folder.absolute() == run.checkpoints.folder
            checkpoints = run.checkpoints if own else stack.enter_context(Checkpoints(folder, run.plan.trained))
            self._arrays, told = checkpoints.restore(step, self._current)
        run.resume(told, step)
        before, new = TrainerState(**told["trainer_state"]), self.state
        kept = ("max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps")
        now = {name: getattr(new, name) for name in (*kept, "is_local_process_zero", "is_world_process_zero")}
        self.state = dataclasses.replace(before, **now)
        self.callback_handler.restore(self.state.stateful_callbacks)
        logger.info("going on from %s after %d steps", folder, step)

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Write the model as it is now, and the tokenizer, in the Hub's format; by default into `args.output_dir`."""
        folder = Path(self.args.output_dir if output_dir is None else output_dir)
        write = self.model.writer()
        if jax.process_index():
            return
        with durable.Replacement(folder) as files:
            write(files)
        if hasattr(self.processing_class, "save_pretrained"):
            self.processing_class.save_pretrained(folder)

    def save_state(self) -> None:
        """Write `trainer_state.json` into `args.output_dir`."""
        if not jax.process_index():
            self.state.save_to_json(Path(self.args.output_dir) / STATE_FILE)

    def push_to_hub(self, commit_message: str = "End of training", **options: Any) -> str:
        """Upload the model, the tokenizer and a card with the run's figures; returns the commit's URL.

        Args:
            commit_message: of the upload.
            **options: of the card, see `create_model_card`.

        Raises:
            OSError: the Hub refuses or cannot be reached.
        """
        args = self.args

        def save(folder: Path) -> None:
            self.save_model(folder)
            self.create_model_card(folder=folder, **options)

        self._tell("on_push_begin")
        name = args.hub_model_id or Path(args.output_dir).absolute().name
        return hub.push(name, save, commit_message=commit_message, private=args.hub_private_repo, token=args.hub_token)

    def create_model_card(
        self, model_name: str | None = None, *, folder: str | Path | None = None, **about: Any
    ) -> Path:
        """Write a README.md with what was trained, how, and the figures of the log; returns its path.

        Args:
            model_name: its title; by default the name of `args.output_dir`.
            folder: where to; by default `args.output_dir`.
            **about: `language`, `license`, `tags`, `dataset`, `finetuned_from`, which by default is the name on the Hub
                that the model was read by.
        """
        began = self._model.name_or_path
        if began and not Path(began).exists():
            about.setdefault("finetuned_from", began)
        home = Path(self.args.output_dir)
        target = home if folder is None else Path(folder)
        text = card.written(model_name or home.absolute().name, self._model, self.args, self.state, **about)
        with durable.Replacement(target) as files:
            files.write("README.md", text.encode())
        return target / "README.md"


def _shown(args: TrainingArguments) -> Any:
    """What shows a run on the screen."""
    return PrinterCallback if args.disable_tqdm else ProgressCallback


@functools.lru_cache(maxsize=32)  # the same function again is the same program
def _loss_of(function: Callable[..., Any], names: tuple[str, ...]) -> LossFunction:
    """A user's loss as the step takes it: a mean counts as many times as there are labels, or without any as rows.

    names: of the model's labels; one alone is given as it is.
    """

    def loss(output: Output, labels: Labels) -> Sum | Loss:
        first = labels[names[0]] if names else output[0][:, 0]
        whole = jnp.issubdtype(first.dtype, jnp.integer)
        count = jnp.sum(first != IGNORED, dtype=jnp.int32) if whole else jnp.int32(first.shape[0])
        found = function(output, first if len(names) == 1 else dict(labels), num_items_in_batch=count)
        return found if isinstance(found, Sum | Loss) else Sum(found * count, count)

    return loss


def _checkpoint(home: Path, given: bool | str | Path) -> tuple[Path, int]:
    """The folder of a run and the step of the checkpoint in it that is asked for.

    Raises:
        ValueError: there is none.
    """
    if given is True:
        found = steps(home)
        if not found:
            raise ValueError(f"resume_from_checkpoint=True: there is no complete checkpoint in {home}")
        return home, found[-1]
    path = Path(given)  # type: ignore[arg-type]
    for step in steps(path.parent):
        if path.name == f"{PREFIX}{step}":
            return path.parent, step
    raise CheckpointError(f"resume_from_checkpoint: {path} is no complete checkpoint of a run here")
