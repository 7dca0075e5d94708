"""A reader who looks for a method of a tokenizer finds it in one place."""

from __future__ import annotations

import inspect
import itertools

from jaxformers.tokenizers import Tokenizer
from jaxformers.tokenizers.options import Options
from jaxformers.tokenizers.text_encoder import TextEncoder
from jaxformers.tokenizers.vocabulary import Vocabulary

LEVELS = (Tokenizer, TextEncoder, Vocabulary)


class Empty:
    """A class with nothing of its own: the names that Python writes into every class differ with its version."""

    attribute: int = 0

    def __init__(self) -> None:
        self.attribute = 0


OF_EVERY_CLASS = vars(Empty).keys() - {"attribute"}


def test_the_classes_of_a_tokenizer_stand_in_one_line() -> None:
    assert Tokenizer.__mro__ == (*LEVELS, object)


def test_no_class_of_a_tokenizer_hides_what_another_has() -> None:
    names = [set(vars(level)) - OF_EVERY_CLASS for level in LEVELS]
    for one, other in itertools.combinations(names, 2):
        assert one.isdisjoint(other)


def test_options_are_those_of_a_call() -> None:
    call = inspect.signature(TextEncoder.__call__).parameters
    ours = inspect.signature(Options).parameters
    texts = {"self", "text", "text_pair", "text_target", "text_pair_target", "is_split_into_words"}
    assert {name: call[name].default for name in call.keys() - texts} == {name: ours[name].default for name in ours}
