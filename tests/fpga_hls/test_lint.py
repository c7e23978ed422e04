"""The linter: nothing in what is generated; every fault that is planted in it is found, at its line."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hls_designs import Trial, ap_types, design_of, legalised, write
from hls_examples import FAST, job
from test_random_graphs import masked_trials, trials_of

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.lint.check import PARSER, lint, sources_of
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.rules import RULES
from irc.backends.fpga_hls.project import sources
from irc.ir.diagnostics import ToolError, UsageError
from irc.ir.parser import parse

pytestmark = pytest.mark.skipif(importlib.util.find_spec("clang") is None, reason="no libclang: the extra `lint`")


# -- what is generated


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("digits_vit", marks=pytest.mark.slow)])
def test_nothing_is_found_in_the_examples(tmp_path: Path, model: str):
    given = job(model, FAST[model], 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert [f for source in sources_of(tmp_path) for f in lint(source, source.parent)] == []


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["quant8", "quant4", "quant4a4"])
@pytest.mark.parametrize("model", FAST)
def test_nothing_is_found_in_any_preset(tmp_path: Path, model: str, preset: str):
    given = job(model, preset, 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert lint(tmp_path / "src" / "accelerator.cpp", tmp_path / "src") == []


def in_random_graphs(folder: Path, trials: Sequence[Trial]) -> list[Finding]:
    """What is found in the designs of random graphs, all in one program."""
    lines: list[str] = []
    for trial in trials:
        io = "m_axi" if len(lines) % 2 else "axis"
        write(sources(trial.design, trial.name, io), folder / trial.name)
        lines.append(f'#include "{trial.name}/{trial.name}.cpp"\n')
    (folder / "all.cpp").write_text("".join(lines))
    return lint(folder / "all.cpp", folder)


def test_nothing_is_found_in_random_graphs(tmp_path: Path):
    assert in_random_graphs(tmp_path, [*trials_of(range(30)), *masked_trials(range(24))]) == []


@pytest.mark.slow
def test_nothing_is_found_in_many_random_graphs(tmp_path: Path):
    assert in_random_graphs(tmp_path, trials_of(range(100, 1100))) == []


# -- with headers of the vendor

MODEL = """
func @main(%x: i8[1, 8, 8], %w: i8[1, 8, 8]) -> i32[1, 8, 8] {
  %c = const [[1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1], [1, 1, 1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2, 2, 2],
              [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1], [1, 1, 1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2, 2, 2]]
    : i8[8, 8]
  %1 = linear %x, %c : i32[1, 8, 8]  at "fc" (Linear) model.py:1
  %2 = matmul %w, %x : i32[1, 8, 8]  at "mm" (MatMul) model.py:2
  %3 = add %1, %2 : i32[1, 8, 8]
  return %3
}
"""


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    """The sources of a small design: a product with weights, one of two streams, a fork and a join."""
    design = design_of(legalised(parse(MODEL)))
    for stage in design.stages:
        if stage.foldable:
            stage.set_fold(2, 4, 2)
    return sources(design, "top", "m_axi")


def found_in(files: dict[str, str], folder: Path, source: str = "top.cpp") -> list[Finding]:
    write(files, folder)
    return lint(folder / source, folder)


def compiler_headers() -> list[Path]:
    """Where g++ looks for headers, as it says itself."""
    command = ["g++", "-E", "-x", "c++", "-v", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [Path(line.strip()) for line in said.splitlines() if line.startswith(" /") and "=" not in line]


@pytest.mark.tool("g++")
def test_nothing_is_found_with_vendor_types(project: dict[str, str], tmp_path: Path):
    if shutil.which("g++") is None:
        pytest.skip("no g++, whose headers those of the vendor need")
    write(project, tmp_path)
    assert lint(tmp_path / "top.cpp", tmp_path, [Path(ap_types()[-1]), *compiler_headers()]) == []


def test_nothing_is_found_in_the_small_design(project: dict[str, str], tmp_path: Path):
    assert found_in(project, tmp_path) == []


# -- planted faults

PRODUCTS = "    dot_products<Shape, ProductsOf<Config>>(n, runs, w_tiles, sums);"
LOAD = "    load_operand<WShape, Config::w_zp>(n, w, w_tiles);"
"""Lines of `matmul` in templates/linear.h."""


@dataclass(frozen=True)
class Fault:
    """A change of one file, the line of the result at which the rule speaks, and what it says."""

    rule: str
    file: str
    old: str
    new: str
    line: str
    message: str
    way_out: str = ""


STAGES = "stages/fc.h"
LOOP = "for (int i = 0; i < COUNT; i++) {\n#pragma HLS PIPELINE II=1\n        x.write"
FAULTS = [
    Fault(
        "pragma-name",
        "irc/port.h",
        "PIPELINE II=1\n        x.write",
        "PIPLINE II=1\n        x.write",
        "PIPLINE",
        "there is no pragma 'PIPLINE'",
        "did you mean 'PIPELINE'?",
    ),
    Fault(
        "pragma-option",
        "irc/port.h",
        "PIPELINE II=1\n        x.write",
        "PIPELINE II=0\n        x.write",
        "II=0",
        "PIPELINE II: 0 is below 1",
        "use 1 or more",
    ),
    Fault(
        "pragma-option",
        "irc/linear.h",
        "variable=w_tiles type=complete dim=2",
        "variable=w_tiles type=full dim=2",
        "type=full",
        "'full' is not one of complete, block, cyclic",
    ),
    Fault(
        "pragma-option",
        "irc/linear.h",
        "variable=w_tiles type=complete dim=2",
        "variable=w_tiles type=cyclic dim=2",
        "type=cyclic",
        "a block or cyclic arrangement has a factor",
        "add factor=",
    ),
    Fault(
        "pragma-option",
        "irc/linear.h",
        "variable=w_tiles type=complete",
        "variable=w_tiles type=block factor=-2",
        "factor=-2",
        "factor: -2 is below 1",
    ),
    Fault(
        "pragma-option",
        "top.cpp",
        "mode=m_axi port=x offset",
        "mode=m_axi prt=x offset",
        "prt=x",
        "INTERFACE has no option 'prt'",
        "did you mean 'port'?",
    ),
    Fault("pragma-option", "top.cpp", "mode=m_axi port=x", "port=x", "port=x", "INTERFACE lacks mode="),
    Fault(
        "pragma-option",
        "irc/pack.h",
        "#pragma HLS UNROLL",
        "#pragma HLS UNROLL factor=",
        "factor=",
        "UNROLL factor: the value is missing",
    ),
    Fault(
        "pragma-option",
        "irc/pack.h",
        "#pragma HLS UNROLL",
        "#pragma HLS UNROLL skip_exit_check=2",
        "skip_exit_check=2",
        "it takes no value, and has '2'",
        "write skip_exit_check alone",
    ),
    Fault(
        "pragma-option",
        "irc/pack.h",
        "#pragma HLS UNROLL",
        "#pragma HLS UNROLL factor=4%2",
        "factor=4%2",
        "'4%2' is not a number",
        "use a number or a constant",
    ),
    Fault(
        "pragma-place",
        "irc/pack.h",
        "template <class T, int LANES> struct Pack {",
        "#pragma HLS INLINE\ntemplate <class T, int LANES> struct Pack {",
        "#pragma HLS INLINE",
        "INLINE is outside of every function",
        "move it into the body of a function",
    ),
    Fault(
        "pragma-place",
        "irc/port.h",
        LOOP,
        "\n#pragma HLS UNROLL\n    " + LOOP,
        "HLS UNROLL",
        "UNROLL does nothing in a function",
        "move it to the body of a loop",
    ),
    Fault(
        "pragma-place",
        "irc/pack.h",
        "                y.write(pack);\n",
        "#pragma HLS PIPELINE II=1\n                y.write(pack);\n",
        "PIPELINE II=1\n                y",
        "PIPELINE does nothing in a block",
    ),
    Fault(
        "pragma-place",
        "irc/port.h",
        "        x.write(X(port[i]));",
        "        x.write(X(port[i]));\n#pragma HLS LOOP_FLATTEN",
        "LOOP_FLATTEN",
        "LOOP_FLATTEN comes behind statements of its loop",
        "make it the first line of the body",
    ),
    Fault(
        "pragma-variable",
        "irc/linear.h",
        "variable=w_tiles type=complete",
        "variable=w_tile type=complete",
        "variable=w_tile ",
        "ARRAY_PARTITION is about 'w_tile', which is not declared before it in multiply_block",
        "did you mean 'w_tiles'?",
    ),
    Fault(
        "pragma-variable",
        "top.cpp",
        "port=y ",
        "port=z ",
        "port=z ",
        "INTERFACE is about 'z', which is not declared before it in top",
    ),
    Fault(
        "loop-bound",
        "irc/port.h",
        LOOP,
        LOOP.replace("for (int i = 0; i < COUNT; i++)", "int i = 0; while (port[i] != 0)"),
        "while (",
        "a while loop has no bound",
        "LOOP_TRIPCOUNT",
    ),
    Fault(
        "loop-bound",
        "irc/port.h",
        LOOP,
        LOOP.replace("i < COUNT", "i < int(port[0])"),
        "int(port[0])",
        "the bound depends on 'port', which is not constant",
    ),
    Fault(
        "loop-bound", "irc/port.h", LOOP, LOOP.replace("i < COUNT", ""), "(int i = 0; ;", "the loop has no condition"
    ),
    Fault(
        "loop-bound",
        "irc/port.h",
        LOOP,
        LOOP.replace("i < COUNT", "port[0] != 0"),
        "port[0] != 0",
        "the condition does not look at a counter of the loop",
    ),
    Fault(
        "loop-bound",
        "irc/port.h",
        LOOP,
        LOOP.replace("i++", ""),
        "i < COUNT; )",
        "the loop does not advance its counter",
    ),
    Fault(
        "loop-bound",
        "irc/port.h",
        LOOP,
        LOOP.replace("        x.write", "        i--;\n        x.write"),
        "i < COUNT",
        "the body changes the counter",
    ),
    Fault(
        "pipelined-loop",
        "irc/linear.h",
        "#pragma HLS UNROLL\n                    const T value",
        "                    const T value",
        "for (int s = 0; s < SIMD; s++) {\n                    const",
        "is unrolled without saying so",
        "add #pragma HLS UNROLL",
    ),
    Fault(
        "recursion",
        "irc/arith.h",
        "return b < a ? b : a;",
        "return b < a ? minimum(b, a) : a;",
        "minimum(b, a)",
        "minimum calls itself, by way of minimum",
        "write it as a loop",
    ),
    Fault(
        "recursion",
        "irc/arith.h",
        "template <class T> T minimum(T a, T b) {\n#pragma HLS INLINE\n    return b < a ? b : a;",
        "template <class T> T minimum(T a, T b);\ntemplate <class T> T least(T a, T b) { return minimum(a, b); }\n"
        "template <class T> T minimum(T a, T b) {\n    return b < a ? least(b, a) : a;",
        "least(b, a)",
        "minimum calls itself, by way of least",
    ),
    Fault(
        "allocation",
        "irc/pack.h",
        "    int lane = 0;\n",
        "    int& lane = *new int(0);\n",
        "*new int",
        "new needs a heap",
        "use an array of fixed size",
    ),
    Fault(
        "allocation",
        "irc/pack.h",
        "    int lane = 0;\n",
        "    int lane = 0;\n    delete &lane;\n",
        "delete",
        "delete needs a heap",
    ),
    Fault(
        "allocation",
        "irc/pack.h",
        "template <class Runs, class Length",
        'extern "C" void* malloc(unsigned long);\ninline void* heap() { return malloc(4); }\n'
        "template <class Runs, class Length",
        "return malloc",
        "malloc needs a heap",
    ),
    Fault(
        "allocation",
        "irc/pack.h",
        "template <class Runs, class Length",
        "#include <vector>\ninline int none() {\n    std::vector<int> lanes;\n    return int(lanes.size());\n}\n"
        "template <class Runs, class Length",
        "std::vector<int> lanes",
        "std::vector needs a heap",
    ),
    Fault(
        "software",
        "irc/pack.h",
        "    int lane = 0;\n",
        "    int lane = 0;\n    if (RUNS == 3) throw 1;\n",
        "throw 1",
        "hardware cannot do with an exception",
        "return a code instead",
    ),
    Fault(
        "software",
        "irc/epilogue.h",
        "struct Identity {",
        "struct Identity {\n    virtual int turn() { return 1; }",
        "virtual int",
        "hardware cannot do with a virtual function",
    ),
    Fault(
        "software",
        "irc/pack.h",
        "    int lane = 0;\n",
        "    int lane = 0;\n    void (*call)(int) = nullptr;\n",
        "(*call)",
        "hardware cannot do with a pointer to a function",
    ),
    Fault(
        "software",
        "irc/pack.h",
        "template <class Runs, class Length",
        'extern "C" int puts(const char*);\ninline void say() { puts(""); }\ntemplate <class Runs, class Length',
        "{ puts",
        "hardware cannot do with a call of puts",
        "keep it within #ifndef __SYNTHESIS__",
    ),
    Fault(
        "dataflow-form",
        "irc/linear.h",
        PRODUCTS,
        f"    if (block >= 0)\n    {PRODUCTS}",
        "if (block",
        "a DATAFLOW region holds something else than declarations and calls",
    ),
    Fault(
        "dataflow-form",
        "irc/tensor.h",
        "    for (int block = 0; block < Config::blocks; block++) {\n#pragma HLS DATAFLOW",
        "    x.read();\n    for (int block = 0; block < Config::blocks; block++) {\n#pragma HLS DATAFLOW",
        "    x.read();\n    for",
        "a loop with DATAFLOW is not the only statement of its function",
    ),
    Fault(
        "channel-ends",
        "top.cpp",
        "    mm(w_in",
        "    irc::drain<irc::Fixed<64>>(irc::FIXED, fc_out);\n    mm(w_in",
        "> fc_out(",
        "stream 'fc_out' has 2 consumers",
        "irc::fork",
    ),
    Fault(
        "channel-ends",
        "irc/linear.h",
        "    pack_runs<RowsOf<Config>, Fixed<Config::channels_in>, Config::x_zp>(n, x, runs);",
        "    pack_runs<RowsOf<Config>, Fixed<Config::channels_in>, Config::x_zp>(n, x, runs);\n"
        "    pack_runs<RowsOf<Config>, Fixed<Config::channels_in>, Config::x_zp>(n, x, runs);",
        'runs("linear.runs")',
        "stream 'runs' has 2 producers: pack_runs, pack_runs",
        "let one process write it",
    ),
    Fault(
        "channel-ends",
        "irc/linear.h",
        PRODUCTS,
        f"{PRODUCTS}\n{PRODUCTS}",
        "w_tiles[WShape::tiles]",
        "memory 'w_tiles' has 2 consumers: dot_products, dot_products",
    ),
    Fault(
        "channel-ends",
        "irc/linear.h",
        f"{LOAD}\n{PRODUCTS}",
        f"{PRODUCTS}\n{LOAD}",
        "w_tiles[WShape::tiles]",
        "memory 'w_tiles' is read by dot_products before it is written",
    ),
    Fault(
        "channel-ends",
        STAGES,
        "    irc::linear<FcConfig, Identity>(FIXED,",
        "    int n;\n    irc::linear<FcConfig, Identity>(n,",
        "int n;",
        "number 'n' has 0 producers: none",
        "let one process write it",
    ),
    Fault(
        "channel-ends",
        STAGES,
        "    irc::linear<FcConfig, Identity>(FIXED, x, fc_weights, y);",
        "    int n;\n    irc::linear<FcConfig, Identity>(n, x, fc_weights, y);\n    irc::take_count(x, n);",
        "int n;",
        "number 'n' is read by irc::linear before it is written",
        "put the producer before the consumer",
    ),
    Fault(
        "partitioned-index",
        "irc/linear.h",
        "sum += x.lane[s] *",
        "sum += x.lane[s] * acc.lane[first] *",
        "acc.lane[first]",
        "dimension 1 of 'acc.lane' is partitioned, but indexed by 'first'",
    ),
    Fault(
        "partitioned-index",
        "irc/linear.h",
        "for (int s = 0; s < SIMD; s++) {\n#pragma HLS UNROLL\n                    const T value",
        "for (int s = 0; s < SIMD; s++) {\n                    const T value",
        "* Shape::in_tiles + tile][s]",
        "dimension 2 of 'tiles' is partitioned, but indexed by 's'",
        "unrolled loop",
    ),
    Fault(
        "allow",
        "irc/pack.h",
        "    int lane = 0;\n",
        "    int lane = 0; // lint: allow recursion: for no reason\n",
        "for no reason",
        "nothing here breaks the rule recursion",
        "remove it",
    ),
    Fault(
        "allow",
        "irc/pack.h",
        "    int lane = 0;\n",
        "    int lane = 0; // lint: allow recursoin: really\n",
        "recursoin",
        "there is no rule 'recursoin'",
        "did you mean 'recursion'?",
    ),
    Fault(
        "allow",
        "irc/pack.h",
        "partitioned-index: scalars come one by one, so each lane has a write enable",
        "partitioned-index",
        "allow partitioned-index",
        "there is no reason",
    ),
    Fault(
        "parse", "irc/pack.h", "    int lane = 0;\n", "    int lane = zero;\n", "= zero", "undeclared identifier 'zero'"
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.rule}: {f.message}")
def test_a_planted_fault_is_found(fault: Fault, project: dict[str, str], tmp_path: Path):
    text = project[fault.file]
    assert fault.old in text, f"{fault.file} has changed: {fault.old}"
    changed = text.replace(fault.old, fault.new, 1)
    found = found_in({**project, fault.file: changed}, tmp_path, fault.file)
    told = [f for f in found if f.rule == fault.rule and fault.message in f.message]
    assert [(f.file, f.line) for f in told] == [(fault.file, changed[: changed.index(fault.line)].count("\n") + 1)], (
        found
    )
    assert told[0].way_out
    assert fault.way_out in told[0].way_out


def test_every_rule_has_a_fault():
    assert {fault.rule for fault in FAULTS} == {*RULES, "allow", "parse"}


def test_an_allowance_holds_for_its_line(project: dict[str, str], tmp_path: Path):
    text = project["irc/pack.h"].replace(
        "    int lane = 0;\n", "    // lint: allow allocation: the test wants it\n    int& lane = *new int(0);\n"
    )
    assert found_in({**project, "irc/pack.h": text}, tmp_path) == []


def test_a_stated_trip_count_bounds_a_loop(project: dict[str, str], tmp_path: Path):
    loop = LOOP.replace("i < COUNT", "i < int(port[0])").replace("II=1", "II=1\n#pragma HLS LOOP_TRIPCOUNT max=COUNT")
    assert found_in({**project, "irc/port.h": project["irc/port.h"].replace(LOOP, loop)}, tmp_path) == []


def test_no_libclang(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, PARSER.partition(":")[0], None)
    with pytest.raises(ToolError, match="libclang is needed to read C"):
        lint(tmp_path / "top.cpp", tmp_path)


def test_nothing_to_lint(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no C"):
        sources_of(tmp_path)
    with pytest.raises(UsageError, match="there is no such project"):
        sources_of(tmp_path / "none")
