"""What the lowerings of the engine work with: values as views of memory, and layers that make new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from irc.backends.fpga_hls.engine.memory import (
    WORD,
    View,
    common_loops,
    constant_view,
    new_view,
)
from irc.backends.fpga_hls.engine.program import (
    MOVE_LOOPS,
    Access,
    Fold,
    Layer,
    Move,
    Rows,
    Source,
    Step,
    Tail,
    Tiled,
    Window,
    access,
)
from irc.backends.fpga_hls.identifiers import Names, identifier
from irc.backends.fpga_hls.layout import Shape
from irc.backends.fpga_hls.ranges import Ranges
from irc.backends.fpga_hls.types import Code, code_of
from irc.backends.regions import Region
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.graph import Value
from irc.ir.location import UNKNOWN, Loc
from irc.ir.op import Op
from irc.ir.ops.quant import constant_of
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import Array

WAY_OUT = "compile with hls{style=dataflow}, which builds this op as a stage of its own"

Lower = Callable[["EngineLowering", Region, Any], None]
LAYERS: dict[type[Op], Lower] = {}
"""What lowers the regions with that anchor."""
F = TypeVar("F", bound=Lower)


def runs(*ops: type[Op]) -> Callable[[F], F]:
    """Registers the lowering of some anchors."""

    def register(lower: F) -> F:
        LAYERS.update(dict.fromkeys(ops, lower))
        return lower

    return register


TAKE = Step("TAKE", 0, Source.RESULT)


class EngineLowering:
    """One program under construction."""

    def __init__(self, ranges: Ranges, outside: Mapping[Value, Value], names: Names) -> None:
        self.ranges = ranges
        self.outside = outside  # from results inside kernels to those of the kernels
        self.loc = UNKNOWN  # of the region that is lowered
        self.resolve = ranges.resolve
        self.names = names
        self.layers: list[Layer] = []
        self._views: dict[Value, View] = {}
        self._copies: dict[tuple[View, tuple[int, ...]], View] = {}

    # -- values

    def shape(self, value: Value) -> Shape:
        """The static shape, which legality has checked."""
        shape = value.type.static_shape
        assert shape is not None
        return shape

    def constant(self, value: Value | None) -> Array | None:
        return None if value is None else constant_of(self.resolve(value))

    def code(self, value: Value) -> Code:
        return code_of(self.resolve(value).type.scalar)

    def known(self, value: Value) -> bool:
        value = self.resolve(value)
        return value in self._views or self.constant(value) is not None

    def define(self, value: Value, view: View) -> None:
        self._views[self.resolve(value)] = view

    def view(self, value: Value) -> View:
        """Where a value is; a constant is put into memory."""
        value = self.resolve(value)
        array = self.constant(value)
        if value not in self._views and array is not None:
            self._views[value] = self.constant_view(array, self.code(value), range(array.ndim))
        return self._views[value]

    def constant_view(self, array: Array, code: Code, order: Sequence[int]) -> View:
        """A constant tensor in memory."""
        return constant_view(self.names.fresh("constant"), code, array, order)

    # -- new tensors

    def name(self, kind: str) -> str:
        """A name for what is made now."""
        return self.names.fresh(f"{identifier(self.loc.path, 'model')}_{kind}")

    def order_for(self, value: Value, otherwise: Sequence[int], channel: int) -> list[int]:
        """How a result best lies in memory: as the permutation wants it that is all that reads it; `channel` last."""
        reader = self._only_reader(value)
        order = reader.order if isinstance(reader, Permute) and reader.order[-1] == channel else otherwise
        return [*(d for d in order if d != channel), channel]

    def _only_reader(self, value: Value) -> Op | None:
        users = [user for user in self.outside.get(value, value).users if isinstance(user, Op)]
        return users[0] if len(users) == 1 else None

    # -- layers

    def done(self, value: Value, view: View) -> None:
        """Say that the last layer completes a value."""
        self.layers[-1] = replace(self.layers[-1], value=value, view=view)
        self.define(value, view)

    def attempt(self, lower: Callable[[], None], otherwise: Callable[[], None], problem: type[Exception]) -> None:
        """Lower in one way; if that raises `problem`, as if it had not been tried, in another."""
        layers, copies = list(self.layers), dict(self._copies)
        try:
            lower()
        except problem:
            self.layers, self._copies = layers, copies
            otherwise()

    def add(self, name: str, run: Tiled | Move, value: Value | None = None, view: View | None = None) -> None:
        """Append a layer; `value` is what it computes, and is in `view` then."""
        self.layers.append(Layer(name, self.loc, run, value, view))
        if value is not None and view is not None:
            self.define(value, view)

    def packed(self, view: View, channel: int, order: Sequence[int] | None = None) -> View:
        """The view itself if its rows along `channel` can be read in words, else a copy of which they can."""
        if view.packs(channel):
            return view
        dims = [*(d for d in (order or range(len(view.shape))) if d != channel), channel]
        return self.copied(view, dims)

    def copied(self, view: View, order: Sequence[int], *, compact: bool = False) -> View:
        """A copy with the dimensions in this order; rows fill whole packs unless `compact`."""
        key = (view, (*order, int(compact)))
        if key not in self._copies:
            name = self.name("copy")
            target = new_view(name, view.code, view.shape, order, compact=compact)
            self.move(view, target, name, spill=not compact)
            self._copies[key] = target
        return self._copies[key]

    def move(self, view: View, target: View, name: str, *, spill: bool) -> None:
        """Copy a view to another of its shape: in words if rows allow, else element by element.

        With `spill`, the words that hold a row of the target may be written as a whole.
        """
        channel = target.order()[-1]
        dims = [d for d in target.order() if d != channel]
        if view.packs(channel) and target.packs(channel) and (spill or view.shape[channel] % WORD == 0):
            loops = common_loops(dims, [view, target])
            if len(loops) <= 3:
                rows, (x, y) = rows_of(loops, [view, target])
                columns = view.shape[channel]
                tail = Tail((TAKE,), (), (), None, y)
                self.add(name, Fold("COPY", rows, columns, 1, Window(), x, 0, None, tail))
                return
        self.add(name, element_moves(view, target, self.loc))


def element_moves(view: View, target: View, loc: Loc) -> Move:
    """A move of elements one by one."""
    element = view.element
    loops = common_loops(target.order(), [view, target])
    found = [(extent, strides[0] * element, strides[1] * element) for extent, strides in loops]
    if element > 1:
        found.append((element, 1, 1))
    if len(found) > MOVE_LOOPS:
        message = f"a tensor of {len(found)} dimensions is permuted; the engine moves {MOVE_LOOPS}"
        raise IrcError(Diagnostic(message, loc, hint=WAY_OUT))
    x = Access(view.buffer, view.offset * element)
    y = Access(target.buffer, target.offset * element)
    return Move(x, y, tuple(found))


def rows_of(loops: Sequence[tuple[int, tuple[int, ...]]], views: Sequence[View]) -> tuple[Rows, list[Access]]:
    """Rows by at most three common loops of some views, and how each view is accessed."""
    none = (1, (0,) * len(views))
    batch, line, pixel = [none] * (3 - len(loops)) + list(loops)
    rows = Rows(batch[0], line[0], pixel[0])
    return rows, [access(v, batch[1][i], line[1][i], pixel[1][i]) for i, v in enumerate(views)]


def merged_rows(
    cx: EngineLowering, y: View, channel: int, fixed: Sequence[View], operands: Sequence[View]
) -> tuple[Rows, list[Access]]:
    """The rows of a result, and how `y`, `fixed` and `operands`, all of one shape, are accessed by them.

    Operands that lie too unevenly for three loops are copied first.
    """
    dims = [d for d in y.order(channel) if d != channel]
    loops = common_loops(dims, [y, *fixed, *operands])
    if len(loops) > 3:
        operands = [cx.copied(v, [*dims, channel]) for v in operands]
        loops = common_loops(dims, [y, *fixed, *operands])
    return rows_of(loops, [y, *fixed, *operands])


def even_rows(cx: EngineLowering, y: View, channel: int, views: Sequence[View]) -> list[View]:
    """The views, copied to the order of `y` if their rows and those of `y` take more than three loops."""
    dims = [d for d in y.order(channel) if d != channel]
    if len(common_loops(dims, [y, *views])) <= 3:
        return list(views)
    return [cx.copied(v, [*dims, channel]) for v in views]
