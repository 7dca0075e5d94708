"""What ends rows beside tokens: texts, the clock, and the user's own rules. All of it is looked at between segments;
what a row has got by then beyond the end that a text or a rule gives it is cut off, so that it ends where it would have
token by token. Time is looked at every 8 tokens, and cuts nothing off.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .config import GenerationConfig

Rule = Callable[[np.ndarray, Any], Any]
"""(ids [1, T] of a row so far, None) → whether to stop. Rows are asked about one by one, for they end and are replaced
one by one; of beams it is the candidates of a row [K, T], and one bool for all or [K].
"""

_CONTEXT = 12  # tokens before a stop text's own characters that decoding may depend on


@dataclasses.dataclass(frozen=True)
class Stops:
    """The ends of a row.

    texts: a row ends with the token that completes one of these. decode: ids → text. until: by `time.monotonic`.
    rules: the user's.
    """

    texts: Sequence[str] = ()
    decode: Callable[[Sequence[int]], str] | None = None
    until: float | None = None
    rules: Sequence[Rule] = ()

    @classmethod
    def of(cls, settings: GenerationConfig, tokenizer: Any, rules: Sequence[Rule] | None = None) -> Stops:
        """What settings and the user say; the clock begins now.

        Raises:
            ValueError: texts without a tokenizer to read them with, or an empty one.
        """
        texts = settings.stop_strings or ()
        texts = (texts,) if isinstance(texts, str) else tuple(texts)
        if texts and not hasattr(tokenizer, "decode"):
            raise ValueError("stop_strings needs tokenizer=, to read what has been written")
        if any(not text for text in texts):
            raise ValueError("stop_strings: an empty text ends nothing: leave it out")
        until = None if settings.max_time is None else time.monotonic() + settings.max_time
        decode = None if tokenizer is None else lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return cls(texts, decode, until, tuple(rules or ()))

    @property
    def steps(self) -> int | None:
        """After how many tokens to look; None: whenever."""
        if self.rules:
            return 1
        return 8 if self.texts or self.until is not None else None

    def overdue(self) -> bool:
        """Whether time is up."""
        return self.until is not None and time.monotonic() > self.until

    def end_of(self, ids: Sequence[int], start: int) -> int | None:
        """The length that a row has with the first token, from ids[start] on, that completes a stop text; or None."""
        if not self.texts or self.decode is None:
            return None
        longest = max(map(len, self.texts))
        for end in range(start + 1, len(ids) + 1):
            first = max(0, end - longest - _CONTEXT)
            before, after = self.decode(ids[first : end - 1]), self.decode(ids[first:end])
            settled = len(before.rstrip("\ufffd"))  # the stand-in for a character whose tokens are not all there
            for text in self.texts:
                if after.find(text, max(0, settled - len(text) + 1)) >= 0:
                    return end
        return None

    def ruled(self, ids: np.ndarray) -> np.ndarray:
        """Which of the rows ids [R, T] the user's rules end: [R].

        Raises:
            ValueError: a rule gives something else.
        """
        ended = np.zeros(len(ids), bool)
        for rule in self.rules:
            found = np.asarray(rule(ids, None))
            if found.shape not in ((), ended.shape) or found.dtype.kind not in "biu":
                raise ValueError(
                    f"a stopping criterion gave {found.dtype} {found.shape} for ids {ids.shape}: expected a bool, or "
                    "one for each row that it is asked about"
                )
            ended |= found.astype(bool)
        return ended
