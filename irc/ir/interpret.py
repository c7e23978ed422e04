"""The reference interpreter: runs `reference` node by node. What it computes is the meaning of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from irc.ir.diagnostics import Diagnostic, IrcError, did_you_mean
from irc.ir.dims import evaluate, solve, symbols_of
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.op import Op
from irc.ir.scalars import Array, round_to_bf16
from irc.ir.types import TensorType

Observer = Callable[[Value, Array], None]


def interpret(
    module: Module,
    inputs: Sequence[Array] | Mapping[str, Array],
    *,
    function: str = "main",
    observe: Observer | None = None,
) -> list[Array]:
    """Run a function of the module on arrays (in order, or by input name) and return its results.

    `observe` sees every value with its array, those inside kernel regions included. Raises IrcError if an array does
    not fit its input, with the expected type.
    """
    if function not in module.functions:
        raise IrcError(f"there is no function @{function}", hint=did_you_mean(function, module.functions))
    arrays = arrange_inputs(module.functions[function], inputs)
    return _Frame(module, {}, observe).call(function, arrays)


def run_node(
    node: Node, operands: Sequence[Array], dims: Mapping[str, int], module: Module, observe: Observer | None = None
) -> list[Array]:
    """The results of one node on arrays; `dims` are the numbers symbols stand for."""
    return _Frame(module, dict(dims), observe).node(cast(Op, node), operands)


def arrange_inputs(graph: Graph, inputs: Sequence[Array] | Mapping[str, Array]) -> list[Array]:
    """Arrays in the order of the inputs of a function. Raises IrcError if some are missing or unknown."""
    names = [value.name for value in graph.inputs]
    if isinstance(inputs, Mapping):
        if set(names) != set(inputs):
            raise IrcError(f"inputs are named {', '.join(names)}; got {', '.join(inputs) or 'none'}")
        return [inputs[name] for name in names]
    if len(inputs) != len(names):
        raise IrcError(f"@{graph.name} takes {len(names)} inputs ({', '.join(names)}), {len(inputs)} given")
    return list(inputs)


@dataclass(frozen=True)
class _Frame:
    """The `Frame` of ops: one activation of a function, with the numbers its symbols stand for."""

    module: Module
    dims: dict[str, int]
    observe: Observer | None

    def call(self, name: str, inputs: Sequence[Array]) -> list[Array]:
        function = self.module.functions[name]
        arrays = [fitted(value, array) for value, array in zip(function.inputs, inputs, strict=True)]
        return _Frame(self.module, bind_dims(function, arrays), self.observe).run(function, arrays)

    def run(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        values: dict[Value, Array] = {}
        unread: dict[Value, int] = {}  # a value is dropped after its last reader

        def keep(value: Value, array: Array) -> None:
            values[value], unread[value] = array, len(value.uses)
            if self.observe:
                self.observe(value, array)

        for value, array in zip(graph.inputs, inputs, strict=True):
            keep(value, array)
        for node in graph.nodes:
            operands = [values[v] for v in node.operands]
            if node.terminator:
                return operands
            for value, array in zip(node.results, self.node(cast(Op, node), operands), strict=True):
                keep(value, array)
            for value in node.operands:
                unread[value] -= 1
                if unread[value] == 0:
                    del values[value]
        raise IrcError(f"@{graph.function.name} has no terminator")

    def node(self, op: Op, operands: Sequence[Array]) -> list[Array]:
        # NumPy's floating-point warnings are no errors here: infinities and NaNs are legal values of float graphs.
        with np.errstate(all="ignore"):
            try:
                arrays = op.execute(operands, self)
            except (ValueError, IndexError, TypeError, MemoryError, ArithmeticError) as error:
                given = ", ".join(f"{a.dtype}{list(a.shape)}" for a in operands)
                raise IrcError(Diagnostic(f"{op.opname} failed on ({given}): {error}", op.loc)) from error
        return [self.result(op, a, v.type) for a, v in zip(arrays, op.results, strict=True)]

    def result(self, op: Op, array: Array, wanted: TensorType) -> Array:
        """The array as its type wants it. Raises IrcError if the reference of an op contradicts its `infer`."""
        out = round_to_bf16(array) if wanted.scalar.kind == "bf" else np.asarray(array)
        # A count that is born from data has no number before its node has run.
        shape = tuple(evaluate(d, self.dims) if symbols_of(d) <= set(self.dims) else None for d in wanted.shape)
        fits = out.ndim == len(shape) and all(s in (None, n) for s, n in zip(shape, out.shape, strict=True))
        if out.dtype != wanted.scalar.dtype or not fits:
            raise IrcError(Diagnostic(f"{op.opname}: reference gave {out.dtype}{list(out.shape)} for {wanted}", op.loc))
        if None in shape:
            self.bear(wanted, out)
        return out

    def bear(self, type: TensorType, array: Array) -> None:
        """Give counts that were born with a value their numbers."""
        sizes = list(zip(type.shape, array.shape, strict=True))
        numbers = solve(sizes, type.symbols() - self.dims.keys())
        self.dims.update({name: dim for name, dim in numbers.items() if isinstance(dim, int)})


def bind_dims(function: Graph, arrays: Sequence[Array]) -> dict[str, int]:
    """What the symbols of a function stand for, from the shapes of its inputs.

    Raises IrcError if a shape does not fit, a symbol leaves its range or has no value.
    """
    pairs = list(zip(function.inputs, arrays, strict=True))
    sizes = [pair for value, array in pairs for pair in zip(value.type.shape, array.shape, strict=True)]
    unknown = frozenset(name for dim, _ in sizes for name in symbols_of(dim))
    numbers = {name: dim for name, dim in solve(sizes, unknown).items() if isinstance(dim, int)}
    for name, number in numbers.items():
        known = function.symbols[name]
        if not known.lo <= number <= known.hi:
            raise IrcError(f"the inputs of @{function.name} have {name} = {number}, expected {known}")
    for value, array in pairs:
        if any(evaluate(dim, numbers) != size for dim, size in zip(value.type.shape, array.shape, strict=True)):
            raise IrcError(f"input '{value.name}' is {value.type}, got the shape {list(array.shape)}")
    return numbers


def fitted(value: Value, array: Array) -> Array:
    """The array as the scalar type and rank of an input want it. Raises IrcError if it does not fit."""
    given, wanted = np.asarray(array), value.type.scalar
    kinds = "b" if wanted.kind == "bool" else "iub" if wanted.is_integer else "fiub"
    if given.ndim != value.type.rank or given.dtype.kind not in kinds:
        raise _misfit(value, given)
    if wanted.is_integer and given.size and not wanted.min <= int(given.min()) <= int(given.max()) <= wanted.max:
        raise IrcError(f"input '{value.name}' has values outside {wanted} ({wanted.min} .. {wanted.max})")
    with np.errstate(over="ignore"):
        return round_to_bf16(given) if wanted.kind == "bf" else np.asarray(given, wanted.dtype, order="C")


def _misfit(value: Value, given: Array) -> IrcError:
    return IrcError(f"input '{value.name}' is {value.type}, got an array of {given.dtype}{list(given.shape)}")
