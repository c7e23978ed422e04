"""What lowerings work with: values as streams in some order, stages, names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from irc.backends.fpga_hls.extent import Count, shape_of
from irc.backends.fpga_hls.identifiers import Names, identifier
from irc.backends.fpga_hls.layout import Layout, Loop, Shape, c_order, merged, nest, refined
from irc.backends.fpga_hls.ranges import Ranges
from irc.backends.fpga_hls.stage import CONFIG, Config, Expression, Pace, Rom, Stage, Stream
from irc.backends.fpga_hls.types import Code, code_of
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.op import Op
from irc.ir.ops.quant import constant_of
from irc.ir.scalars import I32, Array

BUFFERS = 2
"""Memories of a stage that needs a whole operand: with two, one fills while the other is read."""


@dataclass(frozen=True)
class Source:
    """Where the elements of a value come from, and in which order."""

    stream: Stream
    layout: Layout


def waits(part: float, uneven: float = 0.0) -> Pace:
    """The pace of an input of which that part has to be there before the first result, and which is then read evenly.

    `uneven` is the part by which reading may fall behind that, for example a row.
    """
    return Pace(-part, uneven - part)


class Lowering:
    """One accelerator under construction."""

    def __init__(self, ranges: Ranges, names: Names, lowering: Callable[[type[Op]], Any]) -> None:
        self.lowering = lowering
        self.ranges = ranges
        self.resolve = ranges.resolve
        self.names = names
        self.stages: list[Stage] = []
        self.sources: dict[Value, Source] = {}
        self.counts: dict[Count, Stream] = {}  # of each count that is born in the run
        self._moved: dict[tuple[Any, ...], Stream] = {}  # reorder and replay stages, which several readers share
        self._sole: set[str] = set()  # names that belong to one stage alone

    def step(self, op: type[Op]) -> Callable[[Any, Any], str | Expression]:
        """What writes the expression of an elementwise op."""
        return self.lowering(op)

    # -- values

    def shape(self, value: Value) -> Shape:
        """The shape, which legality has checked."""
        shape = shape_of(value)
        assert shape is not None
        return shape

    def constant(self, value: Value | None) -> Array | None:
        """The array of a constant operand, if it is one."""
        return None if value is None else constant_of(self.resolve(value))

    def code(self, value: Value) -> Code:
        """The stream type of a value: that of its codes; for sums the narrowest that holds them."""
        value = self.resolve(value)
        if value.type.scalar == I32:
            return self.ranges.of(value).code
        return code_of(value.type.scalar)

    def layout(self, value: Value) -> Layout:
        """The order in which a value comes; constants come in any, so C order."""
        value = self.resolve(value)
        return self.sources[value].layout if value in self.sources else c_order(self.shape(value))

    def is_stream(self, value: Value) -> bool:
        return self.constant(value) is None

    def define(self, value: Value, stream: Stream, layout: Layout) -> None:
        """Say which stream carries a value."""
        self.sources[value] = Source(stream, layout)

    def alias(self, value: Value, of: Value, layout: Layout) -> None:
        """Say that a value is another one seen differently."""
        self.define(value, self.sources[self.resolve(of)].stream, layout)

    def read(
        self, value: Value, layout: Layout | None = None, loc: Loc | None = None, shape: Shape | None = None
    ) -> Stream:
        """The elements of a value as a stream of that order (default: as they come).

        With `shape`, of the value broadcast to that shape, which `layout` belongs to. Where the value comes in another
        order it is reordered, where it is smaller it is repeated.
        """
        value = self.resolve(value)
        where = loc or value.loc
        own = self.shape(value)
        wanted = layout or self.layout(value)
        array = self.constant(value)
        if array is not None:
            return self._rom_source(value, array if shape is None else np.broadcast_to(array, shape), wanted, where)
        if shape is None or math.prod(shape) == math.prod(own):
            return self._reorder(self.sources[value], wanted, where, value)
        loops = wanted.split(shape)
        if loops is None:  # repeat in C order, then bring that into the wanted one
            plain = c_order(shape)
            return self._reorder(Source(self.read(value, plain, where, shape), plain), wanted, where)
        return self._repeat(value, loops, len(shape) - len(own), where)

    # -- stages

    def stage_name(self, loc: Loc, kind: str) -> str:
        """A name from the module path; the kind tells stages of one path apart."""
        path = identifier(loc.path, "model")
        return self.names.fresh(path if loc.path in self._sole else f"{path}_{kind}")

    def reserve(self, paths: Sequence[str]) -> None:
        """Let the paths that occur once name their stage alone."""
        self._sole = {path for path in paths if path and paths.count(path) == 1}

    def add(self, stage: Stage) -> Stage:
        """Append a stage; its outputs are named after it."""
        for stream in stage.outputs:
            stream.name = self.names.fresh(f"{stage.name}_out")
        self.stages.append(stage)
        return stage

    def helper_name(self, loc: Loc, kind: str) -> str:
        return self.names.fresh(f"{identifier(loc.path, 'model')}_{kind}")

    def _rom_source(self, value: Value, array: Array, layout: Layout, loc: Loc) -> Stream:
        name = self.helper_name(loc, "constant")
        codes = layout.arrange(array.astype(np.uint8) if array.dtype == np.bool_ else array)
        rom = Rom("values", codes, self.names.fresh(f"{name}_values"))
        whole = codes.size == math.prod(self.shape(value))
        out = Stream(self.code(value), codes.size, value if whole else None, layout)
        self.add(Stage(name, "rom_source", "tensor.h", loc, [out], [rom, out]))
        return out

    def _repeat(self, value: Value, loops: Sequence[Loop], shift: int, loc: Loc) -> Stream:
        """A value repeated along dimensions of size 1 and `shift` missing leading ones; `loops` are those wanted."""
        own = self.shape(value)
        repeated = [loop.dim < shift or own[loop.dim - shift] == 1 for loop in loops]
        kept = [Loop(x.dim - shift, x.extent, x.step) for x, r in zip(loops, repeated, strict=True) if not r]
        stream = self.read(value, nest(own, kept), loc)
        outer = 1
        for place, loop in enumerate(loops):
            if repeated[place]:
                later = zip(loops[place:], repeated[place:], strict=True)
                inner = math.prod(x.extent for x, r in later if not r)
                stream = self._replay(stream, outer, loop.extent, inner, loc)
            outer *= loop.extent
        return stream

    def _replay(self, stream: Stream, outer: int, repeat: int, inner: int, loc: Loc) -> Stream:
        key = (stream, outer, repeat, inner)
        if key not in self._moved:
            out = Stream(stream.code, outer * repeat * inner)
            config: Config = {"outer": outer, "repeat": repeat, "inner": inner}
            name = self.helper_name(loc, "replay")
            stage = Stage(name, "replay", "tensor.h", loc, [out], [stream, out], [CONFIG], config)
            stage.takes[0] = Pace(-(1 - 1 / repeat) / outer, 0)
            self.add(stage)
            self._moved[key] = out
        return self._moved[key]

    def _reorder(self, source: Source, target: Layout, loc: Loc, value: Value | None = None) -> Stream:
        """A source in the order of `target`; `value` is what these orders are of, if that is one of the graph.

        It need not be the value that the stream of the source was made for: a permute reads that in other dimensions.
        """
        if source.layout == target:
            return source.stream
        cut = refined([source.layout, target])
        if cut is None:  # the two orders cut the tensor at odd places: go by C order
            plain = c_order((target.count,))
            return self._reorder(Source(self._reorder(source, plain, loc, value), plain), target, loc, value)
        have, want = (list(layout.loops) for layout in cut)
        blocks = 1
        while have[0] == want[0]:
            blocks *= have.pop(0)[0]
            want.pop(0)
        place, distance = dict[int, int](), 1
        for extent, stride in reversed(have):
            place[stride] = distance
            distance *= extent
        order = merged((extent, place[stride]) for extent, stride in want)
        key = (source.stream, blocks, order)
        if key not in self._moved:
            out = Stream(source.stream.code, source.stream.count, value, target)
            config: Config = {
                "blocks": blocks,
                "count": distance,
                "buffers": BUFFERS,
                "extents": f"Dims<{', '.join(str(e) for e, _ in order.loops)}>",
                "strides": f"Dims<{', '.join(str(s) for _, s in order.loops)}>",
            }
            name = self.helper_name(loc, "reorder")
            stage = Stage(name, "reorder", "tensor.h", loc, [out], [source.stream, out], [CONFIG], config)
            stage.takes[0] = waits(1 / blocks)
            self.add(stage)
            self._moved[key] = out
        return self._moved[key]
