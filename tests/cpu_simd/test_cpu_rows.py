"""Softmax, norms and reductions: rows along and across vectors, of every length, of any strides, with what follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from cpu_running import all_results, same, tight
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.backends.cpu_simd.backend import CPU
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import host
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.scalars import Array, round_to_bf16, scalar

NORMS = {
    "softmax": "softmax %x {axis = AXIS}",
    "layer_norm": "layer_norm %x, %g, %b",
    "layer_norm without factors": "layer_norm %x {eps = 0.001}",
    "rms_norm": "rms_norm %x, %g",
    "rms_norm without factors": "rms_norm %x",
}

REDUCTIONS = {"sum": ("f32", "f64", "f16", "i8", "u8", "i32", "i64"), "mean": ("f32", "f64", "bf16")} | dict.fromkeys(
    ("amax", "argmax"), ("f32", "f64", "f16", "i8", "u8", "i32", "i64", "u32")
)


def shape_text(shape: tuple[int | str, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def array(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    t = scalar(name)
    if not t.is_float:
        return rng.integers(-100 if t.signed else 0, 100, shape).astype(t.dtype)
    x = (rng.standard_normal(shape) * 3 + 1).astype(t.dtype)
    return round_to_bf16(x) if name == "bf16" else x


def check(module: Module, *inputs: Array) -> None:
    check_all(module, inputs)


def check_all(module: Module, *calls: Sequence[Array]) -> None:
    """Compile once, and check the results of each call."""
    with np.errstate(all="ignore"):
        for inputs, given in zip(calls, all_results(module, calls), strict=True):
            same(given, interpret(module, inputs), **tight(module))


def norm(name: str, shape: tuple[int | str, ...], axis: int = -1, kind: str = "f32", where: str = "") -> Module:
    t, c = f"{kind}{shape_text(shape)}", f"{kind}[{shape[-1]}]"
    body = NORMS[name].replace("AXIS", str(axis))
    return parse(f"func @main(%x: {t}, %g: {c}, %b: {c}) -> {t} {where}{{\n  %y = {body} : {t}\n  return %y\n}}\n")


def reduction(op: str, kind: str, shape: tuple[int | str, ...], axes: list[int], keep: bool, where: str = "") -> Module:
    t = scalar(kind)
    wide = "i64" if op == "argmax" or (op == "sum" and kind == "i64") else "i32"
    out = kind if (t.is_float and op != "argmax") or op == "amax" else wide
    left = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    result = f"{out}{shape_text(left)}"
    return parse(
        f"func @main(%x: {kind}{shape_text(shape)}) -> {result} {where}{{\n"
        f"  %y = {op} %x {{axes = {axes}, keepdims = {str(keep).lower()}}} : {result}\n  return %y\n}}\n"
    )


@pytest.mark.parametrize("name", NORMS)
def test_every_row_length(name: str) -> None:
    rng = np.random.default_rng(0)
    for c in (*range(1, 20), 31, 32, 33, 40, 64, 197):
        check(norm(name, (3, c)), array(rng, "f32", (3, c)), array(rng, "f32", (c,)), array(rng, "f32", (c,)))


@pytest.mark.parametrize("kind", ["f64", "f16", "bf16"])
def test_norms_of_other_floats(kind: str) -> None:
    rng = np.random.default_rng(1)
    for name in NORMS:
        check(norm(name, (4, 21), kind=kind), *(array(rng, kind, s) for s in ((4, 21), (21,), (21,))))


def test_softmax_along_any_axis() -> None:
    rng = np.random.default_rng(2)
    for shape in ((5, 13), (2, 9, 17), (3, 1, 4, 8)):
        for axis in range(len(shape)):
            module = norm("softmax", shape, axis)
            c = array(rng, "f32", shape[-1:])
            check(module, array(rng, "f32", shape), c, c)


def test_softmax_of_infinities_and_nan() -> None:
    rows = [[0.0, -np.inf, 1.0], [-np.inf] * 3, [np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0], [1000.0, -1000.0, 999.0]]
    x, c = np.array(rows, np.float32), np.ones(3, np.float32)
    check(norm("softmax", x.shape), x, c, c)


def test_layer_norm_of_rows_far_from_zero() -> None:
    """The first mean of f32 sums is wrong by more than the deviations; the corrected one is not."""
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((4, 768)) + 30000).astype(np.float32)
    check(norm("layer_norm", x.shape), x, np.ones(768, np.float32), np.zeros(768, np.float32))


def test_layer_norm_over_several_axes() -> None:
    rng = np.random.default_rng(4)
    module = parse("""
func @main(%x: f32[2, 3, 5, 4], %g: f32[5, 4]) -> f32[2, 3, 5, 4] {
  %y = layer_norm %x, %g {axes = 2} : f32[2, 3, 5, 4]
  return %y
}
""")
    check(module, array(rng, "f32", (2, 3, 5, 4)), array(rng, "f32", (5, 4)))


@pytest.mark.parametrize("groups", [1, 3, 12])
def test_group_norm(groups: int) -> None:
    rng = np.random.default_rng(5)
    t = "f32[2, 12, 5, 3]"
    module = parse(
        f"func @main(%x: {t}, %g: f32[12], %b: f32[12]) -> {t} {{\n"
        f"  %y = group_norm %x, %g, %b {{groups = {groups}}} : {t}\n  return %y\n}}\n"
    )
    check(module, *(array(rng, "f32", s) for s in ((2, 12, 5, 3), (12,), (12,))))


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("kind", ["f32", "f64", "f16"])
def test_batch_norm(constant: bool, kind: str) -> None:
    """Statistics that are constants, and statistics that are inputs."""
    rng = np.random.default_rng(6)
    names, t = ("mean", "var", "g", "b"), f"{kind}[2, 3, 7]"
    given = dict(zip(names, ([0.5, -1.0, 2.0], [1.0, 0.25, 4.0], [1.0, 2.0, -1.0], [0.0, 1.0, 0.5]), strict=True))
    constants = "".join(f"  %{n} = const {v} : {kind}[3]\n" for n, v in given.items()) if constant else ""
    inputs = "" if constant else "".join(f", %{n}: {kind}[3]" for n in names)
    module = parse(
        f"func @main(%x: {t}{inputs}) -> {t} {{\n{constants}"
        f"  %y = batch_norm %x, %mean, %var, %g, %b : {t}\n  return %y\n}}\n"
    )
    x = array(rng, kind, (2, 3, 7))
    check(module, x, *([] if constant else [np.array(v, x.dtype) for v in given.values()]))


@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions(op: str) -> None:
    rng = np.random.default_rng(7)
    for kind in REDUCTIONS[op]:
        for shape, axes in (((3, 37), [1]), ((3, 37), [0]), ((2, 9, 11), [1]), ((2, 9, 11), [0, 2]), ((2, 9), [0, 1])):
            if op == "argmax" and len(axes) > 1:
                continue
            keep = bool(rng.integers(2))
            check(reduction(op, kind, shape, axes, keep), array(rng, kind, shape))


def test_the_largest_of_nan_and_equal_values() -> None:
    x = np.array([[1, 3, 3, -0.0], [np.nan, 1, np.nan, 5], [-np.inf] * 4, [-0.0, 0.0, -0.0, 0.0]], np.float32)
    for op in ("amax", "argmax"):
        check(reduction(op, "f32", x.shape, [1], False), x)
        check(reduction(op, "f32", x.shape, [0], False), x)


@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "bf16", "i8", "u8", "i32", "u32", "i64"])
def test_positions_of_the_largest(kind: str) -> None:
    rng = np.random.default_rng(9)
    for sizes, kept in (("3, 5, 19", 4), ("n, 7", 7), ("33", 1)):
        shape = tuple(2 if d == "n" else int(d) for d in sizes.split(", "))
        out = ", ".join([*sizes.split(", ")[:-1], str(kept)])
        where = " where n in [1, 4]" if "n" in sizes else ""
        text = f"func @main(%x: {kind}[{sizes}]) -> i64[{out}]{where} {{\n  %y = topk %x : i64[{out}]\n  return %y\n}}"
        x = array(rng, kind, shape)
        check(parse(text), x)
        check(parse(text), np.minimum(x, x.flat[0]))  # many are equal


def test_the_largest_come_first_whatever_they_are() -> None:
    x = np.array([[1, 3, 3, -0.0], [np.nan, 1, np.nan, 5], [-np.inf] * 4, [-0.0, 0.0, -0.0, 0.0]], np.float32)
    text = "func @main(%x: f32[4, 4]) -> i64[4, 3] {\n  %y = topk %x : i64[4, 3]\n  return %y\n}"
    check(parse(text), x)


@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "bf16", "i8", "i32", "i64"])
def test_cumsum(kind: str) -> None:
    rng = np.random.default_rng(8)
    out = kind if scalar(kind).is_float or kind == "i64" else "i32"
    for axis in range(3):
        module = parse(
            f"func @main(%x: {kind}[3, 5, 19]) -> {out}[3, 5, 19] {{\n"
            f"  %y = cumsum %x {{axis = {axis}}} : {out}[3, 5, 19]\n  return %y\n}}\n"
        )
        check(module, array(rng, kind, (3, 5, 19)))


def test_cumsum_of_codes() -> None:
    x = np.random.default_rng(8).integers(0, 256, (3, 37)).astype(np.uint8)
    text = """func @main(%x: u8<0.5, zp=129>[3, 37]) -> i8<2.0, zp=5>[3, 37] {
      %m = const 0.25 : f32[]
      %y = cumsum %x {axis = 1, x_zp = 129} : i32<0.5>[3, 37]
      %z = requantize %y, %m {mode = float, zp = 5} : i8<2.0, zp=5>[3, 37]
      return %z
    }"""
    check(parse(text), x)


def test_symbolic_sizes() -> None:
    rng = np.random.default_rng(9)
    c = array(rng, "f32", (20,))
    sizes, where = (1, 2, 7, 8, 9, 31, 32, 50), "where n in [1, 64] "
    for name in NORMS:
        check_all(norm(name, ("n", 20), where=where), *([array(rng, "f32", (n, 20)), c, c] for n in sizes))
    columns = [[array(rng, "f32", (3, n, 4)), *[array(rng, "f32", (4,))] * 2] for n in sizes]
    check_all(norm("softmax", (3, "n", 4), 1, where=where), *columns)
    rows = [[array(rng, "f32", s) for s in ((3, n), (n,), (n,))] for n in sizes]
    check_all(norm("layer_norm", (3, "n"), where=where), *rows)
    for op, (kind, *_) in REDUCTIONS.items():
        for axes in ([0], [1]):
            down, across = (
                [[array(rng, kind, shape)] for shape in shapes]
                for shapes in ([(n, 20) for n in sizes], [(20, n) for n in sizes])
            )
            check_all(reduction(op, kind, ("n", 20), axes, True, where), *down)
            check_all(reduction(op, kind, (20, "n"), axes, False, where), *across)


def test_permuted_and_sliced_operands() -> None:
    rng = np.random.default_rng(10)
    bodies = {
        "softmax %s {axis = 1}": "f32[11, 9, 6]",
        "softmax %s {axis = 2}": "f32[11, 9, 6]",
        "layer_norm %s": "f32[11, 9, 6]",
        "sum %s {axes = [1]}": "f32[11, 6]",
        "sum %s {axes = [0, 2]}": "f32[9]",
        "argmax %s {axes = [2]}": "i64[11, 9]",
        "cumsum %s {axis = 2}": "f32[11, 9, 6]",
    }
    for body, result in bodies.items():
        module = parse(f"""
func @main(%x: f32[12, 9, 11]) -> {result} {{
  %p = permute %x {{order = [2, 1, 0]}} : f32[11, 9, 12]
  %s = slice %p {{axis = 2, start = 1, stop = 12, step = 2}} : f32[11, 9, 6]
  %y = {body} : {result}
  return %y
}}
""")
        check(module, array(rng, "f32", (12, 9, 11)))


def test_steps_behind_a_norm_are_in_its_kernel() -> None:
    rng = np.random.default_rng(11)
    module = parse("""
func @main(%x: f32[6, 21], %r: f32[6, 21]) -> i8<0.05, zp=3>[6, 21] {
  %y = kernel (%a = %x, %o = %r) -> i8<0.05, zp=3>[6, 21] {
    %g = const 20.0 : f32[]
    %z = const 3 : i32[]
    %n = layer_norm %a : f32[6, 21]
    %s = add %n, %o : f32[6, 21]
    %q = quantize %s, %g, %z : i8<0.05, zp=3>[6, 21]
    yield %q
  }
  return %y
}
""")
    assert len(compile_graph(module.main, host()).program.launches) == 1
    check(module, array(rng, "f32", (6, 21)), array(rng, "f32", (6, 21)))


def test_steps_behind_a_reduction_are_in_its_kernel() -> None:
    rng = np.random.default_rng(12)
    for axes, shape in (([1], "[6]"), ([0], "[21]")):
        module = parse(f"""
func @main(%x: f32[6, 21], %r: f32{shape}) -> f32{shape} {{
  %y = kernel (%a = %x, %o = %r) -> f32{shape} {{
    %n = mean %a {{axes = {axes}}} : f32{shape}
    %s = sub %n, %o : f32{shape}
    yield %s
  }}
  return %y
}}
""")
        check(module, array(rng, "f32", (6, 21)), array(rng, "f32", (6 if shape == "[6]" else 21,)))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 19), min_size=1, max_size=4),
    st.data(),
    st.sampled_from(["sum", "mean", "amax"]),
    st.integers(0, 2**32 - 1),
)
def test_random_reductions_of_permuted_operands(shape: list[int], data: st.DataObject, op: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = data.draw(st.permutations(range(len(shape))))
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    kind = data.draw(st.sampled_from(REDUCTIONS[op]))
    permuted = [shape[i] for i in order]
    left = [d for i, d in enumerate(permuted) if i not in axes]
    out = kind if scalar(kind).is_float or op == "amax" else "i64" if kind == "i64" else "i32"
    module = parse(f"""
func @main(%x: {kind}{shape_text(tuple(shape))}) -> {out}{shape_text(tuple(left))} {{
  %p = permute %x {{order = {list(order)}}} : {kind}{shape_text(tuple(permuted))}
  %y = {op} %p {{axes = {axes}}} : {out}{shape_text(tuple(left))}
  return %y
}}
""")
    check(module, array(rng, kind, tuple(shape)))


def test_the_ops_are_lowered() -> None:
    for op in ("softmax", "layer_norm", "rms_norm", "group_norm", "batch_norm", "sum", "mean", "amax", "argmax"):
        assert op not in CPU.reasons
