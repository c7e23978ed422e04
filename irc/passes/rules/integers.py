"""Rules about integer ops that change nothing, or that a neighbour can do as well. All of them keep every bit."""

from __future__ import annotations

import math

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.math import Cast, Clamp
from irc.ir.ops.quant import Dequantize, Lut, Quantize, Requantize, Rescale, constant_of
from irc.ir.rewrite import Match, Miss, Rule, any_, op_
from irc.ir.scalars import Array
from irc.passes.analysis.codes import code_interval
from irc.passes.rules.arithmetic import clamp_bounds


class ImpliedClamp(Rule):
    """clamp x -> x where every code that x can hold is within the bounds"""

    pattern = op_(Clamp, any_("x"))

    def guard(self, m: Match) -> Miss | None:
        if not m["x"].type.scalar.is_integer:
            return Miss("floats have no range of codes")
        lo, hi = code_interval(m["x"])
        bound_lo, bound_hi = clamp_bounds(m.root)
        return None if bound_lo <= lo and hi <= bound_hi else Miss(f"the operand holds {lo:g} .. {hi:g}")

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


class ClampBeforeRequantize(Rule):
    """requantize(clamp x) -> requantize x where saturation does the same; or the clamp loses the bound it does not need

    Proof: requantize is a function R of one code that never decreases, since m > 0 and multiplying by m, shifting,
    rounding, adding zp and saturating never do. So R(clamp(x, lo, hi)) = clamp(R(x), R(lo), R(hi)). If R(lo) is the
    lowest code of the result's type, no R(x) is below it and the bound lo does nothing; likewise hi and the highest.
    """

    pattern = op_(Requantize, op_(Clamp, any_("x"), name="clamp", once=True), name="requantize")

    def guard(self, m: Match) -> Miss | None:
        m_values = constant_of(m.node("requantize").m)
        if m_values is None or not np.all(m_values > 0):
            return Miss("the multiplier is not a positive constant")
        if self._needed(m) == clamp_bounds(m.node("clamp")):
            return Miss("saturation does not imply either bound")
        return None

    def _needed(self, m: Match) -> tuple[float, float]:
        """The bounds of the clamp that saturation does not imply; infinite where there is none."""
        requantize: Requantize = m.node("requantize")
        lo, hi = clamp_bounds(m.node("clamp"))
        target = requantize.to.scalar
        if math.isfinite(lo) and np.all(_requantized(requantize, lo) == target.min):
            lo = -math.inf
        if math.isfinite(hi) and np.all(_requantized(requantize, hi) == target.max):
            hi = math.inf
        return lo, hi

    def build(self, m: Match, b: Builder) -> Value:
        lo, hi = self._needed(m)
        x = m["x"] if (lo, hi) == (-math.inf, math.inf) else b(Clamp(m["x"], lo=lo, hi=hi))
        return b(rebuilt(m.node("requantize"), x=x))


def _requantized(op: Requantize, code: float) -> Array:
    """What a requantize makes of one code, for each of its multipliers."""
    m, scalar = constant_of(op.m), op.x.type.scalar
    assert m is not None
    shape = [1] * op.x.type.rank
    if op.axis is not None and m.ndim:
        shape[op.axis] = len(m)
    return op.reference(np.full(shape, min(max(int(code), scalar.min), scalar.max), scalar.dtype), m)


class NarrowRequantize(Rule):
    """cast(clamp(requantize x)) -> requantize x to the narrow type, whose saturation is the clamp"""

    pattern = op_(
        Cast,
        op_(Clamp, op_(Requantize, any_("x"), name="requantize", once=True), name="clamp", once=True),
        name="cast",
    )

    def guard(self, m: Match) -> Miss | None:
        # Saturating to the wide type and then to lo .. hi is saturating to the intersection of both.
        narrow = m.node("cast").to.scalar
        lo, hi = code_interval(m.node("clamp").result)
        if not narrow.is_integer or (lo, hi) != (narrow.min, narrow.max):
            return Miss(f"{lo:g} .. {hi:g} is not the range of {narrow}")
        return None

    def build(self, m: Match, b: Builder) -> Value:
        return b(rebuilt(m.node("requantize"), to=m.node("cast").to))


class NeutralRequantize(Rule):
    """requantize x -> x where the multiplier is exactly 1 and nothing else changes"""

    pattern = op_(Requantize, any_("x"), name="requantize")

    def guard(self, m: Match) -> Miss | None:
        op: Requantize = m.node("requantize")
        if op.to != m["x"].type.element or op.zp != op.x_zp:
            return Miss(f"{m['x'].type.element} becomes {op.to}")
        # ((x - zp) * 2^s + 2^(s-1)) >> s = x - zp; and f32(x - zp) * 1 is exact up to 24 bits.
        one = 1.0 if op.mode == "float" else 2.0**op.shift
        if op.mode == "float" and op.to.scalar.bits > 23:
            return Miss(f"not every {op.to.scalar} is a float")
        values = constant_of(op.m)
        return None if values is not None and np.all(values == one) else Miss("the multiplier is not 1")

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


class QuantizeOfDequantize(Rule):
    """quantize(dequantize x) -> x in the same encoding

    Proof for n = x - zp of at most 17 bits: dequantize and quantize compute n * scale * r with r = f32(1/scale), three
    roundings of at most 2^-24 each, so the product is within 2^17 * 3.1 * 2^-24 < 1/2 of n, and rint gives n.
    """

    pattern = op_(Quantize, op_(Dequantize, any_("x"), name="dequantize"), name="quantize")

    def guard(self, m: Match) -> Miss | None:
        outer: Quantize = m.node("quantize")
        inner: Dequantize = m.node("dequantize")
        if outer.to.encoding is None or outer.to != inner.x.type.element:
            return Miss(f"{inner.x.type.element} becomes {outer.to}")
        if outer.to.scalar.bits > 16:
            return Miss(f"{outer.to.scalar} has more than 16 bits")
        if constant_of(outer.r) is None or constant_of(inner.scale) is None:
            return Miss("the scales are not constants, so nothing ties them to the encoding")
        scales = outer.to.encoding.scales
        ordinary = np.all((scales >= 2.0**-100) & (scales <= 2.0**100))
        return None if ordinary else Miss("a product could leave the normal floats")

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


class MergeRescales(Rule):
    """rescale(rescale x) -> rescale x where the scale comes out the same"""

    pattern = op_(Rescale, op_(Rescale, any_("x"), name="inner"), name="outer")

    def guard(self, m: Match) -> Miss | None:
        merged = rebuilt(m.root, x=m["x"], by=_factor(m))
        same = merged.infer_types()[0].matches(m.root.results[0].type)
        merged.drop_operands()
        return None if same else Miss("one factor would round the scale differently")

    def build(self, m: Match, b: Builder) -> Value:
        return b(Rescale(m["x"], by=_factor(m)))


def _factor(m: Match) -> float:
    return float(m.node("inner").by * m.node("outer").by)


def _function_miss(op: Op) -> Miss | None:
    """Why an op is no known function of one code."""
    if isinstance(op, Requantize) and (op.m.type.rank or constant_of(op.m) is None):
        return Miss("requantize has no single constant multiplier")
    if isinstance(op, Lut) and constant_of(op.table) is None:
        return Miss("the table is not constant")
    return None


def _apply(op: Op, codes: Array) -> Array:
    """An op that is a function of one code, on some codes."""
    return op.reference(codes, *(constant_of(v) for v in op.operands[1:]))


FUNCTIONS = (Clamp, Requantize, Lut, Rescale)
TABLE_BITS = 16  # of an entry: wider tables cost more memory than the arithmetic they save


class FunctionOfTable(Rule):
    """clamp, requantize, lut or rescale of a lut -> lut"""

    pattern = op_(FUNCTIONS, op_(Lut, any_("x"), name="lut", once=True))

    def guard(self, m: Match) -> Miss | None:
        if m.root.results[0].type.scalar.bits > TABLE_BITS:
            return Miss(f"entries of {m.root.results[0].type.scalar} are too wide for a table")
        return _function_miss(m.root) or _function_miss(m.node("lut"))

    def build(self, m: Match, b: Builder) -> Value:
        to = m.root.results[0].type.element
        table = constant_of(m.node("lut").table)
        assert table is not None
        return b(Lut(m["x"], b.const(_apply(m.root, table), to.scalar), to=to))


class TableOfFunction(Rule):
    """lut of a clamp, requantize or rescale of at most 8 bits -> lut"""

    pattern = op_(Lut, op_((Clamp, Requantize, Rescale), any_("x"), name="inner", once=True), name="lut")

    def guard(self, m: Match) -> Miss | None:
        scalar = m["x"].type.scalar
        if scalar.bits > 8:
            return Miss(f"the operand has {scalar.bits} bits, a table takes at most 8")
        return _function_miss(m.node("inner")) or _function_miss(m.node("lut"))

    def build(self, m: Match, b: Builder) -> Value:
        scalar, lut = m["x"].type.scalar, m.node("lut")
        codes = np.arange(scalar.min, scalar.max + 1).astype(scalar.dtype)
        return b(Lut(m["x"], b.const(_apply(lut, _apply(m.node("inner"), codes)), lut.to.scalar), to=lut.to))


RULES: tuple[Rule, ...] = (
    ImpliedClamp(),
    ClampBeforeRequantize(),
    NarrowRequantize(),
    NeutralRequantize(),
    QuantizeOfDequantize(),
    MergeRescales(),
    FunctionOfTable(),
    TableOfFunction(),
)
