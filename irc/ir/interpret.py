"""The reference interpreter: runs `reference` node by node. What it computes is the meaning of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.dims import Expr, Symbol, evaluate
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.op import Op
from irc.ir.ops.structure import Call, Kernel
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

    `observe` sees every value with its array, those inside kernel regions included. Raises IrcError if an array does not
    fit its input, with the expected type.
    """
    graph = module.functions[function]
    arrays = arrange_inputs(graph, inputs)
    dims: dict[str, int] = {}
    ready = [bind(value, array, dims, graph.symbols) for value, array in zip(graph.inputs, arrays, strict=True)]
    return _run(graph, ready, dims, module, observe)


def arrange_inputs(graph: Graph, inputs: Sequence[Array] | Mapping[str, Array]) -> list[Array]:
    """Arrays in the order of the inputs of a function. Raises IrcError if some are missing or unknown."""
    names = [value.name for value in graph.inputs]
    if isinstance(inputs, Mapping):
        missing = [n for n in names if n not in inputs]
        unknown = [n for n in inputs if n not in names]
        if missing or unknown:
            raise IrcError(f"inputs are named {', '.join(names)}; got {', '.join(inputs) or 'none'}")
        return [inputs[n] for n in names]
    if len(inputs) != len(names):
        raise IrcError(f"@{graph.name} takes {len(names)} inputs ({', '.join(names)}), {len(inputs)} given")
    return list(inputs)


def bind(value: Value, array: Array, dims: dict[str, int], symbols: Mapping[str, Symbol]) -> Array:
    """The array as the input's type wants it, and what its symbols stand for. Raises IrcError if it does not fit."""
    wanted = value.type
    given = np.asarray(array)
    if given.ndim != wanted.rank:
        raise _misfit(value, given)
    for size, dim in zip(given.shape, wanted.shape, strict=True):
        if isinstance(dim, Expr) and (name := str(dim)) in symbols and name not in dims:
            if not symbols[name].lo <= size <= symbols[name].hi:
                raise IrcError(f"input '{value.name}': {symbols[name]}, got {size}")
            dims[name] = size
    for size, dim in zip(given.shape, wanted.shape, strict=True):
        if evaluate(dim, dims) != size:
            raise _misfit(value, given)
    return _as_type(value, given)


def _misfit(value: Value, given: Array) -> IrcError:
    return IrcError(f"input '{value.name}' is {value.type}, got an array of {given.dtype}{list(given.shape)}")


def _as_type(value: Value, array: Array) -> Array:
    wanted = value.type.scalar
    if wanted.is_integer:
        if array.dtype.kind not in "iub":
            raise _misfit(value, array)
        if array.size and (int(array.min()) < wanted.min or int(array.max()) > wanted.max):
            raise IrcError(f"input '{value.name}' has values outside {wanted} ({wanted.min} .. {wanted.max})")
    elif (wanted.is_float and array.dtype.kind not in "fiub") or (wanted.kind == "bool" and array.dtype.kind != "b"):
        raise _misfit(value, array)
    return round_to_bf16(array) if wanted.kind == "bf" else np.ascontiguousarray(array, wanted.dtype)


def _run(
    graph: Graph, inputs: Sequence[Array], dims: Mapping[str, int], module: Module, observe: Observer | None
) -> list[Array]:
    values: dict[Value, Array] = dict(zip(graph.inputs, inputs, strict=True))
    left = {value: len(value.uses) for value in graph.inputs}
    if observe:
        for value, array in values.items():
            observe(value, array)
    for node in graph.nodes:
        operands = [values[v] for v in node.operands]
        if node.terminator:
            return operands
        for value, array in zip(node.results, run_node(node, operands, dims, module, observe), strict=True):
            values[value] = array
            left[value] = len(value.uses)
            if observe:
                observe(value, array)
        for value in node.operands:  # a value is dropped after its last reader
            left[value] -= 1
            if left[value] == 0:
                del values[value]
    raise IrcError(f"@{graph.name} has no terminator")


def run_node(
    node: Node, operands: Sequence[Array], dims: Mapping[str, int], module: Module, observe: Observer | None = None
) -> list[Array]:
    """The results of one node on arrays."""
    if isinstance(node, Kernel):
        return _run(node.body, operands, dims, module, observe)
    if isinstance(node, Call):
        callee = module.functions[node.callee]
        inner: dict[str, int] = {}
        ready = [bind(v, a, inner, callee.symbols) for v, a in zip(callee.inputs, operands, strict=True)]
        return _run(callee, ready, inner, module, observe)
    op = cast(Op, node)
    arguments = _by_field(op, operands)
    keywords: dict[str, Any] = {"dims": dims} if op.takes_dims else {}
    # NumPy's floating-point warnings are no errors here: infinities and NaNs are legal values of float graphs.
    with np.errstate(all="ignore"):
        try:
            out: Any = op.reference(*arguments, **keywords)
        except (ValueError, IndexError, TypeError, MemoryError) as error:
            shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in operands)
            raise IrcError(Diagnostic(f"{op.opname} failed on ({shapes}): {error}", op.loc)) from error
    arrays: list[Any] = list(out) if isinstance(out, tuple) else [out]
    return [_result(op, a, v.type) for a, v in zip(arrays, op.results, strict=True)]


def _by_field(op: Op, operands: Sequence[Array]) -> list[Any]:
    """Operands grouped by field: an array, None for a missing optional one, a list for a variadic one."""
    out: list[Any] = []
    kinds = [f.kind for f in op.fields if f.kind in ("operand", "optional", "variadic")]
    index = 0
    for kind, length in zip(kinds, op.segments, strict=True):
        group = list(operands[index : index + length])
        index += length
        out.append(group if kind == "variadic" else (group[0] if group else None))
    return out


def _result(op: Op, array: Any, wanted: TensorType) -> Array:
    out = np.asarray(array)
    if out.dtype != wanted.scalar.dtype or out.ndim != wanted.rank:
        raise IrcError(Diagnostic(f"{op.opname}: reference gave {out.dtype}{list(out.shape)} for {wanted}", op.loc))
    return out
