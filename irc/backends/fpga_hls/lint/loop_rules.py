"""Rules about loops: how often they run has to be known."""

from __future__ import annotations

import re
from collections.abc import Iterator

from irc.backends.fpga_hls.lint.facts import LOOPS, Facts, Loop, bare
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.tree import Node, Place

BOUND = "make the bound a constant or template parameter, or state it: #pragma HLS LOOP_TRIPCOUNT max=..."


def loop_bound(facts: Facts) -> Iterator[Finding]:
    for function in facts.hardware:
        for loop in function.loops:
            if loop.pragma("LOOP_TRIPCOUNT") is None and (why := _unbounded(facts, loop)):
                yield Finding(loop.node.file, loop.node.line, "loop-bound", why, BOUND)


def _unbounded(facts: Facts, loop: Loop) -> str:
    """Why the number of iterations is not known; empty if it is."""
    kind = loop.node.kind
    if kind == "CXX_FOR_RANGE_STMT":
        return ""
    if kind != "FOR_STMT":
        return f"a {'do' if kind == 'DO_STMT' else 'while'} loop has no bound"
    condition = loop.condition
    if condition is None:
        return "the loop has no condition"
    counters = [v.place for v in loop.variables] or _references(condition)[:1]
    counted = [p for p in counters if p in _references(condition)]
    if not counted:
        return "the condition does not look at a counter of the loop"
    if not any(place in _references(step) for step in loop.step for place in counted):
        return "the loop does not advance its counter"
    starts = [child for v in loop.variables for child in v.children]
    if names := [name for part in (condition, *starts, *loop.step) for name in facts.varying(part, counted)]:
        return f"the bound depends on '{names[0]}', which is not constant"
    if any(_writes(node, place) for node in loop.body.walk() for place in counted):
        return "the body changes the counter"
    return ""


def _references(node: Node) -> list[Place]:
    return [p for n in node.walk() if n.kind == "DECL_REF_EXPR" for p in n.refers]


def _writes(node: Node, place: Place) -> bool:
    """Whether an expression changes a variable."""
    target = bare(node.children[0]) if node.children else None
    if target is None or target.kind != "DECL_REF_EXPR" or place not in target.refers:
        return False
    if node.kind == "UNARY_OPERATOR":
        return "++" in node.text or "--" in node.text
    return node.kind == "COMPOUND_ASSIGNMENT_OPERATOR" or is_assignment(node)


def is_assignment(node: Node) -> bool:
    if node.kind != "BINARY_OPERATOR" or len(node.children) != 2:
        return False
    between = node.source[node.children[0].end : node.children[1].begin]
    return re.fullmatch(r"[\s)]*=[\s(]*", between) is not None


def pipelined_loop(facts: Facts) -> Iterator[Finding]:
    for function in facts.hardware:
        loops = {loop.node: loop for loop in function.loops}
        for outer in function.loops:
            pipeline = outer.pragma("PIPELINE")
            if pipeline is None or "off" in pipeline.options:
                continue
            for node in outer.body.walk():
                if node.kind in LOOPS and not loops[node].unrolled:
                    message = (
                        f"a loop inside the pipelined loop of line {outer.node.line} is unrolled without saying so"
                    )
                    way_out = "add #pragma HLS UNROLL, or pipeline the inner loop instead"
                    yield Finding(node.file, node.line, "pipelined-loop", message, way_out)
