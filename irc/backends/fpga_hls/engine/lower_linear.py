"""Sums of products: linear, matmul, and convolution as a GEMM by the addresses of its windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irc.backends.fpga_hls.emit.weights import pack
from irc.backends.fpga_hls.engine.lowering import WAY_OUT, EngineLowering, merged_rows, runs
from irc.backends.fpga_hls.engine.memory import WORD, View, common_loops, new_view, padded
from irc.backends.fpga_hls.engine.program import Access, Computed, Fold, Gemm, Rows, Size, Window, access
from irc.backends.fpga_hls.engine.steps import StepBuilder, tail_of
from irc.backends.fpga_hls.lower.linear import image_shape, window_config
from irc.backends.fpga_hls.lower.masked import idle
from irc.backends.fpga_hls.ranges import Interval, centred_weights
from irc.backends.fpga_hls.types import Code, code_of
from irc.backends.regions import Region
from irc.ir.graph import Value
from irc.ir.masks import expand_mask
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array

WIDEST = 8  # bits of the codes that the array multiplies


@dataclass(frozen=True)
class WeightMatrix:
    """Weights [columns, taps, depth] of one zero point, and the name of their mask."""

    codes: Array
    code: Code
    zp: int
    mask: str = ""

    @property
    def bits(self) -> int:
        """As they are stored."""
        return 4 if self.code.bits <= 4 else 8

    def packed(self, size: Size) -> Array:
        """Tiles of columns, of depth; in each, columns (whole groups of PE) by words of depth. w_zp outside."""
        columns, taps, depth = self.codes.shape
        wide = np.full((columns, taps, padded(depth)), self.zp, np.int16)
        wide[:, :, :depth] = self.codes
        words = wide.reshape(columns, -1, WORD)
        parts: list[Array] = []
        for begin in range(0, columns, size.columns):
            tile = words[begin : begin + size.columns]
            margin = ((0, -len(tile) % size.pe), (0, 0), (0, 0))
            tile = np.pad(tile, margin, constant_values=self.zp)
            parts += [tile[:, k : k + size.words].reshape(-1) for k in range(0, tile.shape[1], size.words)]
        return pack(np.concatenate(parts).reshape(-1, WORD * 8 // self.bits), self.bits).view(np.uint8).reshape(-1)


def matrix_of(cx: EngineLowering, op: Linear | Conv) -> WeightMatrix | None:
    """The weights of an op in whatever shape; None if they are computed."""
    w = cx.constant(op.w)
    if w is None:
        return None
    code, zps = code_of(op.w.type.scalar), np.unique(np.asarray(op.w_zp))
    if zps.size == 1 and code.lowest <= zps[0] <= code.highest:
        _check_width(op, "weights", code)
        return WeightMatrix(w, code, int(zps[0]), _mask_of(cx, op.w))
    centred = centred_weights(op, w)
    code = Interval(int(centred.min()), int(centred.max())).code
    _check_width(op, "weights without their zero points", code)
    return WeightMatrix(centred, code, 0, _mask_of(cx, op.w))


def _mask_of(cx: EngineLowering, value: Value) -> str:
    """The name of the mask of a constant; empty if it hides nothing."""
    const = cx.resolve(value).node
    if not isinstance(const, Const) or const.mask is None:
        return ""
    return idle(const.mask, expand_mask(const.mask, cx.shape(value)))


def _check_width(op: Op, what: str, code: Code) -> None:
    if code.bits > WIDEST:
        op.fail(f"{what} have {code.bits} bits; the engine multiplies codes of at most {WIDEST}", hint=WAY_OUT)


def _check_zero_point(op: Op, name: str, zp: int, code: Code) -> None:
    if not code.lowest <= zp <= code.highest:
        op.fail(f"{name} = {zp} is no code of its operand ({code.lowest} .. {code.highest})")


def _check_operand(cx: EngineLowering, op: Op, name: str, value: Value, zp: int) -> None:
    code = cx.code(value)
    _check_width(op, f"codes of {name}", code)
    _check_zero_point(op, f"{name}_zp", zp, code)


def _bias(cx: EngineLowering, op: Op, value: Value | None) -> Array | None:
    if value is None:
        return None
    array = cx.constant(value)
    if array is None:
        op.fail("its bias is not constant")
    return array.reshape(-1)


@runs(Linear)
def lower_linear(cx: EngineLowering, region: Region, op: Linear) -> None:
    _check_operand(cx, op, "x", op.x, op.x_zp)
    matrix = matrix_of(cx, op)
    bias = _bias(cx, op, op.b)
    if matrix is not None:
        rows_times_matrix(cx, region, op.x, op.x_zp, replace(matrix, codes=matrix.codes[:, None, :]), bias)
        return
    if not isinstance(op.w_zp, int):
        op.fail("weights that are computed need one zero point")
    _check_operand(cx, op, "w", op.w, op.w_zp)
    w = cx.view(op.w).permuted([1, 0])
    products_of_tensors(cx, region, op.x, op.x_zp, w, op.w_zp, bias)


def rows_times_matrix(
    cx: EngineLowering, region: Region, x_value: Value, x_zp: int, w: WeightMatrix, bias: Array | None
) -> None:
    """Rows along the last dimension of x times weights [columns, 1, depth]."""
    shape = cx.shape(region.result)
    channel = len(shape) - 1
    x = cx.view(x_value)
    x = cx.packed(x, len(x.shape) - 1)
    name = cx.name("linear")
    rank = len(x.shape)
    lead = [*range(len(shape) - rank), *(d + len(shape) - rank for d in x.order(rank - 1))]
    y = new_view(name, cx.code(region.result), shape, cx.order_for(region.result, lead, channel))
    builder, steps = tail_of(cx, region, y, channel)
    own = _as_result(x, shape)
    order = y.order(channel)
    if len(common_loops(order[:-1], [y, own])) > 3:
        missing = len(shape) - rank
        x = cx.copied(x, [d - missing for d in order if d >= missing])
        own = _as_result(x, shape)
    rows, (place, x_rows, *operands) = merged_rows(cx, y, channel, [own], builder.operands)
    tail = builder.tail(steps, operands, place)
    columns, taps, depth = w.codes.shape
    window = Window()
    run = Gemm(rows, columns, depth, taps, window, x_rows, x_zp, w, w.zp, bias, tail)
    cx.add(name, run, region.result, y)


def _as_result(view: View, shape: Sequence[int]) -> View:
    """The rows of an operand as those of a result: its other dimensions count as the result has them."""
    return replace(view.expanded((*shape[:-1], view.shape[-1])), shape=tuple(shape))


@runs(Matmul)
def lower_matmul(cx: EngineLowering, region: Region, op: Matmul) -> None:
    _check_operand(cx, op, "x", op.x, op.x_zp)
    _check_operand(cx, op, "y", op.y, op.y_zp)
    y = cx.constant(op.y)
    if y is not None and math.prod(y.shape[:-2]) == 1:
        matrix = y.reshape(y.shape[-2:]).T[:, None, :]
        w = WeightMatrix(np.ascontiguousarray(matrix), code_of(op.y.type.scalar), op.y_zp)
        rows_times_matrix(cx, region, op.x, op.x_zp, w, None)
        return
    products_of_tensors(cx, region, op.x, op.x_zp, cx.view(op.y), op.y_zp, None)


def products_of_tensors(
    cx: EngineLowering, region: Region, x_value: Value, x_zp: int, w: View, w_zp: int, bias: Array | None
) -> None:
    """x [..., rows, depth] times w [..., depth, columns], both computed."""
    shape = cx.shape(region.result)
    rank = len(shape)
    x = cx.view(x_value)
    depth = x.shape[-1]
    x = cx.packed(x, len(x.shape) - 1)
    last = len(w.shape) - 1
    by_column = not w.packs(last - 1)
    if by_column:
        w = cx.packed(w, last)
    name = cx.name("matmul")
    y = new_view(name, cx.code(region.result), shape, cx.order_for(region.result, range(rank), rank - 1))
    builder, steps = tail_of(cx, region, y, rank - 1)
    pairs = _in_batches(x, w, y, builder.operands)
    if pairs is None:
        dims = range(rank)
        x = cx.copied(x.expanded((*shape[:-1], depth)), dims)
        w = cx.copied(w.expanded((*shape[:-2], *w.shape[-2:])), dims)
        by_column = True
        y = new_view(name, cx.code(region.result), shape, dims)
        pairs = _in_batches(x, w, y, [cx.copied(v, dims) for v in builder.operands])
    assert pairs is not None
    batches, (x_rows, place, *operands), batch = pairs
    w_rows = access(w, batch, 0, w.strides[-2] if by_column else w.strides[-1])
    rows = Rows(batches, 1, shape[-2])
    tail = builder.tail(steps, operands, place)
    weights = Computed(w_rows, by_column)
    cx.add(name, Gemm(rows, shape[-1], depth, 1, Window(), x_rows, x_zp, weights, w_zp, bias, tail), region.result, y)


def _in_batches(x: View, w: View, y: View, operands: Sequence[View]) -> tuple[int, list[Access], int] | None:
    """Batches, how x, y and the operands are accessed, and the stride of the batches of w; None if these do not lie
    evenly enough for one loop."""
    shape = y.shape
    rows = [_as_result(x, shape), y, *operands]
    ours = replace(w.expanded((*shape[:-2], *w.shape[-2:])), shape=shape)
    loops = common_loops(range(len(shape) - 2), [*rows, ours])
    if len(loops) > 1:
        return None
    count, strides = loops[0] if loops else (1, (0,) * (len(rows) + 1))
    return count, [access(v, strides[i], 0, v.strides[-2]) for i, v in enumerate(rows)], strides[-1]


# -- convolution


@dataclass(frozen=True)
class Image:
    """The input of a convolution, as its taps are read."""

    x: Access
    window: Window
    depth: int
    taps: int


def pixels(view: View, at: int = 2) -> tuple[int, int, int]:
    """The strides of images, lines and pixels; a sequence is a column."""
    spatial = view.strides[at:]
    return view.strides[0], spatial[0], spatial[1] if len(spatial) == 2 else 0


def window_of(
    op: Op,
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    fill: int,
) -> Window:
    """The window of an op over x[N, C, *spatial]."""
    w = {k: int(v) for k, v in window_config(op, shape[2:], kernel, stride, dilation, padding).items()}
    return Window(
        w["height"],
        w["width"],
        w["kernel_w"],
        w["stride_h"],
        w["stride_w"],
        w["dilation_h"],
        w["dilation_w"],
        w["pad_top"],
        w["pad_left"],
        fill,
    )


def rows_of_image(shape: Sequence[int]) -> Rows:
    """The rows of y[N, C, *spatial]."""
    height, width = (*shape[2:], 1)[:2]
    return Rows(shape[0], height, width)


def image_order(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


@runs(Conv)
def lower_conv(cx: EngineLowering, region: Region, op: Conv) -> None:
    shape, kernel = cx.shape(op.x), cx.shape(op.w)[2:]
    image_shape(op, shape[2:])
    _check_operand(cx, op, "x", op.x, op.x_zp)
    matrix = matrix_of(cx, op)
    if matrix is None:
        op.fail("its weights are not constant", hint="only matmul multiplies two computed tensors")
    outputs = len(matrix.codes)
    taps = math.prod(kernel)
    codes = matrix.codes.reshape(outputs, -1, taps).transpose(0, 2, 1)
    out_shape = cx.shape(region.result)
    name = cx.name("conv")
    y = new_view(name, cx.code(region.result), out_shape, image_order(len(out_shape)))
    bias = _bias(cx, op, op.b)
    depthwise = op.groups == shape[1] == outputs and op.groups > 1

    def add_bias(builder: StepBuilder, value: Value) -> None:
        if bias is not None and depthwise:
            builder.append(value, "ADD", value, bias.reshape(1, -1, *[1] * len(kernel)))

    builder, steps = tail_of(cx, region, y, 1, add_bias)
    place, *operands = (access(v, *pixels(v)) for v in [y, *builder.operands])
    tail = builder.tail(steps, operands, place)
    window = window_of(op, shape, kernel, op.stride, op.dilation, op.padding, op.x_zp)
    rows = rows_of_image(out_shape)
    if depthwise:
        x = cx.packed(cx.view(op.x), 1, image_order(len(shape)))
        w = codes[:, :, 0].T.astype(np.int64) - matrix.zp
        run = Fold("DOT", rows, outputs, taps, window, access(x, *pixels(x)), op.x_zp, w, tail, matrix.mask)
        cx.add(name, run, region.result, y)
        return
    dense = replace(matrix, codes=_block_diagonal(codes, op.groups, matrix.zp))
    image, dense = _image(cx, cx.view(op.x), window, dense, op, out_shape)
    run = Gemm(rows, outputs, image.depth, image.taps, image.window, image.x, op.x_zp, dense, dense.zp, bias, tail)
    cx.add(name, run, region.result, y)


def _block_diagonal(codes: Array, groups: int, zp: int) -> Array:
    """Weights [outputs, taps, inputs of a group] as if there were one group: w_zp between the others."""
    if groups == 1:
        return codes
    outputs, taps, inputs = codes.shape
    dense = np.full((outputs, taps, inputs * groups), zp, codes.dtype)
    for g in range(groups):
        own = slice(g * outputs // groups, (g + 1) * outputs // groups)
        dense[own, :, g * inputs : (g + 1) * inputs] = codes[own]
    return dense


def _image(
    cx: EngineLowering, x: View, window: Window, w: WeightMatrix, op: Conv, out: Sequence[int]
) -> tuple[Image, WeightMatrix]:
    """How a convolution reads its input, and the weights for that.

    Where a channel is less than a word, the taps of a line are read as one run if they lie side by side from a word
    on; otherwise the channels of each pixel are copied to words of their own.
    """
    columns, taps, depth = w.codes.shape
    height = taps // window.kernel_w
    joined = _joined(x, window, out) if not x.packs(1) else None
    if joined is not None:
        codes = w.codes.reshape(columns, height, window.kernel_w * depth)
        return Image(joined[0], joined[1], window.kernel_w * depth, height), replace(w, codes=codes)
    x = cx.packed(x, 1, image_order(len(x.shape)))
    return Image(access(x, *pixels(x)), window, depth, taps), w


def _joined(x: View, window: Window, out: Sequence[int]) -> tuple[Access, Window] | None:
    """The lines of taps as runs, if every run begins at a word and stays inside of its line."""
    image, line, pixel = pixels(x)
    step = pixel * window.stride_w
    inside = window.pad_left == 0 and (out[-1] - 1) * window.stride_w + window.kernel_w <= window.width
    beside = x.strides[1] == 1 and pixel == x.shape[1] and window.dilation_w == 1
    begins = (x.offset, line, step, image if x.shape[0] > 1 else 0)
    if len(x.shape) != 4 or not inside or not beside or any(s * x.element % WORD for s in begins):
        return None
    found = replace(window, kernel_w=1, stride_w=1, dilation_w=1, width=out[-1])
    return access(x, image, line, step), found
