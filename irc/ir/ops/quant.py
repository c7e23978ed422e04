"""Crossing between floats and integers, and the ops whose arithmetic is integer by definition.

The formulas are those of `docs/numerics.md`; the references here are the definition.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, replace
from typing import Any, Literal

import numpy as np

from irc.ir.constants import Data
from irc.ir.dims import same_shape
from irc.ir.graph import Value
from irc.ir.op import Op, Work, of_result
from irc.ir.ops.common import along, axis_of, broadcast, check_zp, elements, rounded, scale_ratio
from irc.ir.ops.structure import Const
from irc.ir.scalars import BOOL, F32, I32, Array, ScalarType
from irc.ir.types import Element, Encoding, TensorType, shape_text

I64_MAX = 2**63 - 1
MAX_ROW = 65535  # elements of a row of int_softmax and int_norm, so that its sums fit


def saturate(x: Array, scalar: ScalarType) -> Array:
    """Integers clamped to the range of a type."""
    return np.clip(x, scalar.min, scalar.max).astype(scalar.dtype)


def round_shift(x: Array, shift: Any) -> Array:
    """x / 2^shift, half towards +infinity; x for shift 0."""
    half = np.where(np.asarray(shift) > 0, np.int64(1) << np.maximum(np.asarray(shift) - 1, 0), 0)
    return (x + half) >> shift


def rint_to_int(x: Array) -> Array:
    """f32 rounded half to even, as i64 saturated to the i32 range; NaN gives 0."""
    rounded = np.rint(np.nan_to_num(x, nan=0.0, posinf=2.0**31, neginf=-(2.0**31)))
    return np.clip(rounded.astype(np.float64), -(2.0**31), 2.0**31 - 1).astype(np.int64)


def constant_of(value: Value | None) -> Array | None:
    """The array of a constant operand, if it is one and loaded."""
    node = value.node if value is not None else None
    return node.value.array if isinstance(node, Const) and node.value.loaded else None


def group_scales(scale: Array, axis: int | None, group: int | None, rank: int) -> Array:
    """Scales or zero points spread so that they broadcast against the tensor."""
    if group is not None and axis is not None and scale.ndim:
        return np.repeat(scale, group, axis=axis)
    return along(axis, scale, rank)


def check_axis(
    op: Op, parameter: Value, x: TensorType, axis: int | None, group: int | None, name: str
) -> tuple[int | None, int | None]:
    """Fail at `op` unless a scale, multiplier or zero point operand fits the tensor it belongs to.

    Returns the axis, not negative, and the group it is laid out by: (None, None) for a scalar.
    """
    p = parameter.type
    if p.rank == 0:
        return None, None
    if axis is None:
        op.fail(f"{name} is {p}; a vector needs an axis")
    axis = axis_of(op, axis, x.rank)
    size = x.shape[axis]
    if group is not None and (group < 1 or not isinstance(size, int) or size % group):
        op.fail(f"groups of {group} do not divide {size}")
    wanted = Encoding(1.0, axis=axis, group=group).vector_shape(x.shape)
    if not same_shape(p.shape, wanted):
        op.fail(f"{name} is {p}, expected {shape_text(wanted)} along axis {axis}")
    return axis, group


def check_layout(op: Quantize | Dequantize, scale: Value, name: str, codes: TensorType) -> None:
    """Fail at `op` unless scale and zero point fit the codes, and the meaning that these state."""
    x = op.x.type
    layout = check_axis(op, scale, x, op.axis, op.group, name)
    known = codes.encoding
    if known is not None:
        if problem := codes.problem():
            op.fail(f"{codes}: {problem}")
        if known.binary:
            op.fail(f"binary codes are not supported ({codes})", hint="use i2 codes of -1 and 1")
        if (known.axis, known.group) != layout:
            along_axis = "" if layout[0] is None else f" along axis {layout[0]}"
            op.fail(f"{name} is {scale.type}{along_axis}, the codes are {codes}")
    if op.zp is not None:
        if op.zp.type.scalar != I32:
            op.fail(f"zp is {op.zp.type}, expected i32")
        check_axis(op, op.zp, x, op.axis, op.group, "zp")
    values = constant_of(op.zp) if op.zp is not None else np.zeros((), np.int32)
    if known is not None and values is not None and np.any(values != known.zps):
        op.fail(f"zp is not the one of the codes ({codes})")


class Quantize(Op, name="quantize"):
    """clamp(rint(f32(x) * r) + zp), r = f32(1/scale): float to integer codes, half to even, saturating.

    `r` is a scalar, a vector along `axis`, or one a group of `group` elements of `axis`; `zp` likewise (i32).
    """

    elementwise = ("x",)
    x: Value
    r: Value
    zp: Value | None = None
    _: KW_ONLY
    axis: int | None = None
    group: int | None = None
    to: Element = of_result()

    def infer(self) -> TensorType:
        if not self.x.type.scalar.is_float or self.r.type.scalar != F32 or not self.to.scalar.is_integer:
            self.fail(
                f"operands are {self.x.type} and {self.r.type}, the result {self.to}; expected float, f32 and integers"
            )
        codes = self.x.type.with_element(self.to)
        check_layout(self, self.r, "r", codes)
        return codes

    def check(self) -> None:
        known, r = self.to.encoding, constant_of(self.r)
        with np.errstate(over="ignore"):
            wrong = known is not None and r is not None and np.any(r != np.float32(1) / known.scales)
        if wrong:
            self.fail(f"r is not f32(1/scale) of the result ({self.to})")

    def reference(self, x: Array, r: Array, zp: Array | None) -> Array:
        scale = group_scales(r, self.axis, self.group, x.ndim)
        codes = rint_to_int(x.astype(np.float32) * scale)
        offset = 0 if zp is None else group_scales(zp.astype(np.int64), self.axis, self.group, x.ndim)
        return saturate(codes + offset, self.to.scalar)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Dequantize(Op, name="dequantize"):
    """f32(x - zp) * scale: integer codes to floats. `scale` and `zp` are laid out as in `quantize`."""

    elementwise = ("x",)
    x: Value
    scale: Value
    zp: Value | None = None
    _: KW_ONLY
    axis: int | None = None
    group: int | None = None
    to: Element = of_result()

    def infer(self) -> TensorType:
        if not self.x.type.scalar.is_integer or self.scale.type.scalar != F32 or self.to != Element(F32):
            given = f"operands are {self.x.type} and {self.scale.type}, the result {self.to}"
            self.fail(f"{given}; expected integers, f32 and f32")
        check_layout(self, self.scale, "scale", self.x.type)
        return self.x.type.with_element(self.to)

    def check(self) -> None:
        known, scale = self.x.type.encoding, constant_of(self.scale)
        if known is not None and scale is not None and np.any(scale != known.scales):
            self.fail(f"scale is not the one of the operand ({self.x.type})")

    def reference(self, x: Array, scale: Array, zp: Array | None) -> Array:
        offset = 0 if zp is None else group_scales(zp.astype(np.int64), self.axis, self.group, x.ndim)
        spread = group_scales(scale, self.axis, self.group, x.ndim)
        return ((x.astype(np.int64) - offset).astype(np.float32) * spread).astype(np.float32)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Requantize(Op, name="requantize"):
    """Integers of one scale to integers of another: multiply, round, shift, add the zero point, saturate.

    fixed: clamp((((x - x_zp) * m + 2^(shift-1)) >> shift) + zp), 64-bit, m: i32 scalar or vector along `axis`.
    float: clamp(rint(f32(x - x_zp) * m) + zp), one f32 multiply, m: f32.
    """

    elementwise = ("x",)
    x: Value
    m: Value
    _: KW_ONLY
    mode: Literal["fixed", "float"] = "fixed"
    shift: int = 1
    axis: int | None = None
    x_zp: int = 0
    zp: int = 0
    to: Element = of_result()

    def infer(self) -> TensorType:
        wanted = I32 if self.mode == "fixed" else F32
        if not self.x.type.scalar.is_integer or not self.to.scalar.is_integer or self.m.type.scalar != wanted:
            self.fail(
                f"operands are {self.x.type} and {self.m.type}, the result {self.to}; expected integers and m: {wanted}"
            )
        if self.mode == "fixed" and not 1 <= self.shift <= 62:
            self.fail(f"shift {self.shift} is outside 1 .. 62")
        axis, _ = check_axis(self, self.m, self.x.type, self.axis, None, "m")
        check_zp(self, self.x, self.x_zp, "x_zp")
        scalar = self.x.type.scalar
        if scalar.min - self.x_zp < I32.min or scalar.max - self.x_zp > I32.max:
            self.fail(f"x - x_zp does not fit 32 bits (x is {self.x.type}, x_zp {self.x_zp})")
        encodings = [e for e in (self.x.type.encoding, self.to.encoding) if e is not None]
        if any(e.group is not None or e.binary for e in encodings):
            self.fail(f"neither {self.x.type.element} nor {self.to} may have groups or be binary")
        if len({axis, *(e.axis for e in encodings)} - {None}) > 1:
            stated = "" if axis is None else f", m (axis {axis})"
            self.fail(f"the scales of {self.x.type.element}{stated} and {self.to} are along different axes")
        if self.to.encoding is not None and np.any(self.to.encoding.zps != self.zp):
            self.fail(f"zp is {self.zp}, the result is {self.to}")
        return self.x.type.with_element(self.to)

    def check(self) -> None:
        m, source, target = constant_of(self.m), self.x.type.encoding, self.to.encoding
        if m is None:
            return
        if not np.all(m > 0):
            self.fail("m must be positive")
        if source is None or target is None:
            return
        ratio = scale_ratio(source, target)
        exact = np.rint(ratio * 2.0**self.shift) if self.mode == "fixed" else rounded(ratio)
        if np.any(m != exact):
            wanted = ", ".join(map(str, np.ravel(exact)[:4])) + (", ..." if exact.size > 4 else "")
            self.fail(f"m is not the ratio of the scales of operand and result ({wanted})")

    def reference(self, x: Array, m: Array) -> Array:
        centred = x.astype(np.int64) - self.x_zp
        factor = along(self.axis, m, x.ndim)
        if self.mode == "float":
            scaled = rint_to_int(centred.astype(np.float32) * factor)
        else:
            scaled = (centred * factor.astype(np.int64) + (np.int64(1) << (self.shift - 1))) >> self.shift
        return saturate(scaled + self.zp, self.to.scalar)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Rescale(Op, name="rescale"):
    """x * by, by changing only what the codes mean: the scale times `by` > 0 (f64 product, rounded to f32)."""

    elementwise = ("x",)
    view = True
    x: Value
    by: float

    def infer(self) -> TensorType:
        encoding = self.x.type.encoding
        if not self.x.type.scalar.is_integer or not 0 < self.by < math.inf:
            self.fail(f"operand is {self.x.type}, by {self.by}; expected integers and a positive, finite factor")
        if encoding is None:
            return self.x.type
        scales = rounded(encoding.scales.astype(np.float64) * self.by)
        scaled = replace(encoding, scale=float(scales) if encoding.per_tensor else Data.of(scales))
        return self.x.type.with_element(Element(self.x.type.scalar, scaled))

    def reference(self, x: Array) -> Array:
        return x


class Lut(Op, name="lut"):
    """table[x - lowest code of x]: any unary function of codes of at most 8 bits."""

    elementwise = ("x",)
    x: Value
    table: Value
    to: Element = of_result()

    def infer(self) -> TensorType:
        scalar = self.x.type.scalar
        if not scalar.is_integer or scalar.bits > 8:
            self.fail(f"operand is {self.x.type}, expected integers of at most 8 bits")
        if self.table.type.plain() != TensorType(Element(self.to.scalar), (1 << scalar.bits,)):
            self.fail(f"the table is {self.table.type}, expected {self.to.scalar}[{1 << scalar.bits}]")
        _require_one_scale(self, self.x.type.element, self.to)
        return self.x.type.with_element(self.to)

    def reference(self, x: Array, table: Array) -> Array:
        return table[x.astype(np.int64) - self.x.type.scalar.min]

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


def _require_one_scale(op: Op, *elements: Element) -> None:
    for element in elements:
        if element.encoding is not None and not element.encoding.per_tensor:
            op.fail(f"one table or formula serves all channels, but there is {element}")


EXP_ONE = 2**15  # what exp(0) is in the table of int_softmax


def bit_length(n: Array) -> Array:
    """The number of bits of non-negative i64 values up to 2^62 + 2^61."""
    exponent: Array = np.frexp(n.astype(np.float64))[1]
    # f64 may round up to the next power of two: correct by comparing.
    return exponent - ((n < (np.int64(1) << np.maximum(exponent - 1, 0))) & (n > 0))


class IntSoftmax(Op, name="int_softmax"):
    """Softmax of codes by a table of exponentials and one reciprocal a row; gives probabilities times 2^frac.

    `table[d]` is rint(exp(-d * scale) * 2^15) for a distance d to the row's largest code; `mask` (bool, broadcast)
    keeps where true. See docs/numerics.md for the formula.
    """

    anchor = True
    x: Value
    table: Value
    mask: Value | None = None
    _: KW_ONLY
    axis: int = -1
    frac: int = 8
    to: Element = of_result()

    def infer(self) -> TensorType:
        scalar = self.x.type.scalar
        if not scalar.is_integer or scalar.bits > 16 or not self.to.scalar.is_integer:
            self.fail(f"operand is {self.x.type}, the result {self.to}; expected integers of at most 16 bits")
        entries = self.table.type.static_shape
        if self.table.type.scalar != I32 or entries is None or len(entries) != 1 or entries[0] < 1:
            self.fail(f"the table is {self.table.type}, expected i32[T]")
        axis_of(self, self.axis, self.x.type.rank)
        _require_one_scale(self, self.x.type.element, self.to)
        if not 1 <= self.frac <= 16:
            self.fail(f"frac {self.frac} is outside 1 .. 16")
        if self.mask is not None:
            if self.mask.type.scalar != BOOL:
                self.fail(f"the mask is {self.mask.type}, expected bool")
            if not same_shape(broadcast(self, self.mask.type.shape, self.x.type.shape), self.x.type.shape):
                self.fail(f"the mask {self.mask.type} does not broadcast to {self.x.type}")
        return self.x.type.with_element(self.to)

    def check(self) -> None:
        table = constant_of(self.table)
        if table is not None and (table[0] != EXP_ONE or table.min() < 0 or table.max() > EXP_ONE):
            self.fail(f"table[0] is {EXP_ONE} and no entry is larger or negative")
        source = self.x.type.encoding
        if table is not None and source is not None:
            # exp may differ in the last place between machines, which can turn a rounding
            off = np.abs(table - exp_table(float(source.scales), len(table)).array) > 1
            if np.any(off):
                self.fail(f"the table is not exp of the scale of the operand ({self.x.type})")
        length = elements(self, (self.x.type.shape[self.axis],))
        if length > MAX_ROW:
            self.fail(f"rows of up to {length} are longer than {MAX_ROW}")
        known = self.to.encoding
        if known is not None and (known.scale != 2.0**-self.frac or np.any(known.zps)):
            self.fail(f"the result has scale 2^-{self.frac} and zero point 0, not {self.to}")

    def reference(self, x: Array, table: Array, mask: Array | None) -> Array:
        codes = x.astype(np.int64)
        kept = np.True_ if mask is None else np.broadcast_to(mask, x.shape)
        lowest = self.x.type.scalar.min
        top = np.max(np.where(kept, codes, lowest), axis=self.axis, keepdims=True, initial=lowest)
        distance = np.clip(top - codes, 0, len(table) - 1)
        e = np.where(kept, table[distance].astype(np.int64), 0)
        total = e.sum(axis=self.axis, keepdims=True)
        t = np.maximum(0, bit_length(total) - 16)
        r = 2**31 // np.maximum(total >> t, 1)
        return saturate(round_shift((e * r) >> t, 31 - self.frac), self.to.scalar)

    def work(self) -> Work:
        return Work(steps=4 * elements(self, self.x.type.shape))


class IntNorm(Op, name="int_norm"):
    """Layer norm (`center`) or RMS norm of codes over the last axis: integer square root, one reciprocal a row.

    g: i32[C] and b: i32[C] hold gamma and beta in fixed point with `shift` fraction bits. See docs/numerics.md for the
    formula.
    """

    anchor = True
    x: Value
    g: Value
    b: Value
    _: KW_ONLY
    eps: int
    shift: int
    center: bool = True
    x_zp: int = 0
    zp: int = 0
    to: Element = of_result()

    def infer(self) -> TensorType:
        x = self.x.type
        if not x.scalar.is_integer or x.scalar.bits > 16 or not self.to.scalar.is_integer:
            self.fail(f"operand is {x}, the result {self.to}; expected integers of at most 16 bits")
        channels = x.shape[-1] if x.rank else 0
        if not isinstance(channels, int) or not 1 <= channels <= MAX_ROW:
            self.fail(f"the last axis of {x} must be static and at most {MAX_ROW} long")
        farthest = max(abs(x.scalar.min - self.x_zp), abs(x.scalar.max - self.x_zp))
        if channels * farthest > 2**31:
            self.fail(
                f"{channels} codes up to {farthest} from x_zp {self.x_zp} exceed 2^31", hint="choose x_zp in the middle"
            )
        _require_one_scale(self, x.element, self.to)
        for name, v in (("g", self.g), ("b", self.b)):
            if v.type.plain() != TensorType(Element(I32), (channels,)):
                self.fail(f"{name} is {v.type}, expected i32[{channels}]")
        if not 1 <= self.shift <= 24 or not 1 <= self.eps < 2**61:
            self.fail(f"shift {self.shift} must be in 1 .. 24, eps {self.eps} in 1 .. 2^61")
        if not self.center:  # the mean takes any zero point away
            check_zp(self, self.x, self.x_zp, "x_zp")
        if self.to.encoding is not None and np.any(self.to.encoding.zps != self.zp):
            self.fail(f"zp is {self.zp}, the result is {self.to}")
        return x.with_element(self.to)

    def check(self) -> None:
        for name, v, limit in (("g", self.g, 2**15 - 1), ("b", self.b, 2**29)):
            values = constant_of(v)
            if values is not None and np.any(np.abs(values.astype(np.int64)) > limit):
                self.fail(f"{name} exceeds +-{limit}")

    def reference(self, x: Array, g: Array, b: Array) -> Array:
        codes = x.astype(np.int64) - self.x_zp
        c = x.shape[-1]
        s1 = codes.sum(axis=-1, keepdims=True)
        s2 = (codes * codes).sum(axis=-1, keepdims=True)
        n: Array = c * s2 + self.eps - (s1 * s1 if self.center else 0)
        d = c * codes - (s1 if self.center else 0)
        e = (bit_length(n) - 31) // 2
        q = isqrt(np.where(e >= 0, n >> np.maximum(2 * e, 0), n << np.maximum(-2 * e, 0)))
        r = 2**31 // q
        p = np.maximum(0, (bit_length_product(c, n) + 1) // 2 - 14)
        z = np.clip(round_shift((d >> p) * r, 21 + e - p), -(2**15), 2**15 - 1)
        return saturate(round_shift(z * g + b, self.shift) + self.zp, self.to.scalar)

    def work(self) -> Work:
        return Work(steps=6 * elements(self, self.x.type.shape))


def isqrt(n: Array) -> Array:
    """floor(sqrt(n)) of i64 values below 2^52."""
    root = np.sqrt(n.astype(np.float64)).astype(np.int64)
    root -= root * root > n
    return root + ((root + 1) * (root + 1) <= n)


def bit_length_product(c: int, n: Array) -> Array:
    """bitlen(c * n), also where the product leaves 64 bits."""
    if int(n.max(initial=0)) * c <= I64_MAX // 2:
        return bit_length(c * n)
    return np.array([(c * int(v)).bit_length() for v in n.flat], np.int64).reshape(n.shape)


def norm_eps(epsilon: float, channels: int, scale: float) -> int:
    """The `eps` of `int_norm` for a float epsilon: epsilon * C^2 / scale^2, at least 1."""
    return max(1, min(2**61 - 1, round(epsilon * channels**2 / scale**2)))


def exp_table(scale: float, entries: int) -> Data:
    """The table of `int_softmax` for logits of this scale."""
    return Data.of(np.rint(np.exp(-np.arange(entries) * float(scale)) * EXP_ONE).astype(np.int32))


class Observe(Op, name="observe"):
    """x, unchanged; records the range `lo .. hi` that calibration saw, and maybe a histogram of equal bins over it."""

    x: Value
    histogram: Value | None = None
    _: KW_ONLY
    lo: float
    hi: float

    def infer(self) -> TensorType:
        if not self.x.type.scalar.is_float:
            self.fail(f"operand is {self.x.type}, expected floats")
        if self.histogram is not None and (self.histogram.type.scalar != F32 or self.histogram.type.rank != 1):
            self.fail(f"the histogram is {self.histogram.type}, expected f32[bins]")
        return self.x.type

    def check(self) -> None:
        if not self.lo <= self.hi:
            self.fail(f"the range {self.lo} .. {self.hi} is empty")

    def reference(self, x: Array, histogram: Array | None) -> Array:
        return x
