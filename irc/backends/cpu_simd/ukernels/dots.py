"""Instructions that sum products: what they take, how many products a lane gets from one, how they are written.

Codes reach a dot product in the form that it takes: activations plus an offset as `a`, weights as `b`. The offset is
taken back by the bias, as is the zero point: `sum((x - zp) * w) = sum((x + offset) * w) - (zp + offset) * sum(w)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.isa import Isa
from irc.ir.dims import Dim
from irc.ir.scalars import F32, F64, I8, I16, I32, U8, ScalarType

Apply = Callable[[Lane, Lane, Lane], Lane]
"""acc, a, b -> acc + a * b; a and b have the bits of `acc`'s lanes."""


Flush = Callable[[Lane, Lane], Lane]
"""acc, partial -> acc + the sums in partial."""


@dataclass(frozen=True)
class DotForm:
    """A way to sum products. `group` neighbouring products go into one lane of the accumulator `acc`.

    A form with `steps` sums so many groups in narrow lanes of their own before `flush` adds these to the accumulator;
    where narrow lanes hold only one, `once` does both. `spare` are the registers a product takes beside its operands.

    Where `rows` is 2, `a` holds a group of two rows, `b` those of half as many columns, and the accumulator the sums of
    all pairs of them, those of a row next to each other.
    """

    name: str
    group: int
    a: ScalarType
    b: ScalarType
    acc: str
    apply: Apply
    steps: int = 0
    flush: Flush | None = None
    once: Apply | None = None
    spare: int = 0
    by_lane: bool = True  # where a machine has such products
    rows: int = 1

    @property
    def group_bytes(self) -> int:
        """A group of a row."""
        return self.group * self.a.dtype.itemsize

    @property
    def acc_bytes(self) -> int:
        return 8 if self.acc == "double" else 4

    def shift(self, low: int, high: int) -> int | None:
        """What brings codes from low to high into the range of `a`; None if nothing does."""
        if not self.a.is_integer:
            return 0
        for shift in (0, 128, -128):
            if self.a.min <= low + shift and high + shift <= self.a.max:
                return shift
        return None

    def takes(self, low: int, high: int) -> bool:
        """Whether `b` holds all weights from low to high."""
        return not self.b.is_integer or (self.b.min <= low and high <= self.b.max)

    def sum(self, acc: Lane, ones: Lane, b: Lane) -> Lane:
        """The accumulator plus the weights of each column; every code of `ones` is 1."""
        if self.flush is None:
            return self.apply(acc, ones, b)
        return self.flush(acc, self.apply(acc.f.const(0, "i32", acc.lanes), ones, b))

    def suited(self, x: Range, w: Range) -> DotForm | None:
        """The form for activation codes and weights of these intervals; None if it cannot take them."""
        shift = self.shift(*x)
        if shift is None or not self.takes(*w):
            return None
        if self.flush is None:
            return self
        worst = self.group // 2 * max(-x[0] - shift, x[1] + shift) * max(-w[0], w[1])
        steps = NARROW_MAX // max(1, worst)
        if steps == 1 and self.once is not None:
            return replace(self, apply=self.once, flush=None, spare=self.spare + 1)
        return replace(self, steps=min(steps, MOST_STEPS)) if steps else None


Range: TypeAlias = tuple[int, int]
NARROW_MAX = 2**15 - 1
MOST_STEPS = 64


def _fma(acc: Lane, a: Lane, b: Lane) -> Lane:
    return acc.f.fma(a, b, acc)


def _multiply(acc: Lane, a: Lane, b: Lane) -> Lane:
    return acc + a * b


def _vpdpbusd(acc: Lane, a: Lane, b: Lane) -> Lane:
    f, bits = acc.f, 32 * acc.lanes
    name = f"llvm.x86.avx512.vpdpbusd.{bits}"
    return f.call(name, "i32", acc.lanes, acc, f.bitcast(a, "i8", bits // 8), f.bitcast(b, "i8", bits // 8))


def _vpmaddwd(acc: Lane, a: Lane, b: Lane) -> Lane:
    f, pairs = acc.f, 2 * acc.lanes
    name = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}[acc.lanes]
    return acc + f.call(name, "i32", acc.lanes, f.bitcast(a, "i16", pairs), f.bitcast(b, "i16", pairs))


def _sdot(acc: Lane, a: Lane, b: Lane) -> Lane:
    return _arm("sdot", acc, b, a)  # the last operand may be one lane of a register


def _usdot(acc: Lane, a: Lane, b: Lane) -> Lane:
    return _arm("usdot", acc, a, b)  # `sudot` with its operands changed takes a lane


def _usmmla(acc: Lane, a: Lane, b: Lane) -> Lane:
    return _arm("usmmla", acc, a, b)


def _arm(name: str, acc: Lane, x: Lane, y: Lane) -> Lane:
    f = acc.f
    given = (acc, f.bitcast(x, "i8", 16), f.bitcast(y, "i8", 16))
    return f.call(f"llvm.aarch64.neon.{name}.v4i32.v16i8", "i32", 4, *given)


def _vpmaddubsw(acc: Lane, a: Lane, b: Lane) -> Lane:
    f, size = acc.f, 4 * acc.lanes
    name = {4: "llvm.x86.ssse3.pmadd.ub.sw.128", 8: "llvm.x86.avx2.pmadd.ub.sw", 16: "llvm.x86.avx512.pmaddubs.w.512"}
    pairs = f.call(name[acc.lanes], "i16", size // 2, f.bitcast(a, "i8", size), f.bitcast(b, "i8", size))
    return f.bitcast(f.bitcast(acc, "i16", size // 2) + pairs, "i32", acc.lanes)


def _flush_pairs(acc: Lane, partial: Lane) -> Lane:
    return _vpmaddwd(acc, partial, acc.f.const(0x10001, "i32", acc.lanes))


def _vpmaddubsw_once(acc: Lane, a: Lane, b: Lane) -> Lane:
    return _flush_pairs(acc, _vpmaddubsw(acc.f.const(0, "i32", acc.lanes), a, b))


def _smlal(acc: Lane, a: Lane, b: Lane) -> Lane:
    sums = acc.f.bitcast(acc, "i16", 8)
    for products in _smull(a, b):
        sums = sums + products
    return acc.f.bitcast(sums, "i32", 4)


def _smull(a: Lane, b: Lane) -> Iterator[Lane]:
    """Products of the first two and of the last two of each four codes."""
    f = a.f
    for low in (0, 16):
        pairs = (f.convert("trunc", f.lshr(words, low) if low else words, "i16") for words in (a, b))
        x, y = (f.convert("sext", f.bitcast(pair, "i8", 8), "i16") for pair in pairs)
        yield x * y


def _sadalp(acc: Lane, partial: Lane) -> Lane:
    f = acc.f
    return acc + f.call("llvm.aarch64.neon.saddlp.v4i32.v8i16", "i32", 4, f.bitcast(partial, "i16", 8))


def _smlal_once(acc: Lane, a: Lane, b: Lane) -> Lane:
    return _sadalp(acc, _smlal(acc.f.const(0, "i32", 4), a, b))


def _smull_each(acc: Lane, a: Lane, b: Lane) -> Lane:
    for products in _smull(a, b):
        acc = _sadalp(acc, products)
    return acc


FLOAT_FORMS = {
    (F32, True): DotForm("fma", 1, F32, F32, "float", _fma),
    (F64, True): DotForm("fma64", 1, F64, F64, "double", _fma),
    (F32, False): DotForm("muladd", 1, F32, F32, "float", _multiply),
    (F64, False): DotForm("muladd64", 1, F64, F64, "double", _multiply),
}
"""By type, and whether the machine has a fused multiply-add."""
MULTIPLY = DotForm("multiply", 1, I32, I32, "i32", _multiply)
FORMS = {
    "vpdpbusd": DotForm("vpdpbusd", 4, U8, I8, "i32", _vpdpbusd),
    "vpmaddubsw": DotForm("vpmaddubsw", 4, U8, I8, "i32", _vpmaddubsw, 0, _flush_pairs, _vpmaddubsw_once, 1),
    "vpmaddwd": DotForm("vpmaddwd", 2, I16, I16, "i32", _vpmaddwd, spare=1),
    "smlal": DotForm("smlal", 4, I8, I8, "i32", _smlal, 0, _sadalp, _smlal_once, 14, False),
    "smull": DotForm("smull", 4, I8, I8, "i32", _smull_each, spare=14, by_lane=False),
    "sdot": DotForm("sdot", 4, I8, I8, "i32", _sdot),
    "usdot": DotForm("usdot", 4, U8, I8, "i32", _usdot),
    "multiply": MULTIPLY,
}
OF_ROWS = {"usdot": DotForm("usmmla", 8, U8, I8, "i32", _usmmla, spare=6, rows=2)}
"""The form by which several rows are multiplied with the same weights, where it is another one."""
FALLBACKS = {
    "vpdpbusd": ("vpdpbusd", "vpmaddwd", "multiply"),
    "vpmaddwd": ("vpmaddubsw", "vpmaddwd", "multiply"),
    "pmaddwd": ("vpmaddwd", "multiply"),
    "usdot": ("usdot", "sdot", "multiply"),
    "sdot": ("sdot", "multiply"),
    "smlal": ("smlal", "smull", "multiply"),
    "multiply": ("multiply",),
}


def loaded_together(isa: Isa, form: DotForm) -> int:
    """Neighbouring groups of `a` that one load brings: several where a product takes any lane of what was loaded."""
    return isa.vector_bytes // form.group_bytes if isa.takes_lanes and form.by_lane else 1


def of_rows(form: DotForm, rows: Dim) -> DotForm:
    """The form for so many rows, of the same codes."""
    return form if rows == 1 else OF_ROWS.get(form.name, form)


def float_form(isa: Isa, scalar: ScalarType) -> DotForm:
    """The form of products of floats; half floats are computed as f32."""
    return FLOAT_FORMS[F64 if scalar == F64 else F32, isa.has_fma]


def integer_form(isa: Isa, x: Range, w: Range) -> DotForm:
    """The fastest form that holds activation codes and weights of these intervals."""
    forms = (FORMS[name].suited(x, w) for name in FALLBACKS[isa.dot])
    return next((form for form in forms if form is not None), MULTIPLY)
