"""What a model consists of, as one value of pure functions: the same for all tasks of an architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from . import declare
from .layers import cache, cross, run
from .layers.again import again
from .layers.cache import Cache
from .layers.inputs import Ask, Inputs, Memory
from .layers.rotation import switch_length
from .layers.run import Encoded
from .layers.sites import PLAIN, Sites

Read = Callable[[Any, Any, Inputs, Ask, Sites], Encoded]
"""(params, config, inputs, what is asked for, sites) → the result for each token."""


@dataclass(frozen=True)
class Network:
    """The functions of an architecture: an encoder has `encode`, a decoder `decode` and `cells`, some have both.

    parameters: config → the declaration of its arrays.
    encode: reads whole texts, each token seeing those on both sides.
    decode: reads in one direction, behind the tokens of `inputs.cache`: prompts, steps and training are the same call.
        Beside an encoder it reads of it `inputs.memory`, or what the cache has of that.
    cells: (config, rows, slots) → what each layer keeps of tokens, a list of declarations (`layers.cache`); beside an
        encoder (config, rows, slots, source), with what it keeps of the tokens of a source (`layers.cross`).
    bridge: (params, config, what an encoder gives) → what the decoder beside it reads of that.
    """

    parameters: Callable[[Any], declare.Tree]
    encode: Read | None = None
    decode: Read | None = None
    cells: Callable[..., declare.Tree] | None = None
    bridge: Callable[[Any, Any, Memory], Memory] = lambda params, config, memory: memory

    @property
    def two_sided(self) -> bool:
        """Whether a decoder reads what an encoder has read."""
        return self.encode is not None and self.decode is not None

    def __call__(self, params: Any, config: Any, inputs: Inputs, ask: Ask, sites: Sites) -> Encoded:
        """The result for each token of a batch; beside an encoder, of the target's."""
        if self.two_sided:
            return self._both(params, config, inputs, ask, sites)
        if self.decode is None:
            return self._encoded(params, config, inputs, ask, sites)
        if ask.cache and inputs.cache is None:
            inputs = dataclasses.replace(inputs, cache=self.empty_cache(params, config, *inputs.shape))
        return self._decoded(params, config, inputs, ask, sites)

    def _encoded(self, params: Any, config: Any, inputs: Inputs, ask: Ask, sites: Sites) -> Encoded:
        assert self.encode is not None
        return _finished(self.encode(params, config, inputs, ask, sites), inputs, sites)

    def _decoded(self, params: Any, config: Any, inputs: Inputs, ask: Ask, sites: Sites) -> Encoded:
        assert self.decode is not None
        return _finished(again(self.decode)(params, config, inputs, ask, sites), inputs, sites)

    def _both(self, params: Any, config: Any, inputs: Inputs, ask: Ask, sites: Sites) -> Encoded:
        target, memory, encoded = inputs.target, inputs.memory, None
        assert target is not None
        if memory is not None:
            encoded = Encoded(state=memory.state, inputs=inputs)
        elif target.cache is None:
            encoded = self.read_source(params, config, inputs, ask, sites)
            memory = Memory(encoded.state, inputs.segment_ids != 0)
        memory = memory and self.bridge(params, config, memory)
        if ask.cache and target.cache is None:
            assert memory is not None
            target = dataclasses.replace(target, cache=self.begin(params, config, memory, *target.shape))
        target = dataclasses.replace(target, memory=memory)
        decoded = self._decoded(params, config, target, ask, sites.under("decoder"))
        return dataclasses.replace(decoded, encoder=encoded)

    def empty_cache(self, params: Any, config: Any, rows: int, slots: int, *source: int) -> Cache:
        """A cache without tokens, with room for `slots` in each of `rows` rows, and beside an encoder for `source`."""
        assert self.cells is not None, "a model that reads in both directions"
        side = params["decoder"] if self.two_sided else params
        words = next(tree["word"] for tree in (side, params, params.get("encoder", {})) if "word" in tree)
        like = jax.tree.leaves(words["table"])[0]
        dtype = words["table"].dtype
        made = cache.empty(run.arranged(self.cells(config, rows, slots, *source), side["layers"]), dtype, like)
        past = None if switch_length(config) is None else cache.no_past(rows, slots, config.target_width, dtype, like)
        return dataclasses.replace(made, past=past)

    def begin(self, params: Any, config: Any, memory: Memory, rows: int, slots: int) -> Cache:
        """A cache without tokens that has what an encoder has read."""
        made = self.empty_cache(params, config, rows, slots, memory.state.shape[1])
        cells = cross.remembered(params["decoder"]["layers"], made.cells, memory)
        return dataclasses.replace(made, cells=cells)

    def read_source(self, params: Any, config: Any, source: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
        """What the encoder beside a decoder makes of sources [B, S]."""
        return self._encoded(params, config, source, ask, sites.under("encoder"))

    def remember(self, params: Any, config: Any, source: Inputs, sites: Sites = PLAIN) -> Memory:
        """What the decoder reads of what the encoder makes, or has made, of sources [B, S]."""
        memory = source.memory
        if memory is None:
            encoded = self.read_source(params, config, source, sites=sites)
            memory = Memory(encoded.state, source.segment_ids != 0)
        return self.bridge(params, config, memory)


def _finished(encoded: Encoded, inputs: Inputs, sites: Sites) -> Encoded:
    """A side's result, as it stands at the site "final"."""
    encoded = dataclasses.replace(encoded, inputs=inputs)
    state, states = sites("final", encoded.state), encoded.hidden_states
    if states is not None and states[-1] is encoded.state:  # what is reported last is the result itself
        return encoded.normed(state)
    return dataclasses.replace(encoded, state=state)
