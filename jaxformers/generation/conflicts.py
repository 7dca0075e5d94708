"""What settings cannot do: together, in the mode that they choose, or at all yet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .checks import shown

logger = logging.getLogger(__name__)

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def conflicts(s: Any) -> dict[str, str]:
    """Settings of a GenerationConfig that have no effect beside the others, and why."""
    found: dict[str, str] = {}
    if not s.do_sample:
        sampling = (name for name in _SAMPLING if s.changed.get(name) is not None)
        found |= dict.fromkeys(sampling, "is for sampling: set do_sample=True")
    if s.num_beams == 1:
        if s.early_stopping is not False:
            found["early_stopping"] = "is for beam search: set num_beams > 1"
        if s.length_penalty not in (None, 1.0):
            found["length_penalty"] = "is for beam search: set num_beams > 1"
    if not s.use_cache:
        for name in ("cache_implementation", "cache_config", "return_legacy_cache"):
            if getattr(s, name) is not None:
                found[name] = "is for a cache, and use_cache=False"
    if not s.return_dict_in_generate:
        for name in ("output_attentions", "output_hidden_states", "output_scores", "output_logits"):
            if getattr(s, name):
                found[name] = "needs return_dict_in_generate=True"
    if s.pad_token_id is not None and s.pad_token_id < 0:
        found["pad_token_id"] = "is no id: batches need one from 0"
    return found


def listed(s: Any, found: dict[str, str]) -> str:
    """Conflicts in one line."""
    return "; ".join(f"{name}={shown(getattr(s, name))} {why}" for name, why in found.items())


def check_values(s: Any) -> None:
    """Refuse numbers that the chosen mode cannot compute with; None is "off" everywhere.

    Raises:
        ValueError: it names the setting, and what is expected.
    """

    def need(name: str, good: Callable[[Any], bool], what: str) -> None:
        value = getattr(s, name)
        if value is not None and not good(value):
            raise ValueError(f"{name}={value!r}: expected {what}")

    need("repetition_penalty", lambda x: x > 0, "a number > 0; 1.0 is no penalty")
    need("encoder_repetition_penalty", lambda x: x > 0, "a number > 0; 1.0 is no penalty")
    if not s.do_sample:
        return
    hint = "for greedy search set do_sample=False" if s.temperature == 0 else "1.0 leaves scores as they are"
    need("temperature", lambda x: x > 0, f"a number > 0; {hint}")
    need("top_k", lambda x: x >= 0, "how many tokens are kept, 0 or None for all")
    need("top_p", lambda x: x >= 0, "a probability; 1.0 keeps all tokens")
    need("min_p", lambda x: 0 <= x <= 1, "a share of the best token's probability, 0 to 1")
    need("typical_p", lambda x: x > 0, "a probability > 0; 1.0 keeps all tokens")
    need("epsilon_cutoff", lambda x: 0 <= x < 1, "a probability, 0 (off) to below 1")
    need("eta_cutoff", lambda x: 0 <= x < 1, "a probability, 0 (off) to below 1")
    over = [f"{name}={getattr(s, name)}" for name in ("top_p", "typical_p") if (getattr(s, name) or 0) > 1]
    if over:
        logger.warning("no effect: %s: above 1 all tokens are kept", ", ".join(over))


def refuse_unbuilt(s: Any) -> None:
    """Say which ways of generating are not built here, rather than go another way.

    Raises:
        ValueError: a setting asks for one of them.
    """
    asked = {
        "num_beam_groups": (s.num_beam_groups or 1) > 1 and "diverse (group) beam search",
        "diversity_penalty": s.diversity_penalty and "diverse (group) beam search",
        "penalty_alpha": (s.penalty_alpha or 0) > 0 and "contrastive search",
        "constraints": s.constraints is not None and "constrained beam search",
        "force_words_ids": s.force_words_ids is not None and "constrained beam search",
        "dola_layers": s.dola_layers is not None and "DoLa",
        "watermarking_config": s.watermarking_config is not None
        and "watermarking (its green lists come from torch's own random generator)",
        "token_healing": s.token_healing and "token healing",
    }
    for name, what in asked.items():
        if what:
            value = shown(getattr(s, name))
            raise ValueError(f"{name}={value} asks for {what}, which is not implemented; leave it out")
