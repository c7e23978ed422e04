"""Pooling and resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irc.frontend.composed.linear import along_axis
from irc.frontend.composed.math import times
from irc.frontend.composed.pool import places_of_largest, window_places
from irc.frontend.composed.windows import elements_of_windows
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.ops.linear import window
from irc.frontend.onnx.ops.resize import Resizing, resize_matrix
from irc.frontend.onnx.table import converts
from irc.ir.dims import product
from irc.ir.graph import Value
from irc.ir.ops.linear import window_size
from irc.ir.ops.math import Abs, Add, Amax, Mean, Mul, Pow, Sqrt, Sum, Where
from irc.ir.ops.pool import AvgPool, MaxPool
from irc.ir.ops.tensor import Expand, Gather, Iota, Pad, Reshape, Scatter
from irc.ir.scalars import BOOL, I64


@converts("MaxPool")
def max_pool(
    c: Context,
    x: Value,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    storage_order: int = 0,
) -> tuple[Value, ...]:
    stride, padding, dilation = window(c, x, kernel_shape, strides, pads, dilations, auto_pad)
    out = c.b(MaxPool(x, tuple(kernel_shape), stride, padding, dilation, bool(ceil_mode)))
    if not any(c.node.outputs[1:]):
        return (out,)
    axes = zip(_sizes(c, x), kernel_shape, stride, padding, dilation, _sizes(c, out), strict=False)
    places = places_of_largest(c, x, [window_places(c, *axis) for axis in axes])
    if storage_order:  # positions count columns first
        sizes = _sizes(c, x)
        turned = np.arange(math.prod(sizes)).reshape(sizes, order="F").ravel()
        places = c.b(Gather(c.b.const(turned, I64), places, 0))
    images = c.b(Reshape(c.b(Iota(0, 1, shape=(product(x.type.shape[:2]),))), (*x.type.shape[:2], *[1] * len(stride))))
    return out, c.b(Add(places, c.b(Mul(images, c.size(product(x.type.shape[2:]))))))


@converts("MaxUnpool")
def max_unpool(
    c: Context,
    x: Value,
    places: Value,
    shape: Value | None = None,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
) -> Value:
    """Values back at the places that max pooling gave, zeros elsewhere and up to the shape, if that is larger."""
    n = x.type.rank - 2
    stride, padding = c.default(strides, 1, n), c.default(pads, 0, 2 * n)
    axes = zip(_sizes(c, x), stride, kernel_shape, padding[:n], padding[n:], strict=True)
    spatial = tuple((size - 1) * step + k - before - after for size, step, k, before, after in axes)
    whole = (*x.type.shape[:2], *spatial)
    flat, count = (product(whole),), (product(x.type.shape),)
    zeros = c.b(Expand(c.const(0, x.type.scalar), flat))
    out = c.b(Reshape(c.b(Scatter(zeros, c.b(Reshape(places, count)), c.b(Reshape(x, count)), 0)), whole))
    if shape is None:
        return out
    after = [size - have for size, have in zip(c.ints(shape, "the shape")[2:], spatial, strict=True)]
    return c.b(Pad(out, (0,) * (n + 2), (0, 0, *after))) if any(after) else out


@converts("AveragePool")
def average_pool(
    c: Context,
    x: Value,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
) -> Value:
    stride, padding, dilation = window(c, x, kernel_shape, strides, pads, dilations, auto_pad)
    if any(d != 1 for d in dilation):
        return _spread_means(c, x, kernel_shape, stride, padding, dilation, bool(ceil_mode), bool(count_include_pad))
    return c.b(AvgPool(x, tuple(kernel_shape), stride, padding, bool(ceil_mode), bool(count_include_pad)))


def _spread_means(
    c: Context,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
    count_pad: bool,
) -> Value:
    """The mean over windows with gaps: a matrix product an axis. What ceil mode adds behind the end is not counted."""
    n = len(kernel)
    for i, size in enumerate(_sizes(c, x)):
        before, after = padding[i], padding[n + i]
        count = window_size(size, kernel[i], stride[i], before, after, dilation[i], ceil)
        count = c.number(count, "the number of windows")
        c.countable(count * kernel[i] * c.number(size, "the size"), "windows")
        places = elements_of_windows(c, kernel[i], dilation[i], before, stride[i], count)
        hits = (places[:, :, None] == np.arange(size)).sum(1)
        counted = (places < size + after) if count_pad else (places >= 0) & (places < size)
        x = along_axis(c, x, 2 + i, hits / counted.sum(1, keepdims=True))
    return x


def _sizes(c: Context, x: Value) -> list[int]:
    return [c.number(d, "the size") for d in x.type.shape[2:]]


@converts("LpPool")
def lp_pool(
    c: Context,
    x: Value,
    *,
    kernel_shape: Sequence[int],
    p: int = 2,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
) -> Value:
    """(sum of |x|^p over a window)^(1/p); the sum is a mean over all places, padding included, times their number."""
    powers = c.b(Mul(x, x)) if p == 2 else c.b(Pow(c.b(Abs(x)), float(p)))
    mean = average_pool(
        c,
        powers,
        kernel_shape=kernel_shape,
        strides=strides,
        pads=pads,
        dilations=dilations,
        ceil_mode=ceil_mode,
        count_include_pad=1,
        auto_pad=auto_pad,
    )
    total = times(c, mean, math.prod(kernel_shape))
    return c.b(Sqrt(total)) if p == 2 else c.b(Pow(total, 1 / p))


def _spatial(x: Value) -> tuple[int, ...]:
    return tuple(range(2, x.type.rank))


@converts("GlobalAveragePool")
def global_average_pool(c: Context, x: Value) -> Value:
    return c.b(Mean(x, _spatial(x), True))


@converts("GlobalMaxPool")
def global_max_pool(c: Context, x: Value) -> Value:
    return c.b(Amax(x, _spatial(x), True))


@converts("GlobalLpPool")
def global_lp_pool(c: Context, x: Value, *, p: int = 2) -> Value:
    if p == 2:
        return c.b(Sqrt(c.b(Sum(c.b(Mul(x, x)), _spatial(x), True))))
    return c.b(Pow(c.b(Sum(c.b(Pow(c.b(Abs(x)), float(p))), _spatial(x), True)), 1 / p))


# -- resizing


@converts("Resize")
def resize(
    c: Context,
    x: Value,
    roi: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Value:
    """One lookup (nearest) or one matrix product an axis; the matrices are constants."""
    rank = x.type.rank
    places = tuple(range(rank)) if axes is None else tuple(c.axis(a, rank) for a in axes)
    old = [x.type.shape[a] for a in places]
    factors = None if scales is None or scales.type.shape == (0,) else c.values(scales, "the scales")
    wanted = None if sizes is None or sizes.type.shape == (0,) else c.dims(sizes, "the sizes")
    regions = None
    if coordinate_transformation_mode == "tf_crop_and_resize":
        if roi is None:
            c.unsupported("it lacks the region to resize")
        regions = c.values(roi, "the region").reshape(2, len(places)).T
    how = Resizing(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(exclude_outside),
        extrapolation_value,
        bool(antialias),
    )
    if problem := how.problem():
        c.unsupported(problem)
    ratios = _aspect(c, old, wanted, keep_aspect_ratio_policy)
    for i, axis in enumerate(places):
        if factors is not None:
            factor, new = float(factors[i]), None
            if factor == 1 and regions is None:
                continue
            size = c.number(old[i], "the size")
            new = math.floor(size * factor)
        else:
            if wanted is None:
                c.unsupported("it has neither scales nor sizes")
            if wanted[i] == old[i] and regions is None and ratios is None:
                continue
            size, new = c.number(old[i], "the size"), c.number(wanted[i], "the new size")
            factor = new / size
            if ratios is not None:
                factor, new = ratios, math.floor(ratios * size + 0.5)
        region = None if regions is None else (float(regions[i][0]), float(regions[i][1]))
        x = _along(c, x, axis, size, new, factor, region, how)
    return x


def _aspect(c: Context, old: Sequence[object], wanted: Sequence[object] | None, policy: str) -> float | None:
    """The one factor of all axes, where the shape of a picture is kept."""
    if policy == "stretch" or wanted is None:
        return None
    pairs = [(w, o) for w, o in zip(wanted, old, strict=True) if isinstance(w, int) and isinstance(o, int)]
    if len(pairs) != len(old):
        c.unsupported(f"keep_aspect_ratio_policy={policy} of sizes that vary")
    ratios = [w / o for w, o in pairs]
    return min(ratios) if policy == "not_larger" else max(ratios)


SHORTEST = 256  # the length as which shorter axes count, where every element of the new one is computed here


def _along(
    c: Context,
    x: Value,
    axis: int,
    size: int,
    new: int,
    factor: float,
    region: tuple[float, float] | None,
    how: Resizing,
) -> Value:
    c.countable(new * max(size, SHORTEST), "a resized axis")
    if how.mode == "nearest":
        out = c.b(Gather(x, c.b.const(how.nearest(size, new, factor, region), I64), axis))
    else:
        if not x.type.scalar.is_float:
            c.unsupported(f"mode {how.mode} of {x.type.scalar}", "cast to float")
        out = along_axis(c, x, axis, resize_matrix(how, size, new, factor, region))
    outside = how.outside(size, new, factor, region)
    if not outside.any():
        return out
    places = c.b.const(outside.reshape([-1 if i == axis else 1 for i in range(x.type.rank)]), BOOL)
    return c.b(Where(places, c.const(how.extrapolation, x.type.scalar), out))


@converts("Upsample")
def upsample(
    c: Context, x: Value, factors: Value | None = None, *, mode: str = "nearest", scales: Sequence[float] | None = None
) -> Value:
    """As Resize with asymmetric coordinates, rounded down."""
    given = c.values(factors, "the scales") if factors is not None else list(scales or ())
    how = Resizing(mode, "asymmetric", "floor", -0.75, False, 0.0, False)
    for axis, factor in enumerate(given):
        if float(factor) != 1:
            size = c.number(x.type.shape[axis], "the size")
            x = _along(c, x, axis, size, math.floor(size * float(factor)), float(factor), None, how)
    return x
