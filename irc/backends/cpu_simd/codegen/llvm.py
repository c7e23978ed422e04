"""LLVM by llvmlite, which only this module imports: text to machine code, and machine code into this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite.binding  # pyright: ignore[reportMissingTypeStubs]

from irc.ir.diagnostics import InternalError

llvm: Any = llvmlite.binding  # it has no types

OPTIMIZE = 3  # of instruction selection; the text is explicit, so no pass pipeline runs before it


@cache
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def host_features() -> frozenset[str]:
    """What the CPU of this machine can do, in the words of LLVM; nothing where LLVM cannot tell."""
    try:
        found = llvm.get_host_cpu_features()
    except RuntimeError:
        return frozenset()
    return frozenset(name for name, has in found.items() if has)


def host_cpu() -> str:
    """The processor of this machine, in the words of LLVM: `znver3`."""
    return llvm.get_host_cpu_name()


def host_triple() -> str:
    return llvm.get_process_triple()


@cache
def _machine(triple: str, cpu: str, features: str, jit: bool) -> Any:
    _initialize()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=cpu, features=features, opt=OPTIMIZE, reloc="pic", codemodel="jitdefault" if jit else "default", jit=jit
    )


def _parsed(text: str, machine: Any) -> Any:
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"generated LLVM is not valid: {error}") from error
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return module


def object_code(text: str, triple: str, cpu: str, features: str) -> bytes:
    """An object file. Raises InternalError if the text is no valid module."""
    machine = _machine(triple, cpu, features, False)
    return machine.emit_object(_parsed(text, machine))


def assembly(text: str, triple: str, cpu: str, features: str) -> str:
    """What `object_code` assembles."""
    machine = _machine(triple, cpu, features, False)
    return machine.emit_assembly(_parsed(text, machine))


@contextmanager
def loaded(code: bytes) -> Generator[Callable[[str], int]]:
    """An object file of this machine in this process; gives the addresses of its functions by name."""
    _initialize()
    empty = llvm.parse_assembly("")
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    # one block of memory for all sections, which reach each other by 32-bit distances wherever else there is room
    with llvm.create_mcjit_compiler(empty, machine, use_lmm=True) as engine:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        yield engine.get_function_address


def function(address: int, result: Any, *arguments: Any) -> Any:
    """A C function at an address, callable from Python."""
    return ctypes.CFUNCTYPE(result, *arguments)(address)
