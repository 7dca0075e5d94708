"""Dense layers, norms, tables, activations: against numpy, and with their islands of float32."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices import on_devices

from jaxformers.layers.activation import ACTIVATIONS
from jaxformers.layers.embedding import embed, embed_tokens
from jaxformers.layers.inputs import Inputs
from jaxformers.layers.linear import linear, unembed
from jaxformers.layers.norm import layer_norm

W = np.array([[1, 2], [3, 4], [5, 6]], np.float32)  # out 3, in 2: the Hub's layout
X = np.array([[[1, 0], [0, 1]], [[1, 1], [2, -1]]], np.float32)


def test_linear_keeps_the_hubs_layout():
    np.testing.assert_array_equal(linear({"weight": W}, X), X @ W.T)
    with_bias = linear({"weight": W, "bias": np.array([10, 20, 30], np.float32)}, jnp.asarray(X))
    np.testing.assert_array_equal(with_bias, [[[11, 23, 35], [12, 24, 36]], [[13, 27, 41], [10, 22, 34]]])
    assert linear({"weight": jnp.asarray(W, jnp.bfloat16)}, jnp.asarray(X, jnp.bfloat16)).dtype == jnp.bfloat16


def test_like_changes_nothing_without_a_mesh():
    x = jnp.asarray(X)
    np.testing.assert_array_equal(linear({"weight": W}, x, like=linear({"weight": W}, x)), X @ W.T)


EXPLICIT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from jaxformers.layers.linear import linear, unembed
mesh = jax.make_mesh((2, 4), ("dp", "tp"), axis_types=(AxisType.Explicit,) * 2)
put = lambda x, *spec: jax.device_put(x, NamedSharding(mesh, P(*spec)))
w = np.arange(32.0, dtype=np.float32).reshape(4, 8)
x = np.arange(64.0, dtype=np.float32).reshape(2, 4, 8)
residual = put(np.zeros((2, 4, 4), np.float32), "dp")
with jax.set_mesh(mesh):
    f = jax.jit(lambda p, x, r: r + linear(p, x, like=r))
    args = {"weight": put(w, None, "tp"), "bias": put(np.ones(4, np.float32))}, put(x, "dp", None, "tp"), residual
    y = f(*args)
    text = f.lower(*args).compile().as_text()
np.testing.assert_allclose(y, x @ w.T + 1, rtol=1e-6)
assert y.sharding.spec == P("dp", None, None) or y.sharding.spec == P("dp"), y.sharding
assert text.count(" all-reduce(") == 1 and "all-gather" not in text, text
print("settled")
"""


def test_on_an_explicit_mesh_a_sharded_contraction_returns_to_the_residuals_layout():
    assert on_devices(EXPLICIT) == "settled"


def test_layer_norm_is_numpys():
    rng = np.random.default_rng(0)
    x, scale, bias = rng.normal(3, 5, (2, 3, 8)), rng.normal(size=8), rng.normal(size=8)
    p = {"scale": jnp.asarray(scale, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * scale + bias
    np.testing.assert_allclose(layer_norm(p, jnp.asarray(x, jnp.float32), 1e-3), expected, atol=1e-5)
    constant = layer_norm(p, jnp.full((1, 8), 7.0), 1e-12)
    np.testing.assert_allclose(constant[0], bias, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_statistics_of_half_types_are_taken_in_float32(dtype):
    x = jnp.asarray(np.random.default_rng(0).normal(300, 1, (4, 256)), dtype)  # squares are beyond float16
    p = {"scale": jnp.ones(256, dtype), "bias": jnp.zeros(256, dtype)}
    y = layer_norm(p, x, 1e-12)
    assert y.dtype == jnp.dtype(dtype)
    wide = np.asarray(x, np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=2e-2)


def test_rows_of_a_table_and_the_way_back():
    p = {"table": jnp.asarray(W)}
    np.testing.assert_array_equal(embed(p, jnp.array([[2, 0], [1, 1]])), W[np.array([[2, 0], [1, 1]])])
    np.testing.assert_array_equal(unembed(p, jnp.asarray(X)), X @ W.T)
    vectors = embed_tokens({"table": p["table"].astype("bfloat16")}, Inputs(embeds=jnp.asarray(X)))
    assert vectors.dtype == jnp.bfloat16  # else a float32 embedding would widen everything that follows


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8])
def test_an_id_out_of_range_never_reads_another_tokens_row(dtype):
    p = {"table": jnp.asarray(W)}
    out = jax.jit(embed)(p, jnp.array([3, 200, 1]).astype(dtype))
    assert np.isnan(out[:2]).all()
    np.testing.assert_array_equal(out[2], W[1])
    if dtype == jnp.int32:
        assert np.isnan(embed(p, jnp.array([-1, -3, 2**31 - 1, -(2**31)]))).all()


def test_activations_are_the_references():
    x = np.linspace(-4, 4, 33)
    erf = np.vectorize(math.erf)
    sigmoid = 1 / (1 + np.exp(-x))
    tanh_gelu = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    expected = {
        "gelu": 0.5 * x * (1 + erf(x / math.sqrt(2))),
        "gelu_python": 0.5 * x * (1 + erf(x / math.sqrt(2))),
        "gelu_new": tanh_gelu,
        "gelu_fast": tanh_gelu,
        "gelu_pytorch_tanh": tanh_gelu,
        "quick_gelu": x / (1 + np.exp(-1.702 * x)),
        "relu": np.maximum(x, 0),
        "relu2": np.maximum(x, 0) ** 2,
        "relu6": np.clip(x, 0, 6),
        "leaky_relu": np.where(x > 0, x, 0.01 * x),
        "silu": x * sigmoid,
        "swish": x * sigmoid,
        "mish": x * np.tanh(np.log1p(np.exp(x))),
        "elu": np.where(x > 0, x, np.expm1(x)),
        "selu": 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        "softplus": np.log1p(np.exp(x)),
        "sigmoid": sigmoid,
        "tanh": np.tanh(x),
        "linear": x,
    }
    assert expected.keys() == ACTIVATIONS.keys()
    for name, function in ACTIVATIONS.items():
        np.testing.assert_allclose(function(jnp.asarray(x, jnp.float32)), expected[name], atol=2e-6, err_msg=name)
