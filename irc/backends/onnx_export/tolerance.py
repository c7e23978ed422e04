"""How far results may be from the interpreter's, given the same operands."""

from __future__ import annotations

import numpy as np

from irc.ir.graph import Node
from irc.ir.op import Op
from irc.ir.ops.quant import Quantize
from irc.ir.ops.structure import Kernel
from irc.ir.scalars import Array

RELATIVE = 1e-5
"""Of the largest result: other orders of sums, other approximations of functions."""


def allowed(node: Node, expected: Array) -> float:
    """Nothing for integers; one step where floats are rounded to codes.

    QuantizeLinear divides by the scale where `quantize` multiplies by its reciprocal.
    """
    ops = list(node.body.nodes) if isinstance(node, Kernel) else [node]
    result = node.results[0].type.scalar
    if not result.is_float:
        return 1.0 if any(isinstance(op, Quantize) for op in ops) else 0.0
    if all(isinstance(op, Op) and op.view for op in ops):
        return 0.0
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    step = 2.0**-7 if result.kind == "bf" else float(np.finfo(expected.dtype).eps)
    return float(np.max(finite, initial=0.0)) * max(RELATIVE, step)
