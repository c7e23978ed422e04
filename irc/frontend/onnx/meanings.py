"""What integer codes mean: given to the values that hold them, as far as everything that reads them agrees.

A file says what codes mean where they are made and where they are read. In between they may be moved, which keeps their
meaning, or computed with as plain integers, which the types of the IR forbid for codes with a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from irc.ir.diagnostics import IrcError
from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.quant import Quantize, Requantize
from irc.ir.types import Element, Encoding


def give_meanings(graph: Graph, encodings: Mapping[Value, Encoding]) -> None:
    """Give each result of a quantization its encoding: all at once, or those of one scale, or one alone, if it fits."""
    wanted = {v: e for v, e in encodings.items() if v.uses and isinstance(v.node, Quantize | Requantize)}
    if _fit(graph, wanted):
        return
    for encoding in dict.fromkeys(wanted.values()):
        same = {v: e for v, e in wanted.items() if e == encoding}
        if not _fit(graph, same):
            for value in same:
                _fit(graph, {value: encoding})


def _fit(graph: Graph, wanted: Mapping[Value, Encoding]) -> bool:
    """Whether the graph is sound with these encodings, which it has afterwards; else it is as before."""
    try:
        _state(graph, wanted)
    except IrcError:
        _state(graph, dict.fromkeys(wanted))
        return False
    return True


def _state(graph: Graph, wanted: Mapping[Value, Encoding | None]) -> None:
    """State encodings, and infer the types behind them again. Raises IrcError where one does not fit."""
    if not wanted:
        return
    for value, encoding in wanted.items():
        op = cast("Quantize | Requantize", value.node)
        op.to = Element(value.type.scalar, encoding)
    changed: set[Value] = set()
    for node in _from(graph, list(wanted)):
        if any(v in wanted for v in node.results) or any(v in changed for v in node.operands):
            before = [v.type for v in node.results]
            node.set_result_types()
            node.check()
            changed.update(v for v, t in zip(node.results, before, strict=True) if v.type != t)


def _from(graph: Graph, values: Sequence[Value]) -> Sequence[Op]:
    """The nodes from the first of those that make these values on."""
    nodes = [cast(Op, node) for node in graph.nodes if not node.terminator]
    made = {v.node for v in values}
    return nodes[next(i for i, node in enumerate(nodes) if node in made) :]
