"""`integerize`: from quantize/dequantize pairs around float ops to ops on integer codes.

One walk in order. For every float value that stands for integer codes the pass remembers those codes (`dequantize`
begins one, `quantize` ends one in its own encoding); each op has a handler that turns codes of its operands into
codes of its result, most often an i32 sum whose scale follows from its operands. `main` keeps a `quantize` at each
float input and a `dequantize` at each float output; between them no float operation is left, unless its kind is named
in `islands`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.diagnostics import Collector, Diagnostic, IrcError
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import OPERANDS, Op
from irc.ir.ops.common import scale_ratio
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import (
    Abs,
    Add,
    Amax,
    Cast,
    Clamp,
    Compare,
    Cumsum,
    Maximum,
    Mean,
    Minimum,
    Mul,
    Neg,
    Relu,
    Sub,
    Sum,
    Unary,
    Where,
)
from irc.ir.ops.norm import LayerNorm, RmsNorm, Softmax
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.quant import (
    Dequantize,
    IntNorm,
    IntSoftmax,
    Lut,
    Quantize,
    Requantize,
    Rescale,
    constant_of,
    exp_table,
    norm_eps,
)
from irc.ir.ops.structure import Const, Return
from irc.ir.ops.tensor import Pad
from irc.ir.ops.token import Select
from irc.ir.scalars import BOOL, F32, I32, Array, integer
from irc.ir.types import Element, Encoding, f32, per_tensor
from irc.passes.analysis.codes import code_interval
from irc.passes.analysis.steps import Floats, hands_on
from irc.passes.base import Pass, PassContext
from irc.passes.encodings import Range, choose_element
from irc.passes.matchers import continues_sum, is_mask_fill, is_real, masked_scores, scalar_constant
from irc.passes.specialize import fixing

SUM_BITS = 24  # codes of the terms of a residual addition
NORM_BITS = 15
CONSTANT_BITS = 8  # of a constant that meets codes, or that was too large to compute with while compiling
SHARE_BITS = 16  # of what a window's sum is multiplied with where windows have different sizes


ISLANDS = ("softmax", "layer_norm")
"""What stays in float, between integers, where that is faster or more exact."""


@dataclass(frozen=True)
class Integerize(Pass):
    """Turn quantize/dequantize pairs into integer arithmetic; `auto` takes what the backend prefers.

    `requant` is the arithmetic of requantize; `islands` names the ops that stay float between a dequantize and a
    quantize (for example `softmax,layer_norm`); `none` makes everything integer.
    """

    name = "integerize"
    effect = "lossy"
    requant: Literal["auto", "fixed", "float"] = "auto"
    islands: tuple[str, ...] = ("auto",)
    multiplier: int = 24  # bits of a fixed-point multiplier, at most 31

    def resolved(self, cx: PassContext) -> Integerize:
        """With what the backend prefers in place of `auto`."""
        mode = cx.requant if self.requant == "auto" else self.requant
        islands = cx.islands or ("none",) if self.islands == ("auto",) else self.islands
        return replace(self, requant=mode, islands=islands)

    def run(self, module: Module, cx: PassContext) -> None:
        chosen = self.resolved(cx)
        mode: Literal["fixed", "float"] = "float" if chosen.requant == "float" else "fixed"
        islands = tuple(i for i in chosen.islands if i != "none")
        for function in module.functions.values():
            _Lowering(function, mode, islands, min(self.multiplier, 31)).run()


Handler = Callable[["_Lowering", Any], "Value | None"]
HANDLERS: dict[type[Op], Handler] = {}
F = TypeVar("F", bound=Handler)


def handles(*ops: type[Op]) -> Callable[[F], F]:
    """Registers the integer form of some ops."""

    def register(handler: F) -> F:
        HANDLERS.update(dict.fromkeys(ops, handler))
        return handler

    return register


@dataclass
class _Lowering:
    """The walk over one function."""

    graph: Graph
    mode: Literal["fixed", "float"]
    islands: tuple[str, ...]
    multiplier: int
    codes: dict[Value, Value] = field(
        default_factory=dict[Value, Value]
    )  # float value -> integer value with an encoding
    masks: dict[Value, Value] = field(default_factory=dict[Value, Value])  # masked scores -> their mask
    wide: dict[Value, Value] = field(default_factory=dict[Value, Value])  # requantized codes -> what they came from
    done: list[Op] = field(default_factory=list[Op])
    found: Collector = field(default_factory=Collector)

    def run(self) -> None:
        if not any(isinstance(n, Dequantize | Quantize) for n in self.graph.nodes):
            return
        self.floats = Floats(self.graph)
        for node in self.graph.nodes:
            op = cast(Op, node)
            self.b = Builder.before_node(op, op.loc.via("integerize"))
            self.node(op)
        self.found.raise_if_any()
        for op in reversed(self.done):
            if not any(r.uses for r in op.results):
                op.erase()

    def node(self, op: Op) -> None:
        if isinstance(op, Dequantize):
            if op.x.type.encoding is not None and op.group is None:
                self.codes[op.result] = op.x
                self.done.append(op)
        elif isinstance(op, Quantize):
            self.quantize(op)
        elif isinstance(op, Return):
            self.leave(op)
        elif isinstance(op, Cast) and op.x.type.scalar == BOOL and op.to.scalar.is_float:
            self.codes[op.result] = self.truth(op)
            self.done.append(op)
        elif any(v in self.codes or v in self.masks for v in op.operands) and (
            (op.results[0].type.scalar.is_float and not isinstance(op, Cast)) or isinstance(op, Compare)
        ):
            if self.stays_float(op):
                self.leave(op)
            else:
                self.compute(op)
        elif any(v in self.codes for v in op.operands):
            self.leave(op)  # casts, positions of maxima: from the real values

    def stays_float(self, op: Op) -> bool:
        """Whether an op computes with the real values that codes stand for: on the way to integers, beside floats that
        have no codes, and on the way to a comparison unless sums are compared as they are.
        """
        if not hands_on(op):
            return False
        if any(v in self.floats.counted for v in op.results):
            return True
        if self.floats.computes(op) and any(is_real(v) and v not in self.codes for v in op.operands):
            return True
        return self.floats.makes(op) and not continues_sum(op)

    def quantize(self, op: Quantize) -> None:
        source = self.codes.get(op.x)
        if source is None:
            return  # a float input or the result of an island enters here
        target = self.requantize(source, op.to)
        self.wide[target] = source
        op.result.replace_by(target)
        self.done.append(op)

    def leave(self, op: Op) -> None:
        """Codes leave as floats."""
        for index, value in enumerate(op.operands):
            if (codes := self.codes.get(value)) is not None:
                op.set_operand(index, self.dequantize(codes, op))

    def compute(self, op: Op) -> None:
        handler = next((HANDLERS[c] for c in type(op).__mro__ if c in HANDLERS), view if op.view else None)
        if op.opname in self.islands:
            self.island(op)
            return
        if handler is None:
            hint = f"islands={op.opname} keeps it in float where the backend can"
            self.found.add(f"{op.opname} has no integer form", op.loc, hint=hint)
            return
        try:
            result = handler(self, op)
        except IrcError as error:
            self.found.found += error.diagnostics
            return
        self.done.append(op)
        if result is None:
            return
        result.name = result.name or op.results[0].name
        if op.results[0].type.scalar.is_float:
            self.codes[op.results[0]] = result
        else:
            op.replace_by(result)

    def island(self, op: Op) -> None:
        """Leave an op in float: its operands are dequantized in front of it, masked scores with their mask.

        An operand that was only narrowed for this op is taken as it was before: an island needs no 8-bit input.
        """
        for index, value in enumerate(op.operands):
            if value in self.masks:
                self.island(cast(Op, value.node))
            elif (codes := self.codes.get(value)) is not None:
                op.set_operand(index, self.dequantize(self.wide.get(codes, codes), op))

    # -- what handlers use

    def of(self, op: Op, value: Value) -> Value:
        """The codes of an operand; those of a constant are made here. Fails at `op` if it has none."""
        codes = self.codes.get(value)
        if codes is None and (array := constant_of(value)) is not None and array.size:
            seen = Range(float(array.min()), float(array.max()))
            return self.constant(value, choose_element(seen, CONSTANT_BITS, "auto"))
        if codes is None and isinstance(value.node, Dequantize) and value.node.group is not None:
            op.fail("an operand has a scale per group, which has no integer form", hint="quantize without group")
        if codes is None:
            op.fail("an operand is not quantized", hint="run calibrate,quantize before integerize")
        return codes

    def one_scale(self, op: Op, codes: Value) -> Value:
        """The codes. Fails at `op` if they have a scale a channel."""
        if not self.encoding(codes).per_tensor:
            op.fail("its operand has a scale a channel", hint="run calibrate,quantize before integerize")
        return codes

    def numbers(self, value: Value) -> Array | None:
        """The values of a constant, or of one that codes stand for; None if it is computed."""
        codes = self.codes.get(value)
        if codes is None or (array := constant_of(codes)) is None:
            return constant_of(value)
        return self.encoding(codes).decode(array)

    def encoding(self, codes: Value) -> Encoding:
        assert codes.type.encoding is not None
        return codes.type.encoding

    def target(self, value: Value) -> Element | None:
        """The element a value will be quantized to, if all its readers agree; relu, clamp and data movement are
        looked through.
        """
        found: set[Element] = set()
        for node in value.users:
            if isinstance(node, Quantize):
                found.add(node.to)
            elif isinstance(node, Relu | Clamp) and (behind := self.target(node.result)) is not None:
                found.add(behind)
            else:
                return None
        return found.pop() if len(found) == 1 else None

    def dequantize(self, codes: Value, reader: Op) -> Value:
        """The real values of codes, in front of their reader."""
        encoding = self.encoding(codes)
        b = Builder.before_node(reader, reader.loc.via("integerize"))
        scale = b.const(encoding.scales, F32)
        zp = b.const(encoding.zps, I32) if np.any(encoding.zps) else None
        return b(Dequantize(codes, scale, zp, axis=encoding.axis, to=Element(F32)))

    def requantize(self, codes: Value, to: Element) -> Value:
        """Codes in another encoding (the same value if nothing changes)."""
        if codes.type.element == to:
            return codes
        source, target = self.encoding(codes), cast(Encoding, to.encoding)
        ratio = scale_ratio(source, target)
        x_zp, zp = int(source.zps), int(target.zps)
        fixed = self.mode == "fixed"
        shift = self.shift_for(ratio) if fixed else 1
        m = np.rint(ratio * 2.0**shift).astype(np.int64) if fixed else ratio.astype(np.float32)
        if not np.all(m > 0):
            raise self.no_multiplier(float(np.min(ratio)), "small")
        factor = self.b.const(m, I32 if fixed else F32)
        return self.b(Requantize(codes, factor, mode=self.mode, shift=shift, axis=source.axis, x_zp=x_zp, zp=zp, to=to))

    def shift_for(self, ratio: Array) -> int:
        """The shift that gives the largest multiplier `multiplier` bits."""
        shift = self.multiplier - math.frexp(float(np.max(ratio)))[1]
        if np.rint(np.max(ratio) * 2.0**shift) >= 2**self.multiplier:
            shift -= 1
        if shift < 1:
            raise self.no_multiplier(float(np.max(ratio)), "large")
        return min(shift, 62)

    def no_multiplier(self, ratio: float, size: str) -> IrcError:
        message = f"a scale ratio of {ratio:.3g} is too {size} for requantize"
        return IrcError(Diagnostic(message, self.b.loc, hint="ranges of neighbouring layers differ too much: --calib"))

    def without_zp(self, codes: Value) -> Value:
        """The same codes with zero point 0, one bit wider, exactly."""
        encoding = self.encoding(codes)
        if not np.any(encoding.zps):
            return codes
        return self.requantize(codes, Element(integer(codes.type.scalar.bits + 1, signed=True), encoding.with_zp(0)))

    def narrowed(self, codes: Value) -> Value:
        """Sums that are multiplied as they are, in 16 bits, if it is known how large they get."""
        lo, hi = code_interval(codes)
        unknown = hi - lo >= 2**codes.type.scalar.bits - 1
        if codes.type.scalar.bits <= 16 or unknown or not self.encoding(codes).per_tensor:
            return codes
        scale = float(self.encoding(codes).scales) * max(-lo, hi, 1) / (2**15 - 1)
        return self.requantize(codes, Element(integer(16, signed=True), per_tensor(f32(scale))))

    def truth(self, op: Cast) -> Value:
        """A bool as a number: codes 1 and 0 of scale 1."""
        to = Element(integer(2, signed=False), per_tensor(1.0))
        one, zero = (self.b.const(np.asarray(v), to.scalar, to.encoding) for v in (1, 0))
        return self.b(Where(op.x, one, zero))

    def alike(self, op: Op, values: tuple[Value, ...], to: Element) -> list[Value]:
        """Operands, codes or constants, as codes of one element."""
        found: list[Value] = []
        for value in values:
            if value in self.codes:
                found.append(self.requantize(self.codes[value], to))
            elif isinstance(value.node, Const):
                found.append(self.constant(value, to))
            else:
                op.fail("an operand is not quantized", hint="run calibrate,quantize before integerize")
        return found

    def constant(self, value: Value, to: Element) -> Value:
        """A float constant as codes of an element."""
        array = cast(Const, value.node).value.array.astype(np.float64)
        encoding = cast(Encoding, to.encoding)
        codes = np.clip(np.rint(array / float(encoding.scales)) + int(encoding.zps), to.scalar.min, to.scalar.max)
        return self.b.const(codes.astype(np.int64), to.scalar, encoding)


# -- handlers: codes of the operands in, codes of the result out


def view(cx: _Lowering, op: Op) -> Value:
    """Data movement works on codes as on floats; what is joined gets one meaning."""
    codes = _joined(cx, op)
    changes: dict[str, Any] = {}
    for f in op.fields:
        if f.kind in OPERANDS:
            given = getattr(op, f.name)
            if isinstance(given, tuple):
                operands = cast("tuple[Value, ...]", given)
                changes[f.name] = tuple(codes.get(v, v) for v in operands)
            elif given is not None:
                changes[f.name] = codes.get(given, given)
    if isinstance(op, Pad):
        encoding = cx.encoding(changes["x"])
        changes["value"] = float(np.rint(op.value / float(encoding.scales)) + int(encoding.zps))
    if isinstance(op, Select) and op.threshold is not None:
        encoding = cx.encoding(cx.one_scale(op, changes["scores"]))
        changes["threshold"] = float(np.ceil(op.threshold / float(encoding.scales)) + int(encoding.zps))
    return cx.b(rebuilt(op, **changes))


def _joined(cx: _Lowering, op: Op) -> dict[Value, Value]:
    """The codes of float operands, of one element where the result holds all of them."""
    floats = tuple(dict.fromkeys(v for v in op.operands if v.type.scalar.is_float))
    codes = [cx.of(op, v) for v in floats]
    if not isinstance(op, Select) and len({v.type.element for v in codes}) > 1:  # scores are only compared
        given = {cx.codes[v].type.element for v in floats if v in cx.codes}
        only = given.pop() if len(given) == 1 else None
        codes = cx.alike(op, floats, cx.target(op.results[0]) or only or _common(cx, op, floats))
    return dict(zip(floats, codes, strict=True))


handles(MaxPool, Amax)(view)


def _bias(cx: _Lowering, op: Linear | Conv, x: Encoding, w: Encoding, axis: int) -> Value | None:
    """The bias in units of the products."""
    if op.b is None:
        return None
    bias = cx.numbers(op.b)
    if bias is None:
        op.fail("the bias is not constant", hint="add it behind the layer")
    scales = (x.scales.astype(np.float64) * w.scales.astype(np.float64)).astype(np.float32)
    codes = np.rint(bias.astype(np.float64) / scales)
    if np.any(np.abs(codes) >= 2**31):
        op.fail("the bias does not fit 32 bits in units of the products", hint="more weight or activation bits")
    return cx.b.const(codes.astype(np.int64), I32)


@handles(Linear, Conv)
def products(cx: _Lowering, op: Linear | Conv) -> Value:
    x, w = cx.of(op, op.x), cx.of(op, op.w)
    ex, ew = cx.encoding(x), cx.encoding(w)
    w_zp = tuple(int(z) for z in ew.zps) if ew.zps.ndim else int(ew.zps)
    changes = {"x": x, "w": w, "b": _bias(cx, op, ex, ew, 0), "x_zp": int(ex.zps), "w_zp": w_zp}
    return cx.b(rebuilt(op, **changes))


@handles(Matmul)
def matmul(cx: _Lowering, op: Matmul) -> Value:
    x, y = (cx.narrowed(cx.of(op, v)) for v in (op.x, op.y))
    return cx.b(Matmul(x, y, x_zp=int(cx.encoding(x).zps), y_zp=int(cx.encoding(y).zps)))


@handles(Add, Sub, Maximum, Minimum)
def addition(cx: _Lowering, op: Add | Sub | Maximum | Minimum) -> Value:
    """Both terms on a common finer scale, then an exact sum, or the larger or smaller one."""
    return cx.b(type(op)(*cx.alike(op, (op.x, op.y), _common(cx, op, (op.x, op.y)))))


def _common(cx: _Lowering, op: Op, terms: tuple[Value, ...]) -> Element:
    """Codes for terms that meet, of a scale so fine that rounding them hardly counts: that of the result, refined by 8
    bits (4 for a 16-bit result), or one that holds the largest term.
    """
    target = cx.target(op.results[0]) if op.results[0].type.scalar.is_float else None
    if target is not None and target.encoding is not None:
        scale = float(target.encoding.scales) * 2.0 ** -(8 if target.scalar.bits <= 8 else 4)
    else:
        scale = max(_reach(cx, value) for value in terms) / 2 ** (SUM_BITS - 2)
    return Element(integer(SUM_BITS, signed=True), per_tensor(f32(scale)))


def _reach(cx: _Lowering, value: Value) -> float:
    """About the largest magnitude of a value."""
    if value not in cx.codes:
        return float(np.abs(array).max(initial=0)) if (array := constant_of(value)) is not None else 0.0
    codes = cx.codes[value]
    span = max(-codes.type.scalar.min, codes.type.scalar.max) if codes.type.scalar.bits <= 16 else 2**20
    return float(np.max(cx.encoding(codes).scales)) * span


@handles(Mul)
def multiplication(cx: _Lowering, op: Mul) -> Value:
    factor = scalar_constant(op.y)
    if factor is not None and factor > 0 and op.x in cx.codes and op.y not in cx.codes:
        x = cx.codes[op.x]
        return cx.b(Rescale(x, by=factor))
    terms: list[Value] = []
    for value in (op.x, op.y):
        if value in cx.codes:
            terms.append(cx.without_zp(cx.codes[value]))
        elif isinstance(value.node, Const):
            largest = float(np.abs(value.node.value.array).max(initial=0)) or 1.0
            terms.append(cx.constant(value, Element(integer(16, signed=True), per_tensor(largest / (2**15 - 1)))))
        else:
            op.fail("an operand is not quantized", hint="run calibrate,quantize before integerize")
    return cx.b(Mul(*terms))


@handles(Neg, Abs)
def mirrored(cx: _Lowering, op: Neg | Abs) -> Value:
    x = cx.without_zp(cx.one_scale(op, cx.of(op, op.x)))
    opposite = cx.b(Sub(cx.b.const(np.zeros((), np.int64), x.type.scalar, x.type.encoding), x))
    return opposite if isinstance(op, Neg) else cx.b(Maximum(cx.b(Cast(x, opposite.type.element)), opposite))


PARTING = {"gt": np.floor, "le": np.floor, "lt": np.ceil, "ge": np.ceil, "eq": np.rint, "ne": np.rint}


@handles(Compare)
def comparison(cx: _Lowering, op: Compare) -> Value:
    """With a constant: codes against the code that parts them; else both on a common scale."""
    bounds = constant_of(op.y)
    if bounds is None or bounds.size != 1 or op.x not in cx.codes or not cx.encoding(cx.codes[op.x]).per_tensor:
        return cx.b(Compare(*cx.alike(op, (op.x, op.y), _common(cx, op, (op.x, op.y))), how=op.how))
    x = cx.codes[op.x]
    encoding, scalar = cx.encoding(x), x.type.scalar
    bound = float(bounds.reshape(())) / float(encoding.scales) + int(encoding.zps)
    code = PARTING[op.how](bound)
    how = op.how
    if code > scalar.max:  # every code lies on one side
        code, how = scalar.max, "le" if how in ("lt", "le", "ne") else "gt"
    elif code < scalar.min:
        code, how = scalar.min, "ge" if how in ("gt", "ge", "ne") else "lt"
    return cx.b(Compare(x, cx.b.const(np.asarray(int(code)), scalar, encoding), how=how))


@handles(Relu)
def relu(cx: _Lowering, op: Relu) -> Value:
    x = cx.of(op, op.x)
    target = cx.target(op.result)
    if target is not None:
        x = cx.requantize(x, target)
    zp = int(np.max(cx.encoding(x).zps))
    return x if zp <= x.type.scalar.min else cx.b(Clamp(x, lo=float(zp)))


@handles(Clamp)
def clamp(cx: _Lowering, op: Clamp) -> Value:
    x = cx.of(op, op.x)
    target = cx.target(op.result)
    if target is None and not cx.encoding(x).per_tensor:  # bounds of one code each
        target = _common(cx, op, (op.x,))
    x = cx.requantize(x, target) if target is not None else x
    encoding, scalar = cx.encoding(x), x.type.scalar
    scale, zp = float(encoding.scales), int(encoding.zps)
    lo = max(np.rint(op.lo / scale) + zp, scalar.min)
    hi = min(np.rint(op.hi / scale) + zp, scalar.max)
    return x if lo <= scalar.min and hi >= scalar.max else cx.b(Clamp(x, lo=float(lo), hi=float(hi)))


def _terms(cx: _Lowering, op: Mean | Sum | Cumsum) -> tuple[Value, int]:
    """Codes that may be added up, and their zero point."""
    x = cx.one_scale(op, cx.of(op, op.x))
    if x.type.scalar.bits > 16:
        op.fail("its operand is not quantized", hint=f"quantize its input in the model, or islands={op.opname}")
    return x, int(cx.encoding(x).zps)


@handles(Cumsum)
def running_sum(cx: _Lowering, op: Cumsum) -> Value:
    x, zp = _terms(cx, op)
    return cx.b(Cumsum(x, axis=op.axis, x_zp=zp))


@handles(Mean, Sum)
def reduction(cx: _Lowering, op: Mean | Sum) -> Value:
    x, zp = _terms(cx, op)
    total = cx.b(Sum(x, axes=op.axes, keepdims=op.keepdims, x_zp=zp))
    if isinstance(op, Sum):
        return total
    count = math.prod(_static(op, [op.x.type.shape[a] for a in op.reduced()]))
    return cx.b(Rescale(total, by=1 / count))


def _static(op: Op, dims: list[Any]) -> list[int]:
    if not all(isinstance(d, int) for d in dims):
        op.fail("the reduced dimensions must be static in an integer graph", hint=fixing(op.operands[0]))
    return dims


@handles(AvgPool)
def average(cx: _Lowering, op: AvgPool) -> Value:
    x = cx.of(op, op.x)
    shape = op.x.type.shape
    divisors = op.divisor((1, 1, *_static(op, list(shape[2:]))))
    encoding = cx.encoding(x)
    pool = SumPool(x, kernel=op.kernel, stride=op.stride, padding=op.padding, ceil=op.ceil, x_zp=int(encoding.zps))
    total = cx.b(pool)
    if not divisors.size or divisors.min() == divisors.max():
        return cx.b(Rescale(total, by=1 / float(divisors.flat[0]) if divisors.size else 1.0))
    span = max(x.type.scalar.max - int(encoding.zps), int(encoding.zps) - x.type.scalar.min)
    shares, whole = _shares(np.maximum(divisors, 1).astype(np.int64), span)
    return cx.b(Mul(total, cx.b.const(shares, integer(SHARE_BITS, signed=True), per_tensor(f32(1 / whole)))))


def _shares(counts: Array, span: int) -> tuple[Array, int]:
    """Integers that are whole / count for windows that hold so many codes of at most `span`: exact if they can be.

    A sum of `count` codes times its share is at most about span * whole, which fits 32 bits.
    """
    largest, fewest = 2 ** (SHARE_BITS - 1) - 1, int(counts.min())
    whole = math.lcm(*np.unique(counts).tolist())
    if whole > largest * fewest or whole * span >= 2**31:
        whole = min(largest * fewest, 2**30 // span)
    return np.rint(whole / counts).astype(np.int64), whole


@handles(Where)
def where(cx: _Lowering, op: Where) -> Value | None:
    if masked_scores(op):
        cx.masks[op.result] = op.condition
        return cx.of(op, op.x)
    if is_mask_fill(op.y):
        op.fail("a mask that does not go straight into softmax has no integer form", hint="islands=where")
    to = cx.target(op.result) or _common(cx, op, (op.x, op.y))
    return cx.b(Where(op.condition, *cx.alike(op, (op.x, op.y), to)))


@handles(Softmax)
def softmax(cx: _Lowering, op: Softmax) -> Value:
    x = cx.of(op, op.x)
    target = cx.target(op.result)
    bits = target.scalar.bits if target is not None else 8
    to = Element(integer(bits, signed=False), per_tensor(2.0**-bits))
    table = exp_table(float(cx.encoding(x).scales), 2 ** min(x.type.scalar.bits, 12))
    return cx.b(IntSoftmax(x, cx.b.const(table.array, I32), cx.masks.get(op.x), axis=op.axis, frac=bits, to=to))


@handles(LayerNorm, RmsNorm)
def norm(cx: _Lowering, op: LayerNorm | RmsNorm) -> Value:
    x = cx.of(op, op.x)
    target = cx.target(op.result)
    if target is None or target.encoding is None:
        op.fail("its result is read in several encodings, or in none", hint=f"islands={op.opname}")
    if isinstance(op, LayerNorm) and op.axes != 1:
        op.fail(f"integer layer norm is over the last axis, not the last {op.axes}", hint="islands=layer_norm")
    channels = _static(op, [op.x.type.shape[-1]])[0]
    gamma = _vector(cx, op, op.g, channels, 1.0)
    beta = _vector(cx, op, op.b if isinstance(op, LayerNorm) else None, channels, 0.0)
    out = float(target.encoding.scales)
    shift = 24
    while shift > 1 and (
        np.abs(gamma).max() * 2.0 ** (shift - 10) / out > 2**15 - 1 or np.abs(beta).max() * 2.0**shift / out > 2**29
    ):
        shift -= 1
    g = np.rint(gamma * 2.0 ** (shift - 10) / out).astype(np.int64)
    b = np.rint(beta * 2.0**shift / out).astype(np.int64)
    encoding = cx.encoding(x)
    return cx.b(
        IntNorm(
            x,
            cx.b.const(g, I32),
            cx.b.const(b, I32),
            eps=norm_eps(op.eps, channels, float(encoding.scales)),
            shift=shift,
            center=isinstance(op, LayerNorm),
            x_zp=int(encoding.zps) if isinstance(op, RmsNorm) else 0,
            zp=int(target.encoding.zps),
            to=target,
        )
    )


def _vector(cx: _Lowering, op: Op, value: Value | None, channels: int, default: float) -> Array:
    if value is None:
        return np.full(channels, default)
    numbers = cx.numbers(value)
    if numbers is None:
        op.fail("its scale or offset is not constant", hint="multiply and add behind it")
    return numbers.astype(np.float64)


@handles(Unary)
def table(cx: _Lowering, op: Unary) -> Value:
    """Any other function of one value: a table over all its codes."""
    x = cx.of(op, op.x)
    target = cx.target(op.result)
    if target is None or target.encoding is None:
        op.fail("its result is read in several encodings, or in none", hint=f"islands={op.opname}")
    if x.type.scalar.bits > 8:
        op.fail(f"its operand has {x.type.scalar.bits} bits, a table takes at most 8")
    scalar, encoding = x.type.scalar, cx.encoding(x)
    real = float(encoding.scales) * (np.arange(scalar.min, scalar.max + 1, dtype=np.float64) - int(encoding.zps))
    with np.errstate(all="ignore"):
        y = np.nan_to_num(op.apply(real)) / float(target.encoding.scales)
    codes = np.clip(np.rint(y) + int(target.encoding.zps), target.scalar.min, target.scalar.max)
    return cx.b(Lut(x, cx.b.const(codes.astype(np.int64), target.scalar), to=target))
