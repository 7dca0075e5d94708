"""Toys with adapters, the same here and in PEFT: weights and additions are drawn by numpy, from names and shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.training.cases import CASES as MODELS
from tests.training.cases import Case as ModelCase
from tests.training.cases import drawn

STEPS, RATE, DECAY = 10, 5e-3, 0.1
RECORDED = Path(__file__).with_name("recorded")
PREFIX = "base_model.model."


@dataclasses.dataclass(frozen=True)
class Case:
    """A toy of `tests.training.cases`, and the config of its adapter in the words of both sides."""

    model: str
    lora: Mapping[str, Any]

    @property
    def toy(self) -> ModelCase:
        return MODELS[self.model]

    def config(self, kind: Any) -> Any:
        """A LoraConfig of either side; each keeps what it is given."""
        return kind(**{name: _copy(value) for name, value in self.lora.items()})


def _copy(value: Any) -> Any:
    return type(value)(value) if isinstance(value, list | dict) else value


CASES = {
    "bert": Case("bert", {"r": 4, "lora_alpha": 16, "task_type": "SEQ_CLS"}),
    "bert_biases": Case(
        "bert",
        {
            "r": 4,
            "bias": "all",
            "target_modules": ["query", "output.dense"],
            "exclude_modules": ["attention.output.dense"],
            "modules_to_save": ["classifier", "pooler"],
        },
    ),
    "bert_own_biases": Case("bert", {"r": 2, "bias": "lora_only", "target_modules": r".*\.layer\.1\..*(key|dense)"}),
    "llama": Case(
        "llama",
        {
            "r": 4,
            "use_rslora": True,
            "target_modules": ["q_proj", "v_proj", "down_proj", "up_proj"],
            "rank_pattern": {"v_proj": 2, r"layers.1.mlp.down_proj": 6},
            "alpha_pattern": {r"mlp\..*": 4},
            "task_type": "CAUSAL_LM",
        },
    ),
    "llama_layers": Case(
        "llama",
        {
            "r": 3,
            "target_modules": ["o_proj", "gate_proj", "lm_head"],
            "layers_to_transform": [1],
            "modules_to_save": ["embed_tokens"],
        },
    ),
    "gpt2": Case("gpt2", {"r": 4, "target_modules": ["c_attn", "mlp.c_proj"], "fan_in_fan_out": True}),
    "gpt2_linear": Case("gpt2", {"r": 4, "lora_alpha": 2, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}),
    "t5": Case("t5", {"r": 4, "task_type": "SEQ_2_SEQ_LM"}),
    "t5_linear": Case("t5", {"r": 2, "target_modules": "all-linear"}),
}
TRAINED = ("bert", "bert_biases", "llama", "gpt2", "t5_linear")


def addition(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of an adapter, by the name that its file has for it."""
    return drawn(name, shape) * 2
