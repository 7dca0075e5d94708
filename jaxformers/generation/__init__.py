"""Generation: loops over a model's `speak`, from prompts to new tokens."""

from .config import GenerationConfig
from .generate import generate, key_of
from .processors import TokenTrie
from .pure import written
from .results import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput, transition_scores
from .rows import Voice
from .sight import Sight
from .streamers import AsyncTextIteratorStreamer, BaseStreamer, TextIteratorStreamer, TextStreamer, told

__all__ = [
    "AsyncTextIteratorStreamer",
    "BaseStreamer",
    "GenerateBeamDecoderOnlyOutput",
    "GenerateDecoderOnlyOutput",
    "GenerationConfig",
    "Sight",
    "TextIteratorStreamer",
    "TextStreamer",
    "TokenTrie",
    "Voice",
    "generate",
    "key_of",
    "told",
    "transition_scores",
    "written",
]
