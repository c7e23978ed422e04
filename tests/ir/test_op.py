"""What follows from the declaration of an op: constructor, typed fields, text."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from expecting import fails

from irc.ir.attrs import FuncRef
from irc.ir.builder import Builder
from irc.ir.diagnostics import UsageError
from irc.ir.dims import Dim, Shape, symbol
from irc.ir.fields import MISSING, annotation_text
from irc.ir.graph import Graph, Value
from irc.ir.location import at
from irc.ir.op import Op, Work, of_result
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.math import Clamp, Compare, Relu, Sum
from irc.ir.ops.norm import LayerNorm
from irc.ir.ops.structure import Call, Return
from irc.ir.ops.tensor import Concat, Pad, Permute, Slice
from irc.ir.registry import all_ops, op_class
from irc.ir.types import TensorType, f32_tensor
from irc.tables import BUILT_IN, OPS


class Every(Op, name="every"):
    """An op with one field of each kind."""

    x: Value
    y: Value | None = None
    zs: tuple[Value, ...] = ()
    _: KW_ONLY
    body: Graph
    mode: Literal["fast", "slow"] = "fast"
    size: Dim
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        return f32_tensor(*self.shape)


def values(count: int = 3) -> list[Value]:
    return Graph([f32_tensor(2)] * count, names=["x", "y", "z"][:count]).inputs


def test_fields_are_read_from_the_class() -> None:
    assert [(f.name, f.kind, f.by_name) for f in Every.fields] == [
        ("x", "operand", False),
        ("y", "optional", False),
        ("zs", "variadic", False),
        ("body", "region", True),
        ("mode", "attribute", True),
        ("size", "attribute", True),
        ("shape", "of_result", True),
    ]
    assert Every.fields[1].default is None
    assert repr(Every.fields[0].default) == repr(MISSING) == "MISSING"
    assert (Every.opname, Every.family, Linear.family) == ("every", "test_op", "linear")


def test_arguments_go_to_fields() -> None:
    x, y, z = values()
    body = Graph()
    node = Every(x, None, [y, z], body=body, size=3, shape=(2,))
    assert (node.x, node.y, node.zs, node.body, node.mode, node.size) == (x, None, (y, z), body, "fast", 3)
    assert (node.operands, node.segments, node.regions) == ((x, y, z), (1, 0, 2), (body,))
    assert body.parent is node
    assert node.operand_groups() == [x, None, y, z]
    assert node.by_field([np.array(i) for i in range(3)]) == [0, None, [1, 2]]


def test_operands_can_be_assigned() -> None:
    x, y, z = values()
    node = Every(x, None, [y], body=Graph(), size=3, shape=(2,))
    node.y = z
    assert (node.operands, node.y, node.zs) == ((x, z, y), z, (y,))
    node.zs = (x, y)
    assert node.operands == (x, z, x, y)
    node.x = y
    node.y = None
    assert node.operands == (y, x, y)
    assert [len(v.uses) for v in (x, y, z)] == [1, 2, 0]


def test_attributes_can_be_assigned() -> None:
    graph = Graph([f32_tensor(2)])
    node = Builder.at_end(graph).add(Clamp(graph.inputs[0], 0.0))
    before = graph.mutations
    node.lo = np.float32(0)
    assert graph.mutations == before
    node.lo = 1
    assert graph.mutations == before + 1
    assert repr(node.lo) == "1.0"


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "every: argument 'x' is missing"),
        ((None,) * 4, {}, "every takes 3 positional arguments, 4 given"),
        ((), {"x": None, "w": 1}, "every: unexpected argument 'w'"),
        ((None,), {"x": None}, "every: unexpected argument 'x'"),
    ],
)
def test_constructors_are_called_like_functions(
    args: tuple[object, ...], kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Every(*args, **kwargs)


def test_numbers_become_plain() -> None:
    x = values(1)[0]
    assert repr(Clamp(x, np.float64(0.5), 6).attributes) == "{'lo': 0.5, 'hi': 6.0}"
    assert repr(Sum(x, [np.int64(0)], np.bool_(True)).attributes) == "{'axes': (0,), 'keepdims': True, 'x_zp': 0}"
    assert type(Call("f", [x], types=()).callee) is FuncRef
    assert Slice(x, 0, 0, symbol("n")).stop == symbol("n")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lambda x: Clamp(x, "low"), "clamp: attribute 'lo' is \"low\", expected float"),
        (lambda x: Clamp(x, True), "clamp: attribute 'lo' is true, expected float"),
        (lambda x: Sum(x, (0.5,)), "sum: attribute 'axes' is [0.5], expected [int, ...]"),
        (lambda x: Sum(x, (True,)), "sum: attribute 'axes' is [true], expected [int, ...]"),
        (lambda x: Sum(x, (2**63,)), "sum: attribute 'axes' is [9223372036854775808], expected [int, ...]"),
        (lambda x: Compare(x, x, "like"), "compare: attribute 'how' is \"like\", expected eq | ne | lt | le | gt | ge"),
        (lambda x: Slice(x, 0, 0, None), "slice: attribute 'stop' is none, expected int | dim"),
        (lambda x: Linear(x, x, w_zp=None), "linear: attribute 'w_zp' is none, expected int | [int, ...]"),
    ],
)
def test_attributes_have_the_declared_kind(node: object, message: str) -> None:
    with fails(message):
        node(values(1)[0]).infer_types()


def test_annotations_in_words() -> None:
    assert annotation_text(int | None) == "int | none"
    assert annotation_text(tuple[float, ...]) == "[float, ...]"


def test_a_failed_node_leaves_no_uses() -> None:
    graph = Graph([f32_tensor(2)])
    x = graph.inputs[0]
    with fails("permute: order [1] is no permutation of 1 dimensions"):
        Builder.at_end(graph)(Permute(x, (1,)))
    assert not x.uses
    assert not list(graph.nodes)


def test_builders_name_place_and_locate() -> None:
    graph = Graph([f32_tensor(2)], names=["x"], name="main")
    b = Builder.at_end(graph, at("layer"))
    y = b(Relu(graph.inputs[0]), "y")
    own = Relu(y)
    own.loc = at("own")
    end = b.add(Return([b(own)]))
    Builder.before_node(end)(Relu(y), "late")
    Builder.before_node(end, at("other")).const(2.0, name="c")
    assert [(n.loc.path, [v.name for v in n.results]) for n in graph.nodes] == [
        ("layer", ["y"]),
        ("own", [""]),
        ("layer", ["late"]),
        ("other", ["c"]),
        ("layer", []),
    ]
    with pytest.raises(ValueError, match="relu is in no graph"):
        Builder.before_node(Relu(y))


def test_types_can_be_refreshed() -> None:
    graph = Graph([f32_tensor(2)])
    node = Builder.at_end(graph).add(Relu(graph.inputs[0]))
    graph.inputs[0].type = f32_tensor(3)
    node.set_result_types()
    assert node.result.type == f32_tensor(3)


def test_text_leaves_out_what_is_default() -> None:
    x, y, _ = values()
    shown = {
        Clamp(x, hi=6): "[('hi', '6.0')]",
        Pad(x, (0,), (1,), -0.0): "[('before', '[0]'), ('after', '[1]'), ('value', '-0.0')]",
        LayerNorm(x, None, y): "[]",
        Conv(
            x, y, stride=(1,), padding=(0, 0), dilation=(1,)
        ): "[('stride', '[1]'), ('padding', '[0, 0]'), ('dilation', '[1]')]",
        Compare(x, y, "lt"): "[('how', 'lt')]",
        Concat((x, y), 0): "[('axis', '0')]",
    }
    for node, text in shown.items():
        assert repr(node.shown_attributes()[1]) == text


def test_declarations_that_contradict_op() -> None:
    with pytest.raises(TypeError, match="field 'regions' of Bad would hide a member of Op"):

        class Bad(Op, name="bad"):
            regions: Value

    with pytest.raises(TypeError, match="further derives from the op relu; share code by a base class without a name"):

        class Further(Relu, name="further"):
            pass


def test_an_op_says_what_it_lacks() -> None:
    class Empty(Op, name="empty"):
        pass

    for call in (Empty().infer, Empty().reference):
        with pytest.raises(NotImplementedError, match=r"empty\.(infer|reference)"):
            call()
    assert Empty().work() == Work() == Work(1, 2) + Work(-1, -2)


def test_registry() -> None:
    assert op_class("linear") is Linear
    assert all(cls.opname == name for name, cls in all_ops().items())
    assert all(cls.__doc__ for cls in all_ops().values())
    with pytest.raises(UsageError, match="unknown op 'lineer'\n  hint: did you mean 'linear'"):
        op_class("lineer")


def test_every_op_has_a_file_test_that_runs_it() -> None:
    files = (Path(__file__).parents[1] / "filetests" / "run").glob("*.irc")
    text = "\n".join(f.read_text(encoding="utf-8") for f in files)
    own = [name for name in all_ops() if OPS.owner(name) == BUILT_IN]
    assert [name for name in own if not re.search(rf"^\s+(%.* = )?{name}\b", text, re.MULTILINE)] == []
