"""The interpreter: inputs and symbols, regions and calls, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from expecting import fails

from irc.ir.builder import Builder
from irc.ir.diagnostics import IrcError
from irc.ir.dims import symbol
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret, run_node
from irc.ir.op import Op
from irc.ir.ops.math import Unary
from irc.ir.ops.structure import Return
from irc.ir.parser import parse
from irc.ir.scalars import Array
from irc.ir.types import TensorType, f32_tensor


def function(inputs: str, result: str, where: str = "") -> Module:
    """A function that returns its first input."""
    where = f" where {where}" if where else ""
    return parse(f"func @main({inputs}) -> {result}{where} {{\n  return %x\n}}")


def test_inputs_by_order_and_by_name() -> None:
    module = parse("func @main(%x: f32[2], %y: f32[2]) -> f32[2] {\n  %z = sub %x, %y : f32[2]\n  return %z\n}")
    x, y = np.array([3, 4]), np.array([1.0, 5.0])
    for inputs in ([x, y], {"y": y, "x": x}):
        (z,) = interpret(module, inputs)
        assert (z.tolist(), z.dtype) == ([2.0, -1.0], np.float32)
    with fails("@main takes 2 inputs (x, y), 1 given"):
        interpret(module, [x])
    with fails("inputs are named x, y; got x, z"):
        interpret(module, {"x": x, "z": y})
    with fails("inputs are named x, y; got none"):
        interpret(module, {})


def test_a_module_without_main() -> None:
    module = parse("func @f(%x: f32[2]) -> f32[2] {\n  return %x\n}")
    with fails("there is no function @main", hint="the one to be compiled has that name"):
        _ = module.main


def test_any_function_runs() -> None:
    module = parse("func @main(%x: f32[2]) -> f32[2] {\n  return %x\n}\nfunc @g(%x: f32[]) -> f32[] {\n  return %x\n}")
    assert interpret(module, [np.float32(2)], function="g")[0] == 2
    with fails("there is no function @h", hint="known: g, main"):
        interpret(module, [], function="h")


@pytest.mark.parametrize(
    ("inputs", "shapes", "n"),
    [
        ("%x: f32[n+1, 64]", [(3, 64)], 2),
        ("%x: f32[n*2-1]", [(7,)], 4),
        ("%x: f32[n, m], %y: f32[m+n]", [(2, 3), (5,)], 2),
        ("%x: f32[m+n], %y: f32[n*m, m]", [(5,), (6, 3)], 2),
        ("%x: f32[floordiv(n, 2)], %y: f32[n]", [(2,), (5,)], 5),
    ],
)
def test_symbols_follow_from_shapes(inputs: str, shapes: list[tuple[int, ...]], n: int) -> None:
    body = "  %i = iota {start = 0, step = 1} : i64[n]\n  return %i\n"
    module = parse(f"func @main({inputs}) -> i64[n] where n in [1, 8], m in [1, 8] {{\n{body}}}")
    (result,) = interpret(module, [np.zeros(shape) for shape in shapes])
    assert len(result) == n


def test_symbols_that_do_not_follow() -> None:
    with fails("dimension m*n has no value: m, n unknown"):
        interpret(function("%x: f32[n*m]", "f32[n*m]", "n in [1, 8], m in [1, 8]"), [np.zeros(6)])


def test_shapes_that_contradict_each_other() -> None:
    module = function("%x: f32[n], %y: f32[n+1]", "f32[n]", "n in [1, 8]")
    with fails("input 'y' is f32[n+1], got the shape [3]"):
        interpret(module, [np.zeros(3), np.zeros(3)])
    with fails("input 'x' is f32[n*2], got the shape [3]"):
        interpret(function("%x: f32[n*2], %y: f32[n]", "f32[n*2]", "n in [1, 8]"), [np.zeros(3), np.zeros(1)])
    with fails("the inputs of @main have n = 9, expected n in [1, 8]"):
        interpret(module, [np.zeros(9), np.zeros(10)])
    with fails("the inputs of @main have n = 4, expected n <= 3"):
        interpret(function("%x: f32[n]", "f32[n]", "n <= 3"), [np.zeros(4)])


@pytest.mark.parametrize(
    ("kind", "array", "problem"),
    [
        ("f32[2]", np.zeros(3), "input 'x' is f32[2], got the shape [3]"),
        ("f32[2]", np.zeros((2, 1)), "input 'x' is f32[2], got an array of float64[2, 1]"),
        ("f32[]", np.array("text"), "input 'x' is f32[], got an array of <U4[]"),
        ("f32[2]", np.zeros(2, complex), "input 'x' is f32[2], got an array of complex128[2]"),
        ("i8[2]", np.zeros(2), "input 'x' is i8[2], got an array of float64[2]"),
        ("bool[2]", np.zeros(2, np.int8), "input 'x' is bool[2], got an array of int8[2]"),
        ("i4[2]", np.array([7, 8]), "input 'x' has values outside i4 (-8 .. 7)"),
        ("u8[2]", np.array([-1, 8]), "input 'x' has values outside u8 (0 .. 255)"),
    ],
)
def test_arrays_that_do_not_fit(kind: str, array: Array, problem: str) -> None:
    with fails(problem):
        interpret(function(f"%x: {kind}", kind), [array])


@pytest.mark.parametrize(
    ("kind", "array", "expected"),
    [
        ("f32[2]", np.array([True, False]), np.array([1, 0], np.float32)),
        ("f16[2]", np.array([1, 1e6]), np.array([1, np.inf], np.float16)),
        ("bf16[2]", np.array([1 + 2**-9, 3.0]), np.array([1, 3], np.float32)),
        ("i4[2]", np.array([-8, 7], np.int64), np.array([-8, 7], np.int8)),
        ("i8[0]", np.zeros(0, np.int64), np.zeros(0, np.int8)),
    ],
)
def test_arrays_take_the_type_of_the_input(kind: str, array: Array, expected: Array) -> None:
    (result,) = interpret(function(f"%x: {kind}", kind), [array])
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


CALLS = """
func @main(%x: f32[n, 4]) -> f32[n+1, 4] where n in [1, 8] {
  %y = kernel (%a = %x) -> f32[n, 4] {
    %b = neg %a : f32[n, 4]
    yield %b
  }
  %z = call @grow %y : f32[n+1, 4]
  return %z
}

func @grow(%x: f32[m, 4]) -> f32[m+1, 4] where m in [0, 64] {
  %y = pad %x {before = [1, 0], after = [0, 0], value = 7.0} : f32[m+1, 4]
  return %y
}
"""


def test_regions_and_calls() -> None:
    seen: dict[str, list[int]] = {}
    (z,) = interpret(
        parse(CALLS), [np.ones((2, 4))], observe=lambda value, array: seen.update({value.name: list(array.shape)})
    )
    assert z[:, 0].tolist() == [7, -1, -1]
    assert seen == {"x": [2, 4], "a": [2, 4], "b": [2, 4], "y": [3, 4], "z": [3, 4]}


def test_one_node_runs_alone() -> None:
    module = parse(CALLS)
    pad = next(n for n in module.walk() if n.opname == "pad")
    (out,) = run_node(pad, [np.zeros((5, 4), np.float32)], {"m": 5}, module)
    assert out.shape == (6, 4)


def test_bf16_results_are_rounded() -> None:
    module = parse("func @main(%x: bf16[1], %y: bf16[1]) -> bf16[1] {\n  %z = add %x, %y : bf16[1]\n  return %z\n}")
    assert interpret(module, [np.array([1.0]), np.array([2.0**-9])])[0].tolist() == [1.0]


def test_floating_point_exceptions_are_values() -> None:
    module = parse("func @main(%x: f32[3]) -> f32[3] {\n  %y = log %x : f32[3]\n  return %y\n}")
    np.testing.assert_array_equal(interpret(module, [np.array([0.0, -1.0, 1.0])])[0], [-np.inf, np.nan, 0])


def test_integer_results_that_do_not_fit() -> None:
    module = parse('func @main(%x: i32[1]) -> i32[1] {\n  %y = add %x, %x : i32[1] at "sum"\n  return %y\n}')
    with pytest.raises(
        IrcError, match='"sum": add: an integer result does not fit 32 bits\n  hint: fewer bits, or split'
    ):
        interpret(module, [np.array([2**30])])
    assert interpret(module, [np.array([-(2**30)])])[0].tolist() == [-(2**31)]


def test_casts_of_codes_that_do_not_fit() -> None:
    module = parse("func @main(%x: i8<0.5>[2]) -> i4<0.5>[2] {\n  %y = cast %x : i4<0.5>[2]\n  return %y\n}")
    with fails("cast: codes -9 .. 7 do not fit i4"):
        interpret(module, [np.array([-9, 7])])


def test_indices_outside() -> None:
    module = parse("func @main(%x: f32[3], %i: i64[1]) -> f32[1] {\n  %y = gather %x, %i : f32[1]\n  return %y\n}")
    assert interpret(module, [np.array([1, 2, 3]), np.array([-3])])[0].tolist() == [1]
    for index in (3, -4):
        with fails(f"gather: index {index} of a dimension of size 3"):
            interpret(module, [np.zeros(3), np.array([index])])


def test_slices_outside() -> None:
    module = parse(
        "func @main(%x: f32[n]) -> f32[4] where n in [1, 8] {\n"
        "  %y = slice %x {axis = 0, start = 0, stop = 4} : f32[4]\n  return %y\n}"
    )
    with fails("slice: 0 .. 4 is no range of a dimension of size 3"):
        interpret(module, [np.zeros(3)])


class Wrong(Unary, name="wrong"):
    """An op whose reference breaks what it infers, or fails."""

    how: str

    def reference(self, x: Array) -> Array:
        if self.how == "shape":
            return x[:1]
        if self.how == "type":
            return x.astype(np.float64)
        raise ValueError("no such luck")


def wrong(how: str) -> Module:
    graph = Graph([f32_tensor(2)], names=["x"], name="main")
    b = Builder.at_end(graph)
    b.add(Return([b(Wrong(graph.inputs[0], how))]))
    return Module([graph])


def test_references_that_break_their_word() -> None:
    with fails("wrong: reference gave float32[1] for f32[2]"):
        interpret(wrong("shape"), [np.zeros(2)])
    with fails("wrong: reference gave float64[2] for f32[2]"):
        interpret(wrong("type"), [np.zeros(2)])
    with fails("wrong failed on (float32[2]): no such luck"):
        interpret(wrong("raise"), [np.zeros(2)])


def test_a_graph_without_terminator() -> None:
    with fails("@main has no terminator"):
        interpret(Module([Graph([f32_tensor(2)], names=["x"], name="main")]), [np.zeros(2)])


class Selected(Op, name="selected"):
    """An op with a result whose first dimension is a count that is born from data."""

    type: TensorType

    def infer(self) -> TensorType:
        return self.type

    def reference(self) -> Array:
        return np.zeros((3, 2), np.float32)


def test_counts_have_no_number_before_their_node_has_run() -> None:
    node = Selected(f32_tensor(symbol("k"), 2)).set_result_types()
    assert run_node(node, [], {}, Module())[0].shape == (3, 2)
    with fails("selected: reference gave float32[3, 2] for f32[k, 2]"):
        run_node(node, [], {"k": 4}, Module())
    with fails("selected: reference gave float32[3, 2] for f32[k, 3]"):
        run_node(Selected(f32_tensor(symbol("k"), 3)).set_result_types(), [], {}, Module())
