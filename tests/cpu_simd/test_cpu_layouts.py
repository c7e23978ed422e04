"""Values that lie as their readers want them keep their codes."""

from __future__ import annotations

import pytest
from cpu_graphs import Graphs

from irc.ir.graph import Value
from irc.ir.ops.linear import Conv
from irc.ir.ops.math import Clamp, Maximum
from irc.ir.ops.tensor import Expand, Reshape
from irc.ir.scalars import scalar


def padded_conv(g: Graphs, x: Value, x_zp: int) -> Value:
    kind = scalar("i4")
    w = g.const(g.codes(kind, (3, x.type.shape[1], 3, 3)), kind)
    return g.op(Conv(x, w, stride=(1, 1), padding=(1, 1, 1, 1), dilation=(1, 1), x_zp=x_zp))


@pytest.mark.parametrize("x_zp", [-1, 7, 100])
def test_the_zero_point_in_a_border_may_be_no_code_of_the_image(x_zp: int):
    g = Graphs(1)
    x = g.op(Clamp(g.input("u8", 1, 5, 6, 7), lo=8.0, hi=20.0))
    g.agree(padded_conv(g, x, x_zp))


def test_a_view_of_a_value_has_no_border():
    g = Graphs(2)
    row = g.input("u5", 1, 4, 1, 8)
    value = g.op(Maximum(row, g.const(3, "u5")))
    wide = g.op(Expand(value, shape=(1, 4, 3, 8)))
    turned = g.op(Reshape(value, shape=(1, 2, 4, 4)))
    g.agree(padded_conv(g, wide, 9), padded_conv(g, turned, 5), value)
