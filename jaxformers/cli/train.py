"""Train a model as a TOML file says, with the sections [model], [data], [arguments] and, for an adapter, [lora].

[model]
task = "sequence-classification"   # token-classification, question-answering, masked-lm, causal-lm, seq2seq
name = "sentence-transformers/all-MiniLM-L6-v2"

[data]
train = "train.jsonl"              # or .json, .csv, .tsv, .txt
split = 0.1                        # the share that is evaluated; or eval = "eval.jsonl"

[arguments]                        # of TrainingArguments
output_dir = "run"
num_train_epochs = 3
eval_strategy = "epoch"
"""

from __future__ import annotations

import argparse
from pathlib import Path

LOSS_CURVE = "loss.png"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="what is trained on what, and how")
    parser.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        dest="changes",
        action="append",
        default=[],
        help="change a value of the file, such as arguments.learning_rate=1e-4; may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in output_dir")


def run(options: argparse.Namespace) -> None:
    """Train, evaluate, and print what was found, a line each."""
    from .recipe import Recipe, change

    recipe = Recipe.read(options.config, [change(word) for word in options.changes])

    from ..training.curves import loss_curve
    from ..training.metrics import perplexity
    from .preparation import prepared

    try:
        trainer, task = prepared(recipe)
        result = trainer.train(resume_from_checkpoint=options.resume or None)
    except (ImportError, FloatingPointError) as error:  # what is to be installed, or a loss that is no number
        raise ValueError(str(error)) from error
    folder = Path(recipe.arguments.output_dir)
    if recipe.arguments.save_strategy == "no":
        trainer.save_model()
    found = {"steps": result.global_step, "train_loss": result.training_loss}
    if trainer.eval_dataset is not None:
        found |= trainer.evaluate()
        if task.says_perplexity:
            found["eval_perplexity"] = perplexity(found["eval_loss"])
    loss_curve(trainer.state.log_history, folder / LOSS_CURVE)
    for name, value in found.items():
        print(f"{name}\t{value:.4f}" if isinstance(value, float) else f"{name}\t{value}")
    print(f"model\t{folder}")
