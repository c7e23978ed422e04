"""`dce`: what nothing reads is removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from irc.ir.graph import Graph, Module
from irc.ir.op import Op
from irc.ir.ops.structure import Call, Kernel
from irc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class Dce(Pass):
    """Remove unused nodes, unused results and inputs of kernel regions, and functions that `main` does not reach."""

    name = "dce"
    effect = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        for function in module.functions.values():
            _sweep(function)
        reached = _reached(module)
        for name in list(module.functions):
            if name not in reached:
                module.remove(name)


def _sweep(graph: Graph) -> None:
    """Erase from the end, so that one walk also finds what only dead nodes read."""
    for node in reversed(list(graph.nodes)):
        op = cast(Op, node)
        if op.pure and not any(v.uses for v in op.results):
            op.erase()
        elif isinstance(op, Kernel):
            _shrink(op)


def _shrink(kernel: Kernel) -> None:
    """Drop results nobody reads, then what only they needed, then operands the body does not read."""
    terminator = kernel.body.terminator
    assert terminator is not None
    kept = [i for i, value in enumerate(kernel.results) if value.uses]
    if len(kept) < len(kernel.results):
        terminator.set_operands([terminator.operands[i] for i in kept], (len(kept),))
        kernel.results = tuple(kernel.results[i] for i in kept)
        for index, value in enumerate(kernel.results):
            value.index = index
    _sweep(kernel.body)
    for index in reversed(range(len(kernel.body.inputs))):
        if not kernel.body.inputs[index].uses:
            kernel.inputs = (*kernel.inputs[:index], *kernel.inputs[index + 1 :])
            kernel.body.remove_input(index)


def _reached(module: Module) -> set[str]:
    """The functions that `main` calls, directly or not; all of them if there is no `main`."""
    if "main" not in module.functions:
        return set(module.functions)
    reached, waiting = {"main"}, ["main"]
    while waiting:
        for node in module.functions[waiting.pop()].walk():
            if isinstance(node, Call) and node.callee not in reached:
                reached.add(node.callee)
                waiting.append(node.callee)
    return reached
