"""The settings of one call: the caller's words, those of the config that was passed, and the model's own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from . import conflicts
from .config import FILE, SETTINGS, GenerationConfig, nearest, same

logger = logging.getLogger(__name__)

MACHINERY = frozenset(
    """
    use_cache cache_implementation cache_config return_legacy_cache prefill_chunk_size compile_config disable_compile
    low_memory num_assistant_tokens_schedule assistant_lookbehind target_lookbehind assistant_early_exit is_assistant
    """.split()
)
"""Settings of torch's caches, compiler and draft models: kept, and without effect here."""


def merged(
    own: GenerationConfig,
    given: GenerationConfig | None = None,
    keywords: Mapping[str, Any] | None = None,
    *,
    arguments: Iterable[str] = (),
) -> GenerationConfig:
    """The settings of one call.

    What a keyword says counts first, then what `given` says otherwise than the defaults, then the model's own.
    Conflicts among what the user said are named in one warning; settings that belong to torch's machinery, and
    those of the model's file that have no effect in the mode that the user chose, at INFO.

    Args:
        own: the model's.
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
    rest = {**own.rest, **(given.rest if given is not None else {})}
    unknown = [name for name in keywords if name not in SETTINGS and name not in rest]
    if unknown:
        raise ValueError(f"generate() has no option {nearest(unknown, [*SETTINGS, *rest, *arguments])}")
    settings = {**own.explicit, **changed}
    if changed.get("temperature") == 0:  # greedy search, whatever the model's default
        settings["do_sample"] = False
    settings.update({name: value for name, value in keywords.items() if name in SETTINGS})
    rest.update({name: value for name, value in keywords.items() if name not in SETTINGS})
    config = type(own)(**settings, _rest=rest)
    conflicts.refuse_unbuilt(config)
    conflicts.check_values(config)
    said = {name: getattr(config, name) for name in {**changed, **keywords}}
    found = conflicts.conflicts(config)
    typed = {name: why for name, why in found.items() if name in said}
    if typed:
        logger.warning("no effect: %s", conflicts.listed(config, typed))
    if kept := {name: why for name, why in found.items() if name not in said}:
        logger.info("no effect, from the model's %s: %s", FILE, conflicts.listed(config, kept))
    if keywords.get("max_length") is not None and config.max_new_tokens is not None:
        logger.warning(
            "max_length=%s has no effect: max_new_tokens=%s counts", config.max_length, config.max_new_tokens
        )
    machinery = sorted(name for name in said if name in MACHINERY and not same(said[name], SETTINGS[name].default))
    if machinery:
        logger.info("ignored, for they are about torch's caches and compiler: %s", ", ".join(machinery))
    return config
