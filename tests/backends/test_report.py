"""Costs by layer."""

from __future__ import annotations

import numpy as np
import pytest

from irc.backends.page import page
from irc.backends.report import build, layers_of, sizes_counted
from irc.ir.constants import Data
from irc.ir.parser import parse
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

TEXT = """func @block(%x: f32[b, 4], %w: f32[4, 4]) -> f32[b, 4] where b in [1, 9] {
  %y = linear %x, %w : f32[b, 4]  at "fc" (Linear) m.py:1
  %z = relu %y : f32[b, 4]  at "act" (ReLU) m.py:2
  return %z
}

func @main(%x: f32[b, 4]) -> f32[b, 4] where b in [1, 9] {
  %w = const #HASH : f32[4, 4]  at "fc" (Linear) m.py:1
  %one = call @block %x, %w : f32[b, 4]
  %two = call @block %one, %w : f32[b, 4]
  return %two
}
"""


def module():
    w = Data.of(np.arange(16, dtype=np.float32).reshape(4, 4))
    return parse(TEXT.replace("HASH", w.hash), weights={w.hash: w.array})


def test_functions_count_as_often_as_they_are_called():
    fc, act = layers_of(module())
    assert (fc.path, fc.cls, fc.macs, fc.ops) == ("fc", "Linear", 2 * 16, {"linear": 2})
    assert (fc.constants, fc.bits, fc.bytes) == (16, 32, 64)
    assert act.ops == {"relu": 2}


def test_bodies_of_kernels_count_for_their_layer():
    fused = module()
    run_pipeline("inline,fuse", fused, PassContext())
    assert "kernel" in str(fused)
    fc = layers_of(fused)[0]
    assert fc.macs == 32
    assert fc.ops == {"linear": 2, "relu": 2}


def test_backend_columns_are_joined_by_layer():
    header = {
        "irc": "0",
        "model": "m",
        "backend": "b",
        "target": "t",
        "pipeline": "",
        "warnings": ["careful"],
        "notes": [],
    }
    told = {"summary": {"luts": 5}, "layers": [{"layer": "fc", "luts": 5}, {"layer": "io", "luts": 0}], "notes": ["hi"]}
    report = build(module(), module(), header, told)
    assert report["summary"]["luts"] == 5
    assert [(row["layer"], row.get("luts")) for row in report["layers"]] == [("fc", 5), ("act", None), ("io", 0)]
    text = page(report)
    assert "careful" in text
    assert "<li>hi</li>" in text
    assert "http" not in text


@pytest.mark.parametrize("pipeline", ["", "quantize{activations=none rounding=nearest},", "inline,fuse,"])
def test_masks_are_shown_and_what_they_hide_does_not_count(pipeline: str):
    w, v = (Data.of(np.arange(16, dtype=np.float32).reshape(4, 4) + i) for i in (0, 1))
    text = """func @main(%x: f32[2, 4]) -> f32[2, 4] {
  %w = const #W : f32[4, 4]  at "a"
  %v = const #V : f32[4, 4]  at "b"
  %y = linear %x, %w : f32[2, 4]  at "a"
  %z = linear %y, %v : f32[2, 4]  at "b"
  return %z
}
"""
    given = parse(text.replace("W", w.hash).replace("V", v.hash), weights={d.hash: d.array for d in (w, v)})
    run_pipeline(f"prune{{layers=b}},{pipeline}dce", given, PassContext())
    a, b = (next(layer for layer in layers_of(given) if layer.path == path) for path in "ab")
    assert (a.macs, b.macs) == (32, 16)
    assert b.row()["mask"] == "nm<2x4>: 50 % kept"
    assert "mask" not in a.row()
    assert b.bytes == a.bytes - 8 * a.bits // 8 + 2


def test_a_batch_that_may_not_be_one():
    text = "func @main(%x: f32[t, 4], %y: f32[b, n]) -> f32[t, 4] where t in [2, 40], b in [0, 9], n in [1, 8] {\n"
    text += "  %z = relu %x : f32[t, 4]\n  return %z\n}\n"
    counted = "one run of the fewest samples, t = 2 at the largest sizes, n = 8"
    assert sizes_counted(parse(text)) == counted
    report = build(parse(text), parse(text), {}, {})
    assert report["summary"]["other steps"] == 8
    assert report["notes"] == [f"costs are those of {counted}"]
