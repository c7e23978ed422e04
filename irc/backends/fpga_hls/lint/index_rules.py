"""Rules about arrays that are split into registers or memories, and how they are indexed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from irc.backends.fpga_hls.lint.facts import Facts, bare
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.pragmas import Pragma
from irc.backends.fpga_hls.lint.tree import Node, Place

ALL = 0  # the dim of a pragma for every dimension


@dataclass(frozen=True)
class Split:
    """An array (a variable, and the path of a member in it) of which one dimension is split; the first one is 1."""

    place: Place
    path: str
    dim: int
    complete: bool


@dataclass(frozen=True)
class Access:
    """`variable.path[index]...`"""

    place: Place
    path: str
    indices: tuple[Node, ...]


def partitioned_index(facts: Facts) -> Iterator[Finding]:
    splits = _everywhere(facts)
    by_place: dict[Place, list[Split]] = {}
    for split in splits:
        by_place.setdefault(split.place, []).append(split)
    for function in facts.hardware:
        for node in _outermost(function.body):
            access = access_of(node)
            for split in by_place.get(access.place, ()) if access else ():
                if access is not None and access.path == split.path:
                    yield from _check(facts, node, access, split)


def _check(facts: Facts, node: Node, access: Access, split: Split) -> Iterator[Finding]:
    for dim, index in enumerate(access.indices, 1):
        names = facts.varying(index) if split.dim in (ALL, dim) else []
        steps = any(p in facts.unrolled for n in index.walk() for p in n.refers)
        if names and (split.complete or not steps):
            message = f"dimension {dim} of '{_name(node)}' is partitioned, but indexed by '{names[0]}'"
            way_out = "index it by the variable of an unrolled loop, or say that a multiplexer is meant"
            yield Finding(node.file, node.line, "partitioned-index", message, way_out)


def _everywhere(facts: Facts) -> set[Split]:
    """The arrays of pragmas, and the parameters that they are passed to."""
    found = {s for p in facts.pragmas if p.name in ("ARRAY_PARTITION", "ARRAY_RESHAPE") for s in _stated(facts, p)}
    todo = list(found)
    passed = [
        (access, callee.parameter(i).place)
        for function in facts.hardware
        for call in function.calls
        for i, node in enumerate(call.arguments)
        if (access := access_of(node)) is not None
        for callee in call.callees
    ]
    while todo:
        split = todo.pop()
        for access, parameter in passed:
            if access.place == split.place and split.path.startswith(access.path):
                dim = split.dim - len(access.indices) if split.path == access.path and split.dim else split.dim
                further = replace(split, place=parameter, path=split.path[len(access.path) :], dim=dim)
                if (dim > 0 or split.dim == ALL) and further not in found:
                    found.add(further)
                    todo.append(further)
    return found


def _stated(facts: Facts, pragma: Pragma) -> list[Split]:
    variable = facts.variable(pragma)
    dim = pragma.options.get("dim", "1")
    if variable is None or "off" in pragma.options or not dim.isdecimal():
        return []
    by_parts = pragma.options.get("type") in ("block", "cyclic") or {"block", "cyclic"} & set(pragma.options)
    return [Split(*variable, int(dim), not by_parts)]


def _outermost(node: Node) -> Iterator[Node]:
    """The accesses of array elements, each with all its indices."""
    if node.kind == "ARRAY_SUBSCRIPT_EXPR":
        yield node
        while node.kind == "ARRAY_SUBSCRIPT_EXPR":
            yield from (inner for child in node.children[1:] for inner in _outermost(child))
            node = bare(node.children[0])
    for child in node.children:
        yield from _outermost(child)


def access_of(node: Node) -> Access | None:
    """An expression as an access of a variable, with any number of indices."""
    node = bare(node)
    indices: list[Node] = []
    while node.kind == "ARRAY_SUBSCRIPT_EXPR":
        indices.insert(0, node.children[1])
        node = bare(node.children[0])
    path = ""
    while node.kind == "MEMBER_REF_EXPR" and node.children:
        path = f".{node.text.rpartition('.')[2].strip()}{path}"
        node = bare(node.children[0])
    if node.kind != "DECL_REF_EXPR" or not node.refers:
        return None
    return Access(node.refers[0], path, tuple(indices))


def _name(node: Node) -> str:
    return re.sub(r"\[.*", "", node.text, flags=re.DOTALL)
