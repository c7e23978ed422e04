"""Ops that give a module its structure: constants, terminators, kernel regions and calls."""

from __future__ import annotations

from typing import Any

from irc.ir.attrs import FuncRef, Mask
from irc.ir.constants import Data
from irc.ir.dims import Dim, Expr, equal, substitute
from irc.ir.graph import Graph, Value
from irc.ir.masks import check_mask
from irc.ir.op import Op, of_result
from irc.ir.scalars import Array
from irc.ir.types import Element, TensorType


class Const(Op, name="const"):
    """A constant tensor, held by content hash. `mask` says which values of a weight stay 0."""

    value: Data
    to: Element = of_result()
    mask: Mask | None = None

    def infer(self) -> TensorType:
        if self.value.scalar != self.to.scalar:
            self.fail(f"data of {self.value.scalar} cannot have type {self.to.scalar}")
        return TensorType(self.to, self.value.shape)

    def check(self) -> None:
        if self.mask is not None:
            problem = check_mask(self.mask, self.value, self.to)
            if problem:
                self.fail(problem)

    def reference(self) -> Array:
        return self.value.array


class Return(Op, name="return"):
    """The results of a function."""

    terminator = True
    pure = False
    values: tuple[Value, ...]

    def infer(self) -> tuple[TensorType, ...]:
        return ()


class Yield(Op, name="yield"):
    """The results of a region."""

    terminator = True
    pure = False
    values: tuple[Value, ...]

    def infer(self) -> tuple[TensorType, ...]:
        return ()


class Kernel(Op, name="kernel"):
    """An isolated region that a backend runs as one unit: an anchor op with its prologue and epilogue, made by `fuse`.

    Everything enters as an operand; the body is made of ordinary ops and is not nested.
    """

    inputs: tuple[Value, ...]
    body: Graph

    def infer(self) -> tuple[TensorType, ...]:
        return tuple(v.type for v in self.body.outputs)

    def check(self) -> None:
        if len(self.inputs) != len(self.body.inputs):
            self.fail(f"{len(self.inputs)} operands for {len(self.body.inputs)} region inputs")
        for position, (outer, inner) in enumerate(zip(self.inputs, self.body.inputs, strict=True)):
            if not outer.type.matches(inner.type):
                self.fail(f"operand {position} is {outer.type}, the region expects {inner.type}")
        if any(node.regions for node in self.body.nodes):
            self.fail("regions are not nested")


class Call(Op, name="call"):
    """Runs a function of the module, so that equal blocks share one body with several sets of weights.

    Parameters of a called function carry no encoding; the results take the encodings that the call states.
    """

    callee: FuncRef
    inputs: tuple[Value, ...] = ()
    types: tuple[TensorType, ...] = of_result()

    def infer(self) -> tuple[TensorType, ...]:
        return self.types

    def check(self) -> None:
        module = self.graph.function.module if self.graph is not None else None
        if module is None:
            return
        callee = module.functions.get(self.callee)
        if callee is None:
            self.fail(f"there is no function @{self.callee}")
        if len(callee.inputs) != len(self.inputs) or len(callee.outputs) != len(self.types):
            self.fail(
                f"@{self.callee} takes {len(callee.inputs)} and returns {len(callee.outputs)} values, "
                f"the call has {len(self.inputs)} and {len(self.types)}"
            )
        bound: dict[str, Dim] = {}
        for position, (given, wanted) in enumerate(zip(self.inputs, callee.inputs, strict=True)):
            if not _fits(given.type, wanted.type, bound):
                self.fail(f"operand {position} is {given.type}, @{self.callee} expects {wanted.type}")
        for position, (stated, value) in enumerate(zip(self.types, callee.outputs, strict=True)):
            if not stated.plain().matches(value.type.plain().substitute(bound)):
                self.fail(f"result {position} is {stated}, @{self.callee} returns {value.type}")


def _fits(given: TensorType, wanted: TensorType, bound: dict[str, Dim]) -> bool:
    """Whether an argument fits a parameter, binding the parameter's symbols on the way."""
    if given.scalar != wanted.scalar or given.rank != wanted.rank:
        return False
    if wanted.encoding is not None and wanted.encoding != given.encoding:
        return False
    for g, w in zip(given.shape, wanted.shape, strict=True):
        if isinstance(w, Expr) and len(w.terms) == 1 and str(w).isidentifier() and str(w) not in bound:
            bound[str(w)] = g
        elif equal(g, substitute(w, bound)) is not True:
            return False
    return True


STRUCTURAL: tuple[type[Any], ...] = (Const, Return, Yield, Kernel, Call)
