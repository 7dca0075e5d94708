"""GGUF files, the format of llama.cpp: what their headers say, as a config and as it stands there."""

from .fields import config, read_config
from .header import Entry, Header, read, read_file

__all__ = ["Entry", "Header", "config", "read", "read_config", "read_file"]
