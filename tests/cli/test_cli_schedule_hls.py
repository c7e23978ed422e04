"""`irc compile --backend hls --schedule FILE`: stages folded by hand."""

from __future__ import annotations

from pathlib import Path

from conftest import Irc

HLS = ("--backend", "hls{style=dataflow}", "--passes", "quant8,fuse")


def test_a_folding_of_the_users(irc: Irc, model: Path, data: Path):
    irc("compile", model, *HLS, "--calib", data)
    head, first, _ = Path("mlp.hls/schedule.txt").read_text().splitlines()
    stage = first.partition(" = ")[0]
    Path("mine.txt").write_text(f"{stage} = 1x2\n")
    irc("compile", model, *HLS, "--calib", data, "--schedule", "mine.txt", "-o", "mine.hls")
    assert Path("mine.hls/schedule.txt").read_text().splitlines()[:2] == [head, f"{stage} = 1x2"]
    assert "| 1x2 |" in Path("mine.hls/src/README.md").read_text()
    Path("mine.txt").write_text("nowhere = 1x2\n")
    found = irc("compile", model, *HLS, "--calib", data, "--schedule", "mine.txt", "-o", "none.hls", code=2)
    assert "there is no such stage to fold: 'nowhere'" in found.stderr
    assert not Path("none.hls").exists()


def test_an_engine_of_the_users(irc: Irc, model: Path, data: Path):
    engine = ("--backend", "hls{style=engine}", "--passes", "quant8,fuse", "--calib", data)
    irc("compile", model, *engine)
    _, size, *layers = Path("mlp.hls/schedule.txt").read_text().splitlines()
    assert size.startswith("engine size = array{pe=")
    assert [line.partition(" = ")[0] for line in layers] == ["fc1_linear", "fc2_linear"]
    Path("mine.txt").write_text("engine size = array{pe=16 rows=128 columns=16 words=4 simd=1}\n")
    irc("compile", model, *engine, "--schedule", "mine.txt", "-o", "mine.hls")
    assert "static constexpr int rows = 128;" in Path("mine.hls/src/accelerator.cpp").read_text()
    assert "bit-equal to the interpreter" in irc("verify", "mine.hls").stdout
    Path("mine.txt").write_text("fc3_linear = tile{rows=1}\n")
    found = irc("compile", model, *engine, "--schedule", "mine.txt", "-o", "none.hls", code=2).stderr
    assert "the engine has no such layer with tiles: 'fc3_linear'" in found
    assert "did you mean" in found
    assert not Path("none.hls").exists()
