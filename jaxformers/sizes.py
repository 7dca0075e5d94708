"""Fields that several architectures share, with what they must satisfy: to be put before `Config` in a config class.

An architecture says its own defaults behind them, and what else it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar

from .config import Between, Count, Depth, Endless, Epsilon, Limit, Rate, Repeats, Size, Token
from .layers import disentangled, experts, gqa, post_norm, rotation, window
from .layers.activation import ACTIVATIONS

Further = Annotated[int, Between(0, 1024)]
"""A number of layers that guess further tokens."""


class UnsegmentedSizes:
    """Sizes and rates under BERT's names, of models without segments; the defaults are bert-base-uncased's."""

    vocab_size: Size = 30522
    hidden_size: Size = 768
    num_hidden_layers: Depth = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    max_position_embeddings: Size = 512
    layer_norm_eps: Epsilon = 1e-12
    pad_token_id: Token | None = 0

    allowed: ClassVar[Mapping[str, Collection[Any]]] = {"hidden_act": ACTIVATIONS}

    def check(self) -> None:
        """Heads share the width evenly."""
        post_norm.check_heads(self)


class BertSizes(UnsegmentedSizes):
    """BERT's sizes and rates."""

    type_vocab_size: Size = 2


class EitherWay:
    """Encoders whose layers may be read in one direction: to be put before their other sizes.

    is_decoder: whether they are, by the class for causal language modelling alone. add_cross_attention: whether a
    layer also looks at what an encoder has read, as in an `EncoderDecoderModel`.
    """

    is_decoder: bool | None = None
    add_cross_attention: bool | None = None

    allowed: ClassVar[Mapping[str, Collection[Any]]] = {
        "is_decoder": (True, False, None),
        "add_cross_attention": (True, False, None),
    }


class CountedSizes(BertSizes):
    """BERT's sizes and rates, with positions that count from behind the padding token, as fairseq's do."""

    pad_token_id: Token = 1

    allowed: ClassVar[Mapping[str, Collection[Any]]] = {**BertSizes.allowed, "position_embedding_type": ("absolute",)}

    def check(self) -> None:
        """Heads share the width evenly, and positions are left when counting starts after the padding token."""
        super().check()
        post_norm.check_counted(self)

    @property
    def longest_row(self) -> int:
        """The positions less those up to the padding token, where counting starts: 512 of 514."""
        return self.max_position_embeddings - self.pad_token_id - 1


class WindowSizes:
    """Encoders whose tokens see those near them.

    attention_window: tokens that a token sees, half of them to either side; one number, or one a layer.
    """

    attention_window: tuple[int, ...] | int = 512

    @property
    def windows(self) -> tuple[int, ...]:
        """The window of each layer."""
        return window.sizes(self)


class DisentangledSizes(BertSizes):
    """Encoders with disentangled attention.

    pos_att_type: "c2p", "p2c", or both, as a list or with "|" between. max_relative_positions: below 1 it is
    max_position_embeddings. position_biased_input: whether there are learned positions too. legacy: the head for masked
    words has the names of BERT's.
    """

    type_vocab_size: Count = 0
    layer_norm_eps: Epsilon = 1e-7
    relative_attention: bool = False
    max_relative_positions: Limit = -1
    pos_att_type: tuple[str, ...] | str | None = None
    position_biased_input: bool = True
    embedding_size: Size | None = None
    pooler_hidden_size: Size | None = None
    pooler_dropout: Rate = 0.0
    pooler_hidden_act: str = "gelu"
    cls_dropout: Rate | None = None
    legacy: bool = True

    allowed: ClassVar[Mapping[str, Collection[Any]]] = {**BertSizes.allowed, "pooler_hidden_act": ACTIVATIONS}

    def check(self) -> None:
        """Heads share the width evenly, and the rest is what the reference computes."""
        super().check()
        disentangled.kinds(self)
        name = type(self).__name__
        if self.type_vocab_size < 0:
            raise ValueError(f"{name}: type_vocab_size={self.type_vocab_size} must be 0 or more")
        if self.pooler_hidden_size not in (None, self.hidden_size):
            raise ValueError(
                f"{name}: pooler_hidden_size={self.pooler_hidden_size} must be hidden_size={self.hidden_size}"
            )

    @property
    def longest_row(self) -> int | None:
        """The absolute positions; distances alone never end."""
        return self.max_position_embeddings if self.position_biased_input else None


class RotarySizes(Endless):
    """Decoders with rotary positions.

    num_key_value_heads: heads of keys and values, each for the same number of queries; None: as many.
    head_dim: numbers of a head; None: the width shared evenly. rope_*: see `layers.rotation`.
    """

    vocab_size: Size = 32000
    hidden_size: Size = 4096
    intermediate_size: Size = 11008
    num_hidden_layers: Depth = 32
    num_attention_heads: Size = 32
    num_key_value_heads: Size | None = None
    hidden_act: str = "silu"
    max_position_embeddings: Size = 2048
    rope_theta: float = 10_000.0
    rope_scaling: dict | None = None
    rope_parameters: dict | None = None
    attention_dropout: Rate = 0.0
    head_dim: Size | None = None
    tie_word_embeddings: bool = False

    allowed: ClassVar[Mapping[str, Collection[Any]]] = {
        "hidden_act": ACTIVATIONS,
        "lm_head_bias": (False,),
        "rope_interleaved": (False,),
        "use_mrope": (False,),
    }
    ignores: ClassVar[Collection[str]] = ("is_llama_config", "max_sequence_length", "max_window_layers")

    @property
    def promised_row(self) -> int | None:
        """Rows of training, so much longer as a rotation is stretched."""
        return rotation.promised(self)

    def check(self) -> None:
        """Heads of keys share those of queries, and have pairs to rotate."""
        gqa.check_heads(self)
        rotation.check(self, gqa.head_dim(self))


class GatedSizes(RotarySizes):
    """Decoders with rotary positions, norms by the root mean square and a gated network."""

    rms_norm_eps: Epsilon = 1e-6
    attention_bias: bool = False
    mlp_bias: bool = False


class PartlyRotarySizes(RotarySizes):
    """Decoders that turn the first numbers of each head alone; partial_rotary_factor: the share of them."""

    partial_rotary_factor: Rate = 0.5

    def check(self) -> None:
        """Heads of keys share those of queries, and have pairs to rotate."""
        gqa.check_heads(self)
        rotation.check(self, rotation.part(self, gqa.head_dim(self)))


class GPTSizes:
    """Decoders whose fields have the names of GPT's line."""

    vocab_size: Size = 50257
    n_positions: Size = 1024
    n_embd: Size = 768
    n_layer: Depth = 12
    n_head: Size = 12
    resid_pdrop: Rate = 0.1
    embd_pdrop: Rate = 0.1
    layer_norm_epsilon: Epsilon = 1e-5

    aliases: ClassVar[Mapping[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }
    ignores: ClassVar[Collection[str]] = (
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    )

    def check(self) -> None:
        """Heads share the width evenly."""
        if self.n_embd % self.n_head:
            raise ValueError(f"{type(self).__name__}: n_embd={self.n_embd} is no multiple of n_head={self.n_head}")


class SparseSizes:
    """Decoders some of whose layers have experts, beside the sizes of all layers.

    moe_intermediate_size: width of an expert; intermediate_size: of a layer without. num_experts_per_tok:
    experts of a token. norm_topk_prob: whether their shares sum to one. decoder_sparse_step: of so many layers the last
    has experts; mlp_only_layers: layers that have none. The loss is that of the words alone, whatever
    output_router_logits and router_aux_loss_coef say.
    """

    num_experts: Repeats = 60
    num_experts_per_tok: Repeats = 4
    moe_intermediate_size: Size = 1408
    norm_topk_prob: bool = False
    decoder_sparse_step: Repeats = 1
    mlp_only_layers: tuple[int, ...] | None = ()


class LatentSizes(RotarySizes):
    """Decoders with multi-head latent attention, and experts in all layers but the first.

    q_lora_rank, kv_lora_rank: of how few numbers queries, and keys and values, are made; None: queries of all.
    qk_rope_head_dim: numbers of a head that positions turn; qk_nope_head_dim: the others; v_head_dim: those of values.
    first_k_dense_replace: layers that have one network; n_routed_experts: networks of the others, of which a token goes
    to num_experts_per_tok in topk_group of n_group groups; n_shared_experts: networks for all; moe_intermediate_size:
    width of each; routed_scaling_factor: on what routed ones give. num_nextn_predict_layers: layers behind the last, of
    which files hold arrays that nothing here computes with.
    """

    rms_norm_eps: Epsilon = 1e-6
    attention_bias: bool = False
    q_lora_rank: Size | None = 1536
    kv_lora_rank: Size = 512
    qk_rope_head_dim: Size = 64
    qk_nope_head_dim: Size = 128
    v_head_dim: Size = 128
    first_k_dense_replace: Depth = 0
    n_routed_experts: Repeats = 64
    n_shared_experts: Repeats = 2
    num_experts_per_tok: Repeats = 6
    moe_intermediate_size: Size = 1407
    n_group: Repeats | None = None
    topk_group: Repeats | None = None
    routed_scaling_factor: float = 1.0
    num_nextn_predict_layers: Further = 0

    ignores: ClassVar[Collection[str]] = (
        *RotarySizes.ignores,
        *("aux_loss_alpha", "ep_size", "output_router_logits", "qk_head_dim", "router_aux_loss_coef", "seq_aux"),
    )

    @property
    def unread(self) -> tuple[str, ...]:
        """Starts of the names of layers that guess further tokens."""
        return tuple(f"layers.{self.num_hidden_layers + i}." for i in range(self.num_nextn_predict_layers))

    @property
    def groups(self) -> tuple[int, int]:
        """How many groups of experts there are, and in how many of them those of a token are."""
        return self.n_group or 1, self.topk_group or 1

    def check(self) -> None:
        """All heads have keys, with pairs to rotate; and groups hold the experts of a token."""
        owner, heads = type(self).__name__, self.num_attention_heads
        if self.num_key_value_heads not in (None, heads):
            raise ValueError(f"{owner}: num_key_value_heads={self.num_key_value_heads} must be {heads}, as of queries")
        rotation.check(self, self.qk_rope_head_dim)
        experts.check(self, "n_routed_experts")
        (groups, kept), count = self.groups, self.n_routed_experts
        if count % groups or kept > groups or self.num_experts_per_tok > kept * (count // groups):
            raise ValueError(
                f"{owner}: n_routed_experts={count} must be a multiple of n_group={groups}, of which topk_group={kept} "
                f"hold num_experts_per_tok={self.num_experts_per_tok}"
            )


def check_distances(c: Any, buckets: str, furthest: str) -> None:
    """Refuse a config whose distances between tokens cannot be told apart.

    Near ones have a bucket each, half of `buckets` where one looks back; the rest is for those up to `furthest`.
    """
    count, most = getattr(c, buckets), getattr(c, furthest)
    if count < 4 or most <= count // 2:
        raise ValueError(
            f"{type(c).__name__}: {buckets}={count} and {furthest}={most}: expected 4 buckets at least, and a distance "
            "of more than half as many"
        )


class TwoSidedSizes:
    """Sizes and rates under BART's names, of an encoder and a decoder whose words and places are counted elsewhere; the
    defaults are bart-large's.
    """

    d_model: Size = 1024
    encoder_layers: Depth = 12
    encoder_attention_heads: Size = 16
    encoder_ffn_dim: Size = 4096
    decoder_layers: Depth = 12
    decoder_attention_heads: Size = 16
    decoder_ffn_dim: Size = 4096
    activation_function: str = "gelu"
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.0
    activation_dropout: Rate = 0.0
    scale_embedding: bool = False
    is_encoder_decoder: bool = True
    pad_token_id: Token | None = 1
    eos_token_id: int | tuple[int, ...] | None = 2
    decoder_start_token_id: Token | None = 2

    aliases: ClassVar[Mapping[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    }
    allowed: ClassVar[Mapping[str, Collection[Any]]] = {
        "activation_function": ACTIVATIONS,
        "is_encoder_decoder": (True, False),
        "is_decoder": (True, False, None),
    }
    ignores: ClassVar[Collection[str]] = tuple(
        """
        add_bias_logits add_final_layer_norm encoder_layerdrop decoder_layerdrop extra_pos_embeddings
        force_bos_token_to_be_generated init_std normalize_before normalize_embedding static_position_embeddings
        save_step classif_dropout
        """.split()
    )

    def check(self) -> None:
        """Heads share the width evenly, on both sides."""
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ValueError(
                    f"{type(self).__name__}: d_model={self.d_model} is no multiple of {name}={getattr(self, name)}"
                )

    @property
    def unread(self) -> tuple[str, ...]:
        """Fairseq's files number their kind."""
        return ("encoder.version", "decoder.version")

    @property
    def spread(self) -> float:
        """The standard deviation of random weights: init_std."""
        return getattr(self, "init_std", 0.02)


class BartSizes(TwoSidedSizes):
    """Sizes and rates under BART's names, with words and places that both sides share."""

    vocab_size: Size = 50265
    max_position_embeddings: Size = 1024


class T5Sizes(Endless):
    """Sizes and rates under T5's names; the defaults are t5-small's.

    d_kv: numbers of a head. num_decoder_layers: None, as many as the encoder has. feed_forward_proj: the activation,
    and "gated-" before it where there is a gate. scale_decoder_outputs: whether the head reads states that are as much
    smaller as they are wide; None: as tie_word_embeddings says, which in files of torch Transformers 5 is always true.
    """

    vocab_size: Size = 32128
    d_model: Size = 512
    d_kv: Size = 64
    d_ff: Size = 2048
    num_layers: Depth = 6
    num_decoder_layers: Depth | None = None
    num_heads: Size = 8
    relative_attention_num_buckets: Size = 32
    relative_attention_max_distance: Size = 128
    dropout_rate: Rate = 0.1
    layer_norm_epsilon: Epsilon = 1e-6
    feed_forward_proj: str = "relu"
    is_encoder_decoder: bool = True
    decoder_start_token_id: Token | None = 0
    pad_token_id: Token | None = 0
    eos_token_id: int | tuple[int, ...] | None = 1
    classifier_dropout: Rate = 0.0
    scale_decoder_outputs: bool | None = None

    aliases: ClassVar[Mapping[str, str]] = {
        "hidden_size": "d_model",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
    }
    allowed: ClassVar[Mapping[str, Collection[Any]]] = {
        "is_encoder_decoder": (True, False),
        "feed_forward_proj": ("relu", "gelu", "gated-gelu", "gated-silu", "gated-relu"),
    }
    ignores: ClassVar[Collection[str]] = ("dense_act_fn", "is_gated_act", "n_positions", "output_past")

    def check(self) -> None:
        """Distances have buckets of their own, and further ones some to share."""
        check_distances(self, "relative_attention_num_buckets", "relative_attention_max_distance")

    @property
    def depth(self) -> int:
        """Layers of the decoder."""
        return self.num_layers if self.num_decoder_layers is None else self.num_decoder_layers

    @property
    def activation(self) -> str:
        """Of the feed-forward network; T5's gated one has the approximate GELU."""
        name = self.feed_forward_proj.removeprefix("gated-")
        return "gelu_new" if self.feed_forward_proj == "gated-gelu" else name
