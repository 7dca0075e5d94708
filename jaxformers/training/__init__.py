"""Making weights: a pure step, optimizers and schedules by the names that torch Transformers has for them."""

from .arguments import Seq2SeqTrainingArguments, TrainingArguments
from .callbacks import (
    CallbackHandler,
    DefaultFlowCallback,
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
)
from .curves import loss_curve
from .optimizers import evaluation_params, optimizer, with_rate_factor
from .reports import JsonLines, TensorBoardCallback, TrackioCallback, WandbCallback, reporters
from .run_state import ExportableState, TrainerControl, TrainerState
from .schedules import Level, Plateau, schedule
from .speed import peak_flops, rates, speed_metrics, step_flops
from .step import State, TrainPlan, init, train_step

__all__ = [
    "CallbackHandler",
    "DefaultFlowCallback",
    "EarlyStoppingCallback",
    "ExportableState",
    "JsonLines",
    "Level",
    "Plateau",
    "PrinterCallback",
    "ProgressCallback",
    "Seq2SeqTrainingArguments",
    "State",
    "TensorBoardCallback",
    "TrackioCallback",
    "TrainPlan",
    "TrainerCallback",
    "TrainerControl",
    "TrainerState",
    "TrainingArguments",
    "WandbCallback",
    "evaluation_params",
    "init",
    "loss_curve",
    "optimizer",
    "peak_flops",
    "rates",
    "reporters",
    "schedule",
    "speed_metrics",
    "step_flops",
    "train_step",
    "with_rate_factor",
]
