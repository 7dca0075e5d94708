"""An encoder of one architecture beside a decoder of the same or another (Rothe et al. 2020, arXiv 1907.12461)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import jax

from .. import config as configs
from .. import declare, hub, registry, tasks
from ..batch import TWO_SIDED
from ..bundle import Model
from ..config import Config, Token
from ..declare import is_param, under
from ..hub import Source
from ..layers import cross
from ..layers.heads import Head
from ..layers.inputs import Ask, Inputs, Memory
from ..layers.linear import linear
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network


class EncoderDecoderConfig(
    Config,
    model_type="encoder-decoder",
    allowed={"is_encoder_decoder": (True,)},
    ignores=("hidden_size", "vocab_size"),
):
    """The configs of both sides, and the tokens that targets begin and are filled with.

    encoder, decoder: configs, or the fields of their config.json; the decoder's has is_decoder and add_cross_attention.
    tie_encoder_decoder: whether the decoder's layers are the encoder's, but for what looks at that.

    Raises:
        ValueError: as `Config`; or one of the two is missing, or cannot be what it shall be.
    """

    encoder: Config = None  # type: ignore[assignment]
    decoder: Config = None  # type: ignore[assignment]
    is_encoder_decoder: bool = True
    tie_encoder_decoder: bool = False
    decoder_start_token_id: Token | None = None

    def __init__(self, /, **fields: Any) -> None:
        for side in ("encoder", "decoder"):
            if isinstance(given := fields.get(side), Mapping):
                fields[side] = registry.config_of(given, f"EncoderDecoderConfig: {side}")
        super().__init__(**fields)

    @classmethod
    def from_encoder_decoder_configs(cls, encoder_config: Config, decoder_config: Config, **fields: Any) -> Self:
        """The config of two, whose decoder reads in one direction and looks at the encoder."""
        decoder = decoder_config.replace(is_decoder=True, add_cross_attention=True)
        return cls(encoder=encoder_config, decoder=decoder, **fields)

    def check(self) -> None:
        """One side reads in both directions, and the other in one and looks at it."""
        name = type(self).__name__
        if not (getattr(self.decoder, "is_decoder", False) and getattr(self.decoder, "add_cross_attention", False)):
            raise ValueError(
                f"{name}: decoder must have is_decoder=True and add_cross_attention=True: make the config with "
                "from_encoder_decoder_configs"
            )
        if getattr(self.decoder, "cross_attention_hidden_size", None) is not None:
            raise ValueError(f"{name}: decoder has cross_attention_hidden_size, which is not supported: leave it out")
        encoder, _ = sides(self)
        if encoder.network.decode is not None:
            raise ValueError(f"{name}: {type(self.encoder).__name__} is no encoder: its models have a decoder")
        encoder.check_direction(self.encoder)
        if self.tie_encoder_decoder and (type(self.encoder) is not type(self.decoder) or self.bridged):
            raise ValueError(f"{name}: tie_encoder_decoder goes with two sides of one architecture and width")

    @property
    def bridged(self) -> bool:
        """Whether a projection is between the sides, since one is wider than the other."""
        return self.encoder.hidden_size != self.decoder.hidden_size

    @property
    def vocab_size(self) -> int:
        """How many words the decoder reads and writes."""
        return self.decoder.vocab_size

    @property
    def source_vocab_size(self) -> int:
        """How many words the encoder reads."""
        return self.encoder.vocab_size

    @property
    def source_width(self) -> int:
        """How many numbers a vector in the place of the encoder's tokens has."""
        return self.encoder.source_width

    @property
    def memory_width(self) -> int:
        """How many numbers a state of the encoder has."""
        return self.encoder.hidden_size

    @property
    def target_width(self) -> int:
        """How many numbers a vector in the place of the decoder's tokens has."""
        return self.decoder.source_width

    @property
    def longest_row(self) -> int | None:
        """How many tokens the encoder takes."""
        return self.encoder.longest_row

    @property
    def longest_target(self) -> int | None:
        """How many tokens the decoder takes."""
        return self.decoder.longest_row

    @property
    def promised_row(self) -> int | None:
        """How many tokens of a row the encoder's config answers for."""
        return self.encoder.promised_row


def sides(c: EncoderDecoderConfig) -> tuple[type[Model], type[Model]]:
    """The classes of the encoder, without a head, and of the decoder, with one for words."""
    return registry.class_for(type(c.encoder), ""), registry.class_for(type(c.decoder), "CausalLM")


def parameters(c: EncoderDecoderConfig) -> declare.Tree:
    """The arrays of both sides, each as its class has them, and of the projection between them."""
    unplaced = lambda p: dataclasses.replace(p, path="")  # noqa: E731
    whole = (cls.declaration(config) for cls, config in zip(sides(c), (c.encoder, c.decoder), strict=True))
    encoder, decoder = (
        under(name, jax.tree.map(unplaced, tree, is_leaf=is_param))
        for name, tree in zip(("encoder", "decoder"), whole, strict=True)
    )
    if c.tie_encoder_decoder:
        encoder, decoder = tied(encoder, decoder)
    tree = {"encoder": encoder, "decoder": decoder}
    if c.bridged:
        tree["project"] = declare.projection(c.encoder.hidden_size, c.decoder.hidden_size, "enc_to_dec_proj")
    return tree


def tied(encoder: declare.Tree, decoder: declare.Tree) -> tuple[declare.Tree, declare.Tree]:
    """The encoder's arrays under the decoder's names, as files have them, and what the decoder has beside these."""
    if isinstance(encoder, list):
        pairs = [tied(*pair) for pair in zip(encoder, decoder, strict=True)]
        return [first for first, _ in pairs], [second for _, second in pairs]
    both, alone = dict(encoder), {}
    for name, part in decoder.items():
        if name not in encoder:
            alone[name] = part
        elif is_param(part):
            both[name] = declare.tied(part, encoder[name].name, *encoder[name].aliases)
        else:
            both[name], rest = tied(encoder[name], part)
            alone |= {name: rest} if rest else {}
    return both, alone


def joined(encoder: Any, decoder: Any) -> Any:
    """The decoder's arrays with those of the encoder that it has not."""
    if isinstance(encoder, list | tuple):
        return type(encoder)(joined(*pair) for pair in zip(encoder, decoder, strict=True))
    if not isinstance(encoder, dict):
        return decoder
    both = {name: joined(encoder[name], part) if name in encoder else part for name, part in decoder.items()}
    return encoder | both


def of_decoder(params: Any, c: EncoderDecoderConfig) -> Any:
    """The decoder's arrays as its class has them."""
    return joined(params["encoder"], params["decoder"]) if c.tie_encoder_decoder else params["decoder"]


def encode(params: Any, c: EncoderDecoderConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, S, D] of what the encoder reads."""
    network = registry.class_for(type(c.encoder), "").network
    assert network.encode is not None
    return network.encode(params["encoder"], c.encoder, inputs, ask, sites)


def decode(params: Any, c: EncoderDecoderConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of the decoder's tokens, behind those of its cache."""
    network = sides(c)[1].network
    assert network.decode is not None
    return network.decode(of_decoder(params, c), c.decoder, inputs, ask, sites)


def bridge(params: Any, c: EncoderDecoderConfig, memory: Memory) -> Memory:
    """What the encoder gives, as wide as the decoder is."""
    return dataclasses.replace(memory, state=linear(params["project"], memory.state)) if c.bridged else memory


def cells(c: EncoderDecoderConfig, rows: int, slots: int, source: int) -> declare.Tree:
    """What the decoder's layers keep: of its tokens, and of the encoder's."""
    network, count = sides(c)[1].network, c.decoder.num_attention_heads
    assert network.cells is not None
    seen = cross.cells(rows, source, count, c.decoder.hidden_size // count)
    return [cell | seen for cell in network.cells(c.decoder, rows, slots)]


def scores(params: Any, c: EncoderDecoderConfig, encoded: Encoded, sites: Sites) -> jax.Array:
    """What the decoder's head says of its states."""
    return sides(c)[1].head.forward(of_decoder(params, c), c.decoder, encoded, sites)


SIDES, START = ("encoder_", "decoder_"), "decoder_start_token_id"


def options_of(options: Mapping[str, Any], start: str) -> dict[str, Any]:
    """The options of one side, without its name."""
    return {
        name.removeprefix(start): value for name, value in options.items() if name.startswith(start) and name != START
    }


def read_side(where: str | Path | Source, task: str, options: Mapping[str, Any]) -> Model:
    """The model of a checkpoint, as this file takes its architecture for a task."""
    source, _ = hub.split_options(where, dict(options))
    config = registry.config_of(configs.read(source), str(where))
    return registry.class_for(type(config), task).from_pretrained(source, config=config, **options)


def picked(tree: declare.Tree, params: Any) -> Any:
    """Of params those that a declaration has."""
    if isinstance(tree, list):
        return [picked(*pair) for pair in zip(tree, params, strict=True)]
    return {name: picked(part, params[name]) for name, part in tree.items()} if isinstance(tree, dict) else params


class EncoderDecoderModel(
    tasks.Seq2SeqLM,
    config=EncoderDecoderConfig,
    prefix="",
    accepts=TWO_SIDED,
    network=Network(parameters, encode, decode, cells, bridge),
    head=Head(lambda c: {}, scores),
):
    """Scores of every word to follow each of the decoder's tokens, by two models of any architectures."""

    @classmethod
    def from_encoder_decoder_pretrained(
        cls,
        encoder_pretrained_model_name_or_path: str | Path | Source,
        decoder_pretrained_model_name_or_path: str | Path | Source,
        *,
        key: jax.Array | None = None,
        **options: Any,
    ) -> Self:
        """A model of two checkpoints; what looks at the encoder is random, and a warning names it.

        Args:
            encoder_pretrained_model_name_or_path: a folder or a name on the Hub, of an encoder.
            decoder_pretrained_model_name_or_path: the same, of what becomes the decoder.
            key: chooses the random weights; `jax.random.key(0)` unless given.
            **options: those that begin with `encoder_` and `decoder_` go to `from_pretrained` of that side, without
                these words; all others are fields of the whole config, and so is decoder_start_token_id.

        Raises:
            OSError, ValueError, TypeError: as `from_pretrained`.
        """
        key = jax.random.key(0) if key is None else key
        of = {side: {"key": key} | options_of(options, f"{side}_") for side in ("encoder", "decoder")}
        directed = {"is_decoder": True, "add_cross_attention": True}
        encoder = read_side(encoder_pretrained_model_name_or_path, "", of["encoder"])
        decoder = read_side(decoder_pretrained_model_name_or_path, "CausalLM", of["decoder"] | directed)
        own = {name: value for name, value in options.items() if name == START or not name.startswith(SIDES)}
        config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder.config, decoder.config, **own)
        tree = cls.declaration(config)
        params = {"encoder": encoder.params, "decoder": picked(tree["decoder"], decoder.params)}
        between = {name: part for name, part in tree.items() if name not in params}
        return cls(config, params=params | declare.init(between, key))

    def resize_token_embeddings(self, *args: Any, **options: Any) -> Self:
        """Nothing: each side has words of its own.

        Raises:
            ValueError: always; it says how each side is resized.
        """
        raise ValueError(
            "EncoderDecoderModel: each side has words of its own: resize the models that it is made of, before "
            "from_encoder_decoder_pretrained"
        )
