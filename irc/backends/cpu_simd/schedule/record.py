"""How a kernel sums products, as a value that prints and reads back.

    linear 197x768x192 fma = direct{rows=4 vectors=3 unroll=2}
    conv 1x64x56x56 64x64x3x3 stride 1x1 fma = winograd{results=4 block=28 rows=4 vectors=3 unroll=2}

In front of the sign is the problem, behind it the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from irc.backends.cpu_simd.ukernels.products import Tile
from irc.ir.diagnostics import UsageError
from irc.passes.base import build, configured_text
from irc.passes.pipeline import parse_named

MOST = {"rows": 32, "vectors": 8, "unroll": 16, "block": 2**20}
"""More is never faster, and much more would be code without end."""


@dataclass(frozen=True)
class Direct:
    """All products, in tiles of `rows` results times `vectors` of columns that stay in registers."""

    name: ClassVar[str] = "direct"
    rows: int
    vectors: int
    unroll: int  # groups of products a round of the innermost loop
    ahead: bool = True  # ask for the next panel of weights while one is used

    def __post_init__(self) -> None:
        _within(self.name, vars(self))

    def tile(self, lanes: int) -> Tile:
        return Tile(self.rows, self.vectors, lanes, self.unroll)


@dataclass(frozen=True)
class Winograd:
    """The fewer products of transformed tiles, `results` times as many results each, a `block` of them at a time."""

    name: ClassVar[str] = "winograd"
    results: int
    block: int
    rows: int
    vectors: int
    unroll: int

    def __post_init__(self) -> None:
        if self.results not in (2, 4):
            raise UsageError(f"winograd: results={self.results}, expected 2 or 4")
        _within(self.name, vars(self))

    def tile(self, lanes: int) -> Tile:
        return Tile(self.rows, self.vectors, lanes, self.unroll)


Record: TypeAlias = Direct | Winograd
KINDS: dict[str, type[Direct] | type[Winograd]] = {"direct": Direct, "winograd": Winograd}


def _within(name: str, values: Mapping[str, int]) -> None:
    for key, most in MOST.items():
        if key in values and not 1 <= values[key] <= most:
            raise UsageError(f"{name}: {key}={values[key]}, expected 1 to {most}")


def text_of(records: Mapping[str, Record]) -> dict[str, str]:
    """Records as text, by problem."""
    return {problem: configured_text(record) for problem, record in records.items()}


def read_records(texts: Mapping[str, str]) -> dict[str, Record]:
    """The other way. Raises UsageError for what is no record, with its problem."""
    found: dict[str, Record] = {}
    for problem, text in texts.items():
        name, given = parse_named(text, problem)
        if name not in KINDS:
            raise UsageError(f"{problem}: there is no schedule '{name}'", hint=f"known: {', '.join(KINDS)}")
        found[problem] = build(KINDS[name], given)
    return found
