"""Accumulators that two rows share (`usmmla`): each holds the sums of two rows in two columns, those of a row first.

A register of `a` holds a group of 8 bytes of both rows, one of `b` those of two columns. A tile of `rows` times
`vectors` of four columns has two accumulators for each vector of two rows:

    low  = [row 0: columns 0 and 1, row 1: columns 0 and 1]        high = the same of columns 2 and 3

The last row is paired with itself where the number of rows is odd.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from irc.backends.cpu_simd.codegen.lanes import Lane

HALVES = ([0, 1, 4, 5], [2, 3, 6, 7])
"""The first and the last two lanes of two vectors."""


def pairs(rows: int) -> Iterator[tuple[int, int]]:
    for row in range(0, rows, 2):
        yield row, min(row + 1, rows - 1)


def groups_of(rows: Sequence[Lane]) -> Iterator[Lane]:
    """What is multiplied: i64 scalars of each row, two in a register."""
    for first, second in pairs(len(rows)):
        f = rows[first].f
        yield f.bitcast(f.gathered([rows[first], rows[second]]), "i32", 4)


def shared(sums: Sequence[Lane], vectors: int) -> list[Lane]:
    """Accumulators of sums that lie row by row."""
    f = sums[0].f
    return [
        f.shuffle(sums[first * vectors + v], sums[second * vectors + v], half)
        for first, second in pairs(len(sums) // vectors)
        for v in range(vectors)
        for half in HALVES
    ]


def rows_of(acc: Sequence[Lane], rows: int, vectors: int) -> list[Lane]:
    """The sums of accumulators, row by row."""
    f = acc[0].f
    found = [
        f.shuffle(acc[pair + 2 * v], acc[pair + 2 * v + 1], half)
        for pair in range(0, len(acc), 2 * vectors)
        for half in HALVES
        for v in range(vectors)
    ]
    return found[: rows * vectors]
