"""The command `jaxformers`: which subcommand runs, and what a user sees when something goes wrong.

Every subcommand is a file here with `arguments(parser)` and `run(options)`. Nothing imports jax before a subcommand
needs it, so that help and mistyped options answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from .. import __version__

COMMANDS = {
    "quicktour": "the library in short steps, on real weights",
    "run": "a pipeline over texts from the command line or standard input",
    "chat": "talk with a model in the terminal",
    "train": "a training run that a TOML file describes",
    "env": "versions, devices and settings, for bug reports",
}

# What bad input raises in the library; anything else is a defect and keeps its traceback.
_USER_ERRORS = (OSError, ValueError, KeyError, TypeError)

_BAD_INPUT, _INTERRUPTED, _BROKEN_PIPE = 2, 130, 141  # the last two as shells count signals 2 and 13


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(_BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; default: this process's.

    Returns:
        The exit code: 0; 2 after bad input; 130 after Ctrl-C; 141 when the reader of the output has gone.

    Raises:
        SystemExit: from `--help`, `--version` and mistakes in the options.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    place = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    chosen = _top().parse_args(words[: place + 1])
    command = importlib.import_module(f".{chosen.command}", __name__)
    parser = Parser(prog=f"jaxformers {chosen.command}", description=command.__doc__, allow_abbrev=False)
    _debug(parser)
    command.arguments(parser)
    options, unknown = parser.parse_known_intermixed_args(words[place + 1 :])
    if unknown:
        advice = _as_option(unknown[0], words) if "option" in options else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
    debug = "debug" in chosen or "debug" in options
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a label in letters that the terminal lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    if debug:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    interrupts: list[int] = []
    try:
        with _noted(interrupts):
            command.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit complains
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except _USER_ERRORS as error:
        if debug:
            raise
        print(f"jaxformers: {_one_line(error)}", file=sys.stderr)
        return _BAD_INPUT
    return _INTERRUPTED if interrupts else 0


@contextlib.contextmanager
def _noted(interrupts: list[int]) -> Iterator[None]:
    """Note Ctrl-C beside raising it: where it falls into a callback of C++ code, the exception is lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: Any) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _top() -> Parser:
    listed = "\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="jaxformers",
        description="Any Hub checkpoint as a pure JAX function.",
        epilog=f"commands:\n{listed}\n\n`jaxformers COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jaxformers {__version__}")
    _debug(parser)
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of the commands below")
    return parser


def _as_option(unknown: str, words: Sequence[str]) -> str:
    """How a parameter of a task is given, which someone has written as an option of the command."""
    name, equals, value = unknown.lstrip("-").partition("=")
    if not equals:
        value = "".join(words[words.index(unknown) + 1 :][:1]) or "VALUE"
    given = shlex.quote(f"{name.replace('-', '_')}={value}")
    return f"; a parameter of the task is given as --option {given}"


def _debug(parser: argparse.ArgumentParser) -> None:
    """Both parsers take --debug; it is absent from the result unless given, so that neither overrules the other."""
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks and log messages"
    )


def _one_line(error: BaseException) -> str:
    """The message of an error; KeyError would print its quotes, and a bare word needs its type to mean anything."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = " ".join(text.split())
    return text if " " in text else f"{type(error).__name__}: {text}"
