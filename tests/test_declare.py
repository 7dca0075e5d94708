"""One declaration gives random weights, shapes and names; a new array must not change the others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxformers import declare


def tree(extra: bool = False) -> declare.Tree:
    layer = {"norm": declare.layer_norm(3, "LayerNorm"), "up": declare.linear(3, 4, "dense", ("embed", "mlp"))}
    if extra:
        layer |= {"another": declare.linear(3, 3, "another")}
    return declare.under("embeddings", {"word": declare.embedding(5, 3, "words", "vocab", zero_row=1)}) | {
        "layers": declare.repeat(2, "layer.{}", layer),
        "head": {"bias": declare.vector(5, "bias")},
    }


def test_names_and_paths():
    assert {path: param.name for path, param in declare.walk(tree())} == {
        "word.table": "embeddings.words.weight",
        "layers.0.norm.scale": "layer.0.LayerNorm.weight",
        "layers.0.norm.bias": "layer.0.LayerNorm.bias",
        "layers.0.up.weight": "layer.0.dense.weight",
        "layers.0.up.bias": "layer.0.dense.bias",
        "layers.1.norm.scale": "layer.1.LayerNorm.weight",
        "layers.1.norm.bias": "layer.1.LayerNorm.bias",
        "layers.1.up.weight": "layer.1.dense.weight",
        "layers.1.up.bias": "layer.1.dense.bias",
        "head.bias": "bias",
    }
    records = dict(declare.walk(declare.under("bert", tree())))
    assert records["layers.1.norm.scale"].aliases == ("bert.layer.1.LayerNorm.gamma",)
    assert records["layers.1.norm.bias"].aliases == ("bert.layer.1.LayerNorm.beta",)
    assert records["layers.0.up.weight"].shape == (4, 3)  # as the Hub keeps it: out, in
    assert records["layers.0.up.weight"].axes == ("mlp", "embed")
    assert records["word.table"].axes == ("vocab", "embed")
    assert declare.under("", tree()) == tree()
    assert declare.size(tree()) == 15 + 2 * (3 + 3 + 12 + 4) + 5


def test_tied_names_are_kept_as_they_are():
    param = declare.tied(
        declare.under("bert", declare.layer_norm(3, "norm"))["scale"], "decoder.weight", "decoder.weight"
    )
    assert param.name == "bert.norm.weight"
    assert param.aliases == ("bert.norm.gamma", "decoder.weight")


def test_random_weights_by_their_initialisers():
    params = declare.init(tree(), jax.random.key(0))
    np.testing.assert_array_equal(params["layers"][0]["norm"]["scale"], np.ones(3))
    np.testing.assert_array_equal(params["layers"][0]["norm"]["bias"], np.zeros(3))
    np.testing.assert_array_equal(params["word"]["table"][1], np.zeros(3))
    assert np.abs(np.delete(params["word"]["table"], 1, axis=0)).min() > 0
    assert not np.array_equal(params["layers"][0]["up"]["weight"], params["layers"][1]["up"]["weight"])
    drawn = lambda init: init(jax.random.key(1), (200, 200), np.float32)  # noqa: E731
    for init, mean, std in (
        (declare.Normal(0.5), 0.0, 0.5),
        (declare.Normal(0.5, cut=2.0), 0.0, 0.44),
        (declare.Uniform(1.0, 3.0), 2.0, 3**-0.5),
        (declare.by_fans, 0.0, 0.05),
    ):
        assert abs(float(drawn(init).mean()) - mean) < 0.01
        assert abs(float(drawn(init).std()) - std) < 0.01
    assert float(np.abs(drawn(declare.Normal(0.5, cut=2.0))).max()) <= 1.0


def test_a_new_array_leaves_the_others_draws_alone():
    key = jax.random.key(3)
    before, after = (
        dict(jax.tree_util.tree_leaves_with_path(declare.init(tree(extra), key))) for extra in (False, True)
    )
    assert len(after) == len(before) + 4
    for path, array in before.items():
        np.testing.assert_array_equal(after[path], array, err_msg=jax.tree_util.keystr(path))
    other = declare.init(tree(), jax.random.key(4))
    assert not np.array_equal(other["word"]["table"], declare.init(tree(), key)["word"]["table"])


def test_abstract_is_the_same_tree_without_memory():
    abstract = declare.abstract(tree(), jnp.bfloat16)
    made = declare.init(tree(), jax.random.key(0), dtype=jnp.bfloat16)
    assert jax.tree.structure(abstract) == jax.tree.structure(made)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(abstract))
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), abstract, made)
    assert all(jax.tree.leaves(same))
    huge = declare.abstract({"word": declare.embedding(2**31 - 1, 2**31 - 1, "words")})
    assert huge["word"]["table"].shape == (2**31 - 1, 2**31 - 1)


def test_sinusoids_are_sines_on_even_and_cosines_on_odd_columns():
    table = declare.sinusoid(jax.random.key(0), (4, 6), np.float32)
    place, pair = np.arange(4)[:, None], np.arange(3)[None]
    angle = place / 10_000 ** (2 * pair / 6)
    np.testing.assert_allclose(table[:, 0::2], np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(table[:, 1::2], np.cos(angle), atol=1e-6)


def test_lists_of_layers_are_stacked_anywhere():
    layer = {"up": declare.linear(3, 4, "up"), "experts": [declare.vector(2, "e0"), declare.vector(3, "e1")]}
    both = {
        "encoder": {"layers": declare.repeat(2, "encoder.{}", layer)},
        "decoder": {"layers": [*declare.repeat(2, "decoder.{}", layer), declare.layer_norm(5, "decoder.2")]},
    }
    stacked = declare.stacked(declare.resolved(both))
    first = stacked["encoder"]["layers"]["up"]["weight"]
    assert (first.shape, first.axes) == ((2, 4, 3), ("layers", "out", "embed"))
    assert [record.path for record in first.records] == [f"encoder.layers.{i}.up.weight" for i in range(2)]
    assert [record.name for record in first.records] == [f"encoder.{i}.up.weight" for i in range(2)]
    equal, other = stacked["decoder"]["layers"]  # a run of equal layers, and one of another kind
    assert equal["experts"][1].shape == (2, 3)
    assert other["scale"].shape == (1, 5)
    key = jax.random.key(0)
    listed, made = declare.init(both, key), declare.init(stacked, key)
    np.testing.assert_array_equal(
        made["encoder"]["layers"]["up"]["weight"][1], listed["encoder"]["layers"][1]["up"]["weight"]
    )
    assert jax.tree.structure(declare.like(both, made), is_leaf=declare.is_param) == jax.tree.structure(made)
    assert declare.size(stacked) == declare.size(both)
