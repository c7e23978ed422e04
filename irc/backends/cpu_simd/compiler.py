"""A graph to a program: regions in order, each by its lowering; then places for everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.copies import copy, fill_border
from irc.backends.cpu_simd.elementwise import lower_elementwise
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.layouts import Layout, wanted_layouts
from irc.backends.cpu_simd.lower import BYTE_STEPS, EPILOGUES, LOWERINGS, STEPS
from irc.backends.cpu_simd.lowering import Lowering, Scheduled
from irc.backends.cpu_simd.placement import place_parts
from irc.backends.cpu_simd.plan import plan
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.schedule.record import Record
from irc.backends.cpu_simd.views import Buffer, View, dense_view
from irc.backends.regions import Region, regions_of
from irc.backends.schedule import refuse_unknown
from irc.ir.dims import product
from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.tensor import Reshape


@dataclass(frozen=True)
class Compiled:
    """A program, and where the values of the graph lie in its workspace."""

    program: Program
    views: Mapping[Value, View]
    order: Sequence[Value]  # values in the order in which kernels complete them
    scheduled: Mapping[str, Scheduled]

    @property
    def records(self) -> dict[str, Record]:
        """The schedule of each problem."""
        return {key: found.record for key, found in self.scheduled.items()}


def compile_graph(
    graph: Graph,
    isa: Isa,
    *,
    reuse: bool = True,
    winograd: bool = True,
    schedules: Mapping[str, Record] | None = None,
) -> Compiled:
    """Lower a function. Without `reuse` every value still lies in the workspace after a run. `schedules` are laid out
    as they say, all other kernels by rule.

    Raises UsageError for schedules that no kernel has or can have.
    """
    given = schedules or {}
    regions = regions_of(graph, takes_epilogue)
    cx = Lowering(
        graph, isa, wanted_layouts(regions, isa), STEPS.__getitem__, BYTE_STEPS.get, regions.resolve, winograd, given
    )
    for index, value in enumerate(graph.inputs):
        buffer = Buffer("input", value.type.scalar, product(value.type.shape), index=index)
        cx.views[value] = dense_view(buffer, value.type.shape)
    computed = [region for region in regions.regions if cx.constant(region.result) is None]
    places = _places_of_results(cx, graph, computed)
    place_parts(cx, computed)
    for region in computed:
        lower(cx, region)
    for value, place in zip(graph.outputs, places, strict=True):
        if cx.view(value).buffer is not place.buffer:
            copy(cx, cx.view(value), place, value.loc)
    refuse_unknown(given, cx.scheduled, "no kernel has the schedule")
    parts = [b for b in cx.buffers if b.space == "workspace" and b.last >= 0]
    symbols = {name: graph.symbols[name] for name in graph.symbols}
    program = Program(
        symbols,
        {name: text for text, name in cx.kernels.items()},
        list(cx.declarations.values()),
        cx.launches,
        plan(parts, symbols, reuse=reuse),
        b"".join(cx.weights),
    )
    order = [value for launch in cx.launches for value in launch.values]
    return Compiled(program, cx.views, order, cx.scheduled)


def takes_epilogue(op: type[Op]) -> bool | None:
    """Whether elementwise steps may follow an op in its kernel; None for ops without a kernel of their own."""
    return (op in EPILOGUES) if op in LOWERINGS else None


def _places_of_results(cx: Lowering, graph: Graph, regions: Sequence[Region]) -> list[View]:
    """Where the results of the function go. A region writes one in place if its readers do not want it elsewhere."""
    computed = {cx.resolve(region.result): region for region in regions}
    places: list[View] = []
    for index, value in enumerate(graph.outputs):
        shape = value.type.shape
        places.append(dense_view(Buffer("output", value.type.scalar, product(shape), index=index), shape))
        source = cx.resolve(value)
        while source in computed and isinstance(reshape := computed[source].anchor, Reshape):
            source = cx.resolve(reshape.x)
        if source in computed and cx.layouts[source] == Layout():
            cx.results.setdefault(source, dense_view(places[-1].buffer, source.type.shape))
    return places


def lower(cx: Lowering, region: Region) -> None:
    if region.anchor is None:
        lower_elementwise(cx, region)
    else:
        LOWERINGS[type(region.anchor)](cx, region)
    value = cx.resolve(region.result)
    layout = cx.layouts[value]
    if layout.border:
        fill_border(cx, cx.view(value), layout.border, layout.fill, region.loc)
