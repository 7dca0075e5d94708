"""The modules of a sentence encoder as values: how vectors of tokens become one, as sentence-transformers (Reimers and
Gurevych 2019, arXiv 1908.10084) defines them.

Modules run in their order. Each reads what those before it have given under a name, and gives something under a name:
`TOKENS` [M, D] for all M tokens of a batch, `VECTOR` [N, D] for its N texts, `SCORES` [N, labels]. The classes are
named as the reference's; what each is made of selects the program, and its arrays stand beside it.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp

from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from .task import Extra, Forward

TOKENS, VECTOR, SCORES = "token_embeddings", "sentence_embedding", "scores"
LOGITS, LAYERS = "causal_logits", "all_layer_embeddings"
"""Scores of words behind each text [N, words], and vectors of tokens from every layer [layers + 1, M, D]."""

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Ways to pool, in the order in which several are put side by side."""

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "Identity": lambda x: x,
    "Tanh": jnp.tanh,
    "ReLU": jax.nn.relu,
    "LeakyReLU": jax.nn.leaky_relu,
    "ELU": jax.nn.elu,
    "SELU": jax.nn.selu,
    "GELU": lambda x: jax.nn.gelu(x, approximate=False),
    "SiLU": jax.nn.silu,
    "Mish": jax.nn.mish,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
}
"""By the name of torch's class."""

Features = Mapping[str, jax.Array]
Arrays = Mapping[str, jax.Array]
"""A module's arrays by their names in its file."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """Which token of a batch belongs to which text.

    owner: [M] the number of each token's text; `count` or above: of none. place: [M] where in its text a token is.
    count: N. prompt: [M] whether a token stands in front of the text itself; None: none does. alone: whether each text
    has a row of its own, so that the tokens of all have equal room.
    """

    owner: jax.Array
    place: jax.Array
    count: int
    prompt: jax.Array | None = None
    alone: bool = False

    def sum(self, x: jax.Array) -> jax.Array:
        """Of what each token has [M, …] the sum over each text [N, …]."""
        return jax.ops.segment_sum(x, self.owner, self.count)

    def max(self, x: jax.Array) -> jax.Array:
        """The largest."""
        if not self.alone:
            return jax.ops.segment_max(x, self.owner, self.count)
        real = (self.owner < self.count).reshape(-1, *[1] * (x.ndim - 1))  # twice as fast where x has a column a word
        least = (jnp.finfo if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo)(x.dtype).min
        return jnp.where(real, x, least).reshape(self.count, -1, *x.shape[1:]).max(1)

    def min(self, x: jax.Array) -> jax.Array:
        """The smallest."""
        return jax.ops.segment_min(x, self.owner, self.count)

    def pick(self, x: jax.Array, place: jax.Array) -> jax.Array:
        """Of what each token has [M, D] that of the token at a place [N] of each text [N, D]."""
        chosen = self.place == place[jnp.minimum(self.owner, self.count - 1)]
        return self.sum(jnp.where(chosen[:, None], x, 0.0))

    def without_prompts(self) -> Texts:
        """The same, where the tokens of prompts belong to none."""
        if self.prompt is None:
            return self
        return dataclasses.replace(self, owner=jnp.where(self.prompt, self.count, self.owner))


@dataclasses.dataclass(frozen=True)
class Module(abc.ABC):
    """A step behind the transformer."""

    @property
    @abc.abstractmethod
    def reads(self) -> str:
        """The name of what it works on."""

    @property
    def gives(self) -> str:
        """The name of what it makes."""
        return self.reads

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of its arrays."""
        return ()

    @abc.abstractmethod
    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        """What it makes of x, which stands in the features under the name that it reads.

        Raises:
            ValueError: x is of another size than the arrays are for.
        """


@dataclasses.dataclass(frozen=True)
class Pooling(Module):
    """A vector of each text, from those of its tokens. include_prompt: whether a prompt's tokens count."""

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True
    reads = TOKENS
    gives = VECTOR

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        if not self.include_prompt:
            texts = texts.without_prompts()
        count = jnp.maximum(texts.sum(jnp.ones(texts.owner.shape, jnp.float32)), 1e-9)[:, None]
        parts = []
        for mode in self.modes:
            match mode:
                case "cls":
                    parts.append(texts.pick(x, texts.min(texts.place)))
                case "max":
                    parts.append(jnp.maximum(texts.max(x), jnp.finfo(jnp.float32).min))
                case "mean":
                    parts.append(texts.sum(x) / count)
                case "mean_sqrt_len_tokens":
                    parts.append(texts.sum(x) / jnp.sqrt(count))
                case "weightedmean":
                    weight = (texts.place + 1).astype(jnp.float32)
                    parts.append(texts.sum(x * weight[:, None]) / jnp.maximum(texts.sum(weight), 1e-9)[:, None])
                case "lasttoken":
                    parts.append(texts.pick(x, texts.max(texts.place)))
        return jnp.concatenate(parts, axis=-1)


@dataclasses.dataclass(frozen=True)
class Dense(Module):
    """A dense layer and an activation, on tokens or texts.

    residual: what went in is added. projects: it is projected first, to as many numbers.
    """

    activation: str = "Tanh"
    reads: str = VECTOR
    gives: str = VECTOR
    bias: bool = True
    residual: bool = False
    projects: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of its arrays."""
        return (
            "linear.weight",
            *(("linear.bias",) if self.bias else ()),
            *(("residual.weight",) if self.projects else ()),
        )

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        weight = arrays["linear.weight"]
        if weight.shape[1] != x.shape[-1]:
            raise ValueError(f"linear.weight {list(weight.shape)} is none for {x.shape[-1]} numbers")
        layer = {"weight": weight} | ({"bias": arrays["linear.bias"]} if self.bias else {})
        y = ACTIVATIONS[self.activation](linear(layer, x))
        if not self.residual:
            return y
        kept = linear({"weight": arrays["residual.weight"]}, x) if self.projects else x
        if kept.shape != y.shape:
            raise ValueError(f"use_residual adds {kept.shape[-1]} numbers to {y.shape[-1]}")
        return y + kept


@dataclasses.dataclass(frozen=True)
class LayerNorm(Module):
    """Vectors of mean 0 and variance 1, scaled and shifted."""

    reads = VECTOR
    needs = ("norm.weight", "norm.bias")

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        weight, bias = arrays["norm.weight"], arrays["norm.bias"]
        if weight.shape != x.shape[-1:]:
            raise ValueError(f"norm.weight {list(weight.shape)} is none for {x.shape[-1]} numbers")
        return layer_norm({"scale": weight, "bias": bias}, x, 1e-5)


@dataclasses.dataclass(frozen=True)
class Normalize(Module):
    """Vectors of length 1."""

    reads: str = VECTOR
    gives: str = VECTOR

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


@dataclasses.dataclass(frozen=True)
class Dropout(Module):
    """Vectors as they are; in training with some numbers left out. rate: how many."""

    rate: float = 0.2
    reads = VECTOR

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        return x


@dataclasses.dataclass(frozen=True)
class SpladePooling(Module):
    """Weights of words, from their scores at each token (Formal et al. 2021, arXiv 2107.05720).

    strategy: "max" or "sum" over the tokens. activation: "relu", or "log1p_relu" for a logarithm more.
    """

    strategy: str = "max"
    activation: str = "relu"
    reads = TOKENS
    gives = VECTOR

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        weight = jnp.log1p(jax.nn.relu(x))
        if self.activation == "log1p_relu":
            weight = jnp.log1p(weight)
        return texts.sum(weight) if self.strategy == "sum" else jnp.maximum(texts.max(weight), 0.0)


@dataclasses.dataclass(frozen=True)
class WeightedLayerPooling(Module):
    """Vectors of tokens as the weighted mean over the transformer's layers from `start` on, where it gives them all."""

    start: int = 4
    reads = TOKENS
    needs = ("layer_weights",)

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        if LAYERS not in features:
            return x
        weight, layers = arrays["layer_weights"], features[LAYERS][self.start :]
        if weight.shape != layers.shape[:1]:
            raise ValueError(f"layer_weights {list(weight.shape)} are none for {len(layers)} layers from {self.start}")
        return jnp.einsum("l,lmd->md", weight / weight.sum(), layers)


@dataclasses.dataclass(frozen=True)
class LogitScore(Module):
    """How much likelier one word is than another as the next, in logits; without `no` the logit of `yes`.

    yes, no: tokens; without both those of "yes" and "no". Scores of others are never made: what it reads has a column
    for each of these.
    """

    yes: int | None = None
    no: int | None = None
    reads = LOGITS
    gives = SCORES

    @property
    def words(self) -> tuple[int, ...]:
        """The tokens that are said, in the order of their columns."""
        return tuple(word for word in (self.yes, self.no) if word is not None)

    def __call__(self, x: jax.Array, features: Features, arrays: Arrays, texts: Texts) -> jax.Array:
        return x[:, :1] - x[:, 1:].sum(1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Head:
    """What a transformer is loaded for.

    task: `Model.task` of its class; None: without a head. result: the name of what it returns. gives: the name that
    modules read it by.
    """

    task: str | None
    result: str
    gives: str


HEADS: Mapping[str, Head] = {
    "feature-extraction": Head(None, "last_hidden_state", TOKENS),
    "fill-mask": Head("MaskedLM", "logits", TOKENS),
    "sequence-classification": Head("SequenceClassification", "logits", SCORES),
    "text-generation": Head("CausalLM", "logits", LOGITS),
}
"""By the reference's name of the task."""


def steps(modules: Sequence[Module], arrays: Sequence[Arrays], features: Features, texts: Texts) -> Iterator[Features]:
    """What there is in front of the first module and behind each.

    Raises:
        ValueError: a module finds vectors of another size.
    """
    yield features
    for i, (module, own) in enumerate(zip(modules, arrays, strict=True), 1):
        try:
            features = {**features, module.gives: module(features[module.reads], features, own, texts)}
        except ValueError as error:
            raise ValueError(f"module {i}, {type(module).__name__}: {error}") from None
        yield features


def widths(modules: Sequence[Module], arrays: Sequence[Arrays], name: str, width: int) -> list[int]:
    """How many numbers a vector has that goes into each module, where the transformer gives `width` under a name.

    Nothing is computed.

    Raises:
        ValueError: as `steps`.
    """
    one = jnp.zeros(1, jnp.int32)

    def read(x: jax.Array) -> list[jax.Array]:
        found = list(steps(modules, arrays, {name: x}, Texts(one, one, 1)))
        return [features[module.reads] for module, features in zip(modules, found, strict=False)]

    return [x.shape[-1] for x in jax.eval_shape(read, jax.ShapeDtypeStruct((1, width), jnp.float32))]


@dataclasses.dataclass(frozen=True)
class Compute:
    """From tokens to what leaves the device; equal modules share their programs.

    head: what the transformer is loaded for. modules: behind it. gives: the name of the result. layers: whether modules
    read the vectors of all layers.
    """

    head: Head
    modules: tuple[Module, ...]
    gives: str
    layers: bool = False

    def __call__(self, forward: Forward, inputs: Inputs, extra: Extra, tokens: int = 0) -> jax.Array:
        """[N, D] of texts; with `tokens` those of all tokens [B, T, D].

        extra: "modules", the arrays of each; "pooled" [B, T], 0 at the tokens of prompts; "adapter" [B].
        """
        if "adapter" in extra:
            inputs = dataclasses.replace(inputs, beside={"adapter_mask": extra["adapter"]})
        out = forward(inputs, ask=Ask(hidden_states=self.layers))
        flat = lambda x: x.astype("float32").reshape(-1, x.shape[-1])  # noqa: E731
        x = out[self.head.result]
        match self.head.gives:
            case "scores":
                first = x.astype("float32")
            case "causal_logits":
                first = flat(x)[inputs.ends(None)]
            case _:
                first = flat(x)
        features = {self.head.gives: first}
        if self.layers:
            features[LAYERS] = jnp.stack([flat(layer) for layer in out["hidden_states"]])
        *_, made = steps(self.modules, extra["modules"], features, _texts(inputs, extra))
        return made[TOKENS].reshape(*inputs.shape, -1) if tokens else made[self.gives]


def _texts(inputs: Inputs, extra: Extra) -> Texts:
    shape = inputs.shape
    if inputs.texts is None:
        assert inputs.mask is not None
        real, count = inputs.mask != 0, shape[0]
        owner = jnp.broadcast_to(jnp.arange(count)[:, None], shape)
    else:
        assert inputs.starts is not None
        real, count = inputs.texts != 0, len(inputs.starts)
        begins = (jnp.diff(inputs.texts, axis=1, prepend=0) != 0) & real
        owner = jnp.cumsum(begins.ravel()).reshape(shape) - 1
    place = jnp.broadcast_to(dataclasses.replace(inputs, positions=None).places, shape)
    prompt = (extra["pooled"] == 0).ravel() if "pooled" in extra else None
    return Texts(jnp.where(real, owner, count).ravel(), place.ravel(), count, prompt, alone=inputs.texts is None)
