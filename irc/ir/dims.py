"""Dimensions: integers, named symbols, bounded data-dependent counts, and polynomials of these.

A symbolic dimension is an integer polynomial over atoms in canonical order; an atom is a symbol or an application of
`floordiv`, `mod`, `min`, `max`. Two dimensions are equal when their normal forms are equal, different when they differ
by a non-zero constant, and otherwise undecidable, which is an error wherever equality matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from irc.ir.diagnostics import IrcError


@dataclass(frozen=True, slots=True)
class Call:
    """`floordiv(a, b)`, `mod(a, b)`, `min(a, b)` or `max(a, b)` that does not simplify."""

    fn: str
    args: tuple[Dim, ...]

    def __str__(self) -> str:
        return f"{self.fn}({', '.join(str(a) for a in self.args)})"


Atom: TypeAlias = str | Call
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]  # ((atom, power), ...) in order of str(atom)


@dataclass(frozen=True, slots=True)
class Expr:
    """A non-constant polynomial: ((monomial, coefficient), ...), highest degree first, no zero coefficients."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Dim) -> Dim:
        return _sum(self, other, 1)

    def __radd__(self, other: int) -> Dim:
        return _sum(other, self, 1)

    def __sub__(self, other: Dim) -> Dim:
        return _sum(self, other, -1)

    def __rsub__(self, other: int) -> Dim:
        return _sum(other, self, -1)

    def __mul__(self, other: Dim) -> Dim:
        return mul(self, other)

    def __rmul__(self, other: int) -> Dim:
        return mul(other, self)

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other)

    def __mod__(self, other: Dim) -> Dim:
        return mod(self, other)

    def __str__(self) -> str:
        out = ""
        for mono, coef in self.terms:
            text = "*".join(str(a) for a, power in mono for _ in range(power))
            sign = "-" if coef < 0 else ("+" if out else "")
            size = abs(coef)
            if not text:
                body = str(size)
            else:
                body = text if size == 1 else f"{text}*{size}"
            out += sign + body
        return out


Dim: TypeAlias = int | Expr
Shape: TypeAlias = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Symbol:
    """The declaration of a symbol in `where`: its inclusive range, and whether it is a count born from data."""

    name: str
    lo: int
    hi: int
    counted: bool = False

    def __str__(self) -> str:
        return f"{self.name} <= {self.hi}" if self.counted else f"{self.name} in [{self.lo}, {self.hi}]"


def symbol(name: str) -> Expr:
    """The dimension that is just this symbol."""
    return _atom(name)


def _atom(atom: Atom) -> Expr:
    return Expr(((((atom, 1),), 1),))


def _order(item: tuple[Monomial, int]) -> tuple[int, list[tuple[str, int]]]:
    mono, _ = item
    return -sum(p for _, p in mono), [(str(a), -p) for a, p in mono]


def _terms(d: Dim) -> dict[Monomial, int]:
    if isinstance(d, int):
        return {(): d} if d else {}
    return dict(d.terms)


MAX_TERMS = 256  # of one polynomial; products of sums would otherwise grow exponentially with their text
MAX_SIZE = 2**62  # of a number or coefficient: dimensions fit 64 bits


def _make(terms: Mapping[Monomial, int]) -> Dim:
    kept = {m: c for m, c in terms.items() if c}
    if len(kept) > MAX_TERMS or any(abs(c) > MAX_SIZE for c in kept.values()):
        raise IrcError("a dimension is too large")
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    return Expr(tuple(sorted(kept.items(), key=_order)))


def _sum(a: Dim, b: Dim, sign: int) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a + sign * b
    return _make(_sum_terms(a, b, sign))


def _sum_terms(a: Dim, b: Dim, sign: int) -> dict[Monomial, int]:
    out = _terms(a)
    for mono, coef in _terms(b).items():
        out[mono] = out.get(mono, 0) + sign * coef
    return out


def add(a: Dim, b: Dim) -> Dim:
    return _sum(a, b, 1)


def sub(a: Dim, b: Dim) -> Dim:
    return _sum(a, b, -1)


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers: dict[Atom, int] = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def mul(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    out: dict[Monomial, int] = {}
    for ma, ca in _terms(a).items():
        for mb, cb in _terms(b).items():
            mono = _times(ma, mb)
            out[mono] = out.get(mono, 0) + ca * cb
    return _make(out)


def product(dims: Shape) -> Dim:
    """The number of elements of a shape."""
    total: Dim = 1
    for d in dims:
        total = mul(total, d)
    return total


def _divide_exactly(a: Dim, b: Dim) -> Dim | None:
    """`a / b` if `b` is one term that divides every term of `a`, else None."""
    divisor = _terms(b)
    if len(divisor) != 1:
        return 1 if a == b else None
    [(mono_b, coef_b)] = divisor.items()
    out: dict[Monomial, int] = {}
    for mono, coef in _terms(a).items():
        powers: dict[Atom, int] = dict(mono)
        for atom, power in mono_b:
            if powers.get(atom, 0) < power:
                return None
            powers[atom] -= power
        if coef % coef_b:
            return None
        rest = tuple((atom, power) for atom, power in powers.items() if power)
        out[rest] = coef // coef_b
    return _make(out)


def _require_positive(fn: str, b: Dim) -> None:
    if isinstance(b, int) and b < 1:
        raise IrcError(f"{fn} needs a positive divisor, got {b}")


def floordiv(a: Dim, b: Dim) -> Dim:
    """`a // b` for positive `b`; exact divisions simplify. Raises IrcError for a constant `b` below 1."""
    _require_positive("floordiv", b)
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    exact = _divide_exactly(a, b)
    if exact is not None:
        return exact
    if isinstance(b, int):  # split off what divides: (6n + 5) // 3 = 2n + (0n + 5) // 3
        whole = {m: c // b for m, c in _terms(a).items() if c % b == 0 or m == ()}
        rest = {m: (c % b if m == () else c) for m, c in _terms(a).items() if c % b}
        if any(whole.values()):
            return add(_make(whole), floordiv(_make(rest), b))
    return _atom(Call("floordiv", (a, b)))


def mod(a: Dim, b: Dim) -> Dim:
    """`a mod b` for positive `b`. Raises IrcError for a constant `b` below 1."""
    _require_positive("mod", b)
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if _divide_exactly(a, b) is not None:
        return 0
    if isinstance(b, int):
        rest = _make({m: c % b for m, c in _terms(a).items()})
        if rest != a:
            return mod(rest, b)
    return _atom(Call("mod", (a, b)))


def _extremum(fn: str, pick: Callable[[int, int], int], a: Dim, b: Dim) -> Dim:
    difference = sub(a, b)
    if isinstance(difference, int):
        return a if pick(difference, 0) == difference else b
    first, second = sorted((a, b), key=str)
    return _atom(Call(fn, (first, second)))


def dim_min(a: Dim, b: Dim) -> Dim:
    return _extremum("min", min, a, b)


def dim_max(a: Dim, b: Dim) -> Dim:
    return _extremum("max", max, a, b)


FUNCTIONS: dict[str, Callable[[Dim, Dim], Dim]] = {"floordiv": floordiv, "mod": mod, "min": dim_min, "max": dim_max}


def equal(a: Dim, b: Dim) -> bool | None:
    """True or False where it can be decided, else None."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    rest = {mono: coef for mono, coef in _sum_terms(a, b, -1).items() if coef}
    return not rest if rest.keys() <= {()} else None


def same_shape(a: Shape, b: Shape) -> bool:
    """Whether two shapes are provably equal."""
    return len(a) == len(b) and all(equal(x, y) is True for x, y in zip(a, b, strict=True))


def substitute(d: Dim, values: Mapping[str, Dim]) -> Dim:
    """The dimension with symbols replaced; what `values` does not name stays."""
    if isinstance(d, int):
        return d
    total: Dim = 0
    for mono, coef in d.terms:
        term: Dim = coef
        for atom, power in mono:
            if isinstance(atom, str):
                base = values.get(atom, symbol(atom))
            else:
                first, second = (substitute(a, values) for a in atom.args)
                base = FUNCTIONS[atom.fn](first, second)
            for _ in range(power):
                term = mul(term, base)
        total = add(total, term)
    return total


def evaluate(d: Dim, values: Mapping[str, int]) -> int:
    """The number a dimension stands for. Raises IrcError if a symbol has no value."""
    out = substitute(d, values)
    if not isinstance(out, int):
        missing = ", ".join(sorted(symbols_of(out)))
        raise IrcError(f"dimension {d} has no value: {missing} unknown")
    return out


def solve(equations: Iterable[tuple[Dim, Dim]], unknown: frozenset[str]) -> dict[str, Dim]:
    """What `unknown` symbols must be for `left = right` to hold, `right` being free of them.

    Solves one linear equation in one unknown after the other; a symbol that this does not reach has no entry. Whether
    all equations hold is the caller's to check.
    """
    pending = [(left, right) for left, right in equations if symbols_of(left) & unknown]
    known: dict[str, Dim] = {}
    while True:
        before = len(known)
        for left, right in pending:
            rest = sub(substitute(left, known), right)
            names = symbols_of(rest) & unknown - known.keys()
            if len(names) == 1 and (value := _root(rest, *names)) is not None:
                known[next(iter(names))] = value
        if len(known) == before:
            return known


def _root(d: Dim, name: str) -> Dim | None:
    """The value of symbol `name` for which `d`, linear in it, is 0; None if there is none."""
    terms = _terms(d)
    factor = terms.pop(((name, 1),), 0)
    constant = _make(terms)
    if factor == 0 or name in symbols_of(constant):
        return None
    return _divide_exactly(constant, -factor)


def symbols_of(d: Dim) -> frozenset[str]:
    """The names of all symbols in a dimension."""
    if isinstance(d, int):
        return frozenset()
    names: set[str] = set()
    for mono, _ in d.terms:
        for atom, _ in mono:
            if isinstance(atom, str):
                names.add(atom)
            else:
                for arg in atom.args:
                    names |= symbols_of(arg)
    return frozenset(names)


def bounds(d: Dim, ranges: Mapping[str, Symbol]) -> tuple[int, int]:
    """An interval that holds every value of the dimension (interval arithmetic: sound, not always tight)."""
    if isinstance(d, int):
        return d, d
    low = high = 0
    for mono, coef in d.terms:
        lo = hi = coef
        for atom, power in mono:
            a_lo, a_hi = _atom_bounds(atom, ranges)
            for _ in range(power):
                corners = [lo * a_lo, lo * a_hi, hi * a_lo, hi * a_hi]
                lo, hi = min(corners), max(corners)
        low, high = low + lo, high + hi
    return low, high


def _atom_bounds(atom: Atom, ranges: Mapping[str, Symbol]) -> tuple[int, int]:
    if isinstance(atom, str):
        if atom not in ranges:
            raise IrcError(f"symbol {atom} is not declared in 'where'")
        return ranges[atom].lo, ranges[atom].hi
    (a_lo, a_hi), (b_lo, b_hi) = (bounds(a, ranges) for a in atom.args)
    if atom.fn == "min":
        return min(a_lo, b_lo), min(a_hi, b_hi)
    if atom.fn == "max":
        return max(a_lo, b_lo), max(a_hi, b_hi)
    if b_lo <= 0:
        raise IrcError(f"{atom}: the divisor may be zero or negative")
    if atom.fn == "mod":
        return 0, b_hi - 1
    corners = [a // b for a in (a_lo, a_hi) for b in (b_lo, b_hi)]
    return min(corners), max(corners)
