"""Rules: what matches, why not, what replaces it, and where the result says it comes from."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from expecting import fails

from irc.ir.builder import Builder
from irc.ir.graph import Module, Value
from irc.ir.ops.math import Add, Mul, Neg, Relu, Sub, Tanh
from irc.ir.parser import parse
from irc.ir.rewrite import Match, Miss, NearMiss, Rule, any_, fixpoint, op_, try_rule, walk


class FoldRelu(Rule):
    """relu(relu(x)) -> relu(x)"""

    pattern = op_(Relu, op_(Relu, any_("x"), name="inner", once=True))

    def guard(self, m: Match) -> Miss | None:
        return Miss("the inner one is kept") if m.node("inner").loc.path == "keep" else None

    def build(self, m: Match, b: Builder) -> Value:
        return b(Relu(m["x"]))


class Factor(Rule):
    """x*y + x -> x*(y+x), which is wrong but tells the bindings"""

    pattern = op_(Add, op_(Mul, any_("x"), any_("y")), any_("x"))

    def build(self, m: Match, b: Builder) -> Value:
        return b(Mul(m["x"], b(Add(m["y"], m["x"]))))


class Turn(Rule):
    """x + y -> y + x, for ever"""

    pattern = op_(Add, any_("x"), any_("y"))

    def build(self, m: Match, b: Builder) -> Value:
        return b(Add(m["y"], m["x"]))


def body(text: str, inputs: str = "%x: f32[2], %y: f32[2]") -> Module:
    lines = "\n  ".join(text.strip().split("\n"))
    return parse(f"func @main({inputs}) -> f32[2] {{\n  {lines}\n}}\n")


def lines(module: Module) -> list[str]:
    return [line.strip() for line in str(module).splitlines()[1:-1]]


def explained(module: Module, *rules: Rule) -> list[str]:
    found: list[NearMiss] = []
    walk(module, rules, explain=found.append)
    return [f"{m.rule} at {m.node} {m.loc}: {m.reason}" for m in found]


def test_a_rule_replaces_what_it_matched() -> None:
    module = body('%a = relu %x : f32[2] at "a" via load\n%b = relu %a : f32[2] at "b"\nreturn %b')
    walk(module, [FoldRelu()], "tidy")
    assert lines(module) == ['%b = relu %x : f32[2]  at "a", "b" via load, tidy', "return %b"]


def test_rules_run_once_in_order_or_until_nothing_changes() -> None:
    text = "%a = relu %x : f32[2]\n%b = relu %a : f32[2]\n%c = relu %b : f32[2]\n%d = relu %c : f32[2]\nreturn %d"
    module = body(text)
    fixpoint(module, [FoldRelu()])
    assert [n.opname for n in module.walk()] == ["relu", "return"]
    before = module.mutations
    fixpoint(module, [FoldRelu()])
    assert module.mutations == before


def test_rules_that_undo_each_other() -> None:
    module = body("%a = add %x, %y : f32[2]\nreturn %a")
    with fails("the rules Turn, FoldRelu still change the graph after 5 rounds"):
        fixpoint(module, [Turn(), FoldRelu()], limit=5)


@pytest.mark.parametrize(
    "text",
    [
        "%a = mul %x, %y : f32[2]\n%b = add %a, %x : f32[2]",
        "%a = mul %y, %x : f32[2]\n%b = add %a, %x : f32[2]",
        "%a = mul %x, %y : f32[2]\n%b = add %x, %a : f32[2]",
        "%a = mul %y, %x : f32[2]\n%b = add %x, %a : f32[2]",
    ],
)
def test_commutative_operands_match_in_either_order(text: str) -> None:
    module = body(f"{text}\nreturn %b")
    walk(module, [Factor()])
    assert lines(module) == ["%0 = add %y, %x : f32[2]", "%b = mul %x, %0 : f32[2]", "return %b"]


def test_a_name_stands_for_one_value() -> None:
    module = body("%a = mul %x, %x : f32[2]\n%b = add %a, %y : f32[2]\nreturn %b")
    assert explained(module, Factor()) == ["Factor at add : 'x' would stand for two different values"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('%b = relu %x : f32[2] at "b"', "%x comes from an input, expected relu"),
        ('%a = tanh %x : f32[2]\n%b = relu %a : f32[2] at "b"', "%a comes from tanh, expected relu"),
        ('%a = relu %x : f32[2] at "keep"\n%b = relu %a : f32[2] at "b"', "the inner one is kept"),
        (
            '%a = relu %x : f32[2]\n%b = relu %a : f32[2] at "b"\n%c = neg %a : f32[2]',
            "the result of relu has 2 readers, expected 1",
        ),
    ],
)
def test_near_misses_have_reasons(text: str, reason: str) -> None:
    module = body(f"{text}\nreturn %b")
    assert f'FoldRelu at relu at "b": {reason}' in explained(module, FoldRelu())
    assert len([n for n in module.walk() if n.opname == "relu"]) == text.count("relu")


def test_the_reason_is_that_of_the_written_order() -> None:
    class FoldSum(Rule):
        """tanh(x) + relu(y) -> x"""

        pattern = op_(Add, op_(Tanh, any_("x")), op_(Relu, any_("y")))

        def build(self, m: Match, b: Builder) -> Value:
            return m["x"]

    module = body("%a = tanh %x : f32[2]\n%b = add %a, %y : f32[2]\nreturn %b")
    assert explained(module, FoldSum()) == ["FoldSum at add : %y comes from an input, expected relu"]


def test_one_of_several_ops() -> None:
    class Negated(Rule):
        """x - y or x + y -> -x"""

        pattern = op_((Add, Sub), op_((Relu, Tanh), any_("x"), name="inner"), any_())

        def build(self, m: Match, b: Builder) -> Sequence[Value]:
            return [b(Neg(m["x"]))]

    module = body("%a = tanh %x : f32[2]\n%b = sub %a, %y : f32[2]\n%c = add %b, %y : f32[2]\nreturn %c")
    assert explained(module, Negated()) == ["Negated at add : %b comes from neg, expected relu or tanh"]
    assert [n.opname for n in module.walk()] == ["neg", "add", "return"]


def test_too_few_operands() -> None:
    class Longer(Rule):
        """relu of two"""

        pattern = op_(Relu, any_("x"), any_("y"))

    module = body("%a = relu %x : f32[2]\nreturn %a")
    assert explained(module, Longer()) == ["Longer at relu : relu has 1 operands, the pattern has 2"]


def test_editing_in_place() -> None:
    class Swap(Rule):
        """x - y -> y - x, in place"""

        pattern = op_(Sub, any_("x"), any_("y"))

        def build(self, m: Match, b: Builder) -> None:
            m.root.set_operand(0, m["y"])
            m.root.set_operand(1, m["x"])

    module = body("%a = sub %x, %y : f32[2]\nreturn %a")
    walk(module, [Swap()])
    assert lines(module) == ["%a = sub %y, %x : f32[2]", "return %a"]


def test_the_first_rule_that_applies_wins() -> None:
    module = body("%a = relu %x : f32[2]\n%b = relu %a : f32[2]\nreturn %b")

    class Never(FoldRelu):
        """comes too late"""

        def build(self, m: Match, b: Builder) -> Value:
            raise AssertionError

    walk(module, [FoldRelu(), Never()])
    assert [n.opname for n in module.walk()] == ["relu", "return"]


def test_regions_are_walked() -> None:
    module = body(
        "%k = kernel (%i = %x) -> f32[2] {\n%a = relu %i : f32[2]\n%b = relu %a : f32[2]\nyield %b\n}\nreturn %k"
    )
    walk(module, [FoldRelu()])
    assert [n.opname for n in module.walk()] == ["kernel", "relu", "yield", "return"]


def test_one_rule_at_one_node() -> None:
    module = body("%a = relu %x : f32[2]\n%b = relu %a : f32[2]\nreturn %b")
    first, second, end = module.main.nodes
    assert [try_rule(FoldRelu(), n) for n in (end, first, second)] == [False, False, True]
