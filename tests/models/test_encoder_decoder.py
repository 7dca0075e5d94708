"""Two models as one: made of two checkpoints, of two configs, and refused where the sides do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    BertModel,
    DistilBertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    ErnieConfig,
    ErnieModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
)

SIZES = {"vocab_size": 67, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT = BertConfig(**SIZES, intermediate_size=48, max_position_embeddings=24, gone="kept")
GPT2 = GPT2Config(vocab_size=71, n_embd=24, n_layer=2, n_head=3, n_positions=20, eos_token_id=3)
IDS = np.arange(5, 17).reshape(2, 6)
ENDS: dict[str, Any] = {"decoder_start_token_id": 2, "pad_token_id": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A BERT for masked words, and a GPT-2."""
    bert, gpt2 = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("gpt2")
    BertForMaskedLM(BERT, key=jax.random.key(1)).save_pretrained(bert)
    GPT2LMHeadModel(GPT2, key=jax.random.key(2)).save_pretrained(gpt2)
    return bert, gpt2


@pytest.mark.parametrize("shared", [False, True])
def test_of_one_checkpoint_twice(folders: tuple[Path, Path], shared: bool, tmp_path: Path) -> None:
    bert, _ = folders
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(bert, bert, **ENDS, tie_encoder_decoder=shared)
    encoder = BertModel.from_pretrained(bert)
    np.testing.assert_allclose(
        model(IDS, labels=IDS).encoder_last_hidden_state, encoder(IDS).last_hidden_state, atol=1e-6
    )
    decoder = model.params["decoder"]
    assert ("word" in decoder) != shared
    assert "cross" in decoder["layers"][0]
    model.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert type(again) is EncoderDecoderModel
    np.testing.assert_array_equal(again(IDS, labels=IDS).logits, model(IDS, labels=IDS).logits)
    np.testing.assert_array_equal(again.generate(IDS, max_new_tokens=4), model.generate(IDS, max_new_tokens=4))


def test_of_two_architectures_and_widths(folders: tuple[Path, Path]) -> None:
    bert, gpt2 = folders
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(bert, gpt2, **ENDS, encoder_hidden_dropout_prob=0.0)
    assert model.config.encoder.hidden_dropout_prob == 0.0
    assert model.params["project"]["weight"].shape == (24, 32)
    labels = np.full((2, 3), 70)  # a word of the decoder's alone
    assert model(IDS, labels=labels).logits.shape == (2, 3, 71)
    with pytest.raises(ValueError, match=r"input_ids\[0, 0\] is 70, allowed are 0 to 66"):
        model(labels, labels=labels)
    with pytest.raises(ValueError, match=r"21 tokens in a row of decoder_input_ids, the model has 20"):
        model(IDS, decoder_input_ids=np.ones((2, 21), int))
    alone = GPT2LMHeadModel.from_pretrained(gpt2)
    wide = alone.config.replace(add_cross_attention=True)
    assert len(jax.tree.leaves(GPT2LMHeadModel(wide).params)) > len(jax.tree.leaves(alone.params))


def test_token_types_that_say_nothing_are_dropped(folders: tuple[Path, Path]) -> None:
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(*folders, **ENDS)
    batch = {"input_ids": IDS, "token_type_ids": np.zeros_like(IDS)}
    np.testing.assert_array_equal(model.generate(**batch, max_new_tokens=3), model.generate(IDS, max_new_tokens=3))
    with pytest.raises(ValueError, match="has no token types"):
        model.generate(IDS, token_type_ids=np.ones_like(IDS), max_new_tokens=3)


def test_configs_within_a_config() -> None:
    config = EncoderDecoderConfig.from_encoder_decoder_configs(BERT, GPT2, **ENDS)
    assert (config.encoder, config.decoder.is_decoder, config.decoder.add_cross_attention) == (BERT, True, True)
    assert (config.vocab_size, config.source_vocab_size, config.longest_row, config.longest_target) == (71, 67, 24, 20)
    again = AutoConfig.from_dict(config.to_dict())
    assert again == config
    assert hash(again) == hash(config)
    assert again.encoder.gone == "kept"
    other = config.replace(encoder=BERT.replace(gone="otherwise"))
    assert other != config
    assert other.bare() == config.bare()
    assert config.bare().bare() is config.bare()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "encoder=None has the wrong type: expected Config"),
        ({"encoder": BERT}, "decoder=None has the wrong type"),
        (
            {"encoder": BERT, "decoder": {"hidden_size": 4}},
            "EncoderDecoderConfig: decoder: config.json has no model_type",
        ),
        ({"encoder": BERT, "decoder": BERT}, "decoder must have is_decoder=True and add_cross_attention=True"),
        ({"encoder": GPT2, "decoder": GPT2.replace(is_decoder=True, add_cross_attention=True)}, "is no encoder"),
        (
            {
                "encoder": BERT,
                "decoder": GPT2.replace(is_decoder=True, add_cross_attention=True),
                "tie_encoder_decoder": True,
            },
            "two sides of one architecture",
        ),
    ],
)
def test_what_two_sides_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderDecoderConfig(**fields)


def test_layers_are_read_in_the_direction_that_the_config_says() -> None:
    directed = BERT.replace(is_decoder=True)
    with pytest.raises(ValueError, match="BertModel reads in both directions, and the config says is_decoder=True"):
        BertModel(directed)
    with pytest.raises(ValueError, match="ErnieModel reads in both directions"):
        ErnieModel(ErnieConfig(**SIZES, is_decoder=True))
    with pytest.raises(ValueError, match="BertLMHeadModel reads in one direction"):
        BertLMHeadModel(BERT)
    for config in (DistilBertConfig, LlamaConfig):
        with pytest.raises(ValueError, match="add_cross_attention=True is not supported"):
            config(add_cross_attention=True)
    with pytest.raises(ValueError, match="each side has words of its own"):
        EncoderDecoderModel(
            EncoderDecoderConfig.from_encoder_decoder_configs(BERT, BERT, **ENDS)
        ).resize_token_embeddings(70)
