"""`hls-boundary`: `@main` keeps what happens in float, `@accelerator` gets what happens on codes.

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
from irc.ir.location import fuse
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize, Quantize
from irc.ir.ops.structure import Call, Const, Return
from irc.ir.types import TensorType
from irc.passes.base import Pass, PassContext

ACCELERATOR = "accelerator"


@dataclass(frozen=True)
class Boundary(Pass):
    """Split main at its outer quantize and dequantize ops; what lies between becomes the function `accelerator`."""

    name = "hls-boundary"
    effect = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        if ACCELERATOR in module.functions:
            return
        main = module.main
        before, after = _entering(main), _leaving(main)
        _share(main, before | after)
        inside = [
            cast(Op, n) for n in main.nodes if not n.terminator and n not in before and n not in after
        ]
        produced = {v for op in inside for v in op.results}
        enter = list(dict.fromkeys(v for op in inside for v in op.operands if v not in produced))
        leave = list(
            dict.fromkeys(v for op in inside for v in op.results if any(u.node not in inside for u in v.uses))
        )
        leave = [v for v in leave]
        if not leave:
            return
        accelerator = _outline(inside, enter, leave)
        module.add(accelerator)
        anchor = next(n for n in main.nodes if n in after or n.terminator)
        types = tuple(v.type for v in leave)
        call = Call(FuncRef(ACCELERATOR), tuple(enter), types=types)
        node = Builder.before_node(anchor, fuse([op.loc for op in inside][:0])).add(call)
        for old, new in zip(leave, node.results, strict=True):
            for use in old.uses:
                if use.node.graph is main:
                    use.node.set_operand(use.index, new)
            new.name = old.name
