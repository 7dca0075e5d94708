"""The tokenizer: text to ids and back, with the calls and the files of the Hub."""

from __future__ import annotations

import copy
import difflib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import index as integer
from pathlib import Path
from typing import Any, ClassVar, Self

import tokenizers
from tokenizers import AddedToken, Encoding, processors

from .. import durable, hub
from . import backend as backends
from . import chat, ends, files, gguf, limits, special, tiktoken, train
from .backend import Padding, Truncation, readable
from .encoding import BatchEncoding
from .limits import UNLIMITED
from .padding import Rows
from .special import SpecialTokens, Token, text_of
from .texts import Texts

logger = logging.getLogger(__name__)


class Tokenizer(SpecialTokens):
    """A tokenizer of the `tokenizers` library with the Hub's calls and files.

    It may be called from several threads at once, with different settings. Changing it (adding tokens, setting
    attributes) is for one thread alone.

    Args:
        tokenizer_object: a `tokenizers.Tokenizer`, which is copied; or
        tokenizer_file: the path of a tokenizer.json. Its truncation and padding are no setting of ours: those of
            each call count; or
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

    model_input_names: list[str] = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    padding_side: str = "right"
    truncation_side: str = "right"
    pad_token_type_id: int = 0
    clean_up_tokenization_spaces: bool = False
    split_special_tokens: bool = False
    add_prefix_space: bool | None = False
    chat_template: str | dict[str, str] | None = None
    is_fast = True

    vocab_files_names: ClassVar[Mapping[str, str]] = {
        "vocab_file": "tokenizer.model",
        "tiktoken_file": "tiktoken.model",
    }
    """The constructor's names for the files that a tokenizer can be built from, and what they are called on the Hub."""
    own_settings: ClassVar[Mapping[str, files.Check]] = ends.SETTINGS
    """Settings that not every class takes."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings where neither files nor user say otherwise. A role given as text takes the options of its default."""
    built_defaults: ClassVar[Mapping[str, Any]] = {}
    """Those that go before `defaults` where there is no tokenizer.json: the reference's two kinds of class differ."""
    present_defaults: ClassVar[Mapping[str, Token]] = {}
    """Special tokens by role where nothing says otherwise and the vocabulary has them."""
    words_need_prefix_space: ClassVar[bool] = False
    """Whether texts in words are refused without `add_prefix_space`: their pieces would not be those of the text."""
    keeps_files: ClassVar[bool] = False
    """Whether vocabulary files are read beside a tokenizer.json too, to be written again as they are."""
    template: ClassVar[tuple[str, str] | None] = None
    """Rows of one text and of two: tokens, roles in braces, `$A` and `$B` for the texts, each with its token type."""
    own_name: ClassVar[str] = "PreTrainedTokenizerFast"
    """What tokenizer_config.json calls the class."""

    def __init__(
        self,
        *vocabulary: str | os.PathLike[str] | None,
        tokenizer_object: tokenizers.Tokenizer | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        checks = {**files.SETTINGS, **self.own_settings}
        if len(vocabulary) > len(self.vocab_files_names):
            raise TypeError(f"{type(self).__name__} takes {len(self.vocab_files_names)} files, found {len(vocabulary)}")
        paths = {name: settings.pop(name, None) for name in self.vocab_files_names}
        paths |= dict(zip(paths, vocabulary, strict=False))
        _refuse_unknown(settings, checks, type(self).__name__)
        given = files.checked(settings, checks, type(self).__name__)
        built = tokenizer_object is None and tokenizer_file is None
        defaults = {**self.defaults, **(self.built_defaults if built else {})}
        settings = defaults | {
            name: value for name, value in given.items() if value is not None or name not in self.own_settings
        }
        found = {name: _existing(path) for name, path in paths.items() if path is not None}
        if tokenizer_object is not None:
            where, backend = type(self).__name__, copy.deepcopy(tokenizer_object)
        elif tokenizer_file is not None:
            where, backend = str(tokenizer_file), backends.read(_existing(tokenizer_file))
        else:
            where = next((str(path) for path in paths.values() if path is not None), type(self).__name__)
            backend = self._build(found, settings)
        present = {
            name: token
            for name, token in self.present_defaults.items()
            if backend.token_to_id(text_of(token)) is not None
        }
        settings = present | _sides(backend) | settings
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self._dress: Callable[[tokenizers.Tokenizer], None] | None = None
        self._said: set[str] = set()
        self._kept: dict[str, Any] = {}
        self.name_or_path = ""

        extra = settings.pop("extra_special_tokens", {})
        more = settings.pop(special.MORE, [])
        if isinstance(extra, list):
            extra, more = {}, [*more, *extra]
        added = settings.pop("added_tokens_decoder", {})
        known = {item.content: item for item in [*backend.get_added_tokens_decoder().values(), *added.values()]}
        none = {name: None for name in special.NAMES if settings.get(name, "") is None}  # kept, against defaults
        roles = {name: settings.pop(name, None) for name in special.NAMES}
        for name, role in roles.items():
            default = defaults.get(name)
            if role and (name in given or isinstance(role, str)):
                roles[name] = known.get(text_of(role), role)
            if isinstance(roles[name], str) and isinstance(default, AddedToken):
                roles[name] = AddedToken(**_options(default) | {"content": roles[name]})
        super().__init__(roles, [known.get(text_of(token), token) for token in more], extra)
        self.model_max_length: int = settings.pop("model_max_length", UNLIMITED)
        around = {name: settings.pop(name) for name in ends.NAMES if name in settings}
        for name, value in settings.items():
            setattr(self, name, value)
        self._own = none | {name: settings[name] for name in self.own_settings if name in settings}
        self._add_missing(added)
        if self.add_prefix_space is not None:
            backends.set_prefix_space(backend, self.add_prefix_space)
        self._finish(built)
        if around:
            self._surround(**around)
        self._files: dict[str, str | bytes] = (
            {name: path.read_bytes() for name, path in found.items()} if self.keeps_files else {}
        )
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

    def _finish(self, built: bool) -> None:
        """Bring the class's own settings into the backend.

        Args:
            built: the backend is from `_build`, and what it needs the ids of special tokens for is still to be made.
        """
        if built and self.template is not None:
            self._backend.post_processor = self._processor()

    @property
    def add_bos_token(self) -> bool:
        """Whether each text begins with `bos_token`. Setting it changes the rows from then on.

        Raises:
            ValueError: it is set, and the class has rows of its own, or there is no such token.
        """
        return self.bos_token in ends.around(self._backend)[0][:1]

    @add_bos_token.setter
    def add_bos_token(self, wanted: bool) -> None:
        self._surround(add_bos_token=wanted)

    @property
    def add_eos_token(self) -> bool:
        """Whether each text ends with `eos_token`; as `add_bos_token`."""
        return self.eos_token in ends.around(self._backend)[1][-1:]

    @add_eos_token.setter
    def add_eos_token(self, wanted: bool) -> None:
        self._surround(add_eos_token=wanted)

    def _surround(self, **wanted: bool) -> None:
        """Put bos and eos around each text as asked, in place of what the backend puts there."""
        if self.template is not None:
            raise ValueError(
                f"{type(self).__name__} has rows of its own: {self.template[0]!r} without bos and eos to set"
            )
        now = {name: getattr(self, name) for name in ends.NAMES} | wanted
        self._backend.post_processor = self._templated(self._around(*now.values()))

    def _around(self, first: bool, last: bool) -> tuple[str, str]:
        """The templates with bos in front and eos behind, as asked."""
        return ends.rows(first, last)

    def _template(self) -> tuple[str, str] | None:
        """The templates of the rows; None if nothing stands around a text."""
        if self.template is not None:
            return self.template
        first, last = self.add_bos_token, self.add_eos_token
        return self._around(first, last) if first or last else None

    def _parts(self, template: str) -> list[tuple[str, int]]:
        """The tokens of a row, and `$A` and `$B`, each with its token type.

        Raises:
            ValueError: a role that the row needs has no token.
        """
        roles = {name: token for name, token in self.special_tokens_map.items() if name in special.NAMES}
        parts = []
        for part in template.split():
            token, _, kind = part.rpartition(":")
            try:
                parts.append((token.format_map(roles), int(kind)))
            except KeyError as error:
                raise ValueError(f"{type(self).__name__} needs a {error.args[0]} for this, set it first") from None
        return parts

    def _processor(self) -> processors.PostProcessor:
        """The post-processor that makes rows by the class's template."""
        return self._templated(self._template() or ("$A:0", "$A:0 $B:1"))

    def _templated(self, templates: tuple[str, str]) -> processors.PostProcessor:
        """The post-processor that makes rows by templates of one text and of two.

        Raises:
            ValueError: a token of the template has no id.
        """
        rows = [self._parts(template) for template in templates]
        tokens = {token: self._backend.token_to_id(token) for row in rows for token, _ in row if token not in _TEXTS}
        for token, index in tokens.items():
            if index is None:
                raise ValueError(f"{type(self).__name__}: every row gets a {token!r}, which the vocabulary lacks")
        single, pair = ([f"{token}:{kind}" for token, kind in row] for row in rows)
        with readable(f"{type(self).__name__}: special tokens {list(tokens)} cannot be used"):
            return processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(tokens.items()))

    def _add_missing(self, added: Mapping[int, AddedToken]) -> None:
        """Add the tokens of the configuration that the backend does not have, in the order of their ids."""
        roles = set(self.all_special_tokens)
        wanted = [
            special.added_token(item, special=item.special or item.content in roles)
            for _, item in sorted(added.items())
        ]
        contents = {item.content for item in wanted} | set(self.added_tokens_encoder)
        wanted += [
            special.added_token(role, special=True)
            for role in self.all_special_tokens_extended
            if text_of(role) not in contents or isinstance(role, AddedToken)
        ]
        have = {repr(item) for item in self.added_tokens_decoder.values()}
        new = [item for item in wanted if repr(item) not in have]
        if new:
            with readable(f"{type(self).__name__}: tokens cannot be added"):
                self._backend.add_tokens(new)
        for index, item in added.items():
            actual = self._backend.token_to_id(item.content)
            if actual != index:
                logger.warning(
                    "added_tokens_decoder says %r has id %d, by the vocabulary it has %s", item.content, index, actual
                )

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
        checks = {**files.SETTINGS, **cls.own_settings}
        overrides = {name: value for name, value in overrides.items() if name not in _IGNORED or name in checks}
        _refuse_unknown(overrides, checks, f"{cls.__name__}.from_pretrained")
        if source.gguf_file is not None:
            if cls is not Tokenizer:
                raise ValueError(f"{cls.__name__} is not read from GGUF files: use AutoTokenizer")
            path = source.file(source.gguf_file)
            self = cls(path, **gguf.settings(path) | overrides)
            self.name_or_path = source.name
            return self
        saved = files.read_settings(source, config, checks, overrides)
        paths: dict[str, Any] = {"tokenizer_file": source.find(files.BACKEND)}
        if paths["tokenizer_file"] is not None and not cls.defaults.keys() & ends.NAMES:
            for name in ends.NAMES:  # what is in the rows, a tokenizer.json says
                saved.known.pop(name, None)
        if paths["tokenizer_file"] is None or cls.keeps_files:
            paths |= {name: source.find(file) for name, file in cls.vocab_files_names.items()}
            if not any(paths.values()):
                wanted = " or ".join([files.BACKEND, *cls.vocab_files_names.values()])
                raise source.absent(f"a file named {wanted}, which {cls.__name__} reads")
        self = cls(**paths, **saved.known | overrides)
        self._kept = saved.kept
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
        (templates,) = files.checked(
            {"chat_template": self.chat_template}, files.SETTINGS, type(self).__name__
        ).values()
        named = {"default": templates} if isinstance(templates, str) else dict(templates or {})
        default = {files.TEMPLATE: named.pop("default")} if "default" in named else {}
        contents = {
            **default,
            files.SPECIAL: _json(_plain(self.special_tokens_map_extended, typed=False)),
            **{self.vocab_files_names[name]: text for name, text in self._vocabulary().items()},
            files.BACKEND: self._backend.to_str(pretty=True),
            files.CONFIG: _json(self._config()),
        }

        def write(replacement: durable.Replacement) -> tuple[str, ...]:
            if named:
                with durable.Replacement(replacement.folder / files.TEMPLATES) as inside:
                    for name, text in named.items():
                        inside.write(f"{name}.jinja", text.encode())
            for name, text in contents.items():
                replacement.write(name, text.encode() if isinstance(text, str) else text)
            names = (*contents, *(f"{files.TEMPLATES}/{name}.jinja" for name in named))
            return tuple(os.path.join(replacement.folder, name) for name in names)

        return write

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary's own files alone, such as vocab.txt.

        Returns:
            The paths written; none for a tokenizer that is only a tokenizer.json.
        """
        backends.check_writable(self._backend)
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        contents = {prefix + self.vocab_files_names[name]: text for name, text in self._vocabulary().items()}
        with durable.Replacement(save_directory) as replacement:
            for name, text in contents.items():
                replacement.write(name, text.encode() if isinstance(text, str) else text)
        return tuple(os.path.join(save_directory, name) for name in contents)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes; see `hub.push` for the options. Returns the commit's URL."""
        return hub.push(repo_id, self.save_pretrained, **options)

    def _vocabulary(self) -> dict[str, str | bytes]:
        """The contents of the vocabulary's own files, by the constructor's name for them."""
        return {}

    def _config(self) -> dict[str, Any]:
        """tokenizer_config.json as it is written."""
        fields = {
            **self._kept,
            **self._own,
            "tokenizer_class": self.own_name,
            "model_max_length": self.model_max_length,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
            "added_tokens_decoder": {index: _options(item) for index, item in self.added_tokens_decoder.items()},
            "extra_special_tokens": _plain(self.extra_special_tokens, typed=True),
            **self.special_tokens_map,
        }
        for name in ("model_input_names", "split_special_tokens", "add_prefix_space"):
            if getattr(self, name) != getattr(type(self), name):
                fields[name] = getattr(self, name)
        if self.own_name == Tokenizer.own_name:  # which has token types in version 4 of the reference
            fields["model_input_names"] = self.model_input_names
        return fields | self._ends()

    def _ends(self) -> dict[str, bool]:
        """What tokenizer_config.json says of the tokens around a text: what has no default, only where it is true."""
        there = {name: getattr(self, name) for name in ends.NAMES if name in self.own_settings}
        return {name: value for name, value in there.items() if value or name in self.defaults}

    # Text to ids

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Tokenize one text or many.

        Args:
            text: a str; or a list (any iterable that is no mapping) of str or of pairs of str. With
                is_split_into_words, a list of words or a list of those.
            text_pair: the second text of a pair, or as many as there are texts.
            text_target: what the model shall answer. With `text` it comes as `labels`, alone as `input_ids`.
            text_pair_target: second texts of the targets.
            add_special_tokens: [CLS], [SEP] and their like.
            padding: False; True or "longest", to the longest row; "max_length", to max_length or else to the
                tokenizer's model_max_length.
            truncation: False; True or "longest_first", token by token from the longer text of a pair; "only_first";
                "only_second". None is False, unless max_length is given without padding.
            max_length: tokens of a row, special tokens included; by default the tokenizer's model_max_length.
            stride: tokens that a piece of a cut text shares with the next (see return_overflowing_tokens).
            is_split_into_words: the texts are lists of words.
            pad_to_multiple_of: padded rows get a length that is a multiple of it.
            padding_side: "right" or "left", for this call.
            return_tensors: "np" (int64) or "jax" (int32) arrays instead of lists; one text gets a batch axis.
            return_token_type_ids: which text a token is of, 0 or 1; None: as `model_input_names` says.
            return_attention_mask: 0 at padding, 1 elsewhere; None: as `model_input_names` says.
            return_overflowing_tokens: what was cut off comes as rows of its own after each text's first;
                `overflow_to_sample_mapping` says which text a row is of. One text gets a batch axis.
            return_special_tokens_mask: `special_tokens_mask`, 1 at special tokens and padding.
            return_offsets_mapping: `offset_mapping`, the (start, end) characters of each token; (0, 0) at specials.
            return_length: `length`, tokens of each row, padding included.
            verbose: log warnings (each once).
            split_special_tokens: treat special tokens in the text as plain text; None: as the tokenizer is set.

        Returns:
            Lists of one text are flat, those of a list have one list per row; an empty list gives an empty batch.

        Raises:
            ValueError: naming the argument, and the index of the text that is at fault.
            TypeError: one `text_pair` for many texts.
        """
        options: dict[str, Any] = {
            "add_special_tokens": add_special_tokens,
            "padding": padding,
            "truncation": truncation,
            "max_length": max_length,
            "stride": stride,
            "pad_to_multiple_of": pad_to_multiple_of,
            "padding_side": padding_side,
            "return_tensors": return_tensors,
            "return_token_type_ids": return_token_type_ids,
            "return_attention_mask": return_attention_mask,
            "return_overflowing_tokens": return_overflowing_tokens,
            "return_special_tokens_mask": return_special_tokens_mask,
            "return_offsets_mapping": return_offsets_mapping,
            "return_length": return_length,
            "verbose": verbose,
            "split_special_tokens": split_special_tokens,
        }
        if text is None and text_target is None:
            raise ValueError("no text: pass text or text_target")
        if text_target is None:
            return self._encode(Texts.of(text, text_pair, is_split_into_words, "text"), **options)
        targets = self._encode(Texts.of(text_target, text_pair_target, is_split_into_words, "text_target"), **options)
        if text is None:
            return targets
        encoded = self._encode(Texts.of(text, text_pair, is_split_into_words, "text"), **options)
        encoded["labels"] = targets["input_ids"]
        return encoded

    def _encode(
        self,
        texts: Texts,
        *,
        add_special_tokens: bool = True,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
        **limit: Any,
    ) -> BatchEncoding:
        """One answer for one set of rows; the arguments are those of the call."""
        if texts.words and self.words_need_prefix_space and not self.add_prefix_space:
            raise ValueError(
                f"{type(self).__name__} takes texts in words only with a space in front of each: load it with "
                "add_prefix_space=True"
            )
        padding, truncation = limits.resolve(self, **limit, say=self._say if verbose else _silent)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        rows = self._rows(texts, add_special_tokens, truncation, padding, split)
        if return_overflowing_tokens:
            pieces = [[row, *row.overflowing] for row in rows]
            samples = [index for index, row in enumerate(pieces) for _ in row]
            rows = [piece for row in pieces for piece in row]
        names = self.model_input_names
        data: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
        if "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids:
            data["token_type_ids"] = [row.type_ids for row in rows]
        if "attention_mask" in names if return_attention_mask is None else return_attention_mask:
            data["attention_mask"] = [row.attention_mask for row in rows]
        if return_special_tokens_mask:
            data["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
        if return_offsets_mapping:
            data["offset_mapping"] = [row.offsets for row in rows]
        if return_tensors is not None and not rows:
            data = {name: _no_rows() for name in data}
        if return_length:
            data["length"] = [len(row) for row in rows]
        if return_overflowing_tokens:
            data["overflow_to_sample_mapping"] = samples
        elif texts.single and return_tensors is None:
            data = {name: value[0] if isinstance(value[0], list) else value for name, value in data.items()}
        if verbose and limit.get("max_length") is None and max(map(len, rows), default=0) > self.model_max_length:
            longest = max(map(len, rows))
            self._say(
                "longer",
                f"a text has {longest} tokens, the model takes {self.model_max_length} at most: pass truncation=True",
            )
        return BatchEncoding(data, rows, return_tensors)

    def _rows(
        self, texts: Texts, specials: bool, truncation: Truncation | None, padding: Padding | None, split: bool
    ) -> list[Encoding]:
        """The rows as the library encodes them.

        Raises:
            ValueError: naming the index of the row that cannot be encoded.
        """
        if not texts.rows:
            return []
        if truncation is not None:
            self._check_truncation(texts, specials, truncation, split)
        backend = backends.view(self._backend, truncation, padding, split, self._dress)
        try:
            with readable("tokenization failed"):
                if len(texts.rows) == 1:  # no thread pool for one
                    first, second = texts.rows[0] if texts.is_pair(texts.rows[0]) else (texts.rows[0], None)
                    return [backend.encode(first, second, is_pretokenized=texts.words, add_special_tokens=specials)]
                return backend.encode_batch(texts.rows, is_pretokenized=texts.words, add_special_tokens=specials)
        except ValueError:
            texts.explain()
            if truncation is not None:
                self._check_pairs(texts, specials, truncation, split)
            for index, row in enumerate(texts.rows):
                alone = truncation is not None and truncation.strategy == "only_second" and not texts.is_pair(row)
                fault = "truncation='only_second', but it is no pair" if alone else "cannot be tokenized"
                with readable(f"{texts.where(index)}: {fault}"):
                    backend.encode_batch([row], is_pretokenized=texts.words, add_special_tokens=specials)
            raise

    def _check_truncation(self, texts: Texts, specials: bool, truncation: Truncation, split: bool) -> None:
        """Refuse a truncation that the library would carry out wrongly, or die of.

        Raises:
            ValueError: naming the numbers or the row.
        """
        try:
            pairs = {texts.is_pair(row) for row in texts.rows}
        except TypeError:  # a row without length is no text
            texts.explain()
            raise
        limits.check_room(truncation, max(map(self.num_special_tokens_to_add, pairs)) if specials else 0)
        if truncation.stride and any(pairs):
            texts.explain()
            self._check_pairs(texts, specials, truncation, split)

    def _check_pairs(self, texts: Texts, specials: bool, truncation: Truncation, split: bool) -> None:
        """Refuse the first pair that cannot be cut as asked; this tokenizes both texts of each."""
        pairs = [(index, row) for index, row in enumerate(texts.rows) if texts.is_pair(row)]
        sides = [side for _, row in pairs for side in row]
        backend = backends.view(self._backend, split_special_tokens=split, dress=self._dress)
        with readable("tokenization failed"):
            encoded = backend.encode_batch(sides, is_pretokenized=texts.words, add_special_tokens=False)
        room = truncation.max_length - (self.num_special_tokens_to_add(True) if specials else 0)
        lengths = [len(row) for row in encoded]
        for (index, _), first, second in zip(pairs, lengths[::2], lengths[1::2], strict=True):
            limits.check_pair(truncation, room, (first, second), texts.where(index))

    def encode_plus(
        self, text: Any, text_pair: Any = None, *, is_split_into_words: bool = False, **options: Any
    ) -> BatchEncoding:
        """As calling the tokenizer on one text or one pair."""
        texts = Texts.of(text, text_pair, is_split_into_words, "text")
        if not texts.single:
            raise ValueError("encode_plus takes one text: call the tokenizer itself on a list of texts")
        return self._encode(texts, **options)

    def batch_encode_plus(
        self, batch_text_or_text_pairs: Any, *, is_split_into_words: bool = False, **options: Any
    ) -> BatchEncoding:
        """As calling the tokenizer on a list of texts, or of pairs of texts."""
        if isinstance(batch_text_or_text_pairs, str):
            raise TypeError("batch_encode_plus takes a list of texts: call the tokenizer itself on one text")
        return self._encode(
            Texts(list(batch_text_or_text_pairs), False, is_split_into_words, "batch_text_or_text_pairs"), **options
        )

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids of one text or one pair: a list, or an array [1, T] with return_tensors; options as in a call."""
        return self.encode_plus(text, text_pair, **options)["input_ids"]

    def tokenize(self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any) -> list[str]:
        """The tokens of one text or one pair, as text; options as in a call."""
        return self.encode_plus(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    # Chats

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        """The text of the chat template that `apply_chat_template` would use.

        Args:
            chat_template: a template's text, or the name of one of several; None is the tokenizer's own: of several
                "tool_use" if there are tools, else "default".
            tools: see `apply_chat_template`.

        Raises:
            ValueError: there is none.
        """
        return chat.choose(self.chat_template, chat_template, tools)

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Any = None,
        documents: Any = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write conversations as the model has learnt to read them, by the checkpoint's chat template.

        The template is a program that came with the checkpoint. It runs in a sandbox with limits on time and memory,
        which grow with the conversation.

        Args:
            conversation: messages, each a dict such as `{"role": "user", "content": "Hi"}`; a list of conversations;
                or an object with `.messages`, or a list of those.
            tools: what the model may call: JSON schemas, or functions with type hints and a docstring.
            documents: what the model may quote from: dicts, usually with "title" and "text".
            chat_template: a template's text, or the name of one of several; see `get_chat_template`.
            add_generation_prompt: end with what comes in front of an answer.
            continue_final_message: end where the last message's text ends, to let the model go on with it.
            tokenize: return ids; else text.
            padding: as in a call, like the next three. There are no special tokens but those that the template writes.
            truncation: whether ids are cut.
            max_length: tokens of a row.
            return_tensors: "np" (int64) or "jax" (int32) arrays instead of lists; one conversation gets a batch axis.
            return_dict: return all that a call returns, not the ids alone.
            return_assistant_tokens_mask: `assistant_masks`, 1 at the tokens of what the assistant says, if the
                template tells by `{% generation %}` blocks; needs return_dict.
            tokenizer_kwargs: further options of a call.
            **kwargs: variables of the template, such as `enable_thinking`; they go before special tokens of that name.

        Returns:
            The ids of one conversation are one list, those of a list have one list per row; [B, T] with
            return_tensors. With return_dict a BatchEncoding, without tokenize a text or a list of texts.

        Raises:
            ValueError: no messages, no template, options that exclude each other, a malformed or hostile template, or
                one that refuses the conversation (then also a `jinja2.TemplateError`).
            TypeError: documents that are no dicts.
        """
        if return_dict and not tokenize:
            raise ValueError("return_dict=True returns what tokenizing gives: pass tokenize=True with it")
        if return_assistant_tokens_mask and not return_dict:
            raise ValueError("return_assistant_tokens_mask=True needs a place for the mask: pass return_dict=True")
        if return_assistant_tokens_mask and continue_final_message:
            raise ValueError("return_assistant_tokens_mask=True is for whole messages, continue_final_message=True not")
        template = self.get_chat_template(chat_template, tools)
        if return_assistant_tokens_mask and not chat.has_generation(template):
            self._say("generation", "the chat template has no {% generation %} blocks: assistant_masks are all 0")
        chats = chat.Chats.of(conversation)
        rendered = chat.render(
            chats,
            template,
            functions=tools,
            documents=documents,
            continue_final_message=continue_final_message,
            add_generation_prompt=add_generation_prompt,
            variables=self.special_tokens_map | kwargs,
        )
        texts = [one.text for one in rendered]
        if not tokenize:
            return texts[0] if chats.single else texts
        encoded = self(
            texts[0] if chats.single else texts,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            add_special_tokens=False,
            return_tensors=return_tensors,
            **(tokenizer_kwargs or {}),
        )
        if not return_dict:
            return encoded["input_ids"]
        if return_assistant_tokens_mask:
            masks = chat.masks(encoded, rendered)
            flat = chats.single and return_tensors is None and "overflow_to_sample_mapping" not in encoded
            encoded["assistant_masks"] = masks[0] if flat else masks
            encoded.convert_to_tensors(return_tensors)
        return encoded

    # Padding of what has been tokenized

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Bring tokenized rows to one length: ids, type ids and masks are padded, other values pass untouched.

        Args:
            encoded_inputs: a mapping of one row or of many, or a list of mappings of one row; lists or arrays. Numpy
                arrays in give numpy arrays out, jax arrays give jax arrays, unless return_tensors says otherwise.
            padding: as in a call, like the next four.
            max_length: tokens of a row with padding="max_length".
            pad_to_multiple_of: padded rows get a length that is a multiple of it.
            padding_side: "right" or "left".
            return_tensors: "np" or "jax".
            verbose: log warnings (each once).
            return_attention_mask: make an attention mask where there is none; None: as `model_input_names` says.

        Raises:
            ValueError: no input_ids, values of different numbers of rows, or as in a call.
        """
        rows = Rows.of(encoded_inputs, self.model_input_names[0])
        if "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask:
            rows = rows.with_mask()
        how, _ = limits.resolve(
            self,
            padding=padding,
            truncation=False,
            max_length=None if padding in (True, "longest") else max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            say=self._say if verbose else _silent,
        )
        return BatchEncoding(rows.padded(how), tensor_type=return_tensors or rows.tensors)

    # Ids to text

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        """The text of ids.

        Args:
            token_ids: an id, a list of them, or an array [T]. Ids that the vocabulary does not have give nothing.
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: no space before punctuation and English contractions; None: as the tokenizer
                is set.

        Raises:
            ValueError: not whole numbers, or more than one row.
        """
        ids = [index for index in _ids(token_ids) if 0 <= index < 2**32]
        with readable("the ids cannot be decoded"):
            text = self._backend.decode(ids, skip_special_tokens=skip_special_tokens)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        return self.clean_up_tokenization(text) if clean else text

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """The texts of rows of ids: a list of lists, or an array [B, T]; as `decode`."""
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in sequences]

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Remove the spaces before punctuation and English contractions that splitting has put there."""
        for space, none in _CONTRACTIONS:
            out_string = out_string.replace(space, none)
        return out_string

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of a list of them; that of `unk_token` for those not in the vocabulary."""
        if tokens is None:
            return None
        if isinstance(tokens, Token):
            index = self._backend.token_to_id(text_of(tokens))
            if index is None and self.unk_token is not None:
                index = self._backend.token_to_id(self.unk_token)
            return index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of a list or array of them; None for ids that the vocabulary lacks."""
        if hasattr(ids, "tolist"):
            ids = ids.tolist()
        if isinstance(ids, int):
            return self._backend.id_to_token(ids) if 0 <= ids < 2**32 else None
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.convert_ids_to_tokens(index) for index in _ids(ids) if index not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens."""
        decoder = self._backend.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))

    # The vocabulary

    @property
    def backend_tokenizer(self) -> tokenizers.Tokenizer:
        """The `tokenizers.Tokenizer` that does the work, without truncation and padding."""
        return self._backend

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary without the added ones; `len(tokenizer)` counts those too."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return self._backend.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id, which special tokens are too."""
        return dict(sorted(self._backend.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of the added tokens."""
        return {item.content: index for index, item in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """The ids of the added tokens."""
        return self.added_tokens_encoder

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Add tokens that are never split.

        Args:
            new_tokens: tokens as text or `AddedToken`.
            special_tokens: they are matched before normalization, and `decode` can skip them.

        Returns:
            How many were no added tokens before; the model's embedding needs `len(tokenizer)` rows.
        """
        if isinstance(new_tokens, Token):
            new_tokens = [new_tokens]
        if not new_tokens:
            return 0
        if not all(isinstance(item, Token) for item in new_tokens):
            raise ValueError(f"tokens must be str or AddedToken, not {new_tokens!r:.80}")
        with readable("the tokens cannot be added"):
            if special_tokens:
                return self._backend.add_special_tokens(list(new_tokens))
            return self._backend.add_tokens(list(new_tokens))

    # Special tokens around a text

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Special tokens that a row gets: one of a single text, or of a pair."""
        return self._backend.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens of a text that fit the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        """Tokens of a pair of texts, together, that fit the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The ids of one or two texts with special tokens around them, where the class has some."""
        return [index for index, _ in self._row(token_ids_0, token_ids_1)]

    def _row(self, token_ids_0: list[int], token_ids_1: list[int] | None) -> list[tuple[int, int]]:
        """Ids with token types, by the class's template."""
        template = (self._template() or ("$A:0", "$A:0 $B:1"))[token_ids_1 is not None]
        texts = {"$A": token_ids_0, "$B": token_ids_1 or []}
        return [
            (index, kind)
            for token, kind in self._parts(template)
            for index in texts.get(token) or ([] if token in texts else [self.convert_tokens_to_ids(token)])
        ]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """0 for the first text and its special tokens, 1 for the second's, where the class says nothing else."""
        if self._template() is not None:
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
        names = dict(special_tokens_map or {})
        new = list(new_special_tokens or [])
        with readable("training failed"):
            backend = train.trained(self._backend, text_iterator, vocab_size, length, new, names, options)

        def renamed(token: Token) -> Token:
            if text_of(token) not in names:
                return token
            if isinstance(token, str):
                return names[token]
            state = _options(token) | {"content": names[token.content]}
            return AddedToken(**state)

        settings: dict[str, Any] = {**self._own, **{name: getattr(self, name) for name in _ATTRIBUTES}}
        settings |= {name: getattr(self, name) for name in ends.NAMES if name in self.defaults}
        settings |= {name: renamed(token) for name, token in self._special.items() if token is not None}
        other = type(self)(
            tokenizer_object=backend,
            additional_special_tokens=[*map(renamed, self._additional), *new],
            extra_special_tokens={name: renamed(token) for name, token in self.extra_special_tokens.items()},
            **settings,
        )
        other._kept = dict(self._kept)
        return other

    def __repr__(self) -> str:
        limit = "unlimited" if self.model_max_length > limits.LARGE else self.model_max_length
        parts = [repr(self.name_or_path), f"{len(self)} tokens", f"model_max_length={limit}"]
        parts.append(f"padding_side={self.padding_side!r}")
        parts += [f"{name}={token!r}" for name, token in self.special_tokens_map.items() if name in special.NAMES]
        if more := len(self._additional) + len(self.extra_special_tokens):
            parts.append(f"{more} more special tokens")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _say(self, key: str, message: str) -> None:
        """Log a warning the first time."""
        if key not in self._said:
            self._said.add(key)
            logger.warning(message)


# Keywords of the reference's loader that change nothing here.
_IGNORED = frozenset(
    "use_fast trust_remote_code from_slow legacy proxies resume_download mirror use_auth_token name_or_path".split()
)

_ATTRIBUTES = (
    "model_max_length",
    "model_input_names",
    "padding_side",
    "truncation_side",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
    "add_prefix_space",
    "chat_template",
)

_TEXTS = ("$A", "$B")

_CONTRACTIONS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def _refuse_unknown(settings: Mapping[str, Any], checks: Mapping[str, Any], where: str) -> None:
    for name in settings:
        if name not in checks:
            near = difflib.get_close_matches(name, checks, n=1, cutoff=0.6)
            hint = f"; do you mean {near[0]}?" if near else f"; it has {', '.join(sorted(checks))}"
            raise TypeError(f"{where} has no setting {name!r}{hint}")


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def _sides(backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """Settings that a tokenizer.json implies by the truncation and padding that were saved in it."""
    truncation, padding = backend.truncation, backend.padding
    settings = {} if truncation is None else {"truncation_side": truncation["direction"]}
    return (
        settings
        if padding is None
        else settings | {"padding_side": padding["direction"], "pad_token": padding["pad_token"]}
    )


def _options(token: AddedToken) -> dict[str, Any]:
    """A token as tokenizer_config.json describes it."""
    return dict(token.__getstate__())


def _plain(value: Any, *, typed: bool) -> Any:
    """A tree of tokens for JSON; `typed` as in tokenizer_config.json, else as in special_tokens_map.json."""
    if isinstance(value, AddedToken):
        options = _options(value)
        if typed:
            return options | {"__type": "AddedToken"}
        options.pop("special", None)
        return options
    if isinstance(value, Mapping):
        return {name: _plain(item, typed=typed) for name, item in value.items()}
    return [_plain(item, typed=typed) for item in value] if isinstance(value, list) else value


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _no_rows() -> Any:
    import numpy as np

    return np.zeros((0, 0), np.int64)


def _ids(token_ids: Any) -> Iterator[int]:
    """The ids in a number, a list or an array."""
    if hasattr(token_ids, "tolist"):
        token_ids = token_ids.tolist()
    try:
        return iter([integer(index) for index in ([token_ids] if isinstance(token_ids, int) else token_ids)])
    except TypeError:
        raise ValueError(
            f"ids must be whole numbers in one list or array, not {token_ids!r:.60}; batch_decode takes several rows"
        ) from None


def _silent(key: str, message: str) -> None:
    """Say nothing."""
