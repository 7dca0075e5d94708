"""jaxformers: any Hub checkpoint as a pure JAX function.

Names are loaded when they are first used, so `import jaxformers` costs next to nothing and touches no device.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from typing import Any

__version__ = "0.1.0"

# Public names that are not classes of an architecture, by the room that holds them.
_ROOMS = {
    "adapters": "LoraConfig PeftModel get_peft_model",
    "auto": (
        "AutoConfig AutoModel AutoModelForCausalLM AutoModelForMaskedLM AutoModelForMultipleChoice "
        "AutoModelForNextSentencePrediction AutoModelForPreTraining AutoModelForQuestionAnswering "
        "AutoModelForSeq2SeqLM AutoModelForSequenceClassification AutoModelForTokenClassification AutoTokenizer"
    ),
    "bundle": "Model",
    "config": "Config",
    "generation": "AsyncTextIteratorStreamer GenerationConfig History TextIteratorStreamer TextStreamer TokenTrie",
    "pipelines": "Pipeline pipeline",
    "runtime": "compilations forbid",
    "tasks": "generate",
    "tokenizers": (
        "AlbertTokenizer AlbertTokenizerFast BartTokenizer BartTokenizerFast BatchEncoding BertTokenizer "
        "BertTokenizerFast BigBirdTokenizer BigBirdTokenizerFast BioGptTokenizer BlenderbotSmallTokenizer "
        "BlenderbotSmallTokenizerFast BlenderbotTokenizer BlenderbotTokenizerFast BloomTokenizer "
        "BloomTokenizerFast ByT5Tokenizer CTRLTokenizer CamembertTokenizer CamembertTokenizerFast "
        "CodeGenTokenizer CodeGenTokenizerFast CohereTokenizer CohereTokenizerFast ConvBertTokenizer "
        "ConvBertTokenizerFast DebertaTokenizer DebertaTokenizerFast DebertaV2Tokenizer "
        "DebertaV2TokenizerFast DistilBertTokenizer DistilBertTokenizerFast ElectraTokenizer "
        "ElectraTokenizerFast EsmTokenizer FNetTokenizer FNetTokenizerFast FSMTTokenizer FlaubertTokenizer "
        "FunnelTokenizer FunnelTokenizerFast GPT2Tokenizer GPT2TokenizerFast GPTNeoXTokenizer "
        "GPTNeoXTokenizerFast GemmaTokenizer GemmaTokenizerFast LEDTokenizer LEDTokenizerFast "
        "LlamaTokenizer LlamaTokenizerFast LongformerTokenizer LongformerTokenizerFast LukeTokenizer "
        "M2M100Tokenizer MBart50Tokenizer MBart50TokenizerFast MBartTokenizer MBartTokenizerFast "
        "MPNetTokenizer MPNetTokenizerFast MT5Tokenizer MT5TokenizerFast MarianTokenizer "
        "MobileBertTokenizer MobileBertTokenizerFast MvpTokenizer MvpTokenizerFast NllbTokenizer "
        "NllbTokenizerFast OpenAIGPTTokenizer OpenAIGPTTokenizerFast PLBartTokenizer PegasusTokenizer "
        "PegasusTokenizerFast ProphetNetTokenizer Qwen2Tokenizer Qwen2TokenizerFast RemBertTokenizer "
        "RemBertTokenizerFast RoFormerTokenizer RoFormerTokenizerFast RobertaTokenizer RobertaTokenizerFast "
        "SplinterTokenizer SplinterTokenizerFast SqueezeBertTokenizer SqueezeBertTokenizerFast T5Tokenizer "
        "T5TokenizerFast Tokenizer XGLMTokenizer XGLMTokenizerFast XLMProphetNetTokenizer "
        "XLMRobertaTokenizer XLMRobertaTokenizerFast XLMTokenizer XLNetTokenizer XLNetTokenizerFast"
    ),
    "training.collators": (
        "DataCollatorForLanguageModeling DataCollatorForMultipleChoice DataCollatorForSeq2Seq "
        "DataCollatorForTokenClassification DataCollatorForWholeWordMask DataCollatorWithFlattening "
        "DataCollatorWithPadding DefaultDataCollator default_data_collator"
    ),
    "training.arguments": "Seq2SeqTrainingArguments TrainingArguments",
    "training.callbacks": (
        "DefaultFlowCallback EarlyStoppingCallback PrinterCallback ProgressCallback TrainerCallback"
    ),
    "training.metrics": "EvalPrediction",
    "training.run_state": "TrainerControl TrainerState",
    "training.sentences": "MultipleNegativesRankingLoss SentencePairsCollator",
    "training.seq2seq": "Seq2SeqTrainer",
    "training.trainer": "Trainer",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}
_RENAMED = {"Sight": "History"}
"""Older names, until the next minor version."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(f"jaxformers.{name} is called jaxformers.{new}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[new]}"), new)
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name[:1].isupper():
        value = importlib.import_module(f"{__name__}.auto").named(name)
    elif name == "__all__":  # what a star imports: all files of models, so they are listed when it is asked for
        value = [*_HOMES, *importlib.import_module(f"{__name__}.auto").class_names()]
    elif not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
