"""Einstein sums as sums, transpositions and one batched product."""

from __future__ import annotations

from collections.abc import Sequence

from irc.frontend.building import Building
from irc.frontend.composed.linear import matrix_product
from irc.ir.dims import Dim, product
from irc.ir.graph import Value
from irc.ir.ops.math import Sum
from irc.ir.ops.tensor import Permute, Reshape


def einsum(c: Building, equation: str, operands: Sequence[Value]) -> Value:
    """One or two operands without repeated letters or `...`: sums, transpositions and one batched matmul."""
    terms, _, out = equation.replace(" ", "").partition("->")
    letters = terms.split(",")
    if "->" not in equation:  # the implicit result: letters that occur once, sorted
        out = "".join(sorted(x for x in set(terms) - {","} if terms.count(x) == 1))
    repeated = any(len(set(term)) != len(term) for term in (*letters, out))
    if "." in equation or repeated or not 1 <= len(operands) <= 2:
        c.unsupported(f"equation '{equation}'", "write it with permute, matmul and sum")
    if len(operands) == 1:
        (x,), (names,) = operands, letters
        x, names = _sum_out(c, x, names, [n for n in names if n not in out])
        return _permuted(c, x, names, out)
    (x, y), (a, b) = operands, letters
    x, a = _sum_out(c, x, a, [n for n in a if n not in b + out])
    y, b = _sum_out(c, y, b, [n for n in b if n not in a + out])
    shared = [n for n in a if n in b and n in out]
    inner = [n for n in a if n in b and n not in out]
    left = [n for n in a if n not in b]
    right = [n for n in b if n not in a]
    sizes = dict(zip(a, x.type.shape, strict=True)) | dict(zip(b, y.type.shape, strict=True))
    products = matrix_product(
        c,
        _grouped(c, _permuted(c, x, a, [*shared, *left, *inner]), sizes, (shared, left, inner)),
        _grouped(c, _permuted(c, y, b, [*shared, *inner, *right]), sizes, (shared, inner, right)),
    )
    names = [*shared, *left, *right]
    whole = c.b(Reshape(products, tuple(sizes[n] for n in names)))
    return _permuted(c, whole, names, out)


def _sum_out(c: Building, x: Value, names: str, gone: Sequence[str]) -> tuple[Value, str]:
    if not gone:
        return x, names
    axes = tuple(names.index(n) for n in gone)
    return c.b(Sum(x, axes)), "".join(n for n in names if n not in gone)


def _permuted(c: Building, x: Value, names: Sequence[str], wanted: Sequence[str]) -> Value:
    order = tuple(names.index(n) for n in wanted)
    return x if order == tuple(range(len(order))) else c.b(Permute(x, order))


def _grouped(c: Building, x: Value, sizes: dict[str, Dim], groups: Sequence[Sequence[str]]) -> Value:
    batch, rows, columns = (product(tuple(sizes[n] for n in g)) for g in groups)
    return c.b(Reshape(x, (batch, rows, columns)))
