"""Asking a CPU, at run time and without a C library, whether it has the instructions of a target.

Assembler text would need an assembler for the target, which LLVM brings for this machine only; so the few instructions
stand as bytes in front of a function (prologue data), which it runs when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from irc.backends.cpu_simd.codegen.lanes import Function, Lane, bytes_text
from irc.backends.cpu_simd.isa import Isa

CPUID = "53 89f8 89f1 4989d0 0fa2 418900 41895804 41894808 4189500c 5b c3"
"""push rbx; cpuid of leaf edi, subleaf esi; its eax, ebx, ecx, edx to [rdx]; pop rbx; ret"""

XGETBV = "31c9 0f01d0 c3"
"""The low half of XCR0: which registers the operating system saves."""

ISAR0, ISAR1 = "000638d5 c0035fd6", "200638d5 c0035fd6"
"""mrs x0, ID_AA64ISAR0_EL1; ret. Linux answers since 4.11, to programs too."""

EAX, EBX, ECX, EDX = range(4)
OSXSAVE = (1, 0, ECX, 27)
X86: dict[str, tuple[int, int, int, int]] = {
    "popcnt": (1, 0, ECX, 23),
    "movbe": (1, 0, ECX, 22),
    "fma": (1, 0, ECX, 12),
    "f16c": (1, 0, ECX, 29),
    "bmi": (7, 0, EBX, 3),
    "avx2": (7, 0, EBX, 5),
    "bmi2": (7, 0, EBX, 8),
    "avx512f": (7, 0, EBX, 16),
    "avx512dq": (7, 0, EBX, 17),
    "avx512cd": (7, 0, EBX, 28),
    "avx512bw": (7, 0, EBX, 30),
    "avx512vl": (7, 0, EBX, 31),
    "avx512vbmi": (7, 0, ECX, 1),
    "avx512vnni": (7, 0, ECX, 11),
    "avxvnni": (7, 1, EAX, 4),
    "avx512bf16": (7, 1, EAX, 5),
    "lzcnt": (0x80000001, 0, ECX, 5),
}
"""Leaf, subleaf, register and bit of cpuid, by the name that LLVM has for a feature."""

YMM, ZMM = 0x06, 0xE6
"""Bits of XCR0."""

AARCH64 = {"dotprod": ("isar0", 44), "i8mm": ("isar1", 52)}
"""Where the four bits of a feature lie; every Armv8-A has neon."""

Missing = Iterator[Lane]
"""Conditions, each true where something is missing."""


def probes(isa: Isa) -> str:
    """The functions that `missing` calls."""
    return "".join(
        f"define internal {what} prologue {bytes_text(bytes.fromhex(code))} {{ unreachable }}\n"
        for what, code in CODE[isa.arch]
    )


def missing(f: Function, isa: Isa) -> Missing:
    """Conditions in order; behind each that holds the function must return."""
    return CHECKS[isa.arch](f, isa)


def _x86(f: Function, isa: Isa) -> Missing:
    wanted = [X86[name] for name in sorted(isa.needs)]
    if not wanted:
        return
    out = f.emit("ptr", 1, "alloca [4 x i32], align 16")
    basic = max(leaf for leaf, *_ in wanted if leaf < 0x80000000)
    yield _cpuid(f, out, 0, 0, EAX).compare("ult", basic)
    for leaf, subleaf in sorted({(leaf, subleaf) for leaf, subleaf, *_ in (*wanted, OSXSAVE)}):
        for register in range(4):
            bits = [1 << bit for *place, bit in (*wanted, OSXSAVE) if place == [leaf, subleaf, register]]
            if bits:
                mask = sum(set(bits))
                yield (_cpuid(f, out, leaf, subleaf, register) & mask).compare("ne", mask)
    saved = ZMM if "avx512f" in isa.needs else YMM
    yield (f.emit("i32", 1, "call i32 @irc.xgetbv()") & saved).compare("ne", saved)


def _cpuid(f: Function, out: Lane, leaf: int, subleaf: int, register: int) -> Lane:
    f.do(f"call void @irc.cpuid(i32 {leaf}, i32 {subleaf}, ptr {out.text})")
    return f.load(f.at(out, register, 4), "i32")


def _aarch64(f: Function, isa: Isa) -> Missing:
    for name in sorted(isa.needs - {"neon"}):
        register, place = AARCH64[name]
        field = f.lshr(f.emit("i64", 1, f"call i64 @irc.{register}()"), place) & 15
        yield field.compare("eq", 0)


def _nothing(f: Function, isa: Isa) -> Missing:
    return iter(())


CODE = {
    "x86_64": (("void @irc.cpuid(i32, i32, ptr) #1", CPUID), ("i32 @irc.xgetbv() #1", XGETBV)),
    "aarch64": (("i64 @irc.isar0() #1", ISAR0), ("i64 @irc.isar1() #1", ISAR1)),
    "riscv64": (),
}
CHECKS: dict[str, Callable[[Function, Isa], Missing]] = {"x86_64": _x86, "aarch64": _aarch64, "riscv64": _nothing}
