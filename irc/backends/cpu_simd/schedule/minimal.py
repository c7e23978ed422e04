"""The tiles by which a 3x3 convolution takes the least time, by rule."""

from __future__ import annotations

from dataclasses import dataclass, replace

from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import CACHE_BYTES
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.tiles import tile_of
from irc.backends.cpu_simd.ukernels.winograd import F2, F4, TAPS, Minimal
from irc.ir.dims import Dim, mul

MOST_BYTES = 2**21
"""The largest block. It may leave the cache where the weights do, up to half of their size: they are read once a block,
and a block once a panel of them. This made 28x28x128 and 28x28x256 1.1 times as fast."""

INPUT, RESULT = 3, 5
"""Cycles for each point of a vector of inputs (its transform) and of results (its transform, and the start and end of
its sums), measured where the products are few."""

REUSE = 16
"""Products that take as long as reading one weight from memory (135 GMAC/s and 33 GB/s on a Zen 5 with AVX-512, 47 and
10 on a Zen 3 in company). A block with fewer tiles waits for its weights."""

SPEED = {("vpmaddubsw", False): 1.2, ("vpmaddubsw", True): 1.6}
"""Products of bytes that a direct sum takes while a sum of words takes one, by form and whether it adds several in
narrow lanes (69, 83 and 112 GMAC/s on a Zen 3)."""

FILTERS = (F4, F2)

WORTH = 1.1
"""How much fewer cycles are worth a larger error, and more memory."""


@dataclass(frozen=True)
class Images:
    """The results of a convolution that minimal filtering can take: `height` times `width` of `outputs` channels from
    `channels` each, for `batch` images, of which there are at least `least`. `form` takes the products of transformed
    tiles, `direct` those of the direct sum."""

    form: DotForm
    direct: DotForm
    batch: Dim
    least: int
    height: int
    width: int
    outputs: int
    channels: int

    @property
    def exact(self) -> bool:
        """Whether sums are whole numbers, which stay what they are."""
        return self.form.b.is_integer

    def holds(self, results: int) -> bool:
        """Whether there is filtering by tiles of so many times so many results, and an image is no smaller."""
        known = any(m.results == results and (m.halvings is not None or not self.exact) for m in FILTERS)
        return known and min(self.height, self.width) >= results

    def tiles(self, results: int) -> int:
        """Tiles of the fewest images."""
        return self.least * -(-self.height // results) * -(-self.width // results)


@dataclass(frozen=True)
class Tiles:
    """The tiles of images, and how many are one block."""

    minimal: Minimal
    images: Images
    block: int

    @staticmethod
    def of(minimal: Minimal, images: Images, isa: Isa) -> Tiles:
        """In blocks of nearly equal size."""
        whole = Tiles(minimal, images, 0)
        each = whole.rows * whole.columns * (images.batch if isinstance(images.batch, int) else 1)
        wide = images.channels + tile_of(isa, images.form, each, images.outputs).columns
        bytes_ = minimal.points**2 * images.form.b.dtype.itemsize
        room = min(max(CACHE_BYTES, bytes_ * images.channels * images.outputs // 2), MOST_BYTES)
        good = max(REUSE, room // (bytes_ * wide))
        return replace(whole, block=-(-each // max(1, each // good)))

    @property
    def rows(self) -> int:
        return -(-self.images.height // self.minimal.results)

    @property
    def columns(self) -> int:
        return -(-self.images.width // self.minimal.results)

    @property
    def count(self) -> Dim:
        return mul(self.images.batch, self.rows * self.columns)


def fastest(images: Images, isa: Isa) -> Tiles | None:
    """The tiles by which a convolution is fastest; None if that is the direct sum.

    What counts is time, in products: theirs, that of the transforms, and for each block at least that of reading the
    weights, of which transforming makes 4 or 1.8 times as many.
    """
    weights = images.channels * images.outputs
    speed = SPEED.get((images.direct.name, images.direct.steps > 1), 1.0)
    best, found = weights * TAPS**2 * max(images.least * images.height * images.width, REUSE) / (speed * WORTH), None
    products_a_cycle = isa.lanes * (3 if images.exact else 2)
    wide = isa.vector_bytes // images.form.a.dtype.itemsize
    for minimal in FILTERS:
        if not images.holds(minimal.results):
            continue
        tiles = Tiles.of(minimal, images, isa)
        count, points = images.tiles(minimal.results), minimal.points**2
        products = points * weights * max(count, -(-count // tiles.block) * REUSE)
        cycles = INPUT * -(-images.channels // wide) + RESULT * -(-images.outputs // isa.lanes)
        cost = products + points * count * cycles * products_a_cycle
        if cost < best:
            best, found = cost, tiles
    return found
