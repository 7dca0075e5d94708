"""What published files say beside the fields of an architecture: of what changes nothing not a word, and what would
change results is honoured or refused by name.
"""

from __future__ import annotations

import logging
import re
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import jaxformers
from jaxformers import auto
from jaxformers.config import Epsilon, Rate

from .architectures import ARCHITECTURES, LLAMA
from .registry import one_by_one

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "bert": {
        "directionality": "bidi",
        "pooler_fc_size": 768,
        "pooler_num_attention_heads": 12,
        "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128,
        "pooler_type": "first_token_transform",
        "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
        "transformers.js_config": {"dtype": "q8"},
    },
    "albert": {
        "down_scale_factor": 1,
        "gap_size": 0,
        "layers_to_keep": [],
        "net_structure_type": 0,
        "num_memory_blocks": 0,
    },
    "ernie": {"enable_recompute": False, "fuse": False, "pool_act": "tanh", "task_id": 0},
    "distilbert": {"output_past": True, "tie_weights_": True},
    "longformer": {"attention_mode": "longformer", "ignore_attention_mask": False},
    "luke": {"bert_model_name": "roberta-base"},
    "xlm": {"max_vocab": -1, "min_count": 0, "same_enc_dec": True, "share_inout_emb": True, "lang2id": {"de": 0}},
    "xlnet": {"reuse_len": None, "mem_len": None, "start_n_top": 5},
    "modernbert": {
        "initializer_cutoff_factor": 3.0,
        "reference_compile": True,
        "sparse_pred_ignore_index": -1,
        "sparse_prediction": True,
    },
    "nomic_bert": {"parallel_block_tied_norm": False, "pad_vocab_size_multiple": 64, "use_xentropy": True},
    "jina_embeddings_v3": {"lora_dropout_p": 0.1, "use_flash_attn": True},
    "llama": {
        "is_llama_config": True,
        "max_sequence_length": 2048,
        "pretraining_tp": 2,
        "rope_interleaved": False,
        "unsloth_fixed": True,
        "unsloth_version": "2024.9",
    },
    "qwen2": {"lm_head_bias": False, "mlp_bias": False, "use_mrope": False, "max_window_layers": 70},
    "qwen3_moe": {"max_window_layers": 48, "router_aux_loss_coef": 0.001, "output_router_logits": False},
    "phi3": {
        "attention_bias": False,
        "full_attn_mod": 1,
        "interpolate_factor": 1,
        "lm_head_bias": False,
        "mlp_bias": False,
    },
    "gemma2": {"cache_implementation": "hybrid"},
    "gemma3_text": {"cache_implementation": "hybrid"},
    "cohere": {"model_max_length": 131072},
    "cohere2": {
        "cache_implementation": "hybrid",
        "layer_switch": 4,
        "order_of_interleaved_layers": "local_attn_first",
        "position_embedding_type": "rope_gptj",
        "rotary_pct": 1.0,
        "use_embedding_sharing": True,
        "use_gated_activation": True,
        "use_parallel_block": True,
        "use_parallel_embedding": True,
    },
    "smollm3": {"max_window_layers": 28, "pretraining_tp": 2},
    "starcoder2": {"activation_function": "gelu", "mlp_type": "default", "norm_type": "layer_norm"},
    "gpt_oss": {"experts_per_token": 4, "initial_context_length": 4096, "swiglu_limit": 7.0},
    "deepseek_v3": {"aux_loss_alpha": 0.001, "ep_size": 1, "seq_aux": True, "pretraining_tp": 1},
    "gpt2": {"n_ctx": 1024, "summary_type": "cls_index", "task_specific_params": {}, "predict_special_tokens": True},
    "gpt_bigcode": {"attention_softmax_in_fp32": True, "inference_runner": 0, "validate_runner_input": True},
    "bloom": {
        "attention_softmax_in_fp32": True,
        "bias_dropout_fusion": True,
        "intermediate_size": 64,
        "masked_softmax_fusion": True,
        "n_inner": None,
        "offset_alibi": 100,
        "pretraining_tp": 4,
        "seq_length": 2048,
        "skip_bias_add": True,
        "slow_but_exact": True,
    },
    "opt": {
        "activation_dropout": 0.0,
        "init_std": 0.02,
        "intermediate_size": 64,
        "layerdrop": 0.0,
        "learned_embeddings": True,
        "scale_embeddings": False,
    },
    "apertus": {"hidden_dropout": 0.0, "mlp_bias": False, "post_norm": False, "qk_norm": True},
    "mpt": {"embedding_fraction": 1.0, "init_device": "cpu", "learned_pos_emb": True, "verbose": 0},
}
"""Fields that published checkpoints have beside those of their architecture, as these stand there."""


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_files_are_read_without_a_word(kind: str, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        config = auto.AutoConfig.from_dict({"model_type": kind, **PUBLISHED[kind]})
    assert not caplog.records
    for field in PUBLISHED[kind]:
        assert getattr(config, field) == PUBLISHED[kind][field]


KINDS: Mapping[str, object] = {
    r"eps(ilon)?$": Epsilon,
    r"(dropout|pdrop|dropout_prob|dropout_p|layerdrop)$": Rate,
    r"(_size|_dim|^n_embd|^d_model|^dim)$": int,
    r"(^num_hidden_layers|^n_layers?)$": int,
}
"""What the name of a field says of its type, of which `float` and `int` alone bound nothing."""


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_fields_have_the_types_that_their_names_say(kind: str):
    """A plain `float` would take an epsilon of NaN."""
    cls = auto.config_class(kind)
    for field, hint in cls._hints.items():
        types = (hint, *(part for part in typing.get_args(hint) if part is not type(None)))
        for pattern, wanted in KINDS.items():
            if re.search(pattern, field) and bool not in types:
                bounded = any(hasattr(part, "__metadata__") for part in types)
                assert bounded, f"{cls.__name__}.{field}: {hint}"
                assert wanted is int or wanted in types, f"{cls.__name__}.{field}: {hint}"


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("parts", [1, 2, 8])
def test_how_products_were_split_in_training_is_never_refused(kind: str, parts: int):
    config = auto.config_class(kind)(pretraining_tp=parts)
    assert config.pretraining_tp == parts
    assert config.bare() == auto.config_class(kind)().bare()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("qwen2", {"lm_head_bias": True}),
        ("qwen2", {"use_mrope": True}),
        ("llama", {"rope_interleaved": True}),
        ("olmo2", {"mlp_bias": True}),
        ("phi3", {"full_attn_mod": 2}),
        ("phi3", {"interpolate_factor": 4}),
        ("cohere2", {"layer_switch": 2}),
        ("cohere2", {"use_embedding_sharing": False}),
        ("starcoder2", {"mlp_type": "gated"}),
        ("starcoder2", {"norm_type": "rms"}),
        ("ernie", {"pool_act": "relu"}),
        ("opt", {"learned_embeddings": False}),
        ("esm", {"rope_theta": 500.0}),
        ("gemma", {"use_bidirectional_attention": True}),
        ("gemma2", {"use_bidirectional_attention": True}),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}}),
        ("modernbert", {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}}),
        ("modernbert", {"layer_types": ["full_attention"]}),
    ],
)
def test_values_that_would_change_results_are_refused_by_name(kind: str, fields: Mapping[str, Any]):
    (name,) = fields
    with pytest.raises(ValueError, match=rf"Config: (rope_scaling|{name})"):
        auto.AutoConfig.from_dict({"model_type": kind, **fields})


def test_a_field_of_another_family_is_named(caplog: pytest.LogCaptureFixture):
    jaxformers.LlamaConfig.from_dict({"attn_pdrop": 0.5, "hidden_dropout_prob": 0.5, "summary_type": "last"})
    (record,) = caplog.records
    assert record.getMessage().endswith("kept but without effect: attn_pdrop, hidden_dropout_prob, summary_type")


@pytest.mark.parametrize(
    "prefix", ["Mistral", "Mixtral", "Phi3", "Starcoder2", "Cohere2", "Exaone4", "GptOss", "Olmo3"]
)
def test_a_window_of_no_tokens_is_none(prefix: str):
    sizes = {**LLAMA, "head_dim": 8, "num_experts_per_tok": 2, "num_local_experts": 3}
    config, model = getattr(jaxformers, f"{prefix}Config"), getattr(jaxformers, f"{prefix}Model")
    sizes = {name: value for name, value in sizes.items() if name in {*config._hints, *config.aliases}}
    ids = np.random.RandomState(0).randint(5, sizes["vocab_size"], (1, 9))
    none, zero, two = (
        one_by_one(model(config(**sizes, sliding_window=window)), input_ids=ids)[0] for window in (None, 0, 2)
    )
    np.testing.assert_array_equal(none, zero)
    assert abs(none - two).max() > 1e-6


def test_bounds_and_slopes_of_gates_are_those_of_the_config():
    sizes = {**LLAMA, "head_dim": 8, "num_experts_per_tok": 2, "num_local_experts": 3, "initializer_range": 2.0}
    ids = np.random.RandomState(0).randint(5, sizes["vocab_size"], (1, 9))

    def state(**fields: float) -> Any:
        return one_by_one(jaxformers.GptOssModel(jaxformers.GptOssConfig(**sizes, **fields)), input_ids=ids)[0]

    plain = state()
    np.testing.assert_array_equal(plain, state(swiglu_alpha=1.702, swiglu_limit=7.0))
    assert abs(plain - state(swiglu_alpha=1.0)).max() > 1e-3
    assert abs(plain - state(swiglu_limit=0.1)).max() > 1e-3


# -- rotations in both spellings --------------------------------------------------------------------------------------

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6}


def test_what_newer_files_say_of_rotations_reads_and_is_written_in_older_words_too():
    config = jaxformers.LlamaConfig.from_dict({**LLAMA, "rope_parameters": {**YARN, "rope_theta": 700.0}})
    assert (config.rope_theta, config.rope_scaling) == (700.0, YARN)
    written = config.to_dict()
    assert (written["rope_theta"], written["rope_scaling"]) == (700.0, YARN)
    assert written["rope_parameters"] == {**YARN, "rope_theta": 700.0}
    assert jaxformers.LlamaConfig.from_dict(written) == config

    added = jaxformers.LlamaConfig.from_dict({**LLAMA, "rope_parameters": {"rope_theta": 700.0}, "rope_scaling": YARN})
    assert added.bare() == config.bare()

    phi = jaxformers.PhiConfig(rope_parameters={"rope_theta": 700.0, "partial_rotary_factor": 0.25})
    assert (phi.rope_theta, phi.partial_rotary_factor, phi.rope_scaling) == (700.0, 0.25, None)
    plain = jaxformers.GptOssConfig(rope_parameters={"rope_type": "default", "rope_theta": 700.0})
    assert (plain.rope_theta, plain.rope_scaling) == (700.0, None)
    kinds = {"full_attention": {"rope_theta": 700.0}, "sliding_attention": {"rope_theta": 300.0}}
    modern = jaxformers.ModernBertConfig(rope_parameters=kinds)
    assert (modern.global_rope_theta, modern.local_rope_theta) == (700.0, 300.0)
    gemma = jaxformers.Gemma3TextConfig(rope_parameters=kinds)
    assert (gemma.rope_theta, gemma.rope_local_base_freq) == (700.0, 300.0)


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ({"rope_theta": 50.0}, {"rope_theta": 50.0, "rope_scaling": YARN}),
        ({"rope_scaling": None}, {"rope_theta": 700.0}),
        ({"rope_parameters": {"rope_theta": 50.0}}, {"rope_theta": 50.0}),
    ],
)
def test_a_typed_older_word_counts_on_a_newer_file(typed: Mapping[str, Any], same: Mapping[str, Any]):
    newer = jaxformers.LlamaConfig(**LLAMA, rope_parameters={**YARN, "rope_theta": 700.0})
    ids = np.random.RandomState(0).randint(5, LLAMA["vocab_size"], (1, 9))
    configs = newer.override(**typed), jaxformers.LlamaConfig(**LLAMA, **same)
    one, other = (one_by_one(jaxformers.LlamaModel(config), input_ids=ids)[0] for config in configs)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_layers_of_a_modernbert_are_of_the_kinds_that_its_file_names():
    sizes = {**{name: LLAMA[name] for name in ("vocab_size", "hidden_size", "num_attention_heads")}, "pad_token_id": 0}
    sizes |= {"intermediate_size": 48, "num_hidden_layers": 3, "local_attention": 2}
    ids = np.random.RandomState(0).randint(5, sizes["vocab_size"], (1, 9))

    def state(**fields: Any) -> Any:
        return one_by_one(jaxformers.ModernBertModel(jaxformers.ModernBertConfig(**sizes, **fields)), input_ids=ids)[0]

    in_turn = ["full_attention", "sliding_attention", "full_attention"]
    np.testing.assert_array_equal(state(layer_types=in_turn), state(global_attn_every_n_layers=2))
    assert abs(state(layer_types=in_turn) - state(layer_types=in_turn[::-1][1:] + in_turn[:1])).max() > 1e-4
    assert jaxformers.ModernBertConfig(rope_theta=50.0).global_rope_theta == 50.0
