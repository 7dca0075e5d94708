"""A decoder that reads in both directions as an encoder of texts, as EmbeddingGemma is written."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxformers import AutoTokenizer, Gemma3TextConfig, Gemma3TextModel, pipeline

from .test_sentences import TEXTS, write

SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "sliding_window": 6,
    "sliding_window_pattern": 3,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_encoder_of_texts_with_two_dense_layers(dtype: str, tmp_path: Path) -> None:
    """The mean of tokens that see both ways, two dense layers without bias, and length 1; prompts are pooled too."""
    said = {"activation_function": "torch.nn.modules.linear.Identity", "bias": False}
    modules = [("Pooling", {"pooling_mode_mean_tokens": True}), ("Dense", said), ("Dense", said), ("Normalize", {})]
    prompts = {"prompts": {"query": "a b ", "document": "c "}}
    write(tmp_path, *modules, about=prompts)
    config = Gemma3TextConfig(**SIZES, use_bidirectional_attention=True)
    model = Gemma3TextModel(config, key=jax.random.key(1))
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    draw = np.random.RandomState(0)
    wide, narrow = draw.randn(20, 16).astype(np.float32), draw.randn(16, 20).astype(np.float32)
    for i, weight in ((2, wide), (3, narrow)):
        safetensors.numpy.save_file({"linear.weight": weight}, tmp_path / f"{i}_Dense" / "model.safetensors")
    embed = pipeline("text-embedding", model=tmp_path, dtype=dtype)
    ours = embed.encode(TEXTS)
    for text, vector in zip(TEXTS, ours, strict=True):
        tokens = tokenizer(text, truncation=True, max_length=12)["input_ids"]
        x = narrow @ (wide @ np.asarray(model([tokens]).last_hidden_state[0]).mean(0))
        np.testing.assert_allclose(vector, x / np.linalg.norm(x), atol=1e-5 if dtype == "float32" else 0.05)
    asked, plain = embed.encode_query("d e"), embed.encode("a b d e")
    np.testing.assert_allclose(asked, plain, atol=1e-5)
