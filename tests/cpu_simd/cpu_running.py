"""Running a module on the CPU backend, here or on another machine, and on the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from machines import Given, Program, prepared

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import Isa, host
from irc.backends.cpu_simd.runtime import session
from irc.backends.cpu_simd.tolerance import tolerance
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.scalars import BF16, F16, F64, Array


def results(module: Module, inputs: Sequence[Array], isa: Isa | None = None) -> list[Array]:
    """What `main` gives on the machine."""
    return all_results(module, [inputs], isa)[0]


def all_results(module: Module, calls: Sequence[Sequence[Array]], isa: Isa | None = None) -> list[list[Array]]:
    """What `main` gives for each of several calls."""
    if isa is None and _elsewhere is not None and (given := _elsewhere(module, calls)) is not None:
        return given
    isa = isa or host()
    with session(module.main, compile_graph(module.main, isa).program, isa) as run:
        return [run(inputs) for inputs in calls]


_elsewhere: Callable[[Module, Sequence[Sequence[Array]]], list[list[Array]] | None] | None = None
"""Sees what this machine is to run, and may say what that gives."""


def run_elsewhere(test: Callable[[], object], isa: Isa, folder: Path) -> int:
    """Let a test judge what its graphs give on the machine of a target; how many graphs it has.

    The test runs twice: once for its graphs, which go into one program, and once more with what that program gave.
    """
    program = Program(isa, folder)
    with _told(program.add):
        test()
    if program.graphs:
        answers = iter(program.run())
        with _told(lambda module, calls: arrays_of(module, calls, answers)):
            test()
    return len(program.graphs)


def arrays_of(module: Module, calls: Sequence[Sequence[Array]], answers: Iterator[list[Given]]) -> list[list[Array]]:
    """The next of the answers, or the errors that a session in this process would raise."""
    for inputs in calls:
        prepared(module.main, inputs)
    arrays: list[list[Array]] = []
    for inputs, given in zip(calls, next(answers), strict=True):
        if isinstance(given, int):
            interpret(module, inputs)
            raise AssertionError(f"the machine fails where the interpreter does not: status {given}")
        arrays.append(given)
    return arrays


@contextmanager
def _told(listener: Callable[[Module, Sequence[Sequence[Array]]], list[list[Array]] | None]) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "_elsewhere", listener)
        yield


def ulps(given: Array, expected: Array, floor: float = 0.0) -> float:
    """The largest distance in units in the last place of the expected value (of `floor`, where that is larger)."""
    assert given.dtype == expected.dtype
    assert given.shape == expected.shape
    same = (given == expected) | (np.isnan(given) & np.isnan(expected))
    if np.all(same):
        return 0.0
    a, b = given[~same].astype(np.float64), expected[~same]
    unit = np.spacing(np.maximum(np.abs(b), b.dtype.type(max(floor, np.finfo(b.dtype).tiny)))).astype(np.float64)
    return float(np.max(np.abs(a - b.astype(np.float64)) / unit))


def agree(module: Module, inputs: Sequence[Array], *, most: float = 0.0, floor: float = 0.0) -> None:
    """Assert that the machine gives the bits of the interpreter; floats may be off by `most` ulps (see `ulps`)."""
    same(results(module, inputs), interpret(module, inputs), most=most, floor=floor)


def same(found: Sequence[Array], wanted: Sequence[Array], *, most: float = 0.0, floor: float = 0.0) -> None:
    """As `agree` does, of results that are there."""
    for given, expected in zip(found, wanted, strict=True):
        if expected.dtype.kind == "f":
            assert ulps(given, expected, floor) <= most
        else:
            np.testing.assert_array_equal(given, expected)
            assert given.dtype == expected.dtype


UNITS = {F16: 1.0, BF16: 2.0**16}
"""One unit of a half float in units of the type that NumPy holds it in: every op may round the other way."""


def tight(module: Module) -> dict[str, float]:
    """What `agree` may allow for the ops of a module: the sum of their tolerances."""
    stated = [(tolerance(node.opname), node.results[0].type.scalar) for node in module.walk() if node.results]
    most = [UNITS.get(scalar, t.double if scalar == F64 else t.single) for t, scalar in stated]
    return {"most": sum(most), "floor": max(t.floor for t, _ in stated)}
