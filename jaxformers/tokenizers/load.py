"""Which class reads which checkpoint's tokenizer: one table, to which an architecture adds a line."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from typing import Any

from .. import hub
from . import backend, files
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
from .blenderbot_small import BlenderbotSmallTokenizer
from .bpe import (
    BartTokenizer,
    BlenderbotTokenizer,
    BloomTokenizer,
    CodeGenTokenizer,
    CohereTokenizer,
    DebertaTokenizer,
    GPT2Tokenizer,
    GPTNeoXTokenizer,
    LEDTokenizer,
    LongformerTokenizer,
    LukeTokenizer,
    MvpTokenizer,
    Qwen2Tokenizer,
    RobertaTokenizer,
)
from .byt5 import ByT5Tokenizer
from .esm import EsmTokenizer
from .fsmt import FSMTTokenizer
from .jieba import RoFormerTokenizer
from .languages import M2M100Tokenizer, MBart50Tokenizer, MBartTokenizer, NllbTokenizer, PLBartTokenizer
from .llama import GemmaTokenizer, LlamaTokenizer
from .marian import MarianTokenizer
from .moses import BioGptTokenizer, FlaubertTokenizer, XLMTokenizer
from .openai_gpt import CTRLTokenizer, OpenAIGPTTokenizer
from .pegasus import PegasusTokenizer
from .prophetnet import ProphetNetTokenizer, XLMProphetNetTokenizer
from .sentencepiece import (
    AlbertTokenizer,
    BigBirdTokenizer,
    CamembertTokenizer,
    DebertaV2Tokenizer,
    FNetTokenizer,
    RemBertTokenizer,
    XGLMTokenizer,
    XLMRobertaTokenizer,
    XLNetTokenizer,
)
from .t5 import T5Tokenizer

logger = logging.getLogger(__name__)

# Class → `model_type`s in config.json. Its `tokenizer_class` may have "Fast" behind it in tokenizer_config.json.
_MODEL_TYPES: Mapping[type[Tokenizer], str] = {
    AlbertTokenizer: "albert nystromformer",
    BartTokenizer: "bart",
    BertTokenizer: "bert ernie nomic_bert",
    BigBirdTokenizer: "big_bird",
    BioGptTokenizer: "biogpt",
    BlenderbotTokenizer: "blenderbot",
    BlenderbotSmallTokenizer: "blenderbot-small",
    BloomTokenizer: "bloom",
    ByT5Tokenizer: "",
    CamembertTokenizer: "camembert",
    CodeGenTokenizer: "codegen phi",
    CohereTokenizer: "cohere cohere2",
    ConvBertTokenizer: "convbert",
    CTRLTokenizer: "ctrl",
    DebertaTokenizer: "deberta",
    DebertaV2Tokenizer: "deberta-v2",
    DistilBertTokenizer: "distilbert",
    ElectraTokenizer: "electra",
    EsmTokenizer: "esm",
    FlaubertTokenizer: "flaubert",
    FNetTokenizer: "fnet",
    FSMTTokenizer: "fsmt",
    FunnelTokenizer: "funnel",
    GemmaTokenizer: "gemma gemma2 gemma3 gemma3_text",
    GPT2Tokenizer: "gpt2 exaone4 gpt_bigcode gpt_neo gptj granite granitemoe olmo3 opt starcoder2",
    GPTNeoXTokenizer: "gpt_neox mpt olmo olmo2 olmoe stablelm",
    LEDTokenizer: "led",
    LlamaTokenizer: "llama arcee deepseek_v2 deepseek_v3 ernie4_5 ministral mistral mixtral persimmon phi3",
    LongformerTokenizer: "longformer",
    LukeTokenizer: "luke",
    M2M100Tokenizer: "m2m_100",
    MarianTokenizer: "marian",
    MBartTokenizer: "mbart",
    MBart50Tokenizer: "",
    MobileBertTokenizer: "mobilebert",
    MPNetTokenizer: "mpnet",
    MvpTokenizer: "mvp",
    NllbTokenizer: "nllb-moe",
    OpenAIGPTTokenizer: "openai-gpt",
    PegasusTokenizer: "pegasus bigbird_pegasus pegasus_x",
    PLBartTokenizer: "plbart",
    ProphetNetTokenizer: "prophetnet",
    Qwen2Tokenizer: "qwen2 qwen2_moe qwen3 qwen3_moe",
    RemBertTokenizer: "rembert",
    RobertaTokenizer: "roberta data2vec-text roberta-prelayernorm",
    RoFormerTokenizer: "roformer",
    SplinterTokenizer: "splinter",
    SqueezeBertTokenizer: "squeezebert",
    T5Tokenizer: "t5 longt5 mt5 switch_transformers umt5",
    XGLMTokenizer: "xglm",
    XLMTokenizer: "xlm",
    XLMProphetNetTokenizer: "xlm-prophetnet",
    XLMRobertaTokenizer: "xlm-roberta gte jina_embeddings_v3 xlm-roberta-xl xmod",
    XLNetTokenizer: "xlnet",
}
_CLASSES = {model_type: kind for kind, names in _MODEL_TYPES.items() for model_type in names.split()}

# Other names of classes.
_ALIASES: Mapping[str, type[Tokenizer]] = {"MT5Tokenizer": T5Tokenizer}

# What the reference calls the class of a tokenizer.json that says everything.
_PLAIN = ("PreTrainedTokenizer", "TokenizersBackend", "PythonBackend")


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
        if source.find(files.TOKENIZER) is None:
            near = difflib.get_close_matches(name, [kind.tokenizer_class for kind in _MODEL_TYPES], 3)
            hint = f" (the nearest are {', '.join(near)})" if near else ""
            raise ValueError(
                f"{source}: tokenizer_class {name!r} is not known here{hint}, and there is no {files.TOKENIZER} that "
                "says how to tokenize"
            )
        logger.info("%s: %s is read as a plain %s", source, name, files.TOKENIZER)
        if like := _by_model_type(source):  # a relative of BERT has token types, one of Llama is padded on the left
            config = {"model_input_names": like.model_input_names, "padding_side": like.padding_side, **config}
    if kind is LlamaTokenizer and _is_byte_level(source):  # under Llama's name, whose tokens and rows are others
        kind, config = Tokenizer, {"padding_side": kind.padding_side, "add_prefix_space": None, **config}
    return (kind or Tokenizer)._read(source, config, overrides)


def _is_byte_level(source: hub.Source) -> bool:
    """Whether there is a tokenizer.json whose pieces are of bytes."""
    path = source.find(files.TOKENIZER)
    if path is None or b'"ByteLevel"' not in path.read_bytes():
        return False
    splitter, decoder = (getattr(backend.read(path), name) for name in ("pre_tokenizer", "decoder"))
    return any(b'"ByteLevel"' in step.__getstate__() for step in (splitter, decoder) if step is not None)


def _by_name(name: str) -> type[Tokenizer] | None:
    """The class that a checkpoint calls so; None if it is not known."""
    name = name.removesuffix("Fast")
    known: dict[str, type[Tokenizer]] = {kind.tokenizer_class: kind for kind in _MODEL_TYPES} | dict(_ALIASES)
    return (known | dict.fromkeys(_PLAIN, Tokenizer)).get(name)


def _by_model_type(source: hub.Source) -> type[Tokenizer] | None:
    """The class for the architecture in config.json; None if there is none."""
    path = source.find("config.json")
    if path is None:
        return None
    fields = files.read_json(path)
    if fields.get("model_type") == "encoder-decoder" and isinstance(fields.get("encoder"), dict):
        fields = fields["encoder"]  # of two models put together, the one that reads texts
    name = fields.get("tokenizer_class")
    kind = _by_name(name) if isinstance(name, str) else None
    model_type = fields.get("model_type")
    return kind or (_CLASSES.get(model_type) if isinstance(model_type, str) else None)
