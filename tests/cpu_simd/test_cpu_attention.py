"""Scaled dot-product attention against the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_running import agree, results, tight
from test_cpu_rows import array as numbers
from test_cpu_rows import shape_text

from irc.ir.graph import Module
from irc.ir.parser import parse
from irc.ir.scalars import Array

Shape = tuple[int, ...]


def array(rng: np.random.Generator, kind: str, shape: Shape) -> Array:
    """Numbers that give scores of a few units: their error is that of an exponent."""
    return numbers(rng, kind, shape) / 4


def attention(q: Shape, k: Shape, v: Shape, kind: str = "f32", mask: str = "") -> Module:
    given = f"%q: {kind}{shape_text(q)}, %k: {kind}{shape_text(k)}, %v: {kind}{shape_text(v)}"
    out = f"{kind}{shape_text((*q[:-1], v[-1]))}"
    more, name = (f", %m: {mask}", ", %m") if mask else ("", "")
    return parse(
        f"func @main({given}{more}) -> {out} {{\n"
        f"  %y = sdpa %q, %k, %v{name} {{scale = 0.25}} : {out}\n  return %y\n}}\n"
    )


def check(module: Module, *inputs: Array) -> None:
    agree(module, inputs, **tight(module))


SIZES = [(1, 1, 1, 1), (2, 3, 4, 5), (7, 8, 16, 16), (13, 33, 5, 40), (65, 65, 32, 32), (1, 100, 64, 64)]


@pytest.mark.parametrize(("m", "n", "d", "e"), SIZES)
def test_sizes(m: int, n: int, d: int, e: int) -> None:
    rng = np.random.default_rng(m)
    for batch in ((), (2, 3)):
        shapes = ((*batch, m, d), (*batch, n, d), (*batch, n, e))
        check(attention(*shapes), *(array(rng, "f32", s) for s in shapes))


@pytest.mark.parametrize("kind", ["f64", "f16", "bf16"])
def test_other_floats(kind: str) -> None:
    rng = np.random.default_rng(1)
    shapes = ((2, 9, 8), (2, 17, 8), (2, 17, 12))
    check(attention(*shapes, kind=kind), *(array(rng, kind, s) for s in shapes))


def test_masks() -> None:
    rng = np.random.default_rng(2)
    shapes = ((2, 9, 8), (2, 17, 8), (2, 17, 12))
    x = [array(rng, "f32", s) for s in shapes]
    keep = rng.random((9, 17)) < 0.5
    keep[3] = False
    check(attention(*shapes, mask="bool[9, 17]"), *x, keep)
    check(attention(*shapes, mask="f32[2, 1, 17]"), *x, array(rng, "f32", (2, 1, 17)))
    hidden = np.where(keep, 0, -np.inf).astype(np.float32)
    check(attention(*shapes, mask="f32[9, 17]"), *x, hidden)


def test_a_row_that_keeps_nothing_is_zero() -> None:
    x = np.ones((1, 4, 4), np.float32)
    (y,) = results(attention(x.shape, x.shape, x.shape, mask="bool[4, 4]"), [x, x, x, np.zeros((4, 4), bool)])
    np.testing.assert_array_equal(y, 0)


def test_keys_and_values_are_broadcast() -> None:
    rng = np.random.default_rng(3)
    shapes = ((2, 3, 9, 8), (3, 17, 8), (1, 3, 17, 12))
    check(attention(*shapes), *(array(rng, "f32", s) for s in shapes))


@pytest.mark.parametrize("n", [1, 5, 8, 15, 16, 33])
def test_symbolic_sizes_of_parts_of_one_tensor(n: int) -> None:
    """Heads of a projection to queries, keys and values; what follows is in the same kernel."""
    rng = np.random.default_rng(n)
    module = parse("""
func @main(%x: f32[b, n, 3, 2, 12]) -> f32[b, n, 24] where b in [1, 4], n in [1, 64] {
  %p = permute %x {order = [2, 0, 3, 1, 4]} : f32[3, b, 2, n, 12]
  %q3 = slice %p {axis = 0, start = 0, stop = 1, step = 1} : f32[1, b, 2, n, 12]
  %k3 = slice %p {axis = 0, start = 1, stop = 2, step = 1} : f32[1, b, 2, n, 12]
  %v3 = slice %p {axis = 0, start = 2, stop = 3, step = 1} : f32[1, b, 2, n, 12]
  %q = reshape %q3 : f32[b, 2, n, 12]
  %k = reshape %k3 : f32[b, 2, n, 12]
  %v = reshape %v3 : f32[b, 2, n, 12]
  %y = kernel (%a = %q, %c = %k, %d = %v) -> f32[b, 2, n, 12] {
    %s = sdpa %a, %c, %d {scale = 0.3} : f32[b, 2, n, 12]
    %r = add %s, %a : f32[b, 2, n, 12]
    yield %r
  }
  %t = permute %y {order = [0, 2, 1, 3]} : f32[b, n, 2, 12]
  %z = reshape %t : f32[b, n, 24]
  return %z
}
""")
    check(module, array(rng, "f32", (3, n, 3, 2, 12)))
