"""Run a pipeline over texts: the arguments, or the lines of standard input when there are none.

A text that is an object of JSON, such as {"question": ..., "context": ...}, or a list of these (a chat), is read so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

DTYPES = "float32, bfloat16, float16, int8, int8_weight_only, int4_weight_only, or auto: as stored"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("task", metavar="TASK", help="such as sentiment-analysis or text-generation")
    parser.add_argument("texts", metavar="TEXT", nargs="*", default=[], help="default: each line of standard input")
    parser.add_argument(
        "--model", metavar="M", help="a folder, a name on the Hub, a .gguf file, or jaxformers/tiny-sentiment"
    )
    parser.add_argument("--revision", metavar="R", help="branch, tag or commit on the Hub")
    parser.add_argument("--dtype", metavar="T", help=DTYPES)
    parser.add_argument("--device", metavar="D", help="where it runs, as pipeline(device=...) takes it: cpu, gpu, tpu")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=parameter,
        help="a parameter of the task, such as top_k=2 or max_new_tokens=50; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON per text")


def run(options: argparse.Namespace) -> None:
    """Print one line per text, in the order in which they come; or what was written, as it is."""
    texts = [_checked(text, i) for i, text in enumerate(options.texts, 1)]  # before the wait for weights

    from .. import pipelines
    from .answers import as_json, line, written

    given = {name: getattr(options, name) for name in ("model", "revision", "dtype", "device")}
    given = {name: value for name, value in given.items() if value is not None}
    pipe = pipelines.pipeline(options.task, **given, **dict(options.option))
    for i, (text, answer) in enumerate(_answers(pipe, texts)):
        if options.json:
            print(as_json(answer), flush=True)
        elif pipe.task == "text-generation":
            if i:
                print()  # between texts, which may have many lines
            print(written(answer), flush=True)
        else:
            print(f"{line(answer)}\t{text}", flush=True)


def parameter(word: str) -> tuple[str, Any]:
    """`name=value` as a keyword argument: numbers, true, false, null and JSON mean themselves, the rest is text.

    Raises:
        argparse.ArgumentTypeError: no name, or no "=".
    """
    name, equals, value = word.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected name=value, found {word!r}")
    plain = {"True": True, "False": False, "None": None}
    if value in plain:
        return name, plain[value]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _answers(pipe: Callable[..., Any], texts: list[str]) -> Iterator[tuple[str, Any]]:
    """Each text with its answer. A person who types gets each answer at once, a file is read ahead in batches."""
    if not texts and sys.stdin.isatty():
        print("one text a line, Ctrl-D to end", file=sys.stderr)
        for text in lines(sys.stdin.buffer):
            yield text, pipe(_input(text))
        return
    waiting: deque[str] = deque()
    stopped: list[ValueError] = []

    def reading() -> Iterator[str]:
        """The texts; a line that cannot be read ends them, so that those before it are answered first."""
        try:
            for text in texts or lines(sys.stdin.buffer):
                waiting.append(text)
                yield _input(text)
        except ValueError as error:
            stopped.append(error)

    for answer in pipe(reading()):
        yield waiting.popleft(), answer
    for error in stopped:
        raise error


def _input(text: str) -> Any:
    """What a line means: an object of JSON such as {"question": ..., "context": ...}, a list of such, or a text."""
    if text.lstrip().startswith(("{", "[{")):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text


def lines(stream: Iterable[bytes]) -> Iterator[str]:
    """The lines of standard input as text; an empty line is a text too, so that lines in and out correspond."""
    for i, raw in enumerate(stream, 1):
        try:
            yield raw.decode("utf-8-sig" if i == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"line {i} of standard input is not UTF-8: {error.reason} at byte {error.start}") from None


def _checked(text: str, i: int) -> str:
    """Refuse an argument whose bytes were no valid text in the terminal's encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"text {i} of the command line is not UTF-8: {text!r}") from None
    return text
