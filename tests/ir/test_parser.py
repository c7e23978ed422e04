"""Parsing beyond single messages, which are in filetests/parse: spans of findings, sharing, names."""

from __future__ import annotations

import textwrap
from dataclasses import KW_ONLY
from pathlib import Path

import numpy as np
import pytest
from expecting import fails

from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.equal import difference
from irc.ir.op import Op
from irc.ir.parser import parse
from irc.ir.types import Element, TensorType, f32_tensor
from irc.tables import OPS


def spans(text: str) -> list[str]:
    with pytest.raises(IrcError) as raised:
        parse(text, source="m.irc")
    return [str(d).split(": ")[0] for d in raised.value.diagnostics]


def test_no_function() -> None:
    hint = "a module starts with 'func @main(...) -> ... {'"
    for text in ("", "  \n// nothing but a comment\n"):
        with fails("no function here", hint=hint):
            parse(text)
        assert spans(text) == ["m.irc:1:1"]


def test_findings_of_the_verifier_have_a_place() -> None:
    text = (
        "func @main(%x: f32[n-9], %y: f32[2]) -> f32[2] where n in [1, 8] {\n"
        "  %a = clamp %y {lo = 2.0, hi = 1.0} : f32[2]\n"
        "  %b = call @main %x, %a : f32[2]\n"
        "  return %b\n"
        "}\n"
    )
    assert spans(text) == ["m.irc:1:12", "m.irc:2:8", "m.irc:1:6"]


def test_all_errors_show_their_line() -> None:
    with pytest.raises(IrcError) as raised:
        parse("func @main(%x: f32[2]) -> f32[2] {\n  %y = gelu %x, %x : f32[2]\n  return %y\n}", source="m.irc")
    assert str(raised.value) == "m.irc:2:8: gelu: too many operands\n    %y = gelu %x, %x : f32[2]\n         ^^^^"


def test_errors_of_ops_keep_their_location_and_hint() -> None:
    with pytest.raises(IrcError) as raised:
        parse(
            'func @main(%x: i8[2]) -> i8[2] {\n  %y = relu %x : i8[2] at "act" (ReLU)\n  return %y\n}', source="m.irc"
        )
    assert (
        str(raised.value).splitlines()[0] == 'm.irc:2:8: "act" (ReLU): relu: operand is i8[2], expected a float tensor'
    )
    assert "\n  hint: dequantize it" in str(raised.value)


def test_without_check_the_verifier_does_not_run() -> None:
    text = "func @main(%x: f32[2]) -> f32[2] {\n  %a = clamp %x {lo = 2.0, hi = 1.0} : f32[2]\n  return %a\n}"
    assert str(parse(text, check=False)) == text + "\n"


def test_names_of_inputs_are_kept_and_others_are_hints() -> None:
    module = parse("func @main(%in.0: f32[2], %7: f32[2]) -> f32[2] {\n  %9 = add %in.0, %7 : f32[2]\n  return %9\n}")
    assert [v.name for v in module.main.inputs] == ["in.0", ""]
    node = next(iter(module.main.nodes))
    for name, printed in {"": "%1", "ümläut x": "%_ml_ut_x", "in.0": "%in.0_0", "1": "%1", "²": "%_"}.items():
        node.result.name = name
        assert str(module).splitlines()[1].strip().startswith(f"{printed} = add %in.0, %0")
        assert not difference(module, parse(str(module)))


def test_equal_hashes_are_one_object() -> None:
    data = Data.of(np.arange(9, dtype=np.float32))
    line = f"const #{data.hash} : f32[9]"
    text = f"func @main() -> f32[9] {{\n  %a = {line}\n  %b = {line}\n  return %b\n}}"
    for weights in ({}, {data.hash: data.array}):
        a, b, _ = parse(text, weights=weights).main.nodes
        assert a.value is b.value
        assert a.value.loaded is bool(weights)
        assert a.value == data


def test_a_hash_takes_the_type_that_it_stands_with() -> None:
    data = Data.of(np.arange(9, dtype=np.float32))
    text = f"func @main() -> f32[9] {{\n  %a = const #{data.hash} : f16[9]\n  return %a\n}}"
    with fails(f"the weights of #{data.hash} are float32[9], the text says f16[9]"):
        parse(text, weights={data.hash: data.array})


def test_vectors_of_scales_that_are_absent_have_the_shape_of_the_type() -> None:
    scales, groups = "0123456789abcdef", "fedcba9876543210"
    text = (
        f"func @main(%x: i8<#{scales}, zp=#{groups}, axis=1>[4, 16], %y: i4<#{groups}, axis=1, group=4>[2, 16])"
        " -> i8[1] {\n  %c = const 1 : i8[]\n  %d = reshape %c : i8[1]\n  return %d\n}\n"
    )
    x, y = parse(text).main.inputs
    assert [d.shape for d in x.type.encoding.data] == [(16,), (16,)]
    assert [d.shape for d in y.type.encoding.data] == [(2, 4)]
    assert str(parse(text)) == text
    assert str(parse(str(parse(text)))) == text


def test_fields_without_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Typed(Op, name="typed"):
        _: KW_ONLY
        element: Element
        size: int | float

        def infer(self) -> TensorType:
            return f32_tensor(2)

    monkeypatch.setattr(OPS, "_rows", dict(OPS._rows))
    OPS.add("typed", Typed, "test")
    text = "func @main() -> f32[2] {{\n  %a = typed {{{}}} : f32[2]\n  return %a\n}}"
    with fails("values of Element have no text"):
        parse(text.format("element = i8"))
    with fails("expected int or float, found '3'"):
        parse(text.format("size = 3"))


def test_results_may_be_none_or_several() -> None:
    text = (
        "func @main(%x: f32[2]) -> () {\n"
        "  %a, %b = kernel (%i = %x) -> (f32[2], f32[2]) {\n"
        "    %c = neg %i : f32[2]\n"
        "    yield %c, %i\n"
        "  }\n"
        "  call @nothing %a, %b : ()\n"
        "  kernel (%i_0 = %a) -> () {\n"
        "    yield\n"
        "  }\n"
        "  return\n"
        "}\n\n"
        "func @nothing(%x: f32[2], %y: f32[2]) -> () {\n"
        "  return\n"
        "}\n"
    )
    module = parse(text)
    assert str(module) == text
    assert not difference(module, parse(str(module)))


def test_the_documented_example_is_canonical() -> None:
    page = (Path(__file__).parents[2] / "docs" / "text-format.md").read_text(encoding="utf-8")
    begin = page.index("    func @main")
    example = textwrap.dedent(page[begin : page.index("\n    }\n", begin) + 7])
    assert str(parse(example)) == example
