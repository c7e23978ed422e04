"""The grammar of sizes in saved programs."""

from __future__ import annotations

import pytest
import sympy

from irc.frontend.expressions import LONGEST, checked_expression

S = "Symbol('s77', positive=True, integer=True)"


@pytest.mark.parametrize(
    "text",
    [
        S,
        "s77",
        "Integer(4)",
        f"Add({S}, Integer(-3))",
        f"Mul(Integer(2), {S}, Symbol('u0'))",
        f"FloorDiv(Add({S}, Integer(1)), Integer(2))",
        f"Pow({S}, Integer(2))",
        "s0**2 - s1//2 + 3",
        f"StrictGreaterThan({S}, Integer(1))",
        "Max(1, s0) >= 2",
        "-s0",
        "True",
    ],
)
def test_allowed(text: str) -> None:
    assert checked_expression(text).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", [S, f"Add({S}, Integer(1))", "s0*2 + 1", "Max(1, s0)"])
def test_the_meaning_stays(text: str) -> None:
    assert sympy.sympify(checked_expression(text)) == sympy.sympify(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('x')", "Call is not allowed"),
        ("open('x', 'w')", "the function 'open'"),
        ("eval('1')", "the function 'eval'"),
        ("s0.__class__", "Attribute is not allowed"),
        ("[s0]", "List is not allowed"),
        ("(lambda: 1)()", "Call is not allowed"),
        ("s0 if s1 else s2", "IfExp is not allowed"),
        ("x", "the name 'x'"),
        ("E", "the name 'E'"),
        ("u12345678", "the name 'u12345678'"),
        ("Symbol('x')", "the name of a symbol"),
        ("Symbol(s0)", "the name of a symbol"),
        ("Symbol('s0', 's1')", "the name of a symbol"),
        ("Symbol('s0', cls=s1)", "the assumption 'cls' of a symbol"),
        ("Symbol('s0', integer=s1)", "the assumption 'integer' of a symbol"),
        ("Symbol('s0', integer=1)", "an assumption that is not True or False"),
        ("Integer('4')", "Integer of something else than a number"),
        ("Add(s0, evaluate=False)", "keywords of Add"),
        ("9**9**9", "an exponent that is not within"),
        ("(s0**8)**8", "a power within a power"),
        ("Pow(Integer(10), Pow(Integer(9), Integer(8)))", "an exponent that is not within"),
        ("Pow(Mul(Pow(s0, 8), 2), 8)", "a power within a power"),
        ("9" * 30, "a number beyond 64 bits"),
        ("1.5", "Constant is not allowed"),
        ("'s0'", "Constant is not allowed"),
        ("f'{s0}'", "JoinedStr is not allowed"),
        ("s0 +", "not an expression"),
        ("s0; s1", "not an expression"),
        ("(" * 500 + ")" * 500, "not an expression"),
        ("s0+" * LONGEST + "1", "characters"),
        ("1 < s0 < 3", "Compare is not allowed"),
        ("s0 and s1", "BoolOp is not allowed"),
        ("", "not an expression"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_expression(text)
