"""A recipe to a Trainer. What is small is read first, so that what is wrong is said before weights are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from ..adapters import get_peft_model
from ..auto import AutoConfig, AutoTokenizer
from ..config import Config
from ..training.seq2seq import Seq2SeqTrainer
from ..training.trainer import Trainer
from . import rows
from .labels import Labels
from .recipe import ModelSection, Recipe
from .rows import Example
from .training_tasks import TASKS, Settings, Task, chrf_and_bleu

_ENDLESS = 10**9  # what tokenizers without a limit say is more


def prepared(recipe: Recipe) -> tuple[Trainer, Task]:
    """The Trainer of a recipe, and its task.

    Raises:
        OSError: a file or a checkpoint that cannot be read.
        ValueError: rows that are none of the task, or do not fit the model.
        ImportError: what is to be measured needs a package that is not there.
    """
    model, args = recipe.model, recipe.arguments
    task = TASKS[model.task]
    measures = model.task != "seq2seq" or getattr(args, "predict_with_generate", False)
    if model.task == "seq2seq" and measures:
        chrf_and_bleu(["a"], ["a"])  # needs a package, which is known now
    train, held_out = _examples(recipe, task)
    tokenizer = AutoTokenizer.from_pretrained(model.tokenizer or str(model.name), **_origin(model, model.tokenizer))
    config = _config(model, tokenizer)
    labels = Labels(())
    if task.label:
        labels = Labels.of(task.found(train), model.labels, model.num_labels, config.id2label)
        config = config.replace(**labels.config)
    settings = Settings(tokenizer, recipe.data, _longest(config, tokenizer), labels)
    learnt = task.rows(train, settings)
    evaluated = task.rows(held_out, settings) if held_out else None
    kind = Seq2SeqTrainer if model.task == "seq2seq" else Trainer
    trainer = kind(
        _model(recipe, task, config),
        args,
        task.collator(settings),
        learnt.dataset,
        None if evaluated is None else evaluated.dataset,
        processing_class=tokenizer,
        compute_metrics=None if evaluated is None or not measures else evaluated.measure,
    )
    return trainer, task


def _examples(recipe: Recipe, task: Task) -> tuple[list[Example], list[Example]]:
    """Rows to train on and rows to evaluate, under the task's names."""
    data, names = recipe.data, (*task.columns, *task.further)
    columns = rows.columns(names, data.columns or {})

    def read(paths: str | Sequence[str]) -> list[Example]:
        return rows.named(rows.read(paths, whole=task.whole), columns, task.columns)

    train = read(data.train)
    if data.split:
        return rows.split(train, data.split)
    return train, read(data.eval) if data.eval else []


def _config(model: ModelSection, tokenizer: Any) -> Config:
    if model.name is not None:
        return AutoConfig.from_pretrained(model.name, **_origin(model))
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    known = {"vocab_size": len(tokenizer)} | {name: value for name, value in ids.items() if value is not None}
    return AutoConfig.for_model(**known | (model.config or {}))


def _model(recipe: Recipe, task: Task, config: Config) -> Any:
    said, key = recipe.model, jax.random.key(recipe.arguments.seed)
    if said.name is None:
        return task.model.from_config(config, key=key)
    options = {"dtype": said.dtype, "ignore_mismatched_sizes": said.ignore_mismatched_sizes}
    model = task.model.from_pretrained(said.name, config=config, key=key, **options, **_origin(said))
    return model if recipe.lora is None else get_peft_model(model, recipe.lora, key=key)


def _origin(model: ModelSection, elsewhere: str | None = None) -> dict[str, Any]:
    """What says which version of a repository is read, unless it is another one."""
    return {} if model.revision is None or elsewhere else {"revision": model.revision}


def _longest(config: Config, tokenizer: Any) -> int | None:
    """Tokens of a row that both take; None: any number."""
    limits = (config.longest_row, tokenizer.model_max_length)
    return min((limit for limit in limits if limit is not None and limit < _ENDLESS), default=None)
