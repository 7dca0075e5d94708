"""The files of sentence-transformers: which modules a checkpoint is made of, and what else it says of its texts.

modules.json lists the modules in their order, each with the path of its class and the folder of its own config.json and
arrays; that of the transformer, the first, has sentence_bert_config.json. config_sentence_transformers.json has what is
about the whole. Both older and newer spellings are read; what is written is what all versions read.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers.normalizers import Lowercase

from .. import gguf
from ..bundle import Model
from ..checkpoint import weights
from ..durable import Replacement, resolve
from ..hub import Source, source_of
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import sentence_modules as kinds
from .sentence_modules import Arrays, Head, Module
from .templates import Chat

LIST, CONFIG, TEMPLATE = "modules.json", "config.json", "chat_template.jinja"
ABOUT, READING = "config_sentence_transformers.json", "sentence_bert_config.json"
_OLDER_READING = [
    f"sentence_{name}_config.json" for name in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
]
_FLAGS = {
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
_HARMLESS = {"attn_implementation", "device_map", "dtype", "torch_dtype", "add_pooling_layer", "trust_remote_code"}
"""What a folder may ask of torch's loader: none of it changes a vector, but for the type, which is the caller's."""
_OF_ENGINE = {"padding", "padding_side", "pad_to_multiple_of", "logits_to_keep", "return_tensors"}
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
    config = _Fields.read(within, CONFIG)
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
    found = _json(source, LIST, list, [])
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
    fields = _Fields.read(source, f"{listed.path}/{CONFIG}")
    module = _READERS[listed.kind](fields)
    fields.end()
    if not module.needs:
        return module, {}
    files = weights.open_weights(source.within(listed.path))
    for name in module.needs:
        if name not in files:
            raise ValueError(f"{source}/{listed.path}: no {name} in the weights of this {listed.kind}")
    names = [name for name in (*module.needs, *module.may_have) if name in files]
    arrays = {name: jnp.asarray(np.array(files[name].read(), np.float32)) for name in names}
    if isinstance(module, kinds.Dense) and module.residual and "residual.weight" not in arrays:
        rows, columns = arrays["linear.weight"].shape
        if rows != columns:
            raise ValueError(f"{source}/{listed.path}: no residual.weight, from {columns} numbers to {rows}")
    return module, arrays


def _pooling(fields: _Fields) -> Module:
    for name in ("embedding_dimension", "word_embedding_dimension"):
        fields.take(name, int)
    flags = tuple(mode for mode, name in _FLAGS.items() if fields.take(name, bool))
    named = fields.found.pop("pooling_mode", flags or "mean")
    modes = (named,) if isinstance(named, str) else tuple(named)
    if not modes or not set(modes) <= set(kinds.MODES):
        raise fields.wrong("pooling_mode", f"some of {list(kinds.MODES)}", named)
    return kinds.Pooling(modes, fields.take("include_prompt", bool, True))


def _dense(fields: _Fields) -> Module:
    for name in ("in_features", "out_features"):
        fields.take(name, int)
    fields.take("bias", bool)
    reads = fields.take("module_input_name", str, kinds.VECTOR)
    return kinds.Dense(
        activation_named(
            fields.take("activation_function", str, "torch.nn.Tanh"),
            kinds.ACTIVATIONS,
            f"{fields.source}/{fields.file}",
        ),
        reads,
        fields.take("module_output_name", str, None) or reads,
        fields.take("use_residual", bool, False),
    )


def _normalize(fields: _Fields) -> Module:
    reads = fields.take("module_input_name", str, kinds.VECTOR)
    return kinds.Normalize(reads, fields.take("module_output_name", str, None) or reads)


def _layer_norm(fields: _Fields) -> Module:
    fields.take("dimension", int)
    return kinds.LayerNorm()


def _dropout(fields: _Fields) -> Module:
    return kinds.Dropout(float(fields.take("dropout", float, 0.2)))


def _splade(fields: _Fields) -> Module:
    for name in ("embedding_dimension", "word_embedding_dimension", "chunk_size"):
        fields.take(name, int)
    return kinds.SpladePooling(
        fields.choose("pooling_strategy", ("max", "sum"), "max"),
        fields.choose("activation_function", ("relu", "log1p_relu"), "relu"),
    )


def _weighted_layers(fields: _Fields) -> Module:
    for name in ("embedding_dimension", "word_embedding_dimension", "num_hidden_layers"):
        fields.take(name, int)
    return kinds.WeightedLayerPooling(fields.take("layer_start", int, 4))


def _logit_score(fields: _Fields) -> Module:
    yes, no = fields.take("true_token_id", int), fields.take("false_token_id", int)
    if yes is None:
        raise fields.wrong("true_token_id", "a token", yes)
    fields.choose("module_input_name", (kinds.LOGITS,), kinds.LOGITS)
    return kinds.LogitScore(yes, no)


_READERS: Mapping[str, Callable[[_Fields], Module]] = {
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
    found = (_Fields.read(source, name) for name in (READING, *_OLDER_READING))
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
            given.drop(_HARMLESS)
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


def _style(fields: _Fields, head: Head) -> str | None:
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
    fields = _Fields.read(source, ABOUT)
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


def _tasks(config: _Fields) -> dict[str, str]:
    """The words before the texts of each task that the model's config.json names."""
    names, words = config.found.get("lora_adaptations") or [], config.found.get("task_instructions") or {}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not isinstance(words, dict):
        raise ValueError(
            f"{config.source}: config.json must list its lora_adaptations, and name the texts of task_instructions"
        )
    return {name: str(words.get(name, "")) for name in names}


# -- fields of a file --------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Fields:
    """What an object of JSON says: fields are taken one by one, so that what is left is what nobody knows.

    found: what is left. source, file: where it stands, for errors.
    """

    found: dict[str, Any]
    source: str
    file: str

    @classmethod
    def read(cls, source: Source, file: str) -> _Fields:
        """Of a file of a checkpoint; nothing where it is absent."""
        return cls(dict(_json(source, file, dict, {})), str(source), file)

    def wrong(self, name: str, what: str, value: Any) -> ValueError:
        """The error that says what a field must be."""
        return ValueError(f"{self.source}: {name} of {self.file} must be {what}; found {value!r:.60}")

    def take(self, name: str, kind: type[Any], absent: Any = None) -> Any:
        """The value of a field; where it is absent or null, another.

        Raises:
            ValueError: it is of another kind.
        """
        value = self.found.pop(name, None)
        if value is None:
            return absent
        if type(value) not in ((float, int) if kind is float else (kind,)):
            raise self.wrong(name, _KINDS[kind], value)
        return value

    def positive(self, name: str) -> int | None:
        """A whole number, 1 or more, or None."""
        value = self.take(name, int)
        if value is not None and value < 1:
            raise self.wrong(name, "1 or more, or null", value)
        return value

    def choose(self, name: str, known: Collection[Any], absent: Any) -> Any:
        """One of what is known."""
        value = self.found.pop(name, None)
        if value is None:
            return absent
        if value not in known:
            raise self.wrong(name, f"one of {', '.join(map(str, known))}", value)
        return value

    def inner(self, name: str) -> _Fields:
        """The fields of an object within; none where it is absent."""
        return _Fields(dict(self.take(name, dict, {})), self.source, f"{name} of {self.file}")

    def drop(self, names: Collection[str]) -> None:
        """Leave out fields without effect."""
        self.found = {name: value for name, value in self.found.items() if name not in names}

    def end(self) -> None:
        """No more fields are known.

        Raises:
            ValueError: there are some.
        """
        if self.found:
            unknown = ", ".join(map(repr, sorted(self.found)))
            raise ValueError(f"{self.source}: {unknown} of {self.file}: not known here, and might change results")


_KINDS = {
    str: "a string or null",
    bool: "true, false or null",
    int: "a whole number or null",
    float: "a number or null",
    dict: "an object or null",
}


def _json(source: Source, name: str, kind: type[Any], absent: Any) -> Any:
    path = source.find(name)
    return absent if path is None else _loaded(path, kind)


def _loaded(path: Path, kind: type[Any]) -> Any:
    """What a file of JSON holds.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON: {error}") from None
    if not isinstance(found, kind):
        what = "a list of modules" if kind is list else "an object"
        raise ValueError(f"{path} must be {what}, found {type(found).__name__}")
    return found


# -- writing -----------------------------------------------------------------------------------------------------------

_WRITTEN = "sentence_transformers.models.{}"
_ELSEWHERE = {
    "MLMTransformer": "sentence_transformers.sparse_encoder.models.MLMTransformer",
    "SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling",
    "LogitScore": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore",
}
"""Classes are written under the first paths that they had, which later versions read too."""
_OWN = re.compile(r"[1-9]\d*_[A-Z][A-Za-z]+(-\d+)?")


def width(model: Model, head: Head) -> int:
    """How many numbers the vector of a token has that goes into the modules; nothing is computed."""
    one = Inputs(ids=jnp.zeros((1, 1), jnp.int32), mask=jnp.ones((1, 1), jnp.int32))
    forward = partial(type(model).forward, config=model.config.bare(), inputs=one)
    return jax.eval_shape(lambda params: forward(params)[head.result], model.params).shape[-1]


def check(settings: Settings, model: Model) -> None:
    """Whether the modules fit a model.

    Raises:
        ValueError: they do not; the message says which.
    """
    if any(settings.arrays):
        head = settings.transformer.head
        kinds.widths(settings.modules, settings.arrays, head.gives, width(model, head))


def write(files: Replacement, settings: Settings, width: int, kind: str) -> Callable[[], None]:
    """Add all of this to a save, the list of modules last; folders of modules that are in use stay as they are.

    Args:
        files: the save, with the transformer's own files in it.
        settings: what is written.
        width: how many numbers the vector of a token has.
        kind: the reference's name of what they make: "SentenceTransformer", "SparseEncoder" or "CrossEncoder".

    Returns:
        What to do when the save is done: it removes the files of modules that were there before.
    """
    before = _listed_in(files.folder)
    transformer = settings.transformer
    widths = kinds.widths(settings.modules, settings.arrays, transformer.head.gives, width)
    first = "MLMTransformer" if transformer.task == "fill-mask" else "Transformer"
    entries = [{"idx": 0, "name": "0", "path": "", "type": _path_of(first)}]
    for i, (module, own) in enumerate(zip(settings.modules, settings.arrays, strict=True), 1):
        name = type(module).__name__
        fields = _saved(module, own, widths[i - 1])
        path = _placed(files.folder, f"{i}_{name}", _dumped(fields), own)
        entries.append({"idx": i, "name": str(i), "path": path, "type": _path_of(name)})
    about = {
        "model_type": kind,
        "prompts": dict(settings.prompts),
        "default_prompt_name": settings.default_prompt,
        "similarity_fn_name": settings.similarity,
        "truncate_dim": settings.truncate_dim,
        "max_active_dims": settings.most_words,
        "activation_fn": settings.activation,
    }
    kept = ("model_type", "prompts", "default_prompt_name")
    files.write(READING, _dumped(_reading(transformer)))
    files.write(ABOUT, _dumped({name: value for name, value in about.items() if value is not None or name in kept}))
    files.write(LIST, _dumped(entries))
    now = {entry["path"] for entry in entries}
    return partial(_tidy, files.folder, [path for path in before if path not in now])


def _tidy(folder: Path, paths: Collection[str]) -> None:
    """Remove the files of modules that a save has superseded."""
    for path in paths:
        inner = folder / path
        if _OWN.fullmatch(path) and inner.is_dir() and not inner.is_symlink():
            for name in (CONFIG, "model.safetensors", "pytorch_model.bin"):
                (inner / name).unlink(missing_ok=True)
            if not any(inner.iterdir()):
                inner.rmdir()


def _path_of(name: str) -> str:
    return _ELSEWHERE.get(name, _WRITTEN.format(name))


def _listed_in(folder: Path) -> list[str]:
    """The folders of modules that belong to what a folder holds."""
    path = resolve(folder, LIST)
    try:
        found = [] if path is None else _loaded(path, list)
    except (ValueError, OSError):
        return []
    return [one["path"] for one in found if isinstance(one, dict) and isinstance(one.get("path"), str)]


def _placed(folder: Path, name: str, config: bytes, arrays: Arrays) -> str:
    """Write a module into a folder of its own, or take one that holds the same: what is in use is not changed."""
    made = {key: np.asarray(array) for key, array in arrays.items()}
    for number in itertools.count(1):
        path = name if number == 1 else f"{name}-{number}"
        inner = folder / path
        if not inner.exists():
            with Replacement(inner) as files:
                if made:
                    weights.write_weights(files, made)
                files.write(CONFIG, config)
            return path
        if _holds(inner, config, made):
            return path
    raise AssertionError


def _holds(folder: Path, config: bytes, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a folder holds this module."""
    source = source_of(folder)
    path = source.find(CONFIG)
    if path is None or path.read_bytes() != config:
        return False
    if not arrays:
        return True
    try:
        files = weights.open_weights(source)
        return set(files) == set(arrays) and all(np.array_equal(files[key].read(), arrays[key]) for key in arrays)
    except (OSError, ValueError):
        return False


def _reading(transformer: Transformer) -> dict[str, Any]:
    fields: dict[str, Any] = {"max_seq_length": transformer.longest, "do_lower_case": transformer.lower}
    if transformer.task in ("sequence-classification", "text-generation"):
        fields["transformer_task"] = transformer.task
    if transformer.chat is not None:
        head, chat = transformer.head, transformer.chat
        way = {"method": "forward", "method_output_name": head.result}
        fields["modality_config"] = {"text": way, "message": {**way, "format": chat.style}}
        fields["module_output_name"] = head.gives
        variables = dict(chat.variables)
        variables |= {} if chat.keeps_end else {"restore_suffix": False}
        variables |= {} if chat.template is None else {"chat_template": chat.template}
        if variables:
            fields["processing_kwargs"] = {"chat_template": variables}
    return fields


def _saved(module: Module, arrays: Arrays, width: int) -> dict[str, Any]:
    """The fields of a module's config.json. width: how many numbers a vector has that goes into it."""
    match module:
        case kinds.Pooling(modes, include_prompt):
            fields: dict[str, Any] = {"word_embedding_dimension": width, "include_prompt": include_prompt}
            if list(modes) == sorted(set(modes), key=kinds.MODES.index):
                return fields | {name: mode in modes for mode, name in _FLAGS.items()}
            return fields | {"pooling_mode": list(modes)}
        case kinds.Dense(activation, reads, gives, residual):
            fields = {
                "in_features": width,
                "out_features": arrays["linear.weight"].shape[0],
                "bias": "linear.bias" in arrays,
                "activation_function": torch_path(activation),
            }
            named = {"module_input_name": reads, "module_output_name": gives}
            fields |= {} if reads == gives == kinds.VECTOR else named
            return fields | ({"use_residual": True} if residual else {})
        case kinds.Normalize(reads, gives):
            return {} if reads == gives == kinds.VECTOR else {"module_input_name": reads, "module_output_name": gives}
        case kinds.LayerNorm():
            return {"dimension": width}
        case kinds.Dropout(rate):
            return {"dropout": rate}
        case kinds.SpladePooling(strategy, activation):
            return {"pooling_strategy": strategy, "activation_function": activation, "word_embedding_dimension": width}
        case kinds.WeightedLayerPooling(start):
            layers = arrays["layer_weights"].shape[0] + start - 1
            return {"word_embedding_dimension": width, "layer_start": start, "num_hidden_layers": layers}
        case kinds.LogitScore(yes, no):
            return {"true_token_id": yes, "false_token_id": no, "module_input_name": kinds.LOGITS}
    raise TypeError(f"{type(module).__name__} is not written here")


def torch_path(activation: str) -> str:
    """The path of torch's class of an activation."""
    return f"torch.nn.modules.{'linear' if activation == 'Identity' else 'activation'}.{activation}"


def _dumped(found: Any) -> bytes:
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()
