"""dce, cse, decompose: what file tests cannot say."""

from __future__ import annotations

import pytest

from irc.ir.diagnostics import UsageError
from irc.ir.parser import parse
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline


def test_removing_a_function_is_a_change() -> None:
    """However many mutations it took to build it."""
    text = "func @main(%x: f32[2]) -> f32[2] {\n  return %x\n}\n"
    other = "func @unused(%x: f32[2]) -> f32[2] {\n" + "  %y = exp %x : f32[2]\n" + "  return %y\n}\n"
    module = parse(text + other)
    before = module.mutations
    run_pipeline("dce", module, PassContext())
    assert list(module.functions) == ["main"]
    assert module.mutations > before


def test_without_main_every_function_stays() -> None:
    module = parse("func @f(%x: f32[2]) -> f32[2] {\n  return %x\n}\n")
    run_pipeline("dce", module, PassContext())
    assert list(module.functions) == ["f"]


def test_long_chains_need_no_recursion() -> None:
    lines = [f"  %{chr(97 + i % 26)}{i} = exp %{chr(97 + (i - 1) % 26)}{i - 1} : f32[]" for i in range(1, 5000)]
    text = "func @main(%a0: f32[]) -> f32[] {\n" + "\n".join(lines) + "\n  return %a0\n}\n"
    module = parse(text)
    run_pipeline("canonicalize,fold,cse,dce,fuse", module, PassContext())
    assert [n.opname for n in module.main.nodes] == ["return"]


def test_only_known_ops_are_split() -> None:
    module = parse("func @main(%x: f32[2]) -> f32[2] {\n  return %x\n}\n")
    with pytest.raises(UsageError, match=r"(?s)decompose cannot split 'spda'.*did you mean 'sdpa'"):
        run_pipeline("decompose{ops=spda}", module, PassContext())


def test_equal_kernels_and_calls() -> None:
    """Calls are merged; kernels are made after merging and stay."""
    text = """
    func @main(%x: f32[2]) -> (f32[2], f32[2]) {
      %a = call @f %x : f32[2]
      %b = call @f %x : f32[2]
      return %a, %b
    }
    func @f(%x: f32[2]) -> f32[2] {
      return %x
    }
    """
    module = parse(text)
    run_pipeline("cse", module, PassContext())
    assert [n.opname for n in module.main.nodes] == ["call", "return"]
