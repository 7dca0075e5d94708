"""The tokenizer: text to ids and back, with the calls and the files of the Hub."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import tokenizers
from tokenizers import processors

from .. import durable, hub
from . import backend as backends
from . import files, gguf, post_processor, special, tiktoken, train
from .backend import as_value_error
from .settings import ATTRIBUTES, BOS_EOS, IGNORED, LARGE, SETTINGS, TOKENS, Check, checked, refuse_unknown
from .special import Token, text_of
from .text_encoder import TextEncoder


class Tokenizer(TextEncoder):
    """A tokenizer of the `tokenizers` library with the Hub's calls and files.

    Its call, `encode`, `pad` and chats are in `TextEncoder`, tokens, ids and `decode` in `Vocabulary`; here it is made
    from files and settings, trained and saved.

    It may be called from several threads at once, with different settings. Changing it (adding tokens, setting
    attributes) is for one thread alone.

    Args:
        tokenizer_object: a `tokenizers.Tokenizer`, which is copied; or
        tokenizer_file: the path of a tokenizer.json, whose truncation and padding are ignored: those of each call
            count; or
        *vocabulary: the paths of the class's vocabulary files, in the order of `vocab_files_names`, whose names are
            keywords too.
        **settings: those of tokenizer_config.json: `model_max_length` (tokens; unlimited if not given),
            `padding_side`, `truncation_side` ("right" or "left"), `model_input_names` (which of `input_ids`,
            `token_type_ids`, `attention_mask` a call returns), `clean_up_tokenization_spaces` (for `decode`),
            `split_special_tokens` (treat special tokens in texts as text), `add_prefix_space` (byte-level BPE: a space
            in front of each text), `chat_template` (a text, or texts by name), `added_tokens_decoder` (id →
            AddedToken),
            special tokens by role (`pad_token`, ...), `additional_special_tokens`, `extra_special_tokens`,
            `add_bos_token`, `add_eos_token` (put them around each text; what is not said is as in tokenizer.json).

    Raises:
        OSError: a file does not exist or cannot be read.
        ValueError: a malformed file, or an impossible setting.
        TypeError: an unknown setting.
    """

    is_fast = True

    vocab_files_names: ClassVar[Mapping[str, str]] = {
        "vocab_file": "tokenizer.model",
        "tiktoken_file": "tiktoken.model",
    }
    """The constructor's names for the files that a tokenizer can be built from, and what they are called on the Hub."""
    own_settings: ClassVar[Mapping[str, Check]] = BOS_EOS
    """Settings that not every class takes."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings where neither files nor user say otherwise. A role given as text takes the options of its default."""
    built_defaults: ClassVar[Mapping[str, Any]] = {}
    """Those that go before `defaults` where there is no tokenizer.json: the reference's two kinds of class differ."""
    present_defaults: ClassVar[Mapping[str, Token]] = {}
    """Special tokens by role where nothing says otherwise and the vocabulary has them."""
    keeps_files: ClassVar[bool] = False
    """Whether vocabulary files are read beside a tokenizer.json too, to be written again as they are."""
    files_first: ClassVar[tuple[str, ...]] = ()
    """Vocabulary files that, where all of them are there, go before a tokenizer.json, which could not say it all; then
    none is written."""
    template: ClassVar[post_processor.Templates | None] = None
    """The rows of one text and of two, as `post_processor` describes them; None: as the backend has them."""
    tokenizer_class: ClassVar[str] = "PreTrainedTokenizerFast"
    """What tokenizer_config.json calls the class."""

    def __init__(
        self,
        *vocabulary: str | os.PathLike[str] | None,
        tokenizer_object: tokenizers.Tokenizer | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        owner, checks = type(self).__name__, {**SETTINGS, **self.own_settings}
        if len(vocabulary) > len(self.vocab_files_names):
            raise TypeError(f"{owner} takes {len(self.vocab_files_names)} files, found {len(vocabulary)}")
        paths = {name: settings.pop(name, None) for name in self.vocab_files_names}
        paths |= dict(zip(paths, vocabulary, strict=False))
        refuse_unknown(settings, checks, owner)
        given = checked(settings, checks, owner)
        built = tokenizer_object is None and tokenizer_file is None
        defaults = {**self.defaults, **(self.built_defaults if built else {})}
        settings = defaults | {
            name: value for name, value in given.items() if value is not None or name not in self.own_settings
        }
        found = {name: files.existing(path) for name, path in paths.items() if path is not None}
        if tokenizer_object is not None:
            where, backend = owner, copy.deepcopy(tokenizer_object)
        elif tokenizer_file is not None:
            where, backend = str(tokenizer_file), backends.read(files.existing(tokenizer_file))
        else:
            where = next((str(path) for path in paths.values() if path is not None), owner)
            backend = self._build(found, settings)
        present = {
            name: token
            for name, token in self.present_defaults.items()
            if backend.token_to_id(text_of(token)) is not None
        }
        settings = present | backends.implied_settings(backend) | settings
        backend.no_truncation()
        backend.no_padding()
        added = settings.get("added_tokens_decoder", {})
        known = [*backend.get_added_tokens_decoder().values(), *added.values()]
        super().__init__(backend, special.from_settings(settings, defaults, given, known))

        self.name_or_path = ""
        self._is_whole = not (built and self.files_first)  # whether a tokenizer.json says it all
        self._other_fields: dict[str, Any] = {}
        self._file_contents: dict[str, str | bytes] = (
            {name: path.read_bytes() for name, path in found.items()} if self.keeps_files else {}
        )
        no_role = {name: None for name in special.ROLES if settings.get(name, "") is None}  # kept, against defaults
        self._own_settings = no_role | {
            name: settings[name] for name in self.own_settings if name in settings and name not in BOS_EOS
        }
        self._add_configured(added)
        for name, value in settings.items():
            if name not in TOKENS and name not in BOS_EOS:
                setattr(self, name, value)
        if self.add_prefix_space is not None:
            backends.set_prefix_space(backend, self.add_prefix_space)
        self._apply_settings(built)
        if around := {name: settings[name] for name in BOS_EOS if name in settings}:
            self._set_bos_eos(**around)
        backends.check(backend, where)

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        """The backend from the class's vocabulary files and its own settings.

        Raises:
            OSError, ValueError: a file is missing or malformed.
        """
        if not paths:
            raise ValueError(f"{type(self).__name__} needs tokenizer_file= or tokenizer_object=, or a file of tiktoken")
        path = next(iter(paths.values()))
        return gguf.build(path) if path.suffix == ".gguf" else tiktoken.build(path)

    def _apply_settings(self, built: bool) -> None:
        """Bring the class's own settings into the backend.

        Args:
            built: the backend is from `_build`, and what it needs the ids of special tokens for is still to be made.
        """
        if built and self.template is not None:
            self._backend.post_processor = self._post_processor(self._templates())

    def __repr__(self) -> str:
        limit = "unlimited" if self.model_max_length > LARGE else self.model_max_length
        parts = [repr(self.name_or_path), f"{len(self)} tokens", f"model_max_length={limit}"]
        parts.append(f"padding_side={self.padding_side!r}")
        parts += [f"{name}={token!r}" for name, token in self._role_texts().items()]
        if more := len(self._additional) + len(self.extra_special_tokens):
            parts.append(f"{more} more special tokens")
        return f"{type(self).__name__}({', '.join(parts)})"

    # Special tokens around a text

    @property
    def add_bos_token(self) -> bool:
        """Whether each text begins with `bos_token`. Setting it changes the rows from then on.

        Raises:
            ValueError: it is set, and the class has rows of its own, or there is no such token.
        """
        return self.bos_token in post_processor.around(self._backend)[0][:1]

    @add_bos_token.setter
    def add_bos_token(self, wanted: bool) -> None:
        self._set_bos_eos(add_bos_token=wanted)

    @property
    def add_eos_token(self) -> bool:
        """Whether each text ends with `eos_token`; as `add_bos_token`."""
        return self.eos_token in post_processor.around(self._backend)[1][-1:]

    @add_eos_token.setter
    def add_eos_token(self, wanted: bool) -> None:
        self._set_bos_eos(add_eos_token=wanted)

    def _set_bos_eos(self, **wanted: bool) -> None:
        """Put bos and eos around each text as asked, in place of what the backend puts there."""
        if self.template is not None:
            raise ValueError(
                f"{type(self).__name__} has rows of its own: {self.template[0]!r} without bos and eos to set"
            )
        now = {name: getattr(self, name) for name in BOS_EOS} | wanted
        self._backend.post_processor = self._post_processor(self._bos_eos(*now.values()))

    def _bos_eos(self, bos: bool, eos: bool) -> post_processor.Templates:
        """The templates with bos in front and eos behind, as asked."""
        return post_processor.bos_eos(bos, eos)

    def _templates(self) -> post_processor.Templates:
        """The templates of the rows."""
        return self.template or self._bos_eos(self.add_bos_token, self.add_eos_token)

    def _post_processor(self, templates: post_processor.Templates) -> processors.PostProcessor:
        """The post-processor that makes rows by templates."""
        return post_processor.build(templates, self._role_texts(), self._backend, type(self).__name__)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The ids of one or two texts with special tokens around them, where the class has some."""
        return [index for index, _ in self._row(token_ids_0, token_ids_1)]

    def _row(self, token_ids_0: list[int], token_ids_1: list[int] | None) -> list[tuple[int, int]]:
        """Ids with token types, by the templates."""
        template = self._templates()[token_ids_1 is not None]
        texts = {"$A": token_ids_0, "$B": token_ids_1 or []}
        return [
            (index, kind)
            for token, kind in post_processor.parts(template, self._role_texts(), type(self).__name__)
            for index in (texts[token] if token in texts else [self.convert_tokens_to_ids(token)])
        ]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """0 for the first text and its special tokens, 1 for the second's, where the class says nothing else."""
        if self._templates() != post_processor.NOTHING_AROUND:
            return [kind for _, kind in self._row(token_ids_0, token_ids_1)]
        cls, sep = int(self.cls_token is not None), int(self.sep_token is not None)
        second = 0 if token_ids_1 is None else len(token_ids_1) + sep
        return [0] * (cls + len(token_ids_0) + sep) + [1] * second

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 at special tokens, 0 elsewhere.

        Args:
            token_ids_0: ids of a text.
            token_ids_1: ids of the second text of a pair.
            already_has_special_tokens: token_ids_0 is a whole row; else the mask is of the row that
                `build_inputs_with_special_tokens` would make.

        Raises:
            ValueError: a second text beside a whole row.
        """
        if already_has_special_tokens and token_ids_1 is not None:
            raise ValueError("a row that already has special tokens is one list: pass no token_ids_1")
        if already_has_special_tokens:
            specials = set(self.all_special_ids)
            return [int(index in specials) for index in token_ids_0]
        plain = -1  # an id that no special token has
        row = self.build_inputs_with_special_tokens(
            [plain] * len(token_ids_0), None if token_ids_1 is None else [plain] * len(token_ids_1)
        )
        return [int(index != plain) for index in row]

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str] | Iterable[list[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Sequence[Token] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """A tokenizer of the same kind and settings with a vocabulary learnt from texts.

        Args:
            text_iterator: yields texts, or lists of them.
            vocab_size: tokens of the new vocabulary.
            length: how many texts come, for the progress bar.
            new_special_tokens: added to those of this tokenizer.
            special_tokens_map: new names for special tokens of this tokenizer.
            **options: for the trainer of the tokenizers library, such as `min_frequency`, `show_progress`.

        Raises:
            ValueError: this kind of tokenizer cannot be trained, or an option is not known.
        """
        if not self._is_whole:
            parts = ", ".join(self.vocab_files_names[name] for name in self.files_first)
            raise ValueError(f"{type(self).__name__} is made of {parts}: it cannot be trained here")
        names = dict(special_tokens_map or {})
        new = list(new_special_tokens or [])
        with as_value_error("training failed"):
            backend = train.trained(self._backend, text_iterator, vocab_size, length, new, names, options)

        renamed = functools.partial(special.renamed, names=names)
        settings: dict[str, Any] = {**self._own_settings, **{name: getattr(self, name) for name in ATTRIBUTES}}
        settings |= {name: getattr(self, name) for name in BOS_EOS if name in self.defaults}
        settings |= {name: renamed(token) for name, token in self._roles.items() if token is not None}
        other = type(self)(
            tokenizer_object=backend,
            additional_special_tokens=[*map(renamed, self._additional), *new],
            extra_special_tokens={name: renamed(token) for name, token in self.extra_special_tokens.items()},
            **settings,
        )
        other._other_fields = dict(self._other_fields)
        return other

    # Files

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str] | hub.Source, **options: Any) -> Self:
        """Read a tokenizer of this class from a folder, the Hub, or what ships with the package.

        Args:
            name_or_path: a folder or a name.
            **options: `revision, subfolder, token, cache_dir, local_files_only, force_download, gguf_file`; every other
                keyword is a setting that goes before that of the files.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: a file is malformed; the message names the file and the field.
            TypeError: an unknown setting.
        """
        source, overrides = hub.split_options(name_or_path, options)
        return cls._read(source, files.read_config(source), overrides)

    @classmethod
    def _read(cls, source: hub.Source, config: Mapping[str, Any], overrides: Mapping[str, Any]) -> Self:
        """The tokenizer of a checkpoint.

        Args:
            source: the checkpoint.
            config: the fields of its tokenizer_config.json.
            overrides: settings that go before those of the files.
        """
        checks = {**SETTINGS, **cls.own_settings}
        overrides = {name: value for name, value in overrides.items() if name not in IGNORED or name in checks}
        refuse_unknown(overrides, checks, f"{cls.__name__}.from_pretrained")
        if source.gguf_file is not None:
            if cls is not Tokenizer:
                raise ValueError(f"{cls.__name__} is not read from GGUF files: use AutoTokenizer")
            path = source.file(source.gguf_file)
            self = cls(path, **gguf.settings(path) | overrides)
            self.name_or_path = source.name
            return self
        saved = files.read_settings(source, config, checks, overrides)
        paths: dict[str, Any] = {"tokenizer_file": source.find(files.TOKENIZER)}
        if paths["tokenizer_file"] is not None and not cls.defaults.keys() & BOS_EOS.keys():
            for name in BOS_EOS:  # what is in the rows, a tokenizer.json says
                saved.settings.pop(name, None)
        if paths["tokenizer_file"] is None or cls.keeps_files:
            paths |= {name: source.find(file) for name, file in cls.vocab_files_names.items()}
            if cls.files_first and all(paths[name] for name in cls.files_first):
                paths["tokenizer_file"] = None
            if cls.vocab_files_names and not any(paths.values()):
                wanted = " or ".join([files.TOKENIZER, *cls.vocab_files_names.values()])
                raise source.absent(f"a file named {wanted}, which {cls.__name__} reads")
        self = cls(**paths, **saved.settings | overrides)
        self._other_fields = saved.other_fields
        self.name_or_path = source.name
        return self

    def save_pretrained(self, folder: str | os.PathLike[str]) -> tuple[str, ...]:
        """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json and the vocabulary's own files.

        A chat template goes into chat_template.jinja, templates of other names than "default" into the folder
        additional_chat_templates. Torch Transformers loads the folder too. Files of the same name are replaced all
        together or not at all, others stay; those of additional_chat_templates are a set of their own.

        Returns:
            The paths written.

        Raises:
            OSError: the folder cannot be written to.
            ValueError: a chat template is no text, or its name is no file name.
        """
        write = self.writer()
        with durable.Replacement(folder) as replacement:
            return write(replacement)

    def writer(self) -> Callable[[durable.Replacement], tuple[str, ...]]:
        """What adds to a save what `save_pretrained` writes; made before the folder is touched, it raises as that."""
        backends.check_writable(self._backend)
        given = {"chat_template": self.chat_template}
        templates = checked(given, SETTINGS, type(self).__name__)["chat_template"]
        named = {"default": templates} if isinstance(templates, str) else dict(templates or {})
        contents = {
            **({files.CHAT_TEMPLATE: named.pop("default")} if "default" in named else {}),
            files.SPECIAL_TOKENS: files.to_json(files.tokens_to_json(self.special_tokens_map_extended, typed=False)),
            **{self.vocab_files_names[name]: content for name, content in self._vocabulary_files().items()},
            **({files.TOKENIZER: self._backend.to_str(pretty=True)} if self._is_whole else {}),
            files.CONFIG: files.to_json(self._config()),
        }
        return lambda replacement: files.write(replacement, contents, named)

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary's own files alone, such as vocab.txt.

        Returns:
            The paths written; none for a tokenizer that is only a tokenizer.json.
        """
        backends.check_writable(self._backend)
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        names = self.vocab_files_names
        contents = {prefix + names[name]: content for name, content in self._vocabulary_files().items()}
        with durable.Replacement(save_directory) as replacement:
            return files.write(replacement, contents, {})

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes; see `hub.push` for the options. Returns the commit's URL."""
        return hub.push(repo_id, self.save_pretrained, **options)

    def _vocabulary_files(self) -> dict[str, str | bytes]:
        """The contents of the vocabulary's own files, by the constructor's name for them."""
        return self._file_contents

    def _config(self) -> dict[str, Any]:
        """tokenizer_config.json as it is written."""
        fields = {
            **self._other_fields,
            **self._own_settings,
            "tokenizer_class": self.tokenizer_class,
            "model_max_length": self.model_max_length,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
            "added_tokens_decoder": {
                index: special.options_of(item) for index, item in self.added_tokens_decoder.items()
            },
            "extra_special_tokens": files.tokens_to_json(self.extra_special_tokens, typed=True),
            **self.special_tokens_map,
        }
        for name in ("model_input_names", "split_special_tokens", "add_prefix_space"):
            if getattr(self, name) != getattr(type(self), name):
                fields[name] = getattr(self, name)
        if self.tokenizer_class == Tokenizer.tokenizer_class:  # which has token types in version 4 of the reference
            fields["model_input_names"] = self.model_input_names
        return fields | self._bos_eos_fields()

    def _bos_eos_fields(self) -> dict[str, bool]:
        """What tokenizer_config.json says of the tokens around a text: what has no default, only where it is true."""
        there = {name: getattr(self, name) for name in BOS_EOS if name in self.own_settings}
        return {name: value for name, value in there.items() if value or name in self.defaults}
