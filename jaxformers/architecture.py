"""What a class of models says: which pure functions belong together, and how a task makes its output of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax

from . import batch as batches
from . import declare
from .config import Config
from .layers import losses, low_rank
from .layers.cache import Cache
from .layers.heads import Head, pool
from .layers.inputs import Ask, Inputs
from .layers.run import Encoded
from .layers.sites import PLAIN, Sites
from .network import Network
from .outputs import Output


class Architecture:
    """The class side of a model: what it consists of, and the pure functions of params that follow.

    Class statements say it by keywords: a task its labels, a base model its config and network, a model of a task its
    base and head.
    """

    task: ClassVar[str] = ""
    labels: ClassVar[Mapping[str, batches.Label]] = {}
    axes: ClassVar[int] = 2
    config_class: ClassVar[type[Config]]
    base: ClassVar[type[Architecture]]
    prefix: ClassVar[str] = ""
    prefixes: ClassVar[tuple[str, ...]] = ()
    head: ClassVar[Head]
    network: ClassVar[Network]
    also: ClassVar[tuple[str, ...]] = ()
    accepts: ClassVar[tuple[str, ...]] = batches.USUAL
    beside: ClassVar[Mapping[str, batches.Beside]] = {}
    neutral: ClassVar[bool] = True  # whether padding on the right, masked, leaves a row's results as they are
    reads_source_twice: ClassVar[bool] = False  # whether a decoder without a prompt reads its encoder's ids
    packs: ClassVar[bool] = True  # and whether other texts behind it in the same row do

    def __init_subclass__(
        cls,
        *,
        task: str | None = None,
        labels: Mapping[str, batches.Label] | None = None,
        axes: int | None = None,
        config: type[Config] | None = None,
        network: Network | None = None,
        prefix: str | None = None,
        also: tuple[str, ...] | None = None,
        accepts: tuple[str, ...] | None = None,
        beside: Mapping[str, batches.Beside] | None = None,
        reads_source_twice: bool | None = None,
        neutral: bool | None = None,
        packs: bool | None = None,
        base: type[Architecture] | None = None,
        head: Head | None = None,
        parameters: Callable[[Any], declare.Tree] | None = None,
    ) -> None:
        """Declare a task (`task, labels, axes`), a base model (`config, network`), or one with a head (`base`).

        Args:
            task: what follows "For" in class names.
            labels: the task's label keywords.
            axes: of ids: 2, or 3 where a row has several texts.
            config: the config's class.
            network: what the model consists of; of a head `base`'s, or its own.
            prefix: of the base model's names in files that hold a head too.
            also: other prefixes under which files may hold it.
            accepts: keywords of a call, in the order of positional arguments; of a head `base`'s, or its own.
            beside: what those hold that this architecture alone takes.
            reads_source_twice: whether a decoder that gets nothing reads its encoder's ids.
            neutral: False where padding changes a row's results, which must then go in without.
            packs: False where other texts in the same row change a text's results, though no token sees them.
            base: the base model that a head stands on.
            head: the head; without it the task's usual one, or that of the class that this one is a twin of.
            parameters: the base model's arrays, where the task does not use all of them.
        """
        given: dict[str, Any] = {"task": task, "labels": labels, "axes": axes, "head": head, "accepts": accepts}
        given |= {"beside": beside, "reads_source_twice": reads_source_twice}
        given |= {"neutral": neutral, "packs": False if neutral is False else packs, "also": also, "prefix": prefix}
        if base is not None:
            given |= {"base": base, "config_class": base.config_class, "accepts": accepts or base.accepts}
            inherited = ("neutral", "packs", "also", "beside", "reads_source_twice")
            given |= {name: getattr(base, name) for name in inherited if given[name] is None}
            given["network"] = network or getattr(cls, "network", base.network)
            given["prefix"] = cls.prefix_on(base) if prefix is None else prefix
        elif config is not None:
            given |= {"base": cls, "config_class": config, "network": network}
        if parameters is not None:
            given["network"] = dataclasses.replace(given["network"], parameters=parameters)
        for name, value in given.items():
            if value is not None:
                setattr(cls, name, value)
        if unknown := [name for name in cls.accepts if name not in (*batches.FIELDS, *batches.TWO_SIDED, *cls.beside)]:
            raise TypeError(f"{cls.__name__} accepts {unknown[0]!r}: say in beside= what it holds")
        if base is not None and not hasattr(cls, "head"):
            cls.head = cls.usual_head(base)
        cls.prefixes = tuple(dict.fromkeys((cls.prefix, *([base.prefix] if base else ()), *cls.also)))
        cls.declared()

    @classmethod
    def declared(cls) -> None:
        """What is done with a class once it is complete."""

    @classmethod
    def usual_head(cls, base: type[Architecture]) -> Head:
        """The task's head on most base models of a kind."""
        raise TypeError(f"{cls.__name__} needs head=: there is no usual one for {base.__name__}")

    @classmethod
    def prefix_on(cls, base: type[Architecture]) -> str:
        """What stands before the base model's names in files that hold the task's head too."""
        return base.prefix

    @classmethod
    def declaration(cls, config: Any) -> declare.Tree:
        """The model's arrays, with their full Hub names, layers listed.

        Raises:
            ValueError: the config is of a model that reads in another direction.
        """
        cls.check_direction(config)
        tree = cls.network.parameters(config)
        if hasattr(cls, "head"):
            tree = declare.under(cls.prefix, tree)
            if cls.head.tied and config.tie_word_embeddings:
                table = declare.tied(tree["word"]["table"], *cls.head.tied, role="unembedding")
                tree["word"] = tree["word"] | {"table": table}
            tree = tree | {"head": declare.outside(cls.head.parameters(config))}
        heads = getattr(config, "num_attention_heads", None)
        return declare.resolved(declare.of_heads(heads, tree) if heads else tree, config.initializer)

    @classmethod
    def check_direction(cls, config: Any) -> None:
        """Refuse layers that the config wants read in one direction, where the class reads in both."""
        if getattr(config, "is_decoder", False) and cls.network.decode is None:
            raise ValueError(
                f"{cls.__name__} reads in both directions, and the config says is_decoder=True: use the class for "
                "causal language modelling, or pass is_decoder=False"
            )

    @classmethod
    def forward(
        cls,
        params: Any,
        config: Any,
        inputs: Inputs,
        labels: Mapping[str, jax.Array] = {},
        ask: Ask = Ask(),
        sites: Sites = PLAIN,
    ) -> Output:
        """The pure function of the class: one batch to its output, with the loss where labels are given."""
        return cls.captured(params, config, inputs, labels, ask, sites)[0]

    @classmethod
    def captured(
        cls,
        params: Any,
        config: Any,
        inputs: Inputs,
        labels: Mapping[str, jax.Array] = {},
        ask: Ask = Ask(),
        sites: Sites = PLAIN,
    ) -> tuple[Output, dict[str, jax.Array]]:
        """`forward`, and by name the values at the sites of `ask.captured`."""
        output, shown = cls.scored(params, config, inputs, labels, ask, sites)
        return losses.taken(output), shown

    @classmethod
    def scored(
        cls,
        params: Any,
        config: Any,
        inputs: Inputs,
        labels: Mapping[str, jax.Array] = {},
        ask: Ask = Ask(),
        sites: Sites = PLAIN,
    ) -> tuple[Output, dict[str, jax.Array]]:
        """`captured`, but the output's loss is a `losses.Loss`, whose means are not taken."""
        inputs, params = cls.arrange(config, inputs, labels), low_rank.dropping(params, sites.key)
        sites = dataclasses.replace(sites, capture=ask.captured).opened() if ask.captured else sites
        encoded = cls.pool(params, config, cls.network(params, config, inputs, ask, sites))
        scores = cls.head.forward(params, config, encoded, sites) if hasattr(cls, "head") else None
        return cls.finish(scores, encoded, labels, config), sites.shown or {}

    @classmethod
    def arrange(cls, config: Any, inputs: Inputs, labels: Mapping[str, jax.Array]) -> Inputs:
        """What the network reads of a batch."""
        return inputs

    @classmethod
    def check_batch(cls, config: Any, inputs: Inputs) -> None:
        """Refuse what the task cannot read, beside what `batch.check` refuses for all; values on the host only.

        Raises:
            ValueError: saying what is wrong.
        """

    @classmethod
    def pool(cls, params: Any, config: Any, encoded: Encoded) -> Encoded:
        """The network's result with the vector of each text that heads of texts read, where there is one."""
        return pool(params["pooler"], encoded) if "pooler" in params and encoded.pooled is None else encoded

    @classmethod
    def empty_cache(cls, params: Any, config: Any, rows: int, slots: int) -> Cache:
        """A cache without tokens, with room for `slots` in each of `rows` rows."""
        return cls.network.empty_cache(params, config, rows, slots)

    @classmethod
    def rounds(cls, param: declare.Param) -> bool:
        """Whether an array is kept in fewer bits: weights within layers, and of writers the words that score tokens.

        What runs once a text is little, and its errors are not averaged away; of a router's an error is another expert.
        """
        return param.role == "matrix" or (cls.writes() and param.role == "unembedding")

    @classmethod
    def writes(cls) -> bool:
        """Whether models of the class generate."""
        return hasattr(cls, "generate")

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Mapping[str, jax.Array], config: Any) -> Output:
        """The output of the task from the head's scores and the encoder's result, its loss a `losses.Loss`."""
        raise TypeError(f"{cls.__name__} is no model of a task: use a class such as BertModel, or an Auto class")
