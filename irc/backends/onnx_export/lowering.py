"""A graph becomes operators: the walk over its nodes, and what lowerings ask for.

A lowering is a function `(cx, op) -> name`: it adds operators and returns the name of the result, which has the type
`cx.kind(op.results[0])`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import numpy as np

from irc.backends.onnx_export.proto import ELEMENTS, OnnxModel, Port
from irc.backends.onnx_export.scalars import Kind, storage
from irc.backends.onnx_export.shapes import Dims
from irc.backends.onnx_export.writer import Writer
from irc.ir.constants import Data
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.dims import Shape
from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Kernel
from irc.ir.ops.token import Select
from irc.ir.scalars import Array, ScalarType
from irc.version import __version__

Lower = Callable[["Lowering", Any], str]
Find = Callable[[type[Op]], Lower | None]


@dataclass
class Lowering:
    """The state of a walk; `names` holds what has been computed."""

    graph: Graph
    find: Find
    writer: Writer = field(default_factory=Writer)
    names: dict[Value, str] = field(default_factory=dict[Value, str])
    kinds: dict[Value, Kind] = field(default_factory=dict[Value, Kind])
    outside: dict[Value, Value] = field(default_factory=dict[Value, Value])  # inputs of regions, and what enters there
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    outputs: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.dims = Dims(self.writer, self.graph)

    # -- the walk

    def run(self) -> None:
        """Lower every node; what cannot be lowered is in `found`."""
        for value in self.graph.inputs:
            self.writer.name(value.name)
            self.kinds[value] = storage(value)
            self.names[value] = self._rounded(value.name, value)
        self.outputs = [self.writer.name(f"output{i}") for i in range(len(self.graph.outputs))]
        self._nodes(self.graph)

    def _nodes(self, graph: Graph) -> None:
        for node in graph.nodes:
            op = cast(Op, node)
            self.writer.loc = op.loc
            if isinstance(op, Kernel):
                self._kernel(op)
            elif not op.terminator:
                self._node(op)

    def _kernel(self, kernel: Kernel) -> None:
        for inner, outer in zip(kernel.body.inputs, kernel.inputs, strict=True):
            self.names[inner], self.kinds[inner] = self.names[outer], self.kinds[outer]
            self.outside[inner] = outer
        self._nodes(kernel.body)
        for result, value in zip(kernel.results, kernel.body.outputs, strict=True):
            self.names[result], self.kinds[result] = self.names[value], self.kinds[value]

    def _node(self, op: Op) -> None:
        result = op.results[0]
        try:
            self._check(op)
            lower = self.find(type(op))
            name = lower(self, op) if lower is not None else ""
        except IrcError as error:
            self.found += error.diagnostics
            name = ""
        self.names[result], self.kinds[result] = name, storage(result)

    def _check(self, op: Op) -> None:
        result = op.results[0]
        born = op.born if isinstance(op, Select) else None
        for name in (n for n in self.dims.unknown(result.type.shape) if n != born):
            self.refuse(op, f"no input tells the size {name} of {result.type}", "specialize fixes it")

    def _rounded(self, name: str, value: Value) -> str:
        """Values of bf16, which are held as f32, rounded."""
        if value.type.scalar.kind != "bf":
            return name
        return self.cast(self.cast(name, "float", "bfloat16"), "bfloat16", "float")

    def model(self, outputs: Mapping[str, Value], inputs: list[Value]) -> OnnxModel:
        """The model that computes these values."""
        for name, value in outputs.items():
            self.writer.loc = value.loc
            self.writer.output(name, self.names[value])
        nodes, tensors = self.writer.needed_for(outputs)
        ports = [Port(name, self.kinds[value], value.type.shape) for name, value in outputs.items()]
        entries = [Port(v.name, self.kinds[v], v.type.shape) for v in inputs]
        return OnnxModel(self.graph.name, f"irc {__version__}", entries, ports, tensors, nodes)

    # -- what lowerings ask for

    def refuse(self, op: Op, message: str, hint: str) -> NoReturn:
        """Raise an IrcError about a node that cannot be lowered."""
        raise IrcError(Diagnostic(f"{op.opname}: the backend onnx cannot write it: {message}", op.loc, hint=hint))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The result of an operator."""
        return self.writer.node(op, *inputs, **attributes)

    def const(self, values: Array | float, kind: Kind) -> str:
        return self.writer.const(values, kind)

    def ints(self, *numbers: int) -> str:
        """A vector of int64: axes, starts, pads."""
        return self.writer.const(np.array(numbers, np.int64), "int64")

    def shape(self, shape: Shape) -> str:
        return self.dims.shape(shape)

    def kind(self, value: Value) -> Kind:
        return self.kinds[value] if value in self.kinds else storage(value)

    def constant(self, value: Value | None) -> Data | None:
        """The data of a constant operand, if it is one and loaded."""
        outer = None if value is None else self.outside.get(value, value)
        node = None if outer is None else outer.node
        return node.value if isinstance(node, Const) and node.value.loaded else None

    def read(self, value: Value, kind: Kind | None = None) -> str:
        """The name of a value, cast to a type if one is given."""
        return self.names[value] if kind is None else self.cast(self.names[value], self.kinds[value], kind)

    def cast(self, name: str, have: Kind, want: Kind) -> str:
        return name if have == want else self.node("Cast", name, to=ELEMENTS[want])

    def done(self, op: Op, name: str, have: Kind) -> str:
        """The result of a node from a computation in another type, whose values it holds."""
        return self._rounded(self.cast(name, have, self.kind(op.results[0])), op.results[0])

    def clip(self, name: str, kind: Kind, low: float | None, high: float | None) -> str:
        """Values between bounds; int16 by way of int32, which has a kernel."""
        if kind in ("int16", "uint16"):
            return self.cast(self.clip(self.cast(name, kind, "int32"), "int32", low, high), "int32", kind)
        bounds = ["" if v is None else self.const(v, kind) for v in (low, high)]
        return name if bounds == ["", ""] else self.node("Clip", name, *bounds)

    def fit(self, op: Op, name: str, have: Kind) -> str:
        """Codes saturated to the scalar type of the result of a node."""
        scalar = op.results[0].type.scalar
        return self.done(op, self.clip(name, have, scalar.min, scalar.max), have)


def computed_in(scalar: ScalarType) -> Kind:
    """The type for arithmetic: f32 for half floats, whose results are rounded once; 32 bits for narrow integers."""
    if scalar.is_float:
        return "double" if scalar.bits == 64 else "float"
    if scalar.kind == "bool":
        return "int32"
    return "int32" if scalar.bits < 32 or scalar == ScalarType("i", 32) else "int64"
