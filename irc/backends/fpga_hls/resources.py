"""What a stage costs: cycles a sample, multipliers. Formulas follow the loops of the templates, which state them."""

from __future__ import annotations

from collections.abc import Callable

from irc.backends.fpga_hls.stage import Design, Stage

LINEAR = ("linear", "linear_blocks", "linear_nm")
CONV = ("conv", "conv_blocks", "conv_nm")
"""Templates by what they compute; those behind the first make use of a mask."""

COUNTED = {
    *(*LINEAR, "matmul", "int_softmax", "masked_int_softmax", "int_norm", "elementwise"),
    *("reduce_sum", "fork", "drain", "split", "slice", "select_above"),
}
"""Templates whose loops a count can bound that is born in the run."""
BIRTHS = {"select_above"}
"""Those that bring one into being, and may be bounded by another."""

ROW_LATENCY = 80  # cycles from the end of a row to its scale, as in templates/norm.h


def cycles(stage: Stage) -> int:
    """Cycles between two samples in steady state. Streams carry one element a cycle."""
    formula = FORMULAS.get(stage.template)
    return max(stage.elements, formula(stage) if formula is not None else 0, refilled(stage))


REFILL = 12  # cycles from the last iteration of a loop to the first of the same loop, when the one around it goes on


def refilled(stage: Stage) -> int:
    """Cycles of loops that are not flattened, as a count bounds an inner one: each time their pipeline is filled."""
    n = stage.number
    if stage.template in ("int_softmax", "masked_int_softmax") and stage.varies("length"):
        return n("rows") * (n("length") + REFILL)
    if stage.template in ("slice", "reduce_sum") and stage.varies("extent", "inner"):
        return n("outer") * n("extent") * (n("inner") + REFILL)
    if stage.template == "matmul" and stage.varies("rows", "columns", "depth"):
        (pe, simd), runs = stage.fold, n("batch") * n("rows")
        out, packs = tiles(n("columns"), pe), tiles(n("depth"), simd)
        fills = runs * out if stage.varies("depth") else runs
        return n("blocks") * max(runs * out * packs + fills * REFILL, runs * (n("columns") + REFILL))
    return 0


def pace(design: Design) -> int:
    """Cycles between two samples: the slowest stage sets the pace, or the port that carries most."""
    ports = [port.count for port in (*design.inputs, *design.outputs)]
    return max(*ports, *(cycles(stage) for stage in design.stages), 1)


def multipliers(stage: Stage) -> int:
    """Products at once for sums of them."""
    pe, simd = stage.fold
    return pe * kept_lanes(stage, simd) if _sums_products(stage) else 0


def multiplications(stage: Stage) -> int:
    """The same, where products that share one multiplication count once."""
    pe, simd = stage.fold
    return tiles(pe, stage.packing) * kept_lanes(stage, simd) if _sums_products(stage) else 0


def _sums_products(stage: Stage) -> bool:
    return stage.template in (*LINEAR, *CONV, "depthwise_conv", "matmul")


def kept_lanes(stage: Stage, simd: int) -> int:
    """How many of `simd` input channels have a weight: of an N:M mask N of M."""
    return simd // stage.simd_step * int(stage.config.get("n", 1))


def kept_tiles(stage: Stage) -> int:
    """The rows of the ROM of a stage that leaves tiles of zeros out."""
    return stage.packed("places").count(*stage.fold)


def tiles(length: int, lanes: int) -> int:
    return -(-length // lanes)


def _linear(stage: Stage) -> int:
    pe, simd = stage.fold
    inputs, outputs = stage.number("channels_in"), stage.number("channels_out")
    return stage.number("rows") * max(inputs, tiles(outputs, pe) * tiles(inputs, simd), outputs)


def _linear_blocks(stage: Stage) -> int:
    """The next run is read while one is worked on; the first one before that."""
    rows, inputs, outputs = (stage.number(name) for name in ("rows", "channels_in", "channels_out"))
    run = tiles(inputs, stage.fold[1])
    return max(rows * max(inputs, outputs), run + rows * max(run, kept_tiles(stage)))


def window_counts(stage: Stage) -> tuple[int, int]:
    """Height and width of the result of a window."""
    sizes: list[int] = []
    for size, side, before, after in (
        ("height", "h", "pad_top", "pad_bottom"),
        ("width", "w", "pad_left", "pad_right"),
    ):
        span = (stage.number(f"kernel_{side}") - 1) * stage.number(f"dilation_{side}") + 1
        padded = stage.number(size) + stage.number(before) + stage.number(after)
        sizes.append((padded - span) // stage.number(f"stride_{side}") + 1)
    return sizes[0], sizes[1]


def lines_before(stage: Stage, oy: int) -> int:
    """The number of input lines that have to be there for output row oy of a window."""
    n = stage.number
    span = (n("kernel_h") - 1) * n("dilation_h") + 1
    return max(0, min(n("height"), oy * n("stride_h") - n("pad_top") + span))


def _windowed(stage: Stage, channels: int, packs: int, row: int) -> int:
    """Cycles of a stage behind sliding_window: `packs` packs a pixel of `channels`, `row` cycles of work a result row.

    The lines of the first row come before it, those of the next row while a row is worked on, and what is left of them
    behind it, in a loop that is as long for every row. Scalars come one a cycle.
    """
    n = stage.number
    out_h, out_w = window_counts(stage)
    emitted = out_w * packs * n("kernel_h") * n("kernel_w")
    before = [lines_before(stage, oy) for oy in range(out_h)]
    line = n("width") * channels
    surplus = max(0, n("stride_h") * n("width") * packs - emitted)
    total = (before[0] + n("height") - before[-1]) * line
    for oy in range(out_h):
        arriving = before[oy + 1] - before[oy] if oy < out_h - 1 else 0
        behind = max(0, arriving * n("width") * packs - emitted) * channels // packs
        total += max(row, emitted, arriving * line - behind) + max(behind, surplus)
    return total


def _conv(stage: Stage) -> int:
    (pe, simd), n = stage.fold, stage.number
    groups, out_w = n("groups"), window_counts(stage)[1]
    packs = tiles(n("channels_in") // groups, simd)
    products = groups * tiles(n("channels_out") // groups, pe) * n("kernel_h") * n("kernel_w") * packs
    return _windowed(stage, n("channels_in"), groups * packs, out_w * max(products, n("channels_out")))


def _conv_blocks(stage: Stage) -> int:
    """As `_linear_blocks`, with patches for runs."""
    n, groups = stage.number, stage.number("groups")
    packs = groups * tiles(n("channels_in") // groups, stage.fold[1])
    patch = packs * n("kernel_h") * n("kernel_w")
    row = window_counts(stage)[1] * max(patch, kept_tiles(stage), n("channels_out"))
    return patch + _windowed(stage, n("channels_in"), packs, row)


def _by_channel(stage: Stage) -> int:
    """depthwise_conv, and pooling with windows that overlap."""
    (pe, _), channels = stage.fold, stage.number("channels")
    return _windowed(stage, channels, tiles(channels, pe), window_counts(stage)[1] * channels)


def is_blocks(stage: Stage) -> bool:
    """Whether the windows of a pooling stage tile the image, which needs no line buffer."""
    n = stage.number
    padded = n("pad_top") or n("pad_left") or n("pad_bottom") or n("pad_right")
    tiled = n("stride_h") == n("kernel_h") and n("stride_w") == n("kernel_w")
    return tiled and n("dilation_h") == n("dilation_w") == 1 and not padded


def _pool(stage: Stage) -> int:
    n = stage.number
    return n("height") * n("width") * n("channels") if is_blocks(stage) else _by_channel(stage)


def buffers_x(stage: Stage) -> bool:
    """Whether a matmul stage keeps all of x, because x comes in another order than the results."""
    order = "Order<FREE, BATCH, DEPTH>" if stage.config["rows_first"] else "Order<BATCH, FREE, DEPTH>"
    return stage.config["x_order"] != order


def _matmul(stage: Stage) -> int:
    pe, simd = stage.fold
    n = stage.number
    batch, rows, depth, columns = n("batch"), n("rows"), n("depth"), n("columns")
    buffered = buffers_x(stage)
    load = batch * depth * (max(columns, rows) if buffered else columns)
    rest = batch * rows * max(tiles(columns, pe) * tiles(depth, simd), columns, 0 if buffered else depth)
    return n("blocks") * (load + rest if n("buffers") == 1 else max(load, rest))


def _rows(stage: Stage) -> int:
    return stage.number("rows") * max(stage.number("length"), ROW_LATENCY)


def _select(stage: Stage) -> int:
    """Scores are read and compared with each other while the tokens of the sample before pass."""
    rows, columns = stage.number("rows"), stage.number("columns")
    return max(rows + rows * rows, rows * columns)


def _select_above(stage: Stage) -> int:
    return stage.number("rows") * stage.number("columns")


def _reorder(stage: Stage) -> int:
    return stage.number("blocks") * stage.number("count") * (2 if stage.number("buffers") == 1 else 1)


FORMULAS: dict[str, Callable[[Stage], int]] = {
    "linear": _linear,
    "linear_blocks": _linear_blocks,
    "linear_nm": _linear,
    "conv": _conv,
    "conv_blocks": _conv_blocks,
    "conv_nm": _conv,
    "depthwise_conv": _by_channel,
    "matmul": _matmul,
    "max_pool": _pool,
    "sum_pool": _pool,
    "int_softmax": _rows,
    "masked_int_softmax": _rows,
    "int_norm": _rows,
    "reorder": _reorder,
    "select_rows": _select,
    "select_above": _select_above,
}


PIPELINE = 40
"""Cycles through the loops and FIFOs of a stage: multiplier, adder tree, epilogue, each with its registers."""


def latency(stage: Stage) -> int:
    """Cycles from the last input that a result needs to the result."""
    rows = stage.template in ("int_softmax", "masked_int_softmax", "int_norm")
    return PIPELINE + (ROW_LATENCY if rows else 0)
