"""Locations and diagnostics: what users read."""

from __future__ import annotations

import pickle

import pytest

from irc.ir.diagnostics import (
    BudgetError,
    Collector,
    Diagnostic,
    InternalError,
    IrcError,
    MismatchError,
    Span,
    ToolError,
    UnsafeInputError,
    UsageError,
    did_you_mean,
)
from irc.ir.location import UNKNOWN, Loc, Source, at, fuse, quote
from irc.ir.parser import parse


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("blocks.0", '"blocks.0"'),
        ('a "b" \\', '"a \\"b\\" \\\\"'),
        ("a\nb\tc", '"a\\nb\\tc"'),
        ("ü\x00😀", '"\\u{fc}\\u{0}\\u{1f600}"'),
    ],
)
def test_quotes(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("loc", "text"),
    [
        (UNKNOWN, ""),
        (at("blocks.0.attn.proj", "Linear", "vit.py", 88), 'at "blocks.0.attn.proj" (Linear) vit.py:88'),
        (at("", "torch.nn.Linear"), 'at "" (torch.nn.Linear)'),
        (at("a", "Foo.<locals>.Bar", "my model-2.py", -1), 'at "a" ("Foo.<locals>.Bar") "my model-2.py":-1'),
        (at("a", "2D", "via", 3), 'at "a" ("2D") via:3'),
        (Loc((Source("a"), Source("b")), ("load", "dead-code")), 'at "a", "b" via load, dead-code'),
        (Loc(passes=("my pass", "1-st", "a--b", "x-")), 'via "my pass", "1-st", "a--b", "x-"'),
    ],
)
def test_locations_read_back(loc: Loc, text: str) -> None:
    assert str(loc) == text
    module = parse(f"func @main(%x: f32[2]) -> f32[2] {{\n  %y = relu %x : f32[2] {text}\n  return %y {text}\n}}")
    assert [node.loc for node in module.walk()] == [loc, loc]


def test_locations_of_derived_nodes() -> None:
    a, b = at("a").via("load"), at("b", "ReLU").via("load").via("fuse")
    assert a.via("load") is a
    assert str(fuse([a, b, a, UNKNOWN])) == 'at "a", "b" (ReLU) via load, fuse'
    assert (bool(UNKNOWN), bool(a), UNKNOWN.path, b.path) == (False, True, "", "b")


def test_diagnostics_show_place_notes_and_hint() -> None:
    text = "first\n  second line\nthird"
    span = Span("model.irc", text, text.index("line"), text.index("third") + 2)
    found = Diagnostic("it is wrong", at("blocks.0", "Linear"), span, "--passes", ("because",), "do otherwise")
    assert str(found) == (
        'model.irc:2:10: --passes: "blocks.0" (Linear): it is wrong\n'
        "    second line\n"
        "           ^^^^\n"
        "  note: because\n"
        "  hint: do otherwise"
    )
    assert (span.line, span.column) == (2, 10)
    assert Span("x", "ab", 2, 2).excerpt() == "  ab\n    ^"


def test_errors_carry_all_diagnostics_and_an_exit_code() -> None:
    codes = {IrcError: 1, UsageError: 2, MismatchError: 3, BudgetError: 4, ToolError: 5, UnsafeInputError: 6}
    assert {kind: kind.exit_code for kind in codes} == codes
    assert InternalError.exit_code == 70
    error = UsageError("no such thing", hint="another")
    assert error.diagnostics == (Diagnostic("no such thing", hint="another"),)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.diagnostics, str(copy)) == (UsageError, error.diagnostics, str(error))


def test_collectors_raise_everything_at_once() -> None:
    found = Collector()
    found.raise_if_any()
    found.add("one", at("a"), notes=["why"])
    found.add("two", hint="how")
    with pytest.raises(UsageError) as raised:
        found.raise_if_any(UsageError)
    assert str(raised.value) == '"a": one\n  note: why\ntwo\n  hint: how'


def test_hints() -> None:
    assert did_you_mean("lineer", ["linear", "conv"]) == "did you mean 'linear'?"
    assert did_you_mean("zzz", ["linear", "conv"]) == "known: conv, linear"
    assert did_you_mean("zzz", map(str, range(50))) == ""
    assert did_you_mean("zzz", []) == ""
