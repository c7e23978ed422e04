"""Instruction sets: what a kernel may use, and how many registers it has. A target is a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from irc.backends.cpu_simd.codegen.llvm import host_features, host_triple
from irc.ir.diagnostics import UsageError

Dot = Literal["vpdpbusd", "vpmaddwd", "pmaddwd", "smlal", "sdot", "usdot", "multiply"]
"""The instruction that sums products of integers; `multiply` is any machine's."""

Shuffle = Literal["pshufb", "vpermi2b", "tbl", "none"]
"""The instruction that looks up bytes in a table of bytes."""


@dataclass(frozen=True)
class Isa:
    """An instruction set as a target of `irc compile --backend cpu --target NAME`."""

    name: str
    summary: str
    triple: str
    features: str
    vector_bytes: int
    registers: int
    dot: Dot
    cpu: str = ""
    shuffle: Shuffle = "none"

    @property
    def is_x86(self) -> bool:
        return self.triple.startswith("x86_64")

    @property
    def lanes(self) -> int:
        """32-bit lanes of a register."""
        return self.vector_bytes // 4

    @property
    def arch(self) -> str:
        return self.triple.split("-")[0]

    @property
    def copies(self) -> int:
        """Registers that copies take where instructions write over their operands, as seen in emitted code."""
        return 6 if self.is_x86 and "avx2" not in self.needs else 0

    @property
    def takes_lanes(self) -> bool:
        """Whether a product takes one lane of a register with all lanes of another."""
        return self.arch == "aarch64"

    @property
    def has_fma(self) -> bool:
        """Whether a multiplication and an addition are one instruction with one rounding."""
        return not self.is_x86 or "fma" in self.needs

    @property
    def needs(self) -> frozenset[str]:
        """The features that a machine must have, in the words of LLVM."""
        return frozenset(part[1:] for part in self.features.split(",") if part.startswith("+"))


X86 = "x86_64-unknown-linux-gnu"
ARM = "aarch64-unknown-linux-gnu"
V3 = "+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe,+popcnt"
V4 = f"{V3},+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx512cd"

ISAS = {
    isa.name: isa
    for isa in (
        Isa("x86-64", "any 64-bit x86: SSE2", X86, "", 16, 16, "pmaddwd"),
        Isa("x86-64-v3", "Intel Haswell, AMD Zen and later: AVX2", X86, V3, 32, 16, "vpmaddwd", shuffle="pshufb"),
        Isa(
            "avx-vnni",
            "Intel Alder Lake and later: AVX2 with int8 dot products",
            X86,
            f"{V3},+avxvnni",
            32,
            16,
            "vpdpbusd",
            shuffle="pshufb",
        ),
        Isa(
            "avx512",
            "Intel Skylake-X: AVX-512 without int8 dot products",
            X86,
            V4,
            64,
            32,
            "vpmaddwd",
            shuffle="pshufb",
        ),
        Isa(
            "avx512-vnni",
            "Intel Ice Lake, AMD Zen 4 and later: AVX-512 with int8 dot products",
            X86,
            f"{V4},+avx512vnni,+avx512vbmi",
            64,
            32,
            "vpdpbusd",
            shuffle="vpermi2b",
        ),
        Isa("aarch64", "any 64-bit Arm", ARM, "+neon", 16, 32, "smlal", shuffle="tbl"),
        Isa(
            "aarch64+dotprod",
            "Arm Cortex-A75, Neoverse N1 and later",
            ARM,
            "+neon,+dotprod",
            16,
            32,
            "sdot",
            shuffle="tbl",
        ),
        Isa(
            "aarch64+i8mm",
            "Arm Neoverse V1, N2, Cortex-A510 and later",
            ARM,
            "+neon,+dotprod,+i8mm",
            16,
            32,
            "usdot",
            shuffle="tbl",
        ),
        Isa(
            "riscv64",
            "64-bit RISC-V without vectors",
            "riscv64-unknown-linux-gnu",
            "+m,+a,+f,+d,+c",
            16,
            8,
            "multiply",
        ),
    )
}

HOST_FIRST = (
    "avx512-vnni",
    "avx512",
    "avx-vnni",
    "x86-64-v3",
    "x86-64",
    "aarch64+i8mm",
    "aarch64+dotprod",
    "aarch64",
    "riscv64",
)
"""Where this machine offers several, the first is taken."""


def runs_here(isa: Isa) -> bool:
    """Whether this machine has the instructions."""
    return isa.arch == host_triple().split("-")[0] and (isa.needs <= host_features() or isa.name in EVERYWHERE)


EVERYWHERE = ("x86-64", "aarch64", "riscv64")
"""What every machine of its architecture has that runs Linux."""


def known_host() -> Isa | None:
    """The best instruction set of this machine; None if irc knows none of its."""
    return next((ISAS[name] for name in HOST_FIRST if runs_here(ISAS[name])), None)


def host() -> Isa:
    """The best instruction set of this machine. Raises UsageError if irc knows none of its."""
    found = known_host()
    if found is None:
        message = f"irc has no instruction set for this machine ({host_triple()})"
        raise UsageError(message, hint=f"--target is one of {', '.join(ISAS)}")
    return found
