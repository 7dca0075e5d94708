"""The right class for each checkpoint, and a readable word where there is none."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

import jaxformers
from jaxformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForNextSentencePrediction,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    auto,
    registry,
)
from jaxformers.bundle import Model

TINY = {"vocab_size": 7, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 4, "hidden_size": 4}
TASKS = {
    AutoModel: ("", True),
    AutoModelForMaskedLM: ("MaskedLM", True),
    AutoModelForSequenceClassification: ("SequenceClassification", True),
    AutoModelForTokenClassification: ("TokenClassification", True),
    AutoModelForQuestionAnswering: ("QuestionAnswering", True),
    AutoModelForMultipleChoice: ("MultipleChoice", True),
    AutoModelForNextSentencePrediction: ("NextSentencePrediction", False),
    AutoModelForPreTraining: ("PreTraining", False),
}


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    monkeypatch.setattr(registry, "registered_configs", {})
    monkeypatch.setattr(registry, "registered_models", {})


@pytest.mark.parametrize("kind", TASKS)
def test_each_auto_class_finds_the_class_by_convention(kind):
    task, distilbert_too = TASKS[kind]
    name = f"For{task}" if task else "Model"
    assert auto.class_for(BertConfig(), task) is getattr(jaxformers, f"Bert{name}")
    if distilbert_too:
        assert auto.class_for(DistilBertConfig(), task) is getattr(jaxformers, f"DistilBert{name}")
    else:
        with pytest.raises(ValueError, match=f"DistilBertConfig for {kind.__name__}: .*AutoModelForMaskedLM"):
            kind.from_config(DistilBertConfig())


def test_models_from_configs_and_folders(make, toy_config, tmp_path):
    model = AutoModelForMaskedLM.from_config(BertConfig(**TINY, max_position_embeddings=4), key=jax.random.key(1))
    assert type(model) is BertForMaskedLM
    made = make(BertForMaskedLM, toy_config)
    made.save_pretrained(tmp_path)
    for kind, name in (
        (AutoModelForMaskedLM, "BertForMaskedLM"),
        (AutoModel, "BertModel"),
        (AutoModelForSequenceClassification, "BertForSequenceClassification"),
    ):
        assert type(kind.from_pretrained(tmp_path)).__name__ == name
        assert type(kind.from_pretrained(str(tmp_path), revision="main", local_files_only=True)).__name__ == name
    with pytest.raises(ValueError, match="DistilBertConfig for AutoModelForPreTraining"):
        AutoModelForPreTraining.from_pretrained(tmp_path, config=DistilBertConfig())


@pytest.mark.parametrize("kind", [*TASKS, AutoConfig, AutoTokenizer])
def test_auto_classes_are_not_called(kind):
    with pytest.raises(OSError, match=rf"{kind.__name__} is made by {kind.__name__}\.from_pretrained"):
        kind()


def test_configs_by_model_type(tmp_path):
    assert AutoConfig.for_model("bert", hidden_size=24) == BertConfig(hidden_size=24)
    DistilBertConfig(dim=24).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, n_layers=2, trust_remote_code=True)
    assert config == DistilBertConfig(dim=24, n_layers=2)
    assert {"bert", "distilbert"} <= set(auto.model_types())


@pytest.mark.parametrize(
    ("model_type", "nearest"),
    [
        ("brt", "nearest .*bert"),
        ("distillbert", "nearest .*distilbert"),
        ("Bert", "nearest .*bert"),
        ("qqqq", "known are .*bert"),
        *[
            (odd, "bert")
            for odd in (
                "../../x",
                "os",
                "json",
                "/etc/passwd",
                "__init__",
                "bert.py",
                "bert\n",
                "ｂｅｒｔ",
                "a" * 10**6,
            )
        ],
    ],
    ids=lambda value: value[:20],
)
def test_an_unknown_model_type_names_the_nearest_and_imports_nothing(tmp_path, model_type, nearest):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    for load in (AutoConfig.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(ValueError, match=f"no architecture that jaxformers knows; .*{nearest}") as caught:
            load(tmp_path)
        assert str(tmp_path) in str(caught.value)
        assert len(str(caught.value)) < 500
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model_type", [None, "", 5, ["bert"], {}])
def test_a_config_without_model_type_says_so(tmp_path, model_type):
    fields = {"hidden_size": 4} if model_type is None else {"model_type": model_type}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=r"config\.json has no model_type; jaxformers knows .*distilbert"):
        AutoModel.from_pretrained(tmp_path)


def test_a_repository_that_brings_its_own_code_is_told_that_it_never_runs(tmp_path):
    (tmp_path / "modeling.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "modeling.C", "AutoModel": "modeling.M"}})
    )
    for keywords in ({}, {"trust_remote_code": True}):
        with pytest.raises(ValueError, match=r"'mine'.*brings its own code \(auto_map\), which jaxformers never runs"):
            AutoModel.from_pretrained(tmp_path, **keywords)


def test_names_that_do_not_exist():
    for name in ("BertForCausalLM", "BertForDancing", "ZambaModel", "bertmodel"):
        assert not hasattr(jaxformers, name)


# -- register ---------------------------------------------------------------------------------------------------------


class MyConfig(BertConfig, model_type="my-own"):
    """BERT under a name of one's own."""

    extra: int = 3


class MyClassifier(BertForSequenceClassification, config=MyConfig):
    """Its classifier."""


def test_a_registered_architecture_goes_round_through_a_folder(make, tmp_path):
    AutoConfig.register("my-own", MyConfig)
    AutoModelForSequenceClassification.register(MyConfig, MyClassifier)
    config = MyConfig(**TINY, max_position_embeddings=4, extra=4)
    assert type(AutoModelForSequenceClassification.from_config(config)) is MyClassifier
    model = make(MyClassifier, config)
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(again) is MyClassifier
    assert (type(again.config), again.config.extra) == (MyConfig, 4)
    np.testing.assert_array_equal(again.params["word"]["table"], model.params["word"]["table"])
    assert "my-own" in auto.model_types()
    with pytest.raises(ValueError, match=r"MyConfig for AutoModelForMaskedLM: .*AutoModelForSequenceClassification"):
        AutoModelForMaskedLM.from_pretrained(tmp_path)


def test_what_cannot_be_registered():
    with pytest.raises(ValueError, match="model_type is 'my-own', not 'bert'"):
        AutoConfig.register("bert", MyConfig)
    with pytest.raises(ValueError, match="'bert' is taken; pass exist_ok=True"):
        AutoConfig.register("bert", BertConfig)
    AutoConfig.register("my-own", MyConfig)
    with pytest.raises(ValueError, match="taken"):
        AutoConfig.register("my-own", MyConfig)
    AutoConfig.register("my-own", MyConfig, exist_ok=True)
    with pytest.raises(ValueError, match="BertForSequenceClassification takes a BertConfig, not a DistilBertConfig"):
        AutoModelForSequenceClassification.register(DistilBertConfig, BertForSequenceClassification)
    with pytest.raises(ValueError, match="has a class for AutoModelForMaskedLM; pass exist_ok=True"):
        AutoModelForMaskedLM.register(BertConfig, BertForMaskedLM)

    class Other(BertForMaskedLM):
        """Somebody's own."""

    AutoModelForMaskedLM.register(BertConfig, Other, exist_ok=True)
    assert auto.class_for(BertConfig(), "MaskedLM") is Other


def test_a_class_of_ones_own_is_a_pytree(make, toy_config):
    class Mine(BertForSequenceClassification):
        """Somebody's own."""

        def answers(self, ids):
            return [self.config.id2label[i] for i in self(ids).logits.argmax(-1).tolist()]

    model = make(Mine, toy_config)
    assert set(model.answers([[1, 2, 3]])) <= {"GOOD", "BAD"}
    doubled = jax.tree.map(lambda x: x * 2, model)
    assert isinstance(doubled, Mine)
    assert isinstance(doubled, Model)
