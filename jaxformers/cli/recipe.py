"""What `jaxformers train` is told: a TOML file of sections, checked as a whole before anything is loaded."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ..adapters import LoraConfig
from ..generation import checks
from ..generation.config import nearest
from ..training import argument_fields as fields
from ..training.argument_fields import used
from ..training.arguments import Seq2SeqTrainingArguments, TrainingArguments

TASKS: Mapping[str, str | None] = {
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
    "masked-lm": None,
    "causal-lm": "CAUSAL_LM",
    "seq2seq": "SEQ_2_SEQ_LM",
}
"""Tasks, and what files of adapters call them."""

_names = checks.many(checks.text, "a list of names", 1)
_paths = checks.either(checks.text, checks.many(checks.text, "a list of paths", 1))
_count = checks.whole(1)


def _texts(value: Any) -> dict[str, str]:
    """Names by names."""
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        raise checks.Wrong('names, such as { text = "sentence" }')
    return dict(value)


@dataclasses.dataclass(frozen=True)
class Section:
    """What sections of a recipe have in common: fields with checks, made of a table of the file."""

    @classmethod
    def of(cls, name: str, table: Mapping[str, Any]) -> Self:
        """A section of its table.

        Raises:
            ValueError: an unknown key, with the nearest, or a value that cannot be.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := [key for key in table if key not in known]:
            raise ValueError(f"[{name}] has no {nearest(unknown, known)}; it takes {', '.join(known)}")
        try:
            return cls(**{key: checks.checked(known[key], value) for key, value in table.items()})
        except ValueError as error:
            raise ValueError(f"[{name}] {error}") from None


@dataclasses.dataclass(frozen=True)
class ModelSection(Section):
    """Which model, for which task.

    task: one of `TASKS`. name: a checkpoint; config: in its place the fields of a config ("model_type" first), for
    random weights. tokenizer: where from, if not from `name`. labels: names of classes, in the order of their numbers.
    """

    task: str = used("", fields.one_of(*TASKS))
    name: str | None = used(None, fields.path)
    config: dict[str, Any] | None = used(None, fields.options)
    tokenizer: str | None = used(None, fields.path)
    revision: str | None = used(None, checks.text)
    dtype: str = used("float32", checks.text)
    labels: tuple[str, ...] | None = used(None, _names)
    num_labels: int | None = used(None, _count)
    ignore_mismatched_sizes: bool = used(False, checks.flag)

    def __post_init__(self) -> None:
        if not self.task:
            raise ValueError(f"needs a task: {', '.join(TASKS)}")
        if (self.name is None) == (self.config is None):
            raise ValueError("needs either a name (of a checkpoint) or a config (with random weights)")
        if self.config is not None and "model_type" not in self.config:
            raise ValueError('config needs a model_type, such as config = { model_type = "gpt2", n_layer = 4 }')
        if self.config is not None and self.tokenizer is None:
            raise ValueError("config has no tokenizer: say from which checkpoint or folder it comes by tokenizer")
        if self.labels is not None and self.num_labels not in (None, len(self.labels)):
            raise ValueError(f"labels has {len(self.labels)} names, num_labels is {self.num_labels}: leave one out")


@dataclasses.dataclass(frozen=True)
class DataSection(Section):
    """Which rows.

    train, eval: files (.jsonl, .json, .csv, .tsv, .txt). split: the share of the training rows that is evaluated in
    place of eval; equal rows are on the same side. columns: what the files call what the task reads. stride: tokens
    that windows of a context share. prefix: in front of each source.
    """

    train: str | tuple[str, ...] = used((), _paths)
    eval: str | tuple[str, ...] = used((), _paths)
    split: float = used(0.0, fields.between(0.0, 1.0, without_high=True))
    columns: Mapping[str, str] | None = used(None, _texts)
    max_length: int | None = used(None, _count)
    max_target_length: int | None = used(None, _count)
    stride: int = used(128, checks.whole(0))
    prefix: str = used("", checks.text)
    mlm_probability: float = used(0.15, fields.between(0.0, 1.0))

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("needs train: one file, or a list of files")
        if self.eval and self.split:
            raise ValueError("eval and split both say what is evaluated: leave one out")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A run: its model, its data, the arguments of the Trainer, and an adapter that is trained in place of weights."""

    model: ModelSection
    data: DataSection
    arguments: TrainingArguments
    lora: LoraConfig | None = None

    @classmethod
    def read(cls, path: Path, changes: Sequence[tuple[Sequence[str], Any]] = ()) -> Recipe:
        """A recipe of a file, with some values changed.

        Args:
            path: a TOML file.
            changes: (keys from the section on, value).

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no TOML, or has a section, a key or a value that cannot be.
            TypeError: an unknown argument.
        """
        try:
            sections = tomllib.loads(path.read_text("utf-8"))
        except ValueError as error:  # of TOML, and of UTF-8
            raise ValueError(f"{path} is no TOML file: {error}") from None
        for keys, value in changes:
            _put(sections, keys, value)
        return cls.of(sections)

    @classmethod
    def of(cls, sections: Mapping[str, Any]) -> Recipe:
        """A recipe of its sections; errors as of `read`."""
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in sections if name not in known]:
            raise ValueError(f"there is no section {nearest(unknown, known)}; there are {_listed(known)}")
        for name in known:
            if not isinstance(sections.get(name, {}), Mapping):
                raise ValueError(
                    f"{name} = {checks.shown(sections[name])} must be a section, [{name}] with keys below it"
                )
        model = ModelSection.of("model", sections.get("model", {}))
        data = DataSection.of("data", sections.get("data", {}))
        arguments = Seq2SeqTrainingArguments if model.task == "seq2seq" else TrainingArguments
        made = arguments.from_mapping(sections.get("arguments", {}))
        if made.eval_strategy != "no" and not (data.eval or data.split):
            raise ValueError(
                f"eval_strategy={made.eval_strategy!r} needs rows to evaluate: give data.eval or data.split"
            )
        return cls(model, data, made, _adapter(model, sections["lora"]) if "lora" in sections else None)


def change(word: str) -> tuple[tuple[str, ...], Any]:
    """`section.key=value` as keys and value: what TOML reads as a value is one, the rest is text.

    Raises:
        ValueError: no section, no key, or no "=".
    """
    name, equals, said = word.partition("=")
    keys = tuple(part.strip() for part in name.split("."))
    if not equals or len(keys) < 2 or not all(keys):
        raise ValueError(f"expected section.key=value, such as arguments.learning_rate=1e-4; found {word!r}")
    try:
        return keys, tomllib.loads(f"value = {said}")["value"]
    except tomllib.TOMLDecodeError:
        return keys, said


def _adapter(model: ModelSection, table: Mapping[str, Any]) -> LoraConfig:
    """The adapter of a table of PEFT's names."""
    known = [field.name for field in dataclasses.fields(LoraConfig)]
    if unknown := [key for key in table if key not in known]:
        raise ValueError(f"[lora] has no {nearest(unknown, known)}")
    if model.name is None:
        raise ValueError("[lora] adds to the weights of a checkpoint: give model.name, not a config of random ones")
    return LoraConfig(**{"task_type": TASKS[model.task], **table})


def _put(sections: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set a value below some keys."""
    table = sections
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(keys)}: {key} is a value, which has nothing below it")
    table[keys[-1]] = value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"[{name}]" for name in names)
