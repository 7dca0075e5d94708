"""Tokenizers: text to ids and back, on the `tokenizers` library, with the Hub's files and calls."""

from .base import Tokenizer
from .bert import BertTokenizer, BertTokenizerFast, DistilBertTokenizer, DistilBertTokenizerFast
from .encoding import BatchEncoding
from .load import load

__all__ = [
    "BatchEncoding",
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "Tokenizer",
    "load",
]
