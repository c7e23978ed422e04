"""What lowering a graph needs: the views of its values, constants, and the kernels that run one after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import Kernel, register
from irc.backends.cpu_simd.layouts import Layout
from irc.backends.cpu_simd.plan import SLACK, aligned
from irc.backends.cpu_simd.schedule.choose import Problem, checked, choose
from irc.backends.cpu_simd.schedule.record import Record
from irc.backends.cpu_simd.views import Buffer, View, dense_view
from irc.backends.cpu_simd.work import grain
from irc.backends.regions import Region
from irc.ir.dims import Dim, add, bounds, product
from irc.ir.graph import Graph, Value
from irc.ir.location import Loc
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array, ScalarType, scalar_of

Lower = Callable[["Lowering", Region], None]
"""Lowers a region with its anchor: adds kernels."""

Step = Callable[["Lowering", Kernel, Any, list[Lane]], Lane]
"""The lanes of an elementwise op, from those of its operands."""


@dataclass(frozen=True)
class Launch:
    """One call of a kernel: which, on what, for which layer, and how it can be shared out."""

    kernel: str
    views: tuple[View, ...]
    loc: Loc
    values: tuple[Value, ...]
    units: Dim = 0
    """What the kernel can be split into; 0 if it cannot be."""
    work: Dim = 0
    """Multiply-accumulates, or what takes as long."""
    schedule: str = ""
    """The key of the problem that has been scheduled; empty if there is nothing to choose."""


@dataclass(frozen=True)
class Scheduled:
    """A problem, and how it is laid out."""

    problem: Problem
    record: Record


@dataclass(eq=False)
class Lowering:
    """A graph on its way to a program.

    `layouts` says how values had best lie in memory. `step_of` finds the lanes of an op class, `byte_step_of` those of
    codes of 8 bits if it has some. `winograd` allows convolutions by fewer products, whose errors are larger.
    """

    graph: Graph
    isa: Isa
    layouts: Mapping[Value, Layout]
    step_of: Callable[[type[Op]], Step]
    byte_step_of: Callable[[type[Op]], Step | None]
    resolve: Callable[[Value], Value]
    winograd: bool = True
    schedules: Mapping[str, Record] = field(default_factory=dict[str, Record])  # by key, in place of the rules'
    scheduled: dict[str, Scheduled] = field(default_factory=dict[str, Scheduled])
    views: dict[Value, View] = field(default_factory=dict[Value, View])
    results: dict[Value, View] = field(
        default_factory=dict[Value, View]
    )  # values that are written where they are returned
    launches: list[Launch] = field(default_factory=list[Launch])
    buffers: list[Buffer] = field(default_factory=list[Buffer])
    kernels: dict[str, str] = field(default_factory=dict[str, str])  # text without its name -> name
    declarations: dict[str, str] = field(default_factory=dict[str, str])
    dequantized: dict[Value, Array] = field(default_factory=dict[Value, Array])
    constants: dict[tuple[ScalarType, bytes], Buffer] = field(default_factory=dict[tuple[ScalarType, bytes], Buffer])
    weights: list[bytes] = field(default_factory=list[bytes])  # one behind the other
    weight_bytes: int = 0

    # -- values

    def view(self, value: Value) -> View:
        """Where a value lies; constants are put among the weights."""
        value = self.resolve(value)
        if value not in self.views:
            array = self.constant(value)
            if array is None:
                raise KeyError(f"{value!r} has no place yet")
            self.views[value] = self.stored(array, value.type.scalar)
        return self.views[value]

    def constant(self, value: Value) -> Array | None:
        """The array of a constant, also of one that is dequantized; None for what is computed."""
        value = self.resolve(value)
        if isinstance(value.node, Const):
            return value.node.value.array
        if not isinstance(value.node, Dequantize):
            return None
        if value not in self.dequantized:
            arrays = [None if v is None else self.constant(v) for v in (value.node.x, value.node.scale, value.node.zp)]
            if arrays[0] is None or arrays[1] is None or (value.node.zp is not None and arrays[2] is None):
                return None
            self.dequantized[value] = value.node.reference(arrays[0], arrays[1], arrays[2])
        return self.dequantized[value]

    def stored(self, array: Array, scalar: ScalarType | None = None) -> View:
        """An array among the weights, once for equal ones."""
        scalar = scalar or scalar_of(array)
        raw = np.asarray(array, scalar.dtype, order="C")
        key = scalar, raw.tobytes()
        if key not in self.constants:
            self.constants[key] = Buffer("weights", scalar, raw.size, offset=self.weight_bytes)
            end = aligned(self.weight_bytes + raw.nbytes + SLACK)
            self.weights += [key[1], bytes(end - self.weight_bytes - raw.nbytes)]
            self.weight_bytes = end
        return dense_view(self.constants[key], raw.shape)

    def result(self, value: Value) -> View:
        """A new place for a value, as its readers like it best; a border is left to `bordered`."""
        value = self.resolve(value)
        if value in self.results:
            self.views[value] = self.results[value]
            return self.results[value]
        layout = self.layouts.get(value, Layout())
        shape = list(value.type.shape)
        n = len(layout.border) // 2
        for axis in range(n):
            shape[2 + axis] = add(shape[2 + axis], layout.border[axis] + layout.border[n + axis])
        view = self.scratch(layout.scalar or value.type.scalar, shape, layout.order, layout.shift)
        for axis in range(n):
            view = view.sliced(2 + axis, layout.border[axis], value.type.shape[2 + axis], 1)
        self.views[value] = view
        return view

    def scratch(
        self,
        scalar: ScalarType,
        shape: Sequence[Dim],
        order: Sequence[int] | None = None,
        shift: int = 0,
        *,
        own: bool = False,
    ) -> View:
        """A new part of the workspace; `own`: every thread that runs the kernel has one of its own."""
        buffer = Buffer("workspace", scalar, product(tuple(shape)), index=len(self.buffers), shift=shift, own=own)
        self.buffers.append(buffer)
        return dense_view(buffer, tuple(shape), order)

    # -- kernels

    def schedule(self, problem: Problem) -> Record:
        """How a problem is laid out: as the user says, else by rule. Raises UsageError for what does not suit it."""
        given = self.schedules.get(problem.key)
        found = choose(problem, self.isa) if given is None else checked(problem, given)
        self.scheduled[problem.key] = Scheduled(problem, found)
        return found

    @contextmanager
    def kernel(
        self,
        hint: str,
        loc: Loc,
        *values: Value,
        work: Dim,
        registers: Callable[[ScalarType], str] = register,
        schedule: str = "",
    ) -> Generator[Kernel]:
        """Build a kernel and launch it; equal kernels are one function. `values` are those that it completes, `work` is
        how many multiply-accumulates take as long.

        `registers` says in which type elements are computed (see `Kernel`).
        """
        splits = bounds(work, self.graph.symbols)[1] >= 2 * grain(self.isa)
        k = Kernel(self.isa, list(self.graph.symbols), registers, splits)
        yield k
        text = k.f.finish()
        if text not in self.kernels:
            self.kernels[text] = f"{hint}_{len(self.kernels)}"
            self.declarations |= k.f.declarations
        step = len(self.launches)
        for view in k.views:
            view.buffer.used(step)
        self.launches.append(Launch(self.kernels[text], tuple(k.views), loc, values, k.units, work, schedule))
