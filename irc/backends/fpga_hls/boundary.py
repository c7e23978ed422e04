"""`hls-boundary`: `@main` keeps the crossing between floats and codes, `@accelerator` gets what happens on codes.

    @main:         quantize -> call @accelerator -> dequantize
    @accelerator:  codes in, codes out (logits are i32)

The host or the test bench runs `@main`; only `@accelerator` becomes hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from irc.ir.attrs import FuncRef
from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.structure import Call, Const, Return
from irc.passes.analysis.crossing import entering, leaving
from irc.passes.base import Pass, PassContext

ACCELERATOR = "accelerator"


@dataclass(frozen=True)
class Boundary(Pass):
    """Split main into quantize, a call of `accelerator`, and dequantize; floats in front and behind stay in main."""

    name = "hls-boundary"
    effect = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        main = module.main
        if ACCELERATOR in module.functions:
            return
        before, after = entering(main), leaving(main)
        inside = [
            cast(Op, n)
            for n in main.nodes
            if not n.terminator and not isinstance(n, Const) and n not in before and n not in after
        ]
        if inside:
            _outline(module, inside, after)


def _outline(module: Module, inside: list[Op], after: set[Op]) -> None:
    """Move nodes of main into the accelerator; constants are copied."""
    main = module.main
    nodes = set(inside)
    constants = [n for n in main.nodes if isinstance(n, Const) and any(user in nodes for user in n.result.users)]
    known = {v for op in [*inside, *constants] for v in op.results}
    enter = list(dict.fromkeys(v for op in inside for v in op.operands if v not in known))
    leave = [v for op in inside for v in op.results if any(user not in nodes for user in v.users)]
    symbols = main.symbols.values()
    accelerator = Graph([v.type for v in enter], names=_names(enter), name=ACCELERATOR, symbols=symbols)
    values = dict(zip(enter, accelerator.inputs, strict=True))
    end = next(n for n in main.nodes if n.terminator)
    for op in [n for n in main.nodes if n in after]:  # the call comes behind all that enters
        main.unlink(op)
        main.insert(op, before=end)
    place = next(n for n in main.nodes if n.terminator or n in after)
    b = Builder.at_end(accelerator)
    for const in constants:
        copy = Const(const.value, const.to, const.mask)
        copy.loc = const.loc
        values[const.result] = b(copy, const.result.name)
    results = (
        Builder(main, place).add(Call(FuncRef(ACCELERATOR), tuple(enter), types=tuple(v.type for v in leave))).results
    )
    for op in inside:
        main.unlink(op)
        accelerator.append(op)
        for index, value in enumerate(op.operands):
            op.set_operand(index, values.get(value, value))
    for old, new in zip(leave, results, strict=True):
        for use in old.uses:
            if use.node.graph is main:
                use.node.set_operand(use.index, new)
    b.add(Return(tuple(leave)))
    for const in constants:
        if not const.result.uses:
            const.erase()
    module.add(accelerator)


def _names(values: list[Value]) -> list[str]:
    """Input names: those of the inputs of main that the codes stand for, each once."""
    names: list[str] = []
    for value in values:
        source = value
        while isinstance(source.node, Op) and source.node.operands:
            source = source.node.operands[0]
        wanted = source.name or f"x{len(names)}"
        names.append(wanted if wanted not in names else f"{wanted}_{len(names)}")
    return names
