"""Folders of sentence encoders and rerankers as versions of sentence-transformers have written them, made without it:
toy transformers with weights from seeds, and modules with weights from their names. `record_sentences.py` has asked
sentence-transformers itself.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from jaxformers import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    Model,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
    pipeline,
)

from .conftest import write_classifier
from .toy_decoder import write_ranker
from .toy_seq2seq import GOLDEN, T5_SIZES

WIDTH, WORDS = 32, 60
"""Numbers of a token's vector, words of the vocabulary."""
TEXTS = ["a b c", "x y z a b c d e f g h i j", "", "A [MASK] B [mask] C"]
LINES = ["The file could not be opened.", "été, and a little more is said of it than fits", "", "x<extra_id_0> y"]
PAIRS = [("a b", "c d e"), ("a", "a"), ("x y z", "k l m n o p q r s t u v w x y z"), ("", "b")]

OLD, NEW = "sentence_transformers.models.{}", "sentence_transformers.{}"
NEW_PATHS = {
    "Transformer": "base.modules.transformer.Transformer",
    "Dense": "base.modules.dense.Dense",
    "Normalize": "base.modules.normalize.Normalize",
    "Pooling": "sentence_transformer.modules.pooling.Pooling",
    "LayerNorm": "sentence_transformer.modules.layer_norm.LayerNorm",
    "Dropout": "sentence_transformer.modules.dropout.Dropout",
    "WeightedLayerPooling": "sentence_transformer.modules.weighted_layer_pooling.WeightedLayerPooling",
    "SpladePooling": "sparse_encoder.modules.splade_pooling.SpladePooling",
    "LogitScore": "cross_encoder.modules.logit_score.LogitScore",
}


@dataclasses.dataclass(frozen=True)
class Mod:
    """A module: its class, its config.json, the shapes of its arrays."""

    kind: str
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        """Its arrays, by its place and their names alone."""
        drawn = {name: np.random.RandomState(zlib.crc32(f"{number}.{name}".encode())) for name in self.shapes}
        return {
            name: (drawn[name].standard_normal(shape) / 4 + (len(shape) == 1)).astype(np.float32)
            for name, shape in self.shapes.items()
        }


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder, and what is asked of it.

    model: who writes the transformer. modules: behind it; None: there is no modules.json. where: the transformer's
    folder. reading: sentence_bert_config.json, under `named`. about: config_sentence_transformers.json. config: fields
    of config.json. new: whether classes stand under the paths of 6.x. first: the transformer's class. calls: methods
    with their keywords. kind: the class of sentence-transformers.
    """

    model: Callable[[Path], Any]
    modules: Sequence[Mod] | None
    kind: str = "SentenceTransformer"
    calls: Sequence[tuple[str, Mapping[str, Any]]] = (("encode", {}),)
    where: str = ""
    reading: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"max_seq_length": 12})
    named: str = "sentence_bert_config.json"
    about: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    new: bool = False
    first: str = "Transformer"
    template: str | None = None
    texts: Sequence[str] = tuple(TEXTS)

    @property
    def task(self) -> str:
        """Our name of what it is for."""
        return "text-ranking" if self.kind == "CrossEncoder" else "text-embedding"

    @property
    def given(self) -> list[Any]:
        """What its calls are about."""
        return list(PAIRS if self.kind == "CrossEncoder" else self.texts)

    def write(self, folder: Path) -> Path:
        """Write it all."""
        inner = folder / self.where
        inner.mkdir(parents=True, exist_ok=True)
        self.model(inner)
        config = json.loads((inner / "config.json").read_text()) | dict(self.config)
        (inner / "config.json").write_text(json.dumps(config))
        if self.template is not None:
            (inner / "chat_template.jinja").write_text(self.template)
        if self.about is not None:
            (folder / "config_sentence_transformers.json").write_text(json.dumps(self.about))
        if self.modules is None:
            return folder
        if self.reading:
            (inner / self.named).write_text(json.dumps(self.reading))
        kinds = [(self.where, self.first), *((f"{i}_{one.kind}", one.kind) for i, one in enumerate(self.modules, 1))]
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": self.path_of(kind)} for i, (path, kind) in enumerate(kinds)
        ]
        (folder / "modules.json").write_text(json.dumps(listed))
        for i, one in enumerate(self.modules, 1):
            (folder / f"{i}_{one.kind}").mkdir()
            (folder / f"{i}_{one.kind}" / "config.json").write_text(json.dumps(one.config))
            self.write_arrays(i, folder / f"{i}_{one.kind}")
        return folder

    def write_arrays(self, number: int, folder: Path) -> None:
        """Write the arrays of one of the modules, counted from 1, if it has some."""
        assert self.modules is not None
        if arrays := self.modules[number - 1].arrays(number):
            safetensors.numpy.save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})

    def path_of(self, kind: str) -> str:
        """The path of a class."""
        if self.new:
            return NEW.format(NEW_PATHS[kind])
        elsewhere = {
            "MLMTransformer": "sparse_encoder.models.MLMTransformer",
            "SpladePooling": "sparse_encoder.models.SpladePooling",
            "LogitScore": NEW_PATHS["LogitScore"],
        }
        return NEW.format(elsewhere[kind]) if kind in elsewhere else OLD.format(kind)


def bert(folder: Path, cls: type[Model] = BertModel, **fields: Any) -> None:
    """A toy BERT."""
    write_classifier(folder, 4, cls, **fields)


def masks(folder: Path) -> None:
    """One that fills masks."""
    bert(folder, BertForMaskedLM)


def classifier(folder: Path, labels: int = 1) -> None:
    """One that scores pairs."""
    bert(folder, BertForSequenceClassification, num_labels=labels)


def three(folder: Path) -> None:
    """One with three scores."""
    classifier(folder, 3)


def cased(folder: Path) -> None:
    """One whose tokenizer lowers nothing."""
    bert(folder)
    BertTokenizer(vocab_file=str(folder / "words.txt"), do_lower_case=False, model_max_length=40).save_pretrained(
        folder
    )


def t5(folder: Path, cls: type[Model] = T5EncoderModel) -> None:
    """A T5's encoder, as sentence-t5 has it."""
    tokenizer = T5Tokenizer(vocab_file=str(GOLDEN / "seq2seq" / "t5.model"), extra_ids=5, model_max_length=40)
    tokenizer.save_pretrained(folder)
    cls(T5Config(**T5_SIZES | {"d_model": WIDTH}, vocab_size=len(tokenizer))).save_pretrained(folder)


def whole_t5(folder: Path) -> None:
    """A T5 with its decoder, which vectors of texts leave out."""
    t5(folder, T5ForConditionalGeneration)


def decoder(folder: Path) -> None:
    """A decoder that knows "yes" and "no"."""
    write_ranker(folder)


def one_end(folder: Path) -> None:
    """A decoder without a head, for vectors of texts."""
    write_ranker(folder, Qwen3Model)


def questioned(folder: Path) -> None:
    """A decoder without a template for pairs, as our ranker saves it: with Qwen3-Reranker's."""
    write_ranker(folder)
    pipeline("text-ranking", model=folder).save_pretrained(folder)


def pooling(*modes: str, **fields: Any) -> Mod:
    """Pooling in the older spelling: a flag for each way."""
    return Mod(
        "Pooling", {"word_embedding_dimension": WIDTH, **{f"pooling_mode_{mode}": True for mode in modes}, **fields}
    )


def dense(size: int, width: int = WIDTH, bias: bool = True, residual: bool = False, **fields: Any) -> Mod:
    """A dense layer."""
    shapes = {"linear.weight": (size, width)} | ({"linear.bias": (size,)} if bias else {})
    shapes |= {"residual.weight": (size, width)} if residual and size != width else {}
    said = {"in_features": width, "out_features": size, "bias": bias, "activation_function": "torch.nn.Tanh"}
    return Mod("Dense", said | ({"use_residual": True} if residual else {}) | fields, shapes)


def identity(path: str = "linear") -> dict[str, str]:
    """The setting that leaves out a dense layer's activation."""
    return {"activation_function": f"torch.nn.modules.{path}.Identity"}


MEAN, UNIT = pooling("mean_tokens"), Mod("Normalize", {})
TOKENS = {"module_input_name": "token_embeddings"}
PROMPTS = {"query": "q q ", "document": None}
ASKED = [("encode", {}), ("encode_query", {}), ("encode_document", {}), ("encode", {"prompt_name": "query"})]
QUESTION = (
    "<|im_start|>system\n{{ messages | selectattr('role', 'eq', 'system') | map(attribute='content') | first | "
    "default('Is it?') }}<|im_end|>\n<|im_start|>user\n{{ messages | selectattr('role', 'eq', 'query') | "
    "map(attribute='content') | first }} {{ messages | selectattr('role', 'eq', 'document') | "
    "map(attribute='content') | first }}<|im_end|>\n{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHAT = "{% for message in messages %}<|im_start|>{{ message.role }} {{ message.content }}<|im_end|>{% endfor %}"


def asking(transformer: str, result: str, gives: str, **chat: Any) -> dict[str, Any]:
    """sentence_bert_config.json of a decoder that reads messages."""
    way = {"method": "forward", "method_output_name": result}
    said = {"transformer_task": transformer, "module_output_name": gives}
    said |= {"modality_config": {"text": way, "message": way | {"format": "flat"}}}
    return said | ({"processing_kwargs": {"chat_template": chat}} if chat else {})


FOLDERS: Mapping[str, Folder] = {
    "mean": Folder(bert, [MEAN]),
    "cls, length 1": Folder(
        bert, [Mod("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "cls"}), UNIT], new=True
    ),
    "all ways": Folder(
        bert,
        [pooling("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")],
    ),
    "no way": Folder(bert, [Mod("Pooling", {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False})]),
    "ways in another order": Folder(
        bert, [Mod("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": ["lasttoken", "cls", "max"]})], new=True
    ),
    "prompts that are not pooled": Folder(
        bert,
        [pooling("cls_token", "mean_tokens", "weightedmean_tokens", "lasttoken", include_prompt=False)],
        about={"prompts": PROMPTS},
        calls=ASKED,
    ),
    "a default prompt": Folder(
        bert,
        [MEAN],
        about={"prompts": {"x": "x y "}, "default_prompt_name": "x", "similarity_fn_name": "dot"},
        calls=ASKED[:3],
    ),
    "length 1, then dense": Folder(bert, [MEAN, UNIT, dense(5)]),
    "length 1 twice": Folder(bert, [MEAN, UNIT, dense(5, **identity()), UNIT]),
    "two dense layers": Folder(
        bert, [MEAN, dense(6, activation_function="torch.nn.GELU"), dense(5, 6, activation_function="torch.nn.SiLU")]
    ),
    "dense that adds": Folder(bert, [MEAN, dense(WIDTH, residual=True)], new=True),
    "dense that adds a projection": Folder(bert, [MEAN, dense(5, residual=True, bias=False)], new=True),
    "dense on tokens": Folder(
        bert, [dense(6, **TOKENS, **identity()), pooling("max_tokens", word_embedding_dimension=6)]
    ),
    "dense into another": Folder(bert, [MEAN, dense(6, module_output_name="other"), UNIT], new=True),
    "tokens of length 1": Folder(bert, [Mod("Normalize", TOKENS), MEAN], new=True),
    "norm and dropout": Folder(
        bert,
        [
            MEAN,
            Mod("LayerNorm", {"dimension": WIDTH}, {"norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}),
            Mod("Dropout", {"dropout": 0.3}),
            dense(5, bias=False, activation_function="torch.nn.modules.activation.ReLU"),
        ],
    ),
    "weighted layers": Folder(
        bert,
        [
            Mod(
                "WeightedLayerPooling",
                {"word_embedding_dimension": WIDTH, "layer_start": 0, "num_hidden_layers": 1},
                {"layer_weights": (2,)},
            ),
            MEAN,
        ],
        config={"output_hidden_states": True},
    ),
    "weighted layers that are not given": Folder(
        bert,
        [
            Mod(
                "WeightedLayerPooling",
                {"word_embedding_dimension": WIDTH, "layer_start": 0, "num_hidden_layers": 1},
                {"layer_weights": (2,)},
            ),
            MEAN,
        ],
    ),
    "splade": Folder(
        masks,
        [
            Mod(
                "SpladePooling",
                {"pooling_strategy": "max", "activation_function": "relu", "word_embedding_dimension": None},
            )
        ],
        "SparseEncoder",
        first="MLMTransformer",
        about={"model_type": "SparseEncoder"},
    ),
    "splade that sums": Folder(
        masks,
        [Mod("SpladePooling", {"pooling_strategy": "sum", "activation_function": "log1p_relu"})],
        "SparseEncoder",
        reading={"transformer_task": "fill-mask"},
        about={"model_type": "SparseEncoder", "max_active_dims": 7},
        new=True,
    ),
    "the older layout": Folder(bert, [MEAN], where="0_Transformer", named="sentence_roberta_config.json"),
    "lowered": Folder(
        cased, [MEAN], reading={"max_seq_length": 12, "do_lower_case": True}, named="sentence_xlm-roberta_config.json"
    ),
    "cased": Folder(cased, [MEAN]),
    "fewer numbers": Folder(
        bert, [MEAN], about={"truncate_dim": 7, "prompts": PROMPTS}, calls=[*ASKED[:3], ("encode", {"truncate_dim": 5})]
    ),
    "sentence-t5": Folder(t5, [MEAN, dense(5, bias=False, **identity()), UNIT], texts=LINES),
    "a T5 with its decoder": Folder(whole_t5, [MEAN, UNIT], texts=LINES),
    "a decoder": Folder(one_end, [pooling("lasttoken"), UNIT], texts=["a b", "  spaces around  ", "A<|im_end|> B"]),
    "a decoder in a chat": Folder(
        one_end,
        [pooling("lasttoken")],
        reading={**asking("feature-extraction", "last_hidden_state", "token_embeddings"), "max_seq_length": 16},
        about={"prompts": PROMPTS},
        calls=ASKED,
        template=CHAT,
        new=True,
    ),
    "cross-encoder": Folder(classifier, None, "CrossEncoder", [("predict", {})]),
    "cross-encoder, three scores": Folder(
        three, None, "CrossEncoder", [("predict", {}), ("predict", {"apply_softmax": True})]
    ),
    "cross-encoder of 3.x": Folder(
        classifier,
        None,
        "CrossEncoder",
        [("predict", {})],
        config={"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ),
    "cross-encoder of 4.x": Folder(
        classifier,
        None,
        "CrossEncoder",
        [("predict", {})],
        config={"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh", "version": "4.0.1"}},
    ),
    "cross-encoder of 6.x": Folder(
        classifier,
        [],
        "CrossEncoder",
        [("predict", {}), ("predict", {"prompt_name": "other"}), ("predict", {"prompt": "z "})],
        reading={"transformer_task": "sequence-classification", "max_seq_length": 12},
        about={
            "model_type": "CrossEncoder",
            "activation_fn": "torch.nn.modules.linear.Identity",
            "prompts": {"query": "q q ", "other": None},
            "default_prompt_name": "query",
        },
        config={"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}},
        new=True,
    ),
    "modular cross-encoder": Folder(
        bert,
        [
            Mod("Pooling", {"embedding_dimension": WIDTH, "pooling_mode": "cls"}),
            dense(WIDTH, activation_function="torch.nn.modules.activation.GELU"),
            Mod("LayerNorm", {"dimension": WIDTH}, {"norm.weight": (WIDTH,), "norm.bias": (WIDTH,)}),
            dense(1, **identity(), module_input_name="sentence_embedding", module_output_name="scores"),
        ],
        "CrossEncoder",
        [("predict", {})],
        about={"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"},
        new=True,
    ),
    "a decoder that is asked": Folder(
        decoder,
        [Mod("LogitScore", {"true_token_id": 70, "false_token_id": 71, "module_input_name": "causal_logits"})],
        "CrossEncoder",
        [("predict", {}), ("predict", {"prompt": "Why?"})],
        reading={
            **asking("text-generation", "logits", "causal_logits", add_generation_prompt=True),
            "max_seq_length": 60,
        },
        about={"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Sigmoid"},
        template=QUESTION,
        new=True,
    ),
    "a decoder that reads pairs": Folder(
        decoder,
        [Mod("LogitScore", {"true_token_id": 70, "false_token_id": None})],
        "CrossEncoder",
        [("predict", {})],
        reading={"transformer_task": "text-generation"},
        about={"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"},
        new=True,
    ),
    "a decoder with Qwen3-Reranker's question": Folder(
        questioned, None, "CrossEncoder", [("predict", {}), ("predict", {"prompt": "Find the note"})]
    ),
    "a decoder without modules": Folder(decoder, None, "CrossEncoder", [("predict", {})], template=QUESTION),
}
"""By what is particular about them."""


def answers_of(case: Folder, made: Any) -> list[np.ndarray]:
    """What a pipeline of ours answers to the calls."""
    found = []
    for method, options in case.calls:
        x = getattr(made, method)(case.given, **options)
        found.append(np.stack([one.todense() for one in x]) if isinstance(x, list) else np.asarray(x))
    return found


def texts_of(folder: Path) -> dict[str, Any]:
    """The files of a folder that say how texts become vectors, by their names."""
    wanted = ("sentence_bert_config.json", "config_sentence_transformers.json", "modules.json")
    paths = [path for path in folder.rglob("*.json") if path.name in wanted or path.parent != folder]
    return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(paths)}


def rebuilt(case: Folder, original: Path, folder: Path, saved: Mapping[str, Any]) -> Path:
    """A folder as sentence-transformers has saved it: its files of text, with the arrays of the original."""
    shutil.copytree(original / case.where, folder, ignore=shutil.ignore_patterns("modules.json", "*sentence_*", "*_*"))
    for name in ("tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (original / case.where / name).exists():
            shutil.copy(original / case.where / name, folder)
    for name, found in saved["files"].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(found))
    for i, one in enumerate(saved["files"]["modules.json"][1:], 1):
        (folder / one["path"]).mkdir(exist_ok=True)
        if case.modules:
            case.write_arrays(i, folder / one["path"])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        fields = json.loads((folder / name).read_text()) | saved[name]
        (folder / name).write_text(json.dumps(fields))
    return folder
