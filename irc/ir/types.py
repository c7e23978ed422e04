"""Tensor types: an element (scalar type and what its integers mean) and a shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from irc.ir.constants import Data, data_text, float_text
from irc.ir.dims import Dim, Shape, same_shape, substitute, symbols_of
from irc.ir.scalars import F32, I32, Array, ScalarType, scalar


def f32(value: float) -> float:
    """The nearest f32, as a Python float. Scales are f32."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


@dataclass(frozen=True, slots=True)
class Encoding:
    """What integer codes mean: `real = scale * (code - zp)`.

    `scale` and `zp` are numbers (per tensor) or vectors along `axis` (per channel); with `group`, blocks of that many
    consecutive elements of `axis` share a scale, and `scale` has the shape of the tensor with `axis` divided by
    `group`. `binary` marks i1 codes {-1, 0} that stand for {-1, +1}: `real = scale * (2*code + 1)`. Scales are f32.
    """

    scale: float | Data
    zp: int | Data = 0
    axis: int | None = None
    group: int | None = None
    binary: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.scale, Data):
            object.__setattr__(self, "scale", f32(self.scale))
        if not isinstance(self.zp, Data):
            object.__setattr__(self, "zp", int(self.zp))

    @property
    def per_tensor(self) -> bool:
        return self.axis is None

    @property
    def scales(self) -> Array:
        """The scale(s) as an f32 array: a scalar, or the vector along `axis`."""
        return self.scale.array if isinstance(self.scale, Data) else np.array(self.scale, np.float32)

    @property
    def zps(self) -> Array:
        """The zero point(s) as an i64 array."""
        return np.array(self.zp.array if isinstance(self.zp, Data) else self.zp, np.int64)

    @property
    def data(self) -> Iterator[Data]:
        """The vectors it refers to."""
        return (d for d in (self.scale, self.zp) if isinstance(d, Data))

    def decode(self, codes: Array) -> Array:
        """The f32 values the codes stand for (any array whose axes are those of the tensor)."""
        scale, zp = self.scales, self.zps
        if self.axis is not None:
            if self.group is not None:
                scale = np.repeat(scale, self.group, axis=self.axis)
                zp = np.repeat(zp, self.group, axis=self.axis) if zp.ndim else zp
            else:
                column = [1] * codes.ndim
                column[self.axis] = -1
                scale, zp = scale.reshape(column), zp.reshape(column) if zp.ndim else zp
        wide = codes.astype(np.int64)
        centred = 2 * wide + 1 if self.binary else wide - zp
        return (centred.astype(np.float32) * scale).astype(np.float32)

    def moved(self, axis: int | None) -> Encoding:
        """The same encoding along another axis."""
        return replace(self, axis=axis)

    def with_zp(self, zp: int | Data) -> Encoding:
        return replace(self, zp=zp)

    def vector_shape(self, shape: Shape) -> Shape:
        """The shape that the scales of a tensor of `shape` have."""
        if self.axis is None:
            return ()
        size = shape[self.axis]
        if self.group is None:
            return (size,)
        groups = size // self.group if isinstance(size, int) else size
        return (*shape[: self.axis], groups, *shape[self.axis + 1 :])

    def problem(self, scalar: ScalarType, shape: Shape) -> str:
        """Why a tensor of this scalar type and shape cannot have this encoding; empty if it can."""
        if not scalar.is_integer:
            return f"only integers have an encoding, not {scalar}"
        if self.binary and (scalar != I1 or self.zp != 0):
            return "a binary encoding is of i1 and has no zero point"
        return self._axis_problem(shape) or self._vector_problem(shape) or self._number_problem()

    def _axis_problem(self, shape: Shape) -> str:
        if self.axis is None:
            several = any(self.data) or self.group is not None
            return "several scales or zero points, and groups, need an axis" if several else ""
        if not 0 <= self.axis < len(shape):
            return f"axis {self.axis} of a tensor with {len(shape)} dimensions"
        if not isinstance(self.scale, Data):
            return "an encoding with an axis needs a vector of scales"
        size = shape[self.axis]
        if self.group is not None and (self.group < 1 or not isinstance(size, int) or size % self.group):
            return f"groups of {self.group} do not divide {size}"
        return ""

    def _vector_problem(self, shape: Shape) -> str:
        wanted = self.vector_shape(shape)
        for what, vector, kind in (("scales", self.scale, F32), ("zero points", self.zp, I32)):
            if isinstance(vector, Data) and not same_shape(vector.shape, wanted):
                return f"{what} of shape {list(vector.shape)} do not fit {shape_text(shape)}"
            if isinstance(vector, Data) and vector.scalar != kind:
                return f"{what} are {vector.scalar}, expected {kind}"
        return ""

    def _number_problem(self) -> str:
        if isinstance(self.zp, int) and not I32.min <= self.zp <= I32.max:
            return f"zero point {self.zp} does not fit i32"
        absent = isinstance(self.scale, Data) and not self.scale.loaded
        sound = absent or np.all((self.scales > 0) & np.isfinite(self.scales))
        return "" if sound else "scales must be positive and finite"

    def __str__(self) -> str:
        parts = [data_text(self.scale) if isinstance(self.scale, Data) else float_text(self.scale, F32)]
        if isinstance(self.zp, Data):
            parts.append(f"zp={data_text(self.zp)}")
        elif self.zp:
            parts.append(f"zp={self.zp}")
        if self.axis is not None:
            parts.append(f"axis={self.axis}")
        if self.group is not None:
            parts.append(f"group={self.group}")
        if self.binary:
            parts.append("binary")
        return ", ".join(parts)


I1 = scalar("i1")


def per_tensor(scale: float, zp: int = 0) -> Encoding:
    """One scale (rounded to f32) and zero point for the whole tensor."""
    return Encoding(scale, zp)


def per_axis(scales: Array, axis: int, zps: Array | None = None) -> Encoding:
    """One scale an index of `axis`; a vector of one element stays a vector."""
    zp: int | Data = 0
    if zps is not None and np.any(zps):
        zp = Data.of(np.asarray(zps, np.int32))
    return Encoding(Data.of(np.asarray(scales, np.float32)), zp, axis)


@dataclass(frozen=True, slots=True)
class Element:
    """The type of one element: scalar type and, for integers that stand for reals, their encoding."""

    scalar: ScalarType
    encoding: Encoding | None = None

    def __str__(self) -> str:
        return f"{self.scalar}<{self.encoding}>" if self.encoding else str(self.scalar)


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a value."""

    element: Element
    shape: Shape

    @property
    def scalar(self) -> ScalarType:
        return self.element.scalar

    @property
    def encoding(self) -> Encoding | None:
        return self.element.encoding

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape if every dimension is a number."""
        dims = tuple(d for d in self.shape if isinstance(d, int))
        return dims if len(dims) == len(self.shape) else None

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.element, shape)

    def with_element(self, element: Element) -> TensorType:
        return TensorType(element, self.shape)

    def problem(self) -> str:
        """What is wrong with this type by itself; empty if nothing is."""
        negative = [d for d in self.shape if isinstance(d, int) and d < 0]
        if negative:
            return f"dimension {negative[0]} is negative"
        return self.encoding.problem(self.scalar, self.shape) if self.encoding else ""

    def plain(self) -> TensorType:
        """The type without its encoding, as seen by execution and by a called function."""
        return TensorType(Element(self.scalar), self.shape)

    def substitute(self, values: dict[str, Dim]) -> TensorType:
        return TensorType(self.element, tuple(substitute(d, values) for d in self.shape))

    def symbols(self) -> frozenset[str]:
        return frozenset(name for d in self.shape for name in symbols_of(d))

    def matches(self, other: TensorType) -> bool:
        """Same element and provably the same shape."""
        return self.element == other.element and same_shape(self.shape, other.shape)

    def __str__(self) -> str:
        return f"{self.element}{shape_text(self.shape)}"


def shape_text(shape: Shape) -> str:
    """`[1, n+1, 64]`."""
    return f"[{', '.join(str(d) for d in shape)}]"


def tensor(scalar: ScalarType, shape: Shape, encoding: Encoding | None = None) -> TensorType:
    """A tensor type of these parts."""
    return TensorType(Element(scalar, encoding), shape)


def f32_tensor(*shape: Dim) -> TensorType:
    return tensor(F32, shape)
