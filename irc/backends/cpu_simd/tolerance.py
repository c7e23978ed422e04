"""How far floats of this backend may be from the interpreter's, once for every op that is not exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irc.ir.graph import Node
from irc.ir.ops.quant import Quantize, Requantize
from irc.ir.ops.structure import Kernel
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Tolerance:
    """Units in the last place of the interpreter's value, or of `floor` where the value is smaller.

    The interpreter computes with NumPy, whose functions have errors of their own (up to 3.5 units in f32, and 1e-11 for
    erf, which is interpolated); both errors are in the figure. `error` is that of this backend alone: the largest
    distance in f32 units from the exact value, as tests/cpu_simd/test_cpu_functions.py measures it.

    The figures of norms and attention hold for factors and scores of a few units; norms in f32 take squares in f32,
    which overflow above 1e19.
    """

    single: float
    double: float
    floor: float = 0.0
    error: float = 0.0


INTERPOLATED = 1e5
"""Units of f64 that the interpreter's erf may be off."""

TOLERANCES: dict[str, Tolerance] = {
    "avg_pool": Tolerance(4, 4, floor=4.0),
    "batch_norm": Tolerance(1, 2, floor=1.0),
    "cos": Tolerance(4, 4, error=1.6),
    "elu": Tolerance(3, 3, error=1.1),
    "erf": Tolerance(3, INTERPOLATED, error=1.5),
    "exp": Tolerance(4, 3, error=1.1),
    "gelu": Tolerance(8, 1e3 * INTERPOLATED, floor=1e-3, error=6.5),
    "group_norm": Tolerance(16, 16, floor=1.0),
    "layer_norm": Tolerance(16, 16, floor=1.0),
    "log": Tolerance(5, 3, error=0.9),
    "mean": Tolerance(1, 16, floor=1.0),
    "pow": Tolerance(2, 8, error=1.5),
    "rms_norm": Tolerance(6, 16, floor=1e-30),
    "sdpa": Tolerance(32, 64, floor=1.0),
    "sigmoid": Tolerance(6, 4, error=2.4),
    "silu": Tolerance(6, 5, floor=1e-30, error=3.0),
    "sin": Tolerance(4, 4, error=1.6),
    "softmax": Tolerance(8, 8, floor=1e-30),
    "softplus": Tolerance(6, 4, error=1.9),
    "sum": Tolerance(1, 64, floor=1.0),
    "tanh": Tolerance(4, 4, error=2.4),
}
"""Ops that are not here have the interpreter's bits."""


def tolerance(op: str) -> Tolerance:
    """The tolerance of an op by name."""
    return TOLERANCES.get(op, Tolerance(0, 0))


PRODUCTS = 1e-5
"""Of the largest result: sums of float products are taken in another order, those of 3x3 convolutions also by way of
transforms. These are off by up to 4e-6 (2e-6 for tiles of 2x2) with 512 channels of random numbers, with and without an
offset, as tests/cpu_simd/test_cpu_winograd.py measures it against f64; `cpu{winograd=no}` does without them."""


def allowed(node: Node, expected: Array) -> float:
    """How far the results of a node may be off: nothing for integers, one step where floats are rounded to codes.

    What lies behind codes inside a kernel, as a residual sum behind a layer norm, may be one step of each rounding off:
    floats, or codes of finer steps.
    """
    ops = list(node.body.nodes) if isinstance(node, Kernel) else [node]
    summed = any(op.opname in ("linear", "matmul", "conv") and op.results[0].type.scalar.is_float for op in ops)
    known = [tolerance(op.opname) for op in ops if op.results and op.results[0].type.scalar.is_float]
    if not summed and not any(t.single for t in known):
        return 0.0
    if not node.results[0].type.scalar.is_float:
        encoding = node.results[0].type.encoding
        return 1.0 if encoding is None else max(1.0, _steps(ops) / float(np.min(encoding.scales)))
    finite = np.abs(expected[np.isfinite(expected)])
    largest = max(float(finite.max(initial=0)), *(t.floor for t in known))
    double = expected.dtype == np.float64
    units = sum(t.double if double else t.single for t in known)
    return largest * (units * float(np.finfo(expected.dtype).eps) + PRODUCTS * summed) + _steps(ops)


def _steps(ops: Sequence[Node]) -> float:
    """The sum of one step of all codes that floats are rounded to, and these to others."""
    if not any(isinstance(op, Quantize) for op in ops):
        return 0.0
    rounded = [op.results[0].type.encoding for op in ops if isinstance(op, Quantize | Requantize)]
    return sum(float(np.max(encoding.scales)) for encoding in rounded if encoding is not None)
