"""Cycles and memory traffic of layers, from the loops of the templates, which state them.

The processes of an engine work on successive tiles at once, so a tile takes as long as the slowest of them, and every
process once more where a layer begins and ends. Each memory port is taken to carry a word a cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from irc.backends.fpga_hls.engine.memory import WORD, tiles
from irc.backends.fpga_hls.engine.program import (
    Access,
    Computed,
    Fold,
    Gather,
    Gemm,
    Layer,
    Move,
    Norm,
    Rank,
    Size,
    Softmax,
    Tiled,
    Tiling,
    front_vectors,
)
from irc.backends.fpga_hls.resources import ROW_LATENCY

TILE_LATENCY = 60
"""Cycles of a process beside its loop: its start, the way through its pipeline, the first word of memory (assumed)."""

PASSES: dict[type[object], int] = {Softmax: 2, Norm: 1}
"""How often the front reads the packs of a row before it is done with them."""

LOADS = ("first", "weights", "operands", "parameters")
"""The processes that read memory."""


@dataclass(frozen=True)
class Part:
    """A tile: its rows, columns and words of depth; whether it is the first or last one along depth; how many alike."""

    rows: int
    columns: int
    words: int
    first: bool
    last: bool
    count: int

    @property
    def packs(self) -> int:
        return tiles(self.columns, WORD)


@dataclass
class Cost:
    """What a layer takes."""

    macs: int
    cycles: int = 0
    words: int = 0  # from and to memory
    busy: dict[str, int] = field(default_factory=dict[str, int])  # cycles of each process
    loops: dict[str, int] = field(default_factory=dict[str, int])  # iterations of each process

    @cached_property
    def bound(self) -> str:
        """The process that takes longest: `load`, `compute`, `steps`, `store` or `move`."""
        slowest = max(self.busy, key=lambda name: self.busy[name])
        return "load" if slowest in LOADS else slowest

    @property
    def bytes(self) -> int:
        return self.words * WORD

    @property
    def iterations(self) -> int:
        """Of the process that has most: what a synthesis report calls trip counts, over all tiles."""
        return max(self.loops.values())

    def utilisation(self, size: Size) -> float:
        """The part of the multipliers that is busy with products of the layer."""
        return self.macs / (self.cycles * size.multipliers)


def best_tiling(layer: Layer, size: Size) -> Tiling | None:
    """The tiles in which a layer takes least time; None if it has none."""
    run = layer.run
    if isinstance(run, Move):
        return None
    return min(run.tilings(size), key=lambda tiling: _cost_in(layer, run, tiling, size).cycles)


def cost(layer: Layer, tiling: Tiling | None, size: Size) -> Cost:
    """Cycles and traffic of a layer in such tiles."""
    run = layer.run
    if isinstance(run, Move):
        cycles = run.bytes + TILE_LATENCY
        return Cost(0, cycles, tiles(2 * run.bytes, WORD), {"move": cycles}, {"move": run.bytes})
    assert tiling is not None
    return _cost_in(layer, run, tiling, size)


def least_cost(layer: Layer, size: Size) -> Cost:
    """Cycles and traffic of a layer in its best tiles."""
    return cost(layer, best_tiling(layer, size), size)


def _cost_in(layer: Layer, run: Tiled, tiling: Tiling, size: Size) -> Cost:
    found = Cost(run.macs)
    longest = 0
    for part in parts_of(run, tiling):
        loops = iterations(layer, run, part, size)
        busy = {name: count + _latency(run, name) for name, count in loops.items()}
        longest = max(longest, sum(sorted(busy.values())[-4:-1]))
        found.cycles += part.count * max(busy.values())
        for name, cycles in busy.items():
            found.busy[name] = found.busy.get(name, 0) + part.count * cycles
            found.loops[name] = found.loops.get(name, 0) + part.count * loops[name]
        found.words += part.count * _words(run, loops)
    found.cycles += longest
    return found


def _spans(whole: int, tile: int) -> list[tuple[int, int]]:
    """(elements, tiles) of the full tiles and of the last one."""
    full, rest = divmod(whole, tile)
    return [(n, count) for n, count in ((tile, full), (rest, 1)) if n and count]


def parts_of(run: Tiled, tiling: Tiling) -> Iterator[Part]:
    """The tiles of a layer, those alike as one."""
    depth = run.taps * run.depth_words if isinstance(run, Gemm) else tiling.depth_tiles
    last = tiling.depth_tiles - 1
    for rows, row_count in _spans(run.rows.count, tiling.rows):
        for columns, column_count in _spans(run.columns, tiling.columns):
            alike = run.rows.batches * row_count * column_count
            for k in range(tiling.depth_tiles):
                words = min(tiling.words, depth - k * tiling.words)
                yield Part(rows, columns, words, k == 0, k == last, alike)


def iterations(layer: Layer, run: Tiled, part: Part, size: Size) -> dict[str, int]:
    """The iterations of the loops of each process for a tile."""
    elements = part.rows * part.packs
    vectors, table = front_vectors(layer), run.tail.table
    parameters = part.packs * 4 * len(vectors) if part.first or (isinstance(run, Fold) and run.kind == "DOT") else 0
    if isinstance(run, Softmax) and part.first:
        parameters += run.exponentials.size
    if part.last:
        parameters += part.packs * 4 * len(run.tail.vectors) + (table.size if table is not None else 0)
    return {
        "first": _first(run, part),
        "weights": _weights(run, part, size) if isinstance(run, Gemm) else 0,
        "operands": sum(elements * a.bytes for a in run.tail.operands) if part.last else 0,
        "parameters": parameters,
        "compute": _compute(run, part, size),
        "steps": elements * len(run.tail.steps) if part.last else 0,
        "store": elements * run.tail.y.bytes if part.last else 0,
    }


def _latency(run: Tiled, process: str) -> int:
    """Cycles of a process for a tile beside its iterations."""
    if isinstance(run, Gather) and process == "first":
        return 2 * TILE_LATENCY  # rows are read when the indices are there
    passes = PASSES.get(type(run)) if process == "compute" else None
    return TILE_LATENCY if passes is None else TILE_LATENCY + passes * TILE_LATENCY + ROW_LATENCY


def _words(run: Tiled, loops: dict[str, int]) -> int:
    """The words that a tile reads and writes."""
    words = {name: loops[name] for name in (*LOADS, "store")}
    if isinstance(run, Gemm) and not isinstance(run.w, Computed):
        words["weights"] = words["weights"] * run.w.bits // 8
    return sum(words.values())


def _first(run: Tiled, part: Part) -> int:
    if isinstance(run, Gemm):
        return part.rows * part.words
    if isinstance(run, Rank):
        return run.packs * run.x.bytes
    if isinstance(run, Gather):
        return part.rows + part.rows * part.packs * run.x.bytes
    masks: list[Access] = [run.mask] if isinstance(run, Softmax) and run.mask else []
    return part.rows * part.packs * sum(a.bytes for a in (run.x, *masks))


def _weights(run: Gemm, part: Part, size: Size) -> int:
    if isinstance(run.w, Computed):
        return part.words * WORD * part.packs if run.w.by_column else part.columns * part.words
    return tiles(part.columns, size.pe) * size.pe * part.words


def _compute(run: Tiled, part: Part, size: Size) -> int:
    if isinstance(run, Gemm):
        return part.rows * tiles(part.columns, size.pe) * tiles(part.words, size.simd)
    if isinstance(run, Rank):
        return run.scores * run.packs
    if isinstance(run, Fold | Gather):
        return part.rows * part.packs
    return PASSES[type(run)] * part.rows * part.packs + part.rows
