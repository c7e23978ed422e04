"""Kernel regions: what goes in, where they stand, and that they hold one anchor."""

from __future__ import annotations

import pytest
from generator import float_graph, integer_graph
from sweeps import sweep

from irc.ir.graph import Module
from irc.ir.op import Op
from irc.ir.ops.structure import Kernel
from irc.ir.parser import parse
from irc.ir.registry import all_ops
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline


def kernels(module: Module) -> list[Kernel]:
    return [node for node in module.walk() if isinstance(node, Kernel)]


def fused(text: str) -> Module:
    return run_pipeline("fuse", parse(text), PassContext())


def body(kernel: Kernel) -> list[str]:
    return [node.opname for node in kernel.body.nodes if not node.terminator]


@pytest.mark.parametrize("seed", sweep(14, 40))
@pytest.mark.parametrize("graph", [float_graph, integer_graph])
def test_regions_are_small_worlds_around_one_anchor(graph, seed: int) -> None:
    module = run_pipeline("decompose,clean,fuse", graph(seed).module, PassContext())
    for kernel in kernels(module):
        nodes = [node for node in kernel.body.nodes if isinstance(node, Op) and not node.terminator]
        anchors = [node for node in nodes if node.anchor]
        assert len(nodes) > 1
        assert len(anchors) <= 1
        assert all(node.anchor or node.elementwise for node in nodes)
        assert kernel.anchor_node is (anchors or nodes)[0]
        assert len(kernel.results) == 1
        assert len(set(kernel.operands)) == len(kernel.operands)
        assert "fuse" in kernel.loc.passes
        assert kernel.loc.sources[: len(kernel.anchor_node.loc.sources)] == kernel.anchor_node.loc.sources


def test_every_op_that_combines_elements_names_operands() -> None:
    for name, op in all_ops().items():
        assert not (op.anchor and op.elementwise), name
        operands = {f.name for f in op.fields if f.kind == "operand"}
        assert set(op.elementwise) <= operands, name


def test_two_branches_meet_in_the_later_one() -> None:
    module = fused(
        """
        func @main(%x: f32[1, 2], %w: f32[2, 2]) -> f32[1, 2] {
          %a = linear %x, %w : f32[1, 2]  at "early"
          %b = linear %x, %w : f32[1, 2]  at "late"
          %c = relu %a : f32[1, 2]
          %d = gelu %b : f32[1, 2]
          %e = add %d, %c : f32[1, 2]
          return %e
        }"""
    )
    assert [(k.loc.path, body(k)) for k in kernels(module)] == [
        ("early", ["linear", "relu"]),
        ("late", ["linear", "gelu", "add"]),
    ]


def test_an_anchor_wins_over_a_later_elementwise_chain() -> None:
    module = fused(
        """
        func @main(%x: f32[1, 2], %s: f32[1, 2], %w: f32[2, 2]) -> f32[1, 2] {
          %a = linear %x, %w : f32[1, 2]
          %b = exp %s : f32[1, 2]
          %c = tanh %b : f32[1, 2]
          %d = add %a, %c : f32[1, 2]
          return %d
        }"""
    )
    (kernel,) = kernels(module)
    assert body(kernel) == ["linear", "exp", "tanh", "add"]
    assert kernel.anchor_node.opname == "linear"


def test_a_sum_of_a_value_with_itself_joins() -> None:
    module = fused(
        """
        func @main(%x: f32[1, 2], %w: f32[2, 2]) -> f32[1, 2] {
          %a = linear %x, %w : f32[1, 2]
          %b = add %a, %a : f32[1, 2]
          return %b
        }"""
    )
    assert [body(k) for k in kernels(module)] == [["linear", "add"]]


def test_a_parameter_is_no_element() -> None:
    """The table of a lut comes from elementwise ops; it enters as an operand."""
    module = fused(
        """
        func @main(%x: u2[4], %t: i8[4]) -> i8[4] {
          %a = clamp %t {lo = 0.0} : i8[4]
          %b = lut %x, %a : i8[4]
          return %b
        }"""
    )
    assert kernels(module) == []


def test_multipliers_may_be_inputs() -> None:
    """In a called function they are; a vector of them does not have the shape of the result."""
    module = fused(
        """
        func @main(%x: i8[1, 2], %w: i8[2, 2], %m: i32[2]) -> i8[1, 2] {
          %a = linear %x, %w : i32[1, 2]
          %b = requantize %a, %m {shift = 4, axis = 1} : i8[1, 2]
          return %b
        }"""
    )
    assert [body(k) for k in kernels(module)] == [["linear", "requantize"]]


def test_a_kernel_stands_where_its_last_node_stood() -> None:
    """The other operand of the sum is computed between the anchor and the sum."""
    module = fused(
        """
        func @main(%x: f32[2, 2], %w: f32[2, 2]) -> f32[2, 2] {
          %a = linear %x, %w : f32[2, 2]
          %p = permute %x {order = [1, 0]} : f32[2, 2]
          %b = add %a, %p : f32[2, 2]
          return %b
        }"""
    )
    assert [n.opname for n in module.main.nodes] == ["permute", "kernel", "return"]


def test_kernels_in_called_functions() -> None:
    module = fused(
        """
        func @main(%x: f32[1, 2], %w: f32[2, 2]) -> f32[1, 2] {
          %a = call @block %x, %w : f32[1, 2]
          return %a
        }
        func @block(%x: f32[n, 2], %w: f32[2, 2]) -> f32[n, 2] where n in [1, 4] {
          %a = linear %x, %w : f32[n, 2]
          %b = relu %a : f32[n, 2]
          return %b
        }"""
    )
    assert [body(k) for k in kernels(module)] == [["linear", "relu"]]
