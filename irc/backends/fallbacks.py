"""What runs otherwise than it was asked for, though the result is valid: always printed, an error with `--strict`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import cast

from irc.ir.diagnostics import Diagnostic, merged
from irc.ir.graph import Graph, Module
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize, Quantize, Requantize
from irc.ir.ops.structure import Const, Kernel

BETWEEN = "islands=none makes it integer, where it has an integer form"
ON_HOST = "leave it out of the model, or compile the part before it with --stop-at"
IN_THE_ROOT = "leave it out of the model, or move it to a module of its own, where --stop-at can end"


@dataclass(frozen=True)
class Fallback:
    """One finding; `stated` is what options or defaults say will be so, which is printed and no error."""

    diagnostic: Diagnostic
    stated: bool = False

    @property
    def text(self) -> str:
        """In one line: what, how often, where first."""
        d = self.diagnostic
        where = f": {d.loc.sources[0]}" if d.loc.sources else ""
        more = f" and {len(d.others)} more" if d.others else ""
        return f"{d.message}{where}{more}"


def in_float(module: Module, islands: Collection[str], device: str) -> list[Fallback]:
    """Ops that compute floats in a module that was to compute integers: one finding a kind of op.

    `islands` names the ops that are meant to. Where `device` is the function that a device runs, `main` is the host.
    """
    host = device in module.functions
    ops = [op for name, graph in module.functions.items() if name != device for op in _floats(graph)]
    found = [(op.opname in islands and not host, _finding(op, host)) for op in ops]
    return [
        Fallback(diagnostic, stated)
        for stated in (False, True)
        for diagnostic in merged(d for kind, d in found if kind is stated)
    ]


def _finding(op: Op, host: bool) -> Diagnostic:
    where = "on the host, in float" if host else "in float, between integers"
    hint = BETWEEN if not host else ON_HOST if op.loc.path else IN_THE_ROOT
    return Diagnostic(f"{op.opname} runs {where}", op.loc, hint=hint)


def _floats(graph: Graph) -> Iterator[Op]:
    """Ops that compute floats, or something else of floats; to move them, or to bring them to codes and back, is not
    meant.
    """
    for node in graph.walk():
        op = cast(Op, node)
        if op.terminator or op.view or isinstance(op, Const | Kernel | Dequantize | Quantize | Requantize):
            continue
        if any(v.type.scalar.is_float for v in (*op.results, *op.operands)):
            yield op
