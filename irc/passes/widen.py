"""`widen`: compute in f32 whatever is computed in f16, bf16 or f64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.constants import Data
from irc.ir.graph import Graph, Module
from irc.ir.op import Op
from irc.ir.ops.math import Cast
from irc.ir.ops.structure import Const
from irc.ir.scalars import F32, ScalarType
from irc.ir.types import Element
from irc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class Widen(Pass):
    """Compute in f32 whatever is computed in f16, bf16 or f64; inputs and outputs keep their types.

    Quantization goes from f32 to integers, so models in other types come here first.
    """

    name = "widen"
    effect = "lossy"

    def run(self, module: Module, cx: PassContext) -> None:
        for function in module.functions.values():
            _widen(function)


def _other(scalar: ScalarType) -> bool:
    return scalar.is_float and scalar != F32


def _widen(graph: Graph) -> None:
    values = [*graph.inputs, *(v for node in graph.nodes for v in node.results)]
    if not any(_other(v.type.scalar) for v in values):
        return
    returned = [v.type.scalar for v in graph.outputs]
    first = next(iter(graph.nodes))
    for value in graph.inputs:
        if _other(value.type.scalar):
            readers = value.uses
            wide = Builder(graph, first, first.loc)(Cast(value, to=Element(F32)))
            for use in readers:
                use.node.set_operand(use.index, wide)
    for node in list(graph.nodes):
        op = cast(Op, node)
        if op.terminator:
            _restore(op, returned)
        elif any(_other(v.type.scalar) for v in op.results):
            _rebuild(op)


def _restore(op: Op, scalars: list[ScalarType]) -> None:
    """Let results leave in the types they had."""
    for index, scalar in enumerate(scalars):
        if op.operands[index].type.scalar != scalar:
            op.set_operand(index, Builder.before_node(op)(Cast(op.operands[index], to=Element(scalar))))


def _rebuild(op: Op) -> None:
    """The same op on what its operands are by now."""
    b = Builder.before_node(op)
    if isinstance(op, Const):
        new = b(Const(Data.of(op.value.array.astype(np.float32), F32), Element(F32), op.mask), op.result.name)
    elif isinstance(op, Cast):
        new = op.x if op.x.type.scalar == F32 else b(Cast(op.x, to=Element(F32)))
    else:
        new = b(rebuilt(op), op.result.name)
    op.replace_by(new)
