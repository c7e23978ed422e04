"""Ops that give a module its structure: constants, terminators, kernel regions and calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Any, cast

from irc.ir.attrs import FuncRef, Mask
from irc.ir.constants import Data
from irc.ir.dims import Dim, Symbol, bounds, solve, substitute, symbol
from irc.ir.graph import Graph, Value
from irc.ir.masks import check_mask
from irc.ir.op import Frame, Op, of_result
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

    @property
    def anchor_node(self) -> Op:
        """The op around which the region is built: the one that is an anchor, or the first of elementwise ops."""
        nodes = [cast(Op, node) for node in self.body.nodes]
        return next((node for node in nodes if node.anchor), nodes[0])

    def infer(self) -> tuple[TensorType, ...]:
        return tuple(v.type for v in self.body.outputs)

    def execute(self, operands: Sequence[Array], frame: Frame) -> Sequence[Array]:
        return frame.run(self.body, operands)

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
    _: KW_ONLY
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
        bound = self.bound_dims(callee)
        for position, (given, wanted) in enumerate(zip(self.inputs, callee.inputs, strict=True)):
            encoded = wanted.type.encoding is not None and wanted.type.encoding != given.type.encoding
            if encoded or not given.type.plain().matches(wanted.type.plain().substitute(bound)):
                self.fail(f"operand {position} is {given.type}, @{self.callee} expects {wanted.type}")
        for position, (stated, value) in enumerate(zip(self.types, callee.outputs, strict=True)):
            if not stated.plain().matches(value.type.plain().substitute(bound)):
                self.fail(f"result {position} is {stated}, @{self.callee} returns {value.type}")
        self._check_ranges(callee, bound)

    def bound_dims(self, callee: Graph) -> dict[str, Dim]:
        """What the symbols of the callee stand for in this call, as far as the operands tell."""
        # '@' keeps the symbols of the callee apart from those of the caller.
        inner: dict[str, Dim] = {name: symbol(f"@{name}") for name in callee.symbols}
        pairs = [
            (substitute(wanted, inner), given)
            for parameter, operand in zip(callee.inputs, self.inputs, strict=False)
            for wanted, given in zip(parameter.type.shape, operand.type.shape, strict=False)
        ]
        return {name[1:]: dim for name, dim in solve(pairs, frozenset(map(str, inner.values()))).items()}

    def _check_ranges(self, callee: Graph, bound: Mapping[str, Dim]) -> None:
        """Fail if a symbol of the callee may leave its range in this call."""
        for name, dim in bound.items():
            known = callee.symbols[name]
            low, high = bounds(dim, symbols_of_function(self))
            if low < known.lo or high > known.hi:
                self.fail(f"{name} is {low} .. {high} in this call, @{self.callee} takes {known}")

    def execute(self, operands: Sequence[Array], frame: Frame) -> Sequence[Array]:
        return frame.call(self.callee, operands)


def symbols_of_function(op: Op) -> Mapping[str, Symbol]:
    """The symbols that are declared where a node stands."""
    return op.graph.function.symbols if op.graph is not None else {}


STRUCTURAL: tuple[type[Any], ...] = (Const, Return, Yield, Kernel, Call)
