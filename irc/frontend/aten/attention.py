"""Scaled dot-product attention, kept whole."""

from __future__ import annotations

import math

from irc.frontend.aten.table import converts
from irc.frontend.composed.attention import causal_mask
from irc.frontend.composed.linear import repeat_heads
from irc.frontend.context import Context
from irc.ir.graph import Value
from irc.ir.ops.attention import Sdpa


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
    if scale is None:
        scale = 1 / math.sqrt(c.number(q.type.shape[-1], "the width of a head"))
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
    """How many query heads share a key head."""
    return c.number(q.type.shape[-3], "the number of heads") // c.number(x.type.shape[-3], "the number of heads")
