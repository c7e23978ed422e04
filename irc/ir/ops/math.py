"""Elementwise ops and reductions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from irc.ir.dims import Shape, evaluate, same_shape, sub
from irc.ir.graph import Value
from irc.ir.op import Op, Work, of_result
from irc.ir.ops.common import (
    axis_of,
    broadcast,
    carried,
    check_zp,
    elements,
    exact,
    fit,
    magnitude,
    mean,
    product_encoding,
    require_float,
    single,
    wide,
    wrapped,
)
from irc.ir.scalars import BOOL, I64, Array, ScalarType
from irc.ir.types import Element, Encoding, TensorType, shape_text


def _erf_table() -> Array:
    """By cell of 1/256, the coefficients of the cubic through the values and slopes at its ends, lowest power first."""
    nodes = np.arange(0, 6.0 + 2 / 256, 1 / 256)
    values = np.array([math.erf(t) for t in nodes])
    slopes = 2 / math.sqrt(math.pi) * np.exp(-nodes * nodes) / 256
    f0, f1, d0, d1 = values[:-1], values[1:], slopes[:-1], slopes[1:]
    return np.stack([f0, d0, 3 * (f1 - f0) - 2 * d0 - d1, 2 * (f0 - f1) + d0 + d1])


_ERF = _erf_table()


def erf(x: Array) -> Array:
    """The error function in f64: cubic Hermite interpolation of exact values and slopes, error below 1e-11."""
    flat = x.reshape(-1).astype(np.float64)
    t = np.fmin(np.abs(flat), 6.0)  # 6 for NaN
    t *= 256
    cell = t.astype(np.int64)
    t -= cell
    value = _ERF[3][cell]
    for coefficient in _ERF[2::-1]:
        value *= t
        value += coefficient[cell]
    np.copysign(value, flat, out=value)
    value[np.isnan(flat)] = np.nan
    return value.reshape(x.shape)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


PIECE = 2**14
"""Elements that a function of one element is computed of at a time: what lies between them stays in the cache."""


class Unary(Op):
    """Base of float functions of one element. `apply` is the function on arrays, in whatever precision it is given."""

    elementwise = ("x",)
    x: Value

    def infer(self) -> TensorType:
        require_float(self, self.x)
        return self.x.type

    def apply(self, x: Array) -> Array:
        raise NotImplementedError

    def reference(self, x: Array) -> Array:
        result = np.empty(x.shape, x.dtype)
        given, found = x.reshape(-1), result.reshape(-1)
        for begin in range(0, x.size, PIECE):
            piece = slice(begin, begin + PIECE)
            found[piece] = self.apply(single(given[piece])).astype(x.dtype)
        return result

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Relu(Unary, name="relu"):
    """max(x, 0)"""

    def apply(self, x: Array) -> Array:
        return np.maximum(x, x.dtype.type(0))


class LeakyRelu(Unary, name="leaky_relu"):
    """x where x > 0, else slope * x."""

    slope: float = 0.01

    def apply(self, x: Array) -> Array:
        return np.where(x > 0, x, x * x.dtype.type(self.slope))


class Gelu(Unary, name="gelu"):
    """x * Phi(x), exactly or by the tanh approximation (Hendrycks and Gimpel, 2016)."""

    approximate: Literal["none", "tanh"] = "none"

    def apply(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        if self.approximate == "tanh":
            return 0.5 * wide * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
        return 0.5 * wide * (1 + erf(wide / math.sqrt(2)))


class Sigmoid(Unary, name="sigmoid"):
    """1 / (1 + exp(-x))"""

    def apply(self, x: Array) -> Array:
        return sigmoid(x)


class Silu(Unary, name="silu"):
    """x * sigmoid(x)"""

    def apply(self, x: Array) -> Array:
        return x * sigmoid(x)


class Hardsigmoid(Unary, name="hardsigmoid"):
    """clamp(x / 6 + 1/2, 0, 1)"""

    def apply(self, x: Array) -> Array:
        return np.clip(x + 3, 0, 6) / 6


class Hardswish(Unary, name="hardswish"):
    """x * clamp(x / 6 + 1/2, 0, 1)"""

    def apply(self, x: Array) -> Array:
        return x * np.clip(x + 3, 0, 6) / 6


class Softplus(Unary, name="softplus"):
    """log(1 + exp(beta * x)) / beta; the identity above `threshold`."""

    beta: float = 1.0
    threshold: float = 20.0

    def apply(self, x: Array) -> Array:
        scaled = x * self.beta
        return np.where(scaled > self.threshold, x, np.log1p(np.exp(np.minimum(scaled, self.threshold))) / self.beta)


class Elu(Unary, name="elu"):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    alpha: float = 1.0

    def apply(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


class Tanh(Unary, name="tanh"):
    """Hyperbolic tangent."""

    def apply(self, x: Array) -> Array:
        return np.tanh(x)


class Exp(Unary, name="exp"):
    """e to the x."""

    def apply(self, x: Array) -> Array:
        return np.exp(x)


class Log(Unary, name="log"):
    """Natural logarithm."""

    def apply(self, x: Array) -> Array:
        return np.log(x)


class Sqrt(Unary, name="sqrt"):
    """Square root."""

    def apply(self, x: Array) -> Array:
        return np.sqrt(x)


class Rsqrt(Unary, name="rsqrt"):
    """1 / sqrt(x)"""

    def apply(self, x: Array) -> Array:
        return 1 / np.sqrt(x)


class Erf(Unary, name="erf"):
    """The error function."""

    def apply(self, x: Array) -> Array:
        return erf(x)


class Sin(Unary, name="sin"):
    """Sine."""

    def apply(self, x: Array) -> Array:
        return np.sin(x)


class Cos(Unary, name="cos"):
    """Cosine."""

    def apply(self, x: Array) -> Array:
        return np.cos(x)


class Floor(Unary, name="floor"):
    """The largest integer not above x."""

    def apply(self, x: Array) -> Array:
        return np.floor(x)


def plain_numbers(op: Op, x: Value) -> TensorType:
    """The type of x. Fails at `op` unless it holds floats or integers without an encoding."""
    if x.type.encoding or x.type.scalar == BOOL:
        op.fail(f"operand is {x.type}, expected floats or plain integers")
    return x.type


class Round(Unary, name="round"):
    """The nearest integer, halves to the even one."""

    def apply(self, x: Array) -> Array:
        return np.rint(x)


class Neg(Op, name="neg"):
    """-x; on floats and unencoded integers."""

    elementwise = ("x",)
    x: Value

    def infer(self) -> TensorType:
        return plain_numbers(self, self.x)

    def reference(self, x: Array) -> Array:
        return -x if x.dtype.kind == "f" else fit(self, -exact(x, magnitude(x)), self.x.type.scalar)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Abs(Op, name="abs"):
    """The magnitude of floats and unencoded integers."""

    elementwise = ("x",)
    x: Value

    def infer(self) -> TensorType:
        return plain_numbers(self, self.x)

    def reference(self, x: Array) -> Array:
        return np.abs(x) if x.dtype.kind == "f" else fit(self, np.abs(exact(x, magnitude(x))), self.x.type.scalar)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Clamp(Op, name="clamp"):
    """min(max(x, lo), hi); on integers the bounds are codes. An infinite bound is none."""

    elementwise = ("x",)
    x: Value
    lo: float = -math.inf
    hi: float = math.inf

    def infer(self) -> TensorType:
        if self.x.type.scalar == BOOL:
            self.fail(f"operand is {self.x.type}, expected numbers")
        return self.x.type

    def check(self) -> None:
        if not self.lo <= self.hi:
            self.fail(f"the bounds {self.lo} .. {self.hi} are empty")
        scalar = self.x.type.scalar
        bounds = [v for v in (self.lo, self.hi) if scalar.is_integer and math.isfinite(v)]
        if any(v != int(v) or not scalar.min <= v <= scalar.max for v in bounds):
            self.fail(f"the bounds {self.lo} .. {self.hi} are no codes of {scalar}")

    def reference(self, x: Array) -> Array:
        if x.dtype.kind == "f":
            return np.clip(x, x.dtype.type(self.lo), x.dtype.type(self.hi))
        scalar = self.x.type.scalar
        low = scalar.min if math.isinf(self.lo) else int(self.lo)
        return np.clip(x, low, scalar.max if math.isinf(self.hi) else int(self.hi))

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Pow(Unary, name="pow"):
    """x to a constant power."""

    exponent: float

    def apply(self, x: Array) -> Array:
        return np.power(x, x.dtype.type(self.exponent))


class Cast(Op, name="cast"):
    """Another scalar type; encoded integers keep their meaning and must fit.

    Floats become integers by truncation towards zero, saturating, NaN gives 0; integers wrap; bool is x != 0.
    """

    elementwise = ("x",)
    x: Value
    to: Element = of_result()

    def infer(self) -> TensorType:
        known = self.x.type.encoding
        if self.to.encoding != known:
            self.fail(
                f"a cast keeps the encoding, {self.x.type} becomes {self.to}", hint="use requantize or dequantize"
            )
        return self.x.type.with_element(self.to)

    def reference(self, x: Array) -> Array:
        target: ScalarType = self.to.scalar
        if self.to.encoding and x.size and (x.min() < target.min or x.max() > target.max):
            self.fail(f"codes {x.min()} .. {x.max()} do not fit {target}")
        if not target.is_integer:
            return x.astype(target.dtype)
        return truncated(x, target) if x.dtype.kind == "f" else wrapped(x.astype(np.int64), target)


def truncated(x: Array, target: ScalarType) -> Array:
    """Floats as integers: towards zero, saturating, NaN gives 0."""
    wide = np.trunc(np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))
    low, high = wide <= target.min, wide >= target.max  # f64 cannot hold every bound exactly, so clip by choosing
    codes = np.where(low | high, 0, wide).astype(np.int64)
    return np.where(low, target.min, np.where(high, target.max, codes)).astype(target.dtype)


class Binary(Op):
    """Base of elementwise ops of two operands with broadcasting, on floats or integers.

    On integers the result is exact: i32 (i64 for i64 operands). A result that does not fit is an error.
    """

    elementwise = ("x", "y")
    x: Value
    y: Value
    integers: ClassVar[bool] = True

    def infer(self) -> TensorType:
        a, b = self.x.type, self.y.type
        shape = broadcast(self, a.shape, b.shape)
        if a.scalar.is_float and a.scalar == b.scalar:
            return TensorType(a.element, shape)
        if not (a.scalar.is_integer and b.scalar.is_integer):
            mixed = a.scalar.is_integer or b.scalar.is_integer
            self.fail(f"operands are {a} and {b}", hint="quantize or dequantize one" if mixed else "cast one of them")
        if not self.integers:
            self.fail(f"operands are {a} and {b}, expected floats", hint="dequantize them")
        widest = max(a.scalar, b.scalar, key=lambda s: s.bits)
        self._check_centred()
        return TensorType(Element(wide(widest), self.combine(shape)), shape)

    def _check_centred(self) -> None:
        for encoding in (self.x.type.encoding, self.y.type.encoding):
            if encoding is not None and (np.any(encoding.zps) or encoding.binary):
                self.fail("operands have a zero point", hint="requantize with x_zp gives zero point 0")

    def combine(self, shape: Shape) -> Encoding | None:
        """The encoding of the result on integers, or fail."""
        return carried(self, shape, self.x, self.y)

    def apply(self, x: Array, y: Array) -> Array:
        raise NotImplementedError

    def reference(self, x: Array, y: Array) -> Array:
        if x.dtype.kind == "f":
            return self.apply(x, y).astype(x.dtype)
        worst = (magnitude(x) + 1) * (magnitude(y) + 1)
        return fit(self, self.apply(exact(x, worst), exact(y, worst)), self.results[0].type.scalar)

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape))


class Add(Binary, name="add"):
    """x + y. Encoded integers must have the same scale and zero points 0."""

    commutative = True

    def apply(self, x: Array, y: Array) -> Array:
        return x + y


class Sub(Binary, name="sub"):
    """x - y. Encoded integers must have the same scale and zero points 0."""

    def apply(self, x: Array, y: Array) -> Array:
        return x - y


class Mul(Binary, name="mul"):
    """x * y. The scales of encoded integers multiply; their zero points must be 0."""

    commutative = True

    def combine(self, shape: Shape) -> Encoding | None:
        return product_encoding(self, self.x.type, self.y.type, None)

    def apply(self, x: Array, y: Array) -> Array:
        return x * y


class Div(Binary, name="div"):
    """x / y of floats."""

    integers = False

    def apply(self, x: Array, y: Array) -> Array:
        return x / y


class Extremum(Binary):
    """Base of maximum and minimum: on integers, codes of one meaning are compared and keep their type."""

    commutative = True

    def infer(self) -> TensorType:
        a, b = self.x.type, self.y.type
        if a.scalar != b.scalar or a.scalar == BOOL:
            self.fail(f"operands are {a} and {b}, expected one type of numbers")
        shape = broadcast(self, a.shape, b.shape)
        return TensorType(Element(a.scalar, carried(self, shape, self.x, self.y)), shape)

    def reference(self, x: Array, y: Array) -> Array:
        return self.apply(x, y).astype(x.dtype)


class Maximum(Extremum, name="maximum"):
    """The larger of x and y."""

    def apply(self, x: Array, y: Array) -> Array:
        return np.maximum(x, y)


class Minimum(Extremum, name="minimum"):
    """The smaller of x and y."""

    def apply(self, x: Array, y: Array) -> Array:
        return np.minimum(x, y)


class Compare(Op, name="compare"):
    """x ? y, elementwise, to bool."""

    elementwise = ("x", "y")
    x: Value
    y: Value
    how: Literal["eq", "ne", "lt", "le", "gt", "ge"]

    def infer(self) -> TensorType:
        if self.x.type.scalar != self.y.type.scalar:
            self.fail(f"operands are {self.x.type} and {self.y.type}, expected one type")
        shape = broadcast(self, self.x.type.shape, self.y.type.shape)
        carried(self, shape, self.x, self.y)
        return TensorType(Element(BOOL), shape)

    def reference(self, x: Array, y: Array) -> Array:
        functions: dict[str, Any] = {
            "eq": np.equal,
            "ne": np.not_equal,
            "lt": np.less,
            "le": np.less_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
        }
        return np.asarray(functions[self.how](x, y))

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape))


class Where(Op, name="where"):
    """x where `condition`, else y."""

    elementwise = ("condition", "x", "y")
    condition: Value
    x: Value
    y: Value

    def infer(self) -> TensorType:
        if self.condition.type.scalar != BOOL:
            self.fail(f"the condition is {self.condition.type}, expected bool")
        if self.x.type.scalar != self.y.type.scalar:
            self.fail(f"operands are {self.x.type} and {self.y.type}, expected one type")
        shape = broadcast(self, self.condition.type.shape, self.x.type.shape, self.y.type.shape)
        return TensorType(Element(self.x.type.scalar, carried(self, shape, self.x, self.y)), shape)

    def reference(self, condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape))


class Reduction(Op):
    """Base of reductions over `axes`; reduced dimensions become 1 with `keepdims`, else vanish."""

    anchor = True
    x: Value
    axes: tuple[int, ...]
    keepdims: bool = False

    def reduced(self) -> tuple[int, ...]:
        """The axes as non-negative numbers."""
        axes = tuple(sorted(axis_of(self, a, self.x.type.rank) for a in self.axes))
        if len(set(axes)) != len(axes):
            self.fail(f"axes {list(self.axes)} name a dimension twice")
        return axes

    def output_type(self, element: Element) -> TensorType:
        axes = self.reduced()
        shape = [1 if i in axes else d for i, d in enumerate(self.x.type.shape) if self.keepdims or i not in axes]
        return TensorType(element, tuple(shape))

    def require_comparable(self) -> None:
        """Fail unless the reduced elements have one scale, so that their codes compare as their values do."""
        known = self.x.type.encoding
        if self.x.type.scalar == BOOL:
            self.fail(f"operand is {self.x.type}, expected numbers")
        if known is not None and (known.group is not None or known.axis in self.reduced()):
            self.fail(f"operand is {self.x.type}, whose scales differ along the reduced axes")

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Sum(Reduction, name="sum"):
    """The sum over `axes`; on integers the exact sum of `x - x_zp` as i32."""

    x_zp: int = 0

    def infer(self) -> TensorType:
        return self.output_type(_summed(self, self.x, self.x_zp))

    def reference(self, x: Array) -> Array:
        if x.dtype.kind == "f":
            return np.sum(x, axis=self.reduced(), keepdims=self.keepdims, dtype=np.float64).astype(x.dtype)
        codes = exact(x, (magnitude(x) + abs(self.x_zp)) * x.size) - self.x_zp
        out = np.asarray(np.sum(codes, axis=self.reduced(), keepdims=self.keepdims))
        return fit(self, out, self.results[0].type.scalar)


def _summed(op: Op, x: Value, x_zp: int) -> Element:
    """What sums of `x - x_zp` are: floats stay as they are, codes become wide ones of the same scale."""
    element = x.type.element
    if element.scalar.is_float:
        return element
    if not element.scalar.is_integer:
        op.fail(f"operand is {x.type}, expected numbers")
    check_zp(op, x, x_zp, "x_zp")
    encoding = element.encoding
    if encoding is not None and (not encoding.per_tensor or encoding.binary):
        op.fail(f"the operand has the encoding <{encoding}>, a sum needs one scale")
    return Element(wide(element.scalar), None if encoding is None else encoding.with_zp(0))


class Mean(Reduction, name="mean"):
    """The mean over `axes` of floats."""

    def infer(self) -> TensorType:
        require_float(self, self.x)
        return self.output_type(self.x.type.element)

    def reference(self, x: Array) -> Array:
        return mean(x, self.reduced(), keepdims=self.keepdims).astype(x.dtype)


class Amax(Reduction, name="amax"):
    """The largest value over `axes`; integer codes keep their type."""

    def infer(self) -> TensorType:
        self.require_comparable()
        known = self.x.type.encoding
        if known is not None and known.axis is not None and not self.keepdims:
            known = known.moved(known.axis - sum(a < known.axis for a in self.reduced()))
        return self.output_type(Element(self.x.type.scalar, known))

    def reference(self, x: Array) -> Array:
        return np.asarray(np.max(x, axis=self.reduced(), keepdims=self.keepdims))


class Argmax(Reduction, name="argmax"):
    """The i64 position of the largest value along the one axis of `axes`; the lowest of several."""

    def infer(self) -> TensorType:
        self.require_comparable()
        if len(self.axes) != 1:
            self.fail(f"positions along one axis, not {list(self.axes)}")
        return self.output_type(Element(I64))

    def reference(self, x: Array) -> Array:
        return np.asarray(np.argmax(x, axis=self.reduced()[0], keepdims=self.keepdims), np.int64)


class Topk(Op, name="topk"):
    """The i64 positions of the largest values along the last axis, largest first: as many as `shape` has there.

    Of equal values the lowest position comes first; NaN is above all.
    """

    x: Value
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        x, shape = self.x.type, self.shape
        known = x.encoding
        if x.scalar == BOOL or x.rank < 1 or not (known is None or known.per_tensor):
            self.fail(f"operand is {x}, expected a tensor of numbers of one scale")
        room = sub(x.shape[-1], shape[-1]) if shape else -1
        if len(shape) != x.rank or not same_shape(shape[:-1], x.shape[:-1]) or (isinstance(room, int) and room < 0):
            self.fail(f"positions in {x} cannot be {shape_text(shape)}")
        return TensorType(Element(I64), shape)

    def reference(self, x: Array, *, dims: Mapping[str, int]) -> Array:
        # A stable order of what grows, twice backwards: NaN is its last, and of equal values the first one.
        order = x.shape[-1] - 1 - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        return np.asarray(order[..., : evaluate(self.shape[-1], dims)], np.int64)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class Cumsum(Op, name="cumsum"):
    """Running sum along `axis`; on integers the exact sums of `x - x_zp` as i32 (i64 for i64 operands)."""

    x: Value
    axis: int
    x_zp: int = 0

    def infer(self) -> TensorType:
        axis_of(self, self.axis, self.x.type.rank)
        return self.x.type.with_element(_summed(self, self.x, self.x_zp))

    def reference(self, x: Array) -> Array:
        if x.dtype.kind == "f":
            return np.cumsum(x, axis=self.axis, dtype=np.float64).astype(x.dtype)
        codes = exact(x, (magnitude(x) + abs(self.x_zp)) * x.size) - self.x_zp
        return fit(self, np.cumsum(codes, axis=self.axis), self.results[0].type.scalar)
