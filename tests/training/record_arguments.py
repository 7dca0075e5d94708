"""Record what torch Transformers' training arguments are called, their defaults, and what follows from settings.

    python -m tests.training.record_arguments

Needs torch, transformers and accelerate; writes tests/training/arguments_4.json or arguments_5.json, by the version.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import transformers

from .argument_cases import CASES, FOLLOWING


def field_default(field: dataclasses.Field[Any]) -> Any:
    """A field's default as JSON has it."""
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    default = getattr(default, "value", default)
    return default if default is None or isinstance(default, bool | int | float | str | list) else str(default)


def outcome(settings: dict[str, Any]) -> Any:
    """What follows from settings, or the name of the error."""
    try:
        args = transformers.TrainingArguments("out", **{"report_to": "none", "use_cpu": True, **settings})
    except (ValueError, TypeError) as error:
        return type(error).__name__
    found = {name: args.to_dict()[name] for name in FOLLOWING if name in args.to_dict()}
    return found | {"warmup": [args.get_warmup_steps(total) for total in (7, 100)]}


def main() -> None:
    """Record names, defaults and cases."""
    warnings.simplefilter("ignore")
    fields = [field for field in dataclasses.fields(transformers.Seq2SeqTrainingArguments) if field.init]
    defaults = json.dumps({field.name: field_default(field) for field in fields})
    cases = ",\n".join(json.dumps([settings, outcome(settings)]) for settings in CASES)
    path = Path(__file__).parent / f"arguments_{transformers.__version__.partition('.')[0]}.json"
    path.write_text(f'{{"fields": {defaults},\n"cases": [\n{cases}\n]}}\n')


if __name__ == "__main__":
    main()
