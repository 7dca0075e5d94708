"""Low-rank adapters: additions to a model's weights that are trained, saved and loaded in their place."""

from .config import LoraConfig
from .files import Stored, open_stored, parted, provided, with_tokenizer, writer
from .methods import Adapted
from .peft import PeftModel, get_peft_model

__all__ = [
    "Adapted",
    "LoraConfig",
    "PeftModel",
    "Stored",
    "get_peft_model",
    "open_stored",
    "parted",
    "provided",
    "with_tokenizer",
    "writer",
]
