"""How an engine is laid out, as texts that a user may keep and edit: its size, and how high the tiles of layers are.

engine size = array{pe=32 rows=64 columns=128 words=16 simd=2}
blocks_0_mlp_fc1_linear = tile{rows=50}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, TypeVar

from irc.backends.fpga_hls.engine.memory import WORD
from irc.backends.fpga_hls.engine.program import CHANNELS, Layer, Move, Size, Tiling
from irc.backends.schedule import refuse_unknown
from irc.ir.diagnostics import Diagnostic, UsageError
from irc.passes.base import Configured, build, configured_text
from irc.passes.pipeline import parse_named

SIZE = "engine size"
"""In front of the sign; no layer has such a name."""

MOST = 4096
"""Of anything in a size; no part has room for that."""


@dataclass(frozen=True)
class SizeRecord:
    """`Size`, as it is written."""

    name: ClassVar[str] = "array"
    pe: int
    rows: int
    columns: int
    words: int
    simd: int

    def __post_init__(self) -> None:
        found = [f"{n}={v}, expected 1 to {MOST}" for n, v in asdict(self).items() if not 1 <= v <= MOST]
        if found := found or list(self._problems()):
            raise UsageError([Diagnostic(f"{SIZE}: {text}") for text in found])

    def _problems(self) -> Iterator[str]:
        """What does not go together."""
        if self.pe % WORD or self.columns % self.pe:
            yield f"pe={self.pe} columns={self.columns}, expected a multiple of {WORD}, and a multiple of that"
        if self.rows * self.columns < CHANNELS:
            yield f"a tile of {self.rows} x {self.columns} elements, expected at least {CHANNELS}"
        if self.words % self.simd:
            yield f"words={self.words}, expected a multiple of simd={self.simd}"


@dataclass(frozen=True)
class TileRecord:
    """The rows of the tiles of a layer."""

    name: ClassVar[str] = "tile"
    rows: int


@dataclass(frozen=True)
class EngineSchedule:
    """What the user decides: the size, or None; rows of tiles by the name of the layer."""

    size: Size | None = None
    rows: Mapping[str, int] = field(default_factory=dict[str, int])


RecordT = TypeVar("RecordT", bound=Configured)


def read_schedule(texts: Mapping[str, str]) -> EngineSchedule:
    """Texts by what they are for. Raises UsageError for what is no such text."""
    size = Size(**asdict(_record(SizeRecord, SIZE, texts[SIZE]))) if SIZE in texts else None
    rows = {name: _record(TileRecord, name, text).rows for name, text in texts.items() if name != SIZE}
    return EngineSchedule(size, rows)


def _record(kind: type[RecordT], what: str, text: str) -> RecordT:
    if text.partition("{")[0].strip() != kind.name:
        raise UsageError(f"{what}: '{text}' is not {kind.name}{{...}}", hint="as in the schedule.txt of an engine")
    return build(kind, parse_named(text, what)[1])


def schedule_texts(size: Size, layers: Mapping[str, Tiling | None]) -> dict[str, str]:
    """The texts of an engine; layers without tiles have none."""
    whole = SizeRecord(size.pe, size.rows, size.columns, size.words, size.simd)
    rows = {name: configured_text(TileRecord(t.rows)) for name, t in layers.items() if t is not None}
    return {SIZE: configured_text(whole), **rows}


def chosen_tilings(layers: tuple[Layer, ...], size: Size, rows: Mapping[str, int]) -> dict[str, Tiling]:
    """The tiles of layers for which the user has chosen the rows.

    Raises UsageError for a layer that is not there or has no tiles, and for rows that its tiles cannot have.
    """
    tiled = {layer.name: layer.run for layer in layers if not isinstance(layer.run, Move)}
    found: dict[str, Tiling] = {}
    refuse_unknown(rows, tiled, "the engine has no such layer with tiles:")
    for name, count in rows.items():
        run = tiled[name]
        most = run.most_rows(size)
        if not 1 <= count <= most:
            raise UsageError(f"{name}: tiles of {count} rows, expected 1 to {most}", hint=f"of the layer and of {SIZE}")
        found[name] = run.tiling(size, count)
    return found
