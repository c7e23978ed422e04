"""Token selection in accelerators: the bits of the interpreter, fewer cycles, and what cannot be built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hls_designs import design_of, job_of, legalised, need_compiler
from hls_examples import IMAGES, differing, job

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.backend import lower as folded_design
from irc.backends.fpga_hls.folding import lanes_of
from irc.backends.fpga_hls.resources import cycles, multipliers
from irc.backends.fpga_hls.stage import Design
from irc.ir.diagnostics import IrcError
from irc.ir.interpret import interpret
from irc.ir.parser import parse

HALF = "token-select{keep=0.5},quant8,fuse"
COUNTED = "specialize{batch=1},token-select{kind=threshold threshold=0.01},quant8,fuse"
EVERYTHING = (
    ("", "token-select{keep=1},"),
    ("specialize{batch=1},", "token-select{kind=threshold threshold=0},"),
)


@pytest.mark.tool("g++")
@pytest.mark.usefixtures("unoptimized")
def test_first_images(tmp_path: Path):
    need_compiler()
    given = job("digits_vit", "token-select,quant8,fuse", 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, 8) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("preset", ["token-select,quant8,fuse", HALF, "token-select,quant4a4,fuse", COUNTED])
def test_whole_test_split(tmp_path: Path, preset: str):
    need_compiler()
    given = job("digits_vit", preset, 10_000)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, len(IMAGES)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("before", "selectors"), EVERYTHING)
def test_all_tokens_are_the_model_without_selectors(before: str, selectors: str):
    """Behind the same passes: ranges of a batch and of single samples differ in the last bit of a sum."""
    dense, whole = (job("digits_vit", f"{before}{chosen}quant8,fuse", 10_000).module for chosen in ("", selectors))
    for i in range(len(IMAGES)):
        image = [IMAGES[i : i + 1]]
        assert np.array_equal(interpret(dense, image)[0], interpret(whole, image)[0]), i


def spent(design: Design) -> int:
    """Products times cycles: what the stages of the blocks behind the first selector are busy with."""
    stages = [s for s in design.stages if s.name.startswith(("blocks_1", "blocks_2", "blocks_3"))]
    return sum(multipliers(s) * cycles(s) for s in stages)


def test_cycles_fall_with_the_tokens():
    """All stages folded alike: 33 + 17 + 9 tokens in the place of three times 65."""
    dense, half = (job("digits_vit", preset, 16).module for preset in ("quant8,fuse", HALF))
    stages = [s for s in design_of(dense).stages if s.foldable]
    alike = {s.name: f"4x{min(4, lanes_of(s)[1])}" for s in stages}
    before, after = (folded_design(job_of(module, schedule=alike)) for module in (dense, half))
    assert [s.template for s in after.stages].count("select_rows") == 3
    assert spent(after) < 0.31 * spent(before)


def test_several_sequences_are_refused():
    module = legalised(
        parse(
            "func @main(%x: i8[2, 3, 4], %s: i8[2, 3]) -> i8[2, 2, 4] {\n"
            '  %y = select %x, %s : i8[2, 2, 4]  at "blocks.1"\n  return %y\n}'
        )
    )
    with pytest.raises(IrcError) as raised:
        HLS.lower(job_of(module))
    (found,) = raised.value.diagnostics
    assert found.message == "select: x is i8[2, 3, 4], and the accelerator selects from one sequence"
    assert found.hint == "specialize{batch=1}"
