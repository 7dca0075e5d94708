"""What a model consists of, as one value of pure functions: the same for all tasks of an architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import declare
from .layers.again import again
from .layers.inputs import Ask, Inputs
from .layers.run import Encoded
from .layers.sites import Sites

Read = Callable[[Any, Any, Inputs, Ask, Sites], Encoded]
"""(params, config, inputs, what is asked for, sites) → the result for each token."""


@dataclass(frozen=True)
class Network:
    """The functions of an architecture: an encoder has `encode`, a decoder `decode` and `cells`.

    parameters: config → the declaration of its arrays.
    encode: reads whole texts, each token seeing those on both sides.
    decode: reads in one direction, behind the tokens of `inputs.cache`: prompts, steps and training are the same call.
    cells: (config, rows, slots) → what each layer keeps of tokens, a list of declarations (`layers.cache`).
    """

    parameters: Callable[[Any], declare.Tree]
    encode: Read | None = None
    decode: Read | None = None
    cells: Callable[[Any, int, int], declare.Tree] | None = None

    def __call__(self, params: Any, config: Any, inputs: Inputs, ask: Ask, sites: Sites) -> Encoded:
        """The result for each token of a batch."""
        read = self.encode if self.decode is None else again(self.decode)
        assert read is not None
        encoded = dataclasses.replace(read(params, config, inputs, ask, sites), inputs=inputs)
        state, states = sites("final", encoded.state), encoded.hidden_states
        if states is not None and states[-1] is encoded.state:  # what is reported last is the result itself
            return encoded.normed(state)
        return dataclasses.replace(encoded, state=state)
