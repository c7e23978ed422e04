"""Sums of products: linear, conv, matmul."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from irc.backends.fpga_hls.layout import Layout, Loop, Shape, c_order, channels_last, extent_of, nest, places_in
from irc.backends.fpga_hls.lower.common import Tail, check_zero_point, lowers
from irc.backends.fpga_hls.lower.masked import Arrangement, GroupedWeights, arranged, idle
from irc.backends.fpga_hls.lower.tensor import sliced
from irc.backends.fpga_hls.lowering import BUFFERS, Lowering, waits
from irc.backends.fpga_hls.ranges import Interval, centred_weights
from irc.backends.fpga_hls.stage import Config, Pace, Stream
from irc.backends.fpga_hls.types import Code, code_of
from irc.backends.regions import Region
from irc.ir.attrs import Mask
from irc.ir.graph import Value
from irc.ir.masks import expand_mask
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array

ONE_SAMPLE = (
    "a call takes one sample: export the model with a batch of 1, or with one that varies (--dynamic=b), which is then "
    "taken as 1"
)


@dataclass(frozen=True)
class DepthwiseWeights:
    """Weights [channels, taps] for `depthwise_conv`."""

    codes: Array
    code: Code
    zp: int

    def count(self, pe: int, simd: int) -> int:
        return self.codes.size

    def tiles(self, pe: int, simd: int) -> Array:
        """Rows in the order channel tile, tap; one channel a lane; w_zp outside the matrix."""
        channels, taps = self.codes.shape
        padded = np.pad(self.codes, ((0, -channels % pe), (0, 0)), constant_values=self.zp)
        return padded.reshape(-1, pe, taps).transpose(0, 2, 1).reshape(-1, pe)


@dataclass(frozen=True)
class Weights:
    """Weight codes of one zero point, in whatever shape; with a mask, `kept` is a bool each in the same shape."""

    codes: Array
    code: Code
    zp: int
    mask: Mask | None = None
    kept: Array | None = None

    def columns(self, places: Array) -> Weights:
        """Weights [outputs, inputs] with their columns in another order."""
        kept = None if self.kept is None else self.kept[:, places]
        return replace(self, codes=self.codes[:, places], kept=kept)

    def shaped(self, *shape: int) -> Weights:
        """The same weights in another shape."""
        kept = None if self.kept is None else self.kept.reshape(shape)
        return replace(self, codes=self.codes.reshape(shape), kept=kept)

    def arranged(self, tail: Tail) -> Arrangement:
        """Weights [groups, outputs, inputs, taps] as ROMs of a stage."""
        codes = np.ascontiguousarray(self.codes)
        return arranged(tail, GroupedWeights(codes, self.code, self.zp), self.mask, self.kept)


def weights_of(cx: Lowering, op: Linear | Conv) -> Weights:
    """The weights of an op; with a zero point a channel they are centred first, which may take a bit more."""
    w = cx.constant(op.w)
    if w is None:
        op.fail("its weights are not constant", hint="only matmul multiplies two computed tensors")
    const = cx.resolve(op.w).node
    mask = const.mask if isinstance(const, Const) else None
    kept = None if mask is None else expand_mask(mask, w.shape)
    code, zps = code_of(op.w.type.scalar), np.unique(np.asarray(op.w_zp))
    if zps.size == 1 and code.lowest <= zps[0] <= code.highest:
        return Weights(w, code, int(zps[0]), mask, kept)
    centred = centred_weights(op, w)
    return Weights(centred, Interval(int(centred.min()), int(centred.max())).code, 0, mask, kept)


def operand_config(cx: Lowering, op: Linear | Conv | Matmul, code: Code, w_code: Code, w_zp: int) -> Config:
    """The fields that all sums of products share."""
    check_zero_point(op, "x_zp", op.x_zp, code)
    return {
        "pe": 1,
        "simd": 1,
        "acc_bits": cx.ranges.sums[op].bits,
        "x_code": code.cpp,
        "w_code": w_code.cpp,
        "x_zp": op.x_zp,
        "w_zp": w_zp,
    }


def begin_with_sum(tail: Tail, op: Linear | Conv | Matmul, bias: Value | None, column: tuple[int, ...]) -> None:
    """Let the epilogue begin with the accumulator, and add the bias."""
    builder = tail.builder
    builder.parameter(op.results[0], f"Int<{tail.cx.ranges.sums[op].bits}>", "acc")
    if bias is not None:
        array = tail.cx.constant(bias)
        if array is None:
            op.fail("its bias is not constant")
        sum_with_bias = f"{builder.of(op.results[0])} + {builder.constant(array.reshape(column), 'bias')}"
        builder.set(op.results[0], builder.type_of(op.results[0]), "biased", sum_with_bias, "add")


def innermost(
    cx: Lowering, value: Value, dim: int, otherwise: Layout, *, as_it_comes: bool = True
) -> tuple[Layout, list[Loop], list[Loop]]:
    """An order in which a dimension is innermost, its outer and its inner loops: as the value comes, if that is one."""
    shape = cx.shape(value)
    for layout in (cx.layout(value), otherwise) if as_it_comes else (otherwise,):
        loops = layout.grouped(shape, [dim])
        if loops is not None:
            return layout, list(loops[0]), list(loops[1])
    raise AssertionError("the dimension is innermost otherwise")


@lowers(Linear, epilogue=True)
def lower_linear(cx: Lowering, region: Region, op: Linear) -> None:
    """The rows may come in any order, and so may the elements of a row: the columns of the weights follow them."""
    if cx.constant(op.w) is None:
        products_of_streams(cx, region, op, op.w, {0: "free", 1: "depth"})
        return
    last = op.x.type.rank - 1
    layout, outer, row = innermost(cx, op.x, last, c_order(cx.shape(op.x)))
    rows = Rows(cx.read(op.x, layout, op.loc), outer, last)
    w = weights_of(cx, op)
    rows_of_products(cx, region, op, rows, w.columns(places_in(row)), op.b)


@dataclass(frozen=True)
class Rows:
    """A stream of rows: the loops over them, and the dimension of the result that takes the place of a row."""

    stream: Stream
    loops: Sequence[Loop]
    dim: int


def rows_of_products(
    cx: Lowering, region: Region, op: Linear | Conv | Matmul, rows: Rows, w: Weights, bias: Value | None
) -> None:
    """A `linear` stage: every row times the weights [outputs, inputs]."""
    x, outer, channel = rows.stream, rows.loops, rows.dim
    outputs, inputs = w.codes.shape
    out_layout = nest(cx.shape(op.results[0]), [*outer, Loop(channel, outputs)])
    tail = Tail(cx, region, op.opname, out_layout, outputs)
    column = [1] * op.results[0].type.rank
    column[channel] = -1
    begin_with_sum(tail, op, bias, tuple(column))
    weights = w.shaped(1, outputs, inputs, 1).arranged(tail)
    config: Config = {
        "rows": extent_of(outer),
        "channels_in": inputs,
        "channels_out": outputs,
        **operand_config(cx, op, x.code, w.code, w.zp),
        **weights.config,
    }
    ahead = min(1.0, (1 + weights.runs_ahead) / extent_of(outer))
    tail.close(f"linear{weights.suffix}", weights.header, [x, *weights.roms], config, [waits(ahead, ahead)])


def image_shape(op: Op, spatial: Sequence[int]) -> tuple[int, int]:
    """Height and width; a sequence is a column, whose line buffer is then a few pixels. Fails at `op` for volumes."""
    if len(spatial) > 2:
        op.fail(f"{len(spatial)} spatial dimensions; the accelerator takes images and sequences")
    return spatial[0], spatial[1] if len(spatial) == 2 else 1


def window_config(
    op: Op,
    spatial: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
) -> Config:
    """The fields of window.h; `padding` is (begins..., ends...)."""
    n = len(spatial)
    begins, ends = padding[:n], padding[n:]
    height, width = image_shape(op, spatial)
    return {
        "height": height,
        "width": width,
        "kernel_h": kernel[0],
        "kernel_w": kernel[1] if n == 2 else 1,
        "stride_h": stride[0],
        "stride_w": stride[1] if n == 2 else 1,
        "dilation_h": dilation[0],
        "dilation_w": dilation[1] if n == 2 else 1,
        "pad_top": begins[0],
        "pad_left": begins[1] if n == 2 else 0,
        "pad_bottom": ends[0],
        "pad_right": ends[1] if n == 2 else 0,
    }


def window_pace(window: Config, rows_ahead: int = 0) -> Pace:
    """The pace of an image under a window: some lines have to be there before the first result.

    With `rows_ahead`, also those of further rows of results.
    """
    span = (int(window["kernel_h"]) - 1) * int(window["dilation_h"]) + 1
    height, more = int(window["height"]), rows_ahead * int(window["stride_h"])
    lines = min(height, max(0, span - int(window["pad_top"])) + more)
    return waits(lines / height, min(lines, 2 + more) / height)


def require_one_image(op: Op, shape: tuple[int, ...]) -> None:
    if shape[0] != 1:
        op.fail(f"{shape[0]} images at once inside the accelerator", hint=ONE_SAMPLE)


@lowers(Conv, epilogue=True)
def lower_conv(cx: Lowering, region: Region, op: Conv) -> None:
    shape = cx.shape(op.x)
    kernel = cx.shape(op.w)[2:]
    w = weights_of(cx, op)
    outputs, inputs = w.codes.shape[:2]
    if math.prod(kernel) == 1 and not any(op.padding) and op.groups == 1:
        rows, channels = _pixels(cx, op, shape)
        rows_of_products(cx, region, op, rows, w.shaped(outputs, inputs).columns(places_in(channels)), op.b)
        return
    require_one_image(op, shape)
    out_layout = channels_last(cx.shape(op.results[0]))
    tail = Tail(cx, region, op.opname, out_layout, outputs)
    begin_with_sum(tail, op, op.b, (1, -1, *[1] * len(kernel)))
    x = cx.read(op.x, channels_last(shape), op.loc)
    window = window_config(op, shape[2:], kernel, op.stride, op.dilation, op.padding)
    shared: Config = {**operand_config(cx, op, x.code, w.code, w.zp), "pad_value": op.x_zp}
    if op.groups == shape[1] == outputs and op.groups > 1:
        del shared["simd"]
        tail.idle_mask = idle(w.mask, w.kept)
        rom = tail.rom("weights", DepthwiseWeights(w.codes.reshape(outputs, -1), w.code, w.zp))
        config: Config = {"channels": outputs, **window, **shared}
        tail.close("depthwise_conv", "linear.h", [x, rom], config, [window_pace(window)])
        return
    weights = w.shaped(op.groups, outputs // op.groups, inputs, math.prod(kernel)).arranged(tail)
    config = {"channels_in": shape[1], "channels_out": outputs, "groups": op.groups, **window, **shared}
    pace = window_pace(window, weights.runs_ahead)
    tail.close(f"conv{weights.suffix}", weights.header, [x, *weights.roms], {**config, **weights.config}, [pace])


def _pixels(cx: Lowering, op: Conv, shape: Shape) -> tuple[Rows, Sequence[Loop]]:
    """The pixels that a pointwise convolution takes, as rows, and the loops over the channels of each.

    A stride needs no window: slices drop what it skips.
    """
    layout, outer, channels = innermost(cx, op.x, 1, channels_last(shape), as_it_comes=max(op.stride) == 1)
    stream = cx.read(op.x, layout, op.loc)
    for dim, step in enumerate(op.stride, 2):
        place = next((i for i, loop in enumerate(outer) if loop.dim == dim), None)
        if step > 1 and place is not None:
            inner, kept = [*outer[place + 1 :], *channels], range(0, shape[dim], step)
            name = cx.helper_name(op.loc, "slice")
            stream = sliced(cx, name, stream, outer[:place], shape[dim], inner, kept, op.loc)
            outer[place] = Loop(dim, len(kept))
    return Rows(stream, outer, 1), channels


Role = Literal["batch", "free", "depth"]


@dataclass(frozen=True)
class Operand:
    """The loops of a matmul operand by role, and the order in which the roles come (those without loops first)."""

    batch: tuple[Loop, ...]
    free: tuple[Loop, ...]
    depth: tuple[Loop, ...]
    order: tuple[Role, Role, Role]

    def cpp(self) -> str:
        return f"Order<{', '.join(role.upper() for role in self.order)}>"


def _operand(loops: Sequence[Loop], roles: dict[int, Role]) -> Operand | None:
    """The loops sorted by role; None if the loops of a role do not stand together."""
    runs: list[Role] = []
    found: dict[Role, list[Loop]] = {"batch": [], "free": [], "depth": []}
    for loop in loops:
        role = roles[loop.dim]
        if not runs or runs[-1] != role:
            runs.append(role)
        found[role].append(loop)
    if len(set(runs)) != len(runs):
        return None
    every: tuple[Role, ...] = ("batch", "free", "depth")
    order = cast("tuple[Role, Role, Role]", (*[r for r in every if r not in runs], *runs))
    return Operand(tuple(found["batch"]), tuple(found["free"]), tuple(found["depth"]), order)


@lowers(Matmul, epilogue=True)
def lower_matmul(cx: Lowering, region: Region, op: Matmul) -> None:
    y = cx.constant(op.y)
    if y is not None and math.prod(y.shape[:-2]) == 1:
        _constant_matrix(cx, region, op, y.reshape(y.shape[-2:]))
        return
    rank = op.y.type.rank
    roles: dict[int, Role] = {**dict.fromkeys(range(rank - 2), "batch"), rank - 2: "depth", rank - 1: "free"}
    products_of_streams(cx, region, op, op.y, roles)


def _constant_matrix(cx: Lowering, region: Region, op: Matmul, y: Array) -> None:
    """x times a constant matrix is a linear stage without bias."""
    last = op.x.type.rank - 1
    layout, outer, row = innermost(cx, op.x, last, c_order(cx.shape(op.x)))
    code = code_of(op.y.type.scalar)
    check_zero_point(op, "y_zp", op.y_zp, code)
    shift = op.results[0].type.rank - 1 - last  # y may have leading dimensions of size 1 that x lacks
    rows = Rows(cx.read(op.x, layout, op.loc), [Loop(x.dim + shift, x.extent, x.step) for x in outer], last + shift)
    rows_of_products(cx, region, op, rows, Weights(y.T[:, places_in(row)], code, op.y_zp), None)


Loops = Sequence[Loop]
Roles = dict[int, Role]


@dataclass(frozen=True)
class Pairing:
    """How two operands meet: common blocks outside, then each one's own order."""

    blocks: Loops
    x: Operand
    w: Operand


def _pair(x: Loops, x_roles: Roles, w: Loops, w_roles: Roles) -> Pairing | None:
    """The pairing of two operands, if they bring their batches and what is summed over in one order."""
    common = 0
    while common < min(len(x), len(w)) and x[common] == w[common] and x_roles[x[common].dim] == "batch":
        if w_roles[w[common].dim] != "batch":
            break
        common += 1
    ours, theirs = _operand(x[common:], x_roles), _operand(w[common:], w_roles)
    if ours is None or theirs is None or ours.batch != theirs.batch or _counts(ours.depth) != _counts(theirs.depth):
        return None
    return Pairing(x[:common], ours, theirs)


def _counts(loops: Loops) -> list[tuple[int, int]]:
    return [(loop.extent, loop.step) for loop in loops]


def _matching(loops: Loops, roles: Roles, other_shape: Shape, other_roles: Roles) -> Loops:
    """Loops of the other operand that pair with these: its batches and depths in the same order."""
    of_role = {role: [d for d, r in other_roles.items() if r == role] for role in ("batch", "free", "depth")}
    depth = of_role["depth"][0]
    return [
        *(loop for loop in loops if roles[loop.dim] == "batch"),
        *(Loop(d, other_shape[d]) for d in of_role["free"] if other_shape[d] > 1),
        *(Loop(depth, loop.extent, loop.step) for loop in loops if roles[loop.dim] == "depth"),
    ]


def products_of_streams(cx: Lowering, region: Region, op: Matmul | Linear, w: Value, w_roles: Roles) -> None:
    """A `matmul` stage. Batch dimensions that only x has count as rows; an operand that lacks some is repeated."""
    x_shape, w_shape, out_shape = cx.shape(op.x), cx.shape(w), cx.shape(op.results[0])
    rank = len(out_shape)
    if isinstance(op, Matmul) and math.prod(w_shape[:-2]) > 1:
        batch = out_shape[:-2]
        x_shape, w_shape = (*batch, *x_shape[-2:]), (*batch, *w_shape[-2:])
        x_roles: Roles = {**dict.fromkeys(range(rank - 2), "batch"), rank - 2: "free", rank - 1: "depth"}
        w_roles = {**dict.fromkeys(range(rank - 2), "batch"), rank - 2: "depth", rank - 1: "free"}
    else:
        x_shape = (*[1] * (rank - len(x_shape)), *x_shape)
        x_roles = {**dict.fromkeys(range(rank - 1), "free"), rank - 1: "depth"}

    def present(value: Value, shape: Shape) -> Loops | None:
        fixed = cx.is_stream(value) and math.prod(cx.shape(value)) == math.prod(shape)
        return cx.layout(value).split(shape) if fixed else None

    x_plain = [Loop(d, n) for d, n in enumerate(x_shape) if n > 1]
    x_now, w_now = present(op.x, x_shape), present(w, w_shape)
    candidates = [
        (x_now, w_now),
        (x_now, x_now and _matching(x_now, x_roles, w_shape, w_roles)),
        (w_now and _matching(w_now, w_roles, x_shape, x_roles), w_now),
        (x_plain, _matching(x_plain, x_roles, w_shape, w_roles)),
    ]
    pairs = ((a, b, _pair(a, x_roles, b, w_roles)) for a, b in candidates if a is not None and b is not None)
    x_loops, w_loops, pairing = next((a, b, p) for a, b, p in pairs if p is not None)

    rows_first = bool(pairing.x.batch) and pairing.x.order == ("free", "batch", "depth")
    rows = [*pairing.x.free, *pairing.x.batch] if rows_first else [*pairing.x.batch, *pairing.x.free]
    columns = [Loop(rank - 1, x.extent, x.step) for x in pairing.w.free]
    out_layout = nest(out_shape, [*pairing.blocks, *rows, *columns])
    tail = Tail(cx, region, op.opname, out_layout, extent_of(columns))
    begin_with_sum(tail, op, op.b if isinstance(op, Linear) else None, (*[1] * (rank - 1), -1))
    x_stream = cx.read(op.x, nest(x_shape, x_loops), op.loc, x_shape)
    w_stream = cx.read(w, nest(w_shape, w_loops), op.loc, w_shape)
    w_zp = op.y_zp if isinstance(op, Matmul) else op.w_zp
    if not isinstance(w_zp, int):
        op.fail("weights that are computed need one zero point")
    check_zero_point(op, "y_zp", w_zp, w_stream.code)
    blocks = extent_of(pairing.blocks)
    config: Config = {
        "blocks": blocks,
        "batch": extent_of(pairing.x.batch),
        "rows": extent_of(pairing.x.free),
        "depth": extent_of(pairing.x.depth),
        "columns": extent_of(columns),
        "buffers": BUFFERS,
        "packing": 1,
        **operand_config(cx, op, x_stream.code, w_stream.code, w_zp),
        "x_order": pairing.x.cpp(),
        "w_order": pairing.w.cpp(),
        "rows_first": rows_first,
    }
    in_order = pairing.x.order == (("free", "batch", "depth") if rows_first else ("batch", "free", "depth"))
    row = 1 / extent_of(rows) / blocks
    paces = [waits(row, row) if in_order else waits(1 / blocks), waits(1 / blocks)]
    tail.close("matmul", "linear.h", [x_stream, w_stream], config, paces)
