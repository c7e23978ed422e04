"""Which schedule a problem gets without measuring, and which others a search tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.schedule.minimal import FILTERS, Images, Tiles, fastest
from irc.backends.cpu_simd.schedule.record import Direct, Record, Winograd
from irc.backends.cpu_simd.ukernels.dots import DotForm, loaded_together
from irc.backends.cpu_simd.ukernels.products import Tile, block_height
from irc.backends.cpu_simd.ukernels.tiles import fits, saved, tile_of
from irc.ir.diagnostics import UsageError
from irc.ir.dims import Dim

UNROLL = 2
"""Groups a round of the innermost loop, where registers are left."""


@dataclass(frozen=True)
class Problem:
    """Sums of products to be laid out. Equal keys are equal problems.

    One panel of weights serves `rows` results in a row. `tile` is the largest that registers hold. Weights in `words`
    are taken apart in a way of their own, which leaves no more to choose than the tile. `images` allow minimal
    filtering.
    """

    key: str
    form: DotForm
    rows: Dim
    columns: Dim
    tile: Tile
    words: bool = False
    images: Images | None = None


def extent(shape: Sequence[Dim]) -> str:
    """Dimensions as a key shows them: `197x768x192`."""
    return "x".join(str(d).replace(" ", "") for d in shape)


def choose(problem: Problem, isa: Isa) -> Record:
    """The schedule by rule."""
    tiles = None if problem.images is None else fastest(problem.images, isa)
    if tiles is not None:
        return minimal(problem, tiles, isa)
    tile = problem.tile
    rows = block_height(problem.rows, tile.rows)
    return Direct(rows, tile.vectors, unroll_of(isa, problem.form, replace(tile, rows=rows)))


def minimal(problem: Problem, tiles: Tiles, isa: Isa) -> Winograd:
    """Minimal filtering with these tiles."""
    form = tiles.images.form
    tile = tile_of(isa, form, tiles.block, problem.columns)
    unroll = unroll_of(isa, form, tile)
    return Winograd(tiles.minimal.results, tiles.block, tile.rows, tile.vectors, unroll)


def unroll_of(isa: Isa, form: DotForm, tile: Tile) -> int:
    """What a load brings; one group a round where the next vectors of b, read ahead, would push an accumulator out of
    its register."""
    used = tile.rows * tile.vectors + tile.vectors + 1 + form.spare
    return 1 if used >= isa.registers and form.spare else max(UNROLL, loaded_together(isa, form))


def checked(problem: Problem, record: Record) -> Record:
    """A record that someone wrote, for a problem that it must suit. Raises UsageError if it does not."""
    if isinstance(record, Winograd):
        images = problem.images
        if images is None or not images.holds(record.results):
            raise UsageError(f"{problem.key}: {record.name} does not apply", hint="direct does, with any tile")
        if record.block > (most := images.tiles(record.results)):
            raise UsageError(f"{problem.key}: a block of {record.block} of {most} tiles", hint=f"block={most}")
    return record


Axis = Callable[[Problem, Record, Isa], Iterator[Record]]
"""Schedules that differ from one in one respect."""


def algorithms(problem: Problem, now: Record, isa: Isa) -> Iterator[Record]:
    """Direct sums and minimal filtering."""
    if problem.images is None:
        return
    yield choose(replace(problem, images=None), isa)
    for filtering in FILTERS:
        if problem.images.holds(filtering.results):
            yield minimal(problem, Tiles.of(filtering, problem.images, isa), isa)


def blocks(problem: Problem, now: Record, isa: Isa) -> Iterator[Record]:
    """Half and twice as many tiles in a block of minimal filtering."""
    if isinstance(now, Winograd) and problem.images is not None:
        for block in {max(1, now.block // 2), min(now.block * 2, problem.images.tiles(now.results))}:
            yield replace(now, block=block)


NEARLY = 0.7
"""Tiles that save so much less loading than the best are not tried."""

LOWER = 3
"""Rows that a tile may have less than registers allow."""


def tiles(problem: Problem, now: Record, isa: Isa) -> Iterator[Record]:
    """Other shapes of the tile: as high as registers allow, or a little lower."""
    best = saved(problem.tile.rows, problem.tile.vectors)
    rows = now.block if isinstance(now, Winograd) else problem.rows
    shapes: dict[tuple[int, int], None] = {}
    for vectors in range(1, min(4, _vectors(problem)) + 1):
        highest = fits(isa, problem.form, vectors) if not problem.words else problem.tile.rows
        for height in range(max(1, highest - LOWER), highest + 1):
            if saved(height, vectors) >= NEARLY * best:
                shapes[block_height(rows, height), vectors] = None
    for height, vectors in shapes:
        yield replace(now, rows=height, vectors=vectors)


def _vectors(problem: Problem) -> int:
    lanes = problem.tile.lanes
    return -(-problem.columns // lanes) if isinstance(problem.columns, int) else 4


def unrolls(problem: Problem, now: Record, isa: Isa) -> Iterator[Record]:
    """Fewer or more groups a round."""
    if not problem.words:
        yield from (replace(now, unroll=unroll) for unroll in (1, 2, 4))


def aheads(problem: Problem, now: Record, isa: Isa) -> Iterator[Record]:
    """With the next panel asked for, and without."""
    if isinstance(now, Direct) and not problem.words:
        yield replace(now, ahead=not now.ahead)


AXES: tuple[tuple[str, Axis], ...] = (
    ("algorithms", algorithms),
    ("tiles", tiles),
    ("blocks", blocks),
    ("unrolling", unrolls),
    ("prefetching", aheads),
)
"""In the order in which a search goes through them."""
