"""Generated code whose loads and stores, but masked ones, are shown to ThreadSanitizer, as a pass of clang does it.

The functions are those of compiler-rt: `sanitizer/tsan_interface.h` and `tsan_interface_atomic.h`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from irc.backends.cpu_simd.codegen.lanes import BITS
from irc.backends.cpu_simd.codegen.llvm import object_code
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.elf import with_content
from irc.backends.cpu_simd.exports import WEIGHTS_SECTION
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.library import module_text
from irc.ir.graph import Module

ORDERS = {"monotonic": 0, "acquire": 2, "release": 3, "acq_rel": 4, "seq_cst": 5}
CHANGES = {"xchg": "exchange", **{how: f"fetch_{how}" for how in ("add", "sub", "or", "and")}}


def instrumented(module: Module, isa: Isa, change: Callable[[str], str]) -> bytes:
    """The object of a module, weights inside, that needs the sanitizer's library; its text is changed first."""
    program = compile_graph(module.main, isa).program
    text = change(module_text(program, module.main, isa, embed=True))
    used: set[str] = set()
    lines = [_shown(line, used) for line in text.splitlines()]
    declared = [f"declare {name}" for name in sorted(used)]
    code = object_code("\n".join((*declared, *lines)), isa.triple, isa.cpu, isa.features)
    return b"".join(with_content(code, WEIGHTS_SECTION, program.weights))


def _shown(line: str, used: set[str]) -> str:
    for pattern, show in SHOWN.items():
        if found := re.match(pattern, line):
            return show(found, used)
    assert not re.search(r"\b(?:atomic|atomicrmw|cmpxchg)\b", line), line
    return line


def _call(used: set[str], result: str, name: str, *arguments: str) -> str:
    used.add(f"{result} @__tsan_{name}({', '.join(a.split()[0] for a in arguments)})")
    return f"call {result} @__tsan_{name}({', '.join(arguments)})"


def _access(how: str) -> Callable[[re.Match[str], set[str]], str]:
    def show(found: re.Match[str], used: set[str]) -> str:
        lanes, kind = re.fullmatch(r"(?:<(\d+) x )?(\w+)>?", found["type"]).groups()  # type: ignore[union-attr]
        size = int(lanes or 1) * max(8, BITS.get(kind, 64)) // 8
        call = _call(used, "void", f"{how}_range", "ptr " + found["at"], f"i64 {size}")
        return f"  {call}\n{found[0]}"

    return show


def _atomic_load(found: re.Match[str], used: set[str]) -> str:
    kind = found["type"]
    call = _call(used, kind, f"atomic{kind[1:]}_load", f"ptr {found['at']}", f"i32 {ORDERS[found['order']]}")
    return f"{found['name']} = {call}"


def _atomic_store(found: re.Match[str], used: set[str]) -> str:
    kind = found["type"]
    given = f"ptr {found['at']}", f"{kind} {found['value']}", f"i32 {ORDERS[found['order']]}"
    return f"  {_call(used, 'void', f'atomic{kind[1:]}_store', *given)}"


def _change(found: re.Match[str], used: set[str]) -> str:
    kind = found["type"]
    given = f"ptr {found['at']}", f"{kind} {found['value']}", f"i32 {ORDERS[found['order']]}"
    call = _call(used, kind, f"atomic{kind[1:]}_{CHANGES[found['how']]}", *given)
    return f"{found['name']} = {call}"


def _exchange(found: re.Match[str], used: set[str]) -> str:
    name, old = found["name"].strip(), found["old"]
    given = f"ptr {found['at']}", f"i64 {old}", f"i64 {found['new']}", f"i32 {ORDERS['acq_rel']}", "i32 0"
    return f"""\
  {name}.old = {_call(used, "i64", "atomic64_compare_exchange_val", *given)}
  {name}.done = icmp eq i64 {name}.old, {old}
  {name}.half = insertvalue {{ i64, i1 }} poison, i64 {name}.old, 0
  {name} = insertvalue {{ i64, i1 }} {name}.half, i1 {name}.done, 1"""


SHOWN: dict[str, Callable[[re.Match[str], set[str]], str]] = {
    r"(?P<name>.*) = load atomic (?P<type>\w+), ptr (?P<at>\S+) (?P<order>\w+),": _atomic_load,
    r"  store atomic (?P<type>\w+) (?P<value>\S+), ptr (?P<at>\S+) (?P<order>\w+),": _atomic_store,
    r"(?P<name>.*) = atomicrmw (?P<how>\w+) ptr (?P<at>\S+), (?P<type>\w+) (?P<value>\S+) (?P<order>\w+)": _change,
    r"(?P<name>.*) = cmpxchg ptr (?P<at>\S+), i64 (?P<old>\S+), i64 (?P<new>\S+) acq_rel monotonic": _exchange,
    r".* = load (?P<type><[^>]*>|\w+), ptr (?P<at>\S+),.*": _access("read"),
    r"  store (?P<type><[^>]*>|\w+) .*, ptr (?P<at>\S+), align.*": _access("write"),
}
