"""What the verifier finds in graphs that no text can express. Findings about texts are in filetests/verify."""

from __future__ import annotations

import pytest
from expecting import fails

from irc.ir.attrs import FuncRef, Mask
from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module, Node
from irc.ir.location import UNKNOWN, at
from irc.ir.ops.math import Clamp, Neg, Relu
from irc.ir.ops.structure import Call, Const, Kernel, Return, Yield
from irc.ir.scalars import F32, I8
from irc.ir.types import Element, TensorType, f32_tensor, per_tensor
from irc.ir.verify import verify


def found(module: Module) -> list[str]:
    with pytest.raises(IrcError) as raised:
        verify(module)
    return [str(d) for d in raised.value.diagnostics]


def graph(*inputs: TensorType, name: str = "main", symbols: tuple[Symbol, ...] = ()) -> tuple[Graph, Builder]:
    out = Graph(inputs or [f32_tensor(2)], names=["x", "y"][: max(1, len(inputs))], name=name, symbols=symbols)
    return out, Builder.at_end(out)


def test_a_sound_module() -> None:
    g, b = graph()
    b.add(Return([b(Relu(g.inputs[0]))]))
    verify(Module([g]))


def test_use_before_definition() -> None:
    g, b = graph()
    first = b(Relu(g.inputs[0]), "first")
    second = b(Relu(first), "second")
    b.add(Return([second]))
    first.node.set_operand(0, second)
    first.node.loc = at("blocks.0", "ReLU", "vit.py", 3)
    assert found(Module([g])) == [
        '"blocks.0" (ReLU) vit.py:3: relu: operand 0 (%second) is not defined before its use in this graph'
    ]


def test_values_of_another_graph() -> None:
    g, b = graph()
    body = Graph([f32_tensor(2)])
    inner = Builder.at_end(body)
    inner.add(Yield([inner(Relu(g.inputs[0]))]))
    b.add(Return([b(Kernel([g.inputs[0]], body))]))
    assert found(Module([g])) == ["relu: operand 0 (%x) is not defined before its use in this graph"]


def test_values_of_no_graph() -> None:
    g, b = graph()
    b.add(Return([Graph([f32_tensor(2)]).inputs[0]]))
    assert found(Module([g])) == ["return: operand 0 (%?) is not defined before its use in this graph"]


def test_terminators() -> None:
    g, b = graph()
    assert found(Module([g])) == ["function @main does not end with 'return'"]
    b.add(Yield([g.inputs[0]]))
    assert found(Module([g])) == ["function @main does not end with 'return'"]
    g, b = graph()
    b.add(Return([g.inputs[0]]))
    b(Relu(g.inputs[0]))
    b.add(Return([g.inputs[0]]))
    assert found(Module([g])) == ["relu follows the terminator"]
    body = Graph([f32_tensor(2)])
    Builder.at_end(body).add(Return([body.inputs[0]]))
    g, b = graph()
    kernel = b.add(Kernel([g.inputs[0]], body))
    b.add(Return(kernel.results))
    assert found(Module([g])) == ["region does not end with 'yield'"]


def test_types_that_are_no_longer_true() -> None:
    g, b = graph()
    y = b(Relu(g.inputs[0]))
    b.add(Return([y]))
    y.type = f32_tensor(3)
    assert found(Module([g])) == ["relu: result is f32[3], expected f32[2]"]
    y.node.results = ()
    assert "relu has 0 results, expected 1" in found(Module([g]))


def test_types_that_are_not_sound() -> None:
    g, b = graph(f32_tensor(-1), TensorType(Element(F32, per_tensor(0.5)), (2,)))
    b.add(Return([g.inputs[0]]))
    assert found(Module([g])) == [
        "f32[-1]: dimension -1 is negative",
        "f32<0.5>[2]: only integers have an encoding, not f32",
    ]


def test_symbols_must_be_declared() -> None:
    g, b = graph(f32_tensor(symbol("n")))
    b.add(Return([b(Relu(g.inputs[0]))]))
    assert found(Module([g])) == ["symbol n is not declared in 'where'"] * 2


def test_attributes_of_another_kind() -> None:
    g, b = graph()
    y = b(Clamp(g.inputs[0], 0.0))
    b.add(Return([y]))
    y.node.attributes["lo"] = "low"
    assert found(Module([g])) == ["clamp: attribute 'lo' is \"low\", expected float"]
    y.node.attributes["lo"] = float("nan")
    assert found(Module([g])) == ["clamp: attribute 'lo' is nan, expected float"]


def test_names() -> None:
    g, b = graph(f32_tensor(2), f32_tensor(2), name="my function", symbols=(Symbol("n m", 1, 2),))
    g.inputs[0].name = "the input"
    g.inputs[1].name = "x y"
    b.add(Return([g.inputs[0]]))
    assert found(Module([g])) == [
        "'my function' is not a name: letters, digits, '_', '.' and '$'",
        "'n m' is not a name: letters, digits, '_', '.' and '$'",
        "input name 'the input' is used twice or is not a name",
        "input name 'x y' is used twice or is not a name",
    ]
    g, b = graph(f32_tensor(2), f32_tensor(2))
    g.inputs[1].name = "x"
    b.add(Return([g.inputs[0]]))
    assert found(Module([g])) == ["input name 'x' is used twice or is not a name"]
    g.inputs[0].name = g.inputs[1].name = ""
    verify(Module([g]))


def test_modules_know_their_functions() -> None:
    g, b = graph()
    b.add(Return([g.inputs[0]]))
    module = Module([g])
    g.name = "renamed"
    assert found(module) == ["function @renamed is filed as @main"]


def test_undeclared_ops() -> None:
    class Stray(Node):
        opname = "stray"

    g, b = graph()
    g.append(Stray([g.inputs[0]], (1,), {"size": 3}, [], UNKNOWN))
    b.add(Return([g.inputs[0]]))
    assert found(Module([g])) == ["stray is not a declared op"]
    assert "  stray %x {size = 3} : ()" in str(g)


def test_calls_of_functions_that_left() -> None:
    g, b = graph()
    y = b(Call(FuncRef("f"), [g.inputs[0]], types=(f32_tensor(2),)))
    b.add(Return([y]))
    assert found(Module([g])) == ["call: there is no function @f"]


def test_kernels_and_their_regions() -> None:
    body = Graph([f32_tensor(3)])
    inner = Builder.at_end(body)
    inner.add(Yield([inner(Neg(body.inputs[0]))]))
    g, b = graph()
    kernel = b.add(Kernel([g.inputs[0]], body))
    b.add(Return([g.inputs[0]]))
    assert found(Module([g])) == ["kernel: operand 0 is f32[2], the region expects f32[3]"]
    kernel.set_operands([], (0,))
    assert found(Module([g])) == ["kernel: 0 operands for 1 region inputs"]


def test_constants_of_another_type() -> None:
    g, b = graph()
    const = Const(Data.of([1.0, 2.0], F32), Element(F32))
    b.add(const)
    b.add(Return([g.inputs[0]]))
    const.to = Element(I8)
    assert found(Module([g])) == ["const: data of f32 cannot have type i8"]
    const.to = Element(F32)
    const.mask = Mask("filter", (), Data.of([1, 0], I8))
    assert found(Module([g])) == ["const: mask bits are i8, expected bool"]


def test_results_that_are_not_sound() -> None:
    with fails("const: the result would be i8<0.0>[2]: scales must be positive and finite"):
        Const(Data.of([1, 2], I8), Element(I8, per_tensor(0.0))).set_result_types()
