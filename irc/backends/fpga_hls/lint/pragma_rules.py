"""Rules about `#pragma HLS` lines, of which a C++ compiler looks at nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from irc.backends.fpga_hls.lint.facts import Facts
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.pragmas import FLAG, NAME, NATURAL, POSITIVE, PRAGMAS, Pragma
from irc.ir.diagnostics import did_you_mean


def pragma_name(facts: Facts) -> Iterator[Finding]:
    for pragma in facts.pragmas:
        if pragma.name not in PRAGMAS:
            way_out = did_you_mean(pragma.name, PRAGMAS) or "correct or remove it"
            yield _found(pragma, "pragma-name", f"there is no pragma '{pragma.name}'", way_out)


def pragma_option(facts: Facts) -> Iterator[Finding]:
    for pragma in facts.pragmas:
        known = PRAGMAS.get(pragma.name)
        if known is None:
            continue
        for key, value in pragma.options.items():
            if key not in known.options:
                way_out = did_you_mean(key, known.options) or f"{pragma.name} takes none"
                yield _found(pragma, "pragma-option", f"{pragma.name} has no option '{key}'", way_out)
            elif wrong := _wrong_value(key, value, known.options[key]):
                yield _found(pragma, "pragma-option", f"{pragma.name} {key}: {wrong[0]}", wrong[1])
        for key in known.needs:
            if key not in pragma.options:
                yield _found(pragma, "pragma-option", f"{pragma.name} lacks {key}=", f"add {key}=...")
        if _lacks_factor(pragma):
            message = f"{pragma.name}: a block or cyclic arrangement has a factor"
            yield _found(pragma, "pragma-option", message, "add factor=..., or use type=complete")


def _wrong_value(key: str, value: str, wanted: str) -> tuple[str, str] | None:
    """What is wrong with a value, and the way out."""
    if wanted == FLAG:
        return (f"it takes no value, and has '{value}'", f"write {key} alone") if value else None
    if not value:
        return "the value is missing", f"write {key}=..."
    if wanted in (POSITIVE, NATURAL):
        least = 1 if wanted == POSITIVE else 0
        if re.fullmatch(r"[-+]?\d+", value):
            return None if int(value) >= least else (f"{value} is below {least}", f"use {least} or more")
        if re.fullmatch(r"[A-Za-z_(][\w:()+*/ <>.-]*", value):  # a constant of the program
            return None
        return f"'{value}' is not a number", "use a number or a constant"
    if wanted == NAME or value in wanted.split():
        return None
    return f"'{value}' is not one of {', '.join(wanted.split())}", did_you_mean(value, wanted.split())


def _lacks_factor(pragma: Pragma) -> bool:
    kind = pragma.options.get("type", "")
    by_parts = kind in ("block", "cyclic") or "block" in pragma.options or "cyclic" in pragma.options
    return pragma.name in ("ARRAY_PARTITION", "ARRAY_RESHAPE") and by_parts and "factor" not in pragma.options


FIRST = {"PIPELINE", "UNROLL", "DATAFLOW", "LOOP_TRIPCOUNT", "LOOP_FLATTEN"}
"""Pragmas of a loop, which stand before its statements."""


def pragma_place(facts: Facts) -> Iterator[Finding]:
    for pragma, scope in facts.placed.items():
        known = PRAGMAS.get(pragma.name)
        if known is None:
            continue
        wanted = " or ".join(f"a {place}" for place in known.places if place != "scope") or "a function"
        if scope is None:
            message, way_out = f"{pragma.name} is outside of every function", f"move it into the body of {wanted}"
            yield _found(pragma, "pragma-place", message, way_out)
        elif "scope" not in known.places and scope.place not in known.places:
            where = {"loop": "in a loop", "function": "in a function", "block": "in a block"}[scope.place]
            message, way_out = f"{pragma.name} does nothing {where}", f"move it to the body of {wanted}"
            yield _found(pragma, "pragma-place", message, way_out)
        elif scope.place == "loop" and pragma.name in FIRST:
            before = facts.offset(pragma.file, pragma.line)
            if any(statement.begin < before for statement in scope.block.children):
                message = f"{pragma.name} comes behind statements of its loop"
                yield _found(pragma, "pragma-place", message, "make it the first line of the body")


def pragma_variable(facts: Facts) -> Iterator[Finding]:
    for pragma, scope in facts.placed.items():
        name = pragma.variable
        if name is None or scope is None or (pragma.name == "INTERFACE" and name == "return"):
            continue
        if facts.variable(pragma) is None:
            nodes = scope.function.node.walk()
            names = {n.name for n in nodes if n.kind in ("VAR_DECL", "PARM_DECL") and n.name}
            message = f"{pragma.name} is about '{name}', which is not declared before it in {scope.function.name}"
            way_out = did_you_mean(name.partition(".")[0], names) or "name a variable of the function"
            yield _found(pragma, "pragma-variable", message, way_out)


def _found(pragma: Pragma, rule: str, message: str, way_out: str) -> Finding:
    return Finding(pragma.file, pragma.line, rule, message, way_out)
