"""Record when torch Transformers logs, evaluates, saves and stops, and what its state looks like as a file.

    python -m tests.training.record_flow

Needs torch, transformers 4.57 and accelerate; writes tests/training/flow.json and tests/training/trainer_state.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from transformers.trainer_callback import CallbackHandler

from . import flow

HERE = Path(__file__).parent


def walked(settings: dict[str, Any]) -> tuple[list[Any], Any]:
    """What torch's callbacks do under some settings, and the state at the end."""
    args = transformers.TrainingArguments("out", report_to="none", use_cpu=True, **flow.arguments_of(settings))
    callbacks: list[Any] = [transformers.trainer_callback.DefaultFlowCallback()]
    if stopping := flow.stopping(settings):
        callbacks.append(transformers.EarlyStoppingCallback(*stopping))
    handler = CallbackHandler(callbacks, None, None, None, None)
    control = transformers.TrainerControl()
    stateful = [callback for callback in [*callbacks, control] if hasattr(callback, "from_state")]
    state = transformers.TrainerState(stateful_callbacks=stateful)

    def call(event: str, control: Any, **kwargs: Any) -> Any:
        own = list(kwargs.values())  # torch's handler takes logs and metrics by place
        return getattr(handler, event)(args, state, control, *own)

    return flow.walk(args, state, control, call), state


def main() -> None:
    """Record all cases."""
    golden = {name: walked(settings)[0] for name, settings in flow.CASES.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(told)}" for name, told in golden.items()]
    (HERE / "flow.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    _, state = walked(flow.CASES["stops early"])
    state.log_history = [{"loss": 0.5, "grad_norm": float("nan"), "epoch": 0.2, "step": 2}]
    state.save_to_json(str(HERE / "trainer_state.json"))


if __name__ == "__main__":
    main()
