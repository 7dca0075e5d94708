"""What users meet in a run of the Trainer: its files, its resumption, its callbacks, other data and other devices."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fake_hub import TOKEN, FakeHub

from jaxformers import (
    BertForSequenceClassification,
    EarlyStoppingCallback,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    compilations,
    default_data_collator,
)
from jaxformers.layers.losses import Sum
from jaxformers.training.checkpoints import CheckpointError, get_last_checkpoint, steps

from .toys import put_tokenizer

Rows = list[dict[str, Any]]


def rows(count: int = 20, lengths: tuple[int, ...] = (6,)) -> Rows:
    rng = np.random.default_rng(0)
    return [
        {"input_ids": rng.integers(5, 90, length).tolist(), "attention_mask": [1] * length, "label": i % 2}
        for i, length in zip(range(count), lengths * count, strict=False)
    ]


@pytest.fixture
def train(tmp_path: Path, toy_model: Any) -> Callable[..., Trainer]:
    """A trainer of a toy model: keywords of the trainer, and of its arguments."""
    own = ("data_collator", "train_dataset", "eval_dataset", "processing_class", "compute_metrics", "callbacks")
    own += ("compute_loss_func", "optimizers", "preprocess_logits_for_metrics", "model", "model_init")

    def made(**options: Any) -> Trainer:
        mine = {name: options.pop(name) for name in own if name in options}
        usual = {"max_steps": 6, "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-3}
        args = TrainingArguments(options.pop("output_dir", tmp_path / "out"), **usual | options)
        model = {} if "model_init" in mine else {"model": toy_model}
        return Trainer(**{"args": args, "train_dataset": rows(), "data_collator": default_data_collator} | model | mine)

    return made


def losses(trainer: Trainer) -> list[tuple[float, float]]:
    return [(entry["loss"], entry["grad_norm"]) for entry in trainer.state.log_history if "loss" in entry]


def weights(trainer: Trainer) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree.leaves(trainer.model.params)]


class Stop(TrainerCallback):
    """Ends a run as a failure would, after so many steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("broken", [4, 7])
def test_a_run_that_breaks_off_goes_on_bit_by_bit(broken: int, train: Callable[..., Trainer], tmp_path: Path) -> None:
    options = {"max_steps": 9, "save_strategy": "steps", "save_steps": 3, "save_total_limit": 1, "logging_steps": 2}
    whole = train(output_dir=tmp_path / "whole", **options)
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[Stop(broken)], **options).train()
    assert steps(tmp_path / "out") == [broken // 3 * 3]
    rest = train(**options)
    rest.train(resume_from_checkpoint=True)
    assert losses(rest) == losses(whole)
    assert all((a == b).all() for a, b in zip(weights(rest), weights(whole), strict=True))
    assert [_lasting(entry) for entry in rest.state.log_history] == [_lasting(e) for e in whole.state.log_history]
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 9]
    (tmp_path / "out" / "model.safetensors").unlink()  # as if the run had died after its last checkpoint
    again = train(**options)
    assert again.train(resume_from_checkpoint=get_last_checkpoint(tmp_path / "out")).global_step == 9
    assert all((a == b).all() for a, b in zip(weights(again), weights(whole), strict=True))
    assert (tmp_path / "out" / "model.safetensors").exists()


def _lasting(entry: dict[str, Any]) -> dict[str, Any]:
    """What a log says of anything but time."""
    return {name: value for name, value in entry.items() if "per_second" not in name and "runtime" not in name}


def test_checkpoints_of_others_are_refused(
    train: Callable[..., Trainer], make: Any, toy_config: Any, tmp_path: Path
) -> None:
    train(save_strategy="steps", save_steps=6).train()
    with pytest.raises(CheckpointError, match=r"is of another model or optimizer: it has .*, this run has no"):
        train(optim="sgd").train(resume_from_checkpoint=True)
    wide = make(BertForSequenceClassification, toy_config.replace(intermediate_size=48))
    with pytest.raises(CheckpointError, match=r"it has .*down.weight \[32, 64\], this run has .*\[32, 48\]"):
        train(model=wide).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match="the state is of batches with batch_size 8, these have 4"):
        train(per_device_train_batch_size=4).train(resume_from_checkpoint=True)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        train().train(resume_from_checkpoint=tmp_path / "out" / "checkpoint-5")
    told = tmp_path / "out" / "checkpoint-6" / "told" / "metadata"
    told.write_text(told.read_text()[:100])
    with pytest.raises(CheckpointError, match="checkpoint-6 is damaged"):
        train().train(resume_from_checkpoint=True)


def test_what_is_kept_is_the_last_and_the_best(train: Callable[..., Trainer], tmp_path: Path) -> None:
    values = iter([0.5, 0.9, 0.1, 0.2, 0.3, 0.4])
    trainer = train(
        eval_dataset=rows(8), compute_metrics=lambda _: {"worth": next(values)}, eval_strategy="steps", eval_steps=1,
        save_strategy="steps", save_steps=1, save_total_limit=2, load_best_model_at_end=True,
        metric_for_best_model="worth", save_hub_format=True,
    )  # fmt: skip
    trainer.train()
    assert steps(tmp_path / "out") == [2, 6]
    assert (trainer.state.best_metric, trainer.state.best_global_step) == (0.9, 2)
    assert trainer.state.best_model_checkpoint == str(tmp_path / "out" / "checkpoint-2")
    for folder in (tmp_path / "out" / "checkpoint-2", tmp_path / "out"):
        read = BertForSequenceClassification.from_pretrained(folder)
        assert all(
            (a == np.asarray(b)).all() for a, b in zip(weights(trainer), jax.tree.leaves(read.params), strict=True)
        )
    told = json.loads((tmp_path / "out" / "checkpoint-6" / "trainer_state.json").read_text())
    assert told["global_step"] == 6
    assert told["best_global_step"] == 2


def test_patience_ends_a_run_and_outlives_a_break(train: Callable[..., Trainer]) -> None:
    options = {
        "eval_dataset": rows(8), "compute_metrics": lambda _: {"worth": 1.0}, "eval_strategy": "steps", "eval_steps": 1,
        "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True, "metric_for_best_model": "worth",
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[EarlyStoppingCallback(3), Stop(3)], **options).train()
    trainer = train(callbacks=[EarlyStoppingCallback(3)], **options)
    assert trainer.train(resume_from_checkpoint=True).global_step == 4


def test_predictions_come_in_the_order_of_the_rows(
    train: Callable[..., Trainer], toy_model: Any, tmp_path: Path
) -> None:
    import jaxformers

    tokenizer = jaxformers.AutoTokenizer.from_pretrained(put_tokenizer(tmp_path))
    given = rows(11, (3, 9, 5, 12))
    trainer = train(processing_class=tokenizer, data_collator=None, per_device_eval_batch_size=4)
    found = trainer.predict(given)
    alone = [toy_model(input_ids=[row["input_ids"]]).logits[0] for row in given]
    np.testing.assert_allclose(found.predictions, np.stack(alone), atol=1e-5)
    assert found.label_ids.tolist() == [row["label"] for row in given]
    unlabelled = [{name: value for name, value in row.items() if name != "label"} for row in given]
    bare = trainer.predict(unlabelled)
    np.testing.assert_allclose(bare.predictions, found.predictions, atol=1e-6)
    assert bare.label_ids is None
    assert "test_loss" not in bare.metrics
    assert trainer.predict(given[:2]).predictions.shape == (2, 2)


def test_the_loss_of_an_evaluation_is_that_of_all_rows(train: Callable[..., Trainer], toy_model: Any) -> None:
    given = rows(11)
    whole = toy_model(input_ids=[row["input_ids"] for row in given], labels=[row["label"] for row in given]).loss
    found = train(per_device_eval_batch_size=4, eval_dataset={"a": given, "b": given[:3]}).evaluate()
    np.testing.assert_allclose(found["eval_a_loss"], whole, rtol=1e-6)
    assert {"eval_b_loss", "eval_b_samples_per_second", "eval_a_runtime"} <= set(found)


def test_what_compute_metrics_gets(train: Callable[..., Trainer]) -> None:
    seen: list[EvalPrediction] = []

    def measured(prediction: EvalPrediction) -> dict[str, float]:
        seen.append(prediction)
        return {"share": np.float32(0.25)}

    trainer = train(
        eval_dataset=rows(5), compute_metrics=measured, include_for_metrics=["inputs"],
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1) + 10 * labels,
    )  # fmt: skip
    assert trainer.evaluate()["eval_share"] == 0.25
    assert set((seen[0].predictions // 10).tolist()) == {0, 1}
    assert seen[0].label_ids.shape == (5,)
    assert seen[0].inputs is not None


def test_events_come_in_the_order_of_the_reference(train: Callable[..., Trainer]) -> None:
    seen: list[str] = []

    class Told(TrainerCallback):
        """Keeps the names of events."""

    def noted(name: str) -> Callable[..., None]:
        return lambda self, args, state, control, **kwargs: seen.append(f"{name[3:]} {state.global_step}")

    for name in vars(TrainerCallback):
        if name.startswith("on_"):
            setattr(Told, name, noted(name))
    train(callbacks=[Told], max_steps=2, train_dataset=rows(8), eval_dataset=rows(3), eval_strategy="epoch").train()
    assert [event for event in seen if "prediction" not in event] == [
        "init_end 0", "train_begin 0",
        "epoch_begin 0", "step_begin 0", "pre_optimizer_step 0", "optimizer_step 0", "step_end 1", "log 1",
        "epoch_end 1", "log 1", "evaluate 1",
        "epoch_begin 1", "step_begin 1", "pre_optimizer_step 1", "optimizer_step 1", "step_end 2", "log 2",
        "epoch_end 2", "log 2", "evaluate 2",
        "log 2", "train_end 2",
    ]  # fmt: skip


def test_a_callback_may_end_an_epoch(train: Callable[..., Trainer]) -> None:
    class Short(TrainerCallback):
        """Ends each epoch after its first step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_epoch_stop = True

    trainer = train(callbacks=[Short], max_steps=3)
    trainer.train()
    assert [entry["epoch"] for entry in trainer.state.log_history if "loss" in entry] == pytest.approx(
        [1 / 3, 4 / 3, 7 / 3]
    )


def test_losses_optimizers_and_models_of_ones_own(train: Callable[..., Trainer], toy_model: Any) -> None:
    plain = train()
    plain.train()

    def entropy(output: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(output.logits), labels[:, None], 1)
        return -jnp.sum(chosen, where=labels[:, None] != -100) / num_items_in_batch

    own = train(compute_loss_func=entropy)
    own.train()
    np.testing.assert_allclose(losses(own), losses(plain), rtol=1e-5)
    total = train(
        compute_loss_func=lambda output, labels, **_: Sum(jnp.sum(output.logits), 8), gradient_accumulation_steps=2
    )
    total.train()
    rate = optax.linear_schedule(1e-3, 0.0, 6)
    given = train(optimizers=(optax.adamw(rate, weight_decay=0.0), None))
    given.train()
    np.testing.assert_allclose(losses(given), losses(plain), rtol=1e-4)
    begun = train(model_init=lambda: toy_model)
    begun.train()
    assert losses(begun) == losses(plain)


def test_streams_train_and_go_on(train: Callable[..., Trainer]) -> None:
    def stream() -> Iterator[dict[str, Any]]:
        yield from rows(20)

    sized = train(train_sampling_strategy="sequential")
    sized.train()
    streamed = train(train_dataset=stream)
    streamed.train()
    assert losses(streamed) == losses(sized)


def test_mixed_lengths_need_few_programs(train: Callable[..., Trainer], tmp_path: Path) -> None:
    import jaxformers

    tokenizer = jaxformers.AutoTokenizer.from_pretrained(put_tokenizer(tmp_path))
    before = compilations().get("jaxformers_train_step", 0)
    given = rows(200, tuple(range(3, 60)))
    train(
        train_dataset=given, processing_class=tokenizer, data_collator=None, max_steps=25,
        train_sampling_strategy="group_by_length",
    ).train()  # fmt: skip
    assert compilations()["jaxformers_train_step"] - before <= 12


def test_the_same_run_again_compiles_nothing(train: Callable[..., Trainer]) -> None:
    train(lr_scheduler_type="cosine", weight_decay=0.1).train()
    before = compilations()
    train(lr_scheduler_type="cosine", weight_decay=0.1).train()
    assert compilations() == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"train_dataset": [row | {"label": 2} for row in rows()]},
            ValueError,
            r"labels\[.*\] is 2, allowed are 0 to 1",
        ),
        ({"train_dataset": []}, ValueError, "the dataset is empty"),
        ({"train_dataset": None}, ValueError, "training needs a train_dataset="),
        ({"train_dataset": [{"text": "a", "y": 1}] * 9}, ValueError, "takes none of the dataset's columns: text, y"),
        ({"train_dataset": [{"input_ids": [1, 2]}] * 9}, ValueError, "the batch has no labels"),
        ({"train_dataset": rows(3)}, ValueError, "batch_size 8 is more than the dataset's 3 rows"),
        ({"train_dataset": lambda: iter(rows()), "max_steps": -1}, ValueError, "say with max_steps= how long"),
        ({"eval_strategy": "steps"}, ValueError, "needs an eval_dataset="),
        ({"resume_from_checkpoint": True}, ValueError, "no complete checkpoint in"),
    ],
)
def test_what_cannot_be_trained(
    options: dict[str, Any], error: type[Exception], message: str, train: Callable[..., Trainer]
) -> None:
    with pytest.raises(error, match=message):
        train(**options).train()


def test_what_is_not_finite_stops_a_run_or_is_left_out(
    train: Callable[..., Trainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(output: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
        return jnp.where(labels.sum() == 4, jnp.nan, output.logits.sum())

    given = rows(40)
    for i, row in enumerate(given):
        row["label"] = int(i % 8 < (4 if i // 8 == 2 else 3))  # the third batch is the bad one
    options = {
        "compute_loss_func": bad,
        "train_dataset": given,
        "train_sampling_strategy": "sequential",
        "max_steps": 5,
    }
    stopped = train(save_strategy="steps", save_steps=1, **options)
    with pytest.raises(
        FloatingPointError, match=r"step 3: the loss or a gradient is not finite\. The weights from before"
    ):
        stopped.train()
    assert all(np.isfinite(array).all() for array in weights(stopped))
    assert get_last_checkpoint(tmp_path / "out") is not None
    left = train(nonfinite="skip", **options)
    with caplog.at_level(logging.WARNING):
        left.train()
    assert "step 3: the loss or a gradient is not finite" in caplog.text
    assert left.state.global_step == 5
    assert all(np.isfinite(array).all() for array in weights(left))


def test_a_tuned_model_goes_to_the_hub_with_a_card(
    train: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeHub() as hub:
        hub.connect(monkeypatch, tmp_path / "cache")
        trainer = train(
            push_to_hub=True, hub_model_id="me/tuned", hub_token=TOKEN, hub_strategy="every_save",
            save_strategy="steps", save_steps=3, eval_dataset=rows(8), eval_strategy="epoch",
        )  # fmt: skip
        trainer.train()
        assert len(hub.repositories["me/tuned"].commits) == 3
        read = BertForSequenceClassification.from_pretrained("me/tuned")
        (latest,) = hub.repositories["me/tuned"].revisions.values()
        text = hub.repositories["me/tuned"].commits[latest]["README.md"].decode()
    assert all((a == np.asarray(b)).all() for a, b in zip(weights(trainer), jax.tree.leaves(read.params), strict=True))
    assert text.startswith("---\nlibrary_name: jaxformers\ntags:\n- generated_from_trainer\n---\n\n# out\n")
    assert "- learning_rate: 0.001\n- per_device_train_batch_size: 8\n" in text
    last = [entry for entry in trainer.state.log_history if "eval_loss" in entry][-1]
    assert f"| 2.00 | 6 | {last['eval_loss']:.4f} |" in text
    written = trainer.create_model_card("Mine", language="en", dataset=["a", "b"], finetuned_from="base").read_text()
    assert "language:\n- en\nbase_model: base\n" in written
    assert "# Mine\n\nThis BertForSequenceClassification is a fine-tuned version of base on a, b." in written


def test_what_is_not_called_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match=r"Own.compute_loss would not be called: .*pass compute_loss_func="):

        class Own(Trainer):
            """As for torch's Trainer."""

            def compute_loss(self, model: Any, inputs: Any) -> Any: ...
