"""What an adapter is: adapter_config.json of PEFT, with its names and defaults."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, get_args

from .. import config as configs
from .. import durable, hub
from ..declare import Role

logger = logging.getLogger(__name__)

FILE = "adapter_config.json"
ALL_LINEAR = "all-linear"

# Kinds of additions that are not computed here, at what says that an adapter has none of them.
_ELSEWHERE: Mapping[str, Any] = {
    "use_dora": False,
    "lora_bias": False,
    "use_qalora": False,
    "layer_replication": None,
    "target_parameters": None,
    "trainable_token_indices": None,
    "alora_invocation_tokens": None,
    "megatron_config": None,
}
# Fields of files that change nothing of what an adapter computes.
_WITHOUT_EFFECT = frozenset(
    """
    auto_mapping peft_version peft_type megatron_core qalora_group_size loftq_config eva_config corda_config
    lora_ga_config runtime_config ensure_weight_tying
    """.split()
)
_ONLY_STARTS = ("eva", "orthogonal")  # how training began, of which files hold the result
_BIASES = ("none", "all", "lora_only")
_TASKS = ("SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")
HEADS: Mapping[str | None, tuple[str, ...]] = {
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}
"""The modules of a task's head, which are always trained and saved."""


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """A low-rank adapter, in PEFT's words.

    r: rank of the additions. lora_alpha: they are multiplied by lora_alpha / r, and where use_rslora by
        lora_alpha / sqrt(r) (Kalajdzievski 2023, arXiv 2312.03732). lora_dropout: rate of dropout on what they read.
    target_modules: which dense layers have one, by the Hub's names: ends of names ("q_proj"), a pattern that whole
        names match, or "all-linear": all but what scores words and routers; None: queries and values, or what holds
        both.
    target_roles: of ours, in place of it: roles of arrays (`declare.Role`: "matrix", "projection", "unembedding").
    exclude_modules: ends of names, or a pattern, of layers that have none.
    layers_to_transform: numbers of the layers that have some; layers_pattern: the name before the number.
    rank_pattern, alpha_pattern: patterns of ends of names → another r, another lora_alpha.
    modules_to_save: names of modules that are trained as a whole, and saved beside the additions; heads of
        classification are among them by task_type.
    bias: which biases are trained: "none", "all", "lora_only": those of layers with an addition.
    init_lora_weights: True: `A` uniform, `B` zero; "gaussian": `A` normal; False: both are random.
    fan_in_fan_out: kept for files; which layers hold their matrices transposed is known here.
    inference_mode: whether nothing of it is trained.
    base_model_name_or_path, revision: the model that it is for.

    All others are kinds of additions that are not computed here, and are refused unless they say that there is none.

    Raises:
        TypeError, ValueError: a field has an impossible value; the message names it.
    """

    r: int = 8
    target_modules: str | tuple[str, ...] | None = None
    exclude_modules: str | tuple[str, ...] | None = None
    lora_alpha: float = 8
    lora_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    use_rslora: bool = False
    modules_to_save: tuple[str, ...] | None = None
    init_lora_weights: bool | str = True
    layers_to_transform: int | tuple[int, ...] | None = None
    layers_pattern: str | tuple[str, ...] | None = None
    rank_pattern: Mapping[str, int] = dataclasses.field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = dataclasses.field(default_factory=dict)
    task_type: str | None = None
    inference_mode: bool = False
    base_model_name_or_path: str | None = None
    revision: str | None = None
    target_roles: tuple[str, ...] | None = None
    use_dora: bool = False
    lora_bias: bool = False
    use_qalora: bool = False
    layer_replication: Any = None
    target_parameters: Any = None
    trainable_token_indices: Any = None
    alora_invocation_tokens: Any = None
    megatron_config: Any = None

    def __post_init__(self) -> None:
        for name in ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern", "target_roles"):
            self._settle(name, _names(name, getattr(self, name)))
        if isinstance(self.layers_to_transform, Iterable):
            self._settle("layers_to_transform", tuple(self.layers_to_transform))
        for name in ("rank_pattern", "alpha_pattern"):
            self._settle(name, dict(getattr(self, name) or {}))
        if isinstance(self.base_model_name_or_path, os.PathLike):
            self._settle("base_model_name_or_path", os.fspath(self.base_model_name_or_path))
        self._check()

    def _settle(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        for name, nothing in _ELSEWHERE.items():
            value = getattr(self, name)
            if value is not None and value != nothing:
                raise ValueError(f"LoraConfig: {name}={value!r:.60} is a kind of adapter that is not done")
        for name, rank in (("r", self.r), *self.rank_pattern.items()):
            if type(rank) is not int or rank < 1:
                raise ValueError(f"LoraConfig: the rank {name}={rank!r} must be a whole number above 0")
        rates = (("lora_dropout", self.lora_dropout), ("lora_alpha", self.lora_alpha), *self.alpha_pattern.items())
        for name, value in rates:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"LoraConfig: {name}={value!r}: expected a number")
        for name in ("base_model_name_or_path", "revision", "task_type"):
            if not isinstance(getattr(self, name), str | None):
                raise TypeError(f"LoraConfig: {name}={getattr(self, name)!r:.60}: expected text")
        if not 0.0 <= self.lora_dropout < 1.0:
            raise ValueError(f"LoraConfig: lora_dropout={self.lora_dropout}: expected a share from 0 to below 1")
        if self.bias not in _BIASES:
            raise ValueError(f"LoraConfig: bias={self.bias!r}: expected one of {', '.join(_BIASES)}")
        if self.init_lora_weights not in (True, False, "gaussian"):
            raise ValueError(
                f"LoraConfig: init_lora_weights={self.init_lora_weights!r} is not done: use True, False or 'gaussian'"
            )
        if self.task_type is not None and self.task_type not in _TASKS:
            raise ValueError(f"LoraConfig: task_type={self.task_type!r}: expected one of {', '.join(_TASKS)}")
        if isinstance(self.target_modules, str):
            for name in ("layers_to_transform", "layers_pattern"):
                if getattr(self, name) is not None:
                    raise ValueError(f"LoraConfig: {name} goes with a list of target_modules, not with a pattern")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("LoraConfig: layers_pattern says where layers_to_transform are: pass these too")
        if self.target_roles is not None and self.target_modules is not None:
            raise ValueError("LoraConfig: target_modules and target_roles exclude each other: pass one of them")
        for role in self.target_roles or ():
            if role not in get_args(Role):
                raise ValueError(f"LoraConfig: target_roles: no array has the role {role!r}: see declare.Role")
        self._check_patterns()

    def _check_patterns(self) -> None:
        whole = [one for one in (self.target_modules, self.exclude_modules) if isinstance(one, str)]
        for pattern in (*whole, *self.rank_pattern, *self.alpha_pattern, *(self.modules_to_save or ())):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"LoraConfig: {pattern!r} is no regular expression: {error}") from None

    def __hash__(self) -> int:  # patterns are dicts, which have none
        return hash((self.r, self.target_modules, self.modules_to_save, self.base_model_name_or_path))

    @functools.cached_property
    def targets(self) -> str | frozenset[str]:
        """`target_modules`, quick to look in: with experts there are tens of thousands of names."""
        return _quick(self.target_modules)

    @functools.cached_property
    def excluded(self) -> str | frozenset[str]:
        """`exclude_modules` likewise."""
        return _quick(self.exclude_modules)

    @property
    def peft_type(self) -> str:
        """What PEFT calls adapters of this kind."""
        return "LORA"

    def replace(self, **fields: Any) -> Self:
        """The config with other fields."""
        return dataclasses.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """The fields of adapter_config.json."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["target_roles"]  # a word of ours: by then `target_modules` names what it stood for
        listed = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
        return dict(sorted({**listed, "peft_type": self.peft_type}.items()))

    def to_json_string(self) -> str:
        """adapter_config.json."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], name: str = FILE) -> Self:
        """The config of an adapter_config.json that has been read; `name` stands in errors.

        Raises:
            ValueError: it is of another kind of adapter, or a field has an impossible value.
        """
        kind = fields.get("peft_type", "LORA")
        if kind != "LORA":
            raise ValueError(f"{name}: adapters of the kind {kind!r:.60} are not read, low-rank ones (LORA) are")
        known = {field.name for field in dataclasses.fields(cls)} - {"target_roles"}
        for field, value in fields.items():
            if field not in known and field not in _WITHOUT_EFFECT and value:
                raise ValueError(f"{name}: {field}={value!r:.60} is a kind of adapter that is not done")
        given = {field: value for field, value in fields.items() if field in known}
        if given.get("init_lora_weights") in _ONLY_STARTS:
            del given["init_lora_weights"]
        try:
            return cls(**given)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path | hub.Source, **options: Any) -> Self:
        """Read adapter_config.json from a folder or the Hub; keywords say where (`hub.OPTIONS`) or replace fields.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: as of `from_dict`.
        """
        source, fields = hub.split_options(name_or_path, options)
        return cls.from_dict(configs.read(source, FILE) | fields, f"{source}/{FILE}")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write adapter_config.json."""
        with durable.Replacement(folder) as files:
            files.write(FILE, self.to_json_string().encode())


def _quick(names: str | tuple[str, ...] | None) -> str | frozenset[str]:
    return names if isinstance(names, str) else frozenset(names or ())


def _names(field: str, value: Any) -> Any:
    """Names as a tuple, without an order of their own; a pattern and None as they are."""
    if value is None or (isinstance(value, str) and field not in ("modules_to_save", "target_roles")):
        return value
    if isinstance(value, str) or not isinstance(value, Iterable) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"LoraConfig: {field}={value!r:.60}: expected a list of names")
    return tuple(sorted(value))
