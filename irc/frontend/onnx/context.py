"""What a converter of one ONNX operator sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from irc.frontend.building import Building
from irc.frontend.onnx.proto import OnnxGraph, OnnxNode, Tensor
from irc.frontend.onnx.sizes import Sizes, sizes_of, vector
from irc.frontend.onnx.tensors import Tensors, scalar_type
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.dims import Dim, Shape
from irc.ir.graph import Value
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Reshape
from irc.ir.scalars import I64, Array, ScalarType
from irc.ir.types import Encoding

Result: TypeAlias = "Value | tuple[Value | None, ...]"
Converter: TypeAlias = Callable[..., Result]


@dataclass
class Context(Building):
    """One operator while it is imported: the node, the version of its operator set, and what is known of values.

    A converter gets inputs by position (None for one that is left out) and attributes by name.
    """

    node: OnnxNode
    version: int
    tensors: Tensors = field(repr=False)
    known: dict[Value, Sizes] = field(repr=False)
    encodings: dict[Value, Encoding] = field(repr=False)  # what codes that are made here mean
    branch: Callable[[OnnxGraph, Sequence[Value]], tuple[Value | None, ...]] = field(repr=False)

    # -- what is known of an operand

    def constant(self, x: Value | None) -> Array | None:
        """The values of a constant."""
        node = None if x is None else x.node
        return node.value.array if isinstance(node, Const) else None

    def sizes(self, x: Value) -> Sizes | None:
        """Integers (or truth values) that are known, maybe with symbols."""
        if x in self.known:
            return self.known[x]
        values = self.constant(x)
        return None if values is None or values.dtype.kind not in "iub" else sizes_of(values)

    def dims(self, x: Value, what: str) -> tuple[Dim, ...]:
        """Known integers, flat. Gives up if the model computes them."""
        found = self.sizes(x)
        if found is None:
            self.unsupported(
                f"{what} is computed by the model", "only what follows from constants and from the shapes of inputs"
            )
        return tuple(found.flat)

    def ints(self, x: Value, what: str) -> tuple[int, ...]:
        """Known numbers, flat."""
        return tuple(self.number(d, what) for d in self.dims(x, what))

    def values(self, x: Value, what: str) -> Array:
        """The values of an operand that must be constant."""
        found = self.constant(x)
        if found is None:
            self.unsupported(f"{what} is computed by the model", "only a constant has an equivalent")
        return found

    def single(self, x: Value, what: str) -> float:
        """The value of a constant of one element."""
        found = self.values(x, what)
        if found.size != 1:
            self.unsupported(f"{what} has {found.size} values, expected one")
        return found.reshape(()).item()

    # -- what is made

    def of_sizes(self, sizes: Sizes) -> Value:
        """Sizes as a value, which stay known."""
        if all(isinstance(d, int) for d in sizes.flat):
            return self.b.const(sizes.astype(np.int64), I64)
        parts = [self.b(Reshape(self.size(d), (1,))) for d in sizes.flat]
        flat = parts[0] if len(parts) == 1 else self.b(Concat(tuple(parts), 0))
        value = flat if sizes.ndim == 1 else self.b(Reshape(flat, sizes.shape))
        self.known[value] = sizes
        return value

    def shape(self, dims: Shape) -> Value:
        return self.of_sizes(vector(dims))

    def reshape(self, x: Value, shape: Shape) -> Value:
        """`x` with another shape; itself if it has that shape."""
        return x if x.type.shape == shape else self.b(Reshape(x, shape))

    def data(self, tensor: Tensor) -> Data:
        return self.tensors.data(tensor)

    def scalar(self, element: int) -> ScalarType:
        """The scalar type of an element type."""
        try:
            return scalar_type(element)
        except IrcError as error:
            self.unsupported(error.diagnostics[0].message, error.diagnostics[0].hint)

    def axis(self, axis: int, rank: int) -> int:
        """A non-negative axis."""
        if not -rank <= axis < max(rank, 1):
            self.unsupported(f"axis {axis} of a tensor with {rank} dimensions")
        return axis % rank if rank else 0

    def default(self, values: Any, fallback: int, n: int) -> tuple[int, ...]:
        """Numbers a spatial axis, or the default for each. Gives up if there are not `n`."""
        given = (fallback,) * n if values is None else tuple(values)
        if len(given) != n:
            self.unsupported(f"{len(given)} numbers for {n} axes")
        return given

    def elements(self, x: Value) -> int:
        """The number of elements, which must be known."""
        return math.prod(self.number(d, "a size") for d in x.type.shape)
