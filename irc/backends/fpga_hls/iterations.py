"""Iterations of the loops of a stage, process by process: what a synthesis report calls trip counts.

Innermost loops start an iteration a cycle, so no stage takes fewer cycles than its largest process has iterations. It
may take more: where it waits for lines of an image, for a row, or for its streams (`resources.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from irc.backends.fpga_hls.resources import buffers_x, is_blocks, lines_before, tiles, window_counts
from irc.backends.fpga_hls.stage import Stage

Processes = list[tuple[str, int]]
"""The templates of the processes of a stage in the order of their calls, and their iterations for one sample."""


def iterations(stage: Stage) -> Processes:
    """The iterations of every process of a stage."""
    count = PROCESSES.get(stage.template)
    return count(stage) if count is not None else [(stage.template, stage.elements)]


def _linear(stage: Stage) -> Processes:
    (pe, simd), n = stage.fold, stage.number
    inputs, outputs = n("channels_in"), n("channels_out")
    products = tiles(outputs, pe) * tiles(inputs, simd)
    return _by_run(n("rows"), [("pack_runs", inputs), ("dot_products", products), ("unpack_runs", outputs)])


def _by_run(runs: int, processes: Processes) -> Processes:
    return [(name, runs * count) for name, count in processes]


def _pixels(stage: Stage) -> int:
    out_h, out_w = window_counts(stage)
    return out_h * out_w


def _sliding_window(stage: Stage, packs: int) -> int:
    """All lines that come before or behind the windows, the patches, and what of the next lines comes behind them."""
    n, (out_h, out_w) = stage.number, window_counts(stage)
    line = n("width") * packs
    patches = out_w * packs * n("kernel_h") * n("kernel_w")
    outside = lines_before(stage, 0) + n("height") - lines_before(stage, out_h - 1)
    return outside * line + out_h * max(patches, n("stride_h") * line)


def _conv(stage: Stage) -> Processes:
    (pe, simd), n = stage.fold, stage.number
    groups = n("groups")
    packs = tiles(n("channels_in") // groups, simd)
    products = groups * tiles(n("channels_out") // groups, pe) * n("kernel_h") * n("kernel_w") * packs
    return [
        ("pack_runs", n("height") * n("width") * n("channels_in")),
        ("sliding_window", _sliding_window(stage, groups * packs)),
        *_by_run(_pixels(stage), [("dot_products", products), ("unpack_runs", n("channels_out"))]),
    ]


def _by_channel(stage: Stage) -> Processes:
    (pe, _), n = stage.fold, stage.number
    packs = tiles(n("channels"), pe)
    fold = "channel_products" if stage.template == "depthwise_conv" else "fold_patches"
    return [
        ("pack_runs", n("height") * n("width") * n("channels")),
        ("sliding_window", _sliding_window(stage, packs)),
        *_by_run(_pixels(stage), [(fold, packs * n("kernel_h") * n("kernel_w")), ("unpack_runs", n("channels"))]),
    ]


def _pool(stage: Stage) -> Processes:
    n = stage.number
    return [("pool", n("height") * n("width") * n("channels"))] if is_blocks(stage) else _by_channel(stage)


def _matmul(stage: Stage) -> Processes:
    (pe, simd), n = stage.fold, stage.number
    batch, rows, depth, columns = n("batch"), n("rows"), n("depth"), n("columns")
    feed = [("feed_rows", batch * rows * depth)]
    if buffers_x(stage):
        feed = [("load_operand", batch * rows * depth), ("send_rows", batch * rows * tiles(depth, simd))]
    block = [
        *feed,
        ("load_operand", batch * depth * columns),
        ("dot_products", batch * rows * tiles(columns, pe) * tiles(depth, simd)),
        ("unpack_runs", batch * rows * columns),
    ]
    return _by_run(n("blocks"), block)


def _softmax(stage: Stage) -> Processes:
    length = stage.number("length")
    passes = [("find_tops", length), ("look_up", length), ("invert_sums", 1), ("scale_parts", length)]
    return _by_run(stage.number("rows"), passes)


def _norm(stage: Stage) -> Processes:
    length = stage.number("length")
    passes = [("sum_moments", length), ("invert_moments", 1), ("scale_deviations", length)]
    return _by_run(stage.number("rows"), passes)


def _select(stage: Stage) -> Processes:
    rows, columns = stage.number("rows"), stage.number("columns")
    return [("rank_rows", rows + rows * rows), ("repack_rows", rows * columns)]


def _select_above(stage: Stage) -> Processes:
    rows, columns = stage.number("rows"), stage.number("columns")
    return [("compare_rows", rows), ("repack_rows", rows * columns)]


def _reorder(stage: Stage) -> Processes:
    return _by_run(stage.number("blocks"), [(name, stage.number("count")) for name in ("store", "send")])


PROCESSES: dict[str, Callable[[Stage], Processes]] = {
    "linear": _linear,
    "conv": _conv,
    "depthwise_conv": _by_channel,
    "matmul": _matmul,
    "max_pool": _pool,
    "sum_pool": _pool,
    "int_softmax": _softmax,
    "masked_int_softmax": _softmax,
    "int_norm": _norm,
    "reorder": _reorder,
    "select_rows": _select,
    "select_above": _select_above,
}
