"""The engine style: the bits of the interpreter from one engine for all layers, what it refuses, what it writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hls_designs import SANITIZED, STRICT, Trial, ap_types, job_of, legalised, need_compiler, run_trials
from hls_engines import EngineTrial
from hls_examples import differing, job
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from test_random_graphs import graph_of

from irc.backends.base import Job
from irc.backends.fpga_hls.area import total
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.device import PARTS, Part
from irc.backends.fpga_hls.engine.build import build
from irc.backends.fpga_hls.engine.cost import TILE_LATENCY, least_cost
from irc.backends.fpga_hls.engine.footprint import footprint
from irc.backends.fpga_hls.engine.memory import new_view
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.engine.program import Size
from irc.backends.fpga_hls.engine.reports import costs
from irc.backends.fpga_hls.engine.sizes import best_size
from irc.backends.fpga_hls.folding import Budget
from irc.backends.fpga_hls.lint.check import lint
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.toolchain import compile_simulation, run_simulation
from irc.backends.fpga_hls.types import Code
from irc.frontend.capture import capture
from irc.ir.builder import Builder
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Linear
from irc.ir.ops.quant import Requantize
from irc.ir.ops.structure import Return
from irc.ir.parser import parse
from irc.ir.scalars import I8, I32, U8, Array
from irc.ir.types import Element, tensor
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.models import MODELS


def engine_job(model: str, preset: str, **options: object) -> Job[Part, Options]:
    return replace(job(model, preset, 16), options=Options(style="engine", **options))  # type: ignore[arg-type]


def emitted(given: Job[Part, Options], folder: Path) -> Plan:
    plan = HLS.lower(given)
    assert isinstance(plan, Plan)
    HLS.emit(given, plan, folder)
    return plan


@pytest.mark.tool("g++")
@pytest.mark.parametrize(("model", "preset"), [("digits_vit", "quant8"), ("digits_cnn", "quant8")])
@pytest.mark.usefixtures("unoptimized")
def test_first_images(tmp_path: Path, model: str, preset: str):
    need_compiler()
    given = engine_job(model, preset)
    emitted(given, tmp_path)
    assert differing(given, tmp_path, 4) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("preset", ["quant8", "quant4", "quant4a4"])
@pytest.mark.parametrize("model", ["digits_vit", "digits_cnn"])
def test_whole_test_split(tmp_path: Path, model: str, preset: str):
    need_compiler()
    given = engine_job(model, preset)
    emitted(given, tmp_path)
    assert differing(given, tmp_path, 2000) == []


@pytest.mark.tool("g++")
@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("digits_cnn", "sanitized"),
        pytest.param("digits_cnn", "vendor", marks=pytest.mark.slow),
        pytest.param("digits_vit", "vendor", marks=pytest.mark.slow),
    ],
)
def test_golden_vectors(tmp_path: Path, model: str, kind: str):
    need_compiler()
    flags = [*STRICT, *SANITIZED, "-O1"] if kind == "sanitized" else ["-std=c++14", "-O1", *ap_types()]
    given = engine_job(model, "quant4")
    emitted(given, tmp_path)
    sources = [tmp_path / "src" / name for name in ("accelerator.cpp", "tb.cpp")]
    compile_simulation(sources, tmp_path / "program", flags)
    run_simulation(tmp_path / "program", [], IRC_PROJECT=str(tmp_path / "src"))


@pytest.mark.tool("g++")
@pytest.mark.usefixtures("unoptimized")
def test_trace_shows_what_layers_compute(tmp_path: Path):
    need_compiler()
    given = engine_job("digits_cnn", "quant8")
    emitted(given, tmp_path)
    image = given.golden[0].inputs
    expected = dict[object, Array]()
    interpret(given.module, image, observe=lambda value, array: expected.__setitem__(value, array))
    assert HLS.trace is not None
    shown = list(HLS.trace(given, tmp_path, image))
    assert len(shown) > 10
    assert all(np.array_equal(array, expected[value]) for value, array in shown)


def test_the_linter_finds_nothing(tmp_path: Path):
    pytest.importorskip("clang")
    emitted(engine_job("digits_vit", "quant4"), tmp_path)
    assert lint(tmp_path / "src" / "accelerator.cpp", tmp_path / "src") == []


def test_same_bytes(tmp_path: Path):
    for folder in ("a", "b"):
        emitted(engine_job("digits_vit", "quant4"), tmp_path / folder)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 10
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


# -- random graphs

LIMITS = (
    "the engine multiplies by integers only",
    "gather: the engine cannot run it",
    "the engine multiplies codes of at most 8",
    "; the engine has 512",
)
"""What the engine refuses to run in random graphs."""


def engine_trials(seeds: Sequence[int]) -> list[Trial]:
    """Engines of random graphs, every third one without kernels, of those that the engine can run."""
    trials: list[Trial] = []
    for seed in seeds:
        graph = graph_of(seed)
        module = legalised(graph.module, fused=seed % 3 > 0) if graph else None
        if not graph or not module or ACCELERATOR not in module.functions:
            continue
        try:
            trials.append(EngineTrial.of(f"g{seed}", module, graph.samples, np.random.default_rng(seed)))
        except IrcError as error:
            if not all(any(limit in d.message for limit in LIMITS) for d in error.diagnostics):
                raise
    assert len(trials) > 0.3 * len(seeds)
    return trials


FOUND = [31, 431]
"""Seeds that once failed: a kernel that begins with a view, a concatenation of 16-bit elements within a row."""


@pytest.mark.tool("g++")
@pytest.mark.parametrize("flags", [["-O0"], ["-O0", *SANITIZED]], ids=["plain", "sanitized"])
def test_random_graphs(tmp_path: Path, flags: list[str]):
    need_compiler()
    seeds = [*FOUND, *(range(5000, 5020) if flags == ["-O0"] else range(6000, 6003))]
    assert run_trials(engine_trials(seeds), tmp_path, flags) == []


@pytest.mark.tool("g++")
def test_random_graphs_with_vendor_types(tmp_path: Path):
    need_compiler()
    assert run_trials(engine_trials(range(7000, 7006)), tmp_path, ["-O0", *ap_types()]) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("chunk", range(10))
def test_many_random_graphs(tmp_path: Path, chunk: int):
    need_compiler()
    begin = 40_000 + 300 * chunk
    assert run_trials(engine_trials(range(begin, begin + 300)), tmp_path, ["-O0"]) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("chunk", range(4))
def test_many_random_graphs_with_vendor_types(tmp_path: Path, chunk: int):
    need_compiler()
    begin = 60_000 + 15 * chunk
    assert run_trials(engine_trials(range(begin, begin + 15)), tmp_path, ["-O0", *ap_types()]) == []


# -- views


@given(st.integers(0, 2**32 - 1))
def test_views_are_those_of_numpy(seed: int):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, rng.integers(1, 5)))
    view = new_view("x", Code(8, signed=True), shape, list(rng.permutation(len(shape))))
    array = tensor = as_strided(np.arange(view.buffer.size), shape, tuple(8 * s for s in view.strides))
    for _ in range(3):
        what = rng.integers(3)
        if what == 0:
            order = list(map(int, rng.permutation(tensor.ndim)))
            view, tensor = view.permuted(order), tensor.transpose(order)
        elif what == 1:
            axis = int(rng.integers(tensor.ndim))
            kept = range(int(rng.integers(tensor.shape[axis])), tensor.shape[axis], int(rng.integers(1, 3)))
            view, tensor = view.sliced(axis, kept), np.moveaxis(np.moveaxis(tensor, axis, 0)[kept], 0, axis)
        else:
            target = (tensor.size // int(np.prod(tensor.shape[1:])), -1) if tensor.ndim > 1 else (-1, 1)
            wanted = tensor.reshape(target)
            found = view.reshaped(wanted.shape)
            if found is None:
                return
            view, tensor = found, wanted
    places = view.offset + sum(
        np.arange(n).reshape(-1, *[1] * (tensor.ndim - 1 - d)) * s
        for d, (n, s) in enumerate(zip(view.shape, view.strides, strict=True))
    )
    assert np.array_equal(np.broadcast_to(places, tensor.shape), tensor)
    assert array.shape == shape


# -- cycles


def test_cycles_of_a_linear_layer():
    """100 rows of 256 by 80 columns, on 32 columns and 2 words at once, in tiles of 64 rows and columns."""
    text = """
func @main(%x: i8[100, 256]) -> i32[100, 80] {
  %w = const ones : i8[80, 256]
  %1 = linear %x, %w : i32[100, 80]  at "fc"
  return %1
}
"""
    module = legalised(parse(text.replace("ones", str([[1] * 256] * 80))))
    (layer,) = build(module.functions[ACCELERATOR]).layers
    size = Size(32, rows=64, columns=64, words=16, simd=2)
    found = least_cost(layer, size)
    turns = 256 // 16 // 2
    compute = 2 * (50 * 2 * turns + TILE_LATENCY) + 2 * (50 * 1 * turns + TILE_LATENCY)
    read_x = 4 * (50 * 16 + TILE_LATENCY)
    read_w = 2 * (64 * 16 + TILE_LATENCY) + 2 * (32 * 16 + TILE_LATENCY)
    assert found.busy["compute"] == compute
    assert found.busy["first"] == read_x
    assert found.busy["weights"] == read_w
    wide, narrow = (64 * 16 + TILE_LATENCY), (50 * 16 + TILE_LATENCY)
    assert 2 * wide + 2 * narrow < found.cycles < 2 * wide + 2 * narrow + 3 * wide
    assert found.macs == 100 * 256 * 80
    assert found.bytes == 16 * (4 * 50 * 16 + 2 * 96 * 16 + 100 * 5 * 4)


def test_a_larger_budget_makes_a_faster_engine():
    program = build(job("digits_vit", "quant8", 16).module.functions[ACCELERATOR])
    part = PARTS["zcu102"]
    small, large = (best_size(program, part, Budget(dsps, part.luts)) for dsps in (460, 2000))
    assert small.multipliers < large.multipliers
    assert total(footprint(small).values()).dsp <= 460


def deit_tiny(preset: str) -> Job[Part, Options]:
    """224 x 224, random weights, a golden vector."""
    entry = MODELS["deit_tiny"]
    module = capture(entry.build(), entry.inputs).module
    images = np.random.default_rng(0).standard_normal((4, 3, 224, 224)).astype(np.float32)
    run_pipeline(preset, module, PassContext(samples={module.main.inputs[0].name: images}))
    return replace(job_of(legalised(module), [[images[:1]]]), options=Options(style="engine"))


def bits_of_deit_tiny(given: Job[Part, Options], folder: Path) -> Plan:
    """Its engine, whose simulation has the bits of the interpreter."""
    plan = emitted(given, folder)
    (golden,) = given.golden
    with HLS.start(given, folder) as run:
        ((result,),) = run([golden.inputs])
    assert np.array_equal(result, golden.outputs[0])
    return plan


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("preset", ["quant8,fuse", "quant4,fuse"])
def test_deit_tiny(tmp_path: Path, preset: str):
    """Bit-equal for an image, fits the part, and the multipliers are busy."""
    need_compiler()
    given = deit_tiny(preset)
    plan = bits_of_deit_tiny(given, tmp_path)
    summary = HLS.emit(given, plan, tmp_path)["summary"]
    assert summary["fits zcu102, estimated"] == "yes"
    assert int(summary["multipliers busy in these"].split()[0]) >= 60


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_deit_tiny_with_fewer_tokens(tmp_path: Path):
    """In front of blocks 3, 6 and 9 of 12 the share of 0.7 stays: bit-equal, fewer products, fewer cycles."""
    need_compiler()
    whole = HLS.lower(deit_tiny("quant8,fuse"))
    fewer = bits_of_deit_tiny(deit_tiny("token-select{keep=0.7},quant8,fuse"), tmp_path)
    assert isinstance(whole, Plan)
    before, after = ([c for _, c in costs(plan)] for plan in (whole, fewer))
    assert sum(c.macs for c in after) < 0.7 * sum(c.macs for c in before)
    assert sum(c.cycles for c in after) < 0.75 * sum(c.cycles for c in before)


# -- what the user decides


def test_the_schedule_of_an_engine_is_the_users(tmp_path: Path):
    given = engine_job("digits_cnn", "quant8")
    whole = emitted(given, tmp_path).schedule
    assert HLS.emit(given, HLS.lower(given), tmp_path)["schedule"] == whole
    layer = "separable_pointwise_conv_conv"
    mine = {"engine size": "array{pe=16 rows=128 columns=16 words=8 simd=2}", layer: "tile{rows=7}"}
    plan = HLS.lower(replace(given, schedule=mine, options=Options()))  # auto: whose schedule it is decides the style
    assert isinstance(plan, Plan)
    assert plan.size == Size(16, 128, 16, 8, 2)
    assert plan.schedule.items() >= mine.items()
    again = HLS.lower(replace(given, schedule=plan.schedule))
    assert again.schedule == plan.schedule
    assert sum(c.cycles for _, c in costs(plan)) > sum(c.cycles for _, c in costs(HLS.lower(given)))


@pytest.mark.tool("g++")
def test_a_layer_in_tiles_of_the_users(tmp_path: Path):
    """Rows that do not divide those of the layer, and others that are all of them: the same bits."""
    need_compiler()
    given = engine_job("digits_cnn", "quant8")
    plan = HLS.lower(given)
    tiles = [(layer.name, tiling.rows) for layer, tiling in zip(plan.layers, plan.tilings, strict=True) if tiling]
    less = {name: max(1, rows - 1 - i % 3) for i, (name, rows) in enumerate(tiles)}
    assert any(rows > 1 for rows in less.values())
    given = replace(given, schedule={name: f"tile{{rows={rows}}}" for name, rows in less.items()})
    emitted(given, tmp_path)
    assert differing(given, tmp_path, 4) == []


# -- which style


def test_what_fits_is_dataflow():
    assert isinstance(HLS.lower(job("digits_cnn", "quant8", 16)), Design)


def too_wide(**options: object) -> Job[Part, Options]:
    """Six layers with 1 MB of weights each, more than the memory of a zcu102 holds."""
    graph = Graph(name="main")
    b, rng = Builder.at_end(graph), np.random.default_rng(0)
    x: Value = graph.add_input(tensor(U8, (1, 1024)), "x")
    for _ in range(6):
        w = b.const(rng.integers(-127, 128, (1024, 1024)).astype(np.int8), I8)
        x = b(Requantize(b(Linear(x, w, None)), b.const(np.int32(1000), I32), shift=24, to=Element(U8)))
    b.add(Return((x,)))
    return job_of(legalised(Module([graph])), [[np.zeros((1, 1024), np.uint8)]], **options)


def test_what_does_not_fit_is_an_engine_that_says_why(tmp_path: Path):
    wide = too_wide()
    plan = HLS.lower(wide)
    assert isinstance(plan, Plan)
    assert plan.why.startswith("style=dataflow does not fit zcu102: ")
    style = HLS.emit(wide, plan, tmp_path)["summary"]["style"]
    assert "BRAM36 too many, most of them in" in style
    assert isinstance(HLS.lower(too_wide(style="dataflow")), Design)


def test_report_and_guide(tmp_path: Path):
    given = engine_job("digits_vit", "quant8")
    plan = emitted(given, tmp_path)
    told = HLS.emit(given, plan, tmp_path)
    json.dumps(told)
    assert told["summary"]["style"] == "engine; style=engine asks for it"
    assert told["summary"]["fits zcu102, estimated"] == "yes"
    assert sum(row["cycles"] for row in told["layers"]) == told["summary"]["cycles per sample"]
    guide = (tmp_path / "src" / "README.md").read_text()
    assert all(guide.count(f"| `{layer.name}` |") == 1 for layer in plan.layers)


def test_masks_save_nothing_and_the_report_says_so(tmp_path: Path):
    given = engine_job("digits_vit", "prune{kind=2:4},quant8")
    (said_of_masks,) = HLS.emit(given, emitted(given, tmp_path), tmp_path)["unmet"]
    assert said_of_masks.startswith("a mask of the kind nm<2x4> saves nothing in hardware, its zeros are multiplied: ")
    assert "blocks_0_mlp_fc1_linear" in said_of_masks
    assert said_of_masks.endswith("those of all weights; style=dataflow leaves blocks, filters and N:M out")


# -- what it refuses


def said(text: str, **options: object) -> str:
    """All diagnostics for a module, as one text."""
    try:
        HLS.lower(job_of(legalised(parse(text)), style="engine", **options))
    except IrcError as error:
        return "\n".join(map(str, error.diagnostics))
    return ""


def test_what_the_engine_cannot_run_is_said_at_once():
    text = said("""
func @main(%x: i16[1, 4], %i: i32[1]) -> (i32[1, 2], i8[1, 4], i16[1, 4], i16[1, 4]) {
  %w = const [[1, 2, 3, 4], [5, 6, 7, 8]] : i8[2, 4]
  %m = const 0.5 : f32[]
  %t = const [[1, 2, 3, 4], [5, 6, 7, 8]] : i8[2, 4]
  %1 = linear %x, %w : i32[1, 2]  at "head" (Linear) model.py:9
  %2 = gather %t, %i {axis = 0} : i8[1, 4]  at "embed" (Embedding) model.py:3
  %3 = requantize %x, %m {mode = float} : i16[1, 4]  at "scale"
  %4 = shift_left %x, %x : i16[1, 4]  at "hash" (Hash) model.py:5
  return %1, %2, %3, %4
}
""")
    assert '"embed" (Embedding) model.py:3: gather: the engine cannot run it' in text
    assert '"hash" (Hash) model.py:5: shift_left: the engine cannot run it' in text
    assert "hls{style=dataflow}" in text


def test_wide_codes_are_refused():
    text = said("""
func @main(%x: i16[1, 4]) -> (i32[1, 2], i16[1, 4]) {
  %w = const [[1, 2, 3, 4], [5, 6, 7, 8]] : i8[2, 4]
  %m = const 0.5 : f32[]
  %1 = linear %x, %w : i32[1, 2]  at "head" (Linear) model.py:9
  %3 = requantize %x, %m {mode = float} : i16[1, 4]  at "scale"
  return %1, %3
}
""")
    assert (
        '"head" (Linear) model.py:9: linear: codes of x have 16 bits; the engine multiplies codes of at most 8' in text
    )
    assert '"scale": requantize: the engine multiplies by integers only' in text
    assert "integerize{requant=fixed}" in text


def test_long_rows_and_tables_are_refused():
    text = said(
        """
func @main(%x: i8[1, 3000], %z: i16[1, 4]) -> (u8[1, 3000], u8[1, 4]) {
  %t = const [32768, 100, 0] : i32[3]
  %1 = int_softmax %x, %t : u8[1, 3000]  at "attn"
  %l = const %s : i32[600]
  %2 = int_softmax %z, %l : u8[1, 4]  at "wide"
  return %1, %2
}
""".replace("%s", str([32768, *[0] * 599]))
    )
    assert '"attn": int_softmax: rows of 3000 elements; the engine takes 2048' in text
    assert '"wide": int_softmax: a table of 600 entries; the engine has 512' in text


def test_sums_without_dimensions_are_refused():
    text = said("""
func @main(%x: i8[1, 4]) -> i32[] {
  %1 = sum %x {axes = [0, 1]} : i32[]  at "total"
  return %1
}
""")
    assert '"total": sum: it gives a number without dimensions' in text
    assert "keepdims=True" in text


def test_permutations_of_many_dimensions_are_refused():
    text = said("""
func @main(%x: i16[2, 3, 2, 3, 2, 3, 2]) -> i16[2, 3, 2, 3, 2, 3, 2] {
  %1 = permute %x {order = [6, 5, 4, 3, 2, 1, 0]} : i16[2, 3, 2, 3, 2, 3, 2]  at "shuffle"
  %2 = clamp %1 {lo = 0.0} : i16[2, 3, 2, 3, 2, 3, 2]  at "relu"
  return %2
}
""")
    assert '"relu": a tensor of 8 dimensions is permuted' in text


def test_options_of_the_other_style():
    with pytest.raises(UsageError, match="io=axis goes with style=dataflow"):
        Options(style="engine", io="axis")
