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
    assert "1 x 2" in Path("mine.hls/src/README.md").read_text()
    Path("mine.txt").write_text("nowhere = 1x2\n")
    found = irc("compile", model, *HLS, "--calib", data, "--schedule", "mine.txt", "-o", "none.hls", code=2)
    assert "there is no stage 'nowhere' to fold" in found.stderr
    assert not Path("none.hls").exists()
