"""The files of sentence-transformers: which modules a checkpoint is made of, and what else it says of its texts.

modules.json lists the modules in their order, each with the path of its class and the folder of its own config.json and
arrays; that of the transformer, the first, has sentence_bert_config.json. config_sentence_transformers.json has what is
about the whole. Older and newer spellings are read; what is not known here is refused by name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers.normalizers import Lowercase

from .. import gguf
from ..bundle import Model
from ..checkpoint import weights
from ..hub import Source
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import sentence_modules as kinds
from .fields import Fields, found_in
from .sentence_modules import Arrays, Head, Module
from .templates import Chat

LIST, CONFIG = "modules.json", "config.json"
ABOUT, READING = "config_sentence_transformers.json", "sentence_bert_config.json"
_OLDER_READING = [
    f"sentence_{name}_config.json" for name in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]
FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
_OF_GGUF = {1: "mean", 2: "cls", 3: "lasttoken"}
"""llama.cpp's numbers of the ways to pool."""
_SIMILARITIES = ("cosine", "dot", "dot_product", "euclidean", "manhattan")
_OF_JINA = "custom_st.Transformer"  # the repository's code; what it does, choosing an adapter, is built in here
_OF_LOADER = frozenset(
    """
    add_pooling_layer attn_implementation code_revision device_map dtype low_cpu_mem_usage revision token torch_dtype
    trust_remote_code unpad_inputs use_cache use_memory_efficient_attention use_safetensors
    """.split()
)
"""What a folder may ask of torch's loader: none of it changes a vector, but for the type, which is the caller's."""
_OF_ENGINE = frozenset("padding padding_side pad_to_multiple_of logits_to_keep return_tensors".split())
"""What a folder may ask of the tokenizer's call, and the engine settles."""


@dataclasses.dataclass(frozen=True)
class Transformer:
    """How the first module reads texts.

    task: one of `sentence_modules.HEADS`. longest: tokens of a text; None: what the tokenizer says; never more than the
    model takes. lower: whether texts are lowered first, but for the tokenizer's special tokens. chat: how texts are put
    into a chat template; None: they are read as they are. layers: whether the vectors of all layers are given too.
    """

    task: str = "feature-extraction"
    longest: int | None = None
    lower: bool = False
    chat: Chat | None = None
    layers: bool = False

    @property
    def head(self) -> Head:
        """What the model is loaded for."""
        return kinds.HEADS[self.task]

    def as_read(self, texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
        """Texts as the tokenizer is given them."""
        if not self.lower:
            return list(texts)
        kept = [item.content for item in tokenizer.added_tokens_decoder.values() if not item.normalized]
        lower = Lowercase().normalize_str
        if not kept:
            return [lower(text) for text in texts]
        pieces = re.compile("(" + "|".join(map(re.escape, sorted(kept, key=len, reverse=True))) + ")")
        return ["".join(part if i % 2 else lower(part) for i, part in enumerate(pieces.split(text))) for text in texts]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is read once with a checkpoint.

    modules: behind the transformer, in their order. arrays: of each. prompts: by name. default_prompt: the name of that
    which is used where none is asked for. similarity: how vectors are compared; None: as is usual for their kind.
    truncate_dim: only so many numbers of each vector. most_words: only so many words of a sparse vector. activation:
    what makes scores of logits, by the name of torch's class; None: not said. tasks: the words before the texts of each
    of the model's tasks.
    """

    transformer: Transformer = Transformer()
    modules: tuple[Module, ...] = ()
    arrays: tuple[Arrays, ...] = ()
    prompts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    default_prompt: str | None = None
    similarity: str | None = None
    truncate_dim: int | None = None
    most_words: int | None = None
    activation: str | None = None
    tasks: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, transformer: Transformer, *modules: Module) -> Settings:
        """Those of modules without arrays."""
        return cls(transformer, modules, ({},) * len(modules))

    @property
    def sparse(self) -> bool:
        """Whether vectors are weights of words."""
        return any(isinstance(module, kinds.SpladePooling) for module in self.modules)

    def compute(self, gives: str) -> kinds.Compute:
        """What runs on the device. gives: the name of its result."""
        layers = any(isinstance(module, kinds.WeightedLayerPooling) for module in self.modules)
        return kinds.Compute(self.transformer.head, self.modules, gives, layers and self.transformer.layers)

    def widths(self, model: Model) -> list[int]:
        """How many numbers a vector has that goes into each module. Nothing is computed.

        Raises:
            ValueError: the modules do not fit the model, or each other; the message says which.
        """
        one, head = jnp.ones((1, 1), jnp.int32), self.transformer.head
        forward = partial(type(model).forward, config=model.config.bare(), inputs=Inputs(ids=one, mask=one))
        made = jax.eval_shape(lambda params: forward(params)[head.result], model.params)
        return kinds.widths(self.modules, self.arrays, head.gives, made.shape[-1])

    def prompt(self, words: str | None, name: str | None) -> str:
        """What stands before each text.

        Raises:
            ValueError: a name that the checkpoint does not have.
        """
        if words is not None:
            return words
        name = name or self.default_prompt
        if name is None:
            return ""
        if name not in self.prompts:
            raise ValueError(f"prompt_name={name!r}: the checkpoint has {sorted(self.prompts) or 'no prompts'}")
        return self.prompts[name]


def inside(source: Source) -> Source:
    """Where the transformer's own files are: in the folder that modules.json names, in older checkpoints not the first.

    Raises:
        ValueError: modules.json is no list of modules.
    """
    listed = _listed(source)
    return source.within(listed[0].path) if listed and listed[0].path else source


def read(source: Source, absent: Settings, gives: str) -> Settings:
    """The settings of a checkpoint.

    Args:
        source: the checkpoint.
        absent: its transformer and modules where there is no modules.json.
        gives: the name of what the last module must have made.

    Raises:
        ValueError: a module or a setting that is not known here, modules that do not fit each other, or a file that
            does not say what it must.
        OSError: a module's file is absent.
    """
    listed, within = _listed(source), inside(source)
    config = Fields.read(within, CONFIG)
    about = _about(source)
    tasks = _tasks(config)
    if not listed:
        if any("colbert" in str(name).lower() for name in config.found.get("architectures") or ()):
            raise ValueError(_several(source))
        return dataclasses.replace(absent, tasks=tasks, **about)
    first, *rest = listed
    if first.kind not in ("Transformer", "MLMTransformer") and not (first.type == _OF_JINA and tasks):
        raise ValueError(f"{source}: {LIST} begins with a {first.type!r}, and only transformers are known here")
    transformer = _transformer(within, "fill-mask" if first.kind == "MLMTransformer" else "feature-extraction")
    transformer = dataclasses.replace(transformer, layers=config.found.get("output_hidden_states") is True)
    made = [_module(source, one) for one in rest]
    modules, arrays = tuple(module for module, _ in made), tuple(own for _, own in made)
    have = {transformer.head.gives}
    for module in modules:
        if module.reads not in have:
            raise ValueError(f"{source}: {type(module).__name__} reads {module.reads!r}; there is {sorted(have)} only")
        have.add(module.gives)
    if gives not in have:
        if kinds.SCORES in have:
            raise ValueError(f"{source}: its modules give scores of pairs, so it is for 'text-ranking'")
        if kinds.VECTOR in have:
            raise ValueError(f"{source}: its modules give vectors of texts, so it is for 'text-embedding'")
        raise ValueError(_several(source))
    return Settings(transformer, modules, arrays, tasks=tasks, **about)


def _several(source: Source) -> str:
    return f"{source} gives several vectors a text, as ColBERT does, and no task here compares those"


# -- the list ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Listed:
    """An entry of modules.json: the path of the class, and the folder of its files."""

    type: str
    path: str

    @property
    def kind(self) -> str | None:
        """The name of the class, where it is one of the reference's."""
        package, _, name = self.type.rpartition(".")
        return name if package.partition(".")[0] == "sentence_transformers" else None


def _listed(source: Source) -> list[_Listed]:
    found = found_in(source, LIST, list, [])
    if not all(isinstance(one, dict) and isinstance(one.get("type"), str) for one in found):
        raise ValueError(f"{source}: {LIST} must be a list of modules, each with a type")
    if not all(isinstance(one.get("path", ""), str) for one in found):
        raise ValueError(f"{source}: each path of {LIST} must be the name of a folder")
    return [_Listed(one["type"], one.get("path", "")) for one in found]


def _module(source: Source, listed: _Listed) -> tuple[Module, Arrays]:
    """A module behind the transformer, with its arrays."""
    if listed.kind is None or listed.kind not in _READERS:
        what = f"{LIST} has a {listed.type!r}"
        if listed.kind is None:
            raise ValueError(f"{source}: {what}, which is code of its own: none is run")
        if listed.kind == "MultiVectorMask":
            raise ValueError(_several(source))
        raise ValueError(f"{source}: {what}, which is not known here; those that are: {', '.join(_READERS)}")
    if listed.kind == "Pooling":
        source.file(f"{listed.path}/{CONFIG}")  # without it nobody knows how
    fields = Fields.read(source, f"{listed.path}/{CONFIG}")
    module = _READERS[listed.kind](fields)
    fields.end()
    if not module.needs:
        return module, {}
    files = weights.open_weights(source.within(listed.path))
    for name in module.needs:
        if name not in files:
            raise ValueError(f"{source}/{listed.path}: no {name} in the weights of this {listed.kind}")
    return module, {name: jnp.asarray(np.array(files[name].read(), np.float32)) for name in module.needs}


def _pooling(fields: Fields) -> Module:
    for name in ("embedding_dimension", "word_embedding_dimension"):
        fields.take(name, int)
    flags = tuple(mode for mode, name in FLAGS.items() if fields.take(name, bool))
    named = fields.found.pop("pooling_mode", None)
    if named is None:
        named = list(flags) or "mean"
    modes = (named,) if isinstance(named, str) else tuple(named) if isinstance(named, list) else ()
    if not modes or not all(mode in kinds.MODES for mode in modes):
        raise fields.wrong("pooling_mode", f"some of {list(kinds.MODES)}", named)
    return kinds.Pooling(modes, fields.take("include_prompt", bool, True))


def _dense(fields: Fields) -> Module:
    sizes = [fields.take(name, int) for name in ("in_features", "out_features")]
    where = f"{fields.source}/{fields.file}"
    name = fields.take("activation_function", str, "torch.nn.Tanh")
    reads, residual = fields.take("module_input_name", str, kinds.VECTOR), fields.take("use_residual", bool, False)
    return kinds.Dense(
        activation_named(name, kinds.ACTIVATIONS, where),
        reads,
        fields.take("module_output_name", str, None) or reads,
        bias=fields.take("bias", bool, True),
        residual=residual,
        projects=residual and sizes[0] != sizes[1],
    )


def _normalize(fields: Fields) -> Module:
    reads = fields.take("module_input_name", str, kinds.VECTOR)
    return kinds.Normalize(reads, fields.take("module_output_name", str, None) or reads)


def _layer_norm(fields: Fields) -> Module:
    fields.take("dimension", int)
    return kinds.LayerNorm()


def _dropout(fields: Fields) -> Module:
    return kinds.Dropout(float(fields.take("dropout", float, 0.2)))


def _splade(fields: Fields) -> Module:
    for name in ("embedding_dimension", "word_embedding_dimension", "chunk_size"):
        fields.take(name, int)
    return kinds.SpladePooling(
        fields.choose("pooling_strategy", ("max", "sum"), "max"),
        fields.choose("activation_function", ("relu", "log1p_relu"), "relu"),
    )


def _weighted_layers(fields: Fields) -> Module:
    for name in ("embedding_dimension", "word_embedding_dimension", "num_hidden_layers"):
        fields.take(name, int)
    return kinds.WeightedLayerPooling(fields.take("layer_start", int, 4))


def _logit_score(fields: Fields) -> Module:
    yes, no = fields.take("true_token_id", int), fields.take("false_token_id", int)
    if yes is None:
        raise fields.wrong("true_token_id", "a token", yes)
    fields.choose("module_input_name", (kinds.LOGITS,), kinds.LOGITS)
    return kinds.LogitScore(yes, no)


_READERS: Mapping[str, Callable[[Fields], Module]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
    "Dropout": _dropout,
    "SpladePooling": _splade,
    "WeightedLayerPooling": _weighted_layers,
    "LogitScore": _logit_score,
}


def activation_named(name: str, known: Mapping[str, Any], where: str) -> str:
    """The last part of the path of one of torch's activations, where it is known.

    Raises:
        ValueError: it is not.
    """
    package, _, last = name.rpartition(".")
    if not f"{package}.".startswith("torch.") or last not in known:
        raise ValueError(f"{where}: the activation function {name!r} is none of torch's {', '.join(known)}")
    return last


def of_gguf(source: Source) -> Settings:
    """What llama.cpp does behind the transformer of a GGUF file: it pools as the header says, and gives length 1."""
    header = gguf.read(source)
    key = f"{header.text('general.architecture')}.pooling_type"
    number = header.whole(key)
    if not number:
        return Settings.of(Transformer(), kinds.Pooling())
    if number not in _OF_GGUF:
        known = ", ".join(f"{number} ({mode})" for number, mode in _OF_GGUF.items())
        raise ValueError(f"{header.files[0]}: {key} is {number}, no way to pool that is known here: {known}")
    return Settings.of(Transformer(), kinds.Pooling((_OF_GGUF[number],)), kinds.Normalize())


# -- what is about texts -----------------------------------------------------------------------------------------------


def _transformer(source: Source, task: str) -> Transformer:
    """How the transformer whose files are in a source reads texts. task: where that is not said."""
    found = (Fields.read(source, name) for name in (READING, *_OLDER_READING))
    fields = next((one for one in found if one.found), None)
    if fields is None:
        return Transformer(task)
    task = fields.choose("transformer_task", tuple(kinds.HEADS), task)
    longest, lower = fields.positive("max_seq_length"), fields.take("do_lower_case", bool, False)
    fields.take("unpad_inputs", bool)
    for name in ("query_length", "document_length", "query_expansion", "tokenizer_name_or_path"):
        if fields.found.pop(name, None) is not None:
            raise ValueError(f"{source}: {name} of {fields.file} is not known here, where each text has one vector")
    for name in ("model", "config", "tokenizer", "processor"):
        for spelling in (f"{name}_args", f"{name}_kwargs"):
            given = fields.inner(spelling)
            longest = given.positive("model_max_length") or longest
            given.drop(_OF_LOADER | _OF_ENGINE)
            given.end()
    style = _style(fields, kinds.HEADS[task])
    processing = fields.inner("processing_kwargs")
    text, common = processing.inner("text"), processing.inner("common")
    longest = text.positive("max_length") or longest
    text.choose("truncation", (True, "longest_first"), True)
    variables = processing.inner("chat_template").found
    for one in (text, common):
        one.drop(_OF_ENGINE)
        one.end()
    processing.end()
    fields.end()
    chat = None if style is None else _chat(style, variables)
    return Transformer(task, longest, lower, chat)


def _style(fields: Fields, head: Head) -> str | None:
    """The style of messages, where the transformer reads them."""
    fields.choose("module_output_name", (head.gives,), head.gives)
    ways, styles = fields.inner("modality_config"), {}
    for name in ("text", "message"):
        if name in ways.found:
            way = ways.inner(name)
            way.choose("method", ("forward",), "forward")
            way.choose("method_output_name", (head.result,), head.result)
            styles[name] = way.choose("format", ("auto", "flat", "structured"), "auto")
            way.end()
    ways.end()
    return styles.get("message")


def _chat(style: str, variables: Mapping[str, Any]) -> Chat:
    own = {name: value for name, value in variables.items() if name not in ("restore_suffix", "chat_template")}
    return Chat(style, own, variables.get("restore_suffix") is not False, variables.get("chat_template"))


def _about(source: Source) -> dict[str, Any]:
    """Those of the settings that are about the whole."""
    fields = Fields.read(source, ABOUT)
    kind = fields.take("model_type", str, None)
    if kind not in (None, "SentenceTransformer", "SparseEncoder", "CrossEncoder"):
        if kind in ("MultiVectorEncoder", "ColBERT"):
            raise ValueError(_several(source))
        raise fields.wrong("model_type", "SentenceTransformer, SparseEncoder or CrossEncoder", kind)
    prompts = fields.found.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise fields.wrong("prompts", "texts by name", prompts)
    default = fields.take("default_prompt_name", str, None)
    if default is not None and default not in prompts:
        if default not in ("query", "document"):  # the names that every encoder has, without words unless it says some
            raise fields.wrong("default_prompt_name", f"one of {sorted(prompts)}", default)
        default = None
    similarity = fields.choose("similarity_fn_name", _SIMILARITIES, None)
    return {
        "prompts": {name: text or "" for name, text in prompts.items()},
        "default_prompt": default,
        "similarity": "dot" if similarity == "dot_product" else similarity,
        "truncate_dim": fields.positive("truncate_dim"),
        "most_words": fields.positive("max_active_dims"),
        "activation": fields.take("activation_fn", str, None),
    }


def _tasks(config: Fields) -> dict[str, str]:
    """The words before the texts of each task that the model's config.json names."""
    names, words = config.found.get("lora_adaptations") or [], config.found.get("task_instructions") or {}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not isinstance(words, dict):
        raise ValueError(
            f"{config.source}: config.json must list its lora_adaptations, and name the texts of task_instructions"
        )
    return {name: str(words.get(name, "")) for name in names}
