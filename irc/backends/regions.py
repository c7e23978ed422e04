"""What becomes one stage: a kernel region, or a single op.

A kernel that one stage cannot run (several results, ops in front of the anchor, ...) is taken apart into its ops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from irc.ir.graph import Graph, Value
from irc.ir.location import Loc
from irc.ir.op import Op
from irc.ir.ops.quant import Rescale
from irc.ir.ops.structure import Const, Kernel

TakesEpilogue = Callable[[type[Op]], bool | None]
"""Whether elementwise steps may follow an op in its stage; None for ops without a stage of their own."""


@dataclass(frozen=True)
class Region:
    """An anchor (or none), and the elementwise ops behind it, the last of which computes `result`."""

    anchor: Op | None
    steps: tuple[Op, ...]
    result: Value
    loc: Loc

    @property
    def nodes(self) -> tuple[Op, ...]:
        return self.steps if self.anchor is None else (self.anchor, *self.steps)


@dataclass
class Regions:
    """The regions of a function in order. `names` leads from values that only stand for others to those: values at the
    border of a kernel, and what `rescale` gives another meaning."""

    regions: list[Region] = field(default_factory=list[Region])
    names: dict[Value, Value] = field(default_factory=dict[Value, Value])

    def resolve(self, value: Value) -> Value:
        """The value itself: inside a kernel the result, outside its operand."""
        while value in self.names:
            value = self.names[value]
        return value


def regions_of(graph: Graph, takes_epilogue: TakesEpilogue) -> Regions:
    """The regions of a function."""
    found = Regions()
    for node in graph.nodes:
        op = cast(Op, node)
        if op.terminator or isinstance(op, Const):
            continue
        if isinstance(op, Kernel):
            _kernel(op, found, takes_epilogue)
        else:
            _single(op, found, takes_epilogue)
    return found


def _single(op: Op, found: Regions, takes_epilogue: TakesEpilogue) -> None:
    if isinstance(op, Rescale):
        found.names[op.results[0]] = op.x
    elif takes_epilogue(type(op)) is not None or not op.elementwise:
        found.regions.append(Region(op, (), op.results[0], op.loc))
    else:
        found.regions.append(Region(None, (op,), op.results[0], op.loc))


def _kernel(kernel: Kernel, found: Regions, takes_epilogue: TakesEpilogue) -> None:
    for inner, outer in zip(kernel.body.inputs, kernel.inputs, strict=True):
        found.names[inner] = outer
    for result, value in zip(kernel.results, kernel.body.outputs, strict=True):
        found.names[result] = value
    ops = [cast(Op, n) for n in kernel.body.nodes if not n.terminator and not isinstance(n, Const)]
    anchors = [op for op in ops if takes_epilogue(type(op)) is not None]
    anchor = anchors[0] if len(anchors) == 1 and takes_epilogue(type(anchors[0])) else None
    steps = tuple(op for op in ops if op is not anchor)
    if _fits(kernel, anchor, steps):
        found.regions.append(Region(anchor, steps, kernel.body.outputs[0], kernel.loc))
    elif len(anchors) == 1 and ops[0] is anchors[0] and _fits(kernel, None, tuple(ops[1:])):
        _single(anchors[0], found, takes_epilogue)
        found.regions.append(Region(None, tuple(ops[1:]), kernel.body.outputs[0], kernel.loc))
    else:
        for op in ops:
            _single(op, found, takes_epilogue)


def _fits(kernel: Kernel, anchor: Op | None, steps: tuple[Op, ...]) -> bool:
    """Whether one stage can run the anchor and then the steps."""
    if len(kernel.body.outputs) != 1 or not steps or not all(op.elementwise for op in steps):
        return False
    inside = {op.results[0] for op in steps}
    shape = kernel.results[0].type.shape
    full = all(op.results[0].type.shape == shape for op in steps)
    if anchor is None:
        return full and steps[-1].results[0] is kernel.body.outputs[0]
    return (
        full
        and steps[-1].results[0] is kernel.body.outputs[0]
        and anchor.results[0].type.shape == shape
        and not any(v in inside for v in anchor.operands)
    )
