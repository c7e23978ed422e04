"""What a module costs: multiply-accumulates, steps, weights and bytes, one row an op, each with its module path."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from irc.ir.dims import bounds, product
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.structure import Call, Const, Kernel
from irc.ir.types import TensorType


@dataclass(frozen=True)
class Row:
    """One op of a run of `main`, at the upper bound of symbolic dimensions.

    `weights` counts the elements of the constants the op is the first to read, `weight_bits` is the width of the
    largest of them (0 without), `weight_bytes` what they take densely packed; `output_bytes` likewise.
    """

    path: str
    op: str
    macs: int
    steps: int
    weights: int
    weight_bits: int
    weight_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class Total:
    """The sums over some rows."""

    macs: int = 0
    steps: int = 0
    weights: int = 0
    weight_bytes: int = 0


def cost_table(module: Module, function: str = "main") -> list[Row]:
    """One row for every op that runs, those of kernels and called functions included, in order.

    A constant counts once, at its first reader; what only changes a constant (a view, a `dequantize`) hands it on.
    """
    return list(_Walk(module).rows(module.functions[function], {}, ""))


def total(rows: Iterable[Row]) -> Total:
    """The sums of a table."""
    rows = list(rows)
    return Total(
        sum(r.macs for r in rows),
        sum(r.steps for r in rows),
        sum(r.weights for r in rows),
        sum(r.weight_bytes for r in rows),
    )


Made = Mapping[Value, tuple[Const, ...]]
"""Values that are made of constants only, with those constants."""


class _Walk:
    """The walk over everything that runs; remembers which constants have been counted."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.counted: set[Const] = set()

    def rows(self, graph: Graph, inputs: Made, path: str) -> Iterator[Row]:
        """`inputs` says which inputs of the graph are made of constants, `path` which call runs it."""
        made = dict(inputs)
        for node in graph.nodes:
            op = cast(Op, node)
            if isinstance(op, Const):
                made[op.result] = (op,)
            elif isinstance(op, Kernel):
                yield from self.rows(op.body, _passed(made, op, op.body), path)
            elif isinstance(op, Call):
                callee = self.module.functions[op.callee]
                yield from self.rows(callee, _passed(made, op, callee), _below(path, op.loc.path))
            elif not op.terminator:
                held = tuple(c for v in op.operands for c in made.get(v, ()))
                hands_on = (op.view or op.elementwise == ("x",)) and all(v in made for v in op.operands)
                if hands_on and held:  # still a constant: its reader pays for it
                    made[op.results[0]] = held
                yield self.row(op, () if hands_on else held, path)

    def row(self, op: Op, held: tuple[Const, ...], path: str) -> Row:
        new = [c for c in dict.fromkeys(held) if c not in self.counted]
        self.counted.update(new)
        largest = max(new, key=lambda c: c.value.size, default=None)
        work = op.work()
        return Row(
            _below(path, op.loc.path),
            op.opname,
            work.macs,
            work.steps,
            sum(c.value.size for c in new),
            largest.value.scalar.bits if largest else 0,
            sum(math.ceil(c.value.size * c.value.scalar.bytes) for c in new),
            sum(_bytes(v.type, op) for v in op.results),
        )


def _passed(made: Made, op: Op, graph: Graph) -> Made:
    """The inputs of the graph an op runs that get something made of constants."""
    return {inner: made[v] for inner, v in zip(graph.inputs, op.operands, strict=True) if v in made}


def _below(path: str, inner: str) -> str:
    return f"{path}.{inner}" if path and inner else path or inner


def _bytes(type: TensorType, op: Op) -> int:
    symbols = op.graph.function.symbols if op.graph is not None else {}
    return math.ceil(bounds(product(type.shape), symbols)[1] * type.scalar.bytes)
