"""CodeGen (Nijkamp et al. 2022, arXiv 2203.13474): GPT-J with one projection for queries, keys and values."""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..batch import SEGMENTED
from ..layers import heads
from ..layers.decoder import keys_values
from ..layers.gpt import head_dim, model_arrays
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .gptj import GPTJConfig, layer, read

BLOCKS = 4
"""The chips of its training: each one's queries, values and keys lie together."""


class CodeGenConfig(GPTJConfig, model_type="codegen"):
    """GPT-J's sizes."""

    def check(self) -> None:
        """GPT-J's rules, and heads for each block."""
        super().check()
        if self.n_head % BLOCKS:
            raise ValueError(f"CodeGenConfig: n_head={self.n_head} is no multiple of {BLOCKS}")


def parameters(c: CodeGenConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.n_embd
    projections = {
        "qkv": declare.linear(d, 3 * d, "attn.qkv_proj", ("embed", "heads"), bias=False),
        "out": declare.linear(d, d, "attn.out_proj", ("heads", "embed"), bias=False),
    }
    return model_arrays(c, layer(c) | projections)


def decode(params: Any, c: CodeGenConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""

    def split(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        fused = linear(p["qkv"], x).reshape(*x.shape[:-1], BLOCKS, 3, -1, head_dim(c))
        q, v, k = (fused[..., i, :, :].reshape(*x.shape[:-1], -1, head_dim(c)) for i in range(3))
        return q, k, v

    return read(params, c, inputs, split, ask, sites)


class CodeGenModel(
    tasks.Decoder,
    config=CodeGenConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
):
    """The model without a head."""


class CodeGenForCausalLM(tasks.CausalLM, base=CodeGenModel, head=heads.words("lm_head", bias=True)):
    """Scores of every word to follow each token."""
