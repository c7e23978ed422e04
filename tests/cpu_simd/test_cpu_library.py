"""Libraries ahead of time: what is in the files, and C programs that use them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import (
    HOSTILE,
    artifact,
    build,
    float_layers,
    inputs_of,
    integer_layers,
    look_up,
    needs,
    output_of,
    raw,
)
from cpu_running import results

import irc
from irc.backends.cpu_simd import backend, library
from irc.backends.cpu_simd.archive import archive
from irc.backends.cpu_simd.codegen.lanes import Function
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.elf import code_bytes, exported, undefined, with_content
from irc.backends.cpu_simd.isa import ISAS, host
from irc.backends.cpu_simd.library import object_of
from irc.backends.cpu_simd.package import is_name
from irc.backends.cpu_simd.support import SUPPORT, definitions
from irc.ir.diagnostics import InternalError, IrcError, ToolError
from irc.ir.interpret import interpret
from irc.passes.presets import QUANT8

FUNCTIONS = [
    "describe",
    "init",
    "input_shape",
    "output_shape",
    "run",
    "run_team",
    "status_text",
    "stop",
    "team_bytes",
    "team_init",
    "worker",
    "workspace_bytes",
]
HERE = Path(__file__).parent


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
@pytest.mark.parametrize("embed", [True, False])
def test_an_object_is_complete_and_exports_its_interface(isa, embed):
    module = integer_layers()
    program = compile_graph(module.main, isa).program
    code = object_of(program, module.main, isa, name="net", embed=embed)
    assert undefined(code[0]) == []
    assert exported(code[0]) == [f"net_{name}" for name in FUNCTIONS]
    assert (program.weights in code) == embed
    assert code == object_of(program, module.main, isa, name="net", embed=embed)


def test_what_no_function_of_ours_gives_is_an_error_of_ours(monkeypatch):
    module = integer_layers()
    program = compile_graph(module.main, host()).program
    monkeypatch.setattr(library, "undefined", lambda code: ["sinf"])
    with pytest.raises(InternalError, match="call sinf, which a library cannot bring along"):
        object_of(program, module.main, host())


def test_sections_and_members_have_limits():
    (code,) = object_of(compile_graph(float_layers().main, host()).program, float_layers().main, host())
    with pytest.raises(ValueError, match="no 64-bit little-endian ELF object"):
        undefined(b"MZ")
    with pytest.raises(ValueError, match=r"section .text cannot hold"):
        with_content(code, ".text", bytes(10**6))
    with pytest.raises(ValueError, match="is longer than 15 characters"):
        archive("a" * 16, (code,))


def test_names_of_models_stay_out_of_c(tmp_path):
    found = artifact(float_layers(), tmp_path, "so=no")
    for name in ("model.h", "example.c", "Makefile", "README.md"):
        assert HOSTILE not in (found.path / "lib" / name).read_text("ascii")
    assert is_name("net_2")
    assert not any(is_name(text) for text in ("Net", "2net", "int", "a__b", "", "x" * 33, "a-b"))
    with pytest.raises(IrcError, match="'int' cannot be the prefix of C names"):
        artifact(float_layers(), tmp_path / "other", "prefix=int")


def test_more_weights_than_code_reaches(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "EMBEDDED", 100)
    with pytest.raises(IrcError, match="bytes of weights are more than the code of a library can reach"):
        artifact(float_layers(), tmp_path / "embedded", "weights=embed")
    artifact(float_layers(), tmp_path / "file", "weights=file")


def test_equal_inputs_give_equal_bytes(tmp_path):
    first, second = (artifact(integer_layers(), tmp_path / name) for name in "ab")
    files = first.manifest["files"]
    assert [n for n in files if files[n] != second.manifest["files"][n]] == []
    assert first.manifest == second.manifest
    assert first.manifest["target"] == host().name


def test_a_report_says_what_a_library_holds(tmp_path):
    report = artifact(integer_layers(), tmp_path).report
    summary = report["summary"]
    assert summary["instruction set"] == host().name
    assert 0 < summary["code bytes"] <= 100_000
    assert summary["weight bytes"] >= 33 * 40 + 40 * 10
    assert summary["workspace bytes"] % 64 == 0
    rows = {row["layer"]: row for row in report["layers"]}
    assert rows["fc1"]["macs"] == 33 * 40
    assert rows["fc1"]["weight bytes"] >= 33 * 40
    assert "linear" in rows["fc2"]["kernels"]


@needs("gcc", "g++", "make")
@pytest.mark.parametrize("options", ["", "weights=file", "weights=embed so=yes"])
def test_the_example_gives_the_bits_of_the_interpreter(tmp_path, options):
    module = integer_layers()
    lib = artifact(module, tmp_path, options).path / "lib"
    inputs = inputs_of(module)
    (expected,) = interpret(module, inputs)
    output_of(["make", "example"], lib)
    assert output_of([lib / "example", "5"], lib, raw(inputs)) == raw([expected])
    build(lib, "example.c", tmp_path / "dynamic", compiler=("gcc", f"-Wl,-rpath,{lib}"), code="./model.so")
    assert output_of([tmp_path / "dynamic", "5"], lib, raw(inputs)) == raw([expected])
    for sizes in (["5", "6"], ["five"], ["5x"], [""]):
        wrong = subprocess.run([lib / "example", *sizes], capture_output=True, check=False, text=True)
        assert (wrong.returncode, wrong.stderr) == (2, "usage: ./example [b] < inputs > outputs\n")
    refused = subprocess.run([lib / "example", "71"], cwd=lib, capture_output=True, check=False, input=raw(inputs))
    assert (refused.returncode, refused.stderr) == (1, b"a dimension is out of its range\n")


@needs("gcc", "g++")
@pytest.mark.parametrize(
    "compiler",
    [
        ("gcc", "-std=c11", "-pedantic"),
        ("gcc", "-DCOUNT"),
        ("g++", "-x", "c++"),
        ("gcc", "-fsanitize=address,undefined"),
    ],
    ids=["c", "allocations", "c++", "sanitized"],
)
def test_wrong_calls_get_a_status(tmp_path, compiler):
    lib = artifact(integer_layers(), tmp_path).path / "lib"
    shutil.copy(HERE / "abuse.c", lib)
    build(lib, "abuse.c", tmp_path / "abuse", compiler=compiler)
    assert output_of([tmp_path / "abuse"], lib) == b""


def check_fills(lib: Path, sizes: list[str], call: list[np.ndarray], expected: bytes) -> None:
    """No result depends on what the workspace held, be it zeros, codes or NaNs, and valgrind finds nothing.

    Valgrind does not know that what is read behind a row is multiplied by 0, hence the fills.
    """
    for fill in ("0", "0xA5", "0xFF"):
        build(lib, "example.c", lib / "filled", compiler=("gcc", f"-DFILL={fill}", "-include", str(HERE / "fill.h")))
        assert output_of([lib / "filled", *sizes], lib, raw(call)) == expected
    checked = ["valgrind", "-q", "--leak-check=full", "--error-exitcode=9", lib / "filled", *sizes]
    assert output_of(checked, lib, raw(call)) == expected


@pytest.mark.slow
@needs("gcc", "valgrind")
@pytest.mark.parametrize("layers", [integer_layers, float_layers])
def test_valgrind_finds_nothing(tmp_path, layers):
    module = layers()
    found = artifact(module, tmp_path)
    inputs = inputs_of(module)
    sizes = ["5"] * len(module.main.symbols)
    check_fills(found.path / "lib", sizes, inputs, raw(found.run(*inputs)))


EXAMPLES = HERE.parents[1] / "examples"


@pytest.mark.slow
@needs("gcc", "valgrind")
@pytest.mark.parametrize("name", ["digits_cnn", "digits_vit"])
def test_the_examples_as_c_programs(tmp_path, name):
    """Integer-only, the interpreter's bits, in at most 100 KB of code, and valgrind finds nothing."""
    calib = {"x": np.load(EXAMPLES / "digits_calib.npz")["x"][:64]}
    passes = QUANT8.replace("integerize", "integerize{islands=none}") + ",fuse"
    found = irc.compile(EXAMPLES / f"{name}.pt2", passes=passes, backend="cpu", calib=calib, out=tmp_path / "model.cpu")
    print(name, found.report["summary"])
    assert found.report["summary"]["code bytes"] <= 100_000
    images = np.load(EXAMPLES / "digits_test.npz")["x"][:5]
    sizes = ["5"] * len(found.module.main.symbols)
    for call in [images] if sizes else [image[None] for image in images]:
        check_fills(found.path / "lib", sizes, [call], raw(interpret(found.module, [call])))


@needs("gcc")
def test_header_is_c99(tmp_path):
    lib = artifact(integer_layers(), tmp_path).path / "lib"
    (tmp_path / "only.c").write_text('#include "model.h"\nint main(void) { return MODEL_INPUTS - 1; }\n')
    build(lib, str(tmp_path / "only.c"), tmp_path / "only", compiler=("gcc", "-std=c99", "-pedantic"))


def test_a_damaged_file_of_weights_is_noticed(tmp_path):
    found = artifact(float_layers(), tmp_path, "weights=file")
    content = bytearray((found.path / "lib/model.weights").read_bytes())
    content[40] ^= 1
    (found.path / "lib/model.weights").write_bytes(content)
    with pytest.raises(IrcError, match="the library cannot be used: these are not the weights of this library"):
        found.run(*inputs_of(float_layers()))


def test_an_artifact_runs_its_own_object(tmp_path):
    found = artifact(float_layers(), tmp_path)
    inputs = inputs_of(float_layers())
    (before,) = found.run(*inputs)
    path = found.path / "lib" / "model.o"
    weights = compile_graph(found.module.main, host()).program.weights
    path.write_bytes(path.read_bytes().replace(weights, bytes(len(weights))))
    (after,) = found.run(*inputs)
    assert before.any()
    assert not after.any()


def test_a_machine_that_cannot_run_a_target_says_so(tmp_path):
    foreign = "aarch64" if host().is_x86 else "x86-64"
    found = artifact(float_layers(), tmp_path, target=foreign)
    with pytest.raises(ToolError, match=f"this machine cannot run {foreign} code") as error:
        found.run(*inputs_of(float_layers()))
    assert "compile with target=host" in str(error.value)


def test_a_missing_linker(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolError, match=r"needs a linker \(cc or gcc or clang\), and there is none"):
        artifact(float_layers(), tmp_path / "a", "so=yes")
    lib = artifact(float_layers(), tmp_path / "b").path / "lib"
    assert {p.suffix for p in lib.iterdir()} == {".o", ".a", ".h", ".c", ".md", ""}


def test_a_linker_that_fails(tmp_path, monkeypatch):
    bad = tmp_path / "cc"
    bad.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    bad.chmod(0o755)
    monkeypatch.setenv("CC", str(bad))
    with pytest.raises(ToolError, match=r"the shared library does not link \(cc, status 3\)") as error:
        artifact(float_layers(), tmp_path)
    assert "no such thing" in str(error.value)


@needs("gcc")
def test_an_index_out_of_range_is_a_status(tmp_path):
    lib = artifact(look_up(), tmp_path).path / "lib"
    output_of(["make", "example"], lib)
    wrong = np.array([0, 9, 1], np.int32)
    done = subprocess.run([lib / "example"], cwd=lib, input=wrong.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"an index of a gather is out of range\n")


def test_support_functions_round_as_numpy_does():
    """On a target without the instructions: every half, and floats around every rounding boundary."""
    module = irc.parse("""func @main(%x: f16[n], %y: f32[n]) -> (f32[n], f16[n], f32[n], f16[n]) where n in [1, 70000] {
      %a = cast %x : f32[n]
      %b = cast %y : f16[n]
      %c = round %y : f32[n]
      %d = floor %x : f16[n]
      return %a, %b, %c, %d
    }""")
    isa = ISAS["x86-64"]
    code = compile_graph(module.main, isa).program
    text = library.module_text(code, module.main, isa)
    assert "fma" not in text
    assert code_bytes(object_of(code, module.main, isa)[0]) > 0
    if not host().is_x86:
        pytest.skip("runs x86 code")

    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    exact = halves.astype(np.float32)
    finite = np.where(np.isfinite(exact), exact, 1)
    near = np.concatenate([exact, np.nextafter(finite, np.float32(np.inf)), np.nextafter(finite, np.float32(0))])
    for start in range(3):
        y = near[start * 65536 : (start + 1) * 65536]
        for given, expected in zip(results(module, [halves, y], isa), interpret(module, [halves, y]), strict=True):
            np.testing.assert_array_equal(given, expected)


def test_support_functions_are_all_valid():
    text, used = definitions(SUPPORT)
    for isa in (ISAS["x86-64"], ISAS["riscv64"]):
        attributes = f'attributes #0 = {{ nounwind "target-features"="{isa.features}" }}'
        module = "\n".join((*used.values(), text, attributes))
        assert library.object_code(module, isa.triple, "", isa.features)
    assert Function("f", {}).finish().startswith("define internal void @f()")
