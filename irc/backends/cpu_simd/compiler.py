"""A graph to a program: regions in order, each by its lowering; then places for everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.copies import copy
from irc.backends.cpu_simd.elementwise import lower_elementwise
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.lower import EPILOGUES, LOWERINGS, STEPS
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.orders import wanted_orders
from irc.backends.cpu_simd.plan import plan
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.views import Buffer, View, dense_view
from irc.backends.regions import Region, regions_of
from irc.ir.dims import product
from irc.ir.graph import Graph, Value
from irc.ir.op import Op

NAME = "model"


@dataclass(frozen=True)
class Compiled:
    """A program, and where the values of the graph lie in its workspace."""

    program: Program
    views: Mapping[Value, View]
    order: Sequence[Value]  # values in the order in which kernels complete them


def compile_graph(graph: Graph, isa: Isa, *, reuse: bool = True) -> Compiled:
    """Lower a function. Without `reuse` every value still lies in the workspace after a run."""
    regions = regions_of(graph, takes_epilogue)
    cx = Lowering(graph, isa, wanted_orders(regions, graph), lambda op: STEPS[op], regions.resolve)
    for index, value in enumerate(graph.inputs):
        buffer = Buffer("input", value.type.scalar, product(value.type.shape), index=index)
        cx.views[value] = dense_view(buffer, value.type.shape)
    _outputs(cx, graph, regions.regions)
    parts = [b for b in cx.buffers if b.space == "workspace" and b.last >= 0]
    symbols = {name: graph.symbols[name] for name in graph.symbols}
    program = Program(
        NAME,
        symbols,
        {name: text for text, name in cx.kernels.items()},
        list(cx.declarations.values()),
        cx.launches,
        plan(parts, symbols, reuse=reuse),
        bytes(cx.weights),
    )
    order = [value for launch in cx.launches for value in launch.values]
    return Compiled(program, cx.views, order)


def takes_epilogue(op: type[Op]) -> bool | None:
    """Whether elementwise steps may follow an op in its kernel; None for ops without a kernel of their own."""
    return (op in EPILOGUES) if op in LOWERINGS else None


def _outputs(cx: Lowering, graph: Graph, regions: Sequence[Region]) -> None:
    """Lower all regions; results are written in place where the region that computes one may do so."""
    for region in regions:
        lower(cx, region)
    for index, value in enumerate(graph.outputs):
        shape = value.type.shape
        target = dense_view(Buffer("output", value.type.scalar, product(shape), index=index), shape)
        copy(cx, cx.view(value), target, value.loc)


def lower(cx: Lowering, region: Region) -> None:
    if region.anchor is None:
        lower_elementwise(cx, region)
    else:
        LOWERINGS[type(region.anchor)](cx, region)
