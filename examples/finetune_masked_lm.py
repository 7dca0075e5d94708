"""Tune an encoder to the words of docstrings: some are hidden, and it is to say which.

Texts are those of packages that `docstrings.py` says how to get; of the held-out packages it sees nothing. The small
encoder that is tuned by default has never filled in a word, so its head begins at random, and before tuning it does no
better than guessing. How it is run (two CPU cores: minutes):

    python examples/finetune_masked_lm.py --wheels wheels --out docstring-words
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import docstrings
import jax
import tuning

from jaxformers import AutoModelForMaskedLM, AutoTokenizer, DataCollatorForLanguageModeling, Trainer
from jaxformers.training import tokenized
from jaxformers.training.metrics import perplexity

LONGEST = 128  # tokens of a row; longer texts go on in others


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="docstring-words", rate=5e-4, epochs=1, batch=16)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what docstrings.txt lists")
    parser.add_argument("--model", default="jaxformers/tiny-sentiment", help="an encoder; default: a small one")
    options = parser.parse_args(arguments)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    learnt, held_out = (tuning.some(part, options) for part in docstrings.texts(options.wheels))
    trainer = Trainer(
        AutoModelForMaskedLM.from_pretrained(options.model, key=jax.random.key(options.seed)),
        tuning.arguments(options),
        DataCollatorForLanguageModeling(tokenizer, pad_to_multiple_of=tuning.STEP),
        tokenized.masked(tokenizer, learnt, max_length=LONGEST),
        tokenized.masked(tokenizer, held_out, max_length=LONGEST),
        processing_class=tokenizer,
    )
    found = tuning.tune(trainer)
    print(f"perplexity of hidden words: {perplexity(found['eval_loss']):.1f}")
    return found


if __name__ == "__main__":
    main()
