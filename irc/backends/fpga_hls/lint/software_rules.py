"""Rules about what only a processor can do: recursion, a heap, exceptions, an operating system."""

from __future__ import annotations

import re
from collections.abc import Iterator

from irc.backends.fpga_hls.lint.facts import Facts, Function
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.tree import Node


def recursion(facts: Facts) -> Iterator[Finding]:
    reach = {f: _reached(f) for f in facts.hardware}
    for function in facts.hardware:
        for call in function.calls:
            if any(function is callee or function in reach.get(callee, ()) for callee in call.callees):
                message = f"{function.name} calls itself, by way of {call.name}"
                yield Finding(
                    call.node.file, call.node.line, "recursion", message, "write it as a loop of fixed length"
                )


def _reached(function: Function) -> set[Function]:
    found: set[Function] = set()
    todo = [function]
    while todo:
        for call in todo.pop().calls:
            new = [f for f in call.callees if f not in found]
            found.update(new)
            todo += new
    return found


HEAP = {"malloc", "calloc", "realloc", "free", "alloca", "aligned_alloc"}
CONTAINERS = "vector deque list map unordered_map set string function unique_ptr shared_ptr make_unique make_shared"
CONTAINER = re.compile(rf"\bstd::(?:{'|'.join(CONTAINERS.split())})\b")
FIXED = "use an array of fixed size"


def allocation(facts: Facts) -> Iterator[Finding]:
    for function in facts.hardware:
        for node in function.node.walk():
            if what := _allocates(node):
                yield Finding(node.file, node.line, "allocation", f"{what} needs a heap", FIXED)
    for root in facts.program.roots:
        for node in root.walk():
            if node.kind in ("FIELD_DECL", "VAR_DECL") and (match := CONTAINER.search(node.text)):
                yield Finding(node.file, node.line, "allocation", f"{match[0]} needs a heap", FIXED)


def _allocates(node: Node) -> str:
    if node.kind in ("CXX_NEW_EXPR", "CXX_DELETE_EXPR"):
        return node.kind[4:-5].lower()
    if node.kind == "CALL_EXPR" and (name := callee_name(node)) in HEAP:
        return name
    return ""


def callee_name(node: Node) -> str:
    """The name in front of the parentheses of a call, without its namespace."""
    match = re.match(r"(?:\w*::)*(\w+)\s*\(", node.text)
    return match[1] if match else ""


SYSTEM = {"printf", "fprintf", "puts", "fopen", "fread", "fwrite", "fclose", "exit", "abort", "getenv", "time", "rand"}
STATEMENTS = {
    "CXX_THROW_EXPR": ("an exception", "return a code instead"),
    "CXX_TRY_STMT": ("an exception", "return a code instead"),
    "GOTO_STMT": ("a jump", "use if and for"),
    "INDIRECT_GOTO_STMT": ("a jump", "use if and for"),
    "CXX_DYNAMIC_CAST_EXPR": ("a type that is known at run time", "use a template parameter"),
    "CXX_TYPEID_EXPR": ("a type that is known at run time", "use a template parameter"),
}


def software(facts: Facts) -> Iterator[Finding]:
    for function in facts.hardware:
        if re.match(r"\s*virtual\b", function.node.text):
            yield _only_software(function.node, "a virtual function", "use a template parameter")
        for node in function.node.walk():
            if node.kind in STATEMENTS:
                yield _only_software(node, *STATEMENTS[node.kind])
            elif node.kind == "CALL_EXPR" and callee_name(node) in SYSTEM:
                yield _only_software(node, f"a call of {callee_name(node)}", "keep it within #ifndef __SYNTHESIS__")
            elif node.kind in ("VAR_DECL", "PARM_DECL") and "(*)(" in node.type:
                yield _only_software(node, "a pointer to a function", "use a template parameter")


def _only_software(node: Node, what: str, way_out: str) -> Finding:
    return Finding(node.file, node.line, "software", f"hardware cannot do with {what}", way_out)
