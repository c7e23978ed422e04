"""From @accelerator to the layers of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from irc.backends.fpga_hls.dataflow import feeds_window
from irc.backends.fpga_hls.engine import lower_fold, lower_linear, lower_rows, lower_tensor, lower_token
from irc.backends.fpga_hls.engine.lower_fold import elementwise
from irc.backends.fpga_hls.engine.lowering import LAYERS, WAY_OUT, EngineLowering
from irc.backends.fpga_hls.engine.memory import View, new_view
from irc.backends.fpga_hls.engine.program import Port, Program
from irc.backends.fpga_hls.engine.steps import OPERATIONS, TooMuch
from irc.backends.fpga_hls.identifiers import Names, identifier
from irc.backends.fpga_hls.ranges import bounds_of
from irc.backends.fpga_hls.types import code_of
from irc.backends.regions import Region, regions_of
from irc.ir.diagnostics import Collector, Diagnostic, IrcError
from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.quant import Rescale
from irc.ir.ops.structure import Kernel

FAMILIES = (lower_fold, lower_linear, lower_rows, lower_tensor, lower_token)
"""Modules that register what they lower."""


def build(accelerator: Graph) -> Program:
    """The layers of the accelerator. Raises IrcError with everything that the engine cannot run."""
    regions = regions_of(accelerator, _takes_steps)
    nodes = [op for region in regions.regions for op in region.nodes]
    ranges = bounds_of(nodes, regions.resolve)
    found = Collector()
    found.found += [*_unknown(nodes), *ranges.problems]
    found.raise_if_any()
    outside = {regions.resolve(r): r for op in accelerator.nodes if isinstance(op, Kernel) for r in op.results}
    names = Names()
    cx = EngineLowering(ranges, outside, names)
    inputs = tuple(_input(cx, value, names) for value in accelerator.inputs)
    for region in regions.regions:
        if all(cx.known(v) for v in _operands(region)):
            try:
                _lower(cx, region)
            except IrcError as error:
                found.found += error.diagnostics
    found.raise_if_any()
    outputs = tuple(_output(cx, value, i, names) for i, value in enumerate(accelerator.outputs))
    return Program(inputs, outputs, tuple(cx.layers))


def _takes_steps(op: type[Op]) -> bool | None:
    """Whether steps can follow in the layer of an op; None if it has no layer of its own."""
    return None if op not in LAYERS else op not in MOVES


MOVES = frozenset(op for op, lower in LAYERS.items() if lower.__module__ == lower_tensor.__name__)


def _unknown(nodes: Sequence[Op]) -> Iterator[Diagnostic]:
    for op in nodes:
        if type(op) not in LAYERS and type(op) not in OPERATIONS:
            yield Diagnostic(f"{op.opname}: the engine cannot run it", op.loc, hint=WAY_OUT)


def _operands(region: Region) -> Iterator[Value]:
    inside = {op.results[0] for op in region.nodes}
    return (v for op in region.nodes for v in op.operands if v not in inside)


def _lower(cx: EngineLowering, region: Region) -> None:
    """Lower a region; one that does not fit a layer is cut into its ops."""
    cx.loc = region.loc

    def in_parts() -> None:
        parts = [Region(region.anchor, (), region.anchor.results[0], region.loc)] if region.anchor else []
        parts += [Region(None, (op,), op.results[0], region.loc) for op in region.steps]
        for part in parts:
            _whole(cx, part)

    cx.attempt(lambda: _whole(cx, region), in_parts, TooMuch)


def _whole(cx: EngineLowering, region: Region) -> None:
    if region.anchor is not None:
        LAYERS[type(region.anchor)](cx, region, region.anchor)
    elif all(isinstance(op, Rescale) for op in region.steps):
        cx.define(region.result, cx.view(region.steps[0].operands[0]))
    else:
        elementwise(cx, region)


def _input(cx: EngineLowering, value: Value, names: Names) -> Port:
    shape = cx.shape(value)
    order = [0, *range(2, len(shape)), 1] if feeds_window(value) else list(range(len(shape)))
    name = names.fresh(identifier(value.name, "x"))
    view = new_view(name, code_of(value.type.scalar), shape, order, compact=True)
    cx.define(value, view)
    return _port(name, value, view, shape)


def _output(cx: EngineLowering, value: Value, index: int, names: Names) -> Port:
    """Results lie side by side, in a buffer that a layer has written."""
    shape = cx.shape(value)
    view = cx.view(value)
    written = any(layer.y.buffer is view.buffer for layer in cx.layers)
    if view.layout is None or not written:
        view = cx.copied(view, range(len(shape)), compact=True)
    return _port(names.fresh(f"y{index}" if index else "y"), value, view, shape)


def _port(name: str, value: Value, view: View, shape: tuple[int, ...]) -> Port:
    layout = view.layout
    assert layout is not None
    return Port(name, value, layout, shape, code_of(value.type.scalar), view)
