"""Constants. Functions and regions have no counterpart: calls are inlined, regions are walked through."""

from __future__ import annotations

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lowering import Lowering
from irc.ir.ops.structure import Const


@lowers(Const)
def lower_const(cx: Lowering, op: Const) -> str:
    return cx.writer.const(op.value.array, cx.kind(op.result), op.result.name or "constant")
