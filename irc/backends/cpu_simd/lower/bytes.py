"""Elementwise ops on codes of 8 bits in lanes of 8 bits: four times as many in a vector as in lanes of 32."""

from __future__ import annotations

import math

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Kernel
from irc.backends.cpu_simd.lower.common import ON_BYTES, computes
from irc.backends.cpu_simd.lower.math import wrapped
from irc.backends.cpu_simd.lowering import Lowering
from irc.ir.ops.math import Cast, Clamp, Compare, Maximum, Minimum
from irc.ir.scalars import ScalarType


def largest(k: Kernel, scalar: ScalarType, x: Lane, y: Lane) -> Lane:
    """The larger one of two integers in lanes as wide as their type."""
    return k.f.intrinsic("smax" if scalar.signed else "umax", x, y)


def smallest(k: Kernel, scalar: ScalarType, x: Lane, y: Lane) -> Lane:
    """The smaller one of two integers in lanes as wide as their type."""
    return k.f.intrinsic("smin" if scalar.signed else "umin", x, y)


@computes(Maximum, lanes=ON_BYTES)
def maximum(cx: Lowering, k: Kernel, op: Maximum, lanes: list[Lane]) -> Lane:
    return largest(k, op.results[0].type.scalar, *lanes)


@computes(Minimum, lanes=ON_BYTES)
def minimum(cx: Lowering, k: Kernel, op: Minimum, lanes: list[Lane]) -> Lane:
    return smallest(k, op.results[0].type.scalar, *lanes)


@computes(Clamp, lanes=ON_BYTES)
def clamp(cx: Lowering, k: Kernel, op: Clamp, lanes: list[Lane]) -> Lane:
    x, scalar = lanes[0], op.x.type.scalar
    low, high = (k.f.const(_code(bound, scalar), x.kind, x.lanes) for bound in (op.lo, op.hi))
    return smallest(k, scalar, largest(k, scalar, x, low), high)


def _code(bound: float, scalar: ScalarType) -> int:
    """A bound as the bits of a code, signed as LLVM writes them."""
    if math.isinf(bound):
        bound = scalar.min if bound < 0 else scalar.max
    code = int(bound)
    return code if code < 128 else code - 256


@computes(Compare, lanes=ON_BYTES)
def compare(cx: Lowering, k: Kernel, op: Compare, lanes: list[Lane]) -> Lane:
    x, y = lanes
    if op.how in ("eq", "ne"):
        return x.compare(op.how, y)
    return x.compare(("s" if op.x.type.scalar.signed else "u") + op.how, y)


@computes(Cast, lanes=ON_BYTES)
def cast(cx: Lowering, k: Kernel, op: Cast, lanes: list[Lane]) -> Lane:
    x, target = lanes[0], op.to.scalar
    if target.kind == "bool":
        return x if x.kind == "i1" else x.compare("ne", 0)
    return wrapped(k.f.convert("zext", x, "i8"), target)
