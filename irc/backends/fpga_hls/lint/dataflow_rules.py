"""Rules about DATAFLOW regions: processes that run at once, joined by channels of one producer and one consumer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from irc.backends.fpga_hls.lint.facts import Call, Facts, Function, Scope, bare
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.loop_rules import is_assignment
from irc.backends.fpga_hls.lint.tree import Node, Place

READS, WRITES = {"read", "read_nb", "empty"}, {"write", "write_nb", "full"}


def regions(facts: Facts) -> list[Scope]:
    """The blocks with a DATAFLOW pragma, and the bodies of functions that are inlined into such a block."""
    found = [s for p, s in facts.placed.items() if p.name == "DATAFLOW" and s is not None and s.place != "block"]
    bodies = {s.function: s for s in facts.scopes if s.place == "function"}
    todo = list(found)
    while todo:
        for call in processes(facts, todo.pop()):
            for callee in call.callees:
                body = bodies[callee]
                if callee.has("INLINE") and body not in found:
                    found.append(body)
                    todo.append(body)
    return found


def processes(facts: Facts, region: Scope) -> list[Call]:
    """The calls that are statements of a region, in order."""
    statements = [bare(node) for node in region.block.children]
    return [facts.call(node) for node in statements if node.kind == "CALL_EXPR" and node.children]


def dataflow_form(facts: Facts) -> Iterator[Finding]:
    way_out = "leave declarations and calls in the region, and move the rest into a function"
    for region in regions(facts):
        for node in region.block.children:
            if bare(node).kind not in ("CALL_EXPR", "DECL_STMT", "NULL_STMT"):
                message = "a DATAFLOW region holds something else than declarations and calls, and is run in sequence"
                yield Finding(node.file, node.line, "dataflow-form", message, way_out)
        if region.place == "loop":
            around = [n for n in region.function.body.children if n is not region.owner and n.kind != "DECL_STMT"]
            for node in around:
                message = "a loop with DATAFLOW is not the only statement of its function"
                yield Finding(node.file, node.line, "dataflow-form", message, "give the loop a function of its own")


def channel_ends(facts: Facts) -> Iterator[Finding]:
    roles = Roles(facts)
    for region in regions(facts):
        calls = processes(facts, region)
        for channel in channels(region):
            yield from _check_local(channel, calls, roles)
        for scalar in scalars(region):
            yield from _check_scalar(scalar, calls)
        for parameter in region.function.parameters:
            if is_stream(parameter):
                yield from _check_parameter(parameter, calls, roles)


def is_stream(node: Node) -> bool:
    return "stream<" in node.type


def channels(region: Scope) -> list[Node]:
    """The streams and memories that a region declares."""
    declared = [n for s in region.block.children if s.kind == "DECL_STMT" for n in s.children if n.kind == "VAR_DECL"]
    return [n for n in declared if (is_stream(n) or "[" in n.type) and not n.type.startswith("const ")]


def scalars(region: Scope) -> list[Node]:
    """The single numbers that a region declares: one process writes such a number, any later ones are handed it."""
    declared = [n for s in region.block.children if s.kind == "DECL_STMT" for n in s.children if n.kind == "VAR_DECL"]
    return [n for n in declared if not (is_stream(n) or "[" in n.type or n.type.startswith("const "))]


def scalar_writers(scalar: Node, calls: list[Call]) -> list[int]:
    """The places of the calls that are given a number by reference."""
    return [
        i
        for i, call in enumerate(calls)
        for j, node in enumerate(call.arguments)
        if _names(node, scalar.place) and any(_is_reference(callee.parameter(j)) for callee in call.callees)
    ]


def _is_reference(parameter: Node) -> bool:
    return parameter.type.endswith("&") and not parameter.type.startswith("const ")


def _check_scalar(scalar: Node, calls: list[Call]) -> Iterator[Finding]:
    writers = scalar_writers(scalar, calls)
    if len(writers) != 1:
        who = ", ".join(calls[i].name for i in writers) or "none"
        message = f"number '{scalar.name}' has {len(writers)} producers: {who}"
        yield Finding(scalar.file, scalar.line, "channel-ends", message, "let one process write it")
        return
    early = [c for c in calls[: writers[0]] if any(_names(node, scalar.place) for node in c.arguments)]
    if early:
        message = f"number '{scalar.name}' is read by {early[0].name} before it is written"
        yield Finding(scalar.file, scalar.line, "channel-ends", message, "put the producer before the consumer")


def _check_local(channel: Node, calls: list[Call], roles: Roles) -> Iterator[Finding]:
    kind = "stream" if is_stream(channel) else "memory"
    ends = {role: users(channel, calls, roles, role) for role in ("write", "read")}
    for role, name, way_out in (
        ("write", "producer", "let one process write it"),
        ("read", "consumer", "give each reader a copy (irc::fork), and drain what nobody reads"),
    ):
        if len(ends[role]) != 1:
            who = ", ".join(calls[i].name for i in ends[role]) or "none"
            message = f"{kind} '{channel.name}' has {len(ends[role])} {name}s: {who}"
            yield Finding(channel.file, channel.line, "channel-ends", message, way_out)
    if len(ends["write"]) == len(ends["read"]) == 1 and ends["write"][0] >= ends["read"][0]:
        message = f"{kind} '{channel.name}' is read by {calls[ends['read'][0]].name} before it is written"
        yield Finding(channel.file, channel.line, "channel-ends", message, "put the producer before the consumer")


def _check_parameter(parameter: Node, calls: list[Call], roles: Roles) -> Iterator[Finding]:
    """A stream from outside has its other end there."""
    used_by = {i for role in ("write", "read") for i in users(parameter, calls, roles, role)}
    if len(used_by) > 1:
        who = ", ".join(calls[i].name for i in sorted(used_by))
        message = f"stream '{parameter.name}' is used by several processes: {who}"
        yield Finding(parameter.file, parameter.line, "channel-ends", message, "let one process use it")


def users(channel: Node, calls: list[Call], roles: Roles, role: str) -> list[int]:
    """The places of the calls that use a channel in that role."""
    return [
        i
        for i, call in enumerate(calls)
        if any(role in roles.of(call, j) for j, node in enumerate(call.arguments) if _names(node, channel.place))
    ]


def _names(node: Node, place: Place) -> bool:
    """Whether an argument is a variable, as a whole."""
    inside = bare(node)
    return inside.kind == "DECL_REF_EXPR" and place in inside.refers


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function, by position."""

    function: Function
    index: int


class Roles:
    """Whether a function reads or writes what is passed to it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._known: dict[Parameter, set[str]] = {}

    def of(self, call: Call, index: int) -> set[str]:
        """What a call does with an argument."""
        found: set[str] = set()
        for callee in call.callees:
            found |= self._parameter(Parameter(callee, min(index, len(callee.parameters) - 1)))
        return found

    def _parameter(self, key: Parameter) -> set[str]:
        if key not in self._known:
            self._known[key] = set()  # of a recursive function, what is found on the way
            self._known[key] = self._uses(key.function, key.function.parameter(key.index).place)
        return self._known[key]

    def _uses(self, function: Function, place: Place) -> set[str]:
        found = _accesses(function.body, place)
        for call in function.calls:
            target = bare(call.node.children[0])
            if target.kind == "MEMBER_REF_EXPR" and target.children and _names(target.children[0], place):
                method = call.name.rpartition(".")[2]
                found |= {"read"} if method in READS else {"write"} if method in WRITES else set()
            for index, node in enumerate(call.arguments):
                base = _array_base(node)
                if base is not None and place in base.refers:
                    found |= self.of(call, index)
        return found


def _accesses(node: Node, place: Place) -> set[str]:
    """How the elements of an array are used directly."""
    found: set[str] = set()
    if node.kind == "ARRAY_SUBSCRIPT_EXPR" and (base := _array_base(node)) is not None and place in base.refers:
        found.add("read")
    for i, child in enumerate(node.children):
        inside = _accesses(child, place)
        if i == 0 and inside and bare(child).kind == "ARRAY_SUBSCRIPT_EXPR":
            if is_assignment(node):
                inside = {"write"}
            elif node.kind == "COMPOUND_ASSIGNMENT_OPERATOR":
                inside = {"read", "write"}
        found |= inside
    return found


def _array_base(node: Node) -> Node | None:
    """The variable of `a`, `a[i]`, `a[i][j]`."""
    node = bare(node)
    while node.kind == "ARRAY_SUBSCRIPT_EXPR":
        node = bare(node.children[0])
    return node if node.kind == "DECL_REF_EXPR" else None
