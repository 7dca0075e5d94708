"""Tune an encoder to find what is code in the prose of docstrings: functions, arguments, values.

It learns from literals that authors have marked (`literals.py`), in the docstrings of packages that `docstrings.py`
says how to get; of the held-out packages it sees nothing. How it is run (two CPU cores: minutes):

    python examples/finetune_tagger.py --wheels wheels --out code-names
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import literals
import tuning

from jaxformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
)
from jaxformers.training import measures, tokenized

LONGEST = 128  # tokens


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="code-names", rate=3e-4, epochs=2, batch=16)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what docstrings.txt lists")
    parser.add_argument("--model", default="jaxformers/tiny-sentiment", help="an encoder; default: a small one")
    options = parser.parse_args(arguments)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForTokenClassification.from_pretrained(
        options.model,
        id2label=dict(enumerate(literals.TAGS)),
        key=jax.random.key(options.seed),
        ignore_mismatched_sizes=True,  # a checkpoint's head for something else is left behind
    )

    def rows(paragraphs: Sequence[literals.Tagged]) -> list[dict]:
        words, tags = zip(*tuning.some(paragraphs, options), strict=True)
        return tokenized.tagged(tokenizer, words, tags, max_length=LONGEST)

    learnt, held_out = literals.read_all(options.wheels)
    trainer = Trainer(
        model,
        tuning.arguments(options),
        DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=tuning.STEP),
        rows(learnt),
        rows(held_out),
        processing_class=tokenizer,
        compute_metrics=measures.of_tags(literals.TAGS),
    )
    return tuning.tune(trainer, "precision", "recall", "f1")


if __name__ == "__main__":
    main()
