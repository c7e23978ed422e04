"""Running code for machines that this one is not: their instructions replaced by what they are defined to do.

Everything else of the code (loops, tiles, layouts, epilogues) then runs here as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.codegen.llvm import object_code
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import Isa, host
from irc.backends.cpu_simd.library import module_text
from irc.backends.cpu_simd.runtime import file_of, opened
from irc.ir.graph import Module
from irc.ir.scalars import Array


def emulated(module: Module, inputs: Sequence[Array], isa: Isa) -> tuple[list[Array], list[str]]:
    """The results of the code for an instruction set, and the instructions of it that were replaced."""
    machine = host()
    program = compile_graph(module.main, isa).program
    text = module_text(program, module.main, replace(isa, features=machine.features))
    names = sorted(set(re.findall(r"@(llvm\.(?:x86|aarch64)\.[\w.]+)", text)) - {"llvm.x86.sse2.pause"})
    for name in names:
        kinds = re.search(rf"^declare (.+?) @{re.escape(name)}\((.*)\)$", text, re.MULTILINE)
        assert kinds is not None
        body = _definition(name, kinds[1], re.findall(r"<\d+ x \w+>|\w+", kinds[2]))
        text = text.replace(kinds[0], "").replace(f"@{name}(", f"@emulated.{name}(") + body
    text = re.sub(r'"target-cpu"="[^"]+" }$', "}", text)
    code = object_code(text, machine.triple, "", machine.features)
    with opened(module.main, code, machine, file_of(program.weights)) as run:
        return run(inputs), names


def _definition(name: str, result: str, kinds: Sequence[str]) -> str:
    """A function that does what an instruction is defined to do, by the manuals of Intel and Arm."""
    f = Function(f"emulated.{name}", {f"a{i}": kind for i, kind in enumerate(kinds)}, result=result)
    lanes = [_typed(f, f"%a{i}", kind) for i, kind in enumerate(kinds)]
    body = next(define for pattern, define in DEFINITIONS.items() if re.search(pattern, name))
    f.ret(body(*lanes))
    return "\n" + f.finish()


def _typed(f: Function, text: str, kind: str) -> Lane:
    vector = re.fullmatch(r"<(\d+) x (\w+)>", kind)
    return Lane(f, text, vector[2], int(vector[1])) if vector else Lane(f, text, kind)


def dot(first: str, second: str, group: int) -> Callable[[Lane, Lane, Lane], Lane]:
    """Sums of `group` neighbouring products, each operand extended as sext or zext says."""

    def define(acc: Lane, a: Lane, b: Lane) -> Lane:
        f = acc.f
        products = f.convert(first, a, "i32") * f.convert(second, b, "i32")
        parts = [f.shuffle(products, products, range(i, products.lanes, group)) for i in range(group)]
        for part in parts:
            acc = acc + part
        return acc

    return define


def pairs(a: Lane, b: Lane) -> Lane:
    """pmaddwd: sums of two products of signed words."""
    return dot("sext", "sext", 2)(a.f.const(0, "i32", a.lanes // 2), a, b)


def saturating_pairs(a: Lane, b: Lane) -> Lane:
    """pmaddubsw: sums of two products of an unsigned and a signed byte, saturated to signed words."""
    f = a.f
    sums = dot("zext", "sext", 2)(f.const(0, "i32", a.lanes // 2), a, b)
    return f.convert("trunc", f.clamp(sums, -(2**15), 2**15 - 1), "i16")


def packed(low: int, high: int) -> Callable[[Lane, Lane], Lane]:
    """Lanes of two vectors in half the bits, with saturation; in each 128 bits those of the first come first."""

    def define(a: Lane, b: Lane) -> Lane:
        f, kind = a.f, {"i32": "i16", "i16": "i8"}[a.kind]
        each = 128 // int(a.kind[1:])
        places = [start + of + i for start in range(0, a.lanes, each) for of in (0, a.lanes) for i in range(each)]
        return f.convert("trunc", f.clamp(f.shuffle(a, b, places), low, high), kind)

    return define


def shuffled(table: Lane, places: Lane) -> Lane:
    """pshufb: bytes of each 16 of the table by the low four bits of the place, 0 where its high bit is set."""
    f = table.f
    items: list[Lane] = []
    for i in range(places.lanes):
        place = f.extract(places, i)
        index = f.convert("zext", place & 15, "i64") + i // 16 * 16
        found = f.emit("i8", 1, f"extractelement {table.typed}, {index.typed}")
        items.append(f.select(place.compare("slt", 0), f.const(0, "i8"), found))
    return f.gathered(items)


def permuted(low: Lane, places: Lane, high: Lane) -> Lane:
    """vpermi2b: bytes of two tables by the low seven bits of the place."""
    f = low.f
    table = f.shuffle(low, high, range(128))
    items = [
        f.emit("i8", 1, f"extractelement {table.typed}, {f.convert('zext', f.extract(places, i) & 127, 'i64').typed}")
        for i in range(64)
    ]
    return f.gathered(items)


DEFINITIONS: dict[str, Callable[..., Lane]] = {
    r"vpdpbusd": dot("zext", "sext", 4),
    r"pmadd\.wd|pmaddw\.d": pairs,
    r"pmadd\.ub\.sw|pmaddubs\.w": saturating_pairs,
    r"packssdw": packed(-(2**15), 2**15 - 1),
    r"packsswb": packed(-128, 127),
    r"packuswb": packed(0, 255),
    r"pshuf\.b": shuffled,
    r"vpermi2var\.qi": permuted,
    r"neon\.sdot": dot("sext", "sext", 4),
    r"neon\.usdot": dot("zext", "sext", 4),
}
