"""What follows an anchor in its kernel: the elementwise steps of the region on vectors of results, and their store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import takewhile

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.codegen.narrow import bytes_in_order, packs
from irc.backends.cpu_simd.elementwise import Read, evaluate, leaf_views, rounded
from irc.backends.cpu_simd.kernel import CACHE_BYTES, LINE_BYTES, Count, Kernel, memory
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import bounds, equal, product
from irc.ir.graph import Value

Arrange = Callable[[View], View]
"""A view of the result's shape with its dimensions in another order, or taken apart: vectors run along the last one."""

Address = Callable[[View], Lane]
"""Where a vector's row begins in a view."""

Seen = dict[Value, Lane]
"""Operands that were read before."""


@dataclass(frozen=True, eq=False)
class Epilogue:
    """The steps of a region. `out` and `inputs` are arranged views; `single` operands are one element each.

    What is added to the anchor's result first, its bias, is the input of that name.
    """

    cx: Lowering
    region: Region
    out: View
    inputs: Mapping[Value, View]
    single: dict[Value, Lane] = field(default_factory=dict[Value, Lane])

    @staticmethod
    def of(cx: Lowering, region: Region, arrange: Arrange = lambda view: view, bias: View | None = None) -> Epilogue:
        """The epilogue of a region, whose result gets its place; `bias` has the shape of the result."""
        out = cx.result(region.result)
        shape = cx.resolve(region.result).type.shape
        inputs = {value: arrange(view) for value, view in leaf_views(cx, region, shape).items()}
        if bias is not None:
            assert region.anchor is not None
            inputs[region.anchor.results[0]] = arrange(bias)
        return Epilogue(cx, region, arrange(out), inputs)

    @property
    def views(self) -> list[View]:
        """Everything that a kernel must run through: the result first, which decides the order."""
        return [self.out, *self.inputs.values()]

    def start(self, k: Kernel) -> None:
        """Read, in front of all loops, what is the same everywhere."""
        for value, view in self.inputs.items():
            if all(equal(stride, 0) is True for stride in view.strides):
                self.single[value] = k.load(view, k.pointer(view))

    @property
    def streams(self) -> Sequence[View]:
        """Result and operands that lie in rows of their own, if together they are more than a cache holds."""
        found = [view for view in self.views if any(equal(stride, 0) is not True for stride in view.strides[:-1])]
        sizes = (bounds(product(view.shape), self.cx.graph.symbols)[0] * view.size_bytes for view in found)
        return [view for view in found if equal(view.strides[-1], 1) is True] if sum(sizes) > CACHE_BYTES else []

    def ask(self, k: Kernel, at: Address, columns: int) -> None:
        """Ask for what `row` will read and write in a row, before its sums are taken, so that it is there then."""
        for view in self.streams:
            for line in range(-(-columns * view.size_bytes // LINE_BYTES)):
                k.f.prefetch(k.f.at(at(view), line, LINE_BYTES), level=1)

    def row(
        self, k: Kernel, row: Sequence[Lane], at: Address, columns: Count, same: Collection[Value], seen: Sequence[Seen]
    ) -> None:
        """Run the steps on a row of results, in vectors, and store them, as far as there are `columns`.

        Vectors that saturate are narrowed together: four where they become bytes, else two.
        """
        lanes, stride = row[0].lanes, self.out.strides[-1]
        done = [
            self.after(k, acc, self.reader(k, at, v * lanes, lanes, columns, same, known))
            for v, (acc, known) in enumerate(zip(row, seen, strict=True))
        ]
        first = 0
        while done:
            whole = (columns - first) // lanes if isinstance(columns, int) and equal(stride, 1) is True else 0
            saturating = len(list(takewhile(lambda lane: lane.before, done[:whole])))
            if saturating >= 4 and packs(k.isa) and memory(self.out.scalar) == "i8":
                together = 4
                vectors = [k.shifted(self.out, lane) for lane in done[:together]]
                k.f.store(bytes_in_order(vectors, self.out.scalar, k.isa), k.step(self.out, at(self.out), 1, first))
            else:
                together = 2 if saturating >= 2 else 1
                found = reduce(k.f.joined, done[:together])
                k.store_part(found, self.out, at(self.out), stride, first, columns)
            done = done[together:]
            first += together * lanes

    def reader(
        self, k: Kernel, at: Address, first: int, lanes: int, columns: Count, same: Collection[Value], seen: Seen
    ) -> Read:
        """What reads so many lanes of an operand from column `first` of a row on.

        Operands in `same` are the same for several rows: they are read once and kept in `seen`.
        """

        def read(value: Value) -> Lane:
            if value in self.single:
                return k.f.splat(self.single[value], lanes)
            if value in seen:
                return seen[value]
            view = self.inputs[value]
            found = k.load_part(view, at(view), view.strides[-1], first, lanes, columns)
            if value in same:
                seen[value] = found
            return found

        return read

    def after(self, k: Kernel, acc: Lane, read: Read) -> Lane:
        """What the steps make of lanes of the anchor's result; other operands are read."""
        assert self.region.anchor is not None
        result = self.region.anchor.results[0]
        if result in self.inputs:
            acc = acc + read(result)
        known = {result: rounded(k, acc, result.type.scalar)}
        evaluate(self.cx, k, self.region.steps, known, read)
        return known[self.cx.resolve(self.region.result)]

    @property
    def hint(self) -> str:
        """A name for the kernel."""
        return "_".join(dict.fromkeys(op.opname for op in self.region.nodes))
