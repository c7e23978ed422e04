"""What is written: names and comments from any model, packed weights, scripts, the guide; the same bytes every time."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hls_designs import STRICT, design_of, job_of, legalised, need_compiler, write
from hls_examples import FAST, IMAGES, job
from hypothesis import given
from hypothesis import strategies as st

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.emit.weights import hex_rows, pack
from irc.backends.fpga_hls.emit.writer import WIDTH, Writer, harmless
from irc.backends.fpga_hls.identifiers import RESERVED, Names, identifier
from irc.backends.fpga_hls.lower.linear import DepthwiseWeights
from irc.backends.fpga_hls.lower.masked import GroupedWeights
from irc.backends.fpga_hls.project import sources
from irc.backends.fpga_hls.toolchain import compile_simulation
from irc.backends.fpga_hls.types import Code, float_literal, literal, narrowest_builtin
from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module
from irc.ir.location import at
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Clamp
from irc.ir.ops.structure import Return
from irc.ir.scalars import I8, Array
from irc.ir.types import Element, TensorType

HOSTILE = [
    'evil"; } int system();\n#include <x>',
    "*/ int x; /*",
    "ends in a backslash \\",
    "trigraph ??/",
    "\u202eright to left, und Umläute",
    "while",
    "",
    "....",
    "0.conv",
    "same",
    "Same",
    "SAME",
    "s_a_m_e",
    "x" * 500,
]


def hostile_module() -> Module:
    graph = Graph([TensorType(Element(I8), (1, 4))], names=["x"], name="main")
    module = Module([graph])
    b = Builder.at_end(graph)
    value = graph.inputs[0]
    for i, name in enumerate(HOSTILE):
        b.loc = at(name, name, name, i)
        w = b.const(np.eye(4, dtype=np.int8), I8, name=name)
        value = b(Clamp(b(Linear(value, w)), lo=float(-i), hi=float(100 - i)), name=name)
    b.add(Return((value,)))
    return module


def test_names_of_a_model_do_no_harm(tmp_path: Path):
    need_compiler()
    files = sources(design_of(legalised(hostile_module())), "accelerator", "m_axi")
    for name, text in files.items():
        assert re.fullmatch(r"[a-z0-9_/]+\.(h|cpp)", name)
        assert text.isascii()
        if not name.startswith("irc/"):
            for line in text.splitlines():
                code = line.partition("//")[0]
                assert "system()" not in code
                assert "include <x>" not in code
                assert not line.endswith("\\")
    write(files, tmp_path)
    compile_simulation([tmp_path / "accelerator.cpp"], tmp_path / "object.o", [*STRICT, "-c"])


@given(st.text())
def test_identifiers(text: str):
    name = identifier(text)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert "__" not in name
    assert name not in RESERVED


@given(st.text())
def test_comments_stay_comments(text: str):
    shown = harmless(text)
    assert shown.isascii()
    assert shown.isprintable() or not shown
    assert "\\" not in shown
    assert not any(mark in shown for mark in ("??", "*/", "/*"))


def test_names_are_given_once():
    names = Names()
    assert [names.fresh(n) for n in ("a_1", "a_1", "a1", "b")] == ["a_1", "a_1_2", "a1_3", "b"]


@pytest.mark.parametrize("model", FAST)
def test_equal_input_equal_bytes(model: str, tmp_path: Path):
    given_job = job(model, FAST[model], 16)
    for folder in ("a", "b"):
        HLS.emit(given_job, HLS.lower(given_job), tmp_path / folder)
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(names) > 20
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("model", FAST)
def test_lines_are_short(model: str, tmp_path: Path):
    given = job(model, FAST[model], 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    for path in (tmp_path / "src").rglob("*.h"):
        longest = max(path.read_text().splitlines(), key=len)
        assert len(longest) <= 150, (path, longest)


def test_the_guide_finds_a_layer(tmp_path: Path):
    given = job("digits_vit", FAST["digits_vit"], 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    guide = (tmp_path / "src" / "README.md").read_text()
    row = next(line for line in guide.splitlines() if line.startswith("| blocks.2.mlp.fc1 (Linear)"))
    assert "`blocks_2_mlp_fc1` | `stages/blocks_2.h` | linear |" in row
    stage = (tmp_path / "src" / "stages" / "blocks_2.h").read_text()
    assert "// blocks.2.mlp.fc1 (Linear) models.py:" in stage
    assert "inline void blocks_2_mlp_fc1(stream<Int<4>>& x" in stage
    assert (tmp_path / "src" / "weights" / "blocks_2_mlp_fc1.h").is_file()


def test_scripts_name_part_and_clock(tmp_path: Path):
    module = job("digits_cnn", FAST["digits_cnn"], 16).module
    given = job_of(module, [[IMAGES[:1]]], clock=250.0)
    HLS.emit(given, HLS.lower(given), tmp_path)
    script = (tmp_path / "src" / "run_hls.tcl").read_text()
    assert "set_part xczu9eg-ffvb1156-2-e" in script
    assert "create_clock -period 4.000ns" in script
    assert "set_top accelerator" in script
    top = (tmp_path / "src" / "accelerator.cpp").read_text()
    assert "#pragma HLS INTERFACE mode=m_axi port=" in top
    assert "#pragma HLS INTERFACE mode=s_axilite port=return" in top
    assert top.count("#pragma HLS DATAFLOW") == 1


def test_streams_as_ports(tmp_path: Path):
    module = job("digits_cnn", FAST["digits_cnn"], 16).module
    given = job_of(module, [[IMAGES[:1]]], io="axis")
    HLS.emit(given, HLS.lower(given), tmp_path)
    top = (tmp_path / "src" / "accelerator.cpp").read_text()
    assert "#pragma HLS INTERFACE mode=axis port=y" in top
    assert "m_axi" not in top


# -- constants


def words_of(codes: Array, bits: int, width: int) -> list[int]:
    """Packing by the book: one long number a row."""
    number = sum((int(code) & ((1 << bits) - 1)) << (i * bits) for i, code in enumerate(codes))
    count = -(-len(codes) * bits // width)
    return [(number >> (i * width)) & ((1 << width) - 1) for i in range(count)]


@given(st.integers(1, 16), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_packed_words(bits: int, lanes: int, rows: int, seed: int):
    code = Code(bits, signed=seed % 2 == 0)
    tiles = np.random.default_rng(seed).integers(code.lowest, code.highest, (rows, lanes), endpoint=True)
    words = pack(tiles, bits)
    width = words.dtype.itemsize * 8
    assert [list(map(int, row)) for row in words] == [words_of(row, bits, width) for row in tiles]


@given(st.sampled_from([8, 16, 32, 64]), st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_hex_rows(width: int, rows: int, columns: int, seed: int):
    words = np.random.default_rng(seed).integers(0, 2**width - 1, (rows, columns), np.uint64, endpoint=True)
    text = hex_rows(words.astype(f"<u{width // 8}"))
    assert max(map(len, text.splitlines())) <= WIDTH
    groups = re.findall(r"\{([^}]*)\}", text)
    assert [[int(word, 16) for word in group.split(",")] for group in groups] == words.tolist()


def test_tiles_of_grouped_weights():
    codes = np.arange(2 * 3 * 5 * 2).reshape(2, 3, 5, 2)
    tiles = GroupedWeights(codes, Code(8, signed=True), -9).tiles(2, 3)
    assert tiles.shape == (2 * 2 * 2 * 2, 6)
    for group in range(2):
        for out in range(2):
            for tap in range(2):
                for part in range(2):
                    row = tiles[((group * 2 + out) * 2 + tap) * 2 + part].reshape(2, 3)
                    for p in range(2):
                        for s in range(3):
                            o, i = out * 2 + p, part * 3 + s
                            assert row[p, s] == (codes[group, o, i, tap] if o < 3 and i < 5 else -9)


def test_tiles_of_depthwise_weights():
    codes = np.arange(3 * 4).reshape(3, 4)
    tiles = DepthwiseWeights(codes, Code(8, signed=True), 7).tiles(2, 1)
    assert tiles.tolist() == [[t, 4 + t] for t in range(4)] + [[8 + t, 7] for t in range(4)]


def test_literals():
    assert literal(-(2**31)) == "(-2147483647 - 1)"
    assert literal(5) == "5"
    assert float_literal(2.0) == "2.0f"
    assert all(np.float32(float_literal(x)[:-1]) == np.float32(x) for x in (0.1, 1e-30, 3.4e38, 1 / 3))
    assert narrowest_builtin(np.array([0, 255])) == "uint8_t"
    assert narrowest_builtin(np.array([-1, 128])) == "int16_t"


def test_writer():
    writer = Writer()
    with writer.guard("X_H"), writer.namespace("x"), writer.block("struct A", "};"):
        writer.pragma("INLINE")
        writer.line("int b;")
    assert writer.text() == (
        "#ifndef X_H\n#define X_H\n\nnamespace x {\n\nstruct A {\n#pragma HLS INLINE\n    int b;\n};\n"
        "} // namespace x\n\n#endif\n"
    )
