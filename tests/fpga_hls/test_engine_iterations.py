"""Trip counts of an engine are those that LLVM's scalar evolution finds in its templates, tile by tile.

The loops of an engine run to what the table of layers says. So each process is compiled once for each layer and each
kind of tile, with the entry of the table and the number of the tile as constants.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hls_designs import legalised, write
from hls_examples import job
from scalar_evolution import INLINE, Program
from test_engine import engine_trials

from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.engine.build import build
from irc.backends.fpga_hls.engine.cost import Part, cost, iterations, parts_of
from irc.backends.fpga_hls.engine.emit import namespace
from irc.backends.fpga_hls.engine.plan import Plan, planned
from irc.backends.fpga_hls.engine.program import Gather, Gemm, Layer, Move, Norm, Rank, Size, Tiled, Tiling
from irc.backends.fpga_hls.engine.project import sources
from irc.backends.fpga_hls.engine.reports import costs, engine_bill, engine_report
from irc.ir.parser import parse

pytestmark = [
    pytest.mark.tool("clang"),
    pytest.mark.skipif(importlib.util.find_spec("clang") is None, reason="no libclang: the extra `lint`"),
]

PROCESSES = {
    "first": "load_first<Size>(words, layer, tile, x, elements, kept, totals)",
    "weights": "load_weights<Size>(words, words, layer, tile, w)",
    "operands": "load_operands<Size>(words, layer, tile, second, third)",
    "parameters": "load_parameters<Size>(words, layer, tile, front, steps, front_table, step_table)",
    "compute": "run_front<Size>(layer, tile, x, elements, kept, totals, w, front, front_table, results)",
    "steps": "run_steps<Size>(layer, tile, results, second, third, steps, step_table, out)",
    "store": "store_rows<Size>(memory, layer, tile, out)",
    "move": "move_elements(bytes, to, layer)",
}
"""Calls as in run_tiles and run_layer of templates/engine.h."""

MEMORIES = """\
using namespace irc;
extern const Word words[1 << 20];
extern Word memory[1 << 20];
extern const uint8_t bytes[1 << 20];
extern uint8_t to[1 << 20];
extern Lane x[Size::rows * Size::turns][Size::simd][LANES];
extern int32_t elements[Size::packs][LANES];
extern UInt<1> kept[Size::packs][LANES];
extern RowTotal totals[Size::rows];
extern Lane w[Size::groups * Size::turns][Size::simd][Size::pe][LANES];
extern int32_t second[Size::packs][LANES];
extern int32_t third[Size::packs][LANES];
extern int32_t front[FRONT_PARAMETERS * CHANNEL_PACKS][LANES];
extern int32_t steps[PARAMETERS * CHANNEL_PACKS][LANES];
extern int32_t front_table[TABLE][LANES];
extern int32_t step_table[TABLE][LANES];
extern int32_t results[Size::packs][LANES];
extern int32_t out[Size::packs][LANES];
"""


@dataclass(frozen=True)
class Check:
    """A process on a tile of a layer, and the iterations that are stated for it."""

    layer: int
    name: str
    tile: int
    process: str
    stated: int

    @property
    def function(self) -> str:
        return f"layer_{self.layer}_tile_{self.tile}_{self.process}"

    @property
    def code(self) -> str:
        setting = f"const Layer& layer = layers[{self.layer}]; const int tile = {self.tile}; (void)tile;"
        return f'extern "C" void {self.function}() {{ {setting} {PROCESSES[self.process]}; }}\n'


def part_at(run: Tiled, tiling: Tiling, t: int) -> tuple[int, int, int, bool, bool]:
    """Rows, columns and words of tile t, whether it is the first or last along depth: `tile_at` of the templates."""
    above, k = divmod(t, tiling.depth_tiles)
    above, m = divmod(above, tiling.row_tiles)
    n = above % tiling.column_tiles
    depth = run.taps * run.depth_words if isinstance(run, Gemm) else tiling.depth_tiles
    return (
        min(tiling.rows, run.rows.count - m * tiling.rows),
        min(tiling.columns, run.columns - n * tiling.columns),
        min(tiling.words, depth - k * tiling.words),
        k == 0,
        k == tiling.depth_tiles - 1,
    )


def kinds_of(run: Tiled, tiling: Tiling) -> Iterator[tuple[int, Part]]:
    """A tile of each kind, after a check that there are as many of it as are counted."""
    seen: dict[tuple[int, int, int, bool, bool], list[int]] = {}
    for t in range(tiling.of(run.rows.batches)):
        seen.setdefault(part_at(run, tiling, t), []).append(t)
    counted: dict[tuple[int, int, int, bool, bool], int] = {}
    parts: dict[tuple[int, int, int, bool, bool], Part] = {}
    for part in parts_of(run, tiling):
        kind = (part.rows, part.columns, part.words, part.first, part.last)
        counted[kind] = counted.get(kind, 0) + part.count
        parts[kind] = part
    assert counted == {kind: len(found) for kind, found in seen.items()}
    return ((found[0], parts[kind]) for kind, found in seen.items())


def checks_of(plan: Plan, i: int, layer: Layer) -> Iterator[Check]:
    run, tiling = layer.run, plan.tilings[i]
    if isinstance(run, Move) or tiling is None:
        yield Check(i, layer.name, 0, "move", cost(layer, None, plan.size).loops["move"])
        return
    for t, part in kinds_of(run, tiling):
        for process, count in iterations(layer, run, part, plan.size).items():
            yield Check(i, layer.name, t, process, count)


def differing(plan: Plan, folder: Path, name: str, files: dict[str, str] | None = None) -> list[str]:
    """Processes whose iterations are not those of their code."""
    checks = [check for i, layer in enumerate(plan.layers) for check in checks_of(plan, i, layer)]
    head = f'#include "{name}.cpp"\nusing namespace {namespace(name)};\n{MEMORIES}'
    text = head + "".join(check.code for check in checks)
    write({**(files or sources(plan, name)), "tiles.cpp": text}, folder)
    program = Program(folder / "tiles.cpp", INLINE)
    found = [(check, program.pipelined(check.function)) for check in checks]
    return [f"{c.name}, {c.process}: {c.stated} stated, {count} in the code" for c, count in found if c.stated != count]


LINEAR = """
func @main(%x: i8[20, 40]) -> i32[20, 20] {
  %w = const ones : i8[20, 40]
  %1 = linear %x, %w : i32[20, 20]  at "fc"
  %2 = clamp %1 {lo = 0.0} : i32[20, 20]  at "fc"
  return %2
}
"""


def example(model: str) -> Plan:
    plan = HLS.lower(replace(job(model, "quant8", 16), options=Options(style="engine")))
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("digits_vit", marks=pytest.mark.slow)])
def test_examples(tmp_path: Path, model: str):
    assert differing(example(model), tmp_path, "top") == []


def test_an_iteration_more_is_seen(tmp_path: Path):
    """In the multipliers and in the steps, of a layer of each."""
    module = legalised(parse(LINEAR.replace("ones", str([[1] * 40] * 20))))
    plan = planned(build(module.functions[ACCELERATOR]), Size(16, 16, 128, 2, 2))
    assert differing(plan, tmp_path / "right", "top") == []
    files = sources(plan, "top")
    for header, loop in (("gemm", "n < tile.rows * groups * turns;"), ("steps", "n < tile.rows * tile.packs;")):
        assert files[f"irc/engine_{header}.h"].count(loop) == 1
        files[f"irc/engine_{header}.h"] = files[f"irc/engine_{header}.h"].replace(loop, loop.replace("<", "<="))
    found = differing(plan, tmp_path / "wrong", "top", files)
    assert {line.partition(":")[0] for line in found} == {"fc_linear, compute", "fc_linear, steps"}


def in_random_graphs(folder: Path, seeds: range) -> list[str]:
    return [line for t in engine_trials(seeds) for line in differing(t.design, folder / t.name, t.name)]


def test_a_selection_and_loops_of_one_iteration(tmp_path: Path):
    """The scales of a norm of one row are such a loop."""
    text = """
func @main(%x: i8[1, 20], %t: i8[1, 40, 24], %s: i32[1, 40]) -> (i8[1, 20], i8[1, 30, 24]) {
  %g = const ones : i32[20]
  %1 = int_norm %x, %g, %g {eps = 1, shift = 8} : i8[1, 20]  at "norm"
  %2 = select %t, %s : i8[1, 30, 24]  at "tokens"
  return %1, %2
}
"""
    module = legalised(parse(text.replace("ones", str([1] * 20))))
    plan = planned(build(module.functions[ACCELERATOR]), Size(16))
    assert {type(layer.run) for layer in plan.layers} >= {Norm, Rank, Gather}
    assert differing(plan, tmp_path, "top") == []


def test_random_graphs(tmp_path: Path):
    assert in_random_graphs(tmp_path, range(5000, 5002)) == []


@pytest.mark.slow
def test_many_random_graphs(tmp_path: Path):
    assert in_random_graphs(tmp_path, range(50_000, 50_060)) == []


def test_the_report_states_them():
    plan = example("digits_cnn")
    known = costs(plan)
    part = HLS.find_target("")
    rows = engine_report(plan, known, engine_bill(plan, part), 200)["layers"]
    assert sum(row["iterations"] for row in rows) == sum(max(c.loops.values()) for _, c in known)
    assert all(row["iterations"] <= row["cycles"] for row in rows)
