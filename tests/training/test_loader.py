"""A loader reads ahead, goes back to where it was, and leaves no thread behind."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxformers import AutoTokenizer
from jaxformers.training.batches import batches
from jaxformers.training.collators import DataCollatorForLanguageModeling, default_data_collator
from jaxformers.training.loader import Loader

from .toys import put_tokenizer, row

ROWS = [{"input_ids": [i] * 4, "labels": i} for i in range(22)]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "jaxformers-batches"]


def wait_until_ended() -> None:
    for _ in range(100):
        if not threads():
            return
        time.sleep(0.05)
    raise AssertionError("a thread goes on")


def made(data: Any = ROWS, **keywords: Any) -> Any:
    return batches(data, default_data_collator, 4, fill=True, **keywords)


def labels(loader: Loader, count: int | None = None) -> list[list[int]]:
    found = []
    for batch in loader:
        found.append(np.asarray(batch["labels"]).tolist())
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("data", [ROWS, lambda: iter(ROWS)])
@pytest.mark.parametrize("done", [0, 1, 6, 8, 12])
def test_a_state_goes_on_with_the_batch_behind_the_last_one_given(data: Any, done: int) -> None:
    with Loader(made(data), 2) as loader:
        whole = labels(loader)
        assert labels(loader) == []
    assert len(whole) == 12
    with Loader(made(data), 2, depth=3) as loader:
        if done:
            labels(loader, done)
        state = json.loads(json.dumps(loader.state_dict()))
    with Loader(made(data), 2) as loader:
        loader.load_state_dict(state)
        assert labels(loader) == whole[done:]
        loader.load_state_dict(state)
        assert labels(loader) == whole[done:]
    with Loader(made(data), 2) as loader:
        loader.skip(done)
        assert labels(loader) == whole[done:]
    assert not threads()


def test_what_is_hidden_is_hidden_again_by_a_run_that_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [row(*rng.integers(5, 40, 3 + i % 30).tolist()) for i in range(50)]
    collator = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(put_tokenizer(tmp_path)))
    read = batches(rows, collator, 4, sampling="group_by_length")
    with Loader(read, 2) as loader:
        whole = [jax.device_get(batch) for batch in loader]
    with Loader(read, 2) as loader:
        loader.skip(17)
        rest = [jax.device_get(batch) for batch in loader]
    assert len(rest) == len(whole) - 17 == 9
    for one, other in zip(whole[17:], rest, strict=True):
        for name in ("input_ids", "labels", "attention_mask"):
            np.testing.assert_array_equal(one[name], other[name])


def test_batches_are_on_the_device_and_shapes_are_counted() -> None:
    with Loader(made(), 1) as loader:
        found = list(loader)
    assert all(isinstance(array, jax.Array) for batch in found for array in batch.values())
    assert loader.shapes == {(4, 4): 6}
    assert loader.place == (1, 0)
    assert loader.rows == 2


def test_batches_are_made_ahead_and_no_more_than_was_said() -> None:
    placed = []
    with Loader(made(), depth=2, place=lambda arrays: placed.append(1) or arrays) as loader:
        next(loader)
        time.sleep(0.4)
        assert 3 <= len(placed) <= 4  # given, in the queue, and one that waits for room


def broken() -> Iterator[dict[str, Any]]:
    yield from ROWS[:8]
    raise OSError("the disk is gone")


def test_an_error_comes_at_its_batch_and_ends_the_thread() -> None:
    loader = Loader(made(broken))
    assert labels(loader, 2) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(loader)
    assert not threads()


def test_an_error_of_placing_is_the_batchs() -> None:
    def refuse(arrays: Any) -> Any:
        raise ValueError("labels[0] is 7")

    with pytest.raises(ValueError, match="is 7"):
        next(Loader(made(), place=refuse))
    assert not threads()


def test_ctrl_c_and_leaving_early_end_the_thread() -> None:
    def stopped() -> None:
        with Loader(made()) as loader:
            next(loader)
            assert threads()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not threads()


def test_a_loader_that_is_forgotten_ends_its_thread() -> None:
    next(Loader(made()))
    gc.collect()
    wait_until_ended()


def test_a_state_of_other_batches_is_refused() -> None:
    state = Loader(made()).state_dict()
    with pytest.raises(ValueError, match="batches with rows 22, these have 20"):
        Loader(made(ROWS[:20])).load_state_dict(state)
    with pytest.raises(ValueError, match="batches with seed 42, these have 1"):
        Loader(made(seed=1)).load_state_dict(state)
    with pytest.raises(ValueError, match="the state has no position"):
        Loader(made()).load_state_dict({"epoch": 1})
    with pytest.raises(ValueError, match="depth must be 1"):
        Loader(made(), depth=0)


def test_a_thread_computes_with_the_settings_of_whoever_made_the_loader() -> None:
    seen = []
    with jax.enable_x64(True):
        loader = Loader(made(), place=lambda arrays: seen.append(jax.config.jax_enable_x64) or jax.device_put(arrays))
    with loader:
        assert next(loader)["labels"].dtype == np.int64
    assert seen[0] is True
