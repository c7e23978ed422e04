"""`irc compile --schedule FILE` and `--tune`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Irc

from irc.backends.cpu_simd.schedule import search
from irc.backends.cpu_simd.schedule.choose import unrolls

CPU = ("--backend", "cpu", "--passes", "clean,fuse")


def lines(artifact: str) -> list[str]:
    return (Path(artifact) / "schedule.txt").read_text().splitlines()


def test_an_edited_schedule_is_kept(irc: Irc, model: Path):
    irc("compile", model, *CPU)
    head, first, *rest = lines("mlp.cpu")
    assert head.startswith("#")
    what, _, how = first.partition(" = ")
    assert how.startswith("direct{rows=")
    edited = Path("mine.txt")
    edited.write_text(f"# mine\n\n{what} = direct{{rows=1 vectors=1 unroll=3}}\n")
    irc("compile", model, *CPU, "--schedule", edited, "-o", "edited.cpu")
    assert lines("edited.cpu") == [head, f"{what} = direct{{rows=1 vectors=1 unroll=3}}", *rest]
    irc("verify", "edited.cpu")
    irc("compile", model, *CPU, "--schedule", "edited.cpu/schedule.txt", "-o", "again.cpu")
    assert Path("again.cpu/manifest.json").read_bytes() == Path("edited.cpu/manifest.json").read_bytes()


def test_tuning_writes_what_it_found(irc: Irc, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "RUNS", 1)
    monkeypatch.setattr(search, "AXES", [("unrolling", unrolls)])
    said = irc("compile", model, *CPU, "--tune").stderr
    assert re.search(r"tuning: 2 kernels searched, 0 remembered, \d of them laid out otherwise than by rule; ", said)
    assert re.search(r"; what was searched makes a run take \d+ % of its time", said)
    (kept,) = (tmp_path / "cache" / "irc" / "schedules").iterdir()
    assert sorted(lines("mlp.cpu")) == sorted(kept.read_text().splitlines())
    again = irc("compile", model, *CPU, "--tune", "--force").stderr
    assert re.search(r"tuning: 0 kernels searched, 2 remembered, \d of them laid out otherwise than by rule$", again)
    assert "tuning" not in irc("compile", model, *CPU, "--tune", "--force", "--quiet").stderr
    irc("verify", "mlp.cpu")


def test_refusals(irc: Irc, model: Path):
    bad = Path("bad.txt")
    for text, said in (
        ("linear direct\n", "bad.txt:1:1: error: expected WHAT = HOW"),
        ("a = direct\na = direct\n", "bad.txt:2:1: error: a second schedule of 'a'"),
        ("a = direct{rows=1 vectors=1 unroll=1}\n", "no kernel has the schedule 'a'"),
        ("a = direct{rows}\n", "a:1:"),
    ):
        bad.write_text(text)
        found = irc("compile", model, *CPU, "--schedule", bad, code=2).stderr
        assert said.replace("error: ", "") in found.replace("error: ", "")
    bad.write_text("".join(f"linear {i} fma = direct{{rows=1 vectors=1 unroll=1}}\n" for i in range(9)))
    found = irc("compile", model, *CPU, "--schedule", bad, code=2).stderr
    assert "--schedule: no kernel has the schedule 'linear 0 fma', 'linear 1 fma'" in found
    assert "'linear 5 fma' and 3 more\n  hint: is it of another model? This one has 'linear " in found
    assert found.count("hint:") == 1
    assert "missing.txt" in irc("compile", model, *CPU, "--schedule", "missing.txt", code=2).stderr
    assert "nothing to measure" in irc("compile", model, "--tune", code=2).stderr
    assert "the backend reference has no schedules" in irc("compile", model, "--schedule", bad, code=2).stderr
