"""A program as an object file that others can link or load: complete, position-independent, nothing undefined."""

from __future__ import annotations

from irc.backends.cpu_simd.codegen.llvm import assembly, object_code
from irc.backends.cpu_simd.elf import Pieces, undefined, with_content
from irc.backends.cpu_simd.exports import WEIGHTS_SECTION, Exports
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.support import SUPPORT, definitions
from irc.ir.diagnostics import InternalError
from irc.ir.graph import Graph
from irc.version import __version__

NAME = "model"


def object_of(program: Program, graph: Graph, isa: Isa, *, name: str = NAME, embed: bool = False) -> Pieces:
    """The object file, with the weights inside or without them.

    Raises InternalError if a kernel calls what no machine and no function of ours gives it.
    """
    code = _compiled(program, graph, isa, name, embed)
    if embed and program.weights:
        return with_content(code, WEIGHTS_SECTION, program.weights)
    return (code,)


def _compiled(program: Program, graph: Graph, isa: Isa, name: str, embed: bool) -> bytes:
    text = module_text(program, graph, isa, name=name, embed=embed)
    code = object_code(text, isa.triple, isa.cpu, isa.features)
    if lacking := undefined(code):
        text = module_text(program, graph, isa, name=name, embed=embed, support=lacking)
        code = object_code(text, isa.triple, isa.cpu, isa.features)
    return code


def module_text(
    program: Program, graph: Graph, isa: Isa, *, name: str = NAME, embed: bool = False, support: list[str] | None = None
) -> str:
    """The LLVM module: kernels, the functions that others call, and those that instruction selection asks for."""
    if unknown := [n for n in support or () if n not in SUPPORT]:
        raise InternalError(f"kernels for {isa.name} call {', '.join(unknown)}, which a library cannot bring along")
    helpers, used = definitions(support or ())
    exports = Exports(program, graph, isa, name, embed, f"irc {__version__}")
    public = exports.text()
    return program.text(isa, (helpers, public), {*used.values(), *exports.declarations})


def assembly_of(program: Program, graph: Graph, isa: Isa) -> str:
    """What the object file is assembled from, but for support functions."""
    return assembly(module_text(program, graph, isa), isa.triple, isa.cpu, isa.features)
