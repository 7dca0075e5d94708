"""Who reads a streamer hears of every way out of `generate`: nobody waits for text that will never come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import jaxformers
from jaxformers.generation import AsyncTextIteratorStreamer, TextIteratorStreamer, TextStreamer

from . import toys

(PROMPT,) = toys.prompts(4)


class Letters:
    """A tokenizer of one letter a token, of which some cannot be read."""

    broken: int | None = None

    def decode(self, ids: list[int], **options: Any) -> str:
        if self.broken is not None and len(ids) > self.broken:
            raise LookupError("no such letter")
        return "".join(chr(0x4E00 + i) for i in ids)


@pytest.fixture(scope="module")
def model() -> Any:
    return toys.model()


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise error

    return function


def heard(streamer: Iterator[str], run: Callable[[], Any]) -> tuple[list[str], Any, BaseException | None]:
    """What a reader in another thread gets, and what it raises; and what `run` raises here."""
    pieces: list[str] = []
    raised: list[BaseException] = []

    def read() -> None:
        try:
            pieces.extend(iter(streamer))
        except BaseException as error:
            raised.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    own: BaseException | None = None
    try:
        run()
    except BaseException as error:
        own = error
    reader.join(20)
    assert not reader.is_alive(), "the reader waits for ever"
    return pieces, raised[0] if raised else None, own


REFUSED: dict[str, dict[str, Any]] = {
    "an option that is none": {"max_new_token": 3},
    "a value that cannot be": {"max_new_tokens": -1},
    "ways that exclude each other": {"num_beams": 2},
    "no room": {"max_length": 2},
    "a way that is not built": {"penalty_alpha": 0.5, "top_k": 4},
    "a prompt that is none": {"input_ids": [[PROMPT, PROMPT]]},
    "several prompts": {"input_ids": [PROMPT, PROMPT]},
    "an id that is no word": {"input_ids": [[99]]},
    "a list that is none": {"stopping_criteria": len},
    "no vectors": {"inputs_embeds": [[1.0]]},
    "token types": {"token_type_ids": [[1, 1, 1, 1]]},
    "an assistant that is none": {"assistant_model": 3},
    "a key that is none": {"key": "seed"},
    "stop texts without a tokenizer": {"stop_strings": "x"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_reader_raises_what_was_refused_before_the_first_token(model: Any, case: str):
    streamer = TextIteratorStreamer(Letters())
    pieces, told, own = heard(
        streamer, lambda: model.generate(**{"input_ids": [PROMPT], **REFUSED[case]}, streamer=streamer)
    )
    assert isinstance(own, ValueError)
    assert told is own
    assert "".join(pieces) in ("", Letters().decode(PROMPT))


def test_a_reader_raises_what_does_not_fit_the_call_at_all(model: Any):
    streamer = TextIteratorStreamer(Letters())
    _, told, own = heard(streamer, lambda: model.generate([PROMPT], None, "more", streamer=streamer))
    assert isinstance(own, TypeError)
    assert told is own


@pytest.mark.parametrize("options", [{}, {"prompt_lookup_num_tokens": 2}], ids=["alone", "helped"])
@pytest.mark.parametrize(
    "where", ["stopping_criteria", "logits_processor", "prefix_allowed_tokens_fn", "put", "on_finalized_text"]
)
def test_a_reader_raises_what_functions_of_the_caller_raise(model: Any, where: str, options: dict[str, Any]):
    streamer, wrong = TextIteratorStreamer(Letters()), raising(LookupError("not so"))
    given: dict[str, Any] = {}
    if where in ("put", "on_finalized_text"):
        setattr(streamer, where, wrong)
    else:
        given[where] = [wrong] if where != "prefix_allowed_tokens_fn" else wrong
    _, told, own = heard(
        streamer, lambda: model.generate([PROMPT], max_new_tokens=4, streamer=streamer, **given, **options)
    )
    assert isinstance(own, LookupError)
    assert told is own


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), StopAsyncIteration()], ids=repr)
def test_what_would_end_the_reader_silently_is_an_error_there(model: Any, error: BaseException):
    streamer = TextIteratorStreamer(Letters(), skip_prompt=True)
    rule = lambda ids, _: raising(error)() if ids.shape[1] > 6 else False  # noqa: E731
    pieces, told, own = heard(
        streamer, lambda: model.generate([PROMPT], max_new_tokens=9, streamer=streamer, stopping_criteria=[rule])
    )
    assert own is error
    assert isinstance(told, RuntimeError)
    assert told.__cause__ is error
    assert len("".join(pieces)) == 2  # what had come until then
    streamer.put = raising(StopIteration())  # type: ignore[method-assign]
    _, told, own = heard(streamer, lambda: model.generate([PROMPT], streamer=streamer))
    assert isinstance(told, RuntimeError)
    assert told.__cause__ is own


@pytest.mark.parametrize("broken", [0, 5, 7])
def test_a_reader_raises_what_its_tokenizer_raises(model: Any, broken: int):
    letters = Letters()
    letters.broken = broken
    streamer = TextIteratorStreamer(letters)
    _, told, own = heard(streamer, lambda: model.generate([PROMPT], max_new_tokens=4, streamer=streamer))
    assert isinstance(own, LookupError)
    assert told is own


def test_a_streamer_that_failed_is_as_new(model: Any):
    streamer = TextIteratorStreamer(Letters(), skip_prompt=True)
    heard(streamer, lambda: model.generate([PROMPT], max_new_token=4, streamer=streamer))
    rule = lambda ids, _: raising(ValueError("enough"))() if ids.shape[1] > 6 else False  # noqa: E731
    heard(streamer, lambda: model.generate([PROMPT], streamer=streamer, stopping_criteria=[rule]))
    out: list[Any] = []
    pieces, told, own = heard(
        streamer, lambda: out.append(model.generate([PROMPT], max_new_tokens=4, streamer=streamer))
    )
    assert told is None
    assert own is None
    assert "".join(pieces) == Letters().decode(out[0][0, 4:].tolist())


def test_an_event_loop_raises_what_was_refused(model: Any):
    async def read(**options: Any) -> str:
        streamer = AsyncTextIteratorStreamer(Letters(), skip_prompt=True, timeout=20)
        run = asyncio.to_thread(lambda: model.generate([PROMPT], streamer=streamer, **options))
        running = asyncio.create_task(run)
        try:
            return "".join([piece async for piece in streamer])
        finally:
            await asyncio.gather(running, return_exceptions=True)

    assert len(asyncio.run(read(max_new_tokens=3))) == 3
    with pytest.raises(ValueError, match="max_new_token"):
        asyncio.run(read(max_new_token=3))
    with pytest.raises(RuntimeError, match="generation was stopped: StopAsyncIteration"):
        asyncio.run(read(stopping_criteria=[raising(StopAsyncIteration())]))
    late: list[Any] = []

    async def leave() -> None:
        late.append(AsyncTextIteratorStreamer(Letters()))

    asyncio.run(leave())
    with pytest.raises(ValueError, match="max_new_token"):  # whoever would have read is gone
        model.generate([PROMPT], streamer=late[0], max_new_token=3)


def test_what_is_printed_ends_with_its_line(model: Any, capsys: pytest.CaptureFixture[str]):
    streamer = TextStreamer(Letters(), skip_prompt=True)
    with pytest.raises(ValueError, match="max_new_token"):
        model.generate([PROMPT], streamer=streamer, max_new_token=4)
    assert capsys.readouterr().out == ""
    rule = lambda ids, _: raising(ValueError("enough"))() if ids.shape[1] > 6 else False  # noqa: E731
    with pytest.raises(ValueError, match="enough"):
        model.generate([PROMPT], streamer=streamer, stopping_criteria=[rule])
    shown = capsys.readouterr().out
    assert len(shown) == 3
    assert shown.endswith("\n")


def test_streamers_of_others_are_ended_once(model: Any):
    class Told:
        ended = 0

        def put(self, value: np.ndarray) -> None: ...

        def end(self) -> None:
            self.ended += 1

    for options in ({"max_new_token": 4}, {"num_beams": 2}, {"stopping_criteria": [raising(ValueError("no"))]}, {}):
        told = Told()
        try:
            model.generate([PROMPT], streamer=told, **options)
        except ValueError:
            assert options
        assert told.ended == 1
    with pytest.raises(ValueError, match="streamer=3"):
        model.generate([PROMPT], streamer=3)


def test_the_signature_is_still_there():
    with pytest.raises(ValueError, match="did you mean 'streamer'"):
        toys.model().generate([PROMPT], streamr=None)
    assert "streamer" in jaxformers.LlamaForCausalLM.generate.__wrapped__.__kwdefaults__
