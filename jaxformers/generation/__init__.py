"""Generation: from prompts to new tokens, by a model's prefill and decode steps."""

import warnings
from typing import Any

from .arguments import Arguments
from .assisted import AssistedSession
from .beams import BeamSession
from .config import GenerationConfig
from .generate import Prompts, generate
from .history import History
from .keys import key_of
from .merging import merged
from .model import LoadedModel
from .plan import Plan
from .prompts import Prompt, first_tokens
from .pure import generate_traced
from .results import (
    GenerateBeamDecoderOnlyOutput,
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    GenerateEncoderDecoderOutput,
    transition_scores,
)
from .session import Completion, End, Listeners, Session, Tokens
from .streamers import (
    AsyncTextIteratorStreamer,
    BaseStreamer,
    TextIteratorStreamer,
    TextStreamer,
    reporting_to_streamer,
)
from .trie import TokenTrie

__all__ = [
    "Arguments",
    "AssistedSession",
    "AsyncTextIteratorStreamer",
    "BaseStreamer",
    "BeamSession",
    "Completion",
    "End",
    "GenerateBeamDecoderOnlyOutput",
    "GenerateBeamEncoderDecoderOutput",
    "GenerateDecoderOnlyOutput",
    "GenerateEncoderDecoderOutput",
    "GenerationConfig",
    "History",
    "Listeners",
    "LoadedModel",
    "Plan",
    "Prompt",
    "Prompts",
    "Session",
    "TextIteratorStreamer",
    "TextStreamer",
    "TokenTrie",
    "Tokens",
    "first_tokens",
    "generate",
    "generate_traced",
    "key_of",
    "merged",
    "reporting_to_streamer",
    "transition_scores",
]


def __getattr__(name: str) -> Any:
    if name == "Sight":  # the older name, until the next minor version
        warnings.warn("generation.Sight is called generation.History", DeprecationWarning, stacklevel=2)
        return History
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
