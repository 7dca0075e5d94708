"""Low-rank additions to dense layers and tables (Hu et al. 2021, arXiv 2106.09685): one for each of several tasks, of
which each row of a batch takes its own (Sturua et al. 2024, arXiv 2409.10173).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param
from . import embedding
from .inputs import Inputs


def dense(layer: Any, tasks: int, rank: int) -> Any:
    """A declared dense layer with `tasks` additions of `rank`, under the names of torch's parametrizations."""
    weight = layer["weight"]
    (d_out, d_in), (out, into) = weight.shape, weight.axes
    original, narrow, widen = _names(weight)
    return layer | {
        "weight": dataclasses.replace(weight, name=original),
        "tasks": {
            "narrow": Param((tasks, rank, d_in), (None, None, into), narrow, "kernel"),
            "widen": Param((tasks, d_out, rank), (None, out, None), widen, "kernel", declare.zeros),
        },
    }


def table(rows: Any, tasks: int, rank: int) -> Any:
    """A declared table [V, D] with `tasks` additions of `rank`."""
    table = rows["table"]
    (count, dim), (axis, embed) = table.shape, table.axes
    original, narrow, widen = _names(table)
    return {
        "table": dataclasses.replace(table, name=original),
        "tasks": {
            "narrow": Param((tasks, count, rank), (None, axis, None), narrow, "kernel", declare.zeros),
            "widen": Param((tasks, rank, dim), (None, None, embed), widen, "kernel"),
        },
    }


def _names(param: Param) -> tuple[str, str, str]:
    path = f"{param.name.removesuffix('.weight')}.parametrizations.weight"
    return f"{path}.original", f"{path}.0.lora_A", f"{path}.0.lora_B"


def chosen(params: Any, rows: jax.Array | None, scale: float) -> Any:
    """A tree in which each dense layer has, for each row of the batch, its task's addition, or none.

    Args:
        params: as declared; arrays of layers may be stacked.
        rows: [B] the task of each row, None: no task.
        scale: of the additions.
    """
    if isinstance(params, list | tuple):
        return type(params)(chosen(child, rows, scale) for child in params)
    if not isinstance(params, dict):
        return params
    plain = {name: chosen(child, rows, scale) for name, child in params.items() if name != "tasks"}
    if rows is None or "tasks" not in params or "weight" not in params:
        return plain
    narrow, widen = params["tasks"]["narrow"], params["tasks"]["widen"]  # the third axis from behind is the tasks'
    return plain | {"lora": {"narrow": jnp.take(narrow, rows, -3), "widen": jnp.take(widen, rows, -3) * scale}}


def product(p: Any, x: jax.Array) -> jax.Array:
    """What is added to the dense layer's result for x [B, ..., in]: [B, ..., out] in float32."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    narrow = jnp.einsum("b...i,bri->b...r", x, p["narrow"], preferred_element_type=wide)
    return jnp.einsum("b...r,bor->b...o", narrow, p["widen"], preferred_element_type=wide)


def embed(p: Any, inputs: Inputs, ids: jax.Array | None, rows: jax.Array | None, scale: float) -> jax.Array:
    """Rows of a table [V, D] with the addition of each row's task: [B, T, D].

    ids: [B or 1, T] of the table, None: the batch's own, or the vectors that were given in their place. rows: [B] the
    task of each row; None: no addition.
    """
    x = embedding.embed_tokens(p, inputs) if ids is None else embedding.embed(p, ids)
    ids = inputs.ids if ids is None else ids
    if rows is None or "tasks" not in p or ids is None:
        return x
    narrow, widen = p["tasks"]["narrow"][rows[:, None], ids], p["tasks"]["widen"][rows]
    return x + scale * jnp.einsum("btr,brd->btd", narrow, widen)
