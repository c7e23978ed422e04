"""The files of a library: objects, header, weights, an example and how to build it."""

from __future__ import annotations

import re
from pathlib import Path

from irc.backends.cpu_simd.abi import weights_header
from irc.backends.cpu_simd.archive import archive
from irc.backends.cpu_simd.elf import Pieces
from irc.backends.cpu_simd.example import example
from irc.backends.cpu_simd.header import Interface, header
from irc.backends.cpu_simd.linker import find_linker, link_shared, need_linker
from irc.backends.cpu_simd.program import Program

FOLDER = "lib"

RESERVED = frozenset(
    [
        "alignas",
        "alignof",
        "and",
        "and_eq",
        "asm",
        "auto",
        "bitand",
        "bitor",
        "bool",
        "break",
        "case",
        "catch",
        "char",
        "class",
        "compl",
        "concept",
        "const",
        "constexpr",
        "continue",
        "co_await",
        "co_return",
        "co_yield",
        "decltype",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "explicit",
        "export",
        "extern",
        "false",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "main",
        "mutable",
        "namespace",
        "new",
        "noexcept",
        "not",
        "not_eq",
        "nullptr",
        "operator",
        "or",
        "or_eq",
        "private",
        "protected",
        "public",
        "register",
        "requires",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typedef",
        "typeid",
        "typename",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "xor",
        "xor_eq",
        "errno",
        "stdin",
        "stdout",
        "stderr",
    ]
)
"""Words of C and C++."""


def is_name(text: str) -> bool:
    """Whether a text can be the prefix of C names and of files, in C and in C++."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,31}", text) is not None and "__" not in text and text not in RESERVED


def write_library(folder: Path, i: Interface, program: Program, code: Pieces, so: str) -> list[str]:
    """Write everything to `folder`/lib; the names of the files. `so` is auto, yes or no.

    Raises ToolError if a shared library is wanted and cannot be linked.
    """
    linker = need_linker(i.isa) if so == "yes" else find_linker(i.isa) if so == "auto" else None
    files: dict[str, Pieces] = {
        f"{i.name}.o": code,
        f"{i.name}.a": archive("model.o", code),
        f"{i.name}.h": (header(i).encode("ascii"),),
        "example.c": (example(i).encode("ascii"),),
        "Makefile": (makefile(i).encode("ascii"),),
        "README.md": (guide(i, linker is not None).encode("ascii"),),
    }
    if not i.embed:
        files[f"{i.name}.weights"] = (weights_header(program.weights), program.weights)
    target = folder / FOLDER
    target.mkdir()
    for name, pieces in files.items():
        with (target / name).open("wb") as file:
            file.writelines(pieces)
    if linker is not None:
        link_shared(linker, target / f"{i.name}.o", target / f"{i.name}.so")
    return sorted(p.name for p in target.iterdir())


def makefile(i: Interface) -> str:
    """`Makefile`: the example."""
    return f"""\
CFLAGS ?= -O2

example: example.c {i.name}.h {i.name}.a
\t$(CC) $(CFLAGS) example.c {i.name}.a -o $@

example_threads: example.c {i.name}.h {i.name}.a
\t$(CC) $(CFLAGS) -DTHREADS=2 -pthread example.c {i.name}.a -o $@

clean:
\trm -f example example_threads

.PHONY: clean
"""


def guide(i: Interface, shared: bool) -> str:
    """`README.md`"""
    n = i.name
    rows = [
        f"{n}.h       the interface, documented",
        f"{n}.o       everything, position-independent, without undefined symbols",
        f"{n}.a       the same as an archive",
        *([f"{n}.so      the same as a shared library"] if shared else []),
        *([] if i.embed else [f"{n}.weights what {n}_init takes"]),
        "example.c     runs the model once: raw tensors from stdin, raw tensors to stdout",
    ]
    listing = "\n".join(f"    {row}" for row in rows)
    return f"""\
# A neural network as a library for {i.isa.name}

{listing}

    make example
    ./example < inputs.bin > outputs.bin

A machine of another kind builds it with a cross compiler: `make CC={i.isa.arch}-linux-gnu-gcc example`.

No Python, no irc and no other library is needed. All functions are in `{n}.h`; any number of threads may use them, each
for runs of its own or several for one run (`make example_threads` for a program with two).
"""
