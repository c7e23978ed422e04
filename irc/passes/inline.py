"""`inline`: calls become the bodies of what they call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from irc.ir.builder import Builder
from irc.ir.clone import copy_node
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError, did_you_mean
from irc.ir.dims import Dim, Symbol, symbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import fuse
from irc.ir.op import Op
from irc.ir.ops.structure import Call, Kernel
from irc.ir.types import Element
from irc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class Inline(Pass):
    """Replace calls by the bodies of the called functions: all of them, or those named in `functions`.

    A body gets the encodings of the operands of its call; where it leaves its results without one, they take those the
    call states. Functions that are not called any more stay until `dce`.
    """

    name = "inline"
    effect = "exact"
    functions: tuple[str, ...] = ()

    def run(self, module: Module, cx: PassContext) -> None:
        for name in self.functions:
            if name not in module.functions:
                raise UsageError(f"inline: there is no function @{name}", hint=did_you_mean(name, module.functions))
        chosen = set(self.functions or module.functions)
        for function in _callees_first(module):
            for node in function.walk():
                if isinstance(node, Call) and node.callee in chosen:
                    _inline(node, module.functions[node.callee], self.name)


def _callees_first(module: Module) -> list[Graph]:
    """All functions, each behind those it calls. Raises IrcError if one calls itself."""
    order: dict[str, Graph] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise IrcError(f"inline: @{name} calls itself ({' -> '.join((*path, name))})")
        for node in module.functions[name].walk():
            if isinstance(node, Call) and node.callee not in order:
                visit(node.callee, (*path, name))
        order[name] = module.functions[name]

    for name in module.functions:
        if name not in order:
            visit(name, ())
    return list(order.values())


def _inline(call: Call, callee: Graph, pass_name: str) -> None:
    """Put a copy of the body in the place of a call."""
    dims = call.bound_dims(callee)
    dims = {**_born_anew(call, [s for s in callee.symbols.values() if s.counted and s.name not in dims]), **dims}
    if free := sorted(set(callee.symbols) - set(dims)):
        raise _refused(call, f"its symbol {free[0]} does not come from its inputs")
    values = dict(zip(callee.inputs, call.inputs, strict=True))
    b = Builder.before_node(call)
    copies: list[Op] = []
    try:
        for node in callee.nodes:
            if not node.terminator:
                loc = fuse((call.loc, node.loc)).via(pass_name)
                copies.append(copy_node(cast(Op, node), values, dims, b, loc))
        results = [values[v] for v in callee.outputs]
        for result, stated in zip(results, call.types, strict=True):
            if stated.encoding is not None and result.type.encoding is None:
                _state(result, stated.element)
        for node in copies:
            _refresh(node)
    except IrcError as error:
        raise _refused(call, "its body does not accept the encodings of the operands", error.diagnostics) from error
    for result, stated in zip(results, call.types, strict=True):
        if not result.type.matches(stated):
            raise _refused(call, f"a result is {result.type}, the call states {stated}")
    call.replace_by(*results)


def _born_anew(call: Call, counts: Sequence[Symbol]) -> dict[str, Dim]:
    """For each count that is born in the body one that is born in the caller, by the same name if that is free."""
    assert call.graph is not None
    caller = call.graph.function
    taken = {name for node in caller.walk() for value in node.results for name in value.type.symbols()}
    names: dict[str, Dim] = {}
    for born in counts:
        number = 1
        name = born.name
        while name in taken:
            name, number = f"n{number}", number + 1
        taken.add(name)
        caller.symbols[name] = replace(born, name=name)
        names[born.name] = symbol(name)
    return names


def _refused(call: Call, reason: str, because: Sequence[Diagnostic] = ()) -> IrcError:
    notes = tuple(d.message for d in because)
    return IrcError(Diagnostic(f"cannot inline @{call.callee}: {reason}", call.loc, notes=notes))


def _state(value: Value, element: Element) -> None:
    """Give a value without encoding one, at the op that chooses its element type."""
    node: Any = value.node
    if isinstance(node, Kernel):
        _state(node.body.outputs[value.index], element)
    elif isinstance(node, Op) and node.view and "x" in {f.name for f in node.fields}:
        _state(cast(Any, node).x, element)
    elif isinstance(node, Op) and node.attributes.get("to") == Element(element.scalar):
        cast(Any, node).to = element


def _refresh(node: Op) -> None:
    """Infer the types of a node, and of what is in it, again."""
    for region in node.regions:
        for inner, outer in zip(region.inputs, node.operands, strict=True):
            inner.type = outer.type
        for inside in region.nodes:
            _refresh(cast(Op, inside))
    node.set_result_types()
