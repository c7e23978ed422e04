"""A model of a design in tokens and cycles: the loops of every process of every template, FIFOs of bounded depth.

One iteration of an innermost loop takes one cycle, in which all its reads and writes happen, or waits while a FIFO is
empty or full. Numbers do not matter; what is modelled is who waits for whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from irc.backends.fpga_hls.stage import Design, Stage, Stream

INTERNAL = 2  # depth of a stream inside a template that states none


class Deadlock(Exception):
    """No process can go on."""


@dataclass(eq=False)
class Fifo:
    """How many elements a FIFO may hold, and holds."""

    depth: int
    held: int = 0


Fifos = Sequence[Fifo]
Step = tuple[Fifos, Fifos]  # what an iteration reads, what it writes
Process = Callable[[], Iterable[Step]]  # the iterations of one sample

IDLE: Step = ((), ())


def run(design: Design, samples: int) -> list[int]:
    """The cycle in which each sample leaves the accelerator. Raises Deadlock."""
    fifos = {stream: Fifo(stream.depth) for stream in design.streams}
    processes: list[tuple[str, Process]] = [
        (p.name, _repeat(p.count, IDLE[0], [fifos[p.stream]])) for p in design.inputs
    ]
    for stage in design.stages:
        processes += [(stage.name, process) for process in _processes(stage, fifos)]
    leaving: list[tuple[str, Process]] = [(p.name, _repeat(p.count, [fifos[p.stream]], ())) for p in design.outputs]
    return _Clock(samples).run([*processes, *leaving], len(leaving))


def _processes(stage: Stage, fifos: Mapping[Stream, Fifo]) -> list[Process]:
    """The processes of a stage; the count that bounds their loops is read by one of its own."""
    inputs = [fifos[s] for s in stage.inputs if s is not stage.counting]
    found = PROCESSES[stage.template](stage, inputs, [fifos[s] for s in stage.outputs])
    return found if stage.counting is None else [_repeat(1, [fifos[stage.counting]], ()), *found]


def alone(stage: Stage, samples: int) -> int:
    """The cycles of the last of some samples of one stage whose neighbours never make it wait."""
    x, y = ([Fifo(64) for _ in streams] for streams in (stage.inputs, stage.outputs))
    processes = [("", _repeat(s.count, (), [f])) for s, f in zip(stage.inputs, x, strict=True)]
    processes += [(stage.name, process) for process in PROCESSES[stage.template](stage, x, y)]
    leaving = [("", _repeat(s.count, [f], ())) for s, f in zip(stage.outputs, y, strict=True)]
    ends = _Clock(samples).run([*processes, *leaving], len(leaving))
    return ends[-1] - ends[-2]


class _Clock:
    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.cycle = 0
        self.ends = [0] * samples

    def _all_samples(self, process: Process, leaves: bool) -> Iterator[Step]:
        for sample in range(self.samples):
            yield from process()
            if leaves:
                self.ends[sample] = max(self.ends[sample], self.cycle)

    def run(self, processes: Sequence[tuple[str, Process]], leaving: int) -> list[int]:
        first_leaving = len(processes) - leaving
        loops = [self._all_samples(p, i >= first_leaving) for i, (_, p) in enumerate(processes)]
        steps = {i: step for i, loop in enumerate(loops) if (step := next(loop, None)) is not None}
        while steps:
            self.cycle += 1
            ready = [
                i
                for i, (reads, writes) in steps.items()
                if all(f.held for f in reads) and all(f.held < f.depth for f in writes)
            ]
            if not ready:
                stuck = sorted({processes[i][0] for i in steps})
                raise Deadlock(f"in cycle {self.cycle} all wait: {', '.join(stuck)}")
            for i in ready:
                reads, writes = steps[i]
                for fifo in reads:
                    fifo.held -= 1
                for fifo in writes:
                    fifo.held += 1
            for i in ready:
                step = next(loops[i], None)
                if step is None:
                    del steps[i]
                else:
                    steps[i] = step
        return self.ends


# -- loops that templates share


def _repeat(count: int, reads: Fifos, writes: Fifos) -> Process:
    return lambda: ((reads, writes) for _ in range(count))


def _tiles(length: int, lanes: int) -> int:
    return -(-length // lanes)


def pack_runs(runs: int, length: int, lanes: int, x: Fifo, y: Fifo) -> Process:
    def process() -> Iterator[Step]:
        for _ in range(runs):
            for i in range(length):
                full = i % lanes == lanes - 1 or i == length - 1
                yield (x,), (y,) if full else ()

    return process


def dot_products(runs: int, out_tiles: int, in_tiles: int, x: Fifo, y: Fifo) -> Process:
    def process() -> Iterator[Step]:
        for _ in range(runs):
            for out in range(out_tiles):
                for i in range(in_tiles):
                    yield (x,) if out == 0 else (), (y,) if i == in_tiles - 1 else ()

    return process


def unpack_runs(runs: int, length: int, lanes: int, x: Fifo, skips: Fifos, y: Fifo) -> Process:
    def process() -> Iterator[Step]:
        for _ in range(runs):
            for i in range(length):
                yield (x, *skips) if i % lanes == 0 else tuple(skips), (y,)

    return process


def reduce_taps(results: int, taps: int, x: Fifo, y: Fifo) -> Process:
    """`channel_products` and `fold_patches`."""

    def process() -> Iterator[Step]:
        for _ in range(results):
            for tap in range(taps):
                yield (x,), (y,) if tap == taps - 1 else ()

    return process


@dataclass(frozen=True)
class Window:
    """The sizes of window.h."""

    stage: Stage

    def n(self, name: str) -> int:
        return self.stage.number(name)

    @property
    def span(self) -> int:
        return (self.n("kernel_h") - 1) * self.n("dilation_h") + 1

    @property
    def out_h(self) -> int:
        return (self.n("pad_top") + self.n("height") + self.n("pad_bottom") - self.span) // self.n("stride_h") + 1

    @property
    def out_w(self) -> int:
        span = (self.n("kernel_w") - 1) * self.n("dilation_w") + 1
        return (self.n("pad_left") + self.n("width") + self.n("pad_right") - span) // self.n("stride_w") + 1

    @property
    def taps(self) -> int:
        return self.n("kernel_h") * self.n("kernel_w")

    def lines_before(self, row: int) -> int:
        return max(0, min(self.n("height"), row * self.n("stride_h") - self.n("pad_top") + self.span))

    @property
    def blocks(self) -> bool:
        """Windows that tile the image."""
        strides = self.n("stride_h") == self.n("kernel_h") and self.n("stride_w") == self.n("kernel_w")
        plain = self.n("dilation_h") == self.n("dilation_w") == 1
        padding = any(self.n(f"pad_{side}") for side in ("top", "left", "bottom", "right"))
        return strides and plain and not padding

    def sliding(self, packs: int, x: Fifo, y: Fifo) -> Process:
        def process() -> Iterator[Step]:
            line = self.n("width") * packs
            emit = self.out_w * packs * self.taps
            for _ in range(self.lines_before(0) * line):
                yield (x,), ()
            for row in range(self.out_h):
                last = row == self.out_h - 1
                arriving = 0 if last else self.lines_before(row + 1) - self.lines_before(row)
                credit = 0
                for _ in range(emit):
                    credit += arriving * line
                    taken = credit >= emit
                    credit -= emit if taken else 0
                    yield (x,) if taken else (), (y,)
                for i in range(max(0, self.n("stride_h") * line - emit)):
                    yield (x,) if i < arriving * line - emit else (), ()
            for _ in range((self.n("height") - self.lines_before(self.out_h - 1)) * line):
                yield (x,), ()

        return process


# -- templates: stage, inputs, outputs -> processes

Model = Callable[[Stage, Fifos, Fifos], list[Process]]


def linear(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    (pe, simd), n = stage.fold, stage.number
    in_tiles, out_tiles = _tiles(n("channels_in"), simd), _tiles(n("channels_out"), pe)
    runs, sums = Fifo(in_tiles + 1), Fifo(INTERNAL)
    return [
        pack_runs(n("rows"), n("channels_in"), simd, x[0], runs),
        dot_products(n("rows"), out_tiles, in_tiles, runs, sums),
        unpack_runs(n("rows"), n("channels_out"), pe, sums, x[1:], y[0]),
    ]


def linear_blocks(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    (pe, simd), n = stage.fold, stage.number
    runs, sums = Fifo(INTERNAL), Fifo(INTERNAL)
    return [
        pack_runs(n("rows"), n("channels_in"), simd, x[0], runs),
        kept_tile_products(stage, n("rows"), _tiles(n("channels_in"), simd), runs, sums),
        unpack_runs(n("rows"), n("channels_out"), pe, sums, x[1:], y[0]),
    ]


def kept_tile_products(stage: Stage, rows: int, run: int, x: Fifo, y: Fifo) -> Process:
    places = stage.packed("places").tiles(*stage.fold).reshape(-1)

    def process() -> Iterator[Step]:
        for _ in range(run):
            yield (x,), ()
        for row in range(rows):
            for t in range(max(len(places), run)):
                reads = t < run and row < rows - 1
                yield (x,) if reads else (), (y,) if t < len(places) and places[t] % 2 else ()

    return process


def conv(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    (pe, simd), n, window = stage.fold, stage.number, Window(stage)
    groups = n("groups")
    inputs, outputs = n("channels_in") // groups, n("channels_out") // groups
    pixel_tiles = _tiles(inputs, simd)
    in_tiles, out_tiles = window.taps * pixel_tiles, _tiles(outputs, pe)
    masked = stage.template == "conv_blocks"
    pixels, patches, sums = Fifo(INTERNAL), Fifo(INTERNAL if masked else in_tiles + 1), Fifo(INTERNAL)
    rows = window.out_h * window.out_w
    products = (
        kept_tile_products(stage, rows, groups * in_tiles, patches, sums)
        if masked
        else dot_products(rows * groups, out_tiles, in_tiles, patches, sums)
    )
    return [
        pack_runs(n("height") * n("width") * groups, inputs, simd, x[0], pixels),
        window.sliding(groups * pixel_tiles, pixels, patches),
        products,
        unpack_runs(rows * groups, outputs, pe, sums, x[1:], y[0]),
    ]


def by_channel(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    """depthwise_conv, and pooling with windows that overlap."""
    (pe, _), n, window = stage.fold, stage.number, Window(stage)
    channel_tiles = _tiles(n("channels"), pe)
    pixels, patches, sums = Fifo(INTERNAL), Fifo(INTERNAL), Fifo(INTERNAL)
    results = window.out_h * window.out_w
    return [
        pack_runs(n("height") * n("width"), n("channels"), pe, x[0], pixels),
        window.sliding(channel_tiles, pixels, patches),
        reduce_taps(results * channel_tiles, window.taps, patches, sums),
        unpack_runs(results, n("channels"), pe, sums, x[1:], y[0]),
    ]


def pool(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    window, n = Window(stage), stage.number
    if not window.blocks:
        return by_channel(stage, x, y)

    def process() -> Iterator[Step]:
        kernel_h, kernel_w = n("kernel_h"), n("kernel_w")
        for iy in range(n("height")):
            for ix in range(n("width")):
                inside = iy < window.out_h * kernel_h and ix < window.out_w * kernel_w
                complete = inside and iy % kernel_h == kernel_h - 1 and ix % kernel_w == kernel_w - 1
                for _ in range(n("channels")):
                    yield (x[0], *x[1:]) if complete else (x[0],), (y[0],) if complete else ()

    return [process]


def matmul(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    (pe, simd), n = stage.fold, stage.number
    batch, rows, depth, columns = n("batch"), n("rows"), n("depth"), n("columns")
    order = "Order<FREE, BATCH, DEPTH>" if stage.config["rows_first"] else "Order<BATCH, FREE, DEPTH>"
    runs, sums = Fifo(INTERNAL), Fifo(INTERNAL)
    processes, w_full, w_free = _buffer(stage, batch * depth * columns, x[1])
    if stage.config["x_order"] == order:
        processes.append(pack_runs(n("blocks") * batch * rows, depth, simd, x[0], runs))
    else:
        loads, x_full, x_free = _buffer(stage, batch * rows * depth, x[0])
        packs = batch * rows * _tiles(depth, simd)
        processes += [*loads, _from_buffer(n("blocks"), packs, x_full, x_free, (), (runs,))]

    def products() -> Iterator[Step]:
        inner = dot_products(batch * rows, _tiles(columns, pe), _tiles(depth, simd), runs, sums)
        for _ in range(n("blocks")):
            steps = list(inner())
            for i, (reads, writes) in enumerate(steps):
                yield (
                    (*reads, w_full) if i == 0 else reads,
                    (*writes, w_free) if i == len(steps) - 1 else writes,
                )

    return [
        *processes,
        products,
        unpack_runs(n("blocks") * batch * rows, columns, pe, sums, x[2:], y[0]),
    ]


def _buffer(stage: Stage, count: int, x: Fifo) -> tuple[list[Process], Fifo, Fifo]:
    """A memory of `buffers` halves: the process that fills it, full halves, free halves."""
    buffers = stage.number("buffers")
    full, free = Fifo(buffers), Fifo(buffers, buffers)

    def load() -> Iterator[Step]:
        for _ in range(stage.number("blocks")):
            for i in range(count):
                yield (x, free) if i == 0 else (x,), (full,) if i == count - 1 else ()

    return [load], full, free


def _from_buffer(blocks: int, count: int, full: Fifo, free: Fifo, reads: Fifos, writes: Fifos) -> Process:
    def process() -> Iterator[Step]:
        for _ in range(blocks):
            for i in range(count):
                yield (*reads, full) if i == 0 else reads, (*writes, free) if i == count - 1 else writes

    return process


def reorder(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    count = stage.number("count")
    processes, full, free = _buffer(stage, count, x[0])
    return [*processes, _from_buffer(stage.number("blocks"), count, full, free, (), (y[0],))]


def reduce_sum(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    n = stage.number

    def process() -> Iterator[Step]:
        for _ in range(n("outer")):
            for m in range(n("extent")):
                last = m == n("extent") - 1
                for _ in range(n("inner")):
                    yield tuple(x) if last else (x[0],), (y[0],) if last else ()

    return [process]


def _by_row(stage: Stage, at_start: Fifos, always: Fifos, out: Fifos, at_end: Fifos) -> Process:
    length = stage.number("length")

    def process() -> Iterator[Step]:
        for _ in range(stage.number("rows")):
            for i in range(length):
                reads = (*always, *at_start) if i == 0 else tuple(always)
                yield reads, (*out, *at_end) if i == length - 1 else tuple(out)

    return process


ROW_LATENCY = 80


def softmax(stage: Stage, x: Fifos, y: Fifos, *, masked: bool = False) -> list[Process]:
    length, rows = stage.number("length"), stage.number("rows")
    own = 2 if masked else 1
    held, tops = Fifo(length + 4), Fifo(INTERNAL)
    parts, sums, factors = Fifo(length + ROW_LATENCY), Fifo(INTERNAL), Fifo(INTERNAL)
    return [
        _by_row(stage, (), x[:own], (held,), (tops,)),
        _by_row(stage, (tops,), (held,), (parts,), (sums,)),
        _repeat(rows, (sums,), (factors,)),
        _by_row(stage, (factors,), (parts, *x[own:]), (y[0],), ()),
    ]


def norm(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    held, moments, scales = Fifo(stage.number("length") + ROW_LATENCY), Fifo(INTERNAL), Fifo(INTERNAL)
    return [
        _by_row(stage, (), (x[0],), (held,), (moments,)),
        _repeat(stage.number("rows"), (moments,), (scales,)),
        _by_row(stage, (scales,), (held, *x[1:]), (y[0],), ()),
    ]


def _numbers(stage: Stage) -> list[int]:
    return [p for p in stage.parameters if isinstance(p, int)]


def in_turn(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    """concat and split."""
    rounds, *chunks = _numbers(stage)

    def process() -> Iterator[Step]:
        for _ in range(rounds):
            for i, chunk in enumerate(chunks):
                step = ((x[i] if len(x) > 1 else x[0],), (y[i] if len(y) > 1 else y[0],))
                for _ in range(chunk):
                    yield step

    return [process]


def part(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    """slice."""
    n = stage.number
    taken = set(range(n("begin"), n("end"), n("step")))

    def process() -> Iterator[Step]:
        for _ in range(n("outer")):
            for m in range(n("extent")):
                for _ in range(n("inner")):
                    yield (x[0],), (y[0],) if m in taken else ()

    return [process]


def pad(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    n = stage.number

    def process() -> Iterator[Step]:
        for _ in range(n("outer")):
            for m in range(-n("before"), n("extent") + n("after")):
                for _ in range(n("inner")):
                    yield (x[0],) if 0 <= m < n("extent") else (), (y[0],)

    return [process]


def replay(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    n = stage.number

    def process() -> Iterator[Step]:
        for _ in range(n("outer")):
            for r in range(n("repeat")):
                for _ in range(n("inner")):
                    yield (x[0],) if r == 0 else (), (y[0],)

    return [process]


def gather_rows(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    columns = stage.outputs[0].count // stage.inputs[0].count

    def process() -> Iterator[Step]:
        for _ in range(stage.inputs[0].count):
            for c in range(columns):
                yield (x[0],) if c == 0 else (), (y[0],)

    return [process]


def select_rows(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    """The rows that stay come as late as they can."""
    rows, columns, kept, pinned = (stage.number(name) for name in ("rows", "columns", "kept", "pinned"))
    scores, tokens = x
    stays = Fifo(rows)

    def rank() -> Iterator[Step]:
        for _ in range(rows):
            yield (scores,), ()
        for _ in range(rows):
            for other in range(rows):
                yield (), (stays,) if other == rows - 1 else ()

    def repack() -> Iterator[Step]:
        for row in range(rows):
            taken = row < pinned or row >= rows - (kept - pinned)
            for column in range(columns):
                yield (stays, tokens) if column == 0 else (tokens,), tuple(y) if taken else ()

    return [rank, repack]


def select_above(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    """As many rows as the result has stay, the last ones."""
    (scores, tokens), (count, result) = x, y
    rows, columns = stage.number("rows"), stage.number("columns")
    kept = stage.outputs[1].count // columns
    stays = Fifo(rows)

    def compare() -> Iterator[Step]:
        for row in range(rows):
            yield (scores,), (stays, count) if row == rows - 1 else (stays,)

    def repack() -> Iterator[Step]:
        for row in range(rows):
            for column in range(columns):
                yield (stays, tokens) if column == 0 else (tokens,), (result,) if row >= rows - kept else ()

    return [compare, repack]


def evenly(stage: Stage, x: Fifos, y: Fifos) -> list[Process]:
    """One iteration an element: copy, fork, drain, rom_source, elementwise."""
    streams = stage.inputs or stage.outputs
    return [_repeat(streams[0].count, x, y)]


PROCESSES: dict[str, Model] = {
    "linear": linear,
    "linear_nm": linear,
    "linear_blocks": linear_blocks,
    "conv": conv,
    "conv_nm": conv,
    "conv_blocks": conv,
    "depthwise_conv": by_channel,
    "matmul": matmul,
    "max_pool": pool,
    "sum_pool": pool,
    "reduce_sum": reduce_sum,
    "int_softmax": softmax,
    "masked_int_softmax": lambda stage, x, y: softmax(stage, x, y, masked=True),
    "int_norm": norm,
    "reorder": reorder,
    "concat": in_turn,
    "split": in_turn,
    "slice": part,
    "pad": pad,
    "replay": replay,
    "gather_rows": gather_rows,
    "select_rows": select_rows,
    "select_above": select_above,
    "copy": evenly,
    "fork": evenly,
    "drain": evenly,
    "rom_source": evenly,
    "elementwise": evenly,
}
