"""Moving values: shapes, slices, joins, padding, lookups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irc.frontend.composed.places import elements_at, from_start, leading
from irc.frontend.composed.tensor import cut, pad_axis, pieces, reversed_along
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.ops.math import to_scalar
from irc.frontend.onnx.proto import Tensor
from irc.frontend.onnx.sizes import vector
from irc.frontend.onnx.table import converts
from irc.ir.constants import Data
from irc.ir.dims import Dim, Shape, add, dim_min, equal, floordiv, mul, product, sub
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Compare, Mul, Where
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Permute, Reshape
from irc.ir.scalars import F32, I64, Array, scalar
from irc.ir.types import Encoding

# -- shapes


@converts("Reshape")
def reshape(
    c: Context, x: Value, target: Value | None = None, *, shape: Sequence[int] | None = None, allowzero: int = 0
) -> Value:
    """A 0 keeps the size (unless allowzero), one -1 is what is left."""
    wanted: list[Dim] = list(c.dims(target, "the shape")) if target is not None else list(shape or ())
    for i, d in enumerate(wanted):
        if d == 0 and not allowzero:
            if i >= x.type.rank:
                c.unsupported(f"the shape {wanted} keeps a size that {x.type} does not have")
            wanted[i] = x.type.shape[i]
    open_ = [i for i, d in enumerate(wanted) if d == -1]
    if len(open_) > 1:
        c.unsupported(f"the shape {wanted} leaves several sizes open")
    if open_:
        wanted[open_[0]] = _left_over(c, x, [d for i, d in enumerate(wanted) if i != open_[0]])
    return c.reshape(x, tuple(wanted))


def _left_over(c: Context, x: Value, others: Sequence[Dim]) -> Dim:
    rest, total = product(x.type.shape), product(tuple(others))
    if total == 0:
        return 0
    if isinstance(total, int) and total < 0:
        c.unsupported(f"the sizes {list(others)}")
    return floordiv(rest, total)


@converts("Flatten")
def flatten(c: Context, x: Value, *, axis: int = 1) -> Value:
    at = axis + x.type.rank if axis < 0 else axis
    return c.reshape(x, (product(x.type.shape[:at]), product(x.type.shape[at:])))


@converts("Squeeze")
def squeeze(c: Context, x: Value, given: Value | None = None, *, axes: Sequence[int] | None = None) -> Value:
    found = axes if given is None else c.ints(given, "the axes")
    if found is None:
        gone = [i for i, d in enumerate(x.type.shape) if equal(d, 1) is True]
    else:
        gone = [c.axis(a, x.type.rank) for a in found]
    return c.reshape(x, tuple(d for i, d in enumerate(x.type.shape) if i not in gone))


@converts("Unsqueeze")
def unsqueeze(c: Context, x: Value, given: Value | None = None, *, axes: Sequence[int] | None = None) -> Value:
    found = tuple(axes or ()) if given is None else c.ints(given, "the axes")
    rank = x.type.rank + len(found)
    new = {c.axis(a, rank) for a in found}
    rest = iter(x.type.shape)
    return c.reshape(x, tuple(1 if i in new else next(rest) for i in range(rank)))


@converts("Transpose")
def transpose(c: Context, x: Value, *, perm: Sequence[int] | None = None) -> Value:
    order = tuple(perm) if perm is not None else tuple(reversed(range(x.type.rank)))
    if order == tuple(range(x.type.rank)):
        return x
    weights = x.node
    if isinstance(weights, Dequantize) and isinstance(weights.x.node, Const):
        return _transposed_codes(c, weights, weights.x.node, order)
    return c.b(Permute(x, order))


def _transposed_codes(c: Context, op: Dequantize, codes: Const, order: tuple[int, ...]) -> Value:
    """Quantized constants are transposed as codes, so that who reads them still finds them quantized."""
    axis = None if op.axis is None else order.index(op.axis % len(order))
    scale, zp, known = op.scale, op.zp, codes.result.type.encoding
    if op.group is not None:
        scale = c.b(Permute(scale, order))
        zp = None if zp is None else c.b(Permute(zp, order))
        known = None if known is None else _turned(known, order)
    elif known is not None and known.axis is not None:
        known = known.moved(order.index(known.axis))
    turned = c.b.const(codes.value.array.transpose(order), codes.value.scalar, known, codes.result.name)
    return c.b(Dequantize(turned, scale, zp, axis=axis, group=op.group, to=op.to))


def _turned(known: Encoding, order: tuple[int, ...]) -> Encoding:
    """The encoding of blocks of a transposed tensor."""
    scale = Data.of(known.scales.transpose(order))
    zps = Data.of(known.zps.transpose(order).astype(np.int32)) if isinstance(known.zp, Data) else known.zp
    return Encoding(scale, zps, None if known.axis is None else order.index(known.axis), known.group)


@converts("Expand")
def expand(c: Context, x: Value, shape: Value) -> Value:
    wanted = c.dims(shape, "the shape")
    return expanded(c, x, tuple(wanted))


def expanded(c: Context, x: Value, wanted: Shape) -> Value:
    """x broadcast with a shape, whose 1 keep what is there."""
    rank = max(len(wanted), x.type.rank)
    have = (*[1] * (rank - x.type.rank), *x.type.shape)
    target = (*[1] * (rank - len(wanted)), *wanted)
    out = tuple(h if equal(t, 1) is True else t for h, t in zip(have, target, strict=True))
    return x if out == x.type.shape else c.b(Expand(x, out))


@converts("Tile")
def tile(c: Context, x: Value, repeats: Value) -> Value:
    """Every axis as a pair (times, size), expanded and merged again."""
    times = c.dims(repeats, "how often")
    if len(times) != x.type.rank:
        c.unsupported(f"{len(times)} repeats of {x.type}")
    pairs = tuple(d for size in x.type.shape for d in (1, size))
    spread = tuple(d for n, size in zip(times, x.type.shape, strict=True) for d in (n, size))
    shape = tuple(mul(n, size) for n, size in zip(times, x.type.shape, strict=True))
    return x if shape == x.type.shape else c.b(Reshape(c.b(Expand(c.b(Reshape(x, pairs)), spread)), shape))


@converts("Shape")
def shape_of(c: Context, x: Value, *, start: int = 0, end: int | None = None) -> Value:
    return c.shape(x.type.shape[start:end])


@converts("Size")
def size_of(c: Context, x: Value) -> Value:
    return c.of_sizes(vector([product(x.type.shape)]).reshape(()))


@converts("ConstantOfShape")
def constant_of_shape(c: Context, shape: Value, *, value: Tensor | None = None) -> Value:
    data = None if value is None else c.data(value)
    if data is not None and data.size != 1:
        c.unsupported(f"a value of {data.size} elements")
    one = c.const(0.0, F32) if data is None else c.b.const(data.array.reshape(()), data.scalar)
    return expanded(c, one, c.dims(shape, "the shape"))


@converts("Constant")
def constant(
    c: Context,
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
) -> Value:
    if value is not None:
        data = c.data(value)
        return c.b.const(data.array, data.scalar, name=c.node.outputs[0])
    floats = value_float if value_floats is None else list(value_floats)
    if floats is not None:
        return c.b.const(np.asarray(floats, np.float32), F32)
    ints = value_int if value_ints is None else list(value_ints)
    if ints is None:
        c.unsupported("it has no value")
    return c.b.const(np.asarray(ints, np.int64), I64)


@converts("Range")
def range_(c: Context, start: Value, limit: Value, delta: Value, *, stash_type: int = 1) -> Value:
    ends = [c.constant(v) for v in (start, limit, delta)]
    if all(v is not None for v in ends):
        first, last, step = (float_or_int(v) for v in ends if v is not None)
        if step == 0:
            c.unsupported("the step is 0")
        count = max(math.ceil((last - first) / step), 0)
        kind = start.type.scalar
        values: Array = first + np.arange(c.countable(count, "a range")) * step
        return c.b.const(values, kind)
    first, last = (c.dims(v, "an end of the range")[0] for v in (start, limit))
    step = c.ints(delta, "the step")[0]
    if step < 1:
        c.unsupported(f"the step {step} between sizes that vary")
    count = floordiv(add(sub(last, first), step - 1), step)
    return c.cast(c.b(Iota(first, step, shape=(count,))), start.type.scalar)


def float_or_int(values: Array) -> float:
    """The value of an array of one element."""
    return values.reshape(()).item()


# -- slices


@converts("Slice")
def slice_(
    c: Context,
    x: Value,
    first: Value | None = None,
    last: Value | None = None,
    at: Value | None = None,
    by: Value | None = None,
    *,
    starts: Sequence[int] = (),
    ends: Sequence[int] = (),
    axes: Sequence[int] | None = None,
) -> Value:
    begin = starts if first is None else c.dims(first, "the start")
    end = ends if last is None else c.dims(last, "the end")
    chosen = axes if at is None else c.ints(at, "the axes")
    steps = [1] * len(begin) if by is None else c.ints(by, "the step")
    places = range(len(begin)) if chosen is None else chosen
    for axis, start, stop, step in zip(places, begin, end, steps, strict=True):
        x = _sliced(c, x, c.axis(axis, x.type.rank), start, stop, step)
    return x


def _sliced(c: Context, x: Value, axis: int, start: Dim, stop: Dim, step: int) -> Value:
    size = x.type.shape[axis]
    if step > 0:
        first, last = _bound(start, size), _bound(stop, size)
        if isinstance(first, int) and isinstance(last, int):
            last = max(first, last)
        return cut(c, x, axis, first, last, step)
    if step == 0:
        c.unsupported("the step is 0")
    # Backwards: element i of the reversed axis is element size - 1 - i.
    whole = isinstance(stop, int) and stop < -(2**31) + 2
    first = 0 if isinstance(start, int) and start >= 2**31 - 1 else sub(size, add(_bound(start, size, -1), 1))
    last = size if whole or _before(stop, size) else sub(size, add(_bound(stop, size, -1), 1))
    if isinstance(first, int) and isinstance(last, int):
        first, last = max(first, 0), max(first, 0, last)
    return cut(c, reversed_along(c, x, axis), axis, first, last, -step)


def _before(stop: Dim, size: Dim) -> bool:
    """Whether a bound from the end lies in front of the first element."""
    return isinstance(stop, int) and isinstance(size, int) and stop < -size


def _bound(value: Dim, size: Dim, most: int = 0) -> Dim:
    """A bound as a dimension within 0 .. size + most."""
    limit = add(size, most)
    if isinstance(value, int) and isinstance(limit, int):
        return min(max(value + (limit - most) if value < 0 else value, 0), limit)
    if isinstance(value, int):
        if value >= 2**31 - 1:
            return limit
        return add(size, value) if value < 0 else value
    return dim_min(value, limit)


@converts("Split")
def split(
    c: Context,
    x: Value,
    given: Value | None = None,
    *,
    axis: int = 0,
    split: Sequence[int] | None = None,
    num_outputs: int | None = None,
) -> tuple[Value, ...]:
    axis = c.axis(axis, x.type.rank)
    sizes: Sequence[Dim] | None = split if given is None else c.dims(given, "the sizes")
    if sizes is None:
        parts = num_outputs or len(c.node.outputs)
        size = x.type.shape[axis]
        each = floordiv(add(size, parts - 1), parts)
        sizes = [*[each] * (parts - 1), sub(size, mul(each, parts - 1))]
    return pieces(c, x, axis, sizes)


# -- joins and padding


@converts("Concat")
def concat(c: Context, *xs: Value, axis: int = 1) -> Value:
    at = c.axis(axis, xs[0].type.rank)
    return xs[0] if len(xs) == 1 else c.b(Concat(tuple(xs), at))


MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@converts("Pad")
def pad(
    c: Context,
    x: Value,
    widths: Value | None = None,
    fill: Value | None = None,
    axes: Value | None = None,
    *,
    mode: str = "constant",
    pads: Sequence[int] = (),
    value: float = 0.0,
) -> Value:
    rank = x.type.rank
    given = tuple(pads) if widths is None else c.ints(widths, "the padding")
    places = range(rank) if axes is None else [c.axis(a, rank) for a in c.ints(axes, "the axes")]
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(places):
        before[axis], after[axis] = given[i], given[len(places) + i]
    for axis in range(rank):  # negative widths cut
        x = cut(c, x, axis, max(-before[axis], 0), add(x.type.shape[axis], min(after[axis], 0)))
    before, after = [max(v, 0) for v in before], [max(v, 0) for v in after]
    if not any((*before, *after)):
        return x
    if mode == "constant":
        return _filled(c, x, before, after, fill, value)
    if mode not in MODES:
        c.unsupported(f"the mode {mode}")
    for axis in range(rank):
        if before[axis] or after[axis]:
            x = pad_axis(c, x, axis, before[axis], after[axis], MODES[mode])
    return x


def _filled(c: Context, x: Value, before: list[int], after: list[int], fill: Value | None, value: float) -> Value:
    number = value if fill is None else c.single(fill, "the value of the padding")
    if x.type.scalar.kind != "bool":
        return c.b(Pad(x, tuple(before), tuple(after), float(number)))
    codes = c.b(Pad(c.cast(x, scalar("u8")), tuple(before), tuple(after), float(number)))
    return c.b(Compare(codes, c.const(0, scalar("u8")), "ne"))


@converts("CenterCropPad")
def center_crop_pad(c: Context, x: Value, shape: Value, *, axes: Sequence[int] | None = None) -> Value:
    """Each axis cut or padded on both sides; an odd element goes to the end."""
    places = range(x.type.rank) if axes is None else [c.axis(a, x.type.rank) for a in axes]
    for axis, wanted in zip(places, c.ints(shape, "the shape"), strict=True):
        size = c.number(x.type.shape[axis], "the size")
        if wanted < size:
            start = (size - wanted) // 2
            x = cut(c, x, axis, start, start + wanted)
        elif wanted > size:
            before, after = [0] * x.type.rank, [0] * x.type.rank
            before[axis] = (wanted - size) // 2
            after[axis] = wanted - size - before[axis]
            x = c.b(Pad(x, tuple(before), tuple(after)))
    return x


# -- lookups


@converts("Gather")
def gather(c: Context, x: Value, indices: Value, *, axis: int = 0) -> Value:
    return c.b(Gather(x, indices, c.axis(axis, x.type.rank)))


@converts("GatherElements")
def gather_elements(c: Context, x: Value, indices: Value, *, axis: int = 0) -> Value:
    """out[i, j] = x[i, index[i, j]] along an axis."""
    axis = c.axis(axis, x.type.rank)
    return elements_at(c, x, axis, from_start(c, indices, x.type.shape[axis]))


@converts("GatherND")
def gather_nd(c: Context, x: Value, indices: Value, *, batch_dims: int = 0) -> Value:
    """The leading axes that an index names are merged and looked up once."""
    *places, depth = indices.type.shape
    width = c.number(depth, "the number of indices")
    shape = x.type.shape
    if not width:
        c.unsupported("an index of no axes")
    flat, merged = leading(c, indices, shape[batch_dims : batch_dims + width])
    rest = shape[batch_dims + width :]
    if batch_dims:
        batch = product(shape[:batch_dims])
        start = c.b(Mul(c.b(Iota(0, 1, shape=(batch,))), c.size(merged)))
        rows = c.b(Reshape(flat, (batch, product(tuple(places[batch_dims:])))))
        flat = c.b(Reshape(c.b(Add(rows, c.b(Reshape(start, (batch, 1))))), tuple(places)))
        merged = mul(batch, merged)
    return c.b(Gather(c.b(Reshape(x, (merged, *rest))), flat, 0))


@converts("OneHot")
def one_hot(c: Context, indices: Value, depth: Value, values: Value, *, axis: int = -1) -> Value:
    """values[1] where the index is, else values[0]; an index outside of the range is nowhere."""
    size = c.countable(int(c.single(depth, "the depth")), "a depth")
    rank = indices.type.rank + 1
    at = c.axis(axis, rank)
    index = from_start(c, indices, size)
    column = c.b(Reshape(index, (*index.type.shape[:at], 1, *index.type.shape[at:])))
    places = c.b.const(np.arange(size).reshape([-1 if i == at else 1 for i in range(rank)]), I64)
    off, on = (c.b(Reshape(cut(c, values, 0, i, i + 1), ())) for i in (0, 1))
    return c.b(Where(c.b(Compare(column, places, "eq")), on, off))


@converts("Trilu")
def trilu(c: Context, x: Value, k: Value | None = None, *, upper: int = 1) -> Value:
    """The triangle on one side of a diagonal, 0 elsewhere."""
    by = 0 if k is None else int(c.single(k, "the diagonal"))
    rows, columns = x.type.shape[-2:]
    row = c.b(Reshape(c.b(Iota(by, 1, shape=(rows,))), (rows, 1)))
    column = c.b(Reshape(c.b(Iota(0, 1, shape=(columns,))), (1, columns)))
    kept = c.b(Compare(column, row, "ge" if upper else "le"))
    return c.b(Where(kept, x, c.const(0, x.type.scalar)))


@converts("EyeLike")
def eye_like(c: Context, x: Value, *, dtype: int | None = None, k: int = 0) -> Value:
    rows, columns = x.type.shape
    row = c.b(Reshape(c.b(Iota(k, 1, shape=(rows,))), (rows, 1)))
    column = c.b(Reshape(c.b(Iota(0, 1, shape=(columns,))), (1, columns)))
    kind = x.type.scalar if dtype is None else c.scalar(dtype)
    return to_scalar(c, c.cast(c.b(Compare(column, row, "eq")), scalar("u8")), kind)


# -- blocks


@converts("DepthToSpace")
def depth_to_space(c: Context, x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    batch, channels, height, width = x.type.shape
    r, each = blocksize, floordiv(channels, blocksize * blocksize)
    if mode == "DCR":
        spread = c.b(Reshape(x, (batch, r, r, each, height, width)))
        order = (0, 3, 4, 1, 5, 2)
    else:
        spread = c.b(Reshape(x, (batch, each, r, r, height, width)))
        order = (0, 1, 4, 2, 5, 3)
    return c.b(Reshape(c.b(Permute(spread, order)), (batch, each, mul(height, r), mul(width, r))))


@converts("SpaceToDepth")
def space_to_depth(c: Context, x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    batch, channels, height, width = x.type.shape
    r = blocksize
    rows, columns = floordiv(height, r), floordiv(width, r)
    spread = c.b(Reshape(x, (batch, channels, rows, r, columns, r)))
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return c.b(Reshape(c.b(Permute(spread, order)), (batch, mul(channels, r * r), rows, columns)))


@converts("ReverseSequence")
def reverse_sequence(c: Context, x: Value, lengths: Value, *, batch_axis: int = 1, time_axis: int = 0) -> Value:
    """The first elements of each row in reverse order: a lookup with constant indices."""
    known = c.values(lengths, "the lengths")
    size = c.number(x.type.shape[time_axis], "the size")
    steps = np.arange(size)
    index = np.where(steps < known[:, None], known[:, None] - 1 - steps, steps)
    index = index if batch_axis == 0 else index.T
    whole = tuple(c.number(d, "a size") for d in x.type.shape)
    c.countable(math.prod(whole), "a lookup")
    spread = np.broadcast_to(index.reshape((*index.shape, *[1] * (len(whole) - 2))), whole)
    return gather_elements(c, x, c.b.const(spread, I64), axis=time_axis)
