"""Whatever the text, `parse` gives a module or an IrcError: no other exception, no exhausted stack or memory."""

from __future__ import annotations

import random
import re
import tracemalloc
from collections.abc import Callable

import pytest
from graphs import random_module
from hypothesis import example, given, settings
from hypothesis import strategies as st

from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.parser import parse

TEXTS = [
    "func @main(%x: f32[2]) -> f32[2] {\n  return %x\n}",
    """
func @main(%x: f32[n+1, 4], %q: i8<[0.5, 0.25], zp=[1, 2], axis=0>[2, 4]) -> (f32[n+1, 3], i32[2])
    where n in [1, 6], k <= 5 {
  %w = const [[0.0, 1.5, 0.0, 0.0], [1.0, -2.0, inf, 1e-5], [0.0, 0.0, 0.0, 0.0]] {mask = nm<2x4, #0123456789abcdef>}
    : f32[3, 4]  at "fc \\"1\\"" (Linear) vit.py:88 via load
  %y = linear %x, %w : f32[n+1, 3]
  %z = kernel (%a = %y, %b = %q) -> f32[n+1, 3] {
    %c = conv %a, %a, _ {stride = [1], padding = [0, 0], dilation = [1], w_zp = [1, 2]} : f32[1]
    yield %c
  }
  %s = slice %y {axis = 0, start = floordiv(n, 2), stop = max(n, k)+1} : f32[3]
  %u, %v = call @f %y : (f32[n+1, 3], i32[2])
  return %u, %v
}
func @f(%x: f32[m, 3]) -> (f32[m, 3], i32[2]) where m in [0, 9] {
  %c = const [1, 2] : i32[2]
  return %x, %c
}
""",
    *(str(random_module(random.Random(seed), 8)) for seed in range(12)),
]
PIECES = [
    *'()[]{}<>:,=*+-"%@#\\.;\n\x00',
    *("->", "<=", "//", "func", "where", "in", "at", "via", "return", "yield", "kernel", "call", "const", "none", "_"),
    *(
        "true",
        "false",
        "inf",
        "nan",
        "-1",
        "0",
        "1",
        "2",
        "3",
        "999999999",
        "9" * 30,
        "9" * 5000,
        "1e400",
        "0.5",
        "4x16",
    ),
    *(
        "floordiv",
        "mod",
        "min",
        "max",
        "floordiv(n, 0)",
        "n*n*n",
        "axis",
        "group",
        "group=9999999",
        "zp",
        "binary",
        "mask",
    ),
    *(
        "%x",
        "%y",
        "@main",
        "@f",
        "#0123456789abcdef",
        '"text"',
        '"\\u{ffffff}"',
        "f32",
        "i8",
        "u4",
        "i1",
        "i64",
        "bool",
        "bf16",
    ),
    *(
        "[[[[",
        "((((",
        "{{{{",
        "relu",
        "linear",
        "conv",
        "max_pool",
        "reshape",
        "expand",
        "pad",
        "int_softmax",
        "requantize",
    ),
    *(
        "shift = 99999",
        "stride = [0]",
        "kernel = [-1]",
        "order = [5]",
        "axes = [9, 9]",
        "groups = 0",
        "step = 0",
        "é",
        "😀",
    ),
]
TOKEN = re.compile(r'\s+|"[^"]*"|[%@#]?[\w.$]+|->|<=|.', re.DOTALL)


def problems(text: str) -> tuple[Diagnostic, ...]:
    try:
        parse(text)
        return ()
    except IrcError as error:
        return error.diagnostics


def reads_or_explains(text: str) -> None:
    found = problems(text)
    assert all(d.span is not None for d in found), found
    assert all(map(str, found))


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A valid text in which a few tokens or characters are deleted, doubled, swapped, replaced or joined by others."""
    text = draw(st.sampled_from(TEXTS))
    parts = TOKEN.findall(text) if draw(st.booleans()) else list(text)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(parts) - 1))
        edit = draw(st.sampled_from(["delete", "insert", "replace", "double", "swap", "cut", "repeat"]))
        piece = draw(st.sampled_from(PIECES))
        if edit == "delete":
            del parts[place]
        elif edit == "insert":
            parts.insert(place, piece)
        elif edit == "replace":
            parts[place] = piece
        elif edit == "double":
            parts.insert(place, parts[place])
        elif edit == "swap":
            other = draw(st.integers(0, len(parts) - 1))
            parts[place], parts[other] = parts[other], parts[place]
        elif edit == "repeat":
            parts[place] = parts[place] * draw(st.sampled_from([3, 100, 3000]))
        else:
            del parts[place + 1 :]
        parts = parts or [""]
    return "".join(parts)


@given(damaged())
@settings(max_examples=1000)
def test_damaged_texts(text: str) -> None:
    reads_or_explains(text)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join) | st.text())
@settings(max_examples=300)
@example("")
@example("func @main() -> () { return } " * 3)
def test_any_text(text: str) -> None:
    reads_or_explains(text)


def nested(opening: str, closing: str, head: str = "", tail: str = "") -> Callable[[int], str]:
    return lambda depth: head + opening * depth + closing * depth + tail


BODY = "func @main(%x: f32[2]) -> f32[2] {\n  "


@pytest.mark.parametrize("depth", [10, 200, 20000])
@pytest.mark.parametrize(
    "text",
    [
        nested("[", "]", BODY + "%c = const ", " : f32[1]\n  return %c\n}"),
        nested("floordiv(", ", 2)", "func @main(%x: f32[", "n]) -> f32[2] where n in [1, 4] {\n  return %x\n}"),
        nested("max(n, ", ")", "func @main(%x: f32[", "]) -> f32[2] where n in [1, 4] {\n  return %x\n}"),
        nested("%y = kernel (%x = %x) -> f32[2] {\n", "yield %y\n}\n", BODY, "return %x\n}"),
        nested("(", ")", "func @main(%x: f32[2]) -> "),
        nested("-", "", "func @main(%x: f32["),
        nested("n*", "", "func @main(%x: f32[", "n]) -> f32[2] where n in [1, 4] {\n  return %x\n}"),
        nested("n+", "", "func @main(%x: f32[", "n]) -> f32[2] where n in [1, 4] {\n  return %x\n}"),
        nested("%y = relu %x : f32[2]\n", "", BODY),
        nested("{axis = ", "}", BODY + "%y = softmax %x "),
    ],
)
def test_deep_and_long_texts(text: Callable[[int], str], depth: int) -> None:
    reads_or_explains(text(depth))


@pytest.mark.parametrize(
    "line",
    [
        "%c = const #0123456789abcdef : f32[99999999999, 99999999999]",
        "%c = const [1.0] : f32[99999999999]",
        "%c = const [[0.0, 0.0]] {mask = block<999999999x999999999, [[false]]>} : f32[1, 2]",
        "%c = const [[0.0, 0.0]] {mask = nm<1x999999999, [[false, false]]>} : f32[1, 2]",
        "%c = const [1] : i8<[0.5], axis=0, group=999999999999>[999999999999]",
        "%y = expand %x : f32[99999999999, 2]",
        "%y = pad %x {before = [99999999999], after = [99999999999]} : f32[200000000000]",
        "%y = iota {start = 0, step = 1} : i64[99999999999]",
        f"%y = reshape %x : f32[{'1, ' * 100}2]",
        "%y = reshape %x : f32[1, 1, 2]\n"
        "  %z = avg_pool %y {kernel = [99999999999], stride = [1], padding = [0, 99999999999]} : f32[1, 1, 3]",
    ],
)
def test_sizes_are_not_allocated(line: str) -> None:
    tracemalloc.start()
    try:
        reads_or_explains(f"{BODY}{line}\n  return %x\n}}")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_products_of_sums_stay_small() -> None:
    total = "floordiv(" + "+".join(f"s{i}" for i in range(26)) + ", 1)"
    where = ", ".join(f"s{i} in [1, 2]" for i in range(26))
    text = f"func @main(%x: f32[{'*'.join([total] * 20)}]) -> f32[2] where {where} {{\n  return %x\n}}"
    with pytest.raises(IrcError, match="a dimension is too large"):
        parse(text)
