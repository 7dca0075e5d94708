"""What compiled programs do, counted in their text."""

from __future__ import annotations

import textwrap

import jax
import jax.numpy as jnp
import pytest
from devices import on_devices

from jaxformers.parallel.compiled import work


def text(*lines: str, before: str = "") -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"HloModule m\n\n{textwrap.dedent(before)}\nENTRY %main (a: f32[8,128]) -> f32[8,128] {{\n{body}\n}}\n"


def test_arrays_are_read_and_written() -> None:
    program = text(
        "%a = f32[8,128]{1,0} parameter(0)",
        '%b = f32[8,128]{1,0} negate(%a), metadata={op_name="first"}',
        "ROOT %c = f32[8,128]{1,0:S(1)} negate(%b)",  # into the caches
    )
    found = work(program)
    assert found.traffic == 3 * 4096
    assert found.sources == {"first": 2 * 4096, "c": 4096}
    assert found.collectives == {}


def test_of_an_update_in_place_the_new_part_counts() -> None:
    program = text(
        "%a = bf16[64,8,128]{2,1,0} parameter(0)",
        "%new = bf16[1,8,128]{2,1,0} parameter(1)",
        "%i = s32[] parameter(2)",
        "ROOT %b = bf16[64,8,128]{2,1,0} fusion(%a, %new, %i), kind=kLoop, calls=%f",
        before="""
        %f (p: bf16[64,8,128], q: bf16[1,8,128], i: s32[]) -> bf16[64,8,128] {
          %p = bf16[64,8,128]{2,1,0} parameter(0)
          %q = bf16[1,8,128]{2,1,0} parameter(1)
          %i = s32[] parameter(2)
          %zero = s32[] constant(0)
          ROOT %u = bf16[64,8,128]{2,1,0} dynamic-update-slice(%p, %q, %i, %zero, %zero)
        }
        """,
    )
    assert work(program).traffic == 2 * 8 * 128 * 2 + 4


def test_of_a_part_that_is_read_the_part_counts() -> None:
    program = text(
        "%a = s8[64,8,128]{2,1,0} parameter(0)",
        "%i = s32[] parameter(1)",
        "ROOT %b = f32[8,128]{1,0} fusion(%a, %i), kind=kLoop, calls=%f",
        before="""
        %inner (x: s8[64,8,128]) -> s8[64,8,128] {
          %x = s8[64,8,128]{2,1,0} parameter(0)
          ROOT %y = s8[64,8,128]{2,1,0} bitcast(%x)
        }

        %f (p: s8[64,8,128], i: s32[]) -> f32[8,128] {
          %p = s8[64,8,128]{2,1,0} parameter(0)
          %i = s32[] parameter(1)
          %zero = s32[] constant(0)
          %same = s8[64,8,128]{2,1,0} fusion(%p), kind=kLoop, calls=%inner
          %part = s8[1,8,128]{2,1,0} dynamic-slice(%same, %i, %zero, %zero), dynamic_slice_sizes={1,8,128}
          %flat = s8[8,128]{1,0} bitcast(%part)
          ROOT %c = f32[8,128]{1,0} convert(%flat)
        }
        """,
    )
    assert work(program).traffic == 8 * 128 + 4 + 4096


def loop(limit: str) -> str:
    return text(
        "%a = (s32[], f32[8,128]{1,0}) parameter(0)",
        "%w = (s32[], f32[8,128]{1,0}) while(%a), condition=%c, body=%b",
        "ROOT %r = f32[8,128]{1,0} get-tuple-element(%w), index=1",
        before=f"""
        %c (s: (s32[], f32[8,128])) -> pred[] {{
          %s = (s32[], f32[8,128]{{1,0}}) parameter(0)
          %n = s32[] get-tuple-element(%s), index=0
          %most = s32[] {limit}
          ROOT %less = pred[] compare(%n, %most), direction=LT
        }}

        %b (s: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {{
          %s = (s32[], f32[8,128]{{1,0}}) parameter(0)
          %n = s32[] get-tuple-element(%s), index=0
          %x = f32[8,128]{{1,0}} get-tuple-element(%s), index=1
          %y = f32[8,128]{{1,0}} all-reduce(%x), replica_groups={{}}, to_apply=%add
          ROOT %t = (s32[], f32[8,128]{{1,0}}) tuple(%n, %y)
        }}
        """,
    )


def test_a_loop_counts_as_often_as_it_runs() -> None:
    found = work(loop("constant(12)"))
    assert found.traffic == 12 * 2 * 4096
    assert found.collectives == {"all-reduce": (12, 12 * 4096)}


def test_a_loop_without_a_known_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="loop w: how often it runs"):
        work(loop("get-tuple-element(%s), index=0"))


def test_what_jax_compiles_can_be_counted() -> None:
    def many(x: jax.Array, weights: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]

    x, weights = jnp.ones((16, 256)), jnp.ones((6, 256, 256))
    found = work(jax.jit(many).lower(x, weights).compile().as_text())
    assert weights.nbytes <= found.traffic < 3.5 * weights.nbytes  # a CPU's compiler copies each before its product


def test_collectives_of_a_mesh() -> None:
    program = """
        import jax, jax.numpy as jnp
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
        from jaxformers.parallel.compiled import work

        mesh = jax.make_mesh((8,), ("tensor",), (AxisType.Auto,))
        put = lambda x, *spec: jax.device_put(x, NamedSharding(mesh, P(*spec)))
        x, up = put(jnp.ones((4, 64))), put(jnp.ones((128, 64)), "tensor")
        down = put(jnp.ones((64, 128)), None, "tensor")
        text = jax.jit(lambda x, up, down: x @ up.T @ down.T).lower(x, up, down).compile().as_text()
        print({kind: tuple(found) for kind, found in work(text).collectives.items()})
    """
    assert on_devices(program) == str({"all-reduce": (1, 4 * 64 * 4)})
