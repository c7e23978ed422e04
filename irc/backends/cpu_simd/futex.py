"""Sleeping until another thread says so, without a C library: the futex call of Linux, as bytes (see `probe.py`).

On an architecture without them a thread that should sleep goes on looking instead, which is correct, but not idle.
"""

from __future__ import annotations

from irc.backends.cpu_simd.codegen.lanes import Function, Lane, bytes_text
from irc.backends.cpu_simd.isa import Isa

CODE = {
    "x86_64": "4d31d2 b8ca000000 0f05 c3",
    "aarch64": "030080d2 480c80d2 010000d4 c0035fd6",
}
"""futex(rdi, esi, edx, timeout: none): xor r10, r10; mov eax, 202; syscall; ret, and
futex(x0, w1, w2, none): mov x3, 0; mov x8, 98; svc 0; ret"""

WAIT, WAKE = 128, 129
"""FUTEX_WAIT and FUTEX_WAKE of one process (with FUTEX_PRIVATE_FLAG)."""

ALL = 2**31 - 1


def definition(isa: Isa) -> str:
    """The function that `sleep` and `wake` call."""
    if isa.arch not in CODE:
        return "define internal i64 @irc.futex(ptr, i32, i32) #1 { ret i64 0 }\n"
    code = bytes_text(bytes.fromhex(CODE[isa.arch]))
    return f"define internal i64 @irc.futex(ptr, i32, i32) #1 prologue {code} {{ unreachable }}\n"


def sleep(f: Function, word: Lane, known: Lane) -> None:
    """Sleep while an i32 in memory is what it was known to be. May wake without a reason."""
    _call(f, word, WAIT, known)


def wake(f: Function, word: Lane, most: Lane) -> None:
    """Wake at most so many threads that sleep on a word."""
    _call(f, word, WAKE, most)


def pause(f: Function, isa: Isa) -> None:
    """Leave the core to a thread beside for a moment."""
    if isa.is_x86:
        f.declare("llvm.x86.sse2.pause", "void", ())
        f.do("call void @llvm.x86.sse2.pause()")
    elif isa.arch == "aarch64":
        f.declare("llvm.aarch64.hint", "void", ("i32",))
        f.do("call void @llvm.aarch64.hint(i32 1)")


def _call(f: Function, word: Lane, what: int, number: Lane) -> None:
    f.do(f"call i64 @irc.futex({word.typed}, i32 {what}, {number.typed})")
