"""`irc lint`: what it prints about a project, and how it leaves."""

from __future__ import annotations

import importlib.util
import json

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("clang") is None, reason="no libclang: the extra `lint`")


def test_lint(irc, model, data, tmp_path):
    irc("compile", model, "--passes", "quant8,fuse", "--backend", "hls", "--calib", data, "-o", "art")
    assert irc("lint", "art").stdout == "art: nothing found\n"
    assert json.loads(irc("lint", "art", "--json").stdout) == {"schema": 1, "exit": 0, "findings": []}
    header = tmp_path / "art/src/irc/port.h"
    text = header.read_text().replace("PIPELINE II=1", "PIPELINE II=0", 1)
    header.write_text(text)
    line = text[: text.index("II=0")].count("\n") + 1
    assert irc("lint", "art/src/accelerator.cpp", code=1).stdout.splitlines() == [
        f"irc/port.h:{line}: pragma-option: PIPELINE II: 0 is below 1",
        "  use 1 or more",
        "",
        "pragma-option: a pragma with a wrong option is ignored or refused",
    ]
    found = json.loads(irc("lint", "art", "--json", code=1).stdout)
    assert found["exit"] == 1
    assert found["findings"][0]["rule"] == "pragma-option"
    assert found["findings"][0]["line"] == line


def test_nothing_to_lint(irc, tmp_path):
    assert "nowhere: there is no such project" in irc("lint", "nowhere", code=2).stderr
    assert "holds no C++ to lint" in irc("lint", tmp_path, code=2).stderr
