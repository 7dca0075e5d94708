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
    own: arrays that keep the values torch starts them with, since we compute these ourselves.
    """

    head: str
    variant: str = ""
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    own: tuple[str, ...] = ()


# Heads whose number of scores the config chooses.
LABELS: Mapping[str, Mapping[str, Any]] = {
    "ForSequenceClassification": {"num_labels": 3},
    "ForTokenClassification": {"num_labels": 5},
}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One `model_type`: the prefix of its class names, its toy config, the heads, and configs worth a case more."""

    prefix: str
    config: Mapping[str, Any]
    heads: str
    variants: tuple[Case, ...] = ()

    def cases(self) -> Iterator[tuple[str, Case]]:
        """Each case by its name, such as "BertForMaskedLM" or "BertForMaskedLM-untied"."""
        for head in self.heads.split():
            yield self.prefix + head, Case(head, config=LABELS.get(head, {}))
            if head == "ForSequenceClassification":
                yield f"{self.prefix}{head}-one_label", Case(head, "one_label", {"num_labels": 1})
        for case in self.variants:
            yield f"{self.prefix}{case.head}-{case.variant}", case


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
CLASSIFIERS = "ForSequenceClassification ForTokenClassification ForQuestionAnswering ForMultipleChoice"

ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(
        "Bert",
        BERT,
        f"Model ForPreTraining ForMaskedLM ForNextSentencePrediction {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "gelu_new", {"hidden_act": "gelu_new"}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "epsilon", {"layer_norm_eps": 1e-2, "type_vocab_size": 5}),
        ),
    ),
    "roberta": Architecture(
        "Roberta",
        ROBERTA,
        f"Model ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "pad", {"pad_token_id": 3, "layer_norm_eps": 1e-2}),
        ),
    ),
    "xlm-roberta": Architecture("XLMRoberta", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}"),
    "camembert": Architecture("Camembert", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}"),
    "data2vec-text": Architecture("Data2VecText", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}"),
    "electra": Architecture(
        "Electra",
        {**BERT, "embedding_size": 20},
        f"Model ForPreTraining ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForPreTraining", "relu_unprojected", {"hidden_act": "relu", "embedding_size": 32}),
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
        ),
    ),
    "albert": Architecture(
        "Albert",
        {**BERT, "num_hidden_layers": 3, "embedding_size": 20, "hidden_dropout_prob": 0.1},
        f"Model ForPreTraining ForMaskedLM {CLASSIFIERS}",
        (
            Case("ForMaskedLM", "relu_untied", {"hidden_act": "relu", "tie_word_embeddings": False}),
            Case("Model", "groups", {"num_hidden_layers": 4, "num_hidden_groups": 2}),
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
        (Case("Model", "tasks", {"use_task_id": True}),),
    ),
    "roberta-prelayernorm": Architecture("RobertaPreLayerNorm", ROBERTA, f"Model ForMaskedLM {CLASSIFIERS}"),
    "xlm-roberta-xl": Architecture(
        "XLMRobertaXL", {**ROBERTA, "type_vocab_size": 2}, f"Model ForMaskedLM {CLASSIFIERS}"
    ),
    "rembert": Architecture(
        "RemBert",
        {**BERT, "input_embedding_size": 20, "output_embedding_size": 28, "hidden_dropout_prob": 0.1},
        f"Model ForMaskedLM {CLASSIFIERS}",
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
}
