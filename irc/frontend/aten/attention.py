"""Scaled dot-product attention, kept whole."""

from __future__ import annotations

import math

from irc.frontend.aten.linear import repeat_heads
from irc.frontend.aten.table import converts
from irc.frontend.context import Context
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.attention import Sdpa
from irc.ir.ops.math import Compare
from irc.ir.ops.tensor import Iota, Reshape


@converts("scaled_dot_product_attention.default")
def sdpa(
    c: Context,
    q: Value,
    k: Value,
    v: Value,
    mask: Value | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Value:
    if dropout:
        c.unsupported("dropout inside attention", "call eval() on the model before capturing it")
    depth = q.type.shape[-1]
    if scale is None:
        if not isinstance(depth, int):
            c.unsupported(f"head width {depth} is not a number", "pass scale=")
        scale = 1 / math.sqrt(depth)
    if grouped:
        k, v = (repeat_heads(c, x, _times(c, q, x)) for x in (k, v))
    if causal:
        mask = causal_mask(c, q.type.shape[-2], k.type.shape[-2])
    return c.b(Sdpa(q, k, v, mask, scale=float(scale)))


@converts("_scaled_dot_product_flash_attention_for_cpu.default")
def sdpa_fused(
    c: Context, q: Value, k: Value, v: Value, dropout: float, causal: bool, mask: Value | None, scale: float | None
) -> tuple[Value, ...]:
    return (sdpa(c, q, k, v, mask, dropout, causal, scale, False),)


def _times(c: Context, q: Value, x: Value) -> int:
    heads, own = q.type.shape[-3], x.type.shape[-3]
    if not isinstance(heads, int) or not isinstance(own, int) or heads % own:
        c.unsupported(f"{own} key heads for {heads} query heads")
    return heads // own


def causal_mask(c: Context, rows: Dim, columns: Dim) -> Value:
    """bool [rows, columns], true where column <= row."""
    row = c.b(Reshape(c.b(Iota(0, 1, shape=(rows,))), (rows, 1)))
    column = c.b(Reshape(c.b(Iota(0, 1, shape=(columns,))), (1, columns)))
    return c.b(Compare(column, row, "le"))
