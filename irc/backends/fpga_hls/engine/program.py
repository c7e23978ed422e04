"""What the engine runs: layers as values, one kind an algorithm; templates/engine_layer.h says what the fields mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol, TypeAlias

from irc.backends.fpga_hls.engine.memory import WORD, Buffer, View, element_bytes, tiles
from irc.backends.fpga_hls.layout import Layout, Shape
from irc.backends.fpga_hls.types import Code
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.scalars import Array

LOWEST, HIGHEST = -(2**31), 2**31 - 1


@dataclass(frozen=True)
class Size:
    """What is fixed when an engine is built: columns and words of depth multiplied at once, and the largest tile."""

    pe: int
    rows: int = 128
    columns: int = 128
    words: int = 16
    simd: int = 1

    @property
    def multipliers(self) -> int:
        return self.pe * self.simd * WORD

    @property
    def groups(self) -> int:
        return self.columns // self.pe

    @property
    def turns(self) -> int:
        return tiles(self.words, self.simd)

    @property
    def packs(self) -> int:
        return self.rows * self.columns // WORD


STEPS, REGISTERS, PARAMETERS = 12, 4, 4
CHANNELS = 2048
"""Elements of a vector of parameters."""
TABLE = 512
INDEX = Code(32, signed=True)
"""What names a row: `INDICES` to a word."""


class Source(IntEnum):
    """Where a step takes an operand from; PARAMETER and REGISTER are the first of several."""

    RESULT = 0
    SECOND = 1
    THIRD = 2
    CONSTANT = 3
    PARAMETER = 4
    REGISTER = 8


Then = Literal["KEEP", "PLUS_C", "IN_TABLE"]


@dataclass(frozen=True)
class Step:
    """One elementwise operation on a tile, then another on what it gave; sources are numbers as in `Source`."""

    operation: str
    target: int
    a: int
    b: int = Source.CONSTANT
    c: int = Source.CONSTANT
    constant: int = 0
    shift: int = 0
    x_zp: int = 0
    zp: int = 0
    low: int = LOWEST
    high: int = HIGHEST
    then: Then = "KEEP"
    lowest: int = 0


@dataclass(frozen=True)
class Access:
    """Rows of a tensor: where the first is (bytes into the buffer), and the words from one to the next."""

    buffer: Buffer
    offset: int
    batch: int = 0
    line: int = 0
    pixel: int = 0

    @property
    def bytes(self) -> int:
        return element_bytes(self.buffer.code)


def access(view: View, batch: int = 0, line: int = 0, pixel: int = 0) -> Access:
    """Rows of a view by strides in elements."""
    batch, line, pixel = (stride * view.element // WORD for stride in (batch, line, pixel))
    return Access(view.buffer, view.offset * view.element, batch, line, pixel)


FAR = 2**30
"""The height and width of a window that has no borders."""


@dataclass(frozen=True)
class Window:
    """How the first operand is looked at."""

    height: int = FAR
    width: int = FAR
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    fill: int = 0


@dataclass(frozen=True)
class Rows:
    """The rows of a result: `lines` x `width` in each of `batches`."""

    batches: int
    lines: int
    width: int

    @property
    def count(self) -> int:
        """Rows of a batch."""
        return self.lines * self.width

    @property
    def all(self) -> int:
        return self.batches * self.count


@dataclass(frozen=True)
class Tail:
    """From the results of a front on: steps, what they read, where the last one goes."""

    steps: tuple[Step, ...]
    operands: tuple[Access, ...]  # at most two
    vectors: tuple[Array, ...]  # by channel, at most PARAMETERS
    table: Array | None
    y: Access


@dataclass(frozen=True)
class Tiling:
    """How a layer is cut: elements of a tile, and how many tiles there are along each dimension."""

    rows: int
    columns: int
    words: int
    pitch: int
    row_tiles: int
    column_tiles: int
    depth_tiles: int

    def of(self, batches: int) -> int:
        return batches * self.row_tiles * self.column_tiles * self.depth_tiles


class PackedWeights(Protocol):
    """Weights in the order in which the engine reads them."""

    @property
    def bits(self) -> int: ...

    @property
    def code(self) -> Code: ...
    @property
    def mask(self) -> str: ...

    def packed(self, size: Size) -> Array:
        """Bytes, whole words."""
        ...


@dataclass(frozen=True)
class Computed:
    """Weights that are a tensor: its rows are the columns of the result, or what is summed over (`by_column`)."""

    access: Access
    by_column: bool


@dataclass(frozen=True)
class Gemm:
    """Sums of products: `taps` windows of `depth` elements each."""

    rows: Rows
    columns: int
    depth: int
    taps: int
    window: Window
    x: Access
    x_zp: int
    w: PackedWeights | Computed
    w_zp: int
    bias: Array | None
    tail: Tail

    @property
    def depth_words(self) -> int:
        return tiles(self.depth, WORD)

    @property
    def macs(self) -> int:
        """Products of the layer, without those of padding."""
        return self.rows.all * self.columns * self.depth * self.taps

    def most_rows(self, size: Size) -> int:
        """Of a tile."""
        return min(size.rows, self.rows.count)

    def tiling(self, size: Size, rows: int) -> Tiling:
        """Tiles of so many rows."""
        pitch = tiles(min(self.columns, size.columns), size.pe) * size.pe // WORD
        row_tiles, column_tiles = tiles(self.rows.count, rows), tiles(self.columns, size.columns)
        depth_tiles = tiles(self.taps * self.depth_words, size.words)
        return Tiling(rows, size.columns, size.words, pitch, row_tiles, column_tiles, depth_tiles)

    def tilings(self, size: Size) -> list[Tiling]:
        """Rows in as few tiles as possible, all alike; and in more, so that the first one is there sooner."""
        least = tiles(self.rows.count, size.rows)
        return [self.tiling(size, tiles(self.rows.count, more * least)) for more in (1, 2, 3, 4)]

    @property
    def reads(self) -> list[Access]:
        return [self.x, *([self.w.access] if isinstance(self.w, Computed) else []), *self.tail.operands]


class ByPacks:
    """Layers whose tiles are whole rows, or as many of their channels as vectors hold."""

    rows: Rows
    columns: int
    taps: int
    x: Access
    tail: Tail

    @property
    def reads(self) -> list[Access]:
        return [self.x, *self.tail.operands]

    @property
    def _pitch(self) -> int:
        return tiles(min(self.columns, CHANNELS), WORD)

    def most_rows(self, size: Size) -> int:
        """Of a tile."""
        return min(self.rows.count, max(1, min(size.rows, size.packs // self._pitch)))

    def tiling(self, size: Size, rows: int) -> Tiling:
        """Tiles of so many rows."""
        width = self._pitch * WORD
        row_tiles, column_tiles = tiles(self.rows.count, rows), tiles(self.columns, width)
        return Tiling(rows, width, 1, self._pitch, row_tiles, column_tiles, self.taps)

    def tilings(self, size: Size) -> list[Tiling]:
        """Tiles as large as possible, and smaller ones."""
        least = tiles(self.rows.count, self.most_rows(size))
        return [self.tiling(size, tiles(self.rows.count, more * least)) for more in (1, 2, 4)]


@dataclass(frozen=True)
class Fold(ByPacks):
    """The taps of a window folded channel by channel: MAX, SUM, DOT (times weights [taps, columns]); COPY of one."""

    kind: str
    rows: Rows
    columns: int
    taps: int
    window: Window
    x: Access
    x_zp: int
    w: Array | None
    tail: Tail
    mask: str = ""  # of w

    @property
    def macs(self) -> int:
        return self.rows.all * self.columns * self.taps if self.kind == "DOT" else 0


@dataclass(frozen=True)
class Softmax(ByPacks):
    """int_softmax along rows."""

    rows: Rows
    columns: int
    x: Access
    mask: Access | None
    exponentials: Array
    frac: int
    tail: Tail
    macs: int = 0
    taps: int = 1

    @property
    def reads(self) -> list[Access]:
        return [self.x, *([self.mask] if self.mask else []), *self.tail.operands]


@dataclass(frozen=True)
class Norm(ByPacks):
    """int_norm along rows."""

    rows: Rows
    columns: int
    x: Access
    x_zp: int
    gain: Array
    offset: Array
    eps: int
    center: bool
    shift: int
    zp: int
    tail: Tail
    macs: int = 0
    taps: int = 1


@dataclass(frozen=True)
class Rank(ByPacks):
    """The indices of the largest of `scores` scores in each batch, as a row; the first `pinned` are among them."""

    rows: Rows
    columns: int
    scores: int
    pinned: int
    x: Access
    tail: Tail
    macs: int = 0
    taps: int = 1

    @property
    def packs(self) -> int:
        """Of the scores of a batch."""
        return tiles(self.scores, WORD)


@dataclass(frozen=True)
class Gather(ByPacks):
    """The rows of `x` that a row of indices names in each batch, codes of `INDEX`."""

    rows: Rows
    columns: int
    x: Access
    indices: Access
    tail: Tail
    macs: int = 0
    taps: int = 1

    @property
    def reads(self) -> list[Access]:
        return [self.x, self.indices, *self.tail.operands]


Tiled: TypeAlias = "Gemm | Fold | Softmax | Norm | Rank | Gather"

MOVE_LOOPS = 6


@dataclass(frozen=True)
class Move:
    """Elements one by one: (extent, bytes from one to the next in `x`, in `y`), outermost first."""

    x: Access
    y: Access
    loops: tuple[tuple[int, int, int], ...]
    macs: int = 0

    @property
    def bytes(self) -> int:
        count = 1
        for extent, _, _ in self.loops:
            count *= extent
        return count

    @property
    def reads(self) -> list[Access]:
        return [self.x]


@dataclass(frozen=True)
class Layer:
    """One entry of the table: what is run, for which layer of the model, to compute which value."""

    name: str
    loc: Loc
    run: Tiled | Move
    value: Value | None = None
    view: View | None = None  # where that value is then

    @property
    def y(self) -> Access:
        return self.run.y if isinstance(self.run, Move) else self.run.tail.y


@dataclass(frozen=True)
class Port:
    """An input or output: codes in the order of a layout, side by side at a place of the memory of activations."""

    name: str
    value: Value
    layout: Layout
    shape: Shape
    code: Code
    view: View

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Program:
    """The layers in order, between inputs and outputs, before anything has an address."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Layer, ...]


def front_vectors(layer: Layer) -> list[Array]:
    """What the front reads by channel: bias, gain and offset, weights of every tap."""
    run = layer.run
    if isinstance(run, Gemm):
        return [run.bias] if run.bias is not None else []
    if isinstance(run, Norm):
        return [run.gain, run.offset]
    return [run.w] if isinstance(run, Fold) and run.w is not None else []
