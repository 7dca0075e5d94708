"""Chat with a model in the terminal, or with the lines of standard input as messages.

Lines that begin with / are commands: /reset forgets the chat, /quit or /exit (or Ctrl-D) leaves, /help lists them.
Ctrl-C stops an answer.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from .run import DTYPES, lines

_HELP = """\
/reset        forget the chat, but for the system message
/quit, /exit  leave; Ctrl-D too
/help         this list
Ctrl-C        stop an answer; what was said of it counts"""

_LEAVE = ("/quit", "/exit")

# How ids become text, on the screen and in what is remembered.
_SHOWN = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="MODEL", help="a folder, a name on the Hub, or the path of a .gguf file")
    parser.add_argument("--system", metavar="TEXT", help="a system message: how to behave")
    parser.add_argument(
        "--max-new-tokens", metavar="N", type=int, default=512, help="tokens of an answer at most; default: 512"
    )
    parser.add_argument("--temperature", metavar="T", type=float, help="default: the model's own, or 0.7")
    parser.add_argument("--top-k", metavar="K", type=int, help="draw among the K likeliest tokens")
    parser.add_argument(
        "--top-p", metavar="P", type=float, help="draw among the likeliest tokens of total probability P"
    )
    parser.add_argument("--greedy", action="store_true", help="always the likeliest token, no chance")
    parser.add_argument("--seed", metavar="N", type=int, help="the same answers to the same messages")
    parser.add_argument("--dtype", metavar="T", help=DTYPES)
    parser.add_argument("--device", metavar="D", help="where it runs, as pipeline(device=...) takes it: cpu, gpu, tpu")


def run(options: argparse.Namespace) -> None:
    """Answer message by message until there are no more."""
    if options.max_new_tokens < 1:
        raise ValueError(f"--max-new-tokens {options.max_new_tokens}: at least 1")
    if options.greedy and (options.temperature, options.top_k, options.top_p) != (None, None, None):
        raise ValueError("--greedy leaves nothing to chance: leave --temperature, --top-k and --top-p out")

    from .. import auto, pipelines

    tokenizer = auto.AutoTokenizer.from_pretrained(options.model)
    if tokenizer.chat_template is None:  # said before the wait for weights
        raise ValueError(
            f"{options.model} has no chat template, it was not trained to chat: "
            f"`jaxformers run text-generation --model {shlex.quote(options.model)} TEXT` goes on with a text"
        )
    tokenizer.get_chat_template()  # says so if there are several to choose from
    chosen = {name: getattr(options, name) for name in ("dtype", "device", "temperature", "top_k", "top_p")}
    given = {name: value for name, value in chosen.items() if value is not None}
    given |= {"do_sample": not options.greedy, "return_full_text": False, **_SHOWN}
    pipe = pipelines.pipeline("text-generation", model=options.model, tokenizer=tokenizer, **given)
    seed = secrets.randbits(31) if options.seed is None else options.seed
    Chat(pipe, options.system, options.max_new_tokens, seed).hold()


class Chat:
    """A conversation: what has been said, how many answers there have been, and what the model has read: the tokens
    and its cache of them, so that each message is read once.
    """

    def __init__(self, pipe: Any, system: str | None, most: int, seed: int) -> None:
        self.model = pipe.model.replace(generation_config=pipe.generation_config)
        self.tokenizer, self.most, self.seed = pipe.tokenizer, most, seed
        self.start = [] if system is None else [{"role": "system", "content": system}]
        self.said = list(self.start)
        self.answers = 0
        self.read: list[int] = []
        self.cache: Any = None

    def hold(self) -> None:
        """Read messages and answer them."""
        person = sys.stdin.isatty()
        if person:
            print("/help lists commands", file=sys.stderr)
        for line in _typed() if person else lines(sys.stdin.buffer):
            word = line.strip()
            if word in _LEAVE:
                return
            if word == "/reset":
                self.said, self.cache = list(self.start), None
            elif word == "/help":
                print(_HELP, file=sys.stderr)
            elif word.startswith("/") and word[1:].isalpha():
                print(f"there is no {word}:\n{_HELP}", file=sys.stderr)
            elif word:
                self.answer_or_explain(line, person)

    def answer_or_explain(self, message: str, person: bool) -> None:
        """Answer; of what is wrong a person is told and asked anew, where a file of messages ends with an error.

        Raises:
            ValueError: there is no room for an answer, and nobody watches.
        """
        before = list(self.said)
        try:
            self.answer(message)
        except KeyboardInterrupt:
            self.said = before
            print("\n[given up]", file=sys.stderr)
        except ValueError as error:
            self.said = before
            if not person:
                raise
            print(f"{error}; /reset begins anew", file=sys.stderr)

    def answer(self, message: str) -> None:
        """Answer one message, word by word."""
        import jax

        from ..generation import TextStreamer

        self.said.append({"role": "user", "content": message})
        quiet = {"verbose": False}
        ids = self.tokenizer.apply_chat_template(self.said, add_generation_prompt=True, tokenizer_kwargs=quiet)
        most = self.room(len(ids))
        streamer = TextStreamer(self.tokenizer, skip_prompt=True, **_SHOWN)
        with _interruptible() as interrupts:
            clock = _Clock(interrupts)
            out = self.model.generate(
                [ids],
                key=jax.random.fold_in(jax.random.key(self.seed), self.answers),
                max_new_tokens=most,
                streamer=streamer,
                stopping_criteria=[clock],
                past_key_values=self.known(ids),
                return_dict_in_generate=True,
            )
        self.answers += 1
        self.read, self.cache = out.sequences[0].tolist(), out.past_key_values
        self.said.append({"role": "assistant", "content": self.tokenizer.decode(self.read[len(ids) :], **_SHOWN)})
        print(clock.report(), file=sys.stderr)

    def known(self, ids: list[int]) -> Any:
        """The cache of those first tokens that have been read, of which there are less than all; None: of none."""
        import jax

        if self.cache is None:
            return None
        pairs = itertools.zip_longest(ids[:-1], self.read[: int(self.cache.length[0])])
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        return dataclasses.replace(self.cache, length=jax.numpy.array([same], "int32"))

    def room(self, taken: int) -> int:
        """How many tokens an answer may have: as many as were asked for, but no more than the model has room for.

        Raises:
            ValueError: there is none.
        """
        longest = self.model.config.longest_row or self.tokenizer.model_max_length
        if taken + self.most <= longest:
            return self.most
        if taken >= longest:
            raise ValueError(f"the chat has {taken} tokens, and the model takes {longest}")
        return longest - taken


class _Clock:
    """When the tokens of an answer came: a stopping criterion, so asked at each, which ends one that is interrupted."""

    def __init__(self, interrupts: list[int]) -> None:
        self.begun, self.interrupts = time.perf_counter(), interrupts
        self.times: list[float] = []

    def __call__(self, ids: Any, scores: Any) -> bool:
        self.times.append(time.perf_counter())
        return bool(self.interrupts)

    def report(self) -> str:
        """How many there were, and how fast."""
        if not self.times:
            return "[nothing]"
        first, count = self.times[0] - self.begun, len(self.times)
        rest = self.times[-1] - self.times[0]
        speed = f", then {(count - 1) / rest:.1f} a second" if count > 1 and rest > 0 else ""
        return f"[{count} tokens: the first after {first:.1f} s{speed}]"


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Within it the first Ctrl-C is noted in a list, so that an answer ends with a whole token. The second is raised:
    while a program is compiled nobody looks at the list.
    """
    interrupts: list[int] = []

    def interrupted(number: int, frame: Any) -> None:
        interrupts.append(number)
        if len(interrupts) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _typed() -> Iterator[str]:
    """What a person types, line by line; Ctrl-C drops a line."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (lines can be edited, and earlier ones called back)
    while True:
        try:
            with _raising():
                line = input("> ")
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:
            print("\n/quit leaves", file=sys.stderr)
            continue
        yield line


@contextlib.contextmanager
def _raising() -> Iterator[None]:
    """Within it Ctrl-C is a KeyboardInterrupt that the program does not remember."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
