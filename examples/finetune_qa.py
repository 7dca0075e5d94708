"""Tune an encoder to find what a docstring says of an argument.

Questions and answers are made of sections of arguments (`arguments_asked.py` says what that is worth), of packages that
`docstrings.py` says how to get; of the held-out packages it sees nothing. How it is run (two CPU cores: minutes):

    python examples/finetune_qa.py --wheels wheels --out argument-answers
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import arguments_asked
import jax
import tuning

from jaxformers import AutoModelForQuestionAnswering, AutoTokenizer, DataCollatorWithPadding, Trainer
from jaxformers.training import measures, spans

LONGEST, SHARED = 192, 64  # tokens of a window, and those that neighbours share


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="argument-answers", rate=2e-4, epochs=2, batch=16)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what docstrings.txt lists")
    parser.add_argument("--model", default="jaxformers/tiny-sentiment", help="an encoder; default: a small one")
    options = parser.parse_args(arguments)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    key = jax.random.key(options.seed)
    learnt, held_out = (tuning.some(part, options) for part in arguments_asked.read_all(options.wheels))
    measured = spans.windows(tokenizer, held_out, max_length=LONGEST, stride=SHARED)
    trainer = Trainer(
        AutoModelForQuestionAnswering.from_pretrained(options.model, key=key),
        tuning.arguments(options),
        DataCollatorWithPadding(tokenizer, pad_to_multiple_of=tuning.STEP),
        spans.windows(tokenizer, learnt, max_length=LONGEST, stride=SHARED),
        measured,
        processing_class=tokenizer,
        compute_metrics=measures.of_spans(measured, held_out),
    )
    return tuning.tune(trainer, "exact_match", "f1")


if __name__ == "__main__":
    main()
