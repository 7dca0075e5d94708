"""Record tests/checkpoint/golden/gguf: checkpoints of torch Transformers, converted by llama.cpp's own script.

Run by hand with the `parity` and `gguf` extras and a folder of llama.cpp's sources (github.com/ggml-org/llama.cpp):

    python tests/checkpoint/record_gguf.py LLAMA_CPP

For each variant there is the file that the script wrote, and in expected.json the Hub's names and shapes and the
config. Values are those of `gguf_values.py`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from gguf_values import values
from transformers.modeling_utils import no_init_weights

GOLDEN = Path(__file__).parent / "golden" / "gguf"
WORDS = 24

SIZES: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FALCON: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "bias": False,
    "alibi": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 8}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES | {"rope_theta": 50000.0}),
    "llama-bias": ("LlamaConfig", SIZES | {"attention_bias": True, "mlp_bias": True, "head_dim": 8}),
    "llama-3.1": (
        "LlamaConfig",
        SIZES
        | {"head_dim": 16, "rope_theta": 500000.0, "tie_word_embeddings": True}
        | {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 8192}},
    ),
    "llama-odd": (
        "LlamaConfig",
        SIZES | {"head_dim": 16, "rope_scaling": {**LLAMA3, "original_max_position_embeddings": 32}},
    ),
    "llama-linear": ("LlamaConfig", SIZES | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    "llama-yarn": (
        "LlamaConfig",
        SIZES | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
    ),
    "mixtral": ("MixtralConfig", SIZES | {"num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": None}),
    "qwen2": ("Qwen2Config", SIZES | {"rope_theta": 1e6}),
    "qwen2moe": ("Qwen2MoeConfig", SIZES | EXPERTS | {"num_experts": 3, "shared_expert_intermediate_size": 12}),
    "qwen3": ("Qwen3Config", SIZES | {"head_dim": 8, "rope_theta": 1e6}),
    "qwen3moe": ("Qwen3MoeConfig", SIZES | EXPERTS | {"num_experts": 3, "head_dim": 8, "norm_topk_prob": True}),
    "gemma": ("GemmaConfig", SIZES | {"head_dim": 8}),
    "gemma2": ("Gemma2Config", SIZES | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}),
    "gemma3": (
        "Gemma3TextConfig",
        SIZES
        | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}
        | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    ),
    "phi3": ("Phi3Config", SIZES | {"sliding_window": 32, "original_max_position_embeddings": 64}),
    "phi3-long": (
        "Phi3Config",
        SIZES
        | {"sliding_window": None, "original_max_position_embeddings": 32}
        | {"rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1], "long_factor": [2.0, 3.5]}},
    ),
    "starcoder2": ("Starcoder2Config", SIZES | {"rope_theta": 1e5, "use_bias": True}),
    "stablelm": ("StableLmConfig", SIZES | {"use_qkv_bias": True, "partial_rotary_factor": 0.5}),
    "stablelm-2": (
        "StableLmConfig",
        SIZES | {"qk_layernorm": True, "use_parallel_residual": True, "partial_rotary_factor": 0.5},
    ),
    "gpt2": (
        "GPT2Config",
        {"vocab_size": WORDS, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 4}
        | {"bos_token_id": 1, "eos_token_id": 2},
    ),
    "falcon-7b": ("FalconConfig", FALCON | {"multi_query": True, "num_kv_heads": 1, "parallel_attn": True}),
    "falcon-11b": (
        "FalconConfig",
        FALCON | {"num_kv_heads": 2, "new_decoder_architecture": True, "num_ln_in_parallel_attn": 1},
    ),
    "falcon-40b": ("FalconConfig", FALCON | {"num_kv_heads": 2, "new_decoder_architecture": True}),
}


def write_words(self: Any) -> None:
    """What the script would read from a tokenizer's files."""
    writer = self.gguf_writer
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{index}" for index in range(WORDS)])
    writer.add_token_types([3, 3, 3] + [1] * (WORDS - 3))
    writer.add_token_merges([])
    for role, index in (("bos", 1), ("eos", 2), ("pad", 0)):
        getattr(writer, f"add_{role}_token_id")(index)


def record(folder: Path, name: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Write one variant's file; returns what should be read from it."""
    import gguf
    from conversion import get_model_class

    with no_init_weights():  # which fails on some of these
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**fields))
    model.tie_weights()
    with torch.no_grad():
        for key, array in model.named_parameters():
            array.copy_(torch.from_numpy(values(key, tuple(array.shape))))
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_ctx": 64}))  # as the Hub's GPT-2 has it
    words = {f"t{index}": index for index in range(WORDS)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}, "added_tokens": []}))  # for Gemma 3
    converter = get_model_class(config["architectures"][0], mmproj=False)
    converter.set_vocab = write_words
    precision = gguf.LlamaFileType.ALL_F32
    converter(folder, precision, GOLDEN / f"{name}.gguf", eager=True, model_name=name).write()
    tensors = {key: list(array.shape) for key, array in model.named_parameters()}
    return {"config": {"tie_word_embeddings": model.config.tie_word_embeddings} | config, "tensors": tensors}


def main(llama_cpp: Path) -> None:
    """Record all variants."""
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    GOLDEN.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (kind, fields) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            expected[name] = record(Path(folder), name, kind, fields)
    lines = [f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in expected.items()]
    (GOLDEN / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
