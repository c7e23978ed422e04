"""Use lists, iteration while editing, and what edits refuse."""

from __future__ import annotations

import time

import pytest

from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module, Node, Use, Value
from irc.ir.ops.math import Add, Neg, Relu
from irc.ir.ops.structure import Kernel, Return, Yield
from irc.ir.types import f32_tensor


def chain(length: int) -> tuple[Graph, list[Node]]:
    """relu(relu(...)) of one input."""
    graph = Graph([f32_tensor(2)], names=["x"], name="main")
    b = Builder.at_end(graph)
    value = graph.inputs[0]
    for _ in range(length):
        value = b(Relu(value))
    nodes = list(graph.nodes)
    b.add(Return([value]))
    return graph, nodes


def test_use_lists() -> None:
    graph = Graph([f32_tensor(2)], names=["x"])
    x = graph.inputs[0]
    b = Builder.at_end(graph)
    y = b(Add(x, x))
    z = b(Neg(x))
    assert x.uses == (Use(y.node, 0), Use(y.node, 1), Use(z.node, 0))
    assert x.users == (y.node, z.node)
    assert (x.node, x.graph, y.node.graph, y.graph) == (None, graph, graph, graph)
    y.node.set_operand(0, z)
    assert [use.index for use in x.uses] == [1, 0]
    assert z.users == (y.node,)


def test_replace_by_moves_every_use_and_the_name() -> None:
    graph, (first, second, third) = chain(3)
    first.result.name = "hidden"
    b = Builder.before_node(second)
    new = b(Neg(graph.inputs[0]))
    before = graph.mutations
    first.replace_by(new)
    assert second.operands == (new,)
    assert (new.name, first.graph, first.operands) == ("hidden", None, ())
    assert [n.opname for n in graph.nodes] == ["neg", "relu", "relu", "return"]
    assert graph.mutations > before
    assert third.operands == (second.result,)


def test_replacing_costs_its_uses_and_not_the_graph() -> None:
    def seconds(length: int) -> float:
        graph, nodes = chain(length)
        new = Builder.before_node(nodes[1])(Neg(graph.inputs[0]))
        start = time.perf_counter()
        for _ in range(200):
            nodes[0].result.replace_by(new)
            new.replace_by(nodes[0].result)
        return time.perf_counter() - start

    small = min(seconds(10) for _ in range(3))
    assert min(seconds(5000) for _ in range(3)) < 50 * small


def test_an_unchanged_operand_is_no_mutation() -> None:
    graph, (first, second) = chain(2)
    before = graph.mutations
    second.set_operand(0, first.result)
    assert graph.mutations == before


def test_erase_refuses_a_used_node() -> None:
    _, (first, _) = chain(2)
    with pytest.raises(ValueError, match=r"cannot erase relu: %\? : f32\[2\] is still used by relu"):
        first.erase()


def test_erase_takes_regions_along() -> None:
    graph = Graph([f32_tensor(2)], names=["x"])
    x = graph.inputs[0]
    body = Graph([f32_tensor(2)])
    inner = Builder.at_end(body)
    inner.add(Yield([inner(Relu(body.inputs[0]))]))
    kernel = Builder.at_end(graph).add(Kernel([x], body))
    assert [n.opname for n in graph.walk()] == ["kernel", "relu", "yield"]
    assert body.function is graph
    before = graph.mutations
    next(body.nodes).touch()
    assert graph.mutations == before + 1, "a change in a region is one of its function"
    kernel.erase()
    assert not list(graph.nodes)
    assert not list(body.nodes)
    assert not x.uses


def test_a_node_is_in_one_graph() -> None:
    graph, (first, _) = chain(2)
    with pytest.raises(ValueError, match="relu is already in a graph"):
        graph.append(first)
    with pytest.raises(ValueError, match="relu is not in this graph"):
        Graph().unlink(first)


def test_insert_in_front_behind_and_at_the_start() -> None:
    graph, (first, second) = chain(2)
    names = {}
    for where in ({"before": second}, {"after": second}, {}):
        node = Neg(graph.inputs[0]).set_result_types()
        graph.insert(node, **where)
        names[node] = str(where)
    assert [names.get(n, n.opname) for n in graph.nodes] == [
        "{}",
        "relu",
        str({"before": second}),
        "relu",
        str({"after": second}),
        "return",
    ]
    assert first.prev is not None
    assert first.prev.prev is None


def test_iteration_survives_erasing_and_inserting() -> None:
    graph, nodes = chain(6)
    met: list[Node] = []
    for node in graph.nodes:
        met.append(node)
        if node is nodes[1]:  # erase this one and those around it
            for victim in (nodes[1], nodes[2], nodes[0]):
                victim.replace_by(graph.inputs[0])
        if node is nodes[4]:  # a node behind this one is met, one in front is not
            Builder.before_node(node)(Neg(graph.inputs[0]))
            behind = Neg(graph.inputs[0]).set_result_types()
            graph.insert(behind, after=node)
    assert [nodes.index(n) if n in nodes else n.opname for n in met] == [0, 1, 3, 4, "neg", 5, "return"]


def test_iteration_survives_moving() -> None:
    graph, nodes = chain(4)
    met: list[Node] = []
    for node in graph.nodes:
        met.append(node)
        if node is nodes[2]:
            graph.unlink(node)
            graph.insert(node)  # to the start: what was met is not met again
    assert met == [*nodes, graph.terminator]


def test_iterations_nest_and_leave_nothing_behind() -> None:
    graph, _ = chain(3)
    assert sum(1 for _ in graph.nodes for _ in graph.nodes) == 16
    next(graph.nodes)
    assert not graph._cursors


def test_inputs() -> None:
    graph, _ = chain(1)
    y = graph.add_input(f32_tensor(3), "y")
    with pytest.raises(ValueError, match="input 0 is still used"):
        graph.remove_input(0)
    next(iter(graph.nodes)).set_operand(0, y)
    graph.remove_input(0)
    assert (graph.inputs, y.index) == ([y], 0)


def test_terminator_and_outputs() -> None:
    graph, (node,) = chain(1)
    assert graph.terminator is not None
    assert graph.outputs == (node.result,)
    graph.terminator.erase()
    assert (graph.terminator, graph.outputs) == (None, ())


def test_modules() -> None:
    graph, _ = chain(1)
    module = Module([graph])
    assert module.main is graph
    assert graph.module is module
    with pytest.raises(ValueError, match="function @main exists already"):
        module.add(Graph(name="main"))
    before = module.mutations
    module.add(Graph(name="f"))
    added = module.mutations
    module.remove("f")
    assert before < added < module.mutations, "adding and removing are both changes"


def test_values_print_for_messages() -> None:
    graph, (node,) = chain(1)
    value: Value = node.result
    assert repr(value) == "%? : f32[2]"
    assert repr(node) == "%0 = relu %x : f32[2]"
    assert str(graph).splitlines()[0] == "func @main(%x: f32[2]) -> f32[2] {"
