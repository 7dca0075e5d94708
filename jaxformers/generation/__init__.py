"""Generation: loops over a model's `decode`, from prompts to new tokens."""

from .config import GenerationConfig
from .processors import TokenTrie

__all__ = ["GenerationConfig", "TokenTrie"]
