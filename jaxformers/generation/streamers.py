"""Text while it is being written: printed, or handed to another thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np

_P = ParamSpec("_P")
_R = TypeVar("_R")


class BaseStreamer(Protocol):
    """What `generate` hands tokens to: the prompt's once, then each new one, then the end.

    One that has `fail(error)` too is told so of an error, in place of the end.
    """

    def put(self, value: np.ndarray) -> None:
        """Tokens [n], the prompt's first."""
        ...

    def end(self) -> None:
        """There are no more."""
        ...


@contextlib.contextmanager
def telling(streamer: Any) -> Iterator[None]:
    """An error within it is told to the streamer, whoever raises it: else who waits for text would wait for ever."""
    try:
        yield
    except BaseException as error:
        if hasattr(streamer, "fail"):
            streamer.fail(error)
        elif hasattr(streamer, "end"):
            streamer.end()
        raise


def reporting_to_streamer(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function whose errors are told to its `streamer`, those in its arguments too."""

    @functools.wraps(function)
    def telling_it(*args: _P.args, **keywords: _P.kwargs) -> _R:
        with telling(keywords.get("streamer")):
            return function(*args, **keywords)

    return telling_it


class TextStreamer:
    """Prints text as soon as its words are complete.

    A word is complete once a space or a line break follows, or at once where letters need no spaces (Chinese,
    Japanese kanji).

    Args:
        tokenizer: decodes the tokens.
        skip_prompt: leaves the prompt out.
        **decode: keywords of `tokenizer.decode`.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode = decode
        self._tokens: list[int] = []
        self._shown = 0
        self._prompt = True

    def put(self, value: np.ndarray | Sequence[int]) -> None:
        """Tokens [n] or [1, n].

        Raises:
            ValueError: more than one row.
        """
        tokens = np.asarray(value)
        if tokens.ndim > 1 and tokens.shape[0] > 1:
            raise ValueError(f"a streamer shows one row, there are {tokens.shape[0]}")
        prompt, self._prompt = self._prompt, False
        if prompt and self.skip_prompt:
            return
        self._tokens += tokens.reshape(-1).tolist()
        text = self.tokenizer.decode(self._tokens, **self.decode)
        if text.endswith("\n"):
            self.on_finalized_text(text[self._shown :])
            self._tokens, self._shown = [], 0
        else:
            end = len(text) if text and _stands_alone(text[-1]) else text.rfind(" ") + 1
            if end > self._shown:
                self.on_finalized_text(text[self._shown : end])
                self._shown = end

    def end(self) -> None:
        """Show what is left, and begin anew with the next prompt."""
        self.on_finalized_text(self._rest(), stream_end=True)

    def fail(self, error: BaseException) -> None:
        """The end, where an error is the reason; nothing is shown of a prompt that was not begun."""
        if not self._prompt:
            with contextlib.suppress(Exception):  # the first error is the one to be raised
                self.end()

    def _rest(self) -> str:
        """What has not been shown; the next prompt begins anew."""
        tokens, shown = self._tokens, self._shown
        self._tokens, self._shown, self._prompt = [], 0, True
        return self.tokenizer.decode(tokens, **self.decode)[shown:] if tokens else ""

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print a piece of text."""
        print(text, flush=True, end="\n" if stream_end else "")


class TextIteratorStreamer(TextStreamer, Iterator[str]):
    """An iterator over pieces of text, for a thread other than the one that generates; what is raised there is raised
    here too.

    Args:
        tokenizer: decodes the tokens.
        skip_prompt: leaves the prompt out.
        timeout: seconds to wait for the next piece; None: as long as it takes. Then `queue.Empty` is raised.
        **decode: keywords of `tokenizer.decode`.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode)
        self.timeout = timeout
        self._pieces: queue.Queue[str | Exception | None] = queue.Queue()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Hand a piece over."""
        self._pieces.put(text)
        if stream_end:
            self._pieces.put(None)

    def fail(self, error: BaseException) -> None:
        """Hand over what is left, then the error."""
        with contextlib.suppress(Exception):
            self.on_finalized_text(self._rest())
        self._pieces.put(_raised(error))

    def __next__(self) -> str:
        piece = self._pieces.get(timeout=self.timeout)
        if piece is None:
            raise StopIteration
        if isinstance(piece, Exception):
            raise piece
        return piece


class AsyncTextIteratorStreamer(TextStreamer, AsyncIterator[str]):
    """`TextIteratorStreamer` for `async for`, made in the event loop that iterates; generate in another thread.

    Args:
        tokenizer: decodes the tokens.
        skip_prompt: leaves the prompt out.
        timeout: seconds to wait for the next piece; None: as long as it takes. Then `TimeoutError` is raised.
        **decode: keywords of `tokenizer.decode`.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode)
        self.timeout = timeout
        self._pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Hand a piece over."""
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, text)
        if stream_end:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, None)

    def fail(self, error: BaseException) -> None:
        """Hand over what is left, then the error."""
        with contextlib.suppress(Exception):
            self.on_finalized_text(self._rest())
        with contextlib.suppress(RuntimeError):  # a loop that is closed: nobody reads
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, _raised(error))

    async def __anext__(self) -> str:
        piece = await asyncio.wait_for(self._pieces.get(), self.timeout)
        if piece is None:
            raise StopAsyncIteration
        if isinstance(piece, Exception):
            raise piece
        return piece


_ALONE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2FA1F),
)
"""Code points of characters that are words by themselves (Unicode's CJK ideographs)."""


def _raised(error: BaseException) -> Exception:
    """What a reader raises for an error in another thread: itself, but for what would end the reader's loop silently,
    or stop its thread.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    stopped = RuntimeError(f"generation was stopped: {error!r}")
    stopped.__cause__ = error
    return stopped


def _stands_alone(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _ALONE)
