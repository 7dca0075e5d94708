"""The architectures of the parity suite: toy sizes and heads, one line each. Read by the recorder and by the tests.

To add one: a line here with its `model_type`, and `python -m tests.models.record <model_type>`. Every class is then
compared with torch's, and every other suite that walks `jaxformers/models/` takes its toy sizes from here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """One class under one config.

    head: what follows the prefix in the class name ("Model", "ForMaskedLM").
    variant: a word for the config where it is not the architecture's toy config; it runs other code.
    config: fields that differ from the toy config.
    own: ends of the names of arrays that keep the values torch starts them with, since we compute these ourselves.
    attention: torch's way to compute it; from others than its plainest it gives no probabilities.
    length: tokens of a row. apart: whether the rows of a batch leave each other alone. padded: whether rows differ in
    length; in torch the longest changes what the others give where rotations stretch. counts: whether positions that
    count from 0 are the model's; torch's RoBERTa has others unless it is told these, as its generate tells it.
    """

    head: str
    variant: str = ""
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    own: tuple[str, ...] = ()
    attention: str = "eager"
    length: int = 11
    apart: bool = True
    padded: bool = True
    counts: bool = True


# Heads whose number of scores the config chooses.
LABELS: Mapping[str, Mapping[str, Any]] = {
    "ForSequenceClassification": {"num_labels": 3},
    "ForTokenClassification": {"num_labels": 5},
}


@dataclasses.dataclass(frozen=True)
class Hub:
    """How an architecture's own code names what torch Transformers names otherwise.

    theirs: torch's `model_type`, which stands before its names too. cls: the prefix of torch's class names. prefix:
    what stands before names in the Hub's files. fields: torch's names of fields → the Hub's. config: fields of the
    Hub's config.json.
    """

    theirs: str
    cls: str
    prefix: str
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One `model_type`: the prefix of its class names, its toy config, the heads, and configs worth a case more.

    own: as of a case, for each head. idle: ends of the names of arrays that files hold and no answer depends on.
    spelt: heads → class names that do not begin with the prefix. factor: on matrices, where no norms keep values at
    order one. unnamed: fields that torch's model reads although its config does not name them. traces: intermediate
    results that are as torch has them. guesses: torch's losses without problem_type are those of the others. newer:
    torch Transformers 5 has it, not 4.57. hub: where the Hub's files are not torch Transformers'; what is recorded is a
    checkpoint as the Hub has it. alone: torch writes on prompts without padding alone.
    """

    prefix: str
    config: Mapping[str, Any]
    heads: str
    variants: tuple[Case, ...] = ()
    own: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    spelt: Mapping[str, str] = dataclasses.field(default_factory=dict)
    factor: float = 1.0
    unnamed: tuple[str, ...] = ()
    traces: tuple[str, ...] = ("output_hidden_states", "output_attentions")
    guesses: bool = True
    newer: bool = False
    hub: Hub | None = None
    alone: bool = False

    def named(self, head: str) -> str:
        """The name of the class with a head."""
        return self.spelt.get(head, self.prefix + head)

    def cases(self) -> Iterator[tuple[str, Case]]:
        """Each case by its name, such as "BertForMaskedLM" or "BertForMaskedLM-untied"."""
        for head in self.heads.split():
            yield self.named(head), Case(head, config=LABELS.get(head, {}), own=self.own)
            if head == "ForSequenceClassification":
                yield f"{self.named(head)}-one_label", Case(head, "one_label", {"num_labels": 1}, self.own)
        for case in self.variants:
            yield f"{self.named(case.head)}-{case.variant}", case


# The Hub's field names; sizes that differ from each other, so that a mistaken one cannot fit by chance.
BERT = {
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}
DISTILBERT = {
    "vocab_size": 67,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 24,
}
ROBERTA = {**BERT, "max_position_embeddings": 26}  # two of them lie before the first token's
DEBERTA = {**BERT, "relative_attention": True, "max_relative_positions": 9, "pos_att_type": ["c2p", "p2c"]}
ABSOLUTE = {"relative_attention": False, "pos_att_type": None, "position_biased_input": True, "type_vocab_size": 2}
XLM = {
    "vocab_size": 67,
    "emb_dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_langs": 3,
    "max_position_embeddings": 24,
}
LLAMA = {
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "attention_dropout": 0.1,
    "pad_token_id": 1,
}
CAUSAL = "Model ForCausalLM ForSequenceClassification ForTokenClassification ForQuestionAnswering"
FOUR = "Model ForCausalLM ForSequenceClassification ForTokenClassification"
EXPERTS = {"num_experts_per_tok": 2}
DEEPSEEK = {
    **LLAMA,
    **EXPERTS,
    "num_key_value_heads": 4,
    "q_lora_rank": 20,
    "kv_lora_rank": 12,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 6,
    "v_head_dim": 10,
    "first_k_dense_replace": 1,
    "n_routed_experts": 6,
    "n_group": 2,
    "topk_group": 1,
    "n_shared_experts": 1,
    "moe_intermediate_size": 14,
    "routed_scaling_factor": 1.5,
}
GEMMA = "Model ForCausalLM ForSequenceClassification ForTokenClassification"
GPT = {
    "vocab_size": 67,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_inner": 48,
    "n_positions": 24,
    "pad_token_id": 1,
}
OPT = {
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 48,
    "max_position_embeddings": 24,
    "attention_dropout": 0.1,
}
LONG = [1.0 + i for i in range(4)]
HALF = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}
LONGROPE = {"type": "longrope", "short_factor": [1.0, 1.5, 2.0], "long_factor": [2.0, 3.0, 5.0]}
CLASSIFIERS = "ForSequenceClassification ForTokenClassification ForQuestionAnswering ForMultipleChoice"
DIRECTED = Case("ForCausalLM", "directed", {"is_decoder": True})
COUNTED = dataclasses.replace(DIRECTED, counts=False)

ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(
        "Bert",
        BERT,
        f"Model ForPreTraining ForMaskedLM ForNextSentencePrediction {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "gelu_new", {"hidden_act": "gelu_new"}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "epsilon", {"layer_norm_eps": 1e-2, "type_vocab_size": 5}),
            Case("LMHeadModel", "directed", {"is_decoder": True}),
        ),
    ),
    "bert-generation": Architecture(
        "BertGeneration",
        {**BERT, "eos_token_id": None, "bos_token_id": None},
        "Model",
        (
            Case("Model", "epsilon", {"layer_norm_eps": 1e-2, "hidden_act": "relu"}),
            DIRECTED,
            Case("ForCausalLM", "untied", {"is_decoder": True, "tie_word_embeddings": False}),
        ),
        spelt={"Model": "BertGenerationEncoder", "ForCausalLM": "BertGenerationDecoder"},
    ),
    "roberta": Architecture(
        "Roberta",
        ROBERTA,
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "pad", {"pad_token_id": 3, "layer_norm_eps": 1e-2}),
            COUNTED,
        ),
    ),
    "xlm-roberta": Architecture("XLMRoberta", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}", (COUNTED,)),
    "camembert": Architecture("Camembert", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}", (COUNTED,)),
    "data2vec-text": Architecture("Data2VecText", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}", (COUNTED,)),
    "electra": Architecture(
        "Electra",
        {**BERT, "embedding_size": 20},
        f"Model ForPreTraining ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForPreTraining", "relu_unprojected", {"hidden_act": "relu", "embedding_size": 32}),
            DIRECTED,
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
    ),
    "convbert": Architecture(
        "ConvBert",
        {**BERT, "embedding_size": 20, "conv_kernel_size": 5},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("Model", "groups", {"num_groups": 2, "embedding_size": 32, "conv_kernel_size": 3}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
    ),
    "squeezebert": Architecture(
        "SqueezeBert",
        {**BERT, "embedding_size": 32, "q_groups": 2, "v_groups": 8, "post_attention_groups": 2, "output_groups": 16},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("Model", "epsilon", {"layer_norm_eps": 1e-2}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
    ),
    "mobilebert": Architecture(
        "MobileBert",
        {
            **BERT,
            "embedding_size": 20,
            "intra_bottleneck_size": 16,
            "num_feedforward_networks": 3,
            "hidden_dropout_prob": 0.1,
        },
        f"Model ForPreTraining ForMaskedLM ForNextSentencePrediction {CLASSIFIERS}",
        (
            Case(
                "Model",
                "wide",
                {
                    "use_bottleneck": False,
                    "trigram_input": False,
                    "num_feedforward_networks": 1,
                    "normalization_type": "layer_norm",
                    "layer_norm_eps": 1e-2,
                    "classifier_activation": False,
                },
            ),
            Case("Model", "narrow", {"use_bottleneck_attention": True, "key_query_shared_bottleneck": False}),
            Case("ForMaskedLM", "gelu_untied", {"hidden_act": "gelu", "tie_word_embeddings": False}),
        ),
        factor=0.5,
    ),
    "nystromformer": Architecture(
        "Nystromformer",
        {**BERT, "conv_kernel_size": 5},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("Model", "landmarks", {"segment_means_seq_len": 12, "num_landmarks": 4}, length=12, apart=False),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "plain", {"conv_kernel_size": None}),
        ),
    ),
    "splinter": Architecture("Splinter", {**BERT, "question_token_id": 8}, "Model ForQuestionAnswering"),
    "esm": Architecture(
        "Esm",
        {
            **BERT,
            "max_position_embeddings": 26,
            "position_embedding_type": "rotary",
            "token_dropout": True,
            "pad_token_id": 1,
            "mask_token_id": 8,  # stands in the full row alone: torch counts padding as tokens where it scales
        },
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification",
        (
            Case("Model", "absolute", {"position_embedding_type": "absolute", "emb_layer_norm_before": True}),
            Case("ForMaskedLM", "untied", {"token_dropout": False, "tie_word_embeddings": False}, own=("inv_freq",)),
        ),
        own=("inv_freq",),
        idle=("inv_freq", "contact_head.regression.weight", "contact_head.regression.bias"),
    ),
    "deberta": Architecture(
        "Deberta",
        DEBERTA,
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification ForQuestionAnswering",
        (
            Case("Model", "plain", ABSOLUTE),
            Case("Model", "narrow", {"pos_att_type": ["p2c"], "embedding_size": 20, "position_biased_input": False}),
            Case("Model", "talking", {"talking_head": True}),
            Case("ForMaskedLM", "new_names", {"legacy": False, "tie_word_embeddings": False}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
        unnamed=("embedding_size", "talking_head"),
        guesses=False,
    ),
    "deberta-v2": Architecture(
        "DebertaV2",
        {
            **DEBERTA,
            "position_buckets": 6,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
        },
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("Model", "convolution", {"conv_kernel_size": 3, "conv_act": "gelu", "share_att_key": False}),
            Case("Model", "plain", {**ABSOLUTE, "norm_rel_ebd": "none"}),
            Case("Model", "distances", {"position_buckets": -1, "norm_rel_ebd": "none", "pos_att_type": ["c2p"]}),
            Case("ForMaskedLM", "new_names", {"legacy": False, "tie_word_embeddings": False}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
        unnamed=("position_buckets", "share_att_key", "norm_rel_ebd", "conv_kernel_size", "conv_act"),
        guesses=False,
    ),
    "modernbert": Architecture(
        "ModernBert",
        {
            **BERT,
            "num_hidden_layers": 5,
            "global_attn_every_n_layers": 2,
            "local_attention": 4,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
            "attention_dropout": 0.1,
            "embedding_dropout": 0.1,
        },
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("Model", "biases", {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "norm_eps": 1e-2}),
            Case("Model", "one_layer", {"num_hidden_layers": 1, "local_rope_theta": None}),
            Case(
                "ForSequenceClassification",
                "mean",
                {"classifier_pooling": "mean", **LABELS["ForSequenceClassification"]},
            ),
            Case("ForMaskedLM", "relu_untied", {"hidden_activation": "relu", "tie_word_embeddings": False}),
            Case(
                "ForMaskedLM", "head", {"classifier_bias": True, "classifier_activation": "tanh", "decoder_bias": False}
            ),
        ),
    ),
    "eurobert": Architecture(
        "EuroBert",
        {
            **BERT,
            "num_key_value_heads": 2,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "mask_token_id": 3,
            "attention_dropout": 0.1,
        },
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification",
        (
            Case("Model", "biases", {"attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-2}),
            Case("ForSequenceClassification", "bos", {"classifier_pooling": "bos", "num_labels": 3}),
            Case("ForSequenceClassification", "mean", {"classifier_pooling": "mean", "num_labels": 3}),
            Case("ForMaskedLM", "relu_tied", {"hidden_act": "relu", "tie_word_embeddings": True}),
        ),
        newer=True,
    ),
    "nomic_bert": Architecture(
        "NomicBert",
        {**BERT, "hidden_dropout_prob": 0.1},
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification",
        newer=True,
        hub=Hub(
            "nomic_bert",
            "NomicBert",
            "bert",
            {
                "hidden_size": "n_embd",
                "num_hidden_layers": "n_layer",
                "num_attention_heads": "n_head",
                "intermediate_size": "n_inner",
                "max_position_embeddings": "n_positions",
                "layer_norm_eps": "layer_norm_epsilon",
                "hidden_act": "activation_function",
                "hidden_dropout_prob": "resid_pdrop",
                "attention_probs_dropout_prob": "attn_pdrop",
            },
            {"activation_function": "swiglu"},
        ),
    ),
    "new": Architecture(
        "New",
        {**BERT, "type_vocab_size": 2},
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification",
        newer=True,
        hub=Hub("gte", "Gte", "new", {}, {"model_type": "new"}),
    ),
    "gte": Architecture(
        "Gte",
        {**BERT, "type_vocab_size": 0},
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification",
        newer=True,
        hub=Hub("gte", "Gte", "gte"),
    ),
    "jina_embeddings_v3": Architecture(
        "JinaEmbeddingsV3",
        {**BERT, "type_vocab_size": 2},
        "Model ForMaskedLM ForSequenceClassification ForTokenClassification ForQuestionAnswering",
        (
            Case(
                "Model",
                "rotation",
                {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}, "hidden_act": "relu"},
            ),
        ),
        newer=True,
        hub=Hub("jina_embeddings_v3", "JinaEmbeddingsV3", "jina_embeddings_v3"),
    ),
    "xlm": Architecture(
        "XLM",
        XLM,
        "Model WithLMHeadModel ForSequenceClassification ForTokenClassification ForQuestionAnsweringSimple "
        "ForMultipleChoice",
        (
            Case("Model", "one_language", {"n_langs": 1, "gelu_activation": False, "layer_norm_eps": 1e-2}),
            Case("ForSequenceClassification", "tanh", {"summary_activation": "tanh", "num_labels": 3}),
            Case("WithLMHeadModel", "untied", {"tie_word_embeddings": False}),
        ),
    ),
    "flaubert": Architecture(
        "Flaubert",
        XLM,
        "Model WithLMHeadModel ForSequenceClassification ForTokenClassification ForQuestionAnsweringSimple "
        "ForMultipleChoice",
    ),
    "xlnet": Architecture(
        "XLNet",
        {
            "vocab_size": 67,
            "d_model": 32,
            "n_layer": 2,
            "n_head": 4,
            "d_inner": 48,
            "use_mems_eval": False,
        },
        "Model ForSequenceClassification ForTokenClassification ForQuestionAnsweringSimple ForMultipleChoice",
        (Case("Model", "clamped", {"clamp_len": 4, "ff_activation": "relu", "layer_norm_eps": 1e-2}),),
        idle=("mask_emb",),
    ),
    "longformer": Architecture(
        "Longformer",
        {**ROBERTA, "attention_window": [4, 4], "sep_token_id": 2},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("Model", "windows", {"attention_window": [4, 6], "layer_norm_eps": 1e-2}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
        idle=("key_global.bias",),
        traces=("output_hidden_states",),
    ),
    "big_bird": Architecture(
        "BigBird",
        {**BERT, "sep_token_id": 1},
        f"Model ForPreTraining ForMaskedLM {CLASSIFIERS}",
        (
            Case(
                "Model",
                "blocks",
                {
                    "block_size": 4,
                    "num_random_blocks": 1,
                    "max_position_embeddings": 32,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                },
                length=32,
            ),
            Case(
                "ForMaskedLM",
                "unbiased_untied",
                {
                    "attention_type": "original_full",
                    "use_bias": False,
                    "rescale_embeddings": True,
                    "hidden_act": "relu",
                    "tie_word_embeddings": False,
                },
            ),
        ),
    ),
    "luke": Architecture(
        "Luke",
        {**ROBERTA, "entity_vocab_size": 13, "entity_emb_size": 20},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (Case("Model", "unaware", {"use_entity_aware_attention": False, "entity_emb_size": 32}),),
        idle=(
            "entity_embeddings.entity_embeddings.weight",
            "entity_embeddings.entity_embedding_dense.weight",
            "entity_embeddings.position_embeddings.weight",
            "entity_embeddings.token_type_embeddings.weight",
            "entity_embeddings.LayerNorm.weight",
            "entity_embeddings.LayerNorm.bias",
            *(f"{word}_query.{end}" for word in ("w2e", "e2w", "e2e") for end in ("weight", "bias")),
            *(
                f"entity_predictions.transform.{part}.{end}"
                for part in ("dense", "LayerNorm")
                for end in ("weight", "bias")
            ),
            "entity_predictions.bias",
        ),
    ),
    "funnel": Architecture(
        "Funnel",
        {
            "vocab_size": 67,
            "block_sizes": [1, 2, 1],
            "num_decoder_layers": 1,
            "d_model": 32,
            "n_head": 4,
            "d_head": 6,
            "d_inner": 48,
        },
        "Model BaseModel ForPreTraining ForMaskedLM ForSequenceClassification ForQuestionAnswering ForMultipleChoice "
        "ForTokenClassification",
        (
            Case(
                "Model",
                "max",
                {"pooling_type": "max", "truncate_seq": False, "pool_q_only": False, "block_repeats": [1, 2, 1]},
                length=12,
            ),
            Case("Model", "factorized", {"attention_type": "factorized"}, length=12),
            Case("Model", "even", {"separate_cls": False, "layer_norm_eps": 1e-2, "activation_dropout": 0.1}),
            Case("ForMaskedLM", "untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
        idle=("k_head.bias",),
        factor=0.7,
    ),
    "fnet": Architecture(
        "FNet",
        {name: BERT[name] for name in BERT if name != "num_attention_heads"},
        f"Model ForPreTraining ForMaskedLM ForNextSentencePrediction {CLASSIFIERS}",
        (Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),),
    ),
    "xmod": Architecture(
        "Xmod",
        {
            **ROBERTA,
            "languages": ["en_XX", "de_DE", "sw_KE"],
            "default_language": "de_DE",
            "adapter_reduction_factor": 4,
        },
        "Model ForMaskedLM ForMultipleChoice ForSequenceClassification ForQuestionAnswering ForTokenClassification",
        (
            Case("Model", "pre_norm", {"pre_norm": True, "ln_before_adapter": False}),
            Case("Model", "own_norm", {"adapter_layer_norm": True}),
            Case("Model", "no_norm", {"adapter_reuse_layer_norm": False}),
        ),
    ),
    "albert": Architecture(
        "Albert",
        {**BERT, "num_hidden_layers": 3, "embedding_size": 20, "hidden_dropout_prob": 0.1},
        f"Model ForPreTraining ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "groups", {"num_hidden_layers": 4, "num_hidden_groups": 2}),
            Case("Model", "inner", {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
        ),
    ),
    "mpnet": Architecture(
        "MPNet",
        {**ROBERTA, "pad_token_id": 1},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),),
    ),
    "ernie": Architecture(
        "Ernie",
        BERT,
        f"Model ForPreTraining ForMaskedLM ForNextSentencePrediction {CLASSIFIERS}",
        (Case("Model", "tasks", {"use_task_id": True}), DIRECTED),
    ),
    "roberta-prelayernorm": Architecture(
        "RobertaPreLayerNorm", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}", (COUNTED,)
    ),
    "xlm-roberta-xl": Architecture(
        "XLMRobertaXL",
        {**ROBERTA, "type_vocab_size": 2},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (COUNTED,),
    ),
    "rembert": Architecture(
        "RemBert",
        {**BERT, "input_embedding_size": 20, "output_embedding_size": 28, "hidden_dropout_prob": 0.1},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (DIRECTED,),
    ),
    "roformer": Architecture(
        "RoFormer",
        {**BERT, "embedding_size": 20},
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case(
                "Model",
                "values",
                {"rotary_value": True, "embedding_size": 32},
                own=("encoder.embed_positions.weight",),
            ),
            Case("ForMaskedLM", "untied", {"tie_word_embeddings": False}),
            dataclasses.replace(DIRECTED, own=("encoder.embed_positions.weight",)),
        ),
    ),
    "distilbert": Architecture(
        "DistilBert",
        DISTILBERT,
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "gelu_new", {"activation": "gelu_new"}),
            Case("ForMaskedLM", "relu_untied", {"activation": "relu", "tie_word_embeddings": False}),
            Case("Model", "sinusoidal", {"sinusoidal_pos_embds": True}, own=("embeddings.position_embeddings.weight",)),
        ),
    ),
    "llama": Architecture(
        "Llama",
        LLAMA,
        CAUSAL,
        (
            Case("ForCausalLM", "tied", {"tie_word_embeddings": True, "num_key_value_heads": None}),
            Case("Model", "biased", {"attention_bias": True, "mlp_bias": True, "head_dim": 6}),
            Case("Model", "linear", {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
            Case(
                "Model",
                "dynamic",
                {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 8},
                padded=False,
            ),
            Case(
                "Model",
                "yarn",
                {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6}},
            ),
            Case(
                "Model",
                "longrope",
                {
                    "rope_scaling": {
                        "rope_type": "longrope",
                        "factor": 4.0,
                        "short_factor": LONG,
                        "long_factor": LONG[::-1],
                    }
                },
            ),
            Case(
                "Model",
                "llama3",
                {
                    "rope_scaling": {
                        "rope_type": "llama3",
                        "factor": 8.0,
                        "low_freq_factor": 1.0,
                        "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 16,
                    }
                },
            ),
        ),
    ),
    "gemma": Architecture(
        "Gemma",
        {**LLAMA, "head_dim": 6},
        GEMMA,
        (Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "attention_bias": True, "hidden_act": "relu"}),),
    ),
    "gemma2": Architecture(
        "Gemma2",
        {**LLAMA, "head_dim": 6, "query_pre_attn_scalar": 5, "sliding_window": 4, "attn_logit_softcapping": 2.0},
        GEMMA,
        (
            Case("ForCausalLM", "capped", {"final_logit_softcapping": 1.5, "tie_word_embeddings": False}),
            Case(
                "ForCausalLM",
                "free",
                {
                    "attn_logit_softcapping": None,
                    "final_logit_softcapping": None,
                    "layer_types": ["full_attention", "sliding_attention"],
                },
            ),
        ),
    ),
    "gemma3_text": Architecture(
        "Gemma3Text",
        {
            **LLAMA,
            "head_dim": 6,
            "num_hidden_layers": 3,
            "query_pre_attn_scalar": 5,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        },
        "Model ForCausalLM ForSequenceClassification",
        (
            Case("ForCausalLM", "capped", {"final_logit_softcapping": 1.5, "tie_word_embeddings": False}),
            Case(
                "Model",
                "linear",
                {
                    "rope_scaling": {"rope_type": "linear", "factor": 4.0},
                    "rope_local_base_freq": 50.0,
                    "sliding_window_pattern": 2,
                    "layer_types": None,
                },
            ),
            Case("Model", "both_ways", {"use_bidirectional_attention": True, "sliding_window": 2}),
        ),
        spelt={"ForCausalLM": "Gemma3ForCausalLM"},
        unnamed=("sliding_window_pattern",),
    ),
    "mixtral": Architecture(
        "Mixtral",
        {**LLAMA, "intermediate_size": 24, **EXPERTS, "num_local_experts": 3},
        CAUSAL,
        (Case("Model", "window", {"sliding_window": 4, "head_dim": 6, "num_experts_per_tok": 1}),),
    ),
    "qwen2_moe": Architecture(
        "Qwen2Moe",
        {
            **LLAMA,
            **EXPERTS,
            "num_experts": 3,
            "moe_intermediate_size": 14,
            "shared_expert_intermediate_size": 20,
        },
        CAUSAL,
        (
            Case("Model", "normalised", {"norm_topk_prob": True, "qkv_bias": False, "mlp_only_layers": [0]}),
            Case("Model", "step", {"decoder_sparse_step": 2}),
        ),
    ),
    "qwen3_moe": Architecture(
        "Qwen3Moe",
        {**LLAMA, **EXPERTS, "head_dim": 6, "num_experts": 3, "moe_intermediate_size": 14, "norm_topk_prob": True},
        CAUSAL,
        (
            Case("Model", "window", {"use_sliding_window": True, "sliding_window": 3, "attention_bias": True}),
            Case("Model", "dense_too", {"norm_topk_prob": False, "mlp_only_layers": [1]}),
        ),
        unnamed=("head_dim",),
    ),
    "olmoe": Architecture(
        "Olmoe",
        {**LLAMA, **EXPERTS, "intermediate_size": 24, "num_experts": 3},
        "Model ForCausalLM",
        (Case("Model", "clipped", {"norm_topk_prob": True, "clip_qkv": 0.7, "attention_bias": True}),),
    ),
    "granitemoe": Architecture(
        "GraniteMoe",
        {
            **LLAMA,
            **EXPERTS,
            "intermediate_size": 24,
            "num_local_experts": 3,
            "embedding_multiplier": 3.0,
            "attention_multiplier": 0.3,
            "residual_multiplier": 0.7,
            "logits_scaling": 2.5,
        },
        "Model ForCausalLM",
        (Case("Model", "biased", {"attention_bias": True}),),
    ),
    "gpt_oss": Architecture(
        "GptOss",
        {
            **LLAMA,
            **EXPERTS,
            "intermediate_size": 24,
            "head_dim": 6,
            "num_local_experts": 3,
            "sliding_window": 4,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 6,
            },
        },
        GEMMA,
        (
            Case(
                "Model",
                "whole",
                {"layer_types": ["full_attention"] * 2, "rope_scaling": None, "num_experts_per_tok": 1},
            ),
        ),
    ),
    "deepseek_v2": Architecture(
        "DeepseekV2",
        DEEPSEEK | {"topk_method": "group_limited_greedy", "n_shared_experts": 2},
        "Model ForCausalLM ForSequenceClassification",
        (
            Case(
                "Model",
                "lite",
                {
                    "q_lora_rank": None,
                    "attention_bias": True,
                    "topk_method": "greedy",
                    "n_group": None,
                    "topk_group": None,
                    "first_k_dense_replace": 0,
                },
            ),
            Case(
                "Model",
                "yarn",
                {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6, "mscale": 0.7}},
            ),
        ),
    ),
    "deepseek_v3": Architecture(
        "DeepseekV3",
        DEEPSEEK,
        GEMMA,
        (
            Case(
                "Model",
                "yarn",
                {
                    "rope_scaling": {
                        "rope_type": "yarn",
                        "factor": 4.0,
                        "original_max_position_embeddings": 6,
                        "mscale": 1.0,
                        "mscale_all_dim": 0.7,
                    },
                    "rope_interleave": False,
                    "norm_topk_prob": False,
                    "q_lora_rank": None,
                    "attention_bias": True,
                },
            ),
        ),
        idle=("e_score_correction_bias",),
    ),
    "mistral": Architecture(
        "Mistral",
        {**LLAMA, "sliding_window": 4},
        CAUSAL,
        (Case("Model", "whole", {"sliding_window": None, "head_dim": 6}),),
    ),
    "qwen2": Architecture(
        "Qwen2",
        LLAMA,
        CAUSAL,
        (Case("Model", "window", {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}),),
    ),
    "qwen3": Architecture(
        "Qwen3",
        {**LLAMA, "head_dim": 6},
        CAUSAL,
        (
            Case("ForCausalLM", "tied", {"tie_word_embeddings": True}),
            Case(
                "Model",
                "window",
                {
                    "use_sliding_window": True,
                    "sliding_window": 3,
                    "layer_types": ["sliding_attention", "full_attention"],
                    "attention_bias": True,
                },
            ),
        ),
    ),
    "phi": Architecture(
        "Phi",
        {**LLAMA, "resid_pdrop": 0.1, "embd_pdrop": 0.1},
        FOUR,
        (
            Case("ForCausalLM", "tied", {"tie_word_embeddings": True}),
            Case("Model", "normed", {"qk_layernorm": True, "num_key_value_heads": None}),
        ),
    ),
    "phi3": Architecture(
        "Phi3",
        {**LLAMA, "resid_pdrop": 0.1, "embd_pdrop": 0.1},
        FOUR,
        (
            Case("Model", "window", {"sliding_window": 3, "num_key_value_heads": None}),
            Case(
                "Model",
                "long",
                {"rope_scaling": LONGROPE, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 6},
                padded=False,
            ),
            Case(
                "Model",
                "short",
                {"rope_scaling": LONGROPE, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 24},
            ),
        ),
    ),
    "starcoder2": Architecture(
        "Starcoder2",
        {**LLAMA, "sliding_window": 4, "residual_dropout": 0.1, "embedding_dropout": 0.1},
        FOUR,
        (
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False}),
            Case("Model", "whole", {"sliding_window": None, "use_bias": False}),
        ),
    ),
    "stablelm": Architecture(
        "StableLm",
        {**LLAMA, "hidden_dropout": 0.1, "rope_parameters": HALF},
        FOUR,
        (
            Case("Model", "normed", {"qk_layernorm": True, "use_qkv_bias": True}),
            Case("Model", "parallel", {"qk_layernorm": True, "use_parallel_residual": True}),
        ),
        newer=True,
    ),
    "olmo": Architecture(
        "Olmo",
        {**LLAMA, "clip_qkv": 0.7},
        "Model ForCausalLM ForSequenceClassification",
        (Case("Model", "biased", {"attention_bias": True, "clip_qkv": None}),),
        newer=True,
    ),
    "olmo2": Architecture(
        "Olmo2",
        LLAMA,
        "Model ForCausalLM ForSequenceClassification",
        (Case("Model", "biased", {"attention_bias": True}),),
        newer=True,
    ),
    "olmo3": Architecture(
        "Olmo3",
        {
            **LLAMA,
            "sliding_window": 3,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 6,
                    "rope_theta": 500.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 900.0},
            },
        },
        "Model ForCausalLM ForSequenceClassification",
        newer=True,
    ),
    "granite": Architecture(
        "Granite",
        {
            **LLAMA,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 0.25,
            "residual_multiplier": 0.3,
            "logits_scaling": 8.0,
        },
        "Model ForCausalLM",
        (Case("Model", "biased", {"attention_bias": True, "mlp_bias": True}),),
    ),
    "cohere": Architecture(
        "Cohere",
        {**LLAMA, "logit_scale": 0.25},
        "Model ForCausalLM",
        (
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False}),
            Case("Model", "normed", {"use_qk_norm": True, "attention_bias": True}),
        ),
    ),
    "cohere2": Architecture(
        "Cohere2",
        {**LLAMA, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]},
        "Model ForCausalLM",
    ),
    "smollm3": Architecture(
        "SmolLM3",
        {**LLAMA, "no_rope_layers": [1, 0]},
        CAUSAL,
        (
            Case("Model", "window", {"use_sliding_window": True, "sliding_window": 3, "attention_bias": True}),
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "no_rope_layers": [0, 1]}),
        ),
    ),
    "glm": Architecture(
        "Glm",
        {**LLAMA, "head_dim": 12},
        FOUR,
        (Case("Model", "plain", {"attention_bias": False, "partial_rotary_factor": 1.0}),),
    ),
    "glm4": Architecture(
        "Glm4",
        {**LLAMA, "head_dim": 12},
        FOUR,
        (Case("Model", "plain", {"attention_bias": False}),),
    ),
    "nemotron": Architecture(
        "Nemotron",
        LLAMA,
        CAUSAL,
        (Case("Model", "biased", {"attention_bias": True, "mlp_bias": True, "head_dim": 12}),),
    ),
    "arcee": Architecture(
        "Arcee",
        LLAMA,
        CAUSAL,
        (Case("Model", "biased", {"attention_bias": True, "mlp_bias": True, "head_dim": 6}),),
    ),
    "apertus": Architecture(
        "Apertus",
        LLAMA,
        "Model ForCausalLM ForTokenClassification",
        (Case("Model", "biased", {"attention_bias": True, "rope_scaling": None}),),
    ),
    "helium": Architecture(
        "Helium",
        {**LLAMA, "head_dim": 8},
        FOUR,
        (Case("Model", "biased", {"attention_bias": True, "mlp_bias": True}),),
    ),
    "ernie4_5": Architecture(
        "Ernie4_5",
        {**{name: value for name, value in LLAMA.items() if name != "attention_dropout"}, "head_dim": 6},
        "Model ForCausalLM",
        (
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False}),
            Case("Model", "biased", {"use_bias": True}),
        ),
    ),
    "seed_oss": Architecture(
        "SeedOss",
        {**LLAMA, "head_dim": 6, "residual_dropout": 0.1},
        CAUSAL,
        (Case("Model", "out", {"attention_bias": False, "attention_out_bias": True, "mlp_bias": True}),),
    ),
    "exaone4": Architecture(
        "Exaone4",
        {**LLAMA, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]},
        CAUSAL,
        (Case("Model", "whole", {"sliding_window": None, "layer_types": ["full_attention"] * 2}),),
    ),
    "persimmon": Architecture(
        "Persimmon",
        {**{name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}, "hidden_dropout": 0.1},
        FOUR,
        (Case("Model", "plain", {"qk_layernorm": False}),),
    ),
    "ministral": Architecture(
        "Ministral",
        {**LLAMA, "head_dim": 6, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
        CAUSAL,
    ),
    "gpt2": Architecture(
        "GPT2",
        GPT,
        "Model LMHeadModel ForSequenceClassification ForTokenClassification",
        (
            # What padding gives counts in this loss, and torch's padding on the left sees itself.
            Case("ForQuestionAnswering", "whole", padded=False),
            Case("Model", "scales", {"scale_attn_by_inverse_layer_idx": True, "n_inner": None}),
            Case("LMHeadModel", "untied", {"tie_word_embeddings": False, "scale_attn_weights": False}),
        ),
    ),
    "openai-gpt": Architecture(
        "OpenAIGPT",
        {name: GPT[name] for name in GPT if name != "n_inner"},
        "Model LMHeadModel ForSequenceClassification",
        (Case("LMHeadModel", "untied", {"tie_word_embeddings": False, "afn": "swish", "layer_norm_epsilon": 1e-2}),),
        alone=True,
    ),
    "gpt_neo": Architecture(
        "GPTNeo",
        {
            "vocab_size": 67,
            "hidden_size": 32,
            "num_layers": 3,
            "num_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 24,
            "attention_types": [[["global", "local"], 1], [["local"], 1]],
            "window_size": 3,
            "pad_token_id": 1,
        },
        "Model ForCausalLM ForSequenceClassification ForTokenClassification",
        (
            Case("ForQuestionAnswering", "whole", padded=False),  # as of GPT-2
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "intermediate_size": None}),
        ),
    ),
    "gptj": Architecture(
        "GPTJ",
        {**GPT, "rotary_dim": 6},
        "Model ForCausalLM ForSequenceClassification ForQuestionAnswering",
        (Case("ForCausalLM", "tied", {"tie_word_embeddings": True, "n_inner": None, "rotary_dim": 8}),),
    ),
    "codegen": Architecture(
        "CodeGen",
        {**GPT, "n_head": 8, "rotary_dim": 2},
        "Model ForCausalLM",
        (Case("ForCausalLM", "tied", {"tie_word_embeddings": True, "n_inner": None}),),
    ),
    "gpt_neox": Architecture(
        "GPTNeoX",
        {
            "vocab_size": 67,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 24,
            "rotary_pct": 0.5,
            "pad_token_id": 1,
        },
        CAUSAL,
        (
            Case("ForCausalLM", "tied", {"tie_word_embeddings": True, "rotary_pct": 1.0, "rotary_emb_base": 50}),
            Case(
                "Model",
                "in_turn",
                {
                    "use_parallel_residual": False,
                    "attention_bias": False,
                    "rope_scaling": {"rope_type": "linear", "factor": 4.0},
                },
            ),
        ),
    ),
    "bloom": Architecture(
        "Bloom",
        {"vocab_size": 67, "hidden_size": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 1},
        CAUSAL,
        (Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "hidden_size": 36, "n_head": 6}),),
    ),
    "falcon": Architecture(
        "Falcon",
        {
            "vocab_size": 67,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_hidden_size": 48,
            "max_position_embeddings": 24,
            "pad_token_id": 1,
        },
        "Model ForCausalLM ForSequenceClassification ForTokenClassification",
        (
            Case("ForQuestionAnswering", "whole", padded=False),  # as of GPT-2
            Case("ForCausalLM", "grouped", {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": True}),
            Case(
                "Model",
                "one_norm",
                {
                    "new_decoder_architecture": True,
                    "num_kv_heads": 2,
                    "num_ln_in_parallel_attn": 1,
                    "activation": "relu",
                    "ffn_hidden_size": None,
                },
            ),
            Case(
                "ForCausalLM",
                "leaning",
                {
                    "alibi": True,
                    "multi_query": False,
                    "parallel_attn": False,
                    "bias": True,
                    "tie_word_embeddings": False,
                },
                attention="sdpa",  # the plainest adds the penalty twice
            ),
            Case(
                "Model",
                "leaning",
                {"alibi": True, "multi_query": False, "parallel_attn": False},
                attention="sdpa",
            ),
        ),
    ),
    "gpt_bigcode": Architecture(
        "GPTBigCode",
        GPT,
        "Model ForCausalLM ForSequenceClassification ForTokenClassification",
        (
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "scale_attn_weights": False}),
            Case("Model", "many", {"multi_query": False, "n_inner": None}),
        ),
    ),
    "opt": Architecture(
        "OPT",
        OPT,
        "Model ForCausalLM ForSequenceClassification ForQuestionAnswering",
        (
            Case(
                "ForCausalLM",
                "narrow",
                {"do_layer_norm_before": False, "word_embed_proj_dim": 20, "tie_word_embeddings": False},
            ),
            Case("Model", "narrow", {"do_layer_norm_before": False, "word_embed_proj_dim": 20}),
            Case("ForSequenceClassification", "narrow", {"word_embed_proj_dim": 20, "num_labels": 3}),
            Case("ForQuestionAnswering", "narrow", {"word_embed_proj_dim": 20}),
            Case("Model", "bare", {"enable_bias": False, "activation_function": "gelu"}),
        ),
        idle=("k_proj.bias",),
    ),
    "xglm": Architecture(
        "XGLM",
        {
            "vocab_size": 67,
            "d_model": 32,
            "num_layers": 2,
            "attention_heads": 4,
            "ffn_dim": 48,
            "max_position_embeddings": 24,
            "activation_dropout": 0.1,
        },
        "Model ForCausalLM",
        (Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "scale_embedding": False, "pad_token_id": 4}),),
        idle=("k_proj.bias",),
    ),
    "biogpt": Architecture(
        "BioGpt",
        {**BERT, "activation_dropout": 0.1},
        "Model ForCausalLM ForTokenClassification",
        (
            Case("ForCausalLM", "untied", {"tie_word_embeddings": False, "scale_embedding": False}),
            # Of rows padded on the left torch takes another token than the last.
            Case("ForSequenceClassification", "whole", {"num_labels": 3}, padded=False),
        ),
        idle=("k_proj.bias",),
    ),
    "mpt": Architecture(
        "Mpt",
        {"vocab_size": 67, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 24, "pad_token_id": 1},
        CAUSAL,
        (
            Case(
                "ForCausalLM",
                "clipped",
                {
                    "tie_word_embeddings": False,
                    "d_model": 36,
                    "n_heads": 6,
                    "attn_config": {"clip_qkv": 0.7, "softmax_scale": 0.3},
                },
            ),
        ),
    ),
    "ctrl": Architecture(
        "CTRL",
        {
            "vocab_size": 67,
            "n_embd": 32,
            "dff": 48,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 24,
            "layer_norm_epsilon": 1e-2,
            "pad_token_id": 1,
        },
        "Model LMHeadModel ForSequenceClassification",
        (Case("LMHeadModel", "untied", {"tie_word_embeddings": False}),),
        idle=("Wk.bias",),
        alone=True,
    ),
}


def variants(architecture: Architecture) -> dict[str, dict[str, Any]]:
    """The toy config and those of the cases that differ from it, by the word for each."""
    named = {case.variant: case.config for case in architecture.variants}
    return {name: {**architecture.config, **fields} for name, fields in {"": {}, **named}.items()}
