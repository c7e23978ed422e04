"""From @accelerator to stages and streams.

Every value has one stream and an order; a lowering asks for its operands in the orders it can read. Afterwards each
stream with several readers gets a fork, and each without readers a drain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from irc.backends.fpga_hls.extent import Count, Extent
from irc.backends.fpga_hls.identifiers import Names, identifier
from irc.backends.fpga_hls.layout import c_order, channels_last
from irc.backends.fpga_hls.lower import LOWERINGS
from irc.backends.fpga_hls.lower.common import Anchor
from irc.backends.fpga_hls.lower.math import elementwise
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.ranges import bounds_of
from irc.backends.fpga_hls.resources import BIRTHS, COUNTED
from irc.backends.fpga_hls.stage import Design, Port, Stage, Stream
from irc.backends.regions import Region, regions_of
from irc.ir.diagnostics import Collector, Diagnostic, IrcError
from irc.ir.graph import Graph, Value
from irc.ir.location import UNKNOWN, Loc
from irc.ir.op import Op
from irc.ir.ops.linear import Conv
from irc.ir.ops.pool import MaxPool, SumPool
from irc.ir.ops.structure import Kernel


def build(accelerator: Graph, lowering: Callable[[type[Op]], Any] = LOWERINGS.get) -> Design:
    """The stages of the accelerator. Raises IrcError with everything that cannot be lowered, or does not fit 32 bits.

    `lowering` finds what lowers an op class: an `Anchor`, or the function that writes its expression.
    """
    regions = regions_of(accelerator, lambda op: _takes_epilogue(lowering(op)))
    nodes = [op for region in regions.regions for op in region.nodes]
    ranges = bounds_of(nodes, regions.resolve)
    if ranges.problems:
        raise IrcError(ranges.problems)
    names = Names()
    cx = Lowering(ranges, names, lowering)
    cx.reserve([r.loc.path if r.anchor is None else r.anchor.loc.path for r in regions.regions if _computes(r)])
    inputs = [_input_port(cx, value, names) for value in accelerator.inputs]
    found = Collector()
    for region in regions.regions:
        if all(regions.resolve(v) in cx.sources or cx.constant(v) is not None for v in _operands(region)):
            try:
                _lower(cx, region)
            except IrcError as error:
                found.found += error.diagnostics
    found.raise_if_any()
    outputs = [_output_port(cx, value, i, names) for i, value in enumerate(accelerator.outputs)]
    design = Design(inputs, outputs, cx.stages)
    _fork(design, names, {s for s in design.streams if s.carries is None})
    _hand_counts(design, cx.counts)
    _fork(design, names, set(cx.counts.values()))
    return design


def _takes_epilogue(lowering: Any) -> bool | None:
    """Whether steps can follow in the stage of an op; None if it has no stage of its own."""
    return lowering.epilogue if isinstance(lowering, Anchor) else None


def _computes(region: Region) -> bool:
    return region.anchor is None or not region.anchor.view


def _operands(region: Region) -> Iterable[Value]:
    inside = {op.results[0] for op in region.nodes}
    return (v for op in region.nodes for v in op.operands if v not in inside)


def _lower(cx: Lowering, region: Region) -> None:
    if region.anchor is not None:
        cx.lowering(type(region.anchor)).lower(cx, region, region.anchor)
    else:
        elementwise(cx, region)


# -- ports


def _input_port(cx: Lowering, value: Value, names: Names) -> Port:
    shape = cx.shape(value)
    layout = channels_last(shape) if feeds_window(value) else c_order(shape)
    name = names.fresh(identifier(value.name, "x"))
    stream = Stream(cx.code(value), layout.count, value, layout, names.fresh(f"{name}_in"))
    cx.define(value, stream, layout)
    return Port(name, value, stream, layout, shape)


def feeds_window(value: Value) -> bool:
    """Whether a value goes into a convolution or pooling as it is."""
    if value.type.rank < 3:
        return False
    for use in value.uses:
        node = use.node
        if isinstance(node, Kernel):
            if feeds_window(node.body.inputs[use.index]):
                return True
        elif isinstance(node, Conv | MaxPool | SumPool):
            return use.index == 0
        elif isinstance(node, Op) and node.elementwise and feeds_window(node.results[0]):
            return True
    return False


def _output_port(cx: Lowering, value: Value, index: int, names: Names) -> Port:
    layout = cx.layout(value)
    stream = cx.read(value)
    return Port(names.fresh(f"y{index}" if index else "y"), value, stream, layout, cx.shape(value))


# -- one producer and one consumer


def _hand_counts(design: Design, counts: Mapping[Count, Stream]) -> None:
    """Give every stage whose loops a count bounds that count. Raises IrcError for those whose loops are fixed."""
    found = Collector()
    for stage in design.stages:
        moved = [s.count.count for s in (*stage.inputs, *stage.outputs) if isinstance(s.count, Extent)]
        if (moved and stage.template not in COUNTED) or len(set(moved)) > (2 if stage.template in BIRTHS else 1):
            what = f"how many of up to {moved[0].most} rows come shows only while it runs; its loops are fixed"
            hint = "token-select{keep=0.7} keeps as many tokens of every sample"
            found.found.append(Diagnostic(f"{stage.template}: {what}", stage.loc, hint=hint))
        elif stage.count is not None:
            stage.counting = counts[stage.count]
    found.raise_if_any()


def _fork(design: Design, names: Names, streams: Set[Stream]) -> None:
    """Insert a fork behind every one of some streams that several stages or outputs read, a drain where none does."""
    readers: dict[Stream, list[Stage | Port]] = {s: [] for s in design.streams}
    for stage in design.stages:
        for stream in stage.inputs:
            readers[stream].append(stage)
    for port in design.outputs:
        readers[port.stream].append(port)
    shared = {stream: found for stream, found in readers.items() if stream in streams and len(found) != 1}
    stages = [_fan_out(p.stream, p.stream.name, UNKNOWN, shared, names) for p in design.inputs if p.stream in shared]
    for stage in design.stages:
        forks = [_fan_out(s, stage.name, stage.loc, shared, names) for s in stage.outputs if s in shared]
        stages += [stage, *forks]
    design.stages = stages


def _fan_out(
    stream: Stream, base: str, loc: Loc, readers: Mapping[Stream, Sequence[Stage | Port]], names: Names
) -> Stage:
    """A fork that gives each reader its own copy; a drain if there is no reader."""
    copies: list[Stream] = []
    for reader in readers[stream]:
        copy = replace(stream, name=names.fresh(f"{base}_copy"))
        copies.append(copy)
        if isinstance(reader, Stage):
            reader.replace_input(stream, copy)
        else:
            reader.stream = copy
    template, header = ("fork", "tensor.h") if copies else ("drain", "port.h")
    name = names.fresh(f"{base}_{template}")
    return Stage(name, template, header, loc, copies, [stream, *copies], [stream.count])
