"""Making weights: a pure step, optimizers and schedules by the names that torch Transformers has for them."""

from .optimizers import evaluation_params, optimizer, with_rate_factor
from .schedules import Level, Plateau, schedule
from .step import State, TrainPlan, init, train_step

__all__ = [
    "Level",
    "Plateau",
    "State",
    "TrainPlan",
    "evaluation_params",
    "init",
    "optimizer",
    "schedule",
    "train_step",
    "with_rate_factor",
]
