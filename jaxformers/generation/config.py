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
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from .. import config as model_config
from .. import durable, hub

logger = logging.getLogger(__name__)

FILE = "generation_config.json"

GENERATE_ARGUMENTS = frozenset(
    """
    logits_processor stopping_criteria prefix_allowed_tokens_fn synced_gpus assistant_model streamer
    negative_prompt_ids negative_prompt_attention_mask use_model_defaults
    """.split()
)
"""Keywords of `generate` that are no settings."""

MACHINERY = frozenset(
    """
    use_cache cache_implementation cache_config return_legacy_cache prefill_chunk_size compile_config disable_compile
    low_memory num_assistant_tokens_schedule assistant_lookbehind target_lookbehind assistant_early_exit is_assistant
    """.split()
)
"""Settings of torch's caches, compiler and draft models: kept, and without effect here."""

_METADATA = frozenset({"_from_model_config", "_commit_hash", "_original_object_hash", "transformers_version"})

# What a model's own config.json calls the part that generates.
_DECODERS = ("text_config", "decoder", "generator", "text_encoder")


# -- what a value may be ----------------------------------------------------------------------------------------------

_Check = Callable[[Any], Any]


class _Wrong(Exception):
    """A value that is not what was expected."""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("True or False")
    return value


def _whole(low: int | None = None) -> _Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
            raise _Wrong("a whole number")
        if low is not None and value < low:
            raise _Wrong(f"a whole number from {low}")
        return value

    return check


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise _Wrong("a finite number")
    return value


def _seconds(value: Any) -> float:
    try:
        value = _real(value)
    except _Wrong:
        value = 0.0
    if value <= 0:
        raise _Wrong("seconds, more than 0")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("text")
    return value


def _many(item: _Check, what: str, least: int = 0) -> _Check:
    def check(value: Any) -> tuple[Any, ...]:
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(value, list | tuple) or len(value) < least:
            raise _Wrong(what)
        try:
            return tuple(item(_plain(entry)) for entry in value)
        except _Wrong:
            raise _Wrong(what) from None

    return check


def _either(*checks: _Check) -> _Check:
    def check(value: Any) -> Any:
        said = []
        for one in checks:
            try:
                return one(value)
            except _Wrong as wrong:
                said.append(str(wrong))
        raise _Wrong(" or ".join(said))

    return check


def _early(value: Any) -> Any:
    if not isinstance(value, bool) and value != "never":
        raise _Wrong('True, False or "never"')
    return value


def _decay(value: Any) -> tuple[int, float]:
    what = "(how many new tokens first, a factor > 0 for each after them)"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _Wrong(what)
    try:
        start, factor = _whole()(_plain(value[0])), _real(_plain(value[1]))
    except _Wrong:
        raise _Wrong(what) from None
    if factor <= 0:
        raise _Wrong(what)
    return start, factor


def _biases(value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    what = "{(id, ...): bias} or [[[id, ...], bias], ...], not empty, ids from 0"
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not pairs:
        raise _Wrong(what)
    found: dict[tuple[int, ...], float] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise _Wrong(what)
        try:
            found[_many(_whole(0), what, 1)(pair[0])] = _real(_plain(pair[1]))
        except _Wrong:
            raise _Wrong(what) from None
    return tuple(found.items())


def _kept(value: Any) -> Any:
    """Whatever JSON can hold, or an object that says how it is written."""
    value = value.to_dict() if hasattr(value, "to_dict") else value
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise _Wrong("what JSON can hold") from None
    return copy.deepcopy(value)


def _plain(value: Any) -> Any:
    """Numpy's and jax's single numbers as Python's."""
    if isinstance(value, np.generic) or (getattr(value, "shape", None) == () and hasattr(value, "item")):
        return value.item()
    return value


_id = _whole()
_some_ids = _either(_id, _many(_id, "a list of whole numbers"))
_words = _many(_many(_whole(0), "ids from 0", 1), "a list of lists of ids from 0, none of them empty", 1)


def _setting(default: Any, check: _Check, off: bool = False) -> Any:
    """A field; with `off`, None is a value of its own (not asked for) and not the default."""
    return dataclasses.field(default=default, metadata={"check": check, "off": off or default is None})


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
    max_length: int = _setting(20, _whole(0))
    max_new_tokens: int | None = _setting(None, _whole(1))
    min_length: int = _setting(0, _whole(0))
    min_new_tokens: int | None = _setting(None, _whole(0))
    early_stopping: bool | str = _setting(False, _early)
    max_time: float | None = _setting(None, _seconds)
    stop_strings: str | tuple[str, ...] | None = _setting(None, _either(_text, _many(_text, "a list of texts")))

    # In which way.
    do_sample: bool = _setting(False, _flag)
    num_beams: int = _setting(1, _whole(1))

    # torch's caches.
    use_cache: bool = _setting(True, _flag)
    cache_implementation: str | None = _setting(None, _text)
    cache_config: Any = _setting(None, _kept)
    return_legacy_cache: bool | None = _setting(None, _flag)
    prefill_chunk_size: int | None = _setting(None, _whole(1))

    # What is done to scores.
    temperature: float | None = _setting(1.0, _real, off=True)
    top_k: int | None = _setting(50, _whole(), off=True)
    top_p: float | None = _setting(1.0, _real, off=True)
    min_p: float | None = _setting(None, _real)
    typical_p: float | None = _setting(1.0, _real, off=True)
    epsilon_cutoff: float | None = _setting(0.0, _real, off=True)
    eta_cutoff: float | None = _setting(0.0, _real, off=True)
    repetition_penalty: float | None = _setting(1.0, _real, off=True)
    encoder_repetition_penalty: float | None = _setting(1.0, _real, off=True)
    length_penalty: float | None = _setting(1.0, _real, off=True)
    no_repeat_ngram_size: int | None = _setting(0, _whole(0), off=True)
    bad_words_ids: tuple[tuple[int, ...], ...] | None = _setting(None, _words)
    renormalize_logits: bool = _setting(False, _flag)
    forced_bos_token_id: int | None = _setting(None, _id)
    forced_eos_token_id: int | tuple[int, ...] | None = _setting(None, _some_ids)
    remove_invalid_values: bool = _setting(False, _flag)
    exponential_decay_length_penalty: tuple[int, float] | None = _setting(None, _decay)
    suppress_tokens: tuple[int, ...] | None = _setting(None, _many(_id, "a list of whole numbers"))
    begin_suppress_tokens: tuple[int, ...] | None = _setting(None, _many(_id, "a list of whole numbers"))
    sequence_bias: tuple[tuple[tuple[int, ...], float], ...] | None = _setting(None, _biases)
    token_healing: bool = _setting(False, _flag)
    guidance_scale: float | None = _setting(None, _real)
    watermarking_config: Any = _setting(None, _kept)

    # What comes back.
    num_return_sequences: int = _setting(1, _whole(1))
    output_attentions: bool = _setting(False, _flag)
    output_hidden_states: bool = _setting(False, _flag)
    output_scores: bool = _setting(False, _flag)
    output_logits: bool | None = _setting(None, _flag)
    return_dict_in_generate: bool = _setting(False, _flag)

    # Special tokens.
    pad_token_id: int | None = _setting(None, _id)
    bos_token_id: int | None = _setting(None, _id)
    eos_token_id: int | tuple[int, ...] | None = _setting(None, _some_ids)

    # Encoder-decoder models.
    encoder_no_repeat_ngram_size: int | None = _setting(0, _whole(0), off=True)
    decoder_start_token_id: int | tuple[int, ...] | None = _setting(None, _some_ids)

    # Drafts.
    is_assistant: bool = _setting(False, _flag)
    num_assistant_tokens: int = _setting(20, _whole(1))
    num_assistant_tokens_schedule: str = _setting("constant", _text)
    assistant_confidence_threshold: float | None = _setting(0.4, _real, off=True)
    prompt_lookup_num_tokens: int | None = _setting(None, _whole(1))
    max_matching_ngram_size: int | None = _setting(None, _whole(1))
    assistant_early_exit: int | None = _setting(None, _whole())
    assistant_lookbehind: int | None = _setting(10, _whole(), off=True)
    target_lookbehind: int | None = _setting(10, _whole(), off=True)

    # torch's compiler.
    compile_config: Any = _setting(None, _kept)
    disable_compile: bool = _setting(False, _flag)

    # Modes that left torch Transformers' core.
    low_memory: bool | None = _setting(None, _flag)
    penalty_alpha: float | None = _setting(None, _real)
    dola_layers: Any = _setting(None, _kept)
    diversity_penalty: float | None = _setting(0.0, _real, off=True)
    num_beam_groups: int | None = _setting(1, _whole(1), off=True)
    constraints: Any = _setting(None, _kept)
    force_words_ids: Any = _setting(None, _kept)

    _rest: str = dataclasses.field(default="{}", metadata={"rest": True})  # JSON text

    def __init__(self, /, **settings: Any) -> None:
        for name in settings:
            if name in GENERATE_ARGUMENTS:
                raise ValueError(f"GenerationConfig: {name} is no setting: pass it to generate() itself")
        if unknown := [name for name in settings if name not in SETTINGS]:
            raise ValueError(f"GenerationConfig has no setting {_nearest(unknown, SETTINGS)}")
        self._fill(settings, {})

    def _fill(self, settings: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
        for name, given in settings.items():  # the class has the defaults
            value = _checked(SETTINGS[name], given)
            if given is not None or value is None:
                self.__dict__[name] = value
        for name, value in rest.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError, RecursionError):
                raise ValueError(f"GenerationConfig: {name} cannot be written as JSON") from None
        self.__dict__["_rest"] = json.dumps(rest, sort_keys=True)
        if self.num_return_sequences > 1 and self.num_beams == 1 and not self.do_sample:
            raise ValueError(
                f"num_return_sequences={self.num_return_sequences}: greedy search has one result; set do_sample=True "
                "or num_beams"
            )
        if 1 < self.num_beams < self.num_return_sequences:
            raise ValueError(
                f"num_return_sequences={self.num_return_sequences} is more than num_beams={self.num_beams}"
            )

    @classmethod
    def _made(cls, settings: Mapping[str, Any], rest: Mapping[str, Any]) -> Self:
        config = object.__new__(cls)
        config._fill(settings, rest)
        return config

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
    def said(self) -> dict[str, Any]:
        """The settings that somebody has given a value, be it that of the default."""
        return {name: value for name, value in vars(self).items() if name in SETTINGS}

    @property
    def sized(self) -> bool:
        """Whether somebody said how much is written."""
        return self.max_new_tokens is not None or "max_length" in self.said

    @property
    def guided(self) -> bool:
        """Whether the model is also asked without the prompt."""
        return self.guidance_scale not in (None, 1)

    @property
    def changed(self) -> dict[str, Any]:
        """What was said that is not the default; and a length, for 20 in all is not the default of 20 new tokens."""
        said = self.said.items()
        return {name: own for name, own in said if name == "max_length" or not _same(own, SETTINGS[name].default)}

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
            raise ValueError(f"GenerationConfig has no setting {_nearest(unknown, [*SETTINGS, *rest])}")
        own = {name: value for name, value in settings.items() if name in SETTINGS}
        return self._made({**self.said, **own}, {**rest, **{n: v for n, v in settings.items() if n not in own}})

    # -- identity -----------------------------------------------------------------------------------------------

    def _key(self) -> str:
        fields = {name: value for name, value in self.to_dict().items() if name not in _METADATA}
        return json.dumps(fields | {"max_length": self.said.get("max_length")})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"GenerationConfig({', '.join(f'{name}={value!r}' for name, value in self.changed.items())})"

    # -- use ----------------------------------------------------------------------------------------------------

    def conflicts(self) -> dict[str, str]:
        """Settings that have no effect beside the others, and why."""
        found = {}
        if not self.do_sample:
            for name in ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
                if getattr(self, name) not in (None, SETTINGS[name].default):
                    found[name] = "is for sampling: set do_sample=True"
        if self.num_beams == 1:
            if self.early_stopping is not False:
                found["early_stopping"] = "is for beam search: set num_beams > 1"
            if self.length_penalty not in (None, 1.0):
                found["length_penalty"] = "is for beam search: set num_beams > 1"
        if not self.use_cache:
            for name in ("cache_implementation", "cache_config", "return_legacy_cache"):
                if getattr(self, name) is not None:
                    found[name] = "is for a cache, and use_cache=False"
        if not self.return_dict_in_generate:
            for name in ("output_attentions", "output_hidden_states", "output_scores", "output_logits"):
                if getattr(self, name):
                    found[name] = "needs return_dict_in_generate=True"
        if self.pad_token_id is not None and self.pad_token_id < 0:
            found["pad_token_id"] = "is no id: batches need one from 0"
        return found

    def validate(self, strict: bool = False) -> None:
        """Say what does not go together: conflicts in one warning, what cannot be computed as an error.

        Args:
            strict: conflicts are errors too.

        Raises:
            ValueError: a value that the chosen mode cannot use; or, if strict, a setting without effect.
        """
        self._check_values()
        found = self.conflicts()
        if found and strict:
            raise ValueError(f"GenerationConfig: {self._listed(found)}")
        if found:
            logger.warning("no effect: %s", self._listed(found))

    def _listed(self, conflicts: Mapping[str, str]) -> str:
        return "; ".join(f"{name}={_shown(getattr(self, name))} {why}" for name, why in conflicts.items())

    def _check_values(self) -> None:
        """Refuse numbers that the chosen mode cannot compute with; None is "off" everywhere."""
        self._need("repetition_penalty", lambda x: x > 0, "a number > 0; 1.0 is no penalty")
        self._need("encoder_repetition_penalty", lambda x: x > 0, "a number > 0; 1.0 is no penalty")
        if not self.do_sample:
            return
        hint = "for greedy search set do_sample=False" if self.temperature == 0 else "1.0 leaves scores as they are"
        self._need("temperature", lambda x: x > 0, f"a number > 0; {hint}")
        self._need("top_k", lambda x: x >= 0, "how many tokens are kept, 0 or None for all")
        self._need("top_p", lambda x: x >= 0, "a probability; 1.0 keeps all tokens")
        self._need("min_p", lambda x: 0 <= x <= 1, "a share of the best token's probability, 0 to 1")
        self._need("typical_p", lambda x: x > 0, "a probability > 0; 1.0 keeps all tokens")
        self._need("epsilon_cutoff", lambda x: 0 <= x < 1, "a probability, 0 (off) to below 1")
        self._need("eta_cutoff", lambda x: 0 <= x < 1, "a probability, 0 (off) to below 1")
        over = [f"{name}={getattr(self, name)}" for name in ("top_p", "typical_p") if (getattr(self, name) or 0) > 1]
        if over:
            logger.warning("no effect: %s: above 1 all tokens are kept", ", ".join(over))

    def _need(self, name: str, good: Callable[[Any], bool], what: str) -> None:
        value = getattr(self, name)
        if value is not None and not good(value):
            raise ValueError(f"{name}={value!r}: expected {what}")

    def refuse_unbuilt(self) -> None:
        """Say which ways of generating are not built here, rather than go another way.

        Raises:
            ValueError: a setting asks for one of them.
        """
        asked = {
            "num_beam_groups": (self.num_beam_groups or 1) > 1 and "diverse (group) beam search",
            "diversity_penalty": self.diversity_penalty and "diverse (group) beam search",
            "penalty_alpha": (self.penalty_alpha or 0) > 0 and "contrastive search",
            "constraints": self.constraints is not None and "constrained beam search",
            "force_words_ids": self.force_words_ids is not None and "constrained beam search",
            "dola_layers": self.dola_layers is not None and "DoLa",
            "watermarking_config": self.watermarking_config is not None
            and "watermarking (its green lists come from torch's own random generator)",
            "token_healing": self.token_healing and "token healing",
        }
        for name, what in asked.items():
            if what:
                value = _shown(getattr(self, name))
                raise ValueError(f"{name}={value} asks for {what}, which is not implemented; leave it out")

    def merged(
        self,
        given: GenerationConfig | None = None,
        keywords: Mapping[str, Any] | None = None,
        *,
        arguments: Iterable[str] = (),
    ) -> Self:
        """The config of one call to a model that has this one.

        What a keyword says counts first, then what `given` says otherwise than the defaults, then this config.
        Conflicts among what the user said are named in one warning; settings that belong to torch's machinery, and
        those of the model's file that have no effect in the mode that the user chose, at INFO.

        Args:
            given: the config passed to the call.
            keywords: the call's keywords, as far as they are no arguments of its own.
            arguments: names of the call's own arguments, to tell the nearest of a misspelt one.

        Raises:
            ValueError: an unknown keyword, a value that the mode cannot use, or a way of generating that is not
                built.
        """
        keywords = keywords or {}
        if given is not None and not isinstance(given, GenerationConfig):
            raise ValueError(f"generation_config={given!r:.60}: expected a GenerationConfig")
        changed = given.changed if given is not None else {}
        rest = {**self.rest, **(given.rest if given is not None else {})}
        unknown = [name for name in keywords if name not in SETTINGS and name not in rest]
        if unknown:
            raise ValueError(f"generate() has no option {_nearest(unknown, [*SETTINGS, *rest, *arguments])}")
        settings = {**self.said, **changed}
        if changed.get("temperature") == 0:  # greedy search, whatever the model's default
            settings["do_sample"] = False
        settings.update({name: value for name, value in keywords.items() if name in SETTINGS})
        rest.update({name: value for name, value in keywords.items() if name not in SETTINGS})
        config = self._made(settings, rest)
        config.refuse_unbuilt()
        config._check_values()
        said = {name: getattr(config, name) for name in {**changed, **keywords}}
        found = config.conflicts()
        typed = {name: why for name, why in found.items() if name in said}
        if typed:
            logger.warning("no effect: %s", config._listed(typed))
        if kept := {name: why for name, why in found.items() if name not in said}:
            logger.info("no effect, from the model's %s: %s", FILE, config._listed(kept))
        if keywords.get("max_length") is not None and config.max_new_tokens is not None:
            logger.warning(
                "max_length=%s has no effect: max_new_tokens=%s counts", config.max_length, config.max_new_tokens
            )
        machinery = sorted(name for name in said if name in MACHINERY and not _same(said[name], SETTINGS[name].default))
        if machinery:
            logger.info("ignored, for they are about torch's caches and compiler: %s", ", ".join(machinery))
        return config

    # -- files --------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All settings and kept fields, as JSON spells them. Settings of torch's compiler are not written."""
        fields = {name: _listed(value) for name, value in self._settings.items() if name != "compile_config"}
        return dict(sorted({**self.rest, **fields}.items()))

    def to_diff_dict(self) -> dict[str, Any]:
        """What of `to_dict` is not at its default: what a file holds."""
        whole = self.to_dict().items()
        return {name: own for name, own in whole if name not in SETTINGS or not _same(own, SETTINGS[name].default)}

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
        config = cls._made(of_file(fields), strange)
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
                    **{n: v for n, v in settings.items() if not _same(v, SETTINGS[n].default)},
                }
                break
        if any(settings.get(f"output_{name}") for name in ("attentions", "hidden_states", "scores", "logits")):
            settings["return_dict_in_generate"] = True
        return cls._made(settings, {"_from_model_config": True})

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


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """A setting's value as it is kept."""
    value = _plain(value)
    if value is None:
        return None if field.metadata["off"] else field.default
    try:
        return field.metadata["check"](value)
    except _Wrong as wrong:
        raise ValueError(f"{field.name}={_shown(value)}: expected {wrong}") from None


def _same(a: Any, b: Any) -> bool:
    """Equal, and False is not 0."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _listed(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, list | tuple):
        return [_listed(entry) for entry in value]
    return copy.deepcopy(value)


def _nearest(unknown: Sequence[str], known: Iterable[str]) -> str:
    """Unknown names, each with the known one that is nearest."""
    names: Collection[str] = sorted(set(known))
    said = []
    for name in unknown:
        near = difflib.get_close_matches(name, names, 1)
        said.append(f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name))
    return ", ".join(said)


def _shown(value: Any) -> str:
    """A value in an error: one line of bounded length, whatever a file held."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
