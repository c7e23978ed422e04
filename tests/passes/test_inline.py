"""Inlining: symbols, encodings, kernels, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.token import Select
from irc.ir.parser import parse
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline


def inlined(text: str, options: str = "") -> Module:
    return run_pipeline(f"inline{options}", parse(text), PassContext())


def opnames(module: Module, function: str = "main") -> list[str]:
    return [node.opname for node in module.functions[function].walk()]


NESTED = """
func @main(%x: f32[b, 4]) -> f32[b, 4] where b in [1, 8] {
  %a = call @outer %x : f32[b, 4]  at "outer"
  return %a
}
func @outer(%x: f32[n, 4]) -> f32[n, 4] where n in [1, 8] {
  %a = call @inner %x : f32[n, 4]  at "inner"
  %b = call @inner %a : f32[n, 4]  at "inner"
  return %b
}
func @inner(%x: f32[m, 4]) -> f32[m, 4] where m in [1, 8] {
  %r = reshape %x : f32[m*4]  at "leaf"
  %e = exp %r : f32[m*4]  at "leaf"
  %s = reshape %e : f32[m, 4]  at "leaf"
  return %s
}
"""


def test_bodies_take_the_symbols_of_the_caller() -> None:
    x = np.linspace(-1, 0, 8, dtype=np.float32).reshape(2, 4)
    before = interpret(parse(NESTED), [x])
    module = inlined(NESTED)
    assert opnames(module) == [*["reshape", "exp", "reshape"] * 2, "return"]
    assert "f32[b*4]" in str(module.main)
    np.testing.assert_array_equal(interpret(module, [x])[0], before[0])


def test_locations_lead_from_the_call_to_the_node() -> None:
    node = next(iter(inlined(NESTED).main.nodes))
    assert [s.path for s in node.loc.sources] == ["outer", "inner", "leaf"]
    assert node.loc.passes == ("inline",)


def test_only_what_is_named() -> None:
    module = inlined(NESTED, "{functions=outer}")
    assert opnames(module) == ["call", "call", "return"]
    assert opnames(module, "outer") == ["call", "call", "return"]


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=r"(?s)inline: there is no function @outr.*did you mean 'outer'"):
        inlined(NESTED, "{functions=outr}")


def test_recursion_is_refused() -> None:
    text = """
    func @main(%x: f32[2]) -> f32[2] {
      %a = call @f %x : f32[2]
      return %a
    }
    func @f(%x: f32[2]) -> f32[2] {
      %a = call @g %x : f32[2]
      return %a
    }
    func @g(%x: f32[2]) -> f32[2] {
      %a = call @f %x : f32[2]
      return %a
    }
    """
    module = parse(text, check=False)
    with pytest.raises(IrcError, match=r"inline: @f calls itself \(main -> f -> g -> f\)"):
        run_pipeline("inline", module, PassContext())


def test_encodings_reach_kernels() -> None:
    module = inlined(
        """
        func @main(%x: i8<0.5>[2, 2], %w: i8<0.25>[2, 2], %m: i32[]) -> i8<2.0, zp=1>[4] {
          %a = call @f %x, %w, %m : i8<2.0, zp=1>[4]
          return %a
        }
        func @f(%x: i8[2, 2], %w: i8[2, 2], %m: i32[]) -> i8[4] {
          %k = kernel (%a = %x, %b = %w, %c = %m) -> i8[2, 2] {
            %acc = linear %a, %b : i32[2, 2]
            %q = requantize %acc, %c {shift = 4, zp = 1} : i8[2, 2]
            yield %q
          }
          %r = reshape %k : i8[4]
          return %r
        }
        """
    )
    text = str(module.main)
    assert "linear %a, %b : i32<0.125>[2, 2]" in text
    assert "requantize %acc, %c {shift = 4, zp = 1} : i8<2.0, zp=1>[2, 2]" in text


CALL = """
func @main(%x: i8<0.5>[2], %y: i8<0.25>[2]) -> i32<0.5>[2] {{
  %a = call @f %x, %y : i32<0.5>[2]  at "block"
  return %a
}}
func @f(%x: i8[2], %y: i8[2]) -> i32[2] {{
  {body} : i32[2]
  return %z
}}
"""


def test_a_body_that_encodings_do_not_fit() -> None:
    with pytest.raises(IrcError) as caught:
        inlined(CALL.format(body="%z = add %x, %y"))
    message = str(caught.value)
    assert '"block": cannot inline @f: its body does not accept the encodings of the operands' in message
    assert "note: add: operands have different scales" in message


def test_a_result_with_another_meaning() -> None:
    with pytest.raises(
        IrcError, match=r"cannot inline @f: a result is i32<0\.125>\[2\], the call states i32<0\.5>\[2\]"
    ):
        inlined(CALL.format(body="%z = mul %x, %y"))


def test_a_symbol_that_no_operand_gives() -> None:
    text = """
    func @main(%x: f32[2]) -> f32[2] {
      %a = call @f %x : f32[2]
      return %a
    }
    func @f(%x: f32[2]) -> f32[2] where n in [1, 4] {
      return %x
    }
    """
    with pytest.raises(IrcError, match=r"cannot inline @f: its symbol n does not come from its inputs"):
        run_pipeline("inline", parse(text, check=False), PassContext())


COUNTED = """
func @main(%x: f32[1, 5, 2], %s: f32[1, 5]) -> (f32[1, 1, 2], f32[1, 1, 2]) where n <= 5 {
  %a = call @first %x, %s : f32[1, 1, 2]
  %b = call @first %a, %t : f32[1, 1, 2]
  return %a, %b
}
func @first(%x: f32[1, m, 2], %s: f32[1, m]) -> f32[1, 1, 2] where m in [1, 5], n <= 5 {
  %k = select %x, %s {threshold = 0.5} : f32[1, n, 2]
  %y = slice %k {axis = 1, start = 0, stop = 1} : f32[1, 1, 2]
  return %y
}
"""


def test_a_count_is_born_anew_in_each_place():
    text = COUNTED.replace("  %b =", "  %t = slice %s {axis = 1, start = 0, stop = 1} : f32[1, 1]\n  %b =")
    module = inlined(text)
    first, second = (node for node in module.main.walk() if isinstance(node, Select))
    assert (first.born, second.born) == ("n", "n1")
    assert [str(module.main.symbols[name]) for name in ("n", "n1")] == ["n <= 5", "n1 <= 5"]
    x, s = np.arange(10, dtype=np.float32).reshape(1, 5, 2), np.ones((1, 5), np.float32)
    for given, wanted in zip(interpret(module, [x, s]), interpret(parse(text), [x, s]), strict=True):
        np.testing.assert_array_equal(given, wanted)
