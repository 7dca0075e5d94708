"""Which class reads which checkpoint's tokenizer: one table, to which an architecture adds a line."""

from __future__ import annotations

import difflib
import logging
from typing import Any

from .. import hub
from . import files
from .base import Tokenizer
from .bert import (
    BertTokenizer,
    ConvBertTokenizer,
    DistilBertTokenizer,
    ElectraTokenizer,
    FunnelTokenizer,
    MobileBertTokenizer,
    MPNetTokenizer,
    SplinterTokenizer,
    SqueezeBertTokenizer,
)
from .bpe import DebertaTokenizer, GPT2Tokenizer, LongformerTokenizer, LukeTokenizer, RobertaTokenizer
from .esm import EsmTokenizer
from .jieba import RoFormerTokenizer
from .moses import FlaubertTokenizer, XLMTokenizer
from .sentencepiece import (
    AlbertTokenizer,
    BigBirdTokenizer,
    CamembertTokenizer,
    DebertaV2Tokenizer,
    FNetTokenizer,
    LlamaTokenizer,
    RemBertTokenizer,
    XLMRobertaTokenizer,
    XLNetTokenizer,
)

logger = logging.getLogger(__name__)

# `model_type` in config.json → class. Its `own_name` is what tokenizer_config.json says, with or without "Fast".
_CLASSES: dict[str, type[Tokenizer]] = {
    "albert": AlbertTokenizer,
    "bert": BertTokenizer,
    "big_bird": BigBirdTokenizer,
    "camembert": CamembertTokenizer,
    "convbert": ConvBertTokenizer,
    "data2vec-text": RobertaTokenizer,
    "deberta": DebertaTokenizer,
    "deberta-v2": DebertaV2Tokenizer,
    "distilbert": DistilBertTokenizer,
    "electra": ElectraTokenizer,
    "ernie": BertTokenizer,
    "esm": EsmTokenizer,
    "flaubert": FlaubertTokenizer,
    "fnet": FNetTokenizer,
    "funnel": FunnelTokenizer,
    "gpt2": GPT2Tokenizer,
    "llama": LlamaTokenizer,
    "longformer": LongformerTokenizer,
    "luke": LukeTokenizer,
    "mobilebert": MobileBertTokenizer,
    "mpnet": MPNetTokenizer,
    "nystromformer": AlbertTokenizer,
    "rembert": RemBertTokenizer,
    "roberta": RobertaTokenizer,
    "roberta-prelayernorm": RobertaTokenizer,
    "roformer": RoFormerTokenizer,
    "splinter": SplinterTokenizer,
    "squeezebert": SqueezeBertTokenizer,
    "xlm": XLMTokenizer,
    "xlm-roberta": XLMRobertaTokenizer,
    "xlm-roberta-xl": XLMRobertaTokenizer,
    "xlnet": XLNetTokenizer,
    "xmod": XLMRobertaTokenizer,
}


def load(source: hub.Source, **overrides: Any) -> Tokenizer:
    """The tokenizer of a checkpoint, of the class that its tokenizer_config.json or else its config.json names.

    A class that is not known here is no obstacle where there is a tokenizer.json, which says everything that counts.

    Args:
        source: where the files are.
        **overrides: settings that go before those of the files.

    Raises:
        OSError: no tokenizer there, or a file cannot be fetched or read.
        ValueError: a file is malformed, or the class is not known and there is no tokenizer.json.
        TypeError: an unknown setting.
    """
    if source.gguf_file is not None:
        return Tokenizer._read(source, {}, overrides)
    config = files.read_config(source)
    name = config.get("tokenizer_class")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"{source}: {files.CONFIG}: tokenizer_class must be a string, found {name!r:.80}")
    kind = _by_name(name) if name else _by_model_type(source)
    if kind is None and name is not None:
        if source.find(files.BACKEND) is None:
            known = ", ".join(sorted({kind.own_name for kind in _CLASSES.values()}))
            near = difflib.get_close_matches(name, [kind.own_name for kind in _CLASSES.values()], 1)
            hint = f"; do you mean {near[0]}?" if near else ""
            raise ValueError(
                f"{source}: tokenizer_class {name!r} is not known here ({known} are){hint}, and there is no "
                f"{files.BACKEND} that says how to tokenize"
            )
        logger.info("%s: %s is read as a plain %s", source, name, files.BACKEND)
    return (kind or Tokenizer)._read(source, config, overrides)


def _by_name(name: str) -> type[Tokenizer] | None:
    """The class that a checkpoint calls so; None if it is not known."""
    kinds: list[type[Tokenizer]] = [*_CLASSES.values(), Tokenizer]
    for kind in kinds:
        if name.removesuffix("Fast") == kind.own_name.removesuffix("Fast"):
            return kind
    return None


def _by_model_type(source: hub.Source) -> type[Tokenizer] | None:
    """The class for the architecture in config.json; None if there is none."""
    path = source.find("config.json")
    if path is None:
        return None
    fields = files.read_json(path)
    name = fields.get("tokenizer_class")
    kind = _by_name(name) if isinstance(name, str) else None
    model_type = fields.get("model_type")
    return kind or (_CLASSES.get(model_type) if isinstance(model_type, str) else None)
