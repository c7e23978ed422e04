"""Dimensions against brute force: whatever the normal form says must hold for every value of the symbols."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from expecting import fails
from hypothesis import assume, given
from hypothesis import strategies as st

from irc.ir.diagnostics import IrcError
from irc.ir.dims import (
    MAX_TERMS,
    Call,
    Dim,
    Expr,
    Symbol,
    add,
    bounds,
    dim_max,
    dim_min,
    equal,
    evaluate,
    floordiv,
    mod,
    mul,
    product,
    same_shape,
    solve,
    sub,
    substitute,
    symbol,
    symbols_of,
)
from irc.ir.parser import parse

A, B, N = symbol("a"), symbol("b"), symbol("n")
RANGES = {"a": Symbol("a", 0, 4), "b": Symbol("b", 1, 5), "n": Symbol("n", 0, 3, counted=True)}
OPERATIONS = {"+": add, "-": sub, "*": mul, "//": floordiv, "%": mod, "min": dim_min, "max": dim_max}
PLAIN = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "min": min,
    "max": max,
}

# A formula is a number, the name of a symbol, or (operation, formula, formula): what `Dim` must agree with.
Formula = int | str | tuple[str, "Formula", "Formula"]
leaves = st.integers(-6, 9) | st.sampled_from(sorted(RANGES))
formulas: st.SearchStrategy[Formula] = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from(sorted(OPERATIONS)), inner, inner), max_leaves=7
)


def built(formula: Formula) -> Dim:
    if isinstance(formula, tuple):
        return OPERATIONS[formula[0]](built(formula[1]), built(formula[2]))
    return symbol(formula) if isinstance(formula, str) else formula


def plain(formula: Formula, values: dict[str, int]) -> int | None:
    """The value of a formula; None where a divisor is not positive."""
    if not isinstance(formula, tuple):
        return values[formula] if isinstance(formula, str) else formula
    operation, *operands = formula
    x, y = (plain(f, values) for f in operands)
    if x is None or y is None or (operation in ("//", "%") and y < 1):
        return None
    return PLAIN[operation](x, y)


def assignments() -> Iterator[dict[str, int]]:
    ranges = [range(s.lo, s.hi + 1) for s in RANGES.values()]
    return (dict(zip(RANGES, numbers, strict=True)) for numbers in itertools.product(*ranges))


def dim_of(formula: Formula) -> Dim:
    try:
        return built(formula)
    except IrcError:  # a divisor that is a constant below 1
        assume(False)
        raise


@given(formulas)
def test_normal_form_has_the_value_of_the_formula(formula: Formula) -> None:
    dim = dim_of(formula)
    for values in assignments():
        expected = plain(formula, values)
        if expected is not None:
            assert evaluate(dim, values) == expected


@given(formulas, formulas)
def test_decided_equality_holds_everywhere(left: Formula, right: Formula) -> None:
    decided = equal(dim_of(left), dim_of(right))
    for values in assignments():
        x, y = plain(left, values), plain(right, values)
        if decided is not None and x is not None and y is not None:
            assert (x == y) is decided


@given(formulas)
def test_bounds_hold_every_value(formula: Formula) -> None:
    dim = dim_of(formula)
    try:
        low, high = bounds(dim, RANGES)
    except IrcError:  # the divisor may be zero
        assume(False)
        raise
    assert all(low <= evaluate(dim, values) <= high for values in assignments())


@given(formulas, formulas)
def test_substitution_is_evaluation(formula: Formula, inner: Formula) -> None:
    dim, value = dim_of(formula), dim_of(inner)
    for values in assignments():
        n = plain(inner, values)
        if n is None or (expected := plain(formula, values | {"n": n})) is None:
            continue
        try:
            replaced = substitute(dim, {"n": value})
        except IrcError:
            continue  # some divisor became a constant below 1, which other values of the symbols do not reach
        assert evaluate(replaced, values) == expected


@given(formulas)
def test_text_reads_back(formula: Formula) -> None:
    dim = dim_of(formula)
    where = ", ".join(map(str, RANGES.values()))
    text = f"func @f(%x: f32[4, max(0, {dim})]) -> f32[4, max({dim}, 0)] where {where} {{ return %x }}"
    module = parse(text, check=False)
    (value,) = module.functions["f"].inputs
    assert same_shape(value.type.shape, (4, dim_max(dim, 0)))
    assert str(parse(str(module), check=False)) == str(module)


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (add(A, B), "a+b"),
        (sub(mul(A, 2), 3), "a*2-3"),
        (mul(add(A, 1), add(A, -1)), "a*a-1"),
        (sub(0, A), "-a"),
        (sub(A, A), "0"),
        (add(mul(B, A), mul(A, B)), "a*b*2"),
        (floordiv(add(mul(A, 6), 5), 3), "a*2+1"),
        (floordiv(mul(A, B), B), "a"),
        (mod(add(mul(A, 4), 6), 4), "2"),
        (mod(mul(A, B), A), "0"),
        (dim_min(A, add(A, 1)), "a"),
        (dim_max(B, A), "max(a, b)"),
        (dim_max(A, A), "a"),
        (product((2, A, 3)), "a*6"),
        (3 - A + 1, "-a+4"),
        (2 * A % 4 // B, "floordiv(mod(a*2, 4), b)"),
    ],
)
def test_normal_forms(dim: Dim, text: str) -> None:
    assert str(dim) == text


def test_equality_is_decided_or_not() -> None:
    assert equal(add(A, 1), A) is False
    assert equal(add(A, B), add(B, A)) is True
    assert equal(A, B) is None
    assert not same_shape((A,), (B,))
    assert not same_shape((A,), (A, 1))


def test_symbols() -> None:
    assert symbols_of(add(dim_max(A, mul(B, 2)), N)) == {"a", "b", "n"}
    assert symbols_of(3) == frozenset()


@given(st.integers(1, 5), st.integers(-4, 9), st.integers(0, 20))
def test_solve_finds_a_linear_unknown(factor: int, offset: int, value: int) -> None:
    dim = add(mul(N, factor), offset)
    assert solve([(dim, evaluate(dim, {"n": value}))], frozenset("n")) == {"n": value}


def test_solve_goes_from_one_unknown_to_the_next() -> None:
    equations = [(mul(A, B), 12), (add(mul(B, 2), 1), 7), (floordiv(N, 2), 5)]
    assert solve(equations, frozenset("abn")) == {"b": 3, "a": 4}
    assert solve([(mul(A, 2), 7)], frozenset("a")) == {}
    assert solve([(add(A, mod(A, 2)), 7)], frozenset("a")) == {}


def test_solve_for_symbols() -> None:
    assert solve([(add(N, 1), add(mul(A, 2), 5))], frozenset("n")) == {"n": add(mul(A, 2), 4)}


def test_what_cannot_be() -> None:
    with fails("floordiv needs a positive divisor, got 0"):
        floordiv(A, sub(B, B))
    with fails("mod needs a positive divisor, got -2"):
        mod(A, -2)
    with fails("mod needs a positive divisor, got 0"):
        substitute(mod(7, A), {"a": 0})
    with fails("dimension a+b has no value: b unknown"):
        evaluate(add(A, B), {"a": 1})
    with fails("symbol m is not declared in 'where'"):
        bounds(symbol("m"), RANGES)
    with fails("mod(7, a): the divisor may be zero or negative"):
        bounds(mod(7, A), RANGES)


def test_sizes_are_bounded() -> None:
    many: Dim = 0
    for index in range(20):
        many = add(many, symbol(f"s{index}"))
    assert isinstance(mul(many, many), Expr)
    assert len(mul(many, many).terms) <= MAX_TERMS
    with fails("a dimension is too large"):
        mul(mul(many, many), many)
    with fails("a dimension is too large"):
        mul(mul(A, 2**62), 2)


def test_calls_print() -> None:
    assert str(Call("mod", (A, 3))) == "mod(a, 3)"
    assert str(RANGES["a"]) == "a in [0, 4]"
    assert str(RANGES["n"]) == "n <= 3"
