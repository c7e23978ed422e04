"""A graph as plain data: constants, ops with their attributes, and what one sample makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from irc.backends.fpga_hls.identifiers import Names, identifier
from irc.ir.attrs import Mask
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.fields import OPERANDS
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.quant import Dequantize, Quantize, Requantize, constant_of
from irc.ir.ops.structure import Const, Kernel
from irc.ir.scalars import Array, ScalarType
from irc.ir.types import Element
from irc.passes.base import PassContext
from irc.passes.inline import Inline
from irc.tools.params.formulas import formulas

SHIFT_BITS = 24  # of a multiplier that stands for a float one
Json = dict[str, Any]


@dataclass(frozen=True)
class Constant:
    """An array of the model under a name for files and C. `layout` says what its axes are."""

    name: str
    scalar: ScalarType
    array: Array
    layout: str
    described: Json


@dataclass
class Gathered:
    """Everything that is exported. `golden` has the value of every op for one call."""

    constants: list[Constant] = field(default_factory=list[Constant])
    ops: list[Json] = field(default_factory=list[Json])
    inputs: list[str] = field(default_factory=list[str])
    outputs: list[str] = field(default_factory=list[str])
    values: dict[str, Json] = field(default_factory=dict[str, Json])
    golden: dict[str, tuple[ScalarType, Array]] = field(default_factory=dict[str, tuple[ScalarType, Array]])
    arithmetic: dict[str, str] = field(default_factory=dict[str, str])


def gather(module: Module, call: list[Array]) -> Gathered:
    """The parameters of a module, and what it computes for the inputs of one call.

    Raises IrcError for one without integers.
    """
    Inline().run(module, PassContext())
    graph = module.main
    if not any(isinstance(node, Requantize | Quantize | Dequantize) for node in graph.walk()):
        raise IrcError(
            "the model has no integer parameters", hint="export an artifact, or quantize: --passes=quant8 --calib=DATA"
        )
    seen: dict[Value, Array] = {}
    interpret(module, call, observe=lambda value, array: seen.update({value: array}))
    walk = _Walk(seen)
    walk.run(graph, call)
    return walk.found


class _Walk:
    """The walk over a graph whose kernels are taken apart."""

    def __init__(self, seen: Mapping[Value, Array]) -> None:
        self.seen = seen
        self.found = Gathered()
        self.names = Names()
        self.same: dict[Value, Value] = {}  # values at the borders of kernels, and those they stand for
        self.known: dict[Value, str] = {}
        self.layouts: dict[Value, str] = {}

    def run(self, graph: Graph, call: list[Array]) -> None:
        ops = list(self._flat(graph))
        for op in ops:
            self.layouts.update({self._resolved(v): layout for v, layout in _layouts(op)})
        for value, array in zip(graph.inputs, call, strict=True):
            self.found.inputs.append(self._name(value, array, value.name))
        for op in ops:
            if isinstance(op, Const):
                self._constant(op)
            else:
                self._op(op)
        self.found.outputs = [self._known(value) for value in graph.outputs]
        self.found.arithmetic = formulas(op["arithmetic"] for op in self.found.ops)

    def _flat(self, graph: Graph) -> Iterator[Op]:
        for node in graph.nodes:
            op = cast(Op, node)
            if isinstance(op, Kernel):
                self.same.update(zip(op.body.inputs, op.operands, strict=True))
                yield from self._flat(op.body)
                (end,) = [n for n in op.body.nodes if n.terminator]
                self.same.update(zip(op.results, end.operands, strict=True))
            elif not op.terminator:
                yield op

    def _resolved(self, value: Value) -> Value:
        while value in self.same:
            value = self.same[value]
        return value

    def _name(self, value: Value, array: Array, wanted: str) -> str:
        name = self.known[value] = self.names.fresh(identifier(wanted))
        self.found.values[name] = described(value.type.element, array.shape)
        self.found.golden[name] = value.type.scalar, array
        return name

    def _known(self, value: Value) -> str:
        return self.known[self._resolved(value)]

    def _constant(self, op: Const) -> None:
        name = self.known[op.result] = self.names.fresh(identifier(op.result.name or op.loc.path or "constant"))
        layout = self.layouts.get(op.result, "as the axes of the op that reads it")
        data = op.value
        about = {**described(op.result.type.element, data.array.shape), "layout": layout, "layer": op.loc.path}
        self.found.constants.append(Constant(name, data.scalar, data.array, layout, about))

    def _op(self, op: Op) -> None:
        operands: Json = {}
        for f in (f for f in op.fields if f.kind in OPERANDS):
            given: Value | tuple[Value, ...] | None = getattr(op, f.name)
            several = isinstance(given, tuple)
            operands[f.name] = [self._known(v) for v in given] if several else given and self._known(given)
        name = self._name(op.results[0], self.seen[op.results[0]], op.loc.path or op.opname)
        for extra in op.results[1:]:
            self._name(extra, self.seen[extra], name)
        mode = f" {op.mode}" if isinstance(op, Requantize) else ""
        self.found.ops.append(
            {
                "op": op.opname,
                "arithmetic": f"{op.opname}{mode}",
                "layer": op.loc.path,
                "operands": operands,
                "attributes": {f.name: plain(getattr(op, f.name)) for f in op.fields if f.kind == "attribute"},
                "results": [self.known[v] for v in op.results],
                **({"scale": _factors(op, constant_of(self._resolved(op.m)))} if isinstance(op, Requantize) else {}),
            }
        )


def described(element: Element, shape: tuple[int, ...]) -> Json:
    """A type as JSON values; scales of channels are lists."""
    encoding = element.encoding
    about: Json = {"type": str(element.scalar), "shape": list(shape)}
    if encoding is not None:
        about |= {"scale": encoding.scales.tolist(), "zp": encoding.zps.tolist()}
        about |= {"axis": encoding.axis} if encoding.axis is not None else {}
        about |= {"group": encoding.group} if encoding.group is not None else {}
        about |= {"binary": True} if encoding.binary else {}
    return about


def plain(value: Any) -> Any:
    """An attribute as JSON values."""
    if isinstance(value, tuple):
        return [plain(v) for v in cast("tuple[Any, ...]", value)]
    if isinstance(value, Data):
        return value.array.tolist()
    if isinstance(value, Mask):
        return {"kind": value.kind, "params": list(value.params)}
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _factors(op: Requantize, m: Array | None) -> Json:
    """What requantize multiplies by: as a float, and as multiplier / 2^shift. Of these `exact` is what the op does."""
    if m is None:
        return {}
    if op.mode == "fixed":
        ratio = m.astype(np.float64) / 2.0**op.shift
        return {"exact": "fixed", "multiplier": m.tolist(), "shift": op.shift, "float": ratio.tolist()}
    shift = int(np.clip(SHIFT_BITS - np.frexp(float(np.max(m)))[1], 1, 62))
    multiplier = np.rint(m.astype(np.float64) * 2.0**shift).astype(np.int64)
    return {"exact": "float", "multiplier": multiplier.tolist(), "shift": shift, "float": m.tolist()}


def _layouts(op: Op) -> Iterator[tuple[Value, str]]:
    """What the axes of an op's weights are."""
    if isinstance(op, Linear):
        yield op.w, "[outputs, inputs]"
    elif isinstance(op, Conv):
        spatial = ", ".join(["depth", "rows", "columns"][-(op.w.type.rank - 2) :])
        yield op.w, f"[outputs, inputs of a group, {spatial}]"
    if isinstance(op, Linear | Conv) and op.b is not None:
        yield op.b, "[outputs]"
