"""Tune jaxformers/tiny-translator, which writes French, to another language.

It learns from the messages that Python packages show and their translations (`catalogues.py` says how to get them); of
the held-out packages it sees nothing. Its pieces are those of English and French, and it is small: what is shown is how
such a model is tuned and measured, not a translator to be used. How it is run (two CPU cores: minutes):

    python examples/finetune_seq2seq.py --wheels wheels --language de --out english-german
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import catalogues
import scores
import tuning
from pairs import Pair

from jaxformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)
from jaxformers.training import measures, tokenized

LONGEST = 64  # tokens of either side
MEASURED = 300  # of the held-out messages at most: writing is slower than reading


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="english-german", rate=1e-3, epochs=4, batch=32)
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what catalogues.txt lists")
    parser.add_argument(
        "--model", default="jaxformers/tiny-translator", help="an encoder-decoder; default: a small one"
    )
    parser.add_argument("--language", default="de", help="of the translations; default: de")
    options = parser.parse_args(arguments)
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def rows(pairs: Sequence[Pair]) -> list[dict]:
        sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
        return tokenized.translated(tokenizer, sources, targets, max_length=LONGEST)

    found = catalogues.read_all(options.wheels, options.language)
    trainer = Seq2SeqTrainer(
        AutoModelForSeq2SeqLM.from_pretrained(options.model, dtype="float32"),
        tuning.arguments(
            options,
            Seq2SeqTrainingArguments,
            label_smoothing_factor=0.1,
            predict_with_generate=True,
            generation_num_beams=1,
            generation_max_length=LONGEST,
        ),
        DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=tuning.STEP),
        rows(tuning.some(found.train, options)),
        rows(tuning.some(found.held_out, options, MEASURED)),
        processing_class=tokenizer,
        compute_metrics=measures.of_texts(tokenizer, lambda own, right: {"chrf": scores.chrf(own, right)}),
    )
    return tuning.tune(trainer, "chrf")


if __name__ == "__main__":
    main()
