"""The sign that sentencepiece puts for a space, and what byte-fallback BPE does with it: Llama's way."""

from __future__ import annotations

from tokenizers import decoders, normalizers

SPACE = "▁"


def normalizer_steps(add_prefix_space: bool) -> list[normalizers.Normalizer]:
    """The sign is put for each space, and if asked one more in front of the text."""
    first = [normalizers.Prepend(SPACE)] if add_prefix_space else []
    return [*first, normalizers.Replace(" ", SPACE)]


def decoder(add_prefix_space: bool) -> decoders.Decoder:
    """The text of pieces, those of bytes among them; without the space in front that `normalizer_steps` have added."""
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(content=" ", left=1)] if add_prefix_space else steps)
