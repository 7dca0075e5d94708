"""How to generate: names, defaults and files of torch Transformers' GenerationConfig (4.57), immutable.

A config says what its values mean by themselves (types, and what no mode can use) when it is made. What depends on the
rest (a temperature of 0 while sampling, flags of another mode) is said by `validate`, when it is used or saved: files
on the Hub hold values that their own mode ignores.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from .. import config as model_config
from .. import durable, hub
from . import checks, conflicts

logger = logging.getLogger(__name__)

FILE = "generation_config.json"

GENERATE_ARGUMENTS = frozenset(
    """
    logits_processor stopping_criteria prefix_allowed_tokens_fn synced_gpus assistant_model streamer
    negative_prompt_ids negative_prompt_attention_mask use_model_defaults
    """.split()
)
"""Keywords of `generate` that are no settings."""

_METADATA = frozenset({"_from_model_config", "_commit_hash", "_original_object_hash", "transformers_version"})

# What a model's own config.json calls the part that generates.
_DECODERS = ("text_config", "decoder", "generator", "text_encoder")


# -- the config -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(init=False, eq=False, repr=False)
class GenerationConfig:
    """Settings of `generate`, with torch Transformers' names and defaults; None stands for "not asked for".

    Lists are kept as tuples, `sequence_bias` as pairs of ids and bias. Fields of a generation_config.json that are no
    settings (Whisper's `alignment_heads`) are kept and read as attributes.

    Raises:
        ValueError: a name that is no setting, or a value that no mode of generation can use. The message names it.
    """

    # How long.
    max_length: int = checks.setting(20, checks.whole(0))
    max_new_tokens: int | None = checks.setting(None, checks.whole(1))
    min_length: int = checks.setting(0, checks.whole(0))
    min_new_tokens: int | None = checks.setting(None, checks.whole(0))
    early_stopping: bool | str = checks.setting(False, checks.early)
    max_time: float | None = checks.setting(None, checks.seconds)
    stop_strings: str | tuple[str, ...] | None = checks.setting(None, checks.texts)

    # In which way.
    do_sample: bool = checks.setting(False, checks.flag)
    num_beams: int = checks.setting(1, checks.whole(1))

    # torch's caches.
    use_cache: bool = checks.setting(True, checks.flag)
    cache_implementation: str | None = checks.setting(None, checks.text)
    cache_config: Any = checks.setting(None, checks.plain_json)
    return_legacy_cache: bool | None = checks.setting(None, checks.flag)
    prefill_chunk_size: int | None = checks.setting(None, checks.whole(1))

    # What is done to scores.
    temperature: float | None = checks.setting(1.0, checks.real, off=True)
    top_k: int | None = checks.setting(50, checks.whole(), off=True)
    top_p: float | None = checks.setting(1.0, checks.real, off=True)
    min_p: float | None = checks.setting(None, checks.real)
    typical_p: float | None = checks.setting(1.0, checks.real, off=True)
    epsilon_cutoff: float | None = checks.setting(0.0, checks.real, off=True)
    eta_cutoff: float | None = checks.setting(0.0, checks.real, off=True)
    repetition_penalty: float | None = checks.setting(1.0, checks.real, off=True)
    encoder_repetition_penalty: float | None = checks.setting(1.0, checks.real, off=True)
    length_penalty: float | None = checks.setting(1.0, checks.real, off=True)
    no_repeat_ngram_size: int | None = checks.setting(0, checks.whole(0), off=True)
    bad_words_ids: tuple[tuple[int, ...], ...] | None = checks.setting(None, checks.word_lists)
    renormalize_logits: bool = checks.setting(False, checks.flag)
    forced_bos_token_id: int | None = checks.setting(None, checks.an_id)
    forced_eos_token_id: int | tuple[int, ...] | None = checks.setting(None, checks.some_ids)
    remove_invalid_values: bool = checks.setting(False, checks.flag)
    exponential_decay_length_penalty: tuple[int, float] | None = checks.setting(None, checks.decay)
    suppress_tokens: tuple[int, ...] | None = checks.setting(None, checks.ids)
    begin_suppress_tokens: tuple[int, ...] | None = checks.setting(None, checks.ids)
    sequence_bias: tuple[tuple[tuple[int, ...], float], ...] | None = checks.setting(None, checks.biases)
    token_healing: bool = checks.setting(False, checks.flag)
    guidance_scale: float | None = checks.setting(None, checks.real)
    watermarking_config: Any = checks.setting(None, checks.plain_json)

    # What comes back.
    num_return_sequences: int = checks.setting(1, checks.whole(1))
    output_attentions: bool = checks.setting(False, checks.flag)
    output_hidden_states: bool = checks.setting(False, checks.flag)
    output_scores: bool = checks.setting(False, checks.flag)
    output_logits: bool | None = checks.setting(None, checks.flag)
    return_dict_in_generate: bool = checks.setting(False, checks.flag)

    # Special tokens.
    pad_token_id: int | None = checks.setting(None, checks.an_id)
    bos_token_id: int | None = checks.setting(None, checks.an_id)
    eos_token_id: int | tuple[int, ...] | None = checks.setting(None, checks.some_ids)

    # Encoder-decoder models.
    encoder_no_repeat_ngram_size: int | None = checks.setting(0, checks.whole(0), off=True)
    decoder_start_token_id: int | tuple[int, ...] | None = checks.setting(None, checks.some_ids)

    # Drafts.
    is_assistant: bool = checks.setting(False, checks.flag)
    num_assistant_tokens: int = checks.setting(20, checks.whole(1))
    num_assistant_tokens_schedule: str = checks.setting("constant", checks.text)
    assistant_confidence_threshold: float | None = checks.setting(0.4, checks.real, off=True)
    prompt_lookup_num_tokens: int | None = checks.setting(None, checks.whole(1))
    max_matching_ngram_size: int | None = checks.setting(None, checks.whole(1))
    assistant_early_exit: int | None = checks.setting(None, checks.whole())
    assistant_lookbehind: int | None = checks.setting(10, checks.whole(), off=True)
    target_lookbehind: int | None = checks.setting(10, checks.whole(), off=True)

    # torch's compiler.
    compile_config: Any = checks.setting(None, checks.plain_json)
    disable_compile: bool = checks.setting(False, checks.flag)

    # Modes that left torch Transformers' core.
    low_memory: bool | None = checks.setting(None, checks.flag)
    penalty_alpha: float | None = checks.setting(None, checks.real)
    dola_layers: Any = checks.setting(None, checks.plain_json)
    diversity_penalty: float | None = checks.setting(0.0, checks.real, off=True)
    num_beam_groups: int | None = checks.setting(1, checks.whole(1), off=True)
    constraints: Any = checks.setting(None, checks.plain_json)
    force_words_ids: Any = checks.setting(None, checks.plain_json)

    _rest: str = dataclasses.field(default="{}", metadata={"rest": True})  # JSON text

    def __init__(self, /, *, _rest: Mapping[str, Any] | None = None, **settings: Any) -> None:
        for name in settings:
            if name in GENERATE_ARGUMENTS:
                raise ValueError(f"GenerationConfig: {name} is no setting: pass it to generate() itself")
        if unknown := [name for name in settings if name not in SETTINGS]:
            raise ValueError(f"GenerationConfig has no setting {nearest(unknown, SETTINGS)}")
        for name, given in settings.items():  # the class has the defaults
            value = checks.checked(SETTINGS[name], given)
            if given is not None or value is None:
                self.__dict__[name] = value
        for name, value in (_rest or {}).items():
            try:
                json.dumps(value)
            except (TypeError, ValueError, RecursionError):
                raise ValueError(f"GenerationConfig: {name} cannot be written as JSON") from None
        self.__dict__["_rest"] = json.dumps(_rest or {}, sort_keys=True)
        if self.num_return_sequences > 1 and self.num_beams == 1 and not self.do_sample:
            raise ValueError(
                f"num_return_sequences={self.num_return_sequences}: greedy search has one result; set do_sample=True "
                "or num_beams"
            )
        if 1 < self.num_beams < self.num_return_sequences:
            raise ValueError(
                f"num_return_sequences={self.num_return_sequences} is more than num_beams={self.num_beams}"
            )

    # -- reading ------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and "_rest" in self.__dict__:
            rest = json.loads(self._rest)
            if name in rest:
                return rest[name]
        raise AttributeError(f"GenerationConfig has no setting {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"GenerationConfig is frozen: use config.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("GenerationConfig is frozen")

    @property
    def rest(self) -> dict[str, Any]:
        """A fresh copy of the fields of the file that are no settings."""
        return json.loads(self._rest)

    @property
    def eos(self) -> tuple[int, ...]:
        """The ids that end a row; negative ones, an older way to say none, are left out."""
        ids = self.eos_token_id if isinstance(self.eos_token_id, tuple) else (self.eos_token_id,)
        return tuple(i for i in ids if i is not None and i >= 0)

    @property
    def explicit(self) -> dict[str, Any]:
        """The settings that somebody has given a value, be it that of the default."""
        return {name: value for name, value in vars(self).items() if name in SETTINGS}

    @property
    def has_length(self) -> bool:
        """Whether somebody said how much is written."""
        return self.max_new_tokens is not None or "max_length" in self.explicit

    @property
    def guided(self) -> bool:
        """Whether the model is also asked without the prompt."""
        return self.guidance_scale not in (None, 1)

    @property
    def changed(self) -> dict[str, Any]:
        """What was said that is not the default; and a length, for 20 in all is not the default of 20 new tokens."""
        said = self.explicit.items()
        return {name: own for name, own in said if name == "max_length" or not same(own, SETTINGS[name].default)}

    @property
    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SETTINGS}

    def replace(self, /, **settings: Any) -> Self:
        """A copy with other values, of settings or of kept fields.

        Raises:
            ValueError: as when a config is made.
        """
        rest = self.rest
        if unknown := [name for name in settings if name not in SETTINGS and name not in rest]:
            raise ValueError(f"GenerationConfig has no setting {nearest(unknown, [*SETTINGS, *rest])}")
        own = {name: value for name, value in settings.items() if name in SETTINGS}
        rest |= {name: value for name, value in settings.items() if name not in own}
        return type(self)(**{**self.explicit, **own}, _rest=rest)

    # -- identity -----------------------------------------------------------------------------------------------

    def _key(self) -> str:
        fields = {name: value for name, value in self.to_dict().items() if name not in _METADATA}
        return json.dumps(fields | {"max_length": self.explicit.get("max_length")})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"GenerationConfig({', '.join(f'{name}={value!r}' for name, value in self.changed.items())})"

    # -- use ----------------------------------------------------------------------------------------------------

    def validate(self, strict: bool = False) -> None:
        """Say what does not go together: conflicts in one warning, what cannot be computed as an error.

        Args:
            strict: conflicts are errors too.

        Raises:
            ValueError: a value that the chosen mode cannot use; or, if strict, a setting without effect.
        """
        conflicts.check_values(self)
        found = conflicts.conflicts(self)
        if found and strict:
            raise ValueError(f"GenerationConfig: {conflicts.listed(self, found)}")
        if found:
            logger.warning("no effect: %s", conflicts.listed(self, found))

    # -- files --------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All settings and kept fields, as JSON spells them. Settings of torch's compiler are not written."""
        fields = {name: _listed(value) for name, value in self._settings.items() if name != "compile_config"}
        return dict(sorted({**self.rest, **fields}.items()))

    def to_diff_dict(self) -> dict[str, Any]:
        """What of `to_dict` is not at its default: what a file holds."""
        whole = self.to_dict().items()
        return {name: own for name, own in whole if name not in SETTINGS or not same(own, SETTINGS[name].default)}

    def to_json_string(self, use_diff: bool = True) -> str:
        """The text of generation_config.json; with `use_diff`, of what is not at its default."""
        return json.dumps(self.to_diff_dict() if use_diff else self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], **overrides: Any) -> Self:
        """The config of a generation_config.json that has been read, with settings replaced by keyword.

        Fields that are no settings are kept.

        Raises:
            ValueError: as when a config is made.
        """
        strange = {name: value for name, value in fields.items() if name not in SETTINGS}
        if names := GENERATE_ARGUMENTS & strange.keys():
            raise ValueError(f"GenerationConfig: {min(names)} is no setting: pass it to generate() itself")
        config = cls(**of_file(fields), _rest=strange)
        return config.replace(**overrides) if overrides else config

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path | hub.Source, config_file_name: str | None = None, **options: Any
    ) -> Self:
        """Read generation_config.json from a folder or the Hub.

        Args:
            name_or_path: a folder, or a name on the Hub.
            config_file_name: another file name.
            **options: `revision, subfolder, token, cache_dir, local_files_only, force_download`, and any setting,
                which replaces the file's value.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: the file is no JSON object, or has an impossible value.
        """
        source, overrides = hub.split_options(name_or_path, options)
        fields = model_config.read(source, config_file_name or FILE)
        try:
            config = cls.from_dict(fields)
        except ValueError as error:
            raise ValueError(f"{config_file_name or FILE} of {name_or_path}: {error}") from None
        return config.replace(**overrides) if overrides else config

    @classmethod
    def from_model_config(cls, config: model_config.Config | Mapping[str, Any]) -> Self:
        """The settings that an older config.json holds among its own fields.

        Args:
            config: a model's config, or the fields of its config.json. What its decoder's part says counts where the
                outer part says nothing.

        Raises:
            ValueError: a setting has an impossible value.
        """
        fields = config.to_dict() if isinstance(config, model_config.Config) else config
        settings = {name: value for name, value in of_file(fields).items() if value is not None}
        for part in _DECODERS:
            if isinstance(inner := fields.get(part), Mapping):
                settings = {
                    **{n: v for n, v in of_file(inner).items() if v is not None},
                    **{n: v for n, v in settings.items() if not same(v, SETTINGS[n].default)},
                }
                break
        if any(settings.get(f"output_{name}") for name in ("attentions", "hidden_states", "scores", "logits")):
            settings["return_dict_in_generate"] = True
        return cls(**settings, _rest={"_from_model_config": True})

    @classmethod
    def of_model(cls, source: hub.Source, config: model_config.Config) -> Self:
        """A checkpoint's settings: its generation_config.json, else what its config.json holds of them.

        Raises:
            OSError, ValueError: as `from_pretrained`, but for an absent file.
        """
        if source.find(FILE) is None:
            return cls.from_model_config(config)
        return cls.from_pretrained(source)

    def save_pretrained(self, folder: str | Path, config_file_name: str | None = None) -> None:
        """Write generation_config.json into `folder`, made if absent.

        Raises:
            ValueError: a setting has no effect beside the others, or a value that the mode cannot use.
            OSError: the folder cannot be written.
        """
        try:
            self.validate(strict=True)
        except ValueError as error:
            raise ValueError(f"{error}; not saved: change it with config.replace(...)") from None
        with durable.Replacement(folder) as files:
            files.write(config_file_name or FILE, self.to_json_string().encode())


SETTINGS: Mapping[str, dataclasses.Field[Any]] = {
    field.name: field for field in dataclasses.fields(GenerationConfig) if "check" in field.metadata
}
"""The settings by name; what is not here is no option of `generate`."""


def of_file(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among a file's fields, where a max_length of 20 says nothing: libraries wrote the default too."""
    found = {name: value for name, value in fields.items() if name in SETTINGS}
    if found.get("max_length") == SETTINGS["max_length"].default:
        del found["max_length"]
    return found


def same(a: Any, b: Any) -> bool:
    """Equal, and False is not 0."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _listed(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, list | tuple):
        return [_listed(entry) for entry in value]
    return copy.deepcopy(value)


def nearest(unknown: Sequence[str], known: Iterable[str]) -> str:
    """Unknown names, each with the known one that is nearest."""
    names: Collection[str] = sorted(set(known))
    said = []
    for name in unknown:
        near = difflib.get_close_matches(name, names, 1)
        said.append(f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name))
    return ", ".join(said)
