"""docs/coverage.md is what `python -m benchmarks.coverage` makes of benchmarks/zoo.json; `pytest --bless` writes it."""

from __future__ import annotations

import json
import sys

import pytest
from messages import ROOT

sys.path.insert(0, str(ROOT))

from benchmarks.coverage import PAGE, RESULTS, page


def test_the_page_is_up_to_date(request: pytest.FixtureRequest) -> None:
    wanted = page(RESULTS.read_text(encoding="utf-8"))
    if request.config.getoption("bless"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted, "python -m benchmarks.coverage"


def test_what_fails_is_listed_with_its_reason() -> None:
    good, bad = {"ok": True, "error": 2e-7, "calls": 2}, {"ok": False, "reason": "a | b"}
    facts = {"inputs": ["f32[1]"], "note": "", "date": "2026-11-26"}
    net = {**facts, "capture": {"ok": True, "parameters": 1200}, "interpreter": good, "cpu": good, "onnx": bad}
    fixed = {
        **net,
        "capture": {"ok": True, "fixed": "no batch"},
        "onnx": {"ok": None},
        "quant8": {"ok": True, "db": 30.4},
    }
    told = page(
        json.dumps(
            {"machine": {"cpu": "x"}, "catalogue": ["net", "fixed", "other"], "models": {"net": net, "fixed": fixed}}
        )
    )
    assert "1 more models of the catalogue have no results: other.\n" in told
    assert "| net | onnx | a \\| b |\n" in told
    assert "| fixed | batch | no batch |\n" in told
    assert "| and run at two sizes of it, interpreter and CPU | 2 of 2 (100.0 %) |\n" in told
    assert "| of these, with a batch that varies | 1 of 2 (50.0 %) |\n" in told
    assert "| C simulation of the accelerator, of those asked | none asked |\n" in told
    assert "| net | f32[1] | 1,200 | varies | 2e-07 | 2e-07 |  | fails |  |  |\n" in told
    assert "| fixed | f32[1] |  | fixed | 2e-07 | 2e-07 | 30 dB |  |  |  |\n" in told
